//! What ext4 loses and what it does not, each fact as it was seen on ext4 of Linux 6.18: the calls, then
//! `FS_IOC_SHUTDOWN` without a flush of the log, then a mount.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis_os::{Call, Open};
use sim::Kernel;
use sim::kernel::Persistence;

use crate::disk::{
    FILE, HOST, LOCK, TMP, close, create, disk, found, make, make_synced, mkdir, outcomes, rename, rewrite,
    run, sync, sync_directory, unlink, write,
};
use crate::kernel_machine::{machine, open, start};

/// A pattern on ext4, and everything that may be found under some names.
struct Fact {
    name: &'static str,
    /// What is on the disk before.
    files: &'static [(&'static str, &'static str)],
    calls: Vec<Call>,
    names: &'static [&'static str],
    found: Vec<&'static str>,
}

const OTHER: &str = "/state/other";

/// Commits the journal and nothing but the journal, as far as other files go.
fn commit() -> Vec<Call> {
    make_synced(OTHER, "x")
}

fn facts_of_commits() -> Vec<Fact> {
    vec![
        Fact {
            name: "what is committed is there, though perhaps empty",
            files: &[],
            calls: [make(LOCK, "42"), commit()].concat(),
            names: &[LOCK],
            found: vec![r#""""#, r#""4""#, r#""42""#],
        },
        Fact {
            name: "a rename to a free name brings no bytes",
            files: &[],
            calls: [make(TMP, "42"), vec![rename(TMP, LOCK)], commit()].concat(),
            names: &[LOCK, TMP],
            found: vec![r#""" absent"#, r#""4" absent"#, r#""42" absent"#],
        },
        Fact {
            name: "a truncation may be committed before what is written next",
            files: &[(LOCK, "77")],
            calls: [vec![open(LOCK, Open::create_truncate()), write(0, "42"), close()], commit()].concat(),
            names: &[LOCK],
            found: vec![r#""""#, r#""4""#, r#""42""#, r#""77""#],
        },
    ]
}

fn facts_of_fsync() -> Vec<Fact> {
    vec![
        Fact {
            name: "fsync of a file that is created commits what came before",
            files: &[("/state/b", "1")],
            calls: [vec![unlink("/state/b")], make_synced(LOCK, "42")].concat(),
            names: &["/state/b", LOCK],
            found: vec![r#"absent "42""#],
        },
        Fact {
            name: "fsync of a file whose length is what it was commits nothing else",
            files: &[("/state/b", "1"), (LOCK, "77")],
            calls: vec![unlink("/state/b"), rewrite(LOCK), write(0, "42"), sync()],
            names: &["/state/b", LOCK],
            found: vec![r#""1" "42""#, r#"absent "42""#],
        },
        Fact {
            name: "fsync of a file whose length has changed commits what came before",
            files: &[("/state/b", "1"), (LOCK, "77")],
            calls: vec![unlink("/state/b"), rewrite(LOCK), write(0, "424"), sync()],
            names: &["/state/b", LOCK],
            found: vec![r#"absent "424""#],
        },
        Fact {
            name: "fsync of a file commits nothing that came after its last change",
            files: &[("/state/b", "1")],
            calls: vec![create(LOCK), write(0, "42"), unlink("/state/b"), sync()],
            names: &["/state/b", LOCK],
            found: vec![r#""1" "42""#, r#"absent "42""#],
        },
        Fact {
            name: "fsync of a file that is open and has no name commits that it has none",
            files: &[(LOCK, "77")],
            calls: vec![rewrite(LOCK), unlink(LOCK), write(0, "42"), sync()],
            names: &[LOCK],
            found: vec!["absent"],
        },
        Fact {
            name: "fsync of a renamed file commits the rename",
            files: &[(LOCK, "77")],
            calls: vec![create(TMP), write(0, "42"), rename(TMP, LOCK), sync()],
            names: &[LOCK, TMP],
            found: vec![r#""42" absent"#],
        },
        Fact {
            name: "fsync of a directory is no fsync of the files in it",
            files: &[],
            calls: [make(LOCK, "42"), sync_directory("/state")].concat(),
            names: &[LOCK],
            found: vec![r#""""#, r#""4""#, r#""42""#],
        },
        Fact {
            name: "fsync of a file in a fresh directory commits the directory",
            files: &[],
            calls: [vec![mkdir("/state/d")], make_synced("/state/d/f", "1")].concat(),
            names: &["/state/d/f"],
            found: vec![r#""1""#],
        },
    ]
}

fn facts_of_blocks() -> Vec<Fact> {
    let over = |text: &str| vec![rewrite(TMP), write(0, text), close()];
    vec![
        Fact {
            name: "a rename over a file brings the bytes in fresh blocks",
            files: &[(LOCK, "77")],
            calls: [make(TMP, "42"), vec![rename(TMP, LOCK)], commit()].concat(),
            names: &[LOCK],
            found: vec![r#""42""#],
        },
        Fact {
            name: "a rename over a file does not bring what was written over",
            files: &[(LOCK, "77"), (TMP, "11")],
            calls: [over("42"), vec![rename(TMP, LOCK)], commit()].concat(),
            names: &[LOCK],
            found: vec![r#""11""#, r#""41""#, r#""42""#],
        },
        Fact {
            name: "nor what was written over before it was renamed, if the disk was quick",
            files: &[(LOCK, "77")],
            calls: [make(TMP, "11"), over("42"), vec![rename(TMP, LOCK)], commit()].concat(),
            names: &[LOCK],
            found: vec![r#""11""#, r#""41""#, r#""42""#],
        },
        Fact {
            name: "a file that grows in its block may end in zeros",
            files: &[(LOCK, "1")],
            calls: vec![rewrite(LOCK), write(1, "2"), write(2, "3"), close()],
            names: &[LOCK],
            found: vec![r#""1""#, r#""12""#, r#""123""#, r#""12\x00""#, r#""1\x00""#, r#""1\x00\x00""#],
        },
        Fact {
            name: "a file that is cut before its bytes are on the disk may have nothing but its length",
            files: &[],
            calls: [
                vec![create(LOCK), write(0, "42"), Call::Truncate { fd: FILE, length: 1 }, close()],
                commit(),
            ]
            .concat(),
            names: &[LOCK],
            found: vec![r#""""#, r#""4""#, r#""42""#, r#""4\x00""#, r#""\x00""#],
        },
        Fact {
            name: "a file that grows and is written over may have its old length and its new bytes",
            files: &[(LOCK, "11")],
            calls: vec![rewrite(LOCK), write(2, "1"), write(0, "f")],
            names: &[LOCK],
            found: vec![r#""11""#, r#""111""#, r#""11\x00""#, r#""f1""#, r#""f11""#],
        },
        Fact {
            name: "a file that is written over and grows may have its old bytes and its new length",
            files: &[(LOCK, "77")],
            calls: vec![rewrite(LOCK), write(0, "424"), close()],
            names: &[LOCK],
            found: vec![r#""42""#, r#""424""#, r#""47""#, r#""77""#, r#""77\x00""#],
        },
    ]
}

#[test]
fn ext4_loses_what_the_real_one_was_seen_to_lose_and_nothing_that_it_promises() {
    for fact in [facts_of_commits(), facts_of_fsync(), facts_of_blocks()].into_iter().flatten() {
        let mut kernel = machine();
        for (name, text) in fact.files {
            kernel.write_file(Path::new(name), text.as_bytes());
        }
        let who = start(&mut kernel, "gateway");
        kernel.set_persistence(Path::new("/"), HOST, Persistence::Ext4);
        run(&mut kernel, who, &fact.calls);
        let expected: BTreeSet<String> = fact.found.iter().map(|row| (*row).to_owned()).collect();
        assert_eq!(found(&kernel, fact.names), expected, "{}", fact.name);
    }
}

#[test]
fn the_zeros_at_the_end_of_a_file_end_with_its_block() {
    let (mut kernel, who) = disk(Persistence::Ext4, Some(&"x".repeat(4090)));
    run(&mut kernel, who, &[rewrite(LOCK), write(4090, &"y".repeat(20))]);
    let zeros = |outcome: &Kernel| {
        let bytes = outcome.contents(Path::new(LOCK)).unwrap();
        bytes.ends_with(b"\0").then_some(bytes.len())
    };
    assert_eq!(outcomes(&kernel).iter().filter_map(zeros).collect::<Vec<_>>(), [4096]);
}
