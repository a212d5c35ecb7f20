//! What a connection waits for besides its client: the end of its round of the server, and the time at which something is due.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep};

use super::room::Stage;
use crate::control::Now;

/// Both of them.
pub(super) struct Vigil {
    stage: watch::Receiver<Stage>,
    round: u64,
    over: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    /// Whether the round has not ended yet, as far as the connection has been told.
    goes_on: bool,
    alarm: Pin<Box<Sleep>>,
    /// What the alarm is set to, on the monotonic clock, in milliseconds.
    set_ms: Option<u64>,
    /// Whom both wake.
    waker: Option<Waker>,
}

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The round is over.
    Over,
    /// Something is due.
    Due,
}

impl Vigil {
    pub(super) fn new(mut stage: watch::Receiver<Stage>, round: u64) -> Self {
        let mut watched = stage.clone();
        // It may have ended before this began.
        stage.mark_changed();
        Self {
            stage,
            round,
            over: Box::pin(async move { ends(&mut watched, round).await }),
            goes_on: true,
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            set_ms: None,
            waker: None,
        }
    }

    /// Waits for the end of the round, and for nothing else.
    pub(super) async fn over(&self) {
        ends(&mut self.stage.clone(), self.round).await;
    }

    /// What is so already, if this is due then: a client that always has something to say cannot put it off.
    pub(super) fn look(&mut self, due_ms: u64, now: Now) -> Option<Outcome> {
        let is_over = match self.stage.has_changed() {
            Ok(false) => false,
            Ok(true) => {
                // Whoever waits for it was woken, and has to ask again to be woken once more.
                self.waker = None;
                self.stage.borrow_and_update().ends(self.round)
            }
            // The server is gone.
            Err(_) => true,
        };
        if self.goes_on && is_over {
            return Some(self.end());
        }
        if due_ms <= now.monotonic_ms {
            self.set_ms = None;
            return Some(Outcome::Due);
        }
        if self.set_ms.replace(due_ms) != Some(due_ms) {
            self.alarm.as_mut().reset(Instant::now() + Duration::from_millis(due_ms - now.monotonic_ms));
            self.waker = None;
        }
        None
    }

    /// Waits until one of them is so. Whoever asks again and was not woken by either is not asked to wait anew, which would cost more
    /// than all else here. Neither is asked on the budget of the task: a client that has used it up would keep them from waiting at all.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let waits = self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if waits && !self.alarm.is_elapsed() {
            return Poll::Pending;
        }
        if self.goes_on && Pin::new(&mut unconstrained(self.over.as_mut())).poll(context).is_ready() {
            return Poll::Ready(self.end());
        }
        if Pin::new(&mut unconstrained(self.alarm.as_mut())).poll(context).is_ready() {
            self.set_ms = None;
            return Poll::Ready(Outcome::Due);
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }

    const fn end(&mut self) -> Outcome {
        self.goes_on = false;
        Outcome::Over
    }
}

async fn ends(stage: &mut watch::Receiver<Stage>, round: u64) {
    let _ = stage.wait_for(|stage| stage.ends(round)).await;
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::Duration;

    use tokio::task::coop;

    use super::super::room::{Doing, Room};
    use super::{Outcome, Vigil};
    use crate::control::Now;

    /// How often somebody was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(monotonic_ms: u64) -> Now {
        Now { wall_ms: 0, monotonic_ms }
    }

    fn stage() -> (Room, Arc<Woken>, Waker, Vigil) {
        let (room, woken) = (Room::default(), Arc::new(Woken::default()));
        let vigil = Vigil::new(room.watch(), 0);
        (room, woken.clone(), Waker::from(woken), vigil)
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_wakes_once_and_is_told_once() {
        let (room, woken, waker, mut vigil) = stage();
        let mut context = Context::from_waker(&waker);
        assert_eq!(vigil.look(1000, at(0)), None);
        assert_eq!((vigil.poll(&mut context), vigil.poll(&mut context)), (Poll::Pending, Poll::Pending));
        room.turn(Doing::Restarting);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(vigil.look(1000, at(1)), Some(Outcome::Over), "whatever else is due");
        room.begin_anew();
        assert_eq!((vigil.look(1000, at(2)), vigil.poll(&mut context)), (None, Poll::Pending));
        vigil.over().await;

        let mut late = Vigil::new(room.watch(), 0);
        assert_eq!(late.look(1000, at(0)), Some(Outcome::Over), "it had ended before");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_used_up_its_budget_is_woken_all_the_same() {
        for is_end in [true, false] {
            let (room, woken, waker, mut vigil) = stage();
            poll_fn(|context| {
                while coop::has_budget_remaining() {
                    let Poll::Ready(spent) = coop::poll_proceed(context) else { break };
                    spent.made_progress();
                }
                assert_eq!(vigil.look(1000, at(0)), None);
                assert_eq!(vigil.poll(&mut Context::from_waker(&waker)), Poll::Pending);
                Poll::Ready(())
            })
            .await;
            assert_eq!(woken.0.load(Ordering::Relaxed), 0);
            match is_end {
                true => room.turn(Doing::Closing),
                false => tokio::time::advance(Duration::from_millis(1001)).await,
            }
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_is_found_by_the_clock_and_by_the_alarm_however_often_that_rings_too_early() {
        let (_room, woken, waker, mut vigil) = stage();
        let mut context = Context::from_waker(&waker);
        // The clock of whoever asks goes at half the speed of the alarm.
        let mut now_ms = 0;
        for rings in 1..=3 {
            assert_eq!((vigil.look(1000, at(now_ms)), vigil.poll(&mut context)), (None, Poll::Pending));
            let rest_ms = 1000 - now_ms;
            tokio::time::advance(Duration::from_millis(rest_ms + 1)).await;
            assert_eq!(woken.0.load(Ordering::Relaxed), rings);
            now_ms += rest_ms / 2;
            assert_eq!(vigil.poll(&mut context), Poll::Ready(Outcome::Due));
        }
        assert_eq!(vigil.look(1000, at(1000)), Some(Outcome::Due));
        assert_eq!(vigil.look(2000, at(1000)), None);
    }
}
