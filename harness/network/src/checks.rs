//! What users must never see, looked for once everything has settled.

use std::collections::BTreeMap;

use serde_json::Value;
use sim::kernel::Life;

use crate::gateways::{JOB, workspace_path};
use crate::report::Broken;
use crate::run::Play;

/// Of what was said, a gateway keeps at least so much of each session.
const KEPT: usize = 50;
/// How a reply begins.
const ECHO: &str = "echo: ";

/// Writes every broken promise into the report.
pub(crate) fn judge(play: &mut Play<'_>) {
    let mut broken = std::mem::take(&mut play.report.broken);
    one_reply(play, &mut broken);
    cron_once(play, &mut broken);
    said_once(play, &mut broken);
    answered(play, &mut broken);
    for (process, said) in play.network.panics() {
        broken.push(Broken { check: "panicked", says: format!("process {}: {said}", process.0) });
    }
    play.report.replies = replies(play).values().map(Vec::len).sum();
    play.report.broken = broken;
}

/// What each bot has replied.
fn replies(play: &Play<'_>) -> BTreeMap<String, Vec<String>> {
    let record = play.service.record();
    let texts = |bot: &String| record.sent(bot).into_iter().map(|(_, text)| text).collect();
    play.plan.bots.iter().map(|bot| (bot.clone(), texts(bot))).collect()
}

/// `one-reply`: no message has two replies, and each has one. Where a gateway was killed or cut off while a reply was on its way,
/// nobody can know whether it went out: then the gateway says so, and there are not more such replies than it says.
fn one_reply(play: &Play<'_>, broken: &mut Vec<Broken>) {
    let replies = replies(play);
    let none = Vec::new();
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (bot, text) in &play.told {
        let wanted = format!("{ECHO}{text}");
        match replies.get(bot).unwrap_or(&none).iter().filter(|reply| **reply == wanted).count() {
            0 => missing.entry(bot).or_default().push(text),
            1 => {}
            often => {
                let says = format!("`{text}`, which was said to {bot}, has {often} replies");
                broken.push(Broken { check: "one-reply", says });
            }
        }
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

/// `cron-once`: no slot of a job has two runs, and what a run leaves is in the workspace of its own gateway.
fn cron_once(play: &Play<'_>, broken: &mut Vec<Broken>) {
    for seat in play.seats.iter().filter(|seat| seat.gateway.every_ms.is_some()) {
        let workspace = workspace_path(play.plan, seat.gateway);
        let folder = workspace.join("cron-runs");
        let names = play.network.look(|kernel| kernel.list(&folder)).unwrap_or_default();
        let mut slots: BTreeMap<u64, u32> = BTreeMap::new();
        for name in names {
            let bytes = play.network.look(|kernel| kernel.contents(&folder.join(&name))).unwrap_or_default();
            let Ok(artefact) = serde_json::from_slice::<Value>(&bytes) else { continue };
            if artefact["job"] != JOB || artefact["workspace"] != *workspace.to_string_lossy() {
                let says = format!(
                    "{} holds what was made for {}",
                    workspace.display(),
                    artefact["workspace"].as_str().unwrap_or("nobody")
                );
                broken.push(Broken { check: "right-workspace", says });
            }
            if let Some(slot_ms) = artefact["slotMs"].as_u64() {
                *slots.entry(slot_ms).or_default() += 1;
            }
        }
        for (slot_ms, _) in slots.into_iter().filter(|(_, often)| *often > 1) {
            let says = format!("{}: the slot {slot_ms} has two runs", seat.gateway.name);
            broken.push(Broken { check: "cron-once", says });
        }
    }
}

/// `said-once`: what a client has said and was told is kept is there once, however often it had to be said again.
fn said_once(play: &Play<'_>, broken: &mut Vec<Broken>) {
    for visitor in &play.visitors {
        let written = visitor.notes.look();
        let Some((known, history)) = &written.history else { continue };
        let latest = known.saturating_sub(KEPT);
        for text in &written.said[latest..*known] {
            match history.iter().filter(|heard| *heard == text).count() {
                1 => {}
                often => {
                    let says = format!("{} has said `{text}`, and it is kept {often} times", visitor.name);
                    broken.push(Broken { check: "said-once", says });
                }
            }
        }
    }
}

/// `answered`: where a gateway serves and nothing is wrong any more, its clients are answered.
fn answered(play: &Play<'_>, broken: &mut Vec<Broken>) {
    for visitor in &play.visitors {
        let serves = play.seats.iter().any(|seat| {
            let runs = |process| play.network.look(|kernel| kernel.life(process)) == Life::Running;
            let owns = |process: &_| play.owners.contains_key(process);
            seat.gateway.name == visitor.gateway
                && seat.process.is_some_and(|process| runs(process) && owns(&process))
        });
        let asked = visitor.notes.look().asked;
        if serves && asked.last_ms.is_none_or(|last_ms| last_ms < play.plan.end_ms) {
            let says = format!(
                "{} serves, and {} was not answered since all is well",
                visitor.gateway, visitor.name
            );
            broken.push(Broken { check: "answered", says });
        }
    }
}

impl Play<'_> {
    /// Whether somebody answers for a bot in the end.
    fn serves(&self, bot: &str) -> bool {
        self.seats.iter().any(|seat| {
            let owns = seat.process.is_some_and(|process| self.owners.contains_key(&process));
            owns && seat.gateway.bots.iter().any(|own| own == bot)
        })
    }
}
