//! The three forms of the lock have the same states, and ours has them all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use portcullis_benches::toy::program::{Form, OneOwner, seen, setup};
use portcullis_benches::toy::table::Table;
use portcullis_benches::toy::threads::random_schedules;
use portcullis_benches::toy::{Race, Seen};
use sim::{Bounds, Evidence, Exploration, Policy, Reductions, View, explore_with};
use stateright::{Checker as _, Model as _};

const RACES: [Race; 6] = [
    Race { contenders: 2, stale: false, crashes: 0 },
    Race { contenders: 2, stale: true, crashes: 0 },
    Race { contenders: 2, stale: true, crashes: 1 },
    Race { contenders: 3, stale: false, crashes: 0 },
    Race { contenders: 3, stale: true, crashes: 0 },
    Race { contenders: 3, stale: true, crashes: 3 },
];

/// What the explorer sees: the states of the machine, the result, and whether two owned at once.
fn explored(race: Race, form: Form, reductions: Reductions) -> (BTreeSet<Seen>, Exploration, bool) {
    let (all, is_broken) = (RefCell::new(BTreeSet::new()), Cell::new(false));
    let each = |view: &View<'_>, owners: u32| {
        all.borrow_mut().insert(seen(view));
        is_broken.set(is_broken.get() || owners > 1);
    };
    let checker = OneOwner { is_lenient: true, each };
    let bounds =
        Bounds { policy: Policy::Exhaustive, kills: race.crashes, power_losses: 0, states: 10_000_000 };
    let result = explore_with(&setup(race, form), &checker, &bounds, reductions, &|| false);
    assert_eq!((result.evidence, &result.found), (Evidence::Complete, &None));
    (all.into_inner(), result, is_broken.get())
}

#[test]
fn the_table_has_as_many_states_as_is_known_of_this_lock() {
    for (race, states) in RACES.into_iter().zip([648, 687, 1009, 67_724, 69_800, 118_724]) {
        let table = Table { race, exits_later: false, one_row: true, forgets: false };
        let checker = table.checker().spawn_bfs().join();
        assert_eq!(checker.unique_state_count(), states, "{race:?}");
        assert_eq!(table.reachable().1, states, "{race:?}");
    }
}

#[test]
fn the_explorer_reaches_the_states_of_the_table_and_no_others() {
    for race in RACES {
        let table = Table { race, exits_later: true, one_row: false, forgets: true };
        let (states, _, is_broken) = table.reachable();
        assert!(is_broken, "{race:?}");
        let mut forms = vec![
            (Form::Staged, Reductions::ALL),
            (Form::Staged, Reductions::NONE),
            (Form::Straight, Reductions::ALL),
        ];
        if race.contenders == 2 {
            forms.push((Form::Straight, Reductions::NONE));
        }
        let mut ends = None;
        for (form, reductions) in forms {
            let (mut ours, result, is_broken) = explored(race, form, reductions);
            // As long as not all were started, there are states that the table does not have.
            ours.retain(|seen| states.contains(seen) || !is_before_the_start(race, *seen));
            assert_eq!(ours, states, "{race:?} {form:?} {reductions:?}");
            assert!(is_broken, "{race:?} {form:?} {reductions:?}");
            let reached: Vec<usize> = result.ends.into_keys().collect();
            assert_eq!(*ends.get_or_insert(reached.clone()), reached, "{race:?} {form:?} {reductions:?}");
        }
    }
}

#[test]
fn threads_that_are_scheduled_at_random_break_it_now_and_then() {
    let race = Race { contenders: 2, stale: true, crashes: 0 };
    let broken = random_schedules(race, 2_000);
    assert!((1..200).contains(&broken), "{broken} of 2000");
}

/// Whether nobody has done anything yet and not all contenders are there.
fn is_before_the_start(race: Race, seen: Seen) -> bool {
    let all = (1 << race.contenders) - 1;
    seen.alive != all && seen.port.is_none() && seen.file == race.stale.then_some((None, 0))
}

#[test]
fn a_straight_program_is_merged_once_its_tree_has_cost_more_than_merging() {
    let checker = OneOwner { is_lenient: true, each: |_: &View<'_>, _: u32| {} };
    let states = |contenders, crashes, reductions| {
        let bounds =
            Bounds { policy: Policy::Exhaustive, kills: crashes, power_losses: 0, states: 1_000_000 };
        let race = Race { contenders, stale: true, crashes };
        let whole = explore_with(&setup(race, Form::Straight), &checker, &bounds, reductions, &|| false);
        (whole.states, whole.evidence)
    };
    let tree = states(2, 1, Reductions::NONE);
    assert_eq!(tree.1, Evidence::Complete);
    assert_eq!(states(2, 1, Reductions::ALL), tree);
    assert_eq!(states(3, 0, Reductions::NONE).1, Evidence::Cut);
    let (merged, evidence) = states(3, 0, Reductions::ALL);
    assert_eq!(evidence, Evidence::Complete);
    // The table that was written by hand has 69,800.
    assert!(merged < 30_000, "{merged}");
}
