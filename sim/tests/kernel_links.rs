//! Links of both kinds, directories, modes and times of the simulated kernel, down to the error number.
//!
//! Every error number below was read off Linux 6.18 (ext4, `fs.protected_hardlinks` 1).

mod kernel_machine;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{Call, Errno, Fd, FileId, FileKind, FileStatus, Links, Open, Reply, Uid};
use sim::Kernel;
use sim::kernel::{Effect, Mount, Place, ProcessId, Spawn};

const ROOT: Uid = Uid(0);

fn under(name: &str) -> PathBuf {
    if name.is_empty() { PathBuf::new() } else { PathBuf::from(format!("/state/{name}")) }
}

/// Directory `d` with directory `d/s`, file `f`, and links to the directory, to the file, to nowhere and to itself.
fn furnished() -> (Kernel, ProcessId) {
    let mut kernel = machine();
    kernel.make_directory(Path::new("/state/d"), 0o700, USER);
    kernel.make_directory(Path::new("/state/d/s"), 0o700, USER);
    kernel.write_file(Path::new("/state/f"), b"x");
    for (path, target) in [("ld", "d"), ("lf", "f"), ("dangling", "nowhere"), ("loop", "loop")] {
        kernel.make_symlink(&under(path), Path::new(target));
    }
    kernel.take_effects();
    let who = start(&mut kernel, "refgate");
    (kernel, who)
}

fn process_of(kernel: &mut Kernel, uid: Uid) -> ProcessId {
    let spawn = Spawn {
        name: "other".to_owned(),
        command: String::new(),
        uid,
        parent: None,
        pid: None,
        place: Place::default(),
    };
    match kernel.spawn(&spawn) {
        Ok(process) => process,
        Err(errno) => panic!("it is not started: {errno}"),
    }
}

fn link(from: &str, to: &str) -> Call {
    Call::Link { from_at: None, from: under(from), to_at: None, to: under(to) }
}

fn symlink(target: &str, path: &str) -> Call {
    Call::Symlink { target: PathBuf::from(target), at: None, path: under(path) }
}

fn read_link(path: &str) -> Call {
    Call::ReadLink { at: None, path: under(path) }
}

fn remove_directory(path: &str) -> Call {
    Call::RemoveDirectory { at: None, path: under(path) }
}

fn rename_if_free(from: &str, to: &str) -> Call {
    Call::Rename { from_at: None, from: under(from), to_at: None, to: under(to), replace: false }
}

fn stat(kernel: &mut Kernel, who: ProcessId, path: &str) -> FileStatus {
    match ask(kernel, who, Call::Stat { at: None, path: under(path), links: Links::NoFollow }) {
        Ok(Reply::File(status)) => status,
        other => panic!("no status of {path} but {other:?}"),
    }
}

/// Each call, made in a machine that is [`furnished`] for it alone.
fn compare(cases: impl IntoIterator<Item = (Call, Result<(), Errno>)>) {
    for (call, expected) in cases {
        let (mut kernel, who) = furnished();
        assert_eq!(ask(&mut kernel, who, call.clone()).map(|_| ()), expected, "{call:?}");
    }
}

#[test]
fn hard_links_are_made_with_the_errno_of_linux() {
    let long = "n".repeat(256);
    compare([
        (link("f", "new"), Ok(())),
        (link("f", "d"), Err(Errno::Exists)),
        (link("f", "f"), Err(Errno::Exists)),
        (link("f", "dangling"), Err(Errno::Exists)),
        (link("f", "d/"), Err(Errno::Exists)),
        (link("f", "d/."), Err(Errno::Exists)),
        (link("f", "d/.."), Err(Errno::Exists)),
        (link("f", "new/"), Err(Errno::NotFound)),
        (link("f", &long), Err(Errno::NameTooLong)),
        (link("f", "absent/new"), Err(Errno::NotFound)),
        (link("f", "f/new"), Err(Errno::NotDirectory)),
        (link("f", ""), Err(Errno::NotFound)),
        (link("", "new"), Err(Errno::NotFound)),
        (link("absent", "new"), Err(Errno::NotFound)),
        (link("absent", "d"), Err(Errno::NotFound)),
        (link("f/", "new"), Err(Errno::NotDirectory)),
        (link("lf/", "new"), Err(Errno::NotDirectory)),
        (link("dangling", "new"), Ok(())),
        (link("dangling/", "new"), Err(Errno::NotFound)),
        (link("loop", "new"), Ok(())),
        (link("ld", "new"), Ok(())),
        (link("ld/", "new"), Err(Errno::NotPermitted)),
        (link("d", "new"), Err(Errno::NotPermitted)),
        (link("d/.", "new"), Err(Errno::NotPermitted)),
        (link("d", "new/"), Err(Errno::NotFound)),
    ]);
}

