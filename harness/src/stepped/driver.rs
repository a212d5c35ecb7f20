//! Drives schedules on real processes: each step is granted at its place, and what comes of it is compared at once.
//!
//! # Invariants
//!
//! - Between two steps every process stands still: it waits for its next grant, is stopped, or is dead and reaped.
//! - A process that the simulated machine calls dead or stopped is waited for before the next step.
//! - After a schedule nothing of it is left: no process, no file.

use std::future::Future;
use std::io::BufReader;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use portcullis_os::{Call, Ending, Linux, Os, Pid, Signal, Tick};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{
    PidfdFlags, Signal as Raw, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal, waitid,
};

use super::difference::{answered, apart, asked as asked_for};
use super::meaning::Meaning;
use super::os::Answer;
use super::process::{self, Part};
use super::room;
use super::wire::{self, Act, Fate, Grant, Order, Outcome, Step, Told};
use crate::designs::Design;
use crate::machine::{self, Furniture};
use crate::scenario::parse_as;
use crate::simulate::{self, Simulation};

/// How long a step may take, in seconds. A machine that is slower decides nothing.
const PATIENCE_S: u32 = 30;

/// Serves the standard input: an order, then schedules, each of which is answered on the standard output.
pub(super) fn serve() {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut driver = match wire::read::<Order>(&mut input) {
        Ok(Some(order)) => Driver::new(&order),
        Ok(None) => return,
        Err(error) => Err(format!("the order is not understood: {error}")),
    };
    loop {
        let outcome = match (wire::read::<Vec<Step>>(&mut input), &mut driver) {
            (Ok(None), _) => return,
            (Ok(Some(steps)), Ok(driver)) => driver.drive(&steps),
            (Ok(Some(_)), Err(reason)) => Outcome::Undecided(reason.clone()),
            (Err(error), _) => Outcome::Undecided(format!("the schedule is not understood: {error}")),
        };
        if wire::write(&mut output, &outcome).is_err() {
            return;
        }
    }
}

/// Why a schedule ends before its last step.
enum Stop {
    Different(String),
    Unsupported(String),
    Undecided(String),
}

fn undecided(what: &'static str) -> impl Fn(rustix::io::Errno) -> Stop {
    move |errno| Stop::Undecided(format!("{what}: {errno}"))
}

/// Whoever drives the schedules of one case.
struct Driver {
    furniture: Vec<Furniture>,
    /// What each slot plays, and under which command name.
    parts: Vec<(Part, String)>,
    processes: Vec<Option<Process>>,
    meaning: Meaning,
}

/// A process that was started and not reaped.
struct Process {
    pidfd: OwnedFd,
    control: BufReader<UnixStream>,
}

impl Driver {
    fn new(order: &Order) -> Result<Self, String> {
        let scenario = parse_as(&order.name, Path::new(&order.file), &order.source)
            .map_err(|problems| format!("the scenario has {} problems", problems.len()))?;
        let case = scenario.cases().into_iter().find(|case| case.id == order.case);
        let scenario = case.ok_or_else(|| format!("there is no case {}", order.case))?.scenario;
        let design =
            Design::of(&order.design).ok_or_else(|| format!("no design is called {}", order.design))?;
        let gateways = scenario.gateways.len();
        let slots = Simulation::new(&scenario, design).setup.slots;
        let parts: Vec<_> = slots
            .into_iter()
            .take(gateways + scenario.processes.len())
            .enumerate()
            .map(|(number, slot)| {
                let part = match scenario.gateways.get(number) {
                    Some(gateway) => Part::Gateway(design, Box::new(simulate::claim(&scenario, gateway))),
                    None => Part::Bystander(slot.listens),
                };
                (part, slot.spawn.name)
            })
            .collect();
        let meaning = Meaning::new(parts.len());
        let processes = parts.iter().map(|_| None).collect();
        let mut furniture = machine::furniture(&scenario);
        furniture.extend(machine::temporaries(&scenario, design));
        Ok(Self { furniture, parts, processes, meaning })
    }

