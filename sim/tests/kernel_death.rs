//! A process that dies takes its time if it is told to, and nobody can tell that it is dead before it has let go.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod kernel_machine;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{
    Call, Ending, Errno, FOREVER_MS, Fd, Open, Pid, ProcessState, ProcessStatus, Reply, Signal, Uid,
};
use sim::Kernel;
use sim::kernel::{Completion, Effect, Life, Place, ProcessId, Readiness, Spawn};

const OUTSIDE: ProcessId = ProcessId::ENVIRONMENT;
const KILLED: Ending = Ending::Killed(Signal::Kill);

fn child(kernel: &mut Kernel, parent: ProcessId, uid: Uid) -> ProcessId {
    let spawn = Spawn {
        name: "child".to_owned(),
        command: "/usr/bin/child".to_owned(),
        uid,
        parent: Some(parent),
        pid: None,
        place: Place::default(),
    };
    kernel.spawn(&spawn).unwrap()
}

fn status(kernel: &mut Kernel, who: ProcessId, pid: Pid) -> Result<ProcessStatus, Errno> {
    let reply = ask(kernel, who, Call::ProcessStatus { pid })?;
    let Reply::Process(status) = reply else { panic!("no status but {reply}") };
    Ok(status)
}

fn kill(kernel: &mut Kernel, who: ProcessId, pid: Pid, signal: Option<Signal>) -> Result<Reply, Errno> {
    ask(kernel, who, Call::Kill { pid, signal })
}

fn pidfd(kernel: &mut Kernel, who: ProcessId, of: ProcessId) -> Fd {
    let pid = kernel.pid(of);
    fd(ask(kernel, who, Call::OpenPidfd { pid }))
}

fn send(kernel: &mut Kernel, who: ProcessId, fd: Fd, signal: Option<Signal>) -> Result<Reply, Errno> {
    ask(kernel, who, Call::SignalPidfd { fd, signal })
}

const fn wait(fd: Fd) -> Call {
    Call::WaitPidfd { fd, deadline_ms: 1 }
}

/// Opens and locks two files.
fn lock_two(kernel: &mut Kernel, who: ProcessId) -> [Fd; 2] {
    ["/state/one", "/state/two"].map(|path| {
        let file = fd(ask(kernel, who, open(path, Open::read_write_create())));
        ask(kernel, who, flock(file)).unwrap();
        file
    })
}

