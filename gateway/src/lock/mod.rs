//! At most one live process owns a state directory, a configuration, its workspaces and a block of ports.
//!
//! Ownership is a set of kernel locks and sockets that are taken in one fixed order, each by trying once, file locks
//! before any socket. The kernel frees them when the process dies, so nothing stale can block; nobody unlinks them, so
//! nothing can be stolen. No pid, start time, record, port probe or clock grants or denies anything: those only
//! explain a refusal.
//!
//! | order | token | excludes |
//! | --- | --- | --- |
//! | 1 | exclusive flock on the state directory's inode | a second owner of that directory, however it is spelled |
//! | 2 | exclusive flock on `gateway.lock` in it | the same, where directories cannot be locked |
//! | 3 | exclusive, then shared flock on `writers.lock` in it | a start while a child of an earlier owner may still write |
//! | 4 | exclusive flock on `.NAME.gateway.lock` beside the configuration, and on the file itself | a second user of that configuration |
//! | 5 | exclusive flock on each workspace, shared flock on the directories around it, ascending | a second gateway in it, inside it or around it |
//! | 6 | one abstract Unix socket a port, ascending | a second claim on any port of the block or pinned outside it |
//! | 7 | listeners on 127.0.0.1 and on ::1, or wherever else it was told to listen | programs that know nothing of tokens |
//!
//! # Invariants
//!
//! - `single-owner`, `config-identity`, `ports-disjoint`, `no-wedge`, `no-theft`, `no-foreign-unlink`, `truthful`
//! - `effect-after-lock`: a refused start leaves at most empty directories and empty lock files that it had to create.
//! - `single-writer`: an owner that has lost what it locked writes where nobody reads ([`journal`]), and stops ([`Tenure`]).

mod config;
mod diagnose;
mod epoch;
mod force;
mod handover;
pub mod journal;
mod line;
mod listeners;
mod neighbours;
mod park;
mod ports;
mod record;
mod responder;
mod state;
mod survey;
mod tidy;
mod watch;
mod workspace;
mod writers;

use std::path::Path;

use portcullis_os::{Descriptor, Errno, Fd, FileId, Links, Os, Ownership, Port};

use crate::claim::Claim;
use crate::identity::Identity;
use crate::refusal::{Reason, Refusal, quoted};

/// The lock file inside the state directory. The name is frozen: another version must find the same file.
pub const LOCK_FILE: &str = "gateway.lock";
/// The lock file inside the state directory that every process which writes there holds shared. The name is frozen.
pub const WRITERS_FILE: &str = "writers.lock";
/// The owner record inside the state directory, for people.
pub const OWNER_RECORD: &str = "gateway.owner.json";

pub use config::companion_name;
pub use epoch::EPOCH_FILE;
pub use force::{Asked, ask_owner};
pub use handover::{HAVE, Offered, Successor, TAKE, take_over};
pub use journal::Event;
pub use neighbours::{Neighbour, neighbours};
pub use park::park;
pub use survey::{Blocked, Certainty, LastOwner, Survey, survey};
pub use tidy::{Finding, Fixed, inspect, mend};
pub use watch::Tenure;

/// The port whose token an abstract Unix socket is, if its name is that of a token.
pub fn token_port(name: &str) -> Option<u16> {
    responder::token_port(name)
}

/// The name of the abstract Unix socket that is the token of a port.
pub fn token_name(port: u16) -> String {
    responder::port_name(port)
}

/// How often a directory or lock file that is replaced during the start is opened anew.
const PATH_ATTEMPTS: u32 = 4;
/// How often a busy token is tried before the refusal is final.
const ATTEMPTS: u32 = 3;
/// How long to wait between two attempts, in milliseconds.
const PAUSE_MS: u32 = 50;

/// Everything that an owner holds. Dropping it gives the tokens back, the last one first.
#[derive(Debug)]
pub struct Owned<O: Os> {
    listeners: Vec<Descriptor<O>>,
    ports: Vec<Descriptor<O>>,
    workspaces: Vec<Descriptor<O>>,
    config: config::ConfigLock<O>,
    control: Option<Descriptor<O>>,
    writers: Descriptor<O>,
    state: state::StateLock<O>,
    /// Who owns it: this run.
    pub identity: Identity,
}

impl<O: Os> Owned<O> {
    /// The listening TCP sockets, 127.0.0.1 first.
    pub fn listeners(&self) -> Vec<Fd> {
        self.listeners.iter().map(Descriptor::fd).collect()
    }

    /// The state directory, which is locked. It is open for as long as this is owned.
    pub fn state_directory(&self) -> Fd {
        self.state.directory.fd()
    }

    /// What is owned, for whoever watches.
    pub fn ownership(&self, claim: &Claim) -> Ownership {
        Ownership {
            state: self.state.id,
            config: Some(self.config.key.clone()),
            base: claim.ports.base(),
            span: claim.ports.span(),
        }
    }

