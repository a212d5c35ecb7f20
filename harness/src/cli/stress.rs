//! `portcullis stress`: real contenders, real kills, and whether what the owners wrote is in order.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;

use super::{complain, examples, interrupts, parse_design, status};
use crate::designs::Design;
use crate::real::Isolation;
use crate::stress::{Outcome, Request, Verdict, percentile};

/// What `portcullis stress` can be told.
#[derive(Debug, Args)]
#[command(after_help = examples::STRESS)]
pub(super) struct StressOptions {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// The lock of the contenders, by its name or number [default: refgate]
    #[arg(long, value_parser = parse_design)]
    design: Option<Design>,
    /// What is done to whom is drawn from it; what the kernel makes of it is its own
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

/// Makes a stress and tells what it has shown.
pub(super) fn run(out: &mut impl Write, options: &StressOptions) -> io::Result<u8> {
    let design = options.design.unwrap_or(Design::Refgate);
    if let Some((program, _)) = design.child() {
        complain(&format!(
            "error: `{}` cannot run on the real kernel: its gateways start {program}, which exists only in the \
             simulator\n  = help: `portcullis list --designs` shows the others",
            design.name()
        ));
        return Ok(status::USAGE);
    }
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let StressOptions { seconds, seed, .. } = *options;
    writeln!(
        out,
        "portcullis {}   stress   design {}   {seconds} s   seed {seed}",
        env!("CARGO_PKG_VERSION"),
        design.name()
    )?;
    out.flush()?;
    let request = Request { design, seconds, seed, interrupted: Arc::clone(&interrupted) };
    match request.run() {
        Ok((outcome, isolation)) => tell(out, &request, &outcome, isolation),
        Err(_) if interrupted.load(Ordering::Relaxed) => {
            writeln!(out, "interrupted")?;
            Ok(status::INTERRUPTED)
        }
        Err(reason) => {
            complain(&format!("error: the stress could not be made: {reason}"));
            Ok(status::ENVIRONMENT)
        }
    }
}

fn tell(out: &mut impl Write, request: &Request, outcome: &Outcome, isolation: Isolation) -> io::Result<u8> {
    let room = match isolation {
        Isolation::WherePossible => "in namespaces of their own",
        Isolation::Never => "not isolated: namespaces are not allowed here",
    };
    writeln!(out, "  contenders    {room}")?;
    let rows = [
        ("acquisitions", outcome.acquisitions, format!("{} needed", request.acquisitions_needed())),
        (
            "kills",
            outcome.kills,
            format!("{} needed; {} before they were ready", request.kills_needed(), outcome.kills_inside),
        ),
        ("stops", outcome.stops, "at least 1 needed; each resumed, then killed".to_owned()),
        (
            "removals",
            outcome.removals,
            format!(
                "of lock files, at least {} needed; {} owners noticed and stopped",
                request.removals_needed(),
                outcome.fenced
            ),
        ),
        ("refusals", outcome.refusals, String::new()),
        ("writes", outcome.writes, "by owners, into one log".to_owned()),
    ];
    for (name, count, note) in rows {
        writeln!(out, "{}", format!("  {name:<12} {count:>8}   {note}").trim_end())?;
    }
    for (name, times) in [("acquire", &outcome.acquire_us), ("refuse", &outcome.refuse_us)] {
        if let (Some(half), Some(most)) = (percentile(times, 50), percentile(times, 99)) {
            writeln!(out, "  {name:<12} p50 {}, p99 {}", milliseconds(half), milliseconds(most))?;
        }
    }
    for line in &outcome.shown {
        writeln!(out, "  {line}")?;
    }
    let noun = if outcome.violations == 1 { "violation" } else { "violations" };
    writeln!(out, "{} {noun}", outcome.violations)?;
    Ok(match request.judge(outcome) {
        Verdict::Held => status::PASSED,
        Verdict::Broken => status::FAILED,
        Verdict::TooLittle => {
            writeln!(out, "inconclusive: too few acquisitions, kills, stops or removals to say anything")?;
            status::INCONCLUSIVE
        }
    })
}

fn milliseconds(microseconds: u64) -> String {
    let tenths = microseconds.div_ceil(100);
    format!("{}.{} ms", tenths / 10, tenths % 10)
}
