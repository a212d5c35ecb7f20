//! Executions that never end: what is fair and gets nowhere is found, with a round that shows it; what is unfair is not, and
//! what has settled is judged as an end is.

use std::path::Path;

use portcullis_os::{
    Call, Cell, Errno, Fd, Links, LockMode, Notice, Open, Os, Ownership, Port, Round, Signal, Stage,
};
use sim::{
    Action, Bounds, Condition, Evidence, Lasso, Liveness, Process, Program, Setup, What, Who, explore,
    liveness, replay,
};

use crate::contest::{EVERYTHING, FAIR, contenders, contest, own, program, said};

const FIRST: &str = "/state/first";
const SECOND: &str = "/state/second";

async fn opened(os: &Process, path: &str) -> Result<Fd, Errno> {
    let file = os.open(Path::new(path), Open::read_write_create()).await?;
    let fd = file.fd();
    // The process keeps it until it ends: a descriptor that is dropped would be closed.
    std::mem::forget(file);
    Ok(fd)
}

async fn lock(os: &Process, fd: Fd) -> bool {
    os.call(Call::Flock { fd, mode: LockMode::Exclusive }).await.is_ok()
}

async fn announce(os: &Process) -> Result<(), Errno> {
    let state = os.stat(Path::new("/state"), Links::Follow).await?.id;
    let base = Port::new(18789).ok_or(Errno::InvalidArgument)?;
    os.notify(Notice::Owner(Ownership { state, config: None, base, span: 0 })).await?;
    os.notify(Notice::Ready).await
}

