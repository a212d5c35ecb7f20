//! Reads `supervisor`: who starts a gateway again when it has ended, and by which rules.
//!
//! Each kind has the options of what it is called after, with their defaults; what another kind has is an unknown key.

use portcullis_os::{Ending, Signal};
use sim::Supervised;
use sim::supervisor::{KeepAlive, Launchd, Restart, Supervisor, Systemd};
use toml::de::DeValue;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::fields::{Bounds, Field, Fields, Value, boolean, filled_list, integer, word, wrong_type};
use super::format::{LAUNCHD, SUPERVISOR, SUPERVISORS, SYSTEMD, TASK_SCHEDULER, kinds};
use super::problem::Problem;

pub(super) const STARTS: Bounds =
    Bounds { least: 1, most: 20, why: "each start is explored from its first step on; 2 or 3 show a loop" };
pub(super) const DAY: Bounds =
    Bounds { least: 0, most: 86_400_000, why: "times are in milliseconds, up to a day" };
pub(super) const BURST: Bounds = Bounds { least: 0, most: 1000, why: "0 means any number" };
pub(super) const STATUS: Bounds = Bounds { least: 0, most: 255, why: "an exit status is one byte" };

/// How many processes a supervisor starts before the execution is cut, if the file does not say.
const MOST_STARTS: u8 = 3;

pub(super) const RESTARTS: [(&str, Restart); 6] = [
    ("no", Restart::No),
    ("always", Restart::Always),
    ("on-success", Restart::OnSuccess),
    ("on-failure", Restart::OnFailure),
    ("on-abnormal", Restart::OnAbnormal),
    ("on-abort", Restart::OnAbort),
];

pub(super) const KEEP_ALIVES: [(&str, KeepAlive); 4] = [
    ("never", KeepAlive::Never),
    ("always", KeepAlive::Always),
    ("after-success", KeepAlive::AfterSuccess),
    ("after-failure", KeepAlive::AfterFailure),
];

pub(super) const SIGNALS: [(&str, Signal); 3] =
    [("SIGINT", Signal::Interrupt), ("SIGKILL", Signal::Kill), ("SIGTERM", Signal::Terminate)];

/// `supervisor` of a gateway.
pub(super) fn supervised(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Supervised> {
    let mut fields = Fields::of("`supervisor`", field.key.span(), field.value, diagnostics)?;
    let (kind, at) = fields.kind("systemd", diagnostics)?;
    fields.list(SUPERVISOR);
    let most_starts = fields
        .take("most_starts")
        .map_or(Some(MOST_STARTS), |field| integer("`most_starts`", field.value, STARTS, diagnostics));
    let reuses_pids = fields
        .take("reuse_pids")
        .map_or(Some(false), |field| boolean("`reuse_pids`", field.value, diagnostics));
    let by = match kind {
        "systemd" => {
            fields.list(SYSTEMD);
            Supervisor::Systemd(systemd(&mut fields, diagnostics))
        }
        "launchd" => {
            fields.list(LAUNCHD);
            Supervisor::Launchd(launchd(&mut fields, diagnostics))
        }
        "task-scheduler" => {
            fields.list(TASK_SCHEDULER);
            Supervisor::TaskScheduler
        }
        _ => {
            diagnostics.add(
                Problem::new(format!("no supervisor is called `{kind}`"), at.value.span())
                    .label("not known")
                    .maybe_help(did_you_mean_or_list("the supervisors are", kind, &kinds(SUPERVISORS))),
            );
            return None;
        }
    };
    fields.finish(diagnostics);
    Some(Supervised { by, most_starts: most_starts?, reuses_pids: reuses_pids? })
}

/// The options of a service, each after its name in the manual.
fn systemd(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Systemd {
    let mut unit = Systemd::plain();
    if let Some(field) = fields.take("restart") {
        unit.restart = word("`restart`", field.value, &RESTARTS, diagnostics).unwrap_or(unit.restart);
    }
    if let Some(field) = fields.take("delay_ms") {
        unit.restart_delay_ms = integer("`delay_ms`", field.value, DAY, diagnostics).unwrap_or_default();
    }
    if let Some(field) = fields.take("burst") {
        unit.start_limit.burst = integer("`burst`", field.value, BURST, diagnostics).unwrap_or_default();
    }
    if let Some(field) = fields.take("interval_ms") {
        unit.start_limit.interval_ms =
            integer("`interval_ms`", field.value, DAY, diagnostics).unwrap_or_default();
    }
    if let Some(field) = fields.take("success") {
        unit.success = endings("`success`", field, diagnostics);
    }
    if let Some(field) = fields.take("never_after") {
        unit.never_after = endings("`never_after`", field, diagnostics);
    }
    if let Some(field) = fields.take("always_after") {
        unit.always_after = endings("`always_after`", field, diagnostics);
    }
    if let Some(field) = fields.take("stop_timeout_ms") {
        unit.stop_timeout_ms = patience("`stop_timeout_ms`", field, diagnostics);
    }
    unit
}

/// The keys of a job.
fn launchd(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Launchd {
    let mut job = Launchd::keeping(KeepAlive::Always);
    if let Some(field) = fields.take("keep_alive") {
        job.keep_alive =
            word("`keep_alive`", field.value, &KEEP_ALIVES, diagnostics).unwrap_or(job.keep_alive);
    }
    if let Some(field) = fields.take("throttle_ms") {
        job.throttle_ms = integer("`throttle_ms`", field.value, DAY, diagnostics).unwrap_or_default();
    }
    if let Some(field) = fields.take("exit_timeout_ms") {
        job.exit_timeout_ms = patience("`exit_timeout_ms`", field, diagnostics);
    }
    job
}

/// How long a process may take to end. 0 means for ever, as it does to systemd and launchd.
fn patience(what: &str, field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<u64> {
    integer(what, field.value, DAY, diagnostics).filter(|milliseconds| *milliseconds > 0)
}

/// Exit statuses and names of signals.
fn endings(what: &str, field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<Ending> {
    let values = filled_list(what, field.value, diagnostics).unwrap_or_default();
    values.iter().filter_map(|value| ending(what, value, diagnostics)).collect()
}

fn ending(what: &str, value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<Ending> {
    match value.get_ref() {
        DeValue::Integer(_) => {
            integer(&format!("a status of {what}"), value, STATUS, diagnostics).map(Ending::Exited)
        }
        DeValue::String(written) => {
            let found = SIGNALS.iter().find(|(name, _)| name == written);
            if found.is_none() {
                diagnostics.add(
                    Problem::new(format!("`{written}` is no end of a process"), value.span())
                        .label("not known")
                        .maybe_help(did_you_mean_or_list(
                            "write an exit status, or a signal",
                            written,
                            &SIGNALS.map(|(name, _)| name),
                        )),
                );
            }
            found.map(|(_, signal)| Ending::Killed(*signal))
        }
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            wrong_type(&format!("an entry of {what}"), "an exit status or a signal", value, diagnostics);
            None
        }
    }
}
