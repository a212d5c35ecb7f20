//! Mounts of the simulated kernel: what they hide, what they forbid, and how a file system fails.
//!
//! Every error number below was read off Linux 6.18 (ext4, bind mounts, and ext4 on a loop device for the conditions), but
//! for quotas and stale handles, which follow `fs/quota/dquot.c` and nfs(5).

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod kernel_machine;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{Call, Errno, Fd, FileStatus, Links, Open, Reply, Uid};
use sim::Kernel;
use sim::kernel::{Access, Condition, Mount, Place, ProcessId, Spawn};

/// Reads and writes what exists.
const WRITE: Open = Open { write: true, ..Open::read() };
const CREATE: Open = Open { create: true, ..WRITE };

/// `/state/src` with file `f` and directory `in`, and beside it the empty `/state/dst` and `/state/other` with file `g`.
fn furnished() -> (Kernel, ProcessId) {
    let mut kernel = machine();
    for directory in ["src", "src/in", "dst", "other"] {
        kernel.make_directory(&under(directory), 0o700, USER);
    }
    kernel.write_file(&under("src/f"), b"x");
    kernel.write_file(&under("other/g"), b"g");
    let who = start(&mut kernel, "refgate");
    (kernel, who)
}

fn under(name: &str) -> PathBuf {
    Path::new("/state").join(name)
}

fn status(kernel: &mut Kernel, who: ProcessId, name: &str) -> Result<FileStatus, Errno> {
    let reply = ask(kernel, who, Call::Stat { at: None, path: under(name), links: Links::NoFollow })?;
    let Reply::File(status) = reply else { panic!("no status of {name} but {reply}") };
    Ok(status)
}

fn rename(from: &str, to: &str) -> Call {
    Call::Rename { from_at: None, from: under(from), to_at: None, to: under(to), replace: true }
}

fn rename_if_free(from: &str, to: &str) -> Call {
    Call::Rename { from_at: None, from: under(from), to_at: None, to: under(to), replace: false }
}

fn link(from: &str, to: &str) -> Call {
    Call::Link { from_at: None, from: under(from), to_at: None, to: under(to) }
}

fn symlink(target: &str, name: &str) -> Call {
    Call::Symlink { target: PathBuf::from(target), at: None, path: under(name) }
}

fn unlink(name: &str) -> Call {
    Call::Unlink { at: None, path: under(name) }
}

fn make_directory(name: &str) -> Call {
    Call::MakeDirectory { at: None, path: under(name), mode: 0o700 }
}

fn remove_directory(name: &str) -> Call {
    Call::RemoveDirectory { at: None, path: under(name) }
}

fn open_under(name: &str, how: Open) -> Call {
    open(&format!("/state/{name}"), how)
}

fn write(fd: Fd, offset: u64, length: usize) -> Call {
    Call::Write { fd, offset, bytes: vec![b'w'; length] }
}

#[test]
fn a_bind_mount_shows_the_same_files_and_leads_out_of_its_own_place() {
    let (mut kernel, who) = furnished();
    kernel.bind(&under("src"), &under("dst"), Access::ReadWrite);
    for (one, other) in [("src", "dst"), ("src/f", "dst/f"), ("src/..", "dst/.."), (".", "dst/in/../..")] {
        let [one, other] = [one, other].map(|name| status(&mut kernel, who, name).unwrap().id);
        assert_eq!(one, other);
    }
    let through_dst = fd(ask(&mut kernel, who, open_under("dst", Open::directory())));
    let up = Call::Stat { at: Some(through_dst), path: "../other/g".into(), links: Links::Follow };
    assert!(ask(&mut kernel, who, up).is_ok());

    let first = fd(ask(&mut kernel, who, open_under("src/f", WRITE)));
    let second = fd(ask(&mut kernel, who, open_under("dst/f", Open::read())));
    ask(&mut kernel, who, flock(first)).unwrap();
    assert_eq!(ask(&mut kernel, who, flock(second)), Err(Errno::WouldBlock), "one inode, one lock");
    ask(&mut kernel, who, write(first, 0, 1)).unwrap();
    let read = Call::Read { fd: second, offset: 0, length: 9 };
    assert_eq!(ask(&mut kernel, who, read), Ok(Reply::Bytes(b"w".to_vec())));
}

