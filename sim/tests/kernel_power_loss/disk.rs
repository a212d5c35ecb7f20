//! A machine with one disk, calls on it by short names, and what may be found there after a loss of power.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use portcullis_os::{Call, Fd, Open};
use sim::Kernel;
use sim::kernel::{HostId, Persistence, ProcessId};

use crate::kernel_machine::{ask, machine, open, start};

pub(crate) const LOCK: &str = "/state/lock";
pub(crate) const TMP: &str = "/state/tmp";
pub(crate) const HOST: HostId = HostId(0);

/// The models that keep books.
pub(crate) const MODELS: [Persistence; 3] = [Persistence::Posix, Persistence::Ordered, Persistence::Ext4];

/// The first descriptor that a process gets.
pub(crate) const FILE: Fd = Fd(3);

pub(crate) fn path(path: &str) -> PathBuf {
    PathBuf::from(path)
}

pub(crate) fn create(name: &str) -> Call {
    open(name, Open::create_exclusive())
}

pub(crate) fn write(offset: u64, text: &str) -> Call {
    Call::Write { fd: FILE, offset, bytes: text.as_bytes().to_vec() }
}

pub(crate) const fn sync() -> Call {
    Call::Sync { fd: FILE }
}

pub(crate) const fn close() -> Call {
    Call::Close { fd: FILE }
}

pub(crate) fn unlink(name: &str) -> Call {
    Call::Unlink { at: None, path: path(name) }
}

pub(crate) fn rename(from: &str, to: &str) -> Call {
    Call::Rename { from_at: None, from: path(from), to_at: None, to: path(to), replace: true }
}

pub(crate) fn link(from: &str, to: &str) -> Call {
    Call::Link { from_at: None, from: path(from), to_at: None, to: path(to) }
}

pub(crate) fn mkdir(name: &str) -> Call {
    Call::MakeDirectory { at: None, path: path(name), mode: 0o700 }
}

/// Opens a file that exists.
pub(crate) fn rewrite(name: &str) -> Call {
    open(name, Open { write: true, ..Open::read() })
}

/// Opens a directory, syncs it and closes it.
pub(crate) fn sync_directory(name: &str) -> Vec<Call> {
    vec![open(name, Open::directory()), sync(), close()]
}

/// Creates a file with these bytes.
pub(crate) fn make(name: &str, text: &str) -> Vec<Call> {
    vec![create(name), write(0, text), close()]
}

/// The same, with its bytes on the disk.
pub(crate) fn make_synced(name: &str, text: &str) -> Vec<Call> {
    vec![create(name), write(0, text), sync(), close()]
}

/// A process on a machine whose only disk is so persistent, with this in its lock file.
pub(crate) fn disk(persistence: Persistence, old: Option<&str>) -> (Kernel, ProcessId) {
    let mut kernel = machine();
    if let Some(text) = old {
        kernel.write_file(Path::new(LOCK), text.as_bytes());
    }
    let who = start(&mut kernel, "gateway");
    kernel.set_persistence(Path::new("/"), HOST, persistence);
    (kernel, who)
}

pub(crate) fn run(kernel: &mut Kernel, who: ProcessId, calls: &[Call]) {
    for call in calls {
        ask(kernel, who, call.clone()).unwrap_or_else(|errno| panic!("{call}: {errno}"));
    }
}

pub(crate) fn outcomes(kernel: &Kernel) -> Vec<Kernel> {
    kernel.power_loss_outcomes(HOST).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn text(kernel: &Kernel, name: &str) -> String {
    let bytes = kernel.contents(Path::new(name));
    bytes.map_or_else(|| "absent".to_owned(), |bytes| format!("\"{}\"", bytes.escape_ascii()))
}

/// What may be found under some names after a loss of power at this moment.
pub(crate) fn found(kernel: &Kernel, names: &[&str]) -> BTreeSet<String> {
    let row = |outcome: &Kernel| names.iter().map(|name| text(outcome, name)).collect::<Vec<_>>().join(" ");
    outcomes(kernel).iter().map(row).collect()
}

pub(crate) fn set(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}
