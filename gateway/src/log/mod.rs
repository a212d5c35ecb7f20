//! What becomes of a gateway is one line or one block: text for people on stderr, or JSON for programs on stdout.
//!
//! Text and JSON say the same. Nothing that another process chose (its name, a path) can move the cursor of a terminal
//! or look like a line of its own. Saying something never waits for a reader.

mod events;
#[cfg(target_os = "linux")]
mod file;
mod ring;
mod sink;
mod stamp;
pub mod tail;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use portcullis_os::Notice;
use serde::Serialize;

use crate::claim::Claim;
use crate::refusal::{HolderLine, Refusal};
use crate::settings::SettingsError;
use crate::text::{block, one_line};
pub use events::Events;
pub(crate) use events::{Event, Level};
use sink::Sink;
use stamp::Stamp;

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
    start_tick: Option<u64>,
    began: Instant,
    sink: Arc<Sink>,
}

/// One line of JSON. What is not known is left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    event: &'static str,
    pid: u32,
    /// When it was said, by the wall clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// How old the process was then, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_us: Option<u64>,
    /// When the process began, in clock ticks after boot: with the pid the same process, whatever the wall clock says.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_tick: Option<u64>,
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

impl Log {
    /// Text to stderr, JSON to stdout.
    pub fn to_standard_streams(format: Format) -> Self {
        let out: Box<dyn Write + Send> = match format {
            Format::Text => Box::new(io::stderr()),
            Format::Json => Box::new(io::stdout()),
        };
        Self { start_tick: stamp::start_tick(), ..Self::to(format, own_pid(), out) }
    }

    /// To any writer, in the name of any process. Only [`Log::flush`] says that it is there.
    pub fn to(format: Format, pid: u32, out: Box<dyn Write + Send>) -> Self {
        let sink = Arc::new(Sink::new(out, move |dropped| gap(format, pid, dropped)));
        Self { format, pid, start_tick: None, began: stamp::begin(), sink }
    }

    /// The process in whose name it is said.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until everything is written, but for a reader who does not read only a second.
    pub fn flush(&self) {
        self.sink.flush();
    }

    /// Something that the user may not expect.
    pub fn note(&self, message: &str) {
        self.sink.say(note(self.format, self.pid, message));
    }

    /// What the gateway has become. A refusal is not told here but by [`Log::refused`], which knows more.
    pub fn notice(&self, notice: &Notice, claim: &Claim) {
        let (event, message) = match notice {
            Notice::Owner(_) => {
                ("owner", format!("owns {} and the ports {}", claim.state.display(), claim.ports))
            }
            Notice::Ready => {
                let base = claim.ports.base();
                ("ready", format!("ready on {} port {base}", claim.listen))
            }
            Notice::Released => ("released", format!("released {}", claim.state.display())),
            Notice::Noted(text) => return self.note(text),
            Notice::Refused { .. } => return,
        };
        self.told(event, message, claim);
    }

    /// That an owner has been told to stop, and says goodbye to its clients.
    pub fn draining(&self, claim: &Claim) {
        self.told("draining", format!("draining {}", claim.state.display()), claim);
    }

    fn told(&self, event: &'static str, message: String, claim: &Claim) {
        match self.format {
            Format::Text => {
                self.sink.say(format!("refgate: {} (pid {})", one_line(&message), self.pid));
            }
            Format::Json => self.line(&Line {
                port: Some(claim.ports.base().get()),
                state: Some(claim.state.to_string_lossy().into_owned()),
                message: Some(message),
                ..self.stamped(event)
            }),
        }
    }

    /// Why the gateway did not start, and what to do about it; and what it would have owned, if that was settled.
    pub fn refused(&self, refusal: &Refusal, claim: Option<&Claim>) {
        match self.format {
            Format::Text => self.sink.say(refusal_text(refusal)),
            Format::Json => self.line(&Line {
                port: claim.map(|claim| claim.ports.base().get()),
                state: claim.map(|claim| claim.state.to_string_lossy().into_owned()),
                code: Some(refusal.code()),
                exit: Some(refusal.exit_status()),
                holder: refusal.holder.as_deref().map(HolderLine::of),
                message: Some(refusal.to_string()),
                evidence: refusal.evidence.clone(),
                help: Some(refusal.help()),
                next: Some(&refusal.next),
                do_not: refusal.do_not,
                ..self.stamped("refused")
            }),
        }
    }

    /// Why the settings are unusable. Nothing has been touched.
    pub fn unsettled(&self, error: &SettingsError) {
        let (code, exit) = (SettingsError::CODE, SettingsError::EXIT_STATUS);
        match self.format {
            Format::Text => {
                self.sink.say(block(&format!(
                    "{}\n\nrefgate: {error}\n  code      {code} (exit {exit})",
                    error.render()
                )));
            }
            Format::Json => self.line(&Line {
                code: Some(code),
                exit: Some(exit),
                message: Some(error.to_string()),
                evidence: error.lines(),
                ..self.event("refused")
            }),
        }
    }

    /// What went wrong in the program itself.
    pub fn failed(&self, exit: u8, message: &str) {
        match self.format {
            // Such a message can have several lines; only the first may look like one of this log.
            Format::Text => self.sink.say(block(&format!("refgate: {}", message.replace('\n', "\n  ")))),
            Format::Json => self.line(&Line {
                exit: Some(exit),
                message: Some(message.to_owned()),
                ..self.event("failed")
            }),
        }
    }

    fn event(&self, event: &'static str) -> Line<'static> {
        Line { event, pid: self.pid, ..Line::default() }
    }

    /// An event of an owner, or the last word of one that was refused: nobody else reads the wall clock.
    fn stamped(&self, event: &'static str) -> Line<'static> {
        let stamp = Stamp::now(self.began);
        Line {
            at: Some(stamp.at_text()),
            uptime_us: Some(stamp.uptime_us()),
            start_tick: self.start_tick,
            ..self.event(event)
        }
    }

    fn line(&self, line: &Line<'_>) {
        self.sink.say(json(line));
    }
}

fn note(format: Format, pid: u32, message: &str) -> String {
    match format {
        Format::Text => format!("refgate: note: {}", one_line(message)),
        Format::Json => {
            json(&Line { event: "note", pid, message: Some(message.to_owned()), ..Line::default() })
        }
    }
}

/// What stands in the place of lines that found no room.
fn gap(format: Format, pid: u32, dropped: u64) -> String {
    note(format, pid, &format!("messages dropped here because nobody was reading: {dropped}"))
}

fn json(line: &Line<'_>) -> String {
    // A struct of strings and integers always serialises.
    serde_json::to_string(line).unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a log line names the process that wrote it; nothing is decided by it"
)]
fn own_pid() -> u32 {
    std::process::id()
}

fn refusal_text(refusal: &Refusal) -> String {
    let mut text = format!("refgate: {}", one_line(&refusal.to_string()));
    let mut row = |name: &str, value: &str| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n  {name:<8}  {}", one_line(value));
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