/// Takes one lock, then the other; gives the first one back and begins again if the other is taken.
fn polite(paths: [&'static str; 2]) -> Program {
    program("polite", move |os| async move {
        let (Ok(()), Ok(one), Ok(other)) =
            (os.catch_signals().await, opened(&os, paths[0]).await, opened(&os, paths[1]).await)
        else {
            return 2;
        };
        let of_task = os.clone();
        os.repeat(move || {
            let os = of_task.clone();
            async move {
                if !lock(&os, one).await {
                    return Round::Again;
                }
                if lock(&os, other).await {
                    return if announce(&os).await.is_ok() { Round::Over } else { Round::Again };
                }
                let _ = os.call(Call::Flock { fd: one, mode: LockMode::Unlock }).await;
                Round::Again
            }
        });
        u8::from(os.next_signal().await.is_err())
    })
}

/// Asks for a lock until it has it, without a pause and without a limit.
fn insistent() -> Program {
    program("insistent", |os| async move {
        let (Ok(()), Ok(fd)) = (os.catch_signals().await, opened(&os, FIRST).await) else { return 2 };
        let of_task = os.clone();
        os.repeat(move || {
            let os = of_task.clone();
            async move {
                let owns = lock(&os, fd).await && announce(&os).await.is_ok();
                if owns { Round::Over } else { Round::Again }
            }
        });
        u8::from(os.next_signal().await.is_err())
    })
}

/// The same in stages: it opens its file, asks until it has the lock, and serves.
fn insistent_in_stages() -> Program {
    #[derive(Clone, PartialEq, Eq)]
    enum Begin {
        Open,
        Ask(Fd),
        Serve,
    }
    Program::staged("insistent", Begin::Open, |os, begin| async move {
        match begin {
            Begin::Open => match opened(&os, FIRST).await {
                Ok(fd) => Stage::Continue(Begin::Ask(fd)),
                Err(_) => Stage::Exit(2),
            },
            Begin::Ask(fd) if lock(&os, fd).await => Stage::Continue(Begin::Serve),
            Begin::Ask(fd) => Stage::Continue(Begin::Ask(fd)),
            Begin::Serve => Stage::Exit(u8::from(own(&os).await.is_err())),
        }
    })
}

/// Takes the lock, makes a few calls and ends.
fn brief() -> Program {
    program("brief", |os| async move {
        let Ok(fd) = opened(&os, FIRST).await else { return 2 };
        let _ = lock(&os, fd).await;
        u8::from(os.own_pid().await.is_err())
    })
}

/// Owns, and says again and again that it lives.
fn lively() -> Program {
    program("lively", |os| async move {
        let (Ok(()), Ok(fd)) = (os.catch_signals().await, opened(&os, FIRST).await) else { return 2 };
        if !lock(&os, fd).await {
            return 1;
        }
        let of_task = os.clone();
        os.repeat(move || {
            let os = of_task.clone();
            async move { if os.store(Cell(0), 1).await.is_ok() { Round::Again } else { Round::Over } }
        });
        u8::from(announce(&os).await.is_err() || os.next_signal().await.is_err())
    })
}

fn searched(setup: &Setup, bounds: &Bounds) -> Liveness {
    let exploration = explore(setup, &FAIR, bounds);
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
    assert!(exploration.has_circles);
    liveness(setup, &FAIR, bounds, &|| false)
}

/// The lasso of a setup, which its replay shows again, and who takes which calls in its round.
fn round(setup: &Setup, bounds: &Bounds) -> (Lasso, Vec<String>) {
    let Liveness::Endless(lasso) = searched(setup, bounds) else { panic!("everything settles") };
    let trace = replay(setup, &FAIR, bounds, &lasso.schedule);
    assert_eq!((trace.violation.as_ref(), trace.left_over), (Some(&lasso.violation), 0));
    let begin = trace.steps.iter().filter(|step| step.in_setup).count() + lasso.repeats_from;
    assert_eq!(trace.repeats_from, Some(begin));
    let before = &trace.steps[begin - 1];
    let last = &trace.steps[trace.steps.len() - 1];
    assert_eq!((&before.kernel, &before.slots), (&last.kernel, &last.slots), "the round comes back");
    let told = trace.steps[begin..].iter().map(|step| match (step.who, &step.what) {
        (Who::Slot(slot), What::Call(call, reply)) => {
            format!("{}: {call}{}", setup.slots[slot].name, if reply.is_ok() { "" } else { "!" })
        }
        (who, what) => format!("{who:?}: {what:?}"),
    });
    (*lasso, told.collect())
}

#[test]
fn two_that_retreat_from_each_other_may_do_so_for_ever_though_one_may_also_win() {
    let setup = contest(&[polite([FIRST, SECOND]), polite([SECOND, FIRST])]);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!(exploration.ends.len(), 0, "whoever loses asks for ever");
    let (lasso, round) = round(&setup, &EVERYTHING);
    assert_eq!(lasso.violation.to_string(), "endless: it goes on for ever and never settles");
    assert_eq!(
        round,
        ["a: flock 3", "b: flock 3", "a: flock 4!", "b: flock 4!", "a: unlock 3", "b: unlock 3"]
    );
}

#[test]
fn one_that_asks_without_a_limit_never_settles_beside_an_owner_that_lives() {
    let (lasso, round) = round(&contenders(&insistent(), 2), &EVERYTHING);
    assert_eq!((lasso.repeats_from, round), (10, vec!["b: flock 3!".to_owned()]));
}

#[test]
fn a_program_in_stages_is_seen_to_go_round_as_well() {
    let setup = contenders(&insistent_in_stages(), 2);
    let (_, told) = round(&setup, &EVERYTHING);
    assert_eq!(told, ["b: flock 3!"]);
    let setup = contest(&[brief(), insistent_in_stages()]);
    assert_eq!(searched(&setup, &EVERYTHING), Liveness::Settles { outcomes: [].into() });
}

#[test]
fn one_that_spins_while_somebody_else_could_go_on_is_only_treated_unfairly() {
    let setup = contest(&[brief(), insistent()]);
    assert_eq!(searched(&setup, &EVERYTHING), Liveness::Settles { outcomes: [].into() });
}

#[test]
fn one_that_spins_because_the_owner_is_paused_is_treated_fairly() {
    let mut setup = contest(&[brief(), insistent()]);
    setup.script.steps = vec![Action::Start(0), Action::Signal(0, Signal::Stop), Action::Start(1)];
    let (_, told) = round(&setup, &EVERYTHING);
    assert_eq!(told, ["b: flock 3!"]);
    setup.script.steps.push(Action::Signal(0, Signal::Continue));
    assert_eq!(searched(&setup, &EVERYTHING), Liveness::Settles { outcomes: [].into() });
}

#[test]
fn a_script_that_could_go_on_must_go_on() {
    // The owner serves for ever, unless somebody tells it to end.
    let mut setup = contenders(&insistent(), 2);
    setup.script.steps.push(Action::Signal(0, Signal::Kill));
    setup.script.steps.push(Action::Wait(Condition::Gone(0)));
    setup.script.steps.push(Action::Signal(1, Signal::Kill));
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!(exploration.ends.into_keys().collect::<Vec<_>>(), [0]);
    assert_eq!(searched(&setup, &EVERYTHING), Liveness::Settles { outcomes: [].into() });
}

#[test]
fn an_owner_that_moves_for_ever_has_settled_and_its_outcome_is_known() {
    let setup = contenders(&lively(), 2);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!(exploration.ends.len(), 0, "it never comes to rest");
    // Of those that live in the end there is one, the owner.
    assert_eq!(searched(&setup, &EVERYTHING), Liveness::Settles { outcomes: [1].into() });
}

#[test]
fn a_fault_that_ends_a_round_need_not_happen() {
    let (with, _) = round(&contenders(&insistent(), 2), &Bounds { kills: 1, ..EVERYTHING });
    let (without, _) = round(&contenders(&insistent(), 2), &EVERYTHING);
    assert_eq!(with.repeats_from, without.repeats_from);
}

#[test]
fn a_search_for_rounds_that_is_cut_says_nothing() {
    let setup = contenders(&insistent(), 2);
    assert_eq!(liveness(&setup, &FAIR, &Bounds { states: 10, ..EVERYTHING }, &|| false), Liveness::Cut);
    assert_eq!(liveness(&setup, &FAIR, &EVERYTHING, &|| true), Liveness::Cut);
}

#[test]
fn what_always_ends_has_no_circles() {
    let exploration = explore(&contenders(&brief(), 3), &FAIR, &Bounds { kills: 1, ..EVERYTHING });
    assert!(!exploration.has_circles);
}
