//! What a gateway says and how it ends, as its target explains it: its own events, or lines that a target knows.

use super::attempt::{Attempt, Stop};
use super::bystander;
use super::child::Ended;
use super::lane::{Hits, Holder, Lane, Refused, Role, Word, read_word};
use super::sockets;
use super::watch::Channel;
use sim::Telling;

use crate::scenario::{Fate, Happening};
use crate::target::{Signs, Target};

/// How many sentences of a gateway are remembered.
const MOST_SENTENCES: usize = 1000;

impl Attempt {
    /// Notes a line, and whether it makes somebody an owner.
    pub(super) fn hear(&mut self, now_us: u64, lane: usize, channel: Channel, text: &str) -> bool {
        let Lane { name, role, life } = &mut self.lanes[lane];
        let Some(life) = life.as_mut() else { return false };
        let said = &mut life.said;
        let is_gateway = matches!(role, Role::Gateway(_));
        if is_gateway {
            said.hits.hear(&self.order.target, channel, text);
        }
        let word = if is_gateway { word(&self.order.target, channel, text) } else { Word::Other };
        if is_gateway {
            said.told.extend(telling(&self.order.target, &word, text));
            if said.sentences.len() < MOST_SENTENCES && self.scenario.expect.refusal.is_some() {
                said.sentences.extend(sentence(text));
            }
        }
        let is_owner = match &word {
            Word::Owner => said.owner_us.is_none(),
            // From outside nobody sees more of an owner than that it serves.
            Word::Ready => said.owner_us.is_none() && !self.order.target.tells_events(),
            Word::Draining | Word::Released | Word::Refused(_) | Word::Other => false,
        };
        let event = match &word {
            Word::Owner => {
                said.owner_us = Some(now_us);
                "owner".to_owned()
            }
            Word::Ready => {
                if is_owner {
                    said.owner_us = Some(now_us);
                }
                said.ready_us = Some(now_us);
                "ready".to_owned()
            }
            Word::Draining => "draining".to_owned(),
            Word::Released => {
                said.released_us = Some(now_us);
                "released".to_owned()
            }
            Word::Refused(refused) => {
                said.refused = Some(refused.clone());
                said.refused_us = Some(now_us);
                refused.to_string()
            }
            Word::Other => {
                said.listens |= !is_gateway && channel == Channel::Output && text == bystander::READY;
                said.is_crowded_out |=
                    !is_gateway && channel == Channel::Output && text.starts_with(bystander::TAKEN);
                if !text.trim().is_empty() {
                    said.last = text.to_owned();
                }
                format!("says {text}")
            }
        };
        self.record.add(now_us, name, &event);
        is_owner
    }

    /// Notes how somebody has ended, and whether that was a refusal.
    pub(super) fn note_end(&mut self, now_us: u64, lane: usize, how: Ended) {
        let Lane { name, life, role } = &mut self.lanes[lane];
        let Some(life) = life else { return };
        life.ended = Some((now_us, how));
        life.kill_due_us = None;
        life.asking = None;
        let event = match how {
            Ended::Exited(status) => format!("exits with status {status}"),
            Ended::Signaled(signal) => format!("is ended by signal {signal}"),
        };
        self.record.add(now_us, name, &event);
        let target = &self.order.target;
        if let (Role::Gateway(_), Ended::Exited(status), None) = (role, how, &life.said.refused)
            // Who was asked to end is no refused one, whatever it says on its way out.
            && life.asked.is_none()
            && !target.tells_events()
            && let Some(refused) = life.said.hits.refusal(target, status)
        {
            self.record.add(now_us, name, &refused.to_string());
            life.said.refused = Some(refused);
            life.said.refused_us = Some(now_us);
        }
    }