#[test]
fn no_name_crosses_a_mount_and_no_mount_point_is_removed() {
    let cases = [
        (rename("src/f", "dst/q"), Err(Errno::CrossDevice)),
        (link("src/f", "dst/q"), Err(Errno::CrossDevice)),
        (rename("dst", "z"), Err(Errno::Busy)),
        (rename("other", "dst"), Err(Errno::Busy)),
        (rename("other/g", "dst"), Err(Errno::IsDirectory)),
        (rename("dst", "other/g"), Err(Errno::NotDirectory)),
        (rename("dst", "dst/x"), Err(Errno::CrossDevice)),
        (rename("dst", "dst"), Ok(())),
        (rename("absent", "dst"), Err(Errno::NotFound)),
        (rename_if_free("dst", "other"), Err(Errno::Exists)),
        (remove_directory("dst"), Err(Errno::Busy)),
        (unlink("dst"), Err(Errno::IsDirectory)),
        (make_directory("dst"), Err(Errno::Exists)),
        // What is shown elsewhere is no mount point.
        (remove_directory("src/in"), Ok(())),
        (rename("src", "z"), Ok(())),
        // A file can be covered too, as containers do with a single configuration file.
        (unlink("tf"), Err(Errno::Busy)),
        (rename("n", "tf"), Err(Errno::Busy)),
        (rename("tf", "z"), Err(Errno::Busy)),
        (rename_if_free("n", "tf"), Err(Errno::Exists)),
        (rename("src", "tf"), Err(Errno::NotDirectory)),
        (link("tf", "z"), Err(Errno::CrossDevice)),
        (open_under("tf", Open { exclusive: true, ..CREATE }), Err(Errno::Exists)),
        (open_under("tf", CREATE), Ok(())),
        (Call::Stat { at: None, path: under("tf/.."), links: Links::Follow }, Err(Errno::NotDirectory)),
        // The name is a mount point through every other path as well.
        (rename("alias/dst", "alias/z"), Err(Errno::Busy)),
        (remove_directory("alias/dst"), Err(Errno::Busy)),
        (unlink("alias/tf"), Err(Errno::Busy)),
        (rename("above", "z"), Ok(())),
        (remove_directory("above"), Err(Errno::NotEmpty)),
    ];
    for (call, expected) in cases {
        let (mut kernel, who) = furnished();
        for directory in ["alias", "above/in"] {
            kernel.make_directory(&under(directory), 0o700, USER);
        }
        kernel.write_file(&under("tf"), b"t");
        kernel.write_file(&under("n"), b"");
        kernel.chown(&under("above"), USER).unwrap();
        kernel.bind(&under("src"), &under("dst"), Access::ReadWrite);
        kernel.bind(&under("src"), &under("above/in"), Access::ReadWrite);
        kernel.bind(&under("other/g"), &under("tf"), Access::ReadWrite);
        kernel.bind(&under("."), &under("alias"), Access::ReadWrite);
        assert_eq!(kernel.contents(&under("tf")), Some(b"g".to_vec()));
        assert_eq!(kernel.list(&under("alias/dst")), Some(Vec::new()), "mounts below are not shown");
        assert_eq!(ask(&mut kernel, who, call.clone()).map(|_| ()), expected, "{call:?}");
    }
}

