//! Asks a gateway from outside, again and again until it answers, and never waits for it: others are watched meanwhile.
//!
//! One question at a time, each over a connection of its own. What is asked is one small write; what is read is bounded.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::clock::timespec;
use crate::target::{Probe, Request};

/// The pause before the next try, in microseconds.
const PAUSE_US: u64 = 20_000;
/// How long one try may take, in microseconds.
const TRY_US: u64 = 2_000_000;
/// More of an answer is not read.
const LONGEST: usize = 64 * 1024;
/// The nonce of a handshake and what it must be answered with (RFC 6455, 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A question that is asked until it is answered.
#[derive(Debug)]
pub(super) struct Asking {
    probe: Probe,
    port: u16,
    /// When the next try begins, or the present one is given up.
    due_us: u64,
    open: Option<Open>,
    /// What came of the last try.
    pub(super) last: String,
}

/// A try under way.
#[derive(Debug)]
struct Open {
    socket: OwnedFd,
    is_asked: bool,
    answer: Vec<u8>,
}

/// What one step of a try has shown.
enum Step {
    Answered,
    Waits,
    Failed(String),
}

impl Asking {
    /// Asks a gateway with that base port, from now on.
    pub(super) fn new(probe: &Probe, base: u16) -> Self {
        let port = base.saturating_add(probe.above);
        Self { probe: probe.clone(), port, due_us: 0, open: None, last: "it was not asked".to_owned() }
    }

    /// The port that is asked.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// When something is to be done, even if nothing comes.
    pub(super) const fn due_us(&self) -> u64 {
        self.due_us
    }

    /// What to poll meanwhile.
    pub(super) fn waits_for(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let open = self.open.as_ref()?;
        Some((open.socket.as_fd(), if open.is_asked { PollFlags::IN } else { PollFlags::OUT }))
    }

    /// Goes on as far as that is possible without waiting. Whether the answer is there, and is the one that was wanted.
    pub(super) fn go_on(&mut self, now_us: u64) -> bool {
        let step = match &mut self.open {
            None if now_us < self.due_us => return false,
            None => match start(self.port) {
                Ok(socket) => {
                    self.open = Some(Open { socket, is_asked: false, answer: Vec::new() });
                    self.due_us = now_us + TRY_US;
                    Step::Waits
                }
                Err(errno) => Step::Failed(format!("no connection: {errno}")),
            },
            Some(open) => match open.step(&self.probe.request, self.port) {
                Step::Waits if now_us >= self.due_us => {
                    Step::Failed(format!("no answer within {} ms", TRY_US / 1_000))
                }
                step @ (Step::Answered | Step::Waits | Step::Failed(_)) => step,
            },
        };
        match step {
            Step::Waits => false,
            Step::Answered => {
                self.open = None;
                true
            }
            Step::Failed(why) => {
                self.again(now_us, why);
                false
            }
        }
    }

    /// Asks once more after a pause.
    pub(super) fn again(&mut self, now_us: u64, why: String) {
        self.last = why;
        self.open = None;
        self.due_us = now_us + PAUSE_US;
    }
}

fn start(port: u16) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

impl Open {
    fn step(&mut self, request: &Request, port: u16) -> Step {
        if !self.is_asked {
            match self.ask(request, port) {
                Ok(true) => {}
                Ok(false) => return Step::Waits,
                Err(errno) => return Step::Failed(format!("no connection: {errno}")),
            }
            if *request == Request::Tcp {
                return Step::Answered;
            }
        }
        let is_over = match self.read() {
            Ok(is_over) => is_over,
            Err(errno) => return Step::Failed(format!("no answer: {errno}")),
        };
        judge(request, &String::from_utf8_lossy(&self.answer), is_over)
    }

    /// Whether the connection stands and the question is on its way.
    fn ask(&mut self, request: &Request, port: u16) -> Result<bool, Errno> {
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        if poll(&mut fds, Some(&timespec(0)))? == 0 {
            return Ok(false);
        }
        sockopt::socket_error(&self.socket)??;
        self.is_asked = true;
        let host = format!("Host: 127.0.0.1:{port}\r\n");
        let question = match request {
            Request::Tcp => return Ok(true),
            Request::Http { path, .. } => format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n"),
            Request::WebSocket { path } => format!(
                "GET {path} HTTP/1.1\r\n{host}Connection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
            ),
        };
        rustix::io::write(&self.socket, question.as_bytes())?;
        Ok(true)
    }

