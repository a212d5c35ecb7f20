//! One connection: a challenge, a client that says who it is, then requests and events until one of both ends it.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::methods::{self, EVENTS};
use super::{Control, Letter, Mailbox, Now, Stranger};
use crate::auth::Auth;
use crate::identity::PhaseName;
use crate::protocol::{
    self, Code, Connect, Failure, Frame, ROLE_NODE, ROLE_OPERATOR, Request, Said, Scopes, answer, event,
    refuse,
};

/// The longest reason that fits into a close frame, in bytes (RFC 6455, section 5.5).
const LONGEST_REASON: usize = 123;
/// When to come again while a gateway is starting, in milliseconds.
const STARTING_AGAIN_MS: u64 = 500;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The address at the other end.
    pub(crate) address: IpAddr,
    /// Whether the page that opened it, if it was one, may talk to this gateway.
    pub(crate) origin_is_own: bool,
}

/// What a session wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary one.
    Binary(Bytes),
    /// A sign of life is asked for.
    Ping,
    /// Nothing further for so many milliseconds.
    Pause(u64),
    /// The end, with a code and a reason.
    Close(u16, String),
    /// The end without a word: nobody listens any more.
    Drop,
}

impl Out {
    fn text(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    control: Control,
    peer: Peer,
    /// The name of the connection.
    id: String,
    stage: Stage,
    /// When something is due next.
    timers: Timers,
}

#[derive(Debug)]
enum Stage {
    /// It has not said who it is.
    Challenged { nonce: String, _stranger: Stranger },
    /// It has.
    Open(Open),
    /// It is over.
    Over,
}

#[derive(Debug)]
pub(super) struct Open {
    number: u64,
    pub(super) scopes: Scopes,
    mailbox: Arc<Mailbox>,
    /// How many events it was sent, or has lost.
    seq: u64,
}

/// When something is due, on the monotonic clock, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Timers {
    handshake: u64,
    tick: u64,
    ping: u64,
    /// Whether the last ping is unanswered.
    silent: bool,
}

impl Session {
    /// A connection is there. `words` are random: the challenge and the name of the connection.
    pub(crate) fn open(
        control: Control,
        stranger: Stranger,
        peer: Peer,
        words: [String; 2],
        now: Now,
        out: &mut Vec<Out>,
    ) -> Self {
        let [nonce, id] = words;
        let challenge = json!({ "nonce": nonce, "ts": now.wall_ms }).to_string();
        out.push(Out::text(event("connect.challenge", &challenge, None, None)));
        let limits = control.limits();
        let timers = Timers {
            handshake: now.monotonic_ms + limits.handshake_ms,
            tick: u64::MAX,
            ping: now.monotonic_ms + limits.ping_ms,
            silent: false,
        };
        Self { control, peer, id, stage: Stage::Challenged { nonce, _stranger: stranger }, timers }
    }

    /// The longest message that is read now, in bytes.
    pub(crate) fn longest(&self) -> usize {
        let limits = self.control.limits();
        match self.stage {
            Stage::Challenged { .. } => limits.first_bytes,
            Stage::Open(_) | Stage::Over => limits.message_bytes,
        }
    }

    /// Where events come in, once there are any.
    pub(crate) fn mailbox(&self) -> Option<Arc<Mailbox>> {
        match &self.stage {
            Stage::Open(open) => Some(open.mailbox.clone()),
            Stage::Challenged { .. } | Stage::Over => None,
        }
    }

    /// A message has come.
    pub(crate) fn frame(&mut self, text: &str, now: Now, out: &mut Vec<Out>) {
        let frame = protocol::read(text);
        match &mut self.stage {
            Stage::Over => {}
            Stage::Challenged { nonce, .. } => {
                let nonce = std::mem::take(nonce);
                self.first(frame, &nonce, now, out);
            }
            Stage::Open(open) => match frame {
                Frame::Request(request) => {
                    let called = methods::call(&self.control, open, &request, now);
                    self.control.count_call(&request.method, called.is_ok());
                    out.push(Out::text(match called {
                        Ok(payload) => answer(&request.id, &payload),
                        Err(failure) => refuse(&request.id, &failure),
                    }));
                }
                Frame::Strange { id, why } => out.push(Out::text(refuse(&id, &Failure::invalid(why)))),
                // A client that has come in may babble.
                Frame::Noise => {}
            },
        }
    }

    fn first(&mut self, frame: Frame<'_>, nonce: &str, now: Now, out: &mut Vec<Out>) {
        match frame {
            Frame::Noise => self.close(1000, "the first message must be a connect request in JSON", out),
            Frame::Strange { .. } => self.close(1008, "invalid request frame", out),
            Frame::Request(request) if request.method != "connect" => {
                let message = "invalid handshake: first request must be connect";
                self.turn_away(&request.id, &Failure::invalid(message), 1008, out);
            }
            Frame::Request(request) => match self.admit(&request, nonce, now, out) {
                Ok((open, hello)) => {
                    self.control.count(|counts| counts.admitted += 1);
                    self.stage = Stage::Open(open);
                    self.timers.tick = now.monotonic_ms + self.control.limits().tick_ms;
                    out.push(Out::text(answer(&request.id, &hello)));
                }
                Err((code, failure)) => self.turn_away(&request.id, &failure, code, out),
            },
        }
    }

