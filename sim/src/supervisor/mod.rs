//! Who starts a process again when it has ended, and when: the rules of systemd, launchd and a task scheduler.
//!
//! A supervisor is data, and what it knows of one process is a small value. It is told what happens, with the time, and
//! answers what it does; nothing here knows a machine or an explorer.
//!
//! # Invariants
//!
//! - Time only moves forwards, in milliseconds of the monotonic clock of the host.
//! - A supervisor that waits says until when, so whoever keeps the time can let it pass at once.

mod launchd;
mod systemd;

use portcullis_os::{Ending, Signal};

pub use launchd::{KeepAlive, Launchd};
pub use systemd::{KillMode, Restart, StartLimit, Stop, Systemd};

use systemd::Window;

/// Who looks after a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// A service of systemd.
    Systemd(Systemd),
    /// A job of launchd.
    Launchd(Launchd),
    /// A task of a scheduler that ignores a start while an earlier one runs, as Windows does by default
    /// (`MultipleInstancesPolicy` `IgnoreNew`). It starts nothing by itself, and to end a task is to kill it.
    TaskScheduler,
}

/// What an operator asks a supervisor for, besides to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// End it and do not start it again: `systemctl stop`, `launchctl bootout`, `schtasks /End`.
    Stop,
    /// End it, and start it as soon as it has ended: `systemctl restart`, `launchctl bootout` and `bootstrap`, `schtasks
    /// /End` and `/Run`.
    Restart,
}

/// What a supervisor knows of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Supervision {
    /// What it is about to do.
    pub phase: Phase,
    /// What systemd counts against the start limit.
    window: Option<Window>,
    /// When launchd has started the process last.
    started_ms: Option<u64>,
}

/// What a supervisor is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Nothing, before somebody asks for something.
    Resting(Rest),
    /// It watches the process, which runs.
    Watching,
    /// It starts the process again.
    Waiting {
        /// Not before this instant.
        until_ms: u64,
    },
    /// It has asked the process to end.
    Stopping {
        /// When it loses its patience and sends `SIGKILL`; `None`: never, or it has done so.
        kill_ms: Option<u64>,
        /// Whether it has done so in time.
        stop: Stop,
        /// What it does when the process is dead.
        then: Order,
    },
    /// The process is dead, and it has asked what the process had started to end as well.
    Clearing {
        /// When it loses its patience and sends `SIGKILL`; `None`: never, or it has done so.
        kill_ms: Option<u64>,
        /// Whether it has done so in time.
        stop: Stop,
        /// How the process has ended.
        ending: Ending,
        /// What was asked for; `None`: nothing, it has ended by itself.
        then: Option<Order>,
    },
}

/// Why a supervisor does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rest {
    /// The process was not started yet, or it has ended as it should.
    Inactive,
    /// The process has ended as it should not, and is not to be started again.
    Failed,
    /// The process was started too often (systemd: `start-limit-hit`).
    StartLimit,
}

/// What a supervisor does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reaction {
    /// Nothing.
    Nothing,
    /// It starts the process.
    Start,
    /// It sends these signals, in this order, to each of these.
    Send(Recipients, &'static [Signal]),
}

/// Whom a supervisor signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipients {
    /// The process that it has started.
    Process,
    /// What that process has started.
    Rest,
    /// Both.
    All,
}

/// Whether something lives on that the process has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leftover {
    /// Nothing does.
    Nobody,
    /// Something does.
    Somebody,
}

impl Supervision {
    /// Of a process that was never started.
    pub const NEW: Self = Self { phase: Phase::Resting(Rest::Inactive), window: None, started_ms: None };
}

/// First a request, then `SIGCONT`, so that a paused process ends too (systemd.kill(5), `KillSignal=`).
const REQUEST: &[Signal] = &[Signal::Terminate, Signal::Continue];

