//! A real gateway that is held where it starts or where it stops: the lock, the epochs, the protocol and the server are those
//! that ship, and only what `run` waits for does not come. It is a process of its own: this program, started once more.

use std::future::Future;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{ChildStdout, Command, Stdio};

use gateway::auth::{Auth, Secret};
use gateway::control::{About, Control, SessionLimits};
use gateway::server::{Limits, Server, Service};
use gateway::{Claim, GATEWAY_SPAN, Identity, Next, Phase, Place, PortBlock, Serve};
use portcullis_os::{Call, Errno, Fd, Linux, Listener, Os, Port, Reply};

use super::TOKEN;
use crate::room::{Mortal, Room};

/// The variable that makes this program such a gateway.
const HOLD: &str = "REFGATE_TEST_HOLD";
const NAME: &str = "ladder::held::a_gateway_is_held_where_it_starts_and_its_lock_says_so";

/// A gateway that is held.
pub(super) struct Held {
    child: Mortal,
    lines: BufReader<ChildStdout>,
}

impl Held {
    /// One that owns its state and its ports, and does not come to listen.
    pub(super) fn unbound(room: &Room) -> Self {
        let mut held = Self::spawn(room, "unbound");
        held.until("unbound");
        held
    }

    /// One that does not come to be ready.
    pub(super) fn starting(room: &Room) -> Self {
        let mut held = Self::spawn(room, "starting");
        held.until("starting");
        held
    }

    /// One that does not come to its end.
    pub(super) fn ready(room: &Room) -> Self {
        let mut held = Self::spawn(room, "draining");
        held.until("ready");
        held
    }

    fn spawn(room: &Room, at: &str) -> Self {
        let program = std::env::current_exe().expect("it is this one");
        let mut child = Command::new(program)
            .args(["--exact", NAME, "--nocapture"])
            .env(HOLD, format!("{at} {} {}", room.base, room.at("").display()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child: Mortal(child), lines }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits until it says that it has come so far.
    pub(super) fn until(&mut self, phase: &str) {
        let wanted = format!("held: {phase}");
        let mut line = String::new();
        while !line.trim_end().ends_with(&wanted) {
            line.clear();
            assert!(self.lines.read_line(&mut line).expect("a line") > 0, "it ended before it was {phase}");
        }
    }
}

/// A server whose gateway stays where it is held.
struct Holding {
    server: Server,
    at: String,
}

fn tell(phase: &str) {
    let mut out = io::stdout();
    writeln!(out, "held: {phase}").and_then(|()| out.flush()).expect("somebody listens");
}

impl<O: Os> Serve<O> for Holding {
    async fn start(
        &self,
        os: &O,
        place: Place,
        listeners: &[Fd],
        identity: &Identity,
        phase: &Phase,
    ) -> Result<(), Errno> {
        self.server.start(os, place, listeners, identity, phase).await?;
        if self.at == "starting" {
            tell("starting");
            // Nobody wakes it; its other threads serve meanwhile.
            loop {
                std::thread::park();
            }
        }
        tell("ready");
        Ok(())
    }

    async fn drain(&self, next: Next) {
        Serve::<O>::drain(&self.server, next).await;
        tell("draining");
        std::future::pending::<()>().await;
    }
}

/// A machine on which nobody comes to listen.
#[derive(Clone)]
struct Unbound(Linux);

impl Os for Unbound {
    type Listener = <Linux as Os>::Listener;

    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        if matches!(call, Call::BindTcp { .. }) {
            tell("unbound");
            std::future::pending::<()>().await;
        }
        self.0.call(call).await
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        Os::task(&self.0, body);
    }

    fn discard(&self, fd: Fd) {
        self.0.discard(fd);
    }

    fn listener(&self, fd: Fd) -> Result<Self::Listener, Errno> {
        self.0.listener(fd)
    }

    async fn dial(&self, host: &str, port: Port) -> io::Result<<Self::Listener as Listener>::Stream> {
        self.0.dial(host, port).await
    }
}

/// What the process does that is started once more.
#[expect(clippy::disallowed_methods, reason = "a test says in its environment what its child is to be")]
fn hold() -> bool {
    let Some(word) = std::env::var_os(HOLD) else { return false };
    let word = word.into_string().expect("text");
    let mut words = word.splitn(3, ' ');
    let mut next = || words.next().expect("three words").to_owned();
    let (at, port, home) = (next(), next(), std::path::PathBuf::from(next()));
    let base = Port::new(port.parse().expect("a number")).expect("a port");
    let ports = PortBlock::new(base, GATEWAY_SPAN).expect("it fits");
    let claim = Claim::plain(home.join("state"), home.join("openclaw.json"), ports);
    let about = About { auth: Auth::Token(Secret::new(TOKEN)), ..About::open() };
    let control = Control::new(about, SessionLimits::openclaw());
    let server = Server::new(Limits::personal(), Service::Gateway(control));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (is_unbound, linux, holding) = (at == "unbound", Linux::new(|_| ()), Holding { server, at });
    let ended = if is_unbound {
        runtime.block_on(gateway::run(Unbound(linux), claim, holding))
    } else {
        runtime.block_on(gateway::run(linux, claim, holding))
    };
    ended.expect("it may run");
    true
}

#[test]
fn a_gateway_is_held_where_it_starts_and_its_lock_says_so() {
    if hold() {
        return;
    }
    let room = Room::busy(8);
    let held = Held::starting(&room);
    let said = room.why(None);
    assert_eq!(said["verdict"], "held-starting", "{said}");
    assert_eq!(said["holder"]["pid"], held.pid(), "{said}");
}
