//! Weighs a verdict against what is known of a target: a known failure is none, and one that has vanished is news.

use super::clock::today;
use crate::scenario::Case;
use crate::target::{Known, Target};
use crate::verdict::{Deviation, Failure, Verdict};

/// The verdict, with what is known of the target taken into account.
pub(super) fn weigh(verdict: Verdict, case: &Case, target: &Target) -> Verdict {
    match verdict {
        Verdict::Fail(failure) => match target.excuse(&case.id, &failure.check, today()) {
            Some(known) => Verdict::Known(Box::new(Deviation {
                because: known.because.clone(),
                issue: known.issue.clone(),
                failure: *failure,
            })),
            None => Verdict::Fail(Box::new(with_what_is_known(*failure, case, target))),
        },
        Verdict::Pass(evidence) => {
            let vanished = target.known_for(&case.id).find(|known| !known.sometimes);
            match vanished.filter(|_| target.strict) {
                Some(known) => Verdict::Fail(Box::new(news(known, target))),
                None => Verdict::Pass(evidence),
            }
        }
        other @ (Verdict::Known(_) | Verdict::Inconclusive(_) | Verdict::Unsupported(_)) => other,
    }
}

/// A failure, and why what is known of the case does not excuse it.
fn with_what_is_known(mut failure: Failure, case: &Case, target: &Target) -> Failure {
    for known in target.known_for(&case.id) {
        let place = format!("{}:{}", target.file.display(), known.line);
        let why = match (&known.check, known.until) {
            (Some(check), _) if *check != failure.check => format!("speaks of {check}"),
            (_, Some(last)) => format!("was accepted until {last}"),
            (_, None) => continue,
        };
        failure.body.push(format!("  known   {place} {why}: {}", known.because));
    }
    failure
}

/// What is said of a known deviation that does not show.
fn news(known: &Known, target: &Target) -> Failure {
    let place = format!("{}:{}", target.file.display(), known.line);
    Failure {
        check: "known".to_owned(),
        says: format!("it passes, although {} deviates: {}", target.name, known.because),
        line: None,
        body: vec![format!(
            "  remedy  take it out of {place}, or mark it with `sometimes = true` if it does not show in every run"
        )],
        replay: None,
    }
}
