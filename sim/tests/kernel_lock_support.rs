//! What a file system makes of locks: which it grants, whom they keep out, and what happens when they are lost.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod kernel_machine;

use std::path::Path;

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{ByteRange, Call, Errno, Fd, LockMode, Open, RangeHolder, RangeOwner, Reply};
use sim::Kernel;
use sim::kernel::{HostId, LockSupport, Mount, ProcessId, Spawn};

use LockMode::{Exclusive, Shared, Unlock};
use RangeOwner::{Description, Process};

type Answer = Result<Reply, Errno>;

const DONE: Answer = Ok(Reply::Done);
const BUSY: Answer = Err(Errno::WouldBlock);
const BAD: Answer = Err(Errno::BadDescriptor);
const LOST: Answer = Err(Errno::InputOutput);
const LOCK: &str = "/state/lock";

/// `/state` is a file system of its own with a file `lock` in it.
fn mounted(locks: LockSupport) -> Kernel {
    let mut kernel = machine();
    kernel.mount(Path::new("/state"), Mount { locks, ..Mount::local() });
    kernel.write_file(Path::new(LOCK), b"record");
    kernel
}

fn on_host(kernel: &mut Kernel, host: HostId) -> ProcessId {
    let spawn = Spawn {
        name: "refgate".to_owned(),
        command: String::new(),
        uid: USER,
        parent: None,
        pid: None,
        place: kernel.place_on(host),
    };
    kernel.spawn(&spawn).unwrap()
}

const fn write() -> Open {
    Open { write: true, ..Open::read() }
}

fn range(fd: Fd, owner: RangeOwner, mode: LockMode) -> Call {
    Call::LockRange { fd, owner, mode, range: ByteRange::WHOLE }
}

fn holder(fd: Fd) -> Call {
    Call::RangeHolder { fd, owner: Process, mode: Exclusive, range: ByteRange::WHOLE }
}

/// Takes a lock through one description, then through another. Which process has which is up to the caller.
fn twice(
    kernel: &Kernel,
    [one, two]: [ProcessId; 2],
    (path, how): (&str, Open),
    lock: impl Fn(Fd) -> Call,
) -> [Answer; 2] {
    let mut kernel = kernel.clone();
    [one, two].map(|who| {
        let file = fd(ask(&mut kernel, who, open(path, how)));
        ask(&mut kernel, who, lock(file))
    })
}

#[test]
fn a_file_system_decides_what_each_kind_of_lock_does_on_one_host_and_on_two() {
    const EXCLUDES: [[Answer; 2]; 2] = [[DONE, BUSY], [DONE, BUSY]];
    const HERE: [[Answer; 2]; 2] = [[DONE, BUSY], [DONE, DONE]];
    const NOBODY: [[Answer; 2]; 2] = [[DONE, DONE], [DONE, DONE]];
    const fn refused(errno: Errno) -> [[Answer; 2]; 2] {
        [[Err(errno), Err(errno)], [Err(errno), Err(errno)]]
    }
    let fails = |errno| (LockSupport::Fails(errno), refused(errno), refused(errno));
    // On a directory and on a file: the first and the second try of two processes of one host, then of two hosts.
    let cases = [
        (LockSupport::Everything, EXCLUDES, EXCLUDES),
        (LockSupport::FilesOnly, refused(Errno::BadDescriptor), EXCLUDES),
        (LockSupport::Emulated, HERE, EXCLUDES),
        (LockSupport::PerHost, HERE, HERE),
        (LockSupport::Unenforced, NOBODY, NOBODY),
        (LockSupport::Nothing, refused(Errno::NoLocks), refused(Errno::NoLocks)),
        fails(Errno::NotSupported),
        fails(Errno::NotImplemented),
    ];
    for (locks, on_directory, on_file) in cases {
        let mut kernel = mounted(locks);
        let other = kernel.add_host(0);
        let [here, neighbour] = [(); 2].map(|()| on_host(&mut kernel, HostId(0)));
        let elsewhere = on_host(&mut kernel, other);
        for (place, expected) in [[here, neighbour], [here, elsewhere]].into_iter().zip(on_directory) {
            assert_eq!(
                twice(&kernel, place, ("/state", Open::directory()), flock),
                expected,
                "{locks:?} {place:?}"
            );
        }
        for (place, expected) in [[here, neighbour], [here, elsewhere]].into_iter().zip(on_file) {
            let told = twice(&kernel, place, (LOCK, write()), flock);
            assert_eq!(told, expected, "flock on {locks:?} {place:?}");
            for owner in [Process, Description] {
                let told = twice(&kernel, place, (LOCK, write()), |fd| range(fd, owner, Exclusive));
                assert_eq!(told, expected, "{owner:?} on {locks:?} {place:?}");
            }
        }
    }
}