    /// Writes the owner record. It informs people; nothing depends on it, so a full disk does not stop an owner.
    ///
    /// # Errors
    ///
    /// The first error of the machine. The old record is then still whole.
    pub async fn record(&self, os: &O) -> Result<(), Errno> {
        record::write(os, &self.state.directory, &self.identity).await
    }
}

/// Takes every token of the claim, or none.
///
/// # Errors
///
/// The refusal, with the evidence. Every token that was taken before is given back before this returns or with the
/// steps that follow at once.
pub async fn acquire<O: Os>(os: &O, claim: &Claim) -> Result<Owned<O>, Refusal> {
    match (take_all(os, claim).await, &claim.force) {
        (Err(refusal), Some(force)) => {
            force::end_owner(os, claim, force, refusal).await?;
            take_all(os, claim).await
        }
        (outcome, _) => outcome,
    }
}

async fn take_all<O: Os>(os: &O, claim: &Claim) -> Result<Owned<O>, Refusal> {
    let uid = os.own_uid().await.map_err(|errno| Refusal::from_errno("ask for", "the own user id", errno))?;
    let state = state::take(os, claim, uid).await?;
    // Before anybody can ask: what is done while nobody answers is done by one task, which keeps the search small.
    let writers = writers::take(os, claim, &state, uid).await?;
    let identity = introduce(os, claim, state.id).await?;
    let control = responder::open_control(os, state.id, &identity).await;
    let config = config::take(os, claim, uid).await?;
    let workspaces = workspace::take(os, claim, uid, state.id).await?;
    let ports = ports::take(os, claim, uid).await?;
    let listeners = listeners::take(os, claim, uid).await?;
    listeners::note_foreign(os, claim).await;
    responder::answer_on(os, ports.iter().map(Descriptor::fd).collect(), &identity);
    Ok(Owned { listeners, ports, workspaces, config, control, writers, state, identity })
}

/// Who this run is, as the owner of a state directory.
async fn introduce<O: Os>(os: &O, claim: &Claim, state: FileId) -> Result<Identity, Refusal> {
    let told = |errno| Refusal::from_errno("ask for", "the own process id", errno);
    let instance = os.random().await.map_err(told)?;
    let pid = os.own_pid().await.map_err(told)?;
    Ok(Identity {
        schema: 1,
        instance: instance.iter().map(|byte| format!("{byte:02x}")).collect(),
        pid: pid.get(),
        phase: None,
        state: claim.state.display().to_string(),
        state_device: state.device,
        state_inode: state.inode,
        config: claim.config.display().to_string(),
        base: claim.ports.base().get(),
        span: claim.ports.span(),
        pinned: claim.pinned_outside().map(Port::get).collect(),
        version: claim.version.clone(),
    })
}

/// Creates a directory and what is missing above it, private to this user.
async fn make_directories<O: Os>(os: &O, path: &Path) -> Result<(), Refusal> {
    for _ in 0..PATH_ATTEMPTS {
        // Up, until something is there, then down again.
        let mut missing = Vec::new();
        let mut directory = path;
        while !make_directory(os, directory).await? {
            missing.push(directory);
            directory = directory.parent().ok_or_else(|| failed("create", path)(Errno::NotFound))?;
        }
        let mut all = true;
        while let Some(directory) = missing.pop()
            && all
        {
            // A parent that exists and can hold nothing is a dangling link or an odd file system, or was just removed.
            all = make_directory(os, directory).await?;
        }
        if all {
            return Ok(());
        }
    }
    Err(failed("create", path)(Errno::NotFound))
}

/// Creates one directory, and answers whether there is one now; if not, its parent is missing.
async fn make_directory<O: Os>(os: &O, directory: &Path) -> Result<bool, Refusal> {
    match os.make_directory(directory, 0o700).await {
        Ok(()) | Err(Errno::Exists) => Ok(true),
        Err(Errno::NotFound) => Ok(false),
        // The directory may exist all the same, on a read-only or protected file system: opening it will tell.
        Err(Errno::ReadOnly | Errno::AccessDenied) if os.stat(directory, Links::Follow).await.is_ok() => {
            Ok(true)
        }
        Err(errno) => Err(failed("create", directory)(errno)),
    }
}

fn path_unstable(path: &Path) -> Refusal {
    let name = path.display();
    Refusal {
        reason: Reason::PathUnstable,
        what: format!("{name} or its lock file was replaced {PATH_ATTEMPTS} times during the start"),
        holder: None,
        evidence: vec![format!("the inode behind {name} or its lock file changed after each lock")],
        next: format!("ls -lid {}", quoted(&name.to_string())),
        do_not: None,
        may_pass: false,
    }
}

fn failed(doing: &'static str, path: &Path) -> impl Fn(Errno) -> Refusal {
    let path = path.display().to_string();
    move |errno| Refusal::from_errno(doing, &path, errno)
}
