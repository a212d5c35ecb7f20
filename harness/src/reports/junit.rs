//! JUnit XML, as cargo-nextest writes it and as most CI systems read it: one suite for each scenario file and executor.
//!
//! What a pass rests on stands in the properties of its case, since a word alone says nothing. What was not decided is an
//! error, and what is unsupported is skipped, with the reason. Characters that XML cannot hold are left out by the writer.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::event::{CaseEnd, Event, Evidence, Verdict};
use super::human::place;

/// The two characters of the first 65536 that the writer keeps and XML 1.0 cannot hold.
const NO_CHARACTERS: [char; 2] = ['\u{fffe}', '\u{ffff}'];

/// The report of a run.
pub fn report(events: &[Event]) -> String {
    let mut report = Report::new("portcullis");
    let mut suites: Vec<(String, TestSuite)> = Vec::new();
    for event in events {
        match event {
            Event::RunStart(_) | Event::CaseStart(_) => {}
            Event::CaseEnd(end) => {
                let name = format!("{} on {}", end.file, end.on);
                if suites.last().is_none_or(|(last, _)| *last != name) {
                    suites.push((name.clone(), TestSuite::new(name)));
                }
                if let Some((_, suite)) = suites.last_mut() {
                    suite.add_test_case(case(end));
                }
            }
            Event::RunEnd(end) => _ = report.set_time(Duration::from_millis(end.elapsed_ms)),
        }
    }
    report.add_test_suites(suites.into_iter().map(|(_, suite)| suite));
    let text = report.to_string();
    let text = text.unwrap_or_else(|error| unreachable!("a report is written into memory: {error}"));
    text.replace(NO_CHARACTERS, "\u{fffd}")
}

fn case(end: &CaseEnd) -> TestCase {
    let status = match end.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => non_success(NonSuccessKind::Failure, end),
        Verdict::Inconclusive => non_success(NonSuccessKind::Error, end),
        Verdict::Known | Verdict::Unsupported | Verdict::NotRun => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(&*end.says);
            skipped
        }
    };
    let mut case = TestCase::new(&*end.case, status);
    case.set_classname(&*end.on);
    case.set_time(Duration::from_millis(end.elapsed_ms));
    case.add_properties(properties(end).into_iter().map(|(name, value)| Property::new(name, value)));
    case
}

fn non_success(kind: NonSuccessKind, end: &CaseEnd) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(&*end.says);
    if let Some(failure) = &end.failure {
        let mut text = vec![format!("{}  ({})", end.title, place(end)), String::new()];
        text.extend(failure.lanes.iter().cloned());
        text.extend(failure.replay.iter().map(|token| format!("\nportcullis replay {token}")));
        status.set_type(&*failure.check).set_description(text.join("\n"));
    } else {
        status.set_type(end.verdict.word());
    }
    status
}

/// What there is to know of a case besides its verdict.
fn properties(end: &CaseEnd) -> Vec<(&'static str, String)> {
    let mut properties = vec![("title", end.title.clone())];
    let mut add = |name, value: String| properties.push((name, value));
    match &end.evidence {
        None => {}
        Some(evidence) => {
            add("evidence", evidence.word().to_owned());
            add("evidence.says", end.says.clone());
            match evidence {
                Evidence::Complete { states, steps, .. } | Evidence::Bounded { states, steps, .. } => {
                    add("evidence.states", states.to_string());
                    add("evidence.steps", steps.to_string());
                }
                Evidence::Sampled { runs, how, .. } => {
                    add("evidence.runs", runs.to_string());
                    add("evidence.how", how.clone());
                }
                Evidence::Observed { runs, failures_in_a_million, .. } => {
                    add("evidence.runs", runs.to_string());
                    add("evidence.failures-in-a-million", failures_in_a_million.to_string());
                }
            }
        }
    }
    properties.extend(
        end.unshown.iter().map(|it| ("unshown", format!("{} ({}:{})", it.outcome, end.file, it.line))),
    );
    let replay = end.failure.as_ref().and_then(|failure| failure.replay.as_ref());
    properties.extend(replay.map(|token| ("replay", format!("portcullis replay {token}"))));
    properties.extend(end.refs.iter().map(|link| ("ref", link.clone())));
    properties
}
