//! `portcullis run`: which cases, how, and who is told of it.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sim::{Sampler, Sampling};

use super::executable::Executable;
use super::on::{self, On};
use super::outputs::{Outputs, ReportFiles, Shown};
use super::remembered::Remembered;
use super::{check, complain, examples, interrupts, load, matching, parse_design, sampling, status};
use crate::designs::Design;
use crate::reports::event::Shard;
use crate::reports::human::Loudness;
use crate::runner::{self, Ended, Planned, Request};
use crate::scenario::{Paint, Policy, Scenario};
use crate::select::expression::Expression;
use crate::select::{Selection, parse_shard};
use crate::verdict::Executor;

/// Which cases are meant.
#[derive(Debug, Args)]
pub(super) struct Selecting {
    /// Scenario files, or directories of them
    #[arg(default_value = "scenarios")]
    pub(super) paths: Vec<PathBuf>,
    /// Only scenarios with this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Vec<String>,
    /// Only cases that this expression picks out, for instance `test(pid/) & !tag(slow)`; may be given more than once, then
    /// one of them must. Predicates are test, tag, file, executor, all and none; operators are not, !, and, &, -, or, |, +
    #[arg(long, short = 'E', value_name = "EXPRESSION")]
    pub(super) filter: Vec<String>,
}

impl Selecting {
    /// Reads the expressions, and shows every mistake in them.
    pub(super) fn expressions(&self) -> Result<Vec<Expression>, u8> {
        let parsed: Vec<_> = self.filter.iter().map(|text| Expression::parse(text)).collect();
        for mistakes in parsed.iter().filter_map(|parsed| parsed.as_ref().err()) {
            complain(&mistakes.render(Paint::Coloured));
        }
        parsed.into_iter().collect::<Result<_, _>>().map_err(|_| status::USAGE)
    }
}

/// Says that nothing is left to be run.
pub(super) fn nothing_selected() -> u8 {
    complain("error: no case was selected\n  = help: `portcullis list` shows them all");
    status::NOTHING
}

/// Which cases of an earlier run are run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rerun {
    /// Those that did not pass when they were last run
    Failed,
}

/// What a schedule is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Matching {
    /// The timeline of the scenario
    Timeline,
}

#[derive(Debug, Args)]
#[command(after_help = examples::RUN)]
pub(super) struct RunOptions {
    #[command(flatten)]
    pub(super) selecting: Selecting,
    /// Take options from this profile of `portcullis.toml`
    #[arg(long, value_name = "NAME", env = "PORTCULLIS_PROFILE", hide_env_values = true)]
    pub(super) profile: Option<String>,
    /// Only what did not pass when it was last run here
    #[arg(long, value_enum, value_name = "WHICH")]
    rerun: Option<Rerun>,
    /// Only one part of the cases: `hash:1/3` (a case stays in its part) or `slice:1/3` (parts of one size)
    #[arg(long, value_name = "PART", value_parser = parse_shard)]
    partition: Option<Shard>,
    /// Where to run them: `sim` (the simulated machine: every schedule), `refgate` (real processes of the reference
    /// gateway), `stepped` (schedules of the simulated machine call by call on the real kernel), or a target file (real
    /// processes of the gateway that it describes); may be given more than once
    #[arg(long, value_name = "EXECUTOR", value_parser = on::parse, default_value = "sim")]
    pub(super) on: Vec<On>,
    /// End with status 5 unless real processes can do this, for instance `recycle`; may be given more than once
    #[arg(long, value_name = "CAPABILITY", value_parser = on::parse_capability)]
    require: Vec<crate::target::Capability>,
    /// The lock that the simulated gateways have, by its name or number [default: refgate]
    #[arg(long, value_parser = parse_design)]
    pub(super) design: Option<Design>,
    /// The executable of the reference gateway [default: the one built into this program]
    #[arg(long, value_name = "PATH")]
    refgate: Option<PathBuf>,
    /// Runs of each case on real processes [default: as the scenario says; 200 schedules with `--on stepped`]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    tries: Option<u16>,
    /// Take so many random schedules of each case on the simulated machine, instead of all
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// How random schedules are chosen: `uniform`, `pct` or `pct=DEPTH` (random priorities), `swarm` (random weights)
    #[arg(long, value_name = "HOW", requires = "sample", value_parser = sampling::parse_sampler, default_value = "uniform")]
    sampler: Sampler,
    /// What random schedules are drawn from: the same number, the same schedules; `random` takes another one each time
    #[arg(long, value_name = "NUMBER", requires = "sample", value_parser = parse_seed, default_value = "1")]
    seed: u64,
    /// Search each case on the simulated machine twice, and compare every step
    #[arg(long, conflicts_with = "sample")]
    twice: bool,
    /// Search cases that are bounded by preemptions with at most so many, for a quicker and weaker run
    #[arg(long, value_name = "NUMBER")]
    max_preemptions: Option<u8>,
    /// Search cases that are bounded by preemptions with at least so many, for a longer and stronger run
    #[arg(long, value_name = "NUMBER")]
    min_preemptions: Option<u8>,
    /// Visit at most so many states of each case, 16 to 48 bytes each [default: 8000000; with --match: 4000000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_states: Option<u64>,
    /// Cases at once on the simulated machine [default: one for each core]
    #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Run no case behind the first one that fails; it is `not run`, and the exit status is 1
    #[arg(long, overrides_with_all = ["max_fail", "no_fail_fast"])]
    fail_fast: bool,
    /// Run no case behind so many that fail
    #[arg(long, value_name = "NUMBER", overrides_with_all = ["fail_fast", "no_fail_fast"])]
    max_fail: Option<NonZeroUsize>,
    /// Run every case, also if the profile says otherwise; this is the default
    #[arg(long, overrides_with_all = ["fail_fast", "max_fail"])]
    no_fail_fast: bool,
    /// How long all of it may take, for instance `90s`, `10m` or `1h`; what has not ended then is inconclusive
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) budget: Option<Duration>,
    /// Look for a schedule that shows what the logs have shown (`[timeline]`), and do nothing else; what varies is tried in turn
    #[arg(long = "match", value_enum, value_name = "WHAT")]
    #[arg(conflicts_with_all = [
        "rerun", "partition", "require", "refgate", "tries", "sample", "twice", "max_preemptions", "min_preemptions", "jobs", "message_format", "quiet", "fail_fast", "max_fail", "artifacts", "jsonl", "junit", "html", "perfetto",
    ])]
    matching: Option<Matching>,
    /// What the standard output shows
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "human")]
    message_format: Shown,
    /// Only what is no pass, and the summary
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    reports: ReportFiles,
}

