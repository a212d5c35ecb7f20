//! Which step a run takes next: uniformly, by priorities, or by weights that each run draws anew.
//!
//! Faults are no steps that a scheduler picks, or a run with many choices of them would be struck at once. Each run draws
//! how many strike, and at which steps; one whose step never comes strikes when nothing else can happen.

use super::random::{Random, mix};
use crate::explore::Bounds;
use crate::world::Choice;

/// How the runs of a sample choose their steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// Each possible step with the same probability, wherever there is a choice.
    Uniform,
    /// Random priorities, as probabilistic concurrency testing does (Burckhardt and others, 2010): each task, the script and
    /// each supervisor has one, whoever has the highest takes the next step, and at `depth` - 1 random steps the one
    /// whose turn it is gets the lowest. A run of `k` steps of `n` movers shows a bug that needs `depth` ordered steps with a
    /// probability of at least 1/(n k^(`depth` - 1)). The length is estimated by a few uniform runs; a run that is four
    /// times as long goes on uniformly, so that nobody waits for ever for one who has a low priority.
    Pct {
        /// How many steps must come in a certain order. 0 is taken as 1.
        depth: u16,
    },
    /// Each run draws how eager each process is and how long it keeps its turn, so that some runs are nearly sequential
    /// and others change at each step, and some processes are slow (Groce and others, 2012, on configurations of tests).
    Swarm,
}

/// Who takes a step, as far as priorities and weights go.
pub(super) type Mover = u16;

/// How many movers one lane has: tasks of a process.
const TASKS: u16 = 64;
/// The lanes from here on are supervisors; the first of them is the script.
const AROUND: u16 = 512;

/// Who takes a step. A process without a task that could, which executes, exits or dies, moves as its main task.
pub(super) fn mover(choice: Choice) -> Mover {
    let number = |index: usize, limit: u16| u16::try_from(index).unwrap_or(u16::MAX).min(limit - 1);
    match choice {
        Choice::Run { slot, task, .. } => number(slot, AROUND) * TASKS + number(task, TASKS),
        Choice::Execute { slot }
        | Choice::Exit { slot }
        | Choice::Release { slot, .. }
        | Choice::Kill { slot } => number(slot, AROUND) * TASKS,
        Choice::Script => AROUND * TASKS,
        Choice::Restart { slot, .. } | Choice::LosePatience { slot } => {
            (AROUND + 1 + number(slot, AROUND - 2)) * TASKS
        }
        Choice::PowerLoss { .. } => 0,
    }
}

/// What a run may choose from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// Who takes each step that is no fault. Their choices come first.
    pub(super) movers: &'a [Mover],
    /// How many processes could be killed. These choices come next.
    pub(super) kills: usize,
    /// To how many outcomes the power could fail. These come last.
    pub(super) outages: usize,
}

/// What one run has drawn, and what it has yet to draw.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    sampler: Sampler,
    random: Random,
    /// Whether every choice of the run is uniform and no fault strikes.
    is_simple: bool,
    /// The steps at which faults strike, ascending.
    strikes: Vec<u32>,
    /// How many have struck.
    struck: usize,
    /// The highest step at which the one whose turn it is becomes the last, with its place among the last.
    changes: Vec<(u32, u16)>,
    changed: usize,
    /// The movers that became the last, with their places.
    lowered: Vec<(Mover, u16)>,
    /// What priorities and weights are drawn from, so that movers need not be known beforehand.
    salt: u64,
    /// In how many of 32 cases the last one goes on if it can.
    stays: u64,
    last: Option<Mover>,
    /// About how long a run is, in steps.
    length: u32,
}

impl Plan {
    /// A plan that draws its runs for executions of about this length.
    pub(super) const fn new(sampler: Sampler, length: u32) -> Self {
        Self {
            sampler,
            random: Random::of(0, 0),
            is_simple: false,
            strikes: Vec::new(),
            struck: 0,
            changes: Vec::new(),
            changed: 0,
            lowered: Vec::new(),
            salt: 0,
            stays: 0,
            last: None,
            length: if length == 0 { 1 } else { length },
        }
    }

