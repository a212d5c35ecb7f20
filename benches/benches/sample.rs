//! Random schedules a second: the broken lock of [`toy`](portcullis_benches::toy), by each way to choose, learning included,
//! and beside them shuttle's, which runs it as threads.

#![expect(clippy::expect_used, reason = "a bench ends where its premises fail")]

use criterion::{BenchmarkId, Criterion, Throughput};
use portcullis_benches::toy::Race;
use portcullis_benches::toy::program::{Form, OneOwner, setup};
use portcullis_benches::toy::threads::random_schedules;
use sim::{Bounds, Policy, Sampler, Sampling, View, sample};

/// So many runs are one measurement.
const RUNS: u64 = 1_000_000;

/// So many of theirs.
const SHUTTLE_RUNS: u64 = 20_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("sample");
    group.sample_size(10);
    group.throughput(Throughput::Elements(RUNS));
    let cores = std::thread::available_parallelism().expect("some cores").get();
    let bounds = Bounds { policy: Policy::Exhaustive, kills: 0, power_losses: 0, states: 1_000_000 };
    for contenders in [2, 3] {
        let race = setup(Race { contenders, stale: true, crashes: 0 }, Form::Staged);
        // Runs go on to their ends, as those of other tools do.
        let checker = OneOwner { is_lenient: true, each: |_: &View<'_>, _: u32| {} };
        let named = Race { contenders, stale: true, crashes: 0 };
        group.throughput(Throughput::Elements(SHUTTLE_RUNS));
        group.bench_function(BenchmarkId::new("shuttle, random", contenders), |bench| {
            bench.iter(|| random_schedules(named, SHUTTLE_RUNS as usize));
        });
        group.throughput(Throughput::Elements(RUNS));
        for sampler in [Sampler::Uniform, Sampler::Pct { depth: 3 }, Sampler::Swarm] {
            for threads in [1, cores] {
                let sampling = Sampling { sampler, runs: RUNS, seed: 1, threads };
                let name = format!("{sampler:?} on {threads} threads");
                group.bench_function(BenchmarkId::new(name, contenders), |bench| {
                    bench.iter(|| {
                        let sampled = sample(&race, &checker, &bounds, &sampling);
                        assert_eq!(sampled.ends.values().sum::<u64>(), RUNS);
                    });
                });
            }
        }
    }
    group.finish();
    criterion.final_summary();
}
