//! The log of a gateway in its state directory: who writes it, what is in it, and what is not.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::home::{Client, Home, awaited, base, lines};
use crate::room::signal;

const LOG: &str = ".refgate/logs/gateway.jsonl";

/// A home with a gateway that asks for a token: its port and the token.
fn set_up(number: u16) -> (Home, u16, String) {
    let home = Home::new();
    let port = base(number);
    home.told(&["setup", "--json", "--port", &port.to_string()]);
    let token = home.text(".refgate/gateway.token").trim_end().to_owned();
    (home, port, token)
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap_or_default()).collect()
}

/// Every byte of every file below a directory.
fn everything(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).expect("it is read").map(|entry| entry.expect("it is read").path()) {
        if entry.is_dir() {
            text += &everything(&entry);
        } else {
            text += &String::from_utf8_lossy(&crate::room::read(&entry));
        }
    }
    text
}

#[test]
fn what_happens_to_a_gateway_and_its_clients_is_written_and_no_secret_is() {
    let (home, port, token) = set_up(6);
    let mut gateway = home.gateway(&[]);
    let (_, refused) = Client::connect(port, "wr0ng-s3cret");
    assert_eq!(refused["ok"], false, "{refused}");
    let (mut client, hello) = Client::connect(port, &token);
    assert_eq!(hello["ok"], true, "{hello}");
    let path = home.at(LOG);
    let written = awaited(&path, 4);
    let wanted = json!({ "limit": 5000, "maxBytes": 1_000_000 });
    // What is in the file is in memory at once afterwards.
    let mut told = json!({ "size": 0 });
    while told["size"] != json!(fs::metadata(&path).expect("it is there").len()) {
        told = client.call("logs.tail", &wanted)["payload"].clone();
    }
    assert_eq!(told["file"], json!(path));
    assert_eq!(names(&written), ["owner", "ready", "refused", "connected"]);
    let told_lines: Vec<Value> = told["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| serde_json::from_str(line.as_str().expect("text")).expect("JSON"))
        .collect();
    assert_eq!(told_lines, written);
    assert_eq!(told["cursor"], told["size"]);
    assert!(["truncated", "reset", "skippedBytes"].iter().all(|key| told.get(key).is_none()), "{told}");
    assert_eq!((&written[2]["code"], &written[2]["level"]), (&json!(1008), &json!("info")));
    assert_eq!((&written[3]["client"], &written[3]["address"]), (&json!("test"), &json!("127.0.0.1")));

    signal(gateway.pid(), Signal::USR1);
    assert_eq!(gateway.next()["event"], "ready");
    signal(gateway.pid(), Signal::TERM);
    while gateway.next()["event"] != "released" {}
    let written = lines(&path);
    let expected = [
        "owner",
        "ready",
        "refused",
        "connected",
        "restarting",
        "closed",
        "owner",
        "ready",
        "draining",
        "released",
    ];
    assert_eq!(names(&written), expected);
    assert_eq!((&written[5]["code"], &written[5]["reason"]), (&json!(1012), &json!("service restart")));
    assert_eq!((&written[1]["epoch"], &written[7]["epoch"]), (&json!(1), &json!(2)));
    let pid = json!(gateway.pid());
    assert!(
        written
            .iter()
            .all(|line| line["pid"] == pid && line["ts"].is_string() && line["instance"].is_string())
    );
    let logs = everything(&home.at(".refgate/logs"));
    assert!(!logs.contains(&token) && !logs.contains("wr0ng-s3cret"), "{logs}");
}

#[test]
fn a_client_that_follows_the_log_is_told_what_is_new_and_asks_in_the_right_form() {
    let (home, port, token) = set_up(7);
    let _gateway = home.gateway(&[]);
    let (mut client, _) = Client::connect(port, &token);
    awaited(&home.at(LOG), 3);
    let first = client.call("logs.tail", &json!({ "limit": 1 }))["payload"].clone();
    assert_eq!((first["lines"].as_array().map(Vec::len), &first["truncated"]), (Some(1), &json!(true)));
    let (_other, _) = Client::connect(port, &token);
    let after = json!({ "cursor": first["cursor"] });
    let mut then = client.call("logs.tail", &after)["payload"].clone();
    while then["lines"] == json!([]) {
        then = client.call("logs.tail", &after)["payload"].clone();
    }
    assert_eq!(then["lines"].as_array().map(Vec::len), Some(1), "{then}");
    let beyond = client.call("logs.tail", &json!({ "cursor": 1_000_000 }))["payload"].clone();
    assert_eq!((&beyond["reset"], &beyond["cursor"]), (&json!(true), &then["cursor"]));
    for params in [
        json!({ "limit": 0 }),
        json!({ "limit": 5001 }),
        json!({ "maxBytes": 1_000_001 }),
        json!({ "cursor": -1 }),
        json!({ "x": 1 }),
    ] {
        let refused = client.call("logs.tail", &params);
        assert_eq!(refused["error"]["code"], "INVALID_REQUEST", "{params}: {refused}");
    }
}

#[test]
fn a_refused_start_writes_nothing_into_the_log_of_the_owner() {
    let (home, _, _) = set_up(8);
    let gateway = home.gateway(&[]);
    awaited(&home.at(LOG), 2);
    let before = home.text(LOG);
    assert_eq!(home.run(&["gateway"]).status.code(), Some(78));
    assert_eq!(home.text(LOG), before);
    assert!(lines(&home.at(LOG)).iter().all(|line| line["pid"] == gateway.pid()));
}

#[test]
fn a_log_that_is_full_is_put_aside_and_all_of_it_is_private() {
    let (home, _, _) = set_up(9);
    home.put(LOG, &b"{\"event\":\"old\"}\n".repeat(8 * 1024 * 1024 / 16));
    home.put(".refgate/logs/gateway.1.jsonl", b"{\"event\":\"older\"}\n");
    for name in ["gateway.jsonl", "gateway.1.jsonl"] {
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(home.at(".refgate/logs").join(name), private).expect("it is mine");
    }
    let _gateway = home.gateway(&[]);
    // Until it is put aside, the old one has more lines.
    while fs::metadata(home.at(".refgate/logs/gateway.2.jsonl")).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(names(&awaited(&home.at(LOG), 2)), ["owner", "ready"]);
    let aside = fs::metadata(home.at(".refgate/logs/gateway.1.jsonl")).expect("it is there");
    assert_eq!((aside.len(), aside.mode() & 0o777), (8 * 1024 * 1024, 0o600));
    assert_eq!(names(&lines(&home.at(".refgate/logs/gateway.2.jsonl"))), ["older"]);
    assert_eq!(fs::metadata(home.at(LOG)).expect("it is there").mode() & 0o777, 0o600);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
fn a_log_that_cannot_be_written_is_noted_once_and_stops_nobody() {
    let (home, port, token) = set_up(10);
    // A file where the directory should be.
    home.put(".refgate/logs", b"");
    let mut gateway = home.spawn(&[]);
    // It is noted by the thread that writes, before or after it is ready.
    let mut said: Vec<Value> = (0..3).map(|_| gateway.next()).collect();
    said.sort_by_key(|line| line["event"].as_str().map(str::to_owned));
    assert_eq!(names(&said), ["note", "owner", "ready"]);
    assert!(said[0]["message"].as_str().is_some_and(|text| text.contains("cannot be written")), "{said:?}");
    let (mut client, hello) = Client::connect(port, &token);
    assert_eq!(hello["ok"], true);
    assert_eq!(client.call("health", &json!({}))["ok"], true);
    // Once there is a place for it, it is written again.
    fs::rename(home.at(".refgate/logs"), home.at("elsewhere")).expect("it is there");
    signal(gateway.pid(), Signal::TERM);
    let said: Vec<Value> = (0..2).map(|_| gateway.next()).collect();
    assert_eq!(names(&said), ["draining", "released"], "it is noted once");
    assert!(names(&lines(&home.at(LOG))).contains(&"released"));
}
