//! Reads the steps that are done to a machine and not to a process: what operators, clocks and disks do.

use std::fmt;

use super::diagnostics::Diagnostics;
use super::fields::{Bounds, Field, integer, text, word};
use super::model::{Action, Disk, Operation};
use super::names::Names;
use super::problem::Problem;

/// The host that every gateway runs on that names no other.
pub(super) const LOCAL_HOST: &str = "local";

pub(super) const MODES: Bounds =
    Bounds { least: 0, most: 0o7777, why: "permission bits are written in octal, for instance `0o755`" };
const YEAR_MS: i64 = 366 * 86_400_000;
pub(super) const STEPS: Bounds =
    Bounds { least: -YEAR_MS, most: YEAR_MS, why: "a step is in milliseconds, up to a year either way" };
pub(super) const SPANS: Bounds =
    Bounds { least: 1, most: YEAR_MS, why: "times are in milliseconds, up to a year" };

pub(super) const MOVES: [(&str, bool); 2] = [("away", true), ("back", false)];
pub(super) const CHMODS: [(&str, ()); 1] = [("state-directory", ())];
pub(super) const LOSSES: [(&str, ()); 1] = [("locks", ())];
pub(super) const DISKS: [(&str, Disk); 5] = [
    ("healthy", Disk::Healthy),
    ("full", Disk::Full),
    ("without-inodes", Disk::WithoutInodes),
    ("read-only", Disk::ReadOnly),
    ("broken", Disk::Broken),
];

pub(super) const TAMPERS: [(&str, ()); 1] = [("lock-file", ())];
pub(super) const CONTENTS: [(&str, Contents); 4] = [
    ("empty", Contents::Empty),
    ("garbage", Contents::Garbage),
    ("half", Contents::Half),
    ("pid", Contents::Pid),
];

/// What a lock file holds after somebody has tampered with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tampering {
    /// Nothing.
    Empty,
    /// Bytes that are no text.
    Garbage,
    /// The first half of what it held.
    Half,
    /// The pid that this process has or had.
    PidOf(String),
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing"),
            Self::Garbage => f.write_str("garbage"),
            Self::Half => f.write_str("the first half of it"),
            Self::PidOf(name) => write!(f, "the pid of {name}"),
        }
    }
}

/// What a file is overwritten with, apart from whose pid it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    Empty,
    Garbage,
    Half,
    Pid,
}

impl Action {
    /// What is done to the machine, if it is that and nothing to a process or a lock file.
    pub const fn operation(&self) -> Option<&Operation> {
        match self {
            Self::Operate(operation) => Some(operation),
            Self::Start(_)
            | Self::Stop(_)
            | Self::Kill(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Restart(_)
            | Self::Write(_)
            | Self::OpenBrowsers(_)
            | Self::Order(..)
            | Self::Recycle { .. }
            | Self::RemoveLockFile { .. }
            | Self::Wait(_) => None,
        }
    }
}

/// The modifiers of a step, each of which belongs to some verbs.
#[derive(Clone, Copy, Default)]
pub(super) struct Modifiers<'t> {
    pub(super) state: Option<Field<'t>>,
    pub(super) mode: Option<Field<'t>>,
    pub(super) host: Option<Field<'t>>,
    pub(super) with: Option<Field<'t>>,
    pub(super) of: Option<Field<'t>>,
}

/// What such a step does, apart from whom it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Tamper,
    Move,
    Chmod,
    Disk,
    Lose,
    Clock,
    Suspend,
    Pass,
    Reboot,
}

