//! Nothing that comes from outside stops a gateway or makes it grow: messages, heads of requests and configurations, each made
//! of one of the corpus by cutting, copying and replacing.
//!
//! `REFGATE_FUZZ_SECONDS=600` goes on for so long with each, and says how much that was. What breaks anything is shrunk and
//! shown; it belongs into the corpus.

#![cfg(target_os = "linux")]

mod configuration;
mod server;
mod spoilt;

use std::io::Write as _;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

/// How many cases are tried at a time, and at all where nobody asks for more.
const ROUND: u32 = 200;

/// The most memory that this process may come to have, in KiB.
const MOST_KIB: u64 = 512 * 1024;

/// Tries the same cases every time, and others after them for as long as is asked.
#[expect(clippy::disallowed_methods, reason = "how long it runs is asked for; nothing is judged by it")]
fn go_on<S: Strategy>(what: &str, strategy: &S, judge: impl Fn(S::Value) -> TestCaseResult) {
    let seconds = std::env::var("REFGATE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut round = 0_u64;
    while round == 0 || Instant::now() < end {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let config = Config { cases: ROUND, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        if let Err(failure) = runner.run(strategy, &judge) {
            panic!("{what}, round {round}: {failure}");
        }
        round += 1;
    }
    let tried = round * u64::from(ROUND);
    let said = writeln!(std::io::stderr(), "{tried} {what}; {} KiB at most", peak_kib());
    assert!(said.is_ok());
    assert!(peak_kib() < MOST_KIB, "{} KiB", peak_kib());
}

/// The most memory that the process has had, in KiB.
#[expect(clippy::disallowed_methods, reason = "a test looks at itself")]
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
