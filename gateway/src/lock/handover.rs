//! An owner hands everything that it holds to its successor, and no token is free in between.
//!
//! A lock belongs to an open file description, and a descriptor that travels through a Unix socket is that description: who
//! receives it holds the lock, and who has sent it holds it too until it closes its own. The same is true of the sockets, so
//! whoever connects meanwhile waits in the queue of the kernel and is not refused.
//!
//! 1. The successor is refused like everybody else, by an owner that serves. It listens under a name that follows from the
//!    state directory, and sends `SIGUSR1` through a pidfd to the process that answers as the owner.
//! 2. The owner would restart in place. But it finds somebody who listens there, of the same user, and offers what it has. The
//!    successor compares that with what it wants, and takes it, or hangs up: then the owner goes on as if nothing had been.
//! 3. The owner drains, as it does for a restart, ends its journal and sends every token but one.
//! 4. The successor locks the files among them once more, which fails if they are not locked, and says that it has everything. The owner says that it is no
//!    owner any more, sends the last token, the lock file, and ends.
//! 5. The successor holds everything: it is the owner and begins an epoch of its own, which seals the journals before.
//!
//! The owner begins its next epoch before it says goodbye to anybody, so nothing is given away on a disk on which nobody could
//! begin one, and it goes on in that epoch if the successor does not take everything.
//!
//! Only who holds the lock file is an owner, so the last step of the owner decides. Whoever dies before leaves the other with
//! what it had: the owner restarts in place, and a successor gives back what it has received and starts like everybody else. A
//! successor that got nothing of an owner that lives is refused.
//! Whoever dies afterwards leaves free locks, even if the last token is still on its way: the kernel closes what nobody can
//! receive. An owner waits for nobody longer than a moment; a successor waits for one that has begun, as one that is parked does.
//!
//! # Invariants
//!
//! - `single-owner`: whoever hands over says that it is no owner before there can be another one.
//! - `no-wedge`: a descriptor on its way goes with the socket that it is on its way to.

use std::iter::once;
use std::path::PathBuf;

use portcullis_os::{
    ConfigKey, Descriptor, Errno, FOREVER_MS, FileId, Links, LockMode, Os, PeerCredentials, Pid, Port,
    Signal, Uid,
};
use serde::{Deserialize, Serialize};

use super::responder::{self, Answer};
use super::{Owned, PAUSE_MS, acquire, config, introduce, state};
use crate::claim::{Claim, DirectoryLock};
use crate::identity::{LONGEST, PhaseName};
use crate::refusal::{Reason, Refusal};

/// What a successor says when it wants what is offered.
pub const TAKE: &[u8] = b"take\n";
/// What a successor says when it has received everything but the last token.
pub const HAVE: &[u8] = b"have all\n";
/// How long a successor waits for an offer, in milliseconds.
const OFFER_MS: u32 = 5_000;
/// How long an owner waits for a word of the successor, in milliseconds.
const WORD_MS: u32 = 2_000;
/// How long a successor that did not get the last token waits for the end of the owner, in milliseconds.
const END_MS: u32 = 1_000;
/// How often a token is sent to a successor whose queue is full.
const SEND_ATTEMPTS: u32 = 40;
/// An offer arrives in one piece, or in a few if it is long.
const PIECES: u32 = 4;
/// How many may wait to offer something.
const BACKLOG: u16 = 4;

/// Where a successor waits for an offer. The name is frozen: another version must find the same socket.
fn takeover_name(state: FileId) -> String {
    format!("refgate.v1.takeover.{:x}.{}", state.device, state.inode)
}

/// What an owner has, and which descriptors it will send.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Offer {
    /// The version of this format: 1.
    schema: u32,
    config: ConfigKey,
    base: u16,
    span: u16,
    pinned: Vec<u16>,
    workspaces: Vec<PathBuf>,
    listen: String,
    /// Whether the companion of the configuration is locked.
    has_companion: bool,
    /// Whether the configuration itself is locked.
    has_file: bool,
    /// How many directories are locked for the workspaces.
    directories: usize,
    /// How many addresses it listens on.
    listeners: usize,
}

