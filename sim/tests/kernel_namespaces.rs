//! In a container a process is somebody else: it has another pid, sees fewer others, and dies with the first of them.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod kernel_machine;

use std::path::Path;

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{
    Call, Ending, Errno, Namespaces, Open, Pid, ProcessState, ProcessStatus, Reply, Signal, Uid,
};
use sim::Kernel;
use sim::kernel::{Effect, HostId, Life, Place, ProcessId, Readiness, Spawn};

const OUTSIDE: ProcessId = ProcessId::ENVIRONMENT;
const KILLED: Life = Life::Dead(Ending::Killed(Signal::Kill));

fn pid(number: u32) -> Pid {
    Pid::new(number).unwrap()
}

fn container(kernel: &mut Kernel) -> Place {
    let host = HostId::default();
    Place { host, pids: kernel.add_pid_namespace(host), network: kernel.add_network_namespace(host) }
}

fn try_start(kernel: &mut Kernel, place: Place, uid: Uid, pid: Option<Pid>) -> Result<ProcessId, Errno> {
    let (name, command) = ("inner".to_owned(), "/usr/bin/inner".to_owned());
    kernel.spawn(&Spawn { name, command, uid, parent: None, pid, place })
}

fn start_in(kernel: &mut Kernel, place: Place) -> ProcessId {
    try_start(kernel, place, USER, None).unwrap()
}

fn pids(kernel: &mut Kernel, who: ProcessId) -> Vec<u32> {
    let Ok(Reply::Pids(pids)) = ask(kernel, who, Call::Processes) else { panic!("no pids") };
    pids.into_iter().map(Pid::get).collect()
}

fn status(kernel: &mut Kernel, who: ProcessId, number: u32) -> Result<ProcessStatus, Errno> {
    let reply = ask(kernel, who, Call::ProcessStatus { pid: pid(number) })?;
    let Reply::Process(status) = reply else { panic!("no status but {reply}") };
    Ok(status)
}

fn kill(kernel: &mut Kernel, who: ProcessId, number: u32, signal: Option<Signal>) -> Result<Reply, Errno> {
    ask(kernel, who, Call::Kill { pid: pid(number), signal })
}

#[test]
fn a_process_in_a_container_has_two_numbers_and_sees_its_own_kind() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    let outer = start(&mut kernel, "outer");
    let [first, second] = [(); 2].map(|()| start_in(&mut kernel, place));
    let other = container(&mut kernel);
    let stranger = start_in(&mut kernel, other);
    assert_eq!([outer, first, second, stranger].map(|who| kernel.pid(who).get()), [100, 1, 2, 1]);
    assert_eq!(pids(&mut kernel, outer), [100, 101, 102, 103]);
    assert_eq!(pids(&mut kernel, first), [1, 2]);
    assert_eq!(ask(&mut kernel, second, Call::OwnPid), Ok(Reply::Pid(pid(2))));
    assert_eq!(kernel.pid_in(Place::default().pids, second), Some(pid(102)));
    assert_eq!(kernel.pid_in(other.pids, second), None);
    assert_eq!(kernel.pid_in(place.pids, outer), None);
    assert_eq!(kernel.process_in(place.pids, pid(2)), Some(second));
    assert_eq!(kernel.process_of(pid(102)), Some(second));
    assert_eq!(kernel.place(second), place);
    for number in [100, 101, 102] {
        assert_eq!(kill(&mut kernel, first, number, None), Err(Errno::NoProcess));
        assert_eq!(status(&mut kernel, first, number), Err(Errno::NotFound));
    }
    assert_eq!(kill(&mut kernel, outer, 102, Some(Signal::Stop)), Ok(Reply::Done));
    assert_eq!(status(&mut kernel, first, 2).unwrap().state, ProcessState::Stopped);
}

#[test]
fn a_parent_outside_of_the_container_is_no_parent_there() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    let outer = start(&mut kernel, "outer");
    let (name, command) = ("init".to_owned(), "/sbin/init".to_owned());
    let init =
        kernel.spawn(&Spawn { name, command, uid: USER, parent: Some(outer), pid: None, place }).unwrap();
    let child = kernel.fork(init).unwrap();
    assert_eq!(kernel.place(child), place);
    assert_eq!(status(&mut kernel, init, 1).unwrap().parent, None);
    assert_eq!(status(&mut kernel, init, 2).unwrap().parent, Some(pid(1)));
    assert_eq!(status(&mut kernel, outer, 101).unwrap().parent, Some(pid(100)));
    assert_eq!(status(&mut kernel, outer, 102).unwrap().parent, Some(pid(101)));
    kernel.exit(init, 4);
    assert_eq!(ask(&mut kernel, outer, Call::Reap { pid: pid(101) }), Ok(Reply::Ended(Ending::Exited(4))));
}

