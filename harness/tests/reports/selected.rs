//! Which cases are run: by expression, by part, by what failed before, and by a profile.

use insta::assert_snapshot;

use super::{BROKEN, Room, text, verdicts};

#[test]
fn expressions_tags_and_executors_pick_cases_out() {
    let room = Room::new();
    let picked = |arguments: &[&str]| verdicts(&room.events(arguments));
    let alone = ["sim alone[18789] pass", "sim alone[18989] pass", "sim alone[19189] pass"];
    assert_eq!(picked(&["-E", "tag(alone)"]), alone);
    assert_eq!(picked(&["-E", "test(alone) & not test(/189\\]$/)"]), alone[..2]);
    assert_eq!(picked(&["-E", "file(*unsupp*)"]), ["sim unsupported pass"]);
    assert_eq!(
        picked(&["-E", "test(=race)", "-E", "test(unsupp)"]),
        ["sim race pass", "sim unsupported pass"]
    );
    let both = ["--on", "refgate", "--on", "sim"];
    assert_eq!(
        picked(
            &[&both[..], &["-E", "executor(refgate) & test(unsupp) | executor(sim) & test(9189)"]].concat()
        ),
        ["refgate unsupported unsupported", "sim alone[19189] pass"]
    );
    let listed = text(&room.portcullis(&["list", "-E", "tag(smoke) - test(189])"]).stdout);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let nothing = room.portcullis(&["run", "-E", "none()"]);
    assert_eq!(nothing.status.code(), Some(4));
}

