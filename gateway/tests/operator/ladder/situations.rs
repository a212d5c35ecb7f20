//! The situations, each held for as long as its stage lives.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use rustix::process::Signal;

use super::held::Held;
use super::{TOKEN, client};
use crate::bots::Stage as Bots;
use crate::room::{Room, Running, signal};

/// A situation that an operator comes upon.
pub(super) struct Situation {
    pub(super) name: &'static str,
    /// The secret that the operator has.
    pub(super) token: &'static str,
    number: u16,
    set: fn(&Room) -> Keeper,
}

/// What keeps a situation as it is, until it is dropped.
#[expect(dead_code, reason = "what is in it is only held")]
pub(super) enum Keeper {
    Nothing,
    Gateway(Running),
    Held(Held),
    Bots(Running, Bots),
}

pub(super) const SITUATIONS: [Situation; 9] = [
    Situation { name: "none", token: TOKEN, number: 0, set: |_| Keeper::Nothing },
    Situation { name: "starting", token: TOKEN, number: 1, set: |room| Keeper::Held(Held::starting(room)) },
    Situation { name: "ready", token: TOKEN, number: 2, set: |room| Keeper::Gateway(gateway(room)) },
    Situation {
        name: "paused",
        token: TOKEN,
        number: 3,
        set: |room| {
            let gateway = gateway(room);
            gateway.pause();
            Keeper::Gateway(gateway)
        },
    },
    Situation {
        name: "wrong token",
        token: "another",
        number: 4,
        set: |room| Keeper::Gateway(gateway(room)),
    },
    Situation {
        name: "web server",
        token: TOKEN,
        number: 5,
        set: |room| {
            web_server(room.base);
            Keeper::Nothing
        },
    },
    Situation {
        name: "other gateway",
        token: TOKEN,
        number: 6,
        set: |room| {
            let other = room.at("other");
            let config = room.at("other.json");
            let variables = [
                ("OPENCLAW_STATE_DIR", other.to_str().expect("text")),
                ("OPENCLAW_CONFIG_PATH", config.to_str().expect("text")),
                ("OPENCLAW_GATEWAY_TOKEN", TOKEN),
            ];
            Keeper::Gateway(room.gateway_with(&[], &variables))
        },
    },
    Situation {
        name: "stopping",
        token: TOKEN,
        number: 7,
        set: |room| {
            let mut held = Held::ready(room);
            signal(held.pid(), Signal::TERM);
            held.until("draining");
            Keeper::Held(held)
        },
    },
    Situation { name: "channel in conflict", token: TOKEN, number: 23, set: in_conflict },
];

/// A gateway that is ready, and whose bot somebody else polls again and again.
fn in_conflict(room: &Room) -> Keeper {
    let bots = Bots::new(0);
    bots.furnish(room);
    let gateway = gateway(room);
    bots.contend();
    Keeper::Bots(gateway, bots)
}

/// A gateway that is ready and wants the secret.
pub(super) fn gateway(room: &Room) -> Running {
    room.gateway_with(&[], &[("OPENCLAW_GATEWAY_TOKEN", TOKEN)])
}

/// Answers every request with a page, for as long as the test runs.
pub(super) fn web_server(port: u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is free");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                head.extend_from_slice(&byte);
            }
            assert!(!String::from_utf8_lossy(&head).contains(TOKEN), "a secret went to a stranger");
            let page = "<!DOCTYPE HTML>\n<title>Directory listing for /</title>";
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        }
    });
}

/// A situation in a room of its own.
pub(super) struct Stage {
    pub(super) room: Room,
    is_penalised: bool,
    _keeper: Keeper,
}

impl Stage {
    pub(super) fn set(situation: &Situation) -> Self {
        let room = Room::busy(situation.number);
        let keeper = (situation.set)(&room);
        Self { room, is_penalised: situation.token != TOKEN, _keeper: keeper }
    }

    /// Has the gateway forget wrong secrets, so that its answers do not come later and later.
    pub(super) fn forgive(&self) {
        if self.is_penalised {
            let output = client(&self.room, "gateway status", TOKEN).output().expect("it runs");
            // Once it has been told to stop, nobody is there who forgives.
            assert!(output.status.code().is_some());
        }
    }
}
