//! What is said to the agent happens once, and is heard by whoever wants to hear it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW, inside, message, posted, request, said, say, token, told};
use crate::control::{Outbox, Session};

fn heard(session: &mut Session) -> Vec<Value> {
    posted(session, true).iter().map(message).collect()
}

fn send(run: &str, text: &str) -> Value {
    json!({"sessionKey": "main", "message": text, "idempotencyKey": run})
}

fn payload(session: &mut Session, method: &str, params: &Value) -> Value {
    let out = say(session, &request("2", method, params));
    assert_eq!(told(&out), ["ok"], "{method} {params}: {out:?}");
    message(&out[0])["payload"].clone()
}

fn texts(session: &mut Session) -> Vec<String> {
    let history = payload(session, "chat.history", &json!({"sessionKey": "main"}));
    let messages = history["messages"].as_array().expect("a list");
    let text = |message: &Value| message["content"][0]["text"].as_str().expect("a text").to_owned();
    messages.iter().map(text).collect()
}

#[test]
fn the_same_key_is_one_message_and_one_reply_however_often_it_is_sent() {
    let control = token();
    let mut client = inside(&control, &["operator.write"]);
    assert_eq!(
        payload(&mut client, "chat.send", &send("k", "hi")),
        json!({"runId": "k", "status": "started"})
    );
    assert_eq!(payload(&mut client, "chat.send", &send("k", "hi")), json!({"runId": "k", "status": "ok"}));
    assert_eq!(texts(&mut client), ["hi", "echo: hi"]);
    let out = say(&mut client, &request("3", "chat.send", &send("k", "ho")));
    assert_eq!(
        told(&out),
        ["\"3\" INVALID_REQUEST invalid chat.send params: at /idempotencyKey: was used for another message"]
    );
    payload(&mut client, "chat.send", &send("l", "ho"));
    assert_eq!(texts(&mut client), ["hi", "echo: hi", "ho", "echo: ho"]);
    let latest =
        payload(&mut client, "chat.history", &json!({"sessionKey": "main", "limit": 1, "maxChars": 4}));
    assert_eq!(latest["messages"][0]["content"][0]["text"], "echo");
    assert_eq!(latest["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
fn whoever_watches_a_session_hears_every_message_and_whoever_may_look_the_reply() {
    let control = token();
    let mut speaker = inside(&control, &["operator.write"]);
    let mut watcher = inside(&control, &["operator.read"]);
    let mut stranger = inside(&control, &[]);
    assert_eq!(
        payload(&mut watcher, "sessions.messages.subscribe", &json!({"key": "main"})),
        json!({"subscribed": true, "key": "main"})
    );
    payload(&mut watcher, "sessions.subscribe", &json!({}));
    for client in [&mut speaker, &mut watcher, &mut stranger] {
        heard(client);
    }
    payload(&mut speaker, "chat.send", &send("k", "hi"));
    let names = |heard: Vec<Value>| -> Vec<String> {
        heard.iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(
        names(heard(&mut watcher)),
        ["session.message", "sessions.changed", "health", "session.message", "sessions.changed", "chat"]
    );
    let mut events = heard(&mut speaker);
    let last = events.pop().expect("the reply");
    assert_eq!(names(events), ["health"]);
    assert_eq!(
        last["payload"],
        json!({
            "runId": "k", "sessionKey": "main", "agentId": "main", "seq": 1, "state": "final",
            "message": {"role": "assistant", "content": [{"type": "text", "text": "echo: hi"}],
                        "timestamp": NOW.wall_ms, "id": "k:assistant"},
        })
    );
    assert_eq!(heard(&mut stranger), [] as [Value; 0], "it may not look");
    payload(&mut watcher, "sessions.messages.unsubscribe", &json!({"key": "main"}));
    payload(&mut watcher, "sessions.unsubscribe", &json!({}));
    payload(&mut speaker, "chat.send", &send("l", "ho"));
    assert_eq!(names(heard(&mut watcher)), ["chat"]);
}

#[test]
fn what_the_agent_cannot_take_is_refused_with_the_place() {
    let control = token();
    let mut client = inside(&control, &["operator.write"]);
    let refused = |client: &mut Session, change: fn(&mut Value)| {
        let mut params = send("k", "hi");
        change(&mut params);
        told(&say(client, &request("2", "chat.send", &params))).remove(0)
    };
    for (said, expected) in [
        (
            refused(&mut client, |params| params["agentId"] = json!("x")),
            "at /agentId: must be equal to one of",
        ),
        (
            refused(&mut client, |params| params["attachments"] = json!([])),
            "unexpected property 'attachments'",
        ),
        (
            refused(&mut client, |params| params["message"] = json!("x".repeat(64 * 1024 + 1))),
            "at /message: must NOT have more than 65536 bytes",
        ),
        (
            refused(&mut client, |params| params["idempotencyKey"] = json!("x".repeat(257))),
            "at /idempotencyKey: must NOT have more than 256 bytes",
        ),
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let mut reader = inside(&control, &["operator.read"]);
    assert_eq!(
        told(&say(&mut reader, &request("2", "chat.send", &send("k", "hi")))),
        ["\"2\" FORBIDDEN missing scope: operator.write"]
    );
    assert_eq!(payload(&mut reader, "sessions.list", &json!({}))["sessions"], json!([]));
}

#[test]
fn sessions_are_listed_the_latest_first_and_the_health_counts_them() {
    let control = token();
    let mut client = inside(&control, &["operator.write"]);
    for key in ["a", "b"] {
        let params = json!({"sessionKey": key, "message": key, "idempotencyKey": key});
        payload(&mut client, "chat.send", &params);
    }
    let list = payload(&mut client, "sessions.list", &json!({"includeLastMessage": true, "limit": 1}));
    assert_eq!((&list["count"], &list["totalCount"]), (&json!(1), &json!(2)));
    assert_eq!(list["sessions"][0]["lastMessagePreview"], "echo: a");
    let found = payload(&mut client, "sessions.list", &json!({"search": "b"}));
    assert_eq!(found["sessions"][0]["key"], "b");
    assert_eq!(payload(&mut client, "health", &json!({}))["sessions"]["count"], 2);
}

#[test]
fn what_has_happened_to_clients_is_told_to_whoever_may_look() {
    let control = token();
    let mut client = inside(&control, &["operator.read"]);
    let mut wrong = super::connect();
    wrong["auth"]["token"] = json!("wrong");
    say(&mut super::come(&control).0, &request("1", "connect", &wrong));
    let stability = payload(&mut client, "diagnostics.stability", &json!({"limit": 1}));
    assert_eq!(
        stability["summary"]["byType"],
        json!({"gateway.opened": 1, "client.connected": 1, "client.refused": 1})
    );
    assert_eq!(stability["events"][0]["reason"], "AUTH_TOKEN_MISMATCH");
    assert_eq!(payload(&mut client, "last-heartbeat", &json!({})), Value::Null);
    let preflight = payload(&mut client, "gateway.restart.preflight", &json!({}));
    assert_eq!((&preflight["safe"], &preflight["counts"]["clients"]), (&json!(true), &json!(1)));
    let identity = payload(&mut client, "gateway.identity.get", &json!({}));
    assert_eq!(identity["deviceId"].as_str().map(str::len), Some(64));
    assert_eq!(identity["publicKey"].as_str().map(str::len), Some(43));
    assert_eq!(payload(&mut client, "gateway.identity.get", &json!({})), identity, "it is known by it");
}

#[test]
fn whoever_may_not_look_sees_the_gateway_and_itself_and_a_long_name_is_cut() {
    let control = token();
    let mut reader = inside(&control, &["operator.read"]);
    let (mut session, _) = super::come(&control);
    let mut params = super::connect();
    params["scopes"] = json!([]);
    params["client"]["displayName"] = json!("ä".repeat(200));
    let out = say(&mut session, &request("1", "connect", &params));
    let presence = message(&out[0])["payload"]["snapshot"]["presence"].clone();
    let names: Vec<_> =
        presence.as_array().expect("a list").iter().map(|entry| entry["mode"].clone()).collect();
    assert_eq!(names, ["gateway", "cli"]);
    assert_eq!(presence[1]["text"], "ä".repeat(128));
    assert_eq!(heard(&mut reader).len(), 1, "it sees the other one come");
    drop(reader);
    assert_eq!(heard(&mut session), [] as [Value; 0], "it does not see the other one go");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_told_together_who_has_come_and_gone() {
    let control = token();
    let teller = control.clone();
    let telling = tokio::spawn(async move { teller.tell_crowds().await });
    let mut reader = inside(&control, &["operator.read"]);
    let mut crowd: Vec<_> = (1..32).map(|_| inside(&control, &[])).collect();
    assert_eq!(heard(&mut reader).len(), 31, "of few it is told at once");
    crowd.extend((0..20).map(|_| inside(&control, &[])));
    assert_eq!(heard(&mut reader), [] as [Value; 0]);
    let after = async |reader: &mut Session| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let events = heard(reader).into_iter();
        let version = |event: &Value| event["stateVersion"]["presence"].as_u64();
        events
            .map(|event| (event["payload"]["presence"].as_array().map(Vec::len), version(&event)))
            .collect::<Vec<_>>()
    };
    assert_eq!(after(&mut reader).await, [(Some(1 + 52), Some(52))], "the gateway and all of them");
    crowd.truncate(41);
    assert_eq!(after(&mut reader).await, [(Some(1 + 42), Some(62))]);
    crowd.truncate(29);
    let few = heard(&mut reader);
    assert_eq!(few.last().map(|event| &event["stateVersion"]["presence"]), Some(&json!(74)));
    assert_eq!(after(&mut reader).await, [], "nothing is told twice");
    telling.abort();
}

#[test]
fn whoever_asks_for_much_at_once_gets_it_piece_by_piece_in_the_order_of_the_requests() {
    let control = token();
    let mut client = inside(&control, &["operator.write"]);
    for run in 0..8 {
        payload(&mut client, "chat.send", &send(&run.to_string(), &"x".repeat(64 * 1024)));
    }
    heard(&mut client);
    let (mut out, mut ids) = (Outbox::default(), Vec::new());
    for id in 0..20 {
        let (method, params) = match id % 2 {
            0 => ("chat.history", json!({"sessionKey": "main"})),
            _ => ("health", json!({})),
        };
        client.frame(&request(&id.to_string(), method, &params), NOW, &mut out);
    }
    let mut answers = said(&mut out);
    while !answers.is_empty() {
        let texts: Vec<String> = answers.iter().map(|out| message(out).to_string()).collect();
        let bytes: usize = texts.iter().map(String::len).sum();
        assert!(bytes < (1 << 20) + (5 << 18), "{bytes} bytes wait");
        ids.extend(answers.iter().map(|out| message(out)["id"].as_str().expect("an id").to_owned()));
        // A client that has not read it is sent nothing more.
        assert_eq!(posted(&mut client, false), []);
        answers = posted(&mut client, true);
    }
    assert_eq!(ids, (0..20).map(|id| id.to_string()).collect::<Vec<_>>());
}
