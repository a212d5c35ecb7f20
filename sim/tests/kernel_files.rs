//! Files, names and locks of the simulated kernel are those of Linux, down to the error number.
//!
//! Every error number below was read off Linux 6.18 (ext4).

mod kernel_machine;

use std::path::{Path, PathBuf};

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{Call, Errno, Fd, FileKind, FileStatus, Links, LockMode, Open, Reply, Uid};
use sim::Kernel;
use sim::kernel::{Effect, LockSupport, Mount, Place, ProcessId, Spawn};

const BUSY: Errno = Errno::Busy;

/// Directory `d` with directory `d/s`, file `f`, and links to the directory, to the file and to nowhere.
fn furnished() -> (Kernel, ProcessId) {
    let mut kernel = machine();
    kernel.make_directory(Path::new("/state/d"), 0o700, USER);
    kernel.make_directory(Path::new("/state/d/s"), 0o700, USER);
    kernel.write_file(Path::new("/state/f"), b"x");
    kernel.make_symlink(Path::new("/state/ld"), Path::new("d"));
    kernel.make_symlink(Path::new("/state/lf"), Path::new("f"));
    kernel.make_symlink(Path::new("/state/dangling"), Path::new("nowhere"));
    kernel.make_symlink(Path::new("/state/loop"), Path::new("loop"));
    kernel.take_effects();
    let who = start(&mut kernel, "refgate");
    (kernel, who)
}

fn stat(kernel: &mut Kernel, who: ProcessId, path: &str) -> Result<FileStatus, Errno> {
    status(ask(kernel, who, Call::Stat { at: None, path: PathBuf::from(path), links: Links::NoFollow }))
}

fn status(reply: Result<Reply, Errno>) -> Result<FileStatus, Errno> {
    let reply = reply?;
    let Reply::File(status) = reply else { panic!("no status but {reply}") };
    Ok(status)
}

fn rename(from: &str, to: &str) -> Call {
    let under = |name: &str| PathBuf::from(format!("/state/{name}"));
    Call::Rename { from_at: None, from: under(from), to_at: None, to: under(to), replace: true }
}

fn unlink(name: &str) -> Call {
    Call::Unlink { at: None, path: PathBuf::from(format!("/state/{name}")) }
}

fn make_directory(name: &str) -> Call {
    Call::MakeDirectory { at: None, path: PathBuf::from(format!("/state/{name}")), mode: 0o700 }
}

#[test]
fn each_way_to_open_a_path_has_the_errno_of_linux() {
    let read = Open::read();
    let no_follow = Open { no_follow: true, ..read };
    let create = Open { create: true, write: true, ..read };
    let exclusive = Open { exclusive: true, ..create };
    let write = Open { write: true, ..read };
    let cases = [
        ("ld", Open::directory(), Err(Errno::NotDirectory)),
        ("ld/", Open::directory(), Ok(())),
        ("lf", no_follow, Err(Errno::SymlinkLoop)),
        ("lf", Open::read_write_create(), Err(Errno::SymlinkLoop)),
        ("lf", write, Ok(())),
        ("loop", read, Err(Errno::SymlinkLoop)),
        ("dangling", read, Err(Errno::NotFound)),
        ("dangling", exclusive, Err(Errno::Exists)),
        ("dangling", create, Ok(())),
        ("f", exclusive, Err(Errno::Exists)),
        ("d", exclusive, Err(Errno::Exists)),
        ("d", Open { create: true, ..read }, Err(Errno::IsDirectory)),
        ("d", Open { create: true, directory: true, ..read }, Err(Errno::InvalidArgument)),
        ("d", write, Err(Errno::IsDirectory)),
        ("d", Open { directory: true, ..write }, Err(Errno::IsDirectory)),
        ("d", Open { truncate: true, ..read }, Err(Errno::IsDirectory)),
        ("d", Open::directory(), Ok(())),
        ("f", Open { directory: true, ..write }, Err(Errno::NotDirectory)),
        ("f/", read, Err(Errno::NotDirectory)),
        ("lf/", no_follow, Err(Errno::NotDirectory)),
        ("ld/", no_follow, Ok(())),
        ("new/", create, Err(Errno::IsDirectory)),
        ("f/", create, Err(Errno::IsDirectory)),
        ("d/", exclusive, Err(Errno::IsDirectory)),
        ("d/.", Open { create: true, ..read }, Err(Errno::IsDirectory)),
        ("d/.", exclusive, Err(Errno::Exists)),
        ("d/.", read, Ok(())),
        ("f/.", read, Err(Errno::NotDirectory)),
        ("f/..", read, Err(Errno::NotDirectory)),
        ("f/x", create, Err(Errno::NotDirectory)),
        ("absent/x", create, Err(Errno::NotFound)),
        ("d/../f", read, Ok(())),
        ("absent", read, Err(Errno::NotFound)),
        ("absent", create, Ok(())),
    ];
    for (path, how, expected) in cases {
        let (mut kernel, who) = furnished();
        let answer = ask(&mut kernel, who, open(&format!("/state/{path}"), how));
        assert_eq!(answer.map(|_| ()), expected, "{path} {how:?}");
    }
}

