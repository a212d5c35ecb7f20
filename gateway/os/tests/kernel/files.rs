//! Files: names, descriptors and flocks.

use std::os::unix::fs::symlink;
use std::path::Path;

use portcullis_os::{Call, Descriptor, Errno, FileKind, Links, Linux, LockMode, Open, Os};
use tempfile::tempdir;

use crate::{Bystander, linux};

async fn directory(os: &Linux, path: &Path) -> Descriptor<Linux> {
    os.open(path, Open::directory()).await.unwrap()
}

#[tokio::test]
async fn creating_exclusively_over_an_existing_name_is_eexist() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("lock");
    let first = os.open(&path, Open::create_exclusive()).await.unwrap();
    assert_eq!(os.open(&path, Open::create_exclusive()).await.unwrap_err(), Errno::Exists);
    assert_eq!(os.stat(&path, Links::NoFollow).await.unwrap().mode, 0o600);
    first.close().await.unwrap();
}

#[tokio::test]
async fn opening_what_is_not_there_is_enoent_and_below_a_file_enotdir() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("absent");
    assert_eq!(os.open(&path, Open::read()).await.unwrap_err(), Errno::NotFound);
    assert_eq!(os.stat(&path, Links::Follow).await.unwrap_err(), Errno::NotFound);
    assert_eq!(os.unlink(&path).await.unwrap_err(), Errno::NotFound);
    let file = os.open(&path, Open::read_write_create()).await.unwrap();
    assert_eq!(os.open(&path.join("below"), Open::read()).await.unwrap_err(), Errno::NotDirectory);
    assert_eq!(os.open(&path, Open::directory()).await.unwrap_err(), Errno::NotDirectory);
    assert_eq!(os.open_at(&file, "below", Open::read()).await.unwrap_err(), Errno::NotDirectory);
}

#[tokio::test]
async fn a_symbolic_link_is_eloop_for_who_does_not_follow() {
    let (os, home) = (linux(), tempdir().unwrap());
    let (target, link) = (home.path().join("target"), home.path().join("link"));
    let file = os.open(&target, Open::read_write_create()).await.unwrap();
    symlink(&target, &link).unwrap();
    assert_eq!(os.open(&link, Open::read_write_create()).await.unwrap_err(), Errno::SymlinkLoop);
    assert_eq!(os.stat(&link, Links::NoFollow).await.unwrap().kind, FileKind::Symlink);
    let followed = os.stat(&link, Links::Follow).await.unwrap();
    assert_eq!(followed, os.stat_fd(&file).await.unwrap());
    assert_eq!(os.stat_fd(&os.open(&link, Open::read()).await.unwrap()).await.unwrap(), followed);
}

#[tokio::test]
async fn a_flock_on_a_directory_excludes_a_second_description_until_it_is_closed() {
    let (os, home) = (linux(), tempdir().unwrap());
    let first = directory(&os, home.path()).await;
    let second = directory(&os, home.path()).await;
    os.flock(&first, LockMode::Exclusive).await.unwrap();
    assert_eq!(os.flock(&second, LockMode::Exclusive).await.unwrap_err(), Errno::WouldBlock);
    assert_eq!(os.flock(&second, LockMode::Shared).await.unwrap_err(), Errno::WouldBlock);
    os.flock(&first, LockMode::Exclusive).await.unwrap();
    drop(first);
    os.flock(&second, LockMode::Shared).await.unwrap();
    let third = directory(&os, home.path()).await;
    os.flock(&third, LockMode::Shared).await.unwrap();
    assert_eq!(os.flock(&third, LockMode::Exclusive).await.unwrap_err(), Errno::WouldBlock);
    os.flock(&second, LockMode::Unlock).await.unwrap();
    os.flock(&third, LockMode::Exclusive).await.unwrap();
}

#[tokio::test]
async fn a_child_inherits_no_lock() {
    let (os, home) = (linux(), tempdir().unwrap());
    let held = directory(&os, home.path()).await;
    os.flock(&held, LockMode::Exclusive).await.unwrap();
    let child = Bystander::start();
    let file = os.stat_fd(&held).await.unwrap().id;
    assert!(!os.holds_lock(child.pid(), file).await.unwrap());
    held.close().await.unwrap();
    os.flock(&directory(&os, home.path()).await, LockMode::Exclusive).await.unwrap();
}