#[test]
fn a_slow_death_lets_go_of_one_descriptor_at_a_time_in_any_order() {
    for order in [[0, 1], [1, 0]] {
        let mut kernel = machine();
        kernel.release_slowly();
        let [parent, other] = ["parent", "other"].map(|name| start(&mut kernel, name));
        let owner = child(&mut kernel, parent, USER);
        let fds = lock_two(&mut kernel, owner);
        let theirs =
            ["/state/one", "/state/two"].map(|path| fd(ask(&mut kernel, other, open(path, Open::read()))));
        let held = pidfd(&mut kernel, other, owner);
        kernel.take_effects();
        kernel.signal(OUTSIDE, owner, Signal::Kill);
        assert_eq!(kernel.life(owner), Life::Dying(KILLED));
        let told = [Effect::Signalled { by: OUTSIDE, target: owner, signal: Signal::Kill }];
        assert_eq!(kernel.take_effects(), told);
        assert_eq!(kernel.releasable(owner), fds);

        // What the others see meanwhile.
        let (pid, file) = (kernel.pid(owner), kernel.lookup(Path::new("/state/one")).unwrap());
        let seen = status(&mut kernel, other, pid).unwrap();
        assert_eq!((seen.state, seen.parent), (ProcessState::Running, Some(kernel.pid(parent))));
        assert_eq!(ask(&mut kernel, other, Call::ProcessCommand { pid }), Ok(Reply::Text(String::new())));
        assert_eq!(
            ask(&mut kernel, other, Call::HoldsLock { pid, file }),
            Ok(Reply::Truth(false)),
            "it does"
        );
        let socket = Call::HoldsSocket { pid, socket: 1 };
        assert_eq!(ask(&mut kernel, other, socket), Err(Errno::AccessDenied));
        assert_eq!(ask(&mut kernel, other, Call::LockTakers { file }), Ok(Reply::Pids(vec![pid])));
        assert_eq!(kernel.lock_holders(file), [owner]);
        for signal in [None, Some(Signal::Terminate), Some(Signal::Continue)] {
            assert_eq!(kill(&mut kernel, other, pid, signal), Ok(Reply::Done));
        }
        assert_eq!(kernel.readiness(other, &wait(held)), Readiness::WaitsUntilDeadline);
        let patient = Call::WaitPidfd { fd: held, deadline_ms: FOREVER_MS };
        assert_eq!(kernel.readiness(other, &patient), Readiness::Waits);
        assert_eq!(ask(&mut kernel, parent, Call::Reap { pid }), Err(Errno::WouldBlock));

        let [first, second] = order;
        for theirs in theirs {
            assert_eq!(ask(&mut kernel, other, flock(theirs)), Err(Errno::WouldBlock));
        }
        kernel.release(owner, fds[first]);
        assert_eq!(kernel.releasable(owner), [fds[second]]);
        assert_eq!(
            ask(&mut kernel, other, flock(theirs[first])),
            Ok(Reply::Done),
            "free, and its owner not dead"
        );
        assert_eq!(ask(&mut kernel, other, flock(theirs[second])), Err(Errno::WouldBlock));
        assert_eq!(kernel.readiness(other, &wait(held)), Readiness::WaitsUntilDeadline);
        kernel.take_effects();
        kernel.release(owner, fds[second]);
        assert_eq!(kernel.take_effects(), [Effect::Died { process: owner, how: KILLED }]);
        assert_eq!(kernel.life(owner), Life::Dead(KILLED));
        assert_eq!(kernel.readiness(other, &patient), Readiness::Ready);
        assert_eq!(ask(&mut kernel, other, wait(held)), Ok(Reply::Done));
        assert_eq!(status(&mut kernel, other, pid).unwrap().state, ProcessState::Zombie);
        assert_eq!(ask(&mut kernel, parent, Call::Reap { pid }), Ok(Reply::Ended(KILLED)));
    }
}

#[test]
fn a_slow_death_that_is_over_leaves_what_a_quick_one_leaves() {
    let mut slow = machine();
    let owner = start(&mut slow, "owner");
    let mut quick = slow.clone();
    slow.release_slowly();
    quick.release_slowly();
    let fds = lock_two(&mut slow, owner);
    slow.exit(owner, 3);
    for fd in fds {
        slow.release(owner, fd);
    }
    for path in ["/state/one", "/state/two"] {
        let file = fd(ask(&mut quick, owner, open(path, Open::read_write_create())));
        ask(&mut quick, owner, Call::Close { fd: file }).unwrap();
    }
    quick.exit(owner, 3);
    assert_eq!(slow, quick);
    assert_eq!(slow.releasable(owner), []);
    let refuses = |fd| catch_unwind(AssertUnwindSafe(|| slow.clone().release(owner, fd))).is_err();
    assert!(refuses(fds[0]), "it is dead already");
}

