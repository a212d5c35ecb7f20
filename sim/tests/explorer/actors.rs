//! What gets in the way of a lock without wanting it: operators, clocks and reboots, and programs that kill, read, clean up
//! and edit.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_os::{ByteRange, Errno, LockMode, Open, Os, Port, RangeOwner, Signal, Uid};
use sim::actors::{ReadLock, clean, kill_by_port, read_all, rewrite};
use sim::kernel::{Condition as Health, Ending, HostId, Life, LockSupport, Mount};
use sim::supervisor::{Phase, Restart};
use sim::{
    Action, Checker, Condition, Evidence, Exploration, Operation, Program, Setup, Step, Trace, View,
    Violation, What, explore, walk,
};

use crate::contest::{
    EVERYTHING, FAIR, LOCK, contest, create_exclusive, flock, own, program, restarted, said,
};

const STATE: &str = "/state";

/// The outcome of an end is how the process of one slot ended: its status, 200 if it lives, 300 if it was killed.
struct By(usize);

impl Checker for By {
    type Memory = ();

    fn start(&self) {}

    fn step(&self, _: &mut (), _: &View<'_>, _: &Step<'_>) -> Result<(), Violation> {
        Ok(())
    }

    fn end(&self, _: &(), view: &View<'_>) -> Result<usize, Violation> {
        Ok(match view.slots[self.0].process.map(|process| view.kernel.life(process)) {
            Some(Life::Dead(Ending::Exited(status))) => usize::from(status),
            Some(Life::Dead(_)) => 300,
            Some(_) => 200,
            None => 201,
        })
    }
}

fn outcomes(setup: &Setup, slot: usize) -> BTreeSet<usize> {
    let exploration: Exploration = explore(setup, &By(slot), &EVERYTHING);
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
    exploration.ends.keys().copied().collect()
}

/// The same with a lock of the process.
fn range_lock() -> Program {
    program("range lock", |os| async move {
        let Ok(file) = os.open(Path::new(LOCK), Open::read_write_create()).await else { return 2 };
        match os.lock_range(&file, RangeOwner::Process, LockMode::Exclusive, ByteRange::WHOLE).await {
            Ok(()) => u8::from(own(&os).await.is_err()),
            Err(_) => 1,
        }
    })
}

fn idle() -> Program {
    program("idle", |os| async move { u8::from(own(&os).await.is_err()) })
}

/// The first one is there already; then comes what is asked for.
fn after_the_first(mut setup: Setup, steps: Vec<Action>) -> Setup {
    setup.script.setup = vec![Action::Start(0), Action::Wait(Condition::AllSettled)];
    setup.script.steps = steps;
    setup.script.steps.push(Action::Wait(Condition::AllSettled));
    setup
}

const PORT: u16 = 18789;

fn killer() -> Program {
    let Some(port) = Port::new(PORT) else { panic!("no port") };
    kill_by_port(port, Signal::Terminate)
}

/// Somebody who listens, somebody who does not, and one that frees the port.
fn killed(uid: Uid) -> Setup {
    let mut setup = contest(&[idle(), idle(), killer()]);
    setup.slots[0].program = None;
    setup.slots[0].listens = vec![SocketAddr::from(([127, 0, 0, 1], PORT))];
    setup.slots[2].spawn.uid = uid;
    let mut setup = after_the_first(setup, vec![Action::Start(2)]);
    setup.script.setup.push(Action::Start(1));
    setup
}

#[test]
fn who_frees_a_port_kills_its_holder_and_nobody_else() {
    let setup = killed(Uid(1000));
    assert_eq!(outcomes(&setup, 0), BTreeSet::from([300]));
    assert_eq!(outcomes(&setup, 1), BTreeSet::from([200]));
    assert_eq!(outcomes(&setup, 2), BTreeSet::from([1]), "it has signalled one");
}

#[test]
fn who_frees_a_port_of_another_user_finds_nobody_unless_it_is_root() {
    assert_eq!(outcomes(&killed(Uid(1001)), 0), BTreeSet::from([200]));
    assert_eq!(outcomes(&killed(Uid(0)), 0), BTreeSet::from([300]));
}

