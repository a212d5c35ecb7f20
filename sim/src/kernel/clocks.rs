//! Time, randomness and the name of this boot: all of them fixed, so that nothing happens by itself.
//!
//! Clocks move only when [`Kernel::advance`] is called. A random token is a function of who asks and how often it has
//! asked: no two are equal, and steps of different processes that change places get the same ones.

use portcullis_os::{Clock, Errno, Reply, Tick};

use super::{Kernel, ProcessId};

/// A tick is 10 ms: `CLK_TCK` is 100 on every Linux that matters.
const TICK_MS: u64 = 10;

const BOOT_ID: &str = "5eed5eed-0000-4000-8000-000000000001";

/// The three clocks, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Clocks {
    wall_ms: u64,
    monotonic_ms: u64,
    boot_ms: u64,
}

impl Clocks {
    /// Noon of the first day of 2026, ten minutes after boot, half a minute of which the machine was suspended.
    pub(super) const fn new() -> Self {
        Self { wall_ms: 1_767_268_800_000, monotonic_ms: 570_000, boot_ms: 600_000 }
    }

    pub(super) const fn tick(&self) -> Tick {
        Tick(self.boot_ms / TICK_MS)
    }
}

impl Kernel {
    /// Lets time pass on all clocks.
    pub fn advance(&mut self, milliseconds: u64) {
        self.clocks.wall_ms += milliseconds;
        self.clocks.monotonic_ms += milliseconds;
        self.clocks.boot_ms += milliseconds;
    }

    /// clock_gettime(2).
    pub(super) fn read_clock(&self, clock: Clock) -> Result<Reply, Errno> {
        let milliseconds = match clock {
            Clock::Wall => self.clocks.wall_ms,
            Clock::Monotonic => self.clocks.monotonic_ms,
            Clock::Boot => self.clocks.boot_ms,
        };
        Ok(Reply::Nanoseconds(milliseconds * 1_000_000))
    }

    /// getrandom(2).
    pub(super) fn random(&mut self, who: ProcessId) -> Result<Reply, Errno> {
        let asked = &mut self.process_mut(who).asked.randoms;
        let request = u64::from(who.0) << 32 | u64::from(*asked);
        *asked += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&mix(request).to_be_bytes());
        bytes[8..].copy_from_slice(&mix(!request).to_be_bytes());
        Ok(Reply::Random(bytes))
    }
}

/// `/proc/sys/kernel/random/boot_id`. A kernel boots once.
pub(super) fn boot_id() -> Result<Reply, Errno> {
    Ok(Reply::Text(BOOT_ID.to_owned()))
}

/// The output function of SplitMix64 (Steele, Lea and Flood, 2014). A bijection, so different requests stay different.
const fn mix(request: u64) -> u64 {
    let z = request.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
