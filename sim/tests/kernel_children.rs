//! Children have what their parent has, for longer than it thinks: until they execute, and what is marked for ever.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod kernel_machine;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{
    BindOptions, Call, Cell, Ending, Errno, Fd, LockMode, Open, Pid, Port, ProcessState, ProcessStatus,
    Reply, Signal,
};
use sim::Kernel;
use sim::kernel::{Effect, Life, ProcessId, Readiness};

const OUTSIDE: ProcessId = ProcessId::ENVIRONMENT;

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

/// A child that is about to execute `/usr/bin/worker --fast`.
fn spawn(kernel: &mut Kernel, parent: ProcessId) -> ProcessId {
    let reply = ask(kernel, parent, Call::Spawn { command: words("/usr/bin/worker --fast") });
    let Ok(Reply::Pid(pid)) = reply else { panic!("no child but {reply:?}") };
    kernel.process_of(pid).unwrap()
}

fn reap(kernel: &mut Kernel, parent: ProcessId, child: Pid) -> Result<Reply, Errno> {
    ask(kernel, parent, Call::Reap { pid: child })
}

fn inherit(kernel: &mut Kernel, who: ProcessId, fd: Fd) {
    assert_eq!(ask(kernel, who, Call::SetInherit { fd, inherit: true }), Ok(Reply::Done));
}

fn status(kernel: &mut Kernel, of: ProcessId) -> ProcessStatus {
    let pid = kernel.pid(of);
    let Ok(Reply::Process(status)) = ask(kernel, of, Call::ProcessStatus { pid }) else {
        panic!("{pid} has no status")
    };
    status
}

fn lock_file(kernel: &mut Kernel, who: ProcessId) -> Fd {
    let file = fd(ask(kernel, who, open("/state/lock", Open::read_write_create())));
    ask(kernel, who, flock(file)).unwrap();
    file
}

fn holders(kernel: &Kernel) -> Vec<ProcessId> {
    kernel.lock_holders(kernel.lookup(Path::new("/state/lock")).unwrap())
}

#[test]
fn a_child_has_everything_of_its_parent_until_it_executes() {
    let mut kernel = machine();
    let [parent, other] = ["parent", "other"].map(|name| start(&mut kernel, name));
    let lock = lock_file(&mut kernel, parent);
    kernel.take_effects();
    let child = spawn(&mut kernel, parent);
    assert_eq!(kernel.take_effects(), [Effect::Spawned { by: parent, child }]);
    assert_eq!(kernel.exec_pending(child), Some(&*words("/usr/bin/worker --fast")));
    assert_eq!(holders(&kernel), [parent, child]);
    let pid = kernel.pid(child);
    assert_eq!(
        ask(&mut kernel, other, Call::ProcessCommand { pid }),
        Ok(Reply::Text("/usr/bin/parent --serve".to_owned()))
    );

    // The parent goes on, and lets go of a lock that stays.
    ask(&mut kernel, parent, Call::Close { fd: lock }).unwrap();
    let mine = fd(ask(&mut kernel, other, open("/state/lock", Open::read())));
    assert_eq!(ask(&mut kernel, other, flock(mine)), Err(Errno::WouldBlock));
    kernel.exec_spawned(child);
    assert_eq!(kernel.exec_pending(child), None);
    assert_eq!(ask(&mut kernel, other, flock(mine)), Ok(Reply::Done));
    let seen = status(&mut kernel, child);
    assert_eq!((seen.name.as_str(), seen.parent), ("worker", Some(kernel.pid(parent))));
    assert_eq!(
        ask(&mut kernel, other, Call::ProcessCommand { pid }),
        Ok(Reply::Text("/usr/bin/worker --fast".to_owned()))
    );
}

#[test]
fn what_is_inherited_outlives_exec_and_parent() {
    let mut kernel = machine();
    let [parent, other] = ["parent", "other"].map(|name| start(&mut kernel, name));
    let lock = lock_file(&mut kernel, parent);
    let address = "127.0.0.1:18789".parse().unwrap();
    let port = fd(ask(&mut kernel, parent, Call::BindTcp { address, options: BindOptions::SERVER }));
    ask(&mut kernel, parent, Call::Listen { fd: port, backlog: 1 }).unwrap();
    let private = fd(ask(&mut kernel, parent, open("/state", Open::directory())));
    inherit(&mut kernel, parent, lock);
    inherit(&mut kernel, parent, port);
    inherit(&mut kernel, parent, private);
    ask(&mut kernel, parent, Call::SetInherit { fd: private, inherit: false }).unwrap();
    let child = spawn(&mut kernel, parent);
    kernel.exec_spawned(child);
    kernel.signal(OUTSIDE, parent, Signal::Kill);
    assert_eq!(holders(&kernel), [child]);
    assert_eq!(kernel.listeners(Port::new(18789).unwrap()), [(address, child)]);
    assert_eq!(ask(&mut kernel, child, Call::StatFd { fd: private }), Err(Errno::BadDescriptor));
    assert_eq!(
        fd(ask(&mut kernel, child, open("/state", Open::directory()))),
        private,
        "the lowest free number"
    );
    let file = kernel.lookup(Path::new("/state/lock")).unwrap();
    let gone = kernel.pid(parent);
    assert_eq!(
        ask(&mut kernel, other, Call::LockTakers { file }),
        Ok(Reply::Pids(vec![gone])),
        "the dead parent"
    );
    let pid = kernel.pid(child);
    assert_eq!(ask(&mut kernel, other, Call::HoldsLock { pid, file }), Ok(Reply::Truth(true)));
    // The flag stays, so the children of the child get it, too.
    let grandchild = spawn(&mut kernel, child);
    kernel.exec_spawned(grandchild);
    assert_eq!(holders(&kernel), [child, grandchild]);
    kernel.exit(child, 0);
    kernel.exit(grandchild, 0);
    assert_eq!(holders(&kernel), []);
}

