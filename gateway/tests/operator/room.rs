//! A room with a home, a state directory and ports of its own, and processes that end with it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The ordinary user of these tests, and another one.
pub(crate) const USER: u32 = 24_242;
pub(crate) const OTHER: u32 = 24_243;

/// Where the blocks of these tests begin, above those of all others and of the kernel.
const FIRST_BASE: u16 = 61_000;
/// How many blocks there are.
const BLOCKS: u16 = 36;
/// Where the blocks begin of tests that make many connections: what remains of these for a minute is seen by whoever looks
/// at the port next.
const FIRST_BUSY_BASE: u16 = 10_000;

/// The users that a test is tried as: this one, and where that is root an ordinary one.
pub(crate) fn users() -> Vec<Option<u32>> {
    if rustix::process::geteuid().is_root() { vec![None, Some(USER)] } else { vec![None] }
}

/// Files by their paths: inode, mode, bytes and time of the last change. Of a directory only its mode.
pub(crate) type Files = BTreeMap<PathBuf, (u64, u32, Vec<u8>, i64, i64)>;

/// Where everything of one case lies.
pub(crate) struct Room {
    directory: TempDir,
    /// Whoever lives here; `None`: whoever runs the test.
    pub(crate) uid: Option<u32>,
    pub(crate) base: u16,
    /// Keeps the ports from other rooms, in use or not.
    _block: UnixListener,
}

impl Room {
    /// A room with ports that nobody has, those of the `number`th block if they are free.
    pub(crate) fn new(number: u16, uid: Option<u32>) -> Self {
        Self::within(FIRST_BASE, number, uid)
    }

    /// The same for a test that makes many connections, among the blocks of such tests.
    pub(crate) fn busy(number: u16) -> Self {
        Self::within(FIRST_BUSY_BASE, number, None)
    }

    fn within(first: u16, number: u16, uid: Option<u32>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // The programs of cargo may lie where an ordinary user may not go. Another process copies, because a program that
        // this one writes cannot be executed while a child that another thread has just forked has it open.
        let copied =
            Command::new("/bin/cp").arg(env!("CARGO_BIN_EXE_refgate")).arg(directory.path()).status();
        assert!(copied.expect("it runs").success());
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is mine");
        chown(directory.path(), uid, uid).expect("only root asks for another user");
        let (base, block) = free_base(first, number);
        let room = Self { directory, uid, base, _block: block };
        fs::create_dir(room.at("state")).expect("a directory");
        fs::set_permissions(room.at("state"), fs::Permissions::from_mode(0o700)).expect("it is mine");
        chown(room.at("state"), uid, uid).expect("only root asks for another user");
        room
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().expect("it is there").join(name)
    }

