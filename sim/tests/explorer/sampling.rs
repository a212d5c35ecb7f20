//! What a sample says is so: the same for any number of threads, no more than there is, and the least failure.

use std::path::Path;

use portcullis_os::{Links, Open, Os};
use sim::{Bounds, Evidence, Sampled, Sampler, Sampling, Setup, Who, explore, replay, sample, sample_until};

use crate::contest::{
    EVERYTHING, FAIR, Judge, LOCK, add_probe, check_then_create, contenders, cost, create_exclusive,
    every_execution, flock, program,
};

const SAMPLERS: [Sampler; 4] =
    [Sampler::Uniform, Sampler::Pct { depth: 1 }, Sampler::Pct { depth: 3 }, Sampler::Swarm];

fn of(sampler: Sampler, runs: u64) -> Sampling {
    Sampling { sampler, runs, seed: 7, threads: 1 }
}

fn sampled(setup: &Setup, sampling: &Sampling) -> Sampled {
    sample(setup, &FAIR, &EVERYTHING, sampling)
}

#[test]
fn a_sample_is_the_same_for_any_number_of_threads_and_another_one_for_another_seed() {
    let bounds = Bounds { kills: 2, ..EVERYTHING };
    for program in [flock(), check_then_create()] {
        let setup = contenders(&program, 3);
        for sampler in SAMPLERS {
            let sampling = of(sampler, 1_000);
            let alone = sample(&setup, &FAIR, &bounds, &sampling);
            for threads in [0, 3] {
                let shared = sample(&setup, &FAIR, &bounds, &Sampling { threads, ..sampling });
                assert_eq!(shared, alone, "{sampler:?} with {threads} threads");
            }
            let other = sample(&setup, &FAIR, &bounds, &Sampling { seed: 8, ..sampling });
            assert_ne!(other.ends, alone.ends, "{sampler:?}");
        }
    }
}

#[test]
fn every_run_ends_in_a_known_outcome_or_breaks_something() {
    let setup = contenders(&flock(), 3);
    let bounds = Bounds { kills: 2, ..EVERYTHING };
    let ends = explore(&setup, &FAIR, &bounds).ends;
    for sampler in SAMPLERS {
        let sampled = sample(&setup, &FAIR, &bounds, &of(sampler, 2_000));
        assert_eq!((sampled.runs, sampled.is_cut, sampled.given_up), (2_000, false, 0));
        assert_eq!(sampled.ends.values().sum::<u64>(), 2_000);
        assert!(sampled.ends.keys().eq(ends.keys()), "{sampler:?}: {:?}", sampled.ends);
    }
}

#[test]
fn a_sample_that_has_seen_everything_says_that_nothing_was_new() {
    let setup = contenders(&flock(), 2);
    let (mut machines, mut schedules) = (Vec::new(), 0);
    every_execution(&setup, &EVERYTHING, |trace| {
        let machine = trace.steps.last().map_or(&setup.kernel, |step| &step.kernel);
        if !machines.contains(machine) {
            machines.push(machine.clone());
        }
        schedules +=
            u64::from(sim::walk(&setup, &FAIR, &EVERYTHING, &[]).schedule.len() == trace.steps.len());
    });
    let sampled = sampled(&setup, &of(Sampler::Uniform, 20_000));
    assert_eq!((sampled.states.distinct, sampled.states.late), (machines.len() as u64, 0));
    assert!(sampled.states.is_exact && sampled.schedules.is_exact);
    assert!(sampled.schedules.distinct <= schedules, "{} of {schedules}", sampled.schedules.distinct);
}

#[test]
fn what_few_runs_have_seen_was_new_to_the_last_of_them() {
    let sampled = sampled(&contenders(&flock(), 3), &of(Sampler::Uniform, 20));
    assert!(sampled.states.late > 0 && sampled.schedules.late > 0, "{sampled:?}");
}

#[test]
fn a_failure_that_was_met_by_chance_is_reported_as_the_least_one() {
    for (program, kills) in [(check_then_create(), 0), (check_then_create(), 2), (create_exclusive(), 2)] {
        let bounds = Bounds { kills, ..EVERYTHING };
        let mut setup = contenders(&program, 3);
        let judge = Judge { probes: vec![add_probe(&mut setup, &program)] };
        let least = explore(&setup, &judge, &bounds).found.unwrap();
        for sampler in [Sampler::Uniform, Sampler::Pct { depth: 2 }, Sampler::Swarm] {
            let sampled = sample(&setup, &judge, &bounds, &of(sampler, 1_000));
            let found = sampled.found.unwrap();
            assert!(found.is_shortest, "{sampler:?} {program:?}");
            let (least, found) = [&least, &found]
                .map(|found| {
                    let trace = replay(&setup, &judge, &bounds, &found.schedule);
                    assert_eq!(trace.violation.as_ref(), Some(&found.violation));
                    cost(&trace)
                })
                .into();
            assert_eq!(found, least, "{sampler:?} {program:?}");
            let first = sampled.first.unwrap();
            let trace = replay(&setup, &judge, &bounds, &first.schedule);
            assert_eq!((trace.violation, trace.left_over), (Some(first.violation), 0));
        }
    }
}

