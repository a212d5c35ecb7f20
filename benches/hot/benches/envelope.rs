//! What JSON costs of a request: reading it without looking into its params, and writing the answer around a payload that is
//! there. Beside it what it costs to make a tree of the whole and to write a tree.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use gateway::protocol::{Frame, Payload, answer, read};
use serde_json::{Value, json};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for bytes in [80, 256, 1024, 16_384] {
        let text = request(bytes);
        let mut group = criterion.benchmark_group("envelope/parse");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("as it is", bytes), |bench| {
            bench.iter(|| assert!(matches!(black_box(read(&text)), Frame::Request(_))));
        });
        group.bench_function(BenchmarkId::new("as a tree", bytes), |bench| {
            bench.iter(|| black_box(serde_json::from_str::<Value>(&text)).is_ok());
        });
        group.finish();
        let value = json!({ "ok": true, "text": "t".repeat(bytes) });
        let shared = Payload::Shared(value.to_string().into());
        let (own, mut into) = (Payload::Own(value.clone()), Vec::new());
        let mut group = criterion.benchmark_group("envelope/reply");
        group.throughput(Throughput::Bytes(bytes as u64));
        for (name, payload) in [("written before", &shared), ("written now", &own)] {
            group.bench_function(BenchmarkId::new(name, bytes), |bench| {
                bench.iter(|| {
                    into.clear();
                    answer(&mut into, "0f3c9a52-7d1e-4b60-9c55-2a7be1d4c8f1", payload);
                    black_box(&into);
                });
            });
        }
        group.bench_function(BenchmarkId::new("as a tree", bytes), |bench| {
            bench.iter(|| {
                black_box(json!({ "type": "res", "id": "1", "ok": true, "payload": value }).to_string())
            });
        });
        group.finish();
    }
    criterion.final_summary();
}

/// A request of about so many bytes, with params as clients send them: names, numbers and some nesting.
fn request(bytes: usize) -> String {
    let rows = (0..bytes / 40).map(|number| json!({ "name": format!("row {number}"), "value": number }));
    let params = Value::from_iter(rows);
    // The order in which clients write it.
    format!(r#"{{"type":"req","id":"1","method":"status","params":{params}}}"#)
}
