//! `refgate setup`: what is asked on a terminal, what was set up, and what to run next.

use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::config::say;
use super::serve;
use crate::log::{Format, Log};
use crate::ports::block;
use crate::settings::{
    self, ConfigFile, Flags, Found, GATEWAY_PASSWORD, LOG_DIRECTORY, LOG_NAME, Settings, SettingsError,
};
use crate::setup::{Auth, Bind, Done, Problem, Request, set_up};
use crate::text::one_line;

/// What is said below the options.
pub(super) const HELP: &str = "\
On a terminal it asks for the port, the authentication and the workspace, unless --yes is given;
elsewhere it never asks. Without --port it takes the port that follows from the name of the profile,
or the next one above it whose ports no gateway of this host has reserved and no other profile of
this home has in its configuration. It is written into the configuration, and is the profile's for
good.

A token is made at random, and lies in a file of its own that only this user can read, as does a
password, which is that of OPENCLAW_GATEWAY_PASSWORD. Neither is shown.

Exit status:
   0  it is set up
   2  the command line, the environment or an answer was not understood
  74  the system refuses, a read-only or full file system for instance
  75  another setup is under way, or a gateway is about to end
  77  permission denied
  78  there is a configuration already, a gateway goes by it, or the ports are somebody's";

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 4096;

/// What it can be told.
#[derive(Debug, Args)]
pub(super) struct Setup {
    /// The base port, 1 to 65425; the 110 ports above it are reserved as well
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    port: Option<String>,

    /// Where to listen
    #[arg(long, value_enum, default_value = "loopback")]
    bind: Where,

    /// What clients must know [default: token]
    #[arg(long, value_enum)]
    auth: Option<How>,

    /// The directory that agents work in [default: workspace in the state directory]
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,

    /// Ask nothing
    #[arg(long)]
    yes: bool,

    /// Replace a configuration that is there, and keep it as a .bak file
    #[arg(long)]
    force: bool,

    /// Say it as one JSON object, and ask nothing
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    Loopback,
    Lan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum How {
    Token,
    None,
    Password,
}

pub(super) fn run(options: Setup, profile: Option<String>) -> ExitCode {
    let log = Log::to_standard_streams(if options.json { Format::Json } else { Format::Text });
    let json = options.json;
    let done = request(options, profile, &log).and_then(|request| {
        let runtime = serve::runtime(&log).map_err(|refusal| {
            log.refused(&refusal, None);
            refusal.exit_status()
        })?;
        let os = portcullis_os::Linux::new(|_| ());
        let done = runtime.block_on(set_up(&os, &request)).map_err(|problem| refused(&problem, &log))?;
        Ok((request, done))
    });
    log.flush();
    match done {
        Ok((request, done)) => {
            say(&if json { as_json(&request, &done) } else { as_text(&request, &done) });
            ExitCode::SUCCESS
        }
        Err(status) => ExitCode::from(status),
    }
}

fn refused(problem: &Problem, log: &Log) -> u8 {
    let status = problem.exit_status();
    if let Problem::Settings(error) = problem {
        log.unsettled(error);
    } else {
        log.failed(status, &problem.to_string());
    }
    log.note(&problem.help());
    status
}

/// What is to be set up, by the options and by what is answered.
fn request(options: Setup, profile: Option<String>, log: &Log) -> Result<Request, u8> {
    let around = settings::edge::surroundings();
    let unsettled = |error: SettingsError| {
        log.unsettled(&error);
        SettingsError::EXIT_STATUS
    };
    let settle = |port: Option<String>| {
        // What a configuration says that is there already does not count.
        let absent = |path: &Path| Found { path: settings::edge::place(path), file: ConfigFile::Absent };
        settings::resolve(&Flags { port, profile: profile.clone() }, &around, absent).map_err(unsettled)
    };
    let asks = !options.yes && !options.json && io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut settings = settle(options.port.clone())?;
    for note in &settings.notes {
        log.note(note);
    }
    let mut auth = options.auth;
    let mut workspace = options.workspace;
    if asks {
        if options.port.is_none() {
            let answer = ask(&format!("base port [{}, or the next free one]", settings.ports.base()))?;
            if answer.is_some() {
                settings = settle(answer)?;
            }
        }
        if auth.is_none() {
            let answer = ask("authentication: token, none or password [token]")?;
            auth = answer.map(|answer| How::from_str(&answer, true)).transpose().map_err(|_| {
                log.failed(super::USAGE, "the authentication is token, none or password");
                super::USAGE
            })?;
        }
        if workspace.is_none() {
            let default = settings.state.join("workspace");
            workspace = ask(&format!("workspace [{}]", default.display()))?.map(PathBuf::from);
        }
    }
    let workspace = match workspace {
        None => settings.workspaces.first().cloned().unwrap_or_else(|| settings.state.join("workspace")),
        Some(path) => settings::absolute("--workspace", path.as_os_str(), &around).map_err(unsettled)?,
    };
    let auth = match auth.unwrap_or(How::Token) {
        How::Token => Auth::Token,
        How::None => Auth::None,
        How::Password => Auth::Password(password(around.value(GATEWAY_PASSWORD), log)?),
    };
    let bind = match options.bind {
        Where::Loopback => Bind::Loopback,
        Where::Lan => Bind::Lan,
    };
    let home = around.home.clone().filter(|home| home.is_absolute());
    Ok(Request { settings, bind, auth, workspace, home, replace: options.force })
}

fn password(set: Option<&OsString>, log: &Log) -> Result<String, u8> {
    match set.and_then(|password| password.to_str()).filter(|password| !password.contains(['\n', '\r'])) {
        Some(password) => Ok(password.to_owned()),
        None => {
            log.failed(
                super::USAGE,
                "a password is one line of text, and OPENCLAW_GATEWAY_PASSWORD holds none",
            );
            log.note("set OPENCLAW_GATEWAY_PASSWORD for this command, or choose --auth token");
            Err(super::USAGE)
        }
    }
}

/// Asks a person. `None`: the default will do.
fn ask(question: &str) -> Result<Option<String>, u8> {
    // Whoever cannot read the question answers it with the default.
    let _ = write!(io::stderr(), "{}: ", one_line(question));
    let mut answer = String::new();
    match io::stdin().lock().take(LONGEST).read_line(&mut answer) {
        Ok(_) => Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())),
        Err(_) => Err(super::USAGE),
    }
}

