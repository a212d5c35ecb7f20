//! Each rule that makes exploration sound, and the smallest program that breaks it.
//!
//! A program that breaks one is reported for what it is; it is never explored as if it were fit.
//!
//! | rule | its tests |
//! | --- | --- |
//! | a program that is run anew asks for what it asked for | `a_program_that_looks_at_a_static_*`, `an_exit_status_that_differs_*` |
//! | whoever waits waits for a call | `a_task_that_awaits_something_other_than_os_*`, `a_close_on_the_way_*` |
//! | whoever never calls is cut | `a_task_that_wakes_itself_*`, `a_stage_without_a_call_*`, `a_round_that_asks_for_nothing_*` |
//! | a task has one call under way | `a_task_with_two_calls_*` |
//! | a panic is an end of its own | `a_panic_is_a_finding_*` |
//! | tasks share what the machine holds, and nothing else | `tasks_that_share_*`, `an_exit_status_that_depends_*`, `a_round_that_remembers_*` |
//! | a destructor closes, in a step of its own, and does nothing else | `the_close_of_a_destructor_*`, `a_destructor_that_asks_*` |
//! | who is killed takes no step any more | `a_killed_process_*` |
//! | nothing is cancelled | `a_task_that_cancels_*` |
//! | a wait may time out whenever it is not over | `waiting::a_wait_with_a_deadline_*` |
//! | who waits is not scheduled; if all wait, that is an end | `when_everybody_waits_*` |
//! | what is random is a fresh token | `waiting::what_is_random_*` |
//! | loops count attempts | `waiting::a_loop_that_counts_elapsed_time_*`, `a_program_that_never_ends_*` |
//! | a sleep is over at any point | `waiting::a_sleep_*` |

