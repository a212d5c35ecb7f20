//! One connection: a challenge, a client that says who it is, then requests and events until one of both ends it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::methods;
use super::open::{Open, told};
use super::out::Outbox;
use super::pairing::Asking;
use super::proof::{self, Fault, Proof};
use super::welcome::{brief, entry, hello, mismatch};
use super::work::Work;
use super::{Control, Letter, Mailbox, Now, Present, Stranger};
use crate::identity::PhaseName;
use crate::log::{Event, Level};
use crate::protocol::{
    self, Code, Connect, Failure, Frame, Payload, ROLE_NODE, ROLE_OPERATOR, Request, Scopes, Told, answer,
    refuse,
};

/// The longest reason that fits into a close frame, in bytes (RFC 6455, section 5.5).
const LONGEST_REASON: usize = 123;
/// At most so many messages of a client wait until it is let in.
const MOST_EARLY: usize = 15;
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

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    control: Control,
    peer: Peer,
    /// The name of the connection.
    id: String,
    stage: Stage,
    /// What it has said and was not answered yet: before it was let in, or because so much waits to be sent already.
    backlog: VecDeque<String>,
    /// When something is due next.
    timers: Timers,
    /// The place of a client that was not let in, until it has heard so.
    _refused: Option<Stranger>,
}

#[derive(Debug)]
enum Stage {
    /// It has not said who it is.
    Challenged { nonce: String, stranger: Stranger },
    /// It has, and what lets it in is being written down.
    Proving(Box<Proving>),
    /// It is in.
    Open(Open),
    /// It is over.
    Over,
}

/// A device whose token is being written down.
#[derive(Debug)]
struct Proving {
    admitted: Admitted,
    mailbox: Arc<Mailbox>,
    _stranger: Stranger,
}

