//! States a second: every order in which two reference gateways can race for everything.

#![expect(clippy::expect_used, reason = "a bench ends where its premises fail")]

use std::path::Path;

use criterion::{Criterion, Throughput};
use harness::designs::Design;
use harness::scenario::parse;
use harness::simulate::Simulation;
use sim::{Evidence, explore};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let source = include_str!("../../scenarios/race/two-gateways.toml");
    let scenario =
        parse(Path::new("scenarios/race/two-gateways.toml"), source).expect("the scenario is valid");
    let Simulation { setup, checks, bounds, .. } = Simulation::new(&scenario, Design::Refgate);
    let whole = explore(&setup, &checks, &bounds);
    assert_eq!((whole.evidence, whole.found), (Evidence::Complete, None));
    let mut group = criterion.benchmark_group("explore");
    group.sample_size(10);
    group.throughput(Throughput::Elements(whole.states as u64));
    group.bench_function("race of two gateways, learning included", |bench| {
        bench.iter(|| explore(&setup, &checks, &bounds).states);
    });
    group.finish();
    criterion.final_summary();
}
