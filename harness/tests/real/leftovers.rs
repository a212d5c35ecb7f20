//! Whatever ends `portcullis run --on refgate`, no process of it is left; and no file, if it was asked to end.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests look at real processes and files from outside")]
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::endless::ENDLESS;
use crate::lives::lives;

/// A run that is under way, and its own directory for temporary files.
struct Run {
    portcullis: Child,
    mark: &'static str,
    temporary: TempDir,
    _scenario: TempDir,
}

impl Run {
    /// Starts portcullis on a case that does not end, and waits until processes of it live.
    fn start(mark: &'static str) -> Self {
        let (temporary, scenario) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = scenario.path().join("endless.toml");
        fs::write(&file, ENDLESS.replace("MARK", mark)).unwrap();
        let mut portcullis = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "--on", "refgate"])
            .arg(&file)
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !lives(mark) {
            assert_eq!(portcullis.try_wait().unwrap(), None, "portcullis ends before its processes live");
            std::thread::yield_now();
        }
        Self { portcullis, mark, temporary, _scenario: scenario }
    }

    /// Whether its bystander or its gateway lives.
    fn lives(&self) -> bool {
        lives(self.mark) || lives(&self.temporary.path().display().to_string())
    }

    fn signal(&mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.portcullis), signal).unwrap();
        self.portcullis.wait().unwrap();
    }
}

#[test]
fn an_interrupted_run_leaves_no_process_and_no_file() {
    for (signal, mark) in [(Signal::TERM, "left-by-term"), (Signal::INT, "left-by-int")] {
        let mut run = Run::start(mark);
        run.signal(signal);
        assert!(!run.lives());
        let left: Vec<_> = fs::read_dir(run.temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_killed_run_leaves_no_process() {
    let mut run = Run::start("left-by-kill");
    run.signal(Signal::KILL);
    // The kernel tells the helpers of the death of portcullis in its own time.
    while run.lives() {
        std::thread::yield_now();
    }
}
