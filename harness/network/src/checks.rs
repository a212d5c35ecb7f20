//! What users must never see, looked for once everything has settled.

use std::collections::{BTreeMap, BTreeSet};

use bot::{Deed, Happening, Record};
use serde_json::Value;

use crate::gateways::JOB;
use crate::play::{Play, Seat};
use crate::report::Broken;
use crate::world::{Going, World};

/// The promises that any plan may break, by their ids.
pub(crate) const PROMISES: [&str; 9] = [
    "single-owner",
    "served",
    "one-reply",
    "cron-once",
    "right-workspace",
    "said-once",
    "answered",
    "prompt",
    "panicked",
];

/// How a reply begins.
const ECHO: &str = "echo: ";

/// Writes every broken promise into the report.
pub(crate) fn judge<W: World>(play: &mut Play<'_, W>) {
    let mut broken = std::mem::take(&mut play.report.broken);
    let record = play.world.record();
    let replies = replies(play, &record);
    doubled(play, &replies, &mut broken);
    show_doubled(play, &replies, &record);
    missing(play, &replies, &mut broken);
    served(play, &mut broken);
    cron_once(play, &mut broken);
    said_once(play, &mut broken);
    answered(play, &mut broken);
    prompt(play, &mut broken);
    broken.extend(play.world.panics().into_iter().map(|says| Broken { check: "panicked", says }));
    play.report.replies = replies.values().map(Vec::len).sum();
    play.report.broken = broken;
}

/// Whether somebody waits for something that is to come yet.
pub(crate) fn owes<W: World>(play: &Play<'_, W>) -> bool {
    let mut owed = Vec::new();
    missing(play, &replies(play, &play.world.record()), &mut owed);
    answered(play, &mut owed);
    !owed.is_empty()
}

/// What each bot has replied.
fn replies<W>(play: &Play<'_, W>, record: &Record) -> BTreeMap<String, Vec<String>> {
    let texts = |bot: &String| record.sent(bot).into_iter().map(|(_, text)| text).collect();
    play.plan.bots.iter().map(|bot| (bot.clone(), texts(bot))).collect()
}

/// How often a message was replied to.
fn often(replies: &BTreeMap<String, Vec<String>>, bot: &str, text: &str) -> usize {
    let wanted = format!("{ECHO}{text}");
    replies.get(bot).map_or(0, |replies| replies.iter().filter(|reply| **reply == wanted).count())
}

/// `one-reply`: no message has two replies.
fn doubled<W>(play: &Play<'_, W>, replies: &BTreeMap<String, Vec<String>>, broken: &mut Vec<Broken>) {
    for (_, bot, text) in &play.told {
        let often = often(replies, bot, text);
        if often > 1 {
            let says = format!("`{text}`, which was said to {bot}, has {often} replies");
            broken.push(Broken { check: "one-reply", says });
        }
    }
}

/// Shows when a message that has two replies was said, and when they came and from where.
fn show_doubled<W>(play: &mut Play<'_, W>, replies: &BTreeMap<String, Vec<String>>, record: &Record) {
    let doubled = play.told.iter().filter(|(_, bot, text)| often(replies, bot, text) > 1);
    for (at_ms, bot, text) in doubled {
        play.report.log.push((*at_ms, bot.clone(), format!("is told `{text}`")));
        let wanted = format!("{ECHO}{text}");
        for Happening { at_ms, from, bot: of, deed } in record.happenings() {
            if of == bot && matches!(deed, Deed::Sent { text, .. } if *text == wanted) {
                play.report.log.push((*at_ms, bot.clone(), format!("replies `{wanted}`, by {from}")));
            }
        }
    }
    play.report.log.sort_by_key(|(at_ms, ..)| *at_ms);
}

/// `one-reply`: each message has one. Where a gateway was killed or cut off while a reply was on its way, nobody can know whether
/// it went out: then the gateway says so, and there are not more such replies than it says.
fn missing<W: World>(play: &Play<'_, W>, replies: &BTreeMap<String, Vec<String>>, broken: &mut Vec<Broken>) {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, bot, text) in play.told.iter().filter(|(_, bot, text)| often(replies, bot, text) == 0) {
        missing.entry(bot).or_default().push(text);
    }
    for (bot, texts) in missing.into_iter().filter(|(bot, _)| play.serves(bot)) {
        let doubts = play.doubts.get(bot).copied().unwrap_or_default();
        if texts.len() as u64 > doubts {
            let says = format!(
                "what was said to {bot} has no reply: {}; and its gateway says so of {doubts} replies",
                texts.join(", ")
            );
            broken.push(Broken { check: "one-reply", says });
        }
    }
}

/// `served`: some gateway comes to serve, and in the end none has lived on since before the calm that owns nothing where nobody
/// else does.
fn served<W: World>(play: &Play<'_, W>, broken: &mut Vec<Broken>) {
    if !play.report.happened.contains_key("ready") {
        broken.push(Broken { check: "served", says: "no gateway was ever ready".to_owned() });
    }
    let idle = |seat: &&Seat<'_>| {
        let is_alive = seat.process.is_some_and(|process| play.world.going(process) == Going::On);
        let state = play.world.site(seat.gateway).state;
        let is_owned = |other: &Seat<'_>| play.owns(other) && play.world.site(other.gateway).state == state;
        is_alive && seat.since_ms < play.plan.end_ms && !play.seats.iter().any(is_owned)
    };
    for seat in play.seats.iter().filter(idle) {
        let says = format!("{} runs and owns nothing, and nobody else has its state", seat.gateway.name);
        broken.push(Broken { check: "served", says });
    }
}

