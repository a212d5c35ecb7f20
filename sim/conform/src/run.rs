//! A run: the corpus first, then generated sequences on several real machines at once.
//!
//! # Invariants
//!
//! - What is found does not depend on how many workers there are, nor on how fast they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_os::Errno;

use crate::corpus::{self, Kept};
use crate::coverage::Coverage;
use crate::describe;
use crate::generate::{self, Generated, Terms};
use crate::lane::Lane;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::pair::{Course, Verdict};
use crate::real::Trouble;
use crate::sequence::{Label, Op, Sequence, Step, Who};
use crate::shrink::{Shrunken, shrink};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which sequences are generated, by number.
    pub sequences: Range<u32>,
    /// The same seed, the same sequences.
    pub seed: u64,
    /// How many real machines run at once.
    pub lanes: usize,
    /// Whether the kept sequences are run first.
    pub corpus: bool,
    /// After so many differences no more are looked for; with 0 they are only counted.
    pub enough: usize,
    /// Set to end the run soon.
    pub interrupted: Arc<AtomicBool>,
    /// Called after each sequence with how many have been taken so far.
    pub progress: Option<fn(u32)>,
}

/// What has come of it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// It was ended before its time.
    pub interrupted: bool,
    /// The users that processes could have.
    pub users: Vec<u32>,
    /// How many sequences were run.
    pub sequences: u32,
    /// How many calls were compared.
    pub calls: u64,
    /// How many sequences had two processes compete for one thing.
    pub contended: u32,
    /// The calls that the simulated kernel refused for being asked in a way that it does not model.
    pub unmodelled: BTreeSet<&'static str>,
    /// The calls that one machine does not know, each of which cut a sequence off, and how often.
    pub cut: BTreeMap<String, u32>,
    /// Sequences that differed.
    pub differing: u32,
    /// The calls that one machine does not know.
    pub unknown: BTreeSet<&'static str>,
    /// The freedoms that the real machine has taken, and how often.
    pub allowed: BTreeMap<&'static str, u64>,
    /// How the calls ended.
    pub coverage: Coverage,
    /// The first sequences that differed, in order, shrunken.
    pub differences: Vec<Difference>,
}

/// Where a sequence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The corpus, by its name there.
    Kept(&'static str),
    /// The generator, by its number.
    Generated(u32),
}

impl Origin {
    /// How to see it again.
    pub fn again(self, seed: u64) -> String {
        match self {
            Self::Kept(_) => "again: portcullis conform --sequences 0".to_owned(),
            Self::Generated(number) => format!("again: portcullis conform --seed {seed} --only {number}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(name) => write!(f, "corpus/{name}.json"),
            Self::Generated(number) => write!(f, "sequence {number}"),
        }
    }
}

/// A sequence on which the machines differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which sequence it was.
    pub origin: Origin,
    /// What is left of it.
    pub shrunken: Shrunken,
}

