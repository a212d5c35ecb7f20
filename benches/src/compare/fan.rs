//! One event for everybody: who sets it off, who hears it, and who never reads.
//!
//! Everybody stays connected through all cases. A tick is over when everybody who reads has heard every event of it, each with
//! the number that comes next.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use super::Fault;
use super::load::{greet, hello, is_event, upgraded, wait, welcomed};
use super::machine::{cpu_ns, now_ns};
use super::reckon::Sample;
use super::servers::Server;
use super::wire::{Kind, frame, masked, padding, pong};

/// How long an order to the loop of writes is, in bytes.
pub(crate) const ORDER_BYTES: usize = 8;
/// Who sets events off, among those that are waited for.
const TRIGGER: u64 = u64::MAX;
/// What a client can receive at once, in bytes.
const BUFFER: usize = 64 * 1024;
/// What a client that never reads leaves to the kernel, in bytes.
const STALLED_BUFFER: usize = 4 * 1024;
/// Where the number of an event begins.
const RUN: &str = r#""runId":"r"#;
/// The digits of that number.
const DIGITS: usize = 8;

/// What an order says: how many events, of how many bytes.
pub(crate) fn ordered(order: [u8; ORDER_BYTES]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = order;
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
}

fn order(events: usize, bytes: usize) -> Vec<u8> {
    [events, bytes].iter().flat_map(|number| u32::try_from(*number).unwrap_or(0).to_le_bytes()).collect()
}

/// Everybody.
pub(crate) struct Fan {
    server: Server,
    trigger: Ear,
    subscribers: Vec<Ear>,
    /// Who never reads.
    stalled: Vec<TcpStream>,
    epoll: OwnedFd,
    events: Vec<Event>,
    /// The number of the next event.
    run: u64,
    /// How long an event is that says nothing, in bytes.
    least: usize,
}

/// Whoever hears something.
#[derive(Debug)]
struct Ear {
    stream: TcpStream,
    received: Vec<u8>,
    filled: usize,
    /// The number of the event that comes next.
    next: u64,
    /// How long the last one was, in bytes.
    length: usize,
}

impl Fan {
    /// Connects so many subscribers.
    pub(crate) fn connect(server: Server, port: u16, subscribers: usize) -> Result<Self, Fault> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| Fault::of("epoll")(error.into()))?;
        let trigger = Ear::new(client(server, port, "operator.write")?)?;
        let mut fan = Self {
            server,
            trigger,
            subscribers: Vec::new(),
            stalled: Vec::new(),
            epoll,
            events: Vec::with_capacity(256),
            run: 0,
            least: 0,
        };
        fan.watch(&fan.trigger.stream, TRIGGER)?;
        for (stream, number) in crowd(server, port, subscribers)?.into_iter().zip(0..) {
            fan.watch(&stream, number)?;
            fan.subscribers.push(Ear::new(stream)?);
        }
        if server == Server::Refgate {
            fan.tick(1, 0)?;
            fan.least = fan.subscribers.first().map_or(0, |ear| ear.length);
        }
        Ok(fan)
    }

    fn watch(&self, stream: &TcpStream, number: u64) -> Result<(), Fault> {
        epoll::add(&self.epoll, stream, EventData::new_u64(number), EventFlags::IN)
            .map_err(|error| Fault::of("epoll")(error.into()))
    }

    /// Connects somebody else, who never reads.
    pub(crate) fn stall(&mut self, port: u16) -> Result<(), Fault> {
        let stream = client(self.server, port, "operator.read")?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, STALLED_BUFFER)
            .map_err(|error| Fault::of("a socket")(error.into()))?;
        self.stalled.push(stream);
        Ok(())
    }

    /// Sets off ticks of so many events, and measures what they cost the server, once `before` has passed, for as long as
    /// `during`.
    pub(crate) fn measure(
        &mut self,
        pid: u32,
        (events, bytes): (usize, usize),
        before: Duration,
        during: Duration,
    ) -> Result<Sample, Fault> {
        self.ticks(events, bytes, before)?;
        let (cpu, begin) = (cpu_ns(pid)?, now_ns());
        let ticks = self.ticks(events, bytes, during)?;
        let messages = ticks * (events * self.subscribers.len()) as u64;
        Ok(Sample { messages, cpu_ns: cpu_ns(pid)?.saturating_sub(cpu), wall_ns: now_ns() - begin })
    }

    fn ticks(&mut self, events: usize, bytes: usize, time: Duration) -> Result<u64, Fault> {
        let end = now_ns() + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2);
        let mut ticks = 0;
        while ticks == 0 || now_ns() < end {
            self.tick(events, bytes)?;
            ticks += 1;
        }
        Ok(ticks)
    }

    fn tick(&mut self, events: usize, bytes: usize) -> Result<(), Fault> {
        let wanted = match self.server {
            Server::Refgate => self.say(events, bytes),
            Server::Tcp
            | Server::Tungstenite
            | Server::Fastwebsockets
            | Server::TokioWebsockets
            | Server::SockudoWs
            | Server::Ws
            | Server::Gorilla => order(events, bytes),
        };
        self.trigger.stream.write_all(&wanted).map_err(Fault::of("who sets events off"))?;
        self.run += events as u64;
        let mut waiting = self.subscribers.len();
        while waiting > 0 {
            for number in wait(&self.epoll, &mut self.events)? {
                if number as u64 == TRIGGER {
                    self.trigger.hear(self.server, bytes)?;
                    continue;
                }
                let ear = &mut self.subscribers[number];
                let had = ear.next;
                ear.hear(self.server, bytes)?;
                if ear.next > self.run {
                    return Err(Fault::Wrong("an event that nobody has set off".to_owned()));
                }
                waiting -= usize::from(had < self.run && ear.next == self.run);
            }
        }
        Ok(())
    }

    /// What a gateway is told so that it tells everybody: its agent repeats it.
    fn say(&self, events: usize, bytes: usize) -> Vec<u8> {
        let text = padding(bytes.saturating_sub(self.least));
        let said = (self.run..).take(events).map(|run| {
            masked(
                format!(
                    r#"{{"type":"req","id":"{run}","method":"chat.send","params":{{"sessionKey":"s","message":"{text}","idempotencyKey":"r{run:0DIGITS$}"}}}}"#
                )
                .as_bytes(),
            )
        });
        said.flatten().collect()
    }
}

