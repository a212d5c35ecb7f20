//! An owner that stands in the way is ended only if it is certain which process that is, that it is a gateway of this very
//! state, and that somebody wanted it ended.
//!
//! A pid is a number that the kernel gives to the next process. So a pidfd is opened first, and then everything is looked at
//! again that made this process the owner: if the second look names the same number and the signal reaches the process
//! of the pidfd, that process had the number all the time. Nothing else is signalled, nothing is unlinked, and no token
//! is skipped: afterwards the start goes on as every other one.
//!
//! What somebody wrote down can only forbid to end a process, never allow it.
//!
//! # Invariants
//!
//! - `no-collateral`, `no-theft`

use portcullis_os::{Descriptor, Errno, Links, Os, Pid, ProcessState, Signal, Uid};

use super::diagnose::{self, Subject};
use super::responder::Answer;
use super::{LOCK_FILE, record, state};
use crate::claim::{Claim, Force};
use crate::identity::Identity;
use crate::refusal::{Holder, Reason, Refusal};

/// How long an owner has to stop by itself, in milliseconds.
const GRACE_MS: u32 = 10_000;
/// How long the kernel has to end it, in milliseconds.
const KILL_MS: u32 = 5_000;
/// How many generations of parents are looked at.
const MOST_ANCESTORS: usize = 64;

/// What the second look has shown of the owner.
#[derive(Debug)]
struct Target {
    subject: Subject,
    holder: Holder,
    /// Whether it is the one who listens where the owner of this state answers.
    is_listener: bool,
    /// What it says of itself; if it says nothing, what the owner record says.
    told: Option<Identity>,
}

/// What this process is.
#[derive(Debug)]
struct Own {
    pid: Pid,
    uid: Uid,
    /// Its parent, the parent of that, and so on.
    ancestors: Vec<Pid>,
}

/// Ends the owner that `refused` is about. `Ok`: it is gone, or nobody owns the state any more.
pub(super) async fn end_owner<O: Os>(
    os: &O,
    claim: &Claim,
    force: &Force,
    refused: Refusal,
) -> Result<(), Refusal> {
    let denied = |why: String| {
        let mut refusal = refused.clone();
        refusal.evidence.push(format!("--force: not ended, because {why}"));
        Err(refusal)
    };
    if !is_owner(refused.reason) {
        return denied("only a gateway that owns this state directory ever is".to_owned());
    }
    let Some(pid) = refused.holder.as_ref().map(|holder| holder.pid) else {
        return denied("it is not visible from here".to_owned());
    };
    let own = match myself(os).await {
        Ok(own) => own,
        Err(errno) => return denied(format!("this process cannot be told from it: {errno}")),
    };
    let process = match os.open_pidfd(pid).await {
        Ok(process) => process,
        Err(Errno::NoProcess) => return Ok(()),
        Err(errno) => return denied(format!("pidfd_open of pid {pid}: {errno}")),
    };
    let Some(target) = look_again(os, claim, own.uid).await else { return Ok(()) };
    if target.holder.pid != pid {
        return denied(format!("the owner is {} by now", target.holder.in_short()));
    }
    if let Err(why) = permit(&target, &own, force) {
        return denied(why);
    }
    match end(os, &process, &target).await {
        Ok(()) => Ok(()),
        Err(why) => denied(why),
    }
}

/// Whether a refusal is about an owner of the state directory that the kernel shows.
fn is_owner(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::HeldReady
            | Reason::HeldStarting
            | Reason::HeldDraining
            | Reason::HeldHung
            | Reason::HeldStopped
    )
}

async fn myself<O: Os>(os: &O) -> Result<Own, Errno> {
    let (pid, uid) = (os.own_pid().await?, os.own_uid().await?);
    let mut ancestors = Vec::new();
    let mut child = pid;
    while ancestors.len() < MOST_ANCESTORS
        && let Some(parent) = os.process_status(child).await?.parent
    {
        ancestors.push(parent);
        child = parent;
    }
    Ok(Own { pid, uid, ancestors })
}

/// Who owns the state directory, looked at once more from the start. `None`: nobody who can be seen.
async fn look_again<O: Os>(os: &O, claim: &Claim, uid: Uid) -> Option<Target> {
    let directory = os.stat(&claim.state, Links::Follow).await.ok()?;
    let mut subject = state::subject(claim, directory.id, uid);
    let mut sighting = diagnose::look(os, &subject).await;
    if !sighting.is_held() {
        // Where directories cannot be locked, the owner has the lock file.
        let path = claim.state.join(LOCK_FILE);
        let file = os.stat(&path, Links::NoFollow).await.ok()?;
        subject = state::file_subject(&subject, &path, &file).ok()?;
        sighting = diagnose::look(os, &subject).await;
    }
    let told = match sighting.answer {
        Answer::Identity(identity) => Some(*identity),
        Answer::Silent
        | Answer::Crowded
        | Answer::NotListening
        | Answer::Unasked(_)
        | Answer::Unreadable
        | Answer::NotAsked => record::read(os, &claim.state).await.ok().flatten(),
    };
    Some(Target { subject, holder: sighting.holder?, is_listener: sighting.is_listener, told })
}

