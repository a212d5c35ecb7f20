//! Which devices may come, and by what they come again.

use std::net::{IpAddr, Ipv4Addr};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{HERE, NONCE, NOW, Said, inside, message, posted, request, said, say, token};
use crate::auth::Auth;
use crate::control::{Control, Now, Outbox, Peer, Session};

pub(super) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 9));

/// What a device asks with.
#[derive(Clone)]
pub(super) struct Asks<'a> {
    pub(super) key: u8,
    pub(super) from: IpAddr,
    pub(super) scopes: &'a [&'a str],
    pub(super) auth: Value,
    pub(super) role: &'a str,
}

impl Asks<'_> {
    pub(super) fn secret() -> Self {
        Self { key: 1, from: HERE, scopes: &["operator.read"], auth: json!({"token": "t"}), role: "operator" }
    }

    fn token(token: &str) -> Self {
        Self { auth: json!({"token": token, "deviceToken": token}), ..Self::secret() }
    }

    fn id(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(SigningKey::from_bytes(&[self.key; 32]).verifying_key().as_bytes()))
    }

    pub(super) fn params(&self) -> Value {
        let key = SigningKey::from_bytes(&[self.key; 32]);
        let shown = self.auth["token"].as_str().or(self.auth["deviceToken"].as_str()).unwrap_or_default();
        let signed = format!(
            "v3|{}|cli|cli|{}|{}|{}|{shown}|{NONCE}|linux|",
            self.id(),
            self.role,
            self.scopes.join(","),
            NOW.wall_ms
        );
        json!({
            "minProtocol": 4, "maxProtocol": 4, "role": self.role, "scopes": self.scopes, "auth": self.auth,
            "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli", "displayName": "phone"},
            "device": {
                "id": self.id(), "publicKey": BASE64URL_NOPAD.encode(key.verifying_key().as_bytes()),
                "signature": BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).to_bytes()),
                "signedAt": NOW.wall_ms, "nonce": NONCE,
            },
        })
    }

    /// What it is told first that is no pause, and its session.
    fn come(&self, control: &Control) -> (Session, Value) {
        let stranger = control.stranger(self.from).expect("there is room");
        let peer = Peer { address: self.from, origin_is_own: true };
        let words = [NONCE.to_owned(), "c".to_owned()];
        let mut session = Session::open(control.clone(), stranger, peer, words, NOW, &mut Outbox::default());
        let out = say(&mut session, &request("1", "connect", &self.params()));
        let answer = out.iter().find(|out| matches!(out, Said::Text(_))).expect("an answer");
        (session, message(answer))
    }

    /// What it is given when it is let in.
    fn given(&self, control: &Control) -> Value {
        let (_, answer) = self.come(control);
        assert_eq!(answer["ok"], true, "{answer}");
        answer["payload"]["auth"].clone()
    }

    /// Why it is not let in.
    fn refused(&self, control: &Control) -> String {
        let (_, answer) = self.come(control);
        assert_eq!(answer["ok"], false, "{answer}");
        answer["error"]["details"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

fn ask(session: &mut Session, method: &str, params: &Value) -> Value {
    message(&say(session, &request("9", method, params))[0])
}

#[test]
fn a_device_on_this_machine_that_knows_the_secret_gets_a_token_and_comes_again_with_that_alone() {
    let control = token();
    let given = Asks::secret().given(&control);
    let device_token = given["deviceToken"].as_str().expect("a token");
    assert_eq!(BASE64URL_NOPAD.decode(device_token.as_bytes()).map(|bytes| bytes.len()), Ok(32));
    assert_eq!((&given["issuedAtMs"], &given["scopes"]), (&json!(NOW.wall_ms), &json!(["operator.read"])));
    let again = Asks::token(device_token).given(&control);
    assert_eq!(again, json!({"role": "operator", "scopes": ["operator.read"]}), "it has one already");
    // It is good for this device, this role, and what was approved.
    assert_eq!(Asks { key: 2, ..Asks::token(device_token) }.refused(&control), "AUTH_DEVICE_TOKEN_MISMATCH");
    assert_eq!(
        Asks { role: "node", ..Asks::token(device_token) }.refused(&control),
        "AUTH_DEVICE_TOKEN_MISMATCH"
    );
    assert_eq!(
        Asks { scopes: &["operator.admin"], ..Asks::token(device_token) }.refused(&control),
        "AUTH_SCOPE_MISMATCH"
    );
    assert_eq!(Asks::token("wrong").refused(&control), "AUTH_DEVICE_TOKEN_MISMATCH");
    // Whoever shows a wrong secret is told that its token would do.
    let wrong = Asks { auth: json!({"token": "wrong"}), ..Asks::secret() };
    assert_eq!(wrong.refused(&control), "AUTH_TOKEN_MISMATCH");
    assert_eq!(wrong.come(&control).1["error"]["details"]["canRetryWithDeviceToken"], true);
    assert_eq!(Asks { auth: json!({}), ..Asks::secret() }.refused(&control), "AUTH_TOKEN_MISSING");
    let shown = format!("{:?}", control.world());
    assert!(
        !shown.contains(device_token) && !shown.contains(&HEXLOWER.encode(&Sha256::digest(device_token)))
    );
}

#[test]
fn a_wrong_device_token_is_answered_late_like_any_guess() {
    let control = token();
    let stranger = control.stranger(HERE).expect("there is room");
    let peer = Peer { address: HERE, origin_is_own: true };
    let words = [NONCE.to_owned(), "c".to_owned()];
    let mut session = Session::open(control.clone(), stranger, peer, words, NOW, &mut Outbox::default());
    let out = say(&mut session, &request("1", "connect", &Asks::token("guess").params()));
    assert_eq!(out[0], Said::Pause(250));
}

#[test]
fn a_device_from_elsewhere_waits_until_somebody_lets_it_in_who_may() {
    let control = token();
    let far = Asks { from: ELSEWHERE, ..Asks::secret() };
    let mut owner = inside(&control, &["operator.pairing", "operator.read"]);
    let (_, answer) = far.come(&control);
    let details = answer["error"]["details"].clone();
    assert_eq!(
        (&answer["error"]["code"], &details["code"]),
        (&json!("NOT_PAIRED"), &json!("PAIRING_REQUIRED"))
    );
    assert_eq!(details["reason"], "not-paired");
    let request = details["requestId"].as_str().expect("a name").to_owned();
    assert_eq!(
        far.come(&control).1["error"]["details"]["requestId"],
        request.as_str(),
        "it is the same request"
    );
    let out = posted(&mut owner, true);
    let told: Vec<_> = out.iter().map(message).filter(|event| event["event"] != "presence").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["event"], "device.pair.requested");
    assert_eq!(told[0]["payload"]["remoteIp"], "192.168.0.9");
    let list = ask(&mut owner, "device.pair.list", &json!({}))["payload"].clone();
    assert_eq!((list["pending"].as_array().map(Vec::len), &list["paired"]), (Some(1), &json!([])));

    let mut reader = inside(&control, &["operator.read"]);
    let approve = json!({"requestId": request});
    assert_eq!(ask(&mut reader, "device.pair.approve", &approve)["error"]["code"], "FORBIDDEN");
    let mut poor = inside(&control, &["operator.pairing"]);
    let denied = ask(&mut poor, "device.pair.approve", &approve);
    assert_eq!(denied["error"]["details"]["missingScope"], "operator.read", "nobody gives what it has not");
    let approved = ask(&mut owner, "device.pair.approve", &approve);
    assert_eq!(approved["payload"]["device"]["deviceId"], far.id().as_str(), "{approved}");
    assert_eq!(ask(&mut owner, "device.pair.approve", &approve)["ok"], false, "it is settled");
    let given = far.given(&control);
    let device_token = given["deviceToken"].as_str().expect("a token");
    Asks { from: ELSEWHERE, ..Asks::token(device_token) }.given(&control);

    // For more it has to be asked again.
    let more = Asks { scopes: &["operator.read", "operator.write"], ..far.clone() };
    assert_eq!(more.come(&control).1["error"]["details"]["reason"], "scope-upgrade");
    let node = Asks { role: "node", ..far.clone() };
    let request = node.come(&control).1["error"]["details"].clone();
    assert_eq!(request["reason"], "role-upgrade");
    let rejected = ask(&mut owner, "device.pair.reject", &json!({"requestId": request["requestId"]}));
    assert_eq!(rejected["payload"]["deviceId"], far.id().as_str());
    assert_eq!(node.refused(&control), "PAIRING_REQUIRED");
}

#[test]
fn a_device_that_may_not_come_any_more_is_sent_away() {
    let control = token();
    let mut owner = inside(&control, &["operator.pairing"]);
    let given = Asks::secret().given(&control);
    let device_token = given["deviceToken"].as_str().expect("a token");
    let (mut session, _) = Asks::token(device_token).come(&control);
    let device = json!({"deviceId": Asks::secret().id(), "role": "operator"});
    let revoked = ask(&mut owner, "device.token.revoke", &device);
    assert_eq!(revoked["payload"]["role"], "operator", "{revoked}");
    assert_eq!(posted(&mut session, false), [Said::Close(1008, "this device may not stay".to_owned())]);
    assert_eq!(Asks::token(device_token).refused(&control), "AUTH_DEVICE_TOKEN_MISMATCH");
    assert_eq!(ask(&mut owner, "device.token.revoke", &device)["ok"], false, "it has none");
    let device = json!({"deviceId": Asks::secret().id()});
    assert_eq!(ask(&mut owner, "device.pair.remove", &device)["payload"], device);
    assert_eq!(ask(&mut owner, "device.pair.remove", &device)["ok"], false, "it is gone");
}

#[test]
fn a_device_that_was_sent_away_while_it_came_in_does_not_stay() {
    let control = token();
    let before = control.world().expulsions;
    let given = Asks::secret().given(&control);
    let mut owner = inside(&control, &["operator.pairing"]);
    ask(&mut owner, "device.pair.remove", &json!({"deviceId": Asks::secret().id()}));
    let present = |device: Option<(String, String)>| crate::control::Present {
        entry: json!({}),
        mailbox: std::sync::Arc::default(),
        scopes: crate::protocol::Scopes::default(),
        device,
        watched: std::collections::BTreeSet::new(),
        lists: false,
    };
    for (device, is_sent_away) in [(Some((given.to_string(), "operator".to_owned())), true), (None, false)] {
        let present = present(device);
        let mailbox = present.mailbox.clone();
        control.enter(present, before, NOW);
        let letter = mailbox.take(false);
        assert_eq!(matches!(letter, Some(crate::control::Letter::Expelled(_))), is_sent_away, "{letter:?}");
    }
}

#[test]
fn whoever_waits_too_long_or_with_too_many_waits_no_more() {
    let control = token();
    let mut owner = inside(&control, &["operator.pairing"]);
    for key in 0..70 {
        assert_eq!(Asks { key, from: ELSEWHERE, ..Asks::secret() }.refused(&control), "PAIRING_REQUIRED");
    }
    let pending = |owner: &mut Session, now: Now| {
        let mut out = Outbox::default();
        owner.frame(&request("9", "device.pair.list", &json!({})), now, &mut out);
        message(&said(&mut out)[0])["payload"]["pending"].as_array().map(Vec::len)
    };
    assert_eq!(pending(&mut owner, NOW), Some(64));
    let late = Now { monotonic_ms: NOW.monotonic_ms + 300_000, ..NOW };
    assert_eq!(pending(&mut owner, late), Some(0));
}

#[test]
fn where_no_secret_is_asked_for_a_device_on_this_machine_is_let_in_and_may_ask_for_more() {
    let control = super::with(Auth::Open);
    let none = Asks { auth: json!({}), ..Asks::secret() };
    let given = none.given(&control);
    let device_token = given["deviceToken"].as_str().expect("a token");
    let more =
        Asks { scopes: &["operator.admin"], auth: json!({"deviceToken": device_token}), ..Asks::secret() };
    assert!(more.given(&control)["deviceToken"].is_string(), "it gets one that is good for more");
}
