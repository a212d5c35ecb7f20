//! The words of a scenario with a fixed meaning: checks, final states and the reasons of a refusal.
//!
//! All three are closed: a word that is not listed here is a mistake in the file.

use std::fmt;

/// Something that must hold after every step of every schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// `single-owner`
    SingleOwner,
    /// `single-writer`
    SingleWriter,
    /// `no-theft`
    NoTheft,
    /// `no-foreign-unlink`
    NoForeignUnlink,
    /// `no-collateral`
    NoCollateral,
    /// `ports-disjoint`
    PortsDisjoint,
    /// `config-identity`
    ConfigIdentity,
    /// `effect-after-lock`
    EffectAfterLock,
    /// `no-wedge`
    NoWedge,
    /// `no-dead-end`
    NoDeadEnd,
    /// `handoff`
    Handoff,
    /// `truthful`
    Truthful,
    /// `fail-fast`
    FailFast,
    /// `clock-free`
    ClockFree,
}

impl Check {
    /// Every check, in the order in which they are listed for people.
    pub const ALL: [Self; 14] = [
        Self::SingleOwner,
        Self::SingleWriter,
        Self::NoTheft,
        Self::NoForeignUnlink,
        Self::NoCollateral,
        Self::PortsDisjoint,
        Self::ConfigIdentity,
        Self::EffectAfterLock,
        Self::NoWedge,
        Self::NoDeadEnd,
        Self::Handoff,
        Self::Truthful,
        Self::FailFast,
        Self::ClockFree,
    ];

    /// The stable id that stands in files and reports.
    pub const fn id(self) -> &'static str {
        match self {
            Self::SingleOwner => "single-owner",
            Self::SingleWriter => "single-writer",
            Self::NoTheft => "no-theft",
            Self::NoForeignUnlink => "no-foreign-unlink",
            Self::NoCollateral => "no-collateral",
            Self::PortsDisjoint => "ports-disjoint",
            Self::ConfigIdentity => "config-identity",
            Self::EffectAfterLock => "effect-after-lock",
            Self::NoWedge => "no-wedge",
            Self::NoDeadEnd => "no-dead-end",
            Self::Handoff => "handoff",
            Self::Truthful => "truthful",
            Self::FailFast => "fail-fast",
            Self::ClockFree => "clock-free",
        }
    }

    /// What it demands, in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::SingleOwner => "At most one live process owns a state directory.",
            Self::SingleWriter => "No reader ever sees bytes that were written after their epoch was sealed.",
            Self::NoTheft => "A file of a live owner is never removed or replaced by another process.",
            Self::NoForeignUnlink => "A process that owns nothing removes only what it made.",
            Self::NoCollateral => {
                "No gateway signals another process, save a stopped owner that it is told to end by force."
            }
            Self::PortsDisjoint => {
                "The port blocks of live gateways in one network namespace never overlap, and no browser of one listens on a port of another."
            }
            Self::ConfigIdentity => "One configuration file has at most one owner.",
            Self::EffectAfterLock => {
                "Nothing durable happens before ownership, and a refused start changes no existing file."
            }
            Self::NoWedge => {
                "Wherever nothing alive stands in the way, a fresh gateway that runs alone becomes ready."
            }
            Self::NoDeadEnd => "Where a supervisor wants an owner, somebody owns in the end.",
            Self::Handoff => {
                "Once a gateway serves, somebody listens on its port and one serves in the end, unless one is told to stop or killed."
            }
            Self::Truthful => {
                "The reported reason was true of the named process at some instant since the start."
            }
            Self::FailFast => "A refusal takes a bounded number of calls.",
            Self::ClockFree => "No wall clock is read before ownership.",
        }
    }

    /// The check of that id.
    pub fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.id() == id)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Why a gateway was refused. Reasons are a tree: a general one admits each of those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// The stable code.
    pub id: &'static str,
    /// The more general reason that it belongs to.
    pub parent: Option<&'static str>,
    /// What it says, as a fragment.
    pub meaning: &'static str,
}