#[test]
fn who_frees_a_port_by_number_kills_a_stranger_that_has_got_the_number() {
    let mut setup = killed(Uid(1000));
    setup.slots[1].program = None;
    setup.script.setup = vec![Action::Start(0)];
    setup.script.steps = vec![
        Action::Start(2),
        Action::Signal(0, Signal::Kill),
        Action::Recycle { old: 0, heir: 1 },
        Action::Wait(Condition::AllSettled),
    ];
    assert_eq!(outcomes(&setup, 1), BTreeSet::from([200, 300]));
}

#[test]
fn a_process_is_opened_by_one_that_serves_at_that_moment_and_by_nobody_else() {
    let mut setup = contest(&[idle(), idle()]);
    setup.slots[1].program = None;
    setup.slots[1].listens = vec![SocketAddr::from(([127, 0, 0, 1], PORT))];
    let open = Action::Open { by: 0, slot: 1 };
    setup.script.steps = vec![Action::Start(0), open.clone(), Action::Wait(Condition::AllSettled)];
    assert_eq!(outcomes(&setup, 1), BTreeSet::from([200, 201]), "it may not serve yet");
    let after = |steps| outcomes(&after_the_first(setup.clone(), steps), 1);
    assert_eq!(after(vec![open.clone()]), BTreeSet::from([200]));
    assert_eq!(after(vec![Action::Signal(0, Signal::Stop), open.clone()]), BTreeSet::from([201]));
    assert_eq!(after(vec![Action::Signal(0, Signal::Kill), open.clone()]), BTreeSet::from([201]));
    setup.slots.push(setup.slots[1].clone());
    let mut crowded = after_the_first(setup, vec![open]);
    crowded.script.setup.push(Action::Start(2));
    assert_eq!(outcomes(&crowded, 1), BTreeSet::from([1]), "its port is taken");
}

#[test]
fn a_connection_of_a_bystander_holds_its_port() {
    let mut setup = contest(&[idle()]);
    setup.slots[0].program = None;
    setup.slots[0].connections = vec![SocketAddr::from(([127, 0, 0, 1], PORT))];
    let last = walk(&setup, &FAIR, &EVERYTHING, &[]).trace.steps.pop().unwrap();
    assert!(last.view().is_alive(0));
    setup.slots[0].listens = vec![SocketAddr::from(([127, 0, 0, 1], PORT))];
    let last = walk(&setup, &FAIR, &EVERYTHING, &[]).trace.steps.pop().unwrap();
    assert!(!last.view().is_alive(0), "it cannot have both");
}

#[test]
fn a_backup_takes_no_lock_from_an_owner_and_keeps_a_starter_out_only_by_its_own_locks() {
    for (owner, lock, starter) in [
        (flock(), ReadLock::None, vec![200]),
        (flock(), ReadLock::Process, vec![200]),
        (flock(), ReadLock::Flock, vec![1, 200]),
        (range_lock(), ReadLock::None, vec![200]),
        (range_lock(), ReadLock::Flock, vec![200]),
        (range_lock(), ReadLock::Process, vec![1, 200]),
    ] {
        let backup = read_all(PathBuf::from(STATE), lock);
        let mut setup = contest(&[owner.clone(), backup.clone(), owner.clone()]);
        setup.kernel.write_file(Path::new(LOCK), b"");
        setup.kernel.take_effects();
        setup.script.steps = vec![Action::Start(1), Action::Start(0), Action::Wait(Condition::AllSettled)];
        assert_eq!(outcomes(&setup, 0), starter.into_iter().collect(), "{owner:?} and {lock:?}");

        let setup = after_the_first(
            setup,
            vec![Action::Start(1), Action::Wait(Condition::Gone(1)), Action::Start(2)],
        );
        assert_eq!(outcomes(&setup, 0), BTreeSet::from([200]), "{owner:?} and {lock:?}");
        assert_eq!(
            outcomes(&setup, 2),
            BTreeSet::from([1]),
            "{owner:?} and {lock:?}: the owner's lock is still held"
        );
    }
}

#[test]
fn a_cleaner_takes_a_lock_file_that_is_old_whoever_holds_it() {
    const DAY_MS: u64 = 86_400_000;
    let setup = contest(&[create_exclusive(), clean(PathBuf::from(STATE), 10 * DAY_MS), create_exclusive()]);
    let steps = |days: u64| {
        vec![
            Action::Operate(Operation::Pass(days * DAY_MS)),
            Action::Start(1),
            Action::Wait(Condition::Gone(1)),
            Action::Start(2),
        ]
    };
    let says = |days| said(&explore(&after_the_first(setup.clone(), steps(days)), &FAIR, &EVERYTHING));
    assert_eq!(says(9), "nothing");
    assert_eq!(says(10), "single-owner: 2 owners");
}