/// What came of an offer.
#[derive(Debug)]
pub enum Offered<O: Os> {
    /// Nobody has asked for one.
    Nobody,
    /// Whoever has asked does not want it, or is gone.
    Declined,
    /// The successor waits.
    Accepted(Successor<O>),
}

/// Somebody who wants to take over what an owner has.
#[derive(Debug)]
pub struct Successor<O: Os> {
    stream: Descriptor<O>,
}

impl<O: Os> Owned<O> {
    /// Offers everything to whoever waits for it, and goes on owning it.
    pub async fn offer(&self, os: &O, claim: &Claim) -> Offered<O> {
        let Ok(stream) = os.connect_unix(takeover_name(self.state.id)).await else { return Offered::Nobody };
        let (own, peer) = (os.own_uid().await, os.peer_credentials(&stream).await);
        // Anybody may listen under any name.
        if own.is_err() || own != peer.map(|peer| peer.uid) {
            return Offered::Nobody;
        }
        // A path that is no text cannot be told, and so cannot be compared.
        let Ok(mut line) = serde_json::to_vec(&self.offered(claim)) else { return Offered::Declined };
        line.push(b'\n');
        let length = line.len();
        let is_sent = os.send(&stream, line).await.is_ok_and(|sent| usize::try_from(sent) == Ok(length));
        if is_sent && hears(os, &stream, TAKE).await {
            Offered::Accepted(Successor { stream })
        } else {
            Offered::Declined
        }
    }

    fn offered(&self, claim: &Claim) -> Offer {
        Offer {
            schema: 1,
            config: self.config.key.clone(),
            base: claim.ports.base().get(),
            span: claim.ports.span(),
            pinned: claim.pinned_outside().map(Port::get).collect(),
            workspaces: claim.workspaces.clone(),
            listen: claim.listen.to_string(),
            has_companion: self.config.companion.is_some(),
            has_file: self.config.file.is_some(),
            directories: self.workspaces.len(),
            listeners: self.listeners.len(),
        }
    }

    /// Sends every token but the last one, and answers whether the successor has them. It is no owner by that.
    pub async fn hand_over(&self, os: &O, to: &Successor<O>) -> bool {
        let tokens = once(&self.state.directory)
            .chain(once(&self.writers))
            .chain(&self.config.companion)
            .chain(&self.config.file)
            .chain(&self.control)
            .chain(&self.workspaces)
            .chain(&self.ports)
            .chain(&self.listeners);
        for token in tokens {
            if !send(os, to, token).await {
                return false;
            }
        }
        hears(os, &to.stream, HAVE).await
    }

    /// Sends the last token. If that works, the successor is the owner, or nobody: the caller must have said before that it
    /// is no owner any more, and gives up everything at once. If not, the caller is the only one who can be the owner.
    pub async fn hand_over_last(&self, os: &O, to: &Successor<O>) -> bool {
        send(os, to, &self.state.file).await
    }
}

async fn send<O: Os>(os: &O, to: &Successor<O>, token: &Descriptor<O>) -> bool {
    for _ in 1..SEND_ATTEMPTS {
        match os.send_fd(&to.stream, token).await {
            // A sleep that fails has only made the pause shorter.
            Err(Errno::WouldBlock) => drop(os.sleep(PAUSE_MS).await),
            outcome => return outcome.is_ok(),
        }
    }
    os.send_fd(&to.stream, token).await.is_ok()
}

/// Whether this word comes next, and in time.
async fn hears<O: Os>(os: &O, stream: &Descriptor<O>, word: &[u8]) -> bool {
    // No word is that long.
    let length = u32::try_from(word.len()).unwrap_or(u32::MAX);
    os.receive(stream, length, WORD_MS).await.is_ok_and(|heard| heard == word)
}

