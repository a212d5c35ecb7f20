//! Who has reserved ports on this host, asked of whoever has, without taking or changing anything.
//!
//! A start asks about the first port that it cannot have; this asks about all that somebody has, each holder once. A silent one
//! is known by what the kernel says of its sockets, so one that is paused costs one wait and not one for each of its ports.

use std::collections::BTreeSet;

use portcullis_os::{Errno, Os, PeerCredentials, Uid};

use super::diagnose;
use super::responder::{self, Answer};
use crate::identity::Identity;
use crate::refusal::Holder;

/// Somebody who has reserved ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Those whose tokens it has.
    pub ports: BTreeSet<u16>,
    /// Its process, if it is visible from here.
    pub holder: Option<Holder>,
    /// Its user, if the kernel told.
    pub uid: Option<Uid>,
    /// Who it says it is; `None`: it did not say, or is not believed.
    pub identity: Option<Identity>,
    /// What is known instead.
    pub unknown: Option<String>,
    peer: Option<PeerCredentials>,
}

impl Neighbour {
    /// Whether it says of itself that it has reserved this port.
    fn claims(&self, port: u16) -> bool {
        self.identity.as_ref().is_some_and(|identity| {
            identity.ports().is_some_and(|block| block.holds(port)) || identity.pinned.contains(&port)
        })
    }
}

/// Everybody who has one of these tokens, in the order of their lowest ports. Who has given it back meanwhile is left out.
///
/// # Errors
///
/// What the system says when this process cannot be told who it is.
pub async fn neighbours<O: Os>(os: &O, tokens: &BTreeSet<u16>) -> Result<Vec<Neighbour>, Errno> {
    let own = os.own_uid().await?;
    let mut found: Vec<Neighbour> = Vec::new();
    for port in tokens.iter().copied() {
        if let Some(neighbour) = found.iter_mut().find(|neighbour| neighbour.claims(port)) {
            neighbour.ports.insert(port);
            continue;
        }
        let name = responder::port_name(port);
        let peer = match os.connect_unix(name.clone()).await {
            Ok(stream) => os.peer_credentials(&stream).await.ok(),
            Err(Errno::ConnectionRefused) => continue,
            // Somebody has it, and who cannot be asked now.
            Err(_) => None,
        };
        let is_known = |neighbour: &&mut Neighbour| {
            neighbour.identity.is_none() && peer.is_some() && neighbour.peer == peer
        };
        if let Some(neighbour) = found.iter_mut().find(is_known) {
            neighbour.ports.insert(port);
            continue;
        }
        let (asked, answer) = responder::ask(os, &name, own).await;
        let peer = asked.or(peer);
        let holder = match peer {
            Some(PeerCredentials { pid: Some(pid), uid }) => diagnose::describe(os, pid, Some(uid)).await,
            Some(PeerCredentials { pid: None, .. }) | None => None,
        };
        let unknown = answer.evidence();
        let (identity, unknown) = match answer {
            Answer::Identity(identity) => (Some(*identity), None),
            Answer::Silent
            | Answer::Crowded
            | Answer::NotListening
            | Answer::Unasked(_)
            | Answer::Unreadable
            | Answer::NotAsked => (None, unknown),
        };
        let uid = peer.map(|peer| peer.uid);
        found.push(Neighbour { ports: [port].into(), holder, uid, identity, unknown, peer });
    }
    Ok(found)
}
