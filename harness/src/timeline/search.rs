//! Looks for a schedule that shows a timeline: first without any fault, then with one more each time, as far as the scenario
//! allows.

use std::collections::BTreeSet;

use sim::{Bounds, Evidence, Policy, Schedule, Trace};

use super::monitor::{Furthest, Monitor, Naming, SHOWN};
use crate::designs::Design;
use crate::scenario::Timeline;
use crate::simulate::Simulation;

/// How many states a search may visit before it is given up, unless whoever runs it says otherwise.
pub const MOST_STATES: usize = 4_000_000;

/// How many states are visited at first with each number of kills. To show that nothing comes of few of them takes long, and
/// where more are needed one is found soon.
const FIRST_STATES: [usize; 2] = [30_000, 300_000];

/// How far a search went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Different states, those of searches with fewer kills included.
    pub states: usize,
    /// Steps between them.
    pub transitions: u64,
    /// How many processes could be killed, besides those that the steps kill.
    pub kills: u8,
}

/// What a search has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// A schedule shows all of it.
    Reproduced {
        /// The schedule.
        schedule: Schedule,
        /// Whether none with fewer faults, preemptions or steps does.
        is_shortest: bool,
    },
    /// None does.
    Nowhere {
        /// The furthest that any has come.
        furthest: Furthest,
        /// One that has come so far, if it shows anything at all, and whether nothing less comes so far.
        schedule: Option<(Schedule, bool)>,
    },
    /// Not all schedules were tried.
    Undecided {
        /// Why not.
        why: String,
        /// The furthest that any has come so far.
        furthest: Furthest,
    },
}

/// Looks for a schedule of a case that shows its timeline. Each search, of which there is one for each number of kills, visits
/// `most_states` at most.
pub fn seek(
    simulation: &Simulation,
    timeline: &Timeline,
    design: Design,
    most_states: usize,
    should_stop: &dyn Fn() -> bool,
) -> (Matched, Searched) {
    let monitor = monitor(simulation, timeline, design);
    let most = simulation.bounds.kills;
    // A loss of power has a number among the choices that depends on how many may be killed.
    let first = if simulation.bounds.power_losses == 0 { 0 } else { most };
    let mut searched = Searched::default();
    let smaller = FIRST_STATES.into_iter().filter(|states| *states < most_states);
    let budgets = smaller.chain([most_states]);
    let rounds = budgets.flat_map(|states| (first..=most).map(move |kills| (states, kills)));
    let mut complete = BTreeSet::new();
    for (states, kills) in rounds {
        if complete.contains(&kills) {
            continue;
        }
        let bounds = bounds(simulation, kills, states);
        let exploration = sim::explore_until(&simulation.setup, &monitor, &bounds, should_stop);
        searched.states += exploration.states;
        searched.transitions += exploration.transitions;
        searched.kills = searched.kills.max(kills);
        let undecided = |why| Matched::Undecided { why, furthest: monitor.furthest() };
        match exploration.found {
            Some(found) if found.violation.check == SHOWN => {
                let (schedule, is_shortest) = (found.schedule, found.is_shortest);
                return (Matched::Reproduced { schedule, is_shortest }, searched);
            }
            // One execution leads through the setup, and this one shows something else.
            Some(found) if found.violation.check == "setup" => _ = complete.insert(kills),
            Some(found) => return (undecided(found.violation.to_string()), searched),
            None => match exploration.evidence {
                Evidence::Complete => _ = complete.insert(kills),
                Evidence::Bounded => {
                    let why = "supervisors would have started processes more often than is explored";
                    return (undecided(why.to_owned()), searched);
                }
                Evidence::Cut if should_stop() => {
                    return (undecided("it was stopped before everything was tried".to_owned()), searched);
                }
                Evidence::Cut if states < most_states => {}
                Evidence::Cut => {
                    let why =
                        format!("the budget of {most_states} states is spent; `--max-states` gives more");
                    return (undecided(why), searched);
                }
            },
        }
    }
    let furthest = monitor.furthest();
    let schedule = way_to(simulation, monitor, &furthest, most_states, should_stop);
    (Matched::Nowhere { furthest, schedule }, searched)
}

/// The steps of a schedule, whatever promises they break.
pub(super) fn replay(
    simulation: &Simulation,
    timeline: &Timeline,
    design: Design,
    schedule: &Schedule,
) -> Trace {
    sim::replay(&simulation.setup, &monitor(simulation, timeline, design), &simulation.bounds, schedule)
}

/// The least schedule that comes so far.
fn way_to(
    simulation: &Simulation,
    monitor: Monitor<'_>,
    furthest: &Furthest,
    most_states: usize,
    should_stop: &dyn Fn() -> bool,
) -> Option<(Schedule, bool)> {
    if furthest.count() == 0 {
        return None;
    }
    let monitor = monitor.only_to(&furthest.done);
    let bounds = bounds(simulation, simulation.bounds.kills, most_states);
    let found = sim::explore_until(&simulation.setup, &monitor, &bounds, should_stop).found?;
    (found.violation.check == SHOWN).then_some((found.schedule, found.is_shortest))
}

fn bounds(simulation: &Simulation, kills: u8, states: usize) -> Bounds {
    Bounds { policy: Policy::Exhaustive, kills, states, ..simulation.bounds }
}

fn monitor<'t>(simulation: &'t Simulation, timeline: &'t Timeline, design: Design) -> Monitor<'t> {
    let names = simulation.checks.slots.iter().map(|(name, _)| name.as_str()).collect();
    Monitor::new(timeline, names, naming(design))
}

/// The reference lock tells whom it has found; the others are written for what they do, not for what they say.
fn naming(design: Design) -> Naming {
    match design {
        Design::Refgate | Design::Without(_) | Design::Slipping(_) | Design::Leaking(_) => Naming::Faithful,
        Design::Naive(_) | Design::Openclaw(_) | Design::Endless(_) | Design::Own(_) => Naming::Silent,
    }
}
