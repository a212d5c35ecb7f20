//! An owner answers who it is on sockets whose names follow from what it owns.
//!
//! Whoever is refused asks there. The kernel adds the listener's pid and uid, which a frozen owner cannot withhold and
//! a liar cannot choose. The names are frozen: another version must find the same sockets.

use portcullis_os::{Descriptor, Errno, Fd, FileId, Os, PeerCredentials, Round, Uid};

use crate::identity::{Identity, LONGEST, PHASE, PhaseName};

/// How many connections may wait for an answer.
const BACKLOG: u16 = 16;
/// How long to wait for an answer, in milliseconds.
pub(super) const ANSWER_MS: u32 = 300;
/// An identity arrives in one piece, or in a few if it is long.
const PIECES: u32 = 4;

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// Who it is.
    Identity(Box<Identity>),
    /// Nothing in time.
    Silent,
    /// It listens, and too many others wait for its answer already.
    Crowded,
    /// Nobody listens there, as seen from this network namespace.
    NotListening,
    /// It could not be asked.
    Unasked(Errno),
    /// Something else, or an answer from a user who is not believed.
    Unreadable,
    /// There is no place to ask.
    NotAsked,
}

impl Answer {
    /// The answer as a fact.
    pub(super) fn evidence(&self) -> Option<String> {
        match self {
            Self::Identity(identity) => {
                let (phase, instance) =
                    (identity.phase.map_or("no phase", PhaseName::as_str), &identity.instance);
                Some(format!("it answers: {phase}, instance {instance}, version {}", identity.version))
            }
            Self::Silent => Some(format!("no answer came within {ANSWER_MS} ms")),
            Self::Crowded => Some("too many others wait for its answer".to_owned()),
            Self::NotListening => {
                Some("nobody listens on its control socket in this network namespace".to_owned())
            }
            Self::Unasked(errno) => Some(format!("it could not be asked: {errno}")),
            Self::Unreadable => Some("its answer is not that of a gateway of this user".to_owned()),
            Self::NotAsked => None,
        }
    }
}

/// Where the owner of a state directory answers, in the abstract Unix namespace.
pub(super) fn control_name(state: FileId) -> String {
    format!("refgate.v1.state.{:x}.{}", state.device, state.inode)
}

/// What the name of every token begins with.
const PORT_PREFIX: &str = "refgate.v1.port.";

/// Where the owner of a port answers: the name is also the token of that port.
pub(super) fn port_name(port: u16) -> String {
    format!("{PORT_PREFIX}{port}")
}

/// The port of a name that [`port_name`] has made.
pub(super) fn token_port(name: &str) -> Option<u16> {
    name.strip_prefix(PORT_PREFIX)?.parse().ok()
}

/// Opens the control socket and answers on it from now on. `None` if it cannot be had: it explains, it does not admit.
pub(super) async fn open_control<O: Os>(os: &O, state: FileId, identity: &Identity) -> Option<Descriptor<O>> {
    let socket = os.listen_unix(control_name(state), BACKLOG).await.ok()?;
    answer_on(os, vec![socket.fd()], identity);
    Some(socket)
}

/// Takes the token of a port.
pub(super) async fn listen_on_port<O: Os>(os: &O, port: u16) -> Result<Descriptor<O>, Errno> {
    os.listen_unix(port_name(port), BACKLOG).await
}

/// Answers on sockets that another process has opened. The kernel names whoever called listen(2) last, so that is done again.
pub(super) async fn answer_instead<O: Os>(os: &O, sockets: &[Descriptor<O>], identity: &Identity) {
    for socket in sockets {
        // Where that fails the old process is named, which explains less and admits nobody.
        let _ = os.listen(socket, BACKLOG).await;
    }
    answer_on(os, sockets.iter().map(Descriptor::fd).collect(), identity);
}

/// Answers on listening sockets until the process ends.
pub(super) fn answer_on<O: Os>(os: &O, sockets: Vec<Fd>, identity: &Identity) {
    let (os_of_task, identity) = (os.clone(), identity.clone());
    os.repeat(move || answer_one(os_of_task.clone(), sockets.clone(), identity.clone()));
}

async fn answer_one<O: Os>(os: O, sockets: Vec<Fd>, identity: Identity) -> Round {
    match os.accept(sockets).await {
        Ok((_, stream)) => {
            let phase = PhaseName::from_word(os.load(PHASE).await.unwrap_or_default());
            // Whoever asked and went away has no use for the rest.
            let _ = os.send(&stream, Identity { phase: Some(phase), ..identity }.to_line()).await;
            let _ = stream.close().await;
            Round::Again
        }
        Err(Errno::BadDescriptor | Errno::InvalidArgument) => Round::Over,
        Err(_) => {
            // Out of memory or descriptors, perhaps: whoever waits longer than this is told nothing, which is the truth.
            let _ = os.sleep(super::PAUSE_MS).await;
            Round::Again
        }
    }
}

/// Asks who listens on a name. The first part is what the kernel says, the second what the listener says.
pub(super) async fn ask<O: Os>(os: &O, name: &str, own: Uid) -> (Option<PeerCredentials>, Answer) {
    let stream = match os.connect_unix(name.to_owned()).await {
        Ok(stream) => stream,
        Err(Errno::WouldBlock) => return (None, Answer::Crowded),
        Err(Errno::ConnectionRefused) => return (None, Answer::NotListening),
        Err(errno) => return (None, Answer::Unasked(errno)),
    };
    let peer = match os.peer_credentials(&stream).await {
        Ok(peer) => peer,
        Err(errno) => return (None, Answer::Unasked(errno)),
    };
    if peer.uid != own && peer.uid != Uid(0) {
        return (Some(peer), Answer::Unreadable);
    }
    let mut line = Vec::new();
    for _ in 0..PIECES {
        match os.receive(&stream, LONGEST as u32, ANSWER_MS).await {
            Ok(piece) if piece.is_empty() => break,
            Ok(piece) => line.extend_from_slice(&piece),
            Err(Errno::TimedOut) => return (Some(peer), Answer::Silent),
            Err(_) => break,
        }
        if line.ends_with(b"\n") || line.len() > LONGEST {
            break;
        }
    }
    let answer = Identity::from_line(&line)
        .map_or(Answer::Unreadable, |identity| Answer::Identity(Box::new(identity)));
    (Some(peer), answer)
}
