//! Toy locks of a few lines, good and bad, whose races are small enough to be checked by hand or by brute force.
//!
//! The numbers of states are pinned, so that a search that shrinks shows.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::path::Path;

use sim::kernel::{HostId, Persistence};
use sim::{
    Action, Bounds, Evidence, Exploration, Policy, Program, Setup, Trace, TraceStep, What, Who, explore,
    replay, walk,
};

use sim::supervisor::Restart;

use crate::contest::{
    EVERYTHING, FAIR, Judge, add_probe, check_then_create, contenders, cost, create_exclusive,
    every_execution, flock, restarted, said,
};

/// A contest with a place for one that is started when nobody is left.
fn with_probe(program: &Program, count: usize) -> (Setup, Judge) {
    let mut setup = contenders(program, count);
    let probes = vec![add_probe(&mut setup, program)];
    (setup, Judge { probes })
}

/// States, steps between them, and how many ends leave how many processes alive.
fn figures(exploration: &Exploration) -> (usize, u64, Vec<(usize, u64)>) {
    let ends = exploration.ends.iter().map(|(outcome, ends)| (*outcome, *ends)).collect();
    (exploration.states, exploration.transitions, ends)
}

#[test]
fn two_contenders_for_an_exclusive_file_never_both_own() {
    let exploration = explore(&contenders(&create_exclusive(), 2), &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "nothing");
    assert_eq!(exploration.evidence, Evidence::Complete);
    assert_eq!(figures(&exploration), (38, 58, vec![(1, 2)]));
}

#[test]
fn three_contenders_for_an_exclusive_file_never_two_own() {
    let exploration = explore(&contenders(&create_exclusive(), 3), &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "nothing");
    assert_eq!(exploration.evidence, Evidence::Complete);
    assert_eq!(figures(&exploration), (174, 380, vec![(1, 3)]));
}

#[test]
fn three_contenders_for_a_kernel_lock_and_two_kills_never_two_own_and_never_wedge() {
    let (setup, judge) = with_probe(&flock(), 3);
    let exploration = explore(&setup, &judge, &Bounds { kills: 2, ..EVERYTHING });
    assert_eq!(said(&exploration), "nothing");
    assert_eq!(exploration.evidence, Evidence::Complete);
    assert_eq!(figures(&exploration), (3864, 12386, vec![(0, 108), (1, 144)]));
}

#[test]
fn states_steps_and_ends_are_those_of_all_schedules_taken_one_by_one() {
    for (kills, power_losses) in [(0, 0), (1, 0), (0, 1)] {
        for program in [create_exclusive(), flock()] {
            let mut setup = contenders(&program, 2);
            setup.kernel.set_persistence(Path::new("/"), HostId(0), Persistence::Ordered);
            check_by_brute_force(&setup, &Bounds { kills, power_losses, ..EVERYTHING });
        }
    }
    for (count, kills, power_losses) in [(2, 0, 0), (2, 1, 0), (1, 0, 1)] {
        let mut setup = contenders(&create_exclusive(), count);
        setup.slots[count - 1].supervisor = Some(restarted(Restart::OnFailure, 2));
        check_by_brute_force(&setup, &Bounds { kills, power_losses, ..EVERYTHING });
    }
}

fn check_by_brute_force(setup: &Setup, bounds: &Bounds) {
    let mut all = BruteForce::default();
    every_execution(setup, bounds, |trace| all.add(&trace.steps));
    let exploration = explore(setup, &FAIR, bounds);
    assert_eq!(figures(&exploration), all.figures(), "{:?} with {bounds:?}", setup.slots);
}

