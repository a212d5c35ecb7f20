//! Taking every token on the real kernel and giving it back, and being refused, in microseconds.
//!
//! Ports are those of this machine, so a block is looked for that nobody uses.

#![expect(clippy::expect_used, reason = "a bench ends where its premises fail")]

use std::path::Path;

use criterion::Criterion;
use gateway::lock::acquire;
use gateway::{Claim, GATEWAY_SPAN, PortBlock};
use portcullis_os::{Linux, Port};
use tokio::runtime::{Builder, Runtime};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    for span in [GATEWAY_SPAN, 3] {
        let claim = free_claim(&runtime, directory.path(), span);
        criterion.bench_function(&format!("lock/acquire and release, {} ports", span + 1), |bench| {
            bench.iter(|| assert!(runtime.block_on(acquire_and_release(&claim)), "the block is free"));
        });
    }
    refuse(&mut criterion, &runtime, &free_claim(&runtime, directory.path(), 3));
    criterion.final_summary();
}

/// A claim that can be had: nobody holds a port of its block.
fn free_claim(runtime: &Runtime, directory: &Path, span: u16) -> Claim {
    // Below the ports that the kernel gives to outgoing connections.
    let mut bases = (20_000..32_000).step_by(200).filter_map(Port::new);
    let claims = bases
        .by_ref()
        .filter_map(|base| PortBlock::new(base, span))
        .map(|ports| Claim::plain(directory.join("state"), directory.join("state/openclaw.json"), ports));
    let mut free = claims.filter(|claim| runtime.block_on(acquire_and_release(claim)));
    free.next().expect("some block of ports is free")
}

/// Whether the claim could be had.
async fn acquire_and_release(claim: &Claim) -> bool {
    let os = Linux::new(|_| {});
    let owned = acquire(&os, claim).await;
    let is_owner = owned.is_ok();
    drop(owned);
    // The responders find their sockets closed and end, before the next round gives out the same numbers.
    tokio::task::yield_now().await;
    is_owner
}

/// The owner answers, so most of this is the pauses between the attempts on a busy token.
fn refuse(criterion: &mut Criterion, runtime: &Runtime, claim: &Claim) {
    let owner = Linux::new(|_| {});
    let owned = runtime.block_on(acquire(&owner, claim)).expect("the block is free");
    let mut group = criterion.benchmark_group("lock");
    group.sample_size(10);
    group.bench_function("refused acquire, 4 ports", |bench| {
        bench.iter(|| runtime.block_on(async { acquire(&Linux::new(|_| {}), claim).await.is_err() }));
    });
    group.finish();
    drop(owned);
}