/// Whether a process may be ended; if not, why.
fn permit(target: &Target, own: &Own, force: &Force) -> Result<(), String> {
    let holder = &target.holder;
    let who = holder.in_short();
    if holder.pid == own.pid {
        return Err("it is this process".to_owned());
    }
    if holder.pid.get() == 1 {
        return Err("it is the first process here, and everything ends with it".to_owned());
    }
    if own.ancestors.contains(&holder.pid) {
        return Err(format!("{who} is an ancestor of this process"));
    }
    if !target.is_listener {
        return Err(format!(
            "{who} does not listen where the owner answers: nothing shows that it is a gateway"
        ));
    }
    if holder.uid != Some(own.uid) {
        return Err(format!("{who} belongs to another user"));
    }
    let Some(told) = target.told.as_ref() else {
        return Err(format!("{who} says nothing of itself, and there is no owner record"));
    };
    if told.process() != Some(holder.pid) {
        return Err(format!(
            "what is known of the owner speaks of pid {}: {who} is in another pid namespace, or the record is of another one",
            told.pid
        ));
    }
    match &force.expect {
        Some(expected) if *expected == told.instance => Ok(()),
        Some(expected) => Err(format!("its instance is {}, and {expected} was expected", told.instance)),
        None if holder.state == ProcessState::Stopped => Ok(()),
        None => Err(format!(
            "it runs and may be healthy: say --expect-instance {} to end it all the same",
            told.instance
        )),
    }
}

/// Ends the process of a pidfd, by asking it first if it can hear.
async fn end<O: Os>(os: &O, process: &Descriptor<O>, target: &Target) -> Result<(), String> {
    let who = target.holder.in_short();
    if target.holder.state != ProcessState::Stopped {
        if signal(os, process, Signal::Terminate, GRACE_MS).await? {
            return Ok(());
        }
        // One that has let go of the lock and still does something else is in nobody's way.
        if os.holds_lock(target.holder.pid, target.subject.file).await == Ok(false) {
            return Ok(());
        }
    }
    if signal(os, process, Signal::Kill, KILL_MS).await? {
        return Ok(());
    }
    let state = os.process_status(target.holder.pid).await.map(|status| status.state);
    Err(match state {
        Ok(ProcessState::Uninterruptible) => format!(
            "{who} sleeps in the kernel (state D), which no signal ends; SIGKILL is pending, wait for the disk or reboot"
        ),
        Ok(ProcessState::Running | ProcessState::Stopped | ProcessState::Zombie) | Err(_) => {
            format!("{who} was sent SIGKILL and is not gone after {KILL_MS} ms")
        }
    })
}

/// Sends a signal and waits. Answers whether the process is gone.
async fn signal<O: Os>(
    os: &O,
    process: &Descriptor<O>,
    signal: Signal,
    wait_ms: u32,
) -> Result<bool, String> {
    match os.signal_pidfd(process, Some(signal)).await {
        Ok(()) => {}
        Err(Errno::NoProcess) => return Ok(true),
        Err(errno) => return Err(format!("{signal} through its pidfd: {errno}")),
    }
    match os.wait_pidfd(process, wait_ms).await {
        Ok(()) => Ok(true),
        Err(Errno::TimedOut) => Ok(false),
        Err(errno) => Err(format!("waiting for its end: {errno}")),
    }
}

/// The owner of a state directory, once it has been asked for something.
#[derive(Debug)]
pub struct Asked<O: Os> {
    process: Descriptor<O>,
}

