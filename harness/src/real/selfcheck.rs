//! Whether a target describes its gateway: one run of a fixed course, with a remedy for whatever is not as described.
//!
//! The course: a first start that becomes ready and answers, a second one that is to be refused, a stop, and a start after
//! a kill. What is seen is compared with what the target says, never with what would be right: a gateway that lets two
//! own one state directory is a matter for scenarios, and yet it is told here, because nothing can be tested without.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::Signal;

use super::attempt::{Attempt, Stop};
use super::child::{Child, Ended, Pipe};
use super::clock::timespec;
use super::helper::ask;
use super::lane::{Lane, Role};
use super::sockets::listeners;
use super::steps::raw;
use super::wire::{Answer, Finding, Line, Order, Request, Room};
use super::{Isolation, Options};
use crate::scenario::{Fate, Gateway, parse};
use crate::target::{Probe, Request as Question, Signs};

/// Two gateways that want the same things.
const COURSE: &str = r#"
schema = 1
title  = "The self-test of a target"
gateway.a = { state = "S", port = 18789 }
gateway.b = { state = "S", port = 18789 }
run.steps = [{ start = "a" }, { start = "b" }, { wait = "settled" }]
expect = { always = ["single-owner"], outcomes = [{ a = "ready" }] }
"#;

/// After this many microseconds it is looked again at a process that was killed.
const PAUSE_US: u64 = 10_000;

/// What to do where a process has ended that should live.
const READ_ON: &str = "correct `start`, `env` or `files`; what it printed is beside this";

/// Tests a target. The second value says whether it had a machine for itself.
///
/// # Errors
///
/// Why that cannot be done here, as a fragment of a sentence.
pub fn check(options: &Options) -> Result<(Vec<Line>, Isolation), String> {
    let scenario = parse(Path::new("target-check.toml"), COURSE)
        .map_err(|problems| format!("the course has {} problems", problems.len()))?;
    let is_roomy = options.isolation == Isolation::WherePossible
        && matches!(ask(options, Room::Own, &Request::Probe)?, Answer::Roomy);
    let (room, isolation) = if is_roomy {
        (Room::Own, Isolation::WherePossible)
    } else {
        let own = rustix::process::getpid().as_raw_pid().unsigned_abs();
        let mut random = super::random::Random::new(options.seed, own);
        let shift = super::shift::choose(&scenario, options.target.ports.span(), &mut random)?;
        (Room::Shared { shift }, Isolation::Never)
    };
    let directory = tempfile::Builder::new().prefix("portcullis-").tempdir();
    let directory = directory.map_err(|error| format!("no temporary directory: {error}"))?;
    let order = Order {
        case: scenario.name.clone(),
        name: scenario.name.clone(),
        file: scenario.file.to_string_lossy().into_owned(),
        source: scenario.source.to_string(),
        target: options.target.clone(),
        directory: directory.path().to_owned(),
        room,
    };
    let answer = ask(options, room, &Request::Check(order));
    let path = directory.path().display().to_string();
    directory.close().map_err(|error| format!("{path} cannot be removed: {error}"))?;
    match answer? {
        Answer::Checked(lines) => Ok((lines, isolation)),
        Answer::Undecided(reason) | Answer::Crowded(reason) => Err(reason),
        answer @ (Answer::Roomy
        | Answer::Measured(_)
        | Answer::Held(_)
        | Answer::Stressed(_)
        | Answer::Broken { .. }) => Err(format!("the helper answers something else: {answer:?}")),
    }
}

/// The lines of the table, in order. After a bad one that everything rests on the rest is skipped.
#[derive(Default)]
struct Table {
    lines: Vec<Line>,
}

impl Table {
    fn add(&mut self, what: &str, finding: Finding, seen: impl Into<String>, remedy: impl Into<String>) {
        let (seen, remedy) = (seen.into(), remedy.into());
        self.lines.push(Line { what: what.to_owned(), finding, seen, remedy });
    }

    fn good(&mut self, what: &str, seen: impl Into<String>) {
        self.add(what, Finding::Good, seen, "");
    }

    fn bad(&mut self, what: &str, seen: impl Into<String>, remedy: impl Into<String>) {
        self.add(what, Finding::Bad, seen, remedy);
    }

    fn silent(&mut self, what: &str, seen: impl Into<String>) {
        self.add(what, Finding::Silent, seen, "");
    }
}

