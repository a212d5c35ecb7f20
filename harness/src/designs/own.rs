//! A lock of somebody's own becomes a design: the same code that runs on a real system is explored on the simulated one.
//!
//! Whoever writes one implements [`Lock`] for a type and hands a value of it to [`sim`](crate::sim()). What is judged is what
//! the lock does to the machine and what it tells, which is little: [`announce`] when it is the owner, [`refuse`] when it
//! gives up, [`serve`] for the life in between, or any [`Notice`] of its own.
//!
//! ```
//! use harness::own::{announce, refuse, serve};
//! use harness::{Claim, Lock};
//! use portcullis_os::{Descriptor, Errno, LockMode, Open, Os};
//!
//! /// A flock(2) on the state directory itself: there is no file that anybody could delete.
//! struct DirectoryFlock;
//!
//! impl Lock for DirectoryFlock {
//!     fn name(&self) -> &str {
//!         "directory-flock"
//!     }
//!
//!     async fn run<O: Os>(&self, os: O, claim: Claim) -> u8 {
//!         let Ok(Some(_held)) = own(&os, &claim).await else { return refuse(&os, "held", None).await };
//!         serve(&os).await;
//!         0
//!     }
//! }
//!
//! async fn own<O: Os>(os: &O, claim: &Claim) -> Result<Option<Descriptor<O>>, Errno> {
//!     os.catch_signals().await?;
//!     match os.make_directory(&claim.state, 0o700).await {
//!         Ok(()) | Err(Errno::Exists) => {}
//!         Err(errno) => return Err(errno),
//!     }
//!     let directory = os.open(&claim.state, Open::directory()).await?;
//!     match os.flock(&directory, LockMode::Exclusive).await {
//!         Ok(()) => announce(os, claim).await.map(|()| Some(directory)),
//!         Err(Errno::WouldBlock) => Ok(None),
//!         Err(errno) => Err(errno),
//!     }
//! }
//!
//! // Every schedule of two starters, where the scenario asks for no more than one owner.
//! harness::scenario_text(
//!     r#"
//!     schema = 1
//!     title  = "Two gateways start at once"
//!     [gateway]
//!     a = { state = "S", port = 18789 }
//!     b = { state = "S", port = 19001 }
//!     [run]
//!     steps = [{ start = ["a", "b"] }, { wait = "settled" }]
//!     [expect]
//!     always   = ["single-owner", "no-wedge"]
//!     outcomes = [{ a = "ready", b = "refused:held" }, { a = "refused:held", b = "ready" }]
//!     reach    = "every-outcome"
//!     "#,
//! )
//! .on(harness::sim(DirectoryFlock))
//! .assert();
//! ```
//!
//! # Invariants
//!
//! - A lock knows nothing of where it runs: what it is told is a [`Claim`], what it asks is an [`Os`].

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};

use gateway::Claim;
use portcullis_os::{Errno, Notice, Os, Pid};
use sim::{Fake, Process, Program};

use super::blind::Blind;
use super::naive::life;
use super::{Design, Surroundings};

/// A lock of somebody's own: the whole life of one gateway that has it.
///
/// It awaits nothing but `os`, uses no other task than those of [`Os::task`] and [`Os::repeat`], and reads no clock, no
/// environment and no random numbers but through `os`. What is explored otherwise fails as `explorable` and says why.
pub trait Lock: Send + Sync + 'static {
    /// What it is called in reports and tokens: lower-case letters, digits and `-`, and no name of the catalogue.
    fn name(&self) -> &str;

    /// The whole life of one gateway with this lock, from its start to its end. Answers the exit status.
    ///
    /// It is called once for each process. `self` is what all of them have in common before anything happens, and must not
    /// change: processes share what the machine holds and nothing else.
    fn run<O: Os>(&self, os: O, claim: Claim) -> impl Future<Output = u8> + Send;

    /// The files that an operator would take for its lock, in a state directory. The first is shown beside the lanes, and
    /// `remove = "lock-file"` deletes all of them.
    fn lock_files(&self, state: &Path) -> Vec<PathBuf> {
        let _ = state;
        Vec::new()
    }
}

/// Says that this is the owner of the state directory of a claim and of its ports, and ready.
///
/// # Errors
///
/// What the system says when it is asked which directory that is.
pub async fn announce<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    life::announce(os, claim).await
}

/// Says that this is the owner, which may have much to do before it is ready: [`Notice::Ready`] says so then.
///
/// # Errors
///
/// What the system says when it is asked which directory that is.
pub async fn begin_to_own<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    life::begin_to_own(os, claim).await
}

/// Gives up for a reason that scenarios know, for instance `held`, names the process in the way if it is known, and
/// answers the exit status 1.
pub async fn refuse<O: Os>(os: &O, reason: &str, holder: Option<Pid>) -> u8 {
    let _ = os.notify(Notice::Refused { code: reason.to_owned(), holder }).await;
    1
}

/// Serves until a signal comes that was caught, and says that it owns no more. The lock is given back after that.
pub async fn serve<O: Os>(os: &O) {
    life::serve(os).await;
}

/// A lock of somebody's own, known for as long as the program runs.
#[derive(Clone, Copy)]
pub struct Own(&'static dyn Known);

/// What a design needs of a [`Lock`].
trait Known: Sync {
    fn name(&self) -> &str;
    fn program(&'static self, claim: Claim, around: Surroundings) -> Program;
    fn lock_files(&self, state: &Path) -> Vec<PathBuf>;
}

impl<L: Lock> Known for L {
    fn name(&self) -> &str {
        Lock::name(self)
    }

    fn program(&'static self, claim: Claim, around: Surroundings) -> Program {
        Program::new(Lock::name(self), move |os: Process| {
            let (claim, is_blind) = (claim.clone(), around.blind);
            async move {
                if is_blind { self.run(Fake::new(os, Blind), claim).await } else { self.run(os, claim).await }
            }
        })
    }

    fn lock_files(&self, state: &Path) -> Vec<PathBuf> {
        Lock::lock_files(self, state)
    }
}

impl Own {
    /// Keeps a lock. Each takes a few bytes for good; a test names a few.
    ///
    /// # Panics
    ///
    /// If its name is empty, has other characters than lower-case letters, digits and `-`, or is that of a design of the
    /// catalogue.
    #[track_caller]
    pub fn keep(lock: impl Lock) -> Self {
        let name = lock.name();
        let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            !name.is_empty() && name.chars().all(is_fit),
            "`{name}` is no name for a lock: lower-case letters, digits and `-` only, so that it fits into a token"
        );
        assert!(
            Design::of(name).is_none(),
            "`{name}` is a design of the catalogue: give the lock another name"
        );
        Self(Box::leak(Box::new(lock)))
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The program of one gateway.
    pub(super) fn program(self, claim: Claim, around: Surroundings) -> Program {
        self.0.program(claim, around)
    }

    /// The files that an operator would take for its lock.
    pub(super) fn lock_files(self, state: &Path) -> Vec<PathBuf> {
        self.0.lock_files(state)
    }
}

/// Two locks of one name are one design: that is what tokens go by.
impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Own {}

// A lock is the same before and after a panic: nobody changes it.
impl UnwindSafe for Own {}
impl RefUnwindSafe for Own {}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Own({})", self.name())
    }
}

impl<L: Lock> From<L> for Design {
    #[track_caller]
    fn from(lock: L) -> Self {
        Self::Own(Own::keep(lock))
    }
}
