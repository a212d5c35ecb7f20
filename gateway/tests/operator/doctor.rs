//! `refgate doctor` gives different advice in different situations, and puts right only what is safe.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::Value;

use crate::room::{Room, users};

const LEFTOVER: &str = "state/gateway.owner.json.tmp";

/// What it says, one object a line, and its exit status.
fn doctor(room: &Room, arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let mut all = vec!["doctor", "--json"];
    all.extend(arguments);
    let output = room.run(&all);
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}")));
    (lines.collect(), output.status.code())
}

fn untidy(room: &Room) {
    room.put("state/gateway.lock", b"");
    room.put(LEFTOVER, b"{\"half\":");
    room.put("state/notes.tmp", b"of the user");
    fs::set_permissions(room.at("state"), fs::Permissions::from_mode(0o755)).expect("it is mine");
}

fn mode(room: &Room) -> u32 {
    fs::metadata(room.at("state")).expect("it is there").mode() & 0o7777
}

#[test]
fn what_is_safe_is_told_first_and_done_when_asked_for_and_nothing_else_is_touched() {
    for uid in users() {
        let room = Room::new(17, uid);
        untidy(&room);
        let before = room.files();
        let (said, exit) = doctor(&room, &[]);
        assert_eq!(room.files(), before);
        let codes: Vec<&Value> = said.iter().skip(1).map(|line| &line["code"]).collect();
        assert_eq!((codes, exit), (vec![&"open-directory".into(), &"leftovers".into()], Some(1)), "{said:?}");
        assert!(said.iter().skip(1).all(|line| line["isFixed"] == false), "{said:?}");

        let (said, exit) = doctor(&room, &["--fix"]);
        assert_eq!((exit, said.len()), (Some(0), 3), "{said:?}");
        assert_eq!(mode(&room), 0o700);
        assert!(!room.at(LEFTOVER).exists());
        assert!(room.at("state/notes.tmp").exists());
        let (said, exit) = doctor(&room, &[]);
        assert_eq!((exit, said.len(), &said[0]["situation"]), (Some(0), 1, &"free".into()), "{said:?}");
    }
}

#[test]
fn a_directory_in_which_no_gateway_has_been_is_not_touched() {
    for (name, bits) in [("index.html", 0o755), ("gateway.notes.tmp", 0o755), ("gateway.lock", 0o1777)] {
        let room = Room::new(34, None);
        room.put(&format!("state/{name}"), b"of the user");
        fs::set_permissions(room.at("state"), fs::Permissions::from_mode(bits)).expect("it is mine");
        let (said, _) = doctor(&room, &["--fix"]);
        assert!(said.iter().all(|line| line["code"] != "open-directory"), "{name}: {said:?}");
        assert_eq!(mode(&room), bits, "{name}");
        assert!(room.at(&format!("state/{name}")).exists(), "{name}");
    }
}

#[test]
fn leftovers_under_an_owner_are_left_alone() {
    let room = Room::new(18, None);
    let mut gateway = room.gateway(&[]);
    untidy(&room);
    let (said, exit) = doctor(&room, &["--fix"]);
    assert_eq!(exit, Some(1), "{said:?}");
    assert_eq!(said[0]["situation"], "expected-gateway", "{said:?}");
    assert_eq!((&said[1]["isFixed"], &said[2]["isFixed"]), (&true.into(), &false.into()), "{said:?}");
    let result = said[2]["result"].as_str().expect("a text");
    assert!(result.starts_with("left alone (held-ready)"), "{result}");
    assert!(room.at(LEFTOVER).exists() && gateway.child.lives());
}

#[test]
fn a_second_gateway_and_a_stranger_get_advice_of_their_own() {
    let room = Room::new(19, None);
    let free = doctor(&room, &[]);
    let first = room.gateway(&[]);
    let expected = doctor(&room, &[]);
    first.pause();
    let stale = doctor(&room, &[]);
    drop(first);
    let mut neighbour = Room::new(20, None);
    neighbour.base = room.base;
    let other = neighbour.gateway(&[]);
    let second = doctor(&room, &[]);
    assert_eq!(second.0[0]["holder"]["pid"], other.pid());
    drop(other);
    let program = Room::idle(None, room.listener());
    let unknown = doctor(&room, &[]);
    drop(program);
    let all = [free, expected, stale, second, unknown];
    let seen: Vec<(&str, i32)> = all
        .iter()
        .map(|(said, exit)| {
            (said[0]["situation"].as_str().expect("a word"), exit.expect("it was not killed"))
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("free", 0),
            ("expected-gateway", 0),
            ("stale-process", 78),
            ("second-gateway", 78),
            ("unknown-holder", 78)
        ]
    );
    let mut advice: Vec<&str> =
        all.iter().map(|(said, _)| said[0]["advice"].as_str().expect("a text")).collect();
    advice.sort_unstable();
    advice.dedup();
    assert_eq!(advice.len(), all.len());
}

#[test]
fn a_directory_that_cannot_be_looked_into_is_said_to_be_closed_as_text_and_as_json() {
    for uid in users().into_iter().flatten() {
        let room = Room::new(19, Some(uid));
        fs::set_permissions(room.at("state"), fs::Permissions::from_mode(0o000)).expect("it is mine");
        let expected = format!("{} cannot be looked at: ", room.at("state").display());
        let (said, _) = doctor(&room, &[]);
        let closed = said.iter().find(|line| line["event"] == "closed").unwrap_or_else(|| panic!("{said:?}"));
        let message = closed["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(&expected), "{message}");
        let text = String::from_utf8_lossy(&room.run(&["doctor"]).stdout).into_owned();
        assert!(text.contains(message), "{text}");
    }
}
