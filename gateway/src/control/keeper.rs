//! One task keeps what is remembered: it takes one piece of work after the other, writes it down, and answers then.
//!
//! So nothing is told before it is on the disk, and what cannot be written has not happened. The same task lets the agent
//! answer what was said, and runs the jobs that are due. It ends when nobody can ask it for anything any more. A disk may hold
//! it up for longer than its epoch lasts: then it tells and changes nothing any more, and what it was asked for has failed.

use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use portcullis_os::{Descriptor, Errno, Notice, Open, Os};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::artefact::Artefact;
use super::mailbox::Mailbox;
use super::work::{self, Decision, Work};
use super::world::{Keeping, World};
use super::{Control, Now, cron};
use crate::protocol::Failure;
use crate::server::Host as _;
use crate::store::{Fate, Keep, Trouble};

/// At most so many pieces of work wait.
pub(super) const MOST_WAITING: usize = 256;
/// What could not be written is tried again after so long at the earliest, in milliseconds.
const PATIENCE_MS: u64 = 1_000;
/// Clocks are set: nobody sleeps longer than this before it looks again, in milliseconds.
const LONGEST_SLEEP_MS: u64 = 1_000;
/// Where there is nothing that could become due, it looks again after this, in milliseconds.
const IDLE_MS: u64 = 3_600_000;

/// A piece of work, and whom it is done for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) work: Work,
    /// `None`: nobody waits for an answer.
    pub(super) ticket: Option<Asker>,
}

/// Whoever waits for an answer.
#[derive(Debug)]
pub(super) enum Asker {
    /// A client.
    Client(Ticket),
    /// Whoever polls a bot.
    Channel(oneshot::Sender<Result<Value, Failure>>),
}

impl Asker {
    fn answer(self, outcome: Result<Value, Failure>) {
        match self {
            Self::Client(ticket) => ticket.mailbox.answer(ticket.id, outcome),
            // Whoever polled may be gone.
            Self::Channel(asker) => drop(asker.send(outcome)),
        }
    }
}

/// Whom a piece of work is done for.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) mailbox: Arc<Mailbox>,
    /// The id of the request.
    pub(super) id: String,
}

/// Where work comes from, in one epoch.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) epoch: u64,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// Is told once everything is read, or cannot be.
    pub(super) loaded: oneshot::Sender<()>,
}

/// Whoever writes down what is remembered.
struct Keeper<O: Os> {
    os: O,
    control: Control,
    epoch: u64,
    /// The state directory: a descriptor of its own.
    state: Descriptor<O>,
    /// The path of the workspace, if there is one, and the workspace; `None`: it cannot be opened.
    workspace: Option<(PathBuf, Option<Descriptor<O>>)>,
    keep: Option<Keep<O>>,
    /// What went wrong last, and when.
    trouble: Option<(Trouble, u64)>,
    /// Whether what the owner before this one has left open is settled.
    settled: bool,
    /// Slots before this moment were missed, by the wall clock.
    since_ms: u64,
    /// Before this moment no job that is due is begun again, by the monotonic clock: it could not be.
    patient_ms: u64,
}

/// Keeps what is remembered in that state directory, until nobody can ask for anything any more.
pub(crate) async fn keep<O: Os>(
    os: O,
    state: Descriptor<O>,
    workspace: Option<PathBuf>,
    control: Control,
    desk: Desk,
) {
    let Desk { epoch, mut jobs, loaded } = desk;
    let since_ms = os.now().await.wall_ms;
    let mut keeper = Keeper {
        os,
        control,
        epoch,
        state,
        workspace: workspace.map(|path| (path, None)),
        keep: None,
        trouble: None,
        settled: false,
        since_ms,
        patient_ms: 0,
    };
    keeper.begin().await;
    // Whoever waited for it may be gone.
    let _ = loaded.send(());
    loop {
        keeper.catch_up().await;
        let sleep = Duration::from_millis(keeper.sleep_ms().await);
        tokio::select! {
            biased;
            job = jobs.recv() => match job {
                Some(Job { work, ticket }) => {
                    let outcome = keeper.take(&work).await;
                    if let Some(ticket) = ticket {
                        ticket.answer(outcome.clone());
                    }
                    keeper.carry_out(&work, outcome).await;
                }
                None => return,
            },
            () = tokio::time::sleep(sleep) => {}
        }
        keeper.run_due().await;
    }
}