#[tokio::test]
async fn bytes_are_written_and_read_where_the_caller_says() {
    let (os, home) = (linux(), tempdir().unwrap());
    let file = os.open(&home.path().join("record"), Open::read_write_create()).await.unwrap();
    assert_eq!(os.write(&file, 0, b"epoch 17").await.unwrap(), 8);
    assert_eq!(os.write(&file, 6, b"18").await.unwrap(), 2);
    assert_eq!(os.read(&file, 0, 1 << 20).await.unwrap(), b"epoch 18");
    assert_eq!(os.read(&file, 6, 1).await.unwrap(), b"1");
    assert_eq!(os.read(&file, 6, 0).await.unwrap(), b"");
    assert_eq!(os.read(&file, 8, 100).await.unwrap(), b"");
    os.truncate(&file, 5).await.unwrap();
    os.sync(&file).await.unwrap();
    assert_eq!(os.stat_fd(&file).await.unwrap().size, 5);
}

#[tokio::test]
async fn a_file_opened_for_reading_is_not_written() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("record");
    drop(os.open(&path, Open::read_write_create()).await.unwrap());
    let file = os.open(&path, Open::read()).await.unwrap();
    assert_eq!(os.write(&file, 0, b"x").await.unwrap_err(), Errno::BadDescriptor);
    assert_eq!(os.truncate(&file, 0).await.unwrap_err(), Errno::InvalidArgument);
    let place = directory(&os, home.path()).await;
    assert_eq!(os.read(&place, 0, 1).await.unwrap_err(), Errno::IsDirectory);
    os.sync(&place).await.unwrap();
}

#[tokio::test]
async fn a_rename_replaces_the_name_and_keeps_the_inode() {
    let (os, home) = (linux(), tempdir().unwrap());
    let place = directory(&os, home.path()).await;
    let old = os.open_at(&place, "record", Open::create_exclusive()).await.unwrap();
    let new = os.open_at(&place, "record.new", Open::create_exclusive()).await.unwrap();
    os.rename_at(&place, "record.new", "record").await.unwrap();
    let named = os.stat_at(&place, "record", Links::NoFollow).await.unwrap();
    assert_eq!(named, os.stat_fd(&new).await.unwrap());
    assert_eq!(os.stat_fd(&old).await.unwrap().links, 0);
    assert_eq!(os.rename_at(&place, "record.new", "record").await.unwrap_err(), Errno::NotFound);
}

#[tokio::test]
async fn a_directory_is_made_once_and_not_unlinked() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("state");
    os.make_directory(&path, 0o700).await.unwrap();
    assert_eq!(os.make_directory(&path, 0o700).await.unwrap_err(), Errno::Exists);
    let status = os.stat(&path, Links::NoFollow).await.unwrap();
    assert_eq!(
        (status.kind, status.mode, status.uid),
        (FileKind::Directory, 0o700, os.own_uid().await.unwrap())
    );
    assert_eq!(os.unlink(&path).await.unwrap_err(), Errno::IsDirectory);
    let place = directory(&os, &path).await;
    assert_ne!(os.file_system(&place).await.unwrap().magic, 0);
    assert_eq!(os.open(&path, Open::read_write_create()).await.unwrap_err(), Errno::IsDirectory);
}

#[tokio::test]
async fn a_fifo_in_the_place_of_a_file_stops_nobody() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("lock");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let fifo = os.open(&path, Open::read()).await.unwrap();
    assert_eq!(os.stat_fd(&fifo).await.unwrap().kind, FileKind::Special);
}

#[tokio::test]
async fn a_descriptor_that_is_not_open_is_ebadf_and_so_is_one_that_was_inherited() {
    let (os, home) = (linux(), tempdir().unwrap());
    let fd = directory(&os, home.path()).await.leak();
    os.clone().close(fd).await.unwrap();
    assert_eq!(os.close(fd).await.unwrap_err(), Errno::BadDescriptor);
    for fd in [fd, portcullis_os::Fd(1), portcullis_os::Fd(-100)] {
        assert_eq!(os.call(Call::Sync { fd }).await, Err(Errno::BadDescriptor));
        let open = Call::Open { at: Some(fd), path: "lock".into(), open: Open::read() };
        assert_eq!(os.call(open).await, Err(Errno::BadDescriptor));
    }
}
