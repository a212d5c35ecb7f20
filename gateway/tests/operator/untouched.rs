//! `why` asks and never takes: each call that it makes is one that changes nothing and keeps nobody out.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gateway::lock::{LOCK_FILE, WRITERS_FILE, survey};
use gateway::{Claim, GATEWAY_SPAN, PortBlock};
use portcullis_os::{Call, Errno, Fd, Linux, Listener, Os, Port, Reply};

use crate::room::Room;

/// The machine, and what was asked of it.
#[derive(Clone)]
struct Watched {
    os: Linux,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Os for Watched {
    type Listener = <Linux as Os>::Listener;

    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        self.os.call(call).await
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.os.task(body);
    }

    fn discard(&self, fd: Fd) {
        self.os.discard(fd);
    }

    fn listener(&self, fd: Fd) -> Result<Self::Listener, Errno> {
        self.os.listener(fd)
    }

    async fn dial(&self, host: &str, port: Port) -> io::Result<<Self::Listener as Listener>::Stream> {
        self.os.dial(host, port).await
    }
}

/// Whether a call can be in nobody's way. Connecting to an abstract name and closing it again takes nothing.
fn is_harmless(call: &Call) -> bool {
    if let Call::Open { open, .. } = call {
        return !open.write && !open.create && !open.truncate;
    }
    matches!(
        call,
        Call::Stat { .. }
            | Call::StatFd { .. }
            | Call::Read { .. }
            | Call::ReadDirectory { .. }
            | Call::Close { .. }
            | Call::FileSystem { .. }
            | Call::OwnUid
            | Call::OwnNamespaces
            | Call::Processes
            | Call::ProcessStatus { .. }
            | Call::ProcessCommand { .. }
            | Call::HoldsLock { .. }
            | Call::HoldsSocket { .. }
            | Call::LockTakers { .. }
            | Call::TcpSockets { .. }
            | Call::ConnectUnix { .. }
            | Call::PeerCredentials { .. }
            | Call::Receive { .. }
            | Call::ReadClock { .. }
            | Call::Sleep { .. }
    )
}

/// Everything that a survey asks of the machine.
fn asked(room: &Room) -> Vec<Call> {
    let ports = Port::new(room.base).and_then(|base| PortBlock::new(base, GATEWAY_SPAN)).expect("it fits");
    let claim = Claim {
        workspaces: vec![room.at("state/work"), room.at("elsewhere")],
        ..Claim::plain(room.at("state"), room.at("openclaw.json"), ports)
    };
    let calls = Arc::new(Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(survey(&Watched { os: Linux::new(|_| ()), calls: Arc::clone(&calls) }, &claim));
    std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner))
}

#[test]
fn why_takes_no_token_and_opens_no_lock_file_whether_there_is_an_owner_or_not() {
    let room = Room::new(22, None);
    let mut all = asked(&room);
    let gateway = room.gateway(&[]);
    all.extend(asked(&room));
    gateway.pause();
    all.extend(asked(&room));
    drop(gateway);
    all.extend(asked(&room));
    assert!(all.len() > 100, "{}", all.len());
    let is_lock = |path: &Path| {
        path.file_name().is_some_and(|name| [LOCK_FILE, WRITERS_FILE].iter().any(|lock| name == *lock))
    };
    for call in &all {
        assert!(is_harmless(call), "{call}");
        if let Call::Open { path, .. } = call {
            assert!(!is_lock(path), "{call}");
        }
    }
}
