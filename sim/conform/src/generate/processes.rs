//! Calls about processes and signals, and what happens to processes without a call of their own.

use portcullis_os::{Call, Cell, Clock, Signal};
use proptest::prelude::*;
use sim::kernel::Life;

use super::verbs::Verb;
use super::{Generator, Kind, MOST_PROCESSES, one};
use crate::sequence::{Op, Who};
use crate::symbols;

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        3 => Just(Signal::Terminate),
        1 => Just(Signal::Interrupt),
        2 => Just(Signal::Kill),
        3 => Just(Signal::Stop),
        4 => Just(Signal::Continue),
    ]
}

impl Generator<'_> {
    /// The call that a verb becomes, if it is about processes, time or memory.
    pub(super) fn process_call(&mut self, who: Who, verb: Verb) -> Option<Call> {
        Some(match verb {
            Verb::OwnPid => Call::OwnPid,
            Verb::OwnUid => Call::OwnUid,
            Verb::OwnNamespaces => Call::OwnNamespaces,
            Verb::Spawn => {
                let alive = self.alive(|life| !matches!(life, Life::Dead(_))).len();
                // `Linux` needs descriptors of its own to start a program, which the simulated kernel does not.
                if alive >= MOST_PROCESSES || self.sequence.limit.is_some() {
                    return None;
                }
                let command =
                    if self.once_in(8) { vec!["true".to_owned()] } else { vec![symbols::SELF.to_owned()] };
                Call::Spawn { command }
            }
            Verb::Reap => Call::Reap { pid: self.pid() },
            Verb::OpenPidfd => Call::OpenPidfd { pid: self.pid() },
            Verb::SignalPidfd => {
                let signal = if self.once_in(2) { None } else { Some(self.pick(signal())) };
                Call::SignalPidfd { fd: self.fd(who, &[Kind::Pidfd])?, signal }
            }
            Verb::WaitPidfd => Call::WaitPidfd { fd: self.fd(who, &[Kind::Pidfd])?, deadline_ms: 1 },
            Verb::Kill => {
                let signal = if self.once_in(2) { None } else { Some(self.pick(signal())) };
                Call::Kill { pid: self.pid(), signal }
            }
            Verb::CatchSignals => Call::CatchSignals,
            Verb::NextSignal => Call::NextSignal,
            Verb::Processes => Call::Processes,
            Verb::ProcessStatus => Call::ProcessStatus { pid: self.pid() },
            Verb::ProcessCommand => Call::ProcessCommand { pid: self.pid() },
            Verb::ReadClock => {
                Call::ReadClock { clock: self.pick(one([Clock::Wall, Clock::Monotonic, Clock::Boot])) }
            }
            Verb::Sleep => Call::Sleep { milliseconds: 0 },
            Verb::Random => Call::Random,
            Verb::BootId => Call::BootId,
            Verb::Load => Call::Load { cell: Cell(self.pick(0..2_u8)) },
            Verb::Store => Call::Store { cell: Cell(self.pick(0..2_u8)), value: self.pick(0..3_u64) },
            _ => return None,
        })
    }

    /// What happens to somebody that is no call.
    pub(super) fn event(&mut self, who: Who, verb: Verb) -> Option<(Who, Op)> {
        Some(match verb {
            Verb::Fork => {
                let alive = self.alive(|life| !matches!(life, Life::Dead(_))).len();
                // What has several threads cannot fork here, and a child of it would have one.
                if alive >= MOST_PROCESSES || self.simulation.has_threads(who) {
                    return None;
                }
                (who, Op::Fork)
            }
            Verb::Exec => (who, Op::Exec),
            Verb::Exit => {
                // Somebody must be left.
                if self.alive(|life| life == Life::Running).len() < 2 {
                    return None;
                }
                (who, Op::Exit(self.pick(one([0, 1, 78]))))
            }
            Verb::Thread => (who, Op::Thread),
            Verb::Signal => {
                let all: Vec<Who> = self.alive(|_| true);
                (self.one_of(&all)?, Op::Signal(self.pick(signal())))
            }
            Verb::Collect => {
                let zombies: Vec<Who> = self
                    .alive(|_| true)
                    .into_iter()
                    .filter(|who| self.simulation.is_collectable(*who))
                    .collect();
                (self.one_of(&zombies)?, Op::Collect)
            }
            _ => return None,
        })
    }
}
