//! Why a scenario is for the simulator alone: what it asks for cannot be had on the machine that runs this.

use std::collections::BTreeSet;

use sim::Telling;

use super::model::{Action, Operation, Scenario, Wait};

impl Scenario {
    /// Why real processes cannot show this: what it asks for exists in the simulator only.
    pub fn only_simulated(&self) -> Option<&'static str> {
        let mut steps = self.setup.iter().chain(&self.steps);
        if self.mounts.iter().any(|mount| !mount.directory_locks) {
            return Some("a mount whose directories cannot be locked needs the simulator");
        }
        if self.mounts.iter().any(|mount| mount.locks.is_some() || mount.remote) {
            return Some("another kind of file system needs the simulator");
        }
        if self.explore.power_losses > 0 {
            return Some("a loss of power needs the simulator");
        }
        if self.gateways.iter().any(|gateway| gateway.bind_mount) {
            return Some("a bind mount needs the simulator");
        }
        if self.gateways.iter().any(|gateway| gateway.blind) {
            return Some("a gateway that sees no other process needs the simulator");
        }
        if self.gateways.iter().any(|gateway| gateway.open_files.is_some()) {
            return Some("a limit of open files needs the simulator");
        }
        if self.gateways.iter().any(|gateway| gateway.uid.is_some()) {
            return Some("another user needs the simulator");
        }
        if self.gateways.iter().any(|gateway| gateway.force) {
            return Some("a forced start needs the simulator: it asks for a terminal");
        }
        if self.gateways.iter().any(|gateway| gateway.park) {
            return Some("a parked start needs the simulator: from outside nobody sees that it waits");
        }
        if self.gateways.iter().any(|gateway| gateway.takeover) {
            return Some(
                "a takeover needs the simulator: what two processes say at once arrives in either order",
            );
        }
        if self.gateways.iter().any(|gateway| !gateway.pins.is_empty()) {
            return Some("pinned ports need the simulator");
        }
        if self.gateways.iter().any(|gateway| gateway.supervisor.is_some()) {
            return Some("a supervisor needs the simulator: its delays are not waited for");
        }
        if self.gateways.iter().any(|gateway| gateway.host.is_some() || gateway.container.is_some()) {
            return Some("other hosts and containers need the simulator");
        }
        if self.gateways.iter().any(|gateway| gateway.link.is_some() || gateway.tmpdir.is_some()) {
            return Some("links to state directories and other temporary directories need the simulator");
        }
        if self.processes.iter().any(|process| process.does.is_some() || !process.connects.is_empty()) {
            return Some("a process that does more than listen needs the simulator");
        }
        if steps.clone().any(|step| matches!(step.value, Action::Operate(Operation::Pass(_)))) {
            return Some(
                "time that passes needs the simulator, or up to 10 000 ms of it processes that run freely",
            );
        }
        if steps.any(|step| matches!(step.value, Action::Operate(_))) {
            return Some("what is done to clocks, disks and directories needs the simulator");
        }
        if self.recycles_while_one_starts() {
            return Some(
                "a pid that is given out again while a gateway starts needs the simulator: threads take pids too",
            );
        }
        None
    }

    /// Whether a pid is given out again before a gateway that was started has settled.
    fn recycles_while_one_starts(&self) -> bool {
        let mut starting = BTreeSet::new();
        self.setup.iter().chain(&self.steps).any(|step| {
            match &step.value {
                Action::Start(names) => {
                    starting
                        .extend(names.iter().filter(|name| self.gateways.iter().any(|it| it.name == **name)));
                }
                Action::Wait(Wait::Settled) => starting.clear(),
                Action::Kill(names) => starting.retain(|name| !names.contains(name)),
                Action::Wait(
                    Wait::ReadyOf(name)
                    | Wait::SettledOf(name)
                    | Wait::GoneOf(name)
                    | Wait::Told(Telling::Refused | Telling::Released, name),
                ) => {
                    starting.remove(name);
                }
                Action::Wait(Wait::Told(Telling::Owner | Telling::Draining, _)) => {}
                Action::Recycle { .. } => return !starting.is_empty(),
                Action::Stop(_)
                | Action::Pause(_)
                | Action::Resume(_)
                | Action::Restart(_)
                | Action::Write(_)
                | Action::OpenBrowsers(_)
                | Action::Order(..)
                | Action::RemoveLockFile { .. }
                | Action::Operate(_) => {}
            }
            false
        })
    }
}
