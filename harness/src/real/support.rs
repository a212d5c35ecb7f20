//! What a target and this machine can do of what a scenario asks for, and where the blanks of a target lead in a run.

use std::path::{Path, PathBuf};

use super::attempt::Attempt;
use super::lane::{config_file, state_directory};
use super::operate::without_operations;
use crate::scenario::{Action, Check, Gateway, Operation, Scenario, Wait};
use crate::target::{Capability, Extra, Feature, Places, Target, Template};

/// Why a target cannot run a scenario, if it cannot.
pub fn unsupported_by(target: &Target, scenario: &Scenario) -> Option<String> {
    if let Some(reason) = without_operations(scenario).only_simulated() {
        return Some(reason.to_owned());
    }
    let lacks = |what: &str, capability: Capability| {
        capability
            .missing_in(target)
            .map(|remedy| format!("{} cannot do it: {what} needs {remedy}", target.name))
    };
    for gateway in &scenario.gateways {
        let wants = features(gateway);
        if let Some(feature) = wants.into_iter().find(|feature| !target.has(*feature)) {
            let (target, name) = (&target.name, feature.name());
            return Some(format!("{target} cannot do it: it has no `[options.{name}]`"));
        }
        let room = target.ports.room_for_browsers();
        if u16::from(gateway.browsers) > room {
            let (target, name, count) = (&target.name, &gateway.name, gateway.browsers);
            return Some(format!("{target} has {room} ports for browsers, and {name} opens {count}"));
        }
        if gateway.port.get().checked_add(target.ports.span()).is_none() {
            return Some(format!("the ports of {} do not fit above {}", target.name, gateway.port));
        }
    }
    scenario.setup.iter().chain(&scenario.steps).find_map(|step| match &step.value {
        Action::Restart(_) => lacks("a restart in place", Capability::Restart),
        Action::Write(_) => lacks("a write that is asked for", Capability::Write),
        Action::RemoveLockFile { .. } => lacks("removing lock files", Capability::LockFiles),
        Action::Operate(Operation::Tamper { .. }) => {
            lacks("tampering with lock files", Capability::LockFiles)
        }
        Action::Wait(Wait::Told(telling, _)) if !target.can_tell(*telling) => {
            let (name, word) = (&target.name, telling.name());
            Some(format!(
                "{name} does not tell when it is {word}: `[[event]]` with `emits = \"{word}\"` says how"
            ))
        }
        Action::Start(_)
        | Action::Stop(_)
        | Action::Kill(_)
        | Action::Pause(_)
        | Action::Resume(_)
        | Action::OpenBrowsers(_)
        | Action::Order(..)
        | Action::Recycle { .. }
        | Action::Operate(_)
        | Action::Wait(_) => None,
    })
}

/// The checks of a scenario that nothing that can be seen of a target decides.
pub(super) fn not_judged(target: &Target, scenario: &Scenario) -> Vec<String> {
    if target.tells_events() {
        return Vec::new();
    }
    let is_blind = |check: Check| match check {
        Check::SingleWriter | Check::FailFast | Check::ClockFree | Check::NoDeadEnd | Check::Handoff => true,
        Check::EffectAfterLock => target.locks.owner_writes.is_empty(),
        Check::NoTheft | Check::NoForeignUnlink => Capability::LockFiles.missing_in(target).is_some(),
        Check::Truthful => Capability::Holder.missing_in(target).is_some(),
        Check::SingleOwner
        | Check::NoCollateral
        | Check::PortsDisjoint
        | Check::ConfigIdentity
        | Check::NoWedge => false,
    };
    let checks = scenario.expect.always.iter().map(|wanted| wanted.value);
    let mut blind: Vec<String> =
        checks.filter(|check| is_blind(*check)).map(|check| check.to_string()).collect();
    let names = scenario.expect.refusal.as_ref().is_some_and(|refusal| refusal.value.names.is_some());
    if names && !target.refusals.iter().all(|refusal| target.can_name(&refusal.reason)) {
        blind.push("whom a refusal names".to_owned());
    }
    blind
}

/// What a gateway of a scenario needs besides a state directory and a port.
fn features(gateway: &Gateway) -> Vec<Feature> {
    let wants = [
        (gateway.config.is_some(), Feature::Config),
        (gateway.workspace.is_some(), Feature::Workspace),
        (gateway.allow_file_lock, Feature::AllowFileLock),
        (gateway.allow_remote_fs, Feature::AllowRemoteFs),
    ];
    wants.into_iter().filter_map(|(is_wanted, feature)| is_wanted.then_some(feature)).collect()
}

impl Attempt {
    /// Fills in the blanks for one gateway.
    pub(super) fn filled<T>(
        &self,
        gateway: &Gateway,
        fill: impl FnOnce(&dyn Fn(&Template) -> String) -> T,
    ) -> T {
        let room = &self.order.directory;
        let state = state_directory(room, &gateway.state);
        let config = config_file(room, gateway).unwrap_or_else(|| state.join("openclaw.json"));
        let label = gateway.workspace.as_deref().unwrap_or(&gateway.state);
        let workspace = room.join("work").join(label);
        let here = self.order.target.here();
        let places = Places {
            base: gateway.port.get(),
            state: &state,
            config: &config,
            workspace: &workspace,
            room,
            name: &gateway.name,
            here: &here,
            uid: rustix::process::geteuid().as_raw(),
        };
        fill(&|template| template.fill(&places))
    }

    /// What a gateway gets for what its scenario asks for.
    pub(super) fn extras(&self, gateway: &Gateway) -> Vec<&Extra> {
        features(gateway).iter().filter_map(|feature| self.order.target.options.get(feature)).collect()
    }

    /// The files that are there before a gateway is started.
    pub(super) fn files(&self, gateway: &Gateway) -> Vec<(PathBuf, String)> {
        let extras = self.extras(gateway).into_iter().flat_map(|extra| &extra.files);
        self.filled(gateway, |fill| {
            let files = self.order.target.files.iter().chain(extras);
            files.map(|(path, text)| (PathBuf::from(fill(path)), fill(text))).collect()
        })
    }

    /// The files that a gateway keeps others out with.
    pub(super) fn lock_files(&self, gateway: &Gateway) -> Vec<PathBuf> {
        self.filled(gateway, |fill| {
            self.order.target.locks.files.iter().map(|file| fill(file).into()).collect()
        })
    }

    /// Whether an owner may write a file at any time.
    pub(super) fn is_owners(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.order.target.locks.owner_writes.iter().any(|glob| glob.admits(&name))
    }
}
