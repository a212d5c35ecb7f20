//! A kernel with a mistake is found out: the same generator that finds no difference to the right one finds each of
//! them, and shrinks what it has found.

#![expect(clippy::print_stdout, reason = "what was found is shown with the test")]
#![expect(clippy::wildcard_enum_match_arm, reason = "each mistake is about a few calls")]
#![expect(clippy::too_many_lines, reason = "one arm a mistake")]

mod bugs;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use bugs::{ALL, Bug, Planted};
use conform::lane::Lane;
use conform::pair::Verdict;
use conform::real::{Lab, agent_main_if_asked};
use conform::report;
use conform::run::{Request, run};
use libtest_mimic::{Arguments, Failed, Trial};
use sim::Kernel;

/// The seed that the long run has, too.
const SEED: u64 = 1;

/// A difference that takes more steps than this to show has not been shrunken.
const LONGEST: usize = 9;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = agent_main_if_asked(&arguments) {
        return code;
    }
    let is_possible = Lab::new().is_ok();
    let trials = ALL.map(|(bug, within)| {
        Trial::test(format!("a_kernel_with_{}_is_found_out", words(bug)), move || find(bug, within))
            .with_ignored_flag(!is_possible)
    });
    let mut arguments = Arguments::from_args();
    // They wait for real processes more than they do anything.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// The name of a mistake as in the name of a test.
fn words(bug: Bug) -> String {
    let mut words = String::new();
    for letter in format!("{bug:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

fn find(bug: Bug, within: u32) -> Result<(), Failed> {
    let request = Request {
        sequences: 0..within,
        seed: SEED,
        lanes: 1,
        corpus: true,
        enough: 1,
        interrupted: Arc::default(),
        progress: None,
    };
    let summary = run(&request, &|| Planted::new(bug))?;
    let Some(difference) = summary.differences.first() else {
        return Err(format!("{} sequences show no difference", summary.sequences).into());
    };
    let text = report::difference(SEED, difference);
    println!("{text}");
    let mut lane = Lane::new()?;
    let right = lane.run(Kernel::new(), &difference.shrunken.sequence)?;
    if right.verdict != Verdict::Same {
        return Err(format!("the right kernel differs there, too: {}", report::table(&right)).into());
    }
    if difference.shrunken.sequence.steps.len() > LONGEST {
        return Err(format!("it is found, and not shrunken:\n{text}").into());
    }
    Ok(())
}
