//! `refgate gateway install`: what it would write, or has written, and what to run next.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::target::divide;
use crate::install::{Done, Prepared, Problem, Request};
use crate::log::Log;
use crate::settings::{self, Flags, SettingsError, Surroundings};

/// What is said below the options.
pub(super) const HELP: &str = "\
The unit lies in $XDG_CONFIG_HOME/systemd/user, or in ~/.config/systemd/user, and holds what the
environment says now: the service manager has another one, of which it takes no OPENCLAW_ variable.
Units that own the same are looked for wherever systemd reads units of a user from.

Exit status:
   0  the unit is there, or could be written
   2  the command line, the environment or the configuration was not understood
  74  the system refuses
  75  another installation is under way
  77  permission denied
  78  another unit is for the same state, configuration or ports, or a file is in the way that
      was not written by this program";

/// What it can be told.
#[derive(Debug, Args)]
pub(super) struct Install {
    /// The base port, 1 to 65425; the 110 ports above it are reserved as well
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    port: Option<String>,

    /// The profile: a state directory, a port and a unit of its own. `default` is none
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Start the gateway with --allow-file-lock
    #[arg(long)]
    allow_file_lock: bool,

    /// Start the gateway with --allow-remote-fs
    #[arg(long)]
    allow_remote_fs: bool,

    /// Show the unit and what is in its way, and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(options: Install, log: &Log) -> ExitCode {
    let is_dry = options.dry_run;
    let around = settings::edge::surroundings();
    let prepared = match prepare(options, &around, log) {
        Ok(prepared) => prepared,
        Err(status) => return ExitCode::from(status),
    };
    for name in settings::SECRETS.into_iter().filter(|name| around.has(name)) {
        log.note(&format!(
            "{name} is not written into the unit, which others may read: write it into the configuration, or give the unit \
             an EnvironmentFile="
        ));
    }
    match if is_dry { prepared.check() } else { prepared.install() } {
        Ok(done) => {
            // Whoever closed the stream does not want to read it.
            let _ = std::io::stdout().write_all(told(&prepared, done, is_dry).as_bytes());
            ExitCode::SUCCESS
        }
        Err(problem) => ExitCode::from(refused(&problem, log)),
    }
}

/// The unit of a gateway with these settings and no other options.
pub(super) fn prepare_by(port: Option<String>, profile: Option<String>, log: &Log) -> Result<Prepared, u8> {
    let options = Install { port, profile, allow_file_lock: false, allow_remote_fs: false, dry_run: true };
    prepare(options, &settings::edge::surroundings(), log)
}

fn prepare(options: Install, around: &Surroundings, log: &Log) -> Result<Prepared, u8> {
    let flags = Flags { port: options.port, profile: options.profile };
    let settings = settings::resolve(&flags, around, settings::edge::read).map_err(|error| {
        log.unsettled(&error);
        SettingsError::EXIT_STATUS
    })?;
    for note in &settings.notes {
        log.note(note);
    }
    let program = settings::edge::program().map_err(|error| Problem::System {
        doing: "find",
        path: "/proc/self/exe".into(),
        error,
    });
    let lenient = [
        options.allow_file_lock.then_some("--allow-file-lock"),
        options.allow_remote_fs.then_some("--allow-remote-fs"),
    ];
    let prepared = program.and_then(|program| {
        let directory = settings::edge::user_units().ok_or(Problem::NoPlace)?;
        let request = Request {
            settings: &settings,
            claim: &divide(settings.clone()).0,
            around,
            program: &program,
            options: lenient.into_iter().flatten().collect(),
        };
        request.prepare(&directory, settings::edge::unit_path())
    });
    prepared.map_err(|problem| refused(&problem, log))
}

fn refused(problem: &Problem, log: &Log) -> u8 {
    let status = problem.exit_status();
    log.failed(status, &problem.to_string());
    log.note(&problem.help());
    status
}

fn told(prepared: &Prepared, done: Done, is_dry: bool) -> String {
    let file = prepared.file().display();
    let mut text = match (done, is_dry) {
        (Done::Written, false) => format!("wrote {file}\n"),
        (Done::Replaced, false) => format!("replaced {file}\n"),
        (Done::Unchanged, _) => format!("{file} is as it should be\n"),
        (Done::Written, true) => format!("would write {file}:\n\n{}\n", prepared.text()),
        (Done::Replaced, true) => format!("would replace {file}:\n\n{}\n", prepared.text()),
    };
    let [load, start] = prepared.next();
    text.push_str(&format!(
        "next:\n  {load}\n  {start}\n  loginctl enable-linger    # if it is to run while nobody is logged in\n"
    ));
    text
}
