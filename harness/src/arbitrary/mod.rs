//! Scenarios that a property test draws: who shares what, when they start, what is done to them.
//!
//! Every one is a valid file. A failing one shrinks to a small file that people read, and a [`Property`] keeps it: it stands
//! in a directory under a name of its own, is run first the next time, and is a scenario like any other.
//!
//! ```no_run
//! use harness::arbitrary::Property;
//! use harness::{designs::Design, sim};
//!
//! // 64 scenarios with two to four gateways; a failure goes to `scenarios/regressions/refgate-HASH.toml`.
//! Property::named("refgate").assert(&sim(Design::Refgate));
//! ```
//!
//! Drawn scenarios are values for any property test, too:
//!
//! ```
//! use harness::{arbitrary, designs::Design, sim};
//! use proptest::prelude::*;
//!
//! proptest!(ProptestConfig::with_cases(2), |(drawn in arbitrary::scenario(2..=2))| {
//!     prop_assert!(!drawn.on(sim(Design::Refgate)).has_failed(), "{drawn:?}");
//! });
//! ```
//!
//! # Invariants
//!
//! - Same seed, same scenarios, and the same smallest failure.

mod draft;
mod property;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::scenario::{Check, Paint, Scenario, parse};
use crate::suite::{Cases, Judged, On};
use draft::{Blow, Contender, Draft, Ports};

pub use property::{Broken, Checked, Property};

/// The most gateways that a scenario has.
pub const MOST_GATEWAYS: usize = 4;

/// How a drawn scenario is called where it has no file.
const FILE: &str = "generated.toml";

/// Something that happens to a gateway that was started, or to what it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// SIGSTOP. It goes on when everybody else has started and settled.
    Pause,
    /// SIGUSR1: an owner begins anew in place.
    Restart,
    /// It dies, and its pid is given to a program that is no gateway.
    Recycle,
    /// An operator deletes its lock files.
    RemoveLockFile,
    /// An operator deletes its state directory.
    RemoveState,
    /// Its disk is full for a while.
    DiskFull,
    /// Its disk is read-only for a while.
    DiskReadOnly,
    /// The wall clock is set back by an hour.
    ClockBack,
    /// The wall clock is set forward by an hour.
    ClockForward,
    /// The machine sleeps for a minute.
    Suspend,
}

impl Fault {
    /// Every one, the simplest first: a failure shrinks to those.
    pub const ALL: [Self; 12] = [
        Self::Kill,
        Self::Stop,
        Self::Pause,
        Self::Restart,
        Self::Recycle,
        Self::RemoveLockFile,
        Self::RemoveState,
        Self::DiskFull,
        Self::DiskReadOnly,
        Self::ClockBack,
        Self::ClockForward,
        Self::Suspend,
    ];
}

/// Which scenarios are drawn.
#[derive(Clone, Debug)]
pub struct Scenarios {
    /// How many gateways there are, 1 to [`MOST_GATEWAYS`].
    pub gateways: RangeInclusive<usize>,
    /// How many things are done to them at most.
    pub most_faults: usize,
    /// Which of them; a failure shrinks to the first.
    pub faults: Vec<Fault>,
    /// What must hold after every step.
    pub always: Vec<Check>,
    /// How often a schedule takes the turn from a process that could have gone on, at most.
    pub preemptions: u8,
    /// How many ports above its base a gateway claims.
    pub span: u16,
}

impl Scenarios {
    /// Everything that can be drawn, with every promise that needs no supervisor and no client, in small: one preemption,
    /// one port above the base, two faults.
    pub fn all(gateways: RangeInclusive<usize>) -> Self {
        Self {
            gateways,
            most_faults: 2,
            faults: Fault::ALL.to_vec(),
            always: PROMISES.to_vec(),
            preemptions: 1,
            span: 1,
        }
    }

