//! Processes live, stop, die and are mistaken for each other exactly as their pids allow.

mod kernel_machine;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{
    BindOptions, Call, Cell, Clock, Errno, FileId, Leads, Notice, Open, Pid, ProcessState, ProcessStatus,
    Reply, Signal, Tick, Uid, Watched,
};
use sim::Kernel;
use sim::kernel::{Completion, Effect, Ending, Life, Place, ProcessId, Readiness, Spawn};

const OUTSIDE: ProcessId = ProcessId::ENVIRONMENT;
const KILLED: Ending = Ending::Killed(Signal::Kill);

fn child(kernel: &mut Kernel, parent: ProcessId, uid: Uid) -> ProcessId {
    let spawn = Spawn {
        name: "child".to_owned(),
        command: "/usr/bin/child -f".to_owned(),
        uid,
        parent: Some(parent),
        pid: None,
        place: Place::default(),
    };
    match kernel.spawn(&spawn) {
        Ok(process) => process,
        Err(errno) => panic!("no child is started: {errno}"),
    }
}

fn with_pid(kernel: &mut Kernel, pid: Pid) -> Result<ProcessId, Errno> {
    let spawn = Spawn {
        name: "cron".to_owned(),
        command: "/usr/sbin/cron -f".to_owned(),
        uid: USER,
        parent: None,
        pid: Some(pid),
        place: Place::default(),
    };
    kernel.spawn(&spawn)
}

fn status(kernel: &mut Kernel, who: ProcessId, of: ProcessId) -> Result<ProcessStatus, Errno> {
    let pid = kernel.pid(of);
    let reply = ask(kernel, who, Call::ProcessStatus { pid })?;
    let Reply::Process(status) = reply else { panic!("no status but {reply}") };
    Ok(status)
}

fn command(kernel: &mut Kernel, who: ProcessId, of: ProcessId) -> Result<Reply, Errno> {
    let pid = kernel.pid(of);
    ask(kernel, who, Call::ProcessCommand { pid })
}

/// A file that does not exist.
const NOBODYS: FileId = FileId { device: 0, inode: 0 };

fn holds(pid: Pid, file: FileId) -> Call {
    Call::HoldsLock { pid, file }
}

#[test]
fn pids_ascend_and_come_back_only_when_asked_for() {
    let mut kernel = machine();
    let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
    assert_eq!((kernel.pid(a).get(), kernel.pid(b).get()), (100, 101));
    let pid = kernel.pid(a);
    assert_eq!(with_pid(&mut kernel, pid), Err(Errno::Exists));
    assert_eq!(with_pid(&mut kernel, Pid::new(1).unwrap()), Err(Errno::Exists));
    kernel.exit(a, 0);
    let c = start(&mut kernel, "c");
    assert_eq!(kernel.pid(c).get(), 102);

    let cron = with_pid(&mut kernel, pid).unwrap();
    assert_eq!(kernel.process_of(pid), Some(cron));
    assert_eq!(kernel.start(cron), kernel.start(a), "no time has passed, so not even the tick differs");
    assert_eq!(status(&mut kernel, b, a).unwrap().name, "cron");
    assert_eq!(kernel.processes().collect::<Vec<_>>(), [a, b, c, cron]);
    let next = Pid::new(103).unwrap();
    with_pid(&mut kernel, next).unwrap();
    let d = start(&mut kernel, "d");
    assert_eq!(kernel.pid(d).get(), 104, "a taken one is stepped over");
}