#[test]
fn a_descriptor_is_checked_before_a_path_and_a_path_before_the_directory_it_starts_from() {
    let (mut kernel, who) = furnished();
    let file = fd(ask(&mut kernel, who, open("/state/f", Open::read())));
    let mut at = |at: i32, path: &str| {
        let call = Call::Open { at: Some(Fd(at)), path: PathBuf::from(path), open: Open::read() };
        ask(&mut kernel, who, call).map(|_| ())
    };
    for path in ["x", "", "/state"] {
        assert_eq!(at(999, path), Err(Errno::BadDescriptor), "{path}");
    }
    assert_eq!(at(file.0, "x"), Err(Errno::NotDirectory));
    assert_eq!(at(file.0, ""), Err(Errno::NotFound));
    assert_eq!(at(file.0, "/state"), Ok(()));
    assert_eq!(at(file.0, &"n".repeat(4096)), Err(Errno::NameTooLong));
    assert_eq!(at(file.0, &format!("/{}", "n".repeat(256))), Err(Errno::NameTooLong));
    assert_eq!(at(file.0, &format!("/{}", "n".repeat(255))), Err(Errno::NotFound));
    assert_eq!(at(file.0, "/a\0b"), Err(Errno::InvalidArgument));
}

#[test]
fn names_are_made_removed_and_renamed_with_the_errno_of_linux() {
    let cases = [
        (make_directory("new/"), Ok(())),
        (make_directory("d"), Err(Errno::Exists)),
        (make_directory("d/."), Err(Errno::Exists)),
        (make_directory("dangling"), Err(Errno::Exists)),
        (make_directory("dangling/"), Err(Errno::Exists)),
        (make_directory("f/x"), Err(Errno::NotDirectory)),
        (make_directory("absent/x"), Err(Errno::NotFound)),
        (unlink("f"), Ok(())),
        (unlink("dangling"), Ok(())),
        (unlink("d"), Err(Errno::IsDirectory)),
        (unlink("d/"), Err(Errno::IsDirectory)),
        (unlink("d/."), Err(Errno::IsDirectory)),
        (unlink("d/.."), Err(Errno::IsDirectory)),
        (unlink("f/"), Err(Errno::NotDirectory)),
        (unlink("ld/"), Err(Errno::NotDirectory)),
        (unlink("absent/"), Err(Errno::NotFound)),
        (unlink("absent"), Err(Errno::NotFound)),
        (rename("f", "new"), Ok(())),
        (rename("f", "lf"), Ok(())),
        (rename("f", "f"), Ok(())),
        (rename("d", "new/"), Ok(())),
        (rename("d/s", "f"), Err(Errno::NotDirectory)),
        (rename("f", "d"), Err(Errno::IsDirectory)),
        (rename("f", "new/"), Err(Errno::NotDirectory)),
        (rename("f/", "new"), Err(Errno::NotDirectory)),
        (rename("ld/", "new"), Err(Errno::NotDirectory)),
        (rename("d", "d/x"), Err(Errno::InvalidArgument)),
        (rename("d", "d/s/x"), Err(Errno::InvalidArgument)),
        (rename("d/s", "d"), Err(Errno::NotEmpty)),
        (rename("d/.", "new"), Err(BUSY)),
        (rename("f", "d/."), Err(BUSY)),
        (rename("absent", "d/."), Err(BUSY)),
        (rename("absent/", "new"), Err(Errno::NotFound)),
    ];
    for (call, expected) in cases {
        let (mut kernel, who) = furnished();
        assert_eq!(ask(&mut kernel, who, call.clone()).map(|_| ()), expected, "{call:?}");
    }
}

