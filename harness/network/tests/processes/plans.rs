//! What is tried, each for itself.

use std::ffi::OsString;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use network::real::{Processes, lacking};
use network::{Client, Effort, Gateway, On, Plan, Report, Slip, Step, Sweep};
use portcullis_os::Signal;
use rustix::process::set_parent_process_death_signal;

/// The first argument of a gateway that is this program, and of one that believes to have every lock.
const GATEWAY: &str = "refgate-of-this-test";
const UNLOCKED: &str = "refgate-without-locks";
/// How many wait at once.
const WAITING: usize = 4;
/// How many times as fast everything happens.
const PACE: u64 = 20;

/// Acts as the gateway, if it is called so.
pub(crate) fn gateway_main(arguments: &[OsString]) -> Option<ExitCode> {
    let [program, word, rest @ ..] = arguments else { return None };
    if word != GATEWAY && word != UNLOCKED {
        return None;
    }
    // Whatever a test dies of, nothing outlives it.
    if set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).is_err() {
        return Some(ExitCode::FAILURE);
    }
    if word == UNLOCKED {
        return Some(lacking(&[Slip::NoLock], rest).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    Some(gateway::cli::main([program].into_iter().chain(rest).cloned()))
}

/// This program as one of them.
fn itself(word: &str) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(program);
    command.arg(word);
    command
}

fn on_processes<T>(word: &str, of: impl FnOnce(&Processes<'_>) -> T) -> T {
    of(&Processes { gateway: &|| itself(word), pace: PACE })
}

fn library() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let entries = |path: &Path| -> Vec<PathBuf> {
        read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut plans: Vec<PathBuf> = entries(&root).iter().flat_map(|folder| entries(folder)).collect();
    plans.retain(|path| path.to_string_lossy().ends_with(".sweep.toml"));
    plans.sort();
    plans
}

#[expect(clippy::disallowed_methods, reason = "a test reads the files that it judges")]
fn plan(path: &Path) -> Result<Sweep, Failed> {
    let text = read_to_string(path)?;
    Sweep::parse(&text).map_err(|mistake| format!("{}: {mistake}", path.display()).into())
}

/// A plan of the library, one seed.
fn keeps_its_promises(path: &Path) -> Result<(), Failed> {
    let sweep = plan(path)?;
    let swept = on_processes(GATEWAY, |how| {
        let on = On::Processes(how);
        sweep.run(1, 1, Effort { on, jobs: 1, twice: false, should_stop: &|| false })
    })?;
    match swept.failed {
        Some(report) => Err(report.to_string().into()),
        None => Ok(()),
    }
}

fn run(word: &str, plan: &Plan) -> Result<Report, Failed> {
    Ok(on_processes(word, |how| plan.run_on_processes(1, how, &|| false))?)
}

fn check(holds: bool, report: &Report) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(report.to_string().into()) }
}

/// Two gateways for one bot, and what is said to it.
fn two(one: Gateway, other: Gateway) -> Plan {
    let mut plan = Plan::new()
        .bot("helper")
        .gateway(one.bot("helper"))
        .gateway(other.bot("helper"))
        .at(0, Step::Start("one".into()))
        .at(10_000, Step::Start("other".into()))
        .until(60_000);
    for number in 0..40 {
        let text = format!("m{number}");
        plan = plan.at(5_000 + number * 1_000, Step::Say { bot: "helper".into(), chat: 7, text });
    }
    plan
}

fn a_bot_that_two_isolated_gateways_share_shows_as_a_conflict() -> Result<(), Failed> {
    let plan = two(Gateway::on("here", "one"), Gateway::on("there", "other"));
    let report = run(GATEWAY, &plan)?;
    check(report.happened.get("ready") == Some(&2) && report.happened.contains_key("conflict"), &report)
}

fn a_rival_on_another_port_is_refused_and_without_locks_two_own_one_state() -> Result<(), Failed> {
    let rival = Gateway::on("here", "other").state("one").port(19_789);
    let plan = two(Gateway::on("here", "one"), rival);
    let report = run(GATEWAY, &plan)?;
    let is_refused = report.happened.keys().any(|what| what.starts_with("refused held"));
    check(is_refused && report.broken.is_empty() && report.replies == 40, &report)?;
    let report = run(UNLOCKED, &plan)?;
    check(report.broken.iter().any(|broken| broken.check == "single-owner"), &report)
}

fn a_gateway_that_is_killed_for_good_owes_nothing_and_its_client_is_not_answered_for_ever()
-> Result<(), Failed> {
    let plan = Plan::new()
        .gateway(Gateway::on("here", "one"))
        .client(Client::on("there", "far", "one"))
        .at(0, Step::Start("one".into()))
        .at(20_000, Step::Signal("one".into(), Signal::Kill))
        .until(30_000);
    let report = run(GATEWAY, &plan)?;
    let is_over =
        ["ended by SIGKILL", "answered", "cut off"].iter().all(|what| report.happened.contains_key(*what));
    check(is_over && report.broken.is_empty(), &report)
}

fn what_a_real_machine_cannot_do_is_named() -> Result<(), Failed> {
    let named: Vec<String> = library()
        .iter()
        .map(|path| Ok(format!("{:?}", plan(path)?.plan.needs())))
        .collect::<Result<_, Failed>>()?;
    for need in ["a host that sleeps", "a host whose power fails", "storage whose locks do not reach"] {
        if !named.iter().any(|needs| needs.contains(need)) {
            return Err(format!("no plan needs {need}: {named:?}").into());
        }
    }
    if named.iter().filter(|needs| *needs == "[]").count() < 10 {
        return Err(format!("hardly any plan can happen on processes: {named:?}").into());
    }
    Ok(())
}

/// A name, and what is tried under it.
macro_rules! trials {
    ($($name:ident),* $(,)?) => { vec![$(Trial::test(stringify!($name), $name)),*] };
}

pub(crate) fn tests_main() -> ExitCode {
    let mut trials: Vec<Trial> = trials![
        a_bot_that_two_isolated_gateways_share_shows_as_a_conflict,
        a_rival_on_another_port_is_refused_and_without_locks_two_own_one_state,
        a_gateway_that_is_killed_for_good_owes_nothing_and_its_client_is_not_answered_for_ever,
        what_a_real_machine_cannot_do_is_named,
    ];
    // A plan that is wrong is tried as well, so that it shows.
    let is_beyond = |path: &PathBuf| plan(path).is_ok_and(|sweep| !sweep.plan.needs().is_empty());
    // The one that takes longest is near the end.
    trials.extend(library().into_iter().rev().filter(|path| !is_beyond(path)).map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Trial::test(format!("{name}_on_processes"), move || keeps_its_promises(&path))
    }));
    let mut arguments = Arguments::from_args();
    // They wait more than they do anything.
    arguments.test_threads = arguments.test_threads.or(Some(WAITING));
    libtest_mimic::run(&arguments, trials).exit_code()
}
