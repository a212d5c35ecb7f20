//! A server never holds more connections than it has places, and knows when the last one is gone.
//!
//! There is one room for the whole life of a server: who outlasts a restart in place keeps the place. Whoever has asked for
//! something is sent away by a restart; whoever has not is bound to nothing that ends with it, and holds nobody up.

use std::sync::Arc;

use tokio::sync::watch;

use super::Limits;

/// The places of a server.
#[derive(Clone, Debug)]
pub(super) struct Room {
    taken: Arc<watch::Sender<Taken>>,
    stage: Arc<watch::Sender<Stage>>,
}

/// How many places are taken.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    all: usize,
    /// By connections that have asked for something.
    begun: usize,
}

/// How far the server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// How often it has begun anew.
    pub(super) round: u64,
    pub(super) doing: Doing,
}

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It serves.
    Serving,
    /// It sends its clients away and lets nobody in, and will serve again.
    Restarting,
    /// It sends its clients away, and will not serve again.
    Closing,
}

impl Stage {
    /// Whether a round is over, or will be soon.
    pub(super) fn ends(self, round: u64) -> bool {
        self.round != round || self.doing != Doing::Serving
    }

    /// Whether whoever has come in a round is let in no more, and the next one lets in who waits at the door.
    pub(super) fn leaves(self, round: u64) -> bool {
        self.round != round || self.doing == Doing::Restarting
    }
}

impl Default for Room {
    fn default() -> Self {
        Self {
            taken: Arc::new(watch::Sender::new(Taken::default())),
            stage: Arc::new(watch::Sender::new(Stage { round: 0, doing: Doing::Serving })),
        }
    }
}

impl Room {
    /// A place for one connection: a regular one, a spare one, or none.
    pub(super) fn seat(&self, limits: &Limits) -> Option<Seat> {
        let mut rank = None;
        self.taken.send_if_modified(|taken| {
            if taken.all < limits.connections.saturating_add(limits.spare) {
                rank = Some(taken.all);
                taken.all += 1;
            }
            rank.is_some()
        });
        let regular = rank? < limits.connections;
        Some(Seat { taken: self.taken.clone(), regular, begun: watch::Sender::new(false) })
    }

    /// What the server does now.
    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// The same, and what it does later.
    pub(super) fn watch(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// From now on the server does this.
    pub(super) fn turn(&self, doing: Doing) {
        self.stage.send_modify(|stage| stage.doing = doing);
    }

    /// From now on it serves again.
    pub(super) fn begin_anew(&self) {
        self.stage.send_modify(|stage| *stage = Stage { round: stage.round + 1, doing: Doing::Serving });
    }

    /// Waits until no place is taken.
    pub(super) async fn empty(&self) {
        // The sender is alive as long as `self` is, so waiting cannot fail.
        let _ = self.taken.subscribe().wait_for(|taken| taken.all == 0).await;
    }

    /// Waits until nobody is there who has asked for something.
    pub(super) async fn quiet(&self) {
        let _ = self.taken.subscribe().wait_for(|taken| taken.begun == 0).await;
    }
}

/// The place of one connection. Dropping it makes it free.
#[derive(Debug)]
pub(super) struct Seat {
    taken: Arc<watch::Sender<Taken>>,
    regular: bool,
    begun: watch::Sender<bool>,
}

impl Seat {
    /// Whether the connection may stay. A spare place is only there to say that the room is full.
    pub(super) const fn is_regular(&self) -> bool {
        self.regular
    }

    /// From now on the connection has asked for something.
    pub(super) fn begin(&self) {
        if !self.begun.send_replace(true) {
            self.taken.send_modify(|taken| taken.begun += 1);
        }
    }

    /// Turns true when the connection asks for something.
    pub(super) fn begun(&self) -> watch::Receiver<bool> {
        self.begun.subscribe()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let has_begun = *self.begun.borrow();
        self.taken.send_modify(|taken| {
            taken.all = taken.all.saturating_sub(1);
            taken.begun = taken.begun.saturating_sub(usize::from(has_begun));
        });
    }
}
