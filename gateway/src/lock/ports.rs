//! Two live gateways in one network namespace never reserve the same port, whether it is in use yet or not.
//!
//! Each port has a token: an abstract Unix socket, which lives in the same namespace as the port, disappears with its
//! holder and answers who that is. Tokens are taken in ascending order, all or none.

use portcullis_os::{Descriptor, Errno, Os, PeerCredentials, ProcessState, Uid};

use super::responder::{self, Answer};
use super::{ATTEMPTS, PAUSE_MS, diagnose};
use crate::claim::Claim;
use crate::identity::{Identity, PhaseName};
use crate::refusal::{Holder, Reason, Refusal};

/// Takes the token of every port of the claim.
pub(super) async fn take<O: Os>(os: &O, claim: &Claim, own: Uid) -> Result<Vec<Descriptor<O>>, Refusal> {
    let ports = claim.all_ports();
    let mut tokens = Vec::with_capacity(ports.len());
    for port in ports {
        tokens.push(take_one(os, claim, port, own).await?);
    }
    Ok(tokens)
}

async fn take_one<O: Os>(os: &O, claim: &Claim, port: u16, own: Uid) -> Result<Descriptor<O>, Refusal> {
    for attempt in 1..=ATTEMPTS {
        match responder::listen_on_port(os, port).await {
            Ok(token) => return Ok(token),
            Err(Errno::AddressInUse) if attempt == ATTEMPTS => {}
            // A sleep that fails has only made the pause shorter.
            Err(Errno::AddressInUse) => drop(os.sleep(PAUSE_MS).await),
            Err(errno) => {
                let refusal = Refusal::from_errno("reserve", &format!("port {port}"), errno);
                return Err(Refusal { next: "ulimit -a".to_owned(), ..refusal });
            }
        }
    }
    let sighting = look(os, claim, port, own).await;
    match responder::listen_on_port(os, port).await {
        Ok(token) => Ok(token),
        Err(_) => {
            let seen = format!("bind @{}: {}", responder::port_name(port), Errno::AddressInUse);
            Err(sighting.refusal(seen))
        }
    }
}

/// Asks who has the token of a port, and takes nothing.
async fn look<'a, O: Os>(os: &O, claim: &'a Claim, port: u16, own: Uid) -> Sighting<'a> {
    let (peer, answer) = responder::ask(os, &responder::port_name(port), own).await;
    let holder = match peer {
        Some(PeerCredentials { pid: Some(pid), uid }) => diagnose::describe(os, pid, Some(uid)).await,
        Some(PeerCredentials { pid: None, .. }) | None => None,
    };
    Sighting { claim, port, own, peer, holder: holder.map(Box::new), answer }
}

/// Why the token of a port would be refused, as far as that shows without trying. `Ok(None)`: nobody has it.
pub(super) async fn observe<O: Os>(
    os: &O,
    claim: &Claim,
    port: u16,
    own: Uid,
) -> Result<Option<Refusal>, Errno> {
    let sighting = look(os, claim, port, own).await;
    match (&sighting.answer, sighting.peer) {
        (Answer::NotListening, None) => Ok(None),
        (Answer::Unasked(errno), None) => Err(*errno),
        (_, _) => {
            let seen = format!("connect @{}: somebody listens", responder::port_name(port));
            Ok(Some(sighting.refusal(seen)))
        }
    }
}

/// What is known of a token that somebody else has.
struct Sighting<'a> {
    claim: &'a Claim,
    port: u16,
    own: Uid,
    peer: Option<PeerCredentials>,
    holder: Option<Box<Holder>>,
    answer: Answer,
}