#[test]
fn symbolic_links_are_made_and_read_with_the_errno_of_linux() {
    let (longest, too_long) = ("y".repeat(4095), "y".repeat(4096));
    compare([
        (symlink("x", "new"), Ok(())),
        (symlink("", "new"), Err(Errno::NotFound)),
        (symlink(&longest, "new"), Ok(())),
        (symlink(&too_long, "new"), Err(Errno::NameTooLong)),
        (symlink("x", "new/"), Err(Errno::NotFound)),
        (symlink("x", "f"), Err(Errno::Exists)),
        (symlink("x", "d/"), Err(Errno::Exists)),
        (symlink("x", "dangling"), Err(Errno::Exists)),
        (symlink("x", "d/."), Err(Errno::Exists)),
        (symlink("x", "f/new"), Err(Errno::NotDirectory)),
        (symlink("x", "absent/new"), Err(Errno::NotFound)),
        (read_link("f"), Err(Errno::InvalidArgument)),
        (read_link("d"), Err(Errno::InvalidArgument)),
        (read_link("lf"), Ok(())),
        (read_link("lf/"), Err(Errno::NotDirectory)),
        (read_link("ld/"), Err(Errno::InvalidArgument)),
        (read_link("dangling/"), Err(Errno::NotFound)),
        (read_link("loop/"), Err(Errno::SymlinkLoop)),
        (read_link("absent"), Err(Errno::NotFound)),
        (read_link(""), Err(Errno::NotFound)),
    ]);
}

#[test]
fn directories_are_removed_and_free_names_taken_with_the_errno_of_linux() {
    compare([
        (remove_directory("d"), Err(Errno::NotEmpty)),
        (remove_directory("d/s"), Ok(())),
        (remove_directory("d/s/"), Ok(())),
        (remove_directory("f"), Err(Errno::NotDirectory)),
        (remove_directory("ld"), Err(Errno::NotDirectory)),
        (remove_directory("ld/"), Err(Errno::NotDirectory)),
        (remove_directory("dangling/"), Err(Errno::NotDirectory)),
        (remove_directory("absent"), Err(Errno::NotFound)),
        (remove_directory("d/s/."), Err(Errno::InvalidArgument)),
        (remove_directory("d/s/.."), Err(Errno::NotEmpty)),
        (Call::RemoveDirectory { at: None, path: "/".into() }, Err(Errno::Busy)),
        (rename_if_free("f", "new"), Ok(())),
        (rename_if_free("f", "lf"), Err(Errno::Exists)),
        (rename_if_free("f", "f"), Err(Errno::Exists)),
        (rename_if_free("absent", "f"), Err(Errno::NotFound)),
        (rename_if_free("f", "d/."), Err(Errno::Exists)),
        (rename_if_free("absent", "d/."), Err(Errno::Exists)),
        (rename_if_free("d/.", "f"), Err(Errno::Busy)),
        (rename_if_free("d", "d/x"), Err(Errno::InvalidArgument)),
        (rename_if_free("d/s", "d"), Err(Errno::Exists)),
        (rename_if_free("f/", "lf"), Err(Errno::Exists)),
        (rename_if_free("f", "new/"), Err(Errno::NotDirectory)),
    ]);
}

