//! A scenario as plain data: everything a run needs, nothing about how the file spelled it.
//!
//! Only what a verdict points at keeps its line: steps, checks, outcomes and what is demanded of a refusal.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_os::{Port, Signal};
use sim::actors::ReadLock;
use sim::kernel::Persistence;
use sim::supervisor::Order;
use sim::{Supervised, Telling};

use super::answers::Answers;
use super::effort::Explore;
use super::operations::Tampering;
use super::timeline::Timeline;
use super::vocabulary::{Check, Fate, FinalState};

/// A value and the line of the file that it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// The line, counted from 1.
    pub line: usize,
}

/// One scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What it is called in ids and reports, for instance `race/two-gateways`.
    pub name: String,
    /// The whole text of the file; its hash tells whether a replay token still fits.
    pub source: Arc<str>,
    /// One sentence.
    pub title: String,
    /// Where it comes from: issues, documentation.
    pub refs: Vec<String>,
    /// What it is selected by.
    pub tags: Vec<String>,
    /// The contenders, in the order of the file.
    pub gateways: Vec<Gateway>,
    /// The processes that are no gateways, in the order of the file.
    pub processes: Vec<Bystander>,
    /// The state directories that lie on a mount of their own.
    pub mounts: Vec<Mount>,
    /// What happens first: in order, never interleaved.
    pub setup: Vec<Step>,
    /// What happens then: issued in order, interleaving until a wait.
    pub steps: Vec<Step>,
    /// What must come of it.
    pub expect: Expect,
    /// What to try.
    pub explore: Explore,
    /// What logs have shown.
    pub timeline: Option<Timeline>,
    /// The scenario with its varied values put in, once for each combination. Empty if nothing varies.
    pub variants: Vec<Variant>,
}

/// A contender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The name of its lane.
    pub name: String,
    /// The label of its state directory: gateways with equal labels compete for one directory.
    pub state: String,
    /// Its base port. 110 ports above it exist.
    pub port: Port,
    /// The label of its configuration file; `None`: the one inside the state directory.
    pub config: Option<String>,
    /// Whether it may rely on the lock file alone where a directory cannot be locked.
    pub allow_file_lock: bool,
    /// Whether it may keep its state on a file system that other machines reach.
    pub allow_remote_fs: bool,
    /// Whether it ends an owner of its state directory that is stopped, as one whom somebody at a terminal forces.
    pub force: bool,
    /// Whether it waits for a gateway that is in its way.
    pub park: bool,
    /// Whether it has a gateway that serves the same hand over everything.
    pub takeover: bool,
    /// The label of the directory that its agents work in, with `/` between it and the one around it; `None`: none.
    pub workspace: Option<String>,
    /// Ports that it has besides its block.
    pub pins: Vec<Port>,
    /// How many browsers it opens once it is told to. Each is one of [`Scenario::processes`].
    pub browsers: u8,
    /// The user that it runs as; `None`: that of everybody.
    pub uid: Option<u32>,
    /// Whether it is given another path to its state directory: a bind mount of it.
    pub bind_mount: bool,
    /// Whether it sees no other process, and nobody answers it.
    pub blind: bool,
    /// How many descriptors it may have open; `None`: as many as it likes.
    pub open_files: Option<u32>,
    /// The host that it runs on; `None`: the first one.
    pub host: Option<String>,
    /// The container that it runs in, on its host; `None`: in none. Equal labels on one host are one container.
    pub container: Option<String>,
    /// The label of a symbolic link to its state directory, by which it is told where that is; `None`: by its own name.
    pub link: Option<String>,
    /// The label of its temporary directory (`TMPDIR`); `None`: that of everybody.
    pub tmpdir: Option<String>,
    /// Who starts it again when it has ended.
    pub supervisor: Option<Supervised>,
}

/// A process that is no gateway and must not be harmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bystander {
    /// The name of its lane.
    pub name: String,
    /// Its command line.
    pub looks_like: String,
    /// Where it listens.
    pub listens: Vec<SocketAddr>,
    /// The local addresses of the connections that it has.
    pub connects: Vec<SocketAddr>,
    /// What it does; `None`: nothing, it only exists.
    pub does: Option<Deed>,
    /// What it answers whoever connects to it.
    pub answers: Answers,
    /// The gateway that opens it, if it is a browser of one. No `[process]` declares it.
    pub browser_of: Option<String>,
}

