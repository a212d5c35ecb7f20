//! A trace of every failure in Chrome's JSON format, which Perfetto opens: one process for each failure, one track for each
//! lane, one for owners, an arrow for a stale read.
//!
//! A step lasts one millisecond of the trace, whatever it would last: only the order is known.

use serde_json::{Value, json};

use super::event::{CaseEnd, Event};
use super::picture::{Picture, Step};

/// The length of a step in the trace, in microseconds.
const STEP: usize = 1_000;

/// The trace of a run.
pub fn report(events: &[Event]) -> String {
    let mut entries = Vec::new();
    let mut number = 0;
    for event in events {
        let Event::CaseEnd(end) = event else { continue };
        if let Some(picture) = end.failure.as_ref().and_then(|failure| failure.execution.as_ref()) {
            number += 1;
            failure(number, end, picture, &mut entries);
        }
    }
    let trace = json!({ "displayTimeUnit": "ms", "traceEvents": entries });
    trace.to_string() + "\n"
}

fn failure(number: usize, end: &CaseEnd, picture: &Picture, entries: &mut Vec<Value>) {
    let Picture { lanes, steps, stale_read, .. } = picture;
    let script = lanes.len() + 1;
    let name = format!("{} on {}: {}", end.case, end.on, end.says);
    entries.push(json!({ "ph": "M", "pid": number, "name": "process_name", "args": { "name": name } }));
    let named = lanes.iter().map(|lane| lane.name.as_str()).chain(["the machine"]);
    for (lane, name) in named.enumerate() {
        entries.push(json!({ "ph": "M", "pid": number, "tid": lane + 1, "name": "thread_name", "args": { "name": name } }));
        entries.push(
            json!({ "ph": "M", "pid": number, "tid": lane + 1, "name": "thread_sort_index", "args": { "sort_index": 2 * lane } }),
        );
    }
    for (at, step) in steps.iter().enumerate() {
        let lane = step.lane.map_or(script, |lane| lane + 1);
        entries.push(json!({
            "ph": "X", "pid": number, "tid": lane, "ts": at * STEP, "dur": STEP, "cat": "step",
            "name": step.text,
            "args": { "step": step.number, "preemption": step.preemption }
        }));
    }
    for (lane, whose) in lanes.iter().enumerate() {
        let track = script + 1 + lane;
        let title = format!("{} owns", whose.name);
        for (from, to) in bars(steps, lane) {
            entries.push(json!({
                "ph": "X", "pid": number, "tid": track, "ts": from * STEP, "dur": (to - from) * STEP, "cat": "owner",
                "name": title
            }));
        }
        entries.push(json!({ "ph": "M", "pid": number, "tid": track, "name": "thread_name", "args": { "name": title } }));
        entries.push(
            json!({ "ph": "M", "pid": number, "tid": track, "name": "thread_sort_index", "args": { "sort_index": 2 * lane + 1 } }),
        );
    }
    if let Some(stale) = stale_read {
        let at = |wanted: usize| {
            let place = steps.iter().position(|step| step.number == Some(wanted))?;
            Some((place * STEP + STEP / 2, steps[place].lane? + 1))
        };
        let arrow = format!("stale read of {}", stale.object);
        for (phase, step) in [("s", stale.looked), ("f", stale.acted)] {
            let Some((ts, lane)) = at(step) else { continue };
            entries.push(json!({
                "ph": phase, "pid": number, "tid": lane, "ts": ts, "id": number, "cat": "stale", "name": arrow, "bp": "e"
            }));
        }
    }
}

/// From which step on and to which a lane owns, again and again.
pub(super) fn bars(steps: &[Step], lane: usize) -> Vec<(usize, usize)> {
    let mut bars = Vec::new();
    let mut begun = None;
    for (at, step) in steps.iter().enumerate() {
        match (begun, step.owners.contains(&lane)) {
            (None, true) => begun = Some(at),
            (Some(from), false) => {
                bars.push((from, at));
                begun = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    bars.extend(begun.map(|from| (from, steps.len())));
    bars
}