    /// Goes on asking those who are asked. Returns whose answer is there.
    pub(super) fn ask_on(&mut self) -> Vec<usize> {
        let now_us = self.clock.now_us();
        let mut answered = Vec::new();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let Some(life) = lane.life.as_mut().filter(|life| life.ended.is_none() && !life.is_paused())
            else {
                continue;
            };
            let pid = life.child.pid;
            let Some(asking) = life.asking.as_mut() else { continue };
            if !asking.go_on(now_us) {
                continue;
            }
            // On a port that another gateway has, the other one answers.
            if sockets::listens(pid, asking.port()) {
                life.asking = None;
                answered.push(index);
            } else {
                asking.again(now_us, "somebody else answers there".to_owned());
            }
        }
        answered
    }

    /// Notes that a gateway has answered, and whether that makes it an owner.
    pub(super) fn note_answer(&mut self, now_us: u64, lane: usize) -> bool {
        let Lane { name, life: Some(life), .. } = &mut self.lanes[lane] else { return false };
        life.said.answered_us = Some(now_us);
        if life.said.ready_us.is_some() {
            return false;
        }
        life.said.ready_us = Some(now_us);
        life.said.owner_us = Some(now_us);
        self.record.add(now_us, name, "ready: it answers");
        true
    }

    /// Asks everybody who was ready whether it still answers, where a target says how.
    pub(super) fn ask_again(&mut self) -> Result<(), Stop> {
        let Some(probe) = self.order.target.answers.clone() else { return Ok(()) };
        let mut asked = Vec::new();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            if lane.fate() != Fate::Ready {
                continue;
            }
            let base = lane.gateway().map(|gateway| gateway.port.get());
            if let (Some(life), Some(base)) = (lane.life.as_mut(), base) {
                life.asking = Some(super::probe::Asking::new(&probe, base));
                asked.push(index);
            }
        }
        let until_us = self.clock.now_us() + self.order.target.ready_within.0 * 1_000;
        let is_done = |attempt: &Self| {
            asked.iter().all(|lane| attempt.lanes[*lane].living().is_none_or(|life| life.asking.is_none()))
        };
        while !is_done(self) && self.clock.now_us() < until_us {
            self.watch(until_us)?;
        }
        for lane in asked {
            let Lane { name, life: Some(life), .. } = &mut self.lanes[lane] else { continue };
            if let Some(asking) = life.asking.take() {
                life.said.is_silent = true;
                self.record.add(self.clock.now_us(), name, &format!("answers no more: {}", asking.last));
            }
        }
        Ok(())
    }
}

/// What a line says to people: the message of an event, or all of it.
fn sentence(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Line {
        #[serde(default)]
        message: String,
    }
    let sentence = match serde_json::from_str(text) {
        Ok(Line { message }) => message,
        Err(_) => text.trim().to_owned(),
    };
    (!sentence.is_empty()).then_some(sentence)
}

/// What a line of a gateway tells for good: its events, or the lines that its target knows.
fn telling(target: &Target, word: &Word, text: &str) -> Option<Telling> {
    match word {
        Word::Owner => Some(Telling::Owner),
        Word::Draining => Some(Telling::Draining),
        Word::Released => Some(Telling::Released),
        Word::Refused(_) => Some(Telling::Refused),
        Word::Ready | Word::Other => match target.log.read(text)?.emits {
            Happening::Owner => Some(Telling::Owner),
            Happening::Draining => Some(Telling::Draining),
            Happening::Released => Some(Telling::Released),
            Happening::Refused(_) => Some(Telling::Refused),
            Happening::Started | Happening::Ready | Happening::Exited | Happening::Killed => None,
        },
    }
}

/// What a line of a gateway means.
fn word(target: &Target, channel: Channel, text: &str) -> Word {
    match (&target.ready, channel) {
        (Signs::Events, Channel::Output) => read_word(text),
        (Signs::Log(pattern), _) if pattern.is_in(text) => Word::Ready,
        (Signs::Events | Signs::Log(_) | Signs::Probe(_), _) => Word::Other,
    }
}

impl Hits {
    /// Notes which patterns of refusals a line holds.
    fn hear(&mut self, target: &Target, channel: Channel, text: &str) {
        self.0.resize(target.refusals.len(), Default::default());
        for (hit, refusal) in self.0.iter_mut().zip(&target.refusals) {
            let (pattern, seen) = match channel {
                Channel::Output => (&refusal.stdout, &mut hit.output),
                Channel::Errors => (&refusal.stderr, &mut hit.errors),
            };
            if let Some(pattern) = pattern.as_ref().filter(|pattern| pattern.is_in(text)) {
                *seen = true;
                hit.pid = pattern.pid(text).or(hit.pid);
            }
        }
    }

    /// The refusal that a gateway has ended with, if it is one that its target knows.
    fn refusal(&self, target: &Target, status: i32) -> Option<Refused> {
        for (index, refusal) in target.refusals.iter().enumerate() {
            let hit = self.0.get(index).copied().unwrap_or_default();
            let exits = refusal.exit.is_empty() || refusal.exit.iter().any(|exit| i32::from(*exit) == status);
            let says = (refusal.stdout.is_none() || hit.output) && (refusal.stderr.is_none() || hit.errors);
            if exits && says {
                return Some(Refused {
                    code: refusal.reason.clone(),
                    exit: refusal.means.map_or(status, i32::from),
                    holder: hit.pid.map(|pid| Holder { pid, start_tick: None }),
                });
            }
        }
        None
    }
}
