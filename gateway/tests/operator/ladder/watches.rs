//! A watch says ALERT at the second bad sign, or at the first word of the kernel, and writes only where it may.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::room::{Mortal, Room, object, read};

use super::situations::gateway;
use super::{TOKEN, client, shown};

#[test]
fn a_watch_is_calm_suspects_and_alerts_and_keeps_what_it_has_seen() {
    let room = Room::busy(19);
    let running = gateway(&room);
    let evidence = room.at("evidence.jsonl");
    let mut command = client(&room, "watch --interval-s 1 --json", TOKEN);
    let mut child =
        command.arg("--evidence").arg(&evidence).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let _watch = Mortal(child);
    let mut next = || -> Value {
        serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("an object")
    };
    assert_eq!(next()["verdict"], "good");
    running.pause();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|verdict| verdict != "alert") {
        seen.push(next()["verdict"].as_str().expect("a word").to_owned());
    }
    assert!(seen.ends_with(&["suspect".to_owned(), "alert".to_owned()]), "{seen:?}");
    let kept = String::from_utf8(read(&evidence)).expect("text");
    assert!(kept.lines().count() >= seen.len(), "{kept}");
    assert!(
        kept.lines().all(|line| object(line.as_bytes())["event"] == "watch") && !kept.contains(TOKEN),
        "{kept}"
    );
    let mode = evidence.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Its end is no sign but a proof.
    drop(running);
    let said = loop {
        let said = next();
        if said["situation"] == "none" {
            break said;
        }
    };
    assert_eq!(said["verdict"], "alert", "{said}");
}

#[test]
fn evidence_is_not_kept_where_only_an_owner_writes() {
    let room = Room::busy(20);
    let mut command = client(&room, "watch --once", TOKEN);
    let output = command.arg("--evidence").arg(room.at("state/watch.jsonl")).output().expect("it runs");
    let text = shown(&room, &output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("lies in the state directory"), "{text}");
    assert!(!room.at("state/watch.jsonl").exists());
}