/// Takes every token of the claim: from an owner that serves and hands them over, or as everybody does if there is none.
///
/// # Errors
///
/// The refusal, of somebody who owns. Why it has not handed over is among the evidence.
pub async fn take_over<O: Os>(os: &O, claim: &Claim) -> Result<Owned<O>, Refusal> {
    let refusal = match acquire(os, claim).await {
        Ok(owned) => return Ok(owned),
        Err(refusal) => refusal,
    };
    let owner = refusal.holder.as_ref().filter(|_| refusal.reason == Reason::HeldReady);
    let Some(owner) = owner.map(|holder| holder.pid) else { return Err(refusal) };
    let told = |mut refusal: Refusal, why: String| {
        refusal.evidence.push(format!("not taken over from pid {owner}: {why}"));
        refusal
    };
    match receive_all(os, claim, owner).await {
        Ok(owned) => Ok(owned),
        // Nobody may be in the way any more. Whoever is must be looked at anew.
        Err(failure) => {
            let (Failure::Untouched(why) | Failure::InDoubt(why)) = &failure;
            if let Failure::InDoubt(_) = failure {
                outlive(os, owner).await;
            }
            acquire(os, claim).await.map_err(|refusal| told(refusal, why.clone()))
        }
    }
}

/// Why nothing was taken over.
enum Failure {
    /// The owner has given nothing away that it does not hold itself.
    Untouched(String),
    /// It may have sent the last token, and is no owner then.
    InDoubt(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Untouched(why)
    }
}

/// Waits a moment for the end of an owner that may have sent the last token: it is on its way out then, and whoever looks at it
/// meanwhile sees locks of somebody who is no owner.
async fn outlive<O: Os>(os: &O, owner: Pid) {
    if let Ok(process) = os.open_pidfd(owner).await {
        let _ = os.wait_pidfd(&process, END_MS).await;
    }
}

/// Who this process is.
#[derive(Clone, Copy, Debug)]
struct Own {
    pid: Pid,
    uid: Uid,
}

/// Asks an owner for everything. Whatever was received is given back if that fails, which frees nothing that the owner has.
async fn receive_all<O: Os>(os: &O, claim: &Claim, owner: Pid) -> Result<Owned<O>, Failure> {
    let own = Own {
        pid: os.own_pid().await.map_err(cannot("ask for the own process id"))?,
        uid: os.own_uid().await.map_err(cannot("ask for the own user id"))?,
    };
    let directory =
        os.stat(&claim.state, Links::Follow).await.map_err(cannot("examine the state directory"))?;
    // Opened before the owner is asked who it is: if that pid has gone to another process since, it means a dead one.
    let process = os.open_pidfd(owner).await.map_err(cannot("open its pidfd"))?;
    let answer = responder::ask(os, &responder::control_name(directory.id), own.uid).await;
    check_owner(claim, own, owner, &answer)?;
    let name = takeover_name(directory.id);
    let listener = match os.listen_unix(name.clone(), BACKLOG).await {
        Ok(listener) => listener,
        Err(Errno::AddressInUse) => return Err("somebody else is about to take over".to_owned().into()),
        Err(errno) => return Err(cannot("wait for its offer")(errno).into()),
    };
    os.signal_pidfd(&process, Some(Signal::User1)).await.map_err(cannot("send it SIGUSR1"))?;
    wake(os, process, name);
    let (stream, offer) = called(os, &listener, own, owner).await?;
    offer.compare(claim, config::key(os, claim).await.map_err(cannot("examine the configuration"))?)?;
    let tokens = receive_tokens(os, claim, directory.id, &stream, offer).await?;
    let identity = introduce(os, claim, directory.id).await.map_err(|refusal| refusal.to_string())?;
    say(os, &stream, HAVE).await?;
    let file = receive(os, &stream).await.map_err(Failure::InDoubt)?;
    let lock_file = lock_again(os, &file, LockMode::Exclusive).await.map_err(Failure::InDoubt)?;
    responder::answer_instead(os, std::slice::from_ref(&tokens.control), &identity).await;
    responder::answer_instead(os, &tokens.ports, &identity).await;
    Ok(Owned {
        listeners: tokens.listeners,
        ports: tokens.ports,
        workspaces: tokens.workspaces,
        config: tokens.config,
        control: Some(tokens.control),
        writers: tokens.writers,
        state: state::StateLock { file, lock_file, directory: tokens.directory, id: directory.id },
        identity,
    })
}

