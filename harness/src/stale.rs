//! The stale read behind a failure: which process acts on something that it looked at before another changed it.
//!
//! This is "time of check to time of use" in one sentence, computed from the trace alone.

use std::collections::BTreeMap;

use portcullis_os::{Call, Errno, Fd, Notice, Reply};
use sim::kernel::Effect;
use sim::{Trace, TraceStep, What, Who};

/// A look, a change by somebody else, and an act on what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleRead {
    /// Who looked and acted.
    pub actor: usize,
    /// What was looked at, by name.
    pub object: String,
    /// The step of the look.
    pub looked: usize,
    /// What it showed.
    pub saw: String,
    /// Who changed it.
    pub changer: usize,
    /// The last step in between that changed it.
    pub changed: usize,
    /// The step of the act.
    pub acted: usize,
}

/// What one step does to a named object.
struct Touch {
    slot: usize,
    object: String,
    looks: Option<String>,
    changes: bool,
}

/// Finds the stale read with the latest act: the one that is nearest to the failure.
///
/// Steps are counted as in the lanes: from 1, without the setup.
pub fn find(trace: &Trace) -> Option<StaleRead> {
    let steps: Vec<&TraceStep> = trace.steps.iter().filter(|step| !step.in_setup).collect();
    let touches = touches(trace);
    for acted in (0..steps.len()).rev() {
        let Some(act) = touches[acted].as_ref().filter(|touch| touch.changes) else { continue };
        let of_object = |touch: &&Touch| touch.object == act.object;
        let looked = (0..acted).rev().find(|step| {
            touches[*step]
                .as_ref()
                .filter(of_object)
                .is_some_and(|look| look.slot == act.slot && look.looks.is_some())
        });
        let Some(looked) = looked else { continue };
        let own_change = touches[looked + 1..acted]
            .iter()
            .flatten()
            .any(|touch| touch.object == act.object && touch.slot == act.slot && touch.changes);
        if own_change {
            // It acts on what it has made of the object since, not on what it saw.
            continue;
        }
        let changed = (looked + 1..acted).rev().find(|step| {
            touches[*step]
                .as_ref()
                .filter(of_object)
                .is_some_and(|touch| touch.slot != act.slot && touch.changes)
        });
        let (Some(changed), Some(saw)) =
            (changed, touches[looked].as_ref().and_then(|look| look.looks.clone()))
        else {
            continue;
        };
        let changer = touches[changed].as_ref().map_or(act.slot, |touch| touch.slot);
        let object = act.object.clone();
        return Some(StaleRead {
            actor: act.slot,
            object,
            looked: looked + 1,
            saw,
            changer,
            changed: changed + 1,
            acted: acted + 1,
        });
    }
    None
}

fn touches(trace: &Trace) -> Vec<Option<Touch>> {
    let mut names: BTreeMap<(usize, Fd), String> = BTreeMap::new();
    let mut touches = Vec::new();
    for step in &trace.steps {
        let touch = match (step.who, &step.what) {
            (Who::Slot(slot), What::Call(call, reply)) => {
                if let (Call::Open { path, .. }, Ok(Reply::Fd(fd))) = (call, reply) {
                    names.insert((slot, *fd), last(path));
                }
                touch(slot, call, reply, &step.effects, &names)
            }
            (Who::Slot(_) | Who::Script | Who::Supervisor(_) | Who::Fault(_) | Who::Outage(_), _) => None,
        };
        if !step.in_setup {
            touches.push(touch);
        }
    }
    touches
}

fn touch(
    slot: usize,
    call: &Call,
    reply: &Result<Reply, Errno>,
    effects: &[Effect],
    names: &BTreeMap<(usize, Fd), String>,
) -> Option<Touch> {
    let of_fd = |fd: &Fd| names.get(&(slot, *fd)).cloned();
    let changes = effects.iter().any(|effect| match effect {
        Effect::Created { .. }
        | Effect::Changed { .. }
        | Effect::Unlinked { .. }
        | Effect::Linked { .. }
        | Effect::Renamed { .. } => true,
        Effect::Notified { notice, .. } => matches!(notice, Notice::Released),
        Effect::Signalled { .. } | Effect::Locked { .. } | Effect::Spawned { .. } | Effect::Died { .. } => {
            false
        }
    });
    let (object, looks) = if let Call::Open { path, .. } = call {
        (last(path), reply.as_ref().err().map(|errno| errno.name()))
    } else if let Call::Unlink { path, .. } | Call::Stat { path, .. } | Call::Rename { to: path, .. } = call {
        (last(path), None)
    } else if let Call::Read { fd, .. } = call {
        (of_fd(fd)?, reply.as_ref().ok().map(ToString::to_string))
    } else if let Call::Write { fd, .. } | Call::Truncate { fd, .. } = call {
        (of_fd(fd)?, None)
    } else {
        return None;
    };
    Some(Touch { slot, object, looks, changes })
}

fn last(path: &std::path::Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
