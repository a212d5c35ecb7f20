//! A case run twice, a search in lockstep: the same inputs must give the same bytes, or no verdict on them means anything.

use crate::designs::Design;
use crate::report;
use crate::scenario::{Case, Policy};
use crate::simulate::Simulation;
use crate::verdict::{Evidence, Failure, Verdict};

/// Runs a case twice, as it says, and compares: each step of a search, with histories merged as they are where it is
/// judged, or what a sample has shown. `verdict` is what was found of it before, which must be of the same states. Answers
/// what to say of it if all is the same.
///
/// # Errors
///
/// The verdict on a case that is not the same twice.
pub fn compare(
    case: &Case,
    design: Design,
    verdict: &Verdict,
    should_stop: &(dyn Fn() -> bool + Sync),
) -> Result<String, Verdict> {
    let simulation = Simulation::new(&case.scenario, design);
    if let Policy::Sampled(sampling) = case.scenario.explore.policy {
        let again = simulation.sample(case, design, &sampling, should_stop);
        // How far a sample had come when somebody stopped it is no input.
        if should_stop() {
            return Ok("not compared: interrupted".to_owned());
        }
        return drawn(verdict, &again, sampling.runs);
    }
    let Simulation { setup, checks, bounds, .. } = &simulation;
    let twice = sim::explore_twice(setup, checks, bounds, should_stop);
    if let Some(difference) = &twice.difference {
        return Err(Verdict::Fail(Box::new(failure(difference))));
    }
    let steps = report::count(usize::try_from(twice.steps).unwrap_or(usize::MAX), "step");
    if let Some(judged) = states_of(verdict).filter(|_| twice.is_complete)
        && judged != (twice.states, twice.steps)
    {
        let (states, transitions) = judged;
        let once = format!("{states} states, {transitions} steps");
        let again = format!("{} states, {} steps", twice.states, twice.steps);
        return Err(differs(vec![format!(" once         {once}"), format!(" again        {again}")]));
    }
    let part = if twice.is_complete { "" } else { ", not all of them" };
    Ok(format!("the same twice: {steps}{part}, events {:016x}", twice.events))
}

/// What was searched for a verdict, if all of it was.
fn states_of(verdict: &Verdict) -> Option<(usize, u64)> {
    match verdict {
        Verdict::Pass(
            Evidence::Complete { states, transitions, .. } | Evidence::Bounded { states, transitions, .. },
        ) => Some((*states, *transitions)),
        Verdict::Pass(Evidence::Sampled { .. } | Evidence::Observed { .. })
        | Verdict::Fail(_)
        | Verdict::Known(_)
        | Verdict::Inconclusive(_)
        | Verdict::Unsupported(_) => None,
    }
}

/// Compares the verdicts of two samples, which say what was met.
fn drawn(once: &Verdict, again: &Verdict, runs: u64) -> Result<String, Verdict> {
    if once != again {
        let line = |word: &str, verdict: &Verdict| format!(" {word:<12} {}", report::in_short(verdict));
        return Err(differs(vec![line("once", once), line("again", again)]));
    }
    Ok(format!("the same twice: {}", report::count(usize::try_from(runs).unwrap_or(usize::MAX), "run")))
}

/// What is shown of a difference. There is no token: another run may do something else again.
fn failure(difference: &sim::Difference) -> Failure {
    let says = "the same schedule is not the same twice: something decides that is no input".to_owned();
    let body = vec![
        format!(" after        step {} of schedule {}", difference.schedule.len(), difference.schedule),
        format!(" once         {}", difference.first),
        format!(" again        {}", difference.second),
    ];
    Failure { check: "twice".to_owned(), says, line: None, body, replay: None }
}

/// The verdict on a case that is not the same twice as a whole.
fn differs(body: Vec<String>) -> Verdict {
    let says = "the same case is not the same twice: something decides that is no input".to_owned();
    Verdict::Fail(Box::new(Failure { check: "twice".to_owned(), says, line: None, body, replay: None }))
}

#[cfg(test)]
mod tests {
    use sim::{Difference, Schedule};

    use super::{drawn, failure};
    use crate::verdict::Verdict;

    #[test]
    fn samples_that_do_not_say_the_same_are_a_failure_with_both_of_them() {
        let [once, again] = ["3 runs", "4 runs"].map(|says| Verdict::Inconclusive(says.to_owned()));
        assert_eq!(drawn(&once, &once, 1), Ok("the same twice: 1 run".to_owned()));
        let Err(Verdict::Fail(failure)) = drawn(&once, &again, 3) else { panic!("they differ") };
        assert_eq!((failure.check.as_str(), failure.replay.as_deref()), ("twice", None));
        assert_eq!(failure.body, [" once         3 runs", " again        4 runs"]);
    }

    #[test]
    fn a_difference_is_shown_with_the_way_to_it_and_without_a_token() {
        let Ok(schedule) = Schedule::parse("0001") else { panic!("it is a schedule") };
        let (first, second) = ("`getpid` of a".to_owned(), "`geteuid` of a".to_owned());
        let failure = failure(&Difference { schedule, first, second });
        assert_eq!(failure.replay, None);
        assert_eq!(
            failure.body,
            [
                " after        step 2 of schedule 0001",
                " once         `getpid` of a",
                " again        `geteuid` of a"
            ]
        );
    }
}
