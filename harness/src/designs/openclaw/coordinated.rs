//! The lock of the fifth and sixth generation: the lifecycle, the state directory and the configuration, in that order.

use super::coordinator::Coordinator;
use super::place::Place;
use super::sidecar::Sidecar;
use super::{ATTEMPTS, Generation, Refused, lease, pause};

use portcullis_os::Os;

/// How long to wait for the lifecycle before the next look, in milliseconds.
const POLL_MS: u32 = 250;

/// Everything that an owner holds.
#[derive(Debug)]
pub(super) struct Coordinated<O: Os> {
    lifecycle: Coordinator<O>,
    state: Sidecar<O>,
    config: Sidecar<O>,
    /// Where its lease is, if it has one.
    leased: Option<Place>,
}

impl<O: Os> Coordinated<O> {
    pub(super) async fn acquire(os: &O, generation: Generation, place: &Place) -> Result<Self, Refused> {
        let lifecycle = take_lifecycle(os, generation, place).await?;
        let state = match Sidecar::acquire(os, generation, place.state_lock()).await {
            Ok(state) => state,
            Err(refused) => {
                lifecycle.release().await;
                return Err(refused);
            }
        };
        let config = match Sidecar::acquire(os, generation, place.config_lock()).await {
            Ok(config) => config,
            Err(refused) => {
                state.release(os).await;
                lifecycle.release().await;
                return Err(refused);
            }
        };
        let mut held = Self { lifecycle, state, config, leased: None };
        if generation >= Generation::G6 {
            if let Err(refused) = lease::take(os, place).await {
                held.release(os).await;
                return Err(refused);
            }
            held.leased = Some(place.clone());
        }
        Ok(held)
    }

    /// The lease first, the lifecycle last.
    pub(super) async fn release(self, os: &O) {
        if let Some(place) = &self.leased {
            lease::give_back(os, place).await;
        }
        self.config.release(os).await;
        self.state.release(os).await;
        self.lifecycle.release().await;
    }
}

/// The right to live on a state directory. The fifth generation gives up at once.
async fn take_lifecycle<O: Os>(
    os: &O,
    generation: Generation,
    place: &Place,
) -> Result<Coordinator<O>, Refused> {
    let path = place.lifecycle();
    if generation < Generation::G6 {
        return Coordinator::try_begin(os, &path).await?.ok_or(Refused::Held(None));
    }
    // The check whether the state needs repair comes first, and takes the same lock.
    match Coordinator::try_begin(os, &path).await? {
        Some(preflight) => preflight.release().await,
        None => return Err(Refused::Migration),
    }
    for look in 1..=ATTEMPTS {
        if let Some(lifecycle) = Coordinator::try_begin(os, &path).await? {
            return Ok(lifecycle);
        }
        pause(os, look, POLL_MS).await?;
    }
    Err(Refused::Held(None))
}