impl Attempt {
    /// Takes the course.
    pub(super) fn check(&mut self) -> Result<Answer, Stop> {
        let mut table = Table::default();
        self.check_version(&mut table)?;
        if self.check_start(0, "becomes ready", &mut table)? {
            self.check_answer(&mut table)?;
            self.check_ports(&mut table);
            self.check_locks(&mut table);
            self.check_second(&mut table)?;
            self.check_stop(&mut table)?;
            self.check_recovery(&mut table)?;
        } else {
            for what in ["answers", "ports", "lock files", "second start", "stop", "start after a kill"] {
                table.add(what, Finding::Skipped, "it was never ready", "");
            }
        }
        Ok(Answer::Checked(table.lines))
    }

    /// Asks for the version, by a process that is no lane: nothing else lives yet.
    fn check_version(&self, table: &mut Table) -> Result<(), Stop> {
        let (Some(gateway), words) = (self.lanes[0].gateway(), &self.order.target.version) else {
            return Ok(());
        };
        if words.is_empty() {
            table.silent("version", "no `version`: reports do not say which one was tested");
            return Ok(());
        }
        let remedy = "correct `version`, or leave it out";
        let mut child = match Child::start(self.command(gateway, words.iter()).stdin(Stdio::null())) {
            Ok(child) => child,
            Err(error) => {
                table.bad("version", format!("it cannot be started: {error}"), remedy);
                return Ok(());
            }
        };
        let until_us = self.clock.now_us() + self.patience_us();
        let mut printed = Vec::new();
        let failed = |errno| Stop::Undecided(format!("the processes cannot be watched: {errno}"));
        let ended = loop {
            printed.extend(child.pipes.iter_mut().flat_map(Pipe::lines));
            let left_us = until_us.saturating_sub(self.clock.now_us());
            if left_us == 0 {
                child.signal(Signal::KILL).map_err(failed)?;
            }
            let mut fds = vec![PollFd::from_borrowed_fd(child.as_fd(), PollFlags::IN)];
            fds.extend(
                child
                    .pipes
                    .iter()
                    .filter_map(Pipe::open)
                    .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            );
            retry_on_intr(|| poll(&mut fds, Some(&timespec(left_us.max(PAUSE_US))))).map_err(failed)?;
            if let Some(ended) = child.reap().map_err(failed)? {
                break ended;
            }
        };
        printed.extend(child.pipes.iter_mut().flat_map(Pipe::lines));
        let first = printed.into_iter().find(|line| !line.trim().is_empty()).unwrap_or_default();
        match ended {
            Ended::Exited(0) if !first.is_empty() => table.good("version", first),
            Ended::Exited(status) => {
                table.bad("version", format!("it exits with status {status} and prints {first:?}"), remedy);
            }
            Ended::Signaled(signal) => table.bad("version", format!("signal {signal} ends it"), remedy),
        }
        Ok(())
    }

    /// Starts a gateway and waits until it is ready, or will not be.
    fn check_start(&mut self, lane: usize, what: &str, table: &mut Table) -> Result<bool, Stop> {
        self.start(lane)?;
        let waited = self.wait_until("it is ready", |attempt| attempt.lanes[lane].is_settled());
        let within = format!("within {} ms", self.order.target.ready_within.0);
        let sign = sign(&self.order.target.ready, self.base(lane));
        match (self.lanes[lane].fate(), waited) {
            (_, Err(Stop::Undecided(reason))) if reason == "interrupted" => {
                return Err(Stop::Undecided(reason));
            }
            (Fate::Ready, _) => {
                let took = self.lanes[lane]
                    .life
                    .as_ref()
                    .and_then(|life| Some((life.said.ready_us?.saturating_sub(life.started_us)) / 1_000));
                table.good(what, format!("after {} ms: {sign}", took.unwrap_or_default()));
                return Ok(true);
            }
            (Fate::Running, _) => {
                let last =
                    self.lanes[lane].life.as_ref().and_then(|life| Some(life.asking.as_ref()?.last.clone()));
                let last = last.map(|last| format!("; asked last: {last}")).unwrap_or_default();
                table.bad(
                    what,
                    format!("it lives, and not {within}: {sign}{last}{}", self.last_words(lane)),
                    "correct `[ready]`, or raise `within_ms` there",
                );
            }
            (fate, _) => {
                table.bad(
                    what,
                    format!("it is {fate}: {}{}", self.end_of(lane), self.last_words(lane)),
                    READ_ON,
                );
            }
        }
        Ok(false)
    }

