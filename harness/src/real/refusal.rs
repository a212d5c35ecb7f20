//! What a refused gateway says must have been so, and it must say what the scenario demands.
//!
//! Whom it names is told from the pid and start tick that were seen when the process was started here. What was true is
//! judged with doubt in favour of the gateway: only what can be excluded by the order of events is called a lie.

use gateway::Reason;
use std::path::Path;

use crate::checks::{forbidden, tells};

use super::attempt::{Attempt, Broken, Stop};
use super::child::Ended;
use super::judge::{broken, clash_state};
use super::lane::{Holder, Lane, Life, Refused, Role, share_config};
use crate::scenario::{Check, Gateway, Named};

/// How much longer than on the simulated clock a refusal may take, in milliseconds: a busy machine is no slow gateway.
const ALLOWANCE_MS: u64 = 10_000;

impl Attempt {
    /// Judges the words and the exit status of a refused gateway.
    pub(super) fn judge_refusal(&self, observer: usize) -> Result<(), Stop> {
        let Lane { name, role: Role::Gateway(wanted), life: Some(life) } = &self.lanes[observer] else {
            return Ok(());
        };
        let Some(refused) = &life.said.refused else { return Ok(()) };
        if let Some(line) = self.line_of(Check::Truthful)
            && let Some(lie) = self.lie(observer, wanted, life, refused)
        {
            return Err(broken(Check::Truthful, line, format!("{name} says {}, {lie}", refused.code)));
        }
        match self.demand(observer, life, refused) {
            Some((line, says)) => {
                let says = format!("{name} says {} and {says}", refused.code);
                Err(Stop::Broken(Broken { check: "refusal".to_owned(), says, line: Some(line) }))
            }
            None => Ok(()),
        }
    }

    /// What cannot have been so.
    fn lie(&self, observer: usize, wanted: &Gateway, life: &Life, refused: &Refused) -> Option<String> {
        if let Some((_, Ended::Exited(status))) = life.ended
            && status != refused.exit
            && self.order.target.tells_events()
        {
            return Some(format!("promises exit status {} and exits with {status}", refused.exit));
        }
        let holder = refused.holder?;
        let named: Vec<&Lane> = self.named(holder).collect();
        if named.is_empty() {
            let Holder { pid, start_tick } = holder;
            let since = start_tick.map(|tick| format!(" that started at tick {tick}")).unwrap_or_default();
            return Some(format!("by pid {pid}{since}, which is no process here"));
        }
        let others = named.iter().filter(|lane| lane.name != self.lanes[observer].name);
        let is_possible = others
            .filter_map(|lane| lane.life.as_ref().map(|their| (&lane.role, their)))
            .any(|(role, their)| self.is_possible(&refused.code, wanted, life, role, their));
        let who = || named.iter().map(|lane| lane.name.as_str()).collect::<Vec<_>>().join(" or ");
        (!is_possible).then(|| format!("by pid {} ({}), which was at no time so", holder.pid, who()))
    }

