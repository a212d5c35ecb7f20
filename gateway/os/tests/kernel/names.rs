//! Names, modes and times: links of both kinds, directories and what is in them, the mask.

use std::ffi::OsString;
use std::path::Path;

use portcullis_os::{Call, Errno, Fd, Links, Linux, Open, Os, Reply};
use tempfile::{TempDir, tempdir};

use crate::linux;

/// A directory with the file `f` of one byte, the empty directory `d`, and the symbolic link `l` to nowhere.
async fn furnished() -> (Linux, TempDir) {
    let (os, home) = (linux(), tempdir().unwrap());
    let file = os.open(&home.path().join("f"), Open::create_exclusive()).await.unwrap();
    os.write(&file, 0, b"x").await.unwrap();
    os.make_directory(&home.path().join("d"), 0o700).await.unwrap();
    os.call(symlink("nowhere", &home.path().join("l"))).await.unwrap();
    (os, home)
}

fn symlink(target: &str, path: &Path) -> Call {
    Call::Symlink { target: target.into(), at: None, path: path.to_owned() }
}

fn link(from: &Path, to: &Path) -> Call {
    Call::Link { from_at: None, from: from.to_owned(), to_at: None, to: to.to_owned() }
}

async fn open(os: &Linux, path: &Path, open: Open) -> Fd {
    os.open(path, open).await.unwrap().leak()
}

#[tokio::test]
async fn a_hard_link_is_one_more_name_of_the_same_inode_and_takes_no_name_from_another() {
    let (os, home) = furnished().await;
    let [f, h, d, l] = ["f", "h", "d", "l"].map(|name| home.path().join(name));
    os.call(link(&f, &h)).await.unwrap();
    let (one, other) =
        (os.stat(&f, Links::NoFollow).await.unwrap(), os.stat(&h, Links::NoFollow).await.unwrap());
    assert_eq!(one, other);
    assert_eq!(one.links, 2);
    assert_eq!(os.call(link(&f, &h)).await, Err(Errno::Exists));
    assert_eq!(os.call(link(&f, &l)).await, Err(Errno::Exists));
    assert_eq!(os.call(link(&home.path().join("absent"), &f)).await, Err(Errno::NotFound));
    assert_eq!(os.call(link(&d, &home.path().join("d2"))).await, Err(Errno::NotPermitted));
    os.call(link(&l, &home.path().join("l2"))).await.unwrap();
    assert_eq!(os.stat(&l, Links::NoFollow).await.unwrap().links, 2);
}

#[tokio::test]
async fn a_symbolic_link_says_what_it_was_told_and_need_not_lead_anywhere() {
    let (os, home) = furnished().await;
    let [f, l] = ["f", "l"].map(|name| home.path().join(name));
    let read = |path: &Path| os.call(Call::ReadLink { at: None, path: path.to_owned() });
    assert_eq!(read(&l).await, Ok(Reply::Path("nowhere".into())));
    assert_eq!(read(&f).await, Err(Errno::InvalidArgument));
    assert_eq!(read(&home.path().join("absent")).await, Err(Errno::NotFound));
    assert_eq!(os.call(symlink("other", &l)).await, Err(Errno::Exists));
    assert_eq!(os.call(symlink("", &home.path().join("empty"))).await, Err(Errno::NotFound));
    let long = "n/".repeat(1000);
    os.call(symlink(&long, &home.path().join("long"))).await.unwrap();
    assert_eq!(read(&home.path().join("long")).await, Ok(Reply::Path(long.into())));
    assert_eq!(
        os.open(&l, Open { no_follow: false, ..Open::create_exclusive() }).await.unwrap_err(),
        Errno::Exists
    );
}

#[tokio::test]
async fn only_an_empty_directory_is_removed() {
    let (os, home) = furnished().await;
    let remove = |path: &Path| os.call(Call::RemoveDirectory { at: None, path: path.to_owned() });
    let d = home.path().join("d");
    os.make_directory(&d.join("s"), 0o700).await.unwrap();
    assert_eq!(remove(&d).await, Err(Errno::NotEmpty));
    assert_eq!(remove(&home.path().join("f")).await, Err(Errno::NotDirectory));
    assert_eq!(remove(&d.join("s/.")).await, Err(Errno::InvalidArgument));
    let inside = open(&os, &d.join("s"), Open::directory()).await;
    assert_eq!(remove(&d.join("s")).await, Ok(Reply::Done));
    assert_eq!(remove(&d.join("s")).await, Err(Errno::NotFound));
    assert_eq!(os.call(Call::ReadDirectory { fd: inside }).await, Err(Errno::NotFound));
    assert_eq!(remove(&d).await, Ok(Reply::Done));
}

