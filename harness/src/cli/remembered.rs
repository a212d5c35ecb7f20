//! What earlier runs have left in `.portcullis`: the events and the page of the latest one, and the cases that are outstanding.
//!
//! A case is outstanding from a run that it does not pass until one that it does. Runs that do not select it change
//! nothing about that. The folder lies beside `portcullis.toml`, or in the current directory, and keeps itself out of
//! version control. A run whose folder cannot be written is a run all the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::profiles;
use super::{complain, status};
use crate::reports::event::{Event, Verdict};
use crate::reports::{html, line};

const FOLDER: &str = ".portcullis";
const OUTSTANDING: &str = "outstanding";

/// The folder.
pub(super) struct Remembered {
    folder: PathBuf,
}

impl Remembered {
    /// The folder for the current directory.
    pub(super) fn here() -> Self {
        let file = std::env::current_dir().ok().and_then(|here| profiles::find(&here));
        let beside = file.as_ref().and_then(|file| file.parent());
        Self { folder: beside.map_or_else(|| PathBuf::from(FOLDER), |beside| beside.join(FOLDER)) }
    }

    /// Executor and name of each case that is outstanding.
    ///
    /// # Errors
    ///
    /// The status to end with, if nobody knows.
    pub(super) fn outstanding(&self) -> Result<BTreeSet<(String, String)>, u8> {
        read(&self.folder.join(OUTSTANDING)).map_err(|error| {
            let file = self.folder.join(OUTSTANDING);
            complain(&format!(
                "error: nothing is known of an earlier run: {}: {error}\n  = help: run once without `--rerun`",
                file.display()
            ));
            status::NOTHING
        })
    }

    /// Keeps what a run has come to. Answers where its page lies, if that could be written.
    pub(super) fn update(&self, events: &[Event]) -> Option<PathBuf> {
        let mut outstanding = read(&self.folder.join(OUTSTANDING)).unwrap_or_default();
        let mut lines = String::new();
        for event in events {
            let _ = writeln!(lines, "{}", line(event));
            let Event::CaseEnd(end) = event else { continue };
            let case = (end.on.clone(), end.case.clone());
            match end.verdict {
                Verdict::Fail | Verdict::Inconclusive => _ = outstanding.insert(case),
                Verdict::Pass | Verdict::Known | Verdict::Unsupported => _ = outstanding.remove(&case),
                // Nothing is known of it that was not known before.
                Verdict::NotRun => {}
            }
        }
        let names: String = outstanding.iter().map(|(on, case)| format!("{on} {case}\n")).collect();
        let page = self.folder.join("latest").join("report.html");
        let written = prepare(&self.folder)
            .and_then(|()| replace(&self.folder.join(OUTSTANDING), &names))
            .and_then(|()| replace(&self.folder.join("latest").join("run.jsonl"), &lines))
            .and_then(|()| replace(&page, &html::report(events)));
        let told = |error: &io::Error| {
            complain(&format!(
                "note: this run is not remembered: {}: {error}; `--rerun` will not know of it",
                self.folder.display()
            ));
        };
        written.inspect_err(told).ok().map(|()| page)
    }
}

#[expect(clippy::disallowed_methods, reason = "the named edge: the folder of this program")]
fn read(file: &Path) -> io::Result<BTreeSet<(String, String)>> {
    let text = std::fs::read_to_string(file)?;
    let cases = text.lines().filter_map(|line| line.split_once(' '));
    Ok(cases.map(|(on, case)| (on.to_owned(), case.to_owned())).collect())
}

#[expect(clippy::disallowed_methods, reason = "the named edge: the folder of this program")]
fn prepare(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder.join("latest"))?;
    replace(&folder.join(".gitignore"), "*\n")
}

/// Writes a file whole or not at all: several runs may share the folder.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(text.as_bytes())?;
    fresh.persist(file).map(drop).map_err(|error| error.error)
}