    /// The processes that had this pid and started at this tick.
    fn named(&self, holder: Holder) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().filter(move |lane| {
            lane.life.as_ref().is_some_and(|life| {
                life.child.pid == holder.pid && holder.start_tick.is_none_or(|tick| life.child.tick == tick)
            })
        })
    }

    /// What the scenario demands of every refusal and this one lacks, and where it stands.
    fn demand(&self, observer: usize, life: &Life, refused: &Refused) -> Option<(usize, String)> {
        let demand = self.scenario.expect.refusal.as_ref()?;
        let allowed = &demand.value.exit;
        if let Some((_, Ended::Exited(exit))) = life.ended
            // A target knows which status of scenarios an own one stands for.
            && let status = if self.order.target.tells_events() { exit } else { refused.exit }
            && !allowed.is_empty()
            && !allowed.iter().any(|exit| i32::from(*exit) == status)
        {
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            return Some((demand.line, format!("exits with {status}, not {}", allowed.join(" or "))));
        }
        let mut sentences = life.said.sentences.iter();
        let said = sentences.find_map(|said| Some((said, forbidden(&demand.value.never_says, said)?)));
        if let Some((sentence, word)) = said {
            return Some((demand.line, tells(sentence, word)));
        }
        if let (Some(within_ms), Some(at_us)) = (demand.value.within_ms, life.said.refused_us)
            && let took_ms = life.awake_us(at_us) / 1_000
            && took_ms > within_ms + ALLOWANCE_MS
        {
            let says =
                format!("gives up after {took_ms} ms, later than {within_ms} ms and {ALLOWANCE_MS} ms more");
            return Some((demand.line, says));
        }
        // An owner that fences itself was refused nothing: nobody is in its way.
        let can_name = self.order.target.can_name(&refused.code) && refused.code != Reason::Fenced.code();
        let wanted = demand.value.names.as_ref().filter(|_| can_name)?;
        let mut named = refused.holder.into_iter().flat_map(|holder| self.named(holder));
        let is_named = named.any(|lane| match wanted {
            Named::Owner => lane.gateway().is_some() && lane.name != self.lanes[observer].name,
            Named::Process(name) => lane.name == *name,
        });
        if is_named {
            return None;
        }
        let wanted = match wanted {
            Named::Owner => "the owner",
            Named::Process(name) => name,
        };
        let whom = refused.holder.map_or_else(|| "nobody".to_owned(), |holder| format!("pid {}", holder.pid));
        Some((demand.line, format!("names {whom}, not {wanted}")))
    }

    /// Whether what an observer says of a process can have been so while the observer was starting.
    fn is_possible(&self, code: &str, wanted: &Gateway, observer: &Life, role: &Role, their: &Life) -> bool {
        if their.ended_before(observer.started_us) {
            return false;
        }
        let had_released = their.said.released_us.is_some_and(|at_us| at_us < observer.started_us);
        match (code, role) {
            ("port" | "port-foreign" | "port-unknown", Role::Bystander(bystander)) => {
                bystander.listens.iter().any(|address| address.port() == wanted.port.get())
            }
            (_, Role::Bystander(_)) => false,
            ("held-ready", Role::Gateway(_)) if !may_have_been_ready(their) || had_released => false,
            // It notes its phase a moment after it says `ready`, so a gateway that was ready may be called starting.
            ("held-stopped", Role::Gateway(_)) if !was_paused_since(their, observer.started_us) => false,
            ("held-draining", Role::Gateway(_)) if their.asked.is_none() => false,
            ("config-shared", Role::Gateway(theirs)) => share_config(wanted, theirs),
            ("workspace-shared" | "workspace-nested", Role::Gateway(theirs)) => share_tree(wanted, theirs),
            (
                "port" | "port-range" | "port-gateway" | "port-other-user" | "port-foreign" | "port-unknown",
                Role::Gateway(theirs),
            ) => self.clash_ports(wanted, theirs),
            (_, Role::Gateway(theirs)) => clash_state(wanted, theirs),
        }
    }
}

/// Whether it may have told those who ask that it is ready. Its own lines can come later than that, and those of one that
/// was killed not at all.
fn may_have_been_ready(their: &Life) -> bool {
    their.said.ready_us.is_some() || matches!(their.ended, None | Some((_, Ended::Signaled(_))))
}

fn was_paused_since(their: &Life, since_us: u64) -> bool {
    their.pauses.iter().any(|(_, until)| until.is_none_or(|until_us| until_us >= since_us))
}

/// Whether one of two gateways works inside the workspace of the other.
fn share_tree(one: &Gateway, other: &Gateway) -> bool {
    let (Some(one), Some(other)) = (&one.workspace, &other.workspace) else { return false };
    let (one, other) = (Path::new(one), Path::new(other));
    one.starts_with(other) || other.starts_with(one)
}