    /// Whether a client may come in, and what it is told then.
    fn admit(
        &self,
        request: &Request<'_>,
        nonce: &str,
        now: Now,
        out: &mut Vec<Out>,
    ) -> Result<(Open, Value), (u16, Failure)> {
        let refused = |failure| (1008, failure);
        let connect = Connect::read(request).map_err(refused)?;
        self.phase()?;
        if !connect.speaks() {
            return Err((1002, mismatch(&connect)));
        }
        if !self.peer.origin_is_own {
            return Err(refused(Failure {
                details: Some(json!({ "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED" })),
                ..Failure::invalid("origin not allowed: this page may not talk to the gateway")
            }));
        }
        if ![ROLE_OPERATOR, ROLE_NODE].contains(&connect.role.as_str()) {
            return Err(refused(Failure::invalid("invalid role")));
        }
        self.prove(&connect, nonce, now)
            .inspect_err(|failure| {
                if failure.details.as_ref().is_some_and(|details| details["authReason"].is_string()) {
                    out.push(Out::Pause(self.control.penalty(self.peer.address, now)));
                }
            })
            .map_err(refused)?;
        self.control.forgive(self.peer.address);
        let scopes = Scopes::of(&connect.scopes);
        let mailbox = Arc::new(Mailbox::default());
        let number = self.control.enter(self.entry(&connect, now), mailbox.clone());
        let hello = self.hello(&connect, &scopes, now);
        Ok((Open { number, scopes, mailbox, seq: 0 }, hello))
    }

    /// Whether anybody is let in at the moment.
    fn phase(&self) -> Result<(), (u16, Failure)> {
        let phase = self.control.world().phase.get();
        match phase {
            PhaseName::Ready => Ok(()),
            PhaseName::Starting => {
                let message = "gateway starting; retry shortly";
                Err((1013, Failure::unavailable(message, Some(STARTING_AGAIN_MS), "starting")))
            }
            PhaseName::Draining => Err((
                1012,
                Failure::unavailable("gateway stopping", Some(STARTING_AGAIN_MS), "gateway-draining"),
            )),
        }
    }

    /// Whether a client is who it should be.
    fn prove(&self, connect: &Connect, nonce: &str, now: Now) -> Result<(), Failure> {
        let client = &connect.client;
        if let Some(device) = &connect.device {
            let said = Said {
                client: &client.id,
                mode: &client.mode,
                role: &connect.role,
                scopes: &connect.scopes,
                token: connect.auth.token.as_deref().or(connect.auth.device_token.as_deref()).unwrap_or(""),
                platform: &client.platform,
                family: client.device_family.as_deref().unwrap_or(""),
            };
            device.verify(said, nonce, now.wall_ms).map_err(|fault| Failure {
                details: Some(json!({ "code": fault.code() })),
                ..Failure::invalid(fault.message())
            })?;
        } else if connect.role == ROLE_NODE {
            return Err(no_identity());
        }
        let (what, secret) = match &self.control.about().auth {
            Auth::Open => return Ok(()),
            Auth::Token(secret) => ("token", secret),
            Auth::Password(secret) => ("password", secret),
        };
        match connect.auth.secret() {
            Some(said) if secret.is(said) => Ok(()),
            Some(_) => Err(wrong(what)),
            None => Err(no_identity()),
        }
    }