fn cannot(doing: &'static str) -> impl Fn(Errno) -> String {
    move |errno| format!("cannot {doing}: {errno}")
}

/// Whether the process that was refused for is one that may be asked, as far as it tells before it is.
fn check_owner(
    claim: &Claim,
    own: Own,
    owner: Pid,
    (peer, answer): &(Option<PeerCredentials>, Answer),
) -> Result<(), String> {
    let Answer::Identity(identity) = answer else { return Err("it does not answer any more".to_owned()) };
    if *peer != Some(PeerCredentials { pid: Some(owner), uid: own.uid }) {
        return Err("who answers is another process, or belongs to another user".to_owned());
    }
    if identity.process() != Some(owner) {
        return Err(format!("it says that it is pid {}: it is in another pid namespace", identity.pid));
    }
    if identity.phase != Some(PhaseName::Ready) {
        return Err("it does not serve any more".to_owned());
    }
    let pinned: Vec<u16> = claim.pinned_outside().map(Port::get).collect();
    if identity.ports() != Some(claim.ports) || identity.pinned != pinned {
        return Err("it has other ports".to_owned());
    }
    Ok(())
}

/// Sees to it that nobody waits for ever: calls in the place of an owner that is dead or has had its time.
fn wake<O: Os>(os: &O, owner: Descriptor<O>, name: String) {
    let of_task = os.clone();
    os.task(async move {
        let _ = of_task.wait_pidfd(&owner, OFFER_MS).await;
        // Others may have filled the queue. Where nobody listens nobody waits.
        while let Err(Errno::WouldBlock) = of_task.connect_unix(name.clone()).await {
            let _ = of_task.sleep(PAUSE_MS).await;
        }
    });
}

/// Waits until the owner calls, and hears its offer.
async fn called<O: Os>(
    os: &O,
    listener: &Descriptor<O>,
    own: Own,
    owner: Pid,
) -> Result<(Descriptor<O>, Offer), String> {
    loop {
        let (_, stream) = os.accept(vec![listener.fd()]).await.map_err(cannot("wait for its offer"))?;
        let peer = os.peer_credentials(&stream).await.map_err(cannot("ask who calls"))?;
        if peer.pid == Some(own.pid) {
            return Err(format!("it is dead, or has offered nothing within {OFFER_MS} ms"));
        }
        if peer.pid == Some(owner) && peer.uid == own.uid {
            let offer = read_offer(os, &stream).await;
            return offer.map(|offer| (stream, offer)).ok_or_else(|| "its offer cannot be read".to_owned());
        }
    }
}

async fn read_offer<O: Os>(os: &O, stream: &Descriptor<O>) -> Option<Offer> {
    let mut line = Vec::new();
    for _ in 0..PIECES {
        let piece = os.receive(stream, LONGEST as u32, WORD_MS).await.ok()?;
        line.extend_from_slice(&piece);
        if piece.is_empty() || line.ends_with(b"\n") || line.len() > LONGEST {
            break;
        }
    }
    serde_json::from_slice::<Offer>(&line).ok().filter(|offer| offer.schema == 1)
}

impl Offer {
    /// Whether it is what a claim is about; if not, what is different.
    fn compare(&self, claim: &Claim, config: ConfigKey) -> Result<(), String> {
        let pinned: Vec<u16> = claim.pinned_outside().map(Port::get).collect();
        let differs = [
            (self.config != config, "configuration"),
            (self.base != claim.ports.base().get() || self.span != claim.ports.span(), "block of ports"),
            (self.pinned != pinned, "set of pinned ports"),
            (self.workspaces != claim.workspaces, "set of workspaces"),
            (self.listen != claim.listen.to_string(), "set of addresses"),
        ];
        match differs.into_iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(format!("it has another {what}: stop it, and start this one")),
            None => Ok(()),
        }
    }
}

