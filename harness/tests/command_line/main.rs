//! The whole output of each command, exit status included, as a user sees it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

mod explains;
#[path = "../common/program.rs"]
mod program;
mod replays;
mod runs;
mod samples;
mod usage;

use std::path::{Path, PathBuf};
use std::process::Output;

use harness::token::Token;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn portcullis(arguments: &[&str]) -> Output {
    program::portcullis(&root()).args(arguments).output().unwrap()
}

/// The token that the README shows.
fn token_of_the_readme() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    readme.split_whitespace().find(|word| word.starts_with("v1.")).unwrap().to_owned()
}

fn replay(token: &Token) -> Output {
    portcullis(&["replay", &token.to_string()])
}

/// Everything that is shown, with each `[ 1.23s]` made the same.
fn shown(output: &Output) -> String {
    let mut text = String::new();
    for (name, bytes) in [("", &output.stdout), ("(stderr)\n", &output.stderr)] {
        if !bytes.is_empty() {
            text.push_str(name);
            text.push_str(&without_times(&String::from_utf8_lossy(bytes)));
        }
    }
    let status = output.status.code().map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    format!("{text}(exit {status})")
}

fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once("s]") {
            Some((time, tail)) if time.trim().parse::<f64>().is_ok() => {
                out.push_str("[   TIME]");
                rest = tail;
            }
            _ => {
                out.push('[');
                rest = after;
            }
        }
    }
    out + rest
}
