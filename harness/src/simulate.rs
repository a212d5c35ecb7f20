//! One case on the simulated machine: the scenario becomes a machine, programs and a script, and every schedule is tried.

use std::path::{Path, PathBuf};

use gateway::{Claim, DirectoryLock, Force, OnConflict, PortBlock, RemoteFileSystem};
use portcullis_os::Signal;
use sim::kernel::Spawn;
use sim::{
    Action, Bounds, Condition, Evidence as Proof, Exploration, Found, Lasso, Liveness, Policy, Script, Setup,
    Slot,
};

use crate::checks::{Checks, Role, Stake};
use crate::designs::Design;
use crate::lanes;
use crate::machine::{
    CONFIG_FILE, Machine, USER, bystander_slot, config_path, is_workspace, state_path, surroundings,
    temporaries, told_path, user, workspace_path,
};
use crate::scenario::{self, Bystander, Case, Check, Gateway, Scenario, Wait};
use crate::token::Token;
use crate::verdict::{Evidence, Failure, Verdict};

/// How many states a case may have for its risk to be reckoned.
pub const MOST_RISK_STATES: usize = 50_000;

/// A case made ready for the simulator.
#[derive(Debug)]
pub struct Simulation {
    /// The machine, the programs and the script.
    pub setup: Setup,
    /// What is checked.
    pub checks: Checks,
    /// How far the search goes.
    pub bounds: Bounds,
    /// The lock file of each state directory, for the lanes.
    pub lock_files: Vec<(String, PathBuf)>,
}

/// Runs one case on every schedule, or on random ones if it says so.
pub fn run_case(case: &Case, design: Design) -> Verdict {
    run_case_until(case, design, &|| false)
}

/// Runs one case as it says, unless it is told to stop.
pub fn run_case_until(case: &Case, design: Design, should_stop: &(dyn Fn() -> bool + Sync)) -> Verdict {
    let simulation = Simulation::new(&case.scenario, design);
    match case.scenario.explore.policy {
        scenario::Policy::Sampled(sampling) => simulation.sample(case, design, &sampling, should_stop),
        scenario::Policy::Exhaustive | scenario::Policy::Preemptions(_) => {
            simulation.run(case, design, should_stop).0
        }
    }
}

/// How far a search went, in one line.
fn searched_line(exploration: &Exploration) -> String {
    format!(" searched     {} states, {} steps", exploration.states, exploration.transitions)
}

/// What a search of every schedule has come to.
#[derive(Debug)]
pub(crate) enum Searched {
    /// A promise is broken; the least way there.
    Broken(Box<Found>),
    /// An execution goes on for ever and gets nowhere.
    Endless(Box<Lasso>),
    /// Nothing is broken, because nothing that should happen does.
    Vacuous(Box<Failure>),
    /// The budget of states is spent, or the user did not wait.
    Cut,
    /// There is nothing to be found.
    Nothing,
}

/// What makes a search without a finding worthless: nothing ever ended, or an outcome that was asked for never came.
fn vacuous(scenario: &Scenario, exploration: &Exploration) -> Option<Failure> {
    let states = exploration.states;
    let (check, says, line) = if exploration.ends.is_empty() {
        let says =
            format!("no schedule comes to an end: the processes go on for ever ({states} states visited)");
        ("outcomes", says, line_of(scenario, "outcomes"))
    } else if scenario.expect.reach == scenario::Reach::Anything {
        return None;
    } else {
        let mut outcomes = scenario.expect.outcomes.iter().enumerate();
        let (_, missed) = outcomes.find(|(index, _)| !exploration.ends.contains_key(index))?;
        (
            "reach",
            format!("no schedule ends with: {} ({states} states visited)", missed.value),
            Some(missed.line),
        )
    };
    Some(Failure { check: check.to_owned(), says, line, body: Vec::new(), replay: None })
}