#[test]
fn a_file_system_without_locks_refuses_to_unlock_and_to_tell_too() {
    for (locks, errno) in [
        (LockSupport::Nothing, Errno::NoLocks),
        (LockSupport::Fails(Errno::NotSupported), Errno::NotSupported),
    ] {
        let mut kernel = mounted(locks);
        let who = start(&mut kernel, "refgate");
        let file = fd(ask(&mut kernel, who, open(LOCK, write())));
        let reader = fd(ask(&mut kernel, who, open(LOCK, Open::read())));
        let calls = [Call::Flock { fd: file, mode: Unlock }, range(file, Description, Unlock), holder(file)];
        for call in calls {
            assert_eq!(ask(&mut kernel, who, call), Err(errno));
        }
        assert_eq!(ask(&mut kernel, who, range(reader, Process, Exclusive)), BAD, "the kernel looks first");
    }
}

#[test]
fn an_emulated_flock_is_a_byte_range_lock_of_its_description() {
    let mut kernel = mounted(LockSupport::Emulated);
    let [one, two] = ["one", "two"].map(|name| start(&mut kernel, name));
    let reader = fd(ask(&mut kernel, one, open(LOCK, Open::read())));
    assert_eq!(ask(&mut kernel, one, flock(reader)), BAD, "exclusive without a descriptor for writing");
    assert_eq!(ask(&mut kernel, one, Call::Flock { fd: reader, mode: Shared }), DONE);
    let file = fd(ask(&mut kernel, two, open(LOCK, write())));
    assert_eq!(ask(&mut kernel, two, range(file, Process, Exclusive)), BUSY);
    let found = RangeHolder { mode: Shared, range: ByteRange::WHOLE, pid: None };
    assert_eq!(ask(&mut kernel, two, holder(file)), Ok(Reply::Range(Some(found))));
    assert_eq!(ask(&mut kernel, two, range(file, Process, Shared)), DONE);

    let again = fd(ask(&mut kernel, one, open(LOCK, write())));
    assert_eq!(ask(&mut kernel, one, flock(again)), BUSY, "the other kind is in the way");
    assert_eq!(ask(&mut kernel, two, range(file, Process, Unlock)), DONE);
    assert_eq!(ask(&mut kernel, one, flock(again)), BUSY, "so is the shared flock");
    ask(&mut kernel, one, Call::Close { fd: reader }).unwrap();
    assert_eq!(ask(&mut kernel, one, flock(again)), DONE);
    assert_eq!(ask(&mut kernel, one, range(again, Description, Exclusive)), DONE, "of the same description");
    let id = kernel.lookup(Path::new(LOCK)).unwrap();
    assert_eq!(kernel.lock_holders(id), [one]);
    assert_eq!(ask(&mut kernel, two, Call::LockTakers { file: id }), Ok(Reply::Pids(vec![kernel.pid(one)])));
}

#[test]
fn a_failed_upgrade_keeps_an_emulated_flock() {
    for (locks, rival_after) in [(LockSupport::Emulated, BUSY), (LockSupport::Everything, DONE)] {
        let mut kernel = mounted(locks);
        let who = start(&mut kernel, "refgate");
        let [one, two] = [(); 2].map(|()| fd(ask(&mut kernel, who, open(LOCK, write()))));
        for fd in [one, two] {
            assert_eq!(ask(&mut kernel, who, Call::Flock { fd, mode: Shared }), DONE);
        }
        assert_eq!(ask(&mut kernel, who, flock(one)), BUSY);
        assert_eq!(ask(&mut kernel, who, flock(two)), rival_after, "{locks:?}");
    }
}

