//! What is remembered, as a value. Records are the only way to change it, and whatever they are it stays within its bounds.
//!
//! What is dropped first: of the devices the one that has been let in least recently, of the sessions the one that nothing
//! was said in for the longest time, in a session what was said first. Order is that of the records, not of any clock.

use std::collections::{BTreeMap, VecDeque};

use super::outbox::{Outbox, Said, Stage};
use super::record::Record;

/// At most so many devices are remembered.
pub(super) const MOST_DEVICES: usize = 128;
/// Of one device at most so many tokens in one role.
const MOST_TOKENS: usize = 4;
/// At most so many sessions.
pub(super) const MOST_SESSIONS: usize = 256;
/// In each at most so many messages.
pub(super) const MOST_MESSAGES: usize = 512;
/// And in all of them at most so many bytes.
pub(super) const MOST_BYTES: usize = 8 * 1024 * 1024;
/// At most so many runs of jobs.
const MOST_RUNS: usize = 256;
/// The last slots of at most so many jobs.
const MOST_SLOTS: usize = 256;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The key that this gateway is known by: 32 bytes in base64url.
    pub(crate) seed: Option<super::Hidden>,
    devices: BTreeMap<String, Device>,
    sessions: BTreeMap<String, Chat>,
    /// How much is said in all of them.
    bytes: usize,
    /// What was said and not answered: session and run.
    open: VecDeque<(String, String)>,
    /// The latest last.
    runs: VecDeque<Run>,
    /// The last slot of each job that was begun.
    slots: BTreeMap<String, u64>,
    outbox: Outbox,
    /// Counts what is remembered of devices and sessions, so that the oldest is known.
    order: u64,
}

/// A device that may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) public_key: String,
    pub(crate) name: String,
    pub(crate) platform: String,
    /// What it may, by role, and since when.
    pub(crate) approved: BTreeMap<String, (Vec<String>, u64)>,
    /// The latest last.
    pub(crate) tokens: Vec<Token>,
    order: u64,
}

/// A token of a device, as its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) role: String,
    pub(crate) digest: super::Hidden,
    pub(crate) scopes: Vec<String>,
    pub(crate) at_ms: u64,
}

/// What was said in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chat {
    pub(crate) id: String,
    pub(crate) began_ms: u64,
    pub(crate) updated_ms: u64,
    pub(crate) messages: VecDeque<Message>,
    order: u64,
}

/// One thing that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) speaker: Speaker,
    /// The key that makes it happen once: the same for the answer.
    pub(crate) run: String,
    pub(crate) text: String,
    pub(crate) at_ms: u64,
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    User,
    Agent,
}

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) job: String,
    pub(crate) id: String,
    /// The slot that it was due in; `None`: somebody asked for it.
    pub(crate) slot_ms: Option<u64>,
    pub(crate) at_ms: u64,
    /// When it ended, how long it took, and what went wrong; `None`: it runs.
    pub(crate) end: Option<(u64, u64, Option<String>)>,
}

impl Memory {
    /// The device of that id.
    pub(crate) fn device(&self, id: &str) -> Option<&Device> {
        self.devices.get(id)
    }

    /// No device may come any more: what may have been said of it is lost.
    pub(super) fn distrust(&mut self) {
        self.devices.clear();
    }

    /// All devices by their ids.
    pub(crate) const fn devices(&self) -> &BTreeMap<String, Device> {
        &self.devices
    }

    /// All sessions by their keys.
    pub(crate) const fn sessions(&self) -> &BTreeMap<String, Chat> {
        &self.sessions
    }

    /// The runs of jobs, the latest last.
    pub(crate) const fn runs(&self) -> &VecDeque<Run> {
        &self.runs
    }

    /// What bots were told, and what they owe.
    pub(crate) const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The last slot of a job that was begun.
    pub(crate) fn last_slot(&self, job: &str) -> Option<u64> {
        self.slots.get(job).copied()
    }