#[tokio::test]
async fn a_directory_is_listed_whole_in_order_and_again() {
    let (os, home) = furnished().await;
    let fd = open(&os, home.path(), Open::directory()).await;
    let list = || os.call(Call::ReadDirectory { fd });
    let names = |names: &[&str]| Ok(Reply::Names(names.iter().map(OsString::from).collect()));
    assert_eq!(list().await, names(&["d", "f", "l"]));
    os.unlink(&home.path().join("l")).await.unwrap();
    os.make_directory(&home.path().join("a"), 0o700).await.unwrap();
    assert_eq!(list().await, names(&["a", "d", "f"]));
    let file = open(&os, &home.path().join("f"), Open::read()).await;
    assert_eq!(os.call(Call::ReadDirectory { fd: file }).await, Err(Errno::NotDirectory));
    let socket = os.listen_unix(crate::name(&os, "listing").await, 1).await.unwrap();
    assert_eq!(os.call(Call::ReadDirectory { fd: socket.fd() }).await, Err(Errno::NotDirectory));
}

#[tokio::test]
async fn a_directory_of_too_many_names_is_refused() {
    let (os, home) = (linux(), tempdir().unwrap());
    let fd = open(&os, home.path(), Open::directory()).await;
    for number in 0..10_000 {
        os.call(symlink("x", &home.path().join(number.to_string()))).await.unwrap();
    }
    let Ok(Reply::Names(names)) = os.call(Call::ReadDirectory { fd }).await else { panic!("no names") };
    assert_eq!(names.len(), 10_000);
    os.call(symlink("x", &home.path().join("one more"))).await.unwrap();
    assert_eq!(os.call(Call::ReadDirectory { fd }).await, Err(Errno::FileTooBig));
}

#[tokio::test]
async fn a_rename_that_replaces_nothing_is_eexist_over_a_file() {
    let (os, home) = furnished().await;
    let rename = |from: &str, to: &str, replace| {
        let (from, to) = (home.path().join(from), home.path().join(to));
        os.call(Call::Rename { from_at: None, from, to_at: None, to, replace })
    };
    assert_eq!(rename("f", "l", false).await, Err(Errno::Exists));
    assert_eq!(rename("f", "f", false).await, Err(Errno::Exists));
    assert_eq!(rename("absent", "l", false).await, Err(Errno::NotFound));
    assert_eq!(rename("f", "g", false).await, Ok(Reply::Done));
    assert_eq!(rename("g", "l", true).await, Ok(Reply::Done));
}

#[tokio::test]
async fn modes_and_times_are_set_through_a_descriptor_for_reading() {
    let (os, home) = furnished().await;
    let fd = open(&os, &home.path().join("f"), Open::read()).await;
    let modified_ns = 1_234_567_890_987_654_321;
    assert_eq!(os.call(Call::SetMode { fd, mode: 0o640 }).await, Ok(Reply::Done));
    assert_eq!(os.call(Call::SetModified { fd, modified_ns }).await, Ok(Reply::Done));
    let status = os.stat(&home.path().join("f"), Links::NoFollow).await.unwrap();
    assert_eq!((status.mode, status.modified_ns), (0o640, modified_ns));
    let file = os.open(&home.path().join("f"), Open { write: true, ..Open::read() }).await.unwrap();
    os.write(&file, 0, b"y").await.unwrap();
    assert!(os.stat_fd(&file).await.unwrap().modified_ns > modified_ns);
}

#[tokio::test]
async fn a_file_opened_for_appending_grows_at_its_end() {
    let (os, home) = furnished().await;
    let append = Open { write: true, append: true, ..Open::read() };
    let file = os.open(&home.path().join("f"), append).await.unwrap();
    assert_eq!(os.write(&file, 0, b"yz").await.unwrap(), 2);
    assert_eq!(os.read(&file, 0, 9).await.unwrap(), b"xyz");
    assert_eq!(os.write(&file, u64::MAX, b"!").await.unwrap_err(), Errno::InvalidArgument);
}

#[tokio::test]
async fn nothing_is_read_from_a_directory_however_little_is_asked_for() {
    let (os, home) = furnished().await;
    let directory = os.open(home.path(), Open::directory()).await.unwrap();
    for length in [0, 1] {
        assert_eq!(os.read(&directory, 0, length).await.unwrap_err(), Errno::IsDirectory);
    }
}

#[tokio::test]
async fn the_mask_is_the_old_one_and_is_taken_from_what_is_created() {
    let (os, home) = furnished().await;
    let mask = |mask| os.call(Call::SetUmask { mask });
    let usual = mask(0o7077).await;
    assert_eq!(mask(0o077).await, Ok(Reply::Word(0o077)), "only the permission bits count");
    open(&os, &home.path().join("g"), Open { mode: 0o666, ..Open::create_exclusive() }).await;
    assert_eq!(os.stat(&home.path().join("g"), Links::NoFollow).await.unwrap().mode, 0o600);
    let Ok(Reply::Word(usual)) = usual else { panic!("no mask but {usual:?}") };
    assert_eq!(mask(usual as u32).await, Ok(Reply::Word(0o077)));
}