#[test]
fn what_did_not_pass_is_run_again_until_it_does() {
    let room = Room::new();
    let ended = |arguments: &[&str]| {
        let output = room.portcullis(&[&["run"], arguments].concat());
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let (status, told) = ended(&["--rerun", "failed"]);
    assert_eq!(status, 4);
    assert!(told.starts_with("error: nothing is known of an earlier run: "), "{told}");
    assert_eq!(ended(&["--design", BROKEN, "-E", "test(race)|test(alone)"]).0, 1);
    // A run of something else does not make it forgotten.
    assert_eq!(ended(&["-E", "test(alone)"]).0, 0);
    assert_eq!(verdicts(&room.events(&["--rerun", "failed", "--design", BROKEN])), ["sim race fail"]);
    assert_eq!(verdicts(&room.events(&["--rerun", "failed"])), ["sim race pass"]);
    let (status, told) = ended(&["--rerun", "failed"]);
    assert_eq!(status, 4);
    assert!(told.contains("none is known that did not pass"), "{told}");
    assert_eq!(room.read(".portcullis/.gitignore"), "*\n");
    assert!(room.read(".portcullis/latest/run.jsonl").contains("\"run-end\""));
    assert!(room.read(".portcullis/latest/report.html").contains("<title>portcullis: passed</title>"));
}

#[test]
fn a_profile_gives_options_and_the_command_line_wins() {
    let room = Room::new();
    room.write(
        "portcullis.toml",
        "[profile.default]\njobs = 1\n[profile.ci]\nfilter = \"test(race)\"\ndesign = \"pidfile-unlink-stale\"\nquiet = true\n\
         jsonl = \"ci.jsonl\"\n",
    );
    let output = room.portcullis(&["run", "--profile", "ci"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("-----"), "quiet");
    assert!(room.read("ci.jsonl").contains("\"profile\":\"ci\""));
    // It is found from below, too, and its folder lies beside it.
    let below = room.path("scenarios").display().to_string();
    let from_below = assert_cmd::cargo::cargo_bin_cmd!("portcullis")
        .current_dir(below)
        .args(["run", "--profile", "ci", "--design", "refgate", "race.toml", "--jsonl", "below.jsonl"])
        .output()
        .unwrap();
    assert_eq!(from_below.status.code(), Some(0), "{}", text(&from_below.stderr));
    assert!(!room.path("scenarios/.portcullis").exists());
    let events = super::lines(&room.read("scenarios/below.jsonl"));
    assert_eq!(events[0]["design"], "refgate");
}

#[test]
fn every_mistake_in_a_profile_is_shown_at_its_place() {
    let room = Room::new();
    room.write(
        "portcullis.toml",
        "[profile.ci]\njosb = 2\njobs = 1000\nquiet = \"yes\"\nbudget = \"soon\"\non = [\"sim\", \"refgate\"]\n[profiles.x]\n",
    );
    let output = room.portcullis(&["run"]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr).replace(&room.path("").display().to_string(), "ROOM/");
    let told = anstream::adapter::strip_str(&told).to_string();
    assert_snapshot!(told, @r#"
    error: a profile has no key `josb`
     --> ROOM/portcullis.toml:2:1
      |
    2 | josb = 2
      | ^^^^ unknown key
      |
      = help: did you mean `jobs`?

    error: `jobs` cannot be `1000`: 1000 is not in 1..=256
     --> ROOM/portcullis.toml:3:8
      |
    3 | jobs = 1000
      |        ^^^^

    error: `quiet` is `true` or `false`
     --> ROOM/portcullis.toml:4:9
      |
    4 | quiet = "yes"
      |         ^^^^^

    error: `budget` cannot be `soon`: it is a number with a unit, for instance `90s`, `10m` or `1h`
     --> ROOM/portcullis.toml:5:10
      |
    5 | budget = "soon"
      |          ^^^^^^

    error: there is no key `profiles` here
     --> ROOM/portcullis.toml:7:2
      |
    7 | [profiles.x]
      |  ^^^^^^^^ unknown key
      |
      = help: its only key is `profile`, for instance `[profile.ci]`
    "#);
}

#[test]
fn a_profile_that_is_not_there_is_named_with_those_that_are() {
    let room = Room::new();
    let told = |room: &Room| {
        let output = room.portcullis(&["run", "--profile", "cii"]);
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).replace(&room.path("").display().to_string(), "ROOM/")
    };
    assert_snapshot!(told(&room), @"
    error: there is no profile `cii`: no `portcullis.toml` lies in the current directory or above it
      = help: write one with a table `[profile.cii]`, or leave out `--profile`
    ");
    room.write("portcullis.toml", "[profile.ci]\n[profile.nightly]\n");
    assert_snapshot!(told(&room), @"
    error: ROOM/portcullis.toml has no profile `cii`
      = help: it has `ci`, `nightly`
    ");
}

#[test]
fn completions_and_manual_pages_are_there_for_every_command() {
    let room = Room::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = room.portcullis(&["completions", shell]);
        let script = text(&output.stdout);
        assert!(output.status.success() && script.contains("partition"), "{shell}");
    }
    let page = text(&room.portcullis(&["man"]).stdout);
    assert!(page.contains(".TH portcullis 1") && page.contains("Exit status"), "{page}");
    assert!(room.portcullis(&["man", "--directory", "pages"]).status.success());
    for name in ["portcullis", "portcullis-run", "portcullis-report-merge"] {
        assert!(room.read(&format!("pages/{name}.1")).contains(".SH NAME"), "{name}");
    }
}

#[test]
fn the_profiles_and_the_recipes_of_this_repository_are_valid() {
    let run = |profile: &str| {
        let mut command = assert_cmd::cargo::cargo_bin_cmd!("portcullis");
        let arguments = ["run", "--profile", profile, "-E", "none()"];
        command.current_dir(super::root()).env_remove("PORTCULLIS_PROFILE").args(arguments).output().unwrap()
    };
    for profile in ["ci", "nightly"] {
        let output = run(profile);
        assert_eq!(output.status.code(), Some(4), "{profile}: {}", text(&output.stderr));
    }
    let recipes = std::fs::read_to_string(super::root().join("docs/ci.md")).unwrap();
    let room = Room::new();
    let help = ["run", "report"].map(|command| match command {
        "run" => text(&room.portcullis(&["run", "--help"]).stdout),
        _ => text(&room.portcullis(&["report", "merge", "--help"]).stdout),
    });
    let options: std::collections::BTreeSet<&str> = recipes
        .split(|c: char| !(c.is_ascii_alphabetic() || c == '-'))
        .filter(|word| {
            word.starts_with("--") && word.len() > 3 && !["--release", "--locked", "--bin"].contains(word)
        })
        .collect();
    assert!(options.len() > 6, "{options:?}");
    let has = |help: &str, option: &str| {
        help.split(|c: char| c != '-' && !c.is_ascii_alphabetic()).any(|word| word == option)
    };
    for option in options.iter().filter(|option| **option != "--help") {
        assert!(help.iter().any(|help| has(help, option)), "{option}");
    }
}
