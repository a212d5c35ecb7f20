//! `SIGTERM`, `SIGINT`, `SIGUSR1` and `SIGUSR2` are kept from the moment they are caught until somebody asks: none is lost in between.
//!
//! The handler raises a flag, and the flag alone says that a signal has come. tokio's stream says only when to look:
//! tokio installs its handler first and subscribes to it afterwards, and a signal between the two would go to nobody.
//! The flag is registered before tokio, and actions run in the order of their registration, so whoever is woken finds
//! it raised.
//!
//! Two of one kind that nobody has asked for are one, as in the kernel itself (signal(7)).

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use signal_hook::{SigId, flag, low_level};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::timeout;

use super::files;
use super::table::{Table, errno};
use super::wakers::{Wakers, lock};
use crate::{Errno, Reply, Signal, Watched};

/// The signals that were caught and not yet asked for.
#[derive(Debug, Default)]
pub(super) struct Signals {
    caught: Mutex<Option<[Caught; 4]>>,
    waiters: Arc<Wakers>,
}

/// One kind of signal: whether it has come, and when to look again.
#[derive(Debug)]
struct Caught {
    flag: Flag,
    wakeups: Stream,
}

/// Raised by the signal handler for as long as it is not dropped.
#[derive(Debug)]
struct Flag {
    signal: Signal,
    kind: SignalKind,
    raised: Arc<AtomicBool>,
    action: SigId,
}

impl Signals {
    /// Starts to catch. Doing it again changes nothing, and what has been caught so far stays.
    pub(super) fn catch(&self) -> Result<Reply, Errno> {
        let mut caught = lock(&self.caught);
        if caught.is_none() {
            *caught = Some(catch_all().map_err(|error| errno(&error))?);
        }
        Ok(Reply::Done)
    }

    /// Waits for one of them; `EINVAL` before the first [`Signals::catch`].
    pub(super) async fn next(&self) -> Result<Reply, Errno> {
        poll_fn(|context| self.poll(context)).await.map(Reply::Signal)
    }

    /// The same, or until one of these paths is found to lead elsewhere.
    pub(super) async fn watch(
        &self,
        table: &Table,
        places: &[Watched],
        period_ms: u32,
    ) -> Result<Reply, Errno> {
        let mut patience = Duration::ZERO;
        loop {
            if let Ok(answer) = timeout(patience, self.next()).await {
                return answer;
            }
            for place in places {
                if place.is_refuted_by(files::lookup(table, place)?) {
                    return Err(Errno::StaleHandle);
                }
            }
            patience = Duration::from_millis(u64::from(period_ms));
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Result<Signal, Errno>> {
        self.waiters.add(context.waker());
        let waker = Waker::from(Arc::clone(&self.waiters));
        let mut context = Context::from_waker(&waker);
        match &mut *lock(&self.caught) {
            Some(caught) => caught
                .iter_mut()
                .map(|caught| caught.poll(&mut context))
                .find(Poll::is_ready)
                .unwrap_or(Poll::Pending),
            None => Poll::Ready(Err(Errno::InvalidArgument)),
        }
    }
}

fn catch_all() -> io::Result<[Caught; 4]> {
    let terminate = Flag::register(Signal::Terminate, SignalKind::terminate())?;
    let interrupt = Flag::register(Signal::Interrupt, SignalKind::interrupt())?;
    let user1 = Flag::register(Signal::User1, SignalKind::user_defined1())?;
    let user2 = Flag::register(Signal::User2, SignalKind::user_defined2())?;
    // The one with the lowest number is told first, as the kernel delivers them (signal(7)).
    Ok([interrupt.catch()?, user1.catch()?, user2.catch()?, terminate.catch()?])
}

impl Flag {
    /// From here on no signal of this kind is lost, and none ends the process.
    fn register(signal: Signal, kind: SignalKind) -> io::Result<Self> {
        let raised = Arc::new(AtomicBool::new(false));
        let action = flag::register(kind.as_raw_value(), Arc::clone(&raised))?;
        Ok(Self { signal, kind, raised, action })
    }

    /// From here on somebody can wait for it, too.
    fn catch(self) -> io::Result<Caught> {
        Ok(Caught { wakeups: signal(self.kind)?, flag: self })
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        low_level::unregister(self.action);
    }
}

impl Caught {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Signal, Errno>> {
        // Until the stream has nothing more to say, it has not promised to wake anybody.
        while let Poll::Ready(woken) = self.wakeups.poll_recv(context) {
            if woken.is_none() {
                // The runtime is going down and will deliver nothing more.
                return Poll::Ready(Err(Errno::InputOutput));
            }
        }
        if self.flag.raised.swap(false, Ordering::SeqCst) {
            Poll::Ready(Ok(self.flag.signal))
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::{Context, Waker};

    use tokio::signal::unix::SignalKind;

    use super::{Flag, low_level};
    use crate::Signal;

    #[tokio::test]
    async fn a_signal_that_comes_before_anybody_can_wait_for_it_is_delivered_exactly_once() {
        let kind = SignalKind::interrupt();
        let flag = Flag::register(Signal::Interrupt, kind).unwrap();
        low_level::raise(kind.as_raw_value()).unwrap();
        let mut caught = flag.catch().unwrap();
        assert_eq!(poll_fn(|context| caught.poll(context)).await, Ok(Signal::Interrupt));
        assert!(caught.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // And the second one, now that tokio listens as well.
        low_level::raise(kind.as_raw_value()).unwrap();
        assert_eq!(poll_fn(|context| caught.poll(context)).await, Ok(Signal::Interrupt));
        assert!(caught.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