const fn reason(id: &'static str, parent: Option<&'static str>, meaning: &'static str) -> Reason {
    Reason { id, parent, meaning }
}

/// Every reason that a scenario can name.
pub const REASONS: [Reason; 34] = [
    reason("held", None, "another gateway has the state directory"),
    reason("held-ready", Some("held"), "its owner serves clients"),
    reason("held-starting", Some("held"), "its owner is starting"),
    reason("held-draining", Some("held"), "its owner is shutting down"),
    reason("held-stopped", Some("held"), "its owner is stopped by a signal or a debugger"),
    reason("held-hung", Some("held"), "its owner runs but gave no answer in time"),
    reason("held-unknown", Some("held"), "no process that can be seen from here is its owner"),
    reason("held-orphan", Some("held"), "a process has inherited the lock from a gateway that is gone"),
    reason(
        "held-writers",
        Some("held"),
        "there is no owner, and a process that may still write to the state",
    ),
    reason("port", None, "a port that is needed is taken"),
    reason("port-range", Some("port"), "another gateway reserves a part of the port block"),
    reason("port-gateway", Some("port"), "a gateway of another state directory has the same base port"),
    reason("port-foreign", Some("port"), "a program that is no gateway listens on the port"),
    reason("port-other-user", Some("port"), "a process of another user has reserved a port"),
    reason("port-ephemeral", Some("port"), "a connection, not a listener, uses the port"),
    reason("port-reserved", Some("port"), "the system keeps the port for itself"),
    reason("port-unknown", Some("port"), "somebody uses the port and cannot be seen from here"),
    reason("address-unavailable", None, "the machine does not have an address to listen on"),
    reason("config-shared", None, "another gateway uses the same configuration file"),
    reason("workspace-shared", None, "another gateway works in the same directory"),
    reason("workspace-nested", None, "another gateway works in a directory inside this one, or around it"),
    reason("unsupported-fs", None, "the file system cannot lock what must be locked"),
    reason("locks-not-enforced", None, "the file system grants locks that exclude nobody"),
    reason("remote-fs", None, "the file system is remote and its locks may not reach every machine"),
    reason("insecure-directory", None, "others can write to the state directory"),
    reason("permission", None, "the system denies access"),
    reason("read-only", None, "the file system is read-only"),
    reason("disk-full", None, "there is no space left"),
    reason("descriptor-limit", None, "there are no file descriptors left"),
    reason("invalid-path", None, "a path is not what it should be"),
    reason("path-unstable", None, "the state directory keeps being replaced"),
    reason("newer-epoch", None, "a later version of the gateway has used the state directory"),
    reason("fenced", None, "it was the owner, has lost what it owned, and has stopped by itself"),
    reason("error", None, "the system reports something that has no reason of its own"),
];

impl Reason {
    /// The reason of that code.
    pub fn of(id: &str) -> Option<&'static Self> {
        REASONS.iter().find(|reason| reason.id == id)
    }

    /// Whether a gateway that reports this code was refused for this reason, or for one below it.
    pub fn admits(&self, code: &str) -> bool {
        self.id == code || Self::of(code).is_some_and(|seen| seen.parent == Some(self.id))
    }
}

/// How a process may end up, as a scenario says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FinalState {
    /// `ready`: a gateway that serves.
    Ready,
    /// `refused`, for whatever reason, or `refused:REASON`.
    Refused(Option<&'static Reason>),
    /// `exited`: it ended by itself or on request, and was not refused.
    Exited,
    /// `killed`: a signal ended it.
    Killed,
    /// `paused`: SIGSTOP holds it.
    Paused,
    /// `running`: a bystander that lives, or a gateway that is neither ready nor gone.
    Running,
    /// `unstarted`: it never began.
    Unstarted,
    /// `restarting`: it has ended, and its supervisor starts it again and again.
    Restarting,
}

