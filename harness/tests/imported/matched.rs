//! A schedule shows what logs have shown, or the whole search shows that none does.

use insta::assert_snapshot;

use super::{Room, refgate_line, summary};

/// A gateway on one host that is ready, and one on another host that was refused before, by the clocks of the two.
fn two_hosts() -> [(&'static str, String); 2] {
    let at = |at: &str, uptime: u32| format!("\"at\":\"2026-11-22T10:00:{at}Z\",\"uptimeUs\":{uptime}");
    let owner = refgate_line("owner", 70, &at("01.000000", 5_000));
    let ready = refgate_line("ready", 70, &at("01.100000", 105_000));
    let refusal = ",\"code\":\"held-ready\",\"exit\":78,\"holder\":{\"pid\":70}";
    let refused = refgate_line("refused", 9, &(at("00.500000", 2_000) + refusal));
    [("east.log", owner + &ready), ("west.log", refused)]
}

#[test]
fn the_logs_of_a_race_a_death_and_a_stop_are_reproduced_and_the_token_takes_the_schedule_again() {
    let room = Room::new();
    room.import(&["one.log", "two.log", "three.log"]);
    let shown = room.shown(&["run", "incident.toml", "--match", "timeline"]);
    assert!(shown.ends_with("(exit 0)"), "{shown}");
    let token = shown.split_whitespace().find(|word| word.starts_with("v1.")).unwrap();
    let replayed = room.shown(&["replay", token]);
    assert!(replayed.contains("  nothing is broken: all of its "), "{replayed}");
    assert!(replayed.ends_with("(exit 0)"), "{replayed}");
    assert_eq!(shown, room.shown(&["run", "incident.toml", "--match", "timeline"]), "the same again");
}

#[test]
fn what_nobody_may_do_is_not_shown() {
    let room = Room::new();
    room.import(&["one.log", "three.log"]);
    let text = room.text("incident.toml").replace("kills = 1", "kills = 0");
    let lines = text.lines().filter(|line| !line.contains("\"killed\""));
    room.put("incident.toml", lines.collect::<Vec<_>>().join("\n"));
    assert_snapshot!(room.matched(&[]), @"
    match incident   on sim   design refgate   incident.toml
      no schedule of this protocol gives this log, whatever comes between its steps
      furthest     4 of 7 events
      unmatched    b owner   incident.toml:57
      instead      b says refused:held-hung and names a
      instead      b says refused:held-ready and names a
      one that comes so far:
     needed       0 faults, 0 preemptions, 57 steps; nothing less comes so far
    (exit 1)
    ");
}

#[test]
fn the_clocks_of_two_hosts_order_only_what_they_can() {
    let room = Room::new();
    for (name, text) in two_hosts() {
        room.put(name, text);
    }
    room.import(&["east.log", "west.log"]);
    let strict = room.matched(&[]);
    assert!(strict.ends_with("(exit 1)\n"), "{strict}");
    assert_snapshot!(strict, @"
    match incident   on sim   design refgate   incident.toml
      no schedule of this protocol gives this log, whatever comes between its steps
      furthest     1 of 5 events
      unmatched    a refused:held-ready, naming b   incident.toml:55
      instead      a is killed
      instead      a says owner
      one that comes so far:
     needed       0 faults, 0 preemptions, 1 step; nothing less comes so far
    (exit 1)
    ");
    std::fs::remove_file(room.path("incident.toml")).unwrap();
    let shown = room.import(&["east.log", "west.log", "--skew", "700ms"]);
    assert_snapshot!(shown, @"
    east.log: 2 lines, 2 events
    west.log: 1 line, 1 event

      a  pid 9, west.log:1, state /s, port 18789
      b  pid 70, east.log:1, state /s, port 18789

           seconds  a                             b
          0.000000  started
          0.002001  refused:held-ready by b
          0.497000                                started
          0.502001                                owner
          0.602001                                ready

     not known  whether b still runs or was killed: its log just ends
                how they were started: taken for plain starts, without `force`, `park` or `takeover`
     written    incident.toml; `portcullis run incident.toml --match timeline` looks for a schedule
    (exit 0)
    ");
    let lenient = room.matched(&[]);
    assert!(lenient.contains("  reproduced: "), "{lenient}");
}

#[test]
fn a_log_that_says_something_else_is_not_reproduced() {
    let room = Room::new();
    for (wrong, right, unmatched) in [
        ("\"code\":\"held-hung\"", "\"code\":\"held-ready\"", "b refused:held-hung, naming a"),
        ("\"code\":\"port-range\"", "\"code\":\"held-ready\"", "b refused:port-range, naming a"),
    ] {
        room.put("wrong.log", room.text("two.log").replace(right, wrong));
        let _ = std::fs::remove_file(room.path("incident.toml"));
        room.import(&["one.log", "wrong.log"]);
        let shown =
            room.shown(&["run", "incident.toml", "--match", "timeline", "--design", "flock-never-unlink"]);
        assert!(shown.contains(&format!("  unmatched    {unmatched}   incident.toml:")), "{shown}");
        assert!(shown.ends_with("(exit 1)"), "{shown}");
    }
}

#[test]
fn a_split_brain_is_shown_by_the_naive_lock_and_by_no_other() {
    let room = Room::new();
    room.import(&["both.log", "--target", "naive.toml"]);
    for (design, is_shown) in
        [("refgate", false), ("N2", true), ("flock-never-unlink", false), ("verify-then-write", false)]
    {
        let shown = room.shown(&["run", "incident.toml", "--match", "timeline", "--design", design]);
        assert_eq!(shown.ends_with("(exit 0)"), is_shown, "{design}\n{}", summary(&shown));
        assert_eq!(shown.ends_with("(exit 1)"), !is_shown, "{design}\n{}", summary(&shown));
    }
}

#[test]
fn a_search_that_is_cut_decides_nothing() {
    let room = Room::new();
    room.import(&["one.log", "two.log"]);
    let shown = room.shown(&["run", "incident.toml", "--match", "timeline", "--budget", "0s"]);
    assert!(shown.contains("  undecided: it was stopped before everything was tried\n"), "{shown}");
    assert!(shown.ends_with("(exit 3)"), "{shown}");
}

#[test]
fn a_search_may_be_given_fewer_states_and_options_that_it_has_no_use_for_are_refused() {
    let room = Room::new();
    room.import(&["one.log", "two.log"]);
    let shown = room.shown(&["run", "incident.toml", "--match", "timeline", "--max-states", "20"]);
    assert!(
        shown.contains("  undecided: the budget of 20 states is spent; `--max-states` gives more\n"),
        "{shown}"
    );
    assert!(shown.ends_with("(exit 3)"), "{shown}");
    for option in [&["--message-format", "json"][..], &["--quiet"], &["--jobs", "2"], &["--fail-fast"]] {
        let refused = room.shown(&[&["run", "incident.toml", "--match", "timeline"], option].concat());
        let conflict = format!("error: the argument '--match <WHAT>' cannot be used with '{}", option[0]);
        assert!(refused.contains(&conflict) && refused.ends_with("(exit 2)"), "{option:?}: {refused}");
    }
}

#[test]
fn what_cannot_be_matched_is_told_with_its_remedy() {
    let room = Room::new();
    room.import(&["one.log"]);
    let whole = room.text("incident.toml");
    let (before, _) = whole.split_once("[timeline]").unwrap();
    room.put("incident.toml", before);
    assert_snapshot!(room.shown(&["run", "incident.toml", "--match", "timeline"]), @"
    (stderr)
    error: incident.toml has no `[timeline]`, so there is nothing to match
      = help: `portcullis import LOG...` writes a scenario with one
    (exit 2)
    ");
    assert_snapshot!(room.shown(&["run", "incident.toml", "--match", "timeline", "--on", "refgate"]), @"
    (stderr)
    error: `--match` looks for a schedule, and only the simulated machine has them all
      = help: leave out `--on`
    (exit 2)
    ");
}
