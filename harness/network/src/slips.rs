//! Gateways with a part missing: the shipped code over a machine that answers single calls wrongly.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use portcullis_os::{Call, Errno, Fd, LockMode, Reply};
use sim::Rule;

use crate::plan::Slip;

/// What the name of the journal of each epoch begins with.
const JOURNAL: &str = "journal.";
/// What the files begin with in which a gateway keeps what is to be remembered.
const MEMORY: &str = "control.";

/// The folder in which runs of jobs leave what they make, and where the workspaces of each host are.
const RUNS: &str = "cron-runs";
const WORK: &str = "/work";

/// Of so many times that a late one is asked to put something on the disk, it does so once.
const EVERY: u32 = 8;

/// Everything that is wrong with one gateway.
#[derive(Clone, Debug)]
pub(crate) struct Slips {
    no_epoch: bool,
    no_outbox: bool,
    no_lock: bool,
    late_sync: bool,
    any_slot: bool,
    one_workspace: bool,
    panics: bool,
    /// How often it was asked to put its memory on the disk.
    syncs: u32,
    /// What its descriptors lead to, and those of them that it believes to have locked.
    opened: BTreeMap<Fd, PathBuf>,
    locked: BTreeSet<Fd>,
}

impl Slips {
    pub(crate) fn of(slips: &[Slip]) -> Self {
        let has = |slip| slips.contains(&slip);
        Self {
            no_epoch: has(Slip::NoEpoch),
            no_outbox: has(Slip::NoOutbox),
            no_lock: has(Slip::NoLock),
            late_sync: has(Slip::LateSync),
            any_slot: has(Slip::AnySlot),
            one_workspace: has(Slip::OneWorkspace),
            panics: has(Slip::Panics),
            syncs: 0,
            opened: BTreeMap::new(),
            locked: BTreeSet::new(),
        }
    }

    fn is_for_runs(&self, folder: Fd) -> bool {
        self.opened.get(&folder).is_some_and(|path| path.file_name() == Some(OsStr::new(RUNS)))
    }

    fn is_memory(&self, fd: Fd) -> bool {
        self.opened.get(&fd).is_some_and(|path| begins_with(path.file_name(), MEMORY))
    }

    /// What it is told of a lock that it asks for: that it has got it, whoever else has it. It tries whether locks exclude anybody
    /// at all by taking one twice, so a second lock of its own is refused.
    fn grant(&mut self, fd: Fd, mode: LockMode) -> Result<Reply, Errno> {
        let of = |fd: &Fd| self.opened.get(fd).cloned();
        let is_taken = self.locked.iter().any(|other| *other != fd && of(other) == of(&fd));
        match mode {
            LockMode::Unlock => {
                self.locked.remove(&fd);
                Ok(Reply::Done)
            }
            LockMode::Exclusive | LockMode::Shared if is_taken => Err(Errno::WouldBlock),
            LockMode::Exclusive | LockMode::Shared => {
                self.locked.insert(fd);
                Ok(Reply::Done)
            }
        }
    }
}

fn is_workspace(path: &Path) -> bool {
    path.parent().and_then(Path::parent) == Some(Path::new(WORK))
}

fn begins_with(name: Option<&OsStr>, beginning: &str) -> bool {
    name.is_some_and(|name| name.as_encoded_bytes().starts_with(beginning.as_bytes()))
}

impl Rule for Slips {
    fn rewrite(&mut self, call: Call) -> Call {
        // An owner that never sees that another one has begun.
        if let Call::Watch { period_ms, .. } = call
            && self.no_epoch
        {
            return Call::Watch { places: Vec::new(), period_ms };
        }
        let mut call = call;
        if let Call::Open { at: Some(at), open, .. } = &mut call
            && self.any_slot
            && self.is_for_runs(*at)
        {
            open.exclusive = false;
        }
        if let Call::Open { path, .. } | Call::Stat { path, .. } = &mut call
            && self.one_workspace
            && is_workspace(path)
        {
            path.set_file_name("main");
        }
        call
    }

    fn instead(&mut self, call: &Call) -> Option<Result<Reply, Errno>> {
        if let Call::Stat { path, .. } = call
            && self.no_epoch
        {
            let name = path.file_name();
            let is_of_an_epoch = begins_with(name, JOURNAL) || begins_with(name, MEMORY);
            return is_of_an_epoch.then_some(Err(Errno::NotFound));
        }
        if let Call::Flock { fd, mode } = call
            && self.no_lock
        {
            return Some(self.grant(*fd, *mode));
        }
        if let Call::Sync { fd } = call
            && self.panics
            && self.is_memory(*fd)
        {
            self.syncs += 1;
            assert!(self.syncs < EVERY, "this gateway panics");
        }
        if let Call::Sync { fd } = call
            && self.late_sync
            && self.is_memory(*fd)
        {
            self.syncs += 1;
            return (!self.syncs.is_multiple_of(EVERY)).then_some(Ok(Reply::Done));
        }
        None
    }

    fn saw(&mut self, call: &Call, reply: &Result<Reply, Errno>) {
        if let (Call::Open { path, .. }, Ok(Reply::Fd(fd))) = (call, reply) {
            // The number is free again, so nothing is locked by it.
            self.locked.remove(fd);
            self.opened.insert(*fd, path.clone());
        } else if let Call::Close { fd } = call {
            self.locked.remove(fd);
        }
    }

    fn distort(&mut self, call: &Call, reply: Reply) -> Reply {
        match (call, reply) {
            // A gateway that finds nothing of what it has written down before.
            (Call::ReadDirectory { .. }, Reply::Names(mut names)) if self.no_outbox => {
                names.retain(|name| !begins_with(Some(name), MEMORY));
                Reply::Names(names)
            }
            (_, reply) => reply,
        }
    }
}
