//! Signals as kill(2) sends them: by number, to whoever has that number now.
//!
//! `SIGKILL` works on everybody at once, except on who sleeps in the kernel uninterruptibly: that one dies when it wakes.
//! `SIGSTOP` takes a process off the scheduler without taking anything from it. `SIGTERM`, `SIGINT`, `SIGUSR1` and `SIGUSR2` wait
//! while their target is stopped or sleeps, then kill it or are handed to it. The first process of a pid namespace is out of reach for
//! everybody in it, see [`Kernel::is_ignored`].
//!
//! A signal acts in the step that sends it. On Linux a target that is running may get a little further, and of two that
//! reach it together the lower number counts first, whichever was sent first.
//!
//! Sessions are not modelled: `SIGCONT` needs the same right as any other signal, as if nobody shared a session.

use portcullis_os::{Errno, Links, Pid, Reply, Signal, Watched};

use super::process::Stage;
use super::{Effect, Ending, Kernel, ProcessId, Readiness};

/// What a process does about signals, and which are waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signals {
    catches: bool,
    interrupt: bool,
    user1: bool,
    user2: bool,
    terminate: bool,
    /// These two wait for nobody but a process in uninterruptible sleep.
    kill: bool,
    stop: bool,
}

impl Signals {
    pub(super) const NONE: Self = Self {
        catches: false,
        interrupt: false,
        user1: false,
        user2: false,
        terminate: false,
        kill: false,
        stop: false,
    };

    /// The next one to be delivered: the lowest number first, as the kernel does (signal(7)).
    const fn next(self) -> Option<Signal> {
        match (self.interrupt, self.user1, self.user2, self.terminate) {
            (true, _, _, _) => Some(Signal::Interrupt),
            (false, true, _, _) => Some(Signal::User1),
            (false, false, true, _) => Some(Signal::User2),
            (false, false, false, true) => Some(Signal::Terminate),
            (false, false, false, false) => None,
        }
    }

    /// fork(2) copies what a process does about signals, and those that it has caught and not asked for yet, which are in
    /// its memory. None is pending in a child.
    pub(super) const fn of_child(self) -> Self {
        if self.catches { self } else { Self::NONE }
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
        if self.is_ignored(by, target, signal) {
            return;
        }
        match (self.process(target).stage, signal) {
            (Stage::Dying(_) | Stage::Zombie(_) | Stage::Reaped(_), _) => {}
            (Stage::Running | Stage::Stopped | Stage::Uninterruptible, Signal::Kill) => {
                self.kill_for_good(target);
            }
            (Stage::Running | Stage::Stopped, Signal::Stop) => {
                self.process_mut(target).stage = Stage::Stopped;
            }
            (Stage::Uninterruptible, Signal::Stop) => self.process_mut(target).signals.stop = true,
            (Stage::Running, Signal::Continue) => {}
            (Stage::Uninterruptible, Signal::Continue) => self.process_mut(target).signals.stop = false,
            (Stage::Stopped, Signal::Continue) => {
                self.process_mut(target).stage = Stage::Running;
                self.deliver(target);
            }
            (Stage::Running | Stage::Stopped | Stage::Uninterruptible, Signal::Terminate) => {
                self.process_mut(target).signals.terminate = true;
                self.deliver(target);
            }
            (Stage::Running | Stage::Stopped | Stage::Uninterruptible, Signal::Interrupt) => {
                self.process_mut(target).signals.interrupt = true;
                self.deliver(target);
            }
            (Stage::Running | Stage::Stopped | Stage::Uninterruptible, Signal::User1) => {
                self.process_mut(target).signals.user1 = true;
                self.deliver(target);
            }
            (Stage::Running | Stage::Stopped | Stage::Uninterruptible, Signal::User2) => {
                self.process_mut(target).signals.user2 = true;
                self.deliver(target);
            }
        }
    }

    /// Puts a process into a sleep in the kernel that nothing interrupts, as one that waits for a disk or a network file
    /// system, or wakes it. Asleep it is not scheduled and shows as `D`, and what is sent to it waits.
    ///
    /// # Panics
    ///
    /// If it is not running and is to sleep, or not asleep and is to wake.
    pub fn set_uninterruptible(&mut self, process: ProcessId, asleep: bool) {
        let (from, to) = if asleep {
            (Stage::Running, Stage::Uninterruptible)
        } else {
            (Stage::Uninterruptible, Stage::Running)
        };
        assert_eq!(self.process(process).stage, from, "process {} cannot do that", process.0);
        self.process_mut(process).stage = to;
        if asleep {
            return;
        }
        if self.process(process).signals.kill {
            self.die(process, Ending::Killed(Signal::Kill));
            return;
        }
        self.deliver(process);
        let process = self.process_mut(process);
        if std::mem::take(&mut process.signals.stop) && process.stage == Stage::Running {
            process.stage = Stage::Stopped;
        }
    }

