//! What it costs to tell every client of an event, each with a number of its own: encoded once and numbered for each, which is what
//! the gateway does, and encoded anew for each. `whole` is a message to the agent until all clients have what they hear of it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use gateway::protocol::Told;
use hot::Case;
use serde_json::{Value, json};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for bytes in [256, 2048] {
        encode(&mut criterion, bytes);
    }
    for (clients, burst) in [(1, 1), (100, 1), (300, 1), (300, 8)] {
        for bytes in [256, 2048] {
            let mut ready = Case::Broadcast { bytes, burst, clients }.ready();
            let mut group = criterion.benchmark_group("fanout_mem/whole");
            group.sample_size(10);
            group.throughput(Throughput::Elements(ready.messages()));
            group.bench_function(
                BenchmarkId::new(format!("{clients} clients, {burst} at once"), bytes),
                |bench| {
                    bench.iter(|| ready.run(1));
                },
            );
            group.finish();
        }
    }
    criterion.final_summary();
}

fn encode(criterion: &mut Criterion, bytes: usize) {
    const CLIENTS: u64 = 1000;
    let payload = payload(bytes);
    let mut into = Vec::new();
    let mut group = criterion.benchmark_group("fanout_mem/encode");
    group.throughput(Throughput::Elements(CLIENTS));
    group.bench_function(BenchmarkId::new("once", bytes), |bench| {
        bench.iter(|| {
            let told = Told::new("chat", &payload, None);
            for seq in 0..CLIENTS {
                into.clear();
                told.write(&mut into, Some(seq));
                black_box(&into);
            }
        });
    });
    group.bench_function(BenchmarkId::new("anew for each", bytes), |bench| {
        bench.iter(|| {
            for seq in 0..CLIENTS {
                into.clear();
                Told::new("chat", &payload, None).write(&mut into, Some(seq));
                black_box(&into);
            }
        });
    });
    group.finish();
}

/// What is told of an answer of the agent.
fn payload(bytes: usize) -> Value {
    json!({
        "runId": "r", "sessionKey": "main", "seq": 1, "state": "final",
        "message": { "role": "assistant", "content": [{ "type": "text", "text": "t".repeat(bytes) }] },
    })
}
