//! One port answers health checks and WebSockets, and nothing that a web page from elsewhere sends.
//!
//! Bulk bytes flow here, outside the world that is explored: hyper reads the request, tungstenite takes over the
//! connection after the handshake. The server runs over any [`Listener`], so over a simulated network too, and starts
//! its tasks and reads its clock through [`Host`].

mod door;
#[cfg(test)]
mod gateway_tests;
mod http;
mod inbox;
mod link;
#[cfg(test)]
mod link_tests;
mod mirror;
mod pages;
mod room;
mod socket;
mod spare;
#[cfg(test)]
mod tests;
mod vigil;

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_os::{Call, Clock, Errno, Fd, FileKind, FileStatus, Links, Listener, Open, Os};
use tokio::sync::watch;

use crate::channels;
use crate::control::{self, Control, Now, Outbox, Peer, Session, uuid};
use crate::identity::{Identity, Phase};
use crate::run::{Next, Place, Serve};
use http::{Answer, Decision};
use mirror::Mirror;
use room::{Doing, Room, Seat};
use socket::Talk;
use vigil::Vigil;

/// How much a server lets its clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections are served at once. As many again as `spare` are told that there is no place.
    pub connections: usize,
    /// How many connections beyond that get an answer at all; the rest is dropped.
    pub spare: usize,
    /// How long a request may take to arrive, in milliseconds. Idle connections end after it too.
    pub request_ms: u64,
    /// How long a client may take to answer a goodbye, in milliseconds.
    pub goodbye_ms: u64,
}

impl Limits {
    /// What one user on one machine needs, with room to spare.
    pub const fn personal() -> Self {
        Self { connections: 256, spare: 32, request_ms: 10_000, goodbye_ms: 1_000 }
    }
}

/// What a server needs of the process that it runs in. Every [`Os`] offers it.
pub trait Host: Clone + Send + Sync + 'static {
    /// Starts a task that lives until it ends or the process does.
    fn task(&self, body: impl Future<Output = ()> + Send + 'static);

    /// Reads both clocks.
    fn now(&self) -> impl Future<Output = Now> + Send;

    /// 16 random bytes; `None` where there are none.
    fn random(&self) -> impl Future<Output = Option<[u8; 16]>> + Send;

    /// What is in the file that these names lead to, from a directory on, if it is a regular one of at most so many bytes.
    /// No symbolic link is followed, except by the path of the directory itself.
    fn file(
        &self,
        directory: &Path,
        names: &[String],
        most: u32,
    ) -> impl Future<Output = Option<Vec<u8>>> + Send;
}

impl<O: Os> Host for O {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        Os::task(self, body);
    }

    async fn now(&self) -> Now {
        // They are for display and for deadlines of clients; a clock that cannot be read stands still.
        let milliseconds = |nanoseconds: Result<u64, Errno>| nanoseconds.unwrap_or(0) / 1_000_000;
        Now {
            wall_ms: milliseconds(self.read_clock(Clock::Wall).await),
            monotonic_ms: milliseconds(self.read_clock(Clock::Monotonic).await),
        }
    }

    async fn random(&self) -> Option<[u8; 16]> {
        Os::random(self).await.ok()
    }

    async fn file(&self, directory: &Path, names: &[String], most: u32) -> Option<Vec<u8>> {
        let (name, folders) = names.split_last()?;
        let mut folder = self.open(directory, Open::directory()).await.ok()?;
        for name in folders {
            folder = self.open_at(&folder, name, Open::directory()).await.ok()?;
        }
        // A pipe would make whoever opens it wait.
        let is_regular = |status: &FileStatus| status.kind == FileKind::Regular && status.size <= most.into();
        self.stat_at(&folder, name, Links::NoFollow).await.ok().filter(is_regular)?;
        let file = self.open_at(&folder, name, Open { no_follow: true, ..Open::read() }).await.ok()?;
        self.stat_fd(&file).await.ok().filter(is_regular)?;
        let mut bytes = Vec::new();
        while let Ok(length @ 1..) = u32::try_from(bytes.len()).map(|length| most - length.min(most)) {
            match self.read(&file, bytes.len() as u64, length.min(PIECE)).await.ok()? {
                piece if piece.is_empty() => break,
                piece => bytes.extend(piece),
            }
        }
        Some(bytes)
    }
}

/// How much of a file is read at once, in bytes.
const PIECE: u32 = 256 * 1024;

/// Who answers on the sockets of a server.
#[derive(Clone, Debug)]
pub enum Service {
    /// The gateway.
    Gateway(Control),
    /// Every message is answered with itself, for suites that check the framing and for benches.
    Echo {
        /// The longest message, in bytes.
        longest: usize,
    },
    /// Every request is answered with its own params: the framing and the envelope of the protocol without a gateway behind
    /// them, for benches.
    Repeat {
        /// The longest message, in bytes.
        longest: usize,
    },
}

