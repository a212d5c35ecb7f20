//! Unix sockets under paths: the file is a name that outlives its socket, and moves without it.

use std::path::{Path, PathBuf};

use portcullis_os::{Call, Errno, Links, Open, Reply, UnixName};
use tempfile::TempDir;

use crate::twin::{First, Handle, Second, Twin, Who};

/// Both machines, and a directory that both have.
fn twin() -> (Twin, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let mut twin = Twin::new();
    twin.directory(home.path());
    (twin, home)
}

fn listen(twin: &mut Twin, path: &Path) -> Result<Handle, Errno> {
    twin.open(First, |_| Call::ListenUnix { name: UnixName::Path(path.to_owned()), backlog: 1 })
}

fn connect(twin: &mut Twin, path: &Path) -> Result<Handle, Errno> {
    twin.open(Second, |_| Call::ConnectUnix { name: UnixName::Path(path.to_owned()) })
}

fn done(twin: &mut Twin, call: &Call) {
    assert_eq!(twin.ask(First, |_| call.clone()), Ok(Reply::Done), "{call}");
}

fn rename(from: &Path, to: &Path) -> Call {
    Call::Rename { from_at: None, from: from.to_owned(), to_at: None, to: to.to_owned(), replace: true }
}

fn unlink(path: &Path) -> Call {
    Call::Unlink { at: None, path: path.to_owned() }
}

fn open(twin: &mut Twin, who: Who, path: &Path, open: Open) -> Result<Handle, Errno> {
    twin.open(who, |_| Call::Open { at: None, path: path.to_owned(), open })
}

#[test]
fn a_path_is_taken_until_it_is_unlinked_whoever_lives() {
    let (mut twin, home) = twin();
    let path = home.path().join("socket");
    assert_eq!(connect(&mut twin, &path), Err(Errno::NotFound));
    let listener = listen(&mut twin, &path).unwrap();
    assert_eq!(listen(&mut twin, &path), Err(Errno::AddressInUse));
    let client = connect(&mut twin, &path).unwrap();
    let server = twin.accept(First, &[listener]);
    twin.send(Second, client, b"hello").unwrap();
    assert_eq!(twin.receive(First, server), Ok(Reply::Bytes(b"hello".to_vec())));
    twin.ask(Second, |it| Call::PeerCredentials { fd: it.fd(client) }).unwrap();

    twin.close(First, listener);
    assert_eq!(connect(&mut twin, &path), Err(Errno::ConnectionRefused), "the name is stale");
    assert_eq!(listen(&mut twin, &path), Err(Errno::AddressInUse), "and taken");
    done(&mut twin, &unlink(&path));
    assert_eq!(connect(&mut twin, &path), Err(Errno::NotFound));
    listen(&mut twin, &path).unwrap();
    connect(&mut twin, &path).unwrap();
}

#[test]
fn a_socket_goes_with_its_file_and_not_with_the_name() {
    let (mut twin, home) = twin();
    let [old, new] = ["old", "new"].map(|name| home.path().join(name));
    let listener = listen(&mut twin, &old).unwrap();
    done(&mut twin, &rename(&old, &new));
    assert_eq!(connect(&mut twin, &old), Err(Errno::NotFound));
    connect(&mut twin, &new).unwrap();
    twin.accept(First, &[listener]);

    // A second one takes the old name. Moved over the first one, it is the one that answers.
    let second = listen(&mut twin, &old).unwrap();
    done(&mut twin, &rename(&old, &new));
    connect(&mut twin, &new).unwrap();
    twin.accept(First, &[listener, second]);

    // Without any name it still listens, and nobody finds it.
    done(&mut twin, &unlink(&new));
    assert_eq!(connect(&mut twin, &new), Err(Errno::NotFound));
    let third = listen(&mut twin, &new).unwrap();
    connect(&mut twin, &new).unwrap();
    twin.accept(First, &[second, third]);
}

