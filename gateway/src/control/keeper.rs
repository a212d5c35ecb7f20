//! One task keeps what is remembered: it takes one piece of work after the other, writes it down, and answers then.
//!
//! So nothing is told before it is on the disk, and what cannot be written has not happened. The same task lets the agent
//! answer what was said, and runs the jobs that are due. It ends when nobody can ask it for anything any more.

use std::sync::Arc;
use std::time::Duration;

use portcullis_os::{Descriptor, Errno, Notice, Open, Os};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::artefact::Artefact;
use super::mailbox::Mailbox;
use super::work::{self, Decision, Work};
use super::{Control, cron};
use crate::protocol::Failure;
use crate::run::Place;
use crate::server::Host as _;
use crate::store::{Keep, Trouble};

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
    pub(super) ticket: Option<Ticket>,
}

/// Whom a piece of work is done for.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) mailbox: Arc<Mailbox>,
    /// The id of the request.
    pub(super) id: String,
}

/// Whoever writes down what is remembered.
struct Keeper<O: Os> {
    os: O,
    control: Control,
    place: Place,
    /// The workspace; `None`: there is none, or it cannot be opened.
    workspace: Option<Descriptor<O>>,
    keep: Option<Keep<O>>,
    /// What went wrong last, and when.
    trouble: Option<(Trouble, u64)>,
    /// Whether what the owner before this one has left open is settled.
    settled: bool,
    /// Slots before this moment were missed, by the wall clock.
    since_ms: u64,
}

/// Keeps what is remembered, until nobody can ask for anything any more. `loaded` is told once everything is read, or cannot be.
pub(crate) async fn keep<O: Os>(
    os: O,
    place: Place,
    control: Control,
    mut jobs: mpsc::Receiver<Job>,
    loaded: oneshot::Sender<()>,
) {
    let since_ms = os.now().await.wall_ms;
    let mut keeper =
        Keeper { os, control, place, workspace: None, keep: None, trouble: None, settled: false, since_ms };
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
                        ticket.mailbox.answer(ticket.id, outcome.clone());
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
        if let Some(path) = &self.place.workspace {
            self.workspace = self.os.open(path, Open { directory: true, ..Open::read() }).await.ok();
        }
        self.catch_up().await;
    }

    /// Settles what the owner before this one has left open. Where that cannot be written down now, it is done later.
    async fn settle(&mut self) -> Result<(), Failure> {
        // What ran when that one ended did not come to its end.
        let interrupted = cron::interrupted(&self.control.world().memory);
        for (job, run) in interrupted {
            let error = Some("interrupted: the gateway ended while it ran".to_owned());
            self.take(&Work::Finish { job, run, duration_ms: 0, error }).await?;
        }
        self.take(&Work::Key).await?;
        self.settled = true;
        Ok(())
    }

    /// Does one piece of work, and answers what came of it.
    async fn take(&mut self, work: &Work) -> Result<Value, Failure> {
        self.ready().await.map_err(|trouble| work::unkept(&trouble.to_string()))?;
        let now = self.os.now().await;
        let decision = work::decide(&mut self.control.world(), work, now);
        let deed = match decision {
            Decision::Done(value) => return Ok(value),
            Decision::Refused(failure, news) => {
                if let Some(news) = &news {
                    self.control.world().tell(&self.control, news, None);
                }
                return Err(failure);
            }
            Decision::Do(deed) => deed,
        };
        let Some(keep) = &mut self.keep else { return Err(work::unkept("it was not read")) };
        if let Err(trouble) = keep.append(&deed.records).await {
            return Err(work::unkept(&self.fail(trouble).await.to_string()));
        }
        self.trouble = None;
        self.control.world().commit(&self.control, &deed, now);
        Ok(deed.answer)
    }

    /// Makes sure that what was kept is read, and that there is a file to write into.
    async fn ready(&mut self) -> Result<(), Trouble> {
        let now = self.os.now().await;
        if let Some((trouble, at_ms)) = self.trouble
            && now.monotonic_ms.saturating_sub(at_ms) < PATIENCE_MS
        {
            return Err(trouble);
        }
        if self.keep.is_none() {
            let instance = self.control.world().instance().to_owned();
            match Keep::load(&self.os, self.place.state, self.place.epoch, &instance).await {
                Ok((keep, memory)) => {
                    self.keep = Some(keep);
                    self.control.world().loaded(Ok(memory));
                }
                Err(trouble) => {
                    self.control.world().loaded(Err(trouble.to_string()));
                    return Err(self.fail(trouble).await);
                }
            }
        }
        if let Some(keep) = self.keep.as_mut().filter(|keep| keep.wants_all()) {
            let memory = self.control.world().memory.clone();
            if let Err(trouble) = keep.rewrite(&memory).await {
                return Err(self.fail(trouble).await);
            }
        }
        Ok(())
    }

    /// Takes a trouble in. It is told once, until it is over.
    async fn fail(&mut self, trouble: Trouble) -> Trouble {
        let now = self.os.now().await;
        let is_new = self.trouble.is_none_or(|(before, _)| before != trouble);
        self.trouble = Some((trouble, now.monotonic_ms));
        if is_new {
            self.control.world().ring.note("memory.failed", &trouble.to_string(), now.wall_ms);
            let note = format!("cannot keep what is to be remembered: {trouble}; this gateway serves on");
            // Whoever watches and is gone needs no note.
            let _ = self.os.notify(Notice::Noted(note)).await;
        }
        trouble
    }

    /// Lets the agent answer what was said. What cannot be written down now is answered later.
    async fn catch_up(&mut self) {
        if !self.settled && self.settle().await.is_err() {
            return;
        }
        loop {
            let (work, open) = {
                let world = self.control.world();
                (work::to_answer(&world), world.memory.open())
            };
            match work {
                // An answer that leaves as much to be answered would be given for ever.
                Some(work) if self.take(&work).await.is_ok() && self.control.world().memory.open() < open => {
                }
                Some(_) | None => return,
            }
        }
    }

    /// How long nothing has to be done, unless somebody asks for something.
    async fn sleep_ms(&self) -> u64 {
        let now = self.os.now().await;
        let world = self.control.world();
        let next = cron::next_ms(&self.control.about().cron, &world.memory, self.since_ms);
        let until = next.map_or(u64::MAX, |next_ms| next_ms.saturating_sub(now.wall_ms));
        let is_behind = self.keep.is_some() && (world.memory.open() > 0 || !self.settled);
        // Clocks are set, so nobody relies on one for long.
        if next.is_some() || is_behind { until.clamp(1, LONGEST_SLEEP_MS) } else { IDLE_MS }
    }

    /// Runs every job that is due.
    async fn run_due(&mut self) {
        let control = self.control.clone();
        for job in control.about().cron.iter().filter(|job| job.enabled) {
            let now = self.os.now().await;
            let last = control.world().memory.last_slot(&job.id);
            if let Some(slot_ms) = cron::due(job, last, self.since_ms, now.wall_ms) {
                let work = Work::Run { job: job.id.clone(), slot_ms: Some(slot_ms) };
                let outcome = self.take(&work).await;
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
        let (epoch, instance) = (self.place.epoch, control.world().instance().to_owned());
        let workspace = self.place.workspace.as_deref();
        let artefact = Artefact { job, run: &run, slot_ms: *slot_ms, epoch, instance: &instance, workspace };
        let at = match (workspace, &self.workspace) {
            (None, _) => Ok(self.place.state),
            (Some(_), Some(opened)) => Ok(opened.fd()),
            (Some(_), None) => Err(Errno::NotFound),
        };
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
