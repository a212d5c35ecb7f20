//! Gateways with bots, against a service as Telegram's Bot API gives it: no message is lost, no reply is doubled, and whatever
//! may be missing is named.

mod faults;
mod lives;
mod shared;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bot::{Bots, Machine, Rules, Service};
use portcullis_os::Listener;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use crate::memory::Client;
use crate::room::{Room, Running};

/// The token of the bot, and what it is called.
const TOKEN: &str = "7:s3cret-of-the-bot";
const NAME: &str = "echo_bot";
/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

struct Door(TcpListener);

impl Listener for Door {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

/// A service with one bot.
pub(crate) struct Stage {
    runtime: Runtime,
    service: Service<Machine>,
    port: u16,
}

impl Stage {
    pub(crate) fn new(lease_ms: u64) -> Self {
        let (stage, socket) = Self::closed(lease_ms);
        stage.open(socket);
        stage
    }

    /// One that nobody can reach yet, and the socket that it is to listen on.
    fn closed(lease_ms: u64) -> (Self, TcpSocket) {
        let runtime = Runtime::new().expect("a runtime");
        let inside = runtime.enter();
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let port = socket.local_addr().expect("it has one").port();
        let service = Service::new(Rules { lease_ms }, Machine::new());
        service.add(TOKEN, NAME);
        drop(inside);
        (Self { runtime, service, port }, socket)
    }

    fn open(&self, socket: TcpSocket) {
        let _inside = self.runtime.enter();
        self.service.serve(Door(socket.listen(64).expect("it listens")));
    }

    /// The configuration of a gateway with this bot.
    fn config(&self) -> Value {
        let root = format!("http://127.0.0.1:{}", self.port);
        json!({ "channels": { "telegram": { "botToken": TOKEN, "apiRoot": root, "pollSeconds": 1 } } })
    }

    /// Writes it into a room.
    pub(crate) fn furnish(&self, room: &Room) {
        room.put("openclaw.json", self.config().to_string().as_bytes());
    }

    /// Somebody else polls from now on, and is served instead. Returns once the gateway has been told so.
    pub(crate) fn contend(&self) {
        let port = self.port;
        self.runtime.spawn(async move {
            let ask = format!(
                "POST /bot{TOKEN}/getUpdates HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{{\"timeout\":50}}"
            );
            loop {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
                stream.write_all(ask.as_bytes()).await.expect("it is read");
                // Whatever it is told, it comes again at once.
                let _ = stream.read(&mut [0; 64]).await;
            }
        });
        self.until("a conflict", |bots| (bots.record().conflicts(NAME) > 0).then_some(()));
    }

    fn say(&self, text: &str) -> i64 {
        let _inside = self.runtime.enter();
        self.service.say(TOKEN, 5, text).expect("a bot")
    }

    /// Waits until something is to be seen in the service.
    fn until<T>(&self, what: &str, seen: impl FnMut(&Bots) -> Option<T>) -> T {
        let waited =
            self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.service.until(seen)).await });
        waited.unwrap_or_else(|_| panic!("{what}: {:#?}", self.service.record()))
    }

    /// What was sent, and how often.
    fn sent(&self) -> BTreeMap<String, usize> {
        let mut sent = BTreeMap::new();
        for (chat, text) in self.service.record().sent(NAME) {
            assert_eq!(chat, 5, "{text}");
            *sent.entry(text).or_default() += 1;
        }
        sent
    }

    /// Waits until so many different replies were sent.
    fn until_sent(&self, count: usize) {
        self.until(&format!("{count} replies"), |bots| {
            let mut sent = bots.record().sent(NAME);
            sent.sort();
            sent.dedup();
            (sent.len() >= count).then_some(())
        });
    }
}

/// The one account of a gateway, once it is as wanted.
fn account_once(room: &Room, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let mut client = Client::of(room);
    let mut last = Value::Null;
    for _ in 0..PATIENCE.as_millis() / 20 {
        last = client.ask("channels.status", &json!({}))["channelAccounts"]["telegram"][0].clone();
        if is_wanted(&last) {
            return last;
        }
        pause();
    }
    panic!("{what}: {last}");
}

/// A moment in which others get on.
fn pause() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
}

/// Ends a gateway at once, whatever it was about to do.
fn kill(mut gateway: Running) {
    gateway.child.0.kill().expect("it is mine");
    gateway.child.0.wait().expect("it ends");
}
