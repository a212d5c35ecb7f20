//! Who has reserved what, as text for people and as JSON for programs, beside the block of this profile.

use std::fmt::Write as _;

use portcullis_os::Port;
use serde_json::{Value, json};

use super::{Remembered, Reserved};
use crate::claim::PortBlock;
use crate::identity::{Identity, PhaseName};
use crate::lock::Neighbour;
use crate::refusal::HolderLine;
use crate::settings::Settings;
use crate::text::one_line;

/// What is known of the ports of this host, for a gateway of these settings.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Who has reserved what.
    pub reserved: &'a Reserved,
    /// What the profiles of this home remember.
    pub remembered: &'a [Remembered],
    /// The settings of this profile.
    pub settings: &'a Settings,
}

/// How a neighbour is to this profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// It is the gateway of this profile.
    Own,
    /// It has a port of it.
    InTheWay,
    /// Neither.
    Apart,
}

impl Report<'_> {
    /// As text. The first line is the situation, the last one what to do next.
    pub fn to_text(&self) -> String {
        let mut text = match self.reserved.neighbours.len() {
            0 => "refgate: nobody has reserved ports on this host\n".to_owned(),
            1 => "refgate: one gateway has reserved ports on this host\n".to_owned(),
            more => format!("refgate: {more} gateways have reserved ports on this host\n"),
        };
        for neighbour in &self.reserved.neighbours {
            text += &self.neighbour(neighbour);
        }
        // Writing to a `String` cannot fail.
        let _ =
            writeln!(text, "  this profile would take {}", uses(self.settings.ports, &self.settings.pinned));
        for (other, shared) in self.shared() {
            let _ = writeln!(
                text,
                "  overlaps {shared} of {}: {}",
                other.name(),
                one_line(&other.config.to_string_lossy())
            );
        }
        let is_free =
            self.reserved.neighbours.iter().all(|neighbour| self.relation(neighbour) != Relation::InTheWay);
        let next =
            if is_free { "refgate why" } else { "refgate gateway with another --port, or another --profile" };
        text + "  next  " + next
    }

    /// As one JSON object.
    pub fn to_json(&self) -> String {
        let reserved: Vec<Value> =
            self.reserved.neighbours.iter().map(|neighbour| self.as_json(neighbour)).collect();
        let conflicts: Vec<Value> = self
            .shared()
            .map(|(other, shared)| {
                json!({
                    "profile": other.profile.as_ref().map(|profile| profile.as_str()),
                    "config": other.config,
                    "ports": { "first": shared.base().get(), "last": shared.last() },
                })
            })
            .collect();
        let settings = self.settings;
        json!({
            "reserved": reserved,
            "own": {
                "profile": settings.profile.as_ref().map(|profile| profile.as_str()),
                "state": settings.state,
                "ports": block(settings.ports),
                "pinned": settings.pinned.iter().map(|port| port.get()).collect::<Vec<_>>(),
            },
            "conflicts": conflicts,
        })
        .to_string()
    }

    fn neighbour(&self, neighbour: &Neighbour) -> String {
        let who = match (&neighbour.holder, neighbour.uid) {
            (Some(holder), _) => holder.in_short(),
            (None, Some(uid)) => format!("a process of uid {uid} that is not visible from here"),
            (None, None) => "a process that is not visible from here".to_owned(),
        };
        let relation = match self.relation(neighbour) {
            Relation::Own => "  (this profile)",
            Relation::InTheWay => "  (in the way of this profile)",
            Relation::Apart => "",
        };
        let Some(identity) = &neighbour.identity else {
            let ports = ranges(neighbour.ports.iter().copied());
            let why = neighbour.unknown.as_deref().unwrap_or("it does not say who it is");
            return format!("  {ports}  {}: {why}{relation}\n", one_line(&who));
        };
        let pinned: Vec<Port> = identity.pinned.iter().filter_map(|port| Port::new(*port)).collect();
        let ports = identity
            .ports()
            .map_or_else(|| ranges(neighbour.ports.iter().copied()), |block| uses(block, &pinned));
        format!(
            "  {ports}{relation}\n      {}, {}, instance {}, version {}\n      state {}\n",
            one_line(&who),
            identity.phase.map_or("no phase", PhaseName::as_str),
            one_line(&identity.instance),
            one_line(&identity.version),
            one_line(&identity.state),
        )
    }

    fn as_json(&self, neighbour: &Neighbour) -> Value {
        let identity = neighbour.identity.as_ref();
        json!({
            "ports": identity.and_then(Identity::ports).map(block),
            "tokens": ranges(neighbour.ports.iter().copied()),
            "pinned": identity.map(|identity| &identity.pinned),
            "holder": neighbour.holder.as_ref().map(HolderLine::of),
            "uid": neighbour.uid.map(|uid| uid.0),
            "instance": identity.map(|identity| &identity.instance),
            "phase": identity.and_then(|identity| identity.phase),
            "state": identity.map(|identity| &identity.state),
            "config": identity.map(|identity| &identity.config),
            "version": identity.map(|identity| &identity.version),
            "unknown": neighbour.unknown,
            "relation": match self.relation(neighbour) {
                Relation::Own => "own",
                Relation::InTheWay => "in-the-way",
                Relation::Apart => "apart",
            },
        })
    }

    fn relation(&self, neighbour: &Neighbour) -> Relation {
        let settings = self.settings;
        let is_own = neighbour.identity.as_ref().is_some_and(|identity| {
            settings.state.to_str() == Some(identity.state.as_str())
                && identity.ports() == Some(settings.ports)
        });
        let wanted = |port: &u16| {
            settings.ports.holds(*port) || settings.pinned.iter().any(|pinned| pinned.get() == *port)
        };
        match is_own {
            true => Relation::Own,
            false if neighbour.ports.iter().any(wanted) => Relation::InTheWay,
            false => Relation::Apart,
        }
    }

    /// The other profiles of this home whose ports are also those of this one, and which these are.
    fn shared(&self) -> impl Iterator<Item = (&Remembered, PortBlock)> {
        let own = self.settings;
        self.remembered
            .iter()
            .filter(|other| other.profile != own.profile && other.config != own.config)
            .filter_map(move |other| Some((other, other.blocks().find(|block| block.overlaps(own.ports))?)))
    }
}

/// A block and what its ports are for.
fn uses(ports: PortBlock, pinned: &[Port]) -> String {
    let mut text = ports.to_string();
    if let Some(derived) = ports.derived() {
        let (first, last) = (derived.cdp_first, derived.cdp_last);
        text += &format!(
            ": gateway {}, browser control {}, CDP {first}-{last}",
            derived.gateway, derived.browser_control
        );
    }
    let outside: Vec<u16> = pinned.iter().map(|port| port.get()).filter(|port| !ports.holds(*port)).collect();
    if !outside.is_empty() {
        text += &format!(", and {} for browsers", ranges(outside));
    }
    text
}

/// A block for programs.
pub(crate) fn block(ports: PortBlock) -> Value {
    let derived = ports.derived();
    json!({
        "first": ports.base().get(),
        "last": ports.last(),
        "browserControl": derived.map(|derived| derived.browser_control),
        "cdp": derived.map(|derived| json!({ "first": derived.cdp_first, "last": derived.cdp_last })),
    })
}

/// Ports in a row as `first-last`.
fn ranges(ports: impl IntoIterator<Item = u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    let shown = |(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn ports_in_a_row_are_told_by_their_ends() {
        assert_eq!(ranges([7]), "7");
        assert_eq!(ranges([7, 8, 9, 20, 65_535]), "7-9, 20, 65535");
        assert_eq!(ranges([]), "");
    }
}