#[test]
fn a_file_lives_until_its_last_name_and_its_last_descriptor_are_gone() {
    let (mut kernel, who) = furnished();
    let id = stat(&mut kernel, who, "f").id;
    ask(&mut kernel, who, link("f", "h")).unwrap();
    assert_eq!(stat(&mut kernel, who, "h").id, id);
    assert_eq!(stat(&mut kernel, who, "h").links, 2);
    ask(&mut kernel, who, Call::Unlink { at: None, path: under("f") }).unwrap();
    assert_eq!(stat(&mut kernel, who, "h").links, 1);
    let last = fd(ask(&mut kernel, who, open("/state/h", Open::read())));
    ask(&mut kernel, who, flock(last)).unwrap();
    ask(&mut kernel, who, Call::Unlink { at: None, path: under("h") }).unwrap();
    assert_eq!(kernel.lock_holders(id), [who]);
    ask(&mut kernel, who, Call::Close { fd: last }).unwrap();
    assert_eq!(kernel.lock_holders(id), []);
}

#[test]
fn renaming_one_name_of_a_file_to_another_changes_nothing() {
    let (mut kernel, who) = furnished();
    ask(&mut kernel, who, link("f", "h")).unwrap();
    let before = kernel.clone();
    let rename = Call::Rename { from_at: None, from: under("f"), to_at: None, to: under("h"), replace: true };
    assert_eq!(ask(&mut kernel, who, rename), Ok(Reply::Done));
    assert_eq!(kernel, before);
    assert_eq!(stat(&mut kernel, who, "f").links, 2);
}

#[test]
fn a_lock_by_link_is_taken_once_and_seen_by_its_count() {
    let (mut kernel, first) = furnished();
    let second = start(&mut kernel, "second");
    for (who, name) in [(first, "one"), (second, "two")] {
        ask(&mut kernel, who, open(&format!("/state/{name}"), Open::create_exclusive())).unwrap();
    }
    assert_eq!(ask(&mut kernel, first, link("one", "lock")), Ok(Reply::Done));
    assert_eq!(ask(&mut kernel, second, link("two", "lock")), Err(Errno::Exists));
    let counts = ["one", "two"].map(|name| stat(&mut kernel, first, name).links);
    assert_eq!(counts, [2, 1]);
}

#[test]
fn a_file_of_somebody_else_gets_a_name_only_from_who_could_write_it() {
    let cases = [
        (0o600, ROOT, FileKind::Regular, Err(Errno::NotPermitted)),
        (0o644, ROOT, FileKind::Regular, Err(Errno::NotPermitted)),
        (0o666, ROOT, FileKind::Regular, Ok(())),
        (0o4666, ROOT, FileKind::Regular, Err(Errno::NotPermitted)),
        (0o2676, ROOT, FileKind::Regular, Err(Errno::NotPermitted)),
        (0o000, USER, FileKind::Regular, Ok(())),
        (0o777, ROOT, FileKind::Symlink, Err(Errno::NotPermitted)),
    ];
    for (mode, owner, kind, expected) in cases {
        let (mut kernel, who) = furnished();
        match kind {
            FileKind::Symlink => kernel.make_symlink(&under("theirs"), Path::new("x")),
            FileKind::Regular | FileKind::Directory | FileKind::Special => {
                kernel.write_file(&under("theirs"), b"");
                kernel.chmod(&under("theirs"), mode).unwrap();
                kernel.chown(&under("theirs"), owner).unwrap();
            }
        }
        if kind == FileKind::Symlink {
            // A link belongs to the owner of the directory, so somebody else asks here.
            kernel.make_directory(Path::new("/state"), 0o777, ROOT);
            let other = process_of(&mut kernel, Uid(1001));
            assert_eq!(ask(&mut kernel, other, link("theirs", "new")).map(|_| ()), expected);
        } else {
            assert_eq!(ask(&mut kernel, who, link("theirs", "new")).map(|_| ()), expected, "{mode:o}");
        }
        assert_eq!(kernel.hard_link(&under("theirs"), &under("by-root")), Ok(()));
    }
}

