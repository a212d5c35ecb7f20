//! What the tests of whole gateways have in common.

use network::{Plan, Report};
use sim::supervisor::{KillMode, Restart, StartLimit, Supervisor, Systemd};

/// How many seeds each test tries.
pub(crate) const SEEDS: u64 = 25;

/// A service that is started again five seconds after it has ended, as often as need be.
pub(crate) fn always() -> Supervisor {
    Supervisor::Systemd(Systemd {
        restart: Restart::Always,
        restart_delay_ms: 5_000,
        start_limit: StartLimit { burst: 1_000, interval_ms: 1 },
        success: Vec::new(),
        never_after: Vec::new(),
        always_after: Vec::new(),
        stop_timeout_ms: Some(90_000),
        kill_mode: KillMode::ControlGroup,
    })
}

/// One execution in which no promise is broken.
pub(crate) fn clean(plan: &Plan, seed: u64) -> Report {
    let report = plan.run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert!(report.broken.is_empty(), "{report}");
    report
}
