//! What a gateway was told it knows after a crash, a restart in place and a takeover, and nothing is said twice.

use std::fs;

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::room::{Room, signal};

/// A client that has come in, with every scope.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub(crate) fn of(room: &Room) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let socket = runtime.block_on(async {
            let stream = TcpStream::connect(("127.0.0.1", room.base)).await.expect("it listens");
            tokio_tungstenite::client_async("ws://localhost/", stream).await.expect("a handshake").0
        });
        let mut client = Self { runtime, socket };
        let hello = client.ask(
            "connect",
            &json!({
                "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.admin"],
                "client": {"id": "test", "version": "1", "platform": "linux", "mode": "test"},
            }),
        );
        assert_eq!(hello["type"], "hello-ok", "{hello}");
        client
    }

    /// What a request is answered with.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.try_ask(method, params).expect("it is answered")
    }

    /// The same; `None`: the gateway is gone.
    fn try_ask(&mut self, method: &str, params: &Value) -> Option<Value> {
        let request = json!({"type": "req", "id": "1", "method": method, "params": params});
        self.runtime.block_on(async {
            self.socket.send(Message::text(request.to_string())).await.ok()?;
            loop {
                let Message::Text(text) = self.socket.next().await?.ok()? else { continue };
                let said: Value = serde_json::from_str(&text).expect("JSON");
                if said["type"] == "res" {
                    assert_eq!(said["ok"], true, "{said}");
                    return Some(said["payload"].clone());
                }
            }
        })
    }

    fn send(&mut self, run: &str) -> String {
        let params = json!({"sessionKey": "main", "message": run, "idempotencyKey": run});
        self.ask("chat.send", &params)["status"].as_str().unwrap_or_default().to_owned()
    }

    /// What was said, once so much was.
    fn texts(&mut self, count: usize) -> Vec<String> {
        loop {
            let history = self.ask("chat.history", &json!({"sessionKey": "main"}));
            let messages = history["messages"].as_array().expect("a list");
            if messages.len() >= count {
                let text =
                    |message: &Value| message["content"][0]["text"].as_str().unwrap_or_default().to_owned();
                return messages.iter().map(text).collect();
            }
        }
    }
}

