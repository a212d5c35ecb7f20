//! What it costs to keep events for clients that do not read, and to send them once they do: all of it, for each delivery. With
//! eight, they all fit into what is being written; with more, the rest waits in the queue of each client.

use criterion::{BenchmarkId, Criterion, Throughput};
use hot::Case;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for waiting in [8, 64, 512] {
        for bytes in [256, 2048] {
            let mut ready = Case::Queue { bytes, waiting, clients: 100 }.ready();
            let mut group = criterion.benchmark_group("queue");
            group.sample_size(10);
            group.throughput(Throughput::Elements(ready.messages()));
            group.bench_function(BenchmarkId::new(format!("{waiting} wait"), bytes), |bench| {
                bench.iter(|| ready.run(1));
            });
            group.finish();
        }
    }
    criterion.final_summary();
}
