//! What a start would meet, found without taking anything and without changing anything.
//!
//! Each token is looked at by the code that names its holder when a start is refused. What that code learns by trying is
//! here learnt from what the kernel lists: a lock from `/proc/locks` and `fdinfo`, a token of a port by connecting to
//! it, a listener from `/proc/net/tcp`. What cannot be learnt without trying is said to be unknown, never to be absent.

use std::path::Path;

use portcullis_os::{Errno, FileId, FileKind, FileStatus, Links, LockMode, Open, Os, Pid, Port, Uid};

use super::diagnose::{self, Meaning, Subject};
use super::journal::Header;
use super::responder::{self, Answer};
use super::{
    ATTEMPTS, LOCK_FILE, PAUSE_MS, WRITERS_FILE, companion_name, config, epoch, failed, listeners, ports,
    record, state, workspace, writers,
};
use crate::claim::{Claim, RemoteFileSystem};
use crate::identity::Identity;
use crate::refusal::{Holder, Reason, Refusal};

/// The first pid namespace of a machine, in which `/proc/locks` lists every lock (`include/uapi/linux/nsfs.h`).
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// The kernel shows it.
    Proved,
    /// The kernel shows what makes it so unless something rare has happened.
    Likely,
    /// It cannot be told from here.
    Unknown,
}

impl Certainty {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Likely => "likely",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that stands in the way of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// What a start would be told.
    pub refusal: Refusal,
    /// How sure it is who stands there.
    pub certainty: Certainty,
    /// The instance that the holder says it is, if it was asked and answered.
    pub instance: Option<String>,
}

/// Who owned the state directory last, by the record that an owner leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastOwner {
    /// What the record says. Anybody who may write there may have written it.
    pub record: Identity,
    /// The process that has its pid at present, if there is one.
    pub now: Option<Holder>,
}

/// What a start would meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Whatever stands in the way, in the order in which a start would meet it.
    pub blocked: Vec<Blocked>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
    /// The owner record.
    pub last_owner: Option<LastOwner>,
    /// What the owner that began last has said first: the header of the newest journal.
    pub begun: Option<Header>,
}

impl Survey {
    /// How sure it is that nobody stands in the way, if nobody does.
    pub fn certainty(&self) -> Certainty {
        match self.blocked.first() {
            Some(blocked) => blocked.certainty,
            None if self.unseen.is_empty() => Certainty::Proved,
            None => Certainty::Likely,
        }
    }

    fn add(&mut self, refusal: Refusal) {
        let certainty = if refusal.holder.is_none() && is_about_a_holder(refusal.reason) {
            Certainty::Unknown
        } else {
            Certainty::Proved
        };
        self.blocked.push(Blocked { refusal, certainty, instance: None });
    }

    /// Whether one process stands in the way already. That it holds everything else too is no news.
    fn names(&self, refusal: &Refusal) -> bool {
        let pid = |refusal: &Refusal| refusal.holder.as_ref().map(|holder| holder.pid);
        pid(refusal).is_some() && self.blocked.iter().any(|blocked| pid(&blocked.refusal) == pid(refusal))
    }
}

/// Whether a reason is that something holds what was wanted, so that not to see it is not to know.
fn is_about_a_holder(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::HeldUnknown
            | Reason::ConfigShared
            | Reason::WorkspaceShared
            | Reason::WorkspaceNested
            | Reason::PortRange
            | Reason::PortUnknown
    )
}

/// Looks at everything that a start would take.
pub async fn survey<O: Os>(os: &O, claim: &Claim) -> Survey {
    let mut survey = Survey { blocked: Vec::new(), unseen: Vec::new(), last_owner: None, begun: None };
    let uid = match os.own_uid().await {
        Ok(uid) => uid,
        Err(errno) => {
            survey.add(Refusal::from_errno("ask for", "the own user id", errno));
            return survey;
        }
    };
    // In any other pid namespace the kernel leaves out the locks of whoever is outside of it.
    if os.own_namespaces().await.map(|own| own.pid) != Ok(FIRST_PID_NAMESPACE) {
        survey.unseen.push("locks held from outside this pid namespace are not listed in it".to_owned());
    }
    let state = look_at_state(os, claim, uid, &mut survey).await;
    look_at_config(os, claim, uid, &mut survey).await;
    look_at_workspaces(os, claim, uid, state, &mut survey).await;
    if !look_at_ports(os, claim, uid, &mut survey).await {
        look_at_listeners(os, claim, uid, &mut survey).await;
    }
    look_at_epoch(os, claim, &mut survey).await;
    survey.last_owner = last_owner(os, claim, &mut survey.unseen).await;
    survey
}

