//! Children, what they inherit, and processes held by pidfd.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::channel;

use portcullis_os::{
    Call, Descriptor, Ending, Errno, FOREVER_MS, Fd, Linux, LockMode, Open, Os, Pid, ProcessState, Reply,
    Signal,
};
use tempfile::tempdir;

use crate::linux;

/// Long enough for everything that happens at once, however busy the machine is.
const PLENTY_MS: u32 = 60_000;

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

/// A child that sleeps until it is killed, and does not outlive the test.
struct Child(Linux, Pid);

impl Child {
    /// Returns when its own program runs, so that it has closed what is close-on-exec.
    async fn sleeping(os: &Linux) -> Self {
        let pid = spawn(os, &words("/bin/sleep 1000")).await.unwrap();
        while os.process_status(pid).await.unwrap().name != "sleep" {
            tokio::task::yield_now().await;
        }
        Self(os.clone(), pid)
    }

    /// Returns when it has stopped: a signal that comes earlier is delivered first if its number is lower.
    async fn stop(&self) {
        self.send(Signal::Stop).await;
        while self.0.process_status(self.1).await.unwrap().state != ProcessState::Stopped {
            tokio::task::yield_now().await;
        }
    }

    async fn send(&self, signal: Signal) {
        self.0.kill(self.1, Some(signal)).await.unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be reaped already.
        if let Some(pid) = rustix::process::Pid::from_raw(self.1.get().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        }
    }
}

async fn spawn(os: &Linux, command: &[String]) -> Result<Pid, Errno> {
    let call = Call::Spawn { command: command.to_owned() };
    os.answer(call, |reply| if let Reply::Pid(pid) = reply { Ok(pid) } else { Err(reply) }).await
}

async fn reap(os: &Linux, pid: Pid) -> Result<Ending, Errno> {
    let take = |reply| if let Reply::Ended(ending) = reply { Ok(ending) } else { Err(reply) };
    os.answer(Call::Reap { pid }, take).await
}

async fn pidfd(os: &Linux, pid: Pid) -> Result<Fd, Errno> {
    os.descriptor(Call::OpenPidfd { pid }).await.map(Descriptor::leak)
}

async fn wait(os: &Linux, fd: Fd, deadline_ms: u32) -> Result<(), Errno> {
    os.done(Call::WaitPidfd { fd, deadline_ms }).await
}

async fn signal(os: &Linux, fd: Fd, signal: Option<Signal>) -> Result<(), Errno> {
    os.done(Call::SignalPidfd { fd, signal }).await
}

async fn locked(os: &Linux, path: &Path) -> Descriptor<Linux> {
    let file = os.open(path, Open::read_write_create()).await.unwrap();
    os.flock(&file, LockMode::Exclusive).await.unwrap();
    file
}

async fn duplicate(os: &Linux, file: &Descriptor<Linux>) -> Descriptor<Linux> {
    os.descriptor(Call::Duplicate { fd: file.fd() }).await.unwrap()
}

#[tokio::test]
async fn a_child_is_reaped_once_and_tells_how_it_ended() {
    let os = linux();
    for (script, ending) in [
        ("exit 78", Ending::Exited(78)),
        ("kill -TERM $$", Ending::Killed(Signal::Terminate)),
        ("kill -KILL $$", Ending::Killed(Signal::Kill)),
        ("kill -HUP $$", Ending::KilledBy(1)),
    ] {
        let child = spawn(&os, &["/bin/sh", "-c", script].map(str::to_owned)).await.unwrap();
        let held = pidfd(&os, child).await.unwrap();
        assert_eq!(wait(&os, held, FOREVER_MS).await, Ok(()));
        assert_eq!(os.process_status(child).await.unwrap().state, ProcessState::Zombie);
        assert_eq!(signal(&os, held, None).await, Ok(()), "a zombie can be signalled");
        assert_eq!(signal(&os, held, Some(Signal::Kill)).await, Ok(()));
        assert_eq!(reap(&os, child).await, Ok(ending), "{script}");
        assert_eq!(reap(&os, child).await, Err(Errno::NoChild));
        assert_eq!(signal(&os, held, None).await, Err(Errno::NoProcess));
        assert_eq!(wait(&os, held, PLENTY_MS).await, Ok(()), "dead is dead, reaped or not");
        assert_eq!(pidfd(&os, child).await, Err(Errno::NoProcess));
    }
}

