//! What is known of one process of a scenario: what it is, what it said, what was done to it, how it ended.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde::Deserialize;
use sim::Telling;

use super::child::{Child, Ended};
use super::files::Snapshot;
use super::probe::Asking;
use crate::scenario::{Bystander, Fate, Gateway};

/// One process of the scenario.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) role: Role,
    /// `None` until it is started.
    pub(super) life: Option<Life>,
}

/// What a process is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// A contender.
    Gateway(Box<Gateway>),
    /// None of their business.
    Bystander(Bystander),
}

/// A process that was started.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) child: Child,
    pub(super) started_us: u64,
    pub(super) said: Said,
    /// When it was seen to have ended, and how.
    pub(super) ended: Option<(u64, Ended)>,
    /// From when to when it was stopped.
    pub(super) pauses: Vec<(u64, Option<u64>)>,
    /// The last signal that was to end it.
    pub(super) asked: Option<Signal>,
    /// Whether it was told to do something, or to go on, and may still be at it.
    pub(super) is_stirred: bool,
    /// When the plan kills it, while that is to come.
    pub(super) kill_due_us: Option<u64>,
    /// Whether the plan has killed it.
    pub(super) is_planned: bool,
    /// What lay in its directories before it began.
    pub(super) before: Snapshot,
    /// The question that it is being asked.
    pub(super) asking: Option<Asking>,
}

/// What a gateway said, and when that was read.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) owner_us: Option<u64>,
    pub(super) ready_us: Option<u64>,
    pub(super) released_us: Option<u64>,
    pub(super) refused: Option<Refused>,
    /// What it has told by its log, or by its events: once it is told it stays so.
    pub(super) told: Vec<Telling>,
    /// When that was read that it gives up.
    pub(super) refused_us: Option<u64>,
    /// What it has written for people, line by line, as far as anybody asks for it.
    pub(super) sentences: Vec<String>,
    /// Of a bystander: that it listens.
    pub(super) listens: bool,
    /// Of a bystander: that somebody else listens where it would, so that it ends.
    pub(super) is_crowded_out: bool,
    /// Its last word that was none of these.
    pub(super) last: String,
    /// When it last answered.
    pub(super) answered_us: Option<u64>,
    /// Whether it answers no more, although it was ready.
    pub(super) is_silent: bool,
    /// Which refusals its lines fit.
    pub(super) hits: Hits,
}

/// For each refusal that a target knows, what was seen of it.
#[derive(Debug, Default)]
pub(super) struct Hits(pub(super) Vec<Hit>);

/// What was seen of one refusal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hit {
    pub(super) output: bool,
    pub(super) errors: bool,
    pub(super) pid: Option<u32>,
}

/// A refusal, as `refgate gateway --json` tells it or as a target recognises it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) exit: i32,
    pub(super) holder: Option<Holder>,
}

/// Who is said to be in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Holder {
    pub(super) pid: u32,
    /// When it started; `None`: that was not said.
    pub(super) start_tick: Option<u64>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.code)?;
        self.holder.map_or(Ok(()), |holder| write!(f, " by pid {}", holder.pid))
    }
}

impl Lane {
    /// How it ended up.
    pub(super) fn fate(&self) -> Fate {
        let Some(life) = &self.life else { return Fate::Unstarted };
        match (&life.ended, &life.said.refused) {
            (Some((_, Ended::Signaled(_))), _) => Fate::Killed,
            (Some((_, Ended::Exited(_))), Some(refused)) => Fate::Refused { code: refused.code.clone() },
            (Some((_, Ended::Exited(_))), None) => Fate::Exited,
            (None, _) if life.is_paused() => Fate::Paused,
            (None, _) if life.said.is_silent => Fate::Running,
            (None, _) if life.said.ready_us.is_some() && life.said.released_us.is_none() => Fate::Ready,
            (None, _) => Fate::Running,
        }
    }

    /// Whether nothing more will happen to it before somebody does something.
    pub(super) fn is_settled(&self) -> bool {
        let Some(life) = &self.life else { return true };
        if life.ended.is_some() {
            return true;
        }
        if life.kill_due_us.is_some() || life.asked == Some(Signal::KILL) {
            return false;
        }
        life.is_paused() || (life.asked.is_none() && (life.said.ready_us.is_some() || life.said.listens))
    }

    /// Its life, if it was started and is not known to have ended.
    pub(super) fn living(&self) -> Option<&Life> {
        self.life.as_ref().filter(|life| life.ended.is_none())
    }

