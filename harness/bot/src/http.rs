//! The service for HTTP clients, over any listener and any machine that starts tasks and tells the time.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use portcullis_os::Listener;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::bots::{Answer, Asked, Bots, Poll, Rules, Ticket};
use crate::{Fault, Record};

/// The longest body of a request, in bytes.
const LONGEST: usize = 64 * 1024;
/// The longest that a poll may wait, in seconds.
const LONGEST_WAIT_S: u64 = 50;
/// At most so many faults wait.
const MOST_FAULTS: usize = 1_024;

/// What a service needs of where it runs.
pub trait Host: Clone + Send + Sync + 'static {
    /// Starts a task.
    fn task(&self, body: impl Future<Output = ()> + Send + 'static);

    /// Milliseconds since an unknown moment.
    fn now_ms(&self) -> u64;
}

/// This process, with the clock of its runtime, which may be paused.
#[derive(Clone, Copy, Debug)]
pub struct Machine(tokio::time::Instant);

impl Machine {
    /// One whose time begins now.
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for Machine {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(body);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A service. All clones are one.
#[derive(Clone, Debug)]
pub struct Service<H> {
    host: H,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bots: Mutex<Bots>,
    faults: Mutex<VecDeque<(&'static str, Fault)>>,
    /// Counts what happens, for whoever waits.
    changed: watch::Sender<u64>,
}

impl<H: Host> Service<H> {
    /// One without bots, on that machine.
    pub fn new(rules: Rules, host: H) -> Self {
        let bots = Mutex::new(Bots::new(rules));
        let shared = Shared { bots, faults: Mutex::default(), changed: watch::Sender::new(0) };
        Self { host, shared: Arc::new(shared) }
    }

    /// One more bot.
    pub fn add(&self, token: &str, name: &str) {
        self.bots().add(token, name);
    }

    /// Somebody says something to a bot. Answers with the number of the update; `None`: there is no such bot.
    pub fn say(&self, token: &str, chat: i64, text: &str) -> Option<i64> {
        let update = self.bots().say(token, chat, text, self.host.now_ms());
        self.changed();
        update
    }

    /// The next request of that method fails so, once those before it have. Whether there was room for it.
    pub fn fault(&self, method: &'static str, fault: Fault) -> bool {
        let mut faults = lock(&self.shared.faults);
        let has_room = faults.len() < MOST_FAULTS;
        if has_room {
            faults.push_back((method, fault));
        }
        has_room
    }

    /// Everything that has happened.
    pub fn record(&self) -> Record {
        self.bots().record().clone()
    }

    /// Waits until something of what has happened is to be seen.
    pub async fn until<T>(&self, mut seen: impl FnMut(&Bots) -> Option<T>) -> T {
        let mut changes = self.shared.changed.subscribe();
        loop {
            if let Some(value) = seen(&self.bots()) {
                return value;
            }
            // The sender lives as long as this service.
            let _ = changes.changed().await;
        }
    }

    /// Answers whoever comes, for as long as the machine runs.
    pub fn serve<L: Listener>(&self, mut listener: L) {
        let service = self.clone();
        self.host.task(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, from)) => {
                        let (service, host) = (service.clone(), service.host.clone());
                        host.task(service.connection(stream, from));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
    }

    async fn connection<S>(self, stream: S, from: SocketAddr)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let answer = service_fn(move |request| {
            let service = self.clone();
            async move { service.answer(request, from).await }
        });
        // What goes wrong with a connection concerns nobody else.
        let _ = http1::Builder::new()
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), answer)
            .await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        from: SocketAddr,
    ) -> io::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let mut path = head.uri.path().split('/').skip(1);
        let (bot, method, rest) =
            (path.next().unwrap_or_default(), path.next().unwrap_or_default(), path.next());
        let Some(token) = bot.strip_prefix("bot").filter(|_| rest.is_none()) else {
            return Ok(response(&Answer::error(404, "Not Found")));
        };
        let mut params = in_query(head.uri.query().unwrap_or_default());
        let Ok(body) = Limited::new(body, LONGEST).collect().await else {
            return Ok(response(&Answer::error(413, "Request Entity Too Large")));
        };
        if let Ok(Value::Object(members)) = serde_json::from_slice(&body.to_bytes()) {
            params.extend(members);
        }
        let fault = self.next_fault(method);
        match fault {
            Some(Fault::Error) => return Ok(response(&Answer::error(500, "Internal Server Error"))),
            Some(Fault::TooMany(seconds)) => return Ok(response(&Answer::too_many(seconds))),
            Some(Fault::Late(_) | Fault::ErrorAfter | Fault::Drop) | None => {}
        }
        let answer = self.carry_out(token, method, &params, from).await;
        self.changed();
        match fault {
            Some(Fault::Late(late_ms)) => tokio::time::sleep(Duration::from_millis(late_ms)).await,
            Some(Fault::ErrorAfter) => return Ok(response(&Answer::error(500, "Internal Server Error"))),
            Some(Fault::Drop) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Fault::Error | Fault::TooMany(_)) | None => {}
        }
        Ok(response(&answer))
    }

    async fn carry_out(
        &self,
        token: &str,
        method: &str,
        params: &Map<String, Value>,
        from: SocketAddr,
    ) -> Answer {
        let now_ms = self.host.now_ms();
        match method {
            "getMe" => self.bots().own(token),
            "deleteWebhook" => self.bots().forget_webhook(token),
            "sendMessage" => {
                let text = params.get("text").and_then(Value::as_str).unwrap_or_default();
                self.bots().send(token, from, whole(params, "chat_id"), text, now_ms)
            }
            "getUpdates" => {
                let count =
                    |name| whole(params, name).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
                let timeout_ms = count("timeout").min(LONGEST_WAIT_S) * 1000;
                let asked = Asked { offset: whole(params, "offset"), limit: count("limit"), timeout_ms };
                let poll = self.bots().poll(token, from, asked, now_ms);
                // Whoever polled before is to hear that it does so no more.
                self.changed();
                match poll {
                    Poll::Now(answer) => answer,
                    Poll::Wait(ticket) => self.wait(ticket).await,
                }
            }
            _ => Answer::error(404, "Not Found"),
        }
    }

    /// Waits for the answer to a poll. Whoever is gone before it comes drops this, and so has vanished.
    async fn wait(&self, ticket: Ticket) -> Answer {
        let mut changes = self.shared.changed.subscribe();
        let waiting = Waiting { service: self.clone(), ticket };
        loop {
            let now_ms = self.host.now_ms();
            if let Some(answer) = self.bots().look(&waiting.ticket, now_ms) {
                return answer;
            }
            let left = Duration::from_millis(waiting.ticket.until_ms.saturating_sub(now_ms).max(1));
            let _ = tokio::time::timeout(left, changes.changed()).await;
        }
    }

    fn next_fault(&self, method: &str) -> Option<Fault> {
        let mut faults = lock(&self.shared.faults);
        let at = faults.iter().position(|(of, _)| *of == method)?;
        faults.remove(at).map(|(_, fault)| fault)
    }

    fn changed(&self) {
        self.shared.changed.send_modify(|count| *count += 1);
    }

    fn bots(&self) -> MutexGuard<'_, Bots> {
        lock(&self.shared.bots)
    }
}

/// A client that waits for its poll.
struct Waiting<H: Host> {
    service: Service<H>,
    ticket: Ticket,
}

impl<H: Host> Drop for Waiting<H> {
    fn drop(&mut self) {
        // A poll that was answered is none any more, so this changes nothing then.
        self.service.bots().vanish(&self.ticket, self.service.host.now_ms());
        self.service.changed();
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole number of the parameters, written as a number or as digits.
fn whole(params: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = params.get(name)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The parameters of a query.
fn in_query(query: &str) -> Map<String, Value> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (plain(name), Value::String(plain(value)))).collect()
}

/// A text without its percent signs.
fn plain(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let mut ahead = rest.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = ahead;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn response(answer: &Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body.to_string()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
