//! What an executor can do, by name, so that a run can demand it instead of finding cases unsupported.

use std::fmt;

use super::model::{Feature, Target};

/// Something that not every machine or not every target can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// `namespaces`: each case has a machine for itself.
    Namespaces,
    /// `recycle`: a pid can be given out again on purpose.
    Recycle,
    /// `disk`: a disk can be filled.
    Disk,
    /// `restart`: a gateway can be asked to begin anew in place.
    Restart,
    /// `config`: a configuration outside of the state directory.
    Config,
    /// `workspace`: a directory for the agents of a gateway.
    Workspace,
    /// `holder`: refusals name the process in the way.
    Holder,
    /// `lock-files`: the files that keep others out are known.
    LockFiles,
    /// `write`: a gateway can be asked for a write.
    Write,
    /// `events`: what becomes of a gateway is told when it comes.
    Events,
}

impl Capability {
    /// Every one of them, with its name.
    pub const ALL: [(&'static str, Self); 10] = [
        ("namespaces", Self::Namespaces),
        ("recycle", Self::Recycle),
        ("disk", Self::Disk),
        ("restart", Self::Restart),
        ("config", Self::Config),
        ("workspace", Self::Workspace),
        ("holder", Self::Holder),
        ("lock-files", Self::LockFiles),
        ("write", Self::Write),
        ("events", Self::Events),
    ];

    /// Whether it depends on the machine and on no target.
    pub const fn is_of_machine(self) -> bool {
        matches!(self, Self::Namespaces | Self::Recycle | Self::Disk)
    }

    /// What a target must say to have it; `None` if it has it.
    pub fn missing_in(self, target: &Target) -> Option<&'static str> {
        let names_holder = || {
            target.tells_events() || target.refusals.iter().any(|refusal| target.can_name(&refusal.reason))
        };
        let (has, remedy) = match self {
            Self::Namespaces | Self::Recycle | Self::Disk => (true, ""),
            Self::Restart => (target.restart.is_some(), "`[restart] signal`"),
            Self::Config => {
                (target.has(Feature::Config), "`[options.config]`, or `{config}` where it is started")
            }
            Self::Workspace => (
                target.has(Feature::Workspace),
                "`[options.workspace]`, or `{workspace}` where it is started",
            ),
            Self::Holder => (names_holder(), "a group `(?<pid>…)` in a pattern of a `[[refusal]]`"),
            Self::Write => (target.write.is_some(), "`[write] signal`"),
            Self::Events => (
                target.tells_events() || !target.log.events.is_empty(),
                "an `[[event]]` for each line that tells one",
            ),
            Self::LockFiles => (!target.locks.files.is_empty(), "`[lock] files`"),
        };
        (!has).then_some(remedy)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(_, capability)| capability == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}
