//! A run that ends early says so, leaves nothing behind, and is never taken for one that passed.

#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::designs::Design;
use harness::reports::human::{Human, Loudness};
use harness::runner::{self, Ended, Request, plan};
use harness::scenario::{Scenario, parse};
use harness::verdict::Executor;

/// Three cases of a mount that no real machine is made to have.
const ONLY_SIMULATED: &str = r#"
schema = 1
title  = "Directories cannot be locked"
[gateway.a]
state = "S"
port  = 18789
[mount.S]
directory_locks = false
[run]
steps = [{ start = "a" }, { wait = "settled" }]
[expect]
always   = ["single-owner"]
outcomes = [{ a = "refused:unsupported-fs" }]
[vary]
"gateway.a.port" = [18789, 18989, 19189]
"#;

fn scenario() -> Scenario {
    parse(Path::new("only-simulated.toml"), ONLY_SIMULATED).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn request(on: &[Executor]) -> Request {
    Request {
        planned: plan(&[scenario()], on),
        design: Design::Refgate,
        refgate: "/nonexistent".into(),
        targets: Vec::new(),
        tries: None,
        jobs: 2,
        sampling: None,
        twice: false,
        most_failures: None,
        budget: None,
        profile: None,
        shard: None,
        interrupted: Arc::new(AtomicBool::new(false)),
    }
}

/// Runs it, and writes for people.
fn run(request: &Request, out: &mut impl Write) -> io::Result<Ended> {
    runner::run(request, &mut Human::new(out, Loudness::Usual))
}

/// A reader that does something when it sees a word.
struct Reader<F> {
    word: &'static str,
    seen: Vec<u8>,
    then: F,
}

impl<F: FnMut() -> io::Result<()>> Write for Reader<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.seen.extend_from_slice(bytes);
        if String::from_utf8_lossy(&self.seen).contains(self.word) {
            (self.then)()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands below the last rule, without colours and without the time.
fn summary(written: Vec<u8>) -> String {
    let text = String::from_utf8(written).unwrap();
    let text = anstream::adapter::strip_str(&text).to_string();
    let (_, below) = text.rsplit_once("--\n").unwrap();
    let (head, tail) = below.split_once('[').unwrap();
    let (_, tail) = tail.split_once(']').unwrap();
    format!("{head}[TIME]{tail}")
}

#[test]
fn an_interrupted_run_says_how_many_cases_were_run() {
    let request = request(&[Executor::Refgate]);
    let interrupt = || {
        request.interrupted.store(true, Ordering::Relaxed);
        Ok(())
    };
    let mut reader = Reader { word: "UNSU", seen: Vec::new(), then: interrupt };
    assert_eq!(run(&request, &mut reader).unwrap(), Ended::Interrupted);
    insta::assert_snapshot!(summary(reader.seen), @"
    Summary [TIME] 1 case: 0 passed, 0 failed, 0 inconclusive, 1 unsupported
    interrupted: 1 of 3 cases were run
    ");
}

#[test]
fn an_executor_that_supports_no_case_has_tested_nothing_and_says_so() {
    let mut written = Vec::new();
    let ended = run(&request(&[Executor::Sim, Executor::Refgate]), &mut written).unwrap();
    assert_eq!(ended, Ended::Passed);
    insta::assert_snapshot!(summary(written), @"
    Summary [TIME] 6 cases: 3 passed (3 complete), 0 failed, 0 inconclusive, 3 unsupported
    nothing was tested on refgate: every case is unsupported there
    ");
}

#[test]
fn a_reader_that_leaves_stops_the_cases_that_are_under_way() {
    let request = request(&[Executor::Sim]);
    let leave = || Err(io::ErrorKind::BrokenPipe.into());
    let error = run(&request, &mut Reader { word: "PASS", seen: Vec::new(), then: leave }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert!(request.interrupted.load(Ordering::Relaxed));
}

#[test]
fn an_answer_that_nobody_reads_is_no_pass() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for arguments in [
        &["run", "scenarios/pid/stale-lock-race.toml", "--design", "pidfile-unlink-stale"][..],
        &["run", "scenarios/pid/recycled-pid.toml"],
        &["replay", "v1.scenarios/race/two-gateways.naive.00000000.00000000.0003.ec99"],
        &["list"],
        &["check"],
        &["--help"],
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(arguments)
            .current_dir(library)
            .stdout(writer)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(141), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[cfg(target_os = "linux")]
mod signals {
    use std::fs;
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};
    use tempfile::TempDir;

    /// An owner that never settles, because it waits for one that is paused.
    const ENDLESS: &str = r#"
schema = 1
title  = "This never ends"
[gateway.a]
state = "S"
port  = 18789
[run]
setup = [{ start = "a" }, { wait = "a.ready" }]
steps = [{ pause = "a" }, { stop = "a" }, { wait = "a.gone" }]
[expect]
always   = ["no-collateral"]
outcomes = [{ a = "paused" }]
"#;

    /// A run that is under way, and its own directory for temporary files.
    struct Run {
        portcullis: Child,
        temporary: TempDir,
        _scenario: TempDir,
    }

    impl Run {
        /// Starts portcullis through a command, and waits until it has the directory of a try and one of its own.
        #[expect(clippy::disallowed_methods, reason = "the test prepares a file")]
        fn start(mut command: Command) -> Self {
            let (temporary, scenario) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let file = scenario.path().join("endless.toml");
            fs::write(&file, ENDLESS).unwrap();
            command.args(["run", "--on", "refgate"]).arg(&file).env("TMPDIR", temporary.path());
            let portcullis = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let mut run = Self { portcullis, temporary, _scenario: scenario };
            while run.files() < 2 {
                assert_eq!(
                    run.portcullis.try_wait().unwrap(),
                    None,
                    "portcullis ends before its case begins"
                );
                std::thread::yield_now();
            }
            run
        }

        fn files(&self) -> usize {
            fs::read_dir(self.temporary.path()).unwrap().count()
        }

        fn signal(&self, signal: Signal) {
            kill_process(Pid::from_child(&self.portcullis), signal).unwrap();
        }
    }

    impl Drop for Run {
        /// A test that fails leaves nothing endless behind either.
        fn drop(&mut self) {
            let _ = self.portcullis.kill();
            let _ = self.portcullis.wait();
        }
    }

    #[test]
    fn signal_after_signal_leaves_nothing_behind() {
        for first in [Signal::HUP, Signal::TERM, Signal::INT] {
            let mut run = Run::start(Command::new(env!("CARGO_BIN_EXE_portcullis")));
            for signal in [first, first, Signal::HUP, Signal::TERM, Signal::INT] {
                run.signal(signal);
            }
            assert_eq!(run.portcullis.wait().unwrap().code(), Some(130));
            assert_eq!(run.files(), 0);
        }
    }

    #[test]
    fn a_run_that_was_told_to_outlive_its_terminal_does() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_portcullis")]);
        let mut run = Run::start(command);
        #[expect(clippy::disallowed_methods, reason = "the test looks at a process from outside")]
        let status = fs::read_to_string(format!("/proc/{}/status", run.portcullis.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        assert_eq!(u64::from_str_radix(mask.trim(), 16).unwrap() & 1, 1, "{mask}");
        run.signal(Signal::TERM);
        assert_eq!(run.portcullis.wait().unwrap().code(), Some(130));
    }
}
