//! The outcomes that the simulator finds of a scenario, put into its file in the place of those that it lists.
//!
//! An outcome that is listed and shown stays as it is written, however coarse. What fits none of them is added, exactly as
//! it was found, and reasons that differ only below one general reason become that one. What no schedule shows goes.

use std::collections::BTreeSet;

use crate::checks::Checks;
use crate::designs::Design;
use crate::scenario::{
    self, Case, Fate, FinalState, Located, Outcome, Policy, Reach, Reason, Scenario, with_outcomes,
};
use crate::simulate::{Searched, Simulation};
use crate::verdict::Failure;

/// More outcomes than this are no list that anybody reads.
const MOST: usize = 64;

/// Why nothing is taken into a file.
#[derive(Debug)]
pub enum Refused {
    /// Something else is broken than the list of outcomes.
    Broken {
        /// The case.
        case: String,
        /// What is broken.
        failure: Box<Failure>,
    },
    /// Not every schedule was tried.
    Incomplete {
        /// The case.
        case: String,
        /// Why not.
        why: String,
    },
    /// The search was cut: its states are spent, or whoever waits for it does not wait any longer.
    Cut {
        /// The case.
        case: String,
        /// How many states were visited since the last outcome was found.
        states: usize,
        /// How many ports each gateway claims above its base.
        span: u16,
    },
    /// Its outcomes are tables of their own (`[[expect.outcomes]]`), and no list that could be changed.
    Unwritable,
    /// Each case must show each outcome, and they do not end alike.
    Differ {
        /// A case that shows the outcome.
        one: String,
        /// One that does not.
        other: String,
        /// The outcome.
        outcome: String,
    },
}

/// How long outcomes are looked for.
#[derive(Clone, Copy)]
pub struct Effort<'e> {
    /// How many states a search may visit; `None`: as many as any.
    pub states: Option<usize>,
    /// Asked often; the search ends once it answers `true`.
    pub should_stop: &'e dyn Fn() -> bool,
    /// Told of each case that is looked at, and how many outcomes are known then.
    pub looks_at: &'e dyn Fn(&Case, usize),
}

/// The text of a scenario file with the outcomes that its cases show.
///
/// # Errors
///
/// Why there is none.
pub fn accept(scenario: &Scenario, effort: Effort<'_>) -> Result<String, Refused> {
    let listed = scenario.expect.outcomes.len();
    let mut outcomes: Vec<Outcome> = scenario.expect.outcomes.iter().map(|it| it.value.clone()).collect();
    let cases = scenario.cases();
    let shown = shown(&cases, &mut outcomes, effort)?;
    let merged = merged(outcomes.split_off(listed));
    let added = merged.len();
    outcomes.extend(merged);
    // Merged outcomes admit what was found, and perhaps not in each case.
    let shown = if added > 0 { self::shown(&cases, &mut outcomes, effort)? } else { shown };
    if scenario.expect.reach == Reach::EveryOutcome {
        alike(&cases, &shown, &outcomes)?;
    }
    let is_shown = |number: usize| shown.iter().any(|ends| ends.contains(&number));
    let keep: Vec<bool> = (0..listed).map(is_shown).collect();
    let added: Vec<String> =
        (listed..outcomes.len()).filter(|it| is_shown(*it)).map(|it| written(&outcomes[it])).collect();
    if added.is_empty() && keep.iter().all(|keep| *keep) {
        return Ok(scenario.source.to_string());
    }
    with_outcomes(&scenario.source, &keep, &added).ok_or(Refused::Unwritable)
}

/// Which of the outcomes each case shows. Those that are missing are added.
fn shown(
    cases: &[Case],
    outcomes: &mut Vec<Outcome>,
    effort: Effort<'_>,
) -> Result<Vec<BTreeSet<usize>>, Refused> {
    let mut shown = Vec::new();
    for case in cases {
        shown.push(loop {
            match ends(case, outcomes, effort)? {
                Ends::All(ends) => break ends,
                Ends::Another(outcome) => outcomes.push(outcome),
            }
            if outcomes.len() > MOST {
                let why = format!("it ends in more than {MOST} ways");
                return Err(Refused::Incomplete { case: case.id.clone(), why });
            }
        });
    }
    Ok(shown)
}

enum Ends {
    /// Every end fits one of these.
    All(BTreeSet<usize>),
    /// This one fits none.
    Another(Outcome),
}

