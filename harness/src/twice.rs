//! A case searched twice, in lockstep: the same inputs must give the same bytes, or no verdict on them means anything.

use crate::designs::Design;
use crate::report;
use crate::scenario::Case;
use crate::simulate::Simulation;
use crate::verdict::{Failure, Verdict};

/// Searches a case twice and compares each step. Answers what to say of it if both were the same.
///
/// # Errors
///
/// The verdict on a case that is not the same twice.
pub fn compare(case: &Case, design: Design, should_stop: &dyn Fn() -> bool) -> Result<String, Verdict> {
    let Simulation { setup, checks, bounds, .. } = Simulation::new(&case.scenario, design);
    let twice = sim::explore_twice(&setup, &checks, &bounds, should_stop);
    if let Some(difference) = &twice.difference {
        return Err(Verdict::Fail(Box::new(failure(difference))));
    }
    let steps = report::count(usize::try_from(twice.steps).unwrap_or(usize::MAX), "step");
    let part = if twice.is_complete { "" } else { ", not all of them" };
    Ok(format!("the same twice: {steps}{part}, events {:016x}", twice.events))
}

/// What is shown of a difference. There is no token: another run may do something else again.
fn failure(difference: &sim::Difference) -> Failure {
    Failure {
        check: "twice".to_owned(),
        says: "the same schedule is not the same twice: something decides that is no input".to_owned(),
        line: None,
        body: vec![
            format!(" after        step {} of schedule {}", difference.schedule.len(), difference.schedule),
            format!(" once         {}", difference.first),
            format!(" again        {}", difference.second),
        ],
        replay: None,
    }
}

#[cfg(test)]
mod tests {
    use sim::{Difference, Schedule};

    use super::failure;

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