#[test]
fn a_zombie_keeps_its_pid_and_its_name_until_it_is_reaped() {
    let mut kernel = machine();
    let parent = start(&mut kernel, "parent");
    let zombie = child(&mut kernel, parent, USER);
    let pid = kernel.pid(zombie);
    kernel.exit(zombie, 3);
    assert_eq!(kernel.life(zombie), Life::Dead(Ending::Exited(3)));
    assert_eq!(kernel.process_of(pid), Some(zombie));
    let seen = status(&mut kernel, parent, zombie).unwrap();
    assert_eq!((seen.name.as_str(), seen.state), ("child", ProcessState::Zombie));
    assert_eq!(seen.parent, Some(kernel.pid(parent)));
    assert_eq!(command(&mut kernel, parent, zombie), Ok(Reply::Text(String::new())));
    assert_eq!(ask(&mut kernel, parent, Call::Kill { pid, signal: None }), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, parent, Call::Kill { pid, signal: Some(Signal::Kill) }), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, parent, holds(pid, NOBODYS)), Ok(Reply::Truth(false)));
    assert_eq!(ask(&mut kernel, parent, Call::HoldsSocket { pid, socket: 1 }), Err(Errno::AccessDenied));
    assert_eq!(with_pid(&mut kernel, pid), Err(Errno::Exists));

    kernel.reap(zombie);
    kernel.reap(zombie);
    kernel.reap(parent);
    assert_eq!(kernel.life(parent), Life::Running);
    assert_eq!(kernel.life(zombie), Life::Dead(Ending::Exited(3)));
    assert_eq!(kernel.process_of(pid), None);
    assert_eq!(status(&mut kernel, parent, zombie), Err(Errno::NotFound));
    assert_eq!(command(&mut kernel, parent, zombie), Err(Errno::NotFound));
    assert_eq!(ask(&mut kernel, parent, Call::Kill { pid, signal: None }), Err(Errno::NoProcess));
    assert_eq!(ask(&mut kernel, parent, holds(pid, NOBODYS)), Err(Errno::NotFound));
}

#[test]
fn the_zombies_of_a_dead_parent_are_reaped_and_its_children_live_on() {
    let mut kernel = machine();
    let parent = start(&mut kernel, "parent");
    let [zombie, living] = [(); 2].map(|()| child(&mut kernel, parent, USER));
    kernel.exit(zombie, 0);
    kernel.exit(parent, 0);
    assert_eq!(kernel.process_of(kernel.pid(zombie)), None);
    assert_eq!(status(&mut kernel, living, living).unwrap().parent, None);
    kernel.exit(living, 0);
    assert_eq!(kernel.process_of(kernel.pid(living)), None);
}

#[test]
fn root_sees_that_a_zombie_holds_nothing() {
    let mut kernel = machine();
    let zombie = child(&mut kernel, OUTSIDE, USER);
    let root = child(&mut kernel, OUTSIDE, Uid(0));
    kernel.exit(zombie, 0);
    let pid = kernel.pid(zombie);
    assert_eq!(ask(&mut kernel, root, holds(pid, NOBODYS)), Ok(Reply::Truth(false)));
    assert_eq!(ask(&mut kernel, root, Call::HoldsSocket { pid, socket: 1 }), Ok(Reply::Truth(false)));
    assert_eq!(status(&mut kernel, root, zombie).unwrap().parent, None, "the parent is outside");
}

#[test]
fn death_releases_everything_in_the_same_step() {
    let end = |kernel: &mut Kernel, who, how| match how {
        Ending::Exited(status) => kernel.exit(who, status),
        Ending::Killed(signal) => kernel.signal(OUTSIDE, who, signal),
        Ending::KilledBy(number) => panic!("signal {number} has no name"),
    };
    for how in [Ending::Exited(78), KILLED, Ending::Killed(Signal::Terminate)] {
        let mut kernel = machine();
        let owner = child(&mut kernel, OUTSIDE, USER);
        let before = kernel.clone();
        let directory = fd(ask(&mut kernel, owner, open("/state", Open::directory())));
        ask(&mut kernel, owner, flock(directory)).unwrap();
        let address = "127.0.0.1:18789".parse().unwrap();
        let socket = fd(ask(&mut kernel, owner, Call::BindTcp { address, options: BindOptions::SERVER }));
        ask(&mut kernel, owner, Call::Listen { fd: socket, backlog: 1 }).unwrap();
        ask(&mut kernel, owner, Call::ListenUnix { name: "token".into(), backlog: 1 }).unwrap();
        ask(&mut kernel, owner, Call::ConnectUnix { name: "token".into() }).unwrap();
        ask(&mut kernel, owner, Call::Random).unwrap();
        ask(&mut kernel, owner, Call::Store { cell: Cell(1), value: 7 }).unwrap();
        kernel.take_effects();
        end(&mut kernel, owner, how);
        assert_eq!(kernel.take_effects().last(), Some(&Effect::Died { process: owner, how }));
        assert_eq!(kernel.life(owner), Life::Dead(how));
        assert_eq!(kernel.lock_holders(kernel.lookup(Path::new("/state")).unwrap()), []);

        let mut at_once = before;
        end(&mut at_once, owner, how);
        assert_eq!(kernel, at_once, "nothing is left that tells how long it lived");
    }
}