impl FinalState {
    /// The words, `refused` without its reason.
    pub const WORDS: [&'static str; 8] =
        ["ready", "refused", "exited", "killed", "paused", "running", "unstarted", "restarting"];

    /// Whether a process that ended up so is as expected.
    pub fn admits(self, fate: &Fate) -> bool {
        match (self, fate) {
            (Self::Refused(None), Fate::Refused { .. })
            | (Self::Ready, Fate::Ready)
            | (Self::Exited, Fate::Exited)
            | (Self::Killed, Fate::Killed)
            | (Self::Paused, Fate::Paused)
            | (Self::Running, Fate::Running)
            | (Self::Unstarted, Fate::Unstarted)
            | (Self::Restarting, Fate::Restarting) => true,
            (Self::Refused(Some(reason)), Fate::Refused { code }) => reason.admits(code),
            (
                Self::Ready
                | Self::Refused(_)
                | Self::Exited
                | Self::Killed
                | Self::Paused
                | Self::Running
                | Self::Unstarted
                | Self::Restarting,
                _,
            ) => false,
        }
    }
}

impl fmt::Display for FinalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Refused(None) => f.write_str("refused"),
            Self::Refused(Some(reason)) => write!(f, "refused:{}", reason.id),
            Self::Exited => f.write_str("exited"),
            Self::Killed => f.write_str("killed"),
            Self::Paused => f.write_str("paused"),
            Self::Running => f.write_str("running"),
            Self::Unstarted => f.write_str("unstarted"),
            Self::Restarting => f.write_str("restarting"),
        }
    }
}

/// How a process did end up, as an executor saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It serves.
    Ready,
    /// It gave up and said so.
    Refused {
        /// The stable code that it reported, for instance `held-ready`.
        code: String,
    },
    /// It ended, and was not refused.
    Exited,
    /// A signal ended it.
    Killed,
    /// SIGSTOP holds it.
    Paused,
    /// It lives and is none of the above.
    Running,
    /// It never began.
    Unstarted,
    /// It has ended, and its supervisor would have started it once more than was explored.
    Restarting,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Refused { code } => write!(f, "refused:{code}"),
            Self::Exited => f.write_str("exited"),
            Self::Killed => f.write_str("killed"),
            Self::Paused => f.write_str("paused"),
            Self::Running => f.write_str("running"),
            Self::Unstarted => f.write_str("unstarted"),
            Self::Restarting => f.write_str("restarting"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_general_reason_admits_those_below_it_and_not_the_reverse() {
        let held = FinalState::Refused(Reason::of("held"));
        let ready = Fate::Refused { code: "held-ready".to_owned() };
        assert!(held.admits(&ready));
        assert!(held.admits(&Fate::Refused { code: "held".to_owned() }));
        assert!(!held.admits(&Fate::Refused { code: "port-range".to_owned() }));
        assert!(
            !FinalState::Refused(Reason::of("held-ready")).admits(&Fate::Refused { code: "held".to_owned() })
        );
        assert!(FinalState::Refused(None).admits(&Fate::Refused { code: "anything".to_owned() }));
        assert!(!FinalState::Exited.admits(&ready));
    }

    #[test]
    fn every_parent_is_a_reason_and_no_code_occurs_twice() {
        for (index, reason) in REASONS.iter().enumerate() {
            assert!(reason.parent.is_none_or(|parent| Reason::of(parent).is_some()), "{reason:?}");
            assert!(!REASONS[..index].iter().any(|earlier| earlier.id == reason.id), "{reason:?}");
        }
    }

    #[test]
    fn every_check_is_found_by_its_id() {
        for check in Check::ALL {
            assert_eq!(Check::of(check.id()), Some(check));
            assert!(check.meaning().ends_with('.'), "{check} has no sentence");
        }
    }
}
