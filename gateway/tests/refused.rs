//! A start that is refused at any token leaves every file as it was: its name, its bytes and its time. What comes new is an
//! empty directory or an empty lock file at most.

#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test that cannot set its stage has failed")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use gateway::Reason;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use tempfile::TempDir;

/// Files by their paths: inode, mode, bytes and time of the last change. Of a directory only that it is there.
type Files = BTreeMap<PathBuf, Option<(u64, u32, Vec<u8>, i64, i64)>>;

/// Where everything of one case lies.
struct Room {
    directory: TempDir,
    base: u16,
}

impl Room {
    /// A room of its own, with ports that nobody has.
    fn new(number: u16) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().canonicalize().expect("it is there");
        fs::create_dir(path.join("etc")).expect("a directory");
        let room = Self { directory, base: free_base(number) };
        let browser = serde_json::json!({ "cdpUrl": format!("http://127.0.0.1:{}", room.pinned()) });
        let config = serde_json::json!({ "browser": browser });
        put(&path.join("etc/openclaw.json"), config.to_string().as_bytes());
        room
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().expect("it is there").join(name)
    }

    /// A port outside the block that is claimed as well.
    fn pinned(&self) -> u16 {
        self.base + 115
    }

    /// What an earlier gateway and a user have left in it.
    fn furnish(&self) {
        for name in ["state", "work", "work/inner"] {
            fs::create_dir(self.at(name)).expect("a directory");
            fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o700)).expect("it is mine");
        }
        for name in ["state/gateway.lock", "state/writers.lock", "etc/.openclaw.json.gateway.lock"] {
            put(&self.at(name), b"");
        }
        put(&self.at("state/gateway.owner.json"), b"{\"pid\":1}\n");
        put(&self.at("state/journal.7"), b"torn");
        put(&self.at("state/gateway.epoch"), b"torn");
        put(&self.at("state/gateway.epoch.7.tmp"), b"torn");
        put(&self.at("state/memory.db"), b"everything");
        put(&self.at("work/inner/notes.md"), b"do not touch");
    }

    /// Starts a gateway here, which is to give up, and answers what it says.
    fn start(&self, wrapper: Option<&str>) -> Value {
        let refgate = env!("CARGO_BIN_EXE_refgate");
        let mut command = match wrapper {
            None => Command::new(refgate),
            Some(script) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("{script}; exec \"$0\" \"$@\""), refgate]);
                shell
            }
        };
        command.args(["gateway", "--json", "--port", &self.base.to_string()]);
        command.env_clear().env("HOME", self.at("")).env("OPENCLAW_STATE_DIR", self.at("state"));
        command.env("OPENCLAW_CONFIG_PATH", self.at("etc/openclaw.json"));
        command.env("OPENCLAW_WORKSPACE_DIR", self.at("work/inner"));
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let said = text.lines().last().unwrap_or_default();
        let said: Value = serde_json::from_str(said).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(said["exit"].as_i64(), output.status.code().map(i64::from), "{said}");
        said
    }

    /// Everything that is there now.
    fn files(&self) -> Files {
        let mut found = BTreeMap::new();
        let mut left = vec![self.at("")];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(&directory).expect("it is a directory") {
                let path = entry.expect("it is read").path();
                let status = fs::symlink_metadata(&path).expect("it is there");
                if status.is_dir() {
                    left.push(path.clone());
                    found.insert(path, None);
                } else {
                    let bytes = read(&path);
                    let seen = (status.ino(), status.mode(), bytes, status.mtime(), status.mtime_nsec());
                    found.insert(path, Some(seen));
                }
            }
        }
        found
    }
}

#[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file");
}

#[expect(clippy::disallowed_methods, reason = "a test looks at what is there")]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("it is read")
}

#[expect(clippy::disallowed_methods, reason = "a test holds what a gateway needs")]
fn open(path: &Path) -> File {
    File::open(path).expect("it is there")
}

/// The first of a block of ports that nobody has. Each case looks in a range of its own, below those of other tests.
fn free_base(number: u16) -> u16 {
    let mut bases = (0..8).map(|attempt| 2_000 + number * 960 + attempt * 120);
    let is_free = |port: u16| {
        let token = std::os::unix::net::SocketAddr::from_abstract_name(format!("refgate.v1.port.{port}"));
        UnixListener::bind_addr(&token.expect("a short name")).is_ok()
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
    };
    bases.find(|base| (*base..*base + 120).all(is_free)).expect("some block is free")
}