/// The files that a gateway remembers by.
fn files(room: &Room) -> Vec<String> {
    let entries = fs::read_dir(room.at("state")).expect("it is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("control.")).collect();
    names.sort();
    names
}

#[test]
fn what_was_answered_is_known_after_a_crash_a_restart_and_a_takeover() {
    let room = Room::new(68, None);
    let mut gateway = room.gateway(&[]);
    assert_eq!(Client::of(&room).send("a"), "started");
    // Dead at once, whatever it was about to write.
    gateway.child.0.kill().expect("it is mine");
    gateway.child.0.wait().expect("it ends");
    let mut gateway = room.gateway(&[]);
    let mut client = Client::of(&room);
    assert_eq!(client.texts(2), ["a", "echo: a"]);
    assert_eq!(client.send("a"), "ok", "it is the same message");
    let key = client.ask("gateway.identity.get", &json!({}));
    assert_eq!(files(&room), ["control.2.jsonl"]);

    assert_eq!(client.send("b"), "started");
    signal(gateway.pid(), Signal::USR1);
    assert_eq!(gateway.next()["event"], "ready");
    let mut client = Client::of(&room);
    assert_eq!(client.texts(4), ["a", "echo: a", "b", "echo: b"]);
    assert_eq!(files(&room), ["control.3.jsonl"]);

    assert_eq!(client.send("c"), "started");
    let next = room.gateway(&["--takeover"]);
    assert_eq!(gateway.next()["event"], "released");
    let mut client = Client::of(&room);
    assert_eq!(client.texts(6)[4..], ["c", "echo: c"]);
    assert_eq!(client.ask("gateway.identity.get", &json!({})), key, "it is known by the same key");
    assert_eq!(client.ask("sessions.list", &json!({}))["count"], 1);
    drop(next);
}

#[test]
fn whenever_a_gateway_is_killed_each_message_that_was_answered_is_there_once() {
    let room = Room::new(67, None);
    let (mut answered, mut sent) = (Vec::new(), 0);
    for round in 0..6 {
        let mut gateway = room.gateway(&[]);
        let mut client = Client::of(&room);
        // The one that nobody answered is sent again.
        let killer = std::thread::spawn(move || {
            for _ in 0..round * 40_000 {
                std::thread::yield_now();
            }
            gateway.child.0.kill().expect("it is mine");
            gateway.child.0.wait().expect("it ends");
        });
        loop {
            let run = format!("m{sent}");
            let params = json!({"sessionKey": "main", "message": run, "idempotencyKey": run});
            if client.try_ask("chat.send", &params).is_none() {
                break;
            }
            answered.push(run);
            sent += 1;
        }
        killer.join().expect("it has killed");
    }
    let _gateway = room.gateway(&[]);
    let said: Vec<String> =
        Client::of(&room).texts(0).into_iter().filter(|text| !text.starts_with("echo: ")).collect();
    // Of what is remembered: the latest, in the order in which it was said, and perhaps one that nobody has answered.
    let known = answered.iter().rev().take(200 / 2 - 1).rev().cloned().collect::<Vec<_>>();
    let is_there = |run: &&String| said.iter().filter(|text| text == run).count() == 1;
    assert_eq!(known.iter().filter(is_there).count(), known.len(), "{known:?} {said:?}");
}

#[test]
fn jobs_run_in_the_workspace_and_say_in_which_epoch() {
    let room = Room::new(71, None);
    let config = r#"{ agents: { defaults: { workspace: "WORK" } }, cron: { jobs: [ { id: "beat", everyMs: 1000, message: "hi" } ] } }"#;
    let work = room.at("work").display().to_string();
    room.put("openclaw.json", config.replace("WORK", &work).as_bytes());
    let _gateway = room.gateway(&[]);
    let mut client = Client::of(&room);
    let run = loop {
        let runs = client.ask("cron.runs", &json!({"id": "beat"}));
        if let Some(run) = runs["entries"].get(0) {
            break run.clone();
        }
    };
    assert_eq!(run["status"], "ok", "{run}");
    let left = fs::read_dir(room.at("work/cron-runs")).expect("it was made").next().expect("a file");
    let text: Value =
        serde_json::from_slice(&crate::room::read(&left.expect("an entry").path())).expect("JSON");
    assert_eq!((&text["job"], &text["epoch"]), (&json!("beat"), &json!(1)));
    assert_eq!((&text["workspace"], &text["text"]), (&json!(work), &json!("echo: hi")));
    assert_eq!(text["instance"], client.ask("status", &json!({}))["instanceId"]);
}

#[test]
fn a_job_that_cannot_be_understood_stops_a_start_with_its_place() {
    let room = Room::new(70, None);
    for (job, told) in [
        (
            "{ id: 'a b', everyMs: 1000 }",
            "`id` of a job must be 1 to 64 letters, digits, `_` or `-`, not another text",
        ),
        ("{ id: 'a', everyMs: 10 }", "`everyMs` of a job must be a whole number from 1000 to 31622400000"),
        (
            "{ id: 'a' }",
            "a job in `cron.jobs` must be one with `everyMs`, `at` or `schedule`, not one with none of them",
        ),
        (
            "{ id: 'a', everyMs: 1000, schedule: { kind: 'cron', expr: '* * * * *' } }",
            "a job in `cron.jobs` must be one with `everyMs`, `at` or `schedule`, not one with several of them",
        ),
        (
            "{ id: 'a', schedule: { kind: 'cron', expr: '60 * * * *' } }",
            "`expr` of a job must be five fields such as \"0 9 * * 1-5\", not another text",
        ),
        (
            "{ id: 'a', schedule: { kind: 'cron', expr: '* * * * *', tz: 'Europe/Berlin' } }",
            "`schedule` of a job must be an object with `kind` \"cron\", an `expr` and no other key but `tz` \"UTC\"",
        ),
        ("{ id: 'a', at: 'tomorrow' }", "`at` of a job must be a moment such as \"2026-12-31T23:59:00Z\""),
        (
            "{ id: 'a', everyMs: 1000, cron: '* * * * *' }",
            "a key of a job in `cron.jobs` is \"cron\", which is not known",
        ),
        ("{ id: 'a', everyMs: 1000 }, { id: 'a', everyMs: 1000 }", "`id` of a job must be an id of its own"),
    ] {
        room.put("openclaw.json", format!("{{ cron: {{ jobs: [ {job} ] }} }}").as_bytes());
        let output = room.run(&["gateway"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{job}: {said}");
        assert!(said.contains(told) && said.contains("openclaw.json:1:"), "{job}: {said}");
    }
}