#[test]
fn anybody_with_a_descriptor_can_unlock_for_all() {
    let mut kernel = machine();
    let [parent, other] = ["parent", "other"].map(|name| start(&mut kernel, name));
    let lock = lock_file(&mut kernel, parent);
    let child = kernel.fork(parent).unwrap();
    let copy = fd(ask(&mut kernel, child, Call::Duplicate { fd: lock }));
    assert_eq!(ask(&mut kernel, child, flock(copy)), Ok(Reply::Done), "it is one lock");
    ask(&mut kernel, child, Call::Flock { fd: copy, mode: LockMode::Unlock }).unwrap();
    let mine = fd(ask(&mut kernel, other, open("/state/lock", Open::read())));
    assert_eq!(ask(&mut kernel, other, flock(mine)), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, parent, flock(lock)), Err(Errno::WouldBlock));
}

#[test]
fn a_duplicate_is_one_more_descriptor_of_one_description() {
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    let lock = lock_file(&mut kernel, who);
    inherit(&mut kernel, who, lock);
    let copy = fd(ask(&mut kernel, who, Call::Duplicate { fd: lock }));
    assert_eq!(copy, Fd(lock.0 + 1));
    ask(&mut kernel, who, Call::Close { fd: lock }).unwrap();
    assert_eq!(holders(&kernel), [who]);
    kernel.exec(who, "again", "/usr/bin/again");
    assert_eq!(holders(&kernel), [], "a copy is close-on-exec whatever the original was");
    for call in [Call::Duplicate { fd: copy }, Call::SetInherit { fd: copy, inherit: true }] {
        assert_eq!(ask(&mut kernel, who, call), Err(Errno::BadDescriptor));
    }
    let one = fd(ask(&mut kernel, who, open("/state", Open::directory())));
    while ask(&mut kernel, who, Call::Duplicate { fd: one }).is_ok() {}
    assert_eq!(ask(&mut kernel, who, Call::Duplicate { fd: one }), Err(Errno::TooManyFiles));
    assert_eq!(ask(&mut kernel, who, Call::Duplicate { fd: Fd(2000) }), Err(Errno::BadDescriptor));
}

#[test]
fn a_program_that_executes_itself_keeps_its_pid_and_what_is_inherited() {
    let mut kernel = machine();
    let who = start(&mut kernel, "old");
    let lock = lock_file(&mut kernel, who);
    inherit(&mut kernel, who, lock);
    ask(&mut kernel, who, Call::Store { cell: Cell(1), value: 7 }).unwrap();
    ask(&mut kernel, who, Call::CatchSignals).unwrap();
    kernel.signal(OUTSIDE, who, Signal::Terminate);
    let thread = kernel.start_thread(who).unwrap();
    let before = (kernel.pid(who), kernel.start(who));
    kernel.advance(1000);
    kernel.exec(who, "a-very-long-program-name", "/usr/bin/a-very-long-program-name");
    assert_eq!((kernel.pid(who), kernel.start(who)), before);
    assert_eq!(holders(&kernel), [who]);
    assert_eq!(status(&mut kernel, who).name, "a-very-long-pro");
    assert_eq!(ask(&mut kernel, who, Call::Load { cell: Cell(1) }), Ok(Reply::Word(0)));
    assert_eq!(ask(&mut kernel, who, Call::Kill { pid: thread, signal: None }), Err(Errno::NoProcess));
    assert_eq!(ask(&mut kernel, who, Call::NextSignal), Err(Errno::InvalidArgument), "it catches no more");
    kernel.signal(OUTSIDE, who, Signal::Terminate);
    assert_eq!(kernel.life(who), Life::Dead(Ending::Killed(Signal::Terminate)));
}