/// Something that a gateway needs, held by this test until it is dropped.
#[expect(dead_code, reason = "what is in it is only held")]
enum Held {
    Nothing,
    Lock(File),
    Token(UnixListener),
    Listener(TcpListener),
}

fn locked(path: &Path, how: FlockOperation) -> Held {
    let file = open(path);
    flock(&file, how).expect("it is free");
    Held::Lock(file)
}

/// Makes the directories and files above and at a path that must be there to be locked.
fn make(room: &Room, directory: &str, file: Option<&str>) -> PathBuf {
    for part in Path::new(directory).ancestors().collect::<Vec<_>>().into_iter().rev() {
        let path = room.at(&part.to_string_lossy());
        if !path.exists() {
            fs::create_dir(&path).expect("a directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("it is mine");
        }
    }
    let Some(file) = file else { return room.at(directory) };
    let path = room.at(directory).join(file);
    if !path.exists() {
        put(&path, b"");
    }
    path
}

/// Holds one token, and says with which code a gateway is refused that needs it.
type Case = (&'static str, fn(&Room) -> Held, &'static str);

fn cases() -> Vec<Case> {
    vec![
        ("the state directory", |room| exclusive_lock(&make(room, "state", None)), "held-unknown"),
        ("the lock file", |room| exclusive_lock(&make(room, "state", Some("gateway.lock"))), "held-unknown"),
        (
            "the writers' lock",
            |room| locked(&make(room, "state", Some("writers.lock")), FlockOperation::NonBlockingLockShared),
            "held-writers",
        ),
        (
            "the companion of the configuration",
            |room| exclusive_lock(&make(room, "etc", Some(".openclaw.json.gateway.lock"))),
            "config-shared",
        ),
        ("the configuration", |room| exclusive_lock(&room.at("etc/openclaw.json")), "config-shared"),
        ("the workspace", |room| exclusive_lock(&make(room, "work/inner", None)), "workspace-shared"),
        (
            "a directory inside the workspace",
            |room| locked(&make(room, "work/inner", None), FlockOperation::NonBlockingLockShared),
            "workspace-nested",
        ),
        (
            "a directory around the workspace",
            |room| exclusive_lock(&make(room, "work", None)),
            "workspace-nested",
        ),
        ("the first token of a port", |room| token(room.base), "port-range"),
        ("the last token of a port", |room| token(room.base + 110), "port-range"),
        ("the token of a pinned port", |room| token(room.pinned()), "port-range"),
        ("127.0.0.1", |room| listener(Ipv4Addr::LOCALHOST.into(), room.base), "port-foreign"),
        ("::1", |room| listener(Ipv6Addr::LOCALHOST.into(), room.base), "port-foreign"),
        (
            "the epoch of a later version",
            |room| {
                make(room, "state", Some("journal.99999999999999999999"));
                Held::Nothing
            },
            "newer-epoch",
        ),
    ]
}

fn exclusive_lock(path: &Path) -> Held {
    locked(path, FlockOperation::NonBlockingLockExclusive)
}

fn token(port: u16) -> Held {
    let name = std::os::unix::net::SocketAddr::from_abstract_name(format!("refgate.v1.port.{port}"));
    Held::Token(UnixListener::bind_addr(&name.expect("a short name")).expect("it is free"))
}

fn listener(ip: IpAddr, port: u16) -> Held {
    Held::Listener(TcpListener::bind(SocketAddr::new(ip, port)).expect("it is free"))
}

/// Whether nothing that was there is changed, and what is new is empty.
fn assert_harmless(room: &Room, before: &Files, what: &str) {
    let after = room.files();
    for (path, found) in before {
        assert_eq!(after.get(path), Some(found), "{what}: {}", path.display());
    }
    for (path, found) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
        let is_empty = found.as_ref().is_none_or(|(_, _, bytes, _, _)| bytes.is_empty());
        assert!(is_empty, "{what}: {} was left behind", path.display());
    }
}

