//! The command as a user meets it: what it prints, how it exits, and two of them at once.

#![expect(clippy::expect_used, reason = "a test that cannot set its stage has failed")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use futures_util::{SinkExt as _, StreamExt as _};
use portcullis_os::{Linux, Os as _, Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

/// The command in an environment of its own.
fn refgate(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refgate"));
    command.args(arguments).env_clear().env("HOME", home).current_dir(home);
    command
}

/// Everything that a user sees of a command that ends by itself.
fn shown(home: &Path, arguments: &[&str]) -> String {
    let output = assert_cmd::Command::from_std(refgate(home, arguments)).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&home.display().to_string(), "HOME");
    let lines = |text: String| text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
    format!(
        "{}{}exit {}",
        lines(text(&output.stdout)),
        lines(text(&output.stderr)),
        output.status.code().expect("it was not killed")
    )
}

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn configuration(home: &Path, text: &[u8]) {
    std::fs::create_dir(home.join(".refgate")).expect("a directory");
    put(&home.join(".refgate/openclaw.json"), text);
}

#[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
fn put(path: &Path, text: &[u8]) {
    std::fs::write(path, text).expect("a file");
}

/// A process, killed when the test is over.
struct Mortal(Child);

impl Mortal {
    async fn terminate(&self) {
        let pid = Pid::new(self.0.id()).expect("a pid");
        Linux::new(|_| ()).kill(pid, Some(Signal::Terminate)).await.expect("it is there");
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway that runs.
struct Running {
    child: Mortal,
    lines: BufReader<ChildStdout>,
}

impl Running {
    /// Starts one, and returns its first word too.
    fn start(home: &Path, base: u16) -> (Self, Value) {
        let mut child = refgate(home, &["gateway", "--json", "--port", &base.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut running = Self { child: Mortal(child), lines };
        let first = running.next();
        (running, first)
    }

    /// Starts one on the first block of ports that nobody has, and returns the base.
    fn ready(home: &Path) -> (Self, u16) {
        // Tests that run at once start their search at different places.
        let name = home.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
        let start =
            name.iter().fold(7_u16, |hash, byte| hash.wrapping_mul(31).wrapping_add(u16::from(*byte)));
        for attempt in 0..100 {
            let base = 20_000 + (start % 300 + attempt) % 300 * 120;
            let (mut running, first) = Self::start(home, base);
            if first["event"] == "owner" {
                let second = running.next();
                assert_eq!(second["event"], "ready", "{second}");
                return (running, base);
            }
            assert!(first["code"].as_str().is_some_and(|code| code.starts_with("port-")), "{first}");
        }
        panic!("no block of ports is free");
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("an object")
    }

    fn pid(&self) -> u32 {
        self.child.0.id()
    }

    async fn terminate(&self) {
        self.child.terminate().await;
    }

    fn end(&mut self) -> ExitStatus {
        self.child.0.wait().expect("it ends")
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn a_command_line_that_is_not_understood_exits_with_2_and_a_suggestion() {
    let home = home();
    insta::assert_snapshot!(shown(home.path(), &["gatewya"]), @r"
    error: unrecognized subcommand 'gatewya'

      tip: a similar subcommand exists: 'gateway'

    Usage: refgate [OPTIONS] <COMMAND>

    For more information, try '--help'.
    exit 2
    ");
    insta::assert_snapshot!(shown(home.path(), &["gateway", "--prot", "1"]), @r"
    error: unexpected argument '--prot' found

      tip: a similar argument exists: '--port'

    Usage: refgate gateway --port <N>

    For more information, try '--help'.
    exit 2
    ");
    insta::assert_snapshot!(shown(home.path(), &["gateway", "--port"]), @r"
    error: a value is required for '--port <N>' but none was supplied

    For more information, try '--help'.
    exit 2
    ");
    assert!(shown(home.path(), &[]).ends_with("exit 2"));
}

#[test]
fn unusable_settings_are_shown_with_line_and_caret_and_nothing_is_touched() {
    let home = home();
    configuration(home.path(), b"{\n  gateway: {\n    prot: 18789, // a typo\n  },\n}\n");
    insta::assert_snapshot!(shown(home.path(), &["gateway", "--port", "70000"]), @r#"
    error: --port is "70000", which is not a port
     |
     = help: write a number from 1 to 65425

    error: there is no key "prot" in `gateway`
     --> HOME/.refgate/openclaw.json:3:5
      |
    3 |     prot: 18789, // a typo
      |     ^^^^
      |
      = help: did you mean "port"?

    refgate: 2 problems in the settings
      code      settings (exit 2)
    exit 2
    "#);
    let names = std::fs::read_dir(home.path().join(".refgate")).expect("a directory").count();
    assert_eq!(names, 1, "only the configuration");
    insta::assert_snapshot!(shown(home.path(), &["gateway", "--profile", "a b"]), @r#"
    error: --profile is "a b", which is not a profile name
     |
     = help: write a letter or digit and then at most 63 letters, digits, `_` or `-`

    refgate: a problem in the settings
      code      settings (exit 2)
    exit 2
    "#);
    assert!(!home.path().join(".refgate-a b").exists());
}

#[test]
fn unusable_settings_are_told_to_programs_too() {
    let home = home();
    configuration(home.path(), b"[]");
    let output = refgate(home.path(), &["gateway", "--json", "--port=-1"]).output().expect("it runs");
    let mut line: Value = serde_json::from_slice(&output.stdout).expect("one object");
    line["pid"] = Value::Null;
    insta::assert_snapshot!(line.to_string().replace(&home.path().display().to_string(), "HOME"), @r#"
    {"code":"settings","event":"refused","evidence":["--port is \"-1\", which is not a port; write a number from 1 to 65425","HOME/.refgate/openclaw.json:1:1: the configuration must be an object, not an array; write an object"],"exit":2,"message":"2 problems in the settings","pid":null}
    "#);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_configuration_that_is_no_readable_file_says_what_it_is() {
    let home = home();
    for name in [".refgate", ".refgate/openclaw.json"] {
        std::fs::create_dir(home.path().join(name)).expect("a directory");
    }
    insta::assert_snapshot!(shown(home.path(), &["gateway"]), @r#"
    error: the configuration file "HOME/.refgate/openclaw.json" cannot be read: it is a directory
     |
     = help: make it a readable text file, remove it, or set OPENCLAW_CONFIG_PATH to another one

    refgate: a problem in the settings
      code      settings (exit 2)
    exit 2
    "#);
}

#[test]
fn a_second_gateway_is_refused_and_names_the_first_until_that_one_has_stopped() {
    let home = home();
    let (mut first, base) = Running::ready(home.path());

    let (mut second, said) = Running::start(home.path(), base + 200);
    assert_eq!(said["event"], "refused", "{said}");
    assert_eq!(said["code"], "held-ready", "{said}");
    assert_eq!(said["holder"]["pid"], first.pid(), "{said}");
    assert_eq!(said["exit"], 78, "{said}");
    assert_eq!(second.end().code(), Some(78));

    let text = shown(home.path(), &["gateway", "--port", &base.to_string()]);
    assert!(text.starts_with(&format!("refgate: gateway already running (pid {}): ", first.pid())), "{text}");
    assert!(text.contains(&format!("\n  holder    pid {} (refgate)", first.pid())), "{text}");
    assert!(text.ends_with("\nexit 78"), "{text}");

    block_on(first.terminate());
    assert_eq!(first.next()["event"], "draining");
    assert_eq!(first.next()["event"], "released");
    assert_eq!(first.end().code(), Some(0));

    let (mut third, said) = Running::start(home.path(), base);
    assert_eq!(said["event"], "owner", "{said}");
    assert_eq!(third.next()["event"], "ready");
}

#[test]
fn the_lines_of_several_gateways_say_when_they_were_said_and_what_was_wanted() {
    let home = home();
    let (mut first, base) = Running::ready(home.path());
    let (_, refused) = Running::start(home.path(), base);
    block_on(first.terminate());
    assert_eq!(first.next()["event"], "draining");
    let released = first.next();
    let at = |line: &Value| line["at"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(at(&refused) < at(&released), "{refused} {released}");
    for line in [&refused, &released] {
        let form: String = at(line).chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(form, "0000-00-00T00:00:00.000000Z", "{line}");
        assert!(line["uptimeUs"].as_u64().is_some_and(|uptime| uptime > 0), "{line}");
        assert!(line["startTick"].as_u64().is_some_and(|tick| tick > 0), "{line}");
        assert_eq!(line["port"], base, "{line}");
        assert_eq!(line["state"], home.path().join(".refgate").display().to_string(), "{line}");
    }
}

#[test]
fn a_gateway_of_another_state_on_the_same_port_is_told_in_the_words_that_people_search_for() {
    let homes = [home(), home()];
    let (first, base) = Running::ready(homes[0].path());
    let text = shown(homes[1].path(), &["gateway", "--port", &base.to_string()]);
    let words = format!(
        "refgate: another gateway instance is already listening on ws://127.0.0.1:{base}: pid {}",
        first.pid()
    );
    assert!(text.starts_with(&words) && text.contains("\n  code      port-gateway (exit 78)\n"), "{text}");
}

#[test]
fn a_foreign_program_on_a_reserved_port_is_named_and_keeps_nobody_out() {
    let home = home();
    let (mut first, base) = Running::ready(home.path());
    first.child.0.kill().expect("it is mine");
    first.end();
    let listener = std::net::TcpListener::bind(("127.0.0.1", base + 50)).expect("it is free");
    let (mut gateway, said) = Running::start(home.path(), base);
    let me = block_on(Linux::new(|_| ()).own_pid()).expect("a pid");
    let note = format!("port {0} is reserved, and pid {me} (", base + 50);
    let message = said["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with(&note) && message.ends_with(&format!("listens on 127.0.0.1:{}", base + 50)),
        "{said}"
    );
    assert_eq!((&said["event"], &gateway.next()["event"]), (&"note".into(), &"owner".into()));
    assert_eq!(gateway.next()["event"], "ready");
    drop(listener);
}

#[test]
fn a_gateway_that_is_to_listen_everywhere_keeps_every_address_for_itself() {
    let home = home();
    configuration(home.path(), b"{ gateway: { bind: 'lan', auth: { token: 't' } } }");
    let (_gateway, base) = Running::ready(home.path());
    for address in ["127.0.0.1", "127.0.0.2", "::1"] {
        let address = std::net::SocketAddr::new(address.parse().expect("an address"), base);
        TcpStream::connect(address).expect("it listens");
        std::net::TcpListener::bind(address).expect_err("it is taken");
    }
}

#[test]
fn a_killed_gateway_leaves_nothing_that_holds_up_the_next_one() {
    let home = home();
    let (first, base) = Running::ready(home.path());
    drop(first);
    let (_second, said) = Running::start(home.path(), base);
    assert_eq!(said["event"], "owner", "{said}");
}

const CONNECT: &str = r#"{"type":"req","id":"1","method":"connect","params":{"minProtocol":4,"maxProtocol":4,
    "client":{"id":"test","version":"1","platform":"linux","mode":"test"}}}"#;

#[test]
fn a_client_is_answered_on_both_loopbacks_and_sent_away_with_1012() {
    let home = home();
    let (mut gateway, base) = Running::ready(home.path());
    block_on(async {
        for host in ["127.0.0.1", "[::1]"] {
            let address = format!("{host}:{base}");
            let stream = tokio::net::TcpStream::connect(&address).await.expect("it listens");
            let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/"), stream)
                .await
                .expect("a handshake");
            let challenge = socket.next().await.expect("open").expect("valid").to_string();
            assert!(challenge.starts_with(r#"{"type":"event","event":"connect.challenge""#), "{challenge}");
            socket.send(Message::text(CONNECT)).await.expect("it is sent");
            let hello = socket.next().await.expect("open").expect("valid").to_string();
            assert!(hello.starts_with(r#"{"type":"res","id":"1","ok":true,"payload":{"#), "{hello}");
            socket
                .send(Message::text(r#"{"type":"req","id":"2","method":"health"}"#))
                .await
                .expect("it is sent");
            let health = socket.next().await.expect("open").expect("valid").to_string();
            assert!(health.starts_with(r#"{"type":"res","id":"2","ok":true"#), "{health}");
        }
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", base)).await.expect("it listens");
        let (mut socket, _) =
            tokio_tungstenite::client_async("ws://localhost/", stream).await.expect("a handshake");
        let _challenge = socket.next().await.expect("open").expect("valid");
        gateway.terminate().await;
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => {
                assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1012, "service restart"));
            }
            other => panic!("the server said {other:?}"),
        }
        assert!(socket.next().await.is_none());
    });
    assert_eq!(gateway.end().code(), Some(0));
}

#[test]
fn two_links_to_one_configuration_are_one_configuration() {
    let (first, second) = (home(), home());
    let shared = first.path().join("shared.json");
    for home in [&first, &second] {
        std::fs::create_dir(home.path().join(".refgate")).expect("a directory");
        symlink(&shared, home.path().join(".refgate/openclaw.json")).expect("a link");
    }
    let (gateway, base) = Running::ready(first.path());
    let (_, said) = Running::start(second.path(), base + 200);
    assert_eq!((&said["code"], &said["holder"]["pid"]), (&"config-shared".into(), &gateway.pid().into()));
    // Nor does it matter whether the file exists by now.
    put(&shared, b"{}");
    let (_, said) = Running::start(second.path(), base + 200);
    assert_eq!(said["code"], "config-shared", "{said}");
}

#[test]
fn a_state_directory_that_is_a_file_is_not_blamed_on_the_configuration() {
    let home = home();
    put(&home.path().join(".refgate"), b"");
    let text = shown(home.path(), &["gateway"]);
    assert!(text.starts_with("refgate: ") && !text.contains("openclaw.json"), "{text}");
}

#[test]
fn a_state_directory_that_can_never_be_made_is_refused_and_not_tried_for_ever() {
    let home = home();
    symlink("/nowhere/at/all", home.path().join("dangling")).expect("a link");
    for state in ["dangling/state", "/proc/state"] {
        let mut command = refgate(home.path(), &["gateway", "--port", "21500"]);
        command.env("OPENCLAW_STATE_DIR", home.path().join(state));
        let output = assert_cmd::Command::from_std(command).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{state}: {text}");
        assert!(text.contains("invalid-path (exit 78)"), "{text}");
    }
}

#[test]
fn a_section_that_is_all_but_called_gateway_is_taken_for_a_slip() {
    let home = home();
    configuration(home.path(), b"{ gatway: { port: 20000 }, agents: {} }");
    let text = shown(home.path(), &["gateway"]);
    assert!(text.contains("did you mean \"gateway\"?") && text.ends_with("exit 2"), "{text}");
}

#[test]
fn too_few_descriptors_for_a_start_are_a_refusal_and_no_crash() {
    let home = home();
    // With three or less not even the program itself is loaded.
    for limit in 4..40 {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("ulimit -n {limit} && exec \"$0\" gateway"),
            env!("CARGO_BIN_EXE_refgate"),
        ]);
        command.env_clear().env("HOME", home.path());
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(74), "{limit}: {text}");
        assert!(text.contains("\n  code      descriptor-limit (exit 74)\n"), "{limit}: {text}");
    }
}

/// A stream that takes nothing more, and the end that would have to read.
fn full() -> (UnixStream, UnixStream) {
    let (mut full, reader) = UnixStream::pair().expect("a pair");
    full.set_nonblocking(true).expect("a mode");
    while full.write(&[b'x'; 4096]).is_ok() {}
    while full.write(b"x").is_ok() {}
    full.set_nonblocking(false).expect("a mode");
    (full, reader)
}

#[test]
fn a_reader_who_does_not_read_keeps_no_gateway_from_serving_and_none_from_stopping() {
    let home = home();
    let (earlier, base) = Running::ready(home.path());
    drop(earlier);
    let (stdout, _unread) = full();
    let mut command = refgate(home.path(), &["gateway", "--json", "--port", &base.to_string()]);
    let mut gateway = Mortal(command.stdout(OwnedFd::from(stdout)).spawn().expect("it starts"));
    let mut client = loop {
        match TcpStream::connect(("127.0.0.1", base)) {
            Ok(client) => break client,
            Err(_) => assert_eq!(gateway.0.try_wait().expect("a child"), None),
        }
    };
    // What it has to say before it is ready has no reader either.
    client.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");

    let (stderr, _unread) = full();
    let status = refgate(home.path(), &["gateway"]).stderr(OwnedFd::from(stderr)).status().expect("it runs");
    assert!([Some(75), Some(78)].contains(&status.code()), "{status}");

    block_on(gateway.terminate());
    assert_eq!(gateway.0.wait().expect("it ends").code(), Some(0));
}
