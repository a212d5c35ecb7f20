//! Which of the situations it is and what follows from it, and what may be put right without anybody being harmed.
//!
//! The verdict is that of `why`. What is put right is in [`lock::mend`](crate::lock::mend()); no process is ever ended, and no
//! lock file removed.

use std::fmt::Write as _;

use portcullis_os::Os;
use serde::Serialize;

use crate::claim::Claim;
use crate::lock::{self, Finding, Fixed, Survey};
use crate::refusal::quoted;
use crate::text::one_line;
use crate::why::{Report, Situation};

/// The exit status when something that could be put right is not.
pub const UNTIDY: u8 = 1;

/// Whether what is found is also put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is only told.
    Look,
    /// What is safe is done.
    Fix,
}

/// What was found, and what became of each.
#[derive(Clone, Debug)]
pub struct Examination {
    survey: Survey,
    /// What another command has to be told in order to mean the same.
    options: String,
    findings: Vec<(Finding, Option<Fixed>)>,
    /// Why the state directory could not be looked at.
    closed: Option<String>,
}

/// Looks at everything, and puts right what may be. The `options` make another command mean the same, with a space before each.
pub async fn examine<O: Os>(os: &O, claim: &Claim, mode: Mode, options: &str) -> Examination {
    let (found, closed) = match lock::inspect(os, claim).await {
        Ok(found) => (found, None),
        Err(errno) => (Vec::new(), Some(format!("{} cannot be looked at: {errno}", claim.state.display()))),
    };
    let mut findings = Vec::new();
    for finding in found {
        let fixed = match mode {
            Mode::Look => None,
            Mode::Fix => Some(lock::mend(os, claim, &finding).await),
        };
        findings.push((finding, fixed));
    }
    // Last: what was put right is in nobody's way any more.
    let survey = lock::survey(os, claim).await;
    Examination { survey, options: options.to_owned(), findings, closed }
}

impl Examination {
    /// 0: a gateway runs or could start, and nothing is left to be put right. 1: something is. Else the exit status of the
    /// start that would be refused.
    pub fn exit_status(&self, claim: &Claim) -> u8 {
        let report = Report::new(claim, &self.survey, &self.options);
        match report.situation() {
            Situation::Free | Situation::ExpectedGateway if self.is_tidy() => 0,
            Situation::Free | Situation::ExpectedGateway => UNTIDY,
            Situation::StaleProcess
            | Situation::SecondGateway
            | Situation::UnknownHolder
            | Situation::NewerVersion
            | Situation::Machine => report.exit_status(),
        }
    }

    fn is_tidy(&self) -> bool {
        self.findings.iter().all(|(_, fixed)| matches!(fixed, Some(Fixed::Done)))
    }

    /// For people: the report of `why`, and a block for each finding.
    pub fn to_text(&self, claim: &Claim) -> String {
        let report = Report::new(claim, &self.survey, &self.options);
        let mut text = format!("refgate: {}\n{}", situation_name(report.situation()), report.to_text());
        for (finding, fixed) in &self.findings {
            // Writing to a `String` cannot fail.
            let (what, command) = describe(finding, claim);
            let _ = write!(text, "\nrefgate: {}", one_line(&what));
            let _ = write!(text, "\n  {}", one_line(&done(fixed.as_ref(), &command)));
        }
        if let Some(closed) = &self.closed {
            let _ = write!(text, "\nrefgate: {}", one_line(closed));
        }
        text
    }

    /// For programs: the object of `why`, and one for each finding and for what could not be looked at, one a line.
    pub fn to_json(&self, claim: &Claim) -> String {
        let mut text = Report::new(claim, &self.survey, &self.options).to_json();
        for (finding, fixed) in &self.findings {
            let (message, fix) = describe(finding, claim);
            let line = Line {
                event: "finding",
                code: code(finding),
                is_fixed: matches!(fixed, Some(Fixed::Done)),
                result: done(fixed.as_ref(), &fix),
                message,
                fix,
            };
            // A struct of strings always serialises.
            let _ = write!(text, "\n{}", serde_json::to_string(&line).unwrap_or_default());
        }
        if let Some(message) = &self.closed {
            let line = Closed { event: "closed", message };
            let _ = write!(text, "\n{}", serde_json::to_string(&line).unwrap_or_default());
        }
        text
    }
}

/// That the state directory could not be looked at, as JSON.
#[derive(Debug, Serialize)]
struct Closed<'a> {
    event: &'static str,
    message: &'a str,
}

/// A finding as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    event: &'static str,
    code: &'static str,
    message: String,
    fix: String,
    is_fixed: bool,
    result: String,
}

const fn situation_name(situation: Situation) -> &'static str {
    match situation {
        Situation::Free => "no gateway, and none in the way",
        Situation::ExpectedGateway => "the expected gateway",
        Situation::StaleProcess => "an unexpected process, left of a gateway",
        Situation::SecondGateway => "a second gateway, perhaps an intended one",
        Situation::UnknownHolder => "an unknown program",
        Situation::NewerVersion => "the state of a later version",
        Situation::Machine => "no process in the way, but the machine",
    }
}

const fn code(finding: &Finding) -> &'static str {
    match finding {
        Finding::OpenDirectory { .. } => "open-directory",
        Finding::Leftovers(_) => "leftovers",
    }
}

/// What it is, and what puts it right.
fn describe(finding: &Finding, claim: &Claim) -> (String, String) {
    let state = claim.state.display().to_string();
    match finding {
        Finding::OpenDirectory { mode } => (
            format!("others may enter {state} and hold its locks (mode {mode:04o})"),
            format!("chmod 700 {}", quoted(&state)),
        ),
        Finding::Leftovers(names) => {
            let names: Vec<String> = names.iter().map(|name| quoted(&name.to_string_lossy())).collect();
            (
                format!("an interrupted write has left {} in {state}", names.join(" ")),
                format!("remove {} while nobody owns the state", names.join(" ")),
            )
        }
    }
}

fn done(fixed: Option<&Fixed>, command: &str) -> String {
    match fixed {
        None => format!("--fix would: {command}"),
        Some(Fixed::Done) => format!("done: {command}"),
        Some(Fixed::Refused(refusal)) => format!("left alone ({}): {refusal}", refusal.code()),
        Some(Fixed::Failed(errno)) => format!("failed: {command}: {errno}"),
    }
}