    /// `SIGKILL` that nobody can ignore.
    pub(super) fn kill_for_good(&mut self, target: ProcessId) {
        match self.process(target).stage {
            Stage::Running | Stage::Stopped => self.die(target, Ending::Killed(Signal::Kill)),
            Stage::Uninterruptible => self.process_mut(target).signals.kill = true,
            Stage::Dying(_) | Stage::Zombie(_) | Stage::Reaped(_) => {}
        }
    }

    /// Whether a signal to the first process of a pid namespace is dropped (pid_namespaces(7); `sig_task_ignored`): of what
    /// it does not catch only `SIGKILL` and `SIGSTOP` count, and only if they come from outside.
    fn is_ignored(&self, by: ProcessId, target: ProcessId, signal: Signal) -> bool {
        let namespace = self.process(target).birth.place.pids;
        if self.first_process(namespace) != Some(target) {
            return false;
        }
        let from_inside = by != ProcessId::ENVIRONMENT && self.process(by).birth.place.pids == namespace;
        match signal {
            Signal::Kill | Signal::Stop => from_inside,
            Signal::Terminate | Signal::Interrupt | Signal::User1 | Signal::User2 => {
                !self.process(target).signals.catches
            }
            Signal::Continue => false,
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

    /// kill(2), by the number of a process or of one of its threads.
    pub(super) fn kill(&mut self, by: ProcessId, pid: Pid, signal: Option<Signal>) -> Result<Reply, Errno> {
        let namespace = self.process(by).birth.place.pids;
        let target = self.addressed(namespace, pid).ok_or(Errno::NoProcess)?;
        self.signal_checked(by, target, signal)
    }

    /// The same user or root may. Without a signal it answers for zombies as for the living.
    pub(super) fn signal_checked(
        &mut self,
        by: ProcessId,
        target: ProcessId,
        signal: Option<Signal>,
    ) -> Result<Reply, Errno> {
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

    /// A look that finds nothing changes nothing, so only the one that finds something is a step.
    pub(super) fn watch_readiness(&self, who: ProcessId, places: &[Watched]) -> Readiness {
        match self.signal_readiness(who) {
            Readiness::Waits if self.has_moved(who, places) == Ok(false) => Readiness::Waits,
            Readiness::Waits | Readiness::Ready | Readiness::WaitsUntilDeadline => Readiness::Ready,
        }
    }

    pub(super) fn watch(&mut self, who: ProcessId, places: &[Watched]) -> Result<Reply, Errno> {
        match self.signal_readiness(who) {
            Readiness::Waits => match self.has_moved(who, places) {
                Ok(false) => unreachable!("a watch that has seen nothing waits"),
                Ok(true) => Err(Errno::StaleHandle),
                Err(errno) => Err(errno),
            },
            Readiness::Ready | Readiness::WaitsUntilDeadline => self.next_signal(who),
        }
    }

    /// Whether one of the paths leads elsewhere than expected.
    fn has_moved(&self, who: ProcessId, places: &[Watched]) -> Result<bool, Errno> {
        for place in places {
            if let Some(fd) = place.at {
                self.description_of(who, fd)?;
            }
            let found = self.status_at(who, place.at, &place.path, Links::Follow);
            if place.is_refuted_by(found.map(|status| status.id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn next_signal(&mut self, who: ProcessId) -> Result<Reply, Errno> {
        let signals = &mut self.process_mut(who).signals;
        let signal = signals.next().filter(|_| signals.catches).ok_or(Errno::InvalidArgument)?;
        match signal {
            Signal::Interrupt => signals.interrupt = false,
            Signal::User1 => signals.user1 = false,
            Signal::User2 => signals.user2 = false,
            Signal::Terminate => signals.terminate = false,
            Signal::Kill | Signal::Stop | Signal::Continue => unreachable!("{signal} cannot be caught"),
        }
        Ok(Reply::Signal(signal))
    }
}