/// What a process does that is no gateway. It does it once, and ends, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It signals whoever listens on a port.
    KillByPort {
        /// The port.
        port: Port,
        /// The signal.
        signal: Signal,
    },
    /// It reads every file of a state directory.
    Read {
        /// The label of the state directory.
        state: String,
        /// What it does before.
        lock: ReadLock,
    },
    /// It removes every file of a state directory that was not changed for some time.
    Clean {
        /// The label of the state directory.
        state: String,
        /// For how many milliseconds.
        older_than_ms: u64,
    },
    /// It writes to a state directory until it is told to stop, as a child that a gateway has left behind.
    Write {
        /// The label of the state directory.
        state: String,
    },
    /// It writes the configuration of a gateway anew and renames it into its place.
    EditConfig {
        /// The gateway.
        of: String,
    },
}

/// A state directory on a mount of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The label of the state directory.
    pub state: String,
    /// Whether flock works on directories there.
    pub directory_locks: bool,
    /// What locks do there, if that is more than `directory_locks` says.
    pub locks: Option<Locks>,
    /// Whether it says of itself that it is a network file system.
    pub remote: bool,
    /// What it leaves behind when the power fails.
    pub persistence: Persistence,
}

/// What locks do on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Locks {
    /// They exclude the processes of one host and nobody on another.
    PerHost,
    /// A flock is a byte range lock, as on NFS.
    Emulated,
    /// They are refused.
    Nothing,
    /// They are granted, and exclude nobody.
    Unenforced,
}

/// How a disk is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disk {
    /// As it should.
    Healthy,
    /// Nothing more can be written.
    Full,
    /// No file can be made.
    WithoutInodes,
    /// It has met an error and changes nothing more.
    ReadOnly,
    /// It reads and writes nothing.
    Broken,
}

/// What is done to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An operator removes a state directory and what is in it.
    RemoveState {
        /// Its label.
        state: String,
    },
    /// An operator gives a state directory another name.
    MoveAway {
        /// Its label.
        state: String,
    },
    /// And its old one again.
    MoveBack {
        /// Its label.
        state: String,
    },
    /// An operator changes who may do what with a state directory.
    SetMode {
        /// Its label.
        state: String,
        /// The permission bits.
        mode: u32,
    },
    /// Somebody overwrites the lock files of a state directory where they are.
    Tamper {
        /// Its label.
        state: String,
        /// With what.
        with: Tampering,
    },
    /// The disk of a state directory fills up, breaks, or is well again.
    Disk {
        /// The label of the state directory.
        state: String,
        /// How it is from now on.
        disk: Disk,
    },
    /// Every lock on the file system of a state directory is lost.
    LoseLocks {
        /// The label of the state directory.
        state: String,
    },
    /// The wall clock of a host is set.
    StepClock {
        /// The host.
        host: String,
        /// By how many milliseconds.
        by_ms: i64,
    },
    /// A host sleeps.
    Suspend {
        /// The host.
        host: String,
        /// For how many milliseconds.
        for_ms: u64,
    },
    /// Time passes everywhere, in milliseconds.
    Pass(u64),
    /// A host reboots.
    Reboot {
        /// The host.
        host: String,
    },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveState { state } => write!(f, "remove the state directory {state}"),
            Self::MoveAway { state } => write!(f, "move {state} away"),
            Self::MoveBack { state } => write!(f, "move {state} back"),
            Self::SetMode { state, mode } => write!(f, "give {state} the mode {mode:03o}"),
            Self::Tamper { state, with } => write!(f, "overwrite the lock file of {state} with {with}"),
            Self::Disk { state, disk } => write!(f, "the disk of {state} becomes {disk:?}"),
            Self::LoseLocks { state } => write!(f, "lose the locks of {state}"),
            Self::StepClock { host, by_ms } => write!(f, "set the clock of {host} by {by_ms:+} ms"),
            Self::Suspend { host, for_ms } => write!(f, "suspend {host} for {for_ms} ms"),
            Self::Pass(milliseconds) => write!(f, "let {milliseconds} ms pass"),
            Self::Reboot { host } => write!(f, "reboot {host}"),
        }
    }
}

/// One thing that is done to the processes, and its line.
pub type Step = Located<Action>;