#[test]
fn permission_to_link_is_asked_of_the_file_before_the_directory() {
    let (mut kernel, who) = furnished();
    kernel.make_directory(Path::new("/roots"), 0o755, ROOT);
    kernel.write_file(Path::new("/roots/f"), b"");
    let mut link = |from: &str, to: &str| {
        let call =
            Call::Link { from_at: None, from: PathBuf::from(from), to_at: None, to: PathBuf::from(to) };
        ask(&mut kernel, who, call)
    };
    assert_eq!(link("/roots/f", "/roots/new"), Err(Errno::NotPermitted));
    assert_eq!(link("/roots/f", "/state/d"), Err(Errno::Exists));
    assert_eq!(link("/state/f", "/roots/new"), Err(Errno::AccessDenied));
}

#[test]
fn a_directory_is_listed_in_order_until_it_is_removed() {
    let (mut kernel, who) = furnished();
    let state = fd(ask(&mut kernel, who, open("/state", Open::directory())));
    let names = ["d", "dangling", "f", "ld", "lf", "loop"].map(OsString::from).to_vec();
    assert_eq!(ask(&mut kernel, who, Call::ReadDirectory { fd: state }), Ok(Reply::Names(names.clone())));
    assert_eq!(kernel.list(Path::new("/state")), Some(names));
    assert_eq!(kernel.list(Path::new("/state/f")), None);
    let file = fd(ask(&mut kernel, who, open("/state/f", Open::read())));
    assert_eq!(ask(&mut kernel, who, Call::ReadDirectory { fd: file }), Err(Errno::NotDirectory));
    let socket = fd(ask(&mut kernel, who, Call::ListenUnix { name: "x".into(), backlog: 1 }));
    assert_eq!(ask(&mut kernel, who, Call::ReadDirectory { fd: socket }), Err(Errno::NotDirectory));

    let removed = fd(ask(&mut kernel, who, open("/state/d/s", Open::directory())));
    ask(&mut kernel, who, remove_directory("d/s")).unwrap();
    assert_eq!(ask(&mut kernel, who, Call::ReadDirectory { fd: removed }), Err(Errno::NotFound));
    let inside = |path: &str| Call::MakeDirectory { at: Some(removed), path: path.into(), mode: 0o700 };
    assert_eq!(ask(&mut kernel, who, inside("x")), Err(Errno::NotFound));
    assert_eq!(ask(&mut kernel, who, inside("../x")), Ok(Reply::Done));
}

#[test]
fn a_directory_that_was_removed_keeps_those_above_it_and_nothing_else() {
    let (mut kernel, who) = furnished();
    let before = kernel.clone();
    let inner = fd(ask(&mut kernel, who, open("/state/d/s", Open::directory())));
    ask(&mut kernel, who, remove_directory("d/s")).unwrap();
    ask(&mut kernel, who, remove_directory("d")).unwrap();
    let up =
        fd(ask(&mut kernel, who, Call::Open { at: Some(inner), path: "..".into(), open: Open::directory() }));
    assert_eq!(
        ask(&mut kernel, who, Call::Stat { at: Some(up), path: "..".into(), links: Links::Follow }),
        ask(&mut kernel, who, Call::Stat { at: None, path: "/state".into(), links: Links::Follow })
    );
    for fd in [inner, up] {
        ask(&mut kernel, who, Call::Close { fd }).unwrap();
    }
    let mut expected = before;
    ask(&mut expected, who, remove_directory("d/s")).unwrap();
    ask(&mut expected, who, remove_directory("d")).unwrap();
    assert_eq!(kernel, expected);
}

#[test]
fn modes_and_times_are_the_owners_to_change() {
    let (mut kernel, who) = furnished();
    kernel.make_directory(Path::new("/state"), 0o755, USER);
    kernel.chmod(&under("f"), 0o644).unwrap();
    let other = process_of(&mut kernel, Uid(1001));
    let root = process_of(&mut kernel, ROOT);
    for (asker, expected) in
        [(who, Ok(Reply::Done)), (root, Ok(Reply::Done)), (other, Err(Errno::NotPermitted))]
    {
        let file = fd(ask(&mut kernel, asker, open("/state/f", Open::read())));
        let set_mode = Call::SetMode { fd: file, mode: 0o10_4755 };
        let set_modified = Call::SetModified { fd: file, modified_ns: 7 };
        assert_eq!(ask(&mut kernel, asker, set_mode), expected);
        assert_eq!(ask(&mut kernel, asker, set_modified), expected);
    }
    let status = stat(&mut kernel, who, "f");
    assert_eq!((status.mode, status.modified_ns), (0o4755, 7));
}

