//! Text from a scenario or a gateway means nothing to a format: it is shown as it is, or left out where it cannot be held.

use std::time::Duration;

use harness::reports::event::{About, CaseEnd, Event};
use harness::reports::merge::{merge, read};
use harness::reports::{github, html, junit, line, perfetto};
use harness::verdict::{CaseResult, Executor, Failure, Verdict};

/// Characters that mean something in HTML, XML, Markdown or a workflow command, or nothing anywhere.
const HOSTILE: &str = "</script><script>alert(1)</script> \"'&]]> \u{0}\u{8}\u{1b}[31mred\u{1b}[0m \u{ffff} ``` | ::error::x %0A\n::warning::y";

fn events(failures: usize) -> Vec<Event> {
    let end = |number: usize| {
        let failure = Failure {
            check: HOSTILE.to_owned(),
            says: HOSTILE.to_owned(),
            line: Some(7),
            body: vec![HOSTILE.to_owned(), "```".to_owned()],
            replay: Some("v1.x".to_owned()),
        };
        let result = CaseResult {
            id: format!("{number} {HOSTILE}"),
            file: HOSTILE.to_owned(),
            on: Executor::Refgate,
            elapsed: Duration::from_millis(5),
            verdict: Verdict::Fail(Box::new(failure)),
            twice: Some(HOSTILE.to_owned()),
            unshown: Vec::new(),
        };
        let about = About {
            title: HOSTILE.to_owned(),
            refs: vec!["javascript:alert(1)".to_owned(), HOSTILE.to_owned()],
        };
        Event::CaseEnd(Box::new(CaseEnd::new(number, about, &result, None)))
    };
    (0..failures).map(end).collect()
}

#[test]
fn a_page_holds_no_markup_but_its_own_and_loads_nothing() {
    let page = html::report(&events(2));
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script>").count(), 1);
    assert!(!page.contains("href=\"javascript:"));
    for loads in ["src=", "@import", "url(", "<link", "<iframe", "<img", "<object", "<base"] {
        assert!(!page.contains(loads), "{loads}");
    }
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let different: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(different.len(), ids.len(), "{ids:?}");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<title>portcullis: cut</title>"));
}

#[test]
fn a_junit_report_holds_nothing_that_xml_cannot() {
    let report = junit::report(&events(1));
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert_eq!(report.chars().find(|c| !allowed(*c)), None);
    assert!(!report.contains("<script>") && !report.contains("[31m"), "{report}");
    assert!(report.contains("value=\"portcullis replay v1.x\""), "{report}");
}

#[test]
fn a_workflow_command_is_one_line_and_there_are_never_more_than_github_shows() {
    let told = github::annotations(&events(3));
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(
        told.lines().all(|line| line.starts_with("::error file=") && line.contains(",line=7,title=")),
        "{told}"
    );
    assert!(told.contains("%250A"), "a percent sign is escaped");
    let many = github::annotations(&events(40));
    assert_eq!(many.lines().count(), 10);
    assert!(many.ends_with("::error::31 more failures: see the summary\n"), "{many}");
}

#[test]
fn a_summary_stays_below_what_github_takes_and_says_what_it_leaves_out() {
    let summary = github::summary(&events(1));
    assert!(summary.contains("````text\n"), "the fence is longer than any inside: {summary}");
    assert!(!summary.contains("<script>alert(1)</script> \"'&]]> |"), "{summary}");
    let row = summary.lines().find(|line| line.starts_with("| fail")).unwrap();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
    let many = github::summary(&events(3000));
    assert!(many.len() < 600_000 && many.contains("left out: this page is full"), "{}", many.len());
}

#[test]
fn a_trace_is_json_whatever_is_in_it() {
    let trace: serde_json::Value = serde_json::from_str(&perfetto::report(&events(2))).unwrap();
    assert!(trace["traceEvents"].is_array());
}

#[test]
fn every_event_is_read_back_as_it_was_written() {
    let text: String = events(2).iter().map(|event| line(event) + "\n").collect();
    assert_eq!(text.lines().count(), 2);
    for (event, line) in events(2).iter().zip(text.lines()) {
        assert_eq!(serde_json::from_str::<Event>(line).unwrap(), *event);
    }
}

proptest::proptest! {
    #[test]
    fn no_file_of_events_makes_the_reader_panic(cut in 0_usize..4000, other in ".{0,40}", at in 0_usize..4000) {
        let start = r#"{"event":"run-start","version":1,"program":"p","scenarios":1,"cases":2,"planned":2,"on":["sim"],"design":"d"}"#;
        let mut text = format!("{start}\n{}", events(2).iter().map(|event| line(event) + "\n").collect::<String>());
        text.insert_str(text.floor_char_boundary(at.min(text.len())), &other);
        text.truncate(text.floor_char_boundary(cut));
        if let Ok(part) = read("f", &text) {
            let _ = merge(std::slice::from_ref(&part));
            let _ = merge(&[part.clone(), part]);
        }
    }
}
