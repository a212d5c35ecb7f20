//! What to try: which schedules, which faults, how much.

use sim::Sampling;

/// How many states a case may have before it is given up as inconclusive, unless its file or whoever runs it says otherwise.
pub const MOST_STATES: usize = 8_000_000;

/// What to try, apart from what is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explore {
    /// Which schedules the simulator visits.
    pub policy: Policy,
    /// How many gateways the explorer may kill, each at any call.
    pub kills: u8,
    /// How often the power of the first host may fail, each time at any call.
    pub power_losses: u8,
    /// How many ports above its base a gateway claims in the simulator.
    pub span: u16,
    /// Whether a process that dies gives back what it holds one by one, in any order, each in a step of its own.
    pub slow_release: bool,
    /// How many runs real processes make.
    pub tries: u16,
    /// How many states the simulator visits at most.
    pub states: usize,
    /// How long one try on real processes may take, in milliseconds; `None`: as long as what it waits for.
    pub real_ms: Option<u64>,
}

impl Explore {
    /// Every schedule, nobody killed but by a step, the whole port block, 10 real runs.
    pub const fn everything() -> Self {
        Self {
            policy: Policy::Exhaustive,
            kills: 0,
            power_losses: 0,
            span: 110,
            slow_release: false,
            tries: 10,
            states: MOST_STATES,
            real_ms: None,
        }
    }
}

/// Which schedules the simulator visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All.
    Exhaustive,
    /// Those with at most so many preemptions.
    Preemptions(u8),
    /// So many random ones.
    Sampled(Sampling),
}
