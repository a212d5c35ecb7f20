//! Time and randomness: all of it fixed, so that nothing happens by itself.
//!
//! Clocks move only when somebody outside moves them, those of each host on their own. A random token is a function of
//! who asks and how often it has asked: no two are equal, and steps of different processes that change places get the
//! same ones.

use portcullis_os::{Clock, Errno, Reply, Tick};

use super::{HostId, Kernel, ProcessId};

/// A tick is 10 ms: `CLK_TCK` is 100 on every Linux that matters.
pub(super) const TICK_MS: u64 = 10;

/// How many make a millisecond.
const NANOSECONDS: u64 = 1_000_000;
/// The wall clock of a machine that has just booted: noon of the first day of 2026.
pub(super) const START_NS: u64 = 1_767_268_800_000_000_000;

/// The three clocks of a host, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Clocks {
    wall_ms: u64,
    monotonic_ms: u64,
    boot_ms: u64,
}

impl Clocks {
    /// [`START_NS`], ten minutes after boot, half a minute of which the machine was suspended.
    pub(super) const fn first() -> Self {
        Self { wall_ms: START_NS / NANOSECONDS, monotonic_ms: 570_000, boot_ms: 600_000 }
    }

    pub(super) const fn monotonic_ms(self) -> u64 {
        self.monotonic_ms
    }

    /// The same wall clock on a machine that has booted so long ago.
    pub(super) const fn booted_ago(self, milliseconds: u64) -> Self {
        Self { monotonic_ms: milliseconds, boot_ms: milliseconds, ..self }
    }

    /// What a process that starts now has in field 22 of its `/proc/PID/stat`: the boot clock, so suspend counts.
    pub(super) const fn tick(self) -> Tick {
        Tick(self.boot_ms / TICK_MS)
    }

    const fn pass(&mut self, milliseconds: u64) {
        self.monotonic_ms += milliseconds;
        self.sleep(milliseconds);
    }

    const fn sleep(&mut self, milliseconds: u64) {
        self.wall_ms += milliseconds;
        self.boot_ms += milliseconds;
    }
}

impl Kernel {
    /// Lets time pass on all clocks of all hosts. What waits for a minute in `TIME_WAIT` waits for this.
    pub fn advance(&mut self, milliseconds: u64) {
        for host in self.hosts.edit() {
            host.clocks.pass(milliseconds);
        }
        self.end_lingers_of_the_past();
    }

    /// Lets a host sleep for so long: its monotonic clock stands still meanwhile. The other hosts stay where they are.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn suspend(&mut self, host: HostId, milliseconds: u64) {
        self.host_mut(host).clocks.sleep(milliseconds);
    }

    /// Sets the wall clock of a host, in milliseconds after 1970 (clock_settime(2)). Nothing else moves with it.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn set_wall(&mut self, host: HostId, milliseconds: u64) {
        self.host_mut(host).clocks.wall_ms = milliseconds;
    }

    /// Puts the wall clock of a host forwards or back, not before 1970.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn step_wall(&mut self, host: HostId, milliseconds: i64) {
        let clocks = &mut self.host_mut(host).clocks;
        clocks.wall_ms = clocks.wall_ms.saturating_add_signed(milliseconds);
    }

    /// The clocks of a host.
    pub(super) fn clocks(&self, host: HostId) -> Clocks {
        self.host(host).clocks
    }

    /// What the monotonic clock of a host says, in milliseconds.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn monotonic_ms(&self, host: HostId) -> u64 {
        self.clocks(host).monotonic_ms
    }

    /// clock_gettime(2).
    pub(super) fn read_clock(&self, who: ProcessId, clock: Clock) -> Result<Reply, Errno> {
        let Clocks { monotonic_ms, boot_ms, .. } = self.clocks(self.host_of(who));
        Ok(Reply::Nanoseconds(match clock {
            Clock::Wall => self.wall_ns(who),
            Clock::Monotonic => monotonic_ms * NANOSECONDS,
            Clock::Boot => boot_ms * NANOSECONDS,
        }))
    }

    /// The wall clock of the host that a process runs on, in nanoseconds after 1970.
    pub(super) fn wall_ns(&self, who: ProcessId) -> u64 {
        self.clocks(self.host_of(who)).wall_ms * NANOSECONDS
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

/// The output function of SplitMix64 (Steele, Lea and Flood, 2014). A bijection, so different requests stay different.
const fn mix(request: u64) -> u64 {
    let z = request.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