#[tokio::test]
async fn nobody_reaps_a_child_that_lives_or_is_not_his() {
    let os = linux();
    let child = Child::sleeping(&os).await;
    assert_eq!(reap(&os, child.1).await, Err(Errno::WouldBlock));
    child.stop().await;
    assert_eq!(reap(&os, child.1).await, Err(Errno::WouldBlock));
    assert_eq!(reap(&os, os.own_pid().await.unwrap()).await, Err(Errno::NoChild));
    assert_eq!(reap(&os, Pid::new(u32::MAX).unwrap()).await, Err(Errno::NoChild));
}

#[tokio::test]
async fn a_program_that_cannot_run_leaves_no_child() {
    let (os, home) = (linux(), tempdir().unwrap());
    for (command, errno) in [
        (vec![home.path().join("absent").display().to_string()], Errno::NotFound),
        (vec![home.path().display().to_string()], Errno::AccessDenied),
        (words("sleep 1000"), Errno::InvalidArgument),
        (vec!["/bin/sleep".to_owned(), "1\0".to_owned()], Errno::InvalidArgument),
        (Vec::new(), Errno::InvalidArgument),
    ] {
        assert_eq!(spawn(&os, &command).await, Err(errno), "{command:?}");
    }
}

#[tokio::test]
async fn a_child_that_inherits_a_descriptor_keeps_its_lock_until_it_is_dead() {
    let (os, home) = (linux(), tempdir().unwrap());
    let (kept, closed) = (home.path().join("kept"), home.path().join("closed"));
    let (file, other) = (locked(&os, &kept).await, locked(&os, &closed).await);
    os.done(Call::SetInherit { fd: file.fd(), inherit: true }).await.unwrap();
    os.done(Call::SetInherit { fd: other.fd(), inherit: true }).await.unwrap();
    os.done(Call::SetInherit { fd: other.fd(), inherit: false }).await.unwrap();
    let child = Child::sleeping(&os).await;
    let id = os.stat_fd(&file).await.unwrap().id;
    file.close().await.unwrap();
    other.close().await.unwrap();
    locked(&os, &closed).await;
    let again = os.open(&kept, Open::read()).await.unwrap();
    assert_eq!(os.flock(&again, LockMode::Shared).await, Err(Errno::WouldBlock));
    assert!(os.holds_lock(child.1, id).await.unwrap());
    assert!(!os.holds_lock(os.own_pid().await.unwrap(), id).await.unwrap());
    assert_eq!(
        os.lock_takers(id).await.unwrap(),
        [os.own_pid().await.unwrap()],
        "who took it, not who has it"
    );

    let held = pidfd(&os, child.1).await.unwrap();
    signal(&os, held, Some(Signal::Kill)).await.unwrap();
    wait(&os, held, PLENTY_MS).await.unwrap();
    assert_eq!(os.flock(&again, LockMode::Exclusive).await, Ok(()));
}

#[tokio::test]
async fn whoever_is_dead_holds_no_lock() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("lock");
    for _ in 0..30 {
        let file = locked(&os, &path).await;
        os.done(Call::SetInherit { fd: file.fd(), inherit: true }).await.unwrap();
        let child = Child::sleeping(&os).await;
        let held = pidfd(&os, child.1).await.unwrap();
        file.close().await.unwrap();
        child.send(Signal::Kill).await;
        wait(&os, held, PLENTY_MS).await.unwrap();
        locked(&os, &path).await;
    }
}

#[tokio::test]
async fn a_duplicate_holds_the_same_lock() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("lock");
    let file = locked(&os, &path).await;
    let copy = duplicate(&os, &file).await;
    assert_eq!(os.flock(&copy, LockMode::Exclusive).await, Ok(()), "it has it already");
    file.close().await.unwrap();
    let other = os.open(&path, Open::read()).await.unwrap();
    assert_eq!(os.flock(&other, LockMode::Exclusive).await, Err(Errno::WouldBlock));
    let last = duplicate(&os, &copy).await;
    os.flock(&last, LockMode::Unlock).await.unwrap();
    assert_eq!(os.flock(&other, LockMode::Exclusive).await, Ok(()));
    assert_eq!(os.flock(&copy, LockMode::Exclusive).await, Err(Errno::WouldBlock));
    for call in [Call::Duplicate { fd: Fd(9999) }, Call::SetInherit { fd: Fd(9999), inherit: true }] {
        assert_eq!(os.call(call).await, Err(Errno::BadDescriptor));
    }
}

