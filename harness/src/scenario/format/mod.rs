//! The format as data: each table, the keys that it has, and what each may hold.
//!
//! The parser asks for keys by the names that are listed here and takes its bounds and words from the same places, so a
//! key that is read and not listed, or listed and not read, is a panic in the tests. The published schema
//! ([`schema`]) is made of this and nothing else.

mod parties;
mod run;
pub(crate) mod schema;
mod timeline;

pub(super) use parties::{
    DEEDS, GATEWAY, LAUNCHD, MOUNT, PROCESS, SUPERVISOR, SUPERVISORS, SYSTEMD, TASK_SCHEDULER, deed,
};
pub(super) use run::{EXPECT, EXPLORE, GATES, LIMITS, POLICIES, REFUSAL, RUN, STEPS, step};
pub(super) use timeline::TIMELINE;

use super::fields::Bounds;

/// One key of a table.
pub(crate) struct Key {
    /// As it is written.
    pub(crate) name: &'static str,
    /// Whether the table is wrong without it.
    pub(crate) need: Need,
    /// What it holds.
    pub(crate) shape: Shape,
    /// What it means, as the documentation says it.
    pub(crate) meaning: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

/// What a value may be, apart from whether the names in it are declared.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// A string that is not blank.
    Text,
    /// A string that a regular expression matches, which means the same to every engine.
    Matching(&'static str),
    /// One of these strings.
    Word(fn() -> Vec<String>),
    Boolean,
    Integer(Bounds),
    List {
        of: &'static Self,
        may_be_empty: bool,
        /// Whether no entry may come twice.
        is_a_set: bool,
    },
    /// One of several.
    Either(&'static [Self]),
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table with these keys, at least one of which must be there.
    TableWithSome(&'static [Key], &'static [&'static str]),
    /// A table whose `kind` says which keys it has besides.
    Kinds(&'static [Kind]),
    /// A table with these keys, exactly one of `of` among them; of each pair in `needs`, the first says nothing without the
    /// second.
    TableWithOne {
        keys: &'static [Key],
        of: &'static [&'static str],
        needs: &'static [(&'static str, &'static str)],
    },
    /// A table of tables whose keys are names.
    Named {
        /// What names look like.
        names: &'static str,
        /// What nobody may be called.
        reserved: &'static [&'static str],
        of: &'static [Key],
        some: &'static [&'static str],
        may_be_empty: bool,
    },
    /// A table from names to values.
    Map(&'static Self),
    /// A table, perhaps empty, from keys that a regular expression matches to values.
    Keyed {
        names: &'static str,
        of: &'static Self,
    },
    /// A list of two.
    Pair(&'static Self),
    /// A day, which TOML writes without quotes and JSON as a string.
    Date,
    /// One of [`STEPS`].
    Step,
    /// One of [`POLICIES`].
    Policy,
    /// The keys of other tables, each with a list of what it takes in turn.
    Vary,
}

/// A value of `kind`, and the keys that belong to it.
pub(crate) struct Kind {
    pub(crate) word: &'static str,
    /// Those of every kind, and those of this one.
    pub(crate) keys: [&'static [Key]; 2],
}

/// A name of a process.
pub(super) const NAME: &str = "^[a-z][a-z0-9-]*$";
/// A label of a directory, a file, a host.
pub(super) const LABEL: &str = "^[A-Za-z][A-Za-z0-9-]*$";
/// Labels with `/` between them.
const NESTED: &str = "^[A-Za-z][A-Za-z0-9-]*(/[A-Za-z][A-Za-z0-9-]*)*$";
const TAG: &str = "^[a-z0-9-]+$";

const TEXTS: Shape = Shape::List { of: &Shape::Text, may_be_empty: true, is_a_set: false };
const TAGS: Shape = Shape::List { of: &Shape::Matching(TAG), may_be_empty: true, is_a_set: true };

const fn required(name: &'static str, shape: Shape, meaning: &'static str) -> Key {
    Key { name, need: Need::Required, shape, meaning }
}

const fn optional(name: &'static str, shape: Shape, meaning: &'static str) -> Key {
    Key { name, need: Need::Optional, shape, meaning }
}

/// The words of a table that the parser looks them up in.
fn words<T, const N: usize>(known: &[(&str, T); N]) -> Vec<String> {
    known.iter().map(|(word, _)| (*word).to_owned()).collect()
}

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What each kind is called.
pub(super) fn kinds(kinds: &[Kind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.word).collect()
}

/// The keys of a file.
pub(super) const FILE: &[Key] = &[
    required(
        "schema",
        Shape::Integer(Bounds::new(super::parse::SCHEMA, super::parse::SCHEMA)),
        "the version of this format: `1`",
    ),
    required("title", Shape::Text, "one sentence"),
    optional("refs", TEXTS, "links to where it comes from"),
    optional("tags", TAGS, "what it is selected by: lower-case letters, digits, `-`"),
    required(
        "gateway",
        Shape::Named {
            names: NAME,
            reserved: &[super::declared::RESERVED_NAME],
            of: GATEWAY,
            some: &[],
            may_be_empty: false,
        },
        "the contenders, `[gateway.NAME]`",
    ),
    optional(
        "process",
        Shape::Named {
            names: NAME,
            reserved: &[super::declared::RESERVED_NAME],
            of: PROCESS,
            some: &[],
            may_be_empty: true,
        },
        "the bystanders, `[process.NAME]`",
    ),
    optional(
        "mount",
        Shape::Named {
            names: LABEL,
            reserved: &[],
            of: MOUNT,
            some: &["directory_locks", "locks"],
            may_be_empty: true,
        },
        "where state directories lie, `[mount.LABEL]`",
    ),
    required("run", Shape::Table(RUN), "what happens"),
    required("expect", Shape::Table(EXPECT), "what must come of it"),
    optional("explore", Shape::Table(EXPLORE), "what to try"),
    optional("limits", Shape::Table(LIMITS), "what that may cost"),
    optional("vary", Shape::Vary, "one file, several cases"),
    optional("timeline", Shape::Table(TIMELINE), "what the logs of an incident have shown"),
];

/// The sections whose keys may vary, those with a name in between first.
pub(super) const VARIABLE: [(&str, &[Key]); 3] =
    [("gateway", GATEWAY), ("process", PROCESS), ("mount", MOUNT)];
