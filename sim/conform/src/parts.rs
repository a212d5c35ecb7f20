//! The parts of calls, one by one: what a call is called, and everything in it that can mean different things on two
//! machines.
//!
//! Both lists name every call, so that a new one cannot be forgotten here.

use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_os::{Call, Fd, FileId, Leads, Pid, Port, UnixName, Watched};

/// A part of a call that need not be the same on two machines.
pub(crate) enum Part<'a> {
    Fd(&'a mut Fd),
    Pid(&'a mut Pid),
    File(&'a mut FileId),
    Socket(&'a mut u64),
    Path(&'a mut PathBuf),
    Name(&'a mut String),
    Address(&'a mut SocketAddr),
    Port(&'a mut Port),
    Command(&'a mut Vec<String>),
}

/// Hands every such part of a call to `each`, until one of them is refused. Whether none was.
#[expect(clippy::too_many_lines, reason = "one line a call")]
pub(crate) fn visit(call: &mut Call, each: &mut dyn FnMut(Part<'_>) -> bool) -> bool {
    match call {
        Call::Open { at, path, .. }
        | Call::Stat { at, path, .. }
        | Call::MakeDirectory { at, path, .. }
        | Call::Symlink { at, path, .. }
        | Call::ReadLink { at, path }
        | Call::RemoveDirectory { at, path }
        | Call::Unlink { at, path } => start(at, each) && each(Part::Path(path)),
        Call::Rename { from_at, from, to_at, to, .. } | Call::Link { from_at, from, to_at, to } => {
            start(from_at, each) && start(to_at, each) && each(Part::Path(from)) && each(Part::Path(to))
        }
        Call::Close { fd }
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
        | Call::SetInherit { fd, .. }
        | Call::SignalPidfd { fd, .. }
        | Call::WaitPidfd { fd, .. }
        | Call::LocalAddress { fd }
        | Call::Listen { fd, .. }
        | Call::PeerCredentials { fd }
        | Call::Send { fd, .. }
        | Call::Receive { fd, .. }
        | Call::ReceiveFd { socket: fd, .. } => each(Part::Fd(fd)),
        Call::SendFd { socket, fd } => each(Part::Fd(socket)) && each(Part::Fd(fd)),
        Call::Accept { fds } => fds.iter_mut().all(|fd| each(Part::Fd(fd))),
        Call::Watch { places, .. } => places.iter_mut().all(|place| watched(place, each)),
        Call::Reap { pid }
        | Call::OpenPidfd { pid }
        | Call::Kill { pid, .. }
        | Call::ProcessStatus { pid }
        | Call::ProcessCommand { pid } => each(Part::Pid(pid)),
        Call::HoldsLock { pid, file } => each(Part::Pid(pid)) && each(Part::File(file)),
        Call::HoldsSocket { pid, socket } => each(Part::Pid(pid)) && each(Part::Socket(socket)),
        Call::LockTakers { file } => each(Part::File(file)),
        Call::Spawn { command } => each(Part::Command(command)),
        Call::TcpSockets { port } => each(Part::Port(port)),
        Call::TcpListeners { first, last } => each(Part::Port(first)) && each(Part::Port(last)),
        Call::BindTcp { address, .. } => each(Part::Address(address)),
        Call::ConnectTcp { address, from, .. } => {
            each(Part::Address(address)) && from.as_mut().is_none_or(|from| each(Part::Address(from)))
        }
        Call::ListenUnix { name, .. } | Call::ConnectUnix { name } => match name {
            UnixName::Abstract(name) => each(Part::Name(name)),
            UnixName::Path(path) => each(Part::Path(path)),
        },
        Call::SetUmask { .. }
        | Call::OwnPid
        | Call::OwnUid
        | Call::OwnNamespaces
        | Call::CatchSignals
        | Call::NextSignal
        | Call::Processes
        | Call::ReadClock { .. }
        | Call::Sleep { .. }
        | Call::Random
        | Call::BootId
        | Call::Load { .. }
        | Call::Store { .. }
        | Call::Notify(_) => true,
    }
}

fn start(at: &mut Option<Fd>, each: &mut dyn FnMut(Part<'_>) -> bool) -> bool {
    at.as_mut().is_none_or(|fd| each(Part::Fd(fd)))
}

fn watched(place: &mut Watched, each: &mut dyn FnMut(Part<'_>) -> bool) -> bool {
    start(&mut place.at, each)
        && each(Part::Path(&mut place.path))
        && match &mut place.leads {
            Leads::To(file) => each(Part::File(file)),
            Leads::Nowhere | Leads::Somewhere => true,
        }
}

/// What a call is called in the table of what was seen.
pub(crate) const fn name(call: &Call) -> &'static str {
    match call {
        Call::Open { .. } => "Open",
        Call::Close { .. } => "Close",
        Call::Read { .. } => "Read",
        Call::Write { .. } => "Write",
        Call::Truncate { .. } => "Truncate",
        Call::Sync { .. } => "Sync",
        Call::Stat { .. } => "Stat",
        Call::StatFd { .. } => "StatFd",
        Call::FileSystem { .. } => "FileSystem",
        Call::MakeDirectory { .. } => "MakeDirectory",
        Call::Rename { .. } => "Rename",
        Call::Link { .. } => "Link",
        Call::Symlink { .. } => "Symlink",
        Call::ReadLink { .. } => "ReadLink",
        Call::RemoveDirectory { .. } => "RemoveDirectory",
        Call::ReadDirectory { .. } => "ReadDirectory",
        Call::SetMode { .. } => "SetMode",
        Call::SetModified { .. } => "SetModified",
        Call::SetUmask { .. } => "SetUmask",
        Call::Unlink { .. } => "Unlink",
        Call::Flock { .. } => "Flock",
        Call::LockRange { .. } => "LockRange",
        Call::RangeHolder { .. } => "RangeHolder",
        Call::Duplicate { .. } => "Duplicate",
        Call::SetInherit { .. } => "SetInherit",
        Call::SendFd { .. } => "SendFd",
        Call::ReceiveFd { .. } => "ReceiveFd",
        Call::OwnPid => "OwnPid",
        Call::OwnUid => "OwnUid",
        Call::OwnNamespaces => "OwnNamespaces",
        Call::Spawn { .. } => "Spawn",
        Call::Reap { .. } => "Reap",
        Call::OpenPidfd { .. } => "OpenPidfd",
        Call::SignalPidfd { .. } => "SignalPidfd",
        Call::WaitPidfd { .. } => "WaitPidfd",
        Call::Kill { .. } => "Kill",
        Call::CatchSignals => "CatchSignals",
        Call::NextSignal => "NextSignal",
        Call::Watch { .. } => "Watch",
        Call::Processes => "Processes",
        Call::ProcessStatus { .. } => "ProcessStatus",
        Call::ProcessCommand { .. } => "ProcessCommand",
        Call::HoldsLock { .. } => "HoldsLock",
        Call::HoldsSocket { .. } => "HoldsSocket",
        Call::LockTakers { .. } => "LockTakers",
        Call::TcpSockets { .. } => "TcpSockets",
        Call::TcpListeners { .. } => "TcpListeners",
        Call::BindTcp { .. } => "BindTcp",
        Call::ConnectTcp { .. } => "ConnectTcp",
        Call::LocalAddress { .. } => "LocalAddress",
        Call::ListenUnix { .. } => "ListenUnix",
        Call::Listen { .. } => "Listen",
        Call::Accept { .. } => "Accept",
        Call::ConnectUnix { .. } => "ConnectUnix",
        Call::PeerCredentials { .. } => "PeerCredentials",
        Call::Send { .. } => "Send",
        Call::Receive { .. } => "Receive",
        Call::ReadClock { .. } => "ReadClock",
        Call::Sleep { .. } => "Sleep",
        Call::Random => "Random",
        Call::BootId => "BootId",
        Call::Load { .. } => "Load",
        Call::Store { .. } => "Store",
        Call::Notify(_) => "Notify",
    }
}
