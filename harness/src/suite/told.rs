//! What a failing test says of a case: what was broken, where that is expected, the lanes, and what replays it.

use std::fmt::Write as _;

use super::edge;
use super::on::On;
use crate::scenario::Case;
use crate::verdict::{Failure, Verdict};

/// What is to be said of a verdict that is no pass; `None`: it is one, or the failure is known of the target.
pub(crate) fn told(case: &Case, on: &On, verdict: &Verdict) -> Option<String> {
    let why = match verdict {
        Verdict::Pass(_) | Verdict::Known(_) => return None,
        Verdict::Fail(failure) => failed(case, failure),
        Verdict::Inconclusive(why) => format!("undecided: {why}"),
        Verdict::Unsupported(why) => format!("unsupported: {why}"),
    };
    Some(format!("{} on {on}\n{why}", case.id))
}

fn failed(case: &Case, failure: &Failure) -> String {
    let file = case.scenario.file.display();
    let place = failure.line.map_or_else(|| file.to_string(), |line| format!("{file}:{line}"));
    let mut text = format!("{}: {}\n  expected at {place}\n\n", failure.check, failure.says);
    for line in &failure.body {
        let _ = writeln!(text, "{line}");
    }
    if let Some(token) = &failure.replay {
        let _ = writeln!(text, "  replay  {}={token} cargo test", edge::REPLAY);
    }
    text
}
