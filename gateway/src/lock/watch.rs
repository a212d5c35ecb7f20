//! An owner that has lost what it locked stops by itself: it fences itself, before it writes and while it waits.
//!
//! What is locked are inodes; what others find are paths. If the state directory or the lock file is removed, replaced or
//! moved, the next starter finds something else, locks that, and becomes an owner as well. And where locks get lost, a
//! successor raises the epoch. Both are seen by looking at paths: the one must lead to the directory that is locked, the
//! next to the lock file, and the journal of the next epoch must not be there. Before each write of an event the three are
//! looked at; while the owner waits for a signal it looks once a second.
//!
//! A path that cannot be looked at has not been seen to lead elsewhere: what is unknown fences nobody.

use portcullis_os::{Descriptor, Errno, FileId, Links, Os, Signal, Watched};

use super::journal::{Event, Journal, journal_name};
use super::{LOCK_FILE, Owned, epoch};
use crate::claim::Claim;
use crate::refusal::{Reason, Refusal, quoted};

/// How long an owner may go without looking, in milliseconds.
const PERIOD_MS: u32 = 1000;

/// The time of an owner: its epoch, its journal, and what must stay as it is.
#[derive(Debug)]
pub struct Tenure<'a, O: Os> {
    owned: &'a Owned<O>,
    claim: &'a Claim,
    journal: Journal<O>,
}

impl<O: Os> Owned<O> {
    /// Raises the epoch and seals the journals of all owners before. Nothing is accepted or written before that. `own` is the
    /// epoch that this owner has already, if it begins anew.
    ///
    /// # Errors
    ///
    /// The refusal. This owner then gives up everything.
    pub async fn begin<'a>(
        &'a self,
        os: &O,
        claim: &'a Claim,
        own: Option<u64>,
    ) -> Result<Tenure<'a, O>, Refusal> {
        let journal = epoch::raise(os, claim, &self.state.directory, &self.identity, own).await?;
        Ok(Tenure { owned: self, claim, journal })
    }
}

impl<O: Os> Tenure<'_, O> {
    /// The number of this owner.
    pub const fn epoch(&self) -> u64 {
        self.journal.epoch
    }

    /// Writes an event into the journal, unless this gateway has lost what it owns.
    ///
    /// # Errors
    ///
    /// Why it is fenced, or why nothing can be written.
    pub async fn write(&mut self, os: &O, event: Event) -> Result<(), Refusal> {
        self.check(os).await?;
        let path = self.claim.state.join(journal_name(self.journal.epoch));
        self.journal.append(os, event).await.map_err(super::failed("write", &path))
    }

    /// Waits for a signal, and watches meanwhile.
    ///
    /// # Errors
    ///
    /// Why it is fenced.
    pub async fn wait(&self, os: &O) -> Result<Signal, Refusal> {
        loop {
            match os.watch(self.places(), PERIOD_MS).await {
                Ok(signal) => return Ok(signal),
                // What has been put back meanwhile is as it was.
                Err(Errno::StaleHandle) => self.check(os).await?,
                Err(errno) => return Err(Refusal::from_errno("wait for", "signals", errno)),
            }
        }
    }

    /// Looks whether everything is where it was when it was locked.
    async fn check(&self, os: &O) -> Result<(), Refusal> {
        for place in self.places() {
            let found = match place.at {
                None => os.stat(&place.path, Links::Follow).await,
                Some(_) => os.stat_at(&self.owned.state.directory, &place.path, Links::Follow).await,
            };
            let found = found.map(|status| status.id);
            if place.is_refuted_by(found) {
                return Err(self.fenced(os, &place, found.ok()).await);
            }
        }
        Ok(())
    }

    /// The directory first: if it is another one, nobody finds the rest.
    fn places(&self) -> Vec<Watched> {
        let state = &self.owned.state;
        let inside = |path: String, file| Watched { at: Some(state.directory.fd()), path: path.into(), file };
        vec![
            Watched { at: None, path: self.claim.state.clone(), file: Some(state.id) },
            inside(LOCK_FILE.to_owned(), Some(state.lock_file)),
            inside(journal_name(self.journal.epoch + 1), None),
        ]
    }

    /// Why this gateway must stop.
    async fn fenced(&self, os: &O, place: &Watched, found: Option<FileId>) -> Refusal {
        let state = self.claim.state.display();
        let path = self.claim.state.join(&place.path);
        let path = path.display();
        let is_directory = place.at.is_none();
        let what = match (place.file, found) {
            (None, _) => {
                format!(
                    "a successor has begun epoch {} in {state}: its lock was lost",
                    self.journal.epoch + 1
                )
            }
            (Some(_), Some(_)) if is_directory => {
                format!(
                    "{state} is another directory by now: the one that this gateway owns was moved or removed"
                )
            }
            (Some(_), None) if is_directory => {
                let fate =
                    if is_removed(os, &self.owned.state.directory).await { "removed" } else { "moved away" };
                format!("the state directory {state} was {fate} under this gateway")
            }
            (Some(_), Some(_)) => format!("the lock file {path} was replaced under this gateway"),
            (Some(_), None) => format!("the lock file {path} was removed under this gateway"),
        };
        let told = |file: Option<FileId>| file.map_or_else(|| "nothing".to_owned(), |file| file.to_string());
        Refusal {
            reason: Reason::Fenced,
            what,
            holder: None,
            evidence: vec![format!("{path}: expected {}, found {}", told(place.file), told(found))],
            next: format!("ls -lid {}", quoted(&path.to_string())),
            do_not: Some("move or remove the state of a gateway that runs: stop it first"),
        }
    }
}

/// Whether nothing but descriptors leads to a directory any more. Where that cannot be seen it counts as moved.
async fn is_removed<O: Os>(os: &O, directory: &Descriptor<O>) -> bool {
    os.stat_fd(directory).await.is_ok_and(|status| status.links == 0)
}
