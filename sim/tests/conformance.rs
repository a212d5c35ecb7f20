//! The simulated kernel answers as the real one does: thousands of generated sequences of calls, every reply compared.
//!
//! The processes of the real machine are this very program, executed again; so it has a `main` of its own. Where there are
//! no namespaces to make such a machine in, what is skipped is said, and counts as ignored.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what was compared, or skipped, is shown with the test"
)]

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use conform::real::{Lab, agent_main_if_asked};
use conform::run::{Request, Summary, run};
use conform::{expected, report};
use libtest_mimic::{Arguments, Failed, Trial};
use sim::Kernel;

const SEED: u64 = 1;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = agent_main_if_asked(&arguments) {
        return code;
    }
    let machine = Lab::new();
    if let Err(trouble) = &machine {
        eprintln!("skipped, since there is no real machine to compare with: {trouble}");
    }
    let is_skipped = machine.is_err();
    drop(machine);
    let tests = vec![
        Trial::test("ten_thousand_generated_sequences_go_as_on_linux", generated)
            .with_ignored_flag(is_skipped),
        Trial::test("every_kept_sequence_goes_as_on_linux", kept).with_ignored_flag(is_skipped),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn generated() -> Result<(), Failed> {
    let summary = compare(expected::LONG)?;
    println!("{}{}", summary.coverage.table(), report::summary(&summary));
    if summary.contended < summary.sequences / 2 {
        return Err("in too few sequences two processes compete for something".into());
    }
    let holes: Vec<String> = expected::holes(&summary).iter().map(ToString::to_string).collect();
    if holes.is_empty() { Ok(()) } else { Err(holes.join("\n").into()) }
}

fn kept() -> Result<(), Failed> {
    compare(0).map(|_| ())
}

/// Compares the kept sequences, and so many generated ones.
fn compare(sequences: u32) -> Result<Summary, Failed> {
    // Real processes are waited for more than anything is computed.
    let lanes = 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let request = Request {
        sequences: 0..sequences,
        seed: SEED,
        lanes,
        corpus: true,
        enough: 3,
        interrupted: Arc::default(),
        progress: None,
    };
    let summary = run(&request, &Kernel::new)?;
    if !summary.differences.is_empty() {
        let shown = summary.differences.iter().map(|difference| report::difference(SEED, difference));
        return Err(shown.collect::<Vec<_>>().join("\n").into());
    }
    if !summary.unknown.is_empty() || !summary.cut.is_empty() {
        return Err(report::summary(&summary).into());
    }
    Ok(summary)
}
