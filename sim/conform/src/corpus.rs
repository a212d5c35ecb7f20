//! Sequences that once differed, or show a rule that is easily got wrong. They are run first in every run.
//!
//! Each is one file in `corpus/`, and the list below names them all.

use serde::{Deserialize, Serialize};

use crate::sequence::Sequence;

/// A sequence that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What it shows, in a sentence.
    pub about: String,
    /// The sequence.
    pub sequence: Sequence,
}

macro_rules! kept {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../corpus/", $name, ".json"))),)*]
    };
}

/// The names of the files, and what is in them.
const FILES: &[(&str, &str)] = kept!["failed-upgrade", "link-to-itself", "signal-to-a-thread",];

/// Every kept sequence with its name, in order.
///
/// # Panics
///
/// If one of the files is damaged.
pub fn all() -> Vec<(&'static str, Kept)> {
    FILES
        .iter()
        .map(|(name, text)| match serde_json::from_str(text) {
            Ok(kept) => (*name, kept),
            Err(error) => panic!("corpus/{name}.json: {error}"),
        })
        .collect()
}
