//! Processes, what they hold, and the signals between them.

use std::collections::BTreeSet;

use portcullis_os::{Errno, Fd, FileId, Leads, LockMode, Open, Os, Pid, ProcessState, Signal, Watched};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tempfile::tempdir;

use crate::{Bystander, linux};

#[tokio::test]
async fn a_process_that_was_reaped_is_esrch_and_nowhere_in_proc() {
    let os = linux();
    let mut child = Bystander::start();
    os.kill(child.pid(), None).await.unwrap();
    assert!(os.processes().await.unwrap().contains(&child.pid()));
    child.kill_and_reap();
    assert_eq!(os.kill(child.pid(), None).await.unwrap_err(), Errno::NoProcess);
    assert_eq!(os.process_status(child.pid()).await.unwrap_err(), Errno::NotFound);
    assert_eq!(os.process_command(child.pid()).await.unwrap_err(), Errno::NotFound);
    let file = FileId { device: 1, inode: 1 };
    assert_eq!(os.holds_lock(child.pid(), file).await.unwrap_err(), Errno::NotFound);
    assert_eq!(os.holds_socket(child.pid(), 1).await.unwrap_err(), Errno::NotFound);
    assert!(!os.processes().await.unwrap().contains(&child.pid()));
}

#[tokio::test]
async fn no_number_addresses_a_process_group() {
    for raw in [u32::MAX, u32::MAX - 1, 1 << 31, i32::MAX.cast_unsigned()] {
        let nobody = Pid::new(raw).unwrap();
        assert_eq!(linux().kill(nobody, None).await.unwrap_err(), Errno::NoProcess, "{raw}");
    }
}

#[tokio::test]
async fn a_process_says_who_it_is_and_when_it_started() {
    let os = linux();
    let child = Bystander::start();
    let status = os.process_status(child.pid()).await.unwrap();
    assert_eq!(status.name, "cat");
    assert_eq!(status.parent, Some(os.own_pid().await.unwrap()));
    assert_eq!(os.process_command(child.pid()).await.unwrap(), "cat -");
    assert!(status.start >= os.process_status(os.own_pid().await.unwrap()).await.unwrap().start);
}

#[tokio::test]
async fn a_stopped_process_is_seen_stopped_until_it_is_continued() {
    let os = linux();
    let child = Bystander::start();
    os.kill(child.pid(), Some(Signal::Stop)).await.unwrap();
    waitid(WaitId::Pid(child.raw_pid()), WaitIdOptions::STOPPED).unwrap();
    assert_eq!(os.process_status(child.pid()).await.unwrap().state, ProcessState::Stopped);
    os.kill(child.pid(), Some(Signal::Continue)).await.unwrap();
    waitid(WaitId::Pid(child.raw_pid()), WaitIdOptions::CONTINUED).unwrap();
    assert_ne!(os.process_status(child.pid()).await.unwrap().state, ProcessState::Stopped);
}

#[tokio::test]
async fn a_dead_process_that_nobody_reaped_is_a_zombie_and_can_still_be_signalled() {
    let os = linux();
    let child = Bystander::start();
    os.kill(child.pid(), Some(Signal::Kill)).await.unwrap();
    waitid(WaitId::Pid(child.raw_pid()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    let status = os.process_status(child.pid()).await.unwrap();
    assert_eq!((status.state, status.name.as_str()), (ProcessState::Zombie, "cat"));
    assert_eq!(os.process_command(child.pid()).await.unwrap(), "");
    os.kill(child.pid(), None).await.unwrap();
}

#[tokio::test]
async fn proc_names_this_process_as_the_holder_of_a_flock() {
    let (os, home) = (linux(), tempdir().unwrap());
    let place = os.open(home.path(), Open::directory()).await.unwrap();
    let own = os.own_pid().await.unwrap();
    let file = os.stat_fd(&place).await.unwrap().id;
    assert!(!os.holds_lock(own, file).await.unwrap());
    assert_eq!(os.lock_takers(file).await.unwrap(), []);
    os.flock(&place, LockMode::Exclusive).await.unwrap();
    assert!(os.holds_lock(own, file).await.unwrap());
    assert_eq!(os.lock_takers(file).await.unwrap(), [own]);
    os.flock(&place, LockMode::Unlock).await.unwrap();
    assert!(!os.holds_lock(own, file).await.unwrap());
    assert_eq!(os.lock_takers(file).await.unwrap(), []);
}

/// One test, because signals come to the process, and tests may share one.
#[tokio::test]
async fn signals_are_kept_from_when_they_are_caught_and_wake_who_waits() {
    let os = linux();
    assert_eq!(os.next_signal().await.unwrap_err(), Errno::InvalidArgument);
    os.catch_signals().await.unwrap();
    let own = os.own_pid().await.unwrap();
    os.kill(own, Some(Signal::Interrupt)).await.unwrap();
    assert_eq!(os.next_signal().await.unwrap(), Signal::Interrupt);
    for signal in [Signal::Terminate, Signal::User2, Signal::User1, Signal::Interrupt] {
        os.kill(own, Some(signal)).await.unwrap();
    }
    // Each may arrive in another thread of this process, so in any order.
    let mut arrived = BTreeSet::new();
    for _ in 0..4 {
        arrived.insert(os.next_signal().await.unwrap());
    }
    assert_eq!(arrived, BTreeSet::from([Signal::Interrupt, Signal::User1, Signal::User2, Signal::Terminate]));
    os.kill(own, Some(Signal::Terminate)).await.unwrap();
    os.catch_signals().await.unwrap();
    assert_eq!(os.next_signal().await.unwrap(), Signal::Terminate);
    let waiting = tokio::spawn({
        let os = os.clone();
        async move { os.next_signal().await }
    });
    tokio::task::yield_now().await;
    os.kill(own, Some(Signal::Terminate)).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(Signal::Terminate));
    let place = tempdir().unwrap();
    let directory = os.open(place.path(), Open::directory()).await.unwrap();
    let leads = Leads::To(os.stat_fd(&directory).await.unwrap().id);
    let places = vec![
        Watched { at: None, path: place.path().to_owned(), leads },
        Watched { at: Some(directory.fd()), path: "next".into(), leads: Leads::Nowhere },
    ];
    os.kill(own, Some(Signal::Interrupt)).await.unwrap();
    assert_eq!(os.watch(places.clone(), 1).await, Ok(Signal::Interrupt));
    let watching = tokio::spawn({
        let (os, places) = (os.clone(), places.clone());
        async move { os.watch(places, 1).await }
    });
    tokio::task::yield_now().await;
    os.open_at(&directory, "next", Open::create_exclusive()).await.unwrap();
    assert_eq!(watching.await.unwrap(), Err(Errno::StaleHandle));
    let there = Watched { at: None, path: place.path().join("next"), leads: Leads::Somewhere };
    os.kill(own, Some(Signal::Interrupt)).await.unwrap();
    assert_eq!(os.watch(vec![there], 1).await, Ok(Signal::Interrupt));
    let gone = Watched { at: None, path: place.path().join("gone"), leads: Leads::Somewhere };
    assert_eq!(os.watch(vec![gone], 1).await, Err(Errno::StaleHandle));
    let elsewhere = vec![Watched { at: None, path: place.path().join("next"), leads }];
    assert_eq!(os.watch(elsewhere, 1).await, Err(Errno::StaleHandle));
    let unknown = vec![Watched { at: Some(Fd(-7)), path: "next".into(), leads: Leads::Nowhere }];
    assert_eq!(os.watch(unknown, 1).await, Err(Errno::BadDescriptor));
}