    /// Reads what is there. Whether nothing more will come.
    fn read(&mut self) -> Result<bool, Errno> {
        let mut bytes = [0; 4096];
        while self.answer.len() < LONGEST {
            match rustix::io::read(&self.socket, &mut bytes) {
                Ok(0) => return Ok(true),
                Ok(count) => self.answer.extend_from_slice(&bytes[..count]),
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }
}

/// What an answer shows that may not be whole.
fn judge(request: &Request, answer: &str, is_over: bool) -> Step {
    let undecided = |why: &str| if is_over { Step::Failed(why.to_owned()) } else { Step::Waits };
    let Some((first, _)) = answer.split_once("\r\n") else { return undecided("no HTTP") };
    let seen = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
    let Some(seen) = seen else { return Step::Failed(format!("no HTTP but {first:?}")) };
    match request {
        Request::Tcp => Step::Answered,
        Request::Http { status, .. } if seen != *status => {
            Step::Failed(format!("HTTP status {seen}, not {status}"))
        }
        Request::Http { body: None, .. } => Step::Answered,
        Request::Http { body: Some(pattern), .. } => {
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            if body.lines().any(|line| pattern.is_in(line)) {
                Step::Answered
            } else {
                undecided(&format!("the answer does not hold `{pattern}`"))
            }
        }
        Request::WebSocket { .. } if seen != 101 => Step::Failed(format!("HTTP status {seen}, not 101")),
        Request::WebSocket { .. } => {
            let Some((headers, _)) = answer.split_once("\r\n\r\n") else {
                return undecided("half a handshake");
            };
            let mut values = headers.lines().filter_map(|line| line.split_once(':'));
            let is_accepted = values.any(|(name, value)| {
                name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
            });
            if is_accepted { Step::Answered } else { Step::Failed("a handshake that is none".to_owned()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, judge};
    use crate::target::{Pattern, Request};

    fn shown(request: &Request, answer: &str, is_over: bool) -> String {
        match judge(request, answer, is_over) {
            Step::Answered => "answered".to_owned(),
            Step::Waits => "waits".to_owned(),
            Step::Failed(why) => why,
        }
    }

    #[test]
    fn an_answer_is_judged_as_soon_as_it_can_be_and_no_sooner() {
        let http = Request::Http { path: "/".to_owned(), status: 200, body: None };
        let body = Some(Pattern::new("live").unwrap());
        let live = Request::Http { path: "/".to_owned(), status: 200, body };
        let socket = Request::WebSocket { path: "/".to_owned() };
        let upgraded = "HTTP/1.1 101 S\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let whole = format!("{upgraded}\r\n");
        for (request, answer, is_over, wanted) in [
            (&http, "HTTP/1.1 20", false, "waits"),
            (&http, "HTTP/1.1 20", true, "no HTTP"),
            (&http, "HTTP/1.0 200 OK\r\n", false, "answered"),
            (&http, "HTTP/1.1 404 Not Found\r\n", false, "HTTP status 404, not 200"),
            (&http, "SSH-2.0-x\r\n", false, "no HTTP but \"SSH-2.0-x\""),
            (&http, "HTTP/1.1 \u{e9}\u{e9}\r\n", false, "no HTTP but \"HTTP/1.1 \u{e9}\u{e9}\""),
            (&live, "HTTP/1.1 200 OK\r\nx: live\r\n\r\n", false, "waits"),
            (&live, "HTTP/1.1 200 OK\r\n\r\n{\"live\"}", false, "answered"),
            (&live, "HTTP/1.1 200 OK\r\n\r\nhello", true, "the answer does not hold `live`"),
            (&socket, "HTTP/1.1 200 OK\r\n\r\n", false, "HTTP status 200, not 101"),
            (&socket, upgraded, false, "waits"),
            (&socket, &whole, false, "answered"),
            (&socket, "HTTP/1.1 101 S\r\nx: y\r\n\r\n", false, "a handshake that is none"),
        ] {
            assert_eq!(shown(request, answer, is_over), wanted, "{answer:?}");
        }
    }
}