#[test]
fn a_start_refused_at_any_token_changes_nothing_on_a_fresh_and_on_an_existing_state_directory() {
    let threads: Vec<_> = (0_u16..)
        .zip(cases())
        .map(|(number, case)| std::thread::spawn(move || refused_at(number, case)))
        .collect();
    for thread in threads {
        thread.join().expect("it holds");
    }
}

/// Whether a refusal is what `refusal.schema.json` says.
fn assert_documented(said: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../refusal.schema.json")).expect("valid JSON");
    let object = |value: &Value| value.as_object().expect("an object").clone();
    for (told, schema) in [(said, &schema), (&said["holder"], &schema["properties"]["holder"])] {
        if told.is_null() {
            continue;
        }
        let (told, known) = (object(told), object(&schema["properties"]));
        let unknown: Vec<&String> = told.keys().filter(|key| !known.contains_key(*key)).collect();
        assert!(unknown.is_empty(), "{unknown:?} of {said}");
        let required = schema["required"].as_array().expect("an array").iter().filter_map(Value::as_str);
        let missing: Vec<&str> = required.filter(|key| !told.contains_key(*key)).collect();
        assert!(missing.is_empty(), "{missing:?} of {said}");
    }
    let codes = schema["properties"]["code"]["enum"].as_array().expect("an array");
    assert!(codes.contains(&said["code"]), "{said}");
}

#[test]
fn every_reason_has_its_row_and_its_place_in_the_schema() {
    let document = include_str!("../REFUSALS.md");
    let rows: Vec<(&str, &str)> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(code, rest)| (code, rest.split(" | ").next().unwrap_or_default()))
        .collect();
    let statuses: Vec<(&str, String)> =
        Reason::ALL.iter().map(|reason| (reason.code(), reason.exit_status().to_string())).collect();
    let mut expected: Vec<(&str, &str)> = statuses.iter().map(|(code, exit)| (*code, &**exit)).collect();
    let mut written = rows.clone();
    expected.sort_unstable();
    written.sort_unstable();
    assert_eq!(written, expected);
    let schema: Value = serde_json::from_str(include_str!("../refusal.schema.json")).expect("valid JSON");
    let codes = schema["properties"]["code"]["enum"].as_array().expect("an array");
    for (code, _) in expected {
        assert!(codes.iter().any(|known| known == code), "{code} is missing in the schema");
    }
    assert_eq!(codes.len(), Reason::ALL.len() + 1, "and `settings`");
}

#[test]
fn a_process_that_has_inherited_the_lock_of_a_dead_gateway_is_named() {
    let room = Room::new(16);
    room.furnish();
    let directory = open(&room.at("state"));
    flock(&directory, FlockOperation::NonBlockingLockExclusive).expect("it is free");
    // The description that this process has locked goes on as the standard input of a child.
    let mut child = Command::new("/bin/sleep").arg("600").stdin(directory).spawn().expect("it starts");
    let before = room.files();
    let said = room.start(None);
    child.kill().expect("it is mine");
    child.wait().expect("it ends");
    assert_eq!(
        (&said["code"], &said["holder"]["pid"]),
        (&"held-orphan".into(), &child.id().into()),
        "{said}"
    );
    let evidence = said["evidence"].to_string();
    assert!(evidence.contains(" took that lock"), "{evidence}");
    assert_documented(&said);
    assert_harmless(&room, &before, "an orphan");
}

fn refused_at(number: u16, (what, hold, code): Case) {
    for is_furnished in [false, true] {
        let room = Room::new(number);
        if is_furnished {
            room.furnish();
        }
        let held = hold(&room);
        let before = room.files();
        let said = room.start(None);
        assert_documented(&said);
        assert_eq!((&said["event"], &said["code"]), (&"refused".into(), &code.into()), "{what}: {said}");
        assert_harmless(&room, &before, what);
        drop(held);
    }
}

#[test]
fn a_start_that_runs_out_of_descriptors_anywhere_changes_nothing() {
    let room = Room::new(15);
    room.furnish();
    let before = room.files();
    // The runtime's, the locks', the ports': a whole start needs more than 120.
    for limit in (8..=120).step_by(7) {
        let said = room.start(Some(&format!("ulimit -n {limit}")));
        assert_eq!(said["code"], "descriptor-limit", "{limit} descriptors: {said}");
        assert_harmless(&room, &before, &format!("{limit} descriptors"));
    }
}