impl Supervisor {
    /// An operator asks for a start.
    ///
    /// If it runs already, or waits to start it again, nothing happens: a start job of systemd waits for the timer of the
    /// restart (`service_start` in `src/core/service.c` answers `EAGAIN` in `auto-restart`; tried with version 252).
    pub fn start(&self, known: &mut Supervision, now_ms: u64) -> Reaction {
        match &mut known.phase {
            Phase::Watching | Phase::Waiting { .. } => Reaction::Nothing,
            Phase::Stopping { then, .. } => {
                match self {
                    Self::Systemd(_) | Self::Launchd(_) => *then = Order::Restart,
                    // It still runs, so the start is one too many.
                    Self::TaskScheduler => {}
                }
                Reaction::Nothing
            }
            Phase::Clearing { then, .. } => {
                *then = Some(Order::Restart);
                Reaction::Nothing
            }
            Phase::Resting(_) => self.begin(known, now_ms),
        }
    }

    /// The time that a supervisor has waited for has come: it starts the process, or finds that it has done so too often.
    ///
    /// # Panics
    ///
    /// If it does not wait, or not so long.
    pub fn resume(&self, known: &mut Supervision, now_ms: u64) -> Reaction {
        let Phase::Waiting { until_ms } = known.phase else {
            panic!("a supervisor that does not wait resumes")
        };
        assert!(until_ms <= now_ms, "a supervisor resumes at {now_ms} ms and not before {until_ms} ms");
        self.begin(known, now_ms)
    }

    fn begin(&self, known: &mut Supervision, now_ms: u64) -> Reaction {
        let admitted = match self {
            Self::Systemd(unit) => unit.start_limit.admits(&mut known.window, now_ms),
            Self::Launchd(_) => {
                known.started_ms = Some(now_ms);
                true
            }
            Self::TaskScheduler => true,
        };
        known.phase = if admitted { Phase::Watching } else { Phase::Resting(Rest::StartLimit) };
        if admitted { Reaction::Start } else { Reaction::Nothing }
    }

    /// An operator asks for an end, or for an end and a start.
    pub fn order(&self, known: &mut Supervision, order: Order, now_ms: u64) -> Reaction {
        match (&mut known.phase, order) {
            (Phase::Stopping { then, .. }, _) => {
                *then = order;
                Reaction::Nothing
            }
            (Phase::Clearing { then, .. }, _) => {
                *then = Some(order);
                Reaction::Nothing
            }
            (Phase::Watching, _) => {
                let kill_ms = self.patience_ms(now_ms);
                known.phase = Phase::Stopping { kill_ms, stop: Stop::InTime, then: order };
                self.request()
            }
            (Phase::Waiting { .. }, Order::Stop) => {
                known.phase = Phase::Resting(Rest::Inactive);
                Reaction::Nothing
            }
            (Phase::Resting(_), Order::Stop) => Reaction::Nothing,
            (Phase::Waiting { .. } | Phase::Resting(_), Order::Restart) => self.begin(known, now_ms),
        }
    }

    /// How a process is asked to end.
    const fn request(&self) -> Reaction {
        match self {
            Self::Systemd(unit) => Reaction::Send(
                match unit.kill_mode {
                    KillMode::ControlGroup => Recipients::All,
                    KillMode::Mixed | KillMode::Process => Recipients::Process,
                },
                REQUEST,
            ),
            Self::Launchd(_) => Reaction::Send(Recipients::Process, &[Signal::Terminate]),
            Self::TaskScheduler => Reaction::Send(Recipients::Process, &[Signal::Kill]),
        }
    }

    /// Until when it may take to end.
    fn patience_ms(&self, now_ms: u64) -> Option<u64> {
        let patience_ms = match self {
            Self::Systemd(unit) => unit.stop_timeout_ms,
            Self::Launchd(job) => job.exit_timeout_ms,
            Self::TaskScheduler => None,
        };
        patience_ms.map(|patience_ms| now_ms.saturating_add(patience_ms))
    }

    /// What was asked to end has not done so in time.
    ///
    /// # Panics
    ///
    /// If it has more time left.
    pub fn lose_patience(&self, known: &mut Supervision, now_ms: u64) -> Reaction {
        let (Phase::Stopping { kill_ms, stop, .. } | Phase::Clearing { kill_ms, stop, .. }) =
            &mut known.phase
        else {
            panic!("a supervisor that asked for nothing loses its patience")
        };
        assert!(kill_ms.is_some_and(|kill_ms| kill_ms <= now_ms), "a supervisor is patient at {now_ms} ms");
        *kill_ms = None;
        *stop = Stop::TimedOut;
        let recipients = match self {
            Self::Systemd(Systemd { kill_mode: KillMode::ControlGroup | KillMode::Mixed, .. }) => {
                Recipients::All
            }
            Self::Systemd(_) | Self::Launchd(_) | Self::TaskScheduler => Recipients::Process,
        };
        Reaction::Send(recipients, &[Signal::Kill])
    }

