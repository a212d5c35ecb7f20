//! `portcullis sweep`: whole gateways on a simulated network or as real processes, many seeds, and the first execution in which
//! users see what they never should.

mod kept;
mod told;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use network::{Effort, On, Sweep, Unrunnable};

use super::{complain, examples, interrupts, status};
use crate::scenario::{SWEEP_ENDING, SweepFiles};
use kept::keep;
use told::{tell, write_report};

/// What `portcullis sweep` can be told.
#[derive(Debug, Args)]
#[command(after_help = examples::SWEEP)]
pub(super) struct SweepOptions {
    /// Files that end in `.sweep.toml`, and directories with such files
    #[arg(value_name = "PATHS", default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// Where it happens; may be given more than once
    #[arg(long, value_name = "WHERE", value_enum, default_value = "sim")]
    on: Vec<Place>,
    /// The gateway to run as processes [default: the one that is built in]
    #[arg(long, value_name = "PATH")]
    refgate: Option<PathBuf>,
    /// How many times as fast as the plan says everything happens to processes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100), default_value_t = USUAL_PACE)]
    pace: u64,
    /// How many seeds of each [default: as the file says; 3 with processes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    seeds: Option<u64>,
    /// The first of them
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(0..=LAST_FROM), default_value_t = 0)]
    from: u64,
    /// Show one execution, from its beginning to its end
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "from", "twice", "keep"])]
    seed: Option<u64>,
    /// Make each execution twice, and fail where the two differ. Only simulated ones are alike
    #[arg(long)]
    twice: bool,
    /// Write the seed that fails into `regressions` of its file, so that it is tried first from then on. What was drawn is
    /// written into a plan of its own beside it, without whatever is not needed to fail
    #[arg(long)]
    keep: bool,
    /// How long all of it may take, each plan its share. What has not been tried then is told, with the command to go on with
    #[arg(long, value_name = "TIME", value_parser = super::run::parse_time)]
    budget: Option<Duration>,
    /// How many executions at once [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

/// How many times as fast everything happens to processes unless somebody says another number.
const USUAL_PACE: u64 = 10;
/// The last seed to begin with: that and a thousand million more are numbers of TOML.
const LAST_FROM: u64 = i64::MAX.cast_unsigned() - 1_000_000_000;

impl SweepOptions {
    /// What is added to a command so that a plan happens as it does here.
    fn here(&self, place: Place) -> String {
        let mut words = String::new();
        if place == Place::Refgate {
            words.push_str(" --on refgate");
            if let Some(path) = &self.refgate {
                words.push_str(&format!(" --refgate {}", path.display()));
            }
            if self.pace != USUAL_PACE {
                words.push_str(&format!(" --pace {}", self.pace));
            }
        }
        words
    }

    /// What is added to the command that goes on with a plan.
    fn again(&self, place: Place) -> String {
        let mut words = self.here(place);
        if let Some(jobs) = self.jobs {
            words.push_str(&format!(" --jobs {jobs}"));
        }
        for (is_wanted, word) in [(self.twice, " --twice"), (self.keep, " --keep")] {
            words.push_str(if is_wanted { word } else { "" });
        }
        words
    }
}

/// How many seeds are tried with processes unless somebody says another number.
const FEW: u64 = 3;

/// Where a plan happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Place {
    /// On a simulated network
    Sim,
    /// On real processes of the reference gateway
    Refgate,
}

impl Place {
    const fn word(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Refgate => "refgate",
        }
    }
}

/// A plan, and the file that it is from.
pub(super) struct Plan {
    name: String,
    path: PathBuf,
    text: String,
    sweep: Sweep,
}

