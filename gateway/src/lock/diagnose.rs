//! Who holds a file lock, told from what the kernel shows now and never from what somebody wrote down.
//!
//! A holder is named only if the kernel shows the lock among that process's own descriptors. What the holder answers
//! about itself adds its phase; silence is reported as silence. After each look the lock is tried once more, so that no
//! refusal is older than its evidence.

use std::path::Path;

use portcullis_os::{
    Clock, Descriptor, Errno, FileId, LockMode, Os, PeerCredentials, Pid, ProcessState, Uid,
};

use super::responder::{self, Answer};
use super::{ATTEMPTS, PAUSE_MS};
use crate::identity::PhaseName;
use crate::refusal::{Holder, Reason, Refusal};

/// How much of a command line is shown, in characters.
const LONGEST_COMMAND: usize = 300;
/// Clock ticks a second in `/proc`, a constant of the Linux interface for user programs.
const TICKS_PER_SECOND: u64 = 100;

/// What it means that a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Its holder is the owner of the state directory, or something is wrong: the reason follows from what it does.
    Owner,
    /// The same, but whoever does not show that it is the owner is taken for one who writes to the state.
    Writer,
    /// This reason, whatever the holder does.
    Always(Reason),
}

/// What is to be locked, for the report.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// Its name in a sentence.
    pub(super) what: String,
    /// The inode whose lock it is.
    pub(super) file: FileId,
    /// The state directory whose owner should hold it, if that is what it guards.
    pub(super) state: Option<FileId>,
    /// Where its holder answers.
    pub(super) control: Option<String>,
    /// The user of this process; answers of other users (root excepted) are not believed.
    pub(super) uid: Uid,
    /// Which lock is wanted.
    pub(super) mode: LockMode,
    /// What it means that somebody else has it.
    pub(super) meaning: Meaning,
}

/// Why a lock was not granted.
#[derive(Debug)]
pub(super) enum Busy {
    /// Somebody holds it.
    Refused(Box<Refusal>),
    /// The kernel could not lock at all.
    Failed(Errno),
}

impl Busy {
    /// The refusal, in words about a path where the kernel could not lock at all.
    pub(super) fn refusal(self, doing: &'static str, path: &Path) -> Refusal {
        match self {
            Self::Refused(refusal) => *refusal,
            Self::Failed(errno) => super::failed(doing, path)(errno),
        }
    }
}

/// What one look has shown.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) holder: Option<Holder>,
    /// Whether it is the holder who listens where the owner answers, be it that it answers or not.
    pub(super) is_listener: bool,
    pub(super) answer: Answer,
    /// Who took the lock, as far as that is visible, where nobody could be shown to hold it.
    pub(super) takers: Vec<Pid>,
    /// What could not be looked at, and why.
    pub(super) blind: Vec<String>,
}

/// Takes a lock, or says who holds it.
///
/// A lock that is busy is tried a few times before anybody is asked, because some programs hold one for an instant.
pub(super) async fn lock<O: Os>(os: &O, file: &Descriptor<O>, subject: &Subject) -> Result<(), Busy> {
    for _ in 1..ATTEMPTS {
        if try_lock(os, file, subject.mode).await? {
            return Ok(());
        }
        // A sleep that fails has only made the pause shorter.
        let _ = os.sleep(PAUSE_MS).await;
    }
    if try_lock(os, file, subject.mode).await? {
        return Ok(());
    }
    let sighting = look(os, subject).await;
    if try_lock(os, file, subject.mode).await? {
        return Ok(());
    }
    let seen = format!("flock on inode {}: held", subject.file);
    Err(Busy::Refused(Box::new(sighting.refusal(subject, seen))))
}

/// Tries once. `false`: somebody else has it.
pub(super) async fn try_lock<O: Os>(os: &O, file: &Descriptor<O>, mode: LockMode) -> Result<bool, Busy> {
    match os.flock(file, mode).await {
        Ok(()) => Ok(true),
        Err(Errno::WouldBlock) => Ok(false),
        Err(errno) => Err(Busy::Failed(errno)),
    }
}

