//! Signals as kill(2) sends them: by number, to whoever has that number now.
//!
//! `SIGKILL` works on everybody at once. `SIGSTOP` takes a process off the scheduler without taking anything from it.
//! `SIGTERM` and `SIGINT` wait while their target is stopped, then kill it or are handed to it.

use portcullis_os::{Errno, Pid, Reply, Signal};

use super::process::Stage;
use super::{Effect, Ending, Kernel, ProcessId, Readiness};

/// What a process does about signals, and which are waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signals {
    catches: bool,
    interrupt: bool,
    terminate: bool,
}

impl Signals {
    pub(super) const NONE: Self = Self { catches: false, interrupt: false, terminate: false };

    /// The next one to be delivered: the lowest number first, as the kernel does (signal(7)).
    const fn next(self) -> Option<Signal> {
        match (self.interrupt, self.terminate) {
            (true, _) => Some(Signal::Interrupt),
            (false, true) => Some(Signal::Terminate),
            (false, false) => None,
        }
    }
}

impl Kernel {
    /// Sends a signal from outside, to the process and not to a number: nothing is mistaken here.
    ///
    /// A process that is dead is left alone, though the signal counts as sent while it is a zombie.
    ///
    /// # Panics
    ///
    /// If the target is the environment, which is no process.
    pub fn signal(&mut self, by: ProcessId, target: ProcessId, signal: Signal) {
        assert_ne!(target, ProcessId::ENVIRONMENT, "{signal} to the environment");
        if !self.process(target).is_listed() {
            return;
        }
        self.effects.tell(Effect::Signalled { by, target, signal });
        match (self.process(target).stage, signal) {
            (Stage::Zombie(_) | Stage::Reaped(_), _) => {}
            (Stage::Running | Stage::Stopped, Signal::Kill) => self.die(target, Ending::Killed(signal)),
            (Stage::Running | Stage::Stopped, Signal::Stop) => {
                self.process_mut(target).stage = Stage::Stopped;
            }
            (Stage::Running, Signal::Continue) => {}
            (Stage::Stopped, Signal::Continue) => {
                self.process_mut(target).stage = Stage::Running;
                self.deliver(target);
            }
            (Stage::Running | Stage::Stopped, Signal::Terminate) => {
                self.process_mut(target).signals.terminate = true;
                self.deliver(target);
            }
            (Stage::Running | Stage::Stopped, Signal::Interrupt) => {
                self.process_mut(target).signals.interrupt = true;
                self.deliver(target);
            }
        }
    }

    /// Lets a pending signal kill its target, if the target is scheduled and does not catch it.
    fn deliver(&mut self, target: ProcessId) {
        let process = self.process(target);
        if process.stage == Stage::Running
            && !process.signals.catches
            && let Some(signal) = process.signals.next()
        {
            self.die(target, Ending::Killed(signal));
        }
    }

    /// kill(2): the same user or root may. Without a signal it answers for zombies as for the living.
    pub(super) fn kill(&mut self, by: ProcessId, pid: Pid, signal: Option<Signal>) -> Result<Reply, Errno> {
        let target = self.process_of(pid).ok_or(Errno::NoProcess)?;
        let uid = self.process(by).birth.uid;
        if uid.0 != 0 && uid != self.process(target).birth.uid {
            return Err(Errno::NotPermitted);
        }
        if let Some(signal) = signal {
            self.signal(by, target, signal);
        }
        Ok(Reply::Done)
    }

    /// sigaction(2).
    pub(super) fn catch_signals(&mut self, who: ProcessId) -> Result<Reply, Errno> {
        self.process_mut(who).signals.catches = true;
        Ok(Reply::Done)
    }

    /// Without [`Kernel::catch_signals`] there is nothing to wait on, and the call fails at once.
    pub(super) fn signal_readiness(&self, who: ProcessId) -> Readiness {
        let signals = self.process(who).signals;
        if signals.catches && signals.next().is_none() { Readiness::Waits } else { Readiness::Ready }
    }

    pub(super) fn next_signal(&mut self, who: ProcessId) -> Result<Reply, Errno> {
        let signals = &mut self.process_mut(who).signals;
        let signal = signals.next().filter(|_| signals.catches).ok_or(Errno::InvalidArgument)?;
        match signal {
            Signal::Interrupt => signals.interrupt = false,
            Signal::Terminate => signals.terminate = false,
            Signal::Kill | Signal::Stop | Signal::Continue => unreachable!("{signal} cannot be caught"),
        }
        Ok(Reply::Signal(signal))
    }
}
