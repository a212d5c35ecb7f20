//! What a scenario says that says nothing: no mistake, but nobody writes it on purpose.
//!
//! Each is a warning at its place. What can never be meant is an error, and is found while the file is read.

use std::collections::BTreeSet;
use std::ops::Range;

use sim::supervisor::{KeepAlive, Restart, Supervisor};
use toml::de::{DeTable, DeValue};

use super::browsers::FIRST_ABOVE;
use super::fields::Value;
use super::format::GATES;
use super::model::{Action, Gateway, Outcome, Scenario, Step, Variant, Wait};
use super::problem::{Note, Problem};
use super::vocabulary::{Check, FinalState};

impl Scenario {
    /// Everything in the file that says nothing, in the order of the file.
    pub fn warnings(&self) -> Vec<Problem> {
        let (root, _) = DeTable::parse_recoverable(&self.source);
        let lints = Lints { scenario: self, root: root.get_ref() };
        let mut problems = Vec::new();
        lints.checks(&mut problems);
        lints.outcomes(&mut problems);
        lints.bystanders(&mut problems);
        lints.browsers(&mut problems);
        lints.steps(&mut problems);
        lints.refusal(&mut problems);
        lints.kills(&mut problems);
        lints.varied(&mut problems);
        problems.sort_by_key(|problem| problem.span.start);
        problems
    }
}

struct Lints<'s> {
    scenario: &'s Scenario,
    root: &'s DeTable<'s>,
}