/// The state directory, if there is one.
async fn look_at_state<O: Os>(os: &O, claim: &Claim, uid: Uid, survey: &mut Survey) -> Option<FileId> {
    let status = match os.stat(&claim.state, Links::Follow).await {
        Ok(status) => status,
        Err(Errno::NotFound) => return None,
        Err(errno) => {
            survey.add(failed("open", &claim.state)(errno));
            return None;
        }
    };
    if status.kind != FileKind::Directory {
        survey.add(failed("open", &claim.state)(Errno::NotDirectory));
        return None;
    }
    if let Err(refusal) = state::check_owner(&claim.state, &status, uid) {
        survey.add(refusal);
    }
    if claim.remote == RemoteFileSystem::Refused
        && let Ok(directory) = os.open(&claim.state, Open { directory: true, ..Open::read() }).await
        && let Err(refusal) =
            state::check_file_system(os, "the state directory", &claim.state, &directory).await
    {
        survey.add(refusal);
    }
    let directory = state::subject(claim, status.id, uid);
    if look_at_lock(os, &directory, survey).await {
        return Some(status.id);
    }
    let path = claim.state.join(LOCK_FILE);
    if let Some(status) = examine(os, &path, Links::NoFollow, survey).await {
        match state::file_subject(&directory, &path, &status) {
            Ok(subject) if look_at_lock(os, &subject, survey).await => return directory.state,
            Ok(_) => look_at_mode(&path, &status, uid, survey),
            Err(refusal) => survey.add(refusal),
        }
    }
    let path = claim.state.join(WRITERS_FILE);
    if let Some(file) = examine(os, &path, Links::NoFollow, survey).await {
        look_at_mode(&path, &file, uid, survey);
        look_at_lock(os, &writers::subject(&path, status.id, file.id, uid), survey).await;
    }
    Some(status.id)
}

/// Whether a lock file can be opened, where its mode leaves no doubt.
fn look_at_mode(path: &Path, status: &FileStatus, uid: Uid, survey: &mut Survey) {
    let needed = if status.uid == uid { 0o600 } else { 0o066 };
    if uid.0 != 0 && status.mode & needed == 0 {
        survey.add(failed("open", path)(Errno::AccessDenied));
    }
}

async fn look_at_config<O: Os>(os: &O, claim: &Claim, uid: Uid, survey: &mut Survey) {
    let Some(name) = claim.config.file_name() else { return };
    let companion = claim.config.with_file_name(companion_name(name));
    for (path, links) in [(&companion, Links::NoFollow), (&claim.config, Links::Follow)] {
        if let Some(status) = examine(os, path, links, survey).await
            && look_at_lock(os, &config::subject(&claim.config, status.id, uid), survey).await
        {
            return;
        }
    }
}

async fn look_at_workspaces<O: Os>(
    os: &O,
    claim: &Claim,
    uid: Uid,
    own: Option<FileId>,
    survey: &mut Survey,
) {
    for path in &claim.workspaces {
        let Some(status) = examine(os, path, Links::Follow, survey).await else { continue };
        if own == Some(status.id) {
            continue;
        }
        if let Some(problem) = workspace::problem(&status, uid) {
            survey.add(state::insecure("the workspace", path, &status, uid, &problem));
        }
        let subject = workspace::subject(path, path, LockMode::Exclusive, status.id, uid);
        if look_at_lock(os, &subject, survey).await || !survey.blocked.is_empty() {
            continue;
        }
        for around in path.ancestors().skip(1) {
            let Ok(status) = os.stat(around, Links::Follow).await else { continue };
            // Shared locks get along with each other, and which kind one is does not show.
            if own != Some(status.id)
                && !claim.workspaces.iter().any(|workspace| workspace == around)
                && let Some(taker) = os.lock_takers(status.id).await.unwrap_or_default().first()
            {
                let around = around.display();
                survey.unseen.push(format!(
                    "whether pid {taker}, which holds a lock on {around}, works there or only inside it"
                ));
            }
        }
    }
}

/// The tokens of the ports. Answers whether one is taken, be that news or not.
async fn look_at_ports<O: Os>(os: &O, claim: &Claim, uid: Uid, survey: &mut Survey) -> bool {
    for port in claim.all_ports() {
        match ports::observe(os, claim, port, uid).await {
            Ok(None) => {}
            Ok(Some(refusal)) => {
                if !survey.names(&refusal) {
                    survey.add(refusal);
                }
                return true;
            }
            Err(errno) => {
                survey.unseen.push(format!("who has the token of port {port}: {errno}"));
                return false;
            }
        }
    }
    false
}

async fn look_at_listeners<O: Os>(os: &O, claim: &Claim, uid: Uid, survey: &mut Survey) {
    match listeners::observe(os, claim, uid).await {
        Ok(listeners::Observed { refusal: Some(refusal), .. }) => {
            if !survey.names(&refusal) {
                survey.add(refusal);
            }
        }
        Ok(listeners::Observed { refusal: None, connections: 0 }) => {}
        Ok(listeners::Observed { refusal: None, connections }) => {
            let port: Port = claim.ports.base();
            survey.unseen.push(format!(
                "whether one of {connections} connections from port {port} was given that port, or a server took it"
            ));
        }
        Err(errno) => survey.unseen.push(format!("who listens on the base port: {errno}")),
    }
}

