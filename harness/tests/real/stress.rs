//! `portcullis stress` finds what is broken, finds nothing in what is not, and leaves nothing behind.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::lives::lives;
use rustix::process::{Pid, Signal, kill_process};

fn stress(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("stress").args(arguments).output().unwrap()
}

/// The exit status and what stands before a word of the output.
fn told(output: &Output, word: &str) -> (Option<i32>, Option<u64>) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_suffix(word)?.trim().parse().ok());
    (output.status.code(), line)
}

#[test]
fn a_lock_that_its_operator_can_delete_has_two_owners_and_the_shipped_one_has_not() {
    let broken = stress(&["--seconds", "3", "--design", "flock-recheck-never-unlink"]);
    let (status, violations) = told(&broken, "violations");
    assert!(violations.is_some_and(|count| count > 0), "{broken:?}");
    assert_eq!(status, Some(1));
    let shipped = stress(&["--seconds", "3"]);
    let (status, violations) = told(&shipped, "violations");
    assert_eq!(violations, Some(0), "{shipped:?}");
    // A machine that is too slow has shown too little, and says so.
    assert!(matches!(status, Some(0 | 3)), "{shipped:?}");
}

#[test]
fn a_design_that_exists_in_the_simulator_only_is_refused_with_the_reason() {
    let output = stress(&["--design", "flock-inherited"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("error: `flock-inherited` cannot run on the real kernel: "), "{text}");
}

#[test]
fn an_interrupted_stress_leaves_no_process_and_no_file() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().display().to_string();
    let mut portcullis = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["stress", "--seconds", "600"])
        .env("TMPDIR", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !lives(&path) {
        assert_eq!(portcullis.try_wait().unwrap(), None, "it ends before its contenders live");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&portcullis), Signal::INT).unwrap();
    assert_eq!(portcullis.wait().unwrap().code(), Some(130));
    assert!(!lives(&path));
    let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
