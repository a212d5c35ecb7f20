//! Whether two processes of a sequence compete for one lock, one name or one port.

use std::collections::BTreeMap;

use portcullis_os::{Call, LockMode, Reply, UnixName};

use crate::outcome::Outcome;
use crate::pair::Course;
use crate::sequence::Who;

/// What two processes can compete for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Prize {
    /// A lock on this file, by the path under which it was opened.
    Lock(String),
    /// A name of a file that is made, moved or removed.
    Name(String),
    Port(u16),
    Socket(String),
}

/// Whether two processes try to get the same thing.
pub fn contends(course: &Course) -> bool {
    let mut opened: BTreeMap<(Who, i32), String> = BTreeMap::new();
    let mut wanted: BTreeMap<Prize, Who> = BTreeMap::new();
    for line in &course.lines {
        let Some(call) = &line.call else { continue };
        let who = line.step.who;
        if let (Call::Open { path, .. }, Some(Outcome::Reply(Ok(Reply::Fd(fd))))) = (call, &line.simulated) {
            opened.insert((who, fd.0), path.display().to_string());
        }
        for prize in prizes(call, who, &opened) {
            match wanted.get(&prize) {
                Some(other) if *other != who => return true,
                Some(_) => {}
                None => {
                    wanted.insert(prize, who);
                }
            }
        }
    }
    false
}

fn prizes(call: &Call, who: Who, opened: &BTreeMap<(Who, i32), String>) -> Vec<Prize> {
    let name = |path: &std::path::Path| Prize::Name(path.display().to_string());
    match call {
        Call::Flock { fd, mode } | Call::LockRange { fd, mode, .. } if *mode != LockMode::Unlock => {
            opened.get(&(who, fd.0)).cloned().map(Prize::Lock).into_iter().collect()
        }
        Call::Open { path, open, .. } if open.create => vec![name(path)],
        Call::MakeDirectory { path, .. }
        | Call::Unlink { path, .. }
        | Call::RemoveDirectory { path, .. }
        | Call::Symlink { path, .. } => vec![name(path)],
        Call::Rename { from, to, .. } => vec![name(from), name(to)],
        Call::Link { to, .. } => vec![name(to)],
        Call::BindTcp { address, .. } if address.port() != 0 => vec![Prize::Port(address.port())],
        Call::ListenUnix { name: UnixName::Abstract(name), .. } => vec![Prize::Socket(name.clone())],
        Call::ListenUnix { name: UnixName::Path(path), .. } => vec![name(path)],
        _ => Vec::new(),
    }
}