    fn base(&self, lane: usize) -> u16 {
        self.lanes[lane].gateway().map_or(0, |gateway| gateway.port.get())
    }

    fn end_of(&self, lane: usize) -> String {
        match self.lanes[lane].life.as_ref().and_then(|life| life.ended) {
            Some((_, Ended::Exited(status))) => format!("it exits with status {status}"),
            Some((_, Ended::Signaled(signal))) => format!("signal {signal} ends it"),
            None => "it lives".to_owned(),
        }
    }

    fn last_words(&self, lane: usize) -> String {
        let last = self.lanes[lane].life.as_ref().map_or("", |life| life.said.last.as_str());
        let short: String =
            last.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        if short.is_empty() { String::new() } else { format!("; its last words: {short}") }
    }

    fn check_answer(&mut self, table: &mut Table) -> Result<(), Stop> {
        let Some(probe) = self.order.target.answers.clone() else {
            table.silent(
                "answers",
                "neither `[answers]` nor a question in `[ready]`: nobody sees if it hangs",
            );
            return Ok(());
        };
        self.ask_again()?;
        let asked = question(&probe, self.base(0));
        if self.lanes[0].fate() == Fate::Ready {
            table.good("answers", asked);
        } else {
            let seen = format!("it is ready and does not answer {asked}");
            table.bad("answers", seen, "correct `[answers]`, or the `port` in it");
        }
        Ok(())
    }

    /// Its listeners are those of the map.
    fn check_ports(&self, table: &mut Table) {
        let (base, ports) = (self.base(0), &self.order.target.ports);
        let pid = self.lanes[0].life.as_ref().map_or(0, |life| life.child.pid);
        let open = listeners(pid);
        let named = |port: &u16| port.checked_sub(base).and_then(|above| ports.name(above));
        let told: Vec<String> = open
            .iter()
            .map(|port| named(port).map_or_else(|| port.to_string(), |name| format!("{port} ({name})")))
            .collect();
        let strange: Vec<String> =
            open.iter().filter(|port| named(port).is_none()).map(ToString::to_string).collect();
        if open.is_empty() {
            table.bad(
                "ports",
                "neither it nor a child of it listens on any TCP port",
                "start it so that it stays in the foreground; ports in other namespaces cannot be seen",
            );
        } else if !strange.is_empty() {
            table.bad(
                "ports",
                format!("it listens on {}", told.join(", ")),
                format!("name {} in `[ports]`, as distances above {base}", strange.join(", ")),
            );
        } else if !open.contains(&base) && ports.name(0) == Some("control") {
            let seen = format!("it listens on {} and not on {base}", told.join(", "));
            table.bad("ports", seen, "correct `control` in `[ports]`");
        } else {
            table.good("ports", told.join(", "));
        }
    }

    fn check_locks(&self, table: &mut Table) {
        let Some(gateway) = self.lanes[0].gateway() else { return };
        let files = self.lock_files(gateway);
        let name = |path: &Path| {
            path.strip_prefix(&self.order.directory).unwrap_or(path).to_string_lossy().into_owned()
        };
        let missing: Vec<String> =
            files.iter().filter(|path| !path.exists()).map(|path| name(path)).collect();
        if files.is_empty() {
            table.silent("lock files", "no `[lock] files`: thefts are not seen");
        } else if missing.is_empty() {
            table.good("lock files", files.iter().map(|path| name(path)).collect::<Vec<_>>().join(", "));
        } else {
            let seen = format!("{} is not there while it is ready", missing.join(", "));
            table.bad("lock files", seen, "correct `[lock] files`");
        }
    }

