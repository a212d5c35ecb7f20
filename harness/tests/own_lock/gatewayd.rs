//! The lock as a program on the system that this runs on: what is explored is what runs.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use harness::{Claim, Lock};
use portcullis_os::{Linux, Notice, Port};

use super::directory_lock::DirectoryLock;

/// The ports above its base that the scenarios of the library speak of.
const SPAN: u16 = 110;

/// Lives one life, if the arguments say so: `gatewayd BASE STATE`.
pub(crate) fn main(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, word, base, state] = arguments else { return None };
    if word != "gatewayd" {
        return None;
    }
    let base = base.to_str()?.parse().ok().and_then(Port::new)?;
    let claim = Claim::plain(state.into(), state.into(), gateway::PortBlock::new(base, SPAN)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let status = runtime.block_on(DirectoryLock.run(Linux::new(tell), claim));
    Some(ExitCode::from(status))
}

/// A line for whoever reads the standard output.
fn tell(notice: &Notice) {
    let line = match notice {
        Notice::Ready => "ready".to_owned(),
        Notice::Refused { code, .. } => format!("refused {code}"),
        Notice::Owner(_) => "owner".to_owned(),
        Notice::Released => "released".to_owned(),
        Notice::Noted(_) => return,
    };
    let mut out = std::io::stdout().lock();
    // Nobody may be left who reads it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
