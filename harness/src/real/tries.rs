//! A case is tried again and again, a little different each time, until a try fails or all have passed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::helper::ask;
use super::operate::disks;
use super::random::Random;
use super::support::{not_judged, unsupported_by};
use super::wire::{Answer, Kills, Order, Plan, Request, Room};
use super::{Isolation, Options, known, shift};
use crate::scenario::{Action, Case, Scenario};
use crate::stress;
use crate::target::Capability;
use crate::verdict::{Evidence, Failure, Verdict};

/// How often a start is timed. The middle value counts, so that one slow start does not.
const MEASUREMENTS: usize = 3;
/// Gaps between processes that start at once double from try to try up to 2 to this power microseconds.
const GAP_DOUBLINGS: u32 = 13;

/// Runs a case on real processes.
pub fn run_case(case: &Case, options: &Options) -> Verdict {
    let verdict = match (Runner { case, options }).run() {
        Ok(evidence) => Verdict::Pass(evidence),
        Err(verdict) => verdict,
    };
    known::weigh(verdict, case, &options.target)
}

/// What a machine lacks for a capability; `None` if it has it.
///
/// # Errors
///
/// Why that cannot be found out.
pub fn lacks(options: &Options, capability: Capability) -> Result<Option<String>, String> {
    if !capability.is_of_machine() {
        return Ok(None);
    }
    match ask(options, Room::Own, &Request::Probe)? {
        Answer::Crowded(reason) => Ok(Some(reason)),
        Answer::Roomy
        | Answer::Measured(_)
        | Answer::Held(_)
        | Answer::Checked(_)
        | Answer::Stressed(_)
        | Answer::Broken { .. }
        | Answer::Undecided(_) => Ok(None),
    }
}

/// The first port of a stress that has a room of its own.
const BASE: u16 = 18_789;
/// The first ports of a stress among everybody else begin here, above those of gateways and below those that the kernel
/// gives out.
const SHARED_BASES: u16 = 20_000;
/// How many there are of these.
const SHARED_BLOCKS: u64 = 100;

/// Drives a stress, and says whether it had a room of its own. `order` is told the first port and an empty directory.
pub(crate) fn stress(
    options: &Options,
    order: impl FnOnce(u16, PathBuf) -> stress::Order,
) -> Result<(stress::Outcome, Isolation), String> {
    let is_roomy = options.isolation == Isolation::WherePossible
        && matches!(ask(options, Room::Own, &Request::Probe)?, Answer::Roomy);
    let (room, base, isolation) = if is_roomy {
        (Room::Own, BASE, Isolation::WherePossible)
    } else {
        // Two that run side by side must not choose the same ports.
        let own = rustix::process::getpid().as_raw_pid().unsigned_abs();
        let block = Random::new(options.seed, own).up_to(SHARED_BLOCKS - 1) as u16;
        (Room::Shared { shift: 0 }, SHARED_BASES + 111 * block, Isolation::Never)
    };
    let directory = tempfile::Builder::new().prefix("portcullis-").tempdir();
    let directory = directory.map_err(|error| format!("no temporary directory: {error}"))?;
    let answer = ask(options, room, &Request::Stress(order(base, directory.path().to_owned())));
    let path = directory.path().display().to_string();
    directory.close().map_err(|error| format!("{path} cannot be removed: {error}"))?;
    match answer? {
        Answer::Stressed(outcome) => Ok((*outcome, isolation)),
        Answer::Undecided(reason) | Answer::Crowded(reason) => Err(reason),
        answer @ (Answer::Roomy
        | Answer::Measured(_)
        | Answer::Held(_)
        | Answer::Checked(_)
        | Answer::Broken { .. }) => Err(format!("the helper answers something else: {answer:?}")),
    }
}

struct Runner<'a> {
    case: &'a Case,
    options: &'a Options,
}