#[test]
fn signals_act_on_the_process_that_has_the_number() {
    let mut kernel = machine();
    let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
    let stranger = child(&mut kernel, OUTSIDE, Uid(7));
    let pid = kernel.pid(b);
    let kill = |signal| Call::Kill { pid, signal };
    assert_eq!(ask(&mut kernel, a, kill(None)), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, stranger, kill(None)), Err(Errno::NotPermitted));
    assert_eq!(ask(&mut kernel, stranger, kill(Some(Signal::Kill))), Err(Errno::NotPermitted));
    assert_eq!(kernel.take_effects(), []);
    ask(&mut kernel, a, kill(Some(Signal::Terminate))).unwrap();
    assert_eq!(
        kernel.take_effects(),
        [
            Effect::Signalled { by: a, target: b, signal: Signal::Terminate },
            Effect::Died { process: b, how: Ending::Killed(Signal::Terminate) },
        ]
    );
    assert_eq!(ask(&mut kernel, a, kill(Some(Signal::Kill))), Err(Errno::NoProcess));
    with_pid(&mut kernel, pid).unwrap();
    assert_eq!(ask(&mut kernel, a, kill(Some(Signal::Kill))), Ok(Reply::Done), "an innocent one dies");

    let pid = kernel.pid(a);
    assert_eq!(ask(&mut kernel, a, Call::Kill { pid, signal: Some(Signal::Kill) }), Ok(Reply::Done));
    assert_eq!(kernel.life(a), Life::Dead(KILLED));
    kernel.take_effects();
    kernel.signal(OUTSIDE, a, Signal::Kill);
    assert_eq!(kernel.take_effects(), []);
}

#[test]
fn a_stopped_process_keeps_what_it_has_and_its_signals_wait() {
    let mut kernel = machine();
    let [owner, other] = ["owner", "other"].map(|name| start(&mut kernel, name));
    let directory = fd(ask(&mut kernel, owner, open("/state", Open::directory())));
    ask(&mut kernel, owner, flock(directory)).unwrap();
    kernel.signal(OUTSIDE, owner, Signal::Stop);
    assert_eq!(kernel.life(owner), Life::Stopped);
    assert_eq!(status(&mut kernel, other, owner).unwrap().state, ProcessState::Stopped);
    assert_eq!(kernel.lock_holders(kernel.lookup(Path::new("/state")).unwrap()), [owner]);

    kernel.signal(OUTSIDE, owner, Signal::Terminate);
    assert_eq!(kernel.life(owner), Life::Stopped);
    let mut killed = kernel.clone();
    killed.signal(OUTSIDE, owner, Signal::Kill);
    assert_eq!(killed.life(owner), Life::Dead(KILLED));
    kernel.signal(OUTSIDE, owner, Signal::Continue);
    assert_eq!(kernel.life(owner), Life::Dead(Ending::Killed(Signal::Terminate)));
}

#[test]
fn a_caught_signal_is_handed_over_once() {
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    assert_eq!(ask(&mut kernel, who, Call::NextSignal), Err(Errno::InvalidArgument));
    ask(&mut kernel, who, Call::CatchSignals).unwrap();
    assert_eq!(kernel.readiness(who, &Call::NextSignal), Readiness::Waits);
    let sent =
        [Signal::Stop, Signal::Terminate, Signal::User2, Signal::User1, Signal::Interrupt, Signal::Terminate];
    for signal in sent.into_iter().chain([Signal::Continue]) {
        kernel.signal(OUTSIDE, who, signal);
    }
    assert_eq!(kernel.life(who), Life::Running);
    for signal in [Signal::Interrupt, Signal::User1, Signal::User2, Signal::Terminate] {
        assert_eq!(ask(&mut kernel, who, Call::NextSignal), Ok(Reply::Signal(signal)));
    }
    assert_eq!(kernel.readiness(who, &Call::NextSignal), Readiness::Waits);
}