/// Reads one such step.
pub(super) fn operation(
    work: Work,
    verb: Field<'_>,
    modifiers: Modifiers<'_>,
    names: &Names,
    diagnostics: &mut Diagnostics,
) -> Option<Operation> {
    match work {
        Work::Tamper => {
            word("`tamper`", verb.value, &TAMPERS, diagnostics);
            let state = state(verb, modifiers.state, names, diagnostics);
            let with = tampering(verb, modifiers, names, diagnostics);
            let (state, with) = state.zip(with)?;
            Some(Operation::Tamper { state, with })
        }
        Work::Move => {
            let away = word("`move`", verb.value, &MOVES, diagnostics);
            let state = state(verb, modifiers.state, names, diagnostics)?;
            Some(if away? { Operation::MoveAway { state } } else { Operation::MoveBack { state } })
        }
        Work::Chmod => {
            word("`chmod`", verb.value, &CHMODS, diagnostics)?;
            let state = state(verb, modifiers.state, names, diagnostics);
            let Some(mode) = modifiers.mode else {
                diagnostics.add_if_whole(
                    Problem::new("`chmod` does not say which mode", verb.key.span())
                        .label("`mode` is missing")
                        .help("add it, for instance `mode = 0o755`"),
                );
                return None;
            };
            let mode = integer("`mode`", mode.value, MODES, diagnostics);
            let (state, mode) = state.zip(mode)?;
            Some(Operation::SetMode { state, mode })
        }
        Work::Disk => {
            let disk = word("`disk`", verb.value, &DISKS, diagnostics);
            let state = mounted(verb, modifiers.state, names, diagnostics);
            let (state, disk) = state.zip(disk)?;
            Some(Operation::Disk { state, disk })
        }
        Work::Lose => {
            word("`lose`", verb.value, &LOSSES, diagnostics)?;
            mounted(verb, modifiers.state, names, diagnostics).map(|state| Operation::LoseLocks { state })
        }
        Work::Clock => {
            let by_ms = integer("`step_clock_ms`", verb.value, STEPS, diagnostics);
            let host = host(modifiers.host, names, diagnostics);
            let (by_ms, host) = by_ms.zip(host)?;
            Some(Operation::StepClock { host, by_ms })
        }
        Work::Suspend => {
            let for_ms = integer("`suspend_ms`", verb.value, SPANS, diagnostics);
            let host = host(modifiers.host, names, diagnostics);
            let (for_ms, host) = for_ms.zip(host)?;
            Some(Operation::Suspend { host, for_ms })
        }
        Work::Pass => integer("`pass_ms`", verb.value, SPANS, diagnostics).map(Operation::Pass),
        Work::Reboot => {
            let label = text("`reboot`", verb.value, diagnostics)?;
            let host = names.resolve_host(label, verb.value.span(), diagnostics)?;
            Some(Operation::Reboot { host })
        }
    }
}

/// What the lock files are overwritten with.
fn tampering(
    verb: Field<'_>,
    modifiers: Modifiers<'_>,
    names: &Names,
    diagnostics: &mut Diagnostics,
) -> Option<Tampering> {
    let Some(with) = modifiers.with else {
        diagnostics.add_if_whole(
            Problem::new("`tamper` does not say with what", verb.key.span())
                .label("`with` is missing")
                .help("add it, for instance `with = \"empty\"`"),
        );
        return None;
    };
    let with_what = word("`with`", with.value, &CONTENTS, diagnostics)?;
    match (with_what, modifiers.of) {
        (Contents::Pid, None) => {
            diagnostics.add_if_whole(
                Problem::new("`tamper` does not say whose pid", with.key.span())
                    .label("`of` is missing")
                    .help("name a process, for instance `with = \"pid\", of = \"cron\"`"),
            );
            None
        }
        (Contents::Pid, Some(of)) => {
            let name = text("`of`", of.value, diagnostics)?;
            let who = names.resolve(name, of.value.span(), diagnostics)?;
            Some(Tampering::PidOf(who.name.clone()))
        }
        (Contents::Empty | Contents::Garbage | Contents::Half, Some(of)) => {
            diagnostics.add(
                Problem::new("`of` belongs to `with = \"pid\"`", of.key.span())
                    .label("means nothing here")
                    .help("leave it out"),
            );
            None
        }
        (Contents::Empty, None) => Some(Tampering::Empty),
        (Contents::Garbage, None) => Some(Tampering::Garbage),
        (Contents::Half, None) => Some(Tampering::Half),
    }
}

/// The state directory that a step is about.
pub(super) fn state(
    verb: Field<'_>,
    state: Option<Field<'_>>,
    names: &Names,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let Some(state) = state else {
        let name = verb.name();
        diagnostics.add_if_whole(
            Problem::new(format!("`{name}` does not say of which state directory"), verb.key.span())
                .label("`state` is missing")
                .help("name the label, for instance `state = \"S\"`"),
        );
        return None;
    };
    let label = text("`state`", state.value, diagnostics)?;
    names.resolve_state(label, state.value.span(), diagnostics)
}

/// The state directory that a step is about, which lies on a mount of its own: nobody else's disk is touched.
fn mounted(
    verb: Field<'_>,
    of: Option<Field<'_>>,
    names: &Names,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let label = state(verb, of, names, diagnostics)?;
    if !names.is_mounted(&label) {
        let at = of.map_or(verb.key.span(), |of| of.value.span());
        diagnostics.add_if_whole(
            Problem::new(format!("`{label}` lies on no mount of its own"), at)
                .label("every other file would be meant as well")
                .help(format!("declare one: `[mount.{label}]`")),
        );
        return None;
    }
    Some(label)
}

/// The host that a step is about.
fn host(field: Option<Field<'_>>, names: &Names, diagnostics: &mut Diagnostics) -> Option<String> {
    let Some(field) = field else { return Some(LOCAL_HOST.to_owned()) };
    let label = text("`host`", field.value, diagnostics)?;
    names.resolve_host(label, field.value.span(), diagnostics)
}