use std::future::{Future, pending, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use portcullis_os::{Cell, Open, Os, Round, Signal, Stage};
use sim::kernel::{Ending, Life};
use sim::{
    Action, Bounds, Condition, Evidence, Process, Program, Trace, TraceStep, What, Who, explore, replay,
};

use crate::contest::{
    EVERYTHING, FAIR, LOCK, complaint, contenders, cost, every_execution, own, passer_by, program, said,
};

/// Asks for something that has two answers in a race, so that a second history makes the explorer run it anew.
async fn race(os: &Process) -> bool {
    os.open(Path::new(LOCK), Open::create_exclusive()).await.is_ok()
}

#[test]
fn a_program_that_looks_at_a_static_is_caught_when_it_is_run_anew() {
    static STARTS: AtomicU32 = AtomicU32::new(0);
    let program = program("counts its starts", |os| async move {
        if STARTS.fetch_add(1, Ordering::Relaxed) > 0 {
            let _ = os.own_uid().await;
        }
        u8::from(race(&os).await)
    });
    let said = said(&explore(&contenders(&program, 2), &FAIR, &EVERYTHING));
    let (_, fault) = said.split_once(": nondeterministic process: ").unwrap();
    assert_eq!(fault, "after the same replies it asked for `create excl lock` once and for `geteuid` now");
}

#[test]
fn a_program_that_looks_at_a_static_is_caught_by_the_audit_if_it_never_branches() {
    static STARTS: AtomicU32 = AtomicU32::new(0);
    let program = program("counts its starts", |os| async move {
        let _ = os.own_pid().await;
        if STARTS.fetch_add(1, Ordering::Relaxed) > 0 {
            let _ = os.own_uid().await;
        }
        0
    });
    assert_eq!(
        said(&explore(&contenders(&program, 1), &FAIR, &EVERYTHING)),
        "explorable: a: nondeterministic process: after the same replies it asked for `exit 0` once and for \
         `geteuid` now"
    );
}

#[test]
fn an_exit_status_that_differs_from_run_to_run_is_caught() {
    static STARTS: AtomicU8 = AtomicU8::new(0);
    let program = program("exits with its number", |os| async move {
        let _ = os.own_pid().await;
        STARTS.fetch_add(1, Ordering::Relaxed)
    });
    // By which number the program is at when it is run anew is a matter of how often that was.
    let complaint = said(&explore(&contenders(&program, 1), &FAIR, &EVERYTHING));
    let start = "explorable: a: nondeterministic process: after the same replies it asked for `exit 0` once and for `exit ";
    assert!(complaint.starts_with(start), "{complaint}");
}

#[test]
fn a_task_that_awaits_something_other_than_os_is_caught() {
    let main = program("waits for nobody", |os| async move {
        let _ = os.own_pid().await;
        pending().await
    });
    assert_eq!(complaint(&main), "explorable: a: task 0 awaits something other than `Os`");

    let child = program("has a child that waits for nobody", |os| async move {
        os.task(pending());
        u8::from(os.own_pid().await.is_err())
    });
    assert_eq!(complaint(&child), "explorable: a: task 1 awaits something other than `Os`");
}

#[test]
fn a_close_on_the_way_hides_no_foreign_await() {
    let program = program("closes and waits for nobody", |os| async move {
        drop(os.open(Path::new(LOCK), Open::read_write_create()).await);
        pending().await
    });
    assert_eq!(complaint(&program), "explorable: a: task 0 awaits something other than `Os`");
}

#[test]
fn a_task_that_wakes_itself_and_never_calls_is_polled_no_more_and_caught() {
    static POLLS: AtomicU32 = AtomicU32::new(0);
    let program = program("spins", |os| async move {
        let _ = os.own_pid().await;
        poll_fn(|context| {
            POLLS.fetch_add(1, Ordering::Relaxed);
            context.waker().wake_by_ref();
            Poll::<u8>::Pending
        })
        .await
    });
    assert_eq!(complaint(&program), "explorable: a: task 0 awaits something other than `Os`");
    let polls = POLLS.load(Ordering::Relaxed);
    assert!((1..100).contains(&polls), "{polls}");
}

#[test]
fn a_stage_without_a_call_is_caught() {
    let program = Program::staged("idles", 0_u8, |os, stage| async move {
        if stage == 0 {
            let _ = os.own_pid().await;
        }
        Stage::Continue(1)
    });
    assert_eq!(complaint(&program), "explorable: a: a stage of the main task ended without a call");
}

#[test]
fn a_task_with_two_calls_under_way_is_caught() {
    let program = program("asks twice at once", |os| async move {
        let (mut pid, mut uid) = (pin!(os.own_pid()), pin!(os.own_uid()));
        poll_fn(|context| match (pid.as_mut().poll(context), uid.as_mut().poll(context)) {
            (Poll::Ready(_), _) | (_, Poll::Ready(_)) => Poll::Ready(()),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        })
        .await;
        0
    });
    assert_eq!(
        complaint(&program),
        "explorable: a: task 0 asked for `geteuid` while `getpid` was not answered yet"
    );
}

#[test]
fn a_task_that_cancels_a_call_is_caught() {
    let program = program("changes its mind", |os| async move {
        {
            let mut pid = pin!(os.own_pid());
            poll_fn(|context| Poll::Ready(pid.as_mut().poll(context).is_ready())).await;
        }
        u8::from(os.own_uid().await.is_err())
    });
    assert_eq!(complaint(&program), "explorable: a: task 0 cancelled `getpid`, which was not answered yet");
}

#[test]
fn a_panic_is_a_finding_with_the_shortest_way_to_it() {
    let program = program("panics if it loses", |os| async move {
        assert!(race(&os).await, "somebody else was first");
        0
    });
    let setup = contenders(&program, 2);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "panicked: b: panicked: somebody else was first");
    let trace = replay(&setup, &FAIR, &EVERYTHING, &exploration.found.unwrap().schedule);
    assert_eq!(trace.violation.as_ref().map(|violation| violation.check.as_str()), Some("panicked"));
    assert_eq!(
        cost(&trace),
        (0, 0, 6),
        "one is started and comes to its end, then the other is started and fails"
    );
}

#[test]
fn tasks_that_share_memory_behind_the_machines_back_are_caught() {
    let program = program("whispers to its child", |os| async move {
        let flag = Arc::new(AtomicU8::new(0));
        let (child, heard) = (os.clone(), flag.clone());
        os.task(async move {
            let _ = child.own_pid().await;
            if heard.load(Ordering::Relaxed) == 1 {
                let _ = child.own_uid().await;
            }
        });
        let _ = os.own_pid().await;
        flag.store(1, Ordering::Relaxed);
        u8::from(os.random().await.is_err())
    });
    assert_eq!(
        complaint(&program),
        "explorable: a: task 1 asks for `geteuid` beside the other tasks and for `nothing` alone: use `Os::load` and \
         `Os::store` for what tasks share"
    );
}

