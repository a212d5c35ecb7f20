//! Every mistake in a timeline, and in what a target says of its log, is told at its line.

use std::path::Path;

use harness::scenario::{self, Problem};
use harness::target;
use insta::assert_snapshot;

const FRAME: &str = r#"schema = 1
title  = "A frame"
[gateway]
a = { state = "S", port = 18789 }
[process]
p = { looks_like = "cron" }
[run]
steps = [{ start = ["a", "p"] }, { wait = "settled" }]
[expect]
outcomes = [{ a = "ready" }]
"#;

/// The line, the message and the remedy of each problem.
fn told(text: &str, problems: &[Problem]) -> String {
    let line = |problem: &Problem| {
        let help = problem.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{}: {}{help}\n", problem.line(text), problem.message)
    };
    problems.iter().map(line).collect()
}

#[test]
fn every_mistake_in_a_timeline_is_told_at_its_line() {
    let text = format!(
        "{FRAME}{}",
        r#"[timeline]
tells   = ["reddy", "started"]
skew_ms = -1
logs    = [["a"], ["a", "x"]]
clocks  = 1
events  = [
  { a = "reddy" },
  { a = "refused:held-redy", names = "y" },
  { p = "ready" },
  { a = "ready", at_us = 9, names = "a" },
  { a = "refused", at_us = 8 },
  { a = "ready" },
  { },
]
"#
    );
    let problems = scenario::parse(Path::new("t.toml"), &text).unwrap_err();
    assert_snapshot!(told(&text, &problems), @r#"
    12: `reddy` is not what a gateway tells (did you mean `ready`?)
    12: `started` is not what a gateway tells (it can tell: `owner`, `ready`, `released`, `refused`)
    13: `skew_ms` is -1, which is out of range
    14: `a` stands in two logs
    14: no process is called `x` (declared are: `a`, `p`)
    15: `[timeline]` has no key `clocks` (its keys are: `tells`, `skew_ms`, `logs`, `events`)
    17: no event is called `reddy` (did you mean `ready`?)
    18: no refusal has the reason `held-redy` (did you mean `held-ready`?)
    18: no process is called `y` (declared are: `a`, `p`)
    19: `p` is no gateway and has no log
    20: only a refusal names anybody
    21: time runs backwards in a log (list the events of one log in their order, or put them into two `logs`)
    22: `a` is ready after it was refused (give the process that came later a name of its own)
    23: an event is about one gateway (for instance `{ b = "refused:held-ready", names = "a" }`)
    "#);
}

#[test]
fn a_timeline_without_events_is_none() {
    for (table, message) in
        [("[timeline]\n", "`[timeline]` has no `events`"), ("[timeline]\nevents = []\n", "`events` is empty")]
    {
        let problems = scenario::parse(Path::new("t.toml"), &format!("{FRAME}{table}")).unwrap_err();
        assert_eq!(problems[0].message, message, "{table}");
    }
}

#[test]
fn every_mistake_in_what_a_target_says_of_its_log_is_told_at_its_line() {
    let text = r#"schema = 1
name   = "g"
[gateway]
start = ["g", "{base}", "{state}"]
[ready]
tcp = true
[log]
time = '^(?<when>\S+) '
pid  = 'a(b'
[[event]]
pattern = 'listening on (?<prot>\d+)'
emits   = "reddy"
[[event]]
emits = "refused:held-redy"
[[event]]
pattern = 'x'
emit    = "ready"
"#;
    let problems = target::parse(Path::new("t.toml"), text).unwrap_err();
    assert_snapshot!(told(text, &problems), @r"
    8: `time` has no group `time` (for instance `'^(?<time>\S+) '`)
    9: `pid` is no regular expression: found open group without closing ')' (in single quotes a backslash needs no second one: `'pid (?<pid>\d+)'`)
    11: no group of an event is called `prot` (did you mean `port`?)
    12: no event is called `reddy` (did you mean `ready`?)
    13: `[[event]]` has no `pattern` (add `pattern`, for instance `pattern = 'listening on port (?<port>\d+)'`)
    14: no event is called `refused:held-redy` (did you mean `held-ready`?)
    17: `[[event]]` has no key `emit` (did you mean `emits`?)
    ");
}