#[test]
fn what_a_mount_shows_lives_without_a_name_and_leads_nowhere_from_outside_of_it() {
    let (mut kernel, who) = furnished();
    kernel.bind(&under("src/in"), &under("dst"), Access::ReadWrite);
    ask(&mut kernel, who, make_directory("src/in/deep")).unwrap();
    let deep = fd(ask(&mut kernel, who, open_under("dst/deep", Open::directory())));
    ask(&mut kernel, who, rename("src/in/deep", "src/deep")).unwrap();
    let up = |path: &str| Call::Stat { at: Some(deep), path: path.into(), links: Links::Follow };
    assert_eq!(ask(&mut kernel, who, up("..")), Err(Errno::NotFound), "it was moved out of what is shown");
    assert!(ask(&mut kernel, who, up(".")).is_ok());

    ask(&mut kernel, who, remove_directory("src/in")).unwrap();
    assert_eq!(status(&mut kernel, who, "dst").unwrap().links, 0);
    assert_eq!(ask(&mut kernel, who, make_directory("dst/x")), Err(Errno::NotFound));
    assert_eq!(status(&mut kernel, who, "dst/..").unwrap().id, status(&mut kernel, who, ".").unwrap().id);
}

#[test]
fn a_file_system_covers_what_was_there_and_those_who_had_it_open_keep_it() {
    let (mut kernel, who) = furnished();
    let before = status(&mut kernel, who, "src").unwrap();
    let held = fd(ask(&mut kernel, who, open_under("src", Open::directory())));
    kernel.mount(&under("src"), Mount { magic: 0x6969, ..Mount::local() });
    let after = status(&mut kernel, who, "src").unwrap();
    assert_ne!(before.id.device, after.id.device);
    assert_eq!((before.mode, before.uid), (after.mode, after.uid));
    assert_eq!(kernel.list(&under("src")), Some(Vec::<OsString>::new()));
    let inside = Call::Open { at: Some(held), path: "f".into(), open: Open::read() };
    assert!(ask(&mut kernel, who, inside).is_ok());
    assert_eq!(kernel.mount_at(&under("src")).magic, 0x6969);
    assert_eq!(kernel.creator(after.id), ProcessId::ENVIRONMENT);
}

/// Directory `m/d` and the files `m/f`, of mode 0000, and `m/g`, which is open as 3, where nothing can be changed: through
/// this mount, or on this file system.
fn read_only(is_view: bool) -> (Kernel, ProcessId) {
    let (mut kernel, who) = furnished();
    kernel.make_directory(&under("m"), 0o700, USER);
    if !is_view {
        kernel.mount(&under("m"), Mount::local());
    }
    let directory = under(if is_view { "src" } else { "m" });
    kernel.make_directory(&directory.join("d"), 0o700, USER);
    for name in ["f", "g"] {
        kernel.write_file(&directory.join(name), b"x");
    }
    kernel.chmod(&directory.join("f"), 0).unwrap();
    if is_view {
        kernel.bind(&directory, &under("m"), Access::ReadOnly);
    } else {
        kernel.set_mount(&under("m"), Mount { read_only: true, ..Mount::local() });
    }
    assert_eq!(ask(&mut kernel, who, open_under("m/g", Open::read())), Ok(Reply::Fd(Fd(3))));
    (kernel, who)
}

