//! `portcullis sweep` from outside: what passes, what fails and is kept, what is wrong, and what there was no time for.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

#[path = "common/program.rs"]
mod program;

use std::fs;

use tempfile::{TempDir, tempdir};

/// Two hosts that share a state on storage whose locks do not reach across.
const SPLIT: &str = "\
schema = 1
title = \"Two hosts, one state\" # and no locks in common
seeds = 3
length_ms = 20_000
shared_without_locks = [\"one\"]

[gateway.main]
host = \"here\"
state = \"one\"

[gateway.other]
host = \"there\"
state = \"one\"

[[step]]
at_ms = 0
start = \"main\"

[[step]]
at_ms = 5_000
start = \"other\"
";

fn room(plan: &str) -> TempDir {
    let room = tempdir().unwrap();
    fs::write(room.path().join("split.sweep.toml"), plan).unwrap();
    room
}

/// What a sweep with these arguments says, and its exit status.
fn sweep(room: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    portcullis(room, &[&["sweep"], arguments].concat())
}

fn portcullis(room: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    let output = program::portcullis(room.path()).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_seed_that_fails_is_shown_kept_and_tried_first() {
    let room = room(SPLIT);
    let (status, said) = sweep(&room, &["split.sweep.toml", "--keep"]);
    assert_eq!(status, Some(1), "{said}");
    for words in [
        "single-owner: other owns the state that main owns, at 5000 ms",
        "refused: fenced",
        "  replay  portcullis sweep split.sweep.toml --seed 0",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    let kept = fs::read_to_string(room.path().join("split.sweep.toml")).unwrap();
    assert!(kept.contains("regressions = [0]") && kept.contains("# and no locks in common"), "{kept}");
    let (status, said) = sweep(&room, &["split.sweep.toml", "--from", "7"]);
    assert!(status == Some(1) && said.contains("--seed 0"), "{said}");
    let (status, said) = sweep(&room, &["split.sweep.toml", "--seed", "2"]);
    assert!(status == Some(1) && said.contains("refused: fenced") && said.contains("digest "), "{said}");
}

#[test]
fn plans_are_checked_without_being_run_alone_and_beside_scenarios() {
    let room = room(SPLIT);
    for path in [".", "split.sweep.toml"] {
        let (status, said) = portcullis(&room, &["check", path]);
        assert_eq!((status, said.as_str()), (Some(0), "1 plan: no mistake\n"), "{path}");
    }
    assert_eq!(portcullis(&room, &["new", "race.toml"]).0, Some(0));
    let (status, said) = portcullis(&room, &["check", "."]);
    assert_eq!((status, said.as_str()), (Some(0), "1 scenario, 1 case, 1 plan: no mistake\n"));
    // Of both kinds everything is told at once.
    fs::write(room.path().join("split.sweep.toml"), SPLIT.replace("seeds = 3", "seeds = 0")).unwrap();
    fs::write(room.path().join("empty.toml"), "schema = 1\n").unwrap();
    let (status, said) = portcullis(&room, &["check", "."]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("split.sweep.toml: seeds: 1 to ") && said.contains("./empty.toml:1:1"), "{said}");
    let (status, said) = portcullis(&room, &["check", "absent.sweep.toml"]);
    assert!(
        status == Some(2) && said.contains("there is no file or directory `absent.sweep.toml`"),
        "{said}"
    );
}

#[test]
fn what_cannot_hold_is_said_in_the_plan_and_has_to_show() {
    let room =
        room(&format!("{SPLIT}\n[expect]\nbreaks = [\"single-owner\"]\nhappens = [\"ended by exit 70\"]\n"));
    let (status, said) = sweep(&room, &[".", "--twice"]);
    assert!(status == Some(0) && said.contains("PASS") && !said.contains("not seen"), "{said}");
    let text = fs::read_to_string(room.path().join("split.sweep.toml")).unwrap();
    let text = text
        .replace("breaks = [", "breaks = [\"cron-once\", ")
        .replace("exit 70\"", "exit 70\", \"SIGKILL\"");
    fs::write(room.path().join("split.sweep.toml"), text).unwrap();
    let (status, said) = sweep(&room, &[".", "--seeds", "1"]);
    let unseen = "not seen, and of 3 seeds one has to show it: SIGKILL, cron-once";
    assert!(status == Some(0) && said.contains(unseen), "{said}");
    let (status, said) = sweep(&room, &["."]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("no seed shows it: SIGKILL") && said.contains("no seed shows it: cron-once"),
        "{said}"
    );
}

#[test]
fn a_plan_that_is_wrong_is_no_plan_and_time_that_is_spent_is_told() {
    let wrong = room(&SPLIT.replace("start = \"other\"", "start = \"nobody\""));
    let (status, said) = sweep(&wrong, &["split.sweep.toml"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("split.sweep.toml: step at 5000 ms: there is no gateway `nobody`"), "{said}");
    let (status, said) = sweep(&room(SPLIT), &[".", "--budget", "1ms", "--seeds", "1000000"]);
    assert!(
        status == Some(3) && said.contains("go on with: portcullis sweep ./split.sweep.toml --from "),
        "{said}"
    );
    // What is left is the rest of what was asked for.
    let number = |after: &str| said.split_once(after).and_then(|(_, rest)| rest.split_whitespace().next());
    let (from, left) =
        (number("--from ").unwrap(), number("--from ").and_then(|_| number("--seeds ")).unwrap());
    assert_eq!(from.parse::<u64>().unwrap() + left.parse::<u64>().unwrap(), 1_000_000, "{said}");
    let (status, said) = sweep(&tempdir().unwrap(), &["."]);
    assert_eq!(status, Some(4), "{said}");
}

#[test]
fn an_execution_that_takes_too_long_is_cut_off() {
    let hour = SPLIT.replace("20_000", "3_600_000");
    let room = room(&format!("{hour}\n[client.c]\nhost = \"here\"\ngateway = \"main\"\npause_ms = 1\n"));
    let (status, said) = sweep(&room, &[".", "--seed", "0", "--budget", "200ms"]);
    assert!(status == Some(3) && said.contains("it was not over in time"), "{said}");
    let (status, said) = sweep(&room, &[".", "--budget", "200ms"]);
    assert!(status == Some(3) && said.contains(" --from 0 --seeds 3"), "{said}");
}

#[test]
fn a_plan_is_kept_as_it_is_written() {
    let (inline, _) = STORM.split_once("[[step]]").unwrap();
    // With what is added to it, it would be too long.
    let text = inline.replace("A storm", &"t".repeat(495));
    let text = text.replace("[gateway", "step = [{ at_ms = 0, start = \"main\" }]\n\n[gateway");
    let text = format!("{text}[expect]\nnever = [\"ended by SIGKILL\"]\n").replace('\n', "\r\n");
    let room = room(&text);
    let (status, said) = sweep(&room, &["split.sweep.toml", "--seeds", "100", "--keep"]);
    assert!(status == Some(1) && said.contains(", which takes 1 of the "), "{said}");
    for file in fs::read_dir(room.path()).unwrap().flatten() {
        let kept = fs::read_to_string(file.path()).unwrap();
        assert!(kept.contains("regressions"), "{kept}");
        assert_eq!(kept.matches('\n').count(), kept.matches("\r\n").count(), "{kept}");
        let (status, said) = sweep(&room, &[file.path().to_str().unwrap(), "--seeds", "1"]);
        assert_eq!(status, Some(1), "{said}");
    }
}

/// A gateway that a bot has and that is killed for good at some moment that is drawn, and the wish that this never happens.
const STORM: &str = "\
schema = 1
title = \"A storm\"
seeds = 5
length_ms = 30_000
weather_every_ms = 2_000

[gateway.main]
host = \"here\"
restart = \"always\"

[[step]]
at_ms = 0
start = \"main\"

[expect]
never = [\"ended by SIGKILL\"]
";

#[test]
fn what_a_failing_seed_drew_is_written_down_as_a_plan_that_fails_too() {
    let room = room(STORM);
    let (status, said) = sweep(&room, &["split.sweep.toml", "--seeds", "100", "--keep"]);
    assert!(status == Some(1) && said.contains("never: `ended by SIGKILL` happens"), "{said}");
    assert!(said.contains(", which takes 1 of the "), "{said}");
    let of_seed = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains(".seed-");
    let kept = fs::read_dir(room.path()).unwrap().flatten().find(of_seed).unwrap().path();
    let text = fs::read_to_string(&kept).unwrap();
    assert!(!text.contains("weather_every_ms") && text.contains("kill = \"main\""), "{text}");
    let (status, said) = sweep(&room, &[kept.to_str().unwrap(), "--seeds", "1"]);
    assert!(status == Some(1) && said.contains("never: `ended by SIGKILL` happens"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_fails_in_two_places_is_kept_once_for_each_and_time_is_for_both() {
    let alone = SPLIT.replace("shared_without_locks = [\"one\"]\n", "");
    let never = alone + "\n[expect]\nnever = [\"ready\"]\n";
    let room = room(&never);
    let both = [".", "--on", "sim", "--on", "refgate", "--pace", "50", "--keep"];
    let (status, said) = sweep(&room, &both);
    assert!(status == Some(1) && said.matches("FAIL").count() == 2, "{said}");
    let (status, said) =
        sweep(&room, &["split.sweep.toml", "--on", "refgate", "--seeds", "100", "--budget", "1ms"]);
    assert!(status == Some(3) && said.contains("--on refgate --from 0 --seeds 100"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn plans_happen_to_real_processes_and_what_one_machine_has_not_is_named() {
    let room = room(SPLIT);
    let (status, said) = sweep(&room, &[".", "--on", "refgate"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("UNSU  refgate split") && said.contains("it needs storage whose locks"), "{said}");
    let alone = SPLIT.replace("shared_without_locks = [\"one\"]\n", "");
    fs::write(room.path().join("split.sweep.toml"), &alone).unwrap();
    let arguments = [".", "--on", "refgate", "--on", "sim", "--pace", "20", "--seeds", "2"];
    let (status, said) = sweep(&room, &arguments);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("PASS  refgate split") && said.contains("PASS  sim split"), "{said}");
    assert!(said.contains("came     ready 4, started 4"), "{said}");
    let (status, said) = sweep(&room, &[".", "--on", "refgate", "--twice"]);
    assert!(status == Some(2) && said.contains("no two executions of processes are alike"), "{said}");
    let (status, said) = sweep(&room, &[".", "--on", "refgate", "--refgate", "nowhere"]);
    assert!(status == Some(5) && said.contains("there is no gateway at `nowhere`"), "{said}");
    let (status, said) = sweep(&room, &[".", "--on", "refgate", "--refgate", "/bin/true", "--pace", "100"]);
    assert!(status == Some(1) && said.contains("served: no gateway was ever ready"), "{said}");
    let rivals = alone.replace("\"there\"", "\"here\"");
    fs::write(room.path().join("split.sweep.toml"), rivals).unwrap();
    let (status, said) = sweep(&room, &[".", "--on", "refgate", "--pace", "20", "--seed", "0"]);
    assert!(status == Some(0) && said.contains("refused: held-"), "{said}");
}