#[test]
fn a_check_before_the_creation_is_broken_by_one_preemption_and_by_nothing_less() {
    let setup = contenders(&check_then_create(), 2);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "single-owner: 2 owners");
    let found = exploration.found.unwrap();
    assert!(found.is_shortest);
    let trace = replay(&setup, &FAIR, &EVERYTHING, &found.schedule);
    assert_eq!(trace.violation, Some(found.violation));
    assert_eq!(
        told(&trace),
        [
            "start a",
            "a: stat lock = ENOENT",
            "start b",
            "b: stat lock = ENOENT",
            "b: open or create lock = 3",
            "b: catch signals = ok",
            "b: stat state = inode 1048576",
            "b: owner = ok",
            "b: ready = ok",
            "a: open or create lock = 3",
            "a: catch signals = ok",
            "a: stat state = inode 1048576",
            "a: owner = ok",
        ]
    );
    assert_eq!(cost(&trace), (0, 1, 13));

    let mut least = None;
    every_execution(&setup, &EVERYTHING, |trace| {
        if trace.violation.is_some() {
            least = Some(least.map_or(cost(trace), |least| cost(trace).min(least)));
        }
    });
    assert_eq!(least, Some(cost(&trace)));
}

#[test]
fn a_bound_on_preemptions_hides_what_needs_more_and_nothing_else() {
    for count in [2, 3] {
        let setup = contenders(&check_then_create(), count);
        let without = explore(&setup, &FAIR, &Bounds { policy: Policy::Preemptions(0), ..EVERYTHING });
        assert_eq!((said(&without).as_str(), without.evidence), ("nothing", Evidence::Bounded));
        let unbounded = explore(&setup, &FAIR, &EVERYTHING).found;
        for most in 1..6 {
            let bounded = explore(&setup, &FAIR, &Bounds { policy: Policy::Preemptions(most), ..EVERYTHING });
            assert_eq!(bounded.found, unbounded, "{count} contenders, {most} preemptions");
        }
    }
}

#[test]
fn a_bound_that_nobody_reaches_changes_no_outcome() {
    for program in [create_exclusive(), flock()] {
        let (setup, kills) = (contenders(&program, 3), 1);
        let unbounded = explore(&setup, &FAIR, &Bounds { kills, ..EVERYTHING });
        let policy = Policy::Preemptions(100);
        let bounded = explore(&setup, &FAIR, &Bounds { policy, kills, ..EVERYTHING });
        assert_eq!(bounded.evidence, Evidence::Bounded);
        assert_eq!((said(&bounded), said(&unbounded)), ("nothing".to_owned(), "nothing".to_owned()));
        assert!(bounded.ends.keys().eq(unbounded.ends.keys()), "{program:?}");
        // Who took the last step is part of a state only where preemptions are counted.
        assert!(bounded.states >= unbounded.states);
    }
}

#[test]
fn a_lock_file_that_outlives_its_owner_wedges_everybody_who_comes_later() {
    let (setup, judge) = with_probe(&create_exclusive(), 2);
    assert_eq!(said(&explore(&setup, &judge, &EVERYTHING)), "nothing");
    let exploration = explore(&setup, &judge, &Bounds { kills: 1, ..EVERYTHING });
    assert_eq!(said(&exploration), "no-wedge: nobody can start any more");
    let found = exploration.found.unwrap();
    let trace = replay(&setup, &judge, &Bounds { kills: 1, ..EVERYTHING }, &found.schedule);
    assert_eq!(trace.violation, Some(found.violation));
    assert_eq!(told(&trace), ["start a", "a: create excl lock = 3", "a: killed"]);
    assert_eq!(cost(&trace), (1, 0, 3));
}

#[test]
fn a_walk_comes_to_an_end_that_the_explorer_knows() {
    let setup = contenders(&flock(), 3);
    let exploration = explore(&setup, &FAIR, &Bounds { kills: 2, ..EVERYTHING });
    for seed in 0..200_u8 {
        let picks: Vec<u8> =
            (0..60).map(|place: u8| seed.wrapping_mul(31).wrapping_add(place.wrapping_mul(seed))).collect();
        let walked = walk(&setup, &FAIR, &Bounds { kills: 2, ..EVERYTHING }, &picks);
        assert_eq!((walked.trace.violation.as_ref(), walked.trace.left_over), (None, 0));
        let alive = alive(walked.trace.steps.last().unwrap());
        assert!(exploration.ends.contains_key(&alive), "{alive} are alive after {}", walked.schedule);
        assert!(walked.trace.steps.len() <= exploration.depth);
    }
}

