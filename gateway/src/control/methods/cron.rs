//! The jobs, their runs, and a run that somebody asks for.

use serde_json::json;

use super::super::cron;
use super::super::work::Work;
use super::{Call, Done};
use crate::protocol::{Failure, Field, Shape};

pub(super) const LIST: &[Field] = &[
    Field::optional("includeDisabled", Shape::Bool),
    Field::optional("limit", Shape::Whole { least: 1, most: 200 }),
    Field::optional("offset", Shape::COUNT),
];
pub(super) const RUN: &[Field] = &[
    Field::optional("id", Shape::TEXT),
    Field::optional("jobId", Shape::TEXT),
    Field::optional("mode", Shape::Words(&["due", "force", "if-enabled"])),
    Field::optional("expectedProcessInstanceId", Shape::TEXT),
];
pub(super) const RUNS: &[Field] = &[
    Field::optional("scope", Shape::Words(&["job", "all"])),
    Field::optional("id", Shape::TEXT),
    Field::optional("jobId", Shape::TEXT),
    Field::optional("runId", Shape::TEXT),
    Field::optional("limit", Shape::Whole { least: 1, most: 200 }),
    Field::optional("offset", Shape::COUNT),
];
/// How many are told of unless somebody asks for another number.
const PAGE: u64 = 50;

/// The part of some rows that is asked for, as the protocol tells it.
fn page(call: &Call<'_>, name: &str, rows: Vec<serde_json::Value>) -> Done {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let (limit, offset) = (call.number("limit").unwrap_or(PAGE), call.number("offset").unwrap_or(0));
    let total = rows.len();
    let rows: Vec<_> = rows.into_iter().skip(count(offset)).take(count(limit)).collect();
    let end = count(offset).saturating_add(rows.len());
    json!({
        name: rows, "total": total, "offset": offset, "limit": limit, "hasMore": end < total,
        "nextOffset": (end < total).then_some(end),
    })
    .into()
}

pub(super) fn list(call: &Call<'_>) -> Done {
    let all = call.params["includeDisabled"] == true;
    let world = call.control.world();
    let jobs = call.control.about().cron.iter().filter(|job| all || job.enabled);
    let rows = jobs.map(|job| cron::row(job, &world.memory, world.began.wall_ms, call.now.wall_ms));
    page(call, "jobs", rows.collect())
}

pub(super) fn status(call: &Call<'_>) -> Done {
    let world = call.control.world();
    let jobs = &call.control.about().cron;
    let since_ms = world.began.wall_ms.max(call.now.wall_ms);
    json!({
        "enabled": jobs.iter().any(|job| job.enabled),
        "jobs": jobs.len(),
        "nextWakeAtMs": cron::next_ms(jobs, &world.memory, since_ms),
    })
    .into()
}

pub(super) fn runs(call: &Call<'_>) -> Done {
    let world = call.control.world();
    let is_asked = |asked: &str, is: &str| asked.is_empty() || asked == is;
    let job = if call.text("id").is_empty() { call.text("jobId") } else { call.text("id") };
    let asked = world.memory.runs().iter().rev();
    let asked = asked.filter(|run| is_asked(job, &run.job) && is_asked(call.text("runId"), &run.id));
    let rows = asked.filter_map(|run| cron::entry(run, &call.control.about().cron));
    page(call, "entries", rows.collect())
}

pub(super) fn run(call: &Call<'_>) -> Done {
    let id = match (call.text("id"), call.text("jobId")) {
        ("", "") => {
            return Done::Refused(Failure::params("cron.run", "must have required property 'id'"));
        }
        ("", id) | (id, _) => id,
    };
    let Some(job) = call.control.about().cron.iter().find(|job| job.id == id) else {
        return Done::Refused(Failure::params("cron.run", "at /id: is the id of no job: see cron.list"));
    };
    let world = call.control.world();
    let expected = call.text("expectedProcessInstanceId");
    if !expected.is_empty() && expected != world.instance() {
        return Done::Refused(Failure::invalid("this is another process than the one that was expected"));
    }
    let slot_ms = match call.text("mode") {
        "if-enabled" if !job.enabled => {
            return json!({ "ok": true, "ran": false, "reason": "disabled" }).into();
        }
        "due" => {
            let last = world.memory.last_slot(id);
            let due = cron::due(job, last, world.began.wall_ms, call.now.wall_ms).filter(|_| job.enabled);
            let Some(slot_ms) = due else {
                return json!({ "ok": true, "ran": false, "reason": "not-due" }).into();
            };
            Some(slot_ms)
        }
        _ => None,
    };
    Done::Work(Work::Run { job: id.to_owned(), slot_ms })
}
