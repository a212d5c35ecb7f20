//! The operator's ladder on real processes: in each situation each command says which one it is, first line and exit status
//! are those of the page, and only what must not be believed is left out.

mod acts;
mod held;
mod help;
mod json;
mod probes;
mod situations;
mod watches;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::room::{Room, read};
use situations::{SITUATIONS, Situation, Stage};

/// The secret of the gateways in these tests.
pub(super) const TOKEN: &str = "s3cret-of-the-ladder";

/// The commands, as an operator types them. Those that do something are the last.
const COMMANDS: [&str; 14] = [
    "gateway status",
    "gateway status --require-rpc",
    "gateway probe",
    "gateway call status",
    "gateway health",
    "health",
    "status",
    "channels status --probe",
    "logs --limit 5",
    "watch --once --interval-s 1",
    "gateway start",
    "why",
    "gateway restart --wait-s 5",
    "gateway stop --wait-s 5",
];

/// The first of them that does something.
const FIRST_ACT: &str = "gateway restart --wait-s 5";

/// A command of `refgate` about a room, with a secret.
pub(crate) fn client(room: &Room, line: &str, token: &str) -> Command {
    let arguments: Vec<&str> = line.split(' ').collect();
    let mut command = room.refgate(room.uid, &arguments);
    command.env("OPENCLAW_GATEWAY_TOKEN", token);
    command
}

/// Runs one, and what it says with what differs from run to run left out.
pub(super) fn shown(room: &Room, output: &Output) -> String {
    masked(room, &String::from_utf8_lossy(&[&*output.stdout, &output.stderr].concat()))
}

/// A text without pids, places and whatever else is chosen anew each time.
pub(super) fn masked(room: &Room, text: &str) -> String {
    let text = text.replace(&room.at("").display().to_string(), "HOME/");
    let text = text.replace(&room.base.to_string(), "PORT").replace(&(room.base + 110).to_string(), "LAST");
    let text = text.replace(&(room.base + 111).to_string(), "NEXT");
    let mut masked = String::new();
    let mut before = "";
    for word in text.split_inclusive([' ', '(', ')', ',', ':', '\n']) {
        let bare = word.trim_end_matches([' ', '(', ')', ',', ':', '\n']);
        let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
        match before.trim_end() {
            "refgate:" | "has" if is_number => masked.push_str(&word.replace(bare, "N")),
            "pid" | "-p" | "-CONT" if is_number => masked.push_str(&word.replace(bare, "PID")),
            // Whatever the program is called in which the tests run.
            _ if bare.starts_with("operator") => masked.push_str(&word.replace(bare, "NAME")),
            _ if bare.len() == 32 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                masked.push_str(&word.replace(bare, "ID"));
            }
            _ => masked.push_str(word),
        }
        before = word;
    }
    masked
}

/// What a command has shown in a situation.
struct Seen {
    first: String,
    exit: i32,
}

fn all(situation: &Situation) -> Vec<Seen> {
    let stage = Stage::set(situation);
    let mut seen = Vec::new();
    // The gateway itself logs who came.
    let files = || {
        let mut files = stage.room.files();
        files.retain(|path, _| path.iter().all(|name| name != "logs"));
        files
    };
    let before = files();
    for line in COMMANDS {
        if line == FIRST_ACT {
            assert_eq!(files(), before, "{}: who looks changes nothing", situation.name);
        }
        let output = client(&stage.room, line, situation.token).output().expect("it runs");
        let text = shown(&stage.room, &output);
        let exit = output.status.code().expect("it was not killed");
        let context = format!("{}: {line}: exit {exit}\n{text}", situation.name);
        assert!(!text.contains(TOKEN), "{context}");
        let (first, last) =
            (text.lines().next().unwrap_or_default(), text.lines().last().unwrap_or_default());
        let is_result = line == "gateway call status" && exit == 0;
        let is_log = line.starts_with("logs") && exit == 0;
        if !is_result && !is_log {
            assert!(first.starts_with("refgate: ") || first.starts_with("ALERT "), "{context}");
            let is_short = line.starts_with("watch") && exit == 0;
            let is_advised = line == "why" && last.starts_with("  do not");
            assert!(is_short || is_advised || last.starts_with("  next"), "{context}");
        }
        stage.forgive();
        seen.push(Seen { first: if is_result { "{".to_owned() } else { first.to_owned() }, exit });
    }
    seen
}

/// Two tables: the exit statuses, and the first lines of those commands that say the same.
fn tables(seen: &[(&Situation, Vec<Seen>)]) -> String {
    let mut text = String::from("| exit status |");
    for (situation, _) in seen {
        // Writing to a `String` cannot fail.
        let _ = write!(text, " {} |", situation.name);
    }
    let _ = write!(text, "\n| --- |{}", " --- |".repeat(seen.len()));
    for (number, line) in COMMANDS.iter().enumerate() {
        let _ = write!(text, "\n| `{line}` |");
        for (_, all) in seen {
            let _ = write!(text, " {} |", all[number].exit);
        }
    }
    text.push_str("\n\n| situation | command | first line |\n| --- | --- | --- |");
    for (situation, all) in seen {
        let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
        for (command, seen) in COMMANDS.iter().zip(all) {
            match lines.iter_mut().find(|(first, _)| *first == seen.first) {
                Some((_, commands)) => commands.push(command),
                None => lines.push((&seen.first, vec![command])),
            }
        }
        let most = lines.iter().map(|(_, commands)| commands.len()).max().unwrap_or_default();
        for (first, commands) in lines {
            let who = if commands.len() == most && most > 2 {
                "all others".to_owned()
            } else {
                commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>().join(", ")
            };
            let _ = write!(text, "\n| {} | {who} | `{}` |", situation.name, first.replace('|', "\\|"));
        }
    }
    text
}

pub(super) fn page() -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let text = String::from_utf8(read(&path)).expect("it is text");
    (path, text)
}

const BEGIN: &str =
    "<!-- what follows is compared with real runs; REFGATE_DOCS=write cargo test writes it anew -->\n\n";
const END: &str = "\n\n<!-- what precedes is compared with real runs -->";

#[test]
#[expect(clippy::disallowed_methods, reason = "a test that is told to writes the page anew")]
fn each_command_says_in_each_situation_what_the_page_says() {
    let threads: Vec<_> =
        SITUATIONS.iter().map(|situation| (situation, std::thread::spawn(move || all(situation)))).collect();
    let seen: Vec<_> = threads
        .into_iter()
        .map(|(situation, thread)| (situation, thread.join().expect("it holds")))
        .collect();
    let tables = tables(&seen);
    let (path, text) = page();
    let (before, rest) = text.split_once(BEGIN).expect("the page has a place for it");
    let (written, after) = rest.split_once(END).expect("the place has an end");
    if std::env::var_os("REFGATE_DOCS").is_some_and(|word| word == "write") {
        std::fs::write(path, format!("{before}{BEGIN}{tables}{END}{after}")).expect("it is written");
        return;
    }
    let known: BTreeMap<usize, &str> = written.lines().enumerate().collect();
    for (number, line) in tables.lines().enumerate() {
        assert_eq!(known.get(&number), Some(&line), "REFGATE_DOCS=write writes the page anew");
    }
    assert_eq!(written.lines().count(), tables.lines().count());
}
