//! The steps of a lock's own protocol in a trace: what the processes that contend do with its files, locks and sockets.
//!
//! This is the grain in which such locks are usually discussed: "both look, both write". The state directory, what a process
//! asks about itself, clocks, memory and closes that let go of nothing are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use harness::checks::Role;
use harness::simulate::Simulation;
use portcullis_os::{Call, Errno, Fd, FileKind, LockMode, Open, Reply};
use sim::kernel::Life;
use sim::{Action, Trace, TraceStep, What, Who};

/// One step of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Move {
    /// Any run of calls that only ask, up to the next step of another kind.
    Look,
    /// The same, after a step of one's own that has succeeded.
    LookBack,
    /// A file that is made, or emptied to be made anew.
    Create,
    /// A file that is opened, and made if it is not there.
    Open,
    Write,
    Unlink,
    Rename,
    Link,
    MakeDirectory,
    RemoveDirectory,
    Lock,
    Unlock,
    /// A close that lets go of a lock.
    Close,
    /// bind(2) and listen(2) together.
    Bind,
    Spawn,
    Signal,
    /// What somebody else does from outside.
    Outside,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Look => "look",
            Self::LookBack => "look-back",
            Self::Create => "create",
            Self::Open => "open",
            Self::Write => "write",
            Self::Unlink => "unlink",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::MakeDirectory => "mkdir",
            Self::RemoveDirectory => "rmdir",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Close => "close",
            Self::Bind => "bind",
            Self::Spawn => "spawn",
            Self::Signal => "signal",
            Self::Outside => "outside",
        })
    }
}

/// What is known of a process along the way.
#[derive(Default)]
struct Past {
    /// Its last step of a protocol.
    last: Option<Move>,
    /// That step has succeeded.
    has_acted: bool,
    /// The descriptors with a flock on their file.
    locked: BTreeSet<Fd>,
    /// It holds byte ranges, which go with any close.
    has_ranges: bool,
}

/// Every step of the protocol that a trace takes, and who takes it, from the start of whoever lives when the contest begins.
pub(crate) fn moves(simulation: &Simulation, trace: &Trace) -> Vec<(String, Move)> {
    let begun = trace.steps.iter().take_while(|step| step.in_setup).last();
    let is_dead = |slot: usize| {
        let process =
            begun.and_then(|step| step.slots[slot].process.map(|process| step.kernel.life(process)));
        matches!(process, Some(Life::Dead(_)))
    };
    let mut pasts: BTreeMap<usize, Past> = BTreeMap::new();
    let mut moves = Vec::new();
    for step in &trace.steps {
        match step.who {
            Who::Slot(slot) if !is_dead(slot) => {
                let taken = pasts.entry(slot).or_default().take(step, &simulation.checks.slots);
                moves.extend(taken.map(|taken| (simulation.setup.slots[slot].name.clone(), taken)));
            }
            Who::Script if !step.in_setup && is_felt(step) => {
                moves.push(("somebody".to_owned(), Move::Outside));
            }
            Who::Slot(_) | Who::Script | Who::Supervisor(_) | Who::Fault(_) | Who::Outage(_) => {}
        }
    }
    moves
}

/// Whether somebody outside does more than start a process or wait.
fn is_felt(step: &TraceStep) -> bool {
    !matches!(step.what, What::Action(Action::Start(_) | Action::Wait(_)))
}

impl Past {
    fn take(&mut self, step: &TraceStep, roles: &[(String, Role)]) -> Option<Move> {
        let What::Call(call, reply) = &step.what else { return None };
        let taken = self.kind(call, reply, roles)?;
        if taken == Move::Look {
            let looks_on = matches!(self.last, Some(Move::Look | Move::LookBack));
            let seen = if self.has_acted { Move::LookBack } else { Move::Look };
            self.has_acted = false;
            self.last = Some(seen);
            return (!looks_on).then_some(seen);
        }
        self.has_acted = reply.is_ok();
        self.last = Some(taken);
        Some(taken)
    }

    fn kind(&mut self, call: &Call, reply: &Result<Reply, Errno>, roles: &[(String, Role)]) -> Option<Move> {
        let changes = [
            (makes_a_file(call), Move::Create),
            (matches!(call, Call::Open { open: Open { create: true, .. }, .. }), Move::Open),
            (looks(call, reply), Move::Look),
            (matches!(call, Call::Write { .. }), Move::Write),
            (matches!(call, Call::Unlink { .. }), Move::Unlink),
            (matches!(call, Call::Rename { .. }), Move::Rename),
            (matches!(call, Call::Link { .. }), Move::Link),
            (matches!(call, Call::MakeDirectory { path, .. } if !is_state(path, roles)), Move::MakeDirectory),
            (matches!(call, Call::RemoveDirectory { .. }), Move::RemoveDirectory),
            (matches!(call, Call::BindTcp { .. }), Move::Bind),
            (matches!(call, Call::Spawn { .. }), Move::Spawn),
            (matches!(call, Call::Kill { signal: Some(_), .. }), Move::Signal),
        ];
        let change = changes.into_iter().find(|(is_it, _)| *is_it).map(|(_, kind)| kind);
        change.or_else(|| self.lock(call, reply))
    }

    fn lock(&mut self, call: &Call, reply: &Result<Reply, Errno>) -> Option<Move> {
        if let Call::Flock { mode: LockMode::Unlock, fd } = call {
            self.locked.remove(fd);
            return Some(Move::Unlock);
        }
        if let Call::LockRange { mode: LockMode::Unlock, .. } = call {
            return Some(Move::Unlock);
        }
        if let Call::Close { fd } = call {
            return (self.locked.remove(fd) || self.has_ranges).then_some(Move::Close);
        }
        if let Call::Flock { fd, .. } = call {
            self.locked.extend(reply.is_ok().then_some(*fd));
            return Some(Move::Lock);
        }
        let is_range = matches!(call, Call::LockRange { .. });
        self.has_ranges |= is_range && reply.is_ok();
        is_range.then_some(Move::Lock)
    }
}

fn makes_a_file(call: &Call) -> bool {
    matches!(call, Call::Open { open: Open { exclusive: true, .. } | Open { truncate: true, .. }, .. })
}

/// Whether a call only asks. What a directory is like is asked for the announcement, not for the lock.
fn looks(call: &Call, reply: &Result<Reply, Errno>) -> bool {
    let is_directory = matches!(reply, Ok(Reply::File(status)) if status.kind == FileKind::Directory);
    let is_stat = matches!(call, Call::Stat { .. } | Call::StatFd { .. }) && !is_directory;
    is_stat
        || matches!(
            call,
            Call::Open { .. }
                | Call::Read { .. }
                | Call::Kill { signal: None, .. }
                | Call::ConnectTcp { .. }
                | Call::TcpSockets { .. }
                | Call::Processes
                | Call::HoldsSocket { .. }
        )
}

/// Whether a path is that of a state directory, which every gateway makes before it comes to its lock.
fn is_state(path: &Path, roles: &[(String, Role)]) -> bool {
    roles.iter().any(|(_, role)| match role {
        Role::Gateway(stake) | Role::Probe(stake) => stake.state == path,
        Role::Bystander | Role::Browser { .. } | Role::Actor | Role::Child => false,
    })
}