#[test]
fn a_directory_is_renamed_over_an_empty_one_only() {
    let (mut kernel, who) = furnished();
    ask(&mut kernel, who, make_directory("e")).unwrap();
    ask(&mut kernel, who, make_directory("full")).unwrap();
    ask(&mut kernel, who, make_directory("full/x")).unwrap();
    assert_eq!(ask(&mut kernel, who, rename("e", "full")), Err(Errno::NotEmpty));
    let replaced = fd(ask(&mut kernel, who, open("/state/e", Open::directory())));
    assert_eq!(ask(&mut kernel, who, rename("full", "e")), Ok(Reply::Done));
    assert!(kernel.lookup(Path::new("/state/e/x")).is_some());
    assert!(kernel.lookup(Path::new("/state/full")).is_none());

    let gone = status(ask(&mut kernel, who, Call::StatFd { fd: replaced })).unwrap();
    assert_eq!(gone.links, 0);
    let inside = Call::Open { at: Some(replaced), path: PathBuf::from("x"), open: Open::create_exclusive() };
    assert_eq!(ask(&mut kernel, who, inside), Err(Errno::NotFound));
}

#[test]
fn a_directory_counts_its_subdirectories_as_links() {
    let (mut kernel, who) = furnished();
    assert_eq!(stat(&mut kernel, who, "/state/d").unwrap().links, 3);
    assert_eq!(stat(&mut kernel, who, "/state/d/s").unwrap().links, 2);
    assert_eq!(stat(&mut kernel, who, "/state/f").unwrap().links, 1);
    ask(&mut kernel, who, rename("d/s", "s")).unwrap();
    assert_eq!(stat(&mut kernel, who, "/state/d").unwrap().links, 2);
    assert_eq!(
        stat(&mut kernel, who, "/state/s/..").unwrap().id,
        stat(&mut kernel, who, "/state").unwrap().id
    );
}

#[test]
fn bytes_are_read_where_they_were_written_and_holes_are_zero() {
    let (mut kernel, who) = furnished();
    let file = fd(ask(&mut kernel, who, open("/state/new", Open::read_write_create())));
    let write = |offset, bytes: &[u8]| Call::Write { fd: file, offset, bytes: bytes.to_vec() };
    let read = |offset, length| Call::Read { fd: file, offset, length };
    assert_eq!(ask(&mut kernel, who, write(3, b"def")), Ok(Reply::Count(3)));
    assert_eq!(ask(&mut kernel, who, read(0, 99)), Ok(Reply::Bytes(b"\0\0\0def".to_vec())));
    assert_eq!(ask(&mut kernel, who, write(0, b"abc")), Ok(Reply::Count(3)));
    assert_eq!(ask(&mut kernel, who, read(2, 2)), Ok(Reply::Bytes(b"cd".to_vec())));
    assert_eq!(ask(&mut kernel, who, read(6, 2)), Ok(Reply::Bytes(Vec::new())));
    assert_eq!(ask(&mut kernel, who, read(u64::MAX, 2)), Err(Errno::InvalidArgument));
    assert_eq!(ask(&mut kernel, who, Call::Truncate { fd: file, length: 2 }), Ok(Reply::Done));
    assert_eq!(kernel.contents(Path::new("/state/new")), Some(b"ab".to_vec()));
    let last = u64::MAX >> 1;
    assert_eq!(ask(&mut kernel, who, write(last - 1, b"x")), Err(Errno::FileTooBig));
    assert_eq!(ask(&mut kernel, who, write(last, b"x")), Err(Errno::InvalidArgument));
    assert_eq!(ask(&mut kernel, who, write(last, b"")), Ok(Reply::Count(0)));
    assert_eq!(ask(&mut kernel, who, write(last + 1, b"")), Err(Errno::InvalidArgument));
    assert_eq!(ask(&mut kernel, who, read(last, 1)), Err(Errno::InvalidArgument));
    assert_eq!(
        ask(&mut kernel, who, Call::Truncate { fd: file, length: last + 1 }),
        Err(Errno::InvalidArgument)
    );
    assert_eq!(ask(&mut kernel, who, Call::Truncate { fd: file, length: last }), Err(Errno::FileTooBig));
    assert_eq!(ask(&mut kernel, who, Call::Sync { fd: file }), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, who, Call::FileSystem { fd: file }).unwrap().to_string(), "0xef53");
}

