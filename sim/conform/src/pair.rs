//! One sequence on both machines, step by step, until an answer differs.

use std::collections::BTreeSet;

use portcullis_os::{Call, Errno, Reply};
use sim::kernel::{Life, Readiness};

use crate::allowed;
use crate::machine::Machine;
use crate::meaning::Meaning;
use crate::outcome::Outcome;
use crate::real::{Lab, Trouble};
use crate::sequence::{Op, Sequence, Step, Who};
use crate::simulation::{Scenery, Simulation, Taken, name};
use crate::symbols::Symbols;

/// How long the real machine may take for what the simulated one does at once, in milliseconds. What goes over the
/// loopback device may be on its way for a moment.
const PATIENCE_MS: u32 = 2_000;
/// How long a call must have waited before it counts as waiting, in milliseconds.
const GLANCE_MS: u32 = 1;

/// A sequence as it went.
#[derive(Clone, Debug)]
pub struct Course {
    /// What was done, in order; the last one is where the machines differ, if they do.
    pub lines: Vec<Line>,
    /// How it ended.
    pub verdict: Verdict,
}

/// One step as it went on both machines.
#[derive(Clone, Debug)]
pub struct Line {
    /// The step.
    pub step: Step,
    /// The call in the numbers of the simulated machine, if it was one.
    pub call: Option<Call>,
    /// What the simulated machine said.
    pub simulated: Option<Outcome>,
    /// What the real one said.
    pub real: Option<Outcome>,
    /// Why the two may differ, if they do.
    pub allowed: Option<&'static str>,
}

/// What a comparison has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every answer was the same.
    Same,
    /// The last answer differs, or something else that can be seen does.
    Differs(String),
    /// A call that one of them does not know: what follows cannot be compared.
    Cut(Call),
}

/// Whether a real machine can be used for another sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Sound,
    /// A process in it may hang.
    Broken,
}

/// Both machines with one sequence on them.
struct Pair<'a, M> {
    simulation: Simulation<M>,
    lab: &'a mut Lab,
    symbols: Symbols,
    meaning: Meaning,
    limit: Option<u32>,
    dead: BTreeSet<Who>,
    reaped: BTreeSet<Who>,
    stopped: BTreeSet<Who>,
    lines: Vec<Line>,
}

/// Runs a sequence on both machines. A process that does not answer, dies or lives on when it should not makes a
/// difference, too; but the real machine is of no more use then, and that is the second part of the answer.
///
/// # Errors
///
/// What is wrong with the real machine, other than that.
pub fn run<M: Machine>(
    machine: M,
    lab: &mut Lab,
    sequence: &Sequence,
    scenery: &Scenery,
) -> Result<(Course, Health), Trouble> {
    let directory = &scenery.site.directory;
    lab.directory(directory, sequence.mode)?;
    let mut pair = Pair {
        simulation: Simulation::new(machine, sequence, scenery),
        lab,
        symbols: Symbols::new(&scenery.site),
        meaning: Meaning::default(),
        limit: sequence.limit,
        dead: BTreeSet::new(),
        reaped: BTreeSet::new(),
        stopped: BTreeSet::new(),
        lines: Vec::new(),
    };
    pair.begin(sequence)?;
    let ended = pair.all(sequence);
    let lines = pair.lines;
    match ended {
        Ok(verdict) => {
            lab.clear(directory)?;
            Ok((Course { lines, verdict }, Health::Sound))
        }
        Err(Trouble::Broken(reason)) => {
            Ok((Course { lines, verdict: Verdict::Differs(reason) }, Health::Broken))
        }
        Err(trouble @ Trouble::Impossible(_)) => Err(trouble),
    }
}

