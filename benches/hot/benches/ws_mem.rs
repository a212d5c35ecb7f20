//! What a message costs a connection whose bytes come from memory: echoed, and as a request that the gateway answers, one at a
//! time and sixteen at once.

use criterion::{BenchmarkId, Criterion, Throughput};
use hot::Case;

const BURSTS: [usize; 2] = [1, 16];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for burst in BURSTS {
        for bytes in [32, 256, 1024, 16_384, 65_536] {
            measure(&mut criterion, "ws_mem/echo", Case::Echo { bytes, burst }, bytes, burst);
        }
        for bytes in [256, 1024, 16_384] {
            measure(&mut criterion, "ws_mem/rpc", Case::Rpc { bytes, burst }, bytes, burst);
        }
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, name: &str, case: Case, bytes: usize, burst: usize) {
    let mut ready = case.ready();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ready.messages()));
    group.bench_function(BenchmarkId::new(format!("{burst} at once"), bytes), |bench| {
        bench.iter(|| ready.run(1));
    });
    group.finish();
}
