//! What a user sees for a path that is no scenario: one error for each, with the path and a remedy.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use harness::scenario::{MAX_FILE_BYTES, Paint, load};
use tempfile::TempDir;

const VALID: &str = r#"
schema = 1
title = "t"
gateway.a = { state = "S", port = 18789 }
run.steps = [{ start = "a" }, { wait = "settled" }]
expect.outcomes = [{ a = "ready" }]
"#;

struct Folder(TempDir);

impl Folder {
    #[expect(clippy::expect_used, reason = "a test cannot go on without its files")]
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory can be made"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[expect(clippy::disallowed_methods, clippy::expect_used, reason = "a test prepares files")]
    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .expect("a directory can be made");
        fs::write(path, bytes).expect("a file can be written");
        self
    }

    /// The names of the scenarios at a path, or what is drawn, with the folder's own path taken out.
    fn load(&self, names: &[&str]) -> String {
        let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        match load(&paths) {
            Ok(scenarios) => {
                scenarios.iter().map(|scenario| scenario.name.clone()).collect::<Vec<_>>().join(" ")
            }
            Err(errors) => errors.render(Paint::Plain).replace(&format!("{}/", self.0.path().display()), ""),
        }
    }
}

#[test]
fn directories_are_read_recursively_and_in_order_without_hidden_and_other_files() {
    let folder = Folder::new()
        .with("lib/b.toml", VALID)
        .with("lib/a/z.toml", VALID)
        .with("lib/a.toml", VALID)
        .with("lib/.hidden.toml", "broken")
        .with("lib/.git/x.toml", "broken")
        .with("lib/README.md", "# not a scenario");
    assert_eq!(folder.load(&["lib"]), "a/z a b");
}

#[test]
fn a_case_is_called_the_same_however_its_file_was_asked_for() {
    let folder = Folder::new().with("scenarios/race/x.toml", VALID);
    for path in ["scenarios", "scenarios/race", "scenarios/race/x.toml", ""] {
        assert_eq!(folder.load(&[path]), "race/x", "{path}");
    }
}

#[test]
fn a_file_that_is_reached_twice_is_read_once() {
    let folder = Folder::new().with("lib/x.toml", VALID);
    symlink("x.toml", folder.path("lib/y.toml")).expect("a link can be made");
    assert_eq!(folder.load(&["lib/x.toml", "lib", "lib/y.toml"]), "x");
}

#[test]
fn two_files_of_one_name_are_told_apart_by_their_whole_paths() {
    let folder = Folder::new().with("one/x.toml", VALID).with("two/x.toml", VALID);
    let names = folder.load(&["one/x.toml", "two/x.toml"]);
    assert!(names.starts_with("x ") && names.ends_with("two/x"), "{names}");
}

#[test]
fn symbolic_links_that_lead_back_up_are_not_followed() {
    let folder = Folder::new().with("lib/a/x.toml", VALID);
    symlink("..", folder.path("lib/a/up")).expect("a link can be made");
    symlink("loop.toml", folder.path("loop.toml")).expect("a link can be made");
    assert_eq!(folder.load(&["lib"]), "a/x");
    insta::assert_snapshot!(folder.load(&["loop.toml"]), @r#"
    error: `loop.toml` cannot be read: filesystem loop or indirection limit (e.g. symlink loop)
     |
     = help: check what it is and where it leads
    "#);
}

#[test]
fn every_path_that_is_no_scenario_has_its_own_error_and_all_are_reported() {
    let folder = Folder::new()
        .with("lib/two-gateways.toml", VALID)
        .with("empty.toml", " \n")
        .with("binary.toml", b"schema = 1\n\xff\xfe")
        .with("notes.txt", VALID)
        .with("large.toml", vec![b'#'; usize::try_from(MAX_FILE_BYTES).expect("it fits") + 1])
        .with("wrong.toml", "schema = 1\ntitel = \"t\"\n")
        .with("none/README.md", "");
    let paths = [
        "lib/two-gateway.toml",
        "nowhere/at/all",
        "empty.toml",
        "binary.toml",
        "notes.txt",
        "large.toml",
        "none",
        "wrong.toml",
    ];
    insta::assert_snapshot!(folder.load(&paths), @r#"
    error: there is no file or directory `lib/two-gateway.toml`
     |
     = help: did you mean `lib/two-gateways.toml`?

    error: there is no file or directory `nowhere/at/all`
     |
     = help: check the path; it is taken from the current directory

    error: `empty.toml` is empty
     |
     = help: a scenario begins with `schema = 1`

    error: `binary.toml` is not UTF-8 text: byte 11 fits no character
     |
     = help: a scenario is a text file in UTF-8; is this the right file?

    error: `notes.txt` is not called like a scenario
     |
     = help: a scenario file ends in `.toml`, and a sweep in `.sweep.toml`

    error: `large.toml` is larger than 1048576 bytes
     |
     = help: a scenario is a page of text; is this the right file?

    error: there is no scenario in the directory `none`
     |
     = help: scenario files end in `.toml`; hidden files do not count, and sweeps are none

    error: the file has no `gateway`
     --> wrong.toml:1:1
      |
    1 | schema = 1
      | ^ `gateway` is missing
      |
      = help: add `gateway`, for instance `[gateway.a]`

    error: the file has no `run`
     --> wrong.toml:1:1
      |
    1 | schema = 1
      | ^ `run` is missing
      |
      = help: add `run`, for instance `[run]`

    error: the file has no `expect`
     --> wrong.toml:1:1
      |
    1 | schema = 1
      | ^ `expect` is missing
      |
      = help: add `expect`, for instance `[expect]`

    error: the file has no key `titel`
     --> wrong.toml:2:1
      |
    2 | titel = "t"
      | ^^^^^ unknown key
      |
      = help: did you mean `title`?
    "#);
}

#[test]
fn a_device_is_not_read() {
    let errors = load(&[PathBuf::from("/dev/zero")]).expect_err("a device is no scenario");
    assert_eq!(errors.to_string(), "`/dev/zero` is neither a file nor a directory");
}

#[test]
fn a_broken_link_in_a_directory_is_not_skipped() {
    let folder = Folder::new().with("lib/x.toml", VALID);
    symlink("gone.toml", folder.path("lib/y.toml")).expect("a link can be made");
    assert!(folder.load(&["lib"]).starts_with("error: there is no file or directory `lib/y.toml`"));
}

#[test]
fn a_file_that_this_user_may_not_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new().with("x.toml", VALID);
    fs::set_permissions(folder.path("x.toml"), fs::Permissions::from_mode(0o000)).expect("a mode can be set");
    // The superuser may read it all the same.
    let seen = folder.load(&["x.toml"]);
    assert!(seen == "x" || seen.starts_with("error: `x.toml` cannot be read: permission denied"), "{seen}");
    assert!(Path::new(&folder.path("x.toml")).exists());
}
