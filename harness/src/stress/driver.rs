//! The hand that starts, kills, stops and ends contenders, and deletes their lock file, for as long as it is told to.
//!
//! What is done to whom, and after how long, is drawn from the seed; what the kernel makes of it is its own.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;

use gateway::Reason;
use portcullis_os::Linux;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use tokio::runtime::Runtime;

use super::audit::Audit;
use super::breaches::Breaches;
use super::ends::{Life, PATIENCE_US, Statuses, Word};
use super::{Order, Outcome, contender, log};
use crate::designs::Design;
use crate::real::{Child, Ended, Random, Stopwatch, timespec};

/// How many contend at a time.
const CONTENDERS: usize = 8;
/// How long the journals go unread, in microseconds.
const AUDIT_US: u64 = 100_000;
/// The longest time until the next lock file is deleted, in microseconds.
const REMOVAL_US: u64 = 200_000;

/// What is done to a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Kill,
    Stop,
    Resume,
    End,
}

/// A contender under way.
#[derive(Debug)]
struct Contender {
    number: u32,
    child: Child,
    is_ready: bool,
    life: Life,
    /// When it must be ready or gone; `None` while nothing is asked of it.
    until_us: Option<u64>,
    /// What is done to it next, and when.
    due: Option<(u64, Deed)>,
}

/// Drives a stress to its end.
///
/// # Errors
///
/// Why nothing was shown.
pub(crate) fn drive(order: Order) -> Result<Outcome, String> {
    let mut driver = Driver::new(order)?;
    let driven = driver.run();
    // Whatever came of it: nobody writes any more when the log is read.
    driver.end_everybody()?;
    driven?;
    driver.judge()
}

struct Driver {
    order: Order,
    lock_files: Vec<PathBuf>,
    runtime: Runtime,
    os: Linux,
    /// `None` where the design keeps no journals.
    audit: Option<Audit>,
    statuses: Statuses,
    ends: Breaches,
    clock: Stopwatch,
    random: Random,
    contenders: Vec<Contender>,
    lives: u32,
    next_removal_us: u64,
    next_audit_us: u64,
    outcome: Outcome,
}