impl Sighting<'_> {
    /// The refusal. `seen` is how it shows that the token is taken.
    fn refusal(self, seen: String) -> Refusal {
        let name = responder::port_name(self.port);
        let mut evidence = vec![seen];
        if let Some(peer) = self.peer {
            let pid = peer.pid.map_or_else(|| "not visible from here".to_owned(), |pid| pid.to_string());
            evidence.push(format!("SO_PEERCRED of @{name}: pid {pid}, uid {}", peer.uid));
        }
        evidence.extend(self.answer.evidence());
        let (reason, what) = self.judge();
        let may_pass = self.may_pass();
        let holder = self.holder;
        let next = holder
            .as_ref()
            .map_or_else(|| format!("grep '@{name}' /proc/net/unix"), |holder| holder.inspect());
        let do_not = if reason == Reason::PortOtherUser {
            "take that port all the same: its owner has reserved it, whoever that is"
        } else {
            "move a gateway by less than 111 ports"
        };
        Refusal { reason, what, holder, evidence, next, do_not: Some(do_not), may_pass }
    }

    /// Whether the holder is about to end, or may be: it is silent, and was not stopped by anybody.
    fn may_pass(&self) -> bool {
        match &self.answer {
            Answer::Identity(identity) => identity.phase == Some(PhaseName::Draining),
            Answer::Silent | Answer::Crowded => !self.is_paused(),
            Answer::NotListening | Answer::Unasked(_) | Answer::Unreadable | Answer::NotAsked => false,
        }
    }

    fn is_paused(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.state == ProcessState::Stopped)
    }

    /// The gateway that has reserved the port, if it says so of itself. One that has not explains nothing.
    fn gateway(&self) -> Option<&Identity> {
        let Answer::Identity(identity) = &self.answer else { return None };
        let holds = identity.ports().is_some_and(|block| block.holds(self.port));
        (holds || identity.pinned.contains(&self.port)).then_some(identity)
    }

    fn judge(&self) -> (Reason, String) {
        let (port, block) = (self.port, self.claim.ports);
        let who = self
            .holder
            .as_ref()
            .map_or_else(|| "a process that is not visible from here".to_owned(), |holder| holder.in_short());
        let mine =
            if block.holds(port) { format!("port {port} of {block}") } else { format!("pinned port {port}") };
        if let Some(theirs) = self.gateway() {
            return self.overlap(theirs, &mine, &who);
        }
        match (&self.answer, self.peer) {
            // The kernel shows a holder that does not tell its block: the port is reserved all the same.
            (Answer::Silent, _) if self.is_paused() => {
                (Reason::PortRange, format!("{mine} is reserved by {who}, which is paused"))
            }
            (Answer::Silent | Answer::Crowded, _) => {
                (Reason::PortRange, format!("{mine} is reserved by {who}, which does not answer"))
            }
            (Answer::Unreadable, Some(peer)) if peer.uid != self.own && peer.uid != Uid(0) => (
                Reason::PortOtherUser,
                format!("the token of {mine} is held by {who} of uid {}, another user", peer.uid),
            ),
            (Answer::Unreadable | Answer::Identity(_), _) => (
                Reason::PortForeign,
                format!("the token of {mine} is held by {who}, which is no gateway that has reserved it"),
            ),
            (Answer::NotListening | Answer::Unasked(_) | Answer::NotAsked, _) => {
                (Reason::PortUnknown, format!("the token of {mine} is held by {who}"))
            }
        }
    }

    /// Another gateway has the port. The words on an equal base port are those that people search for.
    fn overlap(&self, theirs: &Identity, mine: &str, who: &str) -> (Reason, String) {
        let (port, block) = (self.port, self.claim.ports);
        let Some(other) = theirs.ports().filter(|other| other.overlaps(block)) else {
            return (Reason::PortRange, format!("{mine} is reserved by {who}"));
        };
        let free = block.next_free_base_above(other);
        let advice = free.map_or_else(String::new, |base| format!("; the next base above is {base}"));
        if other.base() == block.base() {
            let verb = if theirs.phase == Some(PhaseName::Starting) {
                "about to listen"
            } else {
                "already listening"
            };
            let base = block.base();
            return (
                Reason::PortGateway,
                format!(
                    "another gateway instance is {verb} on ws://127.0.0.1:{base}: {who} has reserved ports {other} for {}{advice}",
                    theirs.state
                ),
            );
        }
        (
            Reason::PortRange,
            format!(
                "ports {block} overlap ports {other}, which {who} has reserved (first at {port}){advice}"
            ),
        )
    }
}
