//! The clients: one thread, one epoll, frames that are made before the first is sent, and every answer compared with what was
//! asked.
//!
//! Each connection has a window of messages on their way, each of them different; whatever is answered is asked again at once,
//! in one write for all that was answered in one read.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::time::Timespec;
use serde_json::Value;

use super::Fault;
use super::case::Case;
use super::machine::{cpu_ns, now_ns};
use super::reckon::Sample;
use super::servers::{Server, Work};
use super::wire::{Answer, Frame, HANDSHAKE, Kind, frame, masked, padding, plain, pong, request};

/// Who is silent for so long does not answer any more.
const SILENCE: Duration = Duration::from_secs(10);
/// Who waits for so long goes to sleep, in nanoseconds.
const AWAKE_NS: u64 = 1_000_000;

/// What an answer has to be.
#[derive(Clone, Debug)]
enum Wanted {
    /// These bytes, the frame and all.
    Bytes(Vec<u8>),
    /// The first answer is read and has to fit the request; whatever comes later has to be the same bytes.
    Same { id: String, payload: Box<Value> },
    /// An answer that goes well, to this id; what is in it changes.
    Named { prefix: String },
}

/// A client.
#[derive(Debug)]
struct Client {
    stream: TcpStream,
    /// All requests of its window, twice, so that any of them follow each other.
    requests: Vec<u8>,
    request_bytes: usize,
    wanted: Vec<Wanted>,
    /// Whose answer comes next.
    next: usize,
    /// Which request is sent next.
    ask: usize,
    received: Vec<u8>,
    filled: usize,
    /// What the kernel has not taken yet.
    unsent: Vec<u8>,
    is_watched_for_room: bool,
}

/// Clients that have said hello and ask nothing yet.
pub(crate) struct Load {
    clients: Vec<Client>,
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Load {
    /// Connects the clients of a case.
    pub(crate) fn connect(case: Case, server: Server, port: u16) -> Result<Self, Fault> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| Fault::of("epoll")(error.into()))?;
        let clients = (0..case.connections)
            .map(|number| Client::connect(number, case, server, port))
            .collect::<Result<Vec<_>, _>>()?;
        for (data, client) in (0..).zip(&clients) {
            epoll::add(&epoll, &client.stream, EventData::new_u64(data), EventFlags::IN)
                .map_err(|error| Fault::of("epoll")(error.into()))?;
        }
        Ok(Self { clients, epoll, events: Vec::with_capacity(256) })
    }

    /// Lets all of them ask, and measures what that costs the server, once `before` has passed, for as long as `during`.
    pub(crate) fn measure(&mut self, pid: u32, before: Duration, during: Duration) -> Result<Sample, Fault> {
        for number in 0..self.clients.len() {
            self.ask(number, self.clients[number].wanted.len())?;
        }
        self.go_on(before)?;
        let (cpu, begin) = (cpu_ns(pid)?, now_ns());
        let messages = self.go_on(during)?;
        Ok(Sample { messages, cpu_ns: cpu_ns(pid)?.saturating_sub(cpu), wall_ns: now_ns() - begin })
    }

    /// Answers how many answers came.
    fn go_on(&mut self, time: Duration) -> Result<u64, Fault> {
        let end = now_ns() + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2);
        let mut answers = 0;
        while now_ns() < end {
            for number in self.ready()? {
                let client = &mut self.clients[number];
                client.send()?;
                let answered = client.receive()?;
                answers += answered as u64;
                self.ask(number, answered)?;
            }
        }
        Ok(answers)
    }

    fn ask(&mut self, number: usize, count: usize) -> Result<(), Fault> {
        let client = &mut self.clients[number];
        client.ask(count);
        client.send()?;
        let wants_room = !client.unsent.is_empty();
        if wants_room != client.is_watched_for_room {
            client.is_watched_for_room = wants_room;
            let flags = if wants_room { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &client.stream, EventData::new_u64(number as u64), flags)
                .map_err(|error| Fault::of("epoll")(error.into()))?;
        }
        Ok(())
    }

    fn ready(&mut self) -> Result<Vec<usize>, Fault> {
        wait(&self.epoll, &mut self.events)
    }
}