/// Every token but the last.
struct Tokens<O: Os> {
    listeners: Vec<Descriptor<O>>,
    ports: Vec<Descriptor<O>>,
    workspaces: Vec<Descriptor<O>>,
    control: Descriptor<O>,
    config: config::ConfigLock<O>,
    writers: Descriptor<O>,
    directory: Descriptor<O>,
}

/// Receives every token but the last, and asks the kernel whether the locks among them are held by them.
async fn receive_tokens<O: Os>(
    os: &O,
    claim: &Claim,
    state: FileId,
    stream: &Descriptor<O>,
    offer: Offer,
) -> Result<Tokens<O>, String> {
    say(os, stream, TAKE).await?;
    let directory = receive(os, stream).await?;
    match os.flock(&directory, LockMode::Exclusive).await {
        Ok(()) => {}
        Err(Errno::BadDescriptor | Errno::NoLocks | Errno::NotSupported)
            if claim.directory_lock == DirectoryLock::Optional => {}
        Err(errno) => return Err(cannot("hold a lock that was handed over")(errno)),
    }
    if identify(os, &directory).await? != state {
        return Err("it has another state directory by now".to_owned());
    }
    let writers = receive(os, stream).await?;
    lock_again(os, &writers, LockMode::Shared).await?;
    let companion = receive_lock(os, stream, offer.has_companion).await?;
    let file = receive_lock(os, stream, offer.has_file).await?;
    let control = receive(os, stream).await?;
    Ok(Tokens {
        directory,
        writers,
        config: config::ConfigLock { file, companion, key: offer.config },
        control,
        workspaces: receive_some(os, stream, offer.directories).await?,
        ports: receive_some(os, stream, claim.all_ports().len()).await?,
        listeners: receive_some(os, stream, offer.listeners).await?,
    })
}

/// Receives a token. Without a deadline: an owner says goodbye to its clients before it sends the first one, and might send the
/// last one to nobody if its successor could lose patience. Until it has everything a successor is ended by a signal, like every
/// program that owns nothing.
async fn receive<O: Os>(os: &O, stream: &Descriptor<O>) -> Result<Descriptor<O>, String> {
    let ended = [Errno::NotFound, Errno::ConnectionReset];
    os.receive_fd(stream, FOREVER_MS).await.map_err(|errno| {
        if ended.contains(&errno) { "it has broken off".to_owned() } else { cannot("receive a token")(errno) }
    })
}

async fn receive_some<O: Os>(
    os: &O,
    stream: &Descriptor<O>,
    count: usize,
) -> Result<Vec<Descriptor<O>>, String> {
    let mut received = Vec::new();
    for _ in 0..count {
        received.push(receive(os, stream).await?);
    }
    Ok(received)
}

async fn receive_lock<O: Os>(
    os: &O,
    stream: &Descriptor<O>,
    is_sent: bool,
) -> Result<Option<Descriptor<O>>, String> {
    if !is_sent {
        return Ok(None);
    }
    let file = receive(os, stream).await?;
    lock_again(os, &file, LockMode::Exclusive).await?;
    Ok(Some(file))
}

/// Locks what should be locked already, which changes nothing then, and would be refused if somebody else had the lock. So
/// nothing rests on what the owner has said.
async fn lock_again<O: Os>(os: &O, file: &Descriptor<O>, mode: LockMode) -> Result<FileId, String> {
    os.flock(file, mode).await.map_err(cannot("hold a lock that was handed over"))?;
    identify(os, file).await
}

async fn identify<O: Os>(os: &O, file: &Descriptor<O>) -> Result<FileId, String> {
    Ok(os.stat_fd(file).await.map_err(cannot("examine a lock that was handed over"))?.id)
}

async fn say<O: Os>(os: &O, stream: &Descriptor<O>, word: &[u8]) -> Result<(), String> {
    os.send(stream, word.to_owned()).await.map(drop).map_err(|_| "it has broken off".to_owned())
}
