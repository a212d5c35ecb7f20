//! Where a gateway stands, so that *it listens*, *it answers* and *it does its work* are three things: what the kernel shows
//! of the owner of a state directory, held against what answers on its port.
//!
//! Who owns what is decided by [`lock::survey`](crate::lock::survey()) alone, what answers by [`client`] alone; this puts the two
//! together, and says which situation that is, how it is told, and what is safe to do next.
//!
//! A secret goes only to whom the kernel shows to be the owner of the state directory and to listen on its port, or to an
//! address that somebody has named.

mod tell;
#[cfg(test)]
mod tests;

pub use tell::{Rows, block, option};

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use portcullis_os::{Os, Pid, Port, TcpState};

use crate::auth::Word;
use crate::claim::Claim;
use crate::client::{self, Address, Caller, Deadlines, Ended, Hello, Look, Session};
use crate::lock::{self, Blocked, Certainty, Survey};
use crate::refusal::Reason;

/// Which gateway is meant.
#[derive(Clone, Debug)]
pub struct Aim {
    /// What it owns; `None`: only its address is known.
    pub claim: Option<Claim>,
    /// Where it answers.
    pub address: Address,
    /// What it wants to hear of its clients.
    pub word: Option<Word>,
    /// The options that a command needs in order to mean the same gateway, with a space before each.
    pub options: String,
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Whether it lets clients in.
    Plain,
    /// Also what it answers by HTTP.
    Deep,
}

/// As whom it is asked, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// As whom.
    pub caller: Caller,
    /// For what.
    pub scopes: &'a [&'a str],
    /// How long is waited.
    pub deadlines: Deadlines,
    /// How much.
    pub depth: Depth,
}

/// What a gateway is found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// None runs.
    None,
    /// It is about to serve.
    Starting,
    /// It lets clients in.
    Ready,
    /// It is about to end, or to begin anew.
    Draining,
    /// Its process is stopped.
    Paused,
    /// It says nothing.
    Silent,
    /// It does not let this client in.
    Unauthorized,
    /// It speaks another version of the protocol.
    Mismatch,
    /// It refuses for a reason of its own.
    Refused,
    /// It is another gateway than the one that is meant.
    OtherGateway,
    /// A program that is no gateway has its port.
    Foreign,
    /// It runs, and serves another port than the settings say.
    Elsewhere,
    /// Its state directory is held by something that is no gateway, or cannot be seen.
    Held,
    /// Its address cannot be reached.
    Unreachable,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::None,
        Self::Starting,
        Self::Ready,
        Self::Draining,
        Self::Paused,
        Self::Silent,
        Self::Unauthorized,
        Self::Mismatch,
        Self::Refused,
        Self::OtherGateway,
        Self::Foreign,
        Self::Elsewhere,
        Self::Held,
        Self::Unreachable,
    ];

    /// The stable word for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::Silent => "silent",
            Self::Unauthorized => "unauthorized",
            Self::Mismatch => "protocol-mismatch",
            Self::Refused => "refused",
            Self::OtherGateway => "other-gateway",
            Self::Foreign => "foreign-program",
            Self::Elsewhere => "other-port",
            Self::Held => "held",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Standing {
    aim: Aim,
    survey: Option<Survey>,
    look: Option<Look>,
    rpc: Result<Hello, Ended>,
    /// Whether the secret was kept back, because nothing showed that the owner would hear it.
    is_kept_back: bool,
    kind: Kind,
    latency: Duration,
}

/// Looks, and asks to be let in. The session is there if that was granted.
pub async fn observe<O: Os>(os: &O, aim: &Aim, asking: Asking<'_>) -> (Standing, Option<Session>) {
    let survey = match &aim.claim {
        Some(claim) => Some(lock::survey(os, claim).await),
        None => None,
    };
    let listening = match survey.as_ref().map(hearer) {
        Some(Some(owner)) => listening(os, aim.address.port(), owner).await,
        Some(None) | None => None,
    };
    let mut is_kept_back = false;
    let word = async {
        let is_trusted = match survey.as_ref().map(hearer) {
            None => true,
            // Whoever has listened since before this connection was made is at its other end.
            Some(Some(owner)) if listening.is_some() => {
                self::listening(os, aim.address.port(), owner).await == listening
            }
            Some(_) => false,
        };
        is_kept_back = !is_trusted && aim.word.is_some();
        aim.word.as_ref().filter(|_| is_trusted)
    };
    let deadlines = match survey.as_ref().and_then(owner) {
        // It cannot answer, so nothing is lost by asking it briefly.
        Some(owner) if owner.refusal.reason == Reason::HeldStopped => {
            let longest = asking.deadlines.connect.min(Duration::from_millis(300));
            Deadlines::within(longest)
        }
        Some(_) | None => asking.deadlines,
    };
    let asked = tokio::time::Instant::now();
    let reached = client::reach(&aim.address, asking.caller, asking.scopes, word, &deadlines).await;
    let latency = asked.elapsed();
    let is_answered = !matches!(reached, Err(Ended::Nobody | Ended::Unreachable(_)));
    let look = if is_answered && (asking.depth == Depth::Deep || reached.is_err()) {
        Some(client::look(&aim.address, &deadlines).await)
    } else {
        None
    };
    let (rpc, session) = match reached {
        Ok(session) => (Ok(session.hello().clone()), Some(session)),
        Err(ended) => (Err(ended), None),
    };
    let kind = judge(survey.as_ref(), &rpc, look.as_ref());
    let standing = Standing { aim: aim.clone(), survey, look, rpc, is_kept_back, kind, latency };
    // Another gateway is not to be called in the place of the one that is meant.
    let session = session.filter(|_| standing.kind == Kind::Ready);
    (standing, session)
}

