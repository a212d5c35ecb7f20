//! Where the events of a run go: to the standard output, to files as they happen, and into reports at the end.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use super::{complain, status};
use crate::reports::event::Event;
use crate::reports::human::{Human, Loudness};
use crate::reports::{JsonLines, Live, Sink, github, html, junit, perfetto};

/// What the standard output shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shown {
    /// Lines for people
    Human,
    /// One event a line, as JSON; `portcullis schema events` says what they are
    Json,
}

/// Reports that are written into files.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Reports")]
pub(super) struct ReportFiles {
    /// Write run.jsonl, junit.xml, report.html and perfetto.json into this directory
    #[arg(long, value_name = "DIRECTORY")]
    artifacts: Option<PathBuf>,
    /// Write the events into a file as they happen, one a line, as JSON
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write one HTML page that needs nothing else: every failure step by step
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a trace of every failure for <https://ui.perfetto.dev> or chrome://tracing
    #[arg(long, value_name = "FILE")]
    perfetto: Option<PathBuf>,
    /// Write annotations of failures for GitHub to the standard error output
    #[arg(long, env = "GITHUB_ACTIONS", hide_env_values = true, value_parser = FalseyValueParser::new())]
    github_annotations: bool,
    /// Append a summary in Markdown to a file
    #[arg(long, value_name = "FILE", env = "GITHUB_STEP_SUMMARY", hide_env_values = true)]
    github_summary: Option<PathBuf>,
    /// Whether this is a run of a machine: then no progress is shown
    #[arg(long, hide = true, env = "CI", value_parser = FalseyValueParser::new())]
    ci: bool,
}

impl ReportFiles {
    fn file(&self, given: Option<&PathBuf>, usual: &str) -> Option<PathBuf> {
        given.cloned().or_else(|| self.artifacts.as_ref().map(|directory| directory.join(usual)))
    }
}

/// Everybody who is told of a run.
pub(super) struct Outputs {
    shown: Box<dyn Sink>,
    file: Option<JsonLines<Box<dyn Write>>>,
    events: Vec<Event>,
    progress: Progress,
    reports: ReportFiles,
}

impl Outputs {
    /// Opens what is written while the run goes on.
    ///
    /// # Errors
    ///
    /// The status to end with, if a file cannot be made; nothing was run then.
    pub(super) fn open(shown: Shown, loudness: Loudness, reports: ReportFiles) -> Result<Self, u8> {
        let file = match reports.file(reports.jsonl.as_ref(), "run.jsonl") {
            None => None,
            Some(path) => match create(&path) {
                Ok(file) => Some(JsonLines::new(Box::new(file) as Box<dyn Write>)),
                Err(error) => {
                    complain(&format!(
                        "error: cannot write {}: {error}\n  = help: name a file that can be made",
                        path.display()
                    ));
                    return Err(status::ENVIRONMENT);
                }
            },
        };
        let is_shown = shown == Shown::Human && loudness == Loudness::Usual;
        let progress = Progress::new(is_shown && !reports.ci && io::stderr().is_terminal());
        let shown: Box<dyn Sink> = match shown {
            Shown::Human => Box::new(Human::new(anstream::stdout(), loudness)),
            Shown::Json => Box::new(JsonLines::new(io::stdout())),
        };
        Ok(Self { shown, file, events: Vec::new(), progress, reports })
    }

    /// Whether somebody sits before a terminal.
    pub(super) const fn is_watched(&self) -> bool {
        self.progress.is_wanted
    }

    /// Everything that has happened.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// Writes the reports that are made of the whole run. Answers whether all could be written.
    ///
    /// # Errors
    ///
    /// What the standard error output says.
    pub(super) fn write(&self) -> io::Result<bool> {
        let Self { events, reports, .. } = self;
        let mut are_written = true;
        let mut write = |path: Option<PathBuf>, make: &dyn Fn() -> String| {
            let Some(path) = path else { return };
            if let Err(error) = create(&path).and_then(|mut file| file.write_all(make().as_bytes())) {
                complain(&format!("error: cannot write {}: {error}", path.display()));
                are_written = false;
            }
        };
        write(reports.file(reports.junit.as_ref(), "junit.xml"), &|| junit::report(events));
        write(reports.file(reports.html.as_ref(), "report.html"), &|| html::report(events));
        write(reports.file(reports.perfetto.as_ref(), "perfetto.json"), &|| perfetto::report(events));
        if let Some(path) = &reports.github_summary
            && let Err(error) = append(path, &github::summary(events))
        {
            complain(&format!("error: cannot write {}: {error}", path.display()));
            are_written = false;
        }
        if reports.github_annotations {
            write!(io::stderr(), "{}", github::annotations(events))?;
        }
        Ok(are_written)
    }
}

impl Sink for Outputs {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.events.push(event.clone());
        self.file.as_mut().map_or(Ok(()), |file| file.event(event))?;
        self.progress.clear()?;
        self.shown.event(event)
    }

    fn tick(&mut self, live: &Live<'_>) -> io::Result<()> {
        self.progress.show(live)
    }
}

/// One line at the bottom of a terminal that says how far something is.
pub(super) struct Progress {
    is_wanted: bool,
    drawn: String,
}

impl Progress {
    pub(super) const fn new(is_wanted: bool) -> Self {
        Self { is_wanted, drawn: String::new() }
    }

    fn show(&mut self, live: &Live<'_>) -> io::Result<()> {
        self.draw(progress_line(live))
    }

    /// Shows this text and no other, if anything is to be shown.
    pub(super) fn draw(&mut self, text: String) -> io::Result<()> {
        if !self.is_wanted {
            return Ok(());
        }
        if text != self.drawn {
            write!(io::stderr(), "\r\x1b[2K{text}")?;
            io::stderr().flush()?;
            self.drawn = text;
        }
        Ok(())
    }

    /// Leaves nothing behind.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        if !self.drawn.is_empty() {
            write!(io::stderr(), "\r\x1b[2K")?;
            io::stderr().flush()?;
            self.drawn.clear();
        }
        Ok(())
    }
}

/// How far a run is, on one line that fits into a usual terminal.
fn progress_line(live: &Live<'_>) -> String {
    let Live { ended, planned, running } = live;
    let slow =
        running.iter().max_by_key(|(_, elapsed)| *elapsed).filter(|(_, it)| *it >= Duration::from_secs(1));
    let slow = slow.map_or_else(String::new, |(name, elapsed)| format!("   {} s  {name}", elapsed.as_secs()));
    crate::lanes::cut(&format!("   {ended} of {planned}, {} under way{slow}", running.len()), 79)
}

/// Makes a file, and the directories that it lies in.
#[expect(clippy::disallowed_methods, reason = "the edge where a user names a file")]
pub(super) fn create(path: &Path) -> io::Result<std::fs::File> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::File::create(path)
}

#[expect(clippy::disallowed_methods, reason = "the edge where a user names a file")]
fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_the_case_that_is_waited_for() {
        let running = [("a".to_owned(), Duration::from_secs(3)), ("b".to_owned(), Duration::from_secs(12))];
        let live = Live { ended: 7, planned: 20, running: &running };
        assert_eq!(progress_line(&live), "   7 of 20, 2 under way   12 s  b");
        let quick = [("a".to_owned(), Duration::ZERO)];
        assert_eq!(progress_line(&Live { running: &quick, ..live }), "   7 of 20, 1 under way");
    }
}
