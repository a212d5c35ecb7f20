//! A target file is read completely or not at all, every mistake is shown at its place, and its documentation is true.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests read the files that they judge, and fail if they cannot"
)]

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use harness::scenario::Paint;
use harness::target::{Capability, Feature, Request, Signs, Target, parse};

const SMALLEST: &str =
    "schema = 1\nname = \"g\"\n[gateway]\nstart = [\"g\", \"{base}\", \"{state}\"]\n[ready]\ntcp = true\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn shown(text: &str) -> String {
    let path = Path::new("t.toml");
    match parse(path, text) {
        Ok(target) => panic!("it was read: {target:?}"),
        Err(problems) => {
            let drawn: Vec<_> =
                problems.iter().map(|problem| problem.render(path, text, Paint::Plain)).collect();
            drawn.join("\n\n")
        }
    }
}

/// The first line of each problem.
fn messages(text: &str) -> Vec<String> {
    parse(Path::new("t.toml"), text)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|problem| problem.message)
        .collect()
}

/// The example of the documentation.
fn example() -> String {
    let readme = read_to_string(root().join("targets/README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn read(text: &str) -> Target {
    parse(Path::new("t.toml"), text).unwrap_or_else(|_| panic!("{}", shown(text)))
}

#[test]
fn the_smallest_file_has_the_defaults_that_are_documented() {
    let target = read(SMALLEST);
    assert!(target.strict && target.known.is_empty() && target.refusals.is_empty());
    assert_eq!((target.ready_within.0, target.stop_within.0), (30_000, 10_000));
    assert_eq!(target.ports.span(), 0);
    let missing: Vec<&str> = Capability::ALL
        .into_iter()
        .filter_map(|(name, capability)| capability.missing_in(&target).map(|_| name))
        .collect();
    assert_eq!(missing, ["restart", "config", "workspace", "holder", "lock-files", "write", "events"]);
}

#[test]
fn the_example_of_the_documentation_is_read_and_has_every_key_that_is_listed() {
    let text = example();
    let target = read(&text);
    assert!(target.has(Feature::Config) && target.has(Feature::Workspace));
    assert!(!target.has(Feature::AllowFileLock));
    assert!(matches!(target.answers.unwrap().request, Request::WebSocket { .. }));
    assert_eq!(target.known[0].until.unwrap().to_string(), "2027-06-30");
    let readme = read_to_string(root().join("targets/README.md")).unwrap();
    let (_, keys) = readme.split_once("## Keys").unwrap();
    let listed: Vec<&str> = keys
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once(" |"))
        .flat_map(|(keys, _)| keys.trim_end_matches('`').split("`, `"))
        .collect();
    assert!(listed.len() > 30, "{listed:?}");
    // These signs exclude the one that the example has.
    let others = ["tcp", "log", "events"];
    let missing: Vec<&&str> = listed
        .iter()
        .filter(|key| !others.contains(*key))
        .filter(|key| !text.lines().any(|line| line.trim_start().starts_with(**key)))
        .collect();
    assert!(missing.is_empty(), "not in the example: {missing:?}");
}

#[test]
fn no_key_is_known_that_is_not_documented() {
    let readme = read_to_string(root().join("targets/README.md")).unwrap();
    // A table with an unknown key names all that it knows.
    for place in [
        "",
        "[gateway]",
        "[ready]",
        "[answers]",
        "[stop]",
        "[restart]",
        "[write]",
        "[lock]",
        "[[refusal]]",
        "[log]",
        "[[event]]",
        "[[known]]",
    ] {
        let text = format!("{place}\nxyzzyxyzzyxyzzy = 1\n");
        let drawn = shown(&text);
        let (_, after) = drawn.split_once("its keys are: ").unwrap_or_else(|| panic!("{place}: {drawn}"));
        for key in after.lines().next().unwrap().split(", ") {
            let key = key.trim_matches('`');
            let is_told = readme.contains(&format!("`{key}`")) || readme.contains(&format!("[{key}"));
            assert!(is_told, "`{key}` of {place} is not documented");
        }
    }
}

#[test]
fn each_form_of_a_sign_is_read() {
    for (sign, wanted) in [
        ("events = \"refgate\"", "Events"),
        ("log = 'listening on \\d+'", "Log"),
        ("tcp = true", "Tcp"),
        ("http = \"/healthz\"\nstatus = 204", "status: 204"),
        ("websocket = \"/\"", "WebSocket"),
    ] {
        let target = read(&SMALLEST.replace("tcp = true", sign));
        let said = format!("{:?}", target.ready);
        assert!(said.contains(wanted), "{said}");
        assert_eq!(target.answers.is_some(), matches!(target.ready, Signs::Probe(_)), "{sign}");
    }
}

#[test]
fn all_mistakes_are_shown_at_once_each_at_its_place() {
    insta::assert_snapshot!(shown(r#"schema = 1
name = "g"
[gateway]
start = ["g", "--port", "{prot:base}", "{stat}"]
[ready]
http = "healthz"
tcp = true
[ports]
cdp = [110, 11]
[[refusal]]
reason = "hold"
exit = 300
stderr = 'pid (\d+'
[[known]]
case = "port/*"
until = "2027-06-30"
"#), @r#"
    error: there is no `{prot:base}`
     --> t.toml:4:25
      |
    4 | start = ["g", "--port", "{prot:base}", "{stat}"]
      |                         ^^^^^^^^^^^^^ not known
      |
      = help: there are `port:NAME` and: `base`, `state`, `config`, `workspace`, `room`, `name`, `here`, `uid`

    error: there is no `{stat}`
     --> t.toml:4:40
      |
    4 | start = ["g", "--port", "{prot:base}", "{stat}"]
      |                                        ^^^^^^^^ not known
      |
      = help: did you mean `state`?

    error: `[ready]` has two signs
     --> t.toml:6:1
      |
    6 | http = "healthz"
      | ^^^^ another one here
    7 | tcp = true
      | --- one here
      |
      = help: keep the one that comes last when it starts

    error: `http` must be a path, not `healthz`
     --> t.toml:6:8
      |
    6 | http = "healthz"
      |        ^^^^^^^^^ begins with `/` and has no blanks
      |
      = help: the address is 127.0.0.1 and the port `port`, for instance `http = "/healthz"`

    error: the port `cdp` ends before it begins
     --> t.toml:9:7
      |
    9 | cdp = [110, 11]
      |       ^^^^^^^^^ the lower one comes first

    error: no refusal has the reason `hold`
      --> t.toml:11:10
       |
    11 | reason = "hold"
       |          ^^^^^^ not known
       |
       = help: did you mean `held`?

    error: `exit` is 300, which is out of range
      --> t.toml:12:8
       |
    12 | exit = 300
       |        ^^^ not in 0 to 255

    error: `stderr` is no regular expression: found open group without closing ')'
      --> t.toml:13:10
       |
    13 | stderr = 'pid (\d+'
       |          ^^^^^^^^^^ cannot be read
       |
       = help: in single quotes a backslash needs no second one: `'pid (?<pid>\d+)'`

    error: `[[known]]` has no `because`
      --> t.toml:14:1
       |
    14 | [[known]]
       | ^^^^^^^^^ `because` is missing
       |
       = help: add `because`, for instance `because = "one message for both kinds of holder"`

    error: `until` must be a day
      --> t.toml:16:9
       |
    16 | until = "2027-06-30"
       |         ^^^^^^^^^^^^ this is none
       |
       = help: write it without quotes: `until = 2027-06-30`
    "#);
}

#[test]
fn a_mistake_is_told_in_words_that_help() {
    let with = |line: &str| format!("{SMALLEST}{line}\n");
    for (text, message) in [
        (String::new(), "the file has no `schema`"),
        (SMALLEST.replace("\"{base}\", ", ""), "the gateway is never told which port it has"),
        (SMALLEST.replace(", \"{state}\"", ""), "the gateway is never told which state directory it has"),
        (SMALLEST.replace("tcp = true", ""), "`[ready]` has no sign"),
        (SMALLEST.replace("tcp = true", "tcp = true\nlog = 'x'"), "`[ready]` has two signs"),
        (SMALLEST.replace("tcp = true", "tcp = true\nstatus = 200"), "`status` says nothing without `http`"),
        (SMALLEST.replace("tcp = true", "tcp = true\nport = \"cdp\""), "no port is called `cdp`"),
        (SMALLEST.replace("tcp = true", "events = \"mine\""), "no events are called `mine`"),
        (SMALLEST.replace("{base}", "{base"), "a brace stands alone"),
        (with("[options.confg]"), "no scenario asks for `confg`"),
        (with("[stop]\nsignal = \"KILL\""), "`signal` cannot be `KILL`"),
        (with("[[refusal]]\nreason = \"held\""), "nothing tells this refusal from any other end"),
        (
            with("[[refusal]]\nreason = \"held\"\nexit = [1, 2]\n[[refusal]]\nreason = \"port\"\nexit = 2"),
            "this refusal is never seen",
        ),
        (
            with("[[known]]\ncase = \"*\"\nbecause = \"x\"\ncheck = \"outcome\""),
            "no check is called `outcome`",
        ),
        (with("[[known]]\ncase = \"*\""), "`[[known]]` has no `because`"),
    ] {
        let said = messages(&text);
        let is_told = said.iter().any(|said| said.contains(message));
        assert!(is_told, "{message}: {said:?}");
    }
}

#[test]
fn no_broken_file_panics_and_each_has_a_located_problem() {
    let whole = example();
    for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
        let text = &whole[..cut];
        if let Err(problems) = parse(Path::new("t.toml"), text) {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| problem.span.end <= text.len() + 1), "{cut}");
        }
    }
    let mut files = 0;
    for (index, _) in whole.match_indices(['=', '[', '"', '{', '\'', ']', '}']) {
        let text = format!("{}\u{0}{}", &whole[..index], &whole[index + 1..]);
        let problems = parse(Path::new("t.toml"), &text).err().unwrap_or_default();
        assert!(!problems.is_empty(), "{text}");
        files += 1;
    }
    assert!(files > 150, "{files}");
}

#[test]
fn every_target_that_is_shipped_is_read() {
    for name in ["refgate", "openclaw"] {
        let path = root().join(format!("targets/{name}.toml"));
        let target =
            harness::target::load(&path).unwrap_or_else(|error| panic!("{}", error.render(Paint::Plain)));
        assert_eq!(target.name, name);
    }
}