impl Lints<'_> {
    /// Where a key stands, by the keys around it.
    fn key(&self, path: &[&str]) -> Range<usize> {
        let mut table = self.root;
        let mut at = 0..0;
        for word in path {
            let Some((key, value)) = table.get_key_value(*word) else { break };
            at = key.span();
            let Some(inner) = value.get_ref().as_table() else { break };
            table = inner;
        }
        at
    }

    /// Where the entries of a list of a section stand.
    fn entries(&self, section: &str, key: &str) -> Vec<Range<usize>> {
        let list = self.root.get(section).and_then(|section| section.get_ref().as_table()?.get(key));
        let list = list.and_then(|list| list.get_ref().as_array());
        list.into_iter().flatten().map(|entry| entry.span()).collect()
    }

    /// Whether a gateway is started again, so that it may meet itself.
    fn is_supervised(&self) -> bool {
        self.scenario.gateways.iter().any(|gateway| gateway.supervisor.is_some())
    }

    /// Checks that nothing in this scenario could break.
    fn checks(&self, problems: &mut Vec<Problem>) {
        let is_alone = self.scenario.gateways.len() == 1 && !self.is_supervised();
        for (check, at) in self.scenario.expect.always.iter().zip(self.entries("expect", "always")) {
            let why = match check.value {
                Check::PortsDisjoint if is_alone => "there is one gateway, whose ports nobody else can claim",
                Check::ConfigIdentity if is_alone => {
                    "there is one gateway, and nobody else wants its configuration"
                }
                Check::NoDeadEnd if !self.is_supervised() => {
                    "no gateway has a supervisor, so nobody wants an owner"
                }
                Check::SingleOwner
                | Check::SingleWriter
                | Check::NoTheft
                | Check::NoForeignUnlink
                | Check::NoCollateral
                | Check::PortsDisjoint
                | Check::ConfigIdentity
                | Check::EffectAfterLock
                | Check::NoWedge
                | Check::NoDeadEnd
                | Check::Handoff
                | Check::Truthful
                | Check::FailFast
                | Check::ClockFree => continue,
            };
            problems.push(
                Problem::warning(format!("`{}` cannot be broken here", check.value), at)
                    .label(why)
                    .help("leave it out"),
            );
        }
    }

    /// Outcomes that another one hides, and states that a supervisor does not bring about.
    fn outcomes(&self, problems: &mut Vec<Problem>) {
        let outcomes = &self.scenario.expect.outcomes;
        let places = self.entries("expect", "outcomes");
        for (number, (outcome, at)) in outcomes.iter().zip(&places).enumerate() {
            let mut earlier = outcomes[..number].iter().zip(&places);
            if let Some((_, first)) = earlier.find(|(earlier, _)| covers(&earlier.value, &outcome.value)) {
                let mut problem = Problem::warning("an earlier outcome covers this one", at.clone())
                    .label("never counted")
                    .help("make the earlier one say more, or leave this one out");
                problem
                    .notes
                    .push(Note { span: first.clone(), label: "fits whatever fits the other".to_owned() });
                problems.push(problem);
            }
            for (name, state) in &outcome.value.states {
                let gateway = self.scenario.gateways.iter().find(|gateway| gateway.name == *name);
                if *state == FinalState::Restarting && gateway.is_some_and(never_restarts) {
                    problems.push(
                        Problem::warning(format!("`{name}` does not end restarting"), at.clone())
                            .label("its supervisor starts it only when it is asked to"),
                    );
                }
            }
        }
    }

    /// Bystanders that are there for nothing.
    fn bystanders(&self, problems: &mut Vec<Problem>) {
        let expect = &self.scenario.expect;
        let steps: BTreeSet<&str> =
            self.steps_of().filter(|step| !matches!(step.value, Action::Start(_))).flat_map(named).collect();
        for process in &self.scenario.processes {
            let name = process.name.as_str();
            let is_quiet =
                process.listens.is_empty() && process.connects.is_empty() && process.does.is_none();
            let in_outcome =
                expect.outcomes.iter().any(|outcome| outcome.value.states.iter().any(|(who, _)| who == name));
            if is_quiet && !in_outcome && !steps.contains(name) {
                problems.push(
                    Problem::warning(format!("nobody notices `{name}`"), self.key(&["process", name]))
                        .label("it does nothing, and no step and no outcome is about it")
                        .help("say in `outcomes` how it ends, or leave it out"),
                );
            }
        }
    }

    /// Browsers whose ports their gateway does not claim in the simulator.
    fn browsers(&self, problems: &mut Vec<Problem>) {
        let span = self.scenario.explore.span;
        for gateway in &self.scenario.gateways {
            let needed = FIRST_ABOVE - 1 + u16::from(gateway.browsers);
            if gateway.browsers > 0 && span < needed {
                let name = gateway.name.as_str();
                problems.push(
                    Problem::warning(
                        format!("`{name}` does not claim the ports of its browsers"),
                        self.key(&["gateway", name, "browsers"]),
                    )
                    .label(format!("they are up to {needed} above its base, and `span` is {span}"))
                    .help("make `span` larger, or leave it out"),
                );
            }
        }
    }

    fn steps_of(&self) -> impl Iterator<Item = &Step> {
        self.scenario.setup.iter().chain(&self.scenario.steps)
    }

    /// Where the steps stand: one that is held back is several, all of them in its place.
    fn places(&self) -> Vec<Range<usize>> {
        let run = self.root.get("run").and_then(|run| run.get_ref().as_table());
        let lists = ["setup", "steps"].into_iter().filter_map(|key| run?.get(key)?.get_ref().as_array());
        let count = |step: &Value<'_>| {
            let is_gate = |key: &str| GATES.iter().any(|gate| gate.name == key);
            1 + step
                .get_ref()
                .as_table()
                .map_or(0, |step| step.keys().filter(|key| is_gate(key.get_ref())).count())
        };
        lists.flatten().flat_map(|step| vec![step.span(); count(step)]).collect()
    }

    /// Steps that change nothing, waits for what never comes, and an end that nobody waits for.
    fn steps(&self, problems: &mut Vec<Problem>) {
        let places = self.places();
        let steps: Vec<&Step> = self.steps_of().collect();
        for (number, (step, at)) in steps.iter().zip(&places).enumerate() {
            let Action::Wait(wait) = &step.value else { continue };
            let before = &steps[..number];
            let changes = |step: &&&Step| !matches!(step.value, Action::Wait(_));
            let since = before.iter().rev().take_while(|step| !changes(step));
            if since.into_iter().any(|earlier| matches!(&earlier.value, Action::Wait(known) if known == wait))
            {
                problems.push(
                    Problem::warning("this has been waited for", at.clone())
                        .label("nothing is done in between")
                        .help("leave it out"),
                );
            } else if let Wait::GoneOf(name) = wait
                && self.nothing_ends(name, before)
            {
                problems.push(
                    Problem::warning(format!("nothing ends `{name}`, which serves"), at.clone())
                        .label("waits forever")
                        .help(format!("add `{{ stop = \"{name}\" }}` before it")),
                );
            }
        }
        if let (Some(last), Some(at)) = (steps.last(), places.last())
            && !matches!(last.value, Action::Wait(_))
        {
            problems.push(
                Problem::warning("the steps end without a `wait`", at.clone())
                    .label("when the outcome is judged is not said")
                    .help("end them with `{ wait = \"settled\" }`"),
            );
        }
    }

    /// Whether a gateway has served, and nobody and nothing has done anything since that could end it.
    fn nothing_ends(&self, name: &str, before: &[&Step]) -> bool {
        let scenario = self.scenario;
        let is_ready = |step: &&&Step| matches!(&step.value, Action::Wait(Wait::ReadyOf(who)) if who == name);
        let is_quiet = |step: &&Step| {
            matches!(
                step.value,
                Action::Wait(_) | Action::Pause(_) | Action::Resume(_) | Action::OpenBrowsers(_)
            )
        };
        let explore = &scenario.explore;
        let is_plain =
            scenario.gateways.iter().all(|it| !it.force && !it.takeover && it.supervisor.is_none())
                && scenario.processes.iter().all(|process| process.does.is_none())
                && explore.kills == 0
                && explore.power_losses == 0;
        let since: Vec<&Step> = before.iter().rev().take_while(|step| !is_ready(step)).copied().collect();
        is_plain && since.len() < before.len() && since.iter().all(is_quiet)
    }

    /// Demands on refusals that nobody gets.
    fn refusal(&self, problems: &mut Vec<Problem>) {
        let expect = &self.scenario.expect;
        let may_refuse = |outcome: &Outcome| {
            self.scenario.gateways.iter().any(|gateway| {
                let state =
                    outcome.states.iter().find(|(name, _)| *name == gateway.name).map(|(_, state)| state);
                state.is_none_or(|state| matches!(state, FinalState::Refused(_) | FinalState::Restarting))
            })
        };
        let is_supervised = self.is_supervised();
        if expect.refusal.is_some()
            && !is_supervised
            && !expect.outcomes.iter().any(|outcome| may_refuse(&outcome.value))
        {
            problems.push(
                Problem::warning("nobody is refused", self.key(&["expect", "refusal"]))
                    .label("no outcome has a refusal that this could be asked of")
                    .help("leave it out"),
            );
        }
    }

    /// More deaths than there are lives.
    fn kills(&self, problems: &mut Vec<Problem>) {
        let lives = self.scenario.gateways.len();
        let kills = usize::from(self.scenario.explore.kills);
        if kills > lives && !self.is_supervised() {
            problems.push(
                Problem::warning(
                    format!("{kills} gateways cannot be killed"),
                    self.key(&["explore", "kills"]),
                )
                .label(format!(
                    "there {}",
                    if lives == 1 { "is one".to_owned() } else { format!("are {lives}") }
                )),
            );
        }
    }

    /// Keys that vary and change nothing, and combinations that come to the same.
    fn varied(&self, problems: &mut Vec<Problem>) {
        let Some((key, value)) = self.root.get_key_value("vary") else { return };
        let mut lists = Vec::new();
        lists_in(value.get_ref(), key.span(), &mut lists);
        for (at, _) in lists.iter().filter(|(_, values)| *values == 1) {
            problems.push(
                Problem::warning("this takes one value", at.clone())
                    .label("nothing varies")
                    .help("write it where it belongs, or list another value"),
            );
        }
        let variants = &self.scenario.variants;
        for (number, variant) in variants.iter().enumerate() {
            let is_same = |earlier: &&Variant| earlier.scenario == variant.scenario;
            if let Some(earlier) = variants[..number].iter().find(is_same) {
                let (this, other) = (variant.words.join(","), earlier.words.join(","));
                problems.push(
                    Problem::warning(format!("the cases `{other}` and `{this}` are the same"), key.span())
                        .label("two of the values mean one thing"),
                );
                return;
            }
        }
    }
}