/// What each call says on a read-only mount and on a read-only file system, to the owner of a file of mode 0000.
#[test]
fn read_only_is_found_where_linux_finds_it() {
    let cases = [
        (open_under("m/f", Open::read()), Err(Errno::AccessDenied), Err(Errno::AccessDenied)),
        (open_under("m/f", WRITE), Err(Errno::AccessDenied), Err(Errno::ReadOnly)),
        (open_under("m/f", Open { truncate: true, ..WRITE }), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (
            open_under("m/f", Open { truncate: true, ..Open::read() }),
            Err(Errno::ReadOnly),
            Err(Errno::ReadOnly),
        ),
        (open_under("m/g", Open::read()), Ok(()), Ok(())),
        (open_under("m/g", Open { create: true, ..Open::read() }), Ok(()), Ok(())),
        (open_under("m/g", CREATE), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (open_under("m/g", Open::create_exclusive()), Err(Errno::Exists), Err(Errno::Exists)),
        (open_under("m/n", CREATE), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (open_under("m/n/", CREATE), Err(Errno::IsDirectory), Err(Errno::IsDirectory)),
        (open_under("m/d", WRITE), Err(Errno::IsDirectory), Err(Errno::IsDirectory)),
        (open_under("m/n", WRITE), Err(Errno::NotFound), Err(Errno::NotFound)),
        (make_directory("m/d"), Err(Errno::Exists), Err(Errno::Exists)),
        (make_directory("m/n"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (symlink("x", "m/f"), Err(Errno::Exists), Err(Errno::Exists)),
        (symlink("x", "m/n"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (symlink("x", "m/n/"), Err(Errno::NotFound), Err(Errno::NotFound)),
        (link("m/f", "m/d"), Err(Errno::Exists), Err(Errno::Exists)),
        (link("m/f", "m/n"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (link("m/d", "m/n"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (link("other/g", "m/n"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (link("m/absent", "m/n"), Err(Errno::NotFound), Err(Errno::NotFound)),
        (unlink("m/absent"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (unlink("m/d"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (unlink("m/f/"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (unlink("m/."), Err(Errno::IsDirectory), Err(Errno::IsDirectory)),
        (remove_directory("m/absent"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (remove_directory("m/f"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (remove_directory("m/."), Err(Errno::InvalidArgument), Err(Errno::InvalidArgument)),
        (remove_directory("m/d/.."), Err(Errno::NotEmpty), Err(Errno::NotEmpty)),
        (rename("m/absent", "m/n"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (rename("m/f", "m/f"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (rename("m/.", "m/f"), Err(Errno::Busy), Err(Errno::Busy)),
        (rename("m/f", "m/."), Err(Errno::Busy), Err(Errno::Busy)),
        (rename("m/f", "n"), Err(Errno::CrossDevice), Err(Errno::CrossDevice)),
        (rename("m/d", "m/d/x"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (rename_if_free("m/f", "m/d"), Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (Call::SetMode { fd: Fd(3), mode: 0 }, Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (Call::SetModified { fd: Fd(3), modified_ns: 0 }, Err(Errno::ReadOnly), Err(Errno::ReadOnly)),
        (Call::Truncate { fd: Fd(3), length: 0 }, Err(Errno::InvalidArgument), Err(Errno::InvalidArgument)),
        (write(Fd(3), 0, 1), Err(Errno::BadDescriptor), Err(Errno::BadDescriptor)),
        (Call::Sync { fd: Fd(3) }, Ok(()), Ok(())),
        (flock(Fd(3)), Ok(()), Ok(())),
    ];
    for (call, on_view, on_file_system) in cases {
        for (is_view, expected) in [(true, on_view), (false, on_file_system)] {
            let (mut kernel, who) = read_only(is_view);
            assert_eq!(ask(&mut kernel, who, call.clone()).map(|_| ()), expected, "{is_view} {call:?}");
            assert_eq!(kernel.chmod(&under("m/f"), 0o600), Err(Errno::ReadOnly), "root is no exception");
        }
    }
}

#[test]
fn a_file_system_with_a_file_open_for_writing_does_not_become_read_only() {
    let (mut kernel, who) = furnished();
    let read_only = Mount { read_only: true, ..kernel.mount_at(Path::new("/")) };
    ask(&mut kernel, who, open_under("src/f", Open::read())).unwrap();
    kernel.clone().set_mount(Path::new("/"), read_only);
    ask(&mut kernel, who, open_under("src/f", WRITE)).unwrap();
    let refused = std::panic::catch_unwind(|| kernel.clone().set_mount(Path::new("/"), read_only));
    assert!(refused.is_err());
}

/// Descriptors of `f` (one byte), `big` (4090 bytes), `empty` and the directory `d`, all open before anything went wrong.
const FILE: Fd = Fd(3);
const BIG: Fd = Fd(4);
const EMPTY: Fd = Fd(5);
const DIRECTORY: Fd = Fd(6);

/// A file system that is in a condition of its own since a moment ago.
fn troubled(condition: Condition, uid: Uid) -> (Kernel, ProcessId) {
    let (mut kernel, _) = furnished();
    kernel.make_directory(&under("m"), 0o777, USER);
    kernel.chmod(Path::new("/state"), 0o777).unwrap();
    kernel.mount(&under("m"), Mount::local());
    for directory in ["m/d", "m/d/s", "m/k"] {
        kernel.make_directory(&under(directory), 0o777, uid);
    }
    for (name, length) in [("m/f", 1), ("m/big", 4090), ("m/empty", 0)] {
        kernel.write_file(&under(name), &vec![b'x'; length]);
        kernel.chown(&under(name), uid).unwrap();
    }
    let spawn = Spawn {
        name: "refgate".to_owned(),
        command: String::new(),
        uid,
        parent: None,
        pid: None,
        place: Place::default(),
    };
    let who = kernel.spawn(&spawn).unwrap();
    for (name, how) in [("m/f", WRITE), ("m/big", WRITE), ("m/empty", WRITE), ("m/d", Open::directory())] {
        ask(&mut kernel, who, open_under(name, how)).unwrap();
    }
    kernel.set_mount(&under("m"), Mount { condition, ..Mount::local() });
    (kernel, who)
}

#[test]
fn a_file_system_in_trouble_says_what_ext4_says() {
    use Condition::{InputOutput, NoSpaceAtCreate, NoSpaceAtWrite, ReadOnlyAfterError};
    let (no_space, read_only, gone) = (Err(Errno::NoSpace), Err(Errno::ReadOnly), Err(Errno::InputOutput));
    let columns = [NoSpaceAtCreate, NoSpaceAtWrite, ReadOnlyAfterError, InputOutput];
    let ok = Ok(());
    let stat = |name: &str| Call::Stat { at: None, path: under(name), links: Links::NoFollow };
    let exists = Err(Errno::Exists);
    let long = "x".repeat(200);
    let cases = [
        (open_under("m/n", CREATE), [no_space, ok, read_only, gone]),
        (make_directory("m/n"), [no_space, no_space, read_only, gone]),
        (symlink("x", "m/n"), [no_space, ok, read_only, gone]),
        (symlink(&long, "m/n"), [no_space, no_space, read_only, gone]),
        (link("m/f", "m/n"), [ok, ok, read_only, gone]),
        (rename("m/f", "m/n"), [ok, ok, read_only, gone]),
        (rename("m/k", "m/d"), [Err(Errno::NotEmpty), Err(Errno::NotEmpty), read_only, gone]),
        (rename("m/f", "m/f"), [ok, ok, ok, ok]),
        (unlink("m/f"), [ok, ok, read_only, gone]),
        (unlink("m/absent"), [Err(Errno::NotFound); 4]),
        (remove_directory("m/k"), [ok, ok, read_only, gone]),
        (remove_directory("m/d"), [Err(Errno::NotEmpty), Err(Errno::NotEmpty), read_only, gone]),
        (open_under("m/f", Open::read()), [ok, ok, ok, gone]),
        (open_under("m/f", WRITE), [ok, ok, read_only, gone]),
        (open_under("m/f", CREATE), [ok, ok, read_only, gone]),
        (open_under("m/big", Open { truncate: true, ..WRITE }), [ok, ok, read_only, gone]),
        (open_under("m/f", Open::create_exclusive()), [exists, exists, exists, exists]),
        (open_under("m/d", Open::directory()), [ok, ok, ok, ok]),
        (stat("m/f"), [ok, ok, ok, ok]),
        (stat("m/absent"), [Err(Errno::NotFound); 4]),
        (Call::StatFd { fd: FILE }, [ok, ok, ok, ok]),
        (Call::ReadDirectory { fd: DIRECTORY }, [ok, ok, ok, ok]),
        (Call::Read { fd: FILE, offset: 0, length: 3 }, [ok, ok, ok, gone]),
        (write(FILE, 0, 1), [ok, ok, read_only, gone]),
        (write(FILE, 1, 2), [ok, ok, read_only, gone]),
        (write(EMPTY, 0, 1), [ok, no_space, read_only, gone]),
        (write(EMPTY, 0, 0), [ok, ok, read_only, gone]),
        (write(BIG, 8192, 1), [ok, no_space, read_only, gone]),
        (Call::Truncate { fd: FILE, length: 9000 }, [ok, ok, read_only, gone]),
        (Call::Truncate { fd: FILE, length: 0 }, [ok, ok, read_only, gone]),
        (Call::Sync { fd: FILE }, [ok, ok, read_only, gone]),
        (Call::Sync { fd: DIRECTORY }, [ok, ok, read_only, gone]),
        (Call::SetMode { fd: FILE, mode: 0o600 }, [ok, ok, read_only, gone]),
        (Call::SetModified { fd: FILE, modified_ns: 1 }, [ok, ok, read_only, gone]),
        (flock(FILE), [ok, ok, ok, ok]),
        (Call::FileSystem { fd: FILE }, [ok, ok, ok, ok]),
        (Call::Close { fd: FILE }, [ok, ok, ok, ok]),
    ];
    for (call, expected) in cases {
        for (condition, expected) in columns.into_iter().zip(expected) {
            let (mut kernel, who) = troubled(condition, USER);
            let answer = ask(&mut kernel, who, call.clone()).map(|_| ());
            assert_eq!(answer, expected, "{condition:?} {call:?}");
        }
    }
}

#[test]
fn a_write_that_fits_in_part_is_short_and_the_next_one_fails() {
    let (mut kernel, who) = troubled(Condition::NoSpaceAtWrite, USER);
    assert_eq!(ask(&mut kernel, who, write(BIG, 4090, 20)), Ok(Reply::Count(6)));
    assert_eq!(ask(&mut kernel, who, write(BIG, 4096, 14)), Err(Errno::NoSpace));
    assert_eq!(status(&mut kernel, who, "m/big").unwrap().size, 4096);
    kernel.set_mount(&under("m"), Mount::local());
    assert_eq!(ask(&mut kernel, who, write(BIG, 4096, 14)), Ok(Reply::Count(14)));
}

#[test]
fn a_full_disk_leaves_an_empty_lock_file_behind() {
    let (mut kernel, who) = troubled(Condition::NoSpaceAtWrite, USER);
    let lock = fd(ask(&mut kernel, who, open_under("m/lock", Open::create_exclusive())));
    assert_eq!(ask(&mut kernel, who, write(lock, 0, 4)), Err(Errno::NoSpace));
    assert_eq!(kernel.contents(&under("m/lock")), Some(Vec::new()));
}

#[test]
fn a_quota_binds_everybody_but_root() {
    let full = Err(Errno::QuotaExceeded);
    let cases = [
        (Condition::QuotaAtCreate, USER, [full, full, Ok(())]),
        (Condition::QuotaAtWrite, USER, [Ok(()), full, full]),
        (Condition::QuotaAtCreate, Uid(0), [Ok(()); 3]),
        (Condition::QuotaAtWrite, Uid(0), [Ok(()); 3]),
    ];
    for (condition, uid, expected) in cases {
        let (mut kernel, who) = troubled(condition, uid);
        let calls = [open_under("m/n", CREATE), make_directory("m/n2"), write(EMPTY, 0, 1)];
        let answers = calls.map(|call| ask(&mut kernel, who, call).map(|_| ()));
        assert_eq!(answers, expected, "{condition:?} {uid}");
    }
}

#[test]
fn on_a_server_that_has_forgotten_its_files_everything_is_stale_but_the_close() {
    let (mut kernel, who) = troubled(Condition::Stale, USER);
    let relative = Call::Open { at: Some(DIRECTORY), path: "s".into(), open: Open::read() };
    let calls = [
        Call::Read { fd: FILE, offset: 0, length: 1 },
        write(FILE, 0, 1),
        Call::Truncate { fd: FILE, length: 0 },
        Call::Sync { fd: FILE },
        Call::StatFd { fd: FILE },
        Call::FileSystem { fd: FILE },
        Call::ReadDirectory { fd: DIRECTORY },
        Call::SetMode { fd: FILE, mode: 0 },
        flock(FILE),
        relative,
        open_under("m/f", Open::read()),
        open_under("m", Open::directory()),
        Call::Stat { at: None, path: under("m"), links: Links::Follow },
        link("m/f", "m/n"),
        unlink("m/f"),
    ];
    for call in calls {
        assert_eq!(ask(&mut kernel, who, call.clone()), Err(Errno::StaleHandle), "{call:?}");
    }
    assert!(kernel.lookup(&under("m/f")).is_some(), "the server has not lost it");
    assert_eq!(ask(&mut kernel, who, Call::Close { fd: FILE }), Ok(Reply::Done));
    assert!(ask(&mut kernel, who, open_under("src/f", Open::read())).is_ok(), "another file system");
}

#[test]
fn who_holds_a_lock_on_a_server_that_was_set_up_anew_has_a_rival_that_knows_nothing_of_it() {
    let (mut kernel, who) = troubled(Condition::Healthy, USER);
    ask(&mut kernel, who, flock(FILE)).unwrap();
    let id = kernel.lookup(&under("m/f")).unwrap();
    kernel.forget_handles(&under("m"));
    assert_eq!(kernel.lock_holders(id), []);
    let rival = start(&mut kernel, "rival");
    let theirs = fd(ask(&mut kernel, rival, open_under("m/f", WRITE)));
    assert_eq!(ask(&mut kernel, rival, flock(theirs)), Ok(Reply::Done));
    for call in [write(FILE, 0, 1), Call::StatFd { fd: FILE }, flock(FILE), Call::Sync { fd: DIRECTORY }] {
        assert_eq!(ask(&mut kernel, who, call.clone()), Err(Errno::StaleHandle), "{call:?}");
    }
    let again = fd(ask(&mut kernel, who, open_under("m/f", WRITE)));
    assert_eq!(ask(&mut kernel, who, flock(again)), Err(Errno::WouldBlock));
    assert_eq!(ask(&mut kernel, who, Call::Close { fd: FILE }), Ok(Reply::Done));
    assert_eq!(kernel.lock_holders(id), [rival], "the lock of somebody else stays");
}

#[test]
fn removing_a_tree_empties_what_is_mounted_in_it_and_stops_at_the_mount_point() {
    let (mut kernel, who) = furnished();
    kernel.make_directory(&under("tree/m"), 0o700, USER);
    kernel.write_file(&under("tree/z"), b"");
    kernel.bind(&under("src"), &under("tree/m"), Access::ReadWrite);
    assert_eq!(kernel.remove_tree(&under("tree")), Err(Errno::Busy));
    assert_eq!(kernel.list(&under("tree")), Some(vec![OsString::from("m")]));
    assert_eq!(kernel.list(&under("src")), Some(Vec::new()));
    assert!(status(&mut kernel, who, "tree/m").is_ok());
}

#[test]
fn what_cannot_be_mounted_stops_the_test_that_asks_for_it() {
    type Setting = fn(&mut Kernel);
    let mistakes: [(&str, Setting); 5] = [
        ("nothing is there", |kernel| kernel.bind(&under("absent"), &under("dst"), Access::ReadWrite)),
        ("a file on a directory", |kernel| kernel.bind(&under("other/g"), &under("dst"), Access::ReadWrite)),
        ("twice", |kernel| {
            kernel.mount(&under("dst"), Mount::local());
            kernel.mount(&under("dst"), Mount::local());
        }),
        ("the root", |kernel| kernel.mount(Path::new("/"), Mount::local())),
        ("a file", |kernel| kernel.mount(&under("other/g"), Mount::local())),
    ];
    for (what, mistake) in mistakes {
        let mut kernel = furnished().0;
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| mistake(&mut kernel)));
        assert!(stopped.is_err(), "{what}");
    }
}