#[test]
fn fork_copies_memory_and_handlers_and_with_them_what_was_caught() {
    let mut kernel = machine();
    let parent = start(&mut kernel, "parent");
    ask(&mut kernel, parent, Call::CatchSignals).unwrap();
    ask(&mut kernel, parent, Call::Store { cell: Cell(1), value: 7 }).unwrap();
    kernel.signal(OUTSIDE, parent, Signal::Terminate);
    kernel.advance(30);
    let child = kernel.fork(parent).unwrap();
    // The handler has run, so the signal is in the memory of both, and each asks for it once.
    for who in [parent, child] {
        let caught = ask(&mut kernel, who, Call::NextSignal);
        assert_eq!(caught, Ok(Reply::Signal(Signal::Terminate)));
        assert_eq!(kernel.readiness(who, &Call::NextSignal), Readiness::Waits);
    }
    assert_eq!(ask(&mut kernel, child, Call::Store { cell: Cell(1), value: 8 }), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, parent, Call::Load { cell: Cell(1) }), Ok(Reply::Word(7)));
    assert_eq!(ask(&mut kernel, child, Call::Load { cell: Cell(1) }), Ok(Reply::Word(8)));
    assert_eq!(kernel.start(child).0, kernel.start(parent).0 + 3);
    assert_eq!(ask(&mut kernel, child, Call::OwnUid), Ok(Reply::Uid(USER)));
    assert_eq!(status(&mut kernel, child).name, "parent");
    // The handlers of a parent do not reach a child that executes something.
    let spawned = spawn(&mut kernel, parent);
    kernel.signal(OUTSIDE, spawned, Signal::Terminate);
    assert_eq!(kernel.life(spawned), Life::Dead(Ending::Killed(Signal::Terminate)));
}

#[test]
fn a_child_is_a_zombie_until_its_parent_reaps_it() {
    let mut kernel = machine();
    let [parent, other] = ["parent", "other"].map(|name| start(&mut kernel, name));
    let child = spawn(&mut kernel, parent);
    let pid = kernel.pid(child);
    assert_eq!(reap(&mut kernel, parent, pid), Err(Errno::WouldBlock));
    assert_eq!(reap(&mut kernel, other, pid), Err(Errno::NoChild));
    kernel.signal(OUTSIDE, child, Signal::Stop);
    assert_eq!(reap(&mut kernel, parent, pid), Err(Errno::WouldBlock));
    kernel.signal(OUTSIDE, child, Signal::Kill);
    let reply = ask(&mut kernel, other, Call::ProcessStatus { pid });
    assert!(matches!(reply, Ok(Reply::Process(seen)) if seen.state == ProcessState::Zombie));
    assert_eq!(reap(&mut kernel, other, pid), Err(Errno::NoChild));
    assert_eq!(reap(&mut kernel, parent, pid), Ok(Reply::Ended(Ending::Killed(Signal::Kill))));
    assert_eq!(reap(&mut kernel, parent, pid), Err(Errno::NoChild));
    assert_eq!(kernel.process_of(pid), None);
}

#[test]
fn an_orphan_goes_to_the_outside_and_is_reaped_there() {
    let mut kernel = machine();
    let parent = start(&mut kernel, "parent");
    let [zombie, living] = [(); 2].map(|()| spawn(&mut kernel, parent));
    kernel.exit(zombie, 0);
    kernel.exit(parent, 0);
    assert_eq!(kernel.process_of(kernel.pid(zombie)), None);
    kernel.exec_spawned(living);
    assert_eq!(status(&mut kernel, living).parent, None);
    kernel.exit(living, 0);
    assert_eq!(kernel.process_of(kernel.pid(living)), None);
}

#[test]
fn a_process_asks_for_nothing_before_it_has_executed_its_program() {
    let mut kernel = machine();
    let parent = start(&mut kernel, "parent");
    let child = spawn(&mut kernel, parent);
    let panics = |kernel: &Kernel, act: fn(&mut Kernel, ProcessId)| {
        let mut kernel = kernel.clone();
        catch_unwind(AssertUnwindSafe(|| act(&mut kernel, child))).is_err()
    };
    assert!(panics(&kernel, |kernel, child| drop(ask(kernel, child, Call::OwnPid))));
    kernel.signal(OUTSIDE, child, Signal::Stop);
    assert!(panics(&kernel, Kernel::exec_spawned), "it is stopped");
    kernel.signal(OUTSIDE, child, Signal::Continue);
    assert!(!panics(&kernel, Kernel::exec_spawned));
    kernel.exec_spawned(child);
    assert!(panics(&kernel, Kernel::exec_spawned), "there is nothing more");
    for command in [vec![], words("worker"), words("/bin/a \0")] {
        assert_eq!(ask(&mut kernel, parent, Call::Spawn { command }), Err(Errno::InvalidArgument));
    }
}

#[test]
fn a_descriptor_that_others_share_can_be_closed_before_or_after_anything() {
    let mut kernel = machine();
    let parent = start(&mut kernel, "parent");
    let lock = lock_file(&mut kernel, parent);
    let child = kernel.fork(parent).unwrap();
    ask(&mut kernel, parent, Call::Close { fd: lock }).unwrap();
    let mut other = kernel.clone();
    ask(&mut kernel, child, Call::Close { fd: lock }).unwrap();
    fd(ask(&mut kernel, parent, open("/state", Open::directory())));
    fd(ask(&mut other, parent, open("/state", Open::directory())));
    ask(&mut other, child, Call::Close { fd: lock }).unwrap();
    assert_eq!(kernel, other);
}
