//! A server never holds more connections than it has places, and knows when the last one is gone.

use std::sync::Arc;

use tokio::sync::watch;

use super::Limits;

/// The places of a server.
#[derive(Clone, Debug)]
pub(super) struct Room {
    taken: Arc<watch::Sender<usize>>,
    closing: Arc<watch::Sender<bool>>,
    left: Arc<watch::Sender<bool>>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            taken: Arc::new(watch::Sender::new(0)),
            closing: Arc::new(watch::Sender::new(false)),
            left: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Room {
    /// A place for one connection: a regular one, a spare one, or none.
    pub(super) fn seat(&self, limits: &Limits) -> Option<Seat> {
        let mut rank = None;
        self.taken.send_if_modified(|taken| {
            if *taken < limits.connections.saturating_add(limits.spare) {
                rank = Some(*taken);
                *taken += 1;
            }
            rank.is_some()
        });
        let regular = rank? < limits.connections;
        Some(Seat { taken: self.taken.clone(), regular })
    }

    /// From now on the server is closing.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Turns true when the server is closing.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// From now on nobody is let in here any more: whoever comes waits at the door for the next room.
    pub(super) fn leave(&self) {
        self.left.send_replace(true);
    }

    /// Turns true when nobody is let in any more.
    pub(super) fn left(&self) -> watch::Receiver<bool> {
        self.left.subscribe()
    }

    /// Waits until no place is taken.
    pub(super) async fn empty(&self) {
        // The sender is alive as long as `self` is, so waiting cannot fail.
        let _ = self.taken.subscribe().wait_for(|taken| *taken == 0).await;
    }
}

/// The place of one connection. Dropping it makes it free.
#[derive(Debug)]
pub(super) struct Seat {
    taken: Arc<watch::Sender<usize>>,
    regular: bool,
}

impl Seat {
    /// Whether the connection may stay. A spare place is only there to say that the room is full.
    pub(super) const fn is_regular(&self) -> bool {
        self.regular
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.send_modify(|taken| *taken = taken.saturating_sub(1));
    }
}
