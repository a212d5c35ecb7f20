//! The locks that scenarios can be run on: the one that ships, the same with one token taken away, and naive ones.
//!
//! A design that is wrong on purpose is how we know that the checkers can see.

mod altered;
mod blind;
mod endless;
mod naive;
mod openclaw;
pub mod own;
mod unfenced;

use std::path::{Path, PathBuf};

use gateway::{Claim, Unserved};
use portcullis_os::{Notice, Os};
use sim::{Fake, Program};

use crate::checks::Reader;
use crate::mutants;
use altered::Altered;

pub use crate::mutants::{Leak, Token};
pub use endless::Endless;
pub use naive::Naive;
pub use openclaw::{Generation, Surroundings};
pub use own::Own;
pub use unfenced::Slip;

/// A way to own a state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// The reference gateway, as it ships.
    Refgate,
    /// The reference gateway with one token that is never really taken.
    Without(Token),
    /// The reference gateway with one slip in how it raises the epoch or keeps to it.
    Slipping(Slip),
    /// The reference gateway with one descriptor that a child inherits.
    Leaking(Leak),
    /// A lock that is wrong on purpose.
    Naive(Naive),
    /// The lock of OpenClaw, as it was in one generation.
    Openclaw(Generation),
    /// A lock that is asked for without end.
    Endless(Endless),
    /// A lock of somebody's own, which is in no catalogue.
    Own(Own),
}