/// Looks for an end that fits none of the outcomes.
fn ends(case: &Case, outcomes: &[Outcome], effort: Effort<'_>) -> Result<Ends, Refused> {
    (effort.looks_at)(case, outcomes.len());
    let incomplete = |why: String| Refused::Incomplete { case: case.id.clone(), why };
    match case.scenario.explore.policy {
        Policy::Exhaustive => {}
        Policy::Preemptions(most) => {
            return Err(incomplete(format!("its policy tries schedules with {most} preemptions at most")));
        }
        Policy::Sampled(_) => return Err(incomplete("its policy draws some schedules".to_owned())),
    }
    let mut scenario = case.scenario.clone();
    scenario.expect.reach = Reach::Anything;
    scenario.expect.outcomes =
        outcomes.iter().map(|outcome| Located { value: outcome.clone(), line: 0 }).collect();
    if let Some(states) = effort.states {
        scenario.explore.states = states;
    }
    let simulation = Simulation::new(&scenario, Design::Refgate);
    let (exploration, searched) = simulation.search(&scenario, effort.should_stop);
    let broken = |failure| Refused::Broken { case: case.id.clone(), failure };
    match searched {
        Searched::Nothing if exploration.cut.is_empty() => {
            Ok(Ends::All(exploration.ends.keys().copied().collect()))
        }
        Searched::Nothing => {
            Err(incomplete("a supervisor starts a gateway more often than `most_starts`".to_owned()))
        }
        Searched::Broken(found) if found.violation.check == "outcomes" => {
            let trace =
                sim::replay(&simulation.setup, &simulation.checks, &simulation.bounds, &found.schedule);
            let Some(last) = trace.steps.last() else { unreachable!("an end comes after a step") };
            Ok(Ends::Another(outcome(&scenario, &simulation.checks, &last.view())))
        }
        Searched::Broken(found) => {
            let line = format!(" searched     {} states", exploration.states);
            Err(broken(Box::new(simulation.failure(case, Design::Refgate, &found, line, effort.should_stop))))
        }
        Searched::Endless(lasso) => Err(broken(Box::new(Failure {
            check: lasso.violation.check.clone(),
            says: lasso.violation.says.clone(),
            line: None,
            body: Vec::new(),
            replay: None,
        }))),
        Searched::Vacuous(failure) => Err(broken(failure)),
        Searched::Cut => Err(Refused::Cut {
            case: case.id.clone(),
            states: exploration.states,
            span: scenario.explore.span,
        }),
    }
}

/// How everybody ended whom the file declares.
fn outcome(scenario: &Scenario, checks: &Checks, view: &sim::View<'_>) -> Outcome {
    let mut fates = checks.fates(view);
    let names =
        scenario.gateways.iter().map(|it| &it.name).chain(scenario.processes.iter().map(|it| &it.name));
    let states = names.filter_map(|name| Some((name.clone(), state(&fates.remove(name)?))));
    Outcome { states: states.collect() }
}

fn state(fate: &Fate) -> FinalState {
    match fate {
        Fate::Ready => FinalState::Ready,
        Fate::Refused { code } => FinalState::Refused(Reason::of(code)),
        Fate::Exited => FinalState::Exited,
        Fate::Killed => FinalState::Killed,
        Fate::Paused => FinalState::Paused,
        Fate::Running => FinalState::Running,
        Fate::Unstarted => FinalState::Unstarted,
        Fate::Restarting => FinalState::Restarting,
    }
}

/// The outcomes, two of them one where they differ only below a general reason.
fn merged(mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut number = 0;
    while number < outcomes.len() {
        let pair = (number + 1..outcomes.len())
            .find_map(|other| Some((other, both(&outcomes[number], &outcomes[other])?)));
        match pair {
            Some((other, both)) => {
                outcomes.remove(other);
                outcomes[number] = both;
            }
            None => number += 1,
        }
    }
    outcomes
}

/// The outcome that admits both, if they differ in one reason and both belong to one general reason.
fn both(one: &Outcome, other: &Outcome) -> Option<Outcome> {
    let mut both = one.clone();
    let mut differ = 0;
    for ((name, state), (other_name, other_state)) in both.states.iter_mut().zip(&other.states) {
        if name != other_name {
            return None;
        }
        if state != other_state {
            let (FinalState::Refused(Some(a)), FinalState::Refused(Some(b))) = (*state, *other_state) else {
                return None;
            };
            let general = |reason: &'static Reason| reason.parent.unwrap_or(reason.id);
            if general(a) != general(b) {
                return None;
            }
            *state = FinalState::Refused(Reason::of(general(a)));
            differ += 1;
        }
    }
    (differ <= 1 && one.states.len() == other.states.len()).then_some(both)
}

/// Whether each case shows each outcome that any of them shows.
fn alike(cases: &[Case], shown: &[BTreeSet<usize>], outcomes: &[Outcome]) -> Result<(), Refused> {
    for (number, outcome) in outcomes.iter().enumerate() {
        let with = shown.iter().position(|ends| ends.contains(&number));
        let without = shown.iter().position(|ends| !ends.contains(&number));
        if let (Some(with), Some(without)) = (with, without) {
            let (one, other) = (cases[with].id.clone(), cases[without].id.clone());
            return Err(Refused::Differ { one, other, outcome: outcome.to_string() });
        }
    }
    Ok(())
}

/// An outcome as it stands in a file.
fn written(outcome: &Outcome) -> String {
    let states = outcome.states.iter().map(|(name, state)| format!("{name} = \"{state}\""));
    format!("{{ {} }}", states.collect::<Vec<_>>().join(", "))
}

/// Whether the text of a file is still that scenario, with other outcomes.
pub fn is_valid(scenario: &Scenario, text: &str) -> bool {
    scenario::parse_as(&scenario.name, &scenario.file, text).is_ok()
}
