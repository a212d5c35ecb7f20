//! `replay`: a token, or a file that an earlier replay has saved.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{complain, examples, read_token, status};
use crate::causal;
use crate::replayed::{self, Outcome};

/// What is replayed.
#[derive(Debug, Args)]
#[command(after_help = examples::REPLAY)]
pub(super) struct ReplayOptions {
    /// The token that a failing run has printed, or a file that `--save` has written
    token: String,
    /// Write what had to come before what to a file: it can be replayed after the lock was edited
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Takes one failure again.
pub(super) fn run(out: &mut impl Write, options: &ReplayOptions) -> io::Result<u8> {
    let path = Path::new(&options.token);
    // No token is the path of a file, and no file in a repository is called as a token is.
    if !options.token.starts_with("v1.") && path.is_file() {
        return saved(out, path, options.save.as_deref());
    }
    if !options.token.starts_with("v1.") && path.components().count() > 1 {
        complain(&format!(
            "error: there is no file {}\n  = help: name a file that `--save` has written, or a token, which begins with `v1.`",
            path.display()
        ));
        return Ok(status::USAGE);
    }
    let token = match read_token(out, &options.token)? {
        Ok(token) => token,
        Err(status) => return Ok(status),
    };
    let outcome = replayed::replay(&token, out)?;
    let Some(path) = &options.save else { return Ok(status_of(outcome)) };
    match replayed::causal_text(&token).filter(|_| outcome == Outcome::StillFails) {
        Some(text) => {
            if let Err(error) = write(path, &text) {
                complain(&format!("error: cannot write {}: {error}", path.display()));
                return Ok(status::ENVIRONMENT);
            }
            writeln!(out, "  saved   {}", path.display())?;
        }
        None => complain(&format!(
            "error: {} was not written: the token shows no failure\n  = help: save the token of a run that fails",
            path.display()
        )),
    }
    Ok(status_of(outcome))
}

/// Takes a saved failure again.
fn saved(out: &mut impl Write, path: &Path, save: Option<&Path>) -> io::Result<u8> {
    if save.is_some() {
        complain("error: `--save` is for a token: a file is saved already\n  = help: leave out `--save`");
        return Ok(status::USAGE);
    }
    let parsed = match read(path) {
        Ok(text) => causal::parse(&text),
        Err(error) => {
            complain(&format!("error: cannot read {}: {error}", path.display()));
            return Ok(status::USAGE);
        }
    };
    match parsed {
        Ok(saved) => causal::replay(&saved, out).map(status_of),
        Err(error @ causal::SavedError::Design { .. }) => {
            writeln!(out, "not applicable: {error} any more")?;
            Ok(status::INCONCLUSIVE)
        }
        Err(error) => {
            complain(&format!(
                "error: {} is no saved failure: {error}\n  = help: `portcullis replay TOKEN --save FILE` writes one",
                path.display()
            ));
            Ok(status::USAGE)
        }
    }
}

const fn status_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::StillFails => status::FAILED,
        Outcome::BreaksNothing => status::PASSED,
        Outcome::NotApplicable => status::INCONCLUSIVE,
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge where a user names a file")]
fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

#[expect(clippy::disallowed_methods, reason = "the edge where a user names a file")]
fn write(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text)
}