impl Driver {
    fn new(order: Order) -> Result<Self, String> {
        let design =
            Design::of(&order.design).ok_or_else(|| format!("no design is called {}", order.design))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("the runtime does not start: {error}"))?;
        let log = contender::log(&order.directory);
        #[expect(clippy::disallowed_methods, reason = "the named edge: the log that is judged in the end")]
        fs::write(&log, "").map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
        for name in ["config", "tmp"] {
            let path = order.directory.join(name);
            fs::create_dir(&path).map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        }
        Ok(Self {
            lock_files: design.lock_files(&contender::state(&order.directory)),
            runtime,
            os: Linux::new(|_| ()),
            audit: design.keeps_journals().then(Audit::default),
            statuses: if design.keeps_journals() { Statuses::Documented } else { Statuses::Any },
            ends: Breaches::default(),
            clock: Stopwatch::start(),
            random: Random::new(order.seed, 0),
            contenders: Vec::new(),
            lives: 0,
            next_removal_us: REMOVAL_US,
            next_audit_us: AUDIT_US,
            outcome: Outcome::default(),
            order,
        })
    }

    fn run(&mut self) -> Result<(), String> {
        let end_us = u64::from(self.order.seconds) * 1_000_000;
        while self.clock.now_us() < end_us {
            while self.contenders.len() < CONTENDERS {
                self.start()?;
            }
            let next_us = self.next_us().min(end_us);
            self.wait(next_us)?;
            self.hear();
            self.act()?;
            self.reap()?;
            self.lose_patience()?;
            self.operate();
            self.look()?;
        }
        self.wind_down()
    }

    /// Tells everybody to end, and waits until they have: nothing that was done before may keep one from it.
    fn wind_down(&mut self) -> Result<(), String> {
        let now_us = self.clock.now_us();
        for contender in &mut self.contenders {
            contender.child.signal(Signal::CONT).map_err(lost)?;
            contender.tell_to_end(now_us)?;
            contender.due = None;
        }
        while !self.contenders.is_empty() {
            self.wait(self.next_us())?;
            self.hear();
            self.reap()?;
            self.lose_patience()?;
            self.look()?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), String> {
        self.lives += 1;
        let child = Child::start(&mut contender::command(&self.order, self.lives))
            .map_err(|error| format!("a contender does not start: {error}"))?;
        let deed = match self.random.up_to(99) {
            0..12 => Some(Deed::Kill),
            12..16 => Some(Deed::Stop),
            _ => None,
        };
        let now_us = self.clock.now_us();
        self.contenders.push(Contender {
            number: self.lives,
            child,
            is_ready: false,
            life: Life::default(),
            until_us: Some(now_us + PATIENCE_US),
            due: deed.map(|deed| (now_us + self.random.up_to(40_000), deed)),
        });
        Ok(())
    }

    /// When something is due.
    fn next_us(&self) -> u64 {
        let deeds = self.contenders.iter().filter_map(|contender| contender.due).map(|(at_us, _)| at_us);
        let ends = self.contenders.iter().filter_map(|contender| contender.until_us);
        deeds.chain(ends).chain([self.next_removal_us, self.next_audit_us]).min().unwrap_or_default()
    }

    /// Waits until somebody says something or ends, or that moment has come.
    fn wait(&self, until_us: u64) -> Result<(), String> {
        let input = std::io::stdin();
        let mut fds = vec![PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN)];
        for contender in &self.contenders {
            fds.push(PollFd::from_borrowed_fd(contender.child.as_fd(), PollFlags::IN));
            let pipes = contender.child.pipes.iter().filter_map(crate::real::Pipe::open);
            fds.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
        }
        let timeout_us = until_us.saturating_sub(self.clock.now_us());
        match poll(&mut fds, Some(&timespec(timeout_us))) {
            // There is one order only, so what can be read here is the end.
            Ok(_) if !fds[0].revents().is_empty() => Err("interrupted".to_owned()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(format!("the contenders cannot be watched: {errno}")),
        }
    }

    fn hear(&mut self) {
        let now_us = self.clock.now_us();
        for contender in &mut self.contenders {
            contender.hear(now_us, &mut self.random, &mut self.outcome);
        }
    }

    /// Does what is due.
    fn act(&mut self) -> Result<(), String> {
        let now_us = self.clock.now_us();
        for contender in &mut self.contenders {
            let Some((_, deed)) = contender.due.take_if(|(at_us, _)| *at_us <= now_us) else { continue };
            let signal = match deed {
                Deed::Kill => Signal::KILL,
                Deed::Stop => Signal::STOP,
                Deed::Resume => Signal::CONT,
                Deed::End => {
                    contender.tell_to_end(now_us)?;
                    continue;
                }
            };
            contender.child.signal(signal).map_err(unsignalled)?;
            contender.due = match deed {
                Deed::Kill | Deed::End => {
                    contender.life.is_killed = true;
                    contender.until_us = Some(now_us + PATIENCE_US);
                    None
                }
                Deed::Stop => {
                    contender.until_us = None;
                    contender.child.wait_until_stopped().map_err(unsignalled)?;
                    self.outcome.stops += u64::from(contender.child.is_stopped());
                    Some((now_us + 5_000 + self.random.up_to(25_000), Deed::Resume))
                }
                Deed::Resume => Some((now_us + self.random.up_to(10_000), Deed::Kill)),
            };
        }
        Ok(())
    }

    /// Buries who has ended.
    fn reap(&mut self) -> Result<(), String> {
        let now_us = self.clock.now_us();
        let mut living = Vec::with_capacity(self.contenders.len());
        for mut contender in self.contenders.drain(..) {
            let Some(ended) = contender.child.reap().map_err(lost)? else {
                living.push(contender);
                continue;
            };
            // What it said last is there by now.
            contender.hear(now_us, &mut self.random, &mut self.outcome);
            match contender.life.strange(ended, self.statuses) {
                Some(what) => self.ends.add(|| format!("contender {} {what}", contender.number)),
                None if ended == Ended::Signaled(Signal::KILL.as_raw()) => {
                    self.outcome.kills += 1;
                    self.outcome.kills_inside += u64::from(!contender.is_ready);
                }
                None => {}
            }
        }
        self.contenders = living;
        Ok(())
    }

    /// Kills who takes too long: it hangs.
    fn lose_patience(&mut self) -> Result<(), String> {
        let now_us = self.clock.now_us();
        for contender in &mut self.contenders {
            if contender.until_us.take_if(|until_us| *until_us <= now_us).is_none() {
                continue;
            }
            let doing = match &contender.life {
                Life { is_killed: true, .. } => "was killed",
                Life { is_told: true, .. } => "was told to end",
                Life { .. } => "has begun",
            };
            let (number, seconds) = (contender.number, PATIENCE_US / 1_000_000);
            self.ends.add(|| format!("contender {number} {doing}, and hangs {seconds} s later"));
            contender.child.signal(Signal::KILL).map_err(unsignalled)?;
            contender.life.is_killed = true;
            contender.due = None;
        }
        Ok(())
    }

    /// Deletes a lock file now and then.
    fn operate(&mut self) {
        let now_us = self.clock.now_us();
        if now_us < self.next_removal_us {
            return;
        }
        self.next_removal_us = now_us + self.random.up_to(REMOVAL_US);
        for path in &self.lock_files {
            #[expect(clippy::disallowed_methods, reason = "the named edge: an operator deletes a file")]
            if self.random.up_to(1) == 0 && fs::remove_file(path).is_ok() {
                self.outcome.removals += 1;
            }
        }
    }

    /// Reads the journals now and then.
    fn look(&mut self) -> Result<(), String> {
        let now_us = self.clock.now_us();
        if now_us < self.next_audit_us {
            return Ok(());
        }
        self.next_audit_us = now_us + AUDIT_US;
        let Some(audit) = &mut self.audit else { return Ok(()) };
        let state = contender::state(&self.order.directory);
        self.runtime.block_on(audit.look(&self.os, &state)).map_err(unread)
    }

    fn end_everybody(&mut self) -> Result<(), String> {
        for contender in &self.contenders {
            contender.child.signal(Signal::KILL).map_err(lost)?;
        }
        while let Some(contender) = self.contenders.pop() {
            while contender.child.reap().map_err(lost)?.is_none() {
                let mut fds = [PollFd::from_borrowed_fd(contender.child.as_fd(), PollFlags::IN)];
                rustix::io::retry_on_intr(|| poll(&mut fds, None)).map_err(lost)?;
            }
        }
        Ok(())
    }

    fn judge(mut self) -> Result<Outcome, String> {
        let path = contender::log(&self.order.directory);
        #[expect(clippy::disallowed_methods, reason = "the named edge: the log that is judged in the end")]
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let judged = log::judge(&text)?;
        let outcome = &mut self.outcome;
        outcome.acquisitions = judged.owners;
        outcome.writes = judged.writes;
        let mut breaches = vec![judged.breaches, self.ends];
        if let Some(mut audit) = self.audit.take() {
            let state = contender::state(&self.order.directory);
            self.runtime.block_on(audit.close(&self.os, &state)).map_err(unread)?;
            breaches.push(audit.breaches);
        }
        for Breaches { count, shown } in breaches {
            outcome.violations += count;
            outcome.shown.extend(shown);
        }
        outcome.acquire_us.sort_unstable();
        outcome.refuse_us.sort_unstable();
        Ok(self.outcome)
    }
}

