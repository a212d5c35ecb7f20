//! Logs of an incident become a timeline and a scenario, and a schedule shows them or none does.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

mod hostile;
mod live;
mod matched;
mod mistakes;
mod openclaw;
mod page;
#[path = "../common/program.rs"]
mod program;
mod written;

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

/// A directory with the logs of the incidents, and the targets of the stranger's gateway.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        for folder in ["incident", "stranger"] {
            for entry in std::fs::read_dir(fixtures().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                std::fs::copy(&path, room.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
            }
        }
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program::portcullis(self.0.path()).args(arguments).output().unwrap()
    }

    /// Everything that a command shows, the exit status included.
    fn shown(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let mut text = String::from_utf8(output.stdout).unwrap();
        if !output.stderr.is_empty() {
            text += &format!("(stderr)\n{}", String::from_utf8(output.stderr).unwrap());
        }
        format!("{text}(exit {})", output.status.code().unwrap())
    }

    /// Imports logs into `incident.toml`, which must be a valid scenario.
    fn import(&self, arguments: &[&str]) -> String {
        let shown = self.shown(&[&["import", "--output", "incident.toml"], arguments].concat());
        assert!(shown.ends_with("(exit 0)"), "{shown}");
        let check = self.shown(&["check", "incident.toml"]);
        assert!(check.ends_with("(exit 0)"), "{check}\n{}", self.text("incident.toml"));
        shown
    }

    /// What a search for the timeline of `incident.toml` has come to: its lines that are no steps.
    fn matched(&self, more: &[&str]) -> String {
        summary(&self.shown(&[&["run", "incident.toml", "--match", "timeline"], more].concat()))
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A line of `refgate gateway --json` on a gateway of one state directory and port: what has happened, the pid, and what stands
/// behind that.
fn refgate_line(event: &str, pid: u32, rest: &str) -> String {
    format!("{{\"event\":\"{event}\",\"pid\":{pid},{rest},\"state\":\"/s\",\"port\":18789}}\n")
}

/// An answer without its lanes, its counts and its token.
fn summary(shown: &str) -> String {
    let is_step = |line: &&str| {
        let words = line.strip_prefix(" >>").unwrap_or(line).trim_start();
        words.is_empty()
            || words.starts_with("...")
            || words.starts_with("step ")
            || words.starts_with(|c: char| c.is_ascii_digit())
    };
    let is_told = |line: &&str| !line.starts_with(" searched ") && !line.starts_with("  replay ");
    shown.lines().filter(|line| !is_step(line)).filter(is_told).map(|line| format!("{line}\n")).collect()
}
