//! The rules on what is not decided by a program: how long it waits, what is random, and how much time has passed.

use std::collections::BTreeSet;

use portcullis_os::{Clock, Errno, Os, Reply};
use sim::{Bounds, Evidence, Program, Trace, What, Who, explore};

use crate::contest::{EVERYTHING, FAIR, contenders, contest, every_execution, program, said};

/// With which status the process of a slot exits.
fn status(trace: &Trace, slot: usize) -> Option<u8> {
    let own = trace.steps.iter().filter(|step| step.who == Who::Slot(slot));
    own.filter_map(|step| if let What::Exit(status) = step.what { Some(status) } else { None }).next()
}

#[test]
fn a_wait_with_a_deadline_may_time_out_at_any_moment_at_which_it_is_not_over_and_at_no_other() {
    let waits = program("waits for its own message", |os| async move {
        let name = "mailbox".to_owned();
        let Ok(listener) = os.listen_unix(name.clone(), 1).await else { return 2 };
        let Ok(client) = os.connect_unix(name).await else { return 2 };
        let Ok((_, server)) = os.accept(vec![listener.fd()]).await else { return 2 };
        let child = os.clone();
        os.task(async move {
            let _ = child.send(&server, vec![7]).await;
        });
        match os.receive(&client, 1, 100).await {
            Ok(_) => 0,
            Err(Errno::TimedOut) => 1,
            Err(_) => 2,
        }
    });
    let mut seen = BTreeSet::new();
    every_execution(&contenders(&waits, 1), &EVERYTHING, |trace| {
        let Some(status) = status(trace, 0) else { return };
        let place = |words: &str| {
            trace.steps.iter().position(
                |step| matches!(&step.what, What::Call(call, _) if call.to_string().starts_with(words)),
            )
        };
        let (sent, received) = (place("send"), place("receive"));
        let came_in_time = sent.is_some() && sent < received;
        assert_eq!(status, u8::from(!came_in_time), "{sent:?} {received:?}");
        seen.insert(status);
    });
    assert_eq!(seen, BTreeSet::from([0, 1]));
}

#[test]
fn what_is_random_is_never_the_same_twice_and_is_numbered_by_who_asks() {
    let draws = program("draws twice", |os| async move {
        let same = os.random().await == os.random().await;
        u8::from(same)
    });
    let mut drawn = [BTreeSet::new(), BTreeSet::new()];
    let mut executions = 0;
    every_execution(&contenders(&draws, 2), &EVERYTHING, |trace| {
        executions += 1;
        for step in &trace.steps {
            if let (Who::Slot(slot), What::Call(_, Ok(Reply::Random(bytes)))) = (step.who, &step.what) {
                drawn[slot].insert(*bytes);
            }
        }
    });
    assert!(executions > 50, "{executions}");
    assert_eq!(drawn.each_ref().map(BTreeSet::len), [2, 2], "the order makes no difference");
    assert!(drawn[0].is_disjoint(&drawn[1]));
    assert_eq!(said(&explore(&contenders(&draws, 2), &FAIR, &EVERYTHING)), "nothing");
}

/// Sleeps, and asks for its pid.
fn sleeper(milliseconds: u32) -> Program {
    program("sleeps", move |os| async move {
        u8::from(os.sleep(milliseconds).await.is_err() || os.own_pid().await.is_err())
    })
}

#[test]
fn a_sleep_may_be_over_at_any_point_so_that_every_relative_speed_is_covered() {
    let mut first_awake = BTreeSet::new();
    every_execution(&contest(&[sleeper(1), sleeper(3_600_000)]), &EVERYTHING, |trace| {
        let awake = trace
            .steps
            .iter()
            .find(|step| matches!(&step.what, What::Call(call, _) if call.to_string().starts_with("getpid")));
        first_awake.extend(awake.map(|step| step.who == Who::Slot(0)));
    });
    assert_eq!(first_awake, BTreeSet::from([false, true]));
}

#[test]
fn a_loop_that_counts_elapsed_time_is_cut_and_one_that_counts_attempts_is_explored() {
    let by_time = program("tries for a second", |os| async move {
        let Ok(begun) = os.read_clock(Clock::Monotonic).await else { return 1 };
        while os.read_clock(Clock::Monotonic).await.is_ok_and(|now| now < begun + 1_000_000_000) {
            let _ = os.sleep(100).await;
        }
        0
    });
    let exploration = explore(&contenders(&by_time, 1), &FAIR, &Bounds { states: 1000, ..EVERYTHING });
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Cut));

    let by_attempts = program("tries ten times", |os| async move {
        for _ in 0..10 {
            let _ = os.sleep(100).await;
        }
        0
    });
    let exploration = explore(&contenders(&by_attempts, 2), &FAIR, &EVERYTHING);
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
}
