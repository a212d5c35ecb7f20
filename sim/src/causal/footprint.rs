//! What a step is called, whatever the numbers in it, and what it shares with the steps of others.
//!
//! Descriptors go by the name under which they were opened and pids by the process that has them, so that a call keeps its
//! name when others are put before it.

use std::collections::BTreeMap;

use portcullis_os::{Call, Errno, Fd, Notice, Reply};

use crate::kernel::Effect;
use crate::script::Action;
use crate::world::{Setup, View};

/// A step without its numbers: what it does, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) kind: String,
    pub(super) object: String,
}

/// What each descriptor of each slot was opened as.
pub(super) type Descriptors = BTreeMap<(usize, Fd), String>;

/// What is called so by everybody: who owns.
pub(super) const OWNERS: &str = "owners";

/// The name of a call of a slot.
pub(super) fn named(
    call: &Call,
    slot: usize,
    descriptors: &Descriptors,
    setup: &Setup,
    view: &View<'_>,
) -> Named {
    let kind = format!("{call:?}");
    let kind = kind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let of = |fd: &Fd| descriptors.get(&(slot, *fd)).cloned().unwrap_or_default();
    let process = |pid| {
        let known = view.kernel.process_of(pid).and_then(|process| view.slot_of(process));
        known.map_or_else(|| "nobody".to_owned(), |slot| setup.slots[slot].name.clone())
    };
    let object = if let Call::Open { path, .. }
    | Call::Stat { path, .. }
    | Call::Unlink { path, .. }
    | Call::MakeDirectory { path, .. }
    | Call::RemoveDirectory { path, .. }
    | Call::Symlink { path, .. }
    | Call::ReadLink { path, .. }
    | Call::Rename { to: path, .. }
    | Call::Link { to: path, .. } = call
    {
        path.display().to_string()
    } else if let Call::Close { fd }
    | Call::Read { fd, .. }
    | Call::Write { fd, .. }
    | Call::Truncate { fd, .. }
    | Call::Sync { fd }
    | Call::StatFd { fd }
    | Call::FileSystem { fd }
    | Call::ReadDirectory { fd }
    | Call::SetMode { fd, .. }
    | Call::SetModified { fd, .. }
    | Call::Flock { fd, .. }
    | Call::LockRange { fd, .. }
    | Call::RangeHolder { fd, .. }
    | Call::Duplicate { fd }
    | Call::Listen { fd, .. } = call
    {
        of(fd)
    } else if let Call::Kill { pid, .. } | Call::ProcessStatus { pid } | Call::ProcessCommand { pid } = call {
        process(*pid)
    } else if let Call::BindTcp { address, .. } | Call::ConnectTcp { address, .. } = call {
        address.to_string()
    } else if let Call::ListenUnix { name, .. } | Call::ConnectUnix { name } = call {
        format!("{name:?}")
    } else if let Call::Notify(notice) = call {
        match notice {
            Notice::Owner(_) => "owner".to_owned(),
            Notice::Ready => "ready".to_owned(),
            Notice::Refused { code, .. } => code.clone(),
            Notice::Noted(_) => "note".to_owned(),
            Notice::Released => "released".to_owned(),
        }
    } else {
        String::new()
    };
    // Names are the words of a line.
    let clean = |c: char| if c.is_control() || c == ' ' { '_' } else { c };
    Named { kind, object: object.chars().map(clean).collect() }
}

/// Notes what a call has opened.
pub(super) fn note(
    descriptors: &mut Descriptors,
    slot: usize,
    call: &Call,
    name: &Named,
    reply: &Result<Reply, Errno>,
) {
    if let Ok(Reply::Fd(fd)) = reply {
        descriptors.insert((slot, *fd), name.object.clone());
    }
    if let (Call::Close { fd }, Ok(_)) = (call, reply) {
        descriptors.remove(&(slot, *fd));
    }
}

/// `ok`, or which error it was.
pub(super) fn answer(reply: &Result<Reply, Errno>) -> String {
    match reply {
        Ok(_) => "ok".to_owned(),
        Err(errno) => errno.name().to_owned(),
    }
}

/// Whether a call has changed what it is about, so that whoever looks at it later could notice.
pub(super) fn has_changed(call: &Call, reply: &Result<Reply, Errno>, effects: &[Effect]) -> bool {
    // Locks, ports and names of sockets are no news to a checker, but they are to others.
    let takes = matches!(
        call,
        Call::Flock { .. }
            | Call::LockRange { .. }
            | Call::BindTcp { .. }
            | Call::ListenUnix { .. }
            | Call::Listen { .. }
    );
    reply.is_ok() && (takes || !effects.is_empty())
}

/// The name of what a script does.
pub(super) fn acted(action: &Action, setup: &Setup) -> Named {
    let name = |slot: &usize| setup.slots[*slot].name.clone();
    let (kind, object) = match action {
        Action::Start(slot) => ("Start", name(slot)),
        Action::Order(slot, order) => return Named { kind: format!("Order{order:?}"), object: name(slot) },
        Action::Signal(slot, signal) => {
            return Named { kind: format!("Signal{signal:?}"), object: name(slot) };
        }
        Action::Recycle { heir, .. } => ("Recycle", name(heir)),
        Action::Open { slot, .. } => ("Open", name(slot)),
        Action::Remove(paths) => {
            ("Remove", paths.first().map(|path| path.display().to_string()).unwrap_or_default())
        }
        Action::Operate(operation) => ("Operate", operation.to_string()),
        Action::Wait(_) => ("Wait", String::new()),
    };
    let clean = |c: char| if c.is_control() || c == ' ' { '_' } else { c };
    Named { kind: kind.to_owned(), object: object.chars().map(clean).collect() }
}