#[test]
fn a_failure_is_made_small_even_where_nothing_can_be_proved_of_it() {
    let setup = contenders(&check_then_create(), 3);
    let bounds = Bounds { kills: 2, ..EVERYTHING };
    let sampled = sample(&setup, &FAIR, &Bounds { states: 1, ..bounds }, &of(Sampler::Uniform, 1_000));
    let (first, found) = (sampled.first.unwrap(), sampled.found.unwrap());
    assert!(!found.is_shortest);
    let [met, made] =
        [first.schedule, found.schedule].map(|schedule| replay(&setup, &FAIR, &bounds, &schedule));
    assert_eq!(made.violation, met.violation);
    assert_eq!((cost(&made), cost(&met).1 > 1), ((0, 1, 13), true), "{:?}", cost(&met));
}

#[test]
fn a_bug_of_depth_two_is_found_as_often_as_was_promised_and_never_with_depth_one() {
    let setup = contenders(&check_then_create(), 2);
    let runs = 10_000;
    let shallow = sampled(&setup, &of(Sampler::Pct { depth: 1 }, runs));
    assert_eq!(shallow.found, None);
    let deep = sampled(&setup, &of(Sampler::Pct { depth: 2 }, runs));
    // Two processes and the script, and no more steps than these: 1/(n k).
    let steps = explore(&contenders(&flock(), 2), &FAIR, &EVERYTHING).depth as u64 + 2;
    let failed = deep.broken.get("single-owner").copied().unwrap_or_default();
    assert!(failed >= runs / (3 * steps), "{failed} of {runs} runs, {steps} steps");
}

#[test]
fn faults_strike_at_every_step_and_at_the_end_too() {
    let setup = contenders(&flock(), 1);
    let bounds = Bounds { kills: 1, ..EVERYTHING };
    let sampled = sample(&setup, &FAIR, &bounds, &of(Sampler::Uniform, 2_000));
    let all = explore(&setup, &FAIR, &bounds);
    assert_eq!(all.evidence, Evidence::Complete);
    // One for each step at which it is killed, and one without.
    let mut schedules = 1;
    every_execution(&setup, &bounds, |trace| {
        schedules += u64::from(matches!(trace.steps.last().map(|step| step.who), Some(Who::Fault(_))));
    });
    assert_eq!(sampled.schedules.distinct, schedules);
    assert!(sampled.ends[&1] > 500, "{:?}", sampled.ends);
}

#[test]
fn runs_that_go_round_in_circles_are_counted_and_given_up() {
    let spinning = program("spinning", |os| async move {
        while os.stat(Path::new(LOCK), Links::NoFollow).await.is_err() {}
        0
    });
    for sampler in SAMPLERS {
        let sampled = sampled(&contenders(&spinning, 2), &of(sampler, 4));
        assert_eq!((sampled.given_up, sampled.ends.len()), (4, 0), "{sampler:?}");
    }
}

#[test]
fn a_process_that_waits_for_one_of_a_low_priority_does_not_wait_for_ever() {
    let polite = program("polite", |os| async move {
        if os.own_pid().await.is_ok_and(|pid| pid.get() % 2 == 0) {
            return u8::from(os.open(Path::new(LOCK), Open::create_truncate()).await.is_err());
        }
        while os.stat(Path::new(LOCK), Links::NoFollow).await.is_err() {}
        0
    });
    let sampled = sampled(&contenders(&polite, 2), &of(Sampler::Pct { depth: 2 }, 500));
    assert_eq!((sampled.given_up, sampled.ends.values().sum()), (0, 500));
}

#[test]
fn tasks_that_share_memory_behind_the_back_of_the_machine_are_found_out() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let sharing = program("sharing", |os| async move {
        let flag = Arc::new(AtomicBool::new(false));
        let (other, own) = (os.clone(), Arc::clone(&flag));
        os.task(async move {
            let _ = other.own_uid().await;
            own.store(true, Ordering::Relaxed);
        });
        let _ = os.own_pid().await;
        if flag.load(Ordering::Relaxed) {
            let _ = os.random().await;
        }
        0
    });
    let sampled = sampled(&contenders(&sharing, 1), &of(Sampler::Uniform, 100));
    assert!(sampled.broken.contains_key("explorable"), "{sampled:?}");
    assert!(sampled.found.is_some_and(|found| found.violation.says.contains("Os::load")));
}

#[test]
fn a_setup_that_fails_is_told_and_nothing_is_run() {
    let mut setup = contenders(&flock(), 1);
    setup.script.setup = vec![sim::Action::Wait(sim::Condition::Gone(0))];
    let sampled = sampled(&setup, &of(Sampler::Uniform, 100));
    assert_eq!((sampled.runs, sampled.is_cut), (0, false));
    assert_eq!(sampled.found.map(|found| found.violation.check), Some("setup".to_owned()));
}

#[test]
fn a_sample_that_is_stopped_says_so() {
    let setup = contenders(&flock(), 2);
    let sampled = sample_until(&setup, &FAIR, &EVERYTHING, &of(Sampler::Swarm, 1_000), &|| true);
    assert_eq!((sampled.runs, sampled.is_cut), (0, true));
}