/// Looks once who holds the lock, and takes nothing.
pub(super) async fn look<O: Os>(os: &O, subject: &Subject) -> Sighting {
    let (peer, answer) = match &subject.control {
        Some(name) => ask_twice(os, name, subject.uid).await,
        None => (None, Answer::NotAsked),
    };
    let mut sighting =
        Sighting { holder: None, is_listener: false, answer, takers: Vec::new(), blind: Vec::new() };
    if let Some(peer) = peer
        && let Some(pid) = peer.pid
    {
        // Who has taken over answers on a socket that its predecessor has opened, and the kernel may name that one still.
        if let Answer::Identity(identity) = &sighting.answer
            && let Some(successor) = identity.process().filter(|answering| *answering != pid)
        {
            sighting.holder =
                verified(os, successor, Some(peer.uid), subject.file, &mut sighting.blind).await;
        }
        if sighting.holder.is_none() {
            sighting.holder = verified(os, pid, Some(peer.uid), subject.file, &mut sighting.blind).await;
        }
        sighting.is_listener = sighting.holder.is_some();
    }
    if sighting.holder.is_none() {
        sighting.takers = os.lock_takers(subject.file).await.unwrap_or_else(|errno| {
            sighting.blind.push(format!("/proc/locks could not be read: {errno}"));
            Vec::new()
        });
        sighting.holder = another(os, subject.file, &sighting.takers, &mut sighting.blind).await;
        // Who has answered holds it no more, if it ever did: what it says of itself is not true of who does.
        if sighting.holder.is_some() && matches!(sighting.answer, Answer::Identity(_)) {
            sighting.answer = Answer::NotAsked;
        }
    }
    sighting
}

/// A process that holds the lock: one that took it, or any other that can be seen.
async fn another<O: Os>(os: &O, file: FileId, takers: &[Pid], blind: &mut Vec<String>) -> Option<Holder> {
    for taker in takers {
        let holder = verified(os, *taker, None, file, blind).await;
        if holder.is_some() {
            return holder;
        }
    }
    // Whoever took the lock may be gone, or be in another pid namespace, while a child of it here holds it still.
    search(os, file, blind).await
}

/// Asks once more if nobody listens: an owner opens its control socket a few calls after it has the lock.
async fn ask_twice<O: Os>(os: &O, name: &str, uid: Uid) -> (Option<PeerCredentials>, Answer) {
    let (peer, answer) = responder::ask(os, name, uid).await;
    if !matches!(answer, Answer::NotListening) {
        return (peer, answer);
    }
    let _ = os.sleep(PAUSE_MS).await;
    responder::ask(os, name, uid).await
}

/// Looks through every visible process for one that holds the lock.
async fn search<O: Os>(os: &O, file: FileId, blind: &mut Vec<String>) -> Option<Holder> {
    let pids = match os.processes().await {
        Ok(pids) => pids,
        Err(errno) => {
            blind.push(format!("/proc could not be listed: {errno}"));
            return None;
        }
    };
    for pid in pids {
        // Processes of others cannot be looked into; that is no news about the lock.
        if os.holds_lock(pid, file).await == Ok(true)
            && let Some(holder) = verified(os, pid, None, file, blind).await
        {
            return Some(holder);
        }
    }
    None
}

/// Describes a process if one of its descriptors holds the lock at this moment.
async fn verified<O: Os>(
    os: &O,
    pid: Pid,
    uid: Option<Uid>,
    file: FileId,
    blind: &mut Vec<String>,
) -> Option<Holder> {
    let holder = describe(os, pid, uid).await?;
    match os.holds_lock(pid, file).await {
        Ok(true) => {}
        Ok(false) | Err(Errno::NotFound) => return None,
        Err(errno) => {
            blind.push(format!("/proc/{pid}/fdinfo could not be read: {errno}"));
            return None;
        }
    }
    // The pid may have gone from one process to the next between the two looks.
    (os.process_status(pid).await.ok()?.start == holder.start).then_some(holder)
}

/// Describes a process from `/proc`; `None` if it is gone.
pub(super) async fn describe<O: Os>(os: &O, pid: Pid, uid: Option<Uid>) -> Option<Holder> {
    let status = os.process_status(pid).await.ok()?;
    let command = os.process_command(pid).await.unwrap_or_default();
    let command = command.chars().take(LONGEST_COMMAND).collect();
    let uptime_seconds = os.read_clock(Clock::Boot).await.unwrap_or_default() / 1_000_000_000;
    Some(Holder {
        pid,
        name: status.name,
        command,
        state: status.state,
        start: status.start,
        age_seconds: uptime_seconds.saturating_sub(status.start.0 / TICKS_PER_SECOND),
        uid,
    })
}

