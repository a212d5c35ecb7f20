//! Whole conversations without a socket: what a client says, and everything that it is told.

mod chat;
mod delivery;
mod kept;
mod pairing;

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::work::{Audience, News};
use super::{About, Control, Now, Out, Outbox, Peer, Session, SessionLimits};
use crate::auth::{Auth, Secret};
use crate::framing::Kind;
use crate::framing::tests::messages;
use crate::identity::{Phase, PhaseName};
use crate::protocol::scope;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW: Now = Now { wall_ms: 1_795_295_080_600, monotonic_ms: 5_000 };
const NONCE: &str = "90ea42cd-c570-4e18-af7a-2762b422fb62";

fn with(auth: Auth) -> Control {
    let control = Control::new(About { auth, ..About::open() }, SessionLimits::openclaw());
    let phase = Phase::default();
    phase.set(PhaseName::Ready);
    let opened = Now { wall_ms: 1_795_295_080_000, monotonic_ms: 4_000 };
    control.opened(&phase, opened, Some([7; 32]));
    control
}

fn token() -> Control {
    with(Auth::Token(Secret::new("t")))
}

/// What is wanted of whoever has the socket, to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pause(u64),
    Close(u16, String),
    Drop,
}

/// Everything that is wanted since somebody looked last.
fn said(out: &mut Outbox) -> Vec<Said> {
    let message = |(kind, bytes)| match kind {
        Kind::Text => Said::Text(String::from_utf8(bytes).expect("a text message is text")),
        Kind::Binary => Said::Binary(bytes),
    };
    let said = out.iter().flat_map(|out| match out {
        Out::Frames(frames) => messages(frames).into_iter().map(message).collect(),
        Out::Ping => vec![Said::Ping],
        Out::Pause(milliseconds) => vec![Said::Pause(milliseconds)],
        Out::Close(code, reason) => vec![Said::Close(code, reason.to_owned())],
        Out::Drop => vec![Said::Drop],
    });
    let said = said.collect();
    out.clear();
    said
}

/// What a session says by itself, once it is asked for what was posted.
fn posted(session: &mut Session, reads: bool) -> Vec<Said> {
    let mut out = Outbox::default();
    session.posted(reads, NOW, &mut out);
    said(&mut out)
}

/// A client that has just come, and what it was told.
fn come(control: &Control) -> (Session, Vec<Said>) {
    let mut out = Outbox::default();
    let peer = Peer { address: HERE, origin_is_own: true };
    let stranger = control.stranger(HERE).expect("there is room");
    let words = [NONCE.to_owned(), "c1".to_owned()];
    (Session::open(control.clone(), stranger, peer, words, NOW, &mut out), said(&mut out))
}

fn at(monotonic_ms: u64) -> Now {
    Now { wall_ms: NOW.wall_ms + monotonic_ms - NOW.monotonic_ms, monotonic_ms }
}

/// What a session says to a message.
fn say(session: &mut Session, text: &str) -> Vec<Said> {
    let mut out = Outbox::default();
    session.frame(text, NOW, &mut out);
    said(&mut out)
}

fn connect() -> Value {
    json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.read"],
        "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"},
        "auth": {"token": "t"},
    })
}

fn request(id: &str, method: &str, params: &Value) -> String {
    json!({"type": "req", "id": id, "method": method, "params": params}).to_string()
}

/// A client that has come in with these scopes.
fn inside(control: &Control, scopes: &[&str]) -> Session {
    let (mut session, _) = come(control);
    let mut params = connect();
    params["scopes"] = json!(scopes);
    let out = say(&mut session, &request("0", "connect", &params));
    assert_eq!(message(&out[0])["ok"], true, "{out:?}");
    session
}

fn message(out: &Said) -> Value {
    match out {
        Said::Text(text) => serde_json::from_str(text).expect("JSON"),
        other @ (Said::Binary(_) | Said::Ping | Said::Pause(_) | Said::Close(..) | Said::Drop) => {
            panic!("{other:?} is no message")
        }
    }
}

