//! `refgate gateway --force` ends the owner that was meant, and nothing else.

use std::process::Stdio;

use serde_json::Value;

use crate::room::{Orphan, Room, USER, object, read};

/// The instance that the owner record names.
fn recorded_instance(room: &Room) -> String {
    let record: Value =
        serde_json::from_slice(&read(&room.at("state/gateway.owner.json"))).expect("an object");
    record["instance"].as_str().expect("a text").to_owned()
}

/// A forced start that is refused.
fn refused(room: &Room, expect: &str) -> Value {
    object(&room.run(&["gateway", "--json", "--force", "--expect-instance", expect]).stdout)
}

fn evidence(said: &Value) -> String {
    said["evidence"].to_string()
}

#[test]
fn a_stopped_owner_is_ended_and_the_start_goes_on() {
    let room = Room::new(10, None);
    let mut old = room.gateway(&[]);
    old.pause();
    let expected = recorded_instance(&room);
    let said = refused(&room, "somebody-else");
    assert_eq!(said["code"], "held-stopped", "{said}");
    assert!(evidence(&said).contains(&format!("its instance is {expected}")), "{said}");
    assert!(old.child.lives());
    let new = room.gateway(&["--force", "--expect-instance", &expected]);
    assert!(!old.child.lives());
    assert_ne!(recorded_instance(&room), expected);
    drop(new);
}

#[test]
fn a_healthy_owner_is_asked_to_stop_only_if_it_is_the_expected_one() {
    let room = Room::new(11, None);
    let mut old = room.gateway(&[]);
    let expected = room.why(None)["instance"].as_str().expect("it answers").to_owned();
    let said = refused(&room, "0123456789abcdef");
    assert_eq!(said["code"], "held-ready", "{said}");
    assert!(old.child.lives());
    let new = room.gateway(&["--force", "--expect-instance", &expected]);
    assert_eq!(old.next()["event"], "draining");
    assert_eq!(old.next()["event"], "released");
    drop(new);
}

#[test]
fn without_a_terminal_and_an_expectation_nothing_is_even_tried() {
    let room = Room::new(12, None);
    let before = room.files();
    let output = room.run(&["gateway", "--force"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--force --expect-instance ID"), "{text}");
    assert_eq!(room.files(), before);
    assert_eq!(room.run(&["gateway", "--expect-instance", "x"]).status.code(), Some(2), "it needs --force");
}

#[test]
fn orphans_programs_on_the_port_and_those_who_are_only_named_survive() {
    let room = Room::new(13, None);
    let orphan = Orphan::new(&room);
    let said = refused(&room, "x");
    assert_eq!((&said["code"], &said["holder"]["pid"]), (&"held-orphan".into(), &orphan.0.into()), "{said}");
    assert!(evidence(&said).contains("only a gateway that owns this state directory"), "{said}");
    drop(orphan);

    let mut program = Room::idle(None, room.listener());
    let said = refused(&room, "x");
    assert_eq!(said["code"], "port-foreign", "{said}");
    assert!(program.lives());
    drop(program);

    // The record of a stopped owner speaks of another process: then nothing is certain, and nobody is ended.
    let mut owner = room.gateway(&[]);
    owner.pause();
    let mut innocent = Room::idle(None, Stdio::null());
    room.lie(innocent.pid());
    let said = refused(&room, "00000000000000000000000000000000");
    assert_eq!(said["code"], "held-stopped", "{said}");
    assert!(evidence(&said).contains(&format!("speaks of pid {}", innocent.pid())), "{said}");
    assert!(owner.child.lives() && innocent.lives());
}

#[test]
fn the_gateway_of_another_user_is_never_ended_not_even_by_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let room = Room::new(14, Some(USER));
    let mut owner = room.gateway(&[]);
    let expected = recorded_instance(&room);
    let output = room
        .refgate(None, &["gateway", "--json", "--force", "--expect-instance", &expected])
        .output()
        .expect("it runs");
    let said = object(&output.stdout);
    assert_eq!(said["code"], "insecure-directory", "{said}");
    assert!(owner.child.lives());
}
