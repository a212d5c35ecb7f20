//! What people and machines do to a host from outside of every process, each in one step.
//!
//! What cannot be done is no event: `mv` of what is not there, `chmod` on a disk that has become read-only. Nobody in the
//! machine sees the message that an operator gets.

use std::fmt;
use std::path::{Path, PathBuf};

use portcullis_os::Uid;

use crate::engine::Engine;
use crate::kernel::{HostId, Kernel, Mount};
use crate::world::{Checker, World};

/// One thing that is done to a machine, besides starting and signalling processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `rm -rf`
    RemoveTree(PathBuf),
    /// `mv` to a name on the same file system, which is replaced if it is that of a file.
    Move {
        /// What.
        from: PathBuf,
        /// Where to.
        to: PathBuf,
    },
    /// `chmod`
    SetMode {
        /// What.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// `chown`
    SetOwner {
        /// What.
        path: PathBuf,
        /// Whose it is from now on.
        uid: Uid,
    },
    /// `touch`
    Touch(PathBuf),
    /// Files get other contents and stay the files that they are. What is not there is left alone.
    Overwrite {
        /// Which.
        paths: Vec<PathBuf>,
        /// With what.
        with: Overwrite,
    },
    /// The file system that a path is on becomes another one: full, broken, slow in its clock, or healthy again. Not
    /// [`Mount::read_only`] while a file on it is open for writing, as Linux says too.
    SetMount {
        /// Any path on it.
        path: PathBuf,
        /// What it is from now on.
        mount: Mount,
    },
    /// Every lock on the file system that a path is on is lost, as when the lease of an NFS client runs out.
    LoseLocks(PathBuf),
    /// The wall clock of a host is set forwards or back.
    StepClock {
        /// Whose.
        host: HostId,
        /// By how many milliseconds.
        by_ms: i64,
    },
    /// A host is suspended, and resumed.
    Suspend {
        /// Which.
        host: HostId,
        /// After how many milliseconds.
        for_ms: u64,
    },
    /// Time passes on all hosts: so many milliseconds.
    Pass(u64),
    /// A host is rebooted. Its supervisors start what they had started, as services that are enabled are.
    Reboot(HostId),
    /// Connections that were closed are no longer in the way of those who want their ports (`TIME_WAIT` ends).
    ExpireTimeWait,
}

/// What a file holds after it was overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing.
    Empty,
    /// [`GARBAGE`].
    Garbage,
    /// The first half of what it held.
    Half,
    /// The pid that the present process of this slot has or had, in decimal digits, if it was ever started.
    Pid(usize),
}

/// Bytes that are no text in UTF-8.
pub const GARBAGE: &[u8] = b"\xff\xfe\x00\xc3(\x80\n";

impl fmt::Display for Overwrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing",
            Self::Garbage => "garbage",
            Self::Half => "the first half of it",
            Self::Pid(_) => "a pid",
        })
    }
}

/// As an operator would type it, where there is a command for it.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveTree(path) => write!(f, "rm -rf {}", path.display()),
            Self::Move { from, to } => write!(f, "mv {} {}", from.display(), to.display()),
            Self::SetMode { path, mode } => write!(f, "chmod {mode:03o} {}", path.display()),
            Self::SetOwner { path, uid } => write!(f, "chown {} {}", uid.0, path.display()),
            Self::Touch(path) => write!(f, "touch {}", path.display()),
            Self::Overwrite { paths, with } => {
                let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                write!(f, "{} holds {with}", paths.join(", "))
            }
            Self::SetMount { path, mount } => {
                write!(f, "the file system of {} becomes {:?}", path.display(), mount.condition)
            }
            Self::LoseLocks(path) => write!(f, "the locks on the file system of {} are lost", path.display()),
            Self::StepClock { host, by_ms } => write!(f, "the clock of host {} goes {by_ms:+} ms", host.0),
            Self::Suspend { host, for_ms } => write!(f, "host {} sleeps for {for_ms} ms", host.0),
            Self::Pass(milliseconds) => write!(f, "{milliseconds} ms pass"),
            Self::Reboot(host) => write!(f, "host {} reboots", host.0),
            Self::ExpireTimeWait => f.write_str("closed connections are forgotten"),
        }
    }
}

impl<C: Checker> Engine<'_, C> {
    /// Carries out an operation.
    pub(crate) fn operate(world: &mut World<C::Memory>, operation: &Operation) {
        let pid = |slot: usize| world.slots[slot].process.map(|process| world.kernel.pid(process));
        if let Operation::Overwrite { paths, with } = operation {
            let text = match with {
                Overwrite::Pid(slot) => match pid(*slot) {
                    Some(pid) => pid.to_string(),
                    None => return,
                },
                Overwrite::Empty | Overwrite::Garbage | Overwrite::Half => String::new(),
            };
            for path in paths {
                let _ = world.kernel.overwrite(path, |old| match with {
                    Overwrite::Garbage => GARBAGE.to_vec(),
                    Overwrite::Half => old[..old.len() / 2].to_vec(),
                    Overwrite::Empty | Overwrite::Pid(_) => text.clone().into_bytes(),
                });
            }
            return;
        }
        let kernel = &mut world.kernel;
        // Whatever the operator is told: nobody else is.
        let _ = match operation {
            Operation::RemoveTree(path) => kernel.remove_tree(path),
            Operation::Move { from, to } => kernel.rename(from, to),
            Operation::SetMode { path, mode } => kernel.chmod(path, *mode),
            Operation::SetOwner { path, uid } => kernel.chown(path, *uid),
            Operation::Touch(path) => kernel.touch(path),
            Operation::Overwrite { .. } => Ok(()),
            Operation::SetMount { path, mount } => {
                if_there(kernel, path, |kernel| kernel.set_mount(path, *mount));
                Ok(())
            }
            Operation::LoseLocks(path) => {
                if_there(kernel, path, |kernel| kernel.lose_locks(path));
                Ok(())
            }
            Operation::StepClock { host, by_ms } => {
                kernel.step_wall(*host, *by_ms);
                Ok(())
            }
            Operation::Suspend { host, for_ms } => {
                kernel.suspend(*host, *for_ms);
                Ok(())
            }
            Operation::Pass(milliseconds) => {
                kernel.advance(*milliseconds);
                Ok(())
            }
            Operation::Reboot(host) => {
                kernel.reboot(*host);
                Ok(())
            }
            Operation::ExpireTimeWait => {
                kernel.expire_time_wait();
                Ok(())
            }
        };
    }
}

fn if_there(kernel: &mut Kernel, path: &Path, operate: impl FnOnce(&mut Kernel)) {
    if kernel.lookup(path).is_some() {
        operate(kernel);
    }
}