impl Simulation {
    /// Tries every schedule, unless it is told to stop. Answers with the verdict what was explored; if outcomes are reached
    /// by going on for ever, each counts as one end.
    pub(crate) fn run(
        &self,
        case: &Case,
        design: Design,
        should_stop: &dyn Fn() -> bool,
    ) -> (Verdict, Exploration) {
        let (exploration, searched) = self.search(&case.scenario, should_stop);
        let states = exploration.states;
        let verdict = match searched {
            Searched::Broken(found) => {
                let line = searched_line(&exploration);
                Verdict::Fail(Box::new(self.failure(case, design, &found, line, should_stop)))
            }
            Searched::Endless(lasso) => {
                Verdict::Fail(Box::new(self.endless(case, design, &exploration, &lasso)))
            }
            Searched::Vacuous(failure) => Verdict::Fail(failure),
            Searched::Cut if should_stop() => {
                Verdict::Inconclusive(format!("interrupted after {states} states"))
            }
            Searched::Cut => {
                let most = self.bounds.states;
                Verdict::Inconclusive(format!(
                    "the limit of {most} states is reached ({states} visited): `[limits] states` or `--max-states` raises it"
                ))
            }
            Searched::Nothing => Verdict::Pass(self.evidence(&case.scenario, &exploration)),
        };
        (verdict, exploration)
    }

    /// Tries every schedule, and looks for what goes on for ever where something could.
    pub(crate) fn search(
        &self,
        scenario: &Scenario,
        should_stop: &dyn Fn() -> bool,
    ) -> (Exploration, Searched) {
        let (setup, checks, bounds) = (&self.setup, &self.checks, &self.bounds);
        let mut exploration = sim::explore_until(setup, checks, bounds, should_stop);
        if let Some(found) = exploration.found.clone() {
            return (exploration, Searched::Broken(Box::new(found)));
        }
        if exploration.evidence == Proof::Cut {
            return (exploration, Searched::Cut);
        }
        // What goes on for ever within a bound on preemptions is unfair, unless nobody else could go on.
        if exploration.has_circles && bounds.policy == Policy::Exhaustive {
            match sim::liveness(setup, checks, bounds, should_stop) {
                Liveness::Settles { outcomes } => {
                    exploration.ends.extend(outcomes.into_iter().map(|outcome| (outcome, 1)));
                }
                Liveness::Endless(lasso) => return (exploration, Searched::Endless(lasso)),
                Liveness::Cut => return (exploration, Searched::Cut),
            }
        }
        let vacuous = vacuous(scenario, &exploration);
        let searched = vacuous.map_or(Searched::Nothing, |failure| Searched::Vacuous(Box::new(failure)));
        (exploration, searched)
    }

    /// What a search that has found nothing proves.
    fn evidence(&self, scenario: &Scenario, exploration: &Exploration) -> Evidence {
        let (states, transitions) = (exploration.states, exploration.transitions);
        let (kills, power_losses) = (scenario.explore.kills, scenario.explore.power_losses);
        let preemptions = match scenario.explore.policy {
            scenario::Policy::Exhaustive | scenario::Policy::Sampled(_) => None,
            scenario::Policy::Preemptions(most) => Some(most),
        };
        let cut = exploration.cut.iter().filter_map(|slot| self.setup.slots[*slot].supervisor.as_ref());
        let starts = cut.map(|supervised| supervised.most_starts).max();
        if preemptions.is_none() && starts.is_none() {
            Evidence::Complete { states, transitions, kills, power_losses }
        } else {
            Evidence::Bounded { preemptions, starts, states, transitions, kills, power_losses }
        }
    }