#[test]
fn nothing_ends_a_process_in_uninterruptible_sleep_before_it_wakes() {
    for (signals, end) in [
        (vec![Signal::Kill], Life::Dead(KILLED)),
        (vec![Signal::Terminate, Signal::Kill], Life::Dead(KILLED)),
        (vec![Signal::Stop, Signal::Terminate], Life::Dead(Ending::Killed(Signal::Terminate))),
        (vec![Signal::Stop], Life::Stopped),
        (vec![Signal::Stop, Signal::Continue], Life::Running),
        (vec![], Life::Running),
    ] {
        let mut kernel = machine();
        let [sleeper, other] = ["sleeper", "other"].map(|name| start(&mut kernel, name));
        lock_two(&mut kernel, sleeper);
        let file = kernel.lookup(Path::new("/state/one")).unwrap();
        kernel.set_uninterruptible(sleeper, true);
        let pid = kernel.pid(sleeper);
        for signal in &signals {
            assert_eq!(kill(&mut kernel, other, pid, Some(*signal)), Ok(Reply::Done));
        }
        assert_eq!(kernel.life(sleeper), Life::Uninterruptible);
        assert_eq!(status(&mut kernel, other, pid).unwrap().state, ProcessState::Uninterruptible);
        assert_eq!(kernel.lock_holders(file), [sleeper]);
        let refuses = || {
            let mut kernel = kernel.clone();
            catch_unwind(AssertUnwindSafe(|| kernel.perform(sleeper, &Call::OwnPid, Completion::Normal)))
                .is_err()
        };
        assert!(refuses(), "it is not scheduled");
        kernel.set_uninterruptible(sleeper, false);
        assert_eq!(kernel.life(sleeper), end, "{signals:?}");
    }
    let mut kernel = machine();
    let sleeper = start(&mut kernel, "sleeper");
    let before = kernel.clone();
    kernel.set_uninterruptible(sleeper, true);
    kernel.set_uninterruptible(sleeper, false);
    assert_eq!(kernel, before);
}

#[test]
fn a_pidfd_stays_on_its_process_when_the_pid_goes_to_another() {
    let mut kernel = machine();
    let [parent, other] = ["parent", "other"].map(|name| start(&mut kernel, name));
    let first = child(&mut kernel, parent, USER);
    let (pid, held) = (kernel.pid(first), pidfd(&mut kernel, other, first));
    let again = pidfd(&mut kernel, other, first);
    let stat = |kernel: &mut Kernel, fd| ask(kernel, other, Call::StatFd { fd });
    assert_eq!(stat(&mut kernel, held), stat(&mut kernel, again));
    assert_eq!(send(&mut kernel, other, held, None), Ok(Reply::Done));
    assert_eq!(kernel.readiness(other, &wait(held)), Readiness::WaitsUntilDeadline);
    kernel.exit(first, 0);
    assert_eq!(kernel.readiness(other, &wait(held)), Readiness::Ready);
    assert_eq!(send(&mut kernel, other, held, None), Ok(Reply::Done), "a zombie");
    let of_zombie = pidfd(&mut kernel, other, first);
    assert_eq!(ask(&mut kernel, other, wait(of_zombie)), Ok(Reply::Done));
    kernel.reap(first);
    kernel.set_next_pid(Place::default().pids, pid);
    let second = child(&mut kernel, parent, USER);
    assert_eq!(kernel.pid(second), pid);
    assert_eq!(kernel.start(second), kernel.start(first), "not even the tick differs");
    for signal in [None, Some(Signal::Kill)] {
        assert_eq!(send(&mut kernel, other, held, signal), Err(Errno::NoProcess));
    }
    assert_eq!(ask(&mut kernel, other, wait(held)), Ok(Reply::Done));
    assert_eq!(kernel.life(second), Life::Running);
    let held = pidfd(&mut kernel, other, second);
    assert_eq!(send(&mut kernel, other, held, Some(Signal::Kill)), Ok(Reply::Done));
    assert_eq!(kernel.life(second), Life::Dead(KILLED));
}