/// Runs the corpus and generated sequences beside machines that `machine` makes.
///
/// # Errors
///
/// [`Trouble`] where no real machine can be had.
pub fn run<M: Machine + Clone>(
    request: &Request,
    machine: &(impl Fn() -> M + Sync),
) -> Result<Summary, Trouble> {
    let mut first = Lane::new()?;
    let unknown = unknown(&mut first, machine)?;
    let users = first.users().to_vec();
    let run = Run {
        request,
        machine,
        kept: if request.corpus { corpus::all() } else { Vec::new() },
        next: AtomicUsize::new(0),
        total: Mutex::new(Summary { unknown, users, ..Summary::default() }),
    };
    let mut lanes = vec![first];
    for _ in 1..request.lanes {
        lanes.push(Lane::new()?);
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = lanes.into_iter().map(|lane| scope.spawn(|| run.work(lane))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let mut total = run.total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.differences.sort_by_key(|difference| difference.origin);
    Ok(total)
}

/// A run that is going on.
struct Run<'a, F> {
    request: &'a Request,
    machine: &'a F,
    kept: Vec<(&'static str, Kept)>,
    /// The next sequence that nobody has taken yet, those of the corpus first.
    next: AtomicUsize,
    total: Mutex<Summary>,
}

impl<M: Machine, F: Fn() -> M> Run<'_, F> {
    fn work(&self, mut lane: Lane) -> Result<(), Trouble> {
        let mut own = Summary::default();
        while let Some((origin, sequence)) = self.take(&lane) {
            let course = lane.run((self.machine)(), &sequence)?;
            own.note(&course);
            if matches!(course.verdict, Verdict::Differs(_)) && self.request.enough > 0 {
                let shrunken = shrink(sequence, course, |sequence| lane.run((self.machine)(), sequence))?;
                let mut total = self.total();
                total.differences.push(Difference { origin, shrunken });
                if total.differences.len() >= self.request.enough {
                    self.next.store(usize::MAX / 2, Ordering::Relaxed);
                }
            }
            if let Some(progress) = self.request.progress {
                let taken = self.next.load(Ordering::Relaxed);
                progress(u32::try_from(taken).unwrap_or(u32::MAX));
            }
        }
        self.total().add(own);
        Ok(())
    }

    /// The next sequence, as it is for this real machine.
    fn take(&self, lane: &Lane) -> Option<(Origin, Sequence)> {
        if self.request.interrupted.load(Ordering::Relaxed) {
            self.total().interrupted = true;
            return None;
        }
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some((name, kept)) = self.kept.get(at) {
            return Some((Origin::Kept(name), kept.sequence.clone()));
        }
        let number = self.request.sequences.clone().nth(at - self.kept.len())?;
        let terms = Terms {
            seed: self.request.seed,
            users: lane.users().to_vec(),
            unknown: self.total().unknown.clone(),
            scenery: lane.scenery(),
        };
        let Generated { sequence, unmodelled } = generate::sequence(&terms, number);
        if !unmodelled.is_empty() {
            self.total().unmodelled.extend(unmodelled);
        }
        Some((Origin::Generated(number), sequence))
    }

    fn total(&self) -> MutexGuard<'_, Summary> {
        self.total.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls that one of the machines does not know.
fn unknown<M: Machine + Clone>(
    lane: &mut Lane,
    machine: &impl Fn() -> M,
) -> Result<BTreeSet<&'static str>, Trouble> {
    let mut unknown = BTreeSet::new();
    for call in generate::probes() {
        let step = Step { label: Label(0), who: Who::First(0), op: Op::Call(call.clone()) };
        let users = lane.users()[..1].to_vec();
        let course = lane.run(machine(), &Sequence { users, mode: 0o777, limit: None, steps: vec![step] })?;
        let is_unknown = |line: &crate::pair::Line| {
            [&line.simulated, &line.real]
                .into_iter()
                .any(|outcome| *outcome == Some(Outcome::Reply(Err(Errno::NotImplemented))))
        };
        if course.lines.iter().any(is_unknown) {
            unknown.insert(crate::parts::name(&call));
        }
    }
    Ok(unknown)
}

impl Summary {
    fn note(&mut self, course: &Course) {
        self.sequences += 1;
        self.contended += u32::from(crate::contention::contends(course));
        if let Verdict::Cut(call) = &course.verdict {
            *self.cut.entry(describe::call(call)).or_default() += 1;
        }
        self.differing += u32::from(matches!(course.verdict, Verdict::Differs(_)));
        for line in &course.lines {
            if let (Some(call), Some(real)) = (&line.call, &line.real) {
                self.calls += 1;
                self.coverage.count(call, real);
            }
            if let Some(reason) = line.allowed {
                *self.allowed.entry(reason).or_default() += 1;
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.sequences += other.sequences;
        self.calls += other.calls;
        self.contended += other.contended;
        for (call, count) in other.cut {
            *self.cut.entry(call).or_default() += count;
        }
        self.differing += other.differing;
        for (reason, count) in other.allowed {
            *self.allowed.entry(reason).or_default() += count;
        }
        self.coverage.add(other.coverage);
    }
}