/// Every list below a table, with the place of its key and how long it is.
fn lists_in(value: &DeValue<'_>, at: Range<usize>, lists: &mut Vec<(Range<usize>, usize)>) {
    if let Some(list) = value.as_array() {
        lists.push((at, list.len()));
    } else if let Some(table) = value.as_table() {
        for (key, value) in table {
            lists_in(value.get_ref(), key.span(), lists);
        }
    }
}

/// Whom a step names.
fn named(step: &Step) -> Vec<&str> {
    match &step.value {
        Action::Start(names)
        | Action::Stop(names)
        | Action::Kill(names)
        | Action::Pause(names)
        | Action::Resume(names)
        | Action::Restart(names)
        | Action::Write(names)
        | Action::OpenBrowsers(names)
        | Action::Order(_, names) => names.iter().map(String::as_str).collect(),
        Action::Recycle { old, new } => vec![old, new],
        Action::Wait(
            Wait::ReadyOf(name) | Wait::SettledOf(name) | Wait::GoneOf(name) | Wait::Told(_, name),
        ) => vec![name],
        Action::RemoveLockFile { .. } | Action::Operate(_) | Action::Wait(Wait::Settled) => Vec::new(),
    }
}

/// Whether every end that fits the other outcome fits this one.
fn covers(wide: &Outcome, narrow: &Outcome) -> bool {
    wide.states.iter().all(|(name, wide)| {
        let narrow = narrow.states.iter().find(|(other, _)| other == name).map(|(_, state)| *state);
        match (wide, narrow) {
            (FinalState::Refused(None), Some(FinalState::Refused(_))) => true,
            (FinalState::Refused(Some(wide)), Some(FinalState::Refused(Some(narrow)))) => {
                wide.admits(narrow.id)
            }
            (wide, Some(narrow)) => *wide == narrow,
            (_, None) => false,
        }
    })
}

/// Whether its supervisor starts a gateway only when it is asked to.
fn never_restarts(gateway: &Gateway) -> bool {
    gateway.supervisor.as_ref().is_some_and(|supervised| match &supervised.by {
        Supervisor::Systemd(unit) => unit.restart == Restart::No && unit.always_after.is_empty(),
        Supervisor::Launchd(job) => job.keep_alive == KeepAlive::Never,
        Supervisor::TaskScheduler => true,
    })
}
