//! The operator's ladder: commands that look, ask, and only then do something, each of which names the situation first and the
//! next safe command last.

mod aim;
pub(super) mod call;
pub(super) mod channels;
mod edge;
pub(super) mod health;
pub(super) mod logs;
pub(super) mod overview;
pub(super) mod probe;
mod report;
pub(super) mod restart;
mod signalled;
pub(super) mod start;
pub(super) mod status;
pub(super) mod stop;
pub(super) mod uninstall;
pub(super) mod watch;

use std::future::Future;
use std::io::Write as _;
use std::process::ExitCode;

use portcullis_os::Linux;

use super::{USAGE, serve};
use crate::log::{Format, Log};

/// What is said below the options of a command that has nothing else to say.
pub(super) const HELP: &str = "\
A secret is taken from --token-file, else from OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD,
else from the configuration. It is sent only to the process that the kernel shows to be the owner
of the state directory, or to an address of this machine that was named.

Exit status:
   0  it was done, or what was asked for is so
   1  it was not, or is not: the first line says why, the last what to do next
   2  the command line, the environment or the configuration was not understood";

/// What a command has to say, and how it ends.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// For stdout, with its last line end.
    pub(super) out: String,
    /// For stderr, likewise.
    pub(super) err: String,
    pub(super) exit: u8,
}

/// Everything that a command needs besides its options.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) os: Linux,
    pub(super) log: Log,
    pub(super) format: Format,
}

/// What a command could not even begin, and how it ends then. It has been said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfit(u8);

impl Desk {
    /// Says why nothing was done, and what would be right.
    fn misused(&self, what: &str, help: &str) -> Unfit {
        self.log.failed(USAGE, what);
        self.log.note(help);
        Unfit(USAGE)
    }
}

/// Runs a command.
fn work<F>(format: Format, body: impl FnOnce(Desk) -> F) -> ExitCode
where
    F: Future<Output = Result<Outcome, Unfit>>,
{
    let log = Log::to_standard_streams(format);
    let exit = match serve::runtime(&log) {
        Ok(runtime) => {
            let desk = Desk { os: Linux::new(|_| ()), log: log.clone(), format };
            let outcome = runtime.block_on(body(desk));
            runtime.shutdown_background();
            match outcome {
                Ok(outcome) => {
                    // What was noted comes before what is told.
                    log.flush();
                    say(&outcome);
                    outcome.exit
                }
                Err(Unfit(exit)) => exit,
            }
        }
        Err(refusal) => {
            log.refused(&refusal, None);
            refusal.exit_status()
        }
    };
    log.flush();
    ExitCode::from(exit)
}

/// Whoever closed a stream does not want to read it.
fn say(outcome: &Outcome) {
    let _ = std::io::stderr().write_all(outcome.err.as_bytes());
    let mut out = std::io::stdout();
    let _ = out.write_all(outcome.out.as_bytes());
    let _ = out.flush();
}