impl Runner<'_> {
    fn run(&self) -> Result<Evidence, Verdict> {
        let scenario = &self.case.scenario;
        if let Some(reason) = unsupported_by(&self.options.target, scenario) {
            return Err(unsupported(&reason));
        }
        let room = self.room()?;
        let startup_us = match victims(scenario).first() {
            Some(gateway) => self.measure(room, gateway)?,
            None => 0,
        };
        let tries = u32::from(self.options.tries.unwrap_or(scenario.explore.tries));
        let kills = self.every_try(room, tries, startup_us)?;
        let mut notes = Vec::new();
        if let Room::Shared { shift } = room {
            notes.push(format!("not isolated, ports {shift:+}"));
        }
        if kills.all > 0 {
            notes.push(format!("kills inside start-up: {} of {}", kills.inside, kills.all));
        }
        let blind = not_judged(&self.options.target, scenario);
        if !blind.is_empty() {
            notes.push(format!("not judged: {}", blind.join(", ")));
        }
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(Evidence::Observed { runs: tries, note })
    }

    /// Tries the case as often as is planned. Once a try has failed the others tell whether each does: a lock that fails
    /// now and then is no better than one that always does, but harder to debug.
    fn every_try(&self, room: Room, tries: u32, startup_us: u64) -> Result<Kills, Verdict> {
        let mut kills = Kills::default();
        let mut failed: Option<Box<Failure>> = None;
        let (mut failures, mut decided) = (0, 0);
        for attempt in 0..tries {
            let plan = plan(&self.case.scenario, self.options.seed, attempt, tries, startup_us);
            match self.attempt(room, plan) {
                Ok(killed) => {
                    kills = Kills { all: kills.all + killed.all, inside: kills.inside + killed.inside };
                }
                Err(Verdict::Fail(failure)) => {
                    failures += 1;
                    failed.get_or_insert(failure);
                }
                // What failed has failed, whatever comes of the rest.
                Err(_) if failed.is_some() => break,
                Err(verdict) => return Err(verdict),
            }
            decided += 1;
        }
        let Some(mut failure) = failed else { return Ok(kills) };
        if failures < decided {
            failure.says = format!("{} (flaky: in {failures} of {decided} runs)", failure.says);
        }
        Err(Verdict::Fail(failure))
    }

    /// Where the tries take place.
    fn room(&self) -> Result<Room, Verdict> {
        match self.options.isolation {
            Isolation::Never => self.shared_room(),
            Isolation::WherePossible => {
                let answer = ask(self.options, Room::Own, &Request::Probe).map_err(Verdict::Inconclusive)?;
                if matches!(answer, Answer::Roomy) { Ok(Room::Own) } else { self.shared_room() }
            }
        }
    }

    fn shared_room(&self) -> Result<Room, Verdict> {
        let scenario = &self.case.scenario;
        let mut steps = scenario.setup.iter().chain(&scenario.steps);
        if steps.any(|step| matches!(step.value, Action::Recycle { .. })) {
            return Err(unsupported("recycle needs a pid namespace"));
        }
        if !disks(scenario).is_empty() {
            return Err(unsupported("a disk that fills up needs a mount namespace"));
        }
        // Two cases that run side by side must not choose the same ports.
        let mut random =
            Random::new(self.options.seed, rustix::process::getpid().as_raw_pid().unsigned_abs());
        let scenario = scenario.with_browsers_from(self.options.target.ports.first_of_browsers());
        let shift = shift::choose(&scenario, self.options.target.ports.span(), &mut random)
            .map_err(|reason| unsupported(&reason))?;
        Ok(Room::Shared { shift })
    }

    /// How long the gateway of that name takes from its start until it is ready, in microseconds.
    fn measure(&self, room: Room, gateway: &str) -> Result<u64, Verdict> {
        let mut times = Vec::with_capacity(MEASUREMENTS);
        for _ in 0..MEASUREMENTS {
            let answer = self.ask(room, |order| Request::Measure(order, gateway.to_owned()))?;
            let Answer::Measured(microseconds) = answer else { return Err(undecided(answer)) };
            times.push(microseconds);
        }
        times.sort_unstable();
        Ok(times[MEASUREMENTS / 2])
    }

    fn attempt(&self, room: Room, plan: Plan) -> Result<Kills, Verdict> {
        let answer = self.ask(room, |order| Request::Try(order, plan))?;
        let Answer::Held(kills) = answer else { return Err(undecided(answer)) };
        Ok(kills)
    }

    /// Asks a helper something about the case, in a directory of its own.
    fn ask(&self, room: Room, request: impl FnOnce(Order) -> Request) -> Result<Answer, Verdict> {
        let directory = tempfile::Builder::new()
            .prefix("portcullis-")
            .tempdir()
            .map_err(|error| Verdict::Inconclusive(format!("no temporary directory: {error}")))?;
        let scenario = &self.case.scenario;
        let answer = ask(
            self.options,
            room,
            &request(Order {
                case: self.case.id.clone(),
                name: scenario.name.clone(),
                file: scenario.file.to_string_lossy().into_owned(),
                source: scenario.source.to_string(),
                target: self.options.target.clone(),
                directory: directory.path().to_owned(),
                room,
            }),
        );
        // Everything that could write there is gone. What cannot be removed must be told.
        let path = directory.path().display().to_string();
        directory
            .close()
            .map_err(|error| Verdict::Inconclusive(format!("{path} cannot be removed: {error}")))?;
        answer.map_err(Verdict::Inconclusive)
    }
}

fn unsupported(reason: &str) -> Verdict {
    Verdict::Unsupported(reason.to_owned())
}

/// The verdict that follows from an answer that is not the one that was hoped for.
fn undecided(answer: Answer) -> Verdict {
    match answer {
        Answer::Broken { check, says, line, seen } => {
            Verdict::Fail(Box::new(Failure { check, says, line, body: seen, replay: None }))
        }
        Answer::Undecided(reason) | Answer::Crowded(reason) => Verdict::Inconclusive(reason),
        Answer::Roomy | Answer::Measured(_) | Answer::Held(_) | Answer::Checked(_) | Answer::Stressed(_) => {
            Verdict::Inconclusive(format!("the helper answers something else: {answer:?}"))
        }
    }
}