#[test]
fn each_process_has_a_mask_of_its_own_that_goes_with_it() {
    let (mut kernel, who) = furnished();
    let other = start(&mut kernel, "other");
    let mut word = |who, mask| ask(&mut kernel, who, Call::SetUmask { mask });
    assert_eq!(word(who, 0o7077), Ok(Reply::Word(0o022)));
    assert_eq!(word(who, 0o077), Ok(Reply::Word(0o077)));
    assert_eq!(word(other, 0o022), Ok(Reply::Word(0o022)));
    let open_file = Open { mode: 0o666, ..Open::create_exclusive() };
    ask(&mut kernel, who, open("/state/mine", open_file)).unwrap();
    ask(&mut kernel, other, open("/state/theirs", open_file)).unwrap();
    ask(&mut kernel, who, symlink("x", "link")).unwrap();
    assert_eq!(
        ["mine", "theirs", "link"].map(|name| stat(&mut kernel, who, name).mode),
        [0o600, 0o644, 0o777]
    );

    let mut unmasked = kernel.clone();
    ask(&mut unmasked, who, Call::SetUmask { mask: 0o022 }).unwrap();
    assert_ne!(kernel, unmasked);
    kernel.exit(who, 0);
    unmasked.exit(who, 0);
    assert_eq!(kernel, unmasked, "a dead process creates nothing");
}

#[test]
fn the_clock_of_the_file_system_stamps_what_changes() {
    let (mut kernel, who) = furnished();
    kernel.make_directory(&under("nfs"), 0o700, USER);
    kernel.mount(&under("nfs"), Mount { clock_offset_ms: -3_600_000, ..Mount::local() });
    let start_ns = 1_767_268_800_000_000_000;
    assert_eq!(stat(&mut kernel, who, "f").modified_ns, start_ns);
    kernel.advance(5);
    let later_ns = start_ns + 5_000_000;
    let file = fd(ask(&mut kernel, who, open("/state/f", Open { write: true, ..Open::read() })));
    assert_eq!(stat(&mut kernel, who, "f").modified_ns, start_ns);
    ask(&mut kernel, who, Call::Write { fd: file, offset: 0, bytes: vec![1] }).unwrap();
    assert_eq!(stat(&mut kernel, who, "f").modified_ns, later_ns);
    ask(&mut kernel, who, open("/state/nfs/f", Open::create_exclusive())).unwrap();
    for name in ["nfs/f", "nfs"] {
        assert_eq!(stat(&mut kernel, who, name).modified_ns, later_ns - 3_600_000_000_000, "{name}");
    }
    kernel.touch(&under("lf")).unwrap();
    assert_eq!(stat(&mut kernel, who, "f").modified_ns, later_ns);
}

#[test]
fn what_operators_do_by_hand_shows_in_the_effects() {
    const BY: ProcessId = ProcessId::ENVIRONMENT;
    let (mut kernel, who) = furnished();
    let file = stat(&mut kernel, who, "f").id;
    kernel.chmod(&under("lf"), 0o644).unwrap();
    kernel.chown(&under("f"), Uid(7)).unwrap();
    kernel.touch(&under("f")).unwrap();
    kernel.hard_link(&under("f"), &under("h")).unwrap();
    kernel.rename(&under("h"), &under("g")).unwrap();
    let changed = Effect::Changed { by: BY, file };
    assert_eq!(
        kernel.take_effects(),
        [
            changed.clone(),
            changed.clone(),
            changed,
            Effect::Linked { by: BY, file },
            Effect::Renamed { by: BY, file },
        ]
    );
    assert_eq!((stat(&mut kernel, who, "f").mode, stat(&mut kernel, who, "f").uid), (0o644, Uid(7)));
    assert_eq!(kernel.rename(&under("absent"), &under("g")), Err(Errno::NotFound));
    assert_eq!(kernel.hard_link(&under("f"), &under("g")), Err(Errno::Exists));
    assert_eq!(kernel.chmod(&under("absent"), 0), Err(Errno::NotFound));
    assert_eq!(kernel.touch(&under("absent/x")), Err(Errno::NotFound));
    assert_eq!(kernel.take_effects(), []);

    kernel.touch(&under("new")).unwrap();
    let new = stat(&mut kernel, who, "new");
    assert_eq!((new.mode, new.uid, new.size), (0o600, USER, 0));
    assert_eq!(kernel.take_effects(), [Effect::Created { by: BY, file: new.id, kind: FileKind::Regular }]);
}