/// A client that may come in.
#[derive(Debug)]
struct Admitted {
    connect: Connect,
    scopes: Scopes,
    /// How many devices had been sent away when that was found.
    expulsions: u64,
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
        out: &mut Outbox,
    ) -> Self {
        let [nonce, id] = words;
        let challenge = json!({ "nonce": nonce, "ts": now.wall_ms });
        out.text(|into| Told::new("connect.challenge", &challenge, None).write(into, None));
        let limits = control.limits();
        let timers = Timers {
            handshake: now.monotonic_ms + limits.handshake_ms,
            tick: u64::MAX,
            ping: now.monotonic_ms + limits.ping_ms,
            silent: false,
        };
        let (stage, backlog) = (Stage::Challenged { nonce, stranger }, VecDeque::new());
        Self { control, peer, id, stage, backlog, timers, _refused: None }
    }

    /// The longest message that is read now, in bytes.
    pub(crate) fn longest(&self) -> usize {
        let limits = self.control.limits();
        match self.stage {
            Stage::Challenged { .. } | Stage::Proving(_) => limits.first_bytes,
            Stage::Open(_) | Stage::Over => limits.message_bytes,
        }
    }

    /// Where events come in, once there are any.
    pub(crate) fn mailbox(&self) -> Option<&Mailbox> {
        match &self.stage {
            Stage::Open(open) => Some(&open.mailbox),
            Stage::Proving(proving) => Some(&proving.mailbox),
            Stage::Challenged { .. } | Stage::Over => None,
        }
    }

    /// A message has come.
    pub(crate) fn frame(&mut self, text: &str, now: Now, out: &mut Outbox) {
        if matches!(self.stage, Stage::Open(_)) && (!self.backlog.is_empty() || out.is_much()) {
            self.backlog.push_back(text.to_owned());
        } else {
            self.take(text, now, out);
        }
    }

    /// Does what a message asks for.
    fn take(&mut self, text: &str, now: Now, out: &mut Outbox) {
        match &mut self.stage {
            Stage::Over => {}
            Stage::Challenged { .. } => self.first(protocol::read(text), now, out),
            Stage::Proving(_) => {
                if self.backlog.len() >= MOST_EARLY {
                    return self.close(1008, "too many pending handshake frames", out);
                }
                self.backlog.push_back(text.to_owned());
            }
            Stage::Open(open) => match protocol::read(text) {
                Frame::Request(request) => {
                    if let Some(outcome) = methods::call(&self.control, open, &request, now) {
                        told(&request.id, &outcome, out);
                    }
                }
                Frame::Strange { id, why } => out.text(|into| refuse(into, &id, &Failure::invalid(why))),
                // A client that has come in may babble.
                Frame::Noise => {}
            },
        }
    }

    fn first(&mut self, frame: Frame<'_>, now: Now, out: &mut Outbox) {
        let Stage::Challenged { nonce, stranger } = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        match frame {
            Frame::Noise => self.close(1000, "the first message must be a connect request in JSON", out),
            Frame::Strange { .. } => self.close(1008, "invalid request frame", out),
            Frame::Request(request) if request.method != "connect" => {
                let message = "invalid handshake: first request must be connect";
                self.turn_away(&request.id, &Failure::invalid(message), 1008, out);
            }
            Frame::Request(request) => {
                let id = request.id.to_string();
                match self.admit(&request, &nonce, now, out) {
                    Ok((admitted, Proof::Secret)) if admitted.connect.device.is_some() => {
                        self.pair(admitted, &id, stranger, now, out);
                    }
                    Ok((admitted, Proof::Token | Proof::Secret)) => {
                        self.let_in(&admitted, &id, None, now, out);
                    }
                    Err((code, failure)) => {
                        // Whoever has to wait for the answer still stands at the door.
                        self._refused = Some(stranger);
                        self.refuse(&id, &failure, code, now, out);
                    }
                }
            }
        }
    }

    /// Whether a client may come in, and by what it has proved that.
    fn admit(
        &self,
        request: &Request<'_>,
        nonce: &str,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(Admitted, Proof), (u16, Failure)> {
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
        let scopes = Scopes::of(&connect.scopes);
        // Before anything that others wait for: this takes a while.
        let verified = proof::verify(&connect, nonce, now);
        let proved = verified.and_then(|()| {
            let world = self.control.world();
            Ok((proof::prove(&self.control, &world, &connect, &scopes)?, world.expulsions))
        });
        let (proof, expulsions) = proved.map_err(|fault| {
            if fault.is_guess() {
                out.pause(self.control.penalty(self.peer.address, now));
            }
            (if matches!(fault, Fault::Amnesia(_)) { 1013 } else { 1008 }, fault.failure())
        })?;
        self.control.forgive(self.peer.address);
        Ok((Admitted { connect, scopes, expulsions }, proof))
    }

    /// A device that knows the secret gets a token, or has to wait until somebody lets it in.
    fn pair(&mut self, admitted: Admitted, id: &str, stranger: Stranger, now: Now, out: &mut Outbox) {
        let connect = &admitted.connect;
        let Some(device) = &connect.device else { return };
        let asking = Asking {
            device: device.id.clone(),
            public_key: device.public_key.clone(),
            name: brief(connect.client.display_name.as_deref().unwrap_or_default()),
            platform: brief(&connect.client.platform),
            client: connect.client.id.clone(),
            mode: connect.client.mode.clone(),
            role: connect.role.clone(),
            scopes: admitted.scopes.clone(),
            address: self.peer.address,
        };
        let mailbox = Arc::new(Mailbox::default());
        match self.control.submit(Work::Pair(Box::new(asking)), id, &mailbox, now) {
            Some(outcome) => self.paired(&admitted, id, outcome, now, out),
            None => {
                let proving = Proving { admitted, mailbox, _stranger: stranger };
                self.stage = Stage::Proving(Box::new(proving));
            }
        }
    }

    /// What has come of it.
    fn paired(
        &mut self,
        admitted: &Admitted,
        id: &str,
        outcome: Result<Value, Failure>,
        now: Now,
        out: &mut Outbox,
    ) {
        match outcome {
            Ok(issued) => self.let_in(admitted, id, Some(&issued), now, out),
            Err(failure) => {
                let code = if failure.code == Code::Unavailable { 1013 } else { 1008 };
                self.refuse(id, &failure, code, now, out);
            }
        }
    }

    /// A client is in, with the token that it was given.
    fn let_in(&mut self, admitted: &Admitted, id: &str, issued: Option<&Value>, now: Now, out: &mut Outbox) {
        let Admitted { connect, scopes, expulsions } = admitted;
        let mailbox = Arc::new(Mailbox::default());
        let present = Present {
            entry: entry(connect, scopes, now),
            mailbox: mailbox.clone(),
            scopes: scopes.clone(),
            device: connect.device.as_ref().map(|device| (device.id.clone(), connect.role.clone())),
            watched: std::collections::BTreeSet::new(),
            lists: false,
        };
        let number = self.control.enter(present, *expulsions, now);
        self.control.count(|counts| counts.admitted += 1);
        let open = Open { number, scopes: scopes.clone(), mailbox, seq: 0 };
        let hello = Payload::Own(hello(&self.control, &self.id, connect, &open, issued, now));
        out.text(|into| answer(into, id, &hello));
        self.log(Event {
            client: Some(brief(&connect.client.id)),
            mode: Some(brief(&connect.client.mode)),
            role: Some(connect.role.clone()),
            ..Event::new(Level::Info, "connected")
        });
        self.stage = Stage::Open(open);
        self.timers.tick = now.monotonic_ms + self.control.limits().tick_ms;
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

    /// A sign of life has come: anything that was sent.
    pub(crate) const fn alive(&mut self) {
        self.timers.silent = false;
    }

    /// When something is due next, on the monotonic clock, in milliseconds.
    pub(crate) fn due_ms(&self) -> u64 {
        match self.stage {
            Stage::Challenged { .. } | Stage::Proving(_) => self.timers.handshake.min(self.timers.ping),
            Stage::Open(_) => self.timers.tick.min(self.timers.ping),
            Stage::Over => u64::MAX,
        }
    }

    /// Does what is due.
    pub(crate) fn due(&mut self, now: Now, out: &mut Outbox) {
        let limits = self.control.limits();
        let (tick_ms, ping_ms) = (limits.tick_ms, limits.ping_ms);
        match &mut self.stage {
            Stage::Over => return,
            Stage::Challenged { .. } | Stage::Proving(_) => {
                if self.timers.handshake <= now.monotonic_ms {
                    return self.close(1000, "handshake timeout: no connect request came in time", out);
                }
            }
            Stage::Open(open) => {
                if self.timers.tick <= now.monotonic_ms {
                    self.timers.tick = now.monotonic_ms + tick_ms;
                    open.numbered(&Told::new("tick", &json!({ "ts": now.wall_ms }), None), 0, out);
                }
            }
        }
        if self.timers.ping <= now.monotonic_ms {
            self.timers.ping = now.monotonic_ms + ping_ms;
            if std::mem::replace(&mut self.timers.silent, true) {
                self.gone("it does not answer a ping");
                self.leave();
                out.abandon();
            } else {
                out.ping();
            }
        }
    }

    /// Sends what has been posted, and answers what was left, as far as there is room. A client that does not read is sent
    /// nothing more, but it is sent away in the end.
    pub(crate) fn posted(&mut self, reads: bool, now: Now, out: &mut Outbox) {
        let next = |mailbox: &Mailbox, out: &Outbox| mailbox.take(reads && !out.is_much());
        while let Some(letter) = self.mailbox().and_then(|mailbox| next(mailbox, out)) {
            match (letter, &mut self.stage) {
                (Letter::Event(event, lost), Stage::Open(open)) => {
                    open.numbered(&event.told, lost, out);
                }
                (Letter::Answer(id, outcome), Stage::Open(_)) => told(&id, &outcome.map(Payload::Own), out),
                (Letter::Answer(id, outcome), Stage::Proving(_)) => {
                    let Stage::Proving(proving) = std::mem::replace(&mut self.stage, Stage::Over) else {
                        return;
                    };
                    self.paired(&proving.admitted, &id, *outcome, now, out);
                }
                (Letter::Overflow, _) => {
                    self.control.count(|counts| counts.slow_consumers += 1);
                    self.control.world().ring.note("client.slow", &self.id, now.wall_ms);
                    return self.close(1008, "slow consumer", out);
                }
                (Letter::Expelled(why), _) => return self.close(1008, why, out),
                (Letter::Event(..) | Letter::Answer(..), _) => {}
            }
        }
        while reads
            && !matches!(self.stage, Stage::Proving(_))
            && !out.is_much()
            && let Some(text) = self.backlog.pop_front()
        {
            self.take(&text, now, out);
        }
    }

    /// The gateway stops, or begins anew.
    pub(crate) fn end(&mut self, out: &mut Outbox) {
        if let Stage::Open(open) = &mut self.stage {
            open.numbered(&Told::new("shutdown", &json!({ "reason": "gateway stopping" }), None), 0, out);
        }
        self.close(1012, "service restart", out);
    }

    /// A client is not let in.
    fn refuse(&mut self, id: &str, failure: &Failure, code: u16, now: Now, out: &mut Outbox) {
        let detail = failure.details.as_ref().and_then(|details| details["code"].as_str());
        let reason = detail.unwrap_or(&failure.message);
        self.control.world().ring.note("client.refused", reason, now.wall_ms);
        self.turn_away(id, failure, code, out);
    }

    fn turn_away(&mut self, id: &str, failure: &Failure, code: u16, out: &mut Outbox) {
        self.control.count(|counts| counts.refused += 1);
        out.text(|into| refuse(into, id, failure));
        let reason = match failure.code {
            Code::Unavailable if failure.message.starts_with("gateway starting") => "gateway starting",
            Code::Unavailable if code == 1012 => "service restart",
            Code::Unavailable | Code::InvalidRequest | Code::NotPaired | Code::Forbidden => &failure.message,
        };
        self.end_with("refused", code, reason, out);
    }

    fn close(&mut self, code: u16, reason: &str, out: &mut Outbox) {
        self.end_with("closed", code, reason, out);
    }

    fn end_with(&mut self, how: &'static str, code: u16, reason: &str, out: &mut Outbox) {
        let level =
            if how == "refused" || matches!(self.stage, Stage::Open(_)) { Level::Info } else { Level::Debug };
        // Whoever is about to be let in has no stage while that is decided.
        if how == "refused" || !matches!(self.stage, Stage::Over) {
            self.log(Event { code: Some(code), reason: Some(brief(reason)), ..Event::new(level, how) });
        }
        out.close(code, &reason[..reason.floor_char_boundary(LONGEST_REASON)]);
        self.leave();
    }

    /// The log hears that a client has come in and is not there any more.
    fn gone(&self, reason: &str) {
        if matches!(self.stage, Stage::Open(_)) {
            self.log(Event { reason: Some(reason.to_owned()), ..Event::new(Level::Info, "closed") });
        }
    }

    /// Something that has happened to this connection.
    fn log(&self, event: Event) {
        let (connection, address) = (Some(self.id.clone()), Some(self.peer.address.to_string()));
        self.control.events().say(Event { connection, address, ..event });
    }

    fn leave(&mut self) {
        if let Stage::Open(open) = std::mem::replace(&mut self.stage, Stage::Over) {
            self.control.leave(open.number);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.gone("the client is gone");
        self.leave();
    }
}