/// The gateways that may be killed at an instant of the plan, those of the steps first.
fn victims(scenario: &Scenario) -> Vec<&str> {
    let mut started = BTreeSet::new();
    let mut victims = Vec::new();
    for step in scenario.setup.iter().chain(&scenario.steps) {
        match &step.value {
            Action::Start(names) => started.extend(names),
            Action::Kill(names) => {
                victims.extend(names.iter().filter(|name| started.contains(name)).map(String::as_str));
            }
            // What is done to the machine then comes at an instant of the plan too.
            Action::Operate(_) => victims.extend(started.iter().map(|name| name.as_str())),
            Action::Wait(_) => started.clear(),
            Action::Stop(_)
            | Action::Pause(_)
            | Action::Resume(_)
            | Action::Restart(_)
            | Action::Write(_)
            | Action::OpenBrowsers(_)
            | Action::Order(..)
            | Action::Recycle { .. }
            | Action::RemoveLockFile { .. } => {}
        }
    }
    let is_gateway = |name: &&str| scenario.gateways.iter().any(|gateway| gateway.name == **name);
    victims.retain(is_gateway);
    if scenario.explore.kills > 0 {
        victims.extend(scenario.gateways.iter().map(|gateway| gateway.name.as_str()));
    }
    victims
}

/// What one try does with what the scenario leaves open.
///
/// A sweep covers the start evenly: the first try kills at once, the last one when a start of average length ends. The
/// kills that are not a step happen in every other try, so that the rest shows the race without them.
fn plan(scenario: &Scenario, seed: u64, attempt: u32, tries: u32, startup_us: u64) -> Plan {
    let mut random = Random::new(seed, attempt);
    let doublings = attempt % (GAP_DOUBLINGS + 1);
    let last = u64::from(tries.saturating_sub(1)).max(1);
    let mut kills = BTreeMap::new();
    if attempt % 2 == 1 {
        let mut names: Vec<&String> = scenario.gateways.iter().map(|gateway| &gateway.name).collect();
        random.shuffle(&mut names);
        for name in names.into_iter().take(usize::from(scenario.explore.kills)) {
            kills.insert(name.clone(), random.up_to(startup_us));
        }
    }
    Plan {
        seed: random.next(),
        attempt,
        gap_us: if doublings == 0 { 0 } else { 1 << doublings },
        sweep_us: startup_us * u64::from(attempt) / last,
        kills,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{plan, victims};
    use crate::scenario::{Scenario, parse};

    fn scenario(steps: &str, kills: u8) -> Scenario {
        let text = format!(
            "schema = 1\ntitle = \"t\"\n[gateway.a]\nstate = \"S\"\nport = 1\n[gateway.b]\nstate = \"S\"\n\
             port = 1\n[run]\nsteps = [{steps}]\n[expect]\nalways = [\"single-owner\"]\n\
             outcomes = [{{ b = \"ready\" }}]\n[explore]\nkills = {kills}\n"
        );
        parse(Path::new("t.toml"), &text).unwrap()
    }

    const SWEPT: &str = r#"{ start = "a" }, { kill = "a" }, { wait = "a.gone" }, { start = "b" }"#;
    const WAITED: &str = r#"{ start = ["a", "b"] }, { wait = "a.settled" }, { kill = "a" }"#;

    #[test]
    fn only_a_kill_without_a_wait_before_it_is_timed() {
        assert_eq!(victims(&scenario(SWEPT, 0)), ["a"]);
        assert_eq!(victims(&scenario(WAITED, 0)), [""; 0]);
        assert_eq!(victims(&scenario(WAITED, 1)), ["a", "b"]);
    }

    #[test]
    fn a_sweep_begins_at_the_start_ends_when_it_is_ready_and_is_even() {
        let swept = scenario(SWEPT, 0);
        let instants: Vec<u64> = (0..5).map(|attempt| plan(&swept, 1, attempt, 5, 8_000).sweep_us).collect();
        assert_eq!(instants, [0, 2_000, 4_000, 6_000, 8_000]);
        assert_eq!(plan(&swept, 1, 0, 1, 8_000).sweep_us, 0);
    }

    #[test]
    fn every_other_try_kills_somebody_within_the_start() {
        let killed = scenario(WAITED, 1);
        let plans: Vec<_> = (0..40).map(|attempt| plan(&killed, 1, attempt, 40, 8_000)).collect();
        assert_eq!(plans.iter().filter(|plan| plan.kills.len() == 1).count(), 20);
        assert!(plans.iter().flat_map(|plan| plan.kills.values()).all(|instant| *instant <= 8_000));
        let both = plans.iter().flat_map(|plan| plan.kills.keys()).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(both.len(), 2);
        assert_eq!(plans, (0..40).map(|attempt| plan(&killed, 1, attempt, 40, 8_000)).collect::<Vec<_>>());
    }
}