/// `cron-once`: no slot of a job has two runs that have come to something, and what a run leaves is in the workspace of its own
/// gateway.
fn cron_once<W: World>(play: &mut Play<'_, W>, broken: &mut Vec<Broken>) {
    let mut states = BTreeMap::new();
    for seat in &play.seats {
        let site = play.world.site(seat.gateway);
        states.entry(site.state).or_insert((site.workspace, &seat.gateway.name));
    }
    let mut runs = 0;
    for (state, (workspace, name)) in states {
        // Each epoch remembers the runs of those before it, so runs are told apart by their names.
        let mut slots: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for bytes in play.world.files(&state) {
            done(&bytes, &mut slots);
        }
        for bytes in play.world.files(&workspace.join("cron-runs")) {
            let Ok(artefact) = serde_json::from_slice::<Value>(&bytes) else { continue };
            if artefact["job"] != JOB || artefact["workspace"] != *workspace.to_string_lossy() {
                let says = format!(
                    "{} holds what was made for {}",
                    workspace.display(),
                    artefact["workspace"].as_str().unwrap_or("nobody")
                );
                broken.push(Broken { check: "right-workspace", says });
            }
            if let (Some(slot_ms), Some(run)) = (artefact["slotMs"].as_u64(), artefact["run"].as_str()) {
                slots.entry(slot_ms).or_default().insert(run.to_owned());
            }
        }
        runs += slots.values().map(BTreeSet::len).sum::<usize>();
        for (slot_ms, of_slot) in slots.into_iter().filter(|(_, of_slot)| of_slot.len() > 1) {
            let says = format!("the slot {slot_ms} of the job of {name} has {} runs", of_slot.len());
            broken.push(Broken { check: "cron-once", says });
        }
    }
    if runs > 0 {
        play.report.happened.insert("job run".to_owned(), runs as u64);
    }
}

/// Which runs have left something, by what gateways remember: they have ended, and not with an error.
fn done(memory: &[u8], slots: &mut BTreeMap<u64, BTreeSet<String>>) {
    let mut begun: BTreeMap<String, u64> = BTreeMap::new();
    for line in memory.split(|byte| *byte == b'\n') {
        let Ok(record) = serde_json::from_slice::<Value>(line) else { continue };
        let Some(run) = record["run"].as_str() else { continue };
        match record["kind"].as_str() {
            Some("begun") if record["job"] == JOB => {
                begun.extend(record["slotMs"].as_u64().map(|slot_ms| (run.to_owned(), slot_ms)));
            }
            Some("ended") if record["error"].is_null() => {
                if let Some(slot_ms) = begun.get(run) {
                    slots.entry(*slot_ms).or_default().insert(run.to_owned());
                }
            }
            _ => {}
        }
    }
}

/// `said-once`: what a client has said and was told is kept is there once, however often it had to be said again.
fn said_once<W>(play: &Play<'_, W>, broken: &mut Vec<Broken>) {
    for visitor in &play.visitors {
        for (text, often) in &visitor.notes.look().amiss {
            let says = format!("{} has said `{text}`, and it is kept {often} times", visitor.client.name);
            broken.push(Broken { check: "said-once", says });
        }
    }
}

/// `answered`: where a gateway serves and nothing is wrong any more, its clients are answered.
fn answered<W: World>(play: &Play<'_, W>, broken: &mut Vec<Broken>) {
    for visitor in &play.visitors {
        let serves = play.seats.iter().any(|seat| {
            seat.gateway.name == visitor.client.gateway
                && play.owns(seat)
                && seat.process.is_some_and(|process| play.world.going(process) == Going::On)
        });
        let asked = visitor.notes.look().asked;
        if serves && asked.last_ms.is_none_or(|last_ms| last_ms < play.plan.end_ms) {
            let says = format!(
                "{} serves, and {} was not answered since all is well",
                visitor.client.gateway, visitor.client.name
            );
            broken.push(Broken { check: "answered", says });
        }
    }
}

/// `prompt`: no client waits longer than the plan says. Real processes take the time that their machine gives them.
fn prompt<W: World>(play: &mut Play<'_, W>, broken: &mut Vec<Broken>) {
    let most_ms = play.plan.answered_within_ms.filter(|_| play.world.machines().is_some());
    for visitor in &play.visitors {
        let longest_ms = visitor.notes.look().asked.longest_ms;
        if most_ms.is_some_and(|most_ms| longest_ms > most_ms) {
            let says = format!("{} has waited for {longest_ms} ms", visitor.client.name);
            broken.push(Broken { check: "prompt", says });
        }
    }
}

impl<W> Play<'_, W> {
    /// Whether a gateway owns something now.
    pub(crate) fn owns(&self, seat: &Seat<'_>) -> bool {
        seat.process.is_some_and(|process| self.owners.contains_key(&process))
    }

    /// Whether somebody answers for a bot in the end.
    fn serves(&self, bot: &str) -> bool {
        self.seats.iter().any(|seat| self.owns(seat) && seat.gateway.bots.iter().any(|own| own == bot))
    }
}