/// Everything that is said, in short: `code message` of a failure, `ok`, `close code reason`, `pause ms`.
fn told(out: &[Said]) -> Vec<String> {
    let short = |out: &Said| match out {
        Said::Text(_) => {
            let message = message(out);
            match (&message["type"], &message["ok"]) {
                (Value::String(kind), _) if kind == "event" => format!("event {}", message["event"]),
                (_, Value::Bool(true)) => "ok".to_owned(),
                _ => {
                    let error = &message["error"];
                    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                    format!("{} {} {}", message["id"], text("code"), text("message"))
                }
            }
        }
        Said::Close(code, reason) => format!("close {code} {reason}"),
        Said::Pause(milliseconds) => format!("pause {milliseconds}"),
        Said::Ping => "ping".to_owned(),
        Said::Drop => "drop".to_owned(),
        Said::Binary(bytes) => format!("{} bytes", bytes.len()),
    };
    out.iter().map(short).collect()
}

#[test]
fn whoever_comes_is_challenged() {
    let (_, out) = come(&token());
    assert_eq!(
        out.iter().map(message).collect::<Vec<_>>(),
        [
            json!({"type": "event", "event": "connect.challenge", "payload": {"nonce": NONCE, "ts": NOW.wall_ms}})
        ]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one row a case")]
fn whoever_is_not_let_in_is_told_why_with_the_code_of_the_protocol() {
    let changed = |change: fn(&mut Value)| {
        let mut params = connect();
        change(&mut params);
        request("1", "connect", &params)
    };
    let mismatch =
        "unauthorized: gateway token mismatch (use this gateway's gateway.auth.token or pair the device)";
    let identity = ["\"1\" NOT_PAIRED device identity required", "close 1008 device identity required"];
    let roots = "invalid connect params: must have required property 'minProtocol'; must have required property \
                 'maxProtocol'; must have required property 'client'; at root: unexpected property 'foo'";
    let cases: Vec<(String, Vec<String>)> = [
        (
            changed(|params| params["auth"]["token"] = json!("wrong")),
            vec![
                "pause 250".to_owned(),
                format!("\"1\" INVALID_REQUEST {mismatch}"),
                format!("close 1008 {mismatch}"),
            ],
        ),
        (changed(|params| params["auth"] = json!({})), identity.map(str::to_owned).to_vec()),
        (
            changed(|params| {
                params.as_object_mut().expect("an object").remove("auth");
            }),
            identity.map(str::to_owned).to_vec(),
        ),
        (
            changed(|params| {
                params["role"] = json!("node");
            }),
            identity.map(str::to_owned).to_vec(),
        ),
        (changed(|params| params["auth"] = json!({"password": "t"})), vec!["ok".to_owned()]),
        (
            changed(|params| {
                params["minProtocol"] = json!(5);
                params["maxProtocol"] = json!(6);
            }),
            vec![
                "\"1\" INVALID_REQUEST protocol mismatch".to_owned(),
                "close 1002 protocol mismatch".to_owned(),
            ],
        ),
        (
            changed(|params| {
                params["minProtocol"] = json!(3);
                params["maxProtocol"] = json!(3);
                params["client"]["mode"] = json!("probe");
            }),
            vec!["ok".to_owned()],
        ),
        (
            changed(|params| params["role"] = json!("king")),
            vec!["\"1\" INVALID_REQUEST invalid role".to_owned(), "close 1008 invalid role".to_owned()],
        ),
        (
            request("1", "health", &json!({})),
            vec![
                "\"1\" INVALID_REQUEST invalid handshake: first request must be connect".to_owned(),
                "close 1008 invalid handshake: first request must be connect".to_owned(),
            ],
        ),
        ("[1,2,3]".to_owned(), vec!["close 1008 invalid request frame".to_owned()]),
        (r#"{"type":"event","event":"x"}"#.to_owned(), vec!["close 1008 invalid request frame".to_owned()]),
        (
            "hello".to_owned(),
            vec!["close 1000 the first message must be a connect request in JSON".to_owned()],
        ),
        (
            request("1", "connect", &json!({"foo": 1})),
            vec![format!("\"1\" INVALID_REQUEST {roots}"), format!("close 1008 {}", &roots[..123])],
        ),
    ]
    .into();
    for (text, expected) in cases {
        let control = token();
        let (mut session, _) = come(&control);
        assert_eq!(told(&say(&mut session, &text)), expected, "{text}");
        let goes_on = expected == ["ok"];
        assert_eq!(session.mailbox().is_some(), goes_on, "{text}");
        if !goes_on {
            assert_eq!(say(&mut session, &request("2", "health", &json!({}))), [], "it is over: {text}");
        }
        drop(session);
        assert!(control.world().strangers.is_empty() && control.world().present.is_empty());
    }
}

#[test]
fn what_goes_wrong_is_told_to_programs_too() {
    let control = token();
    let details = |change: fn(&mut Value)| {
        let (mut session, _) = come(&control);
        let mut params = connect();
        change(&mut params);
        let out = say(&mut session, &request("1", "connect", &params));
        let refused = out.iter().find(|out| matches!(out, Said::Text(_))).expect("an answer");
        message(refused)["error"]["details"].clone()
    };
    assert_eq!(
        details(|params| params["auth"]["token"] = json!("")),
        json!({
            "code": "AUTH_TOKEN_MISMATCH", "authReason": "token_mismatch", "canRetryWithDeviceToken": false,
            "recommendedNextStep": "update_auth_credentials",
        })
    );
    assert_eq!(
        details(|params| params["maxProtocol"] = json!(3)),
        json!({
            "code": "PROTOCOL_MISMATCH", "clientMinProtocol": 4, "clientMaxProtocol": 3, "expectedProtocol": 4,
            "minimumProbeProtocol": 3,
        })
    );
    assert_eq!(details(|params| params["auth"] = json!({})), json!({"code": "DEVICE_IDENTITY_REQUIRED"}));
    assert_eq!(
        details(|params| {
            params["device"] =
                json!({"id": "x", "publicKey": "x", "signature": "x", "signedAt": 0, "nonce": "x"});
        }),
        json!({"code": "DEVICE_AUTH_PUBLIC_KEY_INVALID"})
    );
}

#[test]
fn each_failed_proof_is_answered_later_than_the_one_before() {
    let control = token();
    let mut params = connect();
    params["auth"]["token"] = json!("wrong");
    let wrong = request("1", "connect", &params);
    let pause = |session: &mut Session| told(&say(session, &wrong))[0].clone();
    for expected in [250, 500, 1000, 2000, 4000, 5000, 5000] {
        assert_eq!(pause(&mut come(&control).0), format!("pause {expected}"));
    }
    // Whoever knows the secret is forgiven.
    drop(inside(&control, &[]));
    assert_eq!(pause(&mut come(&control).0), "pause 250");
}

#[test]
fn a_page_from_elsewhere_does_not_get_in_with_the_right_token() {
    let control = token();
    let stranger = control.stranger(HERE).expect("there is room");
    let peer = Peer { address: HERE, origin_is_own: false };
    let mut session =
        Session::open(control, stranger, peer, [String::new(), String::new()], NOW, &mut Outbox::default());
    let out = say(&mut session, &request("1", "connect", &connect()));
    assert_eq!(message(&out[0])["error"]["details"], json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED"}));
    assert!(matches!(out[1], Said::Close(1008, _)), "{out:?}");
}

#[test]
fn a_device_is_let_in_by_its_signature_where_no_secret_is_asked_for() {
    let control = with(Auth::Open);
    let (mut session, _) = come(&control);
    let params = json!({
        "minProtocol": 4, "maxProtocol": 4, "caps": [], "role": "operator", "scopes": ["operator.read"],
        "client": {"id": "cli", "version": "1", "platform": "linux", "deviceFamily": "Linux", "mode": "cli"},
        "device": {
            "id": "82704344e35d1b0804f61367713d7d4f2c4ef5edf4afe104252da488fda3059a",
            "publicKey": "a79_xKtE7_AGAEpO8sc6WFRRVSFEQwN6k277KhM9iIQ",
            "signature": "NYf6lQ494yRYEB3qNLReDesndzd1-EnWa4texAfl149mwyDMB2OEabqnAEK7fZp6HwHD95RocD5IkpGkz8AsBw",
            "signedAt": 1_795_295_080_491_u64,
            "nonce": NONCE,
        },
    });
    let out = say(&mut session, &request("1", "connect", &params));
    assert_eq!(told(&out), ["ok"], "{out:?}");
    // The same signature answers no other challenge.
    let stranger = control.stranger(HERE).expect("there is room");
    let peer = Peer { address: HERE, origin_is_own: true };
    let words = ["another".to_owned(), String::new()];
    let mut replayed = Session::open(control, stranger, peer, words, NOW, &mut Outbox::default());
    let out = say(&mut replayed, &request("1", "connect", &params));
    assert_eq!(message(&out[0])["error"]["details"], json!({"code": "DEVICE_AUTH_NONCE_MISMATCH"}));
}

#[test]
fn a_gateway_that_is_not_ready_says_when_to_come_again() {
    let control = token();
    for (phase, message_of, close) in [
        (
            PhaseName::Starting,
            "\"1\" UNAVAILABLE gateway starting; retry shortly",
            "close 1013 gateway starting",
        ),
        (PhaseName::Draining, "\"1\" UNAVAILABLE gateway stopping", "close 1012 service restart"),
    ] {
        control.world().phase.set(phase);
        let (mut session, _) = come(&control);
        let out = say(&mut session, &request("1", "connect", &connect()));
        assert_eq!(told(&out), [message_of, close]);
        let error = &message(&out[0])["error"];
        assert_eq!((&error["retryable"], &error["retryAfterMs"]), (&json!(true), &json!(500)));
    }
}

#[test]
fn whoever_is_in_sees_who_else_is() {
    let control = token();
    let (mut first, _) = come(&control);
    let out = say(&mut first, &request("1", "connect", &connect()));
    let hello = message(&out[0])["payload"].clone();
    assert_eq!(hello["features"]["methods"], json!(super::methods::names()));
    assert_eq!(hello["snapshot"]["uptimeMs"], 1000);
    assert_eq!(hello["snapshot"]["presence"].as_array().map(Vec::len), Some(2), "the gateway and the client");
    assert_eq!(hello["snapshot"]["stateVersion"]["presence"], 1);
    let second = inside(&control, &[]);
    let seen = |session: &mut Session| posted(session, true).iter().map(message).collect::<Vec<_>>();
    let entered = seen(&mut first);
    assert_eq!(entered.len(), 1, "{entered:?}");
    assert_eq!((&entered[0]["event"], &entered[0]["seq"]), (&json!("presence"), &json!(1)));
    assert_eq!(entered[0]["payload"]["presence"].as_array().map(Vec::len), Some(3));
    drop(second);
    let left = seen(&mut first);
    assert_eq!((&left[0]["seq"], &left[0]["stateVersion"]["presence"]), (&json!(2), &json!(3)));
}

#[test]
fn what_a_client_may_not_do_it_is_told() {
    let control = token();
    for (scopes, method, params, expected) in [
        (vec![], "health", json!({"zzz": 1}), "ok".to_owned()),
        (vec![], "health", json!("str"), "ok".to_owned()),
        (vec![], "status", json!({}), "\"2\" FORBIDDEN missing scope: operator.read".to_owned()),
        (vec!["operator.read"], "status", json!({}), "ok".to_owned()),
        (vec!["operator.write"], "system-presence", json!({}), "ok".to_owned()),
        (vec!["operator.read"], "nope", json!({}), "\"2\" FORBIDDEN missing scope: operator.admin".to_owned()),
        (vec!["operator.admin"], "nope", json!({}), "\"2\" INVALID_REQUEST unknown method: nope".to_owned()),
        (vec!["operator.read"], "connect", json!({}), "\"2\" FORBIDDEN missing scope: operator.admin".to_owned()),
        (
            vec!["operator.read"],
            "channels.status",
            json!({"zzz": 1, "probe": "x"}),
            "\"2\" INVALID_REQUEST invalid channels.status params: at root: unexpected property 'zzz'; at /probe: must \
             be boolean"
                .to_owned(),
        ),
    ] {
        let mut session = inside(&control, &scopes);
        assert_eq!(told(&say(&mut session, &request("2", method, &params))), [expected], "{method} {scopes:?}");
    }
    // Clients of OpenClaw read these lists, and end where one is missing.
    let mut session = inside(&control, &["operator.read"]);
    let sessions =
        message(&say(&mut session, &request("2", "status", &json!({})))[0])["payload"]["sessions"].clone();
    assert_eq!(
        sessions,
        json!({
            "path": "", "paths": [""], "count": 0, "defaults": {"model": null, "contextTokens": null},
            "recent": [], "byAgent": [],
        })
    );
    let mut session = inside(&control, &[]);
    let out = say(&mut session, &request("2", "status", &json!({})));
    assert_eq!(
        message(&out[0])["error"]["details"],
        json!({"code": "MISSING_SCOPE", "missingScope": "operator.read", "requiredScopes": ["operator.read"]})
    );
    // Babble is passed over, nonsense is answered.
    assert_eq!(say(&mut session, "babble"), []);
    assert_eq!(
        told(&say(&mut session, "[1]")),
        ["\"invalid\" INVALID_REQUEST invalid request frame: at root: must be object"]
    );
}

#[test]
fn a_client_that_says_nothing_is_sent_away_and_one_that_is_gone_is_dropped() {
    let control = token();
    let (mut silent, _) = come(&control);
    assert_eq!(silent.due_ms(), 20_000);
    let mut out = Outbox::default();
    silent.due(at(20_000), &mut out);
    assert_eq!(told(&said(&mut out)), ["close 1000 handshake timeout: no connect request came in time"]);

    let mut session = inside(&control, &[]);
    let mut out = Outbox::default();
    for (due_ms, expected) in
        [(30_000, vec!["ping"]), (35_000, vec!["event \"tick\""]), (55_000, vec!["drop"]), (u64::MAX, vec![])]
    {
        assert_eq!(session.due_ms(), due_ms);
        if due_ms < u64::MAX {
            session.due(at(due_ms), &mut out);
        }
        assert_eq!(told(&said(&mut out)), expected, "at {due_ms} ms");
    }
    assert!(control.world().present.is_empty(), "nobody sees it any more");
    let mut session = inside(&control, &[]);
    session.due(at(30_000), &mut out);
    session.alive();
    out.clear();
    session.due(at(55_000), &mut out);
    assert!(told(&said(&mut out)).contains(&"ping".to_owned()));
}

#[test]
fn the_end_is_told_before_it_comes() {
    let mut session = inside(&token(), &[]);
    let mut out = Outbox::default();
    session.end(&mut out);
    let out = said(&mut out);
    assert_eq!(
        message(&out[0]),
        json!({"type": "event", "event": "shutdown", "payload": {"reason": "gateway stopping"}, "seq": 1})
    );
    assert_eq!(out[1], Said::Close(1012, "service restart".to_owned()));
}

#[test]
fn only_so_many_at_one_address_may_be_unknown() {
    let control = token();
    let known = inside(&control, &[]);
    let mut strangers: Vec<_> = (0..32).map(|_| come(&control)).collect();
    assert!(control.stranger(HERE).is_none());
    assert!(control.stranger(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))).is_some(), "elsewhere");
    strangers.pop();
    assert!(control.stranger(HERE).is_some());
    drop(known);
}

#[test]
fn a_client_that_does_not_read_is_sent_away_when_too_much_waits_for_it() {
    let about = About { auth: Auth::Token(Secret::new("t")), ..About::open() };
    let control = Control::new(about, SessionLimits { waiting_bytes: 10, ..SessionLimits::openclaw() });
    control.world().phase.set(PhaseName::Ready);
    let mut slow = inside(&control, &[scope::READ]);
    let news = News::of("chat", &json!("longer than ten bytes"), Audience::Scope(scope::READ));
    control.world().tell(&control, &news, None);
    assert_eq!(posted(&mut slow, false), [Said::Close(1008, "slow consumer".to_owned())]);
}