/// Sweeps all plans and tells what they have shown.
pub(super) fn run(out: &mut impl Write, options: &SweepOptions) -> io::Result<u8> {
    if options.twice && options.on.contains(&Place::Refgate) {
        complain(
            "error: no two executions of processes are alike\n  = help: leave `--twice` or `--on refgate` out",
        );
        return Ok(status::USAGE);
    }
    let Ok(mut plans) = read(&options.paths) else { return Ok(status::USAGE) };
    if plans.is_empty() {
        complain(&format!("error: no file that ends in `{SWEEP_ENDING}` was found"));
        return Ok(status::NOTHING);
    }
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let is_interrupted = || interrupted.load(Ordering::Relaxed);
    let mut places: Vec<Place> = Vec::new();
    for place in &options.on {
        if !places.contains(place) {
            places.push(*place);
        }
    }
    let mut time = Time {
        is_interrupted: &is_interrupted,
        begun: now(),
        budget: options.budget,
        plans: u32::try_from(plans.len() * places.len()).unwrap_or(u32::MAX),
    };
    let mut worst = status::PASSED;
    for place in places {
        let ended = match place {
            Place::Sim => sweep(out, options, &mut plans, place, On::Simulation, &mut time)?,
            Place::Refgate => on_processes(out, options, &mut plans, &mut time)?,
        };
        if !matches!(ended, status::PASSED | status::FAILED | status::INCONCLUSIVE) {
            return Ok(ended);
        }
        worst = worse(worst, ended);
    }
    if is_interrupted() {
        return Ok(status::INTERRUPTED);
    }
    Ok(worst)
}

/// How much time there is, and for how many plans.
struct Time<'a> {
    is_interrupted: &'a (dyn Fn() -> bool + Sync),
    begun: Instant,
    budget: Option<Duration>,
    /// How many plans are still to come, in all places.
    plans: u32,
}

impl Time<'_> {
    fn left(&self) -> Option<Duration> {
        self.budget.map(|budget| budget.saturating_sub(self.begun.elapsed()))
    }

    fn is_over(&self) -> bool {
        (self.is_interrupted)() || self.left().is_some_and(|left| left.is_zero())
    }

    /// How much of it the next plan has: what those before have left is for all that are still to come.
    fn share(&mut self) -> Option<Duration> {
        let share = self.left().map(|left| left / self.plans.max(1));
        self.plans = self.plans.saturating_sub(1);
        share
    }
}

/// The same on processes of the reference gateway, each on a leash: it dies with this program, whatever that dies of.
#[cfg(target_os = "linux")]
fn on_processes(
    out: &mut impl Write,
    options: &SweepOptions,
    plans: &mut [Plan],
    time: &mut Time<'_>,
) -> io::Result<u8> {
    use super::executable::Executable;
    use crate::real::Helper;
    let found = options.refgate.as_deref().map_or_else(Executable::built_in, Executable::named);
    let executable = match found {
        Ok(executable) => executable,
        Err(why) => {
            complain(&why);
            return Ok(status::ENVIRONMENT);
        }
    };
    let gateway = || {
        let mut command = Helper::Leash.command(crate::real::Options::ITSELF.as_ref());
        command.arg(&executable.path);
        command
    };
    let how = network::real::Processes { gateway: &gateway, pace: options.pace };
    sweep(out, options, plans, Place::Refgate, On::Processes(&how), time)
}

#[cfg(not(target_os = "linux"))]
fn on_processes(_: &mut impl Write, _: &SweepOptions, _: &mut [Plan], _: &mut Time<'_>) -> io::Result<u8> {
    complain("error: real processes are run on Linux only");
    Ok(status::ENVIRONMENT)
}