    /// What was said and not answered, the first of it: session, run and text.
    pub(crate) fn unanswered(&self) -> Option<(String, String, String)> {
        let (session, run) = self.open.front()?;
        let is_it = |message: &&Message| message.speaker == Speaker::User && message.run == *run;
        let text = self.sessions.get(session)?.messages.iter().find(is_it)?.text.clone();
        Some((session.clone(), run.clone(), text))
    }

    /// How much was said and not answered.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes in what has happened. What concerns nothing that is remembered changes nothing.
    pub(crate) fn apply(&mut self, record: &Record) {
        self.order += 1;
        let order = self.order;
        match record {
            Record::Key { seed } => self.seed = Some(seed.clone()),
            Record::Paired { device, public_key, name, platform, role, scopes, at_ms } => {
                let known = self.devices.entry(device.clone()).or_insert_with(|| Device {
                    public_key: public_key.clone(),
                    name: String::new(),
                    platform: String::new(),
                    approved: BTreeMap::new(),
                    tokens: Vec::new(),
                    order,
                });
                (known.name, known.platform, known.order) = (name.clone(), platform.clone(), order);
                known.approved.insert(role.clone(), (scopes.clone(), *at_ms));
                self.drop_devices();
            }
            Record::Issued { device, role, digest, scopes, at_ms } => {
                let Some(known) = self.devices.get_mut(device) else { return };
                known.order = order;
                let of_role = known.tokens.iter().filter(|token| token.role == *role).count();
                if of_role >= MOST_TOKENS
                    && let Some(oldest) = known.tokens.iter().position(|token| token.role == *role)
                {
                    known.tokens.remove(oldest);
                }
                known.tokens.push(Token {
                    role: role.clone(),
                    digest: digest.clone(),
                    scopes: scopes.clone(),
                    at_ms: *at_ms,
                });
            }
            Record::Revoked { device, role } => {
                if let Some(known) = self.devices.get_mut(device) {
                    known.tokens.retain(|token| token.role != *role);
                }
            }
            Record::Removed { device } => drop(self.devices.remove(device)),
            Record::Session { key, id, at_ms } => {
                self.sessions.entry(key.clone()).or_insert_with(|| Chat {
                    id: id.clone(),
                    began_ms: *at_ms,
                    updated_ms: *at_ms,
                    messages: VecDeque::new(),
                    order,
                });
                self.drop_sessions();
                self.forget_unasked();
            }
            Record::Said { session, run, text, at_ms } => {
                self.said(session, Speaker::User, run, text, *at_ms);
            }
            Record::Replied { session, run, text, at_ms } => {
                self.outbox.answered(session, run, text, *at_ms);
                self.said(session, Speaker::Agent, run, text, *at_ms);
            }
            Record::Received { .. }
            | Record::Passed { .. }
            | Record::Sending { .. }
            | Record::Settled { .. }
            | Record::Owed { .. } => self.channel(record),
            Record::Begun { job, run, slot_ms, at_ms } => self.begun(job, run, *slot_ms, *at_ms),
            Record::Slot { job, slot_ms } => self.slot(job, *slot_ms),
            Record::Ended { job: _, run, duration_ms, error, at_ms } => {
                if let Some(known) = self.runs.iter_mut().rev().find(|known| known.id == *run) {
                    known.end = Some((*at_ms, *duration_ms, error.clone()));
                }
            }
        }
    }