#[test]
fn a_descriptor_that_is_not_for_writing_says_so_as_linux_does() {
    let (mut kernel, who) = furnished();
    let file = fd(ask(&mut kernel, who, open("/state/f", Open::read())));
    let directory = fd(ask(&mut kernel, who, open("/state/d", Open::read())));
    let socket = fd(ask(&mut kernel, who, Call::ListenUnix { name: "x".into(), backlog: 1 }));
    let mut errno = |call: Call| ask(&mut kernel, who, call).unwrap_err();
    for fd in [file, directory] {
        assert_eq!(errno(Call::Write { fd, offset: 0, bytes: Vec::new() }), Errno::BadDescriptor);
        assert_eq!(errno(Call::Truncate { fd, length: 0 }), Errno::InvalidArgument);
    }
    assert_eq!(errno(Call::Read { fd: directory, offset: 0, length: 0 }), Errno::IsDirectory);
    assert_eq!(errno(Call::Read { fd: socket, offset: 0, length: 1 }), Errno::NotSeekable);
    assert_eq!(errno(Call::Write { fd: socket, offset: 0, bytes: vec![1] }), Errno::NotSeekable);
    assert_eq!(errno(Call::Truncate { fd: socket, length: 0 }), Errno::InvalidArgument);
    assert_eq!(errno(Call::Sync { fd: socket }), Errno::InvalidArgument);
    assert_eq!(errno(Call::Sync { fd: Fd(77) }), Errno::BadDescriptor);
    assert_eq!(status(ask(&mut kernel, who, Call::StatFd { fd: socket })).unwrap().kind, FileKind::Special);
}

#[test]
fn an_unlinked_file_lives_while_it_is_open_and_its_name_is_another_file() {
    let (mut kernel, who) = furnished();
    let old = fd(ask(&mut kernel, who, open("/state/lock", Open::read_write_create())));
    let id = kernel.lookup(Path::new("/state/lock")).unwrap();
    ask(&mut kernel, who, flock(old)).unwrap();
    ask(&mut kernel, who, unlink("lock")).unwrap();
    assert_eq!(kernel.lock_holders(id), [who]);
    assert_eq!(status(ask(&mut kernel, who, Call::StatFd { fd: old })).unwrap().links, 0);

    let new = fd(ask(&mut kernel, who, open("/state/lock", Open::read_write_create())));
    assert_ne!(kernel.lookup(Path::new("/state/lock")), Some(id));
    assert_eq!(ask(&mut kernel, who, flock(new)), Ok(Reply::Done));
    ask(&mut kernel, who, Call::Close { fd: old }).unwrap();
    assert_eq!(kernel.lock_holders(id), []);
    assert_eq!(ask(&mut kernel, who, Call::Close { fd: old }), Err(Errno::BadDescriptor));
}

#[test]
fn a_removed_name_leaves_nothing_behind() {
    let (mut kernel, _) = furnished();
    let before = kernel.clone();
    kernel.write_file(Path::new("/state/new"), b"bytes");
    assert_ne!(kernel, before);
    let inode = kernel.lookup(Path::new("/state/new")).unwrap();
    kernel.remove(Path::new("/state/new")).unwrap();
    kernel.write_file(Path::new("/state/new"), b"bytes");
    assert_ne!(kernel.lookup(Path::new("/state/new")), Some(inode));
    assert_eq!(kernel.remove(Path::new("/state/absent")), Ok(()));
    assert_eq!(kernel.remove(Path::new("/state/d")), Err(Errno::IsDirectory));
}

#[test]
fn two_descriptions_of_one_file_exclude_each_other_even_in_one_process() {
    for path in ["/state/f", "/state"] {
        let (mut kernel, who) = furnished();
        let rival = start(&mut kernel, "rival");
        let mine = fd(ask(&mut kernel, who, open(path, Open::read())));
        let again = fd(ask(&mut kernel, who, open(path, Open::read())));
        let theirs = fd(ask(&mut kernel, rival, open(path, Open::read())));
        let id = kernel.lookup(Path::new(path)).unwrap();
        assert_eq!(ask(&mut kernel, who, flock(mine)), Ok(Reply::Done));
        assert_eq!(ask(&mut kernel, who, flock(mine)), Ok(Reply::Done));
        assert_eq!(ask(&mut kernel, who, flock(again)), Err(Errno::WouldBlock));
        assert_eq!(ask(&mut kernel, rival, flock(theirs)), Err(Errno::WouldBlock));
        ask(&mut kernel, who, Call::Close { fd: again }).unwrap();
        assert_eq!(kernel.lock_holders(id), [who], "closing another description keeps the lock");
        ask(&mut kernel, who, Call::Close { fd: mine }).unwrap();
        assert_eq!(ask(&mut kernel, rival, flock(theirs)), Ok(Reply::Done));
        assert_eq!(kernel.lock_holders(id), [rival]);
    }
}