#[test]
fn an_orphan_in_a_container_waits_for_its_first_process() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    let init = start_in(&mut kernel, place);
    let parent = kernel.fork(init).unwrap();
    let [orphan, zombie] = [(); 2].map(|()| kernel.fork(parent).unwrap());
    kernel.exit(zombie, 0);
    kernel.exit(parent, 0);
    assert_eq!(pids(&mut kernel, init), [1, 2, 3, 4], "nobody reaps them");
    assert_eq!(status(&mut kernel, init, 3).unwrap().parent, Some(pid(1)));
    assert_eq!(kernel.parent(orphan), Some(init));
    kernel.exit(orphan, 7);
    for (number, ending) in [(2, 0), (3, 7), (4, 0)] {
        let reply = ask(&mut kernel, init, Call::Reap { pid: pid(number) });
        assert_eq!(reply, Ok(Reply::Ended(Ending::Exited(ending))));
    }
    assert_eq!(pids(&mut kernel, init), [1]);
}

#[test]
fn the_first_process_takes_the_container_with_it() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    let outer = start(&mut kernel, "outer");
    let init = start_in(&mut kernel, place);
    let [child, other] = [kernel.fork(init).unwrap(), start_in(&mut kernel, place)];
    let lock = fd(ask(&mut kernel, other, open("/state/lock", Open::read_write_create())));
    ask(&mut kernel, other, flock(lock)).unwrap();
    kernel.take_effects();
    kernel.signal(OUTSIDE, init, Signal::Kill);
    assert_eq!([init, child, other].map(|who| kernel.life(who)), [KILLED; 3]);
    let died = |process| Effect::Died { process, how: Ending::Killed(Signal::Kill) };
    let told = Effect::Signalled { by: OUTSIDE, target: init, signal: Signal::Kill };
    assert_eq!(kernel.take_effects(), [told, died(child), died(other), died(init)]);
    assert_eq!(kernel.lock_holders(kernel.lookup(Path::new("/state/lock")).unwrap()), []);
    assert_eq!(pids(&mut kernel, outer), [100]);
    assert_eq!(
        try_start(&mut kernel, place, USER, None),
        Err(Errno::Other(12)),
        "ENOMEM: nobody can be born there"
    );
}

#[test]
fn the_first_process_is_not_dead_before_everybody_else_is_gone() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    kernel.release_slowly();
    let outer = start(&mut kernel, "outer");
    let init = start_in(&mut kernel, place);
    let busy = kernel.fork(init).unwrap();
    let lock = fd(ask(&mut kernel, busy, open("/state/lock", Open::read_write_create())));
    let (name, command) = ("guest".to_owned(), "/usr/bin/guest".to_owned());
    let guest =
        kernel.spawn(&Spawn { name, command, uid: USER, parent: Some(outer), pid: None, place }).unwrap();
    let asleep = kernel.fork(init).unwrap();
    kernel.set_uninterruptible(asleep, true);
    kernel.exit(init, 0);
    assert_eq!(kernel.life(init), Life::Dying(Ending::Exited(0)));
    assert_eq!(kernel.life(asleep), Life::Uninterruptible);
    assert_eq!(kernel.releasable(busy), [lock]);
    assert_eq!(kernel.life(guest), KILLED);
    kernel.release(busy, lock);
    kernel.set_uninterruptible(asleep, false);
    assert_eq!(
        kernel.life(init),
        Life::Dying(Ending::Exited(0)),
        "the guest is a zombie of somebody outside"
    );
    let guest = kernel.pid_in(Place::default().pids, guest).unwrap();
    assert_eq!(
        ask(&mut kernel, outer, Call::Reap { pid: guest }),
        Ok(Reply::Ended(Ending::Killed(Signal::Kill)))
    );
    assert_eq!(kernel.life(init), Life::Dead(Ending::Exited(0)));
    assert_eq!(pids(&mut kernel, outer), [100]);
}

