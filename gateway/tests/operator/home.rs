//! A home with profiles, each with whatever follows from its name, and the gateways that run there.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::room::{Mortal, Running, object, read};

/// Where the blocks of these homes begin, apart from those of all other tests and below those of the kernel.
const FIRST_BASE: u16 = 27_000;
/// How far apart they are.
const APART: u16 = 120;
/// How many ports above its base a gateway reserves.
const SPAN: u16 = 110;

/// A home directory of whoever runs the test.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().expect("it is there").join(name)
    }

    /// A command in this home, and in no other environment.
    pub(crate) fn refgate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_refgate"));
        command.args(arguments).env_clear().env("HOME", self.at("")).current_dir("/").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.refgate(arguments).output().expect("it runs")
    }

    /// What a command says that succeeds, as JSON.
    pub(crate) fn told(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{output:?}");
        object(&output.stdout)
    }

    /// A gateway that is ready.
    pub(crate) fn gateway(&self, arguments: &[&str]) -> Running {
        let mut running = self.spawn(arguments);
        for expected in ["owner", "ready"] {
            let said = running.next();
            assert_eq!(said["event"], expected, "{said}");
        }
        running
    }

    /// A gateway that begins to start.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Running {
        let mut all = vec!["gateway", "--json"];
        all.extend(arguments);
        let mut child = self.refgate(&all).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = child.stdout.take().expect("a pipe");
        Running::new(Mortal(child), lines)
    }

    /// A file of whoever lives here.
    #[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.at(name).parent().expect("a directory")).expect("a directory");
        fs::write(self.at(name), bytes).expect("a file");
    }

    /// What is in a file.
    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&read(&self.at(name))).into_owned()
    }
}

/// A base at which a whole block is free, the `number`th if nobody has it.
pub(crate) fn base(number: u16) -> u16 {
    let is_free = |port: u16| {
        let token = std::os::unix::net::SocketAddr::from_abstract_name(format!("refgate.v1.port.{port}"));
        UnixListener::bind_addr(&token.expect("a short name")).is_ok()
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
    };
    let mut bases = [0, 20].map(|further| FIRST_BASE + (number + further) * APART).into_iter();
    bases.find(|base| (*base..=*base + SPAN).all(is_free)).expect("some block is free")
}

/// The lines of a log.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = String::from_utf8_lossy(&read(path)).into_owned();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"))).collect()
}

/// The lines of a log, once there are so many: they are written by a thread that nobody waits for.
pub(crate) fn awaited(path: &Path, count: usize) -> Vec<Value> {
    loop {
        let text =
            if path.exists() { String::from_utf8_lossy(&read(path)).into_owned() } else { String::new() };
        if text.lines().count() >= count && text.ends_with('\n') {
            return lines(path);
        }
        std::thread::yield_now();
    }
}

/// A client of the gateway on a port.
pub(crate) struct Client(WebSocket<TcpStream>);

impl Client {
    /// One that says this secret. Answers with what it was answered, too.
    pub(crate) fn connect(port: u16, secret: &str) -> (Self, Value) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
        let (socket, _) = client(format!("ws://127.0.0.1:{port}/"), stream).expect("a handshake");
        let mut client = Self(socket);
        assert_eq!(client.next()["event"], "connect.challenge");
        let answer = client.call(
            "connect",
            &json!({
                "minProtocol": 4,
                "maxProtocol": 4,
                "client": { "id": "test", "version": "0", "platform": "linux", "mode": "test" },
                "role": "operator",
                "scopes": ["operator.read"],
                "auth": { "token": secret },
            }),
        );
        (client, answer)
    }

    /// Calls a method.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let request = json!({ "type": "req", "id": method, "method": method, "params": params });
        self.0.send(Message::text(request.to_string())).expect("it is sent");
        loop {
            let frame = self.next();
            if frame["type"] == "res" {
                return frame;
            }
        }
    }

    fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.0.read().expect("a message") {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }
}
