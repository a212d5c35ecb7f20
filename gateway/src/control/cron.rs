//! When jobs are due. Each slot is run at most once, and one that was missed is not made up for.
//!
//! The slots of a job that runs every so often are the multiples of its period since 1970, so that every gateway that
//! has this configuration means the same slot by the same number. One is due from its moment on, if this gateway has served
//! since before that moment and none as late was begun. Whoever was stopped for long finds the latest alone. The slots of an
//! expression are the minutes of UTC that it means.

use serde_json::{Value, json};

use super::agent::AGENT;
use crate::settings::{CronJob, Schedule};
use crate::store::{Memory, Run};

/// The slot of a job that is due now, if there is one. `since_ms` is when this gateway began to serve.
pub(super) fn due(job: &CronJob, last: Option<u64>, since_ms: u64, now_ms: u64) -> Option<u64> {
    let slot_ms = match &job.schedule {
        Schedule::Every(every_ms) => now_ms - now_ms % every_ms,
        Schedule::At { at_ms, .. } => *at_ms,
        Schedule::Cron(expression) => expression.last(now_ms)?,
    };
    (since_ms < slot_ms && slot_ms <= now_ms && last.is_none_or(|last| last < slot_ms)).then_some(slot_ms)
}

/// When a job is due next.
pub(super) fn next(job: &CronJob, last: Option<u64>, since_ms: u64) -> Option<u64> {
    let after = last.unwrap_or_default().max(since_ms);
    match &job.schedule {
        Schedule::Every(every_ms) => (after - after % every_ms).checked_add(*every_ms),
        Schedule::At { at_ms, .. } => Some(*at_ms).filter(|at_ms| *at_ms > after),
        Schedule::Cron(expression) => expression.next(after),
    }
    .filter(|_| job.enabled)
}

/// When any job is due next.
pub(super) fn next_ms(jobs: &[CronJob], memory: &Memory, since_ms: u64) -> Option<u64> {
    jobs.iter().filter_map(|job| next(job, memory.last_slot(&job.id), since_ms)).min()
}

/// The runs that have no end: job and run.
pub(super) fn interrupted(memory: &Memory) -> Vec<(String, String)> {
    let open = memory.runs().iter().filter(|run| run.end.is_none());
    open.map(|run| (run.job.clone(), run.id.clone())).collect()
}

/// A job as clients see it.
pub(super) fn row(job: &CronJob, memory: &Memory, since_ms: u64, now_ms: u64) -> Value {
    let last = memory.runs().iter().rev().find(|run| run.job == job.id);
    let mut state = json!({});
    if let Some(next_ms) = next(job, memory.last_slot(&job.id), since_ms.max(now_ms)) {
        state["nextRunAtMs"] = json!(next_ms);
    }
    if let Some(run) = last {
        state["lastRunAtMs"] = json!(run.at_ms);
        match &run.end {
            None => state["runningAtMs"] = json!(run.at_ms),
            Some((_, duration_ms, error)) => {
                state["lastRunStatus"] = json!(if error.is_some() { "error" } else { "ok" });
                state["lastDurationMs"] = json!(duration_ms);
                if let Some(error) = error {
                    state["lastError"] = json!(error);
                }
            }
        }
    }
    let schedule = match &job.schedule {
        Schedule::Every(every_ms) => json!({ "kind": "every", "everyMs": every_ms, "anchorMs": 0 }),
        Schedule::At { text, .. } => json!({ "kind": "at", "at": text }),
        Schedule::Cron(expression) => json!({ "kind": "cron", "expr": expression.as_str(), "tz": "UTC" }),
    };
    json!({
        "id": job.id,
        "name": job.name,
        "enabled": job.enabled,
        "agentId": AGENT,
        // Jobs stand in the configuration, which says nothing of when each was written.
        "createdAtMs": 0,
        "updatedAtMs": 0,
        "schedule": schedule,
        "sessionTarget": "isolated",
        "wakeMode": "now",
        "payload": { "kind": "agentTurn", "message": job.message },
        "state": state,
    })
}

/// A run as clients see it, once it has ended.
pub(super) fn entry(run: &Run, jobs: &[CronJob]) -> Option<Value> {
    let (at_ms, duration_ms, error) = run.end.as_ref()?;
    let mut entry = json!({
        "ts": at_ms,
        "jobId": run.job,
        "action": "finished",
        "status": if error.is_some() { "error" } else { "ok" },
        "runId": run.id,
        "runAtMs": run.at_ms,
        "durationMs": duration_ms,
    });
    if let Some(error) = error {
        entry["error"] = json!(error);
    }
    if let Some(job) = jobs.iter().find(|job| job.id == run.job) {
        entry["jobName"] = json!(job.name);
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::{due, next};
    use crate::settings::{CronJob, Expression, Schedule};

    fn job(schedule: Schedule) -> CronJob {
        let text = |text: &str| text.to_owned();
        CronJob { id: text("j"), name: text("J"), enabled: true, schedule, message: text("m") }
    }

    fn at_500() -> Schedule {
        Schedule::At { at_ms: 500, text: "1970-01-01T00:00:00.500Z".to_owned() }
    }

    #[test]
    fn a_slot_is_due_once_and_one_that_was_missed_is_not_made_up_for() {
        let every = job(Schedule::Every(100));
        for (last, since_ms, now_ms, expected) in [
            (None, 250, 299, None),
            (None, 250, 300, Some(300)),
            (Some(300), 250, 399, None),
            // It was paused: the latest slot alone is left.
            (Some(300), 250, 765, Some(700)),
            // The clock was set back.
            (Some(700), 250, 500, None),
            // It began exactly then.
            (None, 300, 301, None),
        ] {
            assert_eq!(due(&every, last, since_ms, now_ms), expected, "{last:?} {since_ms} {now_ms}");
        }
        let at = job(at_500());
        for (last, since_ms, now_ms, expected) in [
            (None, 100, 499, None),
            (None, 100, 900, Some(500)),
            (Some(500), 100, 900, None),
            (None, 501, 900, None),
        ] {
            assert_eq!(due(&at, last, since_ms, now_ms), expected, "{last:?} {since_ms} {now_ms}");
        }
    }

    #[test]
    fn the_minutes_of_an_expression_are_slots() {
        let job = job(Schedule::Cron(Expression::read("*/2 * * * *").expect("it is one")));
        for (last, since_ms, now_ms, expected) in [
            (None, 100_000, 119_999, None),
            (None, 100_000, 120_000, Some(120_000)),
            (Some(120_000), 100_000, 239_999, None),
            (Some(120_000), 100_000, 500_000, Some(480_000)),
            (None, 120_000, 120_001, None),
        ] {
            assert_eq!(due(&job, last, since_ms, now_ms), expected, "{last:?} {since_ms} {now_ms}");
        }
        assert_eq!(next(&job, Some(120_000), 100_000), Some(240_000));
    }

    #[test]
    fn the_next_slot_is_told_unless_there_is_none() {
        assert_eq!(next(&job(Schedule::Every(100)), Some(300), 250), Some(400));
        assert_eq!(next(&job(Schedule::Every(100)), None, 1_000), Some(1_100));
        assert_eq!(next(&job(at_500()), None, 100), Some(500));
        assert_eq!(next(&job(at_500()), Some(500), 100), None);
        let off = CronJob { enabled: false, ..job(Schedule::Every(100)) };
        assert_eq!(next(&off, None, 100), None);
    }
}
