//! The ways in which programs write lock files, and what each may leave behind.

use std::collections::BTreeSet;

use portcullis_os::{Call, Open};
use sim::kernel::Persistence;

use crate::disk::{
    LOCK, MODELS, TMP, close, disk, found, link, make, make_synced, rename, run, set, sync_directory, unlink,
    write,
};
use crate::kernel_machine::open;

/// What may be in the lock file after the calls, and after any number of them.
fn lock_after(persistence: Persistence, old: Option<&str>, calls: &[Call]) -> [BTreeSet<String>; 2] {
    let (mut kernel, who) = disk(persistence, old);
    let mut any = found(&kernel, &[LOCK]);
    for call in calls {
        run(&mut kernel, who, std::slice::from_ref(call));
        any.extend(found(&kernel, &[LOCK]));
    }
    [found(&kernel, &[LOCK]), any]
}

struct Pattern {
    name: &'static str,
    old: Option<&'static str>,
    calls: Vec<Call>,
    /// For [`MODELS`], after the calls have returned.
    returned: [&'static str; 3],
    /// For [`MODELS`], at any point.
    any: [&'static str; 3],
}

/// Every part of a write to a file that was empty, and no file.
const FRESH: &str = r#""" "4" "42" "424" "4242" absent"#;
/// The same over an old file.
const OVER: &str = r#""" "4" "42" "424" "4242" "77""#;
const EITHER: &str = r#""4242" "77""#;

#[expect(clippy::too_many_lines, reason = "one entry a row of the table")]
fn patterns() -> Vec<Pattern> {
    let replace = || [make(TMP, "4242"), vec![rename(TMP, LOCK)]].concat();
    let full = r#""4242""#;
    let maybe = r#""4242" absent"#;
    vec![
        Pattern {
            name: "O_EXCL create and write",
            old: None,
            calls: make(LOCK, "4242"),
            returned: [FRESH; 3],
            any: [FRESH; 3],
        },
        Pattern {
            name: "with fsync of the file",
            old: None,
            calls: make_synced(LOCK, "4242"),
            returned: [maybe, maybe, full],
            any: [FRESH; 3],
        },
        Pattern {
            name: "with fsync of the file and of the directory",
            old: None,
            calls: [make_synced(LOCK, "4242"), sync_directory("/state")].concat(),
            returned: [full; 3],
            any: [FRESH; 3],
        },
        Pattern {
            name: "write and rename, no old file",
            old: None,
            calls: replace(),
            returned: [FRESH; 3],
            any: [FRESH; 3],
        },
        Pattern {
            name: "write and rename over the old file",
            old: Some("77"),
            calls: replace(),
            returned: [OVER, OVER, EITHER],
            any: [OVER, OVER, EITHER],
        },
        Pattern {
            name: "write, fsync and rename over the old file",
            old: Some("77"),
            calls: [make_synced(TMP, "4242"), vec![rename(TMP, LOCK)]].concat(),
            returned: [EITHER; 3],
            any: [EITHER; 3],
        },
        Pattern {
            name: "O_TRUNC and write",
            old: Some("77"),
            calls: vec![open(LOCK, Open::create_truncate()), write(0, "4242"), close()],
            returned: [OVER; 3],
            any: [OVER; 3],
        },
        Pattern {
            name: "unlink at the end",
            old: Some("77"),
            calls: vec![unlink(LOCK)],
            returned: [r#""77" absent"#; 3],
            any: [r#""77" absent"#; 3],
        },
        Pattern {
            name: "write, fsync, link to the free name and unlink the old one",
            old: None,
            calls: [make_synced(TMP, "4242"), vec![link(TMP, LOCK), unlink(TMP)]].concat(),
            returned: [maybe; 3],
            any: [maybe; 3],
        },
        Pattern {
            name: "unlink, create, write and fsync",
            old: Some("77"),
            calls: [vec![unlink(LOCK)], make_synced(LOCK, "4242")].concat(),
            returned: [r#""4242" "77" absent"#, r#""4242" "77" absent"#, full],
            any: [r#""" "4" "42" "424" "4242" "77" absent"#; 3],
        },
    ]
}

#[test]
fn each_way_to_write_a_lock_file_has_exactly_its_legal_outcomes() {
    for pattern in patterns() {
        for (model, persistence) in MODELS.into_iter().enumerate() {
            let [returned, any] = lock_after(persistence, pattern.old, &pattern.calls);
            assert_eq!(
                returned,
                set(pattern.returned[model]),
                "{} on {persistence:?}, returned",
                pattern.name
            );
            assert_eq!(any, set(pattern.any[model]), "{} on {persistence:?}, at any point", pattern.name);
        }
    }
}
