//! How often each call has ended in each way: what a run has shown, and what it has not.

use std::collections::BTreeMap;
use std::fmt::Write;

use portcullis_os::{Call, Reply};

use crate::outcome::Outcome;
use crate::parts;

/// A call and how it has ended: `Done`, `Fd`, `EEXIST`, `waits` and so on.
pub type Pair = (&'static str, String);

/// How often each pair was seen on the real machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    hits: BTreeMap<Pair, u64>,
}

impl Coverage {
    /// Counts one answer.
    pub fn count(&mut self, call: &Call, outcome: &Outcome) {
        *self.hits.entry((parts::name(call), ending(outcome))).or_default() += 1;
    }

    /// Adds what somebody else has counted.
    pub fn add(&mut self, other: Self) {
        for (pair, hits) in other.hits {
            *self.hits.entry(pair).or_default() += hits;
        }
    }

    /// How often a pair was seen.
    pub fn hits(&self, call: &str, ending: &str) -> u64 {
        self.hits.iter().find(|((name, end), _)| *name == call && end == ending).map_or(0, |(_, hits)| *hits)
    }

    /// Every pair that was seen, and how often.
    pub fn pairs(&self) -> impl Iterator<Item = (&Pair, u64)> {
        self.hits.iter().map(|(pair, hits)| (pair, *hits))
    }

    /// One line a call: its endings and how often each was seen.
    pub fn table(&self) -> String {
        let mut lines: BTreeMap<&str, String> = BTreeMap::new();
        for ((call, ending), hits) in &self.hits {
            let line = lines.entry(call).or_default();
            // Writing to a string does not fail.
            let _ = write!(line, "  {ending} {hits}");
        }
        lines.into_iter().map(|(call, line)| format!("{call:<16}{line}\n")).collect()
    }

    /// One line a pair: call, ending, hits, separated by tabs.
    pub fn tsv(&self) -> String {
        self.hits.iter().map(|((call, ending), hits)| format!("{call}\t{ending}\t{hits}\n")).collect()
    }
}

/// How a call has ended, in a word.
pub fn ending(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reply(Ok(reply)) => variant(reply).to_owned(),
        Outcome::Reply(Err(errno)) => errno.name(),
        Outcome::Waits => "waits".to_owned(),
    }
}

const fn variant(reply: &Reply) -> &'static str {
    match reply {
        Reply::Done => "Done",
        Reply::Fd(_) => "Fd",
        Reply::Count(_) => "Count",
        Reply::Bytes(bytes) if bytes.is_empty() => "Bytes none",
        Reply::Bytes(_) => "Bytes",
        Reply::File(_) => "File",
        Reply::FileSystem(_) => "FileSystem",
        Reply::Pid(_) => "Pid",
        Reply::Uid(_) => "Uid",
        Reply::Signal(_) => "Signal",
        Reply::Pids(pids) if pids.is_empty() => "Pids none",
        Reply::Pids(_) => "Pids",
        Reply::Process(_) => "Process",
        Reply::Text(_) => "Text",
        Reply::Truth(true) => "yes",
        Reply::Truth(false) => "no",
        Reply::Tcp(rows) if rows.is_empty() => "Tcp none",
        Reply::Tcp(_) => "Tcp",
        Reply::Accepted { .. } => "Accepted",
        Reply::Peer(_) => "Peer",
        Reply::Nanoseconds(_) => "Nanoseconds",
        Reply::Random(_) => "Random",
        Reply::Word(_) => "Word",
        Reply::Path(_) => "Path",
        Reply::Names(names) if names.is_empty() => "Names none",
        Reply::Names(_) => "Names",
        Reply::Range(None) => "nobody",
        Reply::Range(Some(_)) => "Range",
        Reply::Ended(_) => "Ended",
        Reply::Address(_) => "Address",
        Reply::Namespaces(_) => "Namespaces",
    }
}