#[tokio::test]
async fn a_pidfd_is_readable_when_its_process_is_dead_and_not_before() {
    let os = linux();
    let child = Child::sleeping(&os).await;
    let held = pidfd(&os, child.1).await.unwrap();
    assert_eq!(wait(&os, held, 1).await, Err(Errno::TimedOut));
    child.stop().await;
    child.send(Signal::Terminate).await;
    assert_eq!(wait(&os, held, 1).await, Err(Errno::TimedOut), "SIGTERM waits while it is stopped");
    child.send(Signal::Kill).await;
    assert_eq!(wait(&os, held, PLENTY_MS).await, Ok(()));
    assert_eq!(reap(&os, child.1).await, Ok(Ending::Killed(Signal::Kill)));
}

#[tokio::test]
async fn who_waits_on_a_pidfd_that_is_closed_is_told() {
    let os = linux();
    let child = Child::sleeping(&os).await;
    let held = pidfd(&os, child.1).await.unwrap();
    let waiting = tokio::spawn({
        let os = os.clone();
        async move { wait(&os, held, PLENTY_MS).await }
    });
    tokio::task::yield_now().await;
    os.close(held).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Err(Errno::BadDescriptor));
}

#[tokio::test]
async fn what_is_no_pidfd_says_so() {
    let (os, home) = (linux(), tempdir().unwrap());
    let file = os.open(home.path(), Open::directory()).await.unwrap();
    for fd in [file.fd(), Fd(9999)] {
        assert_eq!(signal(&os, fd, None).await, Err(Errno::BadDescriptor));
        assert_eq!(signal(&os, fd, Some(Signal::Kill)).await, Err(Errno::BadDescriptor));
        assert_eq!(wait(&os, fd, 1).await, Err(Errno::BadDescriptor));
    }
    assert_eq!(pidfd(&os, Pid::new(u32::MAX).unwrap()).await, Err(Errno::NoProcess));
}

#[tokio::test]
async fn a_thread_has_a_number_that_finds_its_process_and_is_not_listed() {
    let os = linux();
    let ((tell, told), (end, ended)) = (channel(), channel::<()>());
    let thread = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid()).unwrap();
        // Until the other end is dropped.
        ended.recv().unwrap_err();
    });
    let tid = Pid::new(told.recv().unwrap().as_raw_nonzero().get().cast_unsigned()).unwrap();
    let own = os.own_pid().await.unwrap();
    assert_eq!(os.kill(tid, None).await, Ok(()));
    assert!(!os.processes().await.unwrap().contains(&tid));
    let (of_thread, of_process) =
        (os.process_status(tid).await.unwrap(), os.process_status(own).await.unwrap());
    assert_eq!(of_thread.parent, of_process.parent);
    assert!(of_thread.start >= of_process.start);
    assert_eq!(os.process_command(tid).await, os.process_command(own).await);
    assert_eq!(reap(&os, tid).await, Err(Errno::NoChild));
    // Older kernels say `EINVAL`.
    let errno = pidfd(&os, tid).await.unwrap_err();
    assert!([Errno::NotFound, Errno::InvalidArgument].contains(&errno), "{errno}");
    drop(end);
    thread.join().unwrap();
}

#[tokio::test]
async fn an_inherited_descriptor_is_adopted_once() {
    let os = linux();
    let (reading, writing) = std::io::pipe().unwrap();
    drop(writing);
    let number = OwnedFd::from(reading).into_raw_fd();
    assert_eq!(os.adopt(number), Ok(Fd(number)));
    assert_eq!(os.adopt(number), Err(Errno::Exists));
    assert_eq!(os.adopt(-1), Err(Errno::BadDescriptor));
    assert_eq!(os.adopt(9999), Err(Errno::BadDescriptor));
    os.close(Fd(number)).await.unwrap();
    assert_eq!(os.close(Fd(number)).await, Err(Errno::BadDescriptor));
}

#[tokio::test]
async fn a_child_is_in_the_namespaces_of_its_parent() {
    let os = linux();
    let Reply::Namespaces(own) = os.call(Call::OwnNamespaces).await.unwrap() else { panic!("no namespaces") };
    let child = Child::sleeping(&os).await;
    for (kind, number) in [("pid", own.pid), ("net", own.network)] {
        let link = std::fs::read_link(format!("/proc/{}/ns/{kind}", child.1)).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("{kind}:[{number}]"));
    }
}