#[test]
fn a_pidfd_of_another_users_process_can_be_waited_on_and_not_signalled() {
    let mut kernel = machine();
    let [owner, other] = ["owner", "other"].map(|name| start(&mut kernel, name));
    let stranger = child(&mut kernel, OUTSIDE, Uid(7));
    let held = pidfd(&mut kernel, stranger, owner);
    for signal in [None, Some(Signal::Terminate)] {
        assert_eq!(send(&mut kernel, stranger, held, signal), Err(Errno::NotPermitted));
    }
    kernel.exit(owner, 0);
    assert_eq!(ask(&mut kernel, stranger, wait(held)), Ok(Reply::Done));
    assert_eq!(
        send(&mut kernel, stranger, held, None),
        Err(Errno::NoProcess),
        "reaped comes before permission"
    );
    let gone = kernel.pid(owner);
    assert_eq!(ask(&mut kernel, other, Call::OpenPidfd { pid: gone }), Err(Errno::NoProcess));
}

#[test]
fn a_pidfd_is_no_file_and_no_socket_and_a_file_is_no_pidfd() {
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    let held = pidfd(&mut kernel, who, who);
    let file = fd(ask(&mut kernel, who, open("/state", Open::directory())));
    for (call, reply) in [
        (Call::Read { fd: held, offset: 0, length: 1 }, Err(Errno::InvalidArgument)),
        (Call::Write { fd: held, offset: 0, bytes: vec![1] }, Err(Errno::InvalidArgument)),
        (Call::Truncate { fd: held, length: 0 }, Err(Errno::NotSupported)),
        (Call::Sync { fd: held }, Err(Errno::InvalidArgument)),
        (Call::Listen { fd: held, backlog: 1 }, Err(Errno::NotSocket)),
        (Call::PeerCredentials { fd: held }, Err(Errno::NotSocket)),
        (flock(held), Err(Errno::NotImplemented)),
        (Call::SignalPidfd { fd: file, signal: None }, Err(Errno::BadDescriptor)),
        (wait(file), Err(Errno::BadDescriptor)),
        (wait(Fd(900)), Err(Errno::BadDescriptor)),
        (Call::Close { fd: held }, Ok(Reply::Done)),
        (Call::SignalPidfd { fd: held, signal: None }, Err(Errno::BadDescriptor)),
    ] {
        assert_eq!(ask(&mut kernel, who, call.clone()), reply, "{call}");
    }
}

#[test]
fn a_thread_is_one_more_number_of_its_process() {
    let mut kernel = machine();
    let [process, other] = ["process", "other"].map(|name| start(&mut kernel, name));
    let before = kernel.clone();
    kernel.advance(20);
    let thread = kernel.start_thread(process).unwrap();
    assert_eq!(thread.get(), 102);
    assert_eq!(kernel.process_of(thread), None);
    let listed = vec![kernel.pid(process), kernel.pid(other)];
    assert_eq!(ask(&mut kernel, other, Call::Processes), Ok(Reply::Pids(listed)));
    assert_eq!(ask(&mut kernel, other, Call::OpenPidfd { pid: thread }), Err(Errno::NotFound));
    let seen = status(&mut kernel, other, thread).unwrap();
    assert_eq!((seen.name.as_str(), seen.start.0), ("process", kernel.start(process).0 + 2));
    let taken = Spawn {
        name: String::new(),
        command: String::new(),
        uid: USER,
        parent: None,
        pid: Some(thread),
        place: Place::default(),
    };
    assert_eq!(kernel.spawn(&taken), Err(Errno::Exists));
    assert_eq!(kill(&mut kernel, other, thread, None), Ok(Reply::Done));
    assert_eq!(kill(&mut kernel, other, thread, Some(Signal::Stop)), Ok(Reply::Done));
    assert_eq!(status(&mut kernel, other, thread).unwrap().state, ProcessState::Stopped);
    assert_eq!(kill(&mut kernel, other, thread, Some(Signal::Kill)), Ok(Reply::Done));
    assert_eq!(kernel.life(process), Life::Dead(KILLED));
    assert_eq!(kill(&mut kernel, other, thread, None), Err(Errno::NoProcess));
    assert_eq!(status(&mut kernel, other, thread), Err(Errno::NotFound));
    assert!(kernel.spawn(&taken).is_ok());
    assert_eq!(before.life(process), Life::Running);
}
