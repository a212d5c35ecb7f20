//! A signal asks for an orderly end, however often it comes: nothing that was made may be left behind.
//!
//! Searches and real runs look at the flag often, so there is no second, harder way out but SIGKILL.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{complain, status};

/// A flag that is set when somebody wants this program to end, from here on.
///
/// # Errors
///
/// The status to end with. Why it is so was told.
pub(super) fn watched() -> Result<Arc<AtomicBool>, u8> {
    let interrupted = Arc::new(AtomicBool::new(false));
    match watch(&interrupted) {
        Ok(()) => Ok(interrupted),
        Err(error) => {
            complain(&format!("error: cannot catch signals: {error}"));
            Err(status::ENVIRONMENT)
        }
    }
}

/// Sets the flag when somebody wants this program to end.
fn watch(interrupted: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(interrupted))?;
    }
    #[cfg(unix)]
    if !is_hangup_ignored() {
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(interrupted))?;
    }
    Ok(())
}

/// Whether `nohup` or a shell has decided that this program outlives its terminal. Only Linux tells.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the named edge: what this program was started with")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status) & HANGUP != 0
}

/// SIGHUP in a set of signals.
#[cfg(unix)]
const HANGUP: u64 = 1;

/// The ignored signals in the text of a proc_pid_status(5), signal 1 as the lowest bit.
#[cfg(unix)]
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(all(test, unix))]
mod tests {
    use super::{HANGUP, ignored};

    #[test]
    fn the_ignored_signals_are_read_from_the_status_of_a_process() {
        let started_by_nohup =
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        assert_eq!(ignored(started_by_nohup), 0x1001);
        assert_ne!(ignored(started_by_nohup) & HANGUP, 0);
        assert_eq!(ignored("SigIgn:\t0000000000001000\n") & HANGUP, 0);
        assert_eq!(ignored("nothing of the kind"), 0);
    }
}
