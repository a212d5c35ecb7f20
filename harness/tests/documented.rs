//! Whatever command is shown to somebody works: each example in the help runs, and each command line on a page of the
//! documentation is run here, or by the test that is named.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

#[path = "common/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Where commands find what they name: the library, the targets, and the logs of an incident.
fn room() -> TempDir {
    let room = tempdir().unwrap();
    for folder in ["scenarios", "targets"] {
        copy(&root().join(folder), &room.path().join(folder));
    }
    let named = [
        ("incident/one.log", "a.log"),
        ("incident/two.log", "b.log"),
        ("incident/both.log", "other.log"),
        ("stranger/naive.toml", "other.toml"),
    ];
    fs::copy(root().join("portcullis.toml"), room.path().join("portcullis.toml")).unwrap();
    for (from, name) in named {
        fs::copy(root().join("harness/tests/fixtures").join(from), room.path().join(name)).unwrap();
    }
    room
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(from, to).map(drop).unwrap() }
    }
}

/// The words of a line, as a shell takes them apart; quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split(['\'', '"']).enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// The token that the README shows.
fn token() -> String {
    read("README.md").split_whitespace().find(|word| word.starts_with("v1.")).unwrap().to_owned()
}

/// Runs a command line in a room, with the token where `TOKEN` stands.
fn exit(room: &Path, line: &str) -> (Option<i32>, String) {
    let words = words(line);
    let words = words.iter().map(|word| if word == "TOKEN" { token() } else { word.clone() });
    let output = program::portcullis(room).args(words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn understood(line: &str) {
    // `N` stands for a number.
    let words = words(line).into_iter().map(|word| if word == "N" { "3".to_owned() } else { word });
    let arguments = ["portcullis".to_owned()].into_iter().chain(words);
    if let Err(why) = harness::cli::understands(arguments) {
        panic!("{line}: {why}");
    }
}

// ---------------------------------------------------------------------------------------------------------------- help

/// What `--help` shows of a command and of those below it.
fn helps(path: &[String], all: &mut Vec<(String, String)>) {
    let output = program::portcullis(&root()).args(path).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let below =
        text.split_once("\nCommands:\n").map(|(_, below)| below.split("\n\n").next().unwrap().to_owned());
    all.push((path.join(" "), text));
    for line in below.iter().flat_map(|below| below.lines()) {
        let name = line.strip_prefix("  ").and_then(|line| line.split(' ').next()).unwrap_or_default();
        if !name.is_empty() && name != "help" {
            helps(&[path, &[name.to_owned()]].concat(), all);
        }
    }
}

/// The commands below `Examples:`, without the name of the program.
fn examples(help: &str) -> Vec<&str> {
    let Some((_, examples)) = help.split_once("\nExamples:\n") else { return Vec::new() };
    examples.lines().filter_map(|line| line.strip_prefix("  portcullis ")).collect()
}

/// Commands without an example: their help is one itself, or they have no arguments but their words.
const WITHOUT: [&str; 6] = ["", "target", "report", "schema", "completions", "man"];

/// Examples that end with another status than 0, as the help says; the rest of a comment would have to say so.
const NOT_ZERO: [(&str, i32); 5] = [
    ("run scenarios/pid/stale-lock-race.toml --design pidfile-unlink-stale", 1),
    ("replay TOKEN", 1),
    ("replay TOKEN --save race.causal", 1),
    ("replay race.causal", 1),
    ("explain scenarios/pid/stale-lock-race.toml --design pidfile-unlink-stale", 1),
];

const CONFORM: &str = "sim/tests/conformance.rs ten_thousand_generated_sequences_go_as_on_linux";
const SWEEPS: &str = "harness/network/tests/files.rs every_plan_of_the_library_is_clean";
const SWEPT: &str = "harness/network/tests/processes/plans.rs keeps_its_promises";
const STRESS: &str = "harness/tests/real/stress.rs a_lock_that_its_operator_can_delete_has_two_owners_and_the_shipped_one_has_not";

/// Examples that take longer than a test may, or need what not every machine has, and the test that does the same.
const ELSEWHERE: [(&str, &str); 6] = [
    ("conform --sequences 200", CONFORM),
    ("conform --only 17 --seed 1", CONFORM),
    ("sweep scenarios/channel --seeds 50 --twice", SWEEPS),
    ("sweep scenarios/channel --on refgate", SWEPT),
    ("stress --seconds 20", STRESS),
    ("stress --seconds 3 --design flock-recheck-never-unlink", STRESS),
];

#[test]
fn every_example_in_the_help_runs() {
    let mut helps = Vec::new();
    self::helps(&[], &mut helps);
    let room = room();
    let mut ran = 0;
    for (command, help) in &helps {
        let examples = examples(help);
        assert!(!examples.is_empty() || WITHOUT.contains(&&**command), "`{command}` has no example");
        for line in examples {
            if let Some((_, test)) = ELSEWHERE.iter().find(|(known, _)| *known == line) {
                understood(line);
                exists(test);
                continue;
            }
            let wanted = NOT_ZERO.iter().find(|(known, _)| *known == line).map_or(0, |(_, status)| *status);
            let (status, text) = exit(room.path(), line);
            assert_eq!(status, Some(wanted), "{line}\n{text}");
            ran += 1;
        }
    }
    assert!(ran > 20, "{ran} examples ran");
}

/// Holds that a test exists, told as its file and its name.
fn exists(test: &str) {
    let (file, name) = test.split_once(' ').unwrap();
    assert!(read(file).contains(name), "there is no test {test}");
}

// --------------------------------------------------------------------------------------------------------------- pages

/// How a command of a page is held to work.
enum Proof {
    /// It is run, and ends with this status.
    Runs(i32),
    /// It is run with this in the place of its arguments, since it would take too long.
    Less(&'static str, i32),
    /// A test runs it, told as its file and its name.
    By(&'static str),
}
use Proof::{By, Less, Runs};

const INCIDENTS: &str = "harness/tests/imported/page.rs each_command_of_the_page_shows_what_the_page_says";
const STRANGER: &str = "harness/tests/real/stranger.rs a_naive_lock_is_caught_on_real_processes_and_a_kernel_lock_passes_the_same_cases";

/// Every command line that a page shows, in the order in which they are first shown: some need what others leave.
const SHOWN: [(&str, Proof); 51] = [
    ("run scenarios --on sim --on refgate", Less("run scenarios/port --on sim --on refgate --tries 1", 0)),
    ("run scenarios/pid/stale-lock-race.toml --design pidfile-unlink-stale", Runs(1)),
    (
        "replay v1.scenarios/pid/stale-lock-race.pidfile-unlink-stale.bf1e42c3.8d3c3958.0007010e0005.91aa",
        Runs(1),
    ),
    ("explain scenarios/pid/stale-lock-race.toml --design pidfile-unlink-stale", Runs(1)),
    ("sweep scenarios", Less("sweep scenarios --seeds 2", 0)),
    (
        "sweep scenarios/channel --seeds 50 --twice",
        Less("sweep scenarios/channel/restart-and-takeover.sweep.toml --seeds 2 --twice", 0),
    ),
    (
        "sweep scenarios/channel --budget 10m --seeds 100000",
        Less("sweep scenarios/channel --budget 1ms --seeds 100000", 3),
    ),
    ("sweep scenarios/network/one-state-on-two-hosts.sweep.toml --seed 3", Runs(0)),
    (
        "sweep scenarios/channel --on refgate",
        Less("sweep scenarios/channel/restart-and-takeover.sweep.toml --on refgate --seeds 1 --pace 20", 0),
    ),
    (
        "sweep scenarios/rescue --on sim --on refgate --seeds 5",
        Less("sweep scenarios/rescue --on sim --on refgate --seeds 1 --pace 20", 0),
    ),
    (
        "matrix",
        By("harness/tests/locks/matrix.rs every_generation_does_in_every_known_case_what_is_known_of_it"),
    ),
    (
        "run scenarios/race --sample 100000 --sampler pct",
        Less("run scenarios/race/two-gateways.toml --sample 100 --sampler pct", 0),
    ),
    ("run scenarios/pid --twice", Less("run scenarios/pid/recycled-pid.toml --twice", 0)),
    ("stress --seconds 20", By(STRESS)),
    (
        "target check my-gateway.toml",
        By("harness/tests/real/stranger.rs a_target_is_tested_in_a_short_table"),
    ),
    ("run scenarios --on my-gateway.toml", By(STRANGER)),
    ("conform --sequences 10000", By(CONFORM)),
    ("replay TOKEN --save FILE", Less("replay TOKEN --save race.causal", 1)),
    ("replay FILE", Less("replay race.causal", 1)),
    ("stress --seconds 60", By(STRESS)),
    ("run --profile ci", Less("run scenarios/port --profile ci", 0)),
    ("list --designs", Runs(0)),
    ("schema scenario", Runs(0)),
    ("import a.log b.log -o incident.toml", Runs(0)),
    ("run incident.toml --match timeline", Runs(0)),
    ("run scenarios", Less("run scenarios/port", 0)),
    ("run scenarios --on refgate", Less("run scenarios/port --on refgate --tries 1", 0)),
    ("run scenarios/race/two-gateways.toml", Less("run scenarios/race/two-gateways.toml --sample 100", 0)),
    ("check scenarios", Runs(0)),
    ("fmt scenarios", Runs(0)),
    ("run --sample 100", Less("run scenarios/pid --sample 100", 0)),
    ("run FILE --match timeline", By(INCIDENTS)),
    ("target check targets/openclaw.toml", Less("target check --read-only targets/openclaw.toml", 0)),
    ("run --on targets/openclaw.toml scenarios/race", By(STRANGER)),
    ("schema target", Runs(0)),
    ("target check --read-only FILE", Less("target check --read-only targets/refgate.toml", 0)),
    (
        "run --profile ci --partition hash:1/4 --jsonl part-1.jsonl",
        Less("run scenarios/port --profile ci --partition hash:1/4 --jsonl part-1.jsonl", 0),
    ),
    // Three parts are missing then.
    ("report merge part-*.jsonl --artifacts report", Less("report merge part-1.jsonl --artifacts report", 3)),
    ("run --partition \"hash:1/16\"", Less("run scenarios/port --partition \"hash:1/16\"", 0)),
    ("schema plan", Runs(0)),
    ("schema profiles", Runs(0)),
    ("schema events", Runs(0)),
    (
        "report merge /parts/*.jsonl --artifacts /parts/report",
        Less("report merge part-1.jsonl --artifacts parts/report", 3),
    ),
    (
        "run --rerun failed",
        By("harness/tests/reports/selected.rs what_did_not_pass_is_run_again_until_it_does"),
    ),
    ("import one.log two.log three.log --output incident.toml", By(INCIDENTS)),
    ("import both.log --target naive.toml --output split.toml", By(INCIDENTS)),
    ("run split.toml --match timeline", By(INCIDENTS)),
    ("run split.toml --match timeline --design pidfile-check-then-write", By(INCIDENTS)),
    ("run --match timeline", By(INCIDENTS)),
    ("replay TOKEN", Runs(1)),
    ("run incident.toml", Less("run incident.toml --max-states 1000", 3)),
];

/// A line with a 1 for each `BEGIN...END`, which a shell or a CI system puts something in for.
fn filled(line: &str, begin: &str, end: &str) -> String {
    match line.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1))) {
        Some((before, after)) => format!("{before}1{}", filled(after, begin, end)),
        None => line.to_owned(),
    }
}

/// The command lines of a page: in its blocks, and between backticks where a command has arguments.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut prose = String::new();
    let mut is_block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if is_block || line.starts_with("    ") {
            // What a program prints names commands between backticks.
            let line = line.trim_start().trim_start_matches("- run: ").trim_start_matches("$ ");
            let line = line.trim_start_matches("target/release/");
            let command = line
                .strip_prefix("cargo run --bin portcullis -- ")
                .or_else(|| line.strip_prefix("portcullis "));
            let command = command.filter(|line| !line.contains('`'));
            commands.extend(command.map(|line| filled(&filled(line, "${{", "}}"), "$((", "))")));
        } else {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    // The name of a command alone is a mention of it.
    let is_line = |span: &&str| span.contains(' ') && !["target check", "report merge"].contains(span);
    let spans = prose.split('`').skip(1).step_by(2).filter_map(|span| span.strip_prefix("portcullis "));
    commands.extend(spans.filter(is_line).map(str::to_owned));
    let words = |line: String| {
        line.split(" #").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    commands
        .into_iter()
        .map(words)
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

#[test]
fn every_command_of_the_documentation_is_run_by_a_test() {
    let room = room();
    let mut seen = BTreeSet::new();
    let mut missing = Vec::new();
    for page in PAGES {
        for line in commands(&read(page)) {
            for file in words(&line).iter().filter(|word| word.starts_with("scenarios/")) {
                assert!(root().join(file).exists(), "{page}: {line}: there is no {file}");
            }
            if !seen.insert(line.clone()) {
                continue;
            }
            understood(&line);
            let Some((_, proof)) = SHOWN.iter().find(|(known, _)| *known == line) else {
                missing.push(format!("{page}: {line}"));
                continue;
            };
            match proof {
                Runs(wanted) => {
                    let (status, text) = exit(room.path(), &line);
                    assert_eq!(status, Some(*wanted), "{page}: {line}\n{text}");
                }
                Less(less, wanted) => {
                    let (status, text) = exit(room.path(), less);
                    assert_eq!(status, Some(*wanted), "{page}: {less}\n{text}");
                }
                By(test) => exists(test),
            }
        }
    }
    assert!(missing.is_empty(), "no test is named for\n{}", missing.join("\n"));
    let gone: Vec<_> = SHOWN.iter().map(|(line, _)| *line).filter(|line| !seen.contains(*line)).collect();
    assert!(gone.is_empty(), "no page shows {gone:?}");
}

const PAGES: [&str; 7] = [
    "README.md",
    "scenarios/README.md",
    "targets/README.md",
    "docs/ci.md",
    "docs/incidents.md",
    "docs/library.md",
    "docs/sweeps.md",
];