/// Many of these. All of them say who they are before the first is answered, because a gateway tells everybody who is in of
/// everybody who comes.
fn crowd(server: Server, port: u16, count: usize) -> Result<Vec<TcpStream>, Fault> {
    let crowd = (0..count).map(|_| upgraded(port)).collect::<Result<Vec<_>, _>>()?;
    if server == Server::Refgate {
        for stream in &crowd {
            greet(stream, &["operator.read"])?;
        }
        for stream in &crowd {
            welcomed(stream)?;
        }
    }
    Ok(crowd)
}

/// Somebody that a server knows; a gateway knows what it may hear, too.
fn client(server: Server, port: u16, scope: &str) -> Result<TcpStream, Fault> {
    let stream = upgraded(port)?;
    if server == Server::Refgate {
        hello(&stream, &[scope])?;
    }
    Ok(stream)
}

impl Ear {
    fn new(stream: TcpStream) -> Result<Self, Fault> {
        stream.set_nonblocking(true).map_err(Fault::of("a socket"))?;
        Ok(Self { stream, received: vec![0; BUFFER], filled: 0, next: 0, length: 0 })
    }

    /// Reads once.
    fn hear(&mut self, server: Server, bytes: usize) -> Result<(), Fault> {
        match self.stream.read(&mut self.received[self.filled..]) {
            Ok(0) => return Err(Fault::Wrong("the server has closed a connection".to_owned())),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Fault::of("a server that tells something")(error)),
        }
        let mut begin = 0;
        while let Some(found) = frame(&self.received[begin..self.filled]) {
            let payload = &self.received[begin + found.head..begin + found.whole];
            match found.kind {
                Kind::Text if server == Server::Tcp && payload.len() == bytes => self.next += 1,
                Kind::Text if server == Server::Refgate => match heard(payload) {
                    Heard::Event(run) if run == self.next => {
                        self.next += 1;
                        self.length = payload.len();
                    }
                    Heard::Event(_) | Heard::Wrong => return Err(wrong(payload)),
                    Heard::Else => {}
                },
                Kind::Ping => {
                    let pong = pong(payload);
                    self.stream.write_all(&pong).map_err(Fault::of("a server"))?;
                }
                Kind::Text | Kind::Other => return Err(wrong(payload)),
            }
            begin += found.whole;
        }
        self.received.copy_within(begin..self.filled, 0);
        self.filled -= begin;
        Ok(())
    }
}

fn wrong(payload: &[u8]) -> Fault {
    let shown = String::from_utf8_lossy(&payload[..payload.len().min(120)]).into_owned();
    Fault::Wrong(format!("nobody should hear: {shown}"))
}

/// What a gateway has told.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// The event of that number.
    Event(u64),
    /// Something that is not counted.
    Else,
    /// What should not be.
    Wrong,
}

fn heard(payload: &[u8]) -> Heard {
    let Ok(text) = str::from_utf8(payload) else { return Heard::Wrong };
    if text.starts_with(r#"{"type":"event","event":"chat","#) {
        let number = text.rfind(RUN).and_then(|at| text.get(at + RUN.len()..at + RUN.len() + DIGITS));
        return number.and_then(|number| number.parse().ok()).map_or(Heard::Wrong, Heard::Event);
    }
    let is_answer = text.starts_with(r#"{"type":"res","#) && text.contains(r#""ok":true"#);
    if is_answer || is_event(payload) { Heard::Else } else { Heard::Wrong }
}

#[cfg(test)]
mod tests {
    use super::{Heard, heard, order, ordered};

    #[test]
    fn an_order_says_what_was_ordered() {
        let order: [u8; super::ORDER_BYTES] = order(8, 2048).try_into().unwrap();
        assert_eq!(ordered(order), (8, 2048));
    }

    #[test]
    fn an_event_is_known_by_the_number_of_its_run() {
        let chat = r#"{"type":"event","event":"chat","payload":{"message":{"id":"r00000007:assistant"},"runId":"r00000007","seq":1},"seq":9}"#;
        assert_eq!(heard(chat.as_bytes()), Heard::Event(7));
        assert_eq!(heard(br#"{"type":"event","event":"chat","payload":{}}"#), Heard::Wrong);
        assert_eq!(heard(br#"{"type":"event","event":"presence","payload":{}}"#), Heard::Else);
        assert_eq!(heard(br#"{"type":"res","id":"1","ok":true}"#), Heard::Else);
        assert_eq!(heard(br#"{"type":"res","id":"1","ok":false}"#), Heard::Wrong);
        assert_eq!(heard(b"\xff"), Heard::Wrong);
    }
}
