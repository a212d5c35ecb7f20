//! Why a gateway would not start here, or that it would: one screen, for whoever has to decide what to do next.
//!
//! Nothing is decided here about who holds what: that is [`lock::survey`](crate::lock::survey()), which looks with the eyes of
//! a start. This says which of the situations it is, how sure that is, and what follows from it.

mod text;

use portcullis_os::ProcessState;
use serde::Serialize;

use crate::claim::Claim;
use crate::identity::Identity;
use crate::lock::journal::Header;
use crate::lock::{Blocked, Certainty, LastOwner, Survey};
use crate::refusal::{Holder, HolderLine, Reason, quoted};

/// What an operator has before him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Situation {
    /// Nobody stands in the way.
    Free,
    /// The gateway of this state directory runs, or is about to, or is just stopping.
    ExpectedGateway,
    /// Something that is left of a gateway of this state directory holds what a new one needs.
    StaleProcess,
    /// Another gateway, of another state directory, has something that this one needs.
    SecondGateway,
    /// A program that nothing shows to be a gateway has it.
    UnknownHolder,
    /// Nobody stands in the way, but a later version of the gateway has used the state directory.
    NewerVersion,
    /// Nobody stands in the way, but the machine does: permissions, disks, limits.
    Machine,
}

impl Situation {
    /// Every situation.
    pub const ALL: [Self; 7] = [
        Self::Free,
        Self::ExpectedGateway,
        Self::StaleProcess,
        Self::SecondGateway,
        Self::UnknownHolder,
        Self::NewerVersion,
        Self::Machine,
    ];

    /// The situation that a refusal for this reason shows.
    pub const fn of(reason: Reason) -> Self {
        match reason {
            Reason::HeldReady | Reason::HeldStarting | Reason::HeldDraining => Self::ExpectedGateway,
            Reason::HeldHung | Reason::HeldStopped | Reason::HeldOrphan | Reason::HeldWriters => {
                Self::StaleProcess
            }
            Reason::ConfigShared
            | Reason::WorkspaceShared
            | Reason::WorkspaceNested
            | Reason::PortRange
            | Reason::PortGateway => Self::SecondGateway,
            Reason::HeldUnknown
            | Reason::PortForeign
            | Reason::PortOtherUser
            | Reason::PortEphemeral
            | Reason::PortUnknown => Self::UnknownHolder,
            Reason::PortReserved
            | Reason::AddressUnavailable
            | Reason::UnsupportedFileSystem
            | Reason::LocksNotEnforced
            | Reason::RemoteFileSystem
            | Reason::InsecureDirectory
            | Reason::Permission
            | Reason::ReadOnly
            | Reason::DiskFull
            | Reason::DescriptorLimit
            | Reason::InvalidPath
            | Reason::PathUnstable
            | Reason::Fenced
            | Reason::Error => Self::Machine,
            Reason::NewerEpoch => Self::NewerVersion,
        }
    }

    /// The stable word for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::ExpectedGateway => "expected-gateway",
            Self::StaleProcess => "stale-process",
            Self::SecondGateway => "second-gateway",
            Self::UnknownHolder => "unknown-holder",
            Self::NewerVersion => "newer-version",
            Self::Machine => "machine",
        }
    }

    /// What to do, in a sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Free => "Start it: nothing is in the way.",
            Self::ExpectedGateway => {
                "Use the gateway that runs. If you want it to start anew, stop it first; a second one is not needed."
            }
            Self::StaleProcess => {
                "Look at that process, then let it go on or end it. The lock goes with it: there is no file to remove."
            }
            Self::SecondGateway => {
                "If both are wanted, give each a profile: its own state, configuration and ports at least 111 apart. If not, stop the other."
            }
            Self::UnknownHolder => {
                "Find out what that program is and whose. Do not end it for being there: move the gateway, or ask its owner."
            }
            Self::NewerVersion => {
                "Start that version, or give this one a state directory of its own. No file is to be removed."
            }
            Self::Machine => "No process is in the way. Mend what the evidence names, then start.",
        }
    }
}

/// The exit status when nothing stands in the way.
pub const FREE: u8 = 0;

/// What is to be said.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    claim: &'a Claim,
    survey: &'a Survey,
    options: &'a str,
}

impl<'a> Report<'a> {
    /// About the claim that was surveyed. The `options` make another command mean the same, with a space before each.
    pub const fn new(claim: &'a Claim, survey: &'a Survey, options: &'a str) -> Self {
        Self { claim, survey, options }
    }

    /// What a start would meet first, if anything.
    fn first(&self) -> Option<&Blocked> {
        self.survey.blocked.first()
    }

    /// The situation.
    pub fn situation(&self) -> Situation {
        self.first().map_or(Situation::Free, |blocked| Situation::of(blocked.refusal.reason))
    }

    /// The exit status: 0 if nothing stands in the way, else that of the start that would be refused.
    pub fn exit_status(&self) -> u8 {
        self.first().map_or(FREE, |blocked| blocked.refusal.exit_status())
    }