    /// How others see this client.
    fn entry(&self, connect: &Connect, now: Now) -> Value {
        let client = &connect.client;
        let mut entry = json!({
            "version": client.version,
            "platform": client.platform,
            "mode": client.mode,
            "reason": "connect",
            "roles": [connect.role],
            "ts": now.wall_ms,
            "onlineSince": now.wall_ms,
            "text": client.display_name.as_deref().unwrap_or(&client.id),
        });
        for (name, value) in [
            ("deviceFamily", client.device_family.as_ref()),
            ("instanceId", client.instance_id.as_ref()),
            ("deviceId", connect.device.as_ref().map(|device| &device.id)),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                entry[name] = json!(value);
            }
        }
        if !connect.scopes.is_empty() {
            entry["scopes"] = json!(Scopes::of(&connect.scopes).as_slice());
        }
        entry
    }

    fn hello(&self, connect: &Connect, scopes: &Scopes, now: Now) -> Value {
        let limits = self.control.limits();
        let world = self.control.world();
        json!({
            "type": "hello-ok",
            "protocol": protocol::VERSION,
            "server": {
                "version": env!("CARGO_PKG_VERSION"),
                "bootId": world.instance(),
                "connId": self.id,
            },
            "features": { "methods": methods::names(), "events": EVENTS },
            "snapshot": {
                "presence": world.presence(&self.control),
                "health": methods::health(&world, now),
                "stateVersion": world.version,
                "uptimeMs": now.monotonic_ms.saturating_sub(world.began.monotonic_ms),
            },
            "auth": { "role": connect.role, "scopes": scopes.as_slice() },
            "policy": {
                "maxPayload": limits.message_bytes,
                "maxBufferedBytes": limits.waiting_bytes,
                "tickIntervalMs": limits.tick_ms,
            },
        })
    }

    /// A sign of life has come: anything that was sent.
    pub(crate) const fn alive(&mut self) {
        self.timers.silent = false;
    }

    /// When something is due next, on the monotonic clock, in milliseconds.
    pub(crate) fn due_ms(&self) -> u64 {
        match self.stage {
            Stage::Challenged { .. } => self.timers.handshake.min(self.timers.ping),
            Stage::Open(_) => self.timers.tick.min(self.timers.ping),
            Stage::Over => u64::MAX,
        }
    }

    /// Does what is due.
    pub(crate) fn due(&mut self, now: Now, out: &mut Vec<Out>) {
        let limits = self.control.limits();
        let (tick_ms, ping_ms) = (limits.tick_ms, limits.ping_ms);
        match &mut self.stage {
            Stage::Over => return,
            Stage::Challenged { .. } => {
                if self.timers.handshake <= now.monotonic_ms {
                    return self.close(1000, "handshake timeout: no connect request came in time", out);
                }
            }
            Stage::Open(open) => {
                if self.timers.tick <= now.monotonic_ms {
                    self.timers.tick = now.monotonic_ms + tick_ms;
                    let payload = json!({ "ts": now.wall_ms }).to_string();
                    out.push(open.numbered("tick", &payload, 0, None));
                }
            }
        }
        if self.timers.ping <= now.monotonic_ms {
            self.timers.ping = now.monotonic_ms + ping_ms;
            if std::mem::replace(&mut self.timers.silent, true) {
                self.leave();
                out.push(Out::Drop);
            } else {
                out.push(Out::Ping);
            }
        }
    }

    /// Sends what has been posted. A client that does not read is sent nothing more, but it is sent away in the end.
    pub(crate) fn posted(&mut self, reads: bool, out: &mut Vec<Out>) {
        let Stage::Open(open) = &mut self.stage else { return };
        while let Some(letter) = open.mailbox.take(reads) {
            match letter {
                Letter::Event(event, lost) => {
                    out.push(open.numbered(event.name, &event.payload, lost, event.version));
                }
                Letter::Overflow => {
                    self.control.count(|counts| counts.slow_consumers += 1);
                    return self.close(1008, "slow consumer", out);
                }
            }
        }
    }

    /// The gateway stops, or begins anew.
    pub(crate) fn end(&mut self, out: &mut Vec<Out>) {
        if let Stage::Open(open) = &mut self.stage {
            let payload = json!({ "reason": "gateway stopping" }).to_string();
            out.push(open.numbered("shutdown", &payload, 0, None));
        }
        self.close(1012, "service restart", out);
    }

    fn turn_away(&mut self, id: &str, failure: &Failure, code: u16, out: &mut Vec<Out>) {
        self.control.count(|counts| counts.refused += 1);
        out.push(Out::text(refuse(id, failure)));
        let reason = match failure.code {
            Code::Unavailable if code == 1013 => "gateway starting",
            Code::Unavailable => "service restart",
            Code::InvalidRequest | Code::NotPaired | Code::Forbidden => &failure.message,
        };
        self.close(code, reason, out);
    }

    fn close(&mut self, code: u16, reason: &str, out: &mut Vec<Out>) {
        out.push(Out::Close(code, reason[..reason.floor_char_boundary(LONGEST_REASON)].to_owned()));
        self.leave();
    }

    fn leave(&mut self) {
        if let Stage::Open(open) = std::mem::replace(&mut self.stage, Stage::Over) {
            self.control.leave(open.number);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Open {
    /// An event with the number that is next for this client, after those that it has lost.
    fn numbered(
        &mut self,
        name: &str,
        payload: &str,
        lost: u64,
        version: Option<protocol::StateVersion>,
    ) -> Out {
        self.seq += 1 + lost;
        Out::text(event(name, payload, Some(self.seq), version))
    }
}

fn mismatch(connect: &Connect) -> Failure {
    Failure {
        details: Some(json!({
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": connect.min_protocol,
            "clientMaxProtocol": connect.max_protocol,
            "expectedProtocol": protocol::VERSION,
            "minimumProbeProtocol": protocol::OLDEST_OF_PROBES,
        })),
        ..Failure::invalid("protocol mismatch")
    }
}

fn no_identity() -> Failure {
    Failure {
        code: Code::NotPaired,
        details: Some(json!({ "code": "DEVICE_IDENTITY_REQUIRED" })),
        ..Failure::invalid("device identity required")
    }
}

fn wrong(what: &str) -> Failure {
    Failure {
        details: Some(json!({
            "code": format!("AUTH_{}_MISMATCH", what.to_uppercase()),
            "authReason": format!("{what}_mismatch"),
            "canRetryWithDeviceToken": false,
            "recommendedNextStep": "update_auth_credentials",
        })),
        ..Failure::invalid(format!(
            "unauthorized: gateway {what} mismatch (use this gateway's gateway.auth.{what} or pair the device)"
        ))
    }
}