    /// Makes a case ready.
    pub fn new(scenario: &Scenario, design: Design) -> Self {
        let mut machine = Machine::new(scenario);
        machine.furnish(temporaries(scenario, design));
        let mut slots = Vec::new();
        let mut roles = Vec::new();
        for gateway in &scenario.gateways {
            let (slot, stake) = gateway_slot(scenario, gateway, design, &machine);
            slots.push(Slot { supervisor: gateway.supervisor.clone(), ..slot });
            roles.push((gateway.name.clone(), Role::Gateway(stake)));
        }
        for bystander in &scenario.processes {
            slots.push(bystander_slot(scenario, bystander, &machine));
            let is_quiet = bystander.does.is_none() && bystander.connects.is_empty();
            let opens = |gateway: &Gateway| bystander.browser_of.as_ref() == Some(&gateway.name);
            let role = match scenario.gateways.iter().position(opens) {
                Some(of) => Role::Browser { of },
                None if is_quiet => Role::Bystander,
                None => Role::Actor,
            };
            roles.push((bystander.name.clone(), role));
        }
        let probes: Vec<usize> = (slots.len()..slots.len() + scenario.gateways.len()).collect();
        for gateway in &scenario.gateways {
            let (slot, stake) = gateway_slot(scenario, gateway, design, &machine);
            slots.push(slot);
            roles.push((gateway.name.clone(), Role::Probe(stake)));
        }
        for slot in children(scenario, design, &machine) {
            roles.push((slot.name.clone(), Role::Child));
            slots.push(slot);
        }
        let names: Vec<&str> = roles.iter().map(|(name, _)| name.as_str()).collect();
        let lock_files_of = |label: &str| design.lock_files(&state_path(label));
        let script = Script {
            setup: actions(scenario, &scenario.setup, &names, &lock_files_of, &machine),
            steps: actions(scenario, &scenario.steps, &names, &lock_files_of, &machine),
        };
        let mut labels: Vec<&String> = scenario.gateways.iter().map(|gateway| &gateway.state).collect();
        labels.sort();
        labels.dedup();
        let lock_files = labels
            .into_iter()
            .filter_map(|label| Some((label.clone(), lock_files_of(label).into_iter().next()?)))
            .collect();
        Self {
            setup: Setup { kernel: machine.kernel, slots, script },
            checks: Checks { slots: roles, expect: scenario.expect.clone(), probes, reader: design.reader() },
            bounds: Bounds {
                policy: match scenario.explore.policy {
                    scenario::Policy::Exhaustive | scenario::Policy::Sampled(_) => Policy::Exhaustive,
                    scenario::Policy::Preemptions(most) => Policy::Preemptions(u16::from(most)),
                },
                kills: scenario.explore.kills,
                power_losses: scenario.explore.power_losses,
                states: scenario.explore.states,
            },
            lock_files,
        }
    }

    /// An execution that goes on for ever.
    fn endless(&self, case: &Case, design: Design, exploration: &Exploration, lasso: &Lasso) -> Failure {
        let trace = sim::replay(&self.setup, &self.checks, &self.bounds, &lasso.schedule);
        let token = Token::new(case, design, &trace, lasso.schedule.clone());
        let mut body = lanes::render(self, &trace);
        body.extend(lanes::repeats(&trace));
        body.push(lanes::needed(&trace, false));
        body.push(searched_line(exploration));
        Failure {
            check: lasso.violation.check.clone(),
            says: lasso.violation.says.clone(),
            line: line_of(&case.scenario, &lasso.violation.check),
            body,
            replay: Some(token.to_string()),
        }
    }

    /// What is shown of an execution that breaks something; `searched` is the line that says how it was found.
    pub(crate) fn failure(
        &self,
        case: &Case,
        design: Design,
        found: &Found,
        searched: String,
        should_stop: &dyn Fn() -> bool,
    ) -> Failure {
        let trace = sim::replay(&self.setup, &self.checks, &self.bounds, &found.schedule);
        let token = Token::new(case, design, &trace, found.schedule.clone());
        let bounds = Bounds { states: MOST_RISK_STATES, ..self.bounds };
        let risk = sim::risk(&self.setup, &self.checks, &bounds, &found.schedule, should_stop);
        // An execution that was found to be unfit by looking at it as a whole breaks nothing step by step.
        let risk = risk.filter(|risk| risk.after.last().is_some_and(|chance| *chance >= 1.0));
        let mut body = match &risk {
            Some(risk) => lanes::render_with_risk(self, &trace, risk),
            None => lanes::render(self, &trace),
        };
        body.extend(lanes::stale_read(self, &trace));
        body.push(lanes::needed(&trace, found.is_shortest));
        body.extend(risk.map(|risk| lanes::risk(&trace, &risk)));
        body.push(searched);
        Failure {
            check: found.violation.check.clone(),
            says: found.violation.says.clone(),
            line: line_of(&case.scenario, &found.violation.check),
            body,
            replay: Some(token.to_string()),
        }
    }
}

