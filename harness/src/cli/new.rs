//! `portcullis new`: a scenario to begin with.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::rewritten::create;
use super::{complain, examples, status};

/// What is written, and where.
#[derive(Debug, Args)]
#[command(after_help = examples::NEW)]
pub(super) struct NewOptions {
    /// The file; by default the name of the template, in scenarios/ if there is such a directory
    path: Option<PathBuf>,
    /// What happens in it
    #[arg(long, value_enum, value_name = "NAME", default_value = "race")]
    template: Template,
}

/// A scenario to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// Two gateways start at once
    Race,
    /// A killed gateway has left its lock behind
    StaleLock,
    /// A program that is no gateway listens on the port
    Port,
    /// A gateway is killed at any call of its start
    Crash,
    /// The owner is stopped by a signal while a rival starts
    Pause,
}

impl Template {
    const fn file(self) -> &'static str {
        match self {
            Self::Race => "race.toml",
            Self::StaleLock => "stale-lock.toml",
            Self::Port => "port.toml",
            Self::Crash => "crash.toml",
            Self::Pause => "pause.toml",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Race => include_str!("templates/race.toml"),
            Self::StaleLock => include_str!("templates/stale-lock.toml"),
            Self::Port => include_str!("templates/port.toml"),
            Self::Crash => include_str!("templates/crash.toml"),
            Self::Pause => include_str!("templates/pause.toml"),
        }
    }
}

/// Writes a scenario where no file is.
pub(super) fn run(out: &mut impl Write, options: &NewOptions) -> io::Result<u8> {
    let usual = || {
        let library = Path::new("scenarios");
        if library.is_dir() { library.join(options.template.file()) } else { options.template.file().into() }
    };
    let path = options.path.clone().unwrap_or_else(usual);
    let file = path.display();
    if path.extension().is_none_or(|ending| ending != "toml") {
        complain(&format!(
            "error: `{file}` is not called like a scenario\n  = help: a scenario file ends in `.toml`"
        ));
        return Ok(status::USAGE);
    }
    match write_new(&path, options.template.text()) {
        Ok(()) => {
            writeln!(out, "{file} is written; `portcullis run {file}` runs it")?;
            Ok(status::PASSED)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            complain(&format!(
                "error: `{file}` exists\n  = help: name a file that does not exist; nothing is overwritten"
            ));
            Ok(status::USAGE)
        }
        Err(error) => {
            complain(&format!(
                "error: cannot write `{file}`: {error}\n  = help: name a file that can be made"
            ));
            Ok(status::ENVIRONMENT)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge where a user names a file")]
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    create(path, text)
}