#[test]
fn nobody_in_a_container_ends_its_first_process_and_outside_only_what_cannot_be_caught_does() {
    let ends = [Signal::Terminate, Signal::Interrupt, Signal::Kill];
    for catches in [false, true] {
        for (from_inside, signal, expected) in [
            (true, Signal::Terminate, Life::Running),
            (true, Signal::Interrupt, Life::Running),
            (true, Signal::Kill, Life::Running),
            (true, Signal::Stop, Life::Running),
            (false, Signal::Terminate, Life::Running),
            (false, Signal::Interrupt, Life::Running),
            (false, Signal::Kill, KILLED),
            (false, Signal::Stop, Life::Stopped),
        ] {
            let mut kernel = machine();
            let place = container(&mut kernel);
            let outer = start(&mut kernel, "outer");
            let init = start_in(&mut kernel, place);
            let child = kernel.fork(init).unwrap();
            if catches {
                ask(&mut kernel, init, Call::CatchSignals).unwrap();
            }
            let (by, number) = if from_inside { (child, 1) } else { (outer, 101) };
            assert_eq!(kill(&mut kernel, by, number, Some(signal)), Ok(Reply::Done));
            assert_eq!(kernel.life(init), expected, "{signal}");
            if catches && ends.contains(&signal) && signal != Signal::Kill {
                assert_eq!(ask(&mut kernel, init, Call::NextSignal), Ok(Reply::Signal(signal)));
            }
        }
    }
}

#[test]
fn flock_excludes_across_containers_and_proc_locks_hides_who_is_not_there() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    let outer = start(&mut kernel, "outer");
    let init = start_in(&mut kernel, place);
    let taker = kernel.fork(init).unwrap();
    let theirs = fd(ask(&mut kernel, outer, open("/state/outer", Open::read_write_create())));
    ask(&mut kernel, outer, flock(theirs)).unwrap();
    let mine = fd(ask(&mut kernel, init, open("/state/outer", Open::read())));
    assert_eq!(ask(&mut kernel, init, flock(mine)), Err(Errno::WouldBlock));
    let file = kernel.lookup(Path::new("/state/outer")).unwrap();
    assert_eq!(ask(&mut kernel, init, Call::LockTakers { file }), Ok(Reply::Pids(Vec::new())));
    assert_eq!(ask(&mut kernel, outer, Call::LockTakers { file }), Ok(Reply::Pids(vec![pid(100)])));

    let inner = fd(ask(&mut kernel, taker, open("/state/inner", Open::read_write_create())));
    ask(&mut kernel, taker, flock(inner)).unwrap();
    let keeper = kernel.fork(taker).unwrap();
    let file = kernel.lookup(Path::new("/state/inner")).unwrap();
    let takers = |kernel: &mut Kernel, who| ask(kernel, who, Call::LockTakers { file });
    assert_eq!(takers(&mut kernel, init), Ok(Reply::Pids(vec![pid(2)])));
    assert_eq!(takers(&mut kernel, outer), Ok(Reply::Pids(vec![pid(102)])));
    kernel.exit(taker, 0);
    assert_eq!(takers(&mut kernel, init), Ok(Reply::Pids(vec![pid(2)])), "a zombie still has its number");
    ask(&mut kernel, init, Call::Reap { pid: pid(2) }).unwrap();
    assert_eq!(takers(&mut kernel, init), Ok(Reply::Pids(Vec::new())), "though it is held");
    assert_eq!(takers(&mut kernel, outer), Ok(Reply::Pids(vec![pid(102)])), "the host repeats it");
    assert_eq!(kernel.lock_holders(file), [keeper]);
    // The number goes to somebody else, and the container takes him for the holder.
    kernel.set_next_pid(Place::default().pids, pid(102));
    let innocent = start_in(&mut kernel, place);
    assert_eq!(takers(&mut kernel, init), Ok(Reply::Pids(vec![kernel.pid(innocent)])));
}

#[test]
fn a_pidfd_reaches_into_a_container_and_not_out_of_it() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    let outer = start(&mut kernel, "outer");
    let inner = start_in(&mut kernel, place);
    let held = fd(ask(&mut kernel, outer, Call::OpenPidfd { pid: pid(101) }));
    assert_eq!(ask(&mut kernel, outer, Call::SignalPidfd { fd: held, signal: None }), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, inner, Call::OpenPidfd { pid: pid(100) }), Err(Errno::NoProcess));
    // A container that is started with a pidfd of somebody outside.
    let own = fd(ask(&mut kernel, outer, Call::OpenPidfd { pid: pid(100) }));
    let place = container(&mut kernel);
    let init = kernel.fork_into(outer, place).unwrap();
    assert_eq!(kernel.pid(init), pid(1));
    let send = |signal| Call::SignalPidfd { fd: own, signal };
    assert_eq!(ask(&mut kernel, init, send(Some(Signal::Kill))), Err(Errno::InvalidArgument));
    let wait = Call::WaitPidfd { fd: own, deadline_ms: 1 };
    assert_eq!(kernel.readiness(init, &wait), Readiness::WaitsUntilDeadline);
    kernel.exit(outer, 0);
    assert_eq!(ask(&mut kernel, init, wait), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, init, send(None)), Err(Errno::InvalidArgument));
    assert_eq!(status(&mut kernel, init, 1).unwrap().parent, None);
}