impl Sighting {
    /// Whether anything shows that the lock is held.
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_some() || !self.takers.is_empty()
    }

    pub(super) fn reason(&self, subject: &Subject) -> Reason {
        let seen = match subject.meaning {
            Meaning::Always(reason) => return reason,
            Meaning::Owner | Meaning::Writer => self.reason_of_holder(subject),
        };
        let is_nobody_known = matches!(seen, Reason::HeldUnknown | Reason::HeldOrphan | Reason::HeldStopped);
        let is_writer = subject.meaning == Meaning::Writer && self.holder.is_some() && is_nobody_known;
        if is_writer && !self.answers_for(subject) { Reason::HeldWriters } else { seen }
    }

    /// Whether the holder answers as the owner of what is to be locked.
    fn answers_for(&self, subject: &Subject) -> bool {
        matches!(&self.answer, Answer::Identity(identity) if subject.state == Some(identity.state_id()))
    }

    fn reason_of_holder(&self, subject: &Subject) -> Reason {
        match (&self.holder, &self.answer) {
            (None, _) => Reason::HeldUnknown,
            (Some(holder), _) if holder.state == ProcessState::Stopped => Reason::HeldStopped,
            (Some(_), Answer::Identity(identity)) if subject.state == Some(identity.state_id()) => {
                match identity.phase {
                    Some(PhaseName::Ready) => Reason::HeldReady,
                    Some(PhaseName::Draining) => Reason::HeldDraining,
                    Some(PhaseName::Starting) | None => Reason::HeldStarting,
                }
            }
            (Some(_), Answer::Silent | Answer::Crowded) => Reason::HeldHung,
            // It did not take the lock that it holds, and who did holds it no more: it came by inheritance.
            (Some(holder), _) if !self.takers.is_empty() && !self.takers.contains(&holder.pid) => {
                Reason::HeldOrphan
            }
            // It holds the lock, and nothing shows that it is the owner.
            (
                Some(_),
                Answer::Identity(_)
                | Answer::NotListening
                | Answer::Unasked(_)
                | Answer::Unreadable
                | Answer::NotAsked,
            ) => Reason::HeldUnknown,
        }
    }

    /// The refusal. `seen` is how it shows that the lock is held.
    pub(super) fn refusal(self, subject: &Subject, seen: String) -> Refusal {
        let reason = self.reason(subject);
        let mut evidence = vec![seen];
        match &self.holder {
            Some(holder) => {
                evidence.push(format!("/proc/{}/fdinfo: one of its descriptors holds that lock", holder.pid));
                evidence.push(format!("/proc/{}/stat: {:?}", holder.pid, holder.state));
            }
            None if self.blind.is_empty() => {
                evidence.push("/proc: no visible process holds that lock".to_owned());
            }
            None => {}
        }
        if self.holder.is_none() || reason == Reason::HeldOrphan {
            evidence.extend(self.takers.iter().map(|pid| format!("/proc/locks: pid {pid} took that lock")));
        }
        evidence.extend(self.blind);
        evidence.extend(self.answer.evidence());
        Refusal {
            reason,
            what: sentence(&subject.what, reason, self.holder.as_ref()),
            next: next_command(reason, self.holder.as_ref(), &self.takers, subject.file),
            holder: self.holder.map(Box::new),
            evidence,
            do_not: Some(do_not(reason)),
            may_pass: false,
        }
    }
}

fn sentence(what: &str, reason: Reason, holder: Option<&Holder>) -> String {
    let who = holder.map_or_else(|| "something that is not visible from here".to_owned(), Holder::in_short);
    if reason == Reason::HeldUnknown {
        format!("the lock on {what} is held by {who}")
    } else if reason == Reason::HeldOrphan {
        format!("the lock on {what} is held by {who}, which has inherited it")
    } else if reason == Reason::HeldWriters {
        format!("{what} has no owner, and is held by {who}, which may still write to the state")
    } else if matches!(reason, Reason::WorkspaceShared | Reason::WorkspaceNested) {
        format!("{what} by {who}")
    } else {
        let running = match holder.filter(|_| reason != Reason::ConfigShared) {
            Some(holder) => format!("gateway already running (pid {}): ", holder.pid),
            None => String::new(),
        };
        format!("{running}{what} is owned by {who}{}", how_it_is(reason))
    }
}

fn how_it_is(reason: Reason) -> &'static str {
    if reason == Reason::HeldStarting {
        ", which is starting"
    } else if reason == Reason::HeldDraining {
        ", which is stopping"
    } else if reason == Reason::HeldStopped {
        ", which is paused"
    } else if reason == Reason::HeldHung {
        ", which does not answer"
    } else {
        ""
    }
}

fn do_not(reason: Reason) -> &'static str {
    if matches!(reason, Reason::WorkspaceShared | Reason::WorkspaceNested) {
        "let two gateways work in one tree: neither knows what the other is writing"
    } else if reason == Reason::HeldStopped {
        "kill it while somebody debugs it, nor delete the lock file: the lock goes with its holder"
    } else {
        "delete the lock file: the kernel holds the lock, and it goes with its holder"
    }
}

/// What shows more. Who took a lock is known by pid though nobody may look into it; else only root can look into everybody.
fn next_command(reason: Reason, holder: Option<&Holder>, takers: &[Pid], file: FileId) -> String {
    match (holder, takers) {
        (Some(holder), _) if reason == Reason::HeldStopped => format!("kill -CONT {}", holder.pid),
        (Some(holder), _) => holder.inspect(),
        (None, [taker, ..]) => format!("ps -o pid,user,unit,lstart,stat,args -p {taker}"),
        (None, []) => format!("sudo grep -ls ':{} ' /proc/[0-9]*/fdinfo/*", file.inode),
    }
}
