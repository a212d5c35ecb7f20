//! An owner that has lost what it locked stops by itself: it fences itself, before it writes and while it waits.
//!
//! What is locked are inodes; what others find are paths. If the state directory or the lock file is removed, replaced or
//! moved, the next starter finds something else, locks that, and becomes an owner as well. And where locks get lost, a
//! successor raises the epoch. Both are seen by looking at paths: the one must lead to the directory that is locked, the
//! next to the lock file, and the journal of the next epoch must not be there. Before each write of an event the three are
//! looked at; while the owner waits for a signal it looks once a second, and then at its own journal as well: an owner that
//! slept while so many followed that the journal of its successor was folded away has lost its own by then.
//!
//! A path that cannot be looked at has not been seen to lead elsewhere: what is unknown fences nobody.

use portcullis_os::{Descriptor, Errno, FileId, Leads, Links, Os, Signal, Watched};

use super::epoch::Unraised;
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
    /// Whether this owner had another epoch before.
    succeeds: bool,
    /// The largest epoch that this owner has taken. It is that of its journal, unless it could not begin another one and not
    /// take back what was made of it.
    taken: u64,
}

impl<O: Os> Owned<O> {
    /// Raises the epoch and seals the journals of all owners before. Nothing is accepted or written before that.
    ///
    /// # Errors
    ///
    /// The refusal. What was begun is taken back then, as far as the machine lets it.
    pub async fn begin<'a>(&'a self, os: &O, claim: &'a Claim) -> Result<Tenure<'a, O>, Refusal> {
        let journal = epoch::raise(os, claim, &self.state.directory, &self.identity, None).await;
        let journal = journal.map_err(|unraised| unraised.refusal)?;
        Ok(Tenure { owned: self, claim, succeeds: false, taken: journal.epoch, journal })
    }
}

impl<'a, O: Os> Tenure<'a, O> {
    /// Begins the next epoch of the same owner. Its last word in this one is written before, because the next one seals it.
    ///
    /// # Errors
    ///
    /// Why it cannot be begun. Unless it is fenced, this one goes on then.
    pub async fn succeed(&mut self, os: &O) -> Result<Self, Refusal> {
        self.write(os, Event::Stop).await?;
        let Self { owned, claim, .. } = *self;
        let state = &owned.state.directory;
        let Unraised { refusal, left } =
            match epoch::raise(os, claim, state, &owned.identity, Some(self.taken)).await {
                Ok(journal) => {
                    return Ok(Tenure { owned, claim, succeeds: true, taken: journal.epoch, journal });
                }
                Err(unraised) => unraised,
            };
        if refusal.reason == Reason::Fenced {
            return Err(refusal);
        }
        self.taken = left.unwrap_or(self.taken);
        // It has not stopped. Where that cannot be written, its journal says otherwise until it has.
        match self.write(os, Event::Ready).await {
            Err(fenced) if fenced.reason == Reason::Fenced => Err(fenced),
            Ok(()) | Err(_) => Err(refusal),
        }
    }
}

impl<O: Os> Tenure<'_, O> {
    /// Writes an event into the journal, unless this gateway has lost what it owns.
    ///
    /// # Errors
    ///
    /// Why it is fenced, or why nothing can be written.
    pub async fn write(&mut self, os: &O, event: Event) -> Result<(), Refusal> {
        self.check(os, self.places()).await?;
        let path = self.claim.state.join(journal_name(self.journal.epoch));
        self.journal.append(os, event).await.map_err(super::failed("write", &path))
    }

    /// Its epoch.
    pub const fn epoch(&self) -> u64 {
        self.journal.epoch
    }

    /// Whether the owner serves already, in the epoch before this one.
    pub const fn succeeds(&self) -> bool {
        self.succeeds
    }

    /// Waits for a signal, and watches meanwhile.
    ///
    /// # Errors
    ///
    /// Why it is fenced.
    pub async fn wait(&self, os: &O) -> Result<Signal, Refusal> {
        loop {
            match os.watch(self.watched(), PERIOD_MS).await {
                Ok(signal) => return Ok(signal),
                // What has been put back meanwhile is as it was.
                Err(Errno::StaleHandle) => self.check(os, self.watched()).await?,
                Err(errno) => return Err(Refusal::from_errno("wait for", "signals", errno)),
            }
        }
    }

    /// Looks whether everything is where it was when it was locked.
    async fn check(&self, os: &O, places: Vec<Watched>) -> Result<(), Refusal> {
        for place in places {
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
        let inside =
            |path: String, leads| Watched { at: Some(state.directory.fd()), path: path.into(), leads };
        vec![
            Watched { at: None, path: self.claim.state.clone(), leads: Leads::To(state.id) },
            inside(LOCK_FILE.to_owned(), Leads::To(state.lock_file)),
            inside(journal_name(self.taken + 1), Leads::Nowhere),
        ]
    }

    /// The same, and its own journal: when more successors have begun than journals are kept, that of the next one is gone
    /// again, and this one before it.
    fn watched(&self) -> Vec<Watched> {
        let mut places = self.places();
        places.push(Watched {
            at: Some(self.owned.state.directory.fd()),
            path: journal_name(self.journal.epoch).into(),
            leads: Leads::Somewhere,
        });
        places
    }

    /// Why this gateway must stop.
    async fn fenced(&self, os: &O, place: &Watched, found: Option<FileId>) -> Refusal {
        let state = self.claim.state.display();
        let path = self.claim.state.join(&place.path);
        let path = path.display();
        let is_directory = place.at.is_none();
        let what = match (place.leads, found) {
            (Leads::Nowhere, _) => {
                format!("a successor has begun epoch {} in {state}: its lock was lost", self.taken + 1)
            }
            (Leads::Somewhere, _) => format!(
                "the journal {path} is gone: successors have taken it into their sums, or it was removed"
            ),
            (Leads::To(_), Some(_)) if is_directory => {
                format!(
                    "{state} is another directory by now: the one that this gateway owns was moved or removed"
                )
            }
            (Leads::To(_), None) if is_directory => {
                let fate =
                    if is_removed(os, &self.owned.state.directory).await { "removed" } else { "moved away" };
                format!("the state directory {state} was {fate} under this gateway")
            }
            (Leads::To(_), Some(_)) => format!("the lock file {path} was replaced under this gateway"),
            (Leads::To(_), None) => format!("the lock file {path} was removed under this gateway"),
        };
        let told = |leads| match leads {
            Leads::Nowhere => "nothing".to_owned(),
            Leads::Somewhere => "a file".to_owned(),
            Leads::To(file) => file.to_string(),
        };
        let found = found.map_or(Leads::Nowhere, Leads::To);
        Refusal {
            reason: Reason::Fenced,
            what,
            holder: None,
            evidence: vec![format!("{path}: expected {}, found {}", told(place.leads), told(found))],
            next: format!("ls -lid {}", quoted(&path.to_string())),
            do_not: Some("move or remove the state of a gateway that runs: stop it first"),
            may_pass: false,
        }
    }
}

/// Whether nothing but descriptors leads to a directory any more. Where that cannot be seen it counts as moved.
async fn is_removed<O: Os>(os: &O, directory: &Descriptor<O>) -> bool {
    os.stat_fd(directory).await.is_ok_and(|status| status.links == 0)
}