    /// The same, to be changed.
    pub(super) fn living_mut(&mut self) -> Option<&mut Life> {
        self.life.as_mut().filter(|life| life.ended.is_none())
    }

    /// The question that it is being asked, while it can answer.
    pub(super) fn asked(&self) -> Option<&Asking> {
        self.living().filter(|life| !life.is_paused())?.asking.as_ref()
    }

    /// The gateway that it is.
    pub(super) const fn gateway(&self) -> Option<&Gateway> {
        match &self.role {
            Role::Gateway(gateway) => Some(gateway),
            Role::Bystander(_) => None,
        }
    }
}

impl Life {
    pub(super) fn new(child: Child, started_us: u64, before: Snapshot) -> Self {
        Self {
            child,
            started_us,
            said: Said::default(),
            ended: None,
            pauses: Vec::new(),
            asked: None,
            is_stirred: false,
            kill_due_us: None,
            is_planned: false,
            before,
            asking: None,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.pauses.last().is_some_and(|(_, until)| until.is_none())
    }

    /// For how long it had run by that moment without being stopped, in microseconds.
    pub(super) fn awake_us(&self, at_us: u64) -> u64 {
        let stopped =
            self.pauses.iter().map(|(from, until)| until.unwrap_or(at_us).min(at_us).saturating_sub(*from));
        at_us.saturating_sub(self.started_us).saturating_sub(stopped.sum())
    }

    /// Whether it has said that it is the owner, has not said that it no longer is, and lives.
    pub(super) fn is_owner(&self) -> bool {
        self.said.owner_us.is_some()
            && self.said.released_us.is_none()
            && self.ended.is_none()
            && self.child.is_alive()
    }

    /// Whether it has told something, however long ago.
    pub(super) fn has_told(&self, telling: Telling) -> bool {
        self.said.told.contains(&telling) || (telling == Telling::Refused && self.said.refused.is_some())
    }

    /// Whether it had ended before that moment.
    pub(super) fn ended_before(&self, moment_us: u64) -> bool {
        self.ended.is_some_and(|(at_us, _)| at_us < moment_us)
    }
}

/// What a line of a gateway means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Owner,
    Ready,
    Draining,
    Released,
    Refused(Refused),
    /// Anything else, for the report.
    Other,
}

/// Reads a line of `refgate gateway --json`.
pub(super) fn read_word(line: &str) -> Word {
    #[derive(Deserialize)]
    struct Line {
        event: String,
    }
    let Ok(Line { event }) = serde_json::from_str(line) else { return Word::Other };
    match event.as_str() {
        "owner" => Word::Owner,
        "ready" => Word::Ready,
        "draining" => Word::Draining,
        "released" => Word::Released,
        "refused" => serde_json::from_str(line).map_or(Word::Other, Word::Refused),
        _ => Word::Other,
    }
}

/// Where the state directory of a label lies.
pub(super) fn state_directory(room: &Path, label: &str) -> PathBuf {
    room.join(format!("state-{label}"))
}

/// Where the configuration of a gateway lies, if not in its state directory.
pub(super) fn config_file(room: &Path, gateway: &Gateway) -> Option<PathBuf> {
    gateway.config.as_ref().map(|label| room.join(format!("config-{label}")).join("openclaw.json"))
}

/// Whether two gateways use one configuration. Without a label it lies in the state directory.
pub(super) fn share_config(one: &Gateway, other: &Gateway) -> bool {
    match (&one.config, &other.config) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.state == other.state,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Holder, Refused, Word, read_word};

    #[test]
    fn a_line_is_read_by_its_event_and_whatever_else_it_holds_is_ignored() {
        assert_eq!(read_word(r#"{"event":"owner","pid":3,"port":18789,"new":[]}"#), Word::Owner);
        assert_eq!(read_word(r#"{"event":"note","message":"x"}"#), Word::Other);
        assert_eq!(read_word("thread 'main' panicked"), Word::Other);
        let refused = r#"{"event":"refused","pid":4,"code":"held-ready","exit":78,
            "holder":{"pid":3,"name":"refgate","startTick":99}}"#;
        let holder = Some(Holder { pid: 3, start_tick: Some(99) });
        assert_eq!(
            read_word(refused),
            Word::Refused(Refused { code: "held-ready".to_owned(), exit: 78, holder })
        );
        let nobody = r#"{"event":"refused","code":"permission","exit":77}"#;
        assert_eq!(
            read_word(nobody),
            Word::Refused(Refused { code: "permission".to_owned(), exit: 77, holder: None })
        );
    }
}