#[test]
fn a_watch_ends_with_a_signal_or_when_a_path_leads_elsewhere() {
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    let state = Leads::To(kernel.lookup(Path::new("/state")).unwrap());
    let at = Some(fd(ask(&mut kernel, who, open("/state", Open::directory()))));
    let place = |at, path: &str, leads| Watched { at, path: path.into(), leads };
    let watch = |places: Vec<Watched>| Call::Watch { places, period_ms: 1000 };
    let both = watch(vec![place(None, "/state", state), place(at, "next", Leads::Nowhere)]);
    assert_eq!(ask(&mut kernel, who, both.clone()), Err(Errno::InvalidArgument), "nothing is caught");
    ask(&mut kernel, who, Call::CatchSignals).unwrap();
    assert_eq!(kernel.readiness(who, &both), Readiness::Waits);
    let unknown = watch(vec![place(Some(portcullis_os::Fd(99)), "next", Leads::Nowhere)]);
    assert_eq!(ask(&mut kernel, who, unknown), Err(Errno::BadDescriptor));
    kernel.make_directory(Path::new("/state/next"), 0o700, USER);
    assert_eq!(ask(&mut kernel, who, both.clone()), Err(Errno::StaleHandle), "there is something");
    kernel.signal(OUTSIDE, who, Signal::Terminate);
    assert_eq!(ask(&mut kernel, who, both), Ok(Reply::Signal(Signal::Terminate)), "a signal comes first");
    let gone = watch(vec![place(None, "/state/absent", state)]);
    assert_eq!(ask(&mut kernel, who, gone), Err(Errno::StaleHandle), "there is nothing");
    let missing = watch(vec![place(None, "/state/absent", Leads::Somewhere)]);
    assert_eq!(ask(&mut kernel, who, missing), Err(Errno::StaleHandle), "whatever was there is gone");
    let any = watch(vec![place(None, "/state/next", Leads::Somewhere)]);
    assert_eq!(kernel.readiness(who, &any), Readiness::Waits, "whatever is there is there");
    let other = watch(vec![place(None, "/state/next", state)]);
    assert_eq!(ask(&mut kernel, who, other), Err(Errno::StaleHandle), "there is another one");
    ask(&mut kernel, who, Call::Symlink { target: "loop".into(), at, path: "loop".into() }).unwrap();
    let endless = watch(vec![place(at, "loop", state)]);
    assert_eq!(kernel.readiness(who, &endless), Readiness::Waits, "nobody knows where that leads");
}

#[test]
fn proc_shows_names_to_everybody_and_descriptors_to_their_user() {
    let mut kernel = machine();
    let owner = start(&mut kernel, "a-very-long-program-name");
    let stranger = child(&mut kernel, OUTSIDE, Uid(7));
    let directory = fd(ask(&mut kernel, owner, open("/state", Open::directory())));
    ask(&mut kernel, owner, flock(directory)).unwrap();
    let file = kernel.lookup(Path::new("/state")).unwrap();
    let pid = kernel.pid(owner);
    let seen = status(&mut kernel, stranger, owner).unwrap();
    assert_eq!(seen.name, "a-very-long-pro");
    assert_eq!(seen.state, ProcessState::Running);
    assert_eq!(seen.start, Tick(60_000));
    let text = Reply::Text("/usr/bin/a-very-long-program-name --serve".to_owned());
    assert_eq!(command(&mut kernel, stranger, owner), Ok(text));
    assert_eq!(ask(&mut kernel, stranger, Call::Processes), Ok(Reply::Pids(vec![pid, kernel.pid(stranger)])));
    assert_eq!(ask(&mut kernel, stranger, Call::LockTakers { file }), Ok(Reply::Pids(vec![pid])));
    assert_eq!(ask(&mut kernel, stranger, Call::LockTakers { file: NOBODYS }), Ok(Reply::Pids(Vec::new())));
    assert_eq!(ask(&mut kernel, stranger, holds(pid, file)), Err(Errno::AccessDenied));
    assert_eq!(ask(&mut kernel, stranger, Call::HoldsSocket { pid, socket: 1 }), Err(Errno::AccessDenied));
    assert_eq!(ask(&mut kernel, owner, holds(pid, file)), Ok(Reply::Truth(true)));
    assert_eq!(ask(&mut kernel, owner, holds(pid, NOBODYS)), Ok(Reply::Truth(false)));
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    let clocks = [Clock::Wall, Clock::Monotonic, Clock::Boot];
    let read = |kernel: &mut Kernel| {
        clocks.map(|clock| match ask(kernel, who, Call::ReadClock { clock }) {
            Ok(Reply::Nanoseconds(nanoseconds)) => nanoseconds,
            other => panic!("no reading but {other:?}"),
        })
    };
    let before = read(&mut kernel);
    assert_eq!(ask(&mut kernel, who, Call::Sleep { milliseconds: 50 }), Ok(Reply::Done));
    assert_eq!(read(&mut kernel), before);
    kernel.advance(25);
    assert_eq!(read(&mut kernel), before.map(|nanoseconds| nanoseconds + 25_000_000));
    let late = start(&mut kernel, "late");
    assert_eq!(kernel.start(late).0, kernel.start(who).0 + 2);
}