    /// A program, as whoever lives here.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        as_user(program, self.uid)
    }

    /// A command of `refgate` about this room.
    pub(crate) fn refgate(&self, uid: Option<u32>, arguments: &[&str]) -> Command {
        let mut command = as_user(self.at("refgate"), uid);
        command.args(arguments).args(["--port", &self.base.to_string()]);
        command.env_clear().env("HOME", self.at("")).env("OPENCLAW_STATE_DIR", self.at("state"));
        command.env("OPENCLAW_CONFIG_PATH", self.at("openclaw.json"));
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Runs one that ends by itself.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.refgate(self.uid, arguments).output().expect("it runs")
    }

    /// What `refgate why --json` says here, with its exit status checked.
    pub(crate) fn why(&self, uid: Option<u32>) -> Value {
        let output = self.refgate(uid, &["why", "--json"]).output().expect("it runs");
        let said = object(&output.stdout);
        assert_eq!(said["exit"].as_i64(), output.status.code().map(i64::from), "{said}");
        said
    }

    /// A gateway that begins to start, with some variables in its environment.
    pub(crate) fn spawn_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut all = vec!["gateway", "--json"];
        all.extend(arguments);
        let mut command = self.refgate(self.uid, &all);
        let mut child =
            command.envs(variables.iter().copied()).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Running { child: Mortal(child), lines }
    }

    /// A gateway that is ready.
    pub(crate) fn gateway(&self, arguments: &[&str]) -> Running {
        self.gateway_with(arguments, &[])
    }

    /// A gateway that is ready, with some variables in its environment.
    pub(crate) fn gateway_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut running = self.spawn_with(arguments, variables);
        for expected in ["owner", "ready"] {
            let said = running.next();
            assert_eq!(said["event"], expected, "{said}");
        }
        running
    }

    /// A process of some user that does nothing, and has what it is given as its standard input.
    pub(crate) fn idle(uid: Option<u32>, input: impl Into<Stdio>) -> Mortal {
        let child = as_user("/bin/sleep", uid).arg("600").stdin(input).current_dir("/").spawn();
        Mortal(child.expect("it starts"))
    }

    /// A socket that listens on the base port.
    pub(crate) fn listener(&self) -> OwnedFd {
        TcpListener::bind((Ipv4Addr::LOCALHOST, self.base)).expect("it is free").into()
    }

    /// Leaves an owner record that says what is not so: that a process which has nothing to do with it is the owner.
    pub(crate) fn lie(&self, pid: u32) {
        self.put("state/gateway.owner.json", format!("{}\n", self.untruth(pid)).as_bytes());
    }

    /// An owner record that says what is not so.
    pub(crate) fn untruth(&self, pid: u32) -> Value {
        let state = fs::metadata(self.at("state")).expect("it is there");
        serde_json::json!({
            "schema": 1, "instance": "00000000000000000000000000000000", "pid": pid, "state": "/elsewhere",
            "stateDevice": state.dev(), "stateInode": state.ino(), "config": "/c", "base": self.base, "span": 110,
            "version": "9.9.9",
        })
    }

    /// A file of whoever lives here.
    #[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.at(name), bytes).expect("a file");
        chown(self.at(name), self.uid, self.uid).expect("only root asks for another user");
    }

    /// Everything that is there now.
    pub(crate) fn files(&self) -> Files {
        let mut found = BTreeMap::new();
        let mut open = vec![self.at("")];
        while let Some(path) = open.pop() {
            if path.file_name().is_some_and(|name| name == "refgate") {
                continue;
            }
            let status = fs::symlink_metadata(&path).expect("it is there");
            let bytes = if status.is_dir() {
                open.extend(
                    fs::read_dir(&path).expect("it is read").map(|entry| entry.expect("it is read").path()),
                );
                Vec::new()
            } else {
                read(&path)
            };
            let seen = (status.ino(), status.mode(), bytes, status.mtime(), status.mtime_nsec());
            found.insert(path, seen);
        }
        found
    }
}

fn as_user(program: impl AsRef<std::ffi::OsStr>, uid: Option<u32>) -> Command {
    let mut command = Command::new(program);
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    command
}

/// What is in a file.
#[expect(clippy::disallowed_methods, reason = "a test looks at what it has made")]
pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("it is read")
}

/// The one line of JSON that a command has said.
pub(crate) fn object(bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(bytes);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{text}"))
}

/// A block that no other room has and nobody uses, and what keeps it from other rooms.
fn free_base(first: u16, number: u16) -> (u16, UnixListener) {
    let bind = |name: String| {
        let name = std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a short name");
        UnixListener::bind_addr(&name)
    };
    let is_free = |port: u16| {
        bind(format!("refgate.v1.port.{port}")).is_ok()
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
    };
    let mut bases = (0..BLOCKS).map(|further| first + (number + further) % BLOCKS * 120);
    let found = bases.find_map(|base| {
        let block = bind(format!("refgate-test-block.{base}")).ok()?;
        (base..base + 111).all(is_free).then_some((base, block))
    });
    found.expect("some block is free")
}

/// A process, killed when the test is over.
pub(crate) struct Mortal(pub(crate) Child);

impl Mortal {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.0.try_wait().expect("it is mine").is_none()
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway that runs.
pub(crate) struct Running {
    pub(crate) child: Mortal,
    lines: BufReader<ChildStdout>,
}

impl Running {
    /// A gateway that says what it does there.
    pub(crate) fn new(child: Mortal, lines: ChildStdout) -> Self {
        Self { child, lines: BufReader::new(lines) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Stops it, and returns when the kernel says so.
    pub(crate) fn pause(&self) {
        signal(self.pid(), Signal::STOP);
        let path = format!("/proc/{}/stat", self.pid());
        let is_stopped = || {
            let text = String::from_utf8_lossy(&read(path.as_ref())).into_owned();
            text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        while !is_stopped() {
            std::thread::yield_now();
        }
    }

    pub(crate) fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, signal).expect("it is there");
}

/// A process that has inherited the lock on the state directory from one that is gone.
pub(crate) struct Orphan(pub(crate) u32);

impl Orphan {
    pub(crate) fn new(room: &Room) -> Self {
        let script = "exec 9<\"$0\"; flock -n 9 || exit 9; sleep 600 >/dev/null 2>&1 & echo $!";
        let output =
            room.command("/bin/sh").args(["-c", script]).arg(room.at("state")).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        Self(text.trim().parse().unwrap_or_else(|_| panic!("{output:?}")))
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        signal(self.0, Signal::KILL);
    }
}