#[test]
fn a_host_tells_nothing_of_the_processes_of_another_whose_locks_keep_it_out() {
    let mut kernel = mounted(LockSupport::Everything);
    let other = kernel.add_host(0);
    let [here, there] = [HostId(0), other].map(|host| on_host(&mut kernel, host));
    let file = fd(ask(&mut kernel, there, open(LOCK, write())));
    assert_eq!(ask(&mut kernel, there, flock(file)), DONE);
    assert_eq!(ask(&mut kernel, there, range(file, Process, Exclusive)), DONE);
    let id = kernel.lookup(Path::new(LOCK)).unwrap();
    let mine = fd(ask(&mut kernel, here, open(LOCK, write())));
    assert_eq!(ask(&mut kernel, here, flock(mine)), BUSY);
    assert_eq!(ask(&mut kernel, here, Call::LockTakers { file: id }), Ok(Reply::Pids(Vec::new())));
    let found = RangeHolder { mode: Exclusive, range: ByteRange::WHOLE, pid: None };
    assert_eq!(ask(&mut kernel, here, holder(mine)), Ok(Reply::Range(Some(found))));
    assert_eq!(kernel.lock_holders(id), [there], "a checker sees it all the same");
}

#[test]
fn a_lock_that_was_lost_is_free_and_whoever_relied_on_it_cannot_read_or_write() {
    type Lock = fn(Fd, LockMode) -> Call;
    let kinds: [Lock; 3] = [
        |fd, mode| Call::Flock { fd, mode },
        |fd, mode| range(fd, Process, mode),
        |fd, mode| range(fd, Description, mode),
    ];
    for (kind, lock) in kinds.into_iter().enumerate() {
        let mut kernel = mounted(LockSupport::Emulated);
        let [owner, rival] = ["owner", "rival"].map(|name| start(&mut kernel, name));
        let [mine, also_mine] = [(); 2].map(|()| fd(ask(&mut kernel, owner, open(LOCK, write()))));
        let theirs = fd(ask(&mut kernel, rival, open(LOCK, write())));
        assert_eq!(ask(&mut kernel, owner, lock(mine, Exclusive)), DONE);
        let before = kernel.clone();
        kernel.lose_locks(Path::new("/"));
        assert_eq!(kernel, before, "another file system");

        kernel.lose_locks(Path::new("/state"));
        assert_eq!(ask(&mut kernel, rival, lock(theirs, Exclusive)), DONE);
        let uses = |fd| {
            [
                Call::Read { fd, offset: 0, length: 1 },
                Call::Write { fd, offset: 0, bytes: vec![1] },
                Call::Truncate { fd, length: 0 },
                Call::Sync { fd },
            ]
        };
        for call in uses(mine) {
            assert_eq!(ask(&mut kernel, owner, call), LOST, "{kind}");
        }
        for call in uses(theirs) {
            assert!(ask(&mut kernel, rival, call).is_ok(), "{kind}");
        }
        // A lock of the process is missed through every descriptor of the file, one of a description through its own.
        let through_other = ask(&mut kernel, owner, Call::Sync { fd: also_mine });
        assert_eq!(through_other, if kind == 1 { LOST } else { DONE }, "{kind}");
        assert_eq!(ask(&mut kernel, owner, lock(mine, Exclusive)), BUSY, "{kind}");
        let mut unlocks = kernel.clone();
        assert_eq!(ask(&mut unlocks, owner, lock(mine, Unlock)), DONE);
        assert_eq!(ask(&mut unlocks, owner, Call::Sync { fd: mine }), DONE, "{kind}");
        ask(&mut kernel, owner, Call::Close { fd: mine }).unwrap();
        let reopened = fd(ask(&mut kernel, owner, open(LOCK, write())));
        assert_eq!(ask(&mut kernel, owner, Call::Sync { fd: reopened }), DONE, "{kind}");
    }
}

#[test]
fn a_dead_process_leaves_no_trace_of_a_lost_lock() {
    let mut kernel = mounted(LockSupport::Everything);
    let who = start(&mut kernel, "refgate");
    let mut never = kernel.clone();
    let file = fd(ask(&mut kernel, who, open(LOCK, write())));
    for call in [flock(file), range(file, Process, Exclusive)] {
        assert_eq!(ask(&mut kernel, who, call), DONE);
    }
    kernel.lose_locks(Path::new("/state"));
    kernel.exit(who, 0);
    never.exit(who, 0);
    assert_eq!(kernel, never);
}