    /// Takes in what has happened to a bot.
    fn channel(&mut self, record: &Record) {
        match record {
            Record::Received { bot, update, session, run, chat, text, at_ms } => {
                if self.outbox.pass(bot, *update, self.order) && self.sessions.contains_key(session) {
                    let said = Said { bot, update: *update, session, run, chat: *chat, at_ms: *at_ms };
                    self.outbox.owe(said, Stage::Asked, "");
                    self.said(session, Speaker::User, run, text, *at_ms);
                    self.forget_unasked();
                }
            }
            Record::Owed { bot, update, session, run, chat, text, state, at_ms } => {
                let said = Said { bot, update: *update, session, run, chat: *chat, at_ms: *at_ms };
                self.outbox.pass(bot, *update, self.order);
                self.outbox.owe(said, *state, text);
                self.forget_unasked();
            }
            Record::Passed { bot, update } => drop(self.outbox.pass(bot, *update, self.order)),
            Record::Sending { bot, update, epoch } => self.outbox.sending(bot, *update, *epoch),
            Record::Settled { bot, update, fate, at_ms } => {
                self.outbox.settled(bot, *update, *fate, *at_ms);
            }
            Record::Key { .. }
            | Record::Paired { .. }
            | Record::Issued { .. }
            | Record::Revoked { .. }
            | Record::Removed { .. }
            | Record::Session { .. }
            | Record::Said { .. }
            | Record::Replied { .. }
            | Record::Begun { .. }
            | Record::Slot { .. }
            | Record::Ended { .. } => {}
        }
    }

    /// What is not answered any more is owed no more.
    fn forget_unasked(&mut self) {
        let open = &self.open;
        self.outbox.keep_asked(|session, run| open.iter().any(|(at, open)| at == session && open == run));
    }

    fn said(&mut self, session: &str, speaker: Speaker, run: &str, text: &str, at_ms: u64) {
        if speaker == Speaker::Agent {
            // Whatever becomes of this line, that message was answered.
            self.open.retain(|(at, open)| at != session || open != run);
        }
        let Some(chat) = self.sessions.get_mut(session) else { return };
        // The same key is the same message, whoever writes it twice; and what was answered is not said again.
        let is_same = |known: &Message| known.speaker == speaker || speaker == Speaker::User;
        if chat.messages.iter().any(|known| known.run == run && is_same(known)) {
            return;
        }
        (chat.updated_ms, chat.order) = (at_ms, self.order);
        let message = Message { speaker, run: run.to_owned(), text: text.to_owned(), at_ms };
        self.bytes += message.bytes();
        chat.messages.push_back(message);
        if speaker == Speaker::User {
            self.open.push_back((session.to_owned(), run.to_owned()));
        }
        let open = self.open.len();
        while self.sessions.get(session).is_some_and(|chat| chat.messages.len() > MOST_MESSAGES) {
            self.drop_first(session);
        }
        self.drop_sessions();
        if self.open.len() < open {
            self.forget_unasked();
        }
    }

    /// Drops what was said first in a session, a message together with its answer: neither is remembered without the other.
    fn drop_first(&mut self, session: &str) {
        let Some(chat) = self.sessions.get_mut(session) else { return };
        let Some(gone) = chat.messages.pop_front() else { return };
        self.bytes -= gone.bytes();
        if gone.speaker == Speaker::User {
            self.open.retain(|(at, open)| at != session || *open != gone.run);
            let is_answer = |known: &Message| known.speaker == Speaker::Agent && known.run == gone.run;
            if let Some(answer) = chat.messages.iter().position(is_answer)
                && let Some(answer) = chat.messages.remove(answer)
            {
                self.bytes -= answer.bytes();
            }
        }
    }

    fn begun(&mut self, job: &str, run: &str, slot_ms: Option<u64>, at_ms: u64) {
        let begun = Run { job: job.to_owned(), id: run.to_owned(), slot_ms, at_ms, end: None };
        self.runs.push_back(begun);
        while self.runs.len() > MOST_RUNS {
            self.runs.pop_front();
        }
        if let Some(slot_ms) = slot_ms {
            self.slot(job, slot_ms);
        }
    }

    fn slot(&mut self, job: &str, slot_ms: u64) {
        let last = self.slots.entry(job.to_owned()).or_default();
        *last = slot_ms.max(*last);
        while self.slots.len() > MOST_SLOTS
            && let Some((oldest, _)) = self.slots.iter().min_by_key(|(_, slot)| **slot)
        {
            let oldest = oldest.clone();
            self.slots.remove(&oldest);
        }
    }