impl Design {
    /// Every design, the reference first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Refgate];
        all.extend(Naive::all().map(Self::Naive));
        all.extend(Generation::ALL.into_iter().map(Self::Openclaw));
        all.extend(Endless::ALL.into_iter().map(Self::Endless));
        all.extend(Token::ALL.into_iter().map(Self::Without));
        all.extend(Slip::ALL.into_iter().map(Self::Slipping));
        all.extend(Leak::ALL.into_iter().map(Self::Leaking));
        all
    }

    /// Its name on the command line and in tokens.
    pub fn name(self) -> String {
        match self {
            Self::Refgate => "refgate".to_owned(),
            Self::Without(token) => format!("refgate-without-{}", token.name()),
            Self::Slipping(slip) => format!("refgate-{}", slip.name()),
            Self::Leaking(leak) => format!("refgate-leaks-{}", leak.name()),
            Self::Naive(naive) => naive.name().to_owned(),
            Self::Openclaw(generation) => generation.name().to_owned(),
            Self::Endless(which) => which.name().to_owned(),
            Self::Own(own) => own.name().to_owned(),
        }
    }

    /// What it is, in one sentence.
    pub fn describe(self) -> String {
        match self {
            Self::Refgate => "The reference gateway, as it ships.".to_owned(),
            Self::Without(token) => format!("The reference gateway, which {}.", token.describe()),
            Self::Slipping(slip) => format!("The reference gateway, {}.", slip.describe()),
            Self::Leaking(leak) => {
                format!("The reference gateway, whose child inherits {}.", leak.describe())
            }
            Self::Naive(naive) => naive.describe().to_owned(),
            Self::Openclaw(generation) => generation.describe().to_owned(),
            Self::Endless(which) => which.describe().to_owned(),
            Self::Own(_) => "A lock of somebody's own.".to_owned(),
        }
    }

    /// Its number in the catalogue of designs, if it has one.
    pub fn id(self) -> Option<&'static str> {
        match self {
            Self::Refgate => Some("N27"),
            Self::Naive(naive) => Some(naive.id()),
            Self::Openclaw(generation) => Some(generation.id()),
            Self::Without(_) | Self::Slipping(_) | Self::Leaking(_) | Self::Endless(_) | Self::Own(_) => None,
        }
    }

    /// The design of that name or number.
    pub fn of(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|design| design.name() == name || design.id() == Some(name))
    }

    /// The program of one gateway.
    pub fn program(self, claim: Claim, around: Surroundings) -> Program {
        if let Self::Own(own) = self {
            return own.program(claim, around);
        }
        Program::new(self.name(), move |process| self.run_in(process, claim.clone(), around.clone()))
    }

    /// The whole life of one gateway that was started by hand, on whatever operating system. Answers the exit status.
    ///
    /// # Panics
    ///
    /// If it is a lock of somebody's own: [`own::Lock::run`] is its life.
    pub async fn run<O: Os>(self, os: O, claim: Claim) -> u8 {
        self.run_in(os, claim, Surroundings::host()).await
    }

    /// The whole life of one gateway with certain things around it, on whatever operating system. Answers the exit status.
    pub(crate) async fn run_in<O: Os>(self, os: O, claim: Claim, around: Surroundings) -> u8 {
        match Altered::of(self, &claim, around.blind) {
            Some(altered) => self.run_on(Fake::new(os, altered), claim, around).await,
            None => self.run_on(os, claim, around).await,
        }
    }

    /// The whole life of one gateway, on an operating system that lies as the design needs it. Answers the exit status.
    async fn run_on<O: Os>(self, os: O, claim: Claim, around: Surroundings) -> u8 {
        match self {
            Self::Refgate | Self::Without(_) | Self::Slipping(_) | Self::Leaking(_) => {
                refgate(os, claim, around).await
            }
            Self::Naive(naive) => naive.run(os, claim).await,
            Self::Openclaw(generation) => generation.run(os, claim, around).await,
            Self::Endless(which) => endless::run(which, os, claim).await,
            Self::Own(own) => panic!("the life of {} is `Lock::run`", own.name()),
        }
    }

    /// Who reads the journals of its owners.
    pub(crate) fn reader(self) -> Reader {
        if self == Self::Slipping(Slip::ReaderIgnoresSeal) { Reader::IgnoresSeals } else { Reader::Shipped }
    }

    /// Whether its owners keep journals, each of an epoch of its own.
    #[cfg(target_os = "linux")]
    pub(crate) const fn keeps_journals(self) -> bool {
        match self {
            Self::Refgate | Self::Without(_) | Self::Slipping(_) | Self::Leaking(_) => true,
            Self::Naive(_) | Self::Openclaw(_) | Self::Endless(_) | Self::Own(_) => false,
        }
    }

    /// Whether it keeps anything in the temporary directory.
    pub(crate) const fn uses_temporary(self) -> bool {
        matches!(self, Self::Openclaw(_))
    }

    /// The files that an operator would take for its lock.
    pub fn lock_files(self, state: &Path) -> Vec<PathBuf> {
        match self {
            Self::Refgate | Self::Without(_) | Self::Slipping(_) | Self::Leaking(_) => {
                [gateway::lock::LOCK_FILE, gateway::lock::WRITERS_FILE].map(|name| state.join(name)).to_vec()
            }
            Self::Naive(naive) => naive.lock_files(state),
            Self::Openclaw(generation) => generation.lock_files(state),
            Self::Endless(_) => vec![endless::lock_file(state)],
            Self::Own(own) => own.lock_files(state),
        }
    }

    /// The child that each gateway of this design starts: the path of its program, and the program.
    pub fn child(self) -> Option<(&'static str, Program)> {
        match self {
            Self::Refgate
            | Self::Without(_)
            | Self::Slipping(_)
            | Self::Openclaw(_)
            | Self::Endless(_)
            | Self::Own(_) => None,
            Self::Naive(naive) => naive.child(),
            Self::Leaking(_) => Some((mutants::CHILD_PROGRAM, Program::new("child", mutants::child))),
        }
    }
}

/// The whole life of the reference gateway, without clients.
async fn refgate<O: Os>(os: O, claim: Claim, around: Surroundings) -> u8 {
    match gateway::run(os.clone(), claim, Unserved).await {
        Ok(()) => 0,
        Err(refusal) => {
            explain(&os, &around, || refusal.to_string()).await;
            refusal.exit_status()
        }
    }
}

/// Says why it gives up in the words that people are told, where somebody listens.
async fn explain<O: Os>(os: &O, around: &Surroundings, sentence: impl FnOnce() -> String) {
    if around.explains {
        let _ = os.notify(Notice::Noted(sentence())).await;
    }
}
