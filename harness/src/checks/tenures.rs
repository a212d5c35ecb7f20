//! `single-writer`: what a reader sees of an epoch is settled once a later owner is ready, and no two owners share one.
//!
//! Whose epoch it is follows from who writes into its journal. From the moment at which somebody with a later epoch is
//! ready, the bytes that a reader takes of every earlier journal are remembered, and must stay what they are, whoever goes
//! on writing, dies, or loses power. A journal that is gone, or was taken into the sums of a later header, has no bytes that
//! could be wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use gateway::lock::journal::{Ledger, Named, named};
use portcullis_os::{FileId, Notice};
use sim::kernel::{Effect, ProcessId};
use sim::{Step, View, Violation};

use super::{Checks, broken};
use crate::scenario::Check;

/// How journals are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As the reference gateway does.
    Shipped,
    /// Everything that is in them.
    IgnoresSeals,
}

/// What is known of the epochs of each state directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    /// Who wrote last in an epoch, and whether it ever was ready.
    writers: BTreeMap<(FileId, u64), (ProcessId, bool)>,
    /// What a reader saw when a later owner was ready.
    settled: BTreeMap<(FileId, u64), Arc<[u8]>>,
}

/// The journals of one state directory.
struct Journals {
    directory: FileId,
    files: BTreeMap<u64, (FileId, Vec<u8>)>,
    /// What their headers say of each other.
    ledger: Ledger,
}

impl Checks {
    pub(super) fn single_writer(
        &self,
        memory: &mut Memory,
        view: &View<'_>,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        // Steps of processes that change no file are told by nothing; what comes from outside can change anything.
        if step.slot.is_some() && step.effects.is_empty() {
            return Ok(());
        }
        for journals in self.journals(view) {
            for effect in step.effects {
                match effect {
                    Effect::Changed { by, file } => self.note_writer(memory, view, &journals, *by, *file)?,
                    Effect::Notified { process, notice: Notice::Ready } => {
                        self.settle(memory, &journals, *process);
                    }
                    Effect::Signalled { .. }
                    | Effect::Created { .. }
                    | Effect::Unlinked { .. }
                    | Effect::Linked { .. }
                    | Effect::Renamed { .. }
                    | Effect::Locked { .. }
                    | Effect::Spawned { .. }
                    | Effect::Died { .. }
                    | Effect::Notified { .. } => {}
                }
            }
            self.compare(memory, view, &journals)?;
        }
        Ok(())
    }

    /// The journals that are found where gateways are told that their state is.
    fn journals(&self, view: &View<'_>) -> Vec<Journals> {
        let mut paths: Vec<&PathBuf> =
            (0..self.slots.len()).filter_map(|slot| self.stake(slot)).map(|stake| &stake.state).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut found: Vec<Journals> = Vec::new();
        for path in paths {
            let Some(directory) = view.kernel.lookup(path) else { continue };
            if found.iter().any(|known| known.directory == directory) {
                continue;
            }
            let mut files = BTreeMap::new();
            for name in view.kernel.list(path).unwrap_or_default() {
                let Named::Journal(epoch) = named(&name) else { continue };
                let path = path.join(&name);
                if let (Some(file), Some(bytes)) = (view.kernel.lookup(&path), view.kernel.contents(&path)) {
                    files.insert(epoch, (file, bytes));
                }
            }
            let ledger = Ledger::of(files.iter().map(|(epoch, (_, bytes))| (*epoch, &bytes[..])));
            found.push(Journals { directory, files, ledger });
        }
        found
    }

    fn note_writer(
        &self,
        memory: &mut Memory,
        view: &View<'_>,
        journals: &Journals,
        by: ProcessId,
        file: FileId,
    ) -> Result<(), Violation> {
        let Some(epoch) = journals.epoch_of(file) else { return Ok(()) };
        let writer = memory.writers.entry((journals.directory, epoch)).or_insert((by, false));
        if writer.0 == by {
            return Ok(());
        }
        if writer.1 {
            let who = view.slot_of(by).map_or("somebody", |slot| self.name(slot));
            let says =
                format!("{who} writes under epoch {epoch}, under which another owner was ready before");
            return Err(broken(Check::SingleWriter, says));
        }
        *writer = (by, false);
        Ok(())
    }

    /// Somebody is ready: its epoch is taken for good, and all earlier ones are over.
    fn settle(&self, memory: &mut Memory, journals: &Journals, ready: ProcessId) {
        let of =
            |epoch: &u64| memory.writers.get(&(journals.directory, *epoch)).is_some_and(|it| it.0 == ready);
        let Some(own) = journals.files.keys().copied().rfind(of) else { return };
        memory.writers.insert((journals.directory, own), (ready, true));
        for epoch in journals.files.keys().filter(|epoch| **epoch < own) {
            if let Some(seen) = self.seen(journals, *epoch) {
                memory.settled.entry((journals.directory, *epoch)).or_insert_with(|| Arc::from(seen));
            }
        }
    }

    fn compare(&self, memory: &Memory, view: &View<'_>, journals: &Journals) -> Result<(), Violation> {
        for ((directory, epoch), before) in &memory.settled {
            let now = self.seen(journals, *epoch).filter(|_| *directory == journals.directory);
            let Some(now) = now.filter(|now| *now != &before[..]) else { continue };
            let writer = memory.writers.get(&(*directory, *epoch)).and_then(|it| view.slot_of(it.0));
            let whose = writer.map_or("an owner", |slot| self.name(slot));
            let (was, is) = (before.len(), now.len());
            let says = format!(
                "readers see {is} bytes of epoch {epoch}, that of {whose}, where they saw {was} when a later owner was ready"
            );
            return Err(broken(Check::SingleWriter, says));
        }
        Ok(())
    }

    /// What a reader takes of the journal of an epoch; `None` if it is not there or has been folded.
    fn seen<'a>(&self, journals: &'a Journals, epoch: u64) -> Option<&'a [u8]> {
        let (_, bytes) = journals.files.get(&epoch)?;
        if journals.ledger.has_folded(epoch) {
            return None;
        }
        let length = match self.reader {
            Reader::Shipped => journals.ledger.counted(epoch, bytes.len() as u64),
            Reader::IgnoresSeals => bytes.len() as u64,
        };
        bytes.get(..usize::try_from(length).unwrap_or(usize::MAX))
    }
}

impl Journals {
    fn epoch_of(&self, file: FileId) -> Option<u64> {
        self.files.iter().find(|(_, (known, _))| *known == file).map(|(epoch, _)| *epoch)
    }
}
