//! What a user sees for a mistake in a scenario file: place, caret, remedy, and every mistake of the file at once.

use std::path::Path;

use harness::scenario::{Paint, parse};

use crate::valid::VALID;

/// Everything that is drawn for a text.
fn drawn(text: &str) -> String {
    let path = Path::new("scenarios/x.toml");
    let problems = parse(path, text).err().unwrap_or_default();
    problems.iter().map(|problem| problem.render(path, text, Paint::Plain) + "\n").collect()
}

/// Nothing on the lines of this file hides what is wrong with the others.
const BROKEN: &str = r#"schema = 1
titel = "t"
[gateway.a]
state = "S"
port = 18789
[gateway.b]
state = "S"
port = "18789"
[run]
steps = [
  { start = ["a", "bb"], kill = "a" },
  { strat = "b" },
]
[expect]
always = ["singel-owner"]
outcomes = [{ a = "refused:hold" }]
[vary]
"gateway.a.prot" = [1]
"#;

#[test]
fn all_mistakes_of_a_file_are_shown_at_once() {
    insta::assert_snapshot!(drawn(BROKEN), @r#"
    error: the file has no key `titel`
     --> scenarios/x.toml:2:1
      |
    2 | titel = "t"
      | ^^^^^ unknown key
      |
      = help: did you mean `title`?
    error: `port` must be an integer, not a string
     --> scenarios/x.toml:8:8
      |
    8 | port = "18789"
      |        ^^^^^^^ this is a string
      |
      = help: write it without quotes: `18789`
    error: no process is called `bb`
      --> scenarios/x.toml:11:19
       |
    11 |   { start = ["a", "bb"], kill = "a" },
       |                   ^^^^ not declared in this file
       |
       = help: did you mean `b`?
    error: two verbs in one step
      --> scenarios/x.toml:11:26
       |
    11 |   { start = ["a", "bb"], kill = "a" },
       |     ----- the first      ^^^^ a second verb
       |
       = help: make it two steps: what they set in motion interleaves all the same
    error: a step has no key `strat`
      --> scenarios/x.toml:12:5
       |
    12 |   { strat = "b" },
       |     ^^^^^ unknown key
       |
       = help: did you mean `start`?
    error: no check is called `singel-owner`
      --> scenarios/x.toml:15:11
       |
    15 | always = ["singel-owner"]
       |           ^^^^^^^^^^^^^^ unknown check
       |
       = help: did you mean `single-owner`?
    error: no refusal has the reason `hold`
      --> scenarios/x.toml:16:19
       |
    16 | outcomes = [{ a = "refused:hold" }]
       |                   ^^^^^^^^^^^^^^ not known
       |
       = help: did you mean `held`?
    error: `gateway.a.prot` is nothing that can vary
      --> scenarios/x.toml:18:1
       |
    18 | "gateway.a.prot" = [1]
       | ^^^^^^^^^^^^^^^^ matches nothing in this file
       |
       = help: did you mean `gateway.a.port`?
    "#);
}

#[test]
fn syntax_errors_are_shown_with_the_other_mistakes_outside_their_lines() {
    let text = VALID.replace("state = \"S\"\nport = 18789\n[gateway.b]", "state = S\nport = 0\n[gateway.b]");
    insta::assert_snapshot!(drawn(&text), @r#"
    error: string values must be quoted, expected literal string
     --> scenarios/x.toml:4:9
      |
    4 | state = S
      |         ^ not valid TOML
      |
      = help: a line is `key = value`, a string has quotes, a list is `[a, b]`, a table is `{ key = value }`
    error: `port` is 0, which is out of range
     --> scenarios/x.toml:5:8
      |
    5 | port = 0
      |        ^ not in 1 to 65425
      |
      = help: a gateway claims its base port and the 110 above it, so 65425 is the highest base
    "#);
}

#[test]
fn a_key_that_is_given_twice_does_not_hide_other_mistakes() {
    let text = VALID.replace("title = \"t\"", "title = \"t\"\ntitle = \"u\"\ntags = [\"UP\"]");
    insta::assert_snapshot!(drawn(&text), @r#"
    error: duplicate key
     --> scenarios/x.toml:3:1
      |
    3 | title = "u"
      | ^^^^^ not valid TOML
      |
      = help: a line is `key = value`, a string has quotes, a list is `[a, b]`, a table is `{ key = value }`
    error: `UP` is no tag
     --> scenarios/x.toml:4:9
      |
    4 | tags = ["UP"]
      |         ^^^^ lower-case letters, digits and `-` only
      |
      = help: for instance `race` or `pid-reuse`
    "#);
}

#[test]
fn a_text_without_anything_in_it_says_what_is_missing() {
    insta::assert_snapshot!(drawn("# nothing yet\n"), @r#"
    error: the file has no `schema`
     --> scenarios/x.toml:1:1
      |
    1 | # nothing yet
      | ^ `schema` is missing
      |
      = help: add `schema`, for instance `schema = 1`
    error: the file has no `title`
     --> scenarios/x.toml:1:1
      |
    1 | # nothing yet
      | ^ `title` is missing
      |
      = help: add `title`, for instance `title = "Two gateways start at once"`
    error: the file has no `gateway`
     --> scenarios/x.toml:1:1
      |
    1 | # nothing yet
      | ^ `gateway` is missing
      |
      = help: add `gateway`, for instance `[gateway.a]`
    error: the file has no `run`
     --> scenarios/x.toml:1:1
      |
    1 | # nothing yet
      | ^ `run` is missing
      |
      = help: add `run`, for instance `[run]`
    error: the file has no `expect`
     --> scenarios/x.toml:1:1
      |
    1 | # nothing yet
      | ^ `expect` is missing
      |
      = help: add `expect`, for instance `[expect]`
    "#);
}

#[test]
fn colours_are_drawn_only_where_asked_for() {
    let path = Path::new("x.toml");
    let problems = parse(path, "schema = 2").expect_err("the text is not valid");
    assert!(!problems[0].render(path, "schema = 2", Paint::Plain).contains('\u{1b}'));
    assert!(problems[0].render(path, "schema = 2", Paint::Coloured).contains('\u{1b}'));
}

#[test]
fn escape_sequences_in_a_file_do_not_reach_the_terminal() {
    let text = VALID
        .replace("title = \"t\"", "title = \"t\"\n\"\\u001b[31mred\" = 1\ntags = [\"\\u001b]0;x\\u0007\"]");
    assert!(!drawn(&text).contains('\u{1b}'));
}

#[test]
fn a_file_with_a_byte_order_mark_and_windows_line_ends_is_read_and_its_lines_are_counted() {
    let text = format!("\u{feff}{}", VALID.replace('\n', "\r\n"));
    let scenario = parse(Path::new("x.toml"), &text).expect("the text is valid");
    let lines: Vec<_> = scenario.steps.iter().map(|step| step.line).collect();
    assert_eq!(lines, [13, 14]);
    assert_eq!((scenario.expect.always[0].line, scenario.expect.outcomes[0].line), (17, 18));
}

#[test]
fn what_the_parser_makes_up_to_go_on_is_not_called_a_mistake() {
    for broken in ["port = = 5", "port = "] {
        let text = format!(
            "schema = 1\ntitle = \"t\"\n[gateway.a]\nstate = \"S\"\n{broken}\n[run]\nsteps = [{{ start = \"a\" }}]\n\
             [expect]\noutcomes = [{{ a = \"ready\" }}]\n"
        );
        let problems = parse(Path::new("x.toml"), &text).expect_err("it is broken");
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line(&text)).collect();
        assert!(
            !lines.is_empty() && lines.iter().all(|line| *line == 5 || *line == 6),
            "{broken}: {lines:?}"
        );
    }
}
