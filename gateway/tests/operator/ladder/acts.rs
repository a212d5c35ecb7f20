//! What is done is done to the proved owner of this very state directory, and to nobody else.

use std::os::unix::fs::symlink;

use crate::room::{Room, object, read};

use super::situations::gateway;
use super::{TOKEN, client, shown};

#[test]
fn a_gateway_is_restarted_in_place_and_stopped_and_its_locks_are_free_then() {
    let room = Room::busy(9);
    let mut running = gateway(&room);
    let restarted = client(&room, "gateway restart --json", TOKEN).output().expect("it runs");
    let said = object(&restarted.stdout);
    assert_eq!((restarted.status.code(), &said["epoch"]), (Some(0), &2.into()), "{said}");
    assert_eq!(said["holder"]["pid"], running.pid(), "it is the same process: {said}");
    let stopped = client(&room, "gateway stop --json", TOKEN).output().expect("it runs");
    let said = object(&stopped.stdout);
    assert_eq!((stopped.status.code(), &said["stopped"]), (Some(0), &running.pid().into()), "{said}");
    assert!(!running.child.lives(), "the command waited for its end");
    assert_eq!(room.why(None)["verdict"], "free");
    let again = client(&room, "gateway stop", TOKEN).output().expect("it runs");
    assert_eq!(again.status.code(), Some(0), "{}", shown(&room, &again));
}

#[test]
fn the_gateway_of_another_state_directory_is_not_stopped_though_it_has_the_port() {
    let room = Room::busy(10);
    let mut running = gateway(&room);
    let stranger = room.at("stranger");
    for line in ["gateway stop --wait-s 5", "gateway restart --wait-s 5"] {
        let mut command = client(&room, line, TOKEN);
        let output = command.env("OPENCLAW_STATE_DIR", &stranger).output().expect("it runs");
        let text = shown(&room, &output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("nobody owns the state directory"), "{text}");
    }
    assert!(running.child.lives());
    assert_eq!(room.why(None)["verdict"], "held-ready");
    assert!(!stranger.exists(), "whoever looks makes nothing");
}

#[test]
fn a_unit_that_would_bring_it_back_is_named() {
    let room = Room::busy(11);
    let installed = room.run(&["gateway", "install"]);
    assert!(installed.status.success());
    let file = room.at(".config/systemd/user/refgate.service");
    let start = client(&room, "gateway start", TOKEN).output().expect("it runs");
    let text = shown(&room, &start);
    assert_eq!(start.status.code(), Some(1), "{text}");
    assert!(text.ends_with("  next       systemctl --user start refgate.service\n"), "{text}");
    let unit = String::from_utf8(read(&file)).expect("text").replace("Restart=on-failure", "Restart=always");
    room.put(".config/systemd/user/refgate.service", unit.as_bytes());
    let _running = gateway(&room);
    let stop = client(&room, "gateway stop", TOKEN).output().expect("it runs");
    let text = shown(&room, &stop);
    assert_eq!(stop.status.code(), Some(0), "{text}");
    assert!(text.contains("refgate.service has Restart=always"), "{text}");
    assert!(text.ends_with("  next       systemctl --user stop refgate.service\n"), "{text}");
}

#[test]
fn only_the_unit_that_was_written_for_this_state_directory_is_removed() {
    let room = Room::busy(12);
    let file = room.at(".config/systemd/user/refgate.service");
    let uninstall = |line: &str| {
        let output = client(&room, line, TOKEN).output().expect("it runs");
        (output.status.code(), shown(&room, &output))
    };
    let (status, text) = uninstall("gateway uninstall");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.starts_with("refgate: there is no HOME/.config/systemd/user/refgate.service"), "{text}");
    assert!(room.run(&["gateway", "install"]).status.success());
    let wants = room.at(".config/systemd/user/default.target.wants");
    std::fs::create_dir(&wants).expect("a directory");
    symlink(&file, wants.join("refgate.service")).expect("a link");
    let (status, text) = uninstall("gateway uninstall --dry-run");
    assert!(status == Some(0) && text.starts_with("refgate: would remove ") && file.exists(), "{text}");
    // That of another state directory stays.
    let mut command = client(&room, "gateway uninstall", TOKEN);
    let other = command.env("OPENCLAW_STATE_DIR", room.at("other")).output().expect("it runs");
    assert_eq!(other.status.code(), Some(78), "{}", shown(&room, &other));
    assert!(file.exists());
    let (status, text) = uninstall("gateway uninstall");
    assert_eq!(status, Some(0), "{text}");
    assert!(!file.exists() && wants.join("refgate.service").symlink_metadata().is_err(), "{text}");
    assert!(text.contains("systemctl --user daemon-reload"), "{text}");
    // What somebody else has written stays too.
    room.put(".config/systemd/user/refgate.service", b"[Service]\nExecStart=/bin/true\n");
    let (status, text) = uninstall("gateway uninstall");
    assert_eq!(status, Some(78), "{text}");
    assert!(file.exists(), "{text}");
}
