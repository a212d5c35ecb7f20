//! A search is the same twice, and a program that is not is caught with the first thing that differs.

use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_os::Os;
use sim::{Bounds, Policy, explore, explore_twice};

use crate::contest::{EVERYTHING, FAIR, contenders, flock, program};

#[test]
fn every_step_of_a_search_is_compared_and_is_the_same() {
    let setup = contenders(&flock(), 2);
    for (policy, kills) in [(Policy::Exhaustive, 1), (Policy::Preemptions(1), 1), (Policy::Exhaustive, 0)] {
        let bounds = Bounds { policy, kills, ..EVERYTHING };
        let exploration = explore(&setup, &FAIR, &bounds);
        let twice = explore_twice(&setup, &FAIR, &bounds, &|| false);
        assert_eq!((&twice.difference, twice.is_complete), (&None, true));
        assert_eq!((twice.states, twice.steps), (exploration.states, exploration.transitions));
        assert_eq!(twice, explore_twice(&setup, &FAIR, &bounds, &|| false));
    }
}

#[test]
fn a_program_that_counts_how_often_it_was_run_is_caught_at_its_first_call() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let counting = program("counting", |os| async move {
        if RUNS.fetch_add(1, Ordering::Relaxed) == 0 {
            return u8::from(os.own_pid().await.is_err());
        }
        u8::from(os.own_uid().await.is_err())
    });
    let twice = explore_twice(&contenders(&counting, 1), &FAIR, &EVERYTHING, &|| false);
    let difference = twice.difference.unwrap();
    assert_eq!(
        difference.to_string(),
        "after step 1 it is `getpid` of a the first time and `geteuid` of a the second"
    );
    assert!(!twice.is_complete);
}

#[test]
fn a_comparison_that_is_stopped_or_has_spent_its_budget_is_not_complete() {
    let setup = contenders(&flock(), 3);
    let stopped = explore_twice(&setup, &FAIR, &Bounds { states: 10, ..EVERYTHING }, &|| false);
    assert_eq!((stopped.is_complete, stopped.difference), (false, None));
}
