//! The lock of the OpenClaw gateway in six generations, each written from the description of its steps.
//!
//! They are here as known answers: which of them two gateways get past, and how, was found out on the programs that were
//! shipped. What decides is as it was; around it this is left out or made smaller, so that a search stays small:
//!
//! - A wait of 5 or 300 seconds with a poll every 100 ms or more is [`ATTEMPTS`] looks with a sleep between them. Every
//!   sleep may take any time, so nothing is lost but a backlog that fills up: it is as much shorter.
//! - Names that hold a hash of a path hold the path itself, and no uid: all processes here have one.
//! - The start between lock and listener, 8 seconds and more, has no calls of its own. It may take any time all the same.
//! - `ps`, `wmic` and what else other systems need; health probes and restart loops under a supervisor, which come after
//!   the refusal, but for the fourth generation where its port is taken; the heartbeat of the lease, which only warns.
//!
//! # Invariants
//!
//! - An owner announces itself as soon as its lock is held, which is before it listens, except where listening is the lock.

mod coordinated;
mod coordinator;
mod lease;
mod pidfile;
mod place;
mod port;
mod record;
mod sidecar;

use std::path::{Path, PathBuf};

use gateway::Claim;
use portcullis_os::{ConfigKey, Errno, Links, Notice, Os, Ownership, Pid, Port, Signal};

use self::coordinated::Coordinated;
use self::pidfile::PidFile;
use self::place::Place;
pub use self::place::Surroundings;
use super::explain;

/// How often something that is waited for is looked at.
const ATTEMPTS: u32 = 2;

/// How long a start under a supervisor is put off while its port is taken, in milliseconds.
const RETRY_MS: u32 = 5000;

/// One generation of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// The listener is the lock.
    G1,
    /// A file made with `O_EXCL`; its owner is judged by pid and start time, by age where there is no pid.
    G2,
    /// The same, but whoever finds no listener on its own port takes the owner for dead.
    G3,
    /// The same, and a lock file that could not be written is removed again.
    G4,
    /// Locks of SQLite on three files, and two lock files with a guard for their removal.
    G5,
    /// The same, a wait for the first of them, and a lease.
    G6,
}

impl Generation {
    /// Every generation, the oldest first.
    pub const ALL: [Self; 6] = [Self::G1, Self::G2, Self::G3, Self::G4, Self::G5, Self::G6];

    /// Its short name, for instance `G4`.
    pub const fn id(self) -> &'static str {
        match self {
            Self::G1 => "G1",
            Self::G2 => "G2",
            Self::G3 => "G3",
            Self::G4 => "G4",
            Self::G5 => "G5",
            Self::G6 => "G6",
        }
    }

    /// Its name on the command line and in tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::G1 => "openclaw-g1",
            Self::G2 => "openclaw-g2",
            Self::G3 => "openclaw-g3",
            Self::G4 => "openclaw-g4",
            Self::G5 => "openclaw-g5",
            Self::G6 => "openclaw-g6",
        }
    }

    /// What it is, in one sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::G1 => "OpenClaw up to 2026.1.20: whoever can listen on the port is the owner.",
            Self::G2 => {
                "OpenClaw 2026.1.21 to 2026.2.21: a pid file in the temporary directory, unlinked when its pid \
                         is dead or it is old."
            }
            Self::G3 => {
                "OpenClaw 2026.2.22 to 2026.4.4: the same pid file, whose owner is dead if nobody listens on the \
                         port of whoever asks."
            }
            Self::G4 => {
                "OpenClaw 2026.4.5 to 2026.7.1: the same, and a pid file that cannot be written is removed again."
            }
            Self::G5 => {
                "OpenClaw 2026.7.2 to 2026.9.1: fcntl locks through SQLite, then pid files that are removed under \
                         a guard directory."
            }
            Self::G6 => "OpenClaw 2026.9.6: the same with a wait for the first lock, and a lease in a table.",
        }
    }

    /// The files that an operator would take for its lock, of a gateway whose configuration lies in its state directory.
    pub(super) fn lock_files(self, state: &Path) -> Vec<PathBuf> {
        let place = Place::new(state, &state.join("openclaw.json"), &Surroundings::host());
        match self {
            Self::G1 => Vec::new(),
            Self::G2 | Self::G3 | Self::G4 => vec![place.pid_file()],
            Self::G5 | Self::G6 => {
                let sidecars = [place.state_lock(), place.config_lock()];
                let coordinators = sidecars.each_ref().map(|file| coordinator::beside(file));
                sidecars.into_iter().chain(coordinators).chain([place.lifecycle()]).collect()
            }
        }
    }

    /// The whole life of one gateway. Answers the exit status.
    pub(super) async fn run<O: Os>(self, os: O, claim: Claim, around: Surroundings) -> u8 {
        let mut end = self.live(&os, &claim, &around).await;
        for _ in 1..ATTEMPTS {
            if !matches!(end, Err(Refused::Listening)) || !self.tries_again(&os, &claim, &around).await {
                break;
            }
            end = self.live(&os, &claim, &around).await;
        }
        match end {
            Ok(()) => 0,
            Err(refused) => {
                let (code, holder) = refused.told();
                let _ = os.notify(Notice::Refused { code: code.to_owned(), holder }).await;
                explain(&os, &around, || refused.sentence(claim.ports.base())).await;
                self.status(refused, &around)
            }
        }
    }

    /// Whether it waits for its port. Under a supervisor one that finds nobody well there does, so whoever answers at all keeps
    /// it out for good.
    async fn tries_again<O: Os>(self, os: &O, claim: &Claim, around: &Surroundings) -> bool {
        let asks = self == Self::G4 && around.supervised;
        asks && !port::is_healthy(os, claim.ports.base()).await && os.sleep(RETRY_MS).await.is_ok()
    }

    async fn live<O: Os>(self, os: &O, claim: &Claim, around: &Surroundings) -> Result<(), Refused> {
        os.catch_signals().await?;
        let state = place::canonical(os, self, &claim.state).await;
        let place = Place::new(&state, &claim.config, around);
        place::make_directories(os, &state).await?;
        if around.supervised && self >= Self::G3 && !lease::is_known(os, self, &place).await {
            port::clear(os, claim.ports.base()).await?;
        }
        let held = self.acquire(os, claim, &place).await?;
        if self > Self::G1 {
            announce(os, claim).await?;
        }
        let listening = port::listen(os, self, claim.ports.base()).await;
        let listener = match listening {
            Ok(listener) => listener,
            Err(refused) => {
                if self > Self::G1 {
                    let _ = os.notify(Notice::Released).await;
                }
                held.release(os).await;
                return Err(refused);
            }
        };
        if self == Self::G1 {
            announce(os, claim).await?;
        }
        port::answer(os, self, &listener);
        os.notify(Notice::Ready).await?;
        // It knows no other request than to stop.
        while os.next_signal().await == Ok(Signal::User2) {}
        os.notify(Notice::Released).await?;
        let _ = listener.close().await;
        held.release(os).await;
        Ok(())
    }

    async fn acquire<O: Os>(self, os: &O, claim: &Claim, place: &Place) -> Result<Held<O>, Refused> {
        let port = claim.ports.base();
        Ok(match self {
            Self::G1 => Held::Nothing,
            Self::G2 | Self::G3 | Self::G4 => {
                Held::File(PidFile::acquire(os, self, place.pid_file(), port).await?)
            }
            Self::G5 | Self::G6 => Held::Coordinated(Box::new(Coordinated::acquire(os, self, place).await?)),
        })
    }

    /// The exit status of a gateway that gives up.
    fn status(self, refused: Refused, around: &Surroundings) -> u8 {
        match (self, refused) {
            (_, Refused::Migration) => 78,
            (Self::G4, Refused::Held(_) | Refused::Listening) => {
                if around.supervised {
                    78
                } else {
                    0
                }
            }
            (Self::G1 | Self::G2 | Self::G3 | Self::G5 | Self::G6, Refused::Held(_) | Refused::Listening)
            | (_, Refused::Failed(_)) => 1,
        }
    }
}