/// The control server of a gateway.
#[derive(Clone, Debug)]
pub struct Server {
    limits: Arc<Limits>,
    service: Service,
    room: Room,
    /// Whoever keeps what is remembered; `true` once that has ended.
    keeper: Arc<Mutex<Option<watch::Receiver<bool>>>>,
    /// The bots that are polled.
    channels: Arc<Mutex<Option<channels::Running>>>,
}

impl Server {
    /// A server that does not listen yet.
    pub fn new(limits: Limits, service: Service) -> Self {
        Self {
            limits: Arc::new(limits),
            service,
            room: Room::default(),
            keeper: Arc::default(),
            channels: Arc::default(),
        }
    }

    /// Starts to accept on all listeners, in tasks of its own.
    pub fn open<H: Host, L: Listener>(&self, host: &H, listeners: Vec<L>, phase: &Phase) {
        let (server, phase, at) = (self.clone(), phase.clone(), host.clone());
        let round = self.room.stage().round;
        host.task(async move {
            let opened = at.now().await;
            if let Service::Gateway(control) = &server.service {
                control.opened(&phase, opened, seed(&at).await);
            }
            for listener in listeners {
                let post = Post {
                    host: at.clone(),
                    limits: server.limits.clone(),
                    service: server.service.clone(),
                    room: server.room.clone(),
                    round,
                    phase: phase.clone(),
                    opened_ms: opened.monotonic_ms,
                };
                at.task(post.accept(listener));
            }
            if let Service::Gateway(control) = &server.service {
                let mut stage = server.room.watch();
                tokio::select! {
                    biased;
                    _ = stage.wait_for(|stage| stage.ends(round)) => {}
                    () = control.tell_crowds() => {}
                }
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

impl Server {
    /// Begins to keep what is remembered, and returns once everything that was kept is read. A disk that hangs keeps nobody
    /// out for ever.
    async fn remember<O: Os>(&self, os: &O, place: Place, identity: &Identity) -> Result<(), Errno> {
        let Service::Gateway(control) = &self.service else { return Ok(()) };
        // Whoever keeps may outlast the owner, whose descriptor then stands for something else.
        let state = os.descriptor(Call::Duplicate { fd: place.state }).await?;
        let (desk, is_loaded) = control.become_one(identity, place.epoch);
        let (ended, has_ended) = watch::channel(false);
        *self.keeper() = Some(has_ended);
        let (at, control) = (os.clone(), control.clone());
        Os::task(os, async move {
            control.seed(seed(&at).await);
            control::keep(at, state, place.workspace, control, desk).await;
            // Whoever waited for it may be gone.
            let _ = ended.send(true);
        });
        let _ = tokio::time::timeout(LOADING, is_loaded).await;
        Ok(())
    }

    /// Waits until what was asked for is written down, or its time is up.
    async fn rest(&self) {
        let Service::Gateway(control) = &self.service else { return };
        control.rest();
        let keeper = self.keeper().take();
        if let Some(mut ended) = keeper {
            self.have_patience(async { drop(ended.wait_for(|ended| *ended).await) }).await;
        }
        control.rested();
    }

    /// Polls the bots from when this gateway is ready.
    fn poll<O: Os>(&self, os: &O, epoch: u64, identity: &Identity) {
        let Service::Gateway(control) = &self.service else { return };
        *self.channels() = channels::start(os, control, epoch, identity);
    }

    /// Ends every poll of this gateway before anybody else begins one.
    async fn hang_up(&self) {
        let channels = self.channels().take();
        if let Some(channels) = channels {
            channels.stop().await;
        }
    }

    fn channels(&self) -> MutexGuard<'_, Option<channels::Running>> {
        // Nothing panics while it is held.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keeper(&self) -> MutexGuard<'_, Option<watch::Receiver<bool>>> {
        // Nothing panics while it is held.
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Os> Serve<O> for Server {
    async fn start(
        &self,
        os: &O,
        place: Place,
        listeners: &[Fd],
        identity: &Identity,
        phase: &Phase,
    ) -> Result<(), Errno> {
        let listeners = listeners.iter().map(|fd| os.listener(*fd)).collect::<Result<Vec<_>, _>>()?;
        let epoch = place.epoch;
        self.remember(os, place, identity).await?;
        self.open(os, listeners, phase);
        self.poll(os, epoch, identity);
        Ok(())
    }

    async fn drain(&self, next: Next) {
        match next {
            Next::Stop => {
                tokio::join!(self.close(), self.hang_up());
                self.rest().await;
            }
            Next::Restart => {
                // The kernel keeps whoever comes from here on until somebody accepts again.
                self.room.turn(Doing::Restarting);
                // Who has asked for nothing yet is answered afterwards.
                tokio::join!(self.have_patience(self.room.quiet()), self.hang_up());
                self.rest().await;
                self.room.begin_anew();
            }
            Next::HandOver => {
                self.room.turn(Doing::Restarting);
                // Connections do not go over, so whoever was let in is heard first, or has had its time.
                tokio::join!(self.have_patience(self.room.empty()), self.hang_up());
                self.rest().await;
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
    service: Service,
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
                Ok((stream, from)) => {
                    if let Some(seat) = self.room.seat(&self.limits) {
                        self.host.task(self.clone().serve(stream, from.ip(), seat));
                    }
                }
                // The client was gone before it was accepted, or there is no descriptor left. Neither ends a server,
                // and a pause keeps the second from spinning.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn serve<S>(self, stream: S, from: IpAddr, seat: Seat)
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
            async move { Ok::<_, Infallible>(post.answer::<S>(request, from, seat).await) }
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
            biased;
            _ = connection.as_mut() => return,
            () = async {
                let _ = stage.wait_for(|stage| stage.ends(round)).await;
                // Who was let in before a restart and has not said anything yet is heard first, unless there is no next.
                tokio::select! {
                    biased;
                    _ = stage.wait_for(|stage| stage.doing == Doing::Closing) => {}
                    _ = begun.wait_for(|begun| *begun) => {}
                }
            }, if !leaving => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn answer<S>(
        &self,
        mut request: Request<Incoming>,
        from: IpAddr,
        seat: Arc<Seat>,
    ) -> Response<Full<Bytes>>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        match http::decide(request.method(), request.uri(), request.version(), request.headers()) {
            Decision::Answer(answer) => answer.response(),
            Decision::Progress(asked) => {
                let uptime_ms = self.host.now().await.monotonic_ms.saturating_sub(self.opened_ms);
                http::progress(asked, self.phase.get(), uptime_ms).response()
            }
            Decision::Show(page, shown) => match &self.service {
                Service::Gateway(control) => {
                    pages::show(&page, &shown, control, &self.host, from.to_canonical()).await.response()
                }
                Service::Echo { .. } | Service::Repeat { .. } => pages::none().response(),
            },
            Decision::Upgrade { accept, origin_is_own }
                if seat.is_regular() && self.room.stage().doing == Doing::Serving =>
            {
                let Some((talk, hello)) = self.talk(from.to_canonical(), origin_is_own).await else {
                    return Answer::too_many_strangers().response();
                };
                let upgrade = hyper::upgrade::on(&mut request);
                let (host, limits) = (self.host.clone(), self.limits.clone());
                let vigil = Vigil::new(self.room.watch(), self.room.stage().round);
                self.host.task(async move {
                    if let Some(link) = socket::take_over::<S>(upgrade, talk.longest()).await {
                        socket::talk(link, talk, hello, &host, vigil, &limits).await;
                    }
                    drop(seat);
                });
                http::switch(&accept)
            }
            Decision::Upgrade { .. } => Answer::full().response(),
        }
    }

    /// Whoever answers on a socket from there, and what it says first; `None`: too many are unknown there already.
    async fn talk(
        &self,
        address: IpAddr,
        origin_is_own: bool,
    ) -> Option<(Box<dyn Talk + Send + Sync>, Outbox)> {
        let control = match &self.service {
            Service::Gateway(control) => control.clone(),
            Service::Echo { longest } => {
                return Some((Mirror::of(*longest, mirror::echo), Outbox::default()));
            }
            Service::Repeat { longest } => {
                return Some((Mirror::of(*longest, mirror::repeat), Outbox::default()));
            }
        };
        let stranger = control.stranger(address)?;
        let words = [uuid(self.host.random().await?), uuid(self.host.random().await?)];
        let mut hello = Outbox::default();
        let peer = Peer { address, origin_is_own };
        let session = Session::open(control, stranger, peer, words, self.host.now().await, &mut hello);
        Some((Box::new(session), hello))
    }
}

/// Random bytes that nobody knows, for what clients are given.
async fn seed<H: Host>(host: &H) -> Option<[u8; 32]> {
    let (first, second) = (host.random().await?, host.random().await?);
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&first);
    seed[16..].copy_from_slice(&second);
    Some(seed)
}

/// How long a server waits for what was kept to be read before it lets anybody in.
const LOADING: Duration = Duration::from_secs(2);

/// How long the server waits after it could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest head of a request, in bytes.
const REQUEST_BYTES: usize = 16 * 1024;
