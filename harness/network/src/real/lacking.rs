//! A gateway that lacks something, as a real process: the shipped code over a Linux that answers single calls wrongly.

use std::ffi::OsString;

use gateway::log::{Format, Log};
use gateway::settings::{self, Flags, edge};
use portcullis_os::Linux;

use crate::gateways;
use crate::plan::Slip;

/// Acts as a gateway that lacks these things, to its end, with the arguments that gateways get here. Answers its exit status.
///
/// # Errors
///
/// Why it cannot begin.
pub fn lacking(slips: &[Slip], arguments: &[OsString]) -> Result<u8, String> {
    let port = arguments.iter().skip_while(|word| *word != "--port").nth(1);
    let flags = Flags { port: port.map(|port| port.to_string_lossy().into_owned()), ..Flags::default() };
    let settled = settings::resolve(&flags, &edge::surroundings(), edge::read);
    let settled = settled.map_err(|error| error.to_string())?;
    let (claim, about) = gateway::cli::divide_on(settled, edge::host_name(), edge::place);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let log = Log::to_standard_streams(Format::Json);
    let os = Linux::new({
        let (log, claim) = (log.clone(), claim.clone());
        move |notice| log.notice(notice, &claim)
    });
    let status = runtime.block_on(gateways::run(os, claim, about, slips.to_vec()));
    runtime.shutdown_background();
    log.flush();
    Ok(status)
}
