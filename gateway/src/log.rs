//! What becomes of a gateway is one line or one block: text for people on stderr, or JSON for programs on stdout.
//!
//! Text and JSON say the same. Nothing that another process chose (its name, a path) can move the cursor of a terminal.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_os::{Notice, ProcessState};
use serde::Serialize;

use crate::claim::Claim;
use crate::refusal::{Holder, Refusal};
use crate::settings::SettingsError;

/// How it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Where it is said. All clones write to the same place.
#[derive(Clone)]
pub struct Log {
    format: Format,
    pid: u32,
    out: Arc<Mutex<Box<dyn Write + Send>>>,
}

/// One line of JSON. What is not known is left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    event: &'static str,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<HolderLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    do_not: Option<&'static str>,
}

/// The process that is in the way, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HolderLine<'a> {
    pid: u32,
    name: &'a str,
    command: &'a str,
    state: &'static str,
    start_tick: u64,
    age_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
}

impl Log {
    /// Text to stderr, JSON to stdout.
    pub fn to_standard_streams(format: Format) -> Self {
        let out: Box<dyn Write + Send> = match format {
            Format::Text => Box::new(io::stderr()),
            Format::Json => Box::new(io::stdout()),
        };
        Self::to(format, own_pid(), out)
    }

    /// To any writer, in the name of any process.
    pub fn to(format: Format, pid: u32, out: Box<dyn Write + Send>) -> Self {
        Self { format, pid, out: Arc::new(Mutex::new(out)) }
    }

    /// Something that the user may not expect.
    pub fn note(&self, message: &str) {
        match self.format {
            Format::Text => self.block(&format!("refgate: note: {message}")),
            Format::Json => self.line(&Line { message: Some(message.to_owned()), ..self.event("note") }),
        }
    }

    /// What the gateway has become. A refusal is not told here but by [`Log::refused`], which knows more.
    pub fn notice(&self, notice: &Notice, claim: &Claim) {
        let (event, message) = match notice {
            Notice::Owner(_) => {
                ("owner", format!("owns {} and the ports {}", claim.state.display(), claim.ports))
            }
            Notice::Ready => {
                let base = claim.ports.base();
                ("ready", format!("ready on 127.0.0.1:{base} and [::1]:{base}"))
            }
            Notice::Released => ("released", format!("released {}", claim.state.display())),
            Notice::Refused { .. } => return,
        };
        match self.format {
            Format::Text => self.block(&format!("refgate: {message} (pid {})", self.pid)),
            Format::Json => self.line(&Line {
                port: Some(claim.ports.base().get()),
                state: Some(claim.state.to_string_lossy().into_owned()),
                message: Some(message),
                ..self.event(event)
            }),
        }
    }

    /// Why the gateway did not start, and what to do about it.
    pub fn refused(&self, refusal: &Refusal) {
        match self.format {
            Format::Text => self.block(&refusal_text(refusal)),
            Format::Json => self.line(&Line {
                code: Some(refusal.code()),
                exit: Some(refusal.exit_status()),
                holder: refusal.holder.as_deref().map(holder_line),
                message: Some(refusal.to_string()),
                evidence: refusal.evidence.clone(),
                help: Some(refusal.help()),
                next: Some(&refusal.next),
                do_not: refusal.do_not,
                ..self.event("refused")
            }),
        }
    }

    /// Why the settings are unusable. Nothing has been touched.
    pub fn unsettled(&self, error: &SettingsError) {
        let (code, exit) = (SettingsError::CODE, SettingsError::EXIT_STATUS);
        match self.format {
            Format::Text => {
                self.block(&format!(
                    "{}\n\nrefgate: {error}\n  code      {code} (exit {exit})",
                    error.render()
                ));
            }
            Format::Json => self.line(&Line {
                code: Some(code),
                exit: Some(exit),
                message: Some(error.to_string()),
                evidence: error
                    .problems
                    .iter()
                    .map(|problem| format!("{problem}; {}", problem.remedy()))
                    .collect(),
                ..self.event("refused")
            }),
        }
    }

    /// What went wrong in the program itself.
    pub fn failed(&self, exit: u8, message: &str) {
        match self.format {
            Format::Text => self.block(&format!("refgate: {message}")),
            Format::Json => self.line(&Line {
                exit: Some(exit),
                message: Some(message.to_owned()),
                ..self.event("failed")
            }),
        }
    }

    fn event(&self, event: &'static str) -> Line<'_> {
        Line { event, pid: self.pid, ..Line::default() }
    }

    fn line(&self, line: &Line<'_>) {
        // A struct of strings and integers always serialises.
        self.write(&serde_json::to_string(line).unwrap_or_default());
    }

    fn block(&self, text: &str) {
        let safe: String =
            text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
        self.write(&safe);
    }

    /// One write for the whole text, so that two processes on one terminal do not mix their lines.
    fn write(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader who is gone is no reason to stop a gateway.
        let _ = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a log line names the process that wrote it; nothing is decided by it"
)]
fn own_pid() -> u32 {
    std::process::id()
}

fn refusal_text(refusal: &Refusal) -> String {
    let mut text = format!("refgate: {refusal}");
    let mut row = |name: &str, value: &str| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n  {name:<8}  {}", value.replace('\n', "\n            "));
    };
    row("code", &format!("{} (exit {})", refusal.code(), refusal.exit_status()));
    if let Some(holder) = &refusal.holder {
        row("holder", &holder.to_string());
        if !holder.command.is_empty() {
            row("command", &holder.command);
        }
    }
    for (number, fact) in refusal.evidence.iter().enumerate() {
        row(if number == 0 { "evidence" } else { "" }, fact);
    }
    row("help", refusal.help());
    row("next", &refusal.next);
    if let Some(do_not) = refusal.do_not {
        row("do not", do_not);
    }
    text
}

fn holder_line(holder: &Holder) -> HolderLine<'_> {
    HolderLine {
        pid: holder.pid.get(),
        name: &holder.name,
        command: &holder.command,
        state: match holder.state {
            ProcessState::Running => "running",
            ProcessState::Uninterruptible => "uninterruptible",
            ProcessState::Stopped => "stopped",
            ProcessState::Zombie => "zombie",
        },
        start_tick: holder.start.0,
        age_seconds: holder.age_seconds,
        uid: holder.uid.map(|uid| uid.0),
    }
}