#[test]
fn whatever_is_in_the_way_is_an_address_in_use() {
    let (mut twin, home) = twin();
    let path = |name: &str| home.path().join(name);
    open(&mut twin, First, &path("file"), Open::read_write_create()).unwrap();
    twin.ask(First, |_| Call::MakeDirectory { at: None, path: path("directory"), mode: 0o700 }).unwrap();
    twin.kernel.make_symlink(&path("dangling"), Path::new("nothing"));
    std::os::unix::fs::symlink("nothing", path("dangling")).unwrap();
    let cases = [
        ("file", Errno::AddressInUse),
        ("directory", Errno::AddressInUse),
        ("dangling", Errno::AddressInUse),
        (".", Errno::AddressInUse),
        ("..", Errno::AddressInUse),
        ("absent/socket", Errno::NotFound),
        ("file/socket", Errno::NotDirectory),
        ("fresh/", Errno::NotFound),
    ];
    for (name, errno) in cases {
        assert_eq!(listen(&mut twin, &path(name)), Err(errno), "{name}");
    }
    let cases = [
        ("file", Errno::ConnectionRefused),
        ("directory", Errno::ConnectionRefused),
        ("dangling", Errno::NotFound),
        ("file/", Errno::NotDirectory),
        ("file/socket", Errno::NotDirectory),
    ];
    for (name, errno) in cases {
        assert_eq!(connect(&mut twin, &path(name)), Err(errno), "{name}");
    }
}

#[test]
fn a_symbolic_link_leads_to_a_socket_that_is_there() {
    let (mut twin, home) = twin();
    let [socket, link] = ["socket", "link"].map(|name| home.path().join(name));
    twin.kernel.make_symlink(&link, Path::new("socket"));
    std::os::unix::fs::symlink("socket", &link).unwrap();
    assert_eq!(listen(&mut twin, &link), Err(Errno::AddressInUse));
    listen(&mut twin, &socket).unwrap();
    connect(&mut twin, &link).unwrap();
    assert_eq!(connect(&mut twin, &home.path().join("socket/")), Err(Errno::NotDirectory));
}

#[test]
fn the_file_of_a_socket_can_be_looked_at_and_not_opened() {
    let (mut twin, home) = twin();
    let path = home.path().join("socket");
    listen(&mut twin, &path).unwrap();
    twin.ask(First, |_| Call::Stat { at: None, path: path.clone(), links: Links::NoFollow }).unwrap();
    let refused = Err(Errno::NoDeviceOrAddress);
    assert_eq!(open(&mut twin, First, &path, Open::read()), refused);
    assert_eq!(open(&mut twin, First, &path, Open::read_write_create()), refused);
    assert_eq!(open(&mut twin, First, &path, Open::create_truncate()), refused);
    assert_eq!(open(&mut twin, First, &path, Open::create_exclusive()), Err(Errno::Exists));
    assert_eq!(open(&mut twin, First, &path, Open::directory()), Err(Errno::NotDirectory));
}

#[test]
fn a_path_has_room_for_108_bytes() {
    let mut twin = Twin::new();
    // Relative to nothing that exists, and too long or not all the same.
    let path = |bytes: usize| PathBuf::from(format!("/absent/{}", "x".repeat(bytes - "/absent/".len())));
    assert_eq!(listen(&mut twin, &path(108)), Err(Errno::NotFound));
    assert_eq!(connect(&mut twin, &path(108)), Err(Errno::NotFound));
    assert_eq!(listen(&mut twin, &path(109)), Err(Errno::NameTooLong));
    assert_eq!(connect(&mut twin, &path(109)), Err(Errno::NameTooLong));
    for nothing in ["", "/absent/\0"] {
        let errno = if nothing.is_empty() { Errno::NotFound } else { Errno::InvalidArgument };
        assert_eq!(listen(&mut twin, Path::new(nothing)), Err(errno));
        assert_eq!(connect(&mut twin, Path::new(nothing)), Err(errno));
    }
}
