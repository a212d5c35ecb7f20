//! One HTML page that needs nothing else: it opens from a disk, in a mail, in a viewer of artifacts, without a network.
//!
//! Everything is in the page as it is sent: the table of cases, the steps of each failure and the machine after each step.
//! The script only hides what is not looked at, moves the slider, filters and copies; without it the page is longer and says
//! the same. All text is escaped by the library that makes the markup, and the page forbids itself to load anything.

mod failure;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::event::{CaseEnd, Ended, Event, RunEnd, RunStart, Verdict};
use super::human::{place, seconds, totals, unshown};
use crate::report::count;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Nothing is loaded from anywhere, nothing is sent anywhere, no form leads anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page of a run.
pub fn report(events: &[Event]) -> String {
    let mut run = Run { start: None, end: None, cases: Vec::new() };
    for event in events {
        match event {
            Event::RunStart(start) => run.start = Some(start),
            Event::CaseStart(_) => {}
            Event::CaseEnd(end) => run.cases.push(end),
            Event::RunEnd(end) => run.end = Some(end),
        }
    }
    page(&run).into_string()
}

struct Run<'e> {
    start: Option<&'e RunStart>,
    end: Option<&'e RunEnd>,
    cases: Vec<&'e CaseEnd>,
}

fn page(run: &Run<'_>) -> Markup {
    let (word, class) = headline(run.end);
    let failures: Vec<(usize, &CaseEnd)> =
        (1..).zip(run.cases.iter().filter(|end| end.failure.is_some()).copied()).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "portcullis: " (word) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.top {
                    h1 { span class={ "badge " (class) } { (word) } " portcullis" }
                    @if let Some(start) = run.start { (about(start)) }
                    @if let Some(end) = run.end {
                        p.totals { (totals(end)) ", in " (seconds(end.elapsed_ms).trim()) }
                        @if end.interrupted { p.warn { "The run was interrupted: cases are missing." } }
                        @if end.not_run > 0 { p.warn { (count(end.not_run, "case")) " not run: enough had failed before." } }
                        @for on in &end.untested { p.warn { "Nothing was tested on " (on) ": every case is unsupported there." } }
                    } @else {
                        p.warn { "The run was cut: its last event is missing." }
                    }
                }
                main {
                    @if !failures.is_empty() {
                        section aria-labelledby="failures" {
                            h2 id="failures" { (count(failures.len(), "failure")) }
                            p { a href="#cases" { "All cases" } " are below them." }
                            @for (number, end) in &failures { (failure::article(*number, end)) }
                        }
                    }
                    section aria-labelledby="cases" {
                        h2 id="cases" { "Cases" }
                        (filter())
                        (cases(&run.cases, &failures))
                    }
                }
                footer { p { kbd { "←" } " " kbd { "→" } " step, " kbd { "Home" } " " kbd { "End" } " first and last step, "
                    kbd { "j" } " " kbd { "k" } " next and previous failure, " kbd { "/" } " filter cases" } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// How a run ended, in a word that everybody understands, and the class of its colour.
const fn headline(end: Option<&RunEnd>) -> (&'static str, &'static str) {
    match end {
        None => ("cut", "inconclusive"),
        Some(RunEnd { ended, .. }) => match ended {
            Ended::Passed => ("passed", "pass"),
            Ended::Failed => ("failed", "fail"),
            Ended::Inconclusive => ("inconclusive", "inconclusive"),
            Ended::Interrupted => ("interrupted", "inconclusive"),
        },
    }
}

fn about(start: &RunStart) -> Markup {
    html! {
        p.about {
            (start.program) " on " (start.on.join(" and ")) ", design " code { (start.design) }
            @if let Some(seed) = start.seed { ", seed " code { (seed) } }
            @if let Some(shard) = start.shard { ", part " (shard.part) " of " (shard.of) }
            @if let Some(profile) = &start.profile { ", profile " code { (profile) } }
        }
    }
}

fn filter() -> Markup {
    html! {
        p.filter.scripted hidden {
            label { "Filter " input #filter type="search" placeholder="name, verdict, evidence" autocomplete="off"; }
            " " output #shown {}
        }
    }
}

/// The table of cases; those that failed lead to their failure.
fn cases(cases: &[&CaseEnd], failures: &[(usize, &CaseEnd)]) -> Markup {
    let number = |end: &CaseEnd| {
        failures.iter().find(|(_, other)| std::ptr::eq(*other, end)).map(|(number, _)| number)
    };
    html! {
        div.scroll { table #table {
            thead { tr { th { "verdict" } th { "case" } th { "on" } th { "rests on" } th.number { "time" } } }
            tbody {
                @for end in cases {
                    tr {
                        td { span class={ "badge " (end.verdict.word()) } { (end.verdict.word()) } }
                        td {
                            @match number(end) {
                                Some(number) => { a href={ "#failure-" (number) } { (end.case) } }
                                None => { (end.case) }
                            }
                            div.title { (end.title) }
                        }
                        td { (end.on) }
                        td { (end.says) @if let Some(twice) = &end.twice { "; " (twice) }
                            @if let Some(note) = unshown(end) { div.title { (note) } }
                        }
                        td.number { (seconds(end.elapsed_ms).trim()) }
                    }
                }
            }
        } }
    }
}

/// A button that copies the text of an element.
fn copy(what: &str, target: &str) -> Markup {
    html! { button.copy.scripted type="button" hidden data-copy=(target) { "Copy " (what) } }
}

/// What a failure is called at its head.
fn head(number: usize, end: &CaseEnd) -> Markup {
    html! {
        header {
            h3 {
                span class={ "badge " (Verdict::Fail.word()) } { "fail" } " "
                a.self href={ "#failure-" (number) } { (end.case) } " "
                small { "on " (end.on) }
            }
            p.title { (end.title) }
            p.says { strong { (end.says) } " " span.place { (place(end)) } }
            @if !end.refs.is_empty() {
                p.refs { "from " @for (at, link) in end.refs.iter().enumerate() { @if at > 0 { ", " } (reference(link)) } }
            }
        }
    }
}

/// A link if it leads to a page, else its text: a scenario may say anything.
fn reference(link: &str) -> Markup {
    html! {
        @if link.starts_with("https://") || link.starts_with("http://") { a href=(link) rel="noreferrer" { (link) } }
        @else { (link) }
    }
}
