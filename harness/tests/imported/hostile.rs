//! Whatever is in a log, it is read to its end, counted and told where it stands; nothing in it reaches the terminal or the
//! scenario as more than text.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{Room, refgate_line};
use harness::import::{Log, import};
use harness::scenario::parse;

#[test]
fn every_line_that_is_not_used_is_counted_with_its_place() {
    let room = Room::new();
    let mut log: Vec<u8> = Vec::new();
    for line in [
        &b"Starting up\x1b[2K\r\n"[..],
        br#"{"event":"note","pid":7,"message":"x"}"#,
        br#"{"event":"owner","pid":7,"at":"2026-11-22T10:00:02.000001Z","state":"/a \"b\"\u001b[2K\u202e\nstate = 1","port":18789}"#,
        b"\xff\xfe",
        b" \t\r",
        br#"{"event":"ready","pid":7,"at":"2026-11-22T10:00:01Z"}"#,
        br#"{"event":"released","pid":7,"at":"soon"}"#,
    ] {
        log.extend_from_slice(line);
        log.push(b'\n');
    }
    log.extend_from_slice("x".repeat(100_000).as_bytes());
    room.put("odd.log", log);
    assert_snapshot!(room.import(&["odd.log"]), @r#"
    odd.log: 9 lines, 3 events, 1 note
      2 lines left blank, the first is odd.log:2
      1 line of no known form, the first is odd.log:1
      1 line too long to be read, the first is odd.log:9
      1 line that is no UTF-8, the first is odd.log:5
      1 event with a time that is none, the first is odd.log:8
      1 event written before the one above, so its time does not count, the first is odd.log:7

      a  pid 7, odd.log:4, state /a "b"�[2K��state = 1, port 18789

           seconds  a
          0.000000  owner
                 -  ready
                 -  released

     not known  how they were started: taken for plain starts, without `force`, `park` or `takeover`
     written    incident.toml; `portcullis run incident.toml --match timeline` looks for a schedule
    (exit 0)
    "#);
    let text = room.text("incident.toml");
    let state = text.lines().find(|line| line.starts_with("state")).unwrap();
    assert_snapshot!(state, @r#"state = "S" # /a "b"�[2K��state = 1"#);
}

#[test]
fn a_huge_log_is_read_without_being_kept() {
    let room = Room::new();
    let noise = "2026-11-22 nothing of interest happens here\n".repeat(100_000);
    let log = format!("{noise}{}{noise}", room.text("one.log"));
    room.put("huge.log", log);
    let shown = room.import(&["huge.log"]);
    assert!(
        shown.starts_with(
            "huge.log: 200 002 lines, 2 events\n  200 000 lines of no known form, the first is huge.log:1\n"
        ),
        "{shown}"
    );
}

#[test]
fn as_many_events_as_are_read_are_read_quickly_and_one_more_is_told_at_its_place() {
    let room = Room::new();
    let line = |second: usize| {
        let (pid, minute) = (u32::try_from(second % 60 + 1).unwrap(), second / 60);
        let at = format!("2026-11-22T{:02}:{:02}:{:02}Z", minute / 60, minute % 60, second % 60);
        refgate_line("ready", pid, &format!("\"at\":\"{at}\""))
    };
    assert_eq!(harness::import::MOST_EVENTS, 2_000);
    for (name, remainder) in [("left.log", 0), ("right.log", 1)] {
        room.put(name, (0..1_940).filter(|second| second % 2 == remainder).map(line).collect::<String>());
    }
    let shown = room.import(&["left.log", "right.log"]);
    assert!(shown.starts_with("left.log: 970 lines, 970 events\nright.log: 970 lines, 970 events\n"));
    room.put("more.log", (0..61).map(|minute| line(minute * 60)).collect::<String>());
    let shown = room.shown(&["import", "left.log", "right.log", "more.log"]);
    assert!(shown.contains("error: more.log:61: more than 2000 events\n  = help: cut the log"), "{shown}");
}

/// A line that a log may hold, more or less.
fn line() -> impl Strategy<Value = String> {
    let event = prop_oneof![
        Just("owner"),
        Just("ready"),
        Just("released"),
        Just("refused"),
        Just("note"),
        Just("failed")
    ];
    let code = prop_oneof![
        Just("held-ready"),
        Just("held-stopped"),
        Just("fenced"),
        Just("port-foreign"),
        Just("config-shared"),
        Just("port-range"),
        Just("held")
    ];
    let uptime = prop_oneof![8 => 0_u64..30, 1 => any::<u64>()];
    let holder = (1_u32..9, prop_oneof![Just(""), Just(r"\u0007 "), Just("cron -f")]);
    let whole = (event, 1_u32..5, proptest::option::of(0_u32..100), uptime, code, holder, any::<bool>(), 0_u16..3).prop_map(
        |(event, pid, second, uptime, code, (holder, command), has_state, port)| {
            let at = second.map_or_else(String::new, |second| {
                format!(r#","at":"2026-11-22T10:{:02}:{:02}Z","uptimeUs":{uptime}"#, second / 60, second % 60)
            });
            let state = if has_state { r#","state":"/s""# } else { "" };
            let port = if port == 0 { String::new() } else { format!(r#","port":{}"#, u32::from(port) * 40_000) };
            format!(
                r#"{{"event":"{event}","pid":{pid}{at}{state}{port},"code":"{code}","holder":{{"pid":{holder},"command":"{command}"}}}}"#
            )
        },
    );
    prop_oneof![8 => whole, 1 => ".{0,60}", 1 => r#"\{"event":"[a-z]{0,9}","pid":[0-9]{0,12}\}"#]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_log_makes_an_import_panic_and_what_it_writes_is_a_scenario(
        logs in proptest::collection::vec(proptest::collection::vec(line(), 0..12), 1..4),
        skew_ms in 0_u64..3_000,
    ) {
        let texts: Vec<String> = logs.iter().map(|lines| lines.join("\n")).collect();
        let logs = texts.iter().enumerate().map(|(number, text)| Log {
            name: format!("log-{number}\u{1b}"),
            of: (number == 1).then(|| "named".to_owned()),
            lines: text.as_bytes(),
        });
        let imported = import(logs.collect(), None, skew_ms).unwrap();
        let is_clean = |line: &String| !line.chars().any(char::is_control);
        prop_assert!(imported.lanes().iter().all(is_clean));
        if imported.events() > 0 {
            let text = imported.scenario();
            let parsed = parse(std::path::Path::new("incident.toml"), &text);
            prop_assert!(parsed.is_ok(), "{:#?}\n{text}", parsed.err());
        }
    }

    #[test]
    fn no_bytes_make_an_import_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let log = Log { name: "log".to_owned(), of: None, lines: bytes.as_slice() };
        let _ = import(vec![log], None, 0).unwrap().lanes();
    }
}