impl<M: Machine> Pair<'_, M> {
    fn begin(&mut self, sequence: &Sequence) -> Result<(), Trouble> {
        self.born(Who::Init, portcullis_os::Pid::new(1))?;
        for (number, uid) in (0..).zip(&sequence.users) {
            let pid = self.lab.start(Who::First(number), *uid, &name(number))?;
            self.born(Who::First(number), Some(pid))?;
            self.limit(Who::First(number))?;
        }
        Ok(())
    }

    fn limit(&mut self, who: Who) -> Result<(), Trouble> {
        self.limit.map_or(Ok(()), |limit| self.lab.limit(who, limit))
    }

    fn born(&mut self, who: Who, real: Option<portcullis_os::Pid>) -> Result<(), Trouble> {
        let simulated = self.simulation.symbols.pids().find(|(other, _)| *other == who);
        let (Some((_, simulated)), Some(real)) = (simulated, real) else {
            return Err(Trouble::Broken(format!("{who} is on one machine only")));
        };
        self.symbols.born(who, real);
        self.meaning.born(simulated, real);
        Ok(())
    }

    fn all(&mut self, sequence: &Sequence) -> Result<Verdict, Trouble> {
        for step in &sequence.steps {
            let verdict = self.step(step)?;
            if verdict != Verdict::Same {
                return Ok(verdict);
            }
        }
        for (who, life) in self.lives() {
            let should_be_dead = matches!(life, Life::Dead(_));
            if !should_be_dead && self.lab.is_dead(who)? {
                return Ok(Verdict::Differs(format!("{who} is dead on the real machine")));
            }
        }
        Ok(Verdict::Same)
    }

    fn step(&mut self, step: &Step) -> Result<Verdict, Trouble> {
        let taken = self.simulation.take(step);
        if taken == Taken::Skipped {
            return Ok(Verdict::Same);
        }
        let mut line = Line { step: step.clone(), call: None, simulated: None, real: None, allowed: None };
        let verdict = match taken {
            Taken::Skipped => Verdict::Same,
            Taken::Called { call, readiness, outcome } => {
                line.call = Some(call.clone());
                line.simulated = Some(outcome.clone());
                self.lines.push(line);
                self.call(step, &call, readiness, &outcome)?
            }
            Taken::Happened => {
                self.lines.push(line);
                self.happen(step)?
            }
        };
        self.settle()?;
        Ok(verdict)
    }

    fn call(
        &mut self,
        step: &Step,
        call: &Call,
        readiness: Readiness,
        simulated: &Outcome,
    ) -> Result<Verdict, Trouble> {
        if *simulated == Outcome::Reply(Err(Errno::NotImplemented)) {
            return Ok(Verdict::Cut(call.clone()));
        }
        let Op::Call(template) = &step.op else { return Ok(Verdict::Same) };
        let Some(mut real_call) = self.symbols.resolve(template) else {
            return Ok(Verdict::Differs("the real machine never gave what this step refers to".to_owned()));
        };
        let patience = patience(&mut real_call, readiness);
        if self.simulation.life(step.who) != Some(Life::Running) {
            // It has stopped or ended itself, and answers nobody.
            self.lab.last_call(step.who, real_call, patience)?;
            return Ok(Verdict::Same);
        }
        let real = self.lab.call(step.who, real_call, patience)?;
        if let Some(line) = self.lines.last_mut() {
            line.real = Some(real.clone());
        }
        if let Outcome::Reply(Ok(reply)) = &real {
            self.symbols.answered(step.label, reply.clone());
            if let Call::Spawn { .. } = call {
                let child = Who::Child(step.label);
                let pid = self.lab.welcome(child)?;
                self.born(child, Some(pid))?;
            }
        }
        if let (Call::Reap { pid }, Outcome::Reply(Ok(_))) = (call, &real) {
            self.reaped
                .extend(self.simulation.symbols.pids().filter(|(_, other)| other == pid).map(|(who, _)| who));
        }
        let same = match (simulated, &real) {
            (_, Outcome::Reply(Err(Errno::NotImplemented))) => return Ok(Verdict::Cut(call.clone())),
            (Outcome::Reply(Ok(one)), Outcome::Reply(Ok(other))) => self.meaning.agree(call, one, other),
            (one, other) => one == other,
        };
        if same {
            return Ok(Verdict::Same);
        }
        match (allowed::reason(call, simulated, &real), self.lines.last_mut()) {
            (Some(reason), Some(line)) => {
                line.allowed = Some(reason);
                Ok(Verdict::Same)
            }
            (Some(_) | None, _) => Ok(Verdict::Differs("the answers differ".to_owned())),
        }
    }

    fn happen(&mut self, step: &Step) -> Result<Verdict, Trouble> {
        match &step.op {
            Op::Exit(status) => self.lab.exit(step.who, *status)?,
            Op::Signal(signal) => self.lab.signal(step.who, *signal)?,
            Op::Collect => {
                self.lab.reap(step.who)?;
                self.reaped.insert(step.who);
            }
            Op::Fork => {
                let child = Who::Child(step.label);
                let pid = self.lab.fork(step.who, child)?;
                self.born(child, Some(pid))?;
            }
            Op::Exec => {
                self.lab.execute(step.who)?;
                // It is part of the process, but the agent has forgotten it.
                self.limit(step.who)?;
            }
            Op::Thread => {
                let tid = self.lab.thread(step.who)?;
                self.symbols.answered(step.label, Reply::Pid(tid));
                if let Some(simulated) = self.simulation.symbols.returned_pid(step.label) {
                    self.meaning.born(simulated, tid);
                }
            }
            Op::Call(_) => {}
        }
        Ok(Verdict::Same)
    }

    /// Lets the real machine come to rest: whoever dies, stops or takes a signal there does so a
    /// moment after it was told to.
    fn settle(&mut self) -> Result<(), Trouble> {
        for (who, life) in self.lives() {
            match life {
                Life::Dead(_) => {
                    if self.dead.insert(who) {
                        self.lab.wait_until_dead(who)?;
                    }
                    if !self.simulation.is_zombie(who) && self.reaped.insert(who) {
                        self.lab.reap(who)?;
                    }
                }
                Life::Stopped => {
                    if self.stopped.insert(who) {
                        self.lab.wait_until_stopped(who)?;
                    }
                }
                Life::Running => {
                    self.stopped.remove(&who);
                    if self.simulation.has_threads(who) {
                        self.lab.wait_until_at_rest(who)?;
                    }
                }
                // Neither is asked for: death is at once here, and nobody sleeps so deeply.
                Life::Uninterruptible | Life::Dying(_) => {}
            }
        }
        Ok(())
    }

    /// Every process but the first of the namespace.
    fn lives(&self) -> Vec<(Who, Life)> {
        let kernel = self.simulation.machine.kernel();
        self.simulation
            .processes()
            .filter(|(who, _)| *who != Who::Init)
            .map(|(who, id)| (who, kernel.life(id)))
            .collect()
    }
}

/// How long the real machine may take for a call, `None` if it cannot wait at all. Deadlines in the call itself are set to
/// what the simulated machine expects of them.
fn patience(call: &mut Call, readiness: Readiness) -> Option<u32> {
    let (deadline, patience) = match readiness {
        Readiness::Ready => (PATIENCE_MS, Some(PATIENCE_MS)),
        Readiness::WaitsUntilDeadline => (GLANCE_MS, Some(PATIENCE_MS)),
        Readiness::Waits => (GLANCE_MS, Some(GLANCE_MS)),
    };
    match call {
        Call::Receive { deadline_ms, .. }
        | Call::ReceiveFd { deadline_ms, .. }
        | Call::WaitPidfd { deadline_ms, .. }
        | Call::ConnectTcp { deadline_ms, .. } => {
            *deadline_ms = deadline;
            patience
        }
        Call::Accept { .. }
        | Call::NextSignal
        | Call::Watch { .. }
        | Call::CatchSignals
        | Call::Sleep { .. } => patience,
        _ => None,
    }
}
