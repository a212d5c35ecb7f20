//! One port answers health checks and WebSockets, and nothing that a web page from elsewhere sends.
//!
//! Bulk bytes flow here, outside the world that is explored: hyper reads the request, tungstenite takes over the
//! connection after the handshake. The server runs over any [`Listener`], so over a simulated network too, and starts
//! its tasks and reads its clock through [`Host`].

mod door;
mod http;
mod room;
mod socket;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_os::{Clock, Errno, Fd, Listener, Os};

use crate::identity::{Identity, Phase};
use crate::run::{Next, Serve};
use http::{Answer, Decision};
use room::{Doing, Room, Seat};

/// How much a server lets its clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections are served at once. As many again as `spare` are told that there is no place.
    pub connections: usize,
    /// How many connections beyond that get an answer at all; the rest is dropped.
    pub spare: usize,
    /// The longest message, in bytes.
    pub message_bytes: usize,
    /// How long a request may take to arrive, in milliseconds. Idle connections end after it too.
    pub request_ms: u64,
    /// How long a client may take to answer a goodbye, in milliseconds.
    pub goodbye_ms: u64,
}

impl Limits {
    /// What one user on one machine needs, with room to spare.
    pub const fn personal() -> Self {
        Self {
            connections: 256,
            spare: 32,
            message_bytes: 1024 * 1024,
            request_ms: 10_000,
            goodbye_ms: 1_000,
        }
    }
}

/// What a server needs of the process that it runs in. Every [`Os`] offers it.
pub trait Host: Clone + Send + Sync + 'static {
    /// Starts a task that lives until it ends or the process does.
    fn task(&self, body: impl Future<Output = ()> + Send + 'static);

    /// Reads a clock that never goes back, in milliseconds.
    fn monotonic_ms(&self) -> impl Future<Output = u64> + Send;
}

impl<O: Os> Host for O {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        Os::task(self, body);
    }

    async fn monotonic_ms(&self) -> u64 {
        // The uptime is for display; a clock that cannot be read stands still.
        self.read_clock(Clock::Monotonic).await.unwrap_or(0) / 1_000_000
    }
}

/// The control server of a gateway.
#[derive(Clone, Debug)]
pub struct Server {
    limits: Arc<Limits>,
    room: Room,
}

impl Server {
    /// A server that does not listen yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(limits), room: Room::default() }
    }

    /// Starts to accept on all listeners, in tasks of its own.
    pub fn open<H: Host, L: Listener>(&self, host: &H, listeners: Vec<L>, phase: &Phase) {
        let (server, phase, at) = (self.clone(), phase.clone(), host.clone());
        let round = self.room.stage().round;
        host.task(async move {
            let opened_ms = at.monotonic_ms().await;
            for listener in listeners {
                let post = Post {
                    host: at.clone(),
                    limits: server.limits.clone(),
                    room: server.room.clone(),
                    round,
                    phase: phase.clone(),
                    opened_ms,
                };
                at.task(post.accept(listener));
            }
        });
    }

    /// Takes no more WebSockets, tells those that are open that the service restarts, and waits until they are gone
    /// or their time is up.
    pub async fn close(&self) {
        self.room.turn(Doing::Closing);
        self.have_patience(self.room.empty()).await;
    }

    /// A client that does not answer is cut off by its own connection task; this limit is for a stuck one.
    async fn have_patience(&self, gone: impl Future<Output = ()>) {
        let patience = Duration::from_millis(self.limits.goodbye_ms.saturating_mul(2));
        let _ = tokio::time::timeout(patience, gone).await;
    }
}

impl<O: Os> Serve<O> for Server {
    fn start(&self, os: &O, listeners: &[Fd], _: &Identity, phase: &Phase) -> Result<(), Errno> {
        let listeners = listeners.iter().map(|fd| os.listener(*fd)).collect::<Result<Vec<_>, _>>()?;
        self.open(os, listeners, phase);
        Ok(())
    }

    async fn drain(&self, next: Next) {
        match next {
            Next::Stop => self.close().await,
            Next::Restart => {
                // The kernel keeps whoever comes from here on until somebody accepts again.
                self.room.turn(Doing::Restarting);
                // Who has asked for nothing yet is answered afterwards.
                self.have_patience(self.room.quiet()).await;
                self.room.begin_anew();
            }
            Next::HandOver => {
                self.room.turn(Doing::Restarting);
                // Connections do not go over, so whoever was let in is heard first, or has had its time.
                self.have_patience(self.room.empty()).await;
                self.room.begin_anew();
            }
        }
    }
}

/// What every connection of a server knows.
#[derive(Clone)]
struct Post<H> {
    host: H,
    limits: Arc<Limits>,
    room: Room,
    /// The one in which it was let in.
    round: u64,
    phase: Phase,
    opened_ms: u64,
}

impl<H: Host> Post<H> {
    async fn accept<L: Listener>(self, mut listener: L) {
        let mut stage = self.room.watch();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stage.wait_for(|stage| stage.leaves(self.round)) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    if let Some(seat) = self.room.seat(&self.limits) {
                        self.host.task(self.clone().serve(stream, seat));
                    }
                }
                // The client was gone before it was accepted, or there is no descriptor left. Neither ends a server,
                // and a pause keeps the second from spinning.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn serve<S>(self, stream: S, seat: Seat)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (mut stage, round) = (self.room.watch(), self.round);
        let leaving = stage.borrow().ends(round);
        let mut begun = seat.begun();
        let request_ms = Duration::from_millis(self.limits.request_ms);
        let seat = Arc::new(seat);
        let keep_alive = seat.is_regular() && !leaving;
        let service = service_fn(move |request| {
            let (post, seat) = (self.clone(), seat.clone());
            seat.begin();
            async move { Ok::<_, Infallible>(post.answer::<S>(request, seat).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(request_ms)
            .max_buf_size(REQUEST_BYTES)
            .keep_alive(keep_alive)
            // A date would make two runs of one schedule differ.
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        // What a client does wrong ends its connection and concerns nobody else.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = async {
                let _ = stage.wait_for(|stage| stage.ends(round)).await;
                // Who was let in before a restart and has not said anything yet is heard first, unless there is no next.
                tokio::select! {
                    _ = stage.wait_for(|stage| stage.doing == Doing::Closing) => {}
                    _ = begun.wait_for(|begun| *begun) => {}
                }
            }, if !leaving => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn answer<S>(&self, mut request: Request<Incoming>, seat: Arc<Seat>) -> Response<Full<Bytes>>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        match http::decide(request.method(), request.uri(), request.version(), request.headers()) {
            Decision::Answer(answer) => answer.response(),
            Decision::Readiness => {
                let uptime_ms = self.host.monotonic_ms().await.saturating_sub(self.opened_ms);
                http::readiness(self.phase.get(), uptime_ms).response()
            }
            Decision::Upgrade { accept }
                if seat.is_regular() && self.room.stage().doing == Doing::Serving =>
            {
                let upgrade = hyper::upgrade::on(&mut request);
                let (limits, stage) = (self.limits.clone(), self.room.watch());
                let round = self.room.stage().round;
                self.host.task(async move {
                    if let Some(socket) = socket::take_over::<S>(upgrade, &limits).await {
                        socket::echo(socket, stage, round, &limits).await;
                    }
                    drop(seat);
                });
                http::switch(&accept)
            }
            Decision::Upgrade { .. } => Answer::full().response(),
        }
    }
}

/// How long the server waits after it could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest head of a request, in bytes.
const REQUEST_BYTES: usize = 16 * 1024;