#[test]
fn an_exit_status_that_depends_on_shared_memory_is_caught() {
    let program = program("exits as its child says", |os| async move {
        let flag = Arc::new(AtomicU8::new(0));
        let (child, told) = (os.clone(), flag.clone());
        os.task(async move {
            let _ = child.own_pid().await;
            told.store(1, Ordering::Relaxed);
        });
        let _ = os.own_pid().await;
        flag.load(Ordering::Relaxed)
    });
    assert_eq!(
        complaint(&program),
        "explorable: a: task 0 asks for `exit 1` beside the other tasks and for `exit 0` alone: use `Os::load` and \
         `Os::store` for what tasks share"
    );
}

#[test]
fn tasks_that_share_a_cell_of_the_machine_are_explored() {
    let program = program("tells its child", |os| async move {
        let child = os.clone();
        os.task(async move {
            if child.load(Cell(0)).await == Ok(1) {
                let _ = child.own_uid().await;
            }
        });
        u8::from(os.store(Cell(0), 1).await.is_err())
    });
    let exploration = explore(&contenders(&program, 1), &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "nothing");
    // Whether the child was told makes no difference any more once it has asked for its user.
    assert_eq!((exploration.states, exploration.evidence), (7, Evidence::Complete));
}

#[test]
fn more_tasks_than_are_explored_are_a_finding() {
    let family = |children: usize| {
        program("has many children", move |os| async move {
            for _ in 0..children {
                os.task(async {});
            }
            u8::from(os.own_pid().await.is_err())
        })
    };
    assert_eq!(complaint(&family(63)), "nothing");
    assert_eq!(complaint(&family(64)), "explorable: a: more than 64 tasks in one process");
}

/// What the process of a slot did, step by step.
fn steps_of(trace: &Trace, slot: usize) -> Vec<(usize, String)> {
    let say = |step: &TraceStep| match &step.what {
        What::Call(call, reply) => format!("{call}{}", if reply.is_ok() { "" } else { "!" }),
        What::Exit(status) => format!("exit {status}"),
        What::Execute
        | What::Release(_)
        | What::Action(_)
        | What::Restart(_)
        | What::LosePatience
        | What::Kill
        | What::PowerLoss { .. } => String::new(),
    };
    let own = trace.steps.iter().enumerate().filter(|(_, step)| step.who == Who::Slot(slot));
    own.map(|(place, step)| (place, say(step))).collect()
}

#[test]
fn the_close_of_a_destructor_is_a_step_that_others_get_before_and_after() {
    let mut before_the_close = 0;
    let mut between_close_and_next_call = 0;
    every_execution(&contenders(&passer_by(), 2), &EVERYTHING, |trace| {
        let (first, second) = (steps_of(trace, 0), steps_of(trace, 1));
        let place = |steps: &[(usize, String)], what: &str| {
            steps.iter().find(|(_, step)| step.starts_with(what)).map(|(place, step)| (*place, step.clone()))
        };
        let (Some((closed, _)), Some((called, _))) = (place(&first, "close"), place(&first, "getpid")) else {
            return;
        };
        let Some((locked, step)) = place(&second, "flock") else { return };
        let owned_since = place(&first, "flock").map(|(place, _)| place);
        if owned_since < Some(locked) && locked < closed {
            assert_eq!(step, "flock 3!", "the lock is held until the close is carried out");
            before_the_close += 1;
        } else if closed < locked && locked < called {
            assert_eq!(step, "flock 3", "the lock is free as soon as the close is carried out");
            between_close_and_next_call += 1;
        }
    });
    assert!(before_the_close > 0 && between_close_and_next_call > 0);
}

/// Asks for something when it is dropped, as if it could wait for the answer.
struct Bell(Process);

