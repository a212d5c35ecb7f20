//! `Linux` says what the kernel says: each sentence about the real kernel that the lock relies on, tried on it.
//!
//! Tests use their own directories, abstract names and loopback addresses, so any number of test processes can run at
//! once. Within one they take turns: the child of a test has, until it executes its program, what all others have open.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod children;
mod connections;
mod files;
mod locks;
mod names;
mod processes;
mod services;
mod sockets;
mod waiting;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_os::{Descriptor, Linux, Os, Pid};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

thread_local! {
    /// The turn of the test that runs on this thread, until it is over.
    static TURN: MutexGuard<'static, ()> = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
}

/// Waits until this test is the only one of its process that opens and starts things.
fn take_turn() {
    TURN.with(|_| {});
}

/// This process, with nobody listening to its notices, once it is this test's turn.
fn linux() -> Linux {
    take_turn();
    Linux::new(|_| {})
}

/// A loopback address that no other test process uses, with this port.
async fn address(os: &Linux, port: u16) -> SocketAddr {
    let [high, middle, low] = match os.own_pid().await.unwrap().get().to_be_bytes() {
        [_, high, middle, low] => [high, middle, low],
    };
    // 127.64.0.0 and above: nothing else lives there, 127.0.0.1 least of all.
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 64 | high, middle, low)), port)
}

/// An abstract name that no other test process uses.
async fn name(os: &Linux, label: &str) -> String {
    format!("portcullis-os-test-{}-{label}", os.own_pid().await.unwrap())
}

/// The two ends of a Unix connection: the client's and the server's.
async fn pair(os: &Linux, label: &str) -> (Descriptor<Linux>, Descriptor<Linux>) {
    let name = name(os, label).await;
    let listener = os.listen_unix(name.clone(), 1).await.unwrap();
    let client = os.connect_unix(name).await.unwrap();
    let (_, server) = os.accept(vec![listener.fd()]).await.unwrap();
    (client, server)
}

/// A child process that does nothing, and does not outlive the test.
struct Bystander(Child);

impl Bystander {
    /// Returns when its own program runs. Starting alone does not say so: the kernel lets the parent go on a moment
    /// before it closes what is close-on-exec and gives the child its new name.
    fn start() -> Self {
        take_turn();
        let mut cat = Command::new("cat");
        let mut child = cat.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }

    fn pid(&self) -> Pid {
        Pid::new(self.0.id()).unwrap()
    }

    fn raw_pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.0)
    }

    fn kill_and_reap(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // It may be reaped already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