impl<O: Os> Keeper<O> {
    /// Reads what was kept, and begins the file of this epoch.
    async fn begin(&mut self) {
        // What is wrong shows, and is told, wherever something is to be kept.
        let _ = self.ready().await;
        if let Some((path, opened)) = &mut self.workspace {
            *opened = self.os.open(path, Open { directory: true, ..Open::read() }).await.ok();
        }
        self.catch_up().await;
    }

    /// What all sessions see, for as long as this epoch lasts.
    fn world(&self) -> Result<MutexGuard<'_, World>, Failure> {
        let world = self.control.world();
        if world.is_kept_in(self.epoch) { Ok(world) } else { Err(work::unkept("the gateway has begun anew")) }
    }

    /// Settles what the owner before this one has left open. Where that cannot be written down now, it is done later.
    async fn settle(&mut self) -> Result<(), Failure> {
        // What ran when that one ended did not come to its end.
        let interrupted = cron::interrupted(&self.world()?.memory);
        for (job, run) in interrupted {
            let error = Some("interrupted: the gateway ended while it ran".to_owned());
            self.take(&Work::Finish { job, run, duration_ms: 0, error }).await?;
        }
        // What was being sent then may have gone out or not.
        let interrupted = self.world()?.memory.outbox().interrupted(self.epoch);
        for (bot, update) in interrupted {
            self.take(&Work::Settle { bot, update, fate: Fate::Unknown }).await?;
        }
        self.take(&Work::Key).await?;
        self.settled = true;
        Ok(())
    }

    /// Does one piece of work, and answers what came of it.
    async fn take(&mut self, work: &Work) -> Result<Value, Failure> {
        // What is not remembered needs no disk.
        if !matches!(work, Work::Reject { .. }) {
            self.ready().await?;
        }
        let now = self.os.now().await;
        let decision = work::decide(&mut *self.world()?, work, now);
        let deed = match decision {
            Decision::Done(value) => return Ok(value),
            Decision::Refused(failure, news) => {
                if let Some(news) = &news {
                    self.world()?.tell(&self.control, news, None);
                }
                return Err(failure);
            }
            Decision::Do(deed) => deed,
        };
        if !deed.records.is_empty() {
            let Some(keep) = &mut self.keep else { return Err(work::unkept("it was not read")) };
            if let Err(trouble) = keep.append(&deed.records).await {
                return Err(self.fail(trouble).await);
            }
            self.trouble = None;
        }
        self.world()?.commit(&self.control, &deed, now);
        Ok(deed.answer)
    }

    /// Makes sure that what was kept is read, and that there is a file to write into.
    async fn ready(&mut self) -> Result<(), Failure> {
        let now = self.os.now().await;
        if let Some((trouble, at_ms)) = self.trouble
            && now.monotonic_ms.saturating_sub(at_ms) < PATIENCE_MS
        {
            return Err(unkept(trouble));
        }
        if self.keep.is_none() {
            let instance = self.world()?.instance().to_owned();
            match Keep::load(&self.os, self.state.fd(), self.epoch, &instance).await {
                Ok((keep, memory)) => {
                    self.world()?.loaded(Ok(memory));
                    self.keep = Some(keep);
                }
                Err(trouble) => {
                    self.world()?.loaded(Err(trouble.to_string()));
                    return Err(self.fail(trouble).await);
                }
            }
        }
        let memory = self.world()?.memory.clone();
        if let Some(keep) = self.keep.as_mut().filter(|keep| keep.wants_all()) {
            match keep.rewrite(&memory).await {
                Ok(damaged) => self.note_damage(&damaged, now).await,
                Err(trouble) => return Err(self.fail(trouble).await),
            }
        }
        Ok(())
    }

    /// Tells of files that were damaged.
    async fn note_damage(&self, names: &[String], now: Now) {
        for name in names {
            if let Ok(mut world) = self.world() {
                world.ring.note("memory.damaged", name, now.wall_ms);
            }
            let note = format!(
                "what was remembered is damaged: every device has to pair again; the file is kept as {name} in the state directory"
            );
            // Whoever watches and is gone needs no note.
            let _ = self.os.notify(Notice::Noted(note)).await;
        }
    }

    /// Takes a trouble in, and answers what whoever asked is told. It is noted once, until it is over.
    async fn fail(&mut self, trouble: Trouble) -> Failure {
        let now = self.os.now().await;
        let is_new = self.trouble.is_none_or(|(before, _)| before != trouble);
        self.trouble = Some((trouble, now.monotonic_ms));
        let is_told = self.world().is_ok_and(|mut world| {
            if is_new {
                world.ring.note("memory.failed", &trouble.to_string(), now.wall_ms);
            }
            is_new
        });
        if is_told {
            let note = format!("cannot keep what is to be remembered: {trouble}; this gateway serves on");
            // Whoever watches and is gone needs no note.
            let _ = self.os.notify(Notice::Noted(note)).await;
        }
        unkept(trouble)
    }

    /// Lets the agent answer what was said. What cannot be written down now is answered later.
    async fn catch_up(&mut self) {
        if !self.settled && self.settle().await.is_err() {
            return;
        }
        loop {
            let (work, open) = match self.world() {
                Ok(world) => (work::to_answer(&world), world.memory.open()),
                Err(_) => return,
            };
            let Some(work) = work else { return };
            // An answer that leaves as much to be answered would be given for ever.
            let has_less = |world: MutexGuard<'_, World>| world.memory.open() < open;
            if self.take(&work).await.is_err() || !self.world().is_ok_and(has_less) {
                return;
            }
        }
    }

    /// How long nothing has to be done, unless somebody asks for something.
    async fn sleep_ms(&self) -> u64 {
        let now = self.os.now().await;
        let Ok(world) = self.world() else { return 0 };
        let next = cron::next_ms(&self.control.about().cron, &world.memory, self.since_ms);
        let until = next.map_or(u64::MAX, |next_ms| next_ms.saturating_sub(now.wall_ms));
        let until = until.max(self.patient_ms.saturating_sub(now.monotonic_ms));
        let is_behind = self.keep.is_some() && (world.memory.open() > 0 || !self.settled);
        // Clocks are set, so nobody relies on one for long.
        if next.is_some() || is_behind { until.clamp(1, LONGEST_SLEEP_MS) } else { IDLE_MS }
    }

    /// Runs every job that is due, unless the gateway stops: then it is the next one's.
    async fn run_due(&mut self) {
        let control = self.control.clone();
        for job in control.about().cron.iter().filter(|job| job.enabled) {
            let now = self.os.now().await;
            let last = match self.world() {
                Ok(world) if matches!(world.keeping, Keeping::Disk(..)) => world.memory.last_slot(&job.id),
                Ok(_) | Err(_) => return,
            };
            if let Some(slot_ms) = cron::due(job, last, self.since_ms, now.wall_ms) {
                if now.monotonic_ms < self.patient_ms {
                    return;
                }
                let work = Work::Run { job: job.id.clone(), slot_ms: Some(slot_ms) };
                let outcome = self.take(&work).await;
                if outcome.is_err() {
                    self.patient_ms = now.monotonic_ms.saturating_add(PATIENCE_MS);
                }
                self.carry_out(&work, outcome).await;
            }
        }
    }

    /// Runs a job, once it is written down that it runs.
    async fn carry_out(&mut self, work: &Work, outcome: Result<Value, Failure>) {
        let (Work::Run { job: id, slot_ms }, Ok(begun)) = (work, outcome) else { return };
        let (Some(run), control) = (begun["runId"].as_str().map(str::to_owned), self.control.clone()) else {
            return;
        };
        let Some(job) = control.about().cron.iter().find(|job| job.id == *id) else { return };
        let began = self.os.now().await;
        let Ok(instance) = self.world().map(|world| world.instance().to_owned()) else { return };
        let (epoch, slot_ms) = (self.epoch, *slot_ms);
        let (workspace, at) = match &self.workspace {
            None => (None, Ok(self.state.fd())),
            Some((path, opened)) => {
                (Some(&**path), opened.as_ref().map(Descriptor::fd).ok_or(Errno::NotFound))
            }
        };
        let artefact = Artefact { job, run: &run, slot_ms, epoch, instance: &instance, workspace };
        let left = match at {
            Ok(at) => artefact.leave(&self.os, at, began).await,
            Err(errno) => Err(errno),
        };
        let ended = self.os.now().await;
        let work = Work::Finish {
            job: id.clone(),
            run,
            duration_ms: ended.monotonic_ms.saturating_sub(began.monotonic_ms),
            error: left.err().map(|errno| format!("cannot write what it has made: {}", errno.meaning())),
        };
        // Where that cannot be written down, the next owner says that the run did not come to its end.
        let _ = self.take(&work).await;
    }
}

/// What is told where this stands in the way of keeping anything.
fn unkept(trouble: Trouble) -> Failure {
    work::unkept(&trouble.to_string())
}