/// Sweeps all plans in one place.
fn sweep(
    out: &mut impl Write,
    options: &SweepOptions,
    plans: &mut [Plan],
    place: Place,
    on: On<'_>,
    time: &mut Time<'_>,
) -> io::Result<u8> {
    if let Some(seed) = options.seed {
        return show(out, plans, place, on, seed, &|| time.is_over());
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = options.jobs.map_or(cores, usize::from);
    let mut worst = status::PASSED;
    for plan in plans {
        let (share, begun, is_interrupted) = (time.share(), now(), time.is_interrupted);
        if is_unsupported(out, plan, place)? {
            continue;
        }
        let should_stop = || is_interrupted() || share.is_some_and(|share| begun.elapsed() >= share);
        let effort = Effort { on, jobs, twice: options.twice, should_stop: &should_stop };
        let usual = if place == Place::Sim { plan.sweep.seeds } else { FEW };
        let swept = match plan.sweep.run(options.from, options.seeds.unwrap_or(usual), effort) {
            Ok(swept) => swept,
            Err(error) => return Ok(impossible(plan, &error)),
        };
        let ended = tell(out, options, plan, place, &swept)?;
        if let Some(report) = swept.failed.as_ref().filter(|_| options.keep)
            && let Err(error) = keep(out, plan, report.seed, place, &|| time.is_over())
        {
            complain(&format!("error: {}: what has failed is not kept: {error}", plan.path.display()));
            return Ok(status::ENVIRONMENT);
        }
        out.flush()?;
        worst = worse(worst, ended);
    }
    Ok(worst)
}

/// Whether a plan cannot happen there. Then that is told, with the reason.
fn is_unsupported(out: &mut impl Write, plan: &Plan, place: Place) -> io::Result<bool> {
    let needs = plan.sweep.plan.needs();
    if place == Place::Sim || needs.is_empty() {
        return Ok(false);
    }
    let name = format!("{} {}", place.word(), plan.name);
    writeln!(out, "{:>8}  {name:<52} it needs {}", "UNSU", needs.join(", and "))?;
    Ok(true)
}

/// Tells why a plan cannot be run, and answers the status to end with.
fn impossible(plan: &Plan, error: &Unrunnable) -> u8 {
    match error {
        Unrunnable::Interrupted => status::INTERRUPTED,
        Unrunnable::Machine { .. } | Unrunnable::NoRoom(_) => {
            complain(&format!("error: {}: {error}", plan.path.display()));
            status::ENVIRONMENT
        }
        Unrunnable::Nobody(_)
        | Unrunnable::Misnamed(_)
        | Unrunnable::Unsettled { .. }
        | Unrunnable::NotHere(_)
        | Unrunnable::Outcomes(_)
        | Unrunnable::Restless(_) => {
            complain(&format!("error: {}: {error}", plan.path.display()));
            status::USAGE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge where a sweep is timed; no verdict but that of a budget depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Of two answers the one that is told.
const fn worse(one: u8, other: u8) -> u8 {
    match (one, other) {
        (status::FAILED, _) | (_, status::FAILED) => status::FAILED,
        (status::INCONCLUSIVE, _) | (_, status::INCONCLUSIVE) => status::INCONCLUSIVE,
        (_, _) => status::PASSED,
    }
}

/// Reads all plans. What is wrong with any of them was told.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Plan>, ()> {
    let files = SweepFiles::read(paths);
    for error in &files.errors {
        complain(&format!("error: {error}\n  = help: {}", error.help()));
    }
    let (mut plans, mut is_wrong) = (Vec::new(), !files.errors.is_empty());
    for (path, text) in files.found {
        match Sweep::parse(&text) {
            Ok(sweep) => plans.push(Plan { name: name_of(&path), path, text, sweep }),
            Err(mistakes) => {
                is_wrong = true;
                for mistake in mistakes.0 {
                    complain(&format!("error: {}: {mistake}", path.display()));
                }
            }
        }
    }
    if is_wrong { Err(()) } else { Ok(plans) }
}

/// The folder and the name of a file, without what all such names end in.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(SWEEP_ENDING).unwrap_or(&name).to_owned();
    let folder = path.parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy());
    folder.map_or_else(|| name.clone(), |folder| format!("{folder}/{name}"))
}

/// Shows what one seed makes of each plan.
fn show(
    out: &mut impl Write,
    plans: &[Plan],
    place: Place,
    on: On<'_>,
    seed: u64,
    should_stop: &dyn Fn() -> bool,
) -> io::Result<u8> {
    let mut worst = status::PASSED;
    for plan in plans {
        if is_unsupported(out, plan, place)? {
            continue;
        }
        match plan.sweep.plan.run_on(on, seed, should_stop) {
            Ok(report) => {
                writeln!(out, "{} {}   {}", place.word(), plan.name, plan.sweep.title)?;
                write_report(out, &report)?;
                if place == Place::Sim {
                    writeln!(out, "    digest {:032x}", report.digest)?;
                }
                if !plan.sweep.is_as_expected(&report) {
                    worst = status::FAILED;
                }
            }
            Err(Unrunnable::Interrupted) => {
                writeln!(out, "{:>8}  {} {}: it was not over in time", "CUT", place.word(), plan.name)?;
                return Ok(worse(worst, status::INCONCLUSIVE));
            }
            Err(error) => return Ok(impossible(plan, &error)),
        }
    }
    Ok(worst)
}
