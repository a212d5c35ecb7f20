//! `SIGTERM` and `SIGINT` are kept from the moment they are caught until somebody asks: none is lost in between.
//!
//! Two of one kind that nobody has asked for are one, as in the kernel itself (signal(7)).

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::table::errno;
use super::wakers::{Wakers, lock};
use crate::{Errno, Reply, Signal};

/// The signals that were caught and not yet asked for.
#[derive(Debug, Default)]
pub(super) struct Signals {
    streams: Mutex<Option<Streams>>,
    waiters: Arc<Wakers>,
}

#[derive(Debug)]
struct Streams {
    terminate: Stream,
    interrupt: Stream,
}

impl Signals {
    /// Starts to catch. Doing it again changes nothing, and what has been caught so far stays.
    pub(super) fn catch(&self) -> Result<Reply, Errno> {
        let mut streams = lock(&self.streams);
        if streams.is_none() {
            *streams = Some(Streams::open().map_err(|error| errno(&error))?);
        }
        Ok(Reply::Done)
    }

    /// Waits for one of them; `EINVAL` before the first [`Signals::catch`].
    pub(super) async fn next(&self) -> Result<Reply, Errno> {
        poll_fn(|context| self.poll(context)).await.map(Reply::Signal)
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Result<Signal, Errno>> {
        self.waiters.add(context.waker());
        let waker = Waker::from(Arc::clone(&self.waiters));
        match &mut *lock(&self.streams) {
            Some(streams) => streams.poll(&mut Context::from_waker(&waker)),
            None => Poll::Ready(Err(Errno::InvalidArgument)),
        }
    }
}

impl Streams {
    fn open() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Signal, Errno>> {
        for (stream, caught) in
            [(&mut self.terminate, Signal::Terminate), (&mut self.interrupt, Signal::Interrupt)]
        {
            match stream.poll_recv(context) {
                Poll::Ready(Some(())) => return Poll::Ready(Ok(caught)),
                // The runtime is going down and will deliver nothing more.
                Poll::Ready(None) => return Poll::Ready(Err(Errno::InputOutput)),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}
