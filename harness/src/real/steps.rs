//! The steps of a scenario, done to real processes: real signals, real pids, real files.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::attempt::{Attempt, Broken, Stop};
use super::child::Child;
use super::files::{self, Snapshot};
use super::internal::Helper;
use super::isolate::ITSELF;
use super::lane::{Life, Role, config_file, state_directory};
use super::probe::Asking;
use super::wire::Room;
use super::{bystander, watch};
use crate::scenario::{Action, Bystander, Gateway, Step, Wait};
use crate::target::{Signs, StopSignal, Template};

/// How often a pid is reached for: another process of the namespace can start a thread in between.
const RECYCLE_ATTEMPTS: u32 = 50;
/// The last pid that was given out in this pid namespace; the next one is the number after it.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
/// How long killed processes may take to disappear, in microseconds.
const LAST_WAIT_US: u64 = 10_000_000;
/// Where a gateway looks for programs, unless its target says otherwise.
const PATH: &str = "/usr/bin:/bin";

impl Attempt {
    /// Carries out one step.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), Stop> {
        self.record.add(self.clock.now_us(), "step", &step.value.to_string());
        match &step.value {
            Action::Start(names) => self.start_at_once(names),
            Action::Stop(names) => {
                let signal = raw(self.order.target.stop);
                self.each(names, |attempt, lane| attempt.end(lane, attempt.stop_signal(lane, signal)))
            }
            Action::Kill(names) => self.each(names, Self::kill),
            Action::Pause(names) => self.each(names, Self::pause),
            Action::Resume(names) => self.each(names, Self::resume),
            Action::Restart(names) => {
                let signal = raw(self.order.target.restart.unwrap_or(StopSignal::Usr1));
                self.each(names, |attempt, lane| attempt.ask_for(lane, signal))
            }
            Action::Write(names) => {
                let signal = raw(self.order.target.write.unwrap_or(StopSignal::Usr2));
                self.each(names, |attempt, lane| attempt.ask_for(lane, signal))
            }
            Action::OpenBrowsers(names) => self.open_browsers(names),
            Action::Operate(operation) => self.operate(operation),
            Action::Order(..) => Err(Stop::Undecided("nobody here can do that".to_owned())),
            Action::Recycle { old, new } => self.recycle(old, new),
            Action::RemoveLockFile { state } => self.remove_lock_file(state),
            Action::Wait(wait) => self.wait(wait, step.line),
        }
    }

    fn each(
        &mut self,
        names: &[String],
        act: impl Fn(&mut Self, usize) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        names.iter().try_for_each(|name| {
            let lane = self.lane(name)?;
            act(self, lane)
        })
    }

    /// Starts processes in a random order with random gaps: the scheduler of one machine alone would repeat itself.
    pub(super) fn start_at_once(&mut self, names: &[String]) -> Result<(), Stop> {
        let mut names = names.to_vec();
        self.random.shuffle(&mut names);
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                let gap_us = self.random.up_to(self.plan.gap_us);
                self.watch_until(self.clock.now_us() + gap_us)?;
            }
            let lane = self.lane(name)?;
            self.start(lane)?;
        }
        Ok(())
    }

    /// Starts one process.
    pub(super) fn start(&mut self, lane: usize) -> Result<(), Stop> {
        let role = self.lanes[lane].role.clone();
        match role {
            Role::Gateway(gateway) => {
                let mut command = self.gateway_command(&gateway);
                self.spawn(lane, &mut command)?;
                self.fresh.insert(lane);
                let kill_after_us = self.plan.kills.get(&gateway.name).copied();
                let asking = match &self.order.target.ready {
                    Signs::Probe(probe) => Some(Asking::new(probe, gateway.port.get())),
                    Signs::Events | Signs::Log(_) => None,
                };
                if let Some(life) = &mut self.lanes[lane].life {
                    life.kill_due_us = kill_after_us.map(|after_us| life.started_us + after_us);
                    life.asking = asking;
                }
                Ok(())
            }
            Role::Bystander(bystander) => {
                self.spawn(lane, &mut bystander_command(&bystander))?;
                self.wait_for_bystander(lane)
            }
        }
    }

    fn spawn(&mut self, lane: usize, command: &mut Command) -> Result<(), Stop> {
        let before = self.snapshot(lane);
        let started_us = self.clock.now_us();
        let child = Child::start(command.stdin(Stdio::null())).map_err(|error| {
            let program = command.get_program().display();
            Stop::Undecided(format!("{} cannot be started as {program}: {error}", self.lanes[lane].name))
        })?;
        let lane = &mut self.lanes[lane];
        self.record.add(started_us, &lane.name, &format!("starts as pid {}", child.pid));
        lane.life = Some(Life::new(child, started_us, before));
        Ok(())
    }

    fn gateway_command(&self, gateway: &Gateway) -> Command {
        let extras = self.extras(gateway);
        self.command(
            gateway,
            self.order.target.start.iter().chain(extras.iter().flat_map(|extra| &extra.args)),
        )
    }

    /// A command with the environment that a gateway has.
    pub(super) fn command<'t>(
        &'t self,
        gateway: &Gateway,
        words: impl Iterator<Item = &'t Template>,
    ) -> Command {
        let target = &self.order.target;
        let extras = self.extras(gateway);
        self.filled(gateway, |fill| {
            let mut words = words.map(fill).collect::<Vec<_>>().into_iter();
            let mut command = match self.order.room {
                // The kernel ends it with the namespace.
                Room::Own => Command::new(words.next().unwrap_or_default()),
                Room::Shared { .. } => Helper::Leash.command(ITSELF.as_ref()),
            };
            command.args(words).env_clear().env("PATH", PATH).env("HOME", &self.order.directory);
            for (name, value) in target.env.iter().chain(extras.iter().flat_map(|extra| &extra.env)) {
                command.env(name, fill(value));
            }
            let workdir =
                target.workdir.as_ref().map_or_else(|| self.order.directory.clone(), |at| fill(at).into());
            command.current_dir(workdir);
            command
        })
    }

    fn wait_for_bystander(&mut self, lane: usize) -> Result<(), Stop> {
        let name = self.lanes[lane].name.clone();
        self.wait_until(&format!("{name} listens"), |attempt| {
            attempt.lanes[lane].living().is_none_or(|life| life.said.listens)
        })?;
        let life = self.lanes[lane].life.as_ref();
        match life.filter(|life| !life.said.listens && !life.said.is_crowded_out) {
            Some(life) => Err(Stop::Undecided(format!("{name} cannot listen: {}", life.said.last))),
            None => Ok(()),
        }
    }

    /// What lies in the directories of a gateway.
    pub(super) fn snapshot(&self, lane: usize) -> Snapshot {
        let Some(gateway) = self.lanes[lane].gateway() else { return Snapshot::default() };
        let mut directories: Vec<PathBuf> = vec![state_directory(&self.order.directory, &gateway.state)];
        let config = config_file(&self.order.directory, gateway);
        directories.extend(config.iter().filter_map(|path| path.parent()).map(PathBuf::from));
        Snapshot::of(&directories)
    }

    /// Sends a signal that is to end a process.
    pub(super) fn end(&mut self, lane: usize, signal: Signal) -> Result<(), Stop> {
        let Some(life) = self.lanes[lane].living_mut() else { return Ok(()) };
        life.asked = Some(signal);
        life.child.signal(signal).map_err(|errno| undeliverable(signal, errno))
    }

    /// Kills a process. One that was started since the last wait gets as much time as the plan says, so that over many
    /// tries it is killed everywhere.
    fn kill(&mut self, lane: usize) -> Result<(), Stop> {
        if !self.fresh.contains(&lane) {
            return self.end(lane, Signal::KILL);
        }
        let started_us = self.lanes[lane].life.as_ref().map(|life| life.started_us);
        self.watch_until(started_us.unwrap_or_default() + self.plan.sweep_us)?;
        self.kill_by_plan(lane)
    }

    /// Kills a process at an instant that the plan has chosen.
    pub(super) fn kill_by_plan(&mut self, lane: usize) -> Result<(), Stop> {
        if let Some(life) = &mut self.lanes[lane].life {
            life.kill_due_us = None;
            life.is_planned = true;
        }
        self.record.add(self.clock.now_us(), "plan", &format!("kill {}", self.lanes[lane].name));
        self.end(lane, Signal::KILL)
    }

    fn pause(&mut self, lane: usize) -> Result<(), Stop> {
        let now_us = self.clock.now_us();
        let Some(life) = self.lanes[lane].living_mut() else { return Ok(()) };
        let stopped = life.child.signal(Signal::STOP).and_then(|()| life.child.wait_until_stopped());
        stopped.map_err(|errno| undeliverable(Signal::STOP, errno))?;
        if !life.is_paused() {
            life.pauses.push((now_us, None));
        }
        Ok(())
    }

    /// What asks somebody to stop: a bystander knows TERM only.
    fn stop_signal(&self, lane: usize, of_gateways: Signal) -> Signal {
        match self.lanes[lane].role {
            Role::Gateway(_) => of_gateways,
            Role::Bystander(_) => Signal::TERM,
        }
    }

    /// Sends a signal that asks for something else than an end.
    fn ask_for(&mut self, lane: usize, signal: Signal) -> Result<(), Stop> {
        let Some(life) = self.lanes[lane].living_mut() else { return Ok(()) };
        life.is_stirred = true;
        life.child.signal(signal).map_err(|errno| undeliverable(signal, errno))
    }

    fn resume(&mut self, lane: usize) -> Result<(), Stop> {
        let now_us = self.clock.now_us();
        let Some(life) = self.lanes[lane].living_mut() else { return Ok(()) };
        if let Some((_, until)) = life.pauses.last_mut() {
            until.get_or_insert(now_us);
        }
        life.is_stirred = true;
        life.child.signal(Signal::CONT).map_err(|errno| undeliverable(Signal::CONT, errno))
    }

    /// Starts a bystander with the pid that a dead process had. Those that get another pid are ended at once.
    fn recycle(&mut self, old: &str, new: &str) -> Result<(), Stop> {
        let (old, new) = (self.lane(old)?, self.lane(new)?);
        let pid =
            self.lanes[old].life.as_ref().filter(|life| life.ended.is_some()).map(|life| life.child.pid);
        let Some(pid) = pid else {
            return Err(Stop::Undecided(format!(
                "{} has not ended, its pid is not free",
                self.lanes[old].name
            )));
        };
        let Role::Bystander(bystander) = self.lanes[new].role.clone() else {
            return Err(Stop::Undecided(format!("{} is a gateway", self.lanes[new].name)));
        };
        for _ in 0..RECYCLE_ATTEMPTS {
            set_last_pid(pid - 1)?;
            self.spawn(new, &mut bystander_command(&bystander))?;
            if self.lanes[new].living().is_some_and(|life| life.child.pid == pid) {
                return self.wait_for_bystander(new);
            }
            self.end(new, Signal::KILL)?;
            self.wait_until("a wrong pid is given back", |attempt| attempt.lanes[new].living().is_none())?;
        }
        Err(Stop::Undecided(format!("pid {pid} was not given out again in {RECYCLE_ATTEMPTS} attempts")))
    }

    fn remove_lock_file(&mut self, state: &str) -> Result<(), Stop> {
        let gateways = self.scenario.gateways.iter().filter(|gateway| gateway.state == state);
        for path in gateways.flat_map(|gateway| self.lock_files(gateway)).collect::<Vec<_>>() {
            files::remove(&path).map_err(|error| Stop::Undecided(format!("{}: {error}", path.display())))?;
            self.lock_inodes.remove(&path);
        }
        self.removals.push(self.clock.now_us());
        Ok(())
    }

    fn wait(&mut self, wait: &Wait, line: usize) -> Result<(), Stop> {
        let what = wait.to_string();
        self.fresh.clear();
        match wait {
            Wait::Settled => self.settle(),
            Wait::SettledOf(name) => {
                let lane = self.lane(name)?;
                self.wait_until(&what, |attempt| attempt.lanes[lane].is_settled())
            }
            Wait::GoneOf(name) => {
                let lane = self.lane(name)?;
                self.wait_until(&what, |attempt| attempt.lanes[lane].living().is_none())
            }
            Wait::Told(telling, name) => {
                let lane = self.lane(name)?;
                let has_told = |attempt: &Self| {
                    attempt.lanes[lane].life.as_ref().is_some_and(|life| life.has_told(*telling))
                };
                self.wait_until(&what, |attempt| {
                    attempt.lanes[lane].living().is_none() || has_told(attempt)
                })?;
                if has_told(self) {
                    return Ok(());
                }
                let says =
                    format!("{name} is {} and will never be {}", self.lanes[lane].fate(), telling.name());
                Err(Stop::Broken(Broken { check: "outcomes".to_owned(), says, line: Some(line) }))
            }
            Wait::ReadyOf(name) => {
                let lane = self.lane(name)?;
                self.wait_until(&what, |attempt| {
                    attempt.lanes[lane].living().is_none_or(|life| life.said.ready_us.is_some())
                })?;
                if self.lanes[lane].living().is_some() {
                    return Ok(());
                }
                let says = format!("{name} is {} and will never be ready", self.lanes[lane].fate());
                Err(Stop::Broken(Broken { check: "outcomes".to_owned(), says, line: Some(line) }))
            }
        }
    }

    /// Kills every process and waits until the kernel has taken each back. Nothing can be done about one that stays.
    pub(super) fn end_everything(&mut self) {
        let far_us = self.clock.now_us() + LAST_WAIT_US;
        for lane in 0..self.lanes.len() {
            let _ = self.end(lane, Signal::KILL);
        }
        while self.lanes.iter().any(|lane| lane.living().is_some()) && self.clock.now_us() < far_us {
            let timeout_us = far_us.saturating_sub(self.clock.now_us());
            if watch::collect(&mut self.lanes, timeout_us).is_err() {
                return;
            }
        }
    }
}

pub(super) const fn raw(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Hup => Signal::HUP,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Usr1 => Signal::USR1,
        StopSignal::Usr2 => Signal::USR2,
    }
}

fn bystander_command(bystander: &Bystander) -> Command {
    bystander::command(&OsString::from(ITSELF), bystander)
}

#[expect(clippy::disallowed_methods, reason = "the named edge: the kernel takes the next pid through a file")]
fn set_last_pid(pid: u32) -> Result<(), Stop> {
    std::fs::write(LAST_PID, pid.to_string())
        .map_err(|error| Stop::Undecided(format!("the next pid cannot be chosen: {error}")))
}

fn undeliverable(signal: Signal, errno: rustix::io::Errno) -> Stop {
    Stop::Undecided(format!("signal {} cannot be sent: {errno}", signal.as_raw()))
}