/// States, steps and ends, counted without anything that the explorer is made of.
#[derive(Default)]
struct BruteForce {
    states: BTreeMap<Vec<u8>, usize>,
    transitions: BTreeSet<(Vec<u8>, String)>,
}

impl BruteForce {
    fn add(&mut self, steps: &[TraceStep]) {
        self.states.insert(key(steps), steps.last().map_or(0, alive));
        if let Some((last, before)) = steps.split_last() {
            self.transitions.insert((key(before), format!("{:?} {}", last.who, words(last))));
        }
    }

    fn figures(&self) -> (usize, u64, Vec<(usize, u64)>) {
        let goes_on: BTreeSet<&Vec<u8>> = self
            .transitions
            .iter()
            .filter(|(_, step)| !step.starts_with("Fault") && !step.starts_with("Outage"))
            .map(|(from, _)| from)
            .collect();
        let mut ends = BTreeMap::new();
        for (_, alive) in self.states.iter().filter(|(state, _)| !goes_on.contains(state)) {
            *ends.entry(*alive).or_insert(0) += 1;
        }
        (self.states.len(), self.transitions.len() as u64, ends.into_iter().collect())
    }
}

/// Everything that makes two states different: the machine, and what each living process has been told.
fn key(steps: &[TraceStep]) -> Vec<u8> {
    let mut bytes = Bytes(Vec::new());
    let count = |wanted: fn(&Who) -> bool| steps.iter().filter(|step| wanted(&step.who)).count();
    (count(|who| *who == Who::Script), count(|who| matches!(who, Who::Fault(_) | Who::Outage(_))))
        .hash(&mut bytes);
    let Some(last) = steps.last() else { return bytes.0 };
    last.kernel.hash(&mut bytes);
    for (number, slot) in last.slots.iter().enumerate() {
        (slot.process, &slot.owner, slot.ready, &slot.refused, slot.supervision).hash(&mut bytes);
        if last.view().is_alive(number) {
            let born = steps.iter().rposition(|step| step.slots[number].process != slot.process);
            for step in
                steps[born.map_or(0, |last| last + 1)..].iter().filter(|step| step.who == Who::Slot(number))
            {
                words(step).hash(&mut bytes);
            }
        }
        0xff_u8.hash(&mut bytes);
    }
    bytes.0
}

/// Keeps what it is given, so that nothing can collide.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

fn alive(step: &TraceStep) -> usize {
    (0..step.slots.len()).filter(|slot| step.view().is_alive(*slot)).count()
}

/// An execution in words, step by step.
fn told(trace: &Trace) -> Vec<String> {
    let say = |step: &TraceStep| match step.who {
        Who::Slot(slot) | Who::Supervisor(slot) | Who::Fault(slot) => {
            format!("{}: {}", name(slot), words(step))
        }
        Who::Script | Who::Outage(_) => words(step),
    };
    trace.steps.iter().map(say).collect()
}

fn name(slot: usize) -> &'static str {
    ["a", "b", "c"].get(slot).copied().unwrap_or("probe")
}

fn words(step: &TraceStep) -> String {
    match &step.what {
        What::Call(call, Ok(reply)) => format!("{call} = {reply}"),
        What::Call(call, Err(errno)) => format!("{call} = {}", errno.name()),
        What::Exit(status) => format!("exits with {status}"),
        What::Action(Action::Start(slot)) => format!("start {}", name(*slot)),
        What::Action(action) => format!("{action:?}"),
        What::Execute => "executes".to_owned(),
        What::Release(fd) => format!("loses {fd}"),
        What::Restart(_) => "restarted".to_owned(),
        What::LosePatience => "given up".to_owned(),
        What::Kill => "killed".to_owned(),
        What::PowerLoss { outcome } => format!("power loss {outcome}"),
    }
}