/// What a step does. A list of names acts at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Starts processes, or asks their supervisors to.
    Start(Vec<String>),
    /// Sends SIGTERM.
    Stop(Vec<String>),
    /// Sends SIGKILL.
    Kill(Vec<String>),
    /// Sends SIGSTOP.
    Pause(Vec<String>),
    /// Sends SIGCONT.
    Resume(Vec<String>),
    /// Sends SIGUSR1: a gateway that owns begins anew and keeps what it owns.
    Restart(Vec<String>),
    /// Asks gateways for one write each: an owner looks at what it owns, and writes.
    Write(Vec<String>),
    /// Gateways open their browsers, if they serve at this moment.
    OpenBrowsers(Vec<String>),
    /// Asks supervisors to end their gateways, or to end and start them.
    Order(Order, Vec<String>),
    /// Starts a bystander with the pid, and if possible the start tick, that a dead process had.
    Recycle {
        /// The dead process.
        old: String,
        /// The bystander that is born.
        new: String,
    },
    /// An operator deletes the lock file of a state directory.
    RemoveLockFile {
        /// The label of the state directory.
        state: String,
    },
    /// Something is done to the machine.
    Operate(Operation),
    /// Nothing more is issued until this holds.
    Wait(Wait),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(names) => write!(f, "start {}", names.join(", ")),
            Self::Stop(names) => write!(f, "stop {}", names.join(", ")),
            Self::Kill(names) => write!(f, "kill {}", names.join(", ")),
            Self::Pause(names) => write!(f, "pause {}", names.join(", ")),
            Self::Resume(names) => write!(f, "resume {}", names.join(", ")),
            Self::Restart(names) => write!(f, "restart {}", names.join(", ")),
            Self::Write(names) => write!(f, "ask {} to write", names.join(", ")),
            Self::OpenBrowsers(names) => write!(f, "open the browsers of {}", names.join(", ")),
            Self::Order(Order::Stop, names) => write!(f, "stop the service of {}", names.join(", ")),
            Self::Order(Order::Restart, names) => write!(f, "restart the service of {}", names.join(", ")),
            Self::Recycle { old, new } => write!(f, "recycle {old} as {new}"),
            Self::RemoveLockFile { state } => write!(f, "remove the lock file of {state}"),
            Self::Operate(operation) => operation.fmt(f),
            Self::Wait(wait) => write!(f, "wait for {wait}"),
        }
    }
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Each process that was started is ready, has ended, is stopped, or can do nothing more.
    Settled,
    /// This gateway serves.
    ReadyOf(String),
    /// This process is settled.
    SettledOf(String),
    /// This process has ended.
    GoneOf(String),
    /// This gateway has told this, however long ago.
    Told(Telling, String),
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled => f.write_str("settled"),
            Self::ReadyOf(name) => write!(f, "{name}.ready"),
            Self::SettledOf(name) => write!(f, "{name}.settled"),
            Self::GoneOf(name) => write!(f, "{name}.gone"),
            Self::Told(telling, name) => write!(f, "{name}.{}", telling.name()),
        }
    }
}

/// What must come of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// What must hold after every step.
    pub always: Vec<Located<Check>>,
    /// The ways in which it may end; one of them must fit.
    pub outcomes: Vec<Located<Outcome>>,
    /// What some schedule must show.
    pub reach: Reach,
    /// What every refusal must say.
    pub refusal: Option<Located<Refusal>>,
}

/// One way in which a scenario may end. A process that is not named may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who ends how, in the order of the file.
    pub states: Vec<(String, FinalState)>,
}

/// What at least one schedule must show, so that nothing passes because nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing in particular.
    Anything,
    /// Each outcome that is listed.
    EveryOutcome,
}

/// What every refusal must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whom it must name as the process in the way.
    pub names: Option<Named>,
    /// The exit statuses that it may have; empty: any.
    pub exit: Vec<u8>,
    /// What it must not say, in letters of either case.
    pub never_says: Vec<String>,
    /// How long after the start it must come at the latest, in milliseconds; `None`: at any time.
    pub within_ms: Option<u64>,
}

/// Whom a refusal must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Whoever holds what is needed at that moment.
    Owner,
    /// This gateway or bystander.
    Process(String),
}

/// The scenario with one combination of varied values put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// One short word for each varied value, in the order of the file.
    pub words: Vec<String>,
    /// The scenario that results. It varies no further.
    pub scenario: Scenario,
}

/// One thing to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The name of the scenario and, where something varies, `[word,word]`. Has no blanks.
    pub id: String,
    /// The scenario with its values put in.
    pub scenario: Scenario,
}

impl Scenario {
    /// What is to be run: the scenario itself, or one case for each combination of what varies, in the order of the file.
    pub fn cases(&self) -> Vec<Case> {
        if self.variants.is_empty() {
            return vec![Case { id: self.name.clone(), scenario: self.clone() }];
        }
        self.variants
            .iter()
            .map(|variant| Case {
                id: format!("{}[{}]", self.name, variant.words.join(",")),
                scenario: variant.scenario.clone(),
            })
            .collect()
    }
}

impl Outcome {
    /// Whether it may end so. A process that `fates` does not mention counts as [`Fate::Unstarted`].
    pub fn admits(&self, fates: &BTreeMap<String, Fate>) -> bool {
        self.states.iter().all(|(name, state)| state.admits(fates.get(name).unwrap_or(&Fate::Unstarted)))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, state)) in self.states.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} is {state}")?;
        }
        Ok(())
    }
}
