//! The simulated machine as the conformance run drives it, so that a wrong one can stand in its place.

use portcullis_os::{Call, Errno, Reply, Signal};
use sim::Kernel;
use sim::kernel::{Completion, ProcessId, Readiness};

/// A simulated kernel, or something that answers in its place. What a wrong machine does not change is the kernel's.
pub trait Machine {
    /// The kernel in it.
    fn kernel(&self) -> &Kernel;

    /// The kernel in it, to be changed.
    fn kernel_mut(&mut self) -> &mut Kernel;

    /// Whether a call could be carried out.
    fn readiness(&self, who: ProcessId, call: &Call) -> Readiness {
        self.kernel().readiness(who, call)
    }

    /// Carries out one call.
    ///
    /// # Errors
    ///
    /// What the machine answers.
    fn perform(&mut self, who: ProcessId, call: &Call, how: Completion) -> Result<Reply, Errno> {
        self.kernel_mut().perform(who, call, how)
    }

    /// fork(2).
    ///
    /// # Errors
    ///
    /// What the machine answers.
    fn fork(&mut self, who: ProcessId) -> Result<ProcessId, Errno> {
        self.kernel_mut().fork(who)
    }

    /// execve(2).
    fn exec(&mut self, who: ProcessId, name: &str, command: &str) {
        self.kernel_mut().exec(who, name, command);
    }

    /// exit(2).
    fn exit(&mut self, who: ProcessId, status: u8) {
        self.kernel_mut().exit(who, status);
    }

    /// A signal from outside.
    fn signal(&mut self, who: ProcessId, signal: Signal) {
        self.kernel_mut().signal(ProcessId::ENVIRONMENT, who, signal);
    }
}

impl Machine for Kernel {
    fn kernel(&self) -> &Kernel {
        self
    }

    fn kernel_mut(&mut self) -> &mut Kernel {
        self
    }
}
