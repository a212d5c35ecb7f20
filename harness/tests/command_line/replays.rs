//! A token replays one execution, says when it does not apply, and is refused when it is damaged.

use harness::designs::Design;
use harness::token::Token;
use insta::assert_snapshot;
use sim::Schedule;

use super::{portcullis, replay, root, shown, token_of_the_readme};

#[test]
fn a_token_replays_byte_for_byte_and_the_one_in_the_readme_is_true() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let token = token_of_the_readme();
    assert_eq!(readme.matches(&token).count(), readme.matches("v1.scenarios/").count());
    let first = portcullis(&["replay", &token]);
    let second = portcullis(&["replay", &token]);
    assert_eq!(first, second);
    assert_eq!(first.status.code(), Some(1));
    let run = portcullis(&["run", "scenarios/pid/stale-lock-race.toml", "--design", "pidfile-unlink-stale"]);
    let run = String::from_utf8(run.stdout).unwrap();
    assert!(run.contains(&format!("\n  replay  portcullis replay {token}\n")), "{run}");
    let replayed = String::from_utf8(first.stdout).unwrap();
    let lanes = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| !line.starts_with("   step"));
        lines.take_while(|line| !line.starts_with(" needed")).map(str::to_owned).collect()
    };
    assert_eq!(lanes(&replayed).len(), lanes(&run).len());
    for (replayed, run) in lanes(&replayed).iter().zip(lanes(&run)) {
        assert!(
            run.starts_with(replayed),
            "a run shows something else than the risk beside this line: {run}"
        );
    }
    for line in lanes(&readme).iter().filter(|line| *line != "...") {
        assert!(run.contains(line.as_str()), "the README shows a line that is not shown: {line}");
    }
}

#[test]
fn a_token_that_no_longer_applies_proves_nothing_and_says_why() {
    let token = Token::parse(&token_of_the_readme()).unwrap();
    let gone = Token { case: "scenarios/gone".to_owned(), ..token.clone() };
    assert_snapshot!(shown(&replay(&gone)), @"
    not applicable: error: there is no file or directory `scenarios/gone.toml`
     |
     = help: check the path; it is taken from the current directory
    (exit 3)
    ");
    let other_case = Token { case: format!("{}+cron", token.case), ..token.clone() };
    assert_snapshot!(shown(&replay(&other_case)), @"
    not applicable: scenarios/pid/stale-lock-race.toml has no such case any more
    (exit 3)
    ");
    let changed = Token { scenario: 0, ..token.clone() };
    assert_snapshot!(shown(&replay(&changed)), @"
    not applicable: scenarios/pid/stale-lock-race.toml has changed since the token was made
    (exit 3)
    ");
    let impossible = Token { schedule: Schedule::parse("0007ff00").unwrap(), ..token };
    assert_snapshot!(shown(&replay(&impossible)), @"
    not applicable: after 8 steps the schedule asks for a step that cannot happen any more; the steps of design pidfile-unlink-stale have changed
    (exit 3)
    ");
    // The token of a version that had another design.
    let other_design = "v1.scenarios/race/two-gateways.naive.00000000.00000000.0003.ec99";
    assert_snapshot!(shown(&portcullis(&["replay", other_design])), @"
    not applicable: no design is called `naive` any more
    (exit 3)
    ");
}

#[test]
fn a_token_whose_whole_schedule_breaks_nothing_is_shown_no_more() {
    let token = Token::parse(&token_of_the_readme()).unwrap();
    let one_step_less = Token { schedule: Schedule::parse("0007010e0004").unwrap(), ..token.clone() };
    let output = shown(&replay(&one_step_less));
    let (begin, end) = (output.lines().take(5).collect::<Vec<_>>().join("\n"), output.lines().last());
    assert_snapshot!(begin, @"
    replay pid/stale-lock-race   on sim   design pidfile-unlink-stale   scenarios/pid/stale-lock-race.toml
      not shown by this schedule any more: all of its 28 steps were taken and nothing is broken
      note: the steps differ from those that the token was made from
      help: `portcullis run scenarios/pid/stale-lock-race.toml --design pidfile-unlink-stale` tries every schedule
    ");
    assert_eq!(end, Some("(exit 0)"));
    let right_lock = Token { design: Design::Refgate, ..token };
    let fixed = replay(&right_lock);
    assert_ne!(fixed.status.code(), Some(1), "{}", shown(&fixed));
}

#[test]
fn a_token_that_was_cut_or_damaged_on_the_way_is_refused() {
    let token = token_of_the_readme();
    assert_snapshot!(shown(&portcullis(&["replay", &token[..token.len() - 1]])), @"
    (stderr)
    error: this token cannot be read: the token was damaged or cut on the way: its last part does not fit the rest
      = help: copy the whole last line of a failure block, without `portcullis replay`
    (exit 2)
    ");
    let (body, _) = token.rsplit_once('.').unwrap();
    for damaged in [body, &body[..body.len() - 4], &token.replace(".0007", ".0006"), "v1.", "v1"] {
        let output = portcullis(&["replay", damaged]);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    }
}

#[test]
fn a_saved_failure_that_is_not_there_is_told_from_a_damaged_token() {
    assert_snapshot!(shown(&portcullis(&["replay", "nowhere/saved.txt"])), @"
    (stderr)
    error: there is no file nowhere/saved.txt
      = help: name a file that `--save` has written, or a token, which begins with `v1.`
    (exit 2)
    ");
}
