//! The keys of `[timeline]`.

use super::{Key, NAME, Shape, optional, required};
use crate::scenario::timeline::{AT, Happening, SKEW};

/// Some of what a gateway may tell.
const TOLD: Shape = Shape::Word(|| {
    let words = Happening::ALL.into_iter().filter(|(_, what)| what.is_word());
    words.map(|(word, _)| word.to_owned()).collect()
});
const A_LOG: Shape = Shape::List { of: &Shape::Matching(NAME), may_be_empty: false, is_a_set: true };
/// One gateway and what it did, whom it has named, and when.
const AN_EVENT: Shape = Shape::Map(&Shape::Either(&[Shape::Text, Shape::Integer(AT)]));

/// `[timeline]`
pub(in crate::scenario) const TIMELINE: &[Key] = &[
    optional(
        "tells",
        Shape::List { of: &TOLD, may_be_empty: true, is_a_set: false },
        "what every gateway with a log tells: of `owner`, `ready`, `released` and `refused`. Default: `ready` and `refused`",
    ),
    optional(
        "skew_ms",
        Shape::Integer(SKEW),
        "by how much the clocks of two logs may differ, in milliseconds. Default: 0",
    ),
    optional(
        "logs",
        Shape::List { of: &A_LOG, may_be_empty: true, is_a_set: false },
        "whose lines stand in one log, and so in order. Default: everybody's in one",
    ),
    required(
        "events",
        Shape::List { of: &AN_EVENT, may_be_empty: false, is_a_set: false },
        "what the logs show, in the order of each log",
    ),
];
