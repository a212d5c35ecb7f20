//! Logs of gateways that were just run: two of the reference gateway that race, die and are stopped, and two of a stranger's
//! that has a naive lock.
//!
//! Where there is no Python, the test of the stranger says so on the standard error output and proves nothing.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Room, fixtures, summary};

const PYTHON: &str = "/usr/bin/python3";

/// A process that is killed when the test is over.
struct Mortal(Child);

impl Mortal {
    fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A reference gateway, and the log of what it says.
struct Gateway {
    process: Mortal,
    lines: BufReader<ChildStdout>,
    log: File,
}

impl Gateway {
    fn start(room: &Room, log: &str, port: u16) -> Self {
        let mut process = Command::new(room.path("refgate"))
            .args(["gateway", "--json", "--port", &port.to_string()])
            .env_clear()
            .env("OPENCLAW_STATE_DIR", room.path("state"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process: Mortal(process), lines, log: File::create(room.path(log)).unwrap() }
    }

    /// Writes its lines into the log until one of these events. Answers which, or `None` at the end.
    fn until(&mut self, events: &[&'static str]) -> Option<&'static str> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            self.log.write_all(line.as_bytes()).unwrap();
            let is_event = |event: &&&'static str| line.contains(&format!("\"event\":\"{event}\""));
            if let Some(event) = events.iter().find(is_event) {
                return Some(event);
            }
        }
    }

    /// Sends a signal, and writes what comes until the end.
    fn end(&mut self, signal: Signal) {
        self.process.send(signal);
        assert_eq!(self.until(&[]), None);
        self.process.0.wait().unwrap();
    }
}

#[test]
fn two_racing_gateways_one_that_dies_and_one_that_is_stopped_are_reproduced() {
    // Another test may have some of these ports; then another try is made with others.
    let shown = (0..20).find_map(|round| {
        let room = Room::new();
        symlink(env!("CARGO_BIN_EXE_portcullis"), room.path("refgate")).unwrap();
        let port = 21_000 + (u16::try_from(std::process::id() % 97).unwrap() * 20 + round) * 20 % 40_000;
        let mut racers = ["left.log", "right.log"].map(|log| Gateway::start(&room, log, port));
        let ends = racers.each_mut().map(|racer| racer.until(&["ready", "refused"]));
        let winner = ends.iter().position(|end| *end == Some("ready"))?;
        racers[winner].end(Signal::KILL);
        let mut third = Gateway::start(&room, "third.log", port);
        (third.until(&["ready", "refused"]) == Some("ready")).then_some(())?;
        third.end(Signal::TERM);
        let imported = room.import(&["left.log", "right.log", "third.log"]);
        assert!(imported.contains("still runs or was killed: its log just ends"), "{imported}");
        let shown = room.shown(&["run", "incident.toml", "--match", "timeline"]);
        Some(format!("{imported}\n{}", summary(&shown)))
    });
    let shown = shown.unwrap_or_else(|| panic!("no port was free"));
    assert!(shown.contains("  reproduced: a schedule shows all 10 events of the logs\n"), "{shown}");
    assert!(shown.contains(" needed       1 fault, "), "{shown}");
    assert!(!shown.contains(" breaks "), "{shown}");
}

/// Two of the stranger's gateways at once on one state directory; what both of them say, in order.
fn strangers(state: &Path, ports: [u16; 2]) -> Vec<String> {
    let (reader, writer) = std::io::pipe().unwrap();
    let start = |port: u16| {
        let child = Command::new(PYTHON)
            .arg(fixtures().join("stranger/gateway.py"))
            .args(["--port", &port.to_string(), "--lock", "naive", "--state"])
            .arg(state)
            .stdout(writer.try_clone().unwrap())
            .stderr(writer.try_clone().unwrap())
            .spawn()
            .unwrap();
        Mortal(child)
    };
    let both = ports.map(start);
    drop(writer);
    let mut lines = BufReader::new(reader).lines();
    let mut said = |count: usize| -> Vec<String> { lines.by_ref().take(count).map(Result::unwrap).collect() };
    let mut all = said(2);
    if all.iter().all(|line| line.starts_with("listening ")) {
        for process in &both {
            process.send(Signal::TERM);
            all.extend(said(1));
        }
    }
    all
}

#[test]
fn a_split_brain_of_a_naive_lock_is_shown_by_its_design_and_by_no_schedule_of_the_reference_lock() {
    if !Path::new(PYTHON).exists() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no {PYTHON}, so nothing is shown here");
        return;
    }
    let room = Room::new();
    let state = |round: u16| -> PathBuf { room.path(&format!("state-{round}")) };
    let both = (0..20).find_map(|round| {
        let port = 41_000 + (u16::try_from(std::process::id() % 97).unwrap() * 20 + round) * 10 % 20_000;
        let said = strangers(&state(round), [port, port + 200]);
        (said.len() == 4).then_some(said)
    });
    let both = both.unwrap_or_else(|| panic!("in twenty tries the two never met"));
    room.put("split.log", both.join("\n"));
    room.import(&["split.log", "--target", "naive.toml"]);
    let refgate = room.matched(&[]);
    assert!(refgate.contains("  no schedule of this protocol gives this log"), "{refgate}");
    assert!(refgate.contains("  furthest     1 of 4 events\n"), "{refgate}");
    assert!(refgate.ends_with("(exit 1)\n"), "{refgate}");
    let naive = room.matched(&["--design", "pidfile-check-then-write"]);
    assert!(naive.contains("  reproduced: a schedule shows all 4 events of the logs\n"), "{naive}");
    assert!(naive.contains(" breaks       single-owner: a and b both own the state directory\n"), "{naive}");
    assert!(naive.ends_with("(exit 0)\n"), "{naive}");
}
