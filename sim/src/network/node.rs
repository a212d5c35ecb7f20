//! One process on a host of the network, as its own code sees it.
//!
//! A call is carried out when it is its turn, at once if it need not wait. What waits is asked again whenever something has
//! happened that it may wait for.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use portcullis_os::{Call, Errno, Fd, Listener, Os, Port, Reply};
use tokio::time::{sleep, timeout};
use turmoil_net::shim::tokio::net::{TcpListener, TcpStream};

use super::wires::Target;
use super::{Blocked, Shared, State, milliseconds};
use crate::kernel::{Completion, Kernel, Life, ProcessId, Readiness};

/// The operating system of one process on the network. Handed to a program when it starts.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
    process: ProcessId,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Node").field(&self.process).finish()
    }
}

/// Accepts what comes to a listening socket.
#[derive(Debug)]
pub struct NodeListener(Arc<TcpListener>);

impl Listener for NodeListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

/// Whether a call can be what somebody waits for, or close a socket that takes connections.
const fn concerns_others(call: &Call) -> bool {
    matches!(
        call,
        Call::Close { .. }
            | Call::ConnectUnix { .. }
            | Call::ConnectTcp { .. }
            | Call::Accept { .. }
            | Call::Send { .. }
            | Call::SendFd { .. }
            | Call::Receive { .. }
            | Call::ReceiveFd { .. }
            | Call::Kill { .. }
            | Call::SignalPidfd { .. }
            | Call::Reap { .. }
    )
}

/// Whether a process is there and not stopped.
pub(super) fn runs(kernel: &Kernel, process: ProcessId) -> bool {
    kernel.life(process) == Life::Running
}

impl State {
    /// Carries out a call that need not wait.
    fn perform(&mut self, who: ProcessId, call: &Call, how: Completion) -> Result<Reply, Errno> {
        let now_ms = self.show_time();
        let mut reply = self.kernel.perform(who, call, how);
        if let Ok(Reply::Random(bytes)) = &mut reply {
            // What a process draws is a matter of the seed, too.
            for half in bytes.chunks_exact_mut(8) {
                half.copy_from_slice(&self.random.next().to_be_bytes());
            }
        }
        std::hash::Hash::hash(&(now_ms, who, call, &reply), &mut self.digest);
        if let (Call::Listen { fd, .. }, Ok(_)) = (call, &reply) {
            // It takes connections from here on, whoever accepts them. Where there is no room nobody hears of it.
            let _ = self.listener(who, *fd);
        }
        if concerns_others(call) {
            self.note_and_wake();
        } else {
            self.note();
        }
        reply
    }

    /// What listens on the network for a socket.
    fn listener(&mut self, who: ProcessId, fd: Fd) -> Result<Arc<TcpListener>, Errno> {
        let address = self.kernel.perform(who, &Call::LocalAddress { fd }, Completion::Normal)?;
        let Reply::Address(address) = address else { return Err(Errno::InvalidArgument) };
        let place = self.kernel.place(who);
        self.wires.listen(place.host, (place.network, address)).map_err(|_| Errno::NotSupported)
    }

    /// Where a name leads.
    fn target(&self, who: ProcessId, host: &str) -> Option<Target> {
        let own = self.kernel.place(who);
        if matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]") {
            return Some(Target::Here(own.network));
        }
        let there = *self.names.get(host)?;
        Some(Target::There(there, self.kernel.place_on(there).network))
    }
}

impl Node {
    pub(super) const fn new(shared: Arc<Shared>, process: ProcessId) -> Self {
        Self { shared, process }
    }

    /// Which process this is.
    pub const fn process(&self) -> ProcessId {
        self.process
    }

    /// Lets others go on first, as often as not.
    async fn pause(&self) {
        let waits = self.shared.state().random.below(2) == 0;
        let mut has_waited = !waits;
        poll_fn(|cx| {
            if has_waited {
                return Poll::Ready(());
            }
            has_waited = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Carries a call out as soon as it need not wait any more.
    async fn when_ready(&self, call: &Call) -> Result<Reply, Errno> {
        poll_fn(|cx| {
            let mut state = self.shared.state();
            let who = self.process;
            if runs(&state.kernel, who) && state.kernel.readiness(who, call) == Readiness::Ready {
                return Poll::Ready(state.perform(who, call, Completion::Normal));
            }
            state.blocked.push(Blocked { process: who, call: call.clone(), waker: cx.waker().clone() });
            Poll::Pending
        })
        .await
    }

    /// The same, for a call that gives up after a while.
    async fn before(&self, call: &Call, deadline_ms: u32) -> Result<Reply, Errno> {
        if let Ok(reply) = timeout(milliseconds(deadline_ms.into()), self.when_ready(call)).await {
            return reply;
        }
        let late = self.give_up(call);
        match late {
            Some(reply) => reply,
            None => pending().await,
        }
    }

    /// Ends a call whose time is up; `None`: whoever made it is no more.
    fn give_up(&self, call: &Call) -> Option<Result<Reply, Errno>> {
        let (mut state, who) = (self.shared.state(), self.process);
        if !runs(&state.kernel, who) {
            return None;
        }
        let how = match state.kernel.readiness(who, call) {
            Readiness::WaitsUntilDeadline => Completion::TimedOut,
            Readiness::Ready => Completion::Normal,
            // Its other end is not there any more, and nobody will come.
            Readiness::Waits => return Some(Err(Errno::TimedOut)),
        };
        Some(state.perform(who, call, how))
    }

    /// Looks every now and then, and hears signals at once.
    async fn watch(&self, call: &Call, period_ms: u32) -> Result<Reply, Errno> {
        loop {
            if let Ok(signal) =
                timeout(milliseconds(period_ms.into()), self.when_ready(&Call::NextSignal)).await
            {
                return signal;
            }
            let mut state = self.shared.state();
            if state.kernel.readiness(self.process, call) == Readiness::Ready {
                return state.perform(self.process, call, Completion::Normal);
            }
        }
    }
}

impl Os for Node {
    type Listener = NodeListener;

    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        self.pause().await;
        if let Call::Sleep { milliseconds: number } = call {
            sleep(milliseconds(number.into())).await;
        }
        if let Call::Watch { period_ms, .. } = call {
            return self.watch(&call, period_ms).await;
        }
        match call.deadline_ms() {
            Some(deadline_ms) => self.before(&call, deadline_ms).await,
            None => self.when_ready(&call).await,
        }
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.shared.state().born.push((self.process, Box::pin(body)));
    }

    fn discard(&self, fd: Fd) {
        let mut state = self.shared.state();
        // Whoever is torn down has nothing open any more.
        if runs(&state.kernel, self.process) {
            let _ = state.perform(self.process, &Call::Close { fd }, Completion::Normal);
        }
    }

    fn listener(&self, fd: Fd) -> Result<NodeListener, Errno> {
        self.shared.state().listener(self.process, fd).map(NodeListener)
    }

    async fn dial(&self, host: &str, port: Port) -> io::Result<TcpStream> {
        self.pause().await;
        let to = {
            let state = self.shared.state();
            let target = state.target(self.process, host).ok_or(io::ErrorKind::NotFound)?;
            state.wires.route(target, port)
        };
        TcpStream::connect(to).await
    }
}
