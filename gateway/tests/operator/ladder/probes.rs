//! Secrets go where they are meant to go, and one gateway is one gateway however it is reached.

use std::net::{Ipv4Addr, TcpListener};

use tokio_tungstenite::tungstenite;

use crate::room::{Room, object};

use super::held::Held;
use super::situations::{gateway, web_server};
use super::{TOKEN, client, shown};

#[test]
fn two_addresses_of_one_gateway_are_one_and_two_gateways_are_two() {
    let (room, other) = (Room::busy(13), Room::busy(14));
    let _gateways = (gateway(&room), gateway(&other));
    let probe = |urls: &str| {
        let output = client(&room, &format!("gateway probe --json {urls}"), TOKEN).output().expect("it runs");
        (output.status.code(), object(&output.stdout))
    };
    let urls = format!("--url ws://127.0.0.1:{0} --url ws://[::1]:{0} --url ws://localhost:{0}", room.base);
    let (status, said) = probe(&urls);
    assert_eq!((status, &said["warnings"]), (Some(0), &serde_json::json!([])), "{said}");
    assert_eq!(said["targets"].as_array().map(Vec::len), Some(3), "{said}");
    let (status, said) =
        probe(&format!("--url ws://127.0.0.1:{} --url ws://127.0.0.1:{}", room.base, other.base));
    assert_eq!((status, &said["warnings"][0]["code"]), (Some(0), &"multiple_gateways".into()), "{said}");
}

#[test]
fn a_wrong_secret_is_no_success_of_a_probe() {
    let room = Room::busy(15);
    let _gateway = gateway(&room);
    let output = client(&room, "gateway probe --json", "another").output().expect("it runs");
    let said = object(&output.stdout);
    assert_eq!((output.status.code(), &said["ok"]), (Some(1), &false.into()), "{said}");
    let connect = &said["targets"][0]["connect"];
    assert_eq!(
        (&connect["error"]["code"], &connect["close"]["code"]),
        (&"AUTH_TOKEN_MISMATCH".into(), &1008.into())
    );
}

#[test]
fn a_secret_of_this_machine_goes_to_no_other_host_and_to_no_stranger_on_the_port() {
    let room = Room::busy(16);
    // Whoever reads the secret ends this test.
    web_server(room.base);
    for line in ["gateway health", "gateway probe", "gateway call status"] {
        let output = client(&room, line, TOKEN).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{}", shown(&room, &output));
    }
    for line in
        ["gateway health", "gateway probe", "gateway call status", "logs", "status", "channels status"]
    {
        let output =
            client(&room, &format!("{line} --url ws://192.0.2.1:9"), TOKEN).output().expect("it runs");
        let text = shown(&room, &output);
        assert_eq!(output.status.code(), Some(2), "{line}: {text}");
        assert!(
            text.contains("another host, and no secret was given for it: nothing was sent"),
            "{line}: {text}"
        );
    }
}

#[test]
fn a_stranger_that_listens_before_the_owner_does_is_sent_no_secret() {
    let room = Room::busy(23);
    let held = Held::unbound(&room);
    assert_eq!(room.why(None)["holder"]["pid"], held.pid());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, room.base)).expect("the owner does not listen");
    let stranger = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("somebody comes");
        let mut socket = tungstenite::accept(stream).expect("a handshake");
        let challenge = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}"#;
        socket.send(challenge.into()).expect("it is sent");
        socket.read().expect("it says who it is").into_text().expect("a text").to_string()
    });
    let output = client(&room, "gateway health", TOKEN).output().expect("it runs");
    let said = stranger.join().expect("it does not panic");
    assert!(said.contains("\"connect\"") && !said.contains(TOKEN), "{said}");
    assert_eq!(output.status.code(), Some(1), "{}", shown(&room, &output));
}

#[test]
fn a_secret_may_stand_in_a_file_and_nowhere_on_the_command_line() {
    let room = Room::busy(17);
    let _gateway = gateway(&room);
    room.put("token", format!("{TOKEN}\n").as_bytes());
    let file = room.at("token");
    let with_file = |url: &str| {
        let mut command = client(&room, &format!("gateway status --require-rpc {url}"), "another");
        let output = command.arg("--token-file").arg(&file).output().expect("it runs");
        (output.status.code(), shown(&room, &output))
    };
    let (status, text) = with_file("--json");
    assert_eq!(status, Some(0), "{text}");
    assert!(!text.contains(TOKEN), "{text}");
    let (status, text) = with_file(&format!("--url ws://127.0.0.1:{}", room.base));
    assert_eq!(status, Some(0), "{text}");
    room.put("token", b"\n");
    let (status, text) = with_file("--json");
    assert_eq!(status, Some(2), "{text}");
    let refused = client(&room, "health --token x", TOKEN).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "there is no such option");
}

#[test]
fn somebody_who_accepts_and_says_nothing_is_waited_for_no_longer_than_was_said() {
    let room = Room::busy(18);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    let line = format!("health --timeout-ms 100 --url ws://127.0.0.1:{port}");
    let output = client(&room, &line, TOKEN).output().expect("it runs");
    let text = shown(&room, &output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("listens and does not answer: an answer did not come within 100 ms"), "{text}");
}

#[test]
fn an_owner_that_serves_another_port_than_the_settings_say_is_told_with_the_port_that_it_serves() {
    let (room, other) = (Room::busy(21), Room::busy(22));
    let running = gateway(&room);
    let mut command = client(&other, "gateway status --json", TOKEN);
    command.env("OPENCLAW_STATE_DIR", room.at("state")).env("OPENCLAW_CONFIG_PATH", room.at("openclaw.json"));
    let output = command.output().expect("it runs");
    let said = object(&output.stdout);
    assert_eq!((output.status.code(), &said["situation"]), (Some(1), &"other-port".into()), "{said}");
    assert_eq!(said["holder"]["pid"], running.pid(), "{said}");
    assert_eq!(said["next"], format!("refgate gateway status --port {}", room.base), "{said}");
}
