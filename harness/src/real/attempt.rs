//! One try of one case: real processes are started, signalled and watched, and what is seen is judged as it is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::process::Signal;

use super::child::Ended;
use super::clock::Stopwatch;
use super::lane::{Lane, Role};
use super::random::Random;
use super::record::Record;
use super::watch::{Blind, Seen, look};
use super::wire::{Answer, Kills, Order, Plan, Request, Room};
use super::{files, internal, isolate, shift};
use crate::scenario::{Scenario, parse_as};
use crate::stress;

/// Where a helper runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the first process of new namespaces.
    FirstProcess,
    /// It runs among everybody else.
    Guest,
}

/// Serves the one request that stands on the standard input.
pub(super) fn main(place: Place) -> ExitCode {
    let mut line = String::new();
    let request = match std::io::stdin().lock().read_line(&mut line) {
        Ok(_) => {
            serde_json::from_str(&line).map_err(|error| format!("the request is not understood: {error}"))
        }
        Err(error) => Err(format!("the request cannot be read: {error}")),
    };
    let furnished = match place {
        Place::FirstProcess => isolate::furnish(),
        Place::Guest => Ok(()),
    };
    internal::answer(&match (furnished, request) {
        (Err(reason), _) => Answer::Crowded(reason),
        (Ok(()), Err(reason)) => Answer::Undecided(reason),
        (Ok(()), Ok(request)) => serve(request),
    });
    ExitCode::SUCCESS
}

fn serve(request: Request) -> Answer {
    let outcome = match request {
        Request::Probe => return Answer::Roomy,
        Request::Measure(order, gateway) => Attempt::new(order, Plan::calm())
            .and_then(|mut attempt| attempt.answer(|attempt| attempt.measure(&gateway))),
        Request::Try(order, plan) => {
            Attempt::new(order, plan).and_then(|mut attempt| attempt.answer(Attempt::run))
        }
        Request::Check(order) => {
            Attempt::new(order, Plan::calm()).and_then(|mut attempt| attempt.answer(Attempt::check))
        }
        Request::Stress(order) => {
            stress::driver::drive(order).map(|outcome| Answer::Stressed(Box::new(outcome)))
        }
    };
    outcome.unwrap_or_else(Answer::Undecided)
}

/// Why a try ends before its last step.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something that was expected did not hold.
    Broken(Broken),
    /// This machine does not let it be decided.
    Undecided(String),
}

/// An expectation that did not hold.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) check: String,
    pub(super) says: String,
    pub(super) line: Option<usize>,
}

/// A try under way.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) scenario: Scenario,
    pub(super) order: Order,
    pub(super) plan: Plan,
    pub(super) lanes: Vec<Lane>,
    pub(super) clock: Stopwatch,
    pub(super) record: Record,
    pub(super) random: Random,
    /// The lanes that were started since the last wait.
    pub(super) fresh: BTreeSet<usize>,
    /// When the scenario deleted lock files, or changed what is in them.
    pub(super) removals: Vec<u64>,
    /// The inode of each lock file since it was first seen under an owner, and the lane of that owner.
    pub(super) lock_inodes: BTreeMap<PathBuf, (u64, usize)>,
    /// What fills the disk of each state directory.
    pub(super) fillers: BTreeMap<String, Vec<OwnedFd>>,
}