#[test]
fn hidden_processes_show_to_their_user_and_root_alone() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    let init = try_start(&mut kernel, place, Uid(0), None).unwrap();
    let [own, same, foreign] =
        [USER, USER, Uid(7)].map(|uid| try_start(&mut kernel, place, uid, None).unwrap());
    assert_eq!(pids(&mut kernel, own), [1, 2, 3, 4]);
    kernel.hide_processes(place.pids);
    assert_eq!(pids(&mut kernel, own), [2, 3]);
    assert_eq!(pids(&mut kernel, same), [2, 3]);
    assert_eq!(pids(&mut kernel, foreign), [4]);
    assert_eq!(pids(&mut kernel, init), [1, 2, 3, 4]);
    let file = kernel.lookup(Path::new("/state")).unwrap();
    let hidden = pid(1);
    for call in [
        Call::ProcessStatus { pid: hidden },
        Call::ProcessCommand { pid: hidden },
        Call::HoldsLock { pid: hidden, file },
        Call::HoldsSocket { pid: hidden, socket: 1 },
    ] {
        assert_eq!(ask(&mut kernel, own, call.clone()), Err(Errno::NotFound), "{call}");
    }
    assert_eq!(kill(&mut kernel, own, 1, None), Err(Errno::NotPermitted), "kill finds what /proc hides");
    assert!(ask(&mut kernel, own, Call::OpenPidfd { pid: hidden }).is_ok());
}

#[test]
fn numbering_goes_round_and_skips_who_is_there() {
    let mut kernel = machine();
    let namespace = Place::default().pids;
    let a = start(&mut kernel, "a");
    kernel.set_next_pid(namespace, pid(300));
    let b = start(&mut kernel, "b");
    kernel.set_pid_max(namespace, 303);
    let [c, d] = ["c", "d"].map(|name| start(&mut kernel, name));
    assert_eq!([a, b, c, d].map(|who| kernel.pid(who).get()), [100, 300, 301, 302]);
    let full = Spawn {
        name: String::new(),
        command: String::new(),
        uid: USER,
        parent: None,
        pid: None,
        place: Place::default(),
    };
    assert_eq!(kernel.spawn(&full), Err(Errno::WouldBlock), "lower numbers are not tried again");
    kernel.exit(c, 0);
    let e = start(&mut kernel, "e");
    assert_eq!(kernel.pid(e), kernel.pid(c));
    assert_eq!(kernel.start(e), kernel.start(c), "pid and start are the same, the process is not");
    kernel.exit(b, 0);
    let f = start(&mut kernel, "f");
    assert_eq!(kernel.pid(f).get(), 300);
}

#[test]
fn the_first_process_of_a_container_is_1_and_no_other_pid() {
    let mut kernel = machine();
    let place = container(&mut kernel);
    assert_eq!(try_start(&mut kernel, place, USER, Some(pid(5))), Err(Errno::InvalidArgument));
    let init = try_start(&mut kernel, place, USER, Some(pid(1))).unwrap();
    assert_eq!(kernel.pid(init), pid(1));
    assert_eq!(try_start(&mut kernel, place, USER, Some(pid(1))), Err(Errno::Exists));
    let chosen = try_start(&mut kernel, place, USER, Some(pid(42))).unwrap();
    assert_eq!(kernel.pid(chosen), pid(42));
    assert_eq!(kernel.pid_in(Place::default().pids, chosen), Some(pid(101)), "the host has its own numbers");
    let next = start_in(&mut kernel, place);
    assert_eq!(kernel.pid(next), pid(2));
}

#[test]
fn each_namespace_has_a_number_of_its_own() {
    let mut kernel = machine();
    let [one, other] = [(); 2].map(|()| container(&mut kernel));
    let places = [Place::default(), one, other];
    let numbers = places.map(|place| {
        let who = start_in(&mut kernel, place);
        let child = kernel.fork(who).unwrap();
        let own = ask(&mut kernel, who, Call::OwnNamespaces);
        assert_eq!(own, ask(&mut kernel, child, Call::OwnNamespaces));
        let Ok(Reply::Namespaces(numbers)) = own else { panic!("no namespaces") };
        numbers
    });
    assert_eq!(numbers[0], Namespaces { pid: 4_026_531_836, network: 4_026_531_833 }, "as on every Linux");
    let mut all: Vec<u64> = numbers.iter().flat_map(|both| [both.pid, both.network]).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6);
}