/// Who has something to read. Whoever waits does not sleep at once: a server would pay for waking it, and the more the less it has
/// to do, so that what a message costs would depend on who waits for whom.
pub(super) fn wait(epoll: &OwnedFd, events: &mut Vec<Event>) -> Result<Vec<usize>, Fault> {
    let silence = Timespec { tv_sec: SILENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let asleep_ns = now_ns() + AWAKE_NS;
    loop {
        let is_awake = now_ns() < asleep_ns;
        let patience = if is_awake { Timespec::default() } else { silence };
        events.clear();
        match epoll::wait(epoll, rustix::buffer::spare_capacity(events), Some(&patience)) {
            Ok(0) if is_awake => {}
            Ok(0) => return Err(Fault::Wrong(format!("no answer for {} s", SILENCE.as_secs()))),
            Ok(_) => {
                return Ok(events
                    .iter()
                    .filter_map(|event| usize::try_from(event.data.u64()).ok())
                    .collect());
            }
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(Fault::of("epoll")(error.into())),
        }
    }
}

impl Client {
    fn connect(number: usize, case: Case, server: Server, port: u16) -> Result<Self, Fault> {
        let stream = if server == Server::Tcp { connected(port)? } else { upgraded(port)? };
        if case.work == Work::Health {
            hello(&stream, &[])?;
        }
        let (texts, wanted): (Vec<_>, Vec<_>) =
            (0..case.window).map(|slot| spoken(number, slot, case, server)).unzip();
        let once: Vec<u8> = texts.iter().flat_map(|text| masked(text.as_bytes())).collect();
        let request_bytes = once.len() / case.window;
        stream.set_nonblocking(true).map_err(Fault::of("a socket"))?;
        Ok(Self {
            stream,
            requests: once.repeat(2),
            request_bytes,
            wanted,
            next: 0,
            ask: 0,
            // A whole window may come at once, and the answer to a request is longer than it is.
            received: vec![0; 64 * 1024 + case.window * (request_bytes + 8 * 1024)],
            filled: 0,
            unsent: Vec::new(),
            is_watched_for_room: false,
        })
    }

    /// Asks so many of those that are not on their way.
    fn ask(&mut self, count: usize) {
        let begin = self.ask * self.request_bytes;
        self.unsent.extend_from_slice(&self.requests[begin..begin + count * self.request_bytes]);
        self.ask = (self.ask + count) % self.wanted.len();
    }

    fn send(&mut self) -> Result<(), Fault> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(Fault::of("a server that is asked")(error)),
            }
        }
        Ok(())
    }

    /// Reads once, and answers how many answers came.
    fn receive(&mut self) -> Result<usize, Fault> {
        match self.stream.read(&mut self.received[self.filled..]) {
            Ok(0) => return Err(Fault::Wrong("the server has closed a connection".to_owned())),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(Fault::of("a server that answers")(error)),
        }
        let (mut begin, mut answers) = (0, 0);
        while let Some(found) = frame(&self.received[begin..self.filled]) {
            answers += usize::from(self.take(begin, found)?);
            begin += found.whole;
        }
        self.received.copy_within(begin..self.filled, 0);
        self.filled -= begin;
        Ok(answers)
    }

    /// Whether a frame is an answer. One that is wrong is a fault.
    fn take(&mut self, begin: usize, found: Frame) -> Result<bool, Fault> {
        let whole = &self.received[begin..begin + found.whole];
        let payload = &whole[found.head..];
        match found.kind {
            Kind::Text => {}
            Kind::Ping => {
                self.unsent.extend(pong(payload));
                return Ok(false);
            }
            Kind::Other => return Err(Fault::Wrong("a frame that is no text".to_owned())),
        }
        let wanted = &mut self.wanted[self.next];
        let is_right = match wanted {
            Wanted::Bytes(bytes) => bytes == whole,
            Wanted::Same { id, payload: wanted_payload } => {
                let is_right = fits(payload, id, wanted_payload);
                if is_right {
                    *wanted = Wanted::Bytes(whole.to_vec());
                }
                is_right
            }
            Wanted::Named { prefix } => {
                if is_event(payload) {
                    return Ok(false);
                }
                payload.starts_with(prefix.as_bytes()) && payload.ends_with(b"}")
            }
        };
        if !is_right {
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(120)]).into_owned();
            return Err(Fault::Wrong(format!("a wrong answer: {shown}")));
        }
        self.next = (self.next + 1) % self.wanted.len();
        Ok(true)
    }
}

