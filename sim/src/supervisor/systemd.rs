//! A service of systemd: systemd.service(5), systemd.unit(5) and systemd.kill(5).
//!
//! Everything here was compared with version 252: each setting of `Restart=` with each kind of end, the exceptions to it,
//! and what the start limit counts. Not offered, because nothing in a simulated machine could cause it: `WatchdogSec=` and
//! `Restart=on-watchdog`, `TimeoutStartSec=`, and core dumps, which count as ends by a signal.

use portcullis_os::{Ending, Signal};

/// The options of a service that decide about its restarts. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systemd {
    /// `Restart=`
    pub restart: Restart,
    /// `RestartSec=`
    pub restart_delay_ms: u64,
    /// `StartLimitBurst=` and `StartLimitIntervalSec=`
    pub start_limit: StartLimit,
    /// `SuccessExitStatus=`: what is clean besides status 0, `SIGHUP`, `SIGINT`, `SIGTERM` and `SIGPIPE`.
    pub success: Vec<Ending>,
    /// `RestartPreventExitStatus=`: never restarted, whatever else is said.
    pub never_after: Vec<Ending>,
    /// `RestartForceExitStatus=`: restarted, unless it is in `never_after` as well.
    pub always_after: Vec<Ending>,
    /// `TimeoutStopSec=`; `None` is `infinity`.
    pub stop_timeout_ms: Option<u64>,
    /// `KillMode=`
    pub kill_mode: KillMode,
}

/// Who is asked to end when a service stops, be it told to or because its main process has ended.
///
/// The mode `none` is not offered: it leaves the main process running beside the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KillMode {
    /// `control-group`: every process of the service gets `SIGTERM`, and whoever is left in the end `SIGKILL`.
    ControlGroup,
    /// `mixed`: the main process gets `SIGTERM`, and the others `SIGKILL` as soon as it has ended.
    Mixed,
    /// `process`: only the main process. The others live on, and the next main process starts beside them.
    Process,
}

/// Whether a service has ended in time, apart from how its main process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stop {
    /// It has.
    InTime,
    /// What was left of it had to be killed.
    TimedOut,
}

/// After which ends a service is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Restart {
    /// `no`
    No,
    /// `always`
    Always,
    /// `on-success`: after clean ones.
    OnSuccess,
    /// `on-failure`: after those that are not clean.
    OnFailure,
    /// `on-abnormal`: after signals that are not clean, and not after exit statuses.
    OnAbnormal,
    /// `on-abort`: the same, but not where something timed out.
    OnAbort,
}

/// How often a service may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartLimit {
    /// How many starts. 0: any number.
    pub burst: u32,
    /// Within how many milliseconds, the end included. 0: any number of starts.
    pub interval_ms: u64,
}

/// The starts of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Window {
    begun_ms: u64,
    starts: u32,
}

impl Systemd {
    /// A service whose file says nothing: it is not started again. `DefaultTimeoutStopSec=` is 90 s, and 5 starts within
    /// 10 s are the limit.
    pub const fn plain() -> Self {
        Self {
            restart: Restart::No,
            restart_delay_ms: 100,
            start_limit: StartLimit { burst: 5, interval_ms: 10_000 },
            success: Vec::new(),
            never_after: Vec::new(),
            always_after: Vec::new(),
            stop_timeout_ms: Some(90_000),
            kill_mode: KillMode::ControlGroup,
        }
    }

    /// Whether an end counts as one without failure (`is_clean_exit` in `src/basic/exit-status.c`).
    pub(super) fn is_clean(&self, ending: Ending) -> bool {
        let always = match ending {
            Ending::Exited(status) => status == 0,
            Ending::Killed(Signal::Terminate | Signal::Interrupt) => true,
            Ending::Killed(
                Signal::Kill | Signal::Stop | Signal::Continue | Signal::User1 | Signal::User2,
            ) => false,
            Ending::KilledBy(number) => number == SIGHUP || number == SIGPIPE,
        };
        always || self.success.contains(&ending)
    }

    /// Whether a service that has ended by itself is started again (`service_shall_restart` in `src/core/service.c`).
    pub fn restarts_after(&self, ending: Ending, stop: Stop) -> bool {
        if self.never_after.contains(&ending) {
            return false;
        }
        if self.always_after.contains(&ending) {
            return true;
        }
        let by_signal = match ending {
            Ending::Exited(_) => false,
            Ending::Killed(_) | Ending::KilledBy(_) => true,
        };
        // The first thing that goes wrong is what counts: a timeout after a failure is that failure.
        let timed_out = self.is_clean(ending) && stop == Stop::TimedOut;
        let is_clean = self.is_clean(ending) && stop == Stop::InTime;
        match self.restart {
            Restart::No => false,
            Restart::Always => true,
            Restart::OnSuccess => is_clean,
            Restart::OnFailure => !is_clean,
            Restart::OnAbnormal => !is_clean && (by_signal || timed_out),
            Restart::OnAbort => by_signal && !is_clean && !timed_out,
        }
    }
}

const SIGHUP: u8 = 1;
const SIGPIPE: u8 = 13;

impl StartLimit {
    /// No limit: `StartLimitIntervalSec=0`.
    pub const NONE: Self = Self { burst: 0, interval_ms: 0 };

    /// Counts a start. `false` if it is one too many, and then it does not count.
    ///
    /// An interval begins with a start and not with the clock, and the first start after its end begins the next one
    /// (`ratelimit_below` in `src/basic/ratelimit.c`). Starts by operators count like those after an end.
    pub(super) fn admits(self, window: &mut Option<Window>, now_ms: u64) -> bool {
        if self.burst == 0 || self.interval_ms == 0 {
            return true;
        }
        match window {
            Some(window) if now_ms.saturating_sub(window.begun_ms) <= self.interval_ms => {
                let admitted = window.starts < self.burst;
                window.starts += u32::from(admitted);
                admitted
            }
            Some(_) | None => {
                *window = Some(Window { begun_ms: now_ms, starts: 1 });
                true
            }
        }
    }
}