impl<O: Os> Asked<O> {
    /// Waits until its process is gone, and answers whether it is.
    ///
    /// # Errors
    ///
    /// What the machine says.
    pub async fn is_gone(&self, os: &O, wait_ms: u32) -> Result<bool, Errno> {
        match os.wait_pidfd(&self.process, wait_ms).await {
            Ok(()) => Ok(true),
            Err(Errno::TimedOut) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

/// Sends a signal to the owner of the state directory, if it is still the process and the instance that were seen, and what
/// would permit to end it by force permits this too. Nobody else is sent anything.
///
/// # Errors
///
/// Why nothing was sent, as a fragment of a sentence.
pub async fn ask_owner<O: Os>(
    os: &O,
    claim: &Claim,
    seen: &Holder,
    instance: Option<&str>,
    request: Signal,
) -> Result<Asked<O>, String> {
    let own = myself(os).await.map_err(|errno| format!("this process cannot be told from it: {errno}"))?;
    let process =
        os.open_pidfd(seen.pid).await.map_err(|errno| format!("pidfd_open of pid {}: {errno}", seen.pid))?;
    let Some(target) = look_again(os, claim, own.uid).await else {
        return Err("nobody who can be seen owns the state directory any more".to_owned());
    };
    if (target.holder.pid, target.holder.start) != (seen.pid, seen.start) {
        return Err(format!("the owner is {} by now", target.holder.in_short()));
    }
    let told = target.told.as_ref().map(|told| told.instance.clone());
    let expect = instance.map(str::to_owned).or(told).unwrap_or_default();
    permit(&target, &own, &Force { expect: Some(expect) })?;
    // It would hear nothing before it goes on, and do then what nobody wants any more.
    if target.holder.state == ProcessState::Stopped {
        return Err(format!(
            "{} is paused, and would hear it only once it goes on",
            target.holder.in_short()
        ));
    }
    match os.signal_pidfd(&process, Some(request)).await {
        // It has ended by itself, which the wait for its end shows at once.
        Ok(()) | Err(Errno::NoProcess) => Ok(Asked { process }),
        Err(errno) => Err(format!("{request} through its pidfd: {errno}")),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_os::{FileId, LockMode, Pid, ProcessState, Tick, Uid};

    use super::{Own, Target, permit};
    use crate::claim::Force;
    use crate::identity::Identity;
    use crate::lock::diagnose::{Meaning, Subject};
    use crate::refusal::Holder;

    fn target() -> Target {
        let file = FileId { device: 1, inode: 2 };
        let subject = Subject {
            what: "the state directory /s".to_owned(),
            file,
            state: Some(file),
            control: None,
            uid: Uid(1000),
            mode: LockMode::Exclusive,
            meaning: Meaning::Owner,
        };
        let holder = Holder {
            pid: Pid::new(40).unwrap(),
            name: "refgate".to_owned(),
            command: String::new(),
            state: ProcessState::Stopped,
            start: Tick(7),
            age_seconds: 1,
            uid: Some(Uid(1000)),
        };
        let told = Identity::from_line(
            br#"{"schema":1,"instance":"ab","pid":40,"state":"/s","stateDevice":1,"stateInode":2,"config":"/c","base":1,"span":1,"version":"1"}"#,
        );
        assert!(told.is_some());
        Target { subject, holder, is_listener: true, told }
    }

    #[test]
    fn nobody_is_ended_but_a_stopped_owner_or_the_expected_one() {
        let own =
            || Own { pid: Pid::new(50).unwrap(), uid: Uid(1000), ancestors: vec![Pid::new(30).unwrap()] };
        let expecting = |id: &str| Force { expect: Some(id.to_owned()) };
        let nothing = Force { expect: None };
        let with_pid = |pid: u32| {
            let mut target = target();
            target.holder.pid = Pid::new(pid).unwrap();
            target.told.as_mut().unwrap().pid = pid;
            target
        };
        let running = || {
            let mut target = target();
            target.holder.state = ProcessState::Running;
            target
        };
        let mut stranger = target();
        stranger.is_listener = false;
        let mut foreign = target();
        foreign.holder.uid = Some(Uid(0));
        let mut untold = target();
        untold.told = None;
        let mut elsewhere = target();
        elsewhere.told.as_mut().unwrap().pid = 7;
        for (target, force, expected) in [
            (target(), &nothing, ""),
            (target(), &expecting("ab"), ""),
            (target(), &expecting("cd"), "its instance is ab, and cd was expected"),
            (running(), &nothing, "it runs and may be healthy"),
            (running(), &expecting("ab"), ""),
            (running(), &expecting("cd"), "its instance is ab"),
            (with_pid(50), &expecting("ab"), "it is this process"),
            (with_pid(1), &expecting("ab"), "it is the first process here"),
            (with_pid(30), &expecting("ab"), "pid 30 (refgate) is an ancestor"),
            (stranger, &expecting("ab"), "pid 40 (refgate) does not listen"),
            (foreign, &expecting("ab"), "pid 40 (refgate) belongs to another user"),
            (untold, &nothing, "pid 40 (refgate) says nothing of itself"),
            (elsewhere, &nothing, "what is known of the owner speaks of pid 7"),
        ] {
            let answer = permit(&target, &own(), force).err().unwrap_or_default();
            assert!(
                if expected.is_empty() { answer.is_empty() } else { answer.starts_with(expected) },
                "{expected:?}: {answer:?}"
            );
        }
    }
}