    /// The process has come to its end. Its supervisor may want what it has started to end as well, and wait for that:
    /// then [`Supervisor::on_empty`] comes next.
    ///
    /// # Panics
    ///
    /// If it was not started by this supervisor, or has ended before.
    pub fn on_exit(
        &self,
        known: &mut Supervision,
        now_ms: u64,
        ending: Ending,
        leftover: Leftover,
    ) -> Reaction {
        let (stop, then) = match known.phase {
            Phase::Watching => (Stop::InTime, None),
            Phase::Stopping { stop, then, .. } => (stop, Some(then)),
            Phase::Waiting { .. } | Phase::Resting(_) | Phase::Clearing { .. } => {
                panic!("a process ends that no supervisor watches")
            }
        };
        let signals: &[Signal] = match (self, leftover) {
            (_, Leftover::Nobody)
            | (Self::Systemd(Systemd { kill_mode: KillMode::Process, .. }), _)
            | (Self::Launchd(_) | Self::TaskScheduler, _) => {
                known.phase = self.after(known, now_ms, ending, stop, then);
                return Reaction::Nothing;
            }
            (Self::Systemd(Systemd { kill_mode: KillMode::Mixed, .. }), _) => &[Signal::Kill],
            (Self::Systemd(Systemd { kill_mode: KillMode::ControlGroup, .. }), _) => REQUEST,
        };
        known.phase = Phase::Clearing { kill_ms: self.patience_ms(now_ms), stop, ending, then };
        Reaction::Send(Recipients::Rest, signals)
    }

    /// Nothing is left of what a dead process had started. Of interest only to a supervisor that waits for it.
    pub fn on_empty(&self, known: &mut Supervision, now_ms: u64) {
        if let Phase::Clearing { stop, ending, then, .. } = known.phase {
            known.phase = self.after(known, now_ms, ending, stop, then);
        }
    }

    /// What comes after everything has ended.
    fn after(
        &self,
        known: &Supervision,
        now_ms: u64,
        ending: Ending,
        stop: Stop,
        then: Option<Order>,
    ) -> Phase {
        let rest = if self.is_clean(ending) && stop == Stop::InTime { Rest::Inactive } else { Rest::Failed };
        match then {
            Some(Order::Restart) => Phase::Waiting { until_ms: now_ms },
            Some(Order::Stop) => Phase::Resting(rest),
            None => match self.restart_ms(known, now_ms, ending, stop) {
                Some(until_ms) => Phase::Waiting { until_ms },
                None => Phase::Resting(rest),
            },
        }
    }

    /// What it knows when its host has booted, of a process that it had started before: nothing, but that it is to be
    /// started, as a unit that is enabled and a job that is loaded are. A task waits for somebody to run it.
    pub const fn boot(&self) -> Supervision {
        let phase = match self {
            Self::Systemd(_) | Self::Launchd(_) => Phase::Waiting { until_ms: 0 },
            Self::TaskScheduler => Phase::Resting(Rest::Inactive),
        };
        Supervision { phase, ..Supervision::NEW }
    }

    /// When a process that has ended by itself is started again; `None`: not at all.
    fn restart_ms(&self, known: &Supervision, now_ms: u64, ending: Ending, stop: Stop) -> Option<u64> {
        match self {
            Self::Systemd(unit) => {
                unit.restarts_after(ending, stop).then(|| now_ms.saturating_add(unit.restart_delay_ms))
            }
            Self::Launchd(job) => job.keep_alive.restarts_after(ending).then(|| {
                let begun_ms = known.started_ms.unwrap_or(now_ms);
                now_ms.max(begun_ms.saturating_add(job.throttle_ms))
            }),
            Self::TaskScheduler => None,
        }
    }

    fn is_clean(&self, ending: Ending) -> bool {
        match self {
            Self::Systemd(unit) => unit.is_clean(ending),
            Self::Launchd(_) | Self::TaskScheduler => ending == Ending::Exited(0),
        }
    }
}