impl RunOptions {
    /// An option that would have no effect, as a message with its remedy: who gives it expects something of it.
    fn without_effect(&self) -> Option<String> {
        let (on_sim, on_refgate) = (self.on.contains(&On::Sim), self.on.contains(&On::Refgate));
        let on_real = self.on.iter().any(|on| *on != On::Sim);
        let on_gateways = self.on.iter().any(|on| on.is_gateways());
        if let Some(design) = self.design.filter(|design| on_gateways && *design != Design::Refgate) {
            return Some(format!(
                "error: `--design {}` exists only in the simulator\n  = help: leave out `--on refgate`",
                design.name()
            ));
        }
        let useless = |option, machine, on| {
            format!(
                "error: `{option}` has no effect: nothing is to be run on {machine}\n  = help: add `--on {on}`, or \
                 leave out `{option}`"
            )
        };
        let for_schedules = [("--design", self.design.is_some()), ("--jobs", self.jobs.is_some())];
        let for_sim = [("--sample", self.sample.is_some()), ("--twice", self.twice)];
        let on_schedules = self.on.iter().any(|on| !on.is_gateways());
        let for_refgate = [("--refgate", self.refgate.is_some())];
        let for_real = [("--tries", self.tries.is_some()), ("--require", !self.require.is_empty())];
        let given = |options: &[(&'static str, bool)]| {
            options.iter().find_map(|(option, is_given)| is_given.then_some(*option))
        };
        given(&for_schedules)
            .filter(|_| !on_schedules)
            .or_else(|| given(&for_sim).filter(|_| !on_sim))
            .map(|option| useless(option, "the simulated machine", "sim"))
            .or_else(|| {
                given(&for_refgate)
                    .filter(|_| !on_refgate)
                    .or_else(|| given(&for_real).filter(|_| !on_real))
                    .map(|option| useless(option, "real processes", "refgate"))
            })
    }

    /// Why the bounds on preemptions leave nothing, with a remedy.
    fn contradiction(&self) -> Option<String> {
        let (least, most) = (self.min_preemptions?, self.max_preemptions?);
        (least > most).then(|| {
            format!(
                "error: no number of preemptions is at least {least} and at most {most}\n  = help: leave out \
                 `--min-preemptions` or `--max-preemptions`"
            )
        })
    }

    /// A bound of the scenario, within those of the options.
    fn bounded(&self, policy: Policy) -> Policy {
        match policy {
            Policy::Preemptions(bound) => {
                let bound = bound.max(self.min_preemptions.unwrap_or(0));
                Policy::Preemptions(bound.min(self.max_preemptions.unwrap_or(u8::MAX)))
            }
            Policy::Exhaustive | Policy::Sampled(_) => policy,
        }
    }

    /// The cases to be run, or the status to end with.
    fn select(&self, remembered: &Remembered, on: &[Executor]) -> Result<Vec<Planned>, u8> {
        let among = match self.rerun {
            None => None,
            Some(Rerun::Failed) => Some(remembered.outstanding()?),
        };
        let expressions = self.selecting.expressions()?;
        let scenarios = load(&self.selecting.paths)?;
        if among.as_ref().is_some_and(BTreeSet::is_empty) {
            complain(
                "error: no case was selected: none is known that did not pass when it was last run\n  = help: leave out `--rerun`",
            );
            return Err(status::NOTHING);
        }
        let selection =
            Selection { tags: self.selecting.tag.clone(), expressions, among, shard: self.partition };
        let mut planned = selection.of(runner::plan(&scenarios, on));
        for Planned { case, .. } in &mut planned {
            let explore = &mut case.scenario.explore;
            explore.policy = self.bounded(explore.policy);
            if let Some(states) = self.max_states {
                explore.states = usize::try_from(states).unwrap_or(usize::MAX);
            }
        }
        if !self.quiet {
            let is_planned =
                |scenario: &&Scenario| planned.iter().any(|it| it.case.scenario.file == scenario.file);
            check::warn(scenarios.iter().filter(is_planned));
        }
        // A part of few cases may be empty; the other parts are not.
        if planned.is_empty() && self.partition.is_none() { Err(nothing_selected()) } else { Ok(planned) }
    }
}

/// Runs scenarios.
pub(super) fn run(options: RunOptions) -> io::Result<u8> {
    if let Some(why) = options.without_effect().or_else(|| options.contradiction()) {
        complain(&why);
        return Ok(status::USAGE);
    }
    if options.matching.is_some() {
        return matching::run(&options);
    }
    let remembered = Remembered::here();
    let targets = match on::targets(&options.on, &options.require) {
        Ok(targets) => targets,
        Err(status) => return Ok(status),
    };
    let planned = match options.select(&remembered, &on::executors(&options.on, &targets)) {
        Ok(planned) => planned,
        Err(status) => return Ok(status),
    };
    // From here on directories are made, which a signal must not leave behind.
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let is_real = planned.iter().any(|planned| planned.on == Executor::Refgate);
    let executable = match &options.refgate {
        Some(path) => Executable::named(path),
        None if is_real => Executable::built_in(),
        None => Ok(Executable::none()),
    };
    let executable = match executable {
        Ok(executable) => executable,
        Err(why) => {
            complain(&why);
            return Ok(status::ENVIRONMENT);
        }
    };
    let loudness = if options.quiet { Loudness::Quiet } else { Loudness::Usual };
    let mut outputs = match Outputs::open(options.message_format, loudness, options.reports) {
        Ok(outputs) => outputs,
        Err(status) => return Ok(status),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (sampler, seed) = (options.sampler, options.seed);
    let request = Request {
        planned,
        design: options.design.unwrap_or(Design::Refgate),
        refgate: executable.path.clone(),
        targets,
        tries: options.tries,
        jobs: options.jobs.map_or(cores, usize::from),
        // Each job samples a case of its own, and a sample is the same for any number of threads.
        sampling: options.sample.map(|runs| Sampling { sampler, runs, seed, threads: 1 }),
        twice: options.twice,
        most_failures: if options.fail_fast { Some(NonZeroUsize::MIN) } else { options.max_fail },
        budget: options.budget,
        profile: options.profile,
        shard: options.partition,
        interrupted,
    };
    let ended = runner::run(&request, &mut outputs);
    // Also of a run that nobody has watched to its end.
    let page = remembered.update(outputs.events());
    let are_written = outputs.write()?;
    let ended = ended?;
    if let Some(page) = page.filter(|_| ended == Ended::Failed && outputs.is_watched()) {
        complain(&format!("  page    {}", page.display()));
    }
    Ok(finished(ended, are_written))
}

/// The status of a run whose reports were written, or not.
pub(super) fn finished(ended: Ended, are_written: bool) -> u8 {
    match ended {
        Ended::Failed => status::FAILED,
        Ended::Passed | Ended::Inconclusive | Ended::Interrupted if !are_written => status::ENVIRONMENT,
        Ended::Passed => status::PASSED,
        Ended::Inconclusive => status::INCONCLUSIVE,
        Ended::Interrupted => status::INTERRUPTED,
    }
}

fn parse_seed(text: &str) -> Result<u64, String> {
    if text == "random" {
        // Six digits can be read out over a telephone.
        return Ok(RandomState::new().build_hasher().finish() % 1_000_000);
    }
    text.parse().map_err(|_| "it is a number, or `random`".to_owned())
}

/// Reads a number and its unit; without one these are seconds.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "it is a number with a unit, for instance `90s`, `10m` or `1h`".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_seed, parse_time};

    #[test]
    fn a_time_is_a_number_with_a_unit() {
        for (text, milliseconds) in
            [("250ms", 250), ("90s", 90_000), ("7", 7_000), ("10m", 600_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for mistake in ["", "s", "-1s", "1.5s", "1d", "1 s", "99999999999999999999s", "9999999999999999999h"]
        {
            assert!(parse_time(mistake).is_err(), "{mistake}");
        }
    }

    #[test]
    fn a_seed_is_a_number_or_random() {
        assert_eq!(parse_seed("18446744073709551615"), Ok(u64::MAX));
        assert!(parse_seed("random").is_ok_and(|seed| seed < 1_000_000));
        assert!(parse_seed("-1").is_err());
    }
}
