//! One case as an executor runs it: judged in the simulator, and shown on the real kernel, call by call.
//!
//! A schedule that real processes take with every reply as in the simulator ends as it ends there, so what is judged there
//! holds here. Kills fall exactly between two calls. A counterexample is taken on real processes too: whether it is one
//! there is said with it.

use sim::Schedule;

use super::{Difference, Driven, Options, Trouble, Which, drive};
use crate::designs::Design;
use crate::report::count;
use crate::scenario::Case;
use crate::simulate;
use crate::token::Token;
use crate::verdict::{Failure, Verdict};

/// Runs a case. With the verdict of the simulated machine it says what the real kernel has shown of it.
pub fn run_case(case: &Case, design: Design, options: &Options) -> (Verdict, Option<String>) {
    let should_stop = || options.interrupted.load(std::sync::atomic::Ordering::Relaxed);
    match simulate::run_case_until(case, design, &should_stop) {
        Verdict::Fail(failure) => (Verdict::Fail(shown_for_real(case, design, *failure, options)), None),
        Verdict::Pass(evidence) => match drive(case, design, &Which::EveryStep, options) {
            Ok(Driven { difference: Some(difference), .. }) => {
                (Verdict::Fail(Box::new(different(&difference))), None)
            }
            Ok(Driven { schedules: 0, .. }) => {
                let why =
                    "nothing was driven on the real kernel: it has too many states to lay schedules out";
                (Verdict::Inconclusive(why.to_owned()), None)
            }
            Ok(driven) => (Verdict::Pass(evidence), Some(in_short(&driven))),
            Err(trouble) => (troubled(trouble), None),
        },
        other @ (Verdict::Known(_) | Verdict::Inconclusive(_) | Verdict::Unsupported(_)) => (other, None),
    }
}

fn in_short(driven: &Driven) -> String {
    let number = |of: u64, unit| count(usize::try_from(of).unwrap_or(usize::MAX), unit);
    let which = if driven.is_complete { "every step from every state" } else { "there are more" };
    format!(
        "{} driven on the real kernel, {} as here: {which}",
        number(driven.schedules, "schedule"),
        number(driven.steps, "step")
    )
}

fn troubled(trouble: Trouble) -> Verdict {
    match trouble {
        Trouble::Unsupported(reason) => Verdict::Unsupported(reason),
        Trouble::Undecided(reason) => Verdict::Inconclusive(reason),
    }
}

/// A failure of the simulated machine, with what real processes make of its schedule.
fn shown_for_real(case: &Case, design: Design, mut failure: Failure, options: &Options) -> Box<Failure> {
    let schedule =
        failure.replay.as_deref().and_then(|token| Token::parse(token).ok()).map(|token| token.schedule);
    let says = schedule.map_or_else(
        || "there is no single schedule to be taken".to_owned(),
        |schedule| taken(case, design, schedule, options),
    );
    failure.body.push(format!(" for real     {says}"));
    Box::new(failure)
}

fn taken(case: &Case, design: Design, schedule: Schedule, options: &Options) -> String {
    match drive(case, design, &Which::One(schedule), options) {
        Ok(Driven { difference: Some(difference), .. }) => {
            format!("real processes part with it: {difference}")
        }
        Ok(Driven { steps, difference: None, .. }) => {
            let steps = count(usize::try_from(steps).unwrap_or(usize::MAX), "step");
            format!("real processes have taken it too: {steps}, each reply as above")
        }
        Err(trouble) => format!("it cannot be taken by real processes: {trouble}"),
    }
}

fn different(difference: &Difference) -> Failure {
    Failure {
        check: "conformance".to_owned(),
        says: "the real kernel answers otherwise than the simulated one".to_owned(),
        line: None,
        body: difference.to_string().lines().map(str::to_owned).collect(),
        replay: None,
    }
}
