//! The scenario that an import writes, and what the command says where it cannot.

use insta::assert_snapshot;

use super::{Room, refgate_line};

#[test]
fn two_rivals_a_death_and_a_stop_become_a_scenario() {
    let room = Room::new();
    room.import(&["one.log", "two.log", "three.log"]);
    assert_snapshot!(room.text("incident.toml"), @r#"
    schema = 1
    title  = "What one.log, two.log and three.log show"
    tags   = ["incident", "imported"]
    # not known: whether a still runs or was killed: its log just ends
    # not known: how they were started: taken for plain starts, without `force`, `park` or `takeover`

    [gateway.a] # pid 12764, one.log:1
    state = "S" # /srv/refgate
    port  = 18789

    [gateway.b] # pid 12765, two.log:1
    state = "S" # /srv/refgate
    port  = 18789

    [gateway.c] # pid 12775, three.log:1
    state = "S" # /srv/refgate
    port  = 18789

    [run]
    steps = [
      { start = ["a", "b"] },
      { wait = "a.settled" },
      { wait = "b.settled" },
      { start = "c" },
      { wait = "c.settled" },
      { stop = "c" },
      { wait = "settled" },
    ]

    [expect]
    always   = [
      "single-owner",
      "single-writer",
      "no-theft",
      "no-foreign-unlink",
      "no-collateral",
      "ports-disjoint",
      "config-identity",
      "effect-after-lock",
      "truthful",
      "clock-free",
    ]
    outcomes = [
      { a = "ready", b = "refused" },
      { a = "ready", b = "killed" },
      { a = "refused", b = "ready" },
      { a = "refused", b = "refused" },
      { a = "refused", b = "killed" },
      { a = "killed", b = "ready" },
      { a = "killed", b = "refused" },
    ]

    [explore]
    span  = 1 # as many ports as it takes for the same blocks to overlap
    kills = 1

    [timeline]
    tells   = ["owner", "ready", "released", "refused"]
    logs    = [["a"], ["b"], ["c"]]
    events  = [
      { a = "started", at_us = 0 },
      { b = "started", at_us = 9064 },
      { a = "owner", at_us = 21982 },
      { a = "ready", at_us = 29092 },
      { b = "refused:held-ready", names = "a", at_us = 113381 },
      { c = "started", at_us = 1816864 },
      { c = "owner", at_us = 1845580 },
      { c = "ready", at_us = 1861299 },
      { c = "released", at_us = 2814544 },
    ]
    "#);
}

#[test]
fn names_are_given_and_logs_of_one_process_after_the_other_are_told_apart() {
    let room = Room::new();
    let log = ["one", "three"].map(|name| room.text(&format!("{name}.log"))).concat();
    room.put("service.log", log);
    let shown = room.import(&["--as", "service=service.log", "--as", "by-hand=two.log"]);
    assert_snapshot!(shown, @"
    service.log: 5 lines, 5 events
    two.log: 1 line, 1 event

      service    pid 12764, service.log:1, state /srv/refgate, port 18789
      by-hand    pid 12765, two.log:1, state /srv/refgate, port 18789
      service-2  pid 12775, service.log:3, state /srv/refgate, port 18789

           seconds  service                     by-hand                     service-2
          0.000000  started
          0.009064                              started
          0.021982  owner
          0.029092  ready
          0.113381                              refused:held-ready by service
          1.816864                                                          started
          1.845580                                                          owner
          1.861299                                                          ready
          2.814544                                                          released

     not known  whether service still runs or was killed: its log just ends
                how they were started: taken for plain starts, without `force`, `park` or `takeover`
     written    incident.toml; `portcullis run incident.toml --match timeline` looks for a schedule
    (exit 0)
    ");
    assert_snapshot!(room.matched(&[]), @"
    match incident   on sim   design refgate   incident.toml
      reproduced: a schedule shows all 9 events of the logs
     needed       1 fault, 2 preemptions, 174 steps
    (exit 0)
    ");
}

#[test]
fn what_no_line_tells_varies() {
    let room = Room::new();
    room.put(
        "plain.toml",
        "schema = 1\nname = \"plain\"\n[gateway]\nstart = [\"g\", \"{base}\", \"{state}\"]\n[ready]\ntcp = true\n[log]\n\
         time = '^(?<time>\\S+) '\n[[event]]\npattern = 'serving$'\nemits = \"ready\"\n",
    );
    room.put("left.log", "2026-11-22T10:00:00Z serving\n");
    room.put("right.log", "2026-11-22T10:00:01Z serving\n");
    let shown = room.import(&["left.log", "right.log", "--target", "plain.toml"]);
    assert_snapshot!(shown, @"
    left.log: 1 line, 1 event
    right.log: 1 line, 1 event

      a  left.log:1, state S, port 18789
      b  right.log:1, state S, port 18789

           seconds  a                             b
          0.000000  ready
          1.000000                                ready

     not known  which state directory a has: its log does not say, so it is the usual one
                which port a has: its log does not say, so it is the usual one
                which state directory b has: its log does not say, so it varies
                which port b has: its log does not say, so it varies
                whether a still runs or was killed: its log just ends
                whether b still runs or was killed: its log just ends
                how they were started: taken for plain starts, without `force`, `park` or `takeover`
     written    incident.toml; `portcullis run incident.toml --match timeline` looks for a schedule
    (exit 0)
    ");
    let text = room.text("incident.toml");
    assert!(text.contains("[vary]\n\"gateway.b.state\" = [\"S\", \"S-b\"]\n"), "{text}");
    // They share a directory only if the first one was dead by then; with directories of their own nobody needs to die.
    let first = room.shown(&["run", "incident.toml", "--match", "timeline", "-E", "test(S-b,18989)"]);
    assert!(first.contains("  reproduced: a schedule shows all 2 events of the logs\n"), "{first}");
    assert!(first.contains(" needed       0 faults"), "{first}");
}

#[test]
fn a_process_without_a_log_takes_part() {
    let room = Room::new();
    let shown = room.import(&["two.log"]);
    assert_snapshot!(shown, @"
    two.log: 1 line, 1 event

      a          pid 12765, two.log:1, state /srv/refgate, port 18789
      pid-12764  wrote no log; a names it, state S, port 18789

           seconds  a
          0.000000  started
          0.104317  refused:held-ready by pid-12764

     not known  what pid-12764, which a names, did: it wrote no log
                how they were started: taken for plain starts, without `force`, `park` or `takeover`
     written    incident.toml; `portcullis run incident.toml --match timeline` looks for a schedule
    (exit 0)
    ");
    assert_snapshot!(room.matched(&[]), @"
    match incident   on sim   design refgate   incident.toml
      reproduced: a schedule shows all 2 events of the logs
     needed       0 faults, 0 preemptions, 84 steps; nothing less shows it
    (exit 0)
    ");
}

#[test]
fn what_cannot_be_imported_is_told_with_its_remedy() {
    let room = Room::new();
    room.put("empty.log", "");
    room.put("there.toml", "mine");
    let many: String = (0..70).map(|pid| format!("{{\"event\":\"ready\",\"pid\":{pid}}}\n")).collect();
    room.put("many.log", many);
    let table: [&[&str]; 9] = [
        &["import"],
        &["import", "no-such.log"],
        &["import", "empty.log"],
        &["import", "many.log"],
        &["import", "one.log", "--skew", "2000h"],
        &["import", "--as", "Old=one.log"],
        &["import", "--as", "owner=one.log"],
        &["import", "--as", "x=one.log", "--as", "x=two.log"],
        &["import", "one.log", "--output", "there.toml"],
    ];
    let told: String = table
        .iter()
        .map(|arguments| {
            let shown = room.shown(arguments);
            let errors = shown.split_once("(stderr)\n").map_or(shown.as_str(), |(_, errors)| errors);
            format!("{}\n{errors}\n\n", arguments.join(" "))
        })
        .collect();
    assert_snapshot!(told, @"
    import
    error: the following required arguments were not provided:
      <LOG>...

    Usage: portcullis import <LOG>...

    For more information, try '--help'.
    (exit 2)

    import no-such.log
    error: cannot read no-such.log: No such file or directory (os error 2)
      = help: check the path; it is taken from the current directory
    (exit 2)

    import empty.log
    error: no line tells of a gateway
      = help: give the lines of `refgate gateway --json`, or a `--target` whose `[[event]]` tables fit
    (exit 2)

    import many.log
    error: many.log:65: more than 64 processes
      = help: cut the log to the time of the incident
    (exit 2)

    import one.log --skew 2000h
    error: invalid value '2000h' for '--skew <TIME>': clocks that differ by more than a day are no clocks

    For more information, try '--help'.
    (exit 2)

    import --as Old=one.log
    error: invalid value 'Old=one.log' for '--as <NAME=LOG>': a name is a lower-case letter, then lower-case letters, digits and `-`

    For more information, try '--help'.
    (exit 2)

    import --as owner=one.log
    error: invalid value 'owner=one.log' for '--as <NAME=LOG>': `owner` means something else in a scenario; take another name

    For more information, try '--help'.
    (exit 2)

    import --as x=one.log --as x=two.log
    error: two logs are called `x`
      = help: each needs a name of its own
    (exit 2)

    import one.log --output there.toml
    error: cannot write there.toml: File exists (os error 17)
      = help: name a file that does not exist yet
    (exit 5)
    ");
    assert_eq!(room.text("there.toml"), "mine");
}

#[test]
fn a_wall_clock_that_is_set_in_between_splits_no_process_in_two() {
    let processes = |text: &[String]| {
        let room = Room::new();
        room.put("set.log", text.concat());
        let shown = room.import(&["set.log"]);
        shown
            .lines()
            .filter(|line| line.contains("  pid "))
            .map(str::trim)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let at = |at: &str, uptime: u64, tick: &str| {
        format!("\"at\":\"2026-11-22T{at}Z\",\"uptimeUs\":{uptime}{tick}")
    };
    let of_tick = |number: u64| format!(",\"startTick\":{number}");
    let owner = |tick: &str| refgate_line("owner", 7, &at("10:00:01", 1_000_000, tick));
    // An hour forward, and nobody can know it but by the tick of the start.
    let forward = |tick: &str| refgate_line("ready", 7, &at("11:00:02", 2_000_000, tick));
    assert_eq!(processes(&[owner(&of_tick(5)), forward(&of_tick(5))]).len(), 1);
    assert_eq!(processes(&[owner(""), forward("")]).len(), 2);
    // Five seconds back, twenty seconds after the line above: the other one would have begun before it.
    let back = |tick: &str| refgate_line("ready", 7, &at("10:00:16", 21_000_000, tick));
    assert_eq!(processes(&[owner(&of_tick(5)), back(&of_tick(5))]).len(), 1);
    assert_eq!(processes(&[owner(""), back("")]).len(), 1);
    // An hour back: the time of the line does not count, its process does.
    let far_back = |tick: &str| refgate_line("ready", 7, &at("09:00:02", 2_000_000, tick));
    assert_eq!(processes(&[owner(&of_tick(5)), far_back(&of_tick(5))]).len(), 1);
    // A pid that came back, within the second and later.
    let other = |tick: &str| {
        refgate_line("refused", 7, &(at("10:00:02", 1_900_000, tick) + ",\"code\":\"held-ready\""))
    };
    assert_eq!(processes(&[owner(&of_tick(5)), other(&of_tick(6))]).len(), 2);
    assert_eq!(processes(&[owner(&of_tick(5)), other(&of_tick(5))]).len(), 1);
    let later = refgate_line("owner", 7, &at("10:05:00", 9_000_000, ""));
    assert_eq!(processes(&[owner(""), later]).len(), 2);
}
