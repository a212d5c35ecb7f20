//! What stands in a call of a sequence, and what it means on one of the two machines.
//!
//! A sequence holds ordinary [`Call`]s. In them a few numbers and spellings are symbols, which no real value can be
//! mistaken for:
//!
//! | where | symbol | means |
//! | --- | --- | --- |
//! | descriptor | `FD + label` | the one that the step returned |
//! | pid | `PID + n` | the process or thread of [`pid`], [`thread`] |
//! | file | device `DEVICE`, inode `label` | the file whose status the step returned |
//! | socket | `SOCKET + label` | the same, of a socket |
//! | path | `$/…` | under the directory of the sequence |
//! | command | [`SELF`] | the program that agents run, as a child of its own |
//! | abstract name | `$…` | a name that belongs to the sequence |
//! | port | 1 to 9 | a port that belongs to the sequence, 9 being a low one |
//! | port | `PORT + label` | the port that the step returned |
//!
//! # Invariants
//!
//! - A symbol whose step has returned nothing of that kind has no meaning, and neither has the call that it is in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis_os::{Call, Fd, FileId, Pid, Port, Reply};

use crate::parts::{Part, visit};
use crate::sequence::{Label, Who};

const FD: i32 = 1_000_000;
const PID: u32 = 1_000_000_000;
/// First processes come before it, children and threads after it.
const PID_OF_STEP: u32 = PID + 1_000;
const PID_OF_THREAD: u32 = PID + 1_000_000;
const DEVICE: u64 = u64::MAX;
const SOCKET: u64 = 1 << 62;
const PORT: u16 = 61_000;
const PORTS: u16 = 9;
/// The port among those of a sequence that only root may bind.
const LOW_PORT: u16 = 9;

/// A descriptor that no process has.
pub const NO_FD: Fd = Fd(150);
/// The program that agents run.
pub const SELF: &str = "$self";
/// A pid that no process has: no machine of ours counts so far.
pub const NO_PID: u32 = 32_000;

/// The descriptor that a step has returned.
pub const fn fd(label: Label) -> Fd {
    Fd(FD + label.0 as i32)
}

/// The step whose descriptor a symbol means.
pub fn label_of(fd: Fd) -> Option<Label> {
    fd.0.checked_sub(FD).and_then(|label| u16::try_from(label).ok()).map(Label)
}

/// The pid of a process.
///
/// # Panics
///
/// Never: a symbol is not 0.
pub fn pid(who: Who) -> Pid {
    nonzero(match who {
        Who::Init => PID,
        Who::First(number) => PID + 1 + u32::from(number),
        Who::Child(label) => PID_OF_STEP + u32::from(label.0),
    })
}

/// The tid that a step has returned.
pub fn thread(label: Label) -> Pid {
    nonzero(PID_OF_THREAD + u32::from(label.0))
}

/// A pid that no process has.
pub fn no_pid() -> Pid {
    nonzero(NO_PID)
}

fn nonzero(number: u32) -> Pid {
    match Pid::new(number) {
        Some(pid) => pid,
        None => unreachable!("no symbol is 0"),
    }
}

/// The file whose status a step has returned.
pub fn file(label: Label) -> FileId {
    FileId { device: DEVICE, inode: u64::from(label.0) }
}

/// The number of the socket whose status a step has returned.
pub fn socket(label: Label) -> u64 {
    SOCKET + u64::from(label.0)
}

/// The port of the address that a step has returned.
pub fn port(label: Label) -> u16 {
    PORT + label.0 % (u16::MAX - PORT)
}

/// What symbols mean on one machine.
#[derive(Clone, Debug)]
pub struct Symbols {
    /// The directory of the sequence.
    directory: PathBuf,
    /// What begins every abstract name of the sequence.
    prefix: String,
    /// The first of the ports of the sequence.
    first_port: u16,
    low_port: u16,
    /// The command line of a program that becomes an agent.
    program: String,
    pids: BTreeMap<Who, Pid>,
    replies: BTreeMap<Label, Reply>,
}

/// Where a sequence is run: the same on both machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The directory of the sequence.
    pub directory: PathBuf,
    /// The how-many-th sequence of its machine this is, from 0.
    pub number: u16,
    /// The command line of a program that becomes an agent, words separated by blanks.
    pub program: String,
}

/// Sequences on one machine before their ports run out.
pub const SEQUENCES: u16 = 800;