/// Whoever holds the state directory.
fn owner(survey: &Survey) -> Option<&Blocked> {
    survey.blocked.iter().find(|blocked| {
        matches!(
            blocked.refusal.reason,
            Reason::HeldReady
                | Reason::HeldStarting
                | Reason::HeldDraining
                | Reason::HeldHung
                | Reason::HeldStopped
                | Reason::HeldUnknown
                | Reason::HeldOrphan
                | Reason::HeldWriters
        )
    })
}

/// Whoever has a port that the gateway would have.
fn port(survey: &Survey) -> Option<&Blocked> {
    survey.blocked.iter().find(|blocked| {
        matches!(
            blocked.refusal.reason,
            Reason::PortRange
                | Reason::PortGateway
                | Reason::PortForeign
                | Reason::PortOtherUser
                | Reason::PortEphemeral
                | Reason::PortUnknown
        )
    })
}

/// Who may hear the secret, if it listens: the gateway that owns the state directory, and has answered so, where nobody else is
/// seen on the port. Whoever only holds a lock may be anybody.
fn hearer(survey: &Survey) -> Option<Pid> {
    let owner = owner(survey)?;
    let is_known = matches!(
        owner.refusal.reason,
        Reason::HeldReady
            | Reason::HeldStarting
            | Reason::HeldDraining
            | Reason::HeldHung
            | Reason::HeldStopped
    );
    let is_gateway = is_known && owner.certainty == Certainty::Proved && port(survey).is_none();
    owner.refusal.holder.as_ref().filter(|_| is_gateway).map(|holder| holder.pid)
}

/// The sockets that listen for connections to a port of this machine; `None`: there are none, or one is not this process's. An
/// owner has reserved its port before it listens there, so the reservation says nothing of who does.
async fn listening<O: Os>(os: &O, port: Port, owner: Pid) -> Option<BTreeSet<u64>> {
    let mut sockets = BTreeSet::new();
    for row in os.tcp_sockets(port).await.ok()? {
        let ip = row.local.ip().to_canonical();
        let hears = row.state == TcpState::Listen && (ip == Ipv4Addr::LOCALHOST || ip.is_unspecified());
        if !hears {
            continue;
        }
        if os.holds_socket(owner, row.socket).await != Ok(true) {
            return None;
        }
        sockets.insert(row.socket);
    }
    Some(sockets).filter(|sockets| !sockets.is_empty())
}

fn judge(survey: Option<&Survey>, rpc: &Result<Hello, Ended>, look: Option<&Look>) -> Kind {
    let Some(survey) = survey else { return by_answer(rpc, look) };
    let Some(owner) = owner(survey) else { return without_owner(survey, rpc, look) };
    let reason = owner.refusal.reason;
    for (seen, kind) in [
        (Reason::HeldStopped, Kind::Paused),
        (Reason::HeldStarting, Kind::Starting),
        (Reason::HeldDraining, Kind::Draining),
    ] {
        if reason == seen {
            return kind;
        }
    }
    if port(survey).is_some() {
        return Kind::Elsewhere;
    }
    let is_gateway = matches!(reason, Reason::HeldReady | Reason::HeldHung);
    match (by_answer(rpc, look), rpc) {
        (Kind::Ready, Ok(hello)) if is_another(owner, hello) => Kind::OtherGateway,
        (Kind::Ready, Ok(_)) => Kind::Ready,
        (Kind::None, _) if is_gateway => Kind::Elsewhere,
        // Whoever answers may be the owner in a place that cannot be seen from here, if it is a gateway at all.
        (Kind::None | Kind::Foreign | Kind::Silent, _) if !is_gateway => Kind::Held,
        (kind, _) => kind,
    }
}

