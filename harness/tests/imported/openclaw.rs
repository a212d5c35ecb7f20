//! Lines of OpenClaw as they stand in reports are read by its target.

use insta::assert_snapshot;

use super::Room;

#[test]
fn reported_lines_of_openclaw_become_a_timeline() {
    let room = Room::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::copy(root.join("targets/openclaw.toml"), room.path("openclaw.toml")).unwrap();
    room.put(
        "service.log",
        "2026-04-22T07:00:01.120Z [gateway] listening on ws://127.0.0.1:18789 (PID 2426)\n\
         2026-04-22T07:03:10.004Z [gateway] signal SIGTERM received\n",
    );
    room.put(
        "by-hand.log",
        "2026-04-22T09:02:00.500+02:00 Gateway failed to start: gateway already running (pid 2426); lock timeout after 5000ms\n",
    );
    let shown = room.import(&[
        "--target",
        "openclaw.toml",
        "--as",
        "service=service.log",
        "--as",
        "by-hand=by-hand.log",
    ]);
    assert_snapshot!(shown, @"
    service.log: 2 lines, 2 events
    by-hand.log: 1 line, 1 event

      service  pid 2426, service.log:1, state S, port 18789
      by-hand  by-hand.log:1, state S, port 18789

           seconds  service                       by-hand
          0.000000  ready
        119.380000                                refused:held by service
        188.884000  draining

     not known  which state directory service has: its log does not say, so it is the usual one
                which state directory by-hand has: its log does not say, so it varies
                which port by-hand has: its log does not say, so it varies
                whether service still runs or was killed: its log just ends
                how they were started: taken for plain starts, without `force`, `park` or `takeover`
     written    incident.toml; `portcullis run incident.toml --match timeline` looks for a schedule
    (exit 0)
    ");
}
