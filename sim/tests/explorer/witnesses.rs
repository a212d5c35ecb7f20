//! What explains a search: the shortest execution to each end, and what a death at each call leaves to the next starter.

use sim::{
    Bounds, Checker, Halt, Policy, Program, Step, View, Violation, crashes, explore, replay, witnesses,
};

use crate::contest::{EVERYTHING, FAIR, Judge, add_probe, contenders, cost, create_exclusive, flock};

/// A judge to whom one outcome is a broken promise, so that the search for the shortest counterexample looks for it.
struct Forbids(usize);

impl Checker for Forbids {
    type Memory = ();

    fn start(&self) {}

    fn step(&self, memory: &mut (), view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        FAIR.step(memory, view, step)
    }

    fn end(&self, memory: &(), view: &View<'_>) -> Result<usize, Violation> {
        match FAIR.end(memory, view)? {
            outcome if outcome == self.0 => {
                Err(Violation { check: "forbidden".to_owned(), says: outcome.to_string() })
            }
            outcome => Ok(outcome),
        }
    }
}

#[test]
fn a_witness_is_as_short_as_the_shortest_counterexample_to_its_outcome_being_impossible() {
    for kills in [0, 1, 2] {
        for (program, count) in [(flock(), 3), (create_exclusive(), 2)] {
            let (setup, bounds) = (contenders(&program, count), Bounds { kills, ..EVERYTHING });
            let found = witnesses(&setup, &FAIR, &bounds, &|| false).unwrap();
            assert!(found.keys().eq(explore(&setup, &FAIR, &bounds).ends.keys()));
            for (outcome, witness) in found {
                let trace = replay(&setup, &FAIR, &bounds, &witness.schedule);
                assert_eq!((trace.violation.as_ref(), trace.left_over), (None, 0));
                let told = (witness.faults as usize, witness.preemptions as usize, witness.schedule.len());
                assert_eq!(told, cost(&trace));
                let least = explore(&setup, &Forbids(outcome), &bounds).found.unwrap();
                assert_eq!((least.violation.check.as_str(), least.is_shortest), ("forbidden", true));
                let other = replay(&setup, &Forbids(outcome), &bounds, &least.schedule);
                assert_eq!(cost(&trace), cost(&other), "{program:?} {outcome}");
            }
        }
    }
}

#[test]
fn what_a_bound_on_preemptions_forbids_has_no_witness() {
    let setup = contenders(&flock(), 2);
    for most in 0..3 {
        let bounds = Bounds { policy: Policy::Preemptions(most), kills: 1, ..EVERYTHING };
        let found = witnesses(&setup, &FAIR, &bounds, &|| false).unwrap();
        assert!(found.values().all(|witness| witness.preemptions <= u32::from(most)));
        assert!(found.keys().eq(explore(&setup, &FAIR, &bounds).ends.keys()));
    }
    assert_eq!(witnesses(&setup, &FAIR, &Bounds { states: 10, ..EVERYTHING }, &|| false), None);
}

#[test]
fn a_death_after_the_creation_of_a_file_wedges_the_next_starter_and_one_with_a_kernel_lock_does_not() {
    let table = |program: &Program| {
        let mut setup = contenders(program, 1);
        let probe = add_probe(&mut setup, program);
        setup.script.steps.clear();
        let crashes = crashes(&setup, &Judge { probes: vec![probe] }, 0, probe).unwrap();
        let told = crashes.iter().map(|crash| {
            assert!(!crash.left.view().is_alive(0));
            let call = crash.after.as_ref().map_or("nothing".to_owned(), |(call, _)| call.to_string());
            (call, crash.halt, crash.calls)
        });
        told.collect::<Vec<_>>()
    };
    let after = |call: &str, halt, calls| (call.to_owned(), halt, calls);
    assert_eq!(
        table(&create_exclusive()),
        [
            after("nothing", Halt::Ready, 5),
            after("create excl lock", Halt::Still, 1),
            after("catch signals", Halt::Still, 1),
            after("stat state", Halt::Still, 1),
            after("owner", Halt::Still, 1),
            after("ready", Halt::Still, 1),
        ]
    );
    assert!(table(&flock()).iter().all(|(_, halt, calls)| (*halt, *calls) == (Halt::Ready, 6)));
}