/// The command that comes next.
fn next(settings: &Settings) -> String {
    match &settings.profile {
        Some(profile) => format!("refgate --profile {} gateway", profile.as_str()),
        None => "refgate gateway".to_owned(),
    }
}

fn as_text(request: &Request, done: &Done) -> String {
    let settings = &request.settings;
    let name = match &settings.profile {
        Some(profile) => format!("the profile {}", profile.as_str()),
        None => "the default profile".to_owned(),
    };
    let mut text = format!("refgate: {name} is set up\n");
    let mut row = |key: &str, value: String| text += &format!("  {key:<9}  {}\n", one_line(&value));
    row("config", done.config.display().to_string());
    row("state", settings.state.display().to_string());
    row("workspace", request.workspace.display().to_string());
    if let Some(derived) = done.ports.derived() {
        let cdp = format!("{}-{}", derived.cdp_first, derived.cdp_last);
        row("ports", format!("{}: browser control {}, CDP {cdp}", done.ports, derived.browser_control));
    }
    row(
        "auth",
        match (&request.auth, &done.secret) {
            (Auth::Token, Some(path)) if done.kept_secret => {
                format!("the token that was in {} already", path.display())
            }
            (Auth::Token, Some(path)) => format!("a new token, in {}", path.display()),
            (Auth::Password(_), Some(path)) => format!("the password, in {}", path.display()),
            (_, None) | (Auth::None, Some(_)) => "none: every program of this machine may connect".to_owned(),
        },
    );
    row("log", settings.state.join(LOG_DIRECTORY).join(LOG_NAME).display().to_string());
    if let Some(backup) = &done.backup {
        row("before", backup.display().to_string());
    }
    row("next", next(settings));
    text.truncate(text.trim_end().len());
    text
}

fn as_json(request: &Request, done: &Done) -> String {
    let settings = &request.settings;
    let auth = match request.auth {
        Auth::None => "none",
        Auth::Token => "token",
        Auth::Password(_) => "password",
    };
    json!({
        "ok": true,
        "profile": settings.profile.as_ref().map(|profile| profile.as_str()),
        "config": done.config,
        "state": settings.state,
        "workspace": request.workspace,
        "port": done.ports.base().get(),
        "ports": block(done.ports),
        "bind": match request.bind { Bind::Loopback => "loopback", Bind::Lan => "lan" },
        "auth": auth,
        "secretFile": done.secret,
        "keptSecret": done.kept_secret,
        "backup": done.backup,
        "log": settings.state.join(LOG_DIRECTORY).join(LOG_NAME),
        "next": next(settings),
    })
    .to_string()
}