    /// The verdict: the code of the refusal, or `free`.
    pub fn verdict(&self) -> &'static str {
        self.first().map_or("free", |blocked| blocked.refusal.code())
    }

    /// The verdict as a sentence.
    fn message(&self) -> String {
        match self.first() {
            Some(blocked) => blocked.refusal.to_string(),
            None => format!(
                "nothing stands in the way of a gateway on {} with ports {}",
                self.claim.state.display(),
                self.claim.ports
            ),
        }
    }

    /// The safe next command.
    fn next(&self) -> String {
        match self.first() {
            Some(blocked) => blocked.refusal.next.clone(),
            None => format!("refgate gateway{}", self.options),
        }
    }

    /// What the owner record says, held against what the kernel and the newest journal show.
    fn record(&self) -> Option<String> {
        let begun = self.survey.begun.as_ref();
        let Some(LastOwner { record, now }) = &self.survey.last_owner else {
            return begun.map(|begun| format!("there is none; {}", who_began(begun)));
        };
        let holder = self.owner().map(|holder| holder.pid);
        let names_holder = holder.is_some() && record.process() == holder;
        let Identity { pid, instance, .. } = record;
        if let Some(begun) = begun.filter(|begun| (&begun.instance, begun.pid) != (instance, *pid)) {
            let now = if names_holder { "who holds it".to_owned() } else { what_it_is(now.as_ref()) };
            let who = who_began(begun);
            return Some(format!(
                "not believed: the owner record names pid {pid}, {now}, as instance {instance}; {who}"
            ));
        }
        let epoch = begun.map(|begun| format!(", epoch {}", begun.epoch)).unwrap_or_default();
        Some(if names_holder {
            format!("the owner record names pid {pid} as well, instance {instance}{epoch}")
        } else if holder.is_some() || begun.is_none() {
            // An owner begins its journal before it writes the record.
            format!("not believed: the owner record names pid {pid}, {}", what_it_is(now.as_ref()))
        } else {
            format!("the last owner was pid {pid}{epoch}, {}", what_it_is(now.as_ref()))
        })
    }

    /// The process that holds the state directory.
    fn owner(&self) -> Option<&Holder> {
        let situation = |blocked: &&Blocked| {
            let reason = blocked.refusal.reason;
            Situation::of(reason) == Situation::ExpectedGateway
                || Situation::of(reason) == Situation::StaleProcess
                || reason == Reason::HeldUnknown
        };
        self.survey.blocked.iter().find(situation)?.refusal.holder.as_deref()
    }

    /// The report as one line of JSON, as `why.schema.json` describes it.
    pub fn to_json(&self) -> String {
        let first = self.first();
        let line = Line {
            event: "why",
            schema: 1,
            verdict: self.verdict(),
            certainty: self.survey.certainty().as_str(),
            situation: self.situation().code(),
            exit: self.exit_status(),
            state: self.claim.state.to_string_lossy().into_owned(),
            port: self.claim.ports.base().get(),
            message: self.message(),
            holder: first.and_then(|blocked| blocked.refusal.holder.as_deref()).map(HolderLine::of),
            instance: first.and_then(|blocked| blocked.instance.as_deref()),
            evidence: first.map(|blocked| &*blocked.refusal.evidence).unwrap_or_default(),
            record: self.record(),
            epoch: self.survey.begun.as_ref().map(|begun| begun.epoch),
            also: self.survey.blocked.iter().skip(1).map(Also::of).collect(),
            unseen: &self.survey.unseen,
            advice: self.situation().advice(),
            next: self.next(),
            do_not: first.and_then(|blocked| blocked.refusal.do_not),
        };
        // A struct of strings and integers always serialises.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

fn what_it_is(now: Option<&Holder>) -> String {
    // Nobody has waited for a zombie yet; it holds nothing any more.
    now.filter(|now| now.state != ProcessState::Zombie).map_or_else(
        || "which is gone".to_owned(),
        |now| format!("which is {} at present", quoted(&now.name)),
    )
}

fn who_began(begun: &Header) -> String {
    let Header { epoch, pid, instance, .. } = begun;
    format!("epoch {epoch} was begun by pid {pid}, instance {instance}")
}

/// The report as JSON. What is not known is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    event: &'static str,
    schema: u32,
    verdict: &'static str,
    certainty: &'static str,
    situation: &'static str,
    exit: u8,
    state: String,
    port: u16,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<HolderLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    evidence: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<Also<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    unseen: &'a [String],
    advice: &'static str,
    next: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    do_not: Option<&'static str>,
}

/// What else stands in the way, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Also<'a> {
    code: &'static str,
    certainty: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<HolderLine<'a>>,
}

impl<'a> Also<'a> {
    fn of(blocked: &'a Blocked) -> Self {
        let Blocked { refusal, certainty, instance: _ } = blocked;
        Self {
            code: refusal.code(),
            certainty: certainty.as_str(),
            message: &refusal.what,
            holder: refusal.holder.as_deref().map(HolderLine::of),
        }
    }
}

/// How a verdict on nobody is meant.
const fn free_means(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Proved => "the kernel lists every lock and listener here, and none is in the way",
        Certainty::Likely | Certainty::Unknown => {
            "none that can be seen from here is in the way; see what could not be seen"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Situation;
    use crate::refusal::Reason;

    #[test]
    fn each_situation_has_a_code_and_advice_of_its_own_and_arises() {
        let arising: Vec<Situation> = Reason::ALL.iter().map(|reason| Situation::of(*reason)).collect();
        let (mut codes, mut advice) = (Vec::new(), Vec::new());
        for situation in Situation::ALL {
            assert!(situation == Situation::Free || arising.contains(&situation), "{situation:?}");
            codes.push(situation.code());
            advice.push(situation.advice());
        }
        for list in [&mut codes, &mut advice] {
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), Situation::ALL.len());
        }
    }
}