/// What an owner holds until it releases it.
enum Held<O: Os> {
    Nothing,
    File(PidFile<O>),
    Coordinated(Box<Coordinated<O>>),
}

impl<O: Os> Held<O> {
    async fn release(self, os: &O) {
        match self {
            Self::Nothing => {}
            Self::File(file) => file.release(os).await,
            Self::Coordinated(coordinated) => coordinated.release(os).await,
        }
    }
}

/// Why a gateway gives up.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// It says that another gateway runs, and which process that is if it knows.
    Held(Option<Pid>),
    /// It says that another gateway listens, whoever does.
    Listening,
    /// It says that the state needs a migration, which it cannot begin.
    Migration,
    /// The system reports something else.
    Failed(Errno),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl Refused {
    /// What it tells people, in the words of the programs that were shipped.
    fn sentence(self, port: Port) -> String {
        match self {
            Self::Held(None) => "gateway already running; lock timeout after 5000ms".to_owned(),
            Self::Held(Some(pid)) => {
                format!("gateway already running (pid {pid}); lock timeout after 5000ms")
            }
            Self::Listening => {
                format!("another gateway instance is already listening on ws://127.0.0.1:{port}")
            }
            Self::Migration => "the state needs a migration".to_owned(),
            Self::Failed(errno) => errno.to_string(),
        }
    }

    const fn told(self) -> (&'static str, Option<Pid>) {
        match self {
            Self::Held(holder) => ("held", holder),
            Self::Listening => ("held", None),
            Self::Migration => ("needs-migration", None),
            Self::Failed(Errno::NoSpace) => ("disk-full", None),
            Self::Failed(_) => ("error", None),
        }
    }
}

/// Waits before the next look, if there is one.
async fn pause<O: Os>(os: &O, look: u32, milliseconds: u32) -> Result<(), Errno> {
    if look < ATTEMPTS { os.sleep(milliseconds).await } else { Ok(()) }
}

/// Says that this is the owner.
async fn announce<O: Os>(os: &O, claim: &Claim) -> Result<(), Refused> {
    let state = os.stat(&claim.state, Links::Follow).await?.id;
    let config = match (claim.config.parent(), claim.config.file_name()) {
        (Some(parent), Some(name)) => {
            let directory = os.stat(parent, Links::Follow).await?.id;
            Some(ConfigKey { directory, name: name.to_owned() })
        }
        (None, _) | (_, None) => None,
    };
    let owned = Ownership { state, config, base: claim.ports.base(), span: claim.ports.span() };
    os.notify(Notice::Owner(owned)).await?;
    Ok(())
}