#[test]
fn a_failed_upgrade_loses_the_shared_lock() {
    let (mut kernel, who) = furnished();
    let shared = |fd| Call::Flock { fd, mode: LockMode::Shared };
    let [one, two, three] = [(); 3].map(|()| fd(ask(&mut kernel, who, open("/state/f", Open::read()))));
    ask(&mut kernel, who, shared(one)).unwrap();
    ask(&mut kernel, who, shared(two)).unwrap();
    assert_eq!(ask(&mut kernel, who, flock(one)), Err(Errno::WouldBlock));
    assert_eq!(ask(&mut kernel, who, flock(two)), Ok(Reply::Done), "the first lock is gone");
    assert_eq!(ask(&mut kernel, who, shared(three)), Err(Errno::WouldBlock));
    assert_eq!(ask(&mut kernel, who, shared(two)), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, who, shared(three)), Ok(Reply::Done));
    ask(&mut kernel, who, Call::Flock { fd: two, mode: LockMode::Unlock }).unwrap();
    assert_eq!(ask(&mut kernel, who, flock(three)), Ok(Reply::Done));
}

#[test]
fn a_mount_decides_what_flock_can_do() {
    let cases = [
        (LockSupport::Everything, Ok(Reply::Done), Ok(Reply::Done), Err(Errno::WouldBlock)),
        (LockSupport::FilesOnly, Err(Errno::BadDescriptor), Ok(Reply::Done), Err(Errno::WouldBlock)),
        (LockSupport::Nothing, Err(Errno::NoLocks), Err(Errno::NoLocks), Err(Errno::NoLocks)),
        (LockSupport::Unenforced, Ok(Reply::Done), Ok(Reply::Done), Ok(Reply::Done)),
    ];
    for (locks, on_directory, on_file, on_file_again) in cases {
        let mut kernel = machine();
        kernel.mount(Path::new("/state"), Mount { magic: 0x6969, locks, ..Mount::local() });
        kernel.write_file(Path::new("/state/lock"), b"");
        let who = start(&mut kernel, "refgate");
        let directory = fd(ask(&mut kernel, who, open("/state", Open::directory())));
        let [one, two] = [(); 2].map(|()| fd(ask(&mut kernel, who, open("/state/lock", Open::read()))));
        assert_eq!(ask(&mut kernel, who, flock(directory)), on_directory, "{locks:?}");
        assert_eq!(ask(&mut kernel, who, flock(one)), on_file, "{locks:?}");
        assert_eq!(ask(&mut kernel, who, flock(two)), on_file_again, "{locks:?}");
        let magic = ask(&mut kernel, who, Call::FileSystem { fd: one }).unwrap();
        assert_eq!(magic.to_string(), "0x6969");
    }
}

#[test]
fn nothing_is_renamed_from_one_mount_to_another() {
    let (mut kernel, who) = furnished();
    kernel.make_directory(Path::new("/state/nfs"), 0o700, USER);
    kernel.mount(
        Path::new("/state/nfs"),
        Mount { magic: 0x6969, locks: LockSupport::FilesOnly, ..Mount::local() },
    );
    assert_eq!(ask(&mut kernel, who, rename("f", "nfs/f")), Err(Errno::CrossDevice));
    assert_eq!(ask(&mut kernel, who, rename("nfs", "n")), Err(BUSY));
    ask(&mut kernel, who, make_directory("nfs/x")).unwrap();
    let (inside, outside) = (stat(&mut kernel, who, "/state/nfs/x"), stat(&mut kernel, who, "/state/d"));
    assert_ne!(inside.unwrap().id.device, outside.unwrap().id.device);
}