    /// The scenarios as a strategy.
    ///
    /// # Panics
    ///
    /// If there are no gateways or more than [`MOST_GATEWAYS`], if no fault is named though some are to be drawn, or if
    /// `span` or `preemptions` are more than a scenario file may ask for (110, 100).
    pub fn strategy(&self) -> impl Strategy<Value = Drawn> + use<> {
        let (least, most) = (*self.gateways.start(), *self.gateways.end());
        assert!(
            1 <= least && least <= most && most <= MOST_GATEWAYS,
            "{least} to {most} gateways cannot be drawn: it is 1 to {MOST_GATEWAYS}"
        );
        assert!(self.most_faults == 0 || !self.faults.is_empty(), "no fault is named that could be drawn");
        assert!((1..=110).contains(&self.span), "a gateway claims 1 to 110 ports above its base");
        assert!(self.preemptions <= 100, "a scenario has at most 100 preemptions");
        let contenders = vec(contender(), self.gateways.clone());
        let blows = if self.most_faults == 0 {
            Just(Vec::new()).boxed()
        } else {
            vec(blow(self.faults.clone()), 0..=self.most_faults).boxed()
        };
        let Self { always, preemptions, span, .. } = self.clone();
        (contenders, 0..most, any::<bool>(), blows, prop::bool::weighted(0.1)).prop_map(
            move |(contenders, early, has_settled, blows, is_deadly)| {
                let always = always.clone();
                Drawn::new(&Draft {
                    contenders,
                    early,
                    has_settled,
                    blows,
                    is_deadly,
                    preemptions,
                    span,
                    always,
                })
            },
        )
    }
}

/// What the reference gateway promises whatever is drawn here.
const PROMISES: [Check; 12] = [
    Check::SingleOwner,
    Check::SingleWriter,
    Check::NoTheft,
    Check::NoForeignUnlink,
    Check::NoCollateral,
    Check::PortsDisjoint,
    Check::ConfigIdentity,
    Check::EffectAfterLock,
    Check::NoWedge,
    Check::Truthful,
    Check::FailFast,
    Check::ClockFree,
];

/// A strategy of all scenarios with so many gateways: [`Scenarios::all`].
///
/// # Panics
///
/// If these are none or more than [`MOST_GATEWAYS`].
pub fn scenario(gateways: RangeInclusive<usize>) -> impl Strategy<Value = Drawn> {
    Scenarios::all(gateways).strategy()
}

fn contender() -> impl Strategy<Value = Contender> {
    let ports = select(vec![Ports::Same, Ports::Overlapping, Ports::Apart]);
    let rarely = || prop::bool::weighted(0.25);
    (rarely(), ports, rarely(), rarely()).prop_map(
        |(has_own_state, ports, shares_config, shares_workspace)| Contender {
            has_own_state,
            ports,
            shares_config,
            shares_workspace,
        },
    )
}

fn blow(faults: Vec<Fault>) -> impl Strategy<Value = Blow> {
    (select(faults), 0..MOST_GATEWAYS, any::<bool>()).prop_map(|(fault, who, settles)| Blow {
        fault,
        who,
        settles,
    })
}

/// A scenario that was drawn. For people it is its file.
#[derive(Clone)]
pub struct Drawn {
    scenario: Scenario,
}

impl Drawn {
    fn new(draft: &Draft) -> Self {
        let text = draft.text();
        match parse(Path::new(FILE), &text) {
            Ok(scenario) => Self { scenario },
            Err(problems) => {
                let drawn: Vec<String> = problems
                    .iter()
                    .map(|problem| problem.render(Path::new(FILE), &text, Paint::Plain))
                    .collect();
                unreachable!("every draft is a valid file\n{}\n{text}", drawn.join("\n"))
            }
        }
    }

    /// The scenario. It has one case.
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Its file.
    pub fn text(&self) -> &str {
        &self.scenario.source
    }

    /// Runs it.
    ///
    /// # Panics
    ///
    /// See [`On::judge`].
    #[track_caller]
    pub fn on(&self, on: On) -> Judged {
        Cases::from(self.scenario.clone()).on(on)
    }
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