/// The line of the expectation that a check belongs to.
pub fn line_of(scenario: &Scenario, check: &str) -> Option<usize> {
    let expect = &scenario.expect;
    match check {
        "stuck" => scenario.steps.last().map(|step| step.line),
        "outcomes" | "reach" => expect.outcomes.first().map(|outcome| outcome.line),
        "refusal" => expect.refusal.as_ref().map(|refusal| refusal.line),
        id => {
            let check = Check::of(id)?;
            expect.always.iter().find(|wanted| wanted.value == check).map(|wanted| wanted.line)
        }
    }
}

/// What a gateway of a scenario wants to own.
pub(crate) fn claim(scenario: &Scenario, gateway: &Gateway) -> Claim {
    let Some(ports) = PortBlock::new(gateway.port, scenario.explore.span) else {
        unreachable!("the parser admits only ports whose whole block fits")
    };
    Claim {
        pinned: gateway.pins.clone(),
        workspaces: gateway.workspace.iter().map(|label| workspace_path(label)).collect(),
        remote: if gateway.allow_remote_fs { RemoteFileSystem::Allowed } else { RemoteFileSystem::Refused },
        directory_lock: if gateway.allow_file_lock {
            DirectoryLock::Optional
        } else {
            DirectoryLock::Required
        },
        force: gateway.force.then_some(Force { expect: None }),
        on_conflict: match (gateway.park, gateway.takeover) {
            (true, _) => OnConflict::Park,
            (false, true) => OnConflict::TakeOver,
            (false, false) => OnConflict::Refuse,
        },
        ..Claim::plain(told_path(gateway), config_path(gateway), ports)
    }
}

fn gateway_slot(scenario: &Scenario, gateway: &Gateway, design: Design, machine: &Machine) -> (Slot, Stake) {
    let claim = claim(scenario, gateway);
    // Where things lie that a link leads to.
    let (state, config) = match &gateway.link {
        None => (claim.state.clone(), claim.config.clone()),
        Some(_) => {
            let state = state_path(&gateway.state);
            let config =
                gateway.config.as_ref().map_or_else(|| state.join(CONFIG_FILE), |_| claim.config.clone());
            (state, config)
        }
    };
    let ports = claim.ports;
    let all_ports = claim.all_ports();
    let (force, takeover) = (claim.force.is_some(), claim.on_conflict == OnConflict::TakeOver);
    let mut locked = vec![state.clone(), state.join(gateway::lock::WRITERS_FILE)];
    locked.extend(design.lock_files(&state));
    locked.extend(
        claim
            .workspaces
            .iter()
            .flat_map(|path| path.ancestors())
            .filter(|path| is_workspace(path))
            .map(Path::to_owned),
    );
    let name = config.file_name().unwrap_or_default();
    locked.push(config.with_file_name(gateway::lock::companion_name(name)));
    locked.push(config.clone());
    let command = format!("refgate gateway --port {}", gateway.port);
    let place = machine.place(gateway);
    // Other designs may believe a pid in a file.
    let blind = gateway.blind && matches!(design, Design::Refgate);
    let spawn =
        Spawn { name: "refgate".to_owned(), command, uid: user(gateway), parent: None, pid: None, place };
    let program = Some(design.program(claim, surroundings(scenario, gateway)));
    (
        Slot {
            name: gateway.name.clone(),
            spawn,
            program,
            listens: Vec::new(),
            connections: Vec::new(),
            supervisor: None,
            spawned_as: None,
            open_files: gateway.open_files,
        },
        Stake { state, locked, ports, all_ports, force, takeover, blind },
    )
}

/// A slot for each child that the gateways of a scenario can start, and one for that of a probe.
fn children(scenario: &Scenario, design: Design, machine: &Machine) -> Vec<Slot> {
    let Some((path, program)) = design.child() else { return Vec::new() };
    let starts = |gateway: &Gateway| gateway.supervisor.as_ref().map_or(1, |by| usize::from(by.most_starts));
    let places = scenario.gateways.iter().flat_map(|gateway| vec![machine.place(gateway); starts(gateway)]);
    let of_probe = scenario.gateways.first().map(|gateway| machine.place(gateway));
    (1..)
        .zip(places.chain(of_probe))
        .map(|(number, place)| Slot {
            name: format!("child-{number}"),
            spawn: Spawn {
                name: "child".to_owned(),
                command: path.to_owned(),
                uid: USER,
                parent: None,
                pid: None,
                place,
            },
            program: Some(program.clone()),
            listens: Vec::new(),
            connections: Vec::new(),
            supervisor: None,
            spawned_as: Some(path.to_owned()),
            open_files: None,
        })
        .collect()
}

