//! States a second: every order in which two reference gateways can race for everything, and the broken lock of
//! [`toy`](portcullis_benches::toy) beside stateright, which has a table of it that was written by hand.
//!
//! Ours is given the program and learns it; that is part of what is measured.

#![expect(clippy::expect_used, reason = "a bench ends where its premises fail")]

use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use harness::designs::Design;
use harness::scenario::parse;
use harness::simulate::Simulation;
use portcullis_benches::toy::Race;
use portcullis_benches::toy::program::{Form, OneOwner, setup};
use portcullis_benches::toy::table::Table;
use sim::{Bounds, Evidence, Policy, View, explore};
use stateright::{Checker as _, Model as _};

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
    let source = include_str!("../../scenarios/race/three-in-the-dark.toml");
    let scenario =
        parse(Path::new("scenarios/race/three-in-the-dark.toml"), source).expect("the scenario is valid");
    let Simulation { setup, checks, bounds, .. } = Simulation::new(&scenario, Design::Refgate);
    group.bench_function("the lock, three contenders, two crashes", |bench| {
        bench.iter(|| {
            let whole = explore(&setup, &checks, &bounds);
            assert_eq!((whole.evidence, whole.found), (Evidence::Complete, None));
        });
    });
    group.finish();
    toy(&mut criterion);
    criterion.final_summary();
}

fn toy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("toy");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(100));
    let races = [(2, 1), (3, 0), (3, 3), (4, 0)];
    for race in races.map(|(contenders, crashes)| Race { contenders, stale: true, crashes }) {
        let name = format!("{} contenders, {} crashes", race.contenders, race.crashes);
        let checker = OneOwner { is_lenient: true, each: |_: &View<'_>, _: u32| {} };
        let bounds =
            Bounds { policy: Policy::Exhaustive, kills: race.crashes, power_losses: 0, states: usize::MAX };
        for form in [Form::Straight, Form::Staged] {
            let ours = setup(race, form);
            group.bench_function(BenchmarkId::new(format!("the program, {form:?}"), &name), |bench| {
                bench.iter(|| {
                    let whole = explore(&ours, &checker, &bounds);
                    assert_eq!(whole.evidence, Evidence::Complete);
                });
            });
        }
        let table = Table { race, exits_later: true, one_row: false, forgets: true };
        group.bench_function(BenchmarkId::new("the table, stateright breadth-first", &name), |bench| {
            bench.iter(|| table.checker().spawn_bfs().join().unique_state_count());
        });
        group.bench_function(BenchmarkId::new("the table, stateright depth-first", &name), |bench| {
            bench.iter(|| table.checker().spawn_dfs().join().unique_state_count());
        });
    }
    group.finish();
}
