//! Byte range locks, of processes and of open file descriptions.

use std::path::Path;

use portcullis_os::{
    ByteRange, Call, Descriptor, Errno, Fd, Linux, LockMode, Open, Os, RangeHolder, RangeOwner, Reply,
};
use tempfile::tempdir;

use crate::linux;

use RangeOwner::{Description, Process};

async fn file(os: &Linux, home: &Path) -> Descriptor<Linux> {
    os.open(&home.join("lock"), Open::read_write_create()).await.unwrap()
}

async fn holder(os: &Linux, file: &Descriptor<Linux>, owner: RangeOwner) -> Option<RangeHolder> {
    let call = Call::RangeHolder { fd: file.fd(), owner, mode: LockMode::Exclusive, range: ByteRange::WHOLE };
    match os.call(call).await {
        Ok(Reply::Range(holder)) => holder,
        other => panic!("no holder but {other:?}"),
    }
}

#[tokio::test]
async fn a_lock_of_a_description_excludes_another_in_one_process_until_its_own_is_closed() {
    let (os, home) = (linux(), tempdir().unwrap());
    let [first, second, third] =
        [file(&os, home.path()).await, file(&os, home.path()).await, file(&os, home.path()).await];
    let range = ByteRange { start: 7, length: 2 };
    os.lock_range(&first, Description, LockMode::Exclusive, range).await.unwrap();
    let refused = os.lock_range(&second, Description, LockMode::Shared, ByteRange::WHOLE).await;
    assert_eq!(refused, Err(Errno::WouldBlock));
    third.close().await.unwrap();
    let found = RangeHolder { mode: LockMode::Exclusive, range, pid: None };
    assert_eq!(holder(&os, &second, Description).await, Some(found));
    first.close().await.unwrap();
    assert_eq!(holder(&os, &second, Description).await, None);
}

#[tokio::test]
async fn all_values_of_one_process_share_its_locks_and_any_close_of_the_file_drops_them() {
    let (os, other, home) = (linux(), linux(), tempdir().unwrap());
    let first = file(&os, home.path()).await;
    let second = file(&other, home.path()).await;
    let asker = file(&os, home.path()).await;
    for (of, file) in [(&os, &first), (&other, &second)] {
        of.lock_range(file, Process, LockMode::Exclusive, ByteRange::WHOLE).await.unwrap();
    }
    let found =
        RangeHolder { mode: LockMode::Exclusive, range: ByteRange::WHOLE, pid: os.own_pid().await.ok() };
    assert_eq!(holder(&os, &asker, Description).await, Some(found));
    assert_eq!(holder(&os, &asker, Process).await, None);
    drop(second);
    assert_eq!(holder(&os, &asker, Description).await, None);
}

#[tokio::test]
async fn an_offset_that_the_kernel_would_read_as_negative_is_einval() {
    let (os, home) = (linux(), tempdir().unwrap());
    let lock = file(&os, home.path()).await;
    let last = i64::MAX.cast_unsigned();
    for (start, length, expected) in [
        (last, 1, Ok(())),
        (last, 2, Err(Errno::Overflow)),
        (last + 1, 1, Err(Errno::InvalidArgument)),
        (8, u64::MAX - 2, Err(Errno::InvalidArgument)),
    ] {
        let range = ByteRange { start, length };
        for owner in [Process, Description] {
            assert_eq!(os.lock_range(&lock, owner, LockMode::Exclusive, range).await, expected, "{range:?}");
            assert_eq!(os.lock_range(&lock, owner, LockMode::Unlock, range).await, expected, "{range:?}");
        }
    }
    let unknown = Call::LockRange {
        fd: Fd(900),
        owner: Process,
        mode: LockMode::Exclusive,
        range: ByteRange { start: last + 1, length: 0 },
    };
    assert_eq!(os.call(unknown).await, Err(Errno::BadDescriptor));
}
