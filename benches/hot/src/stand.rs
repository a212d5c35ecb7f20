//! A server that is open, and the clients that it has let in.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use gateway::server::{Limits, Server, Service};
use gateway::{Phase, PhaseName};
use portcullis_os::Listener;
use tokio::sync::mpsc;

use crate::house::Keeper;
use crate::wire::{Wire, frame};

const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const CONNECT: &str = r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"caps":[],"role":"operator","scopes":["operator.read","operator.write"],"client":{"id":"cli","version":"1","platform":"linux","mode":"cli"}}}"#;

/// At most so many clients.
const CLIENTS: usize = 2048;

/// A server and whoever polls it.
pub struct Stand {
    keeper: Keeper,
    door: mpsc::UnboundedSender<Wire>,
}

impl fmt::Debug for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stand").finish_non_exhaustive()
    }
}

struct Inbox(mpsc::UnboundedReceiver<Wire>);

impl Listener for Inbox {
    type Stream = Wire;

    async fn accept(&mut self) -> io::Result<(Wire, SocketAddr)> {
        match self.0.recv().await {
            Some(wire) => Ok((wire, (Ipv4Addr::LOCALHOST, 1).into())),
            None => std::future::pending().await,
        }
    }
}

impl Stand {
    /// A server that answers so.
    pub fn new(service: Service) -> Self {
        let (door, inbox) = mpsc::unbounded_channel();
        let phase = Phase::default();
        phase.set(PhaseName::Ready);
        let limits = Limits { connections: CLIENTS, ..Limits::personal() };
        let mut keeper = Keeper::new();
        let house = keeper.house().clone();
        keeper.within(|| Server::new(limits, service).open(&house, vec![Inbox(inbox)], &phase));
        keeper.turn();
        Self { keeper, door }
    }

    /// A client whose handshake is done.
    ///
    /// # Panics
    ///
    /// If the server does not want it.
    pub fn socket(&mut self) -> Wire {
        let wire = Wire::default();
        self.door.send(wire.clone()).expect("the server listens");
        let heard = self.ask(&wire, HANDSHAKE.as_bytes());
        assert!(heard.starts_with("HTTP/1.1 101 "), "{heard}");
        wire
    }

    /// A client that was let in, and may read and write.
    ///
    /// # Panics
    ///
    /// If it was not.
    pub fn client(&mut self) -> Wire {
        let wire = self.socket();
        let heard = self.ask(&wire, &frame(CONNECT));
        assert!(heard.contains("hello-ok"), "{heard}");
        wire
    }

    /// Sends bytes and returns everything that is written before the server wants more.
    pub fn ask(&mut self, wire: &Wire, bytes: &[u8]) -> String {
        wire.listen();
        wire.send(bytes, 1);
        self.turn();
        String::from_utf8_lossy(&wire.heard()).into_owned()
    }

    /// Lets the server do what there is to do.
    pub fn turn(&mut self) {
        self.keeper.turn();
    }
}
