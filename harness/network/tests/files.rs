//! The plans of the library and of the documentation: each is read, and a few seeds of it are clean.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a test reads the files that it judges, and fails if it cannot"
)]

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

use network::{Effort, On, Sweep};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every plan of the library: its path and its text.
fn plans() -> Vec<(PathBuf, String)> {
    let mut plans = Vec::new();
    for folder in
        read_dir(root().join("scenarios")).expect("the library").map(|entry| entry.expect("an entry").path())
    {
        let Ok(files) = read_dir(&folder) else { continue };
        for path in files.map(|entry| entry.expect("an entry").path()) {
            if path.to_string_lossy().ends_with(".sweep.toml") {
                let text = read_to_string(&path).expect("a plan");
                plans.push((path, text));
            }
        }
    }
    plans.sort();
    plans
}

fn sweeps(name: &str, text: &str, seeds: u64) {
    let sweep = Sweep::parse(text).unwrap_or_else(|mistake| panic!("{name}: {mistake}"));
    let effort = Effort { on: On::Simulation, jobs: 2, twice: true, should_stop: &|| false };
    let swept = sweep.run(0, seeds, effort).unwrap_or_else(|error| panic!("{name}: {error}"));
    if let Some(report) = &swept.failed {
        panic!("{name}: {report}");
    }
    assert_eq!((swept.differs, swept.tried), (None, seeds + sweep.regressions.len() as u64), "{name}");
}

#[test]
fn every_plan_of_the_library_is_clean() {
    let plans = plans();
    assert!(plans.len() >= 10, "{} plans", plans.len());
    for (path, text) in plans {
        sweeps(&path.to_string_lossy(), &text, 3);
    }
}

#[test]
fn the_plan_of_the_documentation_says_everything_that_a_plan_can_say() {
    let page = read_to_string(root().join("docs/sweeps.md")).expect("the page");
    let (_, rest) = page.split_once("```toml\n").expect("a plan");
    let (plan, _) = rest.split_once("```").expect("its end");
    sweeps("docs/sweeps.md", plan, 5);
    let keys = [
        "refs",
        "seeds",
        "regressions",
        "length_ms",
        "latency_ms",
        "lost_permille",
        "weather_every_ms",
        "bots",
        "lease_ms",
        "shared_without_locks",
        "host",
        "state",
        "port",
        "job_every_ms",
        "restart",
        "restart_ms",
        "takeover",
        "gateway",
        "pause_ms",
        "at_ms",
        "start",
        "stop",
        "kill",
        "pause",
        "resume",
        "say",
        "cut",
        "cut_one_way",
        "mend",
        "sleep",
        "clock",
        "link",
        "link_one_way",
        "power_loss",
        "kind",
        "happens",
        "never",
        "answered_within_ms",
        "replies",
        "breaks",
    ];
    for key in keys {
        assert!(page.contains(key), "docs/sweeps.md does not tell of `{key}`");
    }
    // The error of a key that there is not lists all that there are, so none is missing above.
    let mistake = Sweep::parse("schema = 1\nx = 1").expect_err("a wrong key").to_string();
    for word in mistake.split('`').skip(1).step_by(2).filter(|word| *word != "x" && !word.contains('=')) {
        assert!(page.contains(word), "docs/sweeps.md does not tell of `{word}`");
    }
}
