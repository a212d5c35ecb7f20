//! Expectations judged by what can be seen from outside: who said what, who lives, what lies in the directories.
//!
//! `fail-fast` and `clock-free` speak of calls that a process makes, which only the simulator sees; here they are not
//! judged. Nothing is judged by how long it took but a refusal that a scenario gives a time, and that with a large
//! allowance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gateway::Reason;
use rustix::process::Signal;

use super::attempt::{Attempt, Broken, Stop};
use super::child::Ended;
use super::files;
use super::lane::{Lane, Life, Role, share_config};
use crate::scenario::{Check, Fate, Gateway};

/// The signals by which one process ends another. A process that ends by any other has failed by itself.
const BY_OTHERS: [Signal; 4] = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];

impl Attempt {
    /// The line of a check, if the scenario demands it.
    pub(super) fn line_of(&self, check: Check) -> Option<usize> {
        self.scenario.expect.always.iter().find(|wanted| wanted.value == check).map(|wanted| wanted.line)
    }

    /// Judges the moment at which somebody has said that it is the owner.
    pub(super) fn judge_owner(&mut self, lane: usize) -> Result<(), Stop> {
        let Some((mine, true)) = self.owner(lane) else { return Ok(()) };
        for (check, clash, what) in [
            (Check::SingleOwner, &clash_state as &Clash<'_>, "the state directory"),
            (Check::ConfigIdentity, &share_config, "the configuration"),
            (Check::PortsDisjoint, &|one, other| self.clash_ports(one, other), "a part of the port block"),
        ] {
            let Some(line) = self.line_of(check) else { continue };
            let other = (0..self.lanes.len()).find(|other| {
                *other != lane
                    && self.owner(*other).is_some_and(|(theirs, is_owner)| is_owner && clash(mine, theirs))
            });
            if let Some(other) = other {
                let (one, two) = (&self.lanes[lane].name, &self.lanes[other].name);
                let verb = if self.order.target.tells_events() { "own" } else { "serve, and both have" };
                return Err(broken(check, line, format!("{one} and {two} both {verb} {what}")));
            }
        }
        self.judge_browsers()?;
        let files = self.lock_files(mine);
        files.into_iter().try_for_each(|file| self.judge_lock_file(file, lane))
    }

    /// The gateway of a lane, and whether it is a live owner.
    fn owner(&self, lane: usize) -> Option<(&Gateway, bool)> {
        let lane = &self.lanes[lane];
        Some((lane.gateway()?, lane.life.as_ref().is_some_and(Life::is_owner)))
    }

    /// A lock file keeps its inode while its owner lives, and for ever where a target says so, unless the scenario
    /// deletes it.
    fn judge_lock_file(&mut self, path: PathBuf, lane: usize) -> Result<(), Stop> {
        let now = files::inode(&path);
        let before = self.lock_inodes.get(&path).copied();
        let holds = |owner: usize| {
            self.owner(owner).is_some_and(|(_, is_owner)| is_owner)
                && self.lanes[owner].life.as_ref().is_some_and(|life| life.asked.is_none())
        };
        let is_bound = before.is_some_and(|(_, owner)| self.order.target.locks.permanent || holds(owner));
        if let Some(now) = now {
            self.lock_inodes.insert(path.clone(), (now, lane));
        }
        let says = match (before, now) {
            (Some((before, _)), Some(now)) if before != now => "was replaced",
            (Some(_), None) => "was deleted",
            (Some(_) | None, _) => return Ok(()),
        };
        for check in [Check::NoTheft, Check::NoForeignUnlink] {
            if let Some(line) = self.line_of(check).filter(|_| is_bound) {
                return Err(broken(check, line, format!("{} {says}", path.display())));
            }
        }
        Ok(())
    }

    /// Whether two gateways need the same port.
    pub(super) fn clash_ports(&self, one: &Gateway, other: &Gateway) -> bool {
        self.order.target.ports.clash(one.port.get(), other.port.get()).is_some()
    }

    /// Whether no other gateway was alive since a moment.
    fn is_deserted(&self, lane: usize, since_us: u64) -> bool {
        let mut others = self.lanes.iter().enumerate().filter(|(other, _)| *other != lane);
        others.all(|(_, rival)| {
            rival.gateway().is_none() || rival.life.as_ref().is_none_or(|life| life.ended_before(since_us))
        })
    }

    /// Judges somebody who has ended.
    pub(super) fn judge_ended(&mut self, lane: usize) -> Result<(), Stop> {
        self.judge_collateral(lane)?;
        let refused = self.lanes[lane].life.as_ref().and_then(|life| life.said.refused.as_ref());
        let Some(refused) = refused else { return Ok(()) };
        // What fences itself was an owner, and has written.
        if refused.code != Reason::Fenced.code() {
            self.judge_effects(lane)?;
        }
        self.judge_refusal(lane)
    }

    /// Nobody ends a process but the scenario.
    fn judge_collateral(&self, lane: usize) -> Result<(), Stop> {
        let Lane { name, role, life } = &self.lanes[lane];
        let (Some(line), Some(life)) = (self.line_of(Check::NoCollateral), life) else { return Ok(()) };
        let by_other = |signal: i32| BY_OTHERS.iter().any(|known| known.as_raw() == signal);
        let says = match (life.ended, role) {
            (Some((_, Ended::Signaled(signal))), _) if life.asked.is_none() && by_other(signal) => {
                format!("{name} was ended by signal {signal}, which the scenario did not send")
            }
            (Some(_), Role::Bystander(_)) if life.asked.is_none() && !life.said.is_crowded_out => {
                format!("{name} has ended, and the scenario did not end it")
            }
            (Some(_) | None, Role::Bystander(_) | Role::Gateway(_)) => return Ok(()),
        };
        Err(broken(Check::NoCollateral, line, says))
    }

    /// A refused start changes nothing that existed, and leaves nothing but directories and empty files.
    fn judge_effects(&self, lane: usize) -> Result<(), Stop> {
        let Some(line) = self.line_of(Check::EffectAfterLock) else { return Ok(()) };
        let Lane { name, life: Some(life), .. } = &self.lanes[lane] else { return Ok(()) };
        let is_alone = self.is_alone(lane, life.started_us);
        if self.order.target.locks.owner_writes.is_empty() && !self.is_deserted(lane, life.started_us) {
            return Ok(());
        }
        // What only an owner writes another gateway may have written, and it may do so at any time.
        let is_foreign = |path: &Path| !is_alone && self.is_owners(path);
        let unlinked = self.removals.iter().any(|at_us| *at_us >= life.started_us);
        match life.before.harm(&self.snapshot(lane), is_foreign) {
            Some(harm) if !unlinked => {
                Err(broken(Check::EffectAfterLock, line, format!("{name} was refused, and {harm}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether nobody else has begun or stopped to be an owner of the same things since a moment, or was told to do anything.
    fn is_alone(&self, lane: usize, since_us: u64) -> bool {
        let Some(mine) = self.lanes[lane].gateway() else { return true };
        let mut rivals = self.lanes.iter().enumerate().filter(|(other, rival)| {
            *other != lane
                && rival
                    .gateway()
                    .is_some_and(|theirs| clash_state(mine, theirs) || share_config(mine, theirs))
        });
        rivals.all(|(_, rival)| match &rival.life {
            None => true,
            Some(life) if life.ended_before(since_us) => true,
            Some(life) => {
                let is_ready = life.said.ready_us.is_some_and(|at_us| at_us < since_us);
                is_ready && !life.is_stirred && life.asked != Some(Signal::TERM)
            }
        })
    }

    /// Judges how it has ended, once everybody is settled.
    pub(super) fn judge_end(&mut self) -> Result<(), Stop> {
        let files: Vec<(PathBuf, usize)> =
            self.lock_inodes.iter().map(|(path, (_, lane))| (path.clone(), *lane)).collect();
        files.into_iter().try_for_each(|(file, lane)| self.judge_lock_file(file, lane))?;
        if let Some(line) = self.line_of(Check::NoCollateral)
            && let Some(lane) = self
                .lanes
                .iter()
                .find(|lane| lane.living().is_some_and(|life| !life.is_paused() && life.child.is_stopped()))
        {
            let says = format!("{} was stopped, and the scenario did not stop it", lane.name);
            return Err(broken(Check::NoCollateral, line, says));
        }
        let fates: BTreeMap<String, Fate> =
            self.lanes.iter().map(|lane| (lane.name.clone(), lane.fate())).collect();
        let outcomes = &self.scenario.expect.outcomes;
        if outcomes.iter().any(|outcome| outcome.value.admits(&fates)) {
            return Ok(());
        }
        let ends: Vec<String> = fates.iter().map(|(name, fate)| format!("{name} is {fate}")).collect();
        let says = format!("it ends with {}, which is none of the allowed outcomes", ends.join(", "));
        let line = outcomes.first().map(|outcome| outcome.line);
        Err(Stop::Broken(Broken { check: "outcomes".to_owned(), says, line }))
    }

    /// With every gateway dead, a fresh one that runs alone becomes ready.
    pub(super) fn judge_wedge(&mut self) -> Result<(), Stop> {
        let Some(line) = self.line_of(Check::NoWedge) else { return Ok(()) };
        let mut claims: Vec<Gateway> = Vec::new();
        for lane in 0..self.lanes.len() {
            let Some(gateway) = self.lanes[lane].gateway().cloned() else { continue };
            self.kill_and_wait(lane)?;
            let is_new = !claims.iter().any(|claim| is_same_claim(claim, &gateway));
            if is_new && !self.is_port_taken(&gateway) {
                claims.push(gateway);
            }
        }
        for gateway in claims {
            let name = format!("fresh {}", gateway.name);
            let lane = self.lanes.len();
            // The plan of this try knows other names, so it does not kill this one.
            let gateway = Gateway { name: name.clone(), ..gateway };
            self.lanes.push(Lane { name: name.clone(), role: Role::Gateway(Box::new(gateway)), life: None });
            self.start(lane)?;
            self.wait_until("a fresh gateway has started", |attempt| attempt.lanes[lane].is_settled())?;
            let fate = self.lanes[lane].fate();
            if fate != Fate::Ready {
                let says = format!("nobody is alive, and a {name} that runs alone ends as {fate}");
                return Err(broken(Check::NoWedge, line, says));
            }
            self.kill_and_wait(lane)?;
        }
        Ok(())
    }

    fn kill_and_wait(&mut self, lane: usize) -> Result<(), Stop> {
        self.end(lane, Signal::KILL)?;
        self.wait_until("a killed gateway is gone", |attempt| attempt.lanes[lane].living().is_none())
    }

    /// Whether a bystander that lives listens in the port block of a gateway.
    fn is_port_taken(&self, gateway: &Gateway) -> bool {
        let ports = &self.order.target.ports;
        self.lanes.iter().any(|lane| match (&lane.role, lane.living()) {
            (Role::Bystander(bystander), Some(_)) => bystander.listens.iter().any(|address| {
                let above = address.port().checked_sub(gateway.port.get());
                above.is_some_and(|above| ports.name(above).is_some())
            }),
            (Role::Bystander(_) | Role::Gateway(_), _) => false,
        })
    }
}

/// Whether two gateways need the same thing.
type Clash<'a> = dyn Fn(&Gateway, &Gateway) -> bool + 'a;

/// Whether two gateways need the same state directory.
pub(super) fn clash_state(one: &Gateway, other: &Gateway) -> bool {
    one.state == other.state
}

fn is_same_claim(one: &Gateway, other: &Gateway) -> bool {
    clash_state(one, other)
        && share_config(one, other)
        && one.port == other.port
        && one.allow_file_lock == other.allow_file_lock
        && one.workspace == other.workspace
}

/// A check that did not hold.
pub(super) fn broken(check: Check, line: usize, says: String) -> Stop {
    Stop::Broken(Broken { check: check.id().to_owned(), says, line: Some(line) })
}
