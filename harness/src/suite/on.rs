//! Where a case is run, and on what: a lock in the simulator, or a program that a target file describes.

use std::fmt;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};

use super::edge::{self, from_manifest};
use super::replay::Replay;
use crate::designs::Design;
use crate::scenario::{Case, Paint};
use crate::simulate;
use crate::target::{self, Target};
use crate::verdict::Verdict;

/// What real processes are planned from.
#[cfg(target_os = "linux")]
const SEED: u64 = 0x5eed_0001;

/// Real processes are timed, and share the machine: one case at a time in each test process.
#[cfg(target_os = "linux")]
static REAL: Mutex<()> = Mutex::new(());

/// Where cases are run: see [`sim()`] and [`real`].
#[derive(Clone, Debug)]
pub struct On {
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Sim(Design),
    Real(Box<Real>),
}

#[derive(Clone, Debug)]
struct Real {
    target: Target,
    helper: Option<PathBuf>,
    tries: Option<u16>,
}

/// On the simulated machine, with a lock of somebody's own ([`Lock`](crate::Lock)) or a design of the catalogue, for
/// instance [`Design::Refgate`].
///
/// # Panics
///
/// If the name of the lock is no name, see [`Own::keep`](crate::designs::Own::keep).
#[track_caller]
pub fn sim(lock: impl Into<Design>) -> On {
    On { what: What::Sim(lock.into()) }
}

/// On real processes of a program that a target file describes; the first word of its `start` is replaced by `program`, and
/// that of its `version` where both are the same. A relative path of the target file is taken from the manifest of the
/// package under test.
///
/// In a [`suite!`](crate::suite!) nothing more is needed. Elsewhere name the executable of portcullis with
/// [`On::helper`]. One case at a time is run in each process.
///
/// # Panics
///
/// If the target file cannot be read, with every problem that it has and its place, or if `program` is no program.
#[track_caller]
pub fn real(target: impl AsRef<Path>, program: impl AsRef<Path>) -> On {
    let file = from_manifest(target.as_ref());
    let mut target = target::load(&file).unwrap_or_else(|error| panic!("{}", error.render(Paint::Plain)));
    target.run_as(program.as_ref());
    let path = edge::variable("PATH").unwrap_or_default();
    target::locate(&mut target, &path).unwrap_or_else(|why| panic!("{why}"));
    target.inherit(edge::variable);
    On { what: What::Real(Box::new(Real { target, helper: None, tries: None })) }
}

impl On {
    /// The program that isolates and drives real processes: an executable of portcullis. In the simulator nothing comes of it.
    #[must_use]
    pub fn helper(mut self, portcullis: impl Into<PathBuf>) -> Self {
        if let What::Real(real) = &mut self.what {
            real.helper = Some(portcullis.into());
        }
        self
    }

    /// How many runs each case gets on real processes, instead of as many as its scenario says. In the simulator nothing
    /// comes of it.
    #[must_use]
    pub fn tries(mut self, tries: u16) -> Self {
        if let What::Real(real) = &mut self.what {
            real.tries = Some(tries);
        }
        self
    }

    /// Has this program help itself, unless it was named who does: its `main` does what a helper does.
    pub(super) fn helped_by_itself(self) -> Self {
        #[cfg(target_os = "linux")]
        if matches!(&self.what, What::Real(real) if real.helper.is_none()) {
            return self.helper(crate::real::Options::ITSELF);
        }
        self
    }

    /// Why a case cannot be run here, as far as that is known before.
    pub(super) fn unsupported(&self, case: &Case) -> Option<String> {
        match &self.what {
            What::Sim(_) => None,
            #[cfg(target_os = "linux")]
            What::Real(real) => crate::real::unsupported_by(&real.target, &case.scenario),
            #[cfg(not(target_os = "linux"))]
            What::Real(_) => {
                let _ = case;
                Some("real processes need Linux".to_owned())
            }
        }
    }

    /// Whether a replay was asked for, and of this case.
    pub(super) fn asked_to_replay(&self, case: &Case) -> Replay {
        match &self.what {
            What::Sim(design) => Replay::asked(case, *design),
            What::Real(_) => Replay::None,
        }
    }

    /// Runs one case that may have so many states in the simulator.
    #[cfg(feature = "proptest")]
    pub(crate) fn judge_within(&self, case: &Case, states: usize) -> Verdict {
        match &self.what {
            What::Sim(design) => {
                let mut simulation = simulate::Simulation::new(&case.scenario, *design);
                simulation.bounds.states = states;
                simulation.run(case, *design, &|| false).0
            }
            What::Real(real) => real.judge(case),
        }
    }

    /// Runs one case; if a replay of it was asked for, that is taken instead.
    ///
    /// # Panics
    ///
    /// On real processes if nobody is there to help, see [`On::helper`]; if `PORTCULLIS_REPLAY` holds no token.
    #[track_caller]
    pub fn judge(&self, case: &Case) -> Verdict {
        match &self.what {
            What::Sim(design) => match self.asked_to_replay(case) {
                Replay::This(token) => Replay::verdict(case, &token),
                Replay::None | Replay::Other => simulate::run_case(case, *design),
            },
            What::Real(real) => real.judge(case),
        }
    }
}

impl Real {
    #[cfg(target_os = "linux")]
    #[track_caller]
    fn judge(&self, case: &Case) -> Verdict {
        let Some(helper) = &self.helper else {
            panic!(
                "real processes need a helper, and the `main` of a `#[test]` is none: name an executable of portcullis with \
                 `real(…).helper(…)`, or make the test target a `harness::suite!`"
            )
        };
        let options = crate::real::Options {
            target: self.target.clone(),
            helper: helper.clone(),
            tries: self.tries,
            seed: SEED,
            isolation: crate::real::Isolation::WherePossible,
            interrupted: std::sync::Arc::default(),
        };
        let _alone = REAL.lock().unwrap_or_else(PoisonError::into_inner);
        crate::real::run_case(case, &options)
    }

    #[cfg(not(target_os = "linux"))]
    fn judge(&self, _: &Case) -> Verdict {
        Verdict::Unsupported("real processes need Linux".to_owned())
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Sim(design) => write!(f, "sim::{}", design.name()),
            What::Real(real) => write!(f, "real::{}", real.target.name),
        }
    }
}