    fn drive(&mut self, steps: &[Step]) -> Outcome {
        self.meaning = Meaning::new(self.parts.len());
        let mut outcome = match room::prepare(&self.furniture) {
            Ok(()) => Outcome::Same,
            Err(reason) => Outcome::Undecided(reason),
        };
        if outcome == Outcome::Same {
            let stop = (0..).zip(steps).find_map(|(number, step)| Some((number, self.step(step).err()?)));
            outcome = match stop {
                None => Outcome::Same,
                Some((step, Stop::Different(says))) => Outcome::Different { step, says },
                Some((_, Stop::Unsupported(reason))) => Outcome::Unsupported(reason),
                Some((_, Stop::Undecided(reason))) => Outcome::Undecided(reason),
            };
        }
        match self.end_everything() {
            Ok(()) => outcome,
            Err(Stop::Different(reason) | Stop::Unsupported(reason) | Stop::Undecided(reason)) => {
                Outcome::Undecided(reason)
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Stop> {
        let acting = match &step.act {
            Act::Call { slot, task, call, times_out, answer } => {
                let perform = self.meaning.real(*slot, call, *times_out).map_err(Stop::Unsupported)?;
                self.tell(*slot, &Grant::Carry { task: *task, perform, answer: answer.clone() })?;
                Some((*slot, Some((call, answer))))
            }
            Act::Start { slot, pid } => {
                self.start(*slot, *pid)?;
                Some((*slot, None))
            }
            Act::Exit { slot } => {
                self.tell(*slot, &Grant::Exit)?;
                None
            }
            Act::Signal { slot, signal } => {
                self.signal(*slot, *signal)?;
                None
            }
            Act::Remove(paths) => {
                room::remove_files(paths).map_err(Stop::Undecided)?;
                None
            }
        };
        let ends = |slot: usize| {
            step.fates.iter().any(|(other, fate)| *other == slot && matches!(fate, Fate::Ends(_)))
        };
        if let Some((slot, asked)) = acting.filter(|(slot, _)| !ends(*slot)) {
            let told = self.hear(slot)?;
            self.compare(slot, asked, &told, step)?;
        }
        step.fates.iter().try_for_each(|(slot, fate)| self.wait_for(*slot, *fate))
    }

    /// Compares what a process has told with what the simulated one has done.
    fn compare(
        &mut self,
        slot: usize,
        asked: Option<(&Call, &Answer)>,
        told: &Told,
        step: &Step,
    ) -> Result<(), Stop> {
        match (asked, &told.said) {
            (Some((call, answer)), Some(said)) => {
                if !self.meaning.is_same(slot, call, answer, said) {
                    let (simulated, real) = apart(answer, said, answered);
                    return Err(Stop::Different(format!(
                        "the simulated machine answers {simulated}, this one {real}"
                    )));
                }
            }
            (Some((Call::Sleep { .. }, _)) | None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err(Stop::Different("the call was not carried out".to_owned()));
            }
        }
        if told.asks != step.asks {
            let (simulated, real) = apart(&*step.asks, &told.asks, asked_for);
            return Err(Stop::Different(format!(
                "the simulated process asks for {simulated} next, this one for {real}"
            )));
        }
        if told.exit != step.exit {
            return Err(Stop::Different(format!(
                "the simulated process ends with {:?}, this one with {:?}",
                step.exit, told.exit
            )));
        }
        Ok(())
    }

    fn start(&mut self, slot: usize, pid: u32) -> Result<(), Stop> {
        let pid = Pid::new(pid).ok_or_else(|| Stop::Undecided("no process has pid 0".to_owned()))?;
        let (part, name) =
            self.parts.get(slot).cloned().ok_or_else(|| Stop::Undecided("no such slot".to_owned()))?;
        let trouble =
            |error: std::io::Error| Stop::Undecided(format!("a process cannot be started: {error}"));
        let (mine, theirs) = UnixStream::pair().map_err(trouble)?;
        if room::fork_as(pid).map_err(Stop::Undecided)?.is_none() {
            drop(mine);
            process::play(part, &name, theirs);
        }
        drop(theirs);
        mine.set_read_timeout(Some(Duration::from_secs(PATIENCE_S.into()))).map_err(trouble)?;
        let raw = rustix::process::Pid::from_raw(pid.get().cast_signed());
        let raw = raw.ok_or_else(|| Stop::Undecided("no process has pid 0".to_owned()))?;
        let pidfd = pidfd_open(raw, PidfdFlags::empty()).map_err(undecided("no pidfd"))?;
        self.meaning.started(pid, tick(pid).ok_or_else(|| Stop::Undecided("no start tick".to_owned()))?);
        self.processes[slot] = Some(Process { pidfd, control: BufReader::new(mine) });
        Ok(())
    }

    fn process(&mut self, slot: usize) -> Result<&mut Process, Stop> {
        let process = self.processes.get_mut(slot).and_then(Option::as_mut);
        process.ok_or_else(|| Stop::Different("there is no such process any more".to_owned()))
    }

    fn tell(&mut self, slot: usize, grant: &Grant) -> Result<(), Stop> {
        wire::write(self.process(slot)?.control.get_mut(), grant)
            .map_err(|error| Stop::Different(format!("the process cannot be told to go on: {error}")))
    }

    fn hear(&mut self, slot: usize) -> Result<Told, Stop> {
        match wire::read(&mut self.process(slot)?.control) {
            Ok(Some(told)) => Ok(told),
            Ok(None) => Err(Stop::Different("the process has ended".to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Err(Stop::Different(format!("the process does not come to rest within {PATIENCE_S} s")))
            }
            Err(error) => Err(Stop::Undecided(format!("the process is not understood: {error}"))),
        }
    }

    fn signal(&mut self, slot: usize, signal: Signal) -> Result<(), Stop> {
        // As on the simulated machine, a signal to nobody is none.
        let Some(process) = &self.processes[slot] else { return Ok(()) };
        pidfd_send_signal(&process.pidfd, raw_signal(signal)).map_err(undecided("a signal cannot be sent"))
    }

    fn wait_for(&mut self, slot: usize, fate: Fate) -> Result<(), Stop> {
        match fate {
            Fate::Runs => Ok(()),
            Fate::Stops => {
                let pidfd = self.process(slot)?.pidfd.as_fd();
                let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                let status = retry_on_intr(|| waitid(WaitId::PidFd(pidfd), options));
                match status.map_err(undecided("a process cannot be waited for"))? {
                    Some(status) if status.stopped() => Ok(()),
                    Some(_) | None => Err(Stop::Different("the process does not stop".to_owned())),
                }
            }
            Fate::Ends(ending) => {
                let seen = self.reap(slot)?;
                if seen == ending {
                    return Ok(());
                }
                Err(Stop::Different(format!("the process should be {ending:?} and is {seen:?}")))
            }
        }
    }

    /// Waits until a process is dead, and frees its pid.
    fn reap(&mut self, slot: usize) -> Result<Ending, Stop> {
        let process = self.process(slot)?;
        let mut fds = [PollFd::new(&process.pidfd, PollFlags::IN)];
        let patience = Timespec { tv_sec: PATIENCE_S.into(), tv_nsec: 0 };
        if retry_on_intr(|| poll(&mut fds, Some(&patience))).map_err(undecided("no poll"))? == 0 {
            return Err(Stop::Different(format!("the process is not dead after {PATIENCE_S} s")));
        }
        let id = WaitId::PidFd(process.pidfd.as_fd());
        let status = retry_on_intr(|| waitid(id.clone(), WaitIdOptions::EXITED));
        let status = status.map_err(undecided("a process cannot be reaped"))?;
        self.processes[slot] = None;
        status.map(|status| ending(&status)).ok_or_else(|| Stop::Undecided("nobody was reaped".to_owned()))
    }

    fn end_everything(&mut self) -> Result<(), Stop> {
        for slot in 0..self.processes.len() {
            if self.processes[slot].is_some() {
                self.signal(slot, Signal::Kill)?;
                self.reap(slot)?;
            }
        }
        Ok(())
    }
}

/// When a process was started.
fn tick(pid: Pid) -> Option<Tick> {
    let os = Linux::new(|_| {});
    let status = pin!(os.process_status(pid));
    // Files of `/proc` are read at once, so there is nothing to wait for.
    match status.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(status) => status.ok().map(|status| status.start),
        Poll::Pending => None,
    }
}

const fn raw_signal(signal: Signal) -> Raw {
    match signal {
        Signal::Terminate => Raw::TERM,
        Signal::Interrupt => Raw::INT,
        Signal::Kill => Raw::KILL,
        Signal::Stop => Raw::STOP,
        Signal::Continue => Raw::CONT,
        Signal::User1 => Raw::USR1,
        Signal::User2 => Raw::USR2,
    }
}

fn ending(status: &WaitIdStatus) -> Ending {
    if let Some(code) = status.exit_status() {
        return Ending::Exited(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let number = status.terminating_signal().unwrap_or_default();
    match Signal::ALL.into_iter().find(|signal| raw_signal(*signal).as_raw() == number) {
        Some(signal) => Ending::Killed(signal),
        None => Ending::KilledBy(u8::try_from(number).unwrap_or(u8::MAX)),
    }
}
