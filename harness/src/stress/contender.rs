//! One contender: the lock of a design over the real kernel, and a write every millisecond for as long as it owns.
//!
//! What it has to say goes to its standard output, a line each: `owner`, `ready US`, `released`, `refused US CODE`, with
//! the microseconds since it began to ask for the lock.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use gateway::{Claim, GATEWAY_SPAN, PortBlock};
use portcullis_os::{Linux, Notice, Port};
use tokio::sync::watch;

use super::Order;
use crate::designs::{Design, Surroundings};
use crate::real::{Helper, Stopwatch};

/// How long an owner rests between two writes.
const PAUSE: Duration = Duration::from_millis(1);

/// Where the state of all contenders lies.
pub(super) fn state(directory: &Path) -> PathBuf {
    directory.join("state")
}

/// Where the owners write.
pub(super) fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}

/// The command that starts one.
pub(super) fn command(order: &Order, life: u32) -> Command {
    let mut command = Helper::Contender.command(crate::real::Options::ITSELF.as_ref());
    command.arg(&order.design).arg(&order.directory).arg(order.base.to_string()).arg(life.to_string());
    command
}

/// What a command line of [`command`] means.
struct Part {
    design: Design,
    directory: PathBuf,
    ports: PortBlock,
    life: u32,
}

impl Part {
    fn read(arguments: &[OsString]) -> Option<Self> {
        let [design, directory, base, life] = arguments else { return None };
        let base = base.to_str()?.parse().ok().and_then(Port::new)?;
        Some(Self {
            design: Design::of(design.to_str()?)?,
            directory: directory.into(),
            ports: PortBlock::new(base, GATEWAY_SPAN)?,
            life: life.to_str()?.parse().ok()?,
        })
    }

    fn claim(&self) -> Claim {
        let config = self.directory.join("config").join("openclaw.json");
        Claim::plain(state(&self.directory), config, self.ports)
    }

    fn surroundings(&self) -> Surroundings {
        let tmp = self.directory.join("tmp");
        Surroundings { tmp: tmp.clone(), tmpdir: tmp, ..Surroundings::host() }
    }
}

/// Lives one life.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let Some(part) = Part::read(arguments) else { return ExitCode::FAILURE };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    ExitCode::from(runtime.block_on(live(part)))
}

async fn live(part: Part) -> u8 {
    let Ok(log) = Log::open(&part).map(Arc::new) else { return 1 };
    let (owns, is_owner) = watch::channel(false);
    let (clock, first) = (Stopwatch::start(), Arc::clone(&log));
    // The notices come in the task that makes the call, and everything here is one thread: an owner that says it is none
    // any more has made its last write.
    let os = Linux::new(move |notice| match notice {
        Notice::Owner(_) => {
            first.write();
            owns.send_replace(true);
            tell("owner");
        }
        Notice::Ready => tell(&format!("ready {}", clock.now_us())),
        Notice::Refused { code, .. } => {
            owns.send_replace(false);
            tell(&format!("refused {} {code}", clock.now_us()));
        }
        Notice::Released => {
            owns.send_replace(false);
            tell("released");
        }
        Notice::Noted(_) => {}
    });
    tokio::spawn(write(log, is_owner));
    part.design.run_in(os, part.claim(), part.surroundings()).await
}

/// Writes again and again while it is the owner, until the process ends.
async fn write(log: Arc<Log>, mut is_owner: watch::Receiver<bool>) {
    while is_owner.wait_for(|owns| *owns).await.is_ok() {
        log.write();
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the lock protects.
struct Log {
    file: File,
    line: String,
}

impl Log {
    fn open(part: &Part) -> std::io::Result<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the named edge: what a lock protects lies outside of it"
        )]
        let file = OpenOptions::new().append(true).open(log(&part.directory))?;
        Ok(Self { file, line: format!("{}\n", part.life) })
    }

    /// One write(2). Where it fails, there is a line less.
    fn write(&self) {
        let _ = (&self.file).write(self.line.as_bytes());
    }
}

/// The driver may be gone, and then so is this process.
fn tell(line: &str) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}