impl Attempt {
    fn new(order: Order, plan: Plan) -> Result<Self, String> {
        let scenario = parse_as(&order.name, Path::new(&order.file), &order.source)
            .map_err(|problems| format!("the scenario has {} problems", problems.len()))?;
        let case = scenario.cases().into_iter().find(|case| case.id == order.case);
        let scenario = case.ok_or_else(|| format!("there is no case {}", order.case))?.scenario;
        let scenario = match order.room {
            Room::Own => scenario,
            Room::Shared { shift } => shift::moved(&scenario, order.target.ports.span(), shift)?,
        };
        let scenario = scenario.with_browsers_from(order.target.ports.first_of_browsers());
        let gateways = scenario.gateways.iter().map(|gateway| Lane {
            name: gateway.name.clone(),
            role: Role::Gateway(Box::new(gateway.clone())),
            life: None,
        });
        let bystanders = scenario.processes.iter().map(|bystander| Lane {
            name: bystander.name.clone(),
            role: Role::Bystander(bystander.clone()),
            life: None,
        });
        let lanes = gateways.chain(bystanders).collect();
        let random = Random::new(plan.seed, plan.attempt);
        let attempt = Self {
            scenario,
            order,
            plan,
            lanes,
            clock: Stopwatch::start(),
            record: Record::default(),
            random,
            fresh: BTreeSet::new(),
            removals: Vec::new(),
            lock_inodes: BTreeMap::new(),
            fillers: BTreeMap::new(),
        };
        attempt.mount_disks()?;
        for (path, text) in attempt.scenario.gateways.iter().flat_map(|gateway| attempt.files(gateway)) {
            files::create(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(attempt)
    }

    /// How long something that must come may take, in microseconds. A machine that is slower decides nothing.
    pub(super) fn patience_us(&self) -> u64 {
        self.order.target.ready_within.max(self.order.target.stop_within).0 * 1_000
    }

    /// Does something, then ends every process, whatever came of it.
    fn answer(&mut self, work: impl FnOnce(&mut Self) -> Result<Answer, Stop>) -> Result<Answer, String> {
        let outcome = work(self);
        self.end_everything();
        match outcome {
            Ok(answer) => Ok(answer),
            Err(Stop::Broken(Broken { check, says, line })) => {
                Ok(Answer::Broken { check, says, line, seen: self.record.lines() })
            }
            Err(Stop::Undecided(reason)) => Err(reason),
        }
    }

    fn run(&mut self) -> Result<Answer, Stop> {
        let steps: Vec<_> = self.scenario.setup.iter().chain(&self.scenario.steps).cloned().collect();
        for step in &steps {
            self.step(step)?;
        }
        self.settle()?;
        self.ask_again()?;
        self.judge_end()?;
        let kills = self.kills();
        // Whoever starts afresh starts without faults.
        self.fillers.clear();
        self.judge_wedge()?;
        Ok(Answer::Held(kills))
    }

    fn measure(&mut self, gateway: &str) -> Result<Answer, Stop> {
        let lane = self.lane(gateway)?;
        self.start(lane)?;
        self.settle()?;
        let life = self.lanes[lane].life.as_ref();
        let times =
            life.map(|life| (life.started_us, life.said.ready_us.or(life.ended.map(|(at_us, _)| at_us))));
        match times {
            Some((from_us, Some(until_us))) => Ok(Answer::Measured(until_us.saturating_sub(from_us))),
            Some((_, None)) | None => Err(Stop::Undecided(format!("{gateway} neither starts nor ends"))),
        }
    }

    fn kills(&self) -> Kills {
        let lives = self.lanes.iter().filter_map(|lane| lane.life.as_ref());
        let killed = lives.filter(|life| {
            life.is_planned
                && matches!(life.ended, Some((_, Ended::Signaled(signal))) if signal == Signal::KILL.as_raw())
        });
        killed.fold(Kills::default(), |kills, life| Kills {
            all: kills.all + 1,
            inside: kills.inside + u32::from(life.said.ready_us.is_none()),
        })
    }

    /// The lane of a name.
    pub(super) fn lane(&self, name: &str) -> Result<usize, Stop> {
        let found = self.lanes.iter().position(|lane| lane.name == name);
        found.ok_or_else(|| Stop::Undecided(format!("nobody is called {name}")))
    }

    /// Waits until each process that was started is settled, and those that somebody else has killed are gone.
    pub(super) fn settle(&mut self) -> Result<(), Stop> {
        self.fresh.clear();
        self.wait_until("everybody is settled", |attempt| {
            attempt
                .lanes
                .iter()
                .all(|lane| lane.is_settled() && lane.living().is_none_or(|life| life.child.is_alive()))
        })
    }

    /// Watches until something holds.
    pub(super) fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), Stop> {
        let patience_us = self.patience_us();
        let deadline_us = self.clock.now_us() + patience_us;
        while !holds(self) {
            if self.clock.now_us() >= deadline_us {
                let fates: Vec<String> =
                    self.lanes.iter().map(|lane| format!("{} is {}", lane.name, lane.fate())).collect();
                let seconds = patience_us / 1_000_000;
                return Err(Stop::Undecided(format!(
                    "waited {seconds} s until {what}: {}",
                    fates.join(", ")
                )));
            }
            self.watch(deadline_us)?;
        }
        Ok(())
    }

    /// Watches until a moment has come.
    pub(super) fn watch_until(&mut self, moment_us: u64) -> Result<(), Stop> {
        while self.clock.now_us() < moment_us {
            self.watch(moment_us)?;
        }
        Ok(())
    }

    /// Carries out what is due, then waits for the next event and judges it. Returns after the first batch of events,
    /// or when something is due.
    pub(super) fn watch(&mut self, latest_us: u64) -> Result<(), Stop> {
        let limit_ms = self.scenario.explore.real_ms;
        let limit_us = limit_ms.map_or(u64::MAX, |limit_ms| limit_ms * 1_000);
        if let Some(limit_ms) = limit_ms.filter(|_| self.clock.now_us() >= limit_us) {
            return Err(Stop::Undecided(format!(
                "the limit of {limit_ms} ms for one try is reached: `[limits] real_ms` raises it"
            )));
        }
        let latest_us = latest_us.min(limit_us);
        let next_us = self.kill_what_is_due()?.map_or(latest_us, |due_us| due_us.min(latest_us));
        let asked_us = self.lanes.iter().filter_map(|lane| Some(lane.asked()?.due_us())).min();
        let next_us = asked_us.map_or(next_us, |due_us| due_us.min(next_us));
        let timeout_us = next_us.saturating_sub(self.clock.now_us());
        let seen = look(&mut self.lanes, timeout_us).map_err(|blind| match blind {
            Blind::Abandoned => Stop::Undecided("interrupted".to_owned()),
            Blind::Failed(errno) => Stop::Undecided(format!("the processes cannot be watched: {errno}")),
        })?;
        let now_us = self.clock.now_us();
        let mut owners = Vec::new();
        let mut ended = Vec::new();
        for event in seen {
            match event {
                Seen::Line { lane, channel, text } => {
                    if self.hear(now_us, lane, channel, &text) {
                        owners.push(lane);
                    }
                }
                Seen::Ended { lane, ended: how } => {
                    self.note_end(now_us, lane, how);
                    ended.push(lane);
                }
            }
        }
        for lane in self.ask_on() {
            if self.note_answer(now_us, lane) {
                owners.push(lane);
            }
        }
        owners.into_iter().try_for_each(|lane| self.judge_owner(lane))?;
        ended.into_iter().try_for_each(|lane| self.judge_ended(lane))
    }

    /// Kills what the plan says is to be killed by now. Returns when the next one is due.
    fn kill_what_is_due(&mut self) -> Result<Option<u64>, Stop> {
        let now_us = self.clock.now_us();
        let due = |life: &super::lane::Life| life.kill_due_us.filter(|due_us| *due_us <= now_us);
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].living().and_then(due).is_some() {
                self.kill_by_plan(lane)?;
            }
        }
        Ok(self.lanes.iter().filter_map(|lane| lane.living()?.kill_due_us).min())
    }
}
