//! `portcullis fmt`: the library is laid out, laying out twice changes nothing, and what a file means stays the same.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use crate::meaning::meaning;
use assert_cmd::cargo::cargo_bin_cmd;
use harness::scenario::{Paint, Scenario, laid_out, load, parse};
use proptest::prelude::*;

static LIBRARY: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    load(&[root().join("scenarios")]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)))
});

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn portcullis(folder: &Path, arguments: &[&str]) -> Output {
    cargo_bin_cmd!("portcullis").current_dir(folder).args(arguments).output().unwrap()
}

fn shown(output: &Output) -> String {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{errors}(exit {})", output.status.code().unwrap())
}

/// A scenario that breaks every rule of the layout, and means something.
const UNTIDY: &str = r#"#:schema ../harness/schemas/scenario.v1.json
# What it is about.
title="A"   # one sentence
tags=['race',"smoke"]
schema= 1


[run] # what happens

steps=[{start=["a",'b' ,"p"]},{   wait  =   "settled"   },# then
# and
   {kill="p"} , {wait="p.gone"}
   # the end
]
[expect]
outcomes   = [{a="ready"},
  { b="ready" },]
always=["single-owner"]



# Whoever wins.
[gateway.a]
state="S"

port=18789 # its base
allow_file_lock=true  # which nobody needs
[gateway.b]
state="S"
port=0x4965
[process.p]
looks_like='cron' # a stranger
[explore]
span=1
# nothing more"#;

#[test]
fn every_rule_of_the_layout_shows_in_one_file() {
    insta::assert_snapshot!(laid_out(UNTIDY).unwrap(), @r##"
    #:schema ../harness/schemas/scenario.v1.json
    # What it is about.
    schema = 1
    title  = "A" # one sentence
    tags   = ['race', "smoke"]

    # Whoever wins.
    [gateway.a]
    state           = "S"

    port            = 18789 # its base
    allow_file_lock = true  # which nobody needs

    [gateway.b]
    state = "S"
    port  = 0x4965

    [process.p]
    looks_like = 'cron' # a stranger

    [run] # what happens
    steps = [
      { start = ["a", 'b', "p"] },
      { wait = "settled" }, # then
      # and
      { kill = "p" },
      { wait = "p.gone" },
      # the end
    ]

    [expect]
    outcomes = [
      { a = "ready" },
      { b = "ready" },
    ]
    always   = ["single-owner"]

    [explore]
    span = 1
    # nothing more
    "##);
}

#[test]
fn the_library_is_laid_out() {
    let output = portcullis(&root(), &["fmt", "--check", "scenarios"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
}

#[test]
fn laying_out_keeps_every_comment_and_the_meaning_and_does_nothing_the_second_time() {
    for (name, text) in
        LIBRARY.iter().map(|scenario| (&*scenario.name, &*scenario.source)).chain([("untidy", UNTIDY)])
    {
        let once = laid_out(text).unwrap();
        assert_eq!(laid_out(&once).as_ref(), Some(&once), "{name}");
        assert_eq!(comments(&once), comments(text), "{name}");
        assert_eq!(meaning(&once), meaning(text), "{name}");
    }
}

/// The comments of a text without a `#` in its strings, in any order: sections move.
fn comments(text: &str) -> Vec<&str> {
    let mut comments: Vec<&str> =
        text.lines().filter_map(|line| line.find('#').map(|at| line[at..].trim())).collect();
    comments.sort_unstable();
    comments
}

proptest! {
    #[test]
    fn whatever_is_still_valid_after_blanks_and_comments_went_anywhere_keeps_its_meaning(
        file in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..PIECES.len()), 1..6),
    ) {
        let mut text = LIBRARY[file.index(LIBRARY.len())].source.to_string();
        for (at, piece) in edits {
            // Where words begin or end, a blank or a line break is most often still valid.
            let borders: Vec<usize> = text.match_indices([' ', '\n', ',', '[', ']', '{', '}', '=']).map(|(at, _)| at).collect();
            text.insert_str(borders[at.index(borders.len())], PIECES[piece]);
        }
        if parse(Path::new("scenarios/x.toml"), &text).is_ok() {
            let once = laid_out(&text).unwrap();
            prop_assert_eq!(meaning(&once), meaning(&text), "{}\n---\n{}", text, once);
            let twice = laid_out(&once);
            prop_assert_eq!(twice.as_ref(), Some(&once));
        }
    }
}

const PIECES: [&str; 7] = [" ", "\n", "\t", "\n\n\n", " # why\n", "\n# a line\n", ","];

#[test]
fn files_are_written_whole_with_their_permissions_and_links_stay_links() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    fs::write(&file, UNTIDY).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(folder.path().join("links")).unwrap();
    symlink("../x.toml", folder.path().join("links/y.toml")).unwrap();
    fs::write(folder.path().join("broken.toml"), "schema=1\n").unwrap();
    insta::assert_snapshot!(shown(&portcullis(folder.path(), &["fmt", "--check", "x.toml"])), @r#"
    x.toml:3 is not laid out:
      - title="A"   # one sentence
      - tags=['race',"smoke"]
      - schema= 1
      + schema = 1
      + title  = "A" # one sentence
      + tags   = ['race', "smoke"]
      ... and 47 lines more
    1 scenario, 1 not laid out
      = help: `portcullis fmt` lays them out
    (exit 1)
    "#);
    assert_eq!(fs::read_to_string(&file).unwrap(), UNTIDY);
    assert_eq!(
        shown(&portcullis(folder.path(), &["fmt", "links"])),
        "links/y.toml is laid out\n1 scenario, 1 changed\n(exit 0)"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), laid_out(UNTIDY).unwrap());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(folder.path().join("links/y.toml")).unwrap().is_symlink());
    assert_eq!(shown(&portcullis(folder.path(), &["fmt", "links"])), "1 scenario, 0 changed\n(exit 0)");
    let beside: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 3, "{beside:?}");
}

#[test]
fn a_file_that_is_no_scenario_is_shown_and_left_alone_and_the_others_are_laid_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "schema=1\n").unwrap();
    fs::write(folder.path().join("b.toml"), UNTIDY).unwrap();
    let output = portcullis(folder.path(), &["fmt", "a.toml", "b.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let text = shown(&output);
    assert!(text.starts_with("b.toml is laid out\n1 scenario, 1 changed\n"), "{text}");
    assert!(text.contains(" a.toml:1:1\n"), "{text}");
    assert_eq!(fs::read_to_string(folder.path().join("a.toml")).unwrap(), "schema=1\n");
}