#[test]
fn no_two_random_tokens_are_equal_and_none_depends_on_when_it_was_asked_for() {
    let mut kernel = machine();
    let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
    let mut other = kernel.clone();
    let mut tokens = Vec::new();
    for who in [a, b, a, b] {
        tokens.push(ask(&mut kernel, who, Call::Random).unwrap());
    }
    let again = [a, a, b, b].map(|who| ask(&mut other, who, Call::Random).unwrap());
    assert_eq!(
        [&again[0], &again[2], &again[1], &again[3]],
        [&tokens[0], &tokens[1], &tokens[2], &tokens[3]]
    );
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);
    assert_eq!(kernel, other);
    assert_eq!(ask(&mut kernel, a, Call::BootId), ask(&mut kernel, b, Call::BootId));
}

#[test]
fn a_word_of_memory_belongs_to_one_process_and_starts_at_0() {
    let mut kernel = machine();
    let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
    let before = kernel.clone();
    let (cell, other) = (Cell(1), Cell(2));
    assert_eq!(ask(&mut kernel, a, Call::Store { cell, value: 7 }), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, a, Call::Load { cell }), Ok(Reply::Word(7)));
    assert_eq!(ask(&mut kernel, a, Call::Load { cell: other }), Ok(Reply::Word(0)));
    assert_eq!(ask(&mut kernel, b, Call::Load { cell }), Ok(Reply::Word(0)));
    assert_ne!(kernel, before);
    ask(&mut kernel, a, Call::Store { cell, value: 0 }).unwrap();
    assert_eq!(kernel, before);
}

#[test]
fn a_notice_is_told_and_changes_nothing() {
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    let before = kernel.clone();
    assert_eq!(ask(&mut kernel, who, Call::Notify(Notice::Ready)), Ok(Reply::Done));
    assert_eq!(kernel, before);
    assert_eq!(kernel.take_effects(), [Effect::Notified { process: who, notice: Notice::Ready }]);
    assert_eq!(ask(&mut kernel, who, Call::OwnPid), Ok(Reply::Pid(kernel.pid(who))));
    assert_eq!(ask(&mut kernel, who, Call::OwnUid), Ok(Reply::Uid(USER)));
}

#[test]
fn a_caller_that_schedules_the_impossible_is_stopped() {
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    ask(&mut kernel, who, Call::CatchSignals).unwrap();
    let refuses = |kernel: &Kernel, call: Call, how| {
        let mut kernel = kernel.clone();
        catch_unwind(AssertUnwindSafe(|| kernel.perform(who, &call, how))).is_err()
    };
    assert!(refuses(&kernel, Call::NextSignal, Completion::Normal), "it waits");
    assert!(refuses(&kernel, Call::NextSignal, Completion::TimedOut), "it has no deadline");
    assert!(refuses(&kernel, Call::OwnPid, Completion::TimedOut), "it does not wait");
    assert!(!refuses(&kernel, Call::OwnPid, Completion::Normal));
    kernel.signal(OUTSIDE, who, Signal::Stop);
    assert!(refuses(&kernel, Call::OwnPid, Completion::Normal), "it is stopped");
    kernel.signal(OUTSIDE, who, Signal::Kill);
    assert!(refuses(&kernel, Call::OwnPid, Completion::Normal), "it is dead");
}