#[test]
fn an_editor_puts_another_inode_in_the_place_of_a_file() {
    let mut setup = contest(&[rewrite(PathBuf::from("/state/config"), b"two".to_vec())]);
    setup.kernel.write_file(Path::new("/state/config"), b"one");
    setup.kernel.take_effects();
    let before = setup.kernel.lookup(Path::new("/state/config"));
    assert_eq!(outcomes(&setup, 0), BTreeSet::from([0]));
    let last = walk(&setup, &FAIR, &EVERYTHING, &[]).trace.steps.pop().unwrap();
    assert_eq!(last.kernel.contents(Path::new("/state/config")), Some(b"two".to_vec()));
    assert_ne!(last.kernel.lookup(Path::new("/state/config")), before);
}

/// The execution in which an operation is all that happens.
fn operated(setup: Setup, operation: Operation) -> Trace {
    let mut setup = setup;
    setup.script.steps = vec![Action::Operate(operation)];
    let trace = walk(&setup, &FAIR, &EVERYTHING, &[]).trace;
    assert_eq!(trace.violation, None);
    trace
}

#[test]
fn what_operators_do_to_files_is_done() {
    let mut setup = contest(&[idle()]);
    setup.kernel.write_file(Path::new(LOCK), b"1");
    setup.kernel.take_effects();
    let path = || PathBuf::from(LOCK);
    let status = |trace: &Trace| trace.steps.last().unwrap().kernel.lookup(Path::new(LOCK));
    let gone = operated(setup.clone(), Operation::RemoveTree(PathBuf::from(STATE)));
    assert_eq!((status(&gone), gone.steps[0].effects.len() > 1), (None, true));
    let moved = operated(setup.clone(), Operation::Move { from: path(), to: PathBuf::from("/state/old") });
    assert_eq!(status(&moved), None);
    for (operation, changes) in [
        (Operation::SetMode { path: path(), mode: 0 }, true),
        (Operation::SetOwner { path: path(), uid: Uid(7) }, true),
        (Operation::Touch(PathBuf::from("/state/new")), true),
        (Operation::RemoveTree(PathBuf::from("/nowhere")), false),
        (Operation::Move { from: PathBuf::from("/nowhere"), to: path() }, false),
        (Operation::LoseLocks(PathBuf::from("/nowhere")), false),
        (Operation::SetMount { path: PathBuf::from("/nowhere"), mount: Mount::local() }, false),
        (Operation::ExpireTimeWait, false),
    ] {
        let trace = operated(setup.clone(), operation.clone());
        assert_eq!(trace.steps[0].kernel != setup.kernel, changes, "{operation:?}");
        assert_eq!(trace.steps[0].what, What::Action(Action::Operate(operation)));
    }
}

#[test]
fn a_state_directory_that_is_moved_away_takes_its_lock_along() {
    let away = || Operation::Move { from: PathBuf::from(STATE), to: PathBuf::from("/moved") };
    let back = || Operation::Move { from: PathBuf::from("/moved"), to: PathBuf::from(STATE) };
    let makes = program("makes its directory", |os| async move {
        let _ = os.make_directory(Path::new(STATE), 0o700).await;
        let Ok(file) = os.open(Path::new(LOCK), Open::read_write_create()).await else { return 2 };
        u8::from(os.flock(&file, LockMode::Exclusive).await.is_err())
    });
    let mut setup = contest(&[flock(), makes]);
    setup.slots[1].spawn.uid = Uid(0);
    let gone = after_the_first(setup.clone(), vec![Action::Operate(away()), Action::Start(1)]);
    assert_eq!(outcomes(&gone, 1), BTreeSet::from([0]), "the same path, another directory");
    let returned =
        after_the_first(setup, vec![Action::Operate(away()), Action::Operate(back()), Action::Start(1)]);
    assert_eq!(outcomes(&returned, 1), BTreeSet::from([1]));
}

