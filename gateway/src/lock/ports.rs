//! Two live gateways in one network namespace never reserve the same port, whether it is in use yet or not.
//!
//! Each port has a token: an abstract Unix socket, which lives in the same namespace as the port, disappears with its
//! holder and answers who that is. Tokens are taken in ascending order, all or none.

use portcullis_os::{Descriptor, Errno, Os, PeerCredentials, ProcessState, Uid};

use super::responder::{self, Answer};
use super::{ATTEMPTS, PAUSE_MS, diagnose};
use crate::claim::PortBlock;
use crate::refusal::{Holder, Reason, Refusal};

/// Takes the token of every port.
pub(super) async fn take<O: Os>(os: &O, block: PortBlock, own: Uid) -> Result<Vec<Descriptor<O>>, Refusal> {
    let mut tokens = Vec::with_capacity(usize::from(block.span()) + 1);
    for port in block.ports() {
        tokens.push(take_one(os, block, port, own).await?);
    }
    Ok(tokens)
}

async fn take_one<O: Os>(os: &O, block: PortBlock, port: u16, own: Uid) -> Result<Descriptor<O>, Refusal> {
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
    let (peer, answer) = responder::ask(os, &responder::port_name(port), own).await;
    let holder = match peer {
        Some(PeerCredentials { pid: Some(pid), uid }) => diagnose::describe(os, pid, Some(uid)).await,
        Some(PeerCredentials { pid: None, .. }) | None => None,
    };
    match responder::listen_on_port(os, port).await {
        Ok(token) => Ok(token),
        Err(_) => Err(refusal(block, port, peer, holder, &answer)),
    }
}

fn refusal(
    block: PortBlock,
    port: u16,
    peer: Option<PeerCredentials>,
    holder: Option<Holder>,
    answer: &Answer,
) -> Refusal {
    let name = responder::port_name(port);
    let mut evidence = vec![format!("bind @{name}: {}", Errno::AddressInUse)];
    if let Some(peer) = peer {
        let pid = peer.pid.map_or_else(|| "not visible from here".to_owned(), |pid| pid.to_string());
        evidence.push(format!("SO_PEERCRED of @{name}: pid {pid}, uid {}", peer.uid));
    }
    evidence.extend(answer.evidence());
    let holder = holder.map(Box::new);
    let who = holder
        .as_ref()
        .map_or_else(|| "a process that is not visible from here".to_owned(), |holder| holder.in_short());
    let next =
        holder.as_ref().map_or_else(|| format!("grep '@{name}' /proc/net/unix"), |holder| holder.inspect());
    let paused = holder.as_ref().is_some_and(|holder| holder.state == ProcessState::Stopped);
    let theirs = match answer {
        // A block without the port in question explains nothing.
        Answer::Identity(identity) => {
            identity.ports().filter(|theirs| theirs.ports().any(|other| other == port))
        }
        Answer::Silent
        | Answer::Crowded
        | Answer::NotListening
        | Answer::Unasked(_)
        | Answer::Unreadable
        | Answer::NotAsked => None,
    };
    let (reason, what) = match (theirs, answer) {
        (Some(theirs), _) => {
            let free = block.next_free_base_above(theirs);
            let advice = free.map_or_else(String::new, |base| format!("; the next base above is {base}"));
            (
                Reason::PortRange,
                format!(
                    "ports {block} overlap ports {theirs}, which {who} has reserved (first at {port}){advice}"
                ),
            )
        }
        // The kernel shows a holder that does not tell its block: the port is reserved all the same.
        (None, Answer::Silent) if paused => {
            (Reason::PortRange, format!("port {port} of {block} is reserved by {who}, which is paused"))
        }
        (None, Answer::Silent | Answer::Crowded) => {
            (Reason::PortRange, format!("port {port} of {block} is reserved by {who}, which does not answer"))
        }
        (None, Answer::Unreadable | Answer::Identity(_)) => (
            Reason::PortForeign,
            format!("the token of port {port} is held by {who}, which is no gateway of this user"),
        ),
        (None, Answer::NotListening | Answer::Unasked(_) | Answer::NotAsked) => {
            (Reason::PortUnknown, format!("the token of port {port} is held by {who}"))
        }
    };
    Refusal { reason, what, holder, evidence, next, do_not: Some("move a gateway by less than 111 ports") }
}
