//! Somebody overwrites a lock file where it is: what it holds then, on the simulated machine and on a real one.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]
#![expect(clippy::disallowed_methods, reason = "the tests make programs that are run")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use harness::designs::Design;
use harness::real::{Isolation, Options};
use harness::scenario::{Case, parse};
use harness::target::Target;
use harness::verdict::Verdict;
use harness::{real, simulate};

/// The owner is killed, its lock file is overwritten, and `b` starts.
fn case(with: &str, outcome: &str) -> Case {
    let text = format!(
        "schema = 1\ntitle = \"t\"\n[gateway]\na = {{ state = \"S\", port = 18789 }}\nb = {{ state = \"S\", port = 18789 }}\n\
         [process]\ncron = {{ looks_like = \"cron -f\" }}\n\
         [run]\nsetup = [{{ start = [\"cron\", \"a\"] }}, {{ wait = \"a.ready\" }}, {{ kill = \"a\" }}, {{ wait = \"a.gone\" }}, \
         {{ tamper = \"lock-file\", state = \"S\", with = {with} }}]\n\
         steps = [{{ start = \"b\" }}, {{ wait = \"settled\" }}]\n[expect]\nalways = [\"no-theft\"]\n\
         outcomes = [{{ b = \"{outcome}\" }}]\n[explore]\nspan = 1\n"
    );
    parse(Path::new("t.toml"), &text).unwrap().cases().remove(0)
}

const EMPTY: &str = "\"empty\"";
const GARBAGE: &str = "\"garbage\"";
const HALF: &str = "\"half\"";
const PID: &str = "\"pid\", of = \"cron\"";

#[test]
fn each_lock_makes_of_a_file_that_was_overwritten_what_its_rules_make_of_it() {
    for (with, design, outcome) in [
        // What is no pid is nobody's, for ever; half of three digits is a pid that nobody has.
        (EMPTY, "N3", "refused:held"),
        (GARBAGE, "N3", "refused:held"),
        (HALF, "N3", "ready"),
        (PID, "N3", "refused:held"),
        // A file that says nothing is stale when it is old enough, and it was written just now.
        (EMPTY, "N5", "refused:held"),
        // It never reads what it has locked.
        (EMPTY, "N14", "ready"),
        (EMPTY, "refgate", "ready"),
        (GARBAGE, "refgate", "ready"),
        (HALF, "refgate", "ready"),
        (PID, "refgate", "ready"),
    ] {
        let verdict = simulate::run_case(&case(with, outcome), Design::of(design).unwrap());
        assert!(matches!(verdict, Verdict::Pass(_)), "{with} {design}: {verdict:?}");
    }
}

/// Says by its reason what it finds in the lock file of an owner that is gone.
const READER: &str = r#"d=$OPENCLAW_STATE_DIR; mkdir -p $d
refuse() { echo "{\"event\":\"refused\",\"code\":\"$1\",\"exit\":78}"; exit 78; }
if [ ! -e $d/gateway.lock ]; then
  printf 12345678 > $d/gateway.lock
  echo '{"event":"owner"}'; echo '{"event":"ready"}'; exec sleep 1000
fi
found=$(tr -d '\000' < $d/gateway.lock)
[ -s $d/gateway.lock ] || refuse read-only
[ "$found" = 1234 ] && refuse held
kill -0 "$found" 2>/dev/null && refuse held-ready
refuse error"#;

#[test]
fn a_real_lock_file_is_overwritten_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("refgate");
    fs::write(&path, format!("#!/bin/sh\n{READER}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let options = Options {
        target: Target::refgate(&path),
        helper: PathBuf::from(env!("CARGO_BIN_EXE_portcullis")),
        tries: Some(1),
        seed: 1,
        isolation: Isolation::WherePossible,
        interrupted: Arc::new(AtomicBool::new(false)),
    };
    for (with, outcome) in [
        (EMPTY, "refused:read-only"),
        (HALF, "refused:held"),
        (PID, "refused:held-ready"),
        (GARBAGE, "refused:error"),
    ] {
        let verdict = real::run_case(&case(with, outcome), &options);
        assert!(matches!(verdict, Verdict::Pass(_)), "{with}: {verdict:?}");
    }
    let mut mute = options.clone();
    mute.target.locks.files.clear();
    let Verdict::Unsupported(why) = real::run_case(&case(EMPTY, "ready"), &mute) else {
        panic!("it was tried")
    };
    assert_eq!(why, "refgate cannot do it: tampering with lock files needs `[lock] files`");
}
