//! Random words that need no operating system once there is a seed, so that a session stays a value that is tried without one.

use sha2::{Digest as _, Sha256};

/// Draws: SHA-256 of a secret seed and a number that is never used twice.
#[derive(Default)]
pub(super) struct Draws {
    seed: Option<[u8; 32]>,
    count: u64,
}

impl std::fmt::Debug for Draws {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Draws({})", self.count)
    }
}

impl Draws {
    /// Takes a new seed, and keeps the old one where there is none.
    pub(super) fn seed(&mut self, seed: Option<[u8; 32]>) {
        self.seed = seed.or(self.seed);
    }

    /// 32 bytes that nobody can foresee; `None` where there was never a seed.
    pub(super) fn draw(&mut self) -> Option<[u8; 32]> {
        let seed = self.seed?;
        self.count += 1;
        Some(Sha256::new().chain_update(seed).chain_update(self.count.to_be_bytes()).finalize().into())
    }

    /// A UUID.
    pub(super) fn uuid(&mut self) -> Option<String> {
        let bytes = self.draw()?;
        bytes.first_chunk().copied().map(super::uuid)
    }
}