impl Contender {
    /// Tells it to end, which it must then do.
    fn tell_to_end(&mut self, now_us: u64) -> Result<(), String> {
        self.child.signal(Signal::TERM).map_err(unsignalled)?;
        self.life.is_told = true;
        self.until_us = Some(now_us + PATIENCE_US);
        Ok(())
    }

    /// Takes down what it has said since.
    fn hear(&mut self, now_us: u64, random: &mut Random, outcome: &mut Outcome) {
        let complaints = self.child.pipes[1].lines();
        self.life.complaint = self.life.complaint.take().or_else(|| complaints.into_iter().next());
        for line in self.child.pipes[0].lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["owner"] if !self.life.is_told => self.due = Some(fate(random, now_us)),
                ["ready", us] => {
                    self.is_ready = true;
                    if !self.life.is_told && !self.life.is_killed {
                        self.until_us = None;
                    }
                    outcome.acquire_us.extend(us.parse::<u64>());
                }
                ["released"] => self.life.word = Word::Released,
                ["refused", us, code] => {
                    self.life.word = Word::Refused(code.to_owned());
                    if code == Reason::Fenced.code() {
                        outcome.fenced += 1;
                    } else {
                        outcome.refusals += 1;
                        outcome.refuse_us.extend(us.parse::<u64>());
                    }
                }
                _ => {}
            }
        }
    }
}

/// What becomes of an owner: some are killed, some stopped, some told to end.
fn fate(random: &mut Random, now_us: u64) -> (u64, Deed) {
    let deed = match random.up_to(99) {
        0..60 => Deed::Kill,
        60..80 => Deed::Stop,
        _ => Deed::End,
    };
    (now_us + random.up_to(16_000), deed)
}

fn unsignalled(errno: Errno) -> String {
    format!("a contender cannot be signalled: {errno}")
}

fn lost(errno: Errno) -> String {
    format!("a contender is lost: {errno}")
}

fn unread(errno: portcullis_os::Errno) -> String {
    format!("the journals cannot be read: {errno}")
}