fn actions(
    scenario: &Scenario,
    steps: &[scenario::Step],
    names: &[&str],
    lock_files: &impl Fn(&str) -> Vec<PathBuf>,
    machine: &Machine,
) -> Vec<Action> {
    let slot = |name: &String| names.iter().position(|known| known == name).unwrap_or(usize::MAX);
    let signals = |targets: &[String], signal| -> Vec<Action> {
        targets.iter().map(|name| Action::Signal(slot(name), signal)).collect()
    };
    steps
        .iter()
        .flat_map(|step| match &step.value {
            scenario::Action::Start(targets) => {
                targets.iter().map(|name| Action::Start(slot(name))).collect()
            }
            scenario::Action::Stop(targets) => signals(targets, Signal::Terminate),
            scenario::Action::Kill(targets) => signals(targets, Signal::Kill),
            scenario::Action::Pause(targets) => signals(targets, Signal::Stop),
            scenario::Action::Resume(targets) => signals(targets, Signal::Continue),
            scenario::Action::Restart(targets) => signals(targets, Signal::User1),
            scenario::Action::Write(targets) => signals(targets, Signal::User2),
            scenario::Action::OpenBrowsers(gateways) => gateways
                .iter()
                .flat_map(|gateway| {
                    let open =
                        |browser: &Bystander| Action::Open { by: slot(gateway), slot: slot(&browser.name) };
                    scenario.browsers_of(gateway).map(open)
                })
                .collect(),
            scenario::Action::Order(order, targets) => {
                targets.iter().map(|name| Action::Order(slot(name), *order)).collect()
            }
            scenario::Action::Recycle { old, new } => {
                vec![Action::Recycle { old: slot(old), heir: slot(new) }]
            }
            scenario::Action::RemoveLockFile { state } => vec![Action::Remove(lock_files(state))],
            scenario::Action::Operate(operation) => {
                vec![Action::Operate(machine.operation(operation, lock_files, &slot))]
            }
            scenario::Action::Wait(wait) => vec![Action::Wait(match wait {
                Wait::Settled => Condition::AllSettled,
                Wait::ReadyOf(name) => Condition::Ready(slot(name)),
                Wait::SettledOf(name) => Condition::Settled(slot(name)),
                Wait::GoneOf(name) => Condition::Gone(slot(name)),
                Wait::Told(telling, name) => Condition::Told(slot(name), *telling),
            })],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use sim::{Evidence, Exploration};

    use super::vacuous;
    use crate::scenario::parse;

    #[test]
    fn a_search_that_shows_no_end_or_not_every_outcome_is_no_pass() {
        let text = "schema = 1\ntitle = \"t\"\n[gateway.a]\nstate = \"S\"\nport = 18789\n[run]\nsteps = [{ start = \"a\" }]\n\
                    [expect]\noutcomes = [{ a = \"ready\" }, { a = \"refused\" }]\nreach = \"every-outcome\"\n";
        let Ok(scenario) = parse(Path::new("t.toml"), text) else { panic!("the scenario is valid") };
        let shown = |ends: &[usize]| Exploration {
            states: 7,
            transitions: 9,
            histories: 3,
            audits: 2,
            depth: 5,
            ends: ends.iter().map(|end| (*end, 1)).collect::<BTreeMap<_, _>>(),
            evidence: Evidence::Complete,
            cut: BTreeSet::new(),
            has_circles: false,
            found: None,
        };
        assert_eq!(vacuous(&scenario, &shown(&[])).map(|failure| failure.check), Some("outcomes".to_owned()));
        assert_eq!(vacuous(&scenario, &shown(&[0])).map(|failure| failure.check), Some("reach".to_owned()));
        assert_eq!(vacuous(&scenario, &shown(&[0, 1])), None);
    }
}
