//! Runs the gateway on this machine: a runtime, the lock, the server, and what the service manager hears of them.

use std::process::ExitCode;

use crate::claim::Claim;
use crate::control::About;
use crate::log::Log;
#[cfg(target_os = "linux")]
use crate::log::{Event, Events, Level};
#[cfg(target_os = "linux")]
use crate::notify::{Manager, Told};
#[cfg(target_os = "linux")]
use crate::refusal::{Reason, Refusal};
#[cfg(target_os = "linux")]
use crate::settings;
#[cfg(target_os = "linux")]
use portcullis_os::Notice;

#[cfg(not(target_os = "linux"))]
use super::SOFTWARE;

#[cfg(target_os = "linux")]
pub(super) fn serve(log: &Log, claim: Claim, about: About) -> ExitCode {
    use crate::control::{Control, SessionLimits};
    use crate::server::{Limits, Server, Service};

    let runtime = match runtime(log) {
        Ok(runtime) => runtime,
        Err(refusal) => {
            log.refused(&refusal, None);
            return ExitCode::from(refusal.exit_status());
        }
    };
    let manager = manager(log);
    let events = Events::kept({
        let log = log.clone();
        move |why| {
            log.note(&format!(
                "the log in the state directory cannot be written: {why}; this gateway serves on"
            ));
        }
    });
    let os = portcullis_os::Linux::new({
        let (log, claim, manager) = (log.clone(), claim.clone(), manager.clone());
        let events = events.clone();
        move |notice| {
            keep(&events, notice);
            log.notice(notice, &claim);
            if let Some(Err(error)) = manager.as_ref().map(|manager| manager.tell(notice)) {
                log.note(&format!("the service manager did not hear that: {error}"));
            }
        }
    });
    let service = Service::Gateway(Control::keeping(about, SessionLimits::openclaw(), events.clone()));
    let server = Server::new(Limits::personal(), service);
    let server = Told::new(server, manager, log.clone(), events, claim.clone());
    let outcome = runtime.block_on(crate::run(os, claim.clone(), server));
    // What still runs belongs to clients that were told to go; it must not keep the process alive.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            log.refused(&refusal, Some(&claim));
            ExitCode::from(refusal.exit_status())
        }
    }
}

/// What the log in the state directory says of a notice. That somebody owns it is said once its epoch is known.
#[cfg(target_os = "linux")]
fn keep(events: &Events, notice: &Notice) {
    match notice {
        Notice::Ready => {
            events.say(Event::new(Level::Info, "ready"));
            events.flush();
        }
        Notice::Noted(text) => events.say(Event::new(Level::Warn, "note").saying(text)),
        Notice::Released => {
            events.say(Event::new(Level::Info, "released"));
            events.end();
        }
        Notice::Owner(_) | Notice::Refused { .. } => {}
    }
}

/// The service manager that has started this process, if it wants to be told anything.
#[cfg(target_os = "linux")]
fn manager(log: &Log) -> Option<Manager> {
    match Manager::at(&settings::edge::notify_socket()?, log.pid()) {
        Ok(manager) => Some(manager),
        Err(unheard) => {
            log.note(&unheard.to_string());
            None
        }
    }
}

/// Builds the runtime. tokio answers some wants of the system with an error and some with a panic. Such a panic must
/// not unwind: it would wait for ever for the threads that did start.
#[cfg(target_os = "linux")]
pub(super) fn runtime(log: &Log) -> Result<tokio::runtime::Runtime, Refusal> {
    let aborting = std::panic::take_hook();
    std::panic::set_hook(Box::new({
        let log = log.clone();
        move |panic| refuse_and_exit(&log, panic.payload_as_str().unwrap_or("for a reason that is not given"))
    }));
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    std::panic::set_hook(aborting);
    built.map_err(|error| no_runtime(&error.to_string()))
}

#[cfg(target_os = "linux")]
#[expect(clippy::exit, reason = "nothing is owned yet, and the way back through `main` would not end")]
fn refuse_and_exit(log: &Log, why: &str) {
    let refusal = no_runtime(why);
    log.refused(&refusal, None);
    log.flush();
    std::process::exit(i32::from(refusal.exit_status()));
}

/// A runtime is threads and descriptors, so what keeps it from starting is a limit on one of the two.
#[cfg(target_os = "linux")]
fn no_runtime(why: &str) -> Refusal {
    Refusal {
        reason: Reason::DescriptorLimit,
        what: "cannot start the runtime: too few descriptors or threads are allowed".to_owned(),
        holder: None,
        evidence: vec![why.to_owned()],
        next: "ulimit -n -u".to_owned(),
        do_not: None,
        may_pass: false,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn serve(log: &Log, _: Claim, _: About) -> ExitCode {
    log.failed(SOFTWARE, "a gateway runs on Linux only: its locks are Linux's");
    ExitCode::from(SOFTWARE)
}