/// The journals, which a start reads once it holds everything else.
async fn look_at_epoch<O: Os>(os: &O, claim: &Claim, survey: &mut Survey) {
    let cannot = |errno| failed("read the epoch of", &claim.state)(errno);
    let begun = match os.open(&claim.state, Open { directory: true, ..Open::read() }).await {
        Ok(state) => epoch::last_begun(os, claim, &state).await,
        // What is wrong with it has been said.
        Err(Errno::NotFound | Errno::NotDirectory) => return,
        Err(errno) => Err(cannot(errno)),
    };
    match begun {
        Ok(begun) => survey.begun = begun,
        Err(refusal) if refusal.reason == Reason::NewerEpoch || survey.blocked.is_empty() => {
            survey.add(refusal);
        }
        Err(refusal) => survey.unseen.push(format!("the epochs of the owners so far: {}", refusal.what)),
    }
}

/// The status of a file that a start would lock, if it exists.
async fn examine<O: Os>(os: &O, path: &Path, links: Links, survey: &mut Survey) -> Option<FileStatus> {
    match os.stat(path, links).await {
        Ok(status) => Some(status),
        Err(Errno::NotFound) => None,
        Err(errno) => {
            survey.unseen.push(format!("{}: {errno}", path.display()));
            None
        }
    }
}

/// Looks who holds a lock, until two looks agree. Answers whether somebody does.
async fn look_at_lock<O: Os>(os: &O, subject: &Subject, survey: &mut Survey) -> bool {
    let mut before = None;
    for attempt in 1..=ATTEMPTS {
        let sighting = diagnose::look(os, subject).await;
        if !sighting.is_held() {
            survey.unseen.extend(sighting.blind);
            return false;
        }
        let holder = sighting.holder.as_ref().map(|holder| (holder.pid, holder.start));
        let seen = Some((sighting.reason(subject), holder));
        if seen != before && attempt < ATTEMPTS {
            before = seen;
            // A sleep that fails has only made the pause shorter.
            let _ = os.sleep(PAUSE_MS).await;
            continue;
        }
        let blocked = conclude(os, subject, sighting).await;
        if !survey.names(&blocked.refusal) {
            survey.blocked.push(blocked);
        }
        return true;
    }
    false
}

async fn conclude<O: Os>(os: &O, subject: &Subject, sighting: diagnose::Sighting) -> Blocked {
    let instance = match &sighting.answer {
        Answer::Identity(identity) if subject.meaning != Meaning::Writer => Some(identity.instance.clone()),
        Answer::Identity(_)
        | Answer::Silent
        | Answer::Crowded
        | Answer::NotListening
        | Answer::Unasked(_)
        | Answer::Unreadable
        | Answer::NotAsked => None,
    };
    let is_seen = sighting.holder.is_some();
    let suspect = match suspect(&sighting) {
        Some(pid) => diagnose::describe(os, pid, listener(os, subject, pid).await).await,
        None => None,
    };
    let mut refusal = sighting.refusal(subject, format!("/proc: a flock on inode {} is held", subject.file));
    if is_seen {
        return Blocked { refusal, certainty: Certainty::Proved, instance };
    }
    let certainty = if suspect.is_some() { Certainty::Likely } else { Certainty::Unknown };
    if let Some(suspect) = suspect {
        refusal.what = format!("{}; {} took it and lives", refusal.what, suspect.in_short());
        refusal.next = suspect.inspect();
        refusal.holder = Some(Box::new(suspect));
    }
    Blocked { refusal, certainty, instance: None }
}

/// The process that took a lock and cannot be looked into, if nobody can be shown to hold it.
fn suspect(sighting: &diagnose::Sighting) -> Option<Pid> {
    if sighting.holder.is_some() || sighting.blind.is_empty() {
        None
    } else {
        sighting.takers.first().copied()
    }
}

/// The user of a process, if it is the one who listens where the owner answers.
async fn listener<O: Os>(os: &O, subject: &Subject, pid: Pid) -> Option<Uid> {
    let (peer, _) = responder::ask(os, subject.control.as_ref()?, subject.uid).await;
    peer.filter(|peer| peer.pid == Some(pid)).map(|peer| peer.uid)
}

async fn last_owner<O: Os>(os: &O, claim: &Claim, unseen: &mut Vec<String>) -> Option<LastOwner> {
    match record::read(os, &claim.state).await {
        Ok(Some(record)) => {
            let now = match record.process() {
                Some(pid) => diagnose::describe(os, pid, None).await,
                None => None,
            };
            Some(LastOwner { record, now })
        }
        Ok(None) => {
            unseen.push("who owned it last: the owner record is not one".to_owned());
            None
        }
        Err(Errno::NotFound | Errno::NotDirectory) => None,
        Err(errno) => {
            unseen.push(format!("who owned it last: the owner record cannot be read: {errno}"));
            None
        }
    }
}