impl Drop for Bell {
    fn drop(&mut self) {
        let mut ring = pin!(self.0.unlink(Path::new(LOCK)));
        let _ = ring.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

#[test]
fn a_destructor_that_asks_for_more_than_a_close_is_caught_unless_its_process_was_killed() {
    let rings = program("rings", |os| async move {
        let bell = Bell(os.clone());
        let _ = os.own_pid().await;
        drop(bell);
        0
    });
    assert_eq!(
        complaint(&rings),
        "explorable: a: task 0 cancelled `unlink lock`, which was not answered yet"
    );

    let waits = program("waits with a bell", |os| async move {
        let _bell = Bell(os.clone());
        u8::from(own(&os).await.is_err())
    });
    let mut setup = contenders(&waits, 1);
    setup.script.steps.extend([Action::Wait(Condition::Ready(0)), Action::Signal(0, Signal::Kill)]);
    assert_eq!(said(&explore(&setup, &FAIR, &EVERYTHING)), "nothing");
}

#[test]
fn a_killed_process_takes_no_step_and_the_kernel_closes_what_it_held() {
    let mut killed_with_the_lock = 0;
    every_execution(&contenders(&passer_by(), 2), &Bounds { kills: 1, ..EVERYTHING }, |trace| {
        let Some(at) = trace.steps.iter().position(|step| step.what == What::Kill) else { return };
        let Who::Fault(slot) = trace.steps[at].who else { panic!("a kill is a fault") };
        assert!(trace.steps[at + 1..].iter().all(|step| step.who != Who::Slot(slot)));
        let (before, after) = (trace.steps[..at].last(), trace.steps[at].view());
        let Some(process) = after.slots[slot].process else { panic!("who was killed was started") };
        assert_eq!(after.kernel.life(process), Life::Dead(Ending::Killed(Signal::Kill)));
        let Some(file) = after.kernel.lookup(Path::new(LOCK)) else { return };
        assert!(!after.kernel.lock_holders(file).contains(&process));
        let held = before.is_some_and(|step| step.kernel.lock_holders(file).contains(&process));
        killed_with_the_lock += usize::from(held);
    });
    assert!(killed_with_the_lock > 0);
}

#[test]
fn when_everybody_waits_it_is_an_end_and_not_a_hang() {
    let waits = program("waits for ever", |os| async move {
        let _ = os.catch_signals().await;
        u8::from(os.next_signal().await.is_err())
    });
    let mut setup = contenders(&waits, 2);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
    assert_eq!(exploration.ends.into_iter().collect::<Vec<_>>(), [(2, 1)], "both live and wait");

    setup.script.steps.extend([Action::Wait(Condition::Gone(0)), Action::Signal(1, Signal::Terminate)]);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "stuck: the script comes no further than `wait = \"a.gone\"`");
}

#[test]
fn a_program_that_never_ends_is_cut_by_the_budget_and_proves_nothing() {
    let program = program("counts for ever", |os| async move {
        loop {
            if os.own_pid().await.is_err() {
                return 1;
            }
        }
    });
    let exploration = explore(&contenders(&program, 1), &FAIR, &Bounds { states: 1000, ..EVERYTHING });
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Cut));
    assert_eq!(exploration.states, 1001);
}

#[test]
fn a_task_that_repeats_has_the_histories_of_one_round() {
    let restless = |stores: u64| {
        program("restless", move |os| async move {
            let child = os.clone();
            os.repeat(move || {
                let os = child.clone();
                async move { if os.load(Cell(0)).await.is_ok() { Round::Again } else { Round::Over } }
            });
            for value in 1..=stores {
                let _ = os.store(Cell(0), value).await;
            }
            u8::from(own(&os).await.is_err())
        })
    };
    for stores in 0..5 {
        let exploration = explore(&contenders(&restless(stores), 1), &FAIR, &EVERYTHING);
        assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
        // The child, which always comes back to its beginning, and the main task, which waits in the end.
        assert_eq!(exploration.histories as u64, 1 + stores + 5);
        // The child goes on for ever, and that is no end.
        assert_eq!(exploration.ends.len(), 0);
    }
}

#[test]
fn a_round_that_remembers_the_one_before_is_caught() {
    let program = program("remembers", |os| async move {
        let (child, rounds) = (os.clone(), Arc::new(AtomicU8::new(0)));
        os.repeat(move || {
            let (os, round) = (child.clone(), rounds.fetch_add(1, Ordering::Relaxed));
            async move {
                let _ = os.own_pid().await;
                let _ = if round == 1 { os.own_uid().await.is_ok() } else { os.load(Cell(0)).await.is_ok() };
                Round::Again
            }
        });
        u8::from(own(&os).await.is_err())
    });
    assert_eq!(
        complaint(&program),
        "explorable: a: nondeterministic process: after the same replies it asked for `load cell 0` once and for \
         `geteuid` now"
    );
}

#[test]
fn a_round_that_starts_tasks_is_caught() {
    let program = program("multiplies", |os| async move {
        let child = os.clone();
        os.repeat(move || {
            let os = child.clone();
            async move {
                let _ = os.own_pid().await;
                os.task(async {});
                Round::Again
            }
        });
        u8::from(own(&os).await.is_err())
    });
    assert_eq!(complaint(&program), "explorable: a: task 1 repeats and starts other tasks");
}

#[test]
fn a_round_that_asks_for_nothing_is_caught() {
    let program = program("turns on the spot", |os| async move {
        os.repeat(|| async { Round::Again });
        u8::from(own(&os).await.is_err())
    });
    assert_eq!(complaint(&program), "explorable: a: task 1 awaits something other than `Os`");
}