impl Symbols {
    /// Nothing has happened yet.
    ///
    /// # Panics
    ///
    /// If the machine has run so many sequences that it has no ports for another one.
    pub fn new(site: &Site) -> Self {
        assert!(site.number < SEQUENCES, "sequence {} has no ports", site.number);
        Self {
            directory: site.directory.clone(),
            prefix: format!("conform-{}-", site.number),
            first_port: 2_000 + site.number * PORTS,
            low_port: 100 + site.number,
            program: site.program.clone(),
            pids: BTreeMap::new(),
            replies: BTreeMap::new(),
        }
    }

    /// A process has come to be.
    pub fn born(&mut self, who: Who, pid: Pid) {
        self.pids.insert(who, pid);
    }

    /// A step has been answered.
    pub fn answered(&mut self, label: Label, reply: Reply) {
        self.replies.insert(label, reply);
    }

    /// The processes and their pids.
    pub fn pids(&self) -> impl Iterator<Item = (Who, Pid)> {
        self.pids.iter().map(|(who, pid)| (*who, *pid))
    }

    /// A call with every symbol replaced; `None` if one of them means nothing.
    pub fn resolve(&self, call: &Call) -> Option<Call> {
        let mut call = call.clone();
        visit(&mut call, &mut |part| self.replace(part)).then_some(call)
    }

    fn replace(&self, part: Part<'_>) -> bool {
        match part {
            Part::Fd(fd) => assign(fd, self.fd(*fd)),
            Part::Pid(pid) => assign(pid, self.pid(*pid)),
            Part::File(file) => assign(file, self.file(*file)),
            Part::Socket(socket) => assign(socket, self.socket(*socket)),
            Part::Path(path) => {
                // Joined as text: what ends in a slash or a dot must go on doing so.
                if let Some(rest) = path.to_str().and_then(|text| text.strip_prefix('$')) {
                    *path = PathBuf::from(format!("{}{rest}", self.directory.display()));
                }
                true
            }
            Part::Name(name) => {
                if let Some(rest) = name.strip_prefix('$') {
                    *name = format!("{}{rest}", self.prefix);
                }
                true
            }
            Part::Address(address) => match self.port(address.port()) {
                Some(port) => {
                    address.set_port(port);
                    true
                }
                None => false,
            },
            Part::Command(command) => {
                if command.first().is_some_and(|word| word == SELF) {
                    *command = self.program.split(' ').map(str::to_owned).collect();
                }
                true
            }
            Part::Port(port) => assign(port, self.port(port.get()).and_then(Port::new)),
        }
    }

    fn fd(&self, fd: Fd) -> Option<Fd> {
        let Some(label) = label_of(fd) else { return Some(fd) };
        if let Reply::Fd(fd) | Reply::Accepted { stream: fd, .. } = self.replies.get(&label)? {
            Some(*fd)
        } else {
            None
        }
    }

    fn pid(&self, symbol: Pid) -> Option<Pid> {
        let number = symbol.get();
        let label = |first: u32| u16::try_from(number - first).ok().map(Label);
        if number >= PID_OF_THREAD {
            return self.returned_pid(label(PID_OF_THREAD)?);
        }
        if number >= PID_OF_STEP {
            let label = label(PID_OF_STEP)?;
            return self.pids.get(&Who::Child(label)).copied().or_else(|| self.returned_pid(label));
        }
        match number.checked_sub(PID) {
            None => Some(symbol),
            Some(0) => self.pids.get(&Who::Init).copied(),
            Some(n) => self.pids.get(&Who::First(u8::try_from(n - 1).ok()?)).copied(),
        }
    }

    /// The pid or tid that a step has returned.
    pub fn returned_pid(&self, label: Label) -> Option<Pid> {
        if let Reply::Pid(pid) = self.replies.get(&label)? { Some(*pid) } else { None }
    }

    fn file(&self, file: FileId) -> Option<FileId> {
        if file.device != DEVICE {
            return Some(file);
        }
        self.status_of(u16::try_from(file.inode).ok()?)
    }

    fn socket(&self, socket: u64) -> Option<u64> {
        match socket.checked_sub(SOCKET) {
            None => Some(socket),
            Some(label) => self.status_of(u16::try_from(label).ok()?).map(|file| file.inode),
        }
    }

    fn status_of(&self, label: u16) -> Option<FileId> {
        if let Reply::File(status) = self.replies.get(&Label(label))? { Some(status.id) } else { None }
    }

    fn port(&self, port: u16) -> Option<u16> {
        match port {
            0 => Some(0),
            LOW_PORT => Some(self.low_port),
            1..LOW_PORT => Some(self.first_port + port - 1),
            PORT.. => {
                let Reply::Address(address) = self.replies.get(&Label(port - PORT))? else { return None };
                Some(address.port())
            }
            _ => Some(port),
        }
    }
}

fn assign<T>(place: &mut T, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            *place = value;
            true
        }
        None => false,
    }
}