/// Whether an instance that answers is not the one that owns the state.
fn is_another(owner: &Blocked, hello: &Hello) -> bool {
    owner.instance.is_some() && hello.instance.is_some() && owner.instance != hello.instance
}

/// What it is if nobody holds the state directory.
fn without_owner(survey: &Survey, rpc: &Result<Hello, Ended>, look: Option<&Look>) -> Kind {
    let kind = by_answer(rpc, look);
    match port(survey).map(|blocked| blocked.refusal.reason) {
        Some(Reason::PortGateway) => Kind::OtherGateway,
        // Another gateway may have reserved the port without serving it.
        Some(Reason::PortRange) if kind == Kind::None => Kind::None,
        Some(_) | None => match kind {
            Kind::None | Kind::Foreign | Kind::Unreachable | Kind::Silent => kind,
            // It is a gateway, and nobody owns the state that is meant.
            Kind::Starting
            | Kind::Ready
            | Kind::Draining
            | Kind::Paused
            | Kind::Unauthorized
            | Kind::Mismatch
            | Kind::Refused
            | Kind::OtherGateway
            | Kind::Elsewhere
            | Kind::Held => Kind::OtherGateway,
        },
    }
}

/// What it is by what it answers alone.
fn by_answer(rpc: &Result<Hello, Ended>, look: Option<&Look>) -> Kind {
    let Err(ended) = rpc else { return Kind::Ready };
    let says = match look {
        Some(Look::Gateway(gateway)) => Some(gateway),
        Some(Look::Nobody | Look::Unreachable(_) | Look::Silent | Look::Stranger(_)) | None => None,
    };
    let phase = says.and_then(|says| says.startup.as_deref());
    match (ended, phase) {
        (Ended::Nobody, _) => Kind::None,
        (Ended::Unreachable(_), _) => Kind::Unreachable,
        (Ended::Silent { .. }, _) => Kind::Silent,
        (Ended::Unauthorized(_), _) => Kind::Unauthorized,
        (Ended::Mismatch(_), _) => Kind::Mismatch,
        (Ended::Starting(_), _) => Kind::Starting,
        // One that stops takes no more WebSockets, and says by HTTP why.
        (Ended::Draining(_), _) | (Ended::Stranger { .. } | Ended::Closed(_), Some("draining")) => {
            Kind::Draining
        }
        (Ended::Stranger { .. } | Ended::Closed(_), Some("starting")) => Kind::Starting,
        (Ended::Stranger { .. }, _) if says.is_some() => Kind::Refused,
        (Ended::Stranger { .. }, _) => Kind::Foreign,
        (Ended::Refused(_) | Ended::Closed(_), _) => Kind::Refused,
    }
}

impl Standing {
    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whoever is meant.
    pub const fn aim(&self) -> &Aim {
        &self.aim
    }

    /// What the gateway said when it let this client in.
    pub fn hello(&self) -> Option<&Hello> {
        self.rpc.as_ref().ok()
    }

    /// How else the attempt to be let in ended.
    pub fn ended(&self) -> Option<&Ended> {
        self.rpc.as_ref().err()
    }

    /// What is said by HTTP, if that was asked.
    pub const fn look(&self) -> Option<&Look> {
        self.look.as_ref()
    }

    /// What the kernel shows, if the settings of the gateway are known.
    pub const fn survey(&self) -> Option<&Survey> {
        self.survey.as_ref()
    }

    /// Whoever holds the state directory.
    pub fn owner(&self) -> Option<&Blocked> {
        self.survey.as_ref().and_then(owner)
    }

    /// How long it took to be let in, or to learn that this is not to be had.
    pub const fn latency(&self) -> Duration {
        self.latency
    }

    /// Whether a gateway of these settings runs: its process is there and is not stopped, whatever it answers.
    pub fn runs(&self) -> bool {
        match self.kind {
            Kind::Ready | Kind::Starting | Kind::Draining => true,
            Kind::Silent | Kind::Unauthorized | Kind::Mismatch | Kind::Refused => {
                self.survey.is_none() || self.owner().is_some()
            }
            Kind::None
            | Kind::Paused
            | Kind::OtherGateway
            | Kind::Foreign
            | Kind::Elsewhere
            | Kind::Held
            | Kind::Unreachable => false,
        }
    }

    /// Whether the kernel itself says that no gateway is there: nothing that may look otherwise a moment later.
    pub fn is_proof_of_absence(&self) -> bool {
        self.kind == Kind::None && self.rpc == Err(Ended::Nobody) && self.survey.is_some()
    }
}