#[test]
fn a_tree_is_removed_with_everything_in_it_and_links_are_not_followed() {
    let (mut kernel, who) = furnished();
    kernel.write_file(&under("d/s/f"), b"");
    kernel.make_symlink(&under("d/out"), Path::new("/state/f"));
    let held = fd(ask(&mut kernel, who, open("/state/d/s/f", Open::read())));
    let gone: Vec<FileId> =
        ["d/out", "d/s/f", "d/s", "d"].map(|name| stat(&mut kernel, who, name).id).to_vec();
    kernel.take_effects();
    kernel.remove_tree(&under("d")).unwrap();
    let unlinked = gone
        .into_iter()
        .map(|file| Effect::Unlinked { by: ProcessId::ENVIRONMENT, file })
        .collect::<Vec<_>>();
    assert_eq!(kernel.take_effects(), unlinked);
    assert_eq!(kernel.lookup(&under("d")), None);
    assert!(kernel.lookup(&under("f")).is_some());
    let Ok(Reply::File(status)) = ask(&mut kernel, who, Call::StatFd { fd: held }) else {
        panic!("no status")
    };
    assert_eq!(status.links, 0);
    assert_eq!(kernel.remove_tree(&under("d")), Ok(()));
    assert_eq!(kernel.remove_tree(&under("f")), Ok(()));
}

#[test]
fn a_freed_inode_number_comes_back_where_an_adversary_wants_it() {
    let (mut kernel, who) = furnished();
    let other = start(&mut kernel, "other");
    let create = |name: &str| open(&format!("/state/{name}"), Open::create_exclusive());
    ask(&mut kernel, who, create("lock")).unwrap();
    let old = kernel.lookup(&under("lock")).unwrap();
    ask(&mut kernel, who, Call::Unlink { at: None, path: under("lock") }).unwrap();
    ask(&mut kernel, who, Call::Close { fd: Fd(3) }).unwrap();
    assert_eq!(kernel.creator(old), who, "gone, but still known");

    kernel.reuse_inode(old);
    kernel.write_file(&under("scenery"), b"");
    ask(&mut kernel, other, create("lock")).unwrap();
    assert_eq!(kernel.lookup(&under("lock")), Some(old));
    assert_eq!(kernel.creator(old), other);
    ask(&mut kernel, other, create("next")).unwrap();
    let next = kernel.lookup(&under("next")).unwrap();
    assert_ne!(next, old);
    assert_eq!(kernel.creator(next), other);
    let again = std::panic::catch_unwind(|| kernel.clone().reuse_inode(old));
    assert!(again.is_err(), "a number has one file at a time");
}

#[test]
fn a_process_has_as_many_descriptors_as_it_may() {
    let (mut kernel, who) = furnished();
    let read = || open("/state/f", Open::read());
    ask(&mut kernel, who, read()).unwrap();
    ask(&mut kernel, who, read()).unwrap();
    kernel.limit_descriptors(who, 4);
    assert_eq!(ask(&mut kernel, who, read()), Err(Errno::TooManyFiles));
    assert_eq!(ask(&mut kernel, who, open("/state/absent", Open::read())), Err(Errno::TooManyFiles));
    let path = "n".repeat(4096);
    assert_eq!(ask(&mut kernel, who, open(&path, Open::read())), Err(Errno::NameTooLong));
    ask(&mut kernel, who, Call::Close { fd: Fd(3) }).unwrap();
    assert_eq!(fd(ask(&mut kernel, who, read())), Fd(3));
}