#[test]
fn mode_bits_stop_other_users_and_never_root() {
    let (mut kernel, _) = furnished();
    kernel.make_directory(Path::new("/shared"), 0o1777, Uid(0));
    kernel.make_directory(Path::new("/open"), 0o755, USER);
    kernel.write_file(Path::new("/open/f"), b"");
    kernel.write_file(Path::new("/shared/roots"), b"");
    let mut user = |name: &str, uid| {
        let spawn = Spawn {
            name: name.to_owned(),
            command: String::new(),
            uid: Uid(uid),
            parent: None,
            pid: None,
            place: Place::default(),
        };
        kernel.spawn(&spawn).unwrap()
    };
    let (owner, other, root) = (user("owner", 1000), user("other", 1001), user("root", 0));
    let create = Open::read_write_create();
    let mut errno = |who, call| ask(&mut kernel, who, call).map(|_| ());
    assert_eq!(errno(other, open("/state/f", Open::read())), Err(Errno::AccessDenied));
    assert_eq!(errno(other, open("/open", Open::directory())), Ok(()));
    assert_eq!(errno(other, open("/open/f", Open::read())), Err(Errno::AccessDenied));
    assert_eq!(errno(other, open("/open/g", create)), Err(Errno::AccessDenied));
    assert_eq!(errno(other, Call::Unlink { at: None, path: "/open/f".into() }), Err(Errno::AccessDenied));
    assert_eq!(errno(other, open("/shared/f", create)), Ok(()));
    assert_eq!(errno(owner, Call::Unlink { at: None, path: "/shared/f".into() }), Err(Errno::NotPermitted));
    assert_eq!(errno(other, Call::Unlink { at: None, path: "/shared/f".into() }), Ok(()));
    assert_eq!(errno(root, open("/state/f", Open { write: true, ..Open::read() })), Ok(()));
    assert_eq!(errno(root, Call::Unlink { at: None, path: "/open/f".into() }), Ok(()));
}

#[test]
fn a_new_file_belongs_to_whoever_made_it_and_the_umask_cuts_its_mode() {
    let (mut kernel, who) = furnished();
    ask(&mut kernel, who, open("/state/new", Open { mode: 0o666, ..Open::create_exclusive() })).unwrap();
    let status = stat(&mut kernel, who, "/state/new").unwrap();
    assert_eq!((status.mode, status.uid, status.size), (0o644, USER, 0));
}

#[test]
fn every_change_of_a_file_is_told_once() {
    let (mut kernel, who) = furnished();
    let file = kernel.lookup(Path::new("/state/f")).unwrap();
    ask(&mut kernel, who, open("/state/f", Open::create_truncate())).unwrap();
    ask(&mut kernel, who, open("/state/f", Open::create_truncate())).unwrap();
    assert_eq!(kernel.take_effects(), [Effect::Changed { by: who, file }]);

    let new = fd(ask(&mut kernel, who, open("/state/new", Open::read_write_create())));
    let id = kernel.lookup(Path::new("/state/new")).unwrap();
    ask(&mut kernel, who, Call::Write { fd: new, offset: 0, bytes: vec![1] }).unwrap();
    ask(&mut kernel, who, flock(new)).unwrap();
    ask(&mut kernel, who, rename("new", "f")).unwrap();
    ask(&mut kernel, who, unlink("f")).unwrap();
    assert_eq!(
        kernel.take_effects(),
        [
            Effect::Created { by: who, file: id, kind: FileKind::Regular },
            Effect::Changed { by: who, file: id },
            Effect::Locked { by: who, file: id },
            Effect::Unlinked { by: who, file },
            Effect::Renamed { by: who, file: id },
            Effect::Unlinked { by: who, file: id },
        ]
    );
    assert_eq!(kernel.take_effects(), []);
}

#[test]
fn descriptors_fill_the_lowest_gap_and_run_out() {
    let (mut kernel, who) = furnished();
    let fds: Vec<Fd> = (0..3).map(|_| fd(ask(&mut kernel, who, open("/state/f", Open::read())))).collect();
    assert_eq!(fds, [Fd(3), Fd(4), Fd(5)]);
    ask(&mut kernel, who, Call::Close { fd: Fd(4) }).unwrap();
    assert_eq!(fd(ask(&mut kernel, who, open("/state/f", Open::read()))), Fd(4));
    for _ in 6..1024 {
        ask(&mut kernel, who, open("/state/f", Open::read())).unwrap();
    }
    assert_eq!(
        ask(&mut kernel, who, open("/state/new", Open::read_write_create())),
        Err(Errno::TooManyFiles)
    );
    assert_eq!(kernel.lookup(Path::new("/state/new")), None);
}