/// What is asked, and what is to be answered.
fn spoken(number: usize, slot: usize, case: Case, server: Server) -> (String, Wanted) {
    let id = format!("c{number:04}-s{slot:03}");
    match case.work {
        Work::Echo | Work::Fan => {
            let text = format!("{id}{}", padding(case.bytes - id.len().min(case.bytes)));
            let wanted = if server == Server::Tcp { masked(text.as_bytes()) } else { plain(text.as_bytes()) };
            (text, Wanted::Bytes(wanted))
        }
        Work::Rpc => {
            let text = request(&id, "repeat", case.bytes);
            let params = serde_json::from_str::<Value>(&text).unwrap_or_default()["params"].take();
            let wanted = match server {
                Server::Tcp => Wanted::Bytes(masked(text.as_bytes())),
                Server::Refgate
                | Server::Tungstenite
                | Server::Fastwebsockets
                | Server::TokioWebsockets
                | Server::SockudoWs
                | Server::Ws
                | Server::Gorilla => Wanted::Same { id, payload: Box::new(params) },
            };
            (text, wanted)
        }
        Work::Health => {
            let prefix = format!(r#"{{"type":"res","id":"{id}","ok":true,"payload":{{"#);
            (request(&id, "health", 0), Wanted::Named { prefix })
        }
    }
}

/// Whether that is an answer that goes well, to this id, with this payload.
fn fits(text: &[u8], id: &str, payload: &Value) -> bool {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(text) else { return false };
    let told = answer.payload.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    answer.kind == "res" && answer.ok && answer.id == id && told.as_ref() == Some(payload)
}

/// Whether a gateway tells something that nobody has asked for.
pub(super) fn is_event(text: &[u8]) -> bool {
    text.starts_with(br#"{"type":"event","#)
}

/// A connection to a server on this machine.
pub(super) fn connected(port: u16) -> Result<TcpStream, Fault> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(Fault::of("a connection"))?;
    stream.set_nodelay(true).map_err(Fault::of("a socket"))?;
    stream.set_read_timeout(Some(SILENCE)).map_err(Fault::of("a socket"))?;
    Ok(stream)
}

/// One that has become a WebSocket.
pub(super) fn upgraded(port: u16) -> Result<TcpStream, Fault> {
    let mut stream = connected(port)?;
    stream.write_all(HANDSHAKE).map_err(Fault::of("a handshake"))?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    // What follows the head is read by whoever reads frames.
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        stream.read_exact(&mut byte).map_err(Fault::of("the answer to a handshake"))?;
        head.extend(byte);
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err(Fault::Wrong(format!("no WebSocket: {}", String::from_utf8_lossy(&head))));
    }
    Ok(stream)
}

/// Says who it is to a gateway, and waits until it is let in.
pub(super) fn hello(stream: &TcpStream, scopes: &[&str]) -> Result<(), Fault> {
    greet(stream, scopes)?;
    welcomed(stream)
}

/// Says who it is to a gateway.
pub(super) fn greet(mut stream: &TcpStream, scopes: &[&str]) -> Result<(), Fault> {
    let connect = serde_json::json!({
        "type": "req", "id": "hello", "method": "connect", "params": {
            "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": scopes,
            "client": { "id": "test", "version": "0", "platform": "linux", "mode": "test" },
        },
    });
    stream.write_all(&masked(connect.to_string().as_bytes())).map_err(Fault::of("a gateway"))
}

/// Waits until a gateway that was told who it is lets it in.
pub(super) fn welcomed(stream: &TcpStream) -> Result<(), Fault> {
    loop {
        let text = next_text(stream)?;
        let Ok(value) = serde_json::from_slice::<Value>(&text) else {
            return Err(Fault::Wrong("a gateway that speaks no JSON".to_owned()));
        };
        if value["type"] == "res" {
            let is_in = value["ok"] == true && value["id"] == "hello";
            return if is_in { Ok(()) } else { Err(Fault::Wrong(format!("not let in: {value}"))) };
        }
    }
}

/// The next text, from a stream that waits. Nothing that follows it is taken.
pub(super) fn next_text(mut stream: &TcpStream) -> Result<Vec<u8>, Fault> {
    loop {
        let mut bytes = Vec::new();
        let found = loop {
            // First the head, then all that it announces.
            let missing = super::wire::missing(&bytes);
            let filled = bytes.len();
            bytes.resize(filled + missing, 0);
            stream.read_exact(&mut bytes[filled..]).map_err(Fault::of("a server that answers"))?;
            if let Some(found) = frame(&bytes) {
                break found;
            }
        };
        match found.kind {
            Kind::Text => return Ok(bytes.split_off(found.head)),
            Kind::Ping => {
                stream.write_all(&pong(&bytes[found.head..])).map_err(Fault::of("a server"))?;
            }
            Kind::Other => return Err(Fault::Wrong("a frame that is no text".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
