//! A job of launchd: launchd.plist(5).
//!
//! Not offered: the conditions of `KeepAlive` about crashes, paths and other jobs. The manual does not say which signals
//! are crashes.

use portcullis_os::Ending;

/// The keys of a job that decide about its restarts. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Launchd {
    /// `KeepAlive`
    pub keep_alive: KeepAlive,
    /// `ThrottleInterval`: a job is not started more often than once in that time.
    pub throttle_ms: u64,
    /// `ExitTimeOut`: how long it may take to end before it is killed; `None` is the value 0, which means infinity.
    pub exit_timeout_ms: Option<u64>,
}

/// After which ends a job is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeepAlive {
    /// After none.
    Never,
    /// After each, whatever its status says.
    Always,
    /// `SuccessfulExit` true: after status 0.
    AfterSuccess,
    /// `SuccessfulExit` false: after any other end.
    AfterFailure,
}

impl Launchd {
    /// The defaults of the manual: 10 s between starts, 20 s to end.
    pub const fn keeping(keep_alive: KeepAlive) -> Self {
        Self { keep_alive, throttle_ms: 10_000, exit_timeout_ms: Some(20_000) }
    }
}

impl KeepAlive {
    /// Whether a job that has ended by itself is started again.
    pub fn restarts_after(self, ending: Ending) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::AfterSuccess => ending == Ending::Exited(0),
            Self::AfterFailure => ending != Ending::Exited(0),
        }
    }
}
