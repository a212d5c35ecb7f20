//! What it costs to come: the handshake of HTTP, and with it everything until a client is let in, and its leaving.

use criterion::{BatchSize, Criterion, Throughput};
use gateway::control::{About, Control, SessionLimits};
use gateway::server::Service;
use hot::Stand;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("handshake");
    group.throughput(Throughput::Elements(1));
    let mut echo = Stand::new(Service::Echo { longest: 1 << 20 });
    group.bench_function("a socket", |bench| {
        bench.iter(|| {
            echo.socket().hang_up();
            echo.turn();
        });
    });
    let service = || Service::Gateway(Control::new(About::open(), SessionLimits::openclaw()));
    group.bench_function("a client that is let in", |bench| {
        // What happens to a gateway is noted, up to a limit, so each begins as a new one.
        bench.iter_batched_ref(
            || Stand::new(service()),
            |stand| {
                stand.client().hang_up();
                stand.turn();
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
    criterion.final_summary();
}