#[test]
fn a_full_disk_a_lost_lock_and_a_healthy_disk_again_are_met_in_that_order() {
    let mut setup = contest(&[flock(), flock(), create_exclusive()]);
    let here = Mount { locks: LockSupport::Emulated, ..Mount::local() };
    let with =
        |condition| Operation::SetMount { path: PathBuf::from(STATE), mount: Mount { condition, ..here } };
    let full = contest(&[create_exclusive()]);
    let full = operated(full, with(Health::NoSpaceAtCreate));
    assert_eq!(full.steps[0].kernel.mount_at(Path::new(STATE)).condition, Health::NoSpaceAtCreate);

    let steps = |operations: &[Operation]| {
        let operations = operations.iter().cloned().map(Action::Operate);
        operations.chain([Action::Start(2)]).collect::<Vec<_>>()
    };
    let errno = program("says what open says", |os| async move {
        match os.open(Path::new("/state/new"), Open::create_exclusive()).await {
            Ok(_) => 0,
            Err(Errno::NoSpace) => 28,
            Err(Errno::ReadOnly) => 30,
            Err(_) => 1,
        }
    });
    setup.slots[2].program = Some(errno);
    for (operations, status) in [
        (vec![], 0),
        (vec![with(Health::NoSpaceAtCreate)], 28),
        (vec![with(Health::ReadOnlyAfterError)], 30),
        (vec![with(Health::ReadOnlyAfterError), with(Health::Healthy)], 0),
    ] {
        let setup = after_the_first(setup.clone(), steps(&operations));
        assert_eq!(outcomes(&setup, 2), BTreeSet::from([status]), "{operations:?}");
    }
    let lost = vec![
        Action::Operate(with(Health::Healthy)),
        Action::Operate(Operation::LoseLocks(PathBuf::from(STATE))),
        Action::Start(1),
    ];
    let exploration = explore(&after_the_first(setup, lost), &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "single-owner: 2 owners", "a lock that is lost excludes nobody");
}

#[test]
fn clocks_move_as_they_are_told_to() {
    let setup = contest(&[idle()]);
    let now = |trace: &Trace| trace.steps[0].kernel.monotonic_ms(HostId(0));
    let before = setup.kernel.monotonic_ms(HostId(0));
    let host = HostId(0);
    assert_eq!(now(&operated(setup.clone(), Operation::Pass(7))), before + 7);
    assert_eq!(now(&operated(setup.clone(), Operation::Suspend { host, for_ms: 7 })), before);
    let stepped = operated(setup.clone(), Operation::StepClock { host, by_ms: -3_600_000 });
    assert_eq!(now(&stepped), before);
    assert_ne!(stepped.steps[0].kernel, setup.kernel);
}

#[test]
fn a_reboot_ends_everything_and_supervisors_start_what_they_had_started() {
    let mut setup = contest(&[flock(), flock()]);
    setup.slots[0].supervisor = Some(restarted(Restart::Always, 5));
    let rebooted = after_the_first(
        setup,
        vec![
            Action::Operate(Operation::Reboot(HostId(0))),
            Action::Wait(Condition::Gone(0)),
            Action::Wait(Condition::Ready(0)),
            Action::Start(1),
        ],
    );
    assert_eq!(outcomes(&rebooted, 0), BTreeSet::from([200]));
    assert_eq!(outcomes(&rebooted, 1), BTreeSet::from([1]));
    let trace = walk(&rebooted, &FAIR, &EVERYTHING, &[]).trace;
    let reboot = trace
        .steps
        .iter()
        .find(|step| matches!(step.what, What::Action(Action::Operate(Operation::Reboot(_)))));
    let step = reboot.unwrap();
    assert!(!step.view().is_alive(0));
    assert_eq!(step.slots[0].supervision.unwrap().phase, Phase::Waiting { until_ms: 0 });
    assert_eq!(trace.steps.last().unwrap().view().starts(0), 2);
}

#[test]
fn a_reader_sees_nothing_of_a_directory_that_is_not_for_it() {
    let mut setup = contest(&[read_all(PathBuf::from(STATE), ReadLock::None)]);
    setup.slots[0].spawn.uid = Uid(1001);
    assert_eq!(outcomes(&setup, 0), BTreeSet::from([0]));
    let trace = walk(&setup, &FAIR, &EVERYTHING, &[]).trace;
    let refused =
        trace.steps.iter().any(|step| matches!(&step.what, What::Call(_, Err(Errno::AccessDenied))));
    assert!(refused, "{:?}", trace.steps.iter().map(|step| &step.what).collect::<Vec<_>>());
}
