//! Steps and answers in full, as far as they can differ: what a report shows.

use std::fmt::Write;

use portcullis_os::{BindOptions, ByteRange, Call, FileStatus, LockMode, Open, RangeOwner, Reply, TcpRow};

use crate::outcome::Outcome;
use crate::pair::Line;

/// What a line did.
pub fn step(line: &Line) -> String {
    line.call.as_ref().map_or_else(|| line.step.op.to_string(), call)
}

/// How a call ended, or that nothing was asked.
pub fn outcome(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => String::new(),
        Some(Outcome::Reply(Ok(answer))) => reply(answer),
        Some(outcome @ (Outcome::Reply(Err(_)) | Outcome::Waits)) => outcome.to_string(),
    }
}

/// A call with everything that decides its answer.
pub fn call(call: &Call) -> String {
    let start = |at: &Option<portcullis_os::Fd>| at.map_or(String::new(), |fd| format!("{fd}:"));
    match call {
        Call::Open { at, path, open } => format!("open {}{} {}", start(at), path.display(), flags(*open)),
        Call::Stat { at, path, links } => format!("stat {}{} {links:?}", start(at), path.display()),
        Call::MakeDirectory { at, path, mode } => format!("mkdir {}{} {mode:04o}", start(at), path.display()),
        Call::Unlink { at, path } => format!("unlink {}{}", start(at), path.display()),
        Call::RemoveDirectory { at, path } => format!("rmdir {}{}", start(at), path.display()),
        Call::ReadLink { at, path } => format!("readlink {}{}", start(at), path.display()),
        Call::Symlink { target, at, path } => {
            format!("symlink {}{} -> {}", start(at), path.display(), target.display())
        }
        Call::Rename { from_at, from, to_at, to, replace } => {
            let how = if *replace { "" } else { " noreplace" };
            format!("rename {}{} {}{}{how}", start(from_at), from.display(), start(to_at), to.display())
        }
        Call::Link { from_at, from, to_at, to } => {
            format!("link {}{} {}{}", start(from_at), from.display(), start(to_at), to.display())
        }
        Call::Read { fd, offset, length } => format!("read {length} at {offset} of {fd}"),
        Call::Write { fd, offset, bytes } => format!("write {} at {offset} of {fd}", bytes.len()),
        Call::SetModified { fd, modified_ns } => format!("touch {fd} {modified_ns}"),
        Call::LockRange { fd, owner, mode, range } => format!("lock {fd} {}", ranged(*owner, *mode, *range)),
        Call::RangeHolder { fd, owner, mode, range } => {
            format!("who locks {fd} {}", ranged(*owner, *mode, *range))
        }
        Call::BindTcp { address, options } => format!("bind {address}{}", how(*options)),
        Call::ConnectTcp { address, from: Some(from), .. } => format!("connect {address} from {from}"),
        Call::ListenUnix { name, backlog } => format!("listen {name} backlog {backlog}"),
        Call::Listen { fd, backlog } => format!("listen {fd} backlog {backlog}"),
        Call::Accept { fds } => format!("accept {fds:?}"),
        Call::Send { fd, bytes } => format!("send {} to {fd}", bytes.len()),
        Call::Receive { fd, length, .. } => format!("receive {length} from {fd}"),
        Call::HoldsLock { pid, file } => format!("does pid {pid} lock {file}?"),
        Call::LockTakers { file } => format!("who took {file}?"),
        Call::Kill { pid, signal: None } => format!("kill {pid} 0"),
        other => other.to_string(),
    }
}

fn flags(open: Open) -> String {
    let named = [
        ("write", open.write),
        ("append", open.append),
        ("create", open.create),
        ("excl", open.exclusive),
        ("trunc", open.truncate),
        ("dir", open.directory),
        ("nofollow", open.no_follow),
    ];
    let mut text = if open.create { format!("{:04o}", open.mode) } else { "read".to_owned() };
    for (name, is_set) in named {
        if is_set {
            // Writing to a string does not fail.
            let _ = write!(text, " {name}");
        }
    }
    text
}

fn ranged(owner: RangeOwner, mode: LockMode, range: ByteRange) -> String {
    let owner = match owner {
        RangeOwner::Process => "posix",
        RangeOwner::Description => "ofd",
    };
    format!("{}+{} {mode:?} {owner}", range.start, range.length)
}

fn how(options: BindOptions) -> String {
    let named = [
        ("reuseaddr", options.reuse_address),
        ("reuseport", options.reuse_port),
        ("v6only", options.v6_only),
    ];
    named.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| format!(" {name}")).collect()
}

fn reply(reply: &Reply) -> String {
    if let Reply::File(status) = reply {
        let FileStatus { id, kind, mode, uid, links, size, modified_ns } = status;
        return format!("{kind:?} {id} {mode:04o} uid {uid} links {links} size {size} mtime {modified_ns}");
    }
    if let Reply::Process(status) = reply {
        return format!(
            "{} {:?} parent {:?} start {}",
            status.name, status.state, status.parent, status.start
        );
    }
    if let Reply::Tcp(rows) = reply {
        let row =
            |row: &TcpRow| format!("{} {:?} uid {} socket {}", row.local, row.state, row.uid, row.socket);
        return format!("[{}]", rows.iter().map(row).collect::<Vec<_>>().join(", "));
    }
    if let Reply::Names(names) = reply {
        return format!("{names:?}");
    }
    if let Reply::Range(Some(holder)) = reply {
        let owner = holder.pid.map_or("somebody".to_owned(), |pid| format!("pid {pid}"));
        return format!("{owner} {:?} {}+{}", holder.mode, holder.range.start, holder.range.length);
    }
    if let Reply::Peer(peer) = reply {
        return format!("pid {:?} uid {}", peer.pid.map(portcullis_os::Pid::get), peer.uid);
    }
    if let Reply::Pids(p) = reply {
        return format!("{p:?}");
    }
    reply.to_string()
}