    /// A second start on the same state directory and port is refused, and its refusal is recognised.
    fn check_second(&mut self, table: &mut Table) -> Result<(), Stop> {
        let what = "second start";
        self.start(1)?;
        let waited = self.wait_until("it is refused", |attempt| attempt.lanes[1].is_settled());
        if let Err(Stop::Undecided(reason)) = waited {
            let seen = format!("{reason}{}", self.last_words(1));
            table.bad(what, seen, "raise `within_ms` in `[ready]` if it needs longer to give up");
            return self.end(1, Signal::KILL);
        }
        let holder = match self.lanes[1].fate() {
            Fate::Refused { code } => {
                table.good(what, format!("refused:{code}, {}", self.end_of(1)));
                let said = self.lanes[1].life.as_ref().and_then(|life| life.said.refused.as_ref());
                said.map(|refused| refused.holder)
            }
            Fate::Exited => {
                let seen = format!("no `[[refusal]]` fits: {}{}", self.end_of(1), self.last_words(1));
                table.bad(
                    what,
                    seen,
                    "add a `[[refusal]]` with its `exit` status and the `reason`, for instance \"held\"",
                );
                None
            }
            fate @ (Fate::Ready
            | Fate::Killed
            | Fate::Paused
            | Fate::Running
            | Fate::Unstarted
            | Fate::Restarting) => {
                let seen = format!("the first one is ready, and the second one is {fate}");
                table.bad(
                    what,
                    seen,
                    "nothing: this gateway does not keep others out, and scenarios will tell",
                );
                None
            }
        };
        let first = self.lanes[0].life.as_ref().map(|life| life.child.pid);
        match holder {
            Some(Some(holder)) if Some(holder.pid) == first => {
                table.good("names the owner", format!("pid {}", holder.pid));
            }
            Some(Some(holder)) => table.bad(
                "names the owner",
                format!("it names pid {}, and the owner is {}", holder.pid, first.unwrap_or_default()),
                "correct the group `pid` of the pattern, if it is not the gateway that is wrong",
            ),
            Some(None) => table.silent("names the owner", "no pid was found: who it blames is not judged"),
            None => table.add("names the owner", Finding::Skipped, "it was not refused", ""),
        }
        Ok(())
    }

    fn check_stop(&mut self, table: &mut Table) -> Result<(), Stop> {
        let asked_us = self.clock.now_us();
        self.end(0, raw(self.order.target.stop))?;
        let until_us = asked_us + self.order.target.stop_within.0 * 1_000;
        while self.lanes[0].living().is_some() && self.clock.now_us() < until_us {
            self.watch(until_us)?;
        }
        let took_ms = (self.clock.now_us() - asked_us) / 1_000;
        match self.lanes[0].living() {
            None => table.good("stop", format!("after {took_ms} ms: {}", self.end_of(0))),
            Some(_) => {
                table.bad(
                    "stop",
                    format!("it lives {took_ms} ms after the signal"),
                    "correct `[stop] signal`, or raise `within_ms` there",
                );
                self.end(0, Signal::KILL)?;
                self.wait_until("it is gone", |attempt| attempt.lanes[0].living().is_none())?;
            }
        }
        Ok(())
    }

    /// Whoever is killed leaves nothing behind that keeps the next one out.
    fn check_recovery(&mut self, table: &mut Table) -> Result<(), Stop> {
        let what = "start after a kill";
        let Some(gateway) = self.lanes[0].gateway().cloned() else { return Ok(()) };
        let mut scratch = Table::default();
        let killed = self.another(&gateway, "killed");
        if self.check_start(killed, what, &mut scratch)? {
            self.end(killed, Signal::KILL)?;
            self.wait_until("it is gone", |attempt| attempt.lanes[killed].living().is_none())?;
            scratch.lines.clear();
            let next = self.another(&gateway, "next");
            self.check_start(next, what, &mut scratch)?;
        }
        table.lines.extend(scratch.lines);
        Ok(())
    }

    /// One more gateway that wants the same things.
    fn another(&mut self, gateway: &Gateway, name: &str) -> usize {
        let gateway = Gateway { name: name.to_owned(), ..gateway.clone() };
        self.lanes.push(Lane { name: name.to_owned(), role: Role::Gateway(Box::new(gateway)), life: None });
        self.lanes.len() - 1
    }
}

fn sign(signs: &Signs, base: u16) -> String {
    match signs {
        Signs::Events => "it tells its event `ready`".to_owned(),
        Signs::Log(pattern) => format!("it prints a line with `{pattern}`"),
        Signs::Probe(probe) => format!("it answers {}", question(probe, base)),
    }
}

fn question(probe: &Probe, base: u16) -> String {
    let port = u32::from(base) + u32::from(probe.above);
    match &probe.request {
        Question::Tcp => format!("a connection to port {port}"),
        Question::Http { path, status, .. } => format!("HTTP {path} on port {port} with {status}"),
        Question::WebSocket { path } => format!("a WebSocket on {path}, port {port}"),
    }
}
