//! What is sealed stays as it is: the journals of a state directory are read again and again, and compared.

use std::collections::BTreeMap;
use std::path::Path;

use gateway::lock::journal::{Entry, Event, Folded, read_journal};
use portcullis_os::{Errno, Linux, Open, Os};

use super::breaches::Breaches;

/// What was read of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reign {
    instance: String,
    events: Vec<Event>,
}

/// One reading of all journals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reading {
    folded: Folded,
    reigns: BTreeMap<u64, Reign>,
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Audit {
    sealed: BTreeMap<u64, Reign>,
    begun: BTreeMap<String, u64>,
    /// What should never have been seen.
    pub(super) breaches: Breaches,
}

impl Audit {
    /// Reads the journals while their owners live. A state directory that is not there yet has none.
    ///
    /// # Errors
    ///
    /// What the machine says.
    pub(super) async fn look(&mut self, os: &Linux, state: &Path) -> Result<(), Errno> {
        match read(os, state).await {
            Ok(reading) => self.compare(reading),
            Err(Errno::NotFound) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    /// Reads the journals when nobody lives any more: then nothing may be missing.
    ///
    /// # Errors
    ///
    /// What the machine says.
    pub(super) async fn close(&mut self, os: &Linux, state: &Path) -> Result<(), Errno> {
        let reading = read(os, state).await?;
        let lost = self
            .begun
            .values()
            .filter(|epoch| **epoch > reading.folded.through && !reading.reigns.contains_key(epoch));
        for epoch in lost {
            self.breaches.add(|| format!("epoch {epoch} was seen, and is gone from the journals"));
        }
        self.compare(reading);
        Ok(())
    }

    fn compare(&mut self, reading: Reading) {
        let newest = reading.reigns.last_key_value().map_or(0, |(epoch, _)| *epoch);
        for (epoch, reign) in reading.reigns {
            let first = *self.begun.entry(reign.instance.clone()).or_insert(epoch);
            if first != epoch {
                self.breaches.add(|| format!("instance {} began epochs {first} and {epoch}", reign.instance));
            }
            if epoch == newest {
                continue;
            }
            let known = self.sealed.entry(epoch).or_insert_with(|| reign.clone());
            if *known != reign {
                self.breaches.add(|| {
                    let (was, is) = (&known.events, &reign.events);
                    format!("epoch {epoch} changed after it was sealed: {was:?} became {is:?}")
                });
            }
        }
    }
}

async fn read(os: &Linux, state: &Path) -> Result<Reading, Errno> {
    let directory = os.open(state, Open { directory: true, ..Open::read() }).await?;
    let mut reading = Reading::default();
    read_journal(os, &directory, |entry| match entry {
        Entry::Folded(sums) => reading.folded = sums,
        Entry::Began(header) => {
            reading.reigns.insert(header.epoch, Reign { instance: header.instance, events: Vec::new() });
        }
        Entry::Wrote(epoch, event) => {
            if let Some(reign) = reading.reigns.get_mut(&epoch) {
                reign.events.push(event);
            }
        }
    })
    .await?;
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gateway::lock::journal::{Event, Folded};

    use super::{Audit, Breaches, Reading, Reign};

    fn reading(reigns: &[(u64, &str, &[Event])]) -> Reading {
        let reigns = reigns.iter().map(|(epoch, instance, events)| {
            (*epoch, Reign { instance: (*instance).to_owned(), events: events.to_vec() })
        });
        Reading { folded: Folded::default(), reigns: BTreeMap::from_iter(reigns) }
    }

    #[test]
    fn the_newest_journal_may_grow_and_a_sealed_one_may_not() {
        let mut audit = Audit::default();
        audit.compare(reading(&[(1, "a", &[])]));
        audit.compare(reading(&[(1, "a", &[Event::Ready]), (2, "b", &[])]));
        audit.compare(reading(&[(1, "a", &[Event::Ready]), (2, "b", &[Event::Ready]), (3, "c", &[])]));
        assert_eq!(audit.breaches, Breaches::default());
        audit.compare(reading(&[
            (1, "a", &[Event::Ready, Event::Stop]),
            (2, "b", &[Event::Ready]),
            (4, "c", &[]),
        ]));
        assert_eq!(
            audit.breaches.shown,
            [
                "epoch 1 changed after it was sealed: [Ready] became [Ready, Stop]",
                "instance c began epochs 3 and 4"
            ]
        );
    }
}
