//! Locks and what processes share: descriptors that are copied, inherited and kept over an exec, and pid namespaces.
//!
//! Each row was tried on Linux 6.18.

mod kernel_machine;

use std::path::Path;

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{ByteRange, Call, Errno, Fd, LockMode, Open, RangeHolder, RangeOwner, Reply};
use sim::Kernel;
use sim::kernel::{HostId, Place, ProcessId, Spawn};

use LockMode::{Exclusive, Unlock};
use RangeOwner::{Description, Process};

type Answer = Result<Reply, Errno>;
/// How a file is locked and unlocked.
type Lock = fn(Fd, LockMode) -> Call;

const DONE: Answer = Ok(Reply::Done);
const BUSY: Answer = Err(Errno::WouldBlock);
const LOCK: &str = "/state/lock";

/// The three kinds, each for a whole file.
const KINDS: [(&str, Lock); 3] = [
    ("flock", |fd, mode| Call::Flock { fd, mode }),
    ("of the process", |fd, mode| Call::LockRange { fd, owner: Process, mode, range: ByteRange::WHOLE }),
    ("of the description", |fd, mode| Call::LockRange {
        fd,
        owner: Description,
        mode,
        range: ByteRange::WHOLE,
    }),
];

/// Another process asks for the lock of one of the kinds, on a copy of the machine.
fn from_outside(kernel: &Kernel, lock: Lock) -> Answer {
    let mut kernel = kernel.clone();
    let stranger = start(&mut kernel, "stranger");
    let file = fd(ask(&mut kernel, stranger, open(LOCK, Open::read_write_create())));
    ask(&mut kernel, stranger, lock(file, Exclusive))
}

/// A process that has locked the file, and its descriptor.
fn owner(lock: Lock) -> (Kernel, ProcessId, Fd) {
    let mut kernel = machine();
    let owner = start(&mut kernel, "owner");
    let file = fd(ask(&mut kernel, owner, open(LOCK, Open::read_write_create())));
    assert_eq!(ask(&mut kernel, owner, lock(file, Exclusive)), DONE);
    (kernel, owner, file)
}

#[test]
fn a_copy_of_a_descriptor_shares_its_lock_and_its_close_drops_that_of_the_process() {
    for ((kind, lock), after_close) in KINDS.into_iter().zip([BUSY, DONE, BUSY]) {
        let (mut kernel, owner, file) = owner(lock);
        let copy = fd(ask(&mut kernel, owner, Call::Duplicate { fd: file }));
        assert_eq!(ask(&mut kernel, owner, lock(copy, Exclusive)), DONE, "{kind}: the same lock");
        let mut unlocks = kernel.clone();
        ask(&mut unlocks, owner, lock(copy, Unlock)).unwrap();
        assert_eq!(from_outside(&unlocks, lock), DONE, "{kind}: the copy can give it back");
        ask(&mut kernel, owner, Call::Close { fd: copy }).unwrap();
        assert_eq!(from_outside(&kernel, lock), after_close, "{kind}");
    }
}

#[test]
fn a_child_shares_the_lock_of_a_description_and_has_none_of_its_parent() {
    for ((kind, lock), shared) in KINDS.into_iter().zip([true, false, true]) {
        let (mut kernel, parent, file) = owner(lock);
        let child = kernel.fork(parent).unwrap();
        let in_child = ask(&mut kernel.clone(), child, lock(file, Exclusive));
        assert_eq!(in_child, if shared { DONE } else { BUSY }, "{kind}");
        let mut unlocks = kernel.clone();
        ask(&mut unlocks, child, lock(file, Unlock)).unwrap();
        assert_eq!(from_outside(&unlocks, lock), if shared { DONE } else { BUSY }, "{kind}");
        let mut closes = kernel.clone();
        ask(&mut closes, child, Call::Close { fd: file }).unwrap();
        assert_eq!(from_outside(&closes, lock), BUSY, "{kind}: the child drops nothing of its parent's");

        kernel.exit(parent, 0);
        let orphaned = if shared { BUSY } else { DONE };
        assert_eq!(
            from_outside(&kernel, lock),
            orphaned,
            "{kind}: its owner is dead, a child has the descriptor"
        );
        kernel.exit(child, 0);
        assert_eq!(from_outside(&kernel, lock), DONE, "{kind}");
    }
}

