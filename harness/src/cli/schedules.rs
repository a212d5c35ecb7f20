//! `--schedules`: schedules of the explorer are driven on real processes, case by case, and every reply is compared.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::{Args, ValueEnum};

use super::{interrupts, load, parse_design, read_token, status};
use crate::designs::Design;
use crate::real;
use crate::replayed;
use crate::report::count;
use crate::scenario::{Case, Scenario};
use crate::stepped::{self, Driven, Trouble, Which};

/// Which schedules are driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Every {
    /// One of each trace: every schedule up to the order of steps that commute in the simulator
    Trace,
    /// As few schedules as take every step from every state, in whatever order steps commute
    Step,
}

/// What is driven.
#[derive(Debug, Args)]
pub(super) struct ScheduleOptions {
    /// Scenario files, or directories of them
    #[arg(default_value = "scenarios")]
    schedules: Vec<PathBuf>,
    /// The lock that the gateways have [default: refgate]
    #[arg(long, value_parser = parse_design)]
    design: Option<Design>,
    /// Which schedules
    #[arg(long, value_enum, default_value = "trace")]
    every: Every,
    /// Schedules at once [default: one for each core]
    #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Only the schedule of this token, as a difference has printed it
    #[arg(long, conflicts_with_all = ["schedules", "design", "every", "limit"])]
    token: Option<String>,
    /// At most so many schedules of each case; a case that has more is not complete
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Drives the schedules of every case, one line a case.
pub(super) fn run(out: &mut impl Write, options: &ScheduleOptions) -> io::Result<u8> {
    let (cases, design, which) = match select(out, options)? {
        Ok(selected) => selected,
        Err(status) => return Ok(status),
    };
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let how = stepped::Options {
        helper: PathBuf::from(real::Options::ITSELF),
        jobs: options.jobs.map_or(cores, usize::from),
        limit: options.limit.unwrap_or(u64::MAX),
        interrupted: Arc::clone(&interrupted),
    };
    let mut worst = status::PASSED;
    for case in cases {
        let status = drive(out, &case, design, &which, &how)?;
        if interrupted.load(Ordering::Relaxed) {
            return Ok(status::INTERRUPTED);
        }
        // A case that failed outweighs one that stayed undecided.
        if worst != status::FAILED && status != status::PASSED {
            worst = status;
        }
    }
    Ok(worst)
}

type Selected = (Vec<Case>, Design, Which);

/// Which cases are driven on which design, and which of their schedules.
fn select(out: &mut impl Write, options: &ScheduleOptions) -> io::Result<Result<Selected, u8>> {
    if let Some(token) = &options.token {
        let token = match read_token(out, token)? {
            Ok(token) => token,
            Err(status) => return Ok(Err(status)),
        };
        return Ok(match replayed::find(&token) {
            Ok(case) => Ok((vec![case], token.design, Which::One(token.schedule))),
            Err(why) => {
                writeln!(out, "not applicable: {why}")?;
                Err(status::INCONCLUSIVE)
            }
        });
    }
    let which = match options.every {
        Every::Trace => Which::EveryTrace,
        Every::Step => Which::EveryStep,
    };
    let cases = |scenarios: Vec<Scenario>| scenarios.iter().flat_map(Scenario::cases).collect();
    let design = options.design.unwrap_or(Design::Refgate);
    Ok(load(&options.schedules).map(|scenarios| (cases(scenarios), design, which)))
}

fn drive(
    out: &mut impl Write,
    case: &Case,
    design: Design,
    which: &Which,
    how: &stepped::Options,
) -> io::Result<u8> {
    let (says, status) = match stepped::drive(case, design, which, how) {
        Ok(Driven { difference: Some(difference), .. }) => (format!("FAIL  {difference}"), status::FAILED),
        Ok(Driven { schedules, steps, is_complete, difference: None }) => {
            let (schedules, steps) = (count(schedules as usize, "schedule"), count(steps as usize, "step"));
            let (word, status, rest) = if is_complete {
                ("PASS", status::PASSED, "all that were asked for")
            } else {
                ("INCO", status::INCONCLUSIVE, "there are more")
            };
            (format!("{word}  {schedules}, {steps} as in the simulator; {rest}"), status)
        }
        Err(trouble @ Trouble::Unsupported(_)) => (format!("UNSU  {trouble}"), status::PASSED),
        Err(trouble @ Trouble::Undecided(_)) => (format!("INCO  {trouble}"), status::INCONCLUSIVE),
    };
    writeln!(out, "{:<46} {:<24} {says}", case.id, design.name())?;
    out.flush()?;
    Ok(status)
}