    /// Begins a run.
    pub(super) fn begin(&mut self, random: Random, bounds: &Bounds) {
        self.random = random;
        (self.struck, self.changed, self.last) = (0, 0, None);
        self.strikes.clear();
        let faults = usize::from(bounds.kills) + usize::from(bounds.power_losses);
        if faults > 0 {
            for _ in 0..self.random.place(faults + 1) {
                // The one after the last step is the end.
                let step = self.random.below(u64::from(self.length) + 1) as u32;
                self.strikes.push(step);
            }
            self.strikes.sort_unstable();
        }
        self.is_simple = self.sampler == Sampler::Uniform && self.strikes.is_empty();
        match self.sampler {
            Sampler::Uniform => {}
            Sampler::Pct { depth } => {
                self.salt = self.random.next();
                self.changes.clear();
                self.lowered.clear();
                for place in 1..depth {
                    let step = self.random.below(u64::from(self.length)) as u32;
                    self.changes.push((step, place));
                }
                self.changes.sort_unstable();
            }
            Sampler::Swarm => {
                self.salt = self.random.next();
                self.stays = [0, 8, 16, 24, 30][self.random.place(5)];
            }
        }
    }

    /// Which choice the run takes after so many steps; `None` if it ends here.
    #[inline]
    pub(super) fn pick(&mut self, step: u32, scene: Scene<'_>) -> Option<usize> {
        // What most runs do most of the time, in as few instructions as can be.
        if self.is_simple && !scene.movers.is_empty() {
            return Some(self.random.place(scene.movers.len()));
        }
        self.pick_with_care(step, scene)
    }

    fn pick_with_care(&mut self, step: u32, scene: Scene<'_>) -> Option<usize> {
        if self.struck < self.strikes.len()
            && (scene.movers.is_empty() || self.strikes[self.struck] <= step)
            && scene.kills + scene.outages > 0
        {
            self.struck += 1;
            return Some(self.fault(scene));
        }
        if scene.movers.len() < 2 && self.changed == self.changes.len() {
            self.last = scene.movers.first().copied();
            return self.last.map(|_| 0);
        }
        if scene.movers.is_empty() {
            return None;
        }
        match self.sampler {
            Sampler::Uniform => Some(self.random.place(scene.movers.len())),
            Sampler::Pct { .. } if step / 4 >= self.length => Some(self.random.place(scene.movers.len())),
            Sampler::Pct { .. } => Some(self.by_priority(step, scene.movers)),
            Sampler::Swarm => Some(self.by_weight(scene.movers)),
        }
    }

    /// Kinds of faults are as likely as each other: a loss of power may have a hundred outcomes.
    fn fault(&mut self, Scene { movers, kills, outages }: Scene<'_>) -> usize {
        let kinds = usize::from(kills > 0) + usize::from(outages > 0);
        let is_kill = kills > 0 && self.random.place(kinds) == 0;
        let place = if is_kill { self.random.place(kills) } else { kills + self.random.place(outages) };
        movers.len() + place
    }

    fn by_priority(&mut self, step: u32, movers: &[Mover]) -> usize {
        while let Some((_, place)) = self.changes.get(self.changed).filter(|(at, _)| *at <= step) {
            let mover = self.first_in_line(movers);
            self.changed += 1;
            self.lowered.retain(|(other, _)| *other != mover);
            self.lowered.push((mover, *place));
        }
        let mover = self.first_in_line(movers);
        self.one_of(mover, movers)
    }

    fn first_in_line(&self, movers: &[Mover]) -> Mover {
        let priority = |mover: &Mover| {
            let lowered = self.lowered.iter().find(|(other, _)| other == mover);
            // What was lowered comes after everything that was not.
            match lowered {
                Some((_, place)) => (false, u64::from(*place)),
                None => (true, mix(self.salt.wrapping_add(u64::from(*mover)))),
            }
        };
        movers.iter().copied().max_by_key(priority).unwrap_or_default()
    }

    /// One of the choices that a mover has.
    fn one_of(&mut self, mover: Mover, movers: &[Mover]) -> usize {
        let own = movers.iter().filter(|other| **other == mover).count();
        let wanted = self.random.place(own);
        let mut places = (0..movers.len()).filter(|place| movers[*place] == mover);
        places.nth(wanted).unwrap_or_default()
    }

    fn by_weight(&mut self, movers: &[Mover]) -> usize {
        if let Some(last) = self.last
            && movers.contains(&last)
            && self.random.below(32) < self.stays
        {
            return self.one_of(last, movers);
        }
        // 1, 2, 4, 8 or 16 for each process.
        let salt = self.salt;
        let weight = |mover: &Mover| {
            let mut drawn = Random::of(salt, u64::from(*mover / TASKS));
            1_u64 << drawn.below(5)
        };
        let mut drawn = self.random.below(movers.iter().map(weight).sum::<u64>().max(1));
        let mut place = 0;
        for (number, mover) in movers.iter().enumerate() {
            place = number;
            match drawn.checked_sub(weight(mover)) {
                Some(rest) => drawn = rest,
                None => break,
            }
        }
        self.last = movers.get(place).copied();
        place
    }
}