    fn drop_devices(&mut self) {
        while self.devices.len() > MOST_DEVICES
            && let Some((oldest, _)) = self.devices.iter().min_by_key(|(_, device)| device.order)
        {
            let oldest = oldest.clone();
            self.devices.remove(&oldest);
        }
    }

    /// Drops the sessions that have been silent longest; of the last one only what was said first.
    fn drop_sessions(&mut self) {
        while self.sessions.len() > MOST_SESSIONS || self.bytes > MOST_BYTES {
            let Some((oldest, _)) = self.sessions.iter().min_by_key(|(_, chat)| chat.order) else { return };
            let oldest = oldest.clone();
            if self.sessions.len() > 1 {
                let gone = self.sessions.remove(&oldest);
                self.open.retain(|(at, _)| *at != oldest);
                self.bytes -= gone.iter().flat_map(|chat| &chat.messages).map(Message::bytes).sum::<usize>();
            } else {
                if self.sessions.get(&oldest).is_none_or(|chat| chat.messages.is_empty()) {
                    return;
                }
                self.drop_first(&oldest);
            }
        }
    }

    /// The records that make this memory out of an empty one.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> =
            self.seed.iter().map(|seed| Record::Key { seed: seed.clone() }).collect();
        let mut devices: Vec<_> = self.devices.iter().collect();
        devices.sort_by_key(|(_, device)| device.order);
        records.extend(devices.into_iter().flat_map(|(id, device)| device.records(id)));
        let mut sessions: Vec<_> = self.sessions.iter().collect();
        sessions.sort_by_key(|(_, chat)| chat.order);
        records.extend(sessions.into_iter().flat_map(|(key, chat)| chat.records(key)));
        let slots = self.slots.iter();
        records.extend(slots.map(|(job, slot_ms)| Record::Slot { job: job.clone(), slot_ms: *slot_ms }));
        records.extend(self.runs.iter().flat_map(Run::records));
        records.extend(self.outbox.records());
        records
    }
}

impl Device {
    fn records(&self, id: &str) -> Vec<Record> {
        let paired = self.approved.iter().map(|(role, (scopes, at_ms))| Record::Paired {
            device: id.to_owned(),
            public_key: self.public_key.clone(),
            name: self.name.clone(),
            platform: self.platform.clone(),
            role: role.clone(),
            scopes: scopes.clone(),
            at_ms: *at_ms,
        });
        let issued = self.tokens.iter().map(|token| Record::Issued {
            device: id.to_owned(),
            role: token.role.clone(),
            digest: token.digest.clone(),
            scopes: token.scopes.clone(),
            at_ms: token.at_ms,
        });
        paired.chain(issued).collect()
    }
}

impl Chat {
    fn records(&self, key: &str) -> Vec<Record> {
        let began = Record::Session { key: key.to_owned(), id: self.id.clone(), at_ms: self.began_ms };
        let said = self.messages.iter().map(|message| {
            let (session, run) = (key.to_owned(), message.run.clone());
            let (text, at_ms) = (message.text.clone(), message.at_ms);
            match message.speaker {
                Speaker::User => Record::Said { session, run, text, at_ms },
                Speaker::Agent => Record::Replied { session, run, text, at_ms },
            }
        });
        std::iter::once(began).chain(said).collect()
    }
}

impl Message {
    const fn bytes(&self) -> usize {
        self.text.len() + self.run.len()
    }
}

impl Run {
    fn records(&self) -> Vec<Record> {
        let (job, run) = (self.job.clone(), self.id.clone());
        let begun = Record::Begun { job, run, slot_ms: self.slot_ms, at_ms: self.at_ms };
        let ended = self.end.as_ref().map(|(at_ms, duration_ms, error)| Record::Ended {
            job: self.job.clone(),
            run: self.id.clone(),
            duration_ms: *duration_ms,
            error: error.clone(),
            at_ms: *at_ms,
        });
        std::iter::once(begun).chain(ended).collect()
    }
}