#[test]
fn an_exec_keeps_a_lock_whose_descriptor_it_keeps() {
    for (kind, lock) in KINDS {
        let (mut kernel, owner, file) = owner(lock);
        let mut closes = kernel.clone();
        closes.exec(owner, "other", "other");
        assert_eq!(from_outside(&closes, lock), DONE, "{kind}: close-on-exec");
        ask(&mut kernel, owner, Call::SetInherit { fd: file, inherit: true }).unwrap();
        let another = fd(ask(&mut kernel, owner, open(LOCK, Open::read())));
        let mut drops = kernel.clone();
        ask(&mut kernel, owner, Call::SetInherit { fd: another, inherit: true }).unwrap();
        kernel.exec(owner, "other", "other");
        assert_eq!(from_outside(&kernel, lock), BUSY, "{kind}");
        // Another descriptor of the file, which the exec closes.
        drops.exec(owner, "other", "other");
        let dropped = if kind == "of the process" { DONE } else { BUSY };
        assert_eq!(from_outside(&drops, lock), dropped, "{kind}");
    }
}

#[test]
fn a_process_that_dies_slowly_has_lost_its_own_locks_before_anything_else_goes() {
    for ((kind, lock), at_once) in KINDS.into_iter().zip([BUSY, DONE, BUSY]) {
        let (mut kernel, owner, file) = owner(lock);
        kernel.release_slowly();
        kernel.exit(owner, 0);
        assert_eq!(from_outside(&kernel, lock), at_once, "{kind}");
        kernel.release(owner, file);
        assert_eq!(from_outside(&kernel, lock), DONE, "{kind}");
    }
}

#[test]
fn a_container_is_kept_out_by_the_locks_of_its_host_and_not_told_whose_they_are() {
    for (kind, lock) in KINDS {
        let (mut kernel, owner, _) = owner(lock);
        let place = Place { pids: kernel.add_pid_namespace(HostId(0)), ..Place::default() };
        let spawn = Spawn {
            name: "contained".to_owned(),
            command: String::new(),
            uid: USER,
            parent: None,
            pid: None,
            place,
        };
        let contained = kernel.spawn(&spawn).unwrap();
        let file = fd(ask(&mut kernel, contained, open(LOCK, Open::read_write_create())));
        assert_eq!(ask(&mut kernel, contained, lock(file, Exclusive)), BUSY, "{kind}");
        let question =
            |fd| Call::RangeHolder { fd, owner: Process, mode: Exclusive, range: ByteRange::WHOLE };
        let seen =
            |pid| Ok(Reply::Range(Some(RangeHolder { mode: Exclusive, range: ByteRange::WHOLE, pid })));
        let expected = if kind == "flock" { Ok(Reply::Range(None)) } else { seen(None) };
        assert_eq!(ask(&mut kernel, contained, question(file)), expected, "{kind}");

        kernel.exit(owner, 0);
        assert_eq!(ask(&mut kernel, contained, lock(file, Exclusive)), DONE, "{kind}");
        let outside = start(&mut kernel, "outside");
        let theirs = fd(ask(&mut kernel, outside, open(LOCK, Open::read_write_create())));
        let pid = kernel.pid_in(kernel.place_on(HostId(0)).pids, contained);
        assert!(pid.is_some() && pid != Some(kernel.pid(contained)), "{kind}");
        let expected = match kind {
            "flock" => Ok(Reply::Range(None)),
            "of the process" => seen(pid),
            _ => seen(None),
        };
        assert_eq!(ask(&mut kernel, outside, question(theirs)), expected, "{kind}");
        let file = kernel.lookup(Path::new(LOCK)).unwrap();
        let takers = if kind == "flock" { pid.into_iter().collect() } else { Vec::new() };
        assert_eq!(ask(&mut kernel, outside, Call::LockTakers { file }), Ok(Reply::Pids(takers)), "{kind}");
    }
}

#[test]
fn a_reboot_takes_the_slowly_dying_and_those_in_containers_along() {
    let mut kernel = machine();
    kernel.release_slowly();
    let place = Place { pids: kernel.add_pid_namespace(HostId(0)), ..Place::default() };
    let spawn = |kernel: &mut Kernel, place, parent| {
        let spawn =
            Spawn { name: "p".to_owned(), command: String::new(), uid: USER, parent, pid: None, place };
        kernel.spawn(&spawn).unwrap()
    };
    let first = spawn(&mut kernel, place, None);
    let second = spawn(&mut kernel, place, Some(first));
    let outside = spawn(&mut kernel, Place::default(), None);
    for who in [first, second, outside] {
        let file = fd(ask(&mut kernel, who, open(LOCK, Open::read_write_create())));
        let _ = ask(&mut kernel, who, flock(file));
    }
    kernel.exit(outside, 0);
    kernel.reboot(HostId(0));
    for who in [first, second, outside] {
        assert!(matches!(kernel.life(who), sim::kernel::Life::Dead(_)), "{who:?}");
    }
    let next = spawn(&mut kernel, Place::default(), None);
    assert_eq!(kernel.pid(next).get(), 100);
    let again = spawn(&mut kernel, place, None);
    assert_eq!(kernel.pid(again).get(), 1);
    assert_eq!(from_outside(&kernel, KINDS[0].1), DONE);
}
