//! The bots of a service, as a value: who polls which of them, what waits for them, what they have said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::record::{Deed, Happening, Record};

/// At most so many updates of a bot wait; the oldest are lost.
const MOST_UPDATES: usize = 16_384;
/// At most so many are given at once.
const MOST_GIVEN: u64 = 100;
/// The longest message, in characters.
const LONGEST_TEXT: usize = 4096;
/// What the first update of every bot is called.
const FIRST_UPDATE: i64 = 1_000;

/// What the service goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long the poll of a client that has vanished keeps others out, in milliseconds.
    pub lease_ms: u64,
}

/// An answer: its HTTP status and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    pub(crate) fn ok(result: &Value) -> Self {
        Self { status: 200, body: json!({ "ok": true, "result": result }) }
    }

    pub(crate) fn error(status: u16, description: &str) -> Self {
        let body = json!({ "ok": false, "error_code": status, "description": description });
        Self { status, body }
    }

    pub(crate) fn too_many(seconds: u64) -> Self {
        let mut answer = Self::error(429, &format!("Too Many Requests: retry after {seconds}"));
        answer.body["parameters"] = json!({ "retry_after": seconds });
        answer
    }

    fn conflict() -> Self {
        Self::error(
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
        )
    }

    fn unauthorized() -> Self {
        Self::error(401, "Unauthorized")
    }
}

/// What a client wants of a poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Every update below this one is confirmed and given no more; below 0, all but so many of the last.
    pub offset: Option<i64>,
    /// How many it takes at most; 0: as many as there are to be had at once.
    pub limit: u64,
    /// How long it waits for the first, in milliseconds.
    pub timeout_ms: u64,
}

/// A poll that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    token: String,
    number: u64,
    /// When it is answered in any case.
    pub until_ms: u64,
}

/// What a poll comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// An answer.
    Now(Answer),
    /// It waits.
    Wait(Ticket),
}

/// All bots of a service.
#[derive(Clone, Debug)]
pub struct Bots {
    rules: Rules,
    bots: BTreeMap<String, Bot>,
    next_ticket: u64,
    record: Record,
}

#[derive(Clone, Debug)]
struct Bot {
    id: u64,
    name: String,
    next_update: i64,
    next_message: u64,
    updates: VecDeque<(i64, Value)>,
    poller: Option<Poller>,
    /// Polls that a newer one has ended and that were not told so yet.
    ended: BTreeSet<u64>,
    /// Until when a client that has vanished keeps others out.
    leased_until_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Poller {
    ticket: u64,
    from: SocketAddr,
    limit: u64,
    until_ms: u64,
}

impl Bots {
    /// A service without bots.
    pub fn new(rules: Rules) -> Self {
        Self { rules, bots: BTreeMap::new(), next_ticket: 0, record: Record::default() }
    }

    /// One more bot.
    pub fn add(&mut self, token: &str, name: &str) {
        let digits = token.split(':').next().and_then(|digits| digits.parse().ok());
        let bot = Bot {
            id: digits.unwrap_or(self.bots.len() as u64 + 1),
            name: name.to_owned(),
            next_update: FIRST_UPDATE,
            next_message: 1,
            updates: VecDeque::new(),
            poller: None,
            ended: BTreeSet::new(),
            leased_until_ms: 0,
        };
        self.bots.insert(token.to_owned(), bot);
    }

    /// Somebody says something to a bot. Answers with the number of the update; `None`: there is no such bot.
    pub fn say(&mut self, token: &str, chat: i64, text: &str, now_ms: u64) -> Option<i64> {
        let bot = self.bots.get_mut(token)?;
        let (update, message) = (bot.next_update, bot.next_message);
        (bot.next_update, bot.next_message) = (update + 1, message + 1);
        let person = json!({ "id": chat, "is_bot": false, "first_name": "Somebody" });
        let said = json!({
            "update_id": update,
            "message": {
                "message_id": message, "date": now_ms / 1000, "from": person,
                "chat": { "id": chat, "type": "private" }, "text": text,
            },
        });
        bot.updates.push_back((update, said));
        if bot.updates.len() > MOST_UPDATES {
            bot.updates.pop_front();
        }
        Some(update)
    }

    /// Everything that has happened.
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// How many updates of a bot nobody has confirmed.
    pub fn waiting(&self, token: &str) -> usize {
        self.bots.get(token).map_or(0, |bot| bot.updates.len())
    }

    /// `getMe`.
    pub fn own(&self, token: &str) -> Answer {
        self.bots.get(token).map_or_else(Answer::unauthorized, |bot| Answer::ok(&bot.own()))
    }

    /// `deleteWebhook`: there never is one.
    pub fn forget_webhook(&self, token: &str) -> Answer {
        self.bots.get(token).map_or_else(Answer::unauthorized, |_| Answer::ok(&json!(true)))
    }

    /// `getUpdates`.
    pub fn poll(&mut self, token: &str, from: SocketAddr, asked: Asked, now_ms: u64) -> Poll {
        let Some(bot) = self.bots.get_mut(token) else { return Poll::Now(Answer::unauthorized()) };
        let name = bot.name.clone();
        let mut note = |at: SocketAddr, deed| {
            self.record.add(Happening { at_ms: now_ms, from: at, bot: name.clone(), deed });
        };
        note(from, Deed::Polled(asked.offset));
        if bot.leased_until_ms > now_ms {
            note(from, Deed::Conflict);
            return Poll::Now(Answer::conflict());
        }
        if let Some(older) = bot.poller.take() {
            note(older.from, Deed::Conflict);
            bot.ended.insert(older.ticket);
        }
        bot.confirm(asked.offset);
        let limit = if asked.limit == 0 { MOST_GIVEN } else { asked.limit.min(MOST_GIVEN) };
        if !bot.updates.is_empty() || asked.timeout_ms == 0 {
            let given = bot.give(limit);
            note(from, Deed::Given(given.len()));
            return Poll::Now(Answer::ok(&Value::Array(given)));
        }
        self.next_ticket += 1;
        let until_ms = now_ms.saturating_add(asked.timeout_ms);
        bot.poller = Some(Poller { ticket: self.next_ticket, from, limit, until_ms });
        Poll::Wait(Ticket { token: token.to_owned(), number: self.next_ticket, until_ms })
    }

    /// The answer to a poll that waits, once there is one.
    pub fn look(&mut self, ticket: &Ticket, now_ms: u64) -> Option<Answer> {
        let bot = self.bots.get_mut(&ticket.token)?;
        if bot.ended.remove(&ticket.number) {
            return Some(Answer::conflict());
        }
        let poller = bot.poller.filter(|poller| poller.ticket == ticket.number)?;
        if bot.updates.is_empty() && now_ms < poller.until_ms {
            return None;
        }
        bot.poller = None;
        let given = bot.give(poller.limit);
        let (bot, deed) = (bot.name.clone(), Deed::Given(given.len()));
        self.record.add(Happening { at_ms: now_ms, from: poller.from, bot, deed });
        Some(Answer::ok(&Value::Array(given)))
    }

    /// Whoever waits with this ticket is gone, and its lease lives on.
    pub fn vanish(&mut self, ticket: &Ticket, now_ms: u64) {
        let Some(bot) = self.bots.get_mut(&ticket.token) else { return };
        bot.ended.remove(&ticket.number);
        if let Some(poller) = bot.poller.take_if(|poller| poller.ticket == ticket.number) {
            bot.leased_until_ms = now_ms.saturating_add(self.rules.lease_ms);
            let happening =
                Happening { at_ms: now_ms, from: poller.from, bot: bot.name.clone(), deed: Deed::Vanished };
            self.record.add(happening);
        }
    }

    /// `sendMessage`.
    pub fn send(
        &mut self,
        token: &str,
        from: SocketAddr,
        chat: Option<i64>,
        text: &str,
        now_ms: u64,
    ) -> Answer {
        let Some(bot) = self.bots.get_mut(token) else { return Answer::unauthorized() };
        let Some(chat) = chat else { return Answer::error(400, "Bad Request: chat_id is empty") };
        if text.is_empty() {
            return Answer::error(400, "Bad Request: message text is empty");
        }
        if text.encode_utf16().count() > LONGEST_TEXT {
            return Answer::error(400, "Bad Request: message is too long");
        }
        let message = bot.next_message;
        bot.next_message += 1;
        let said = json!({
            "message_id": message, "date": now_ms / 1000, "from": bot.own(),
            "chat": { "id": chat, "type": "private" }, "text": text,
        });
        let deed = Deed::Sent { chat, text: text.to_owned() };
        self.record.add(Happening { at_ms: now_ms, from, bot: bot.name.clone(), deed });
        Answer::ok(&said)
    }
}

impl Bot {
    fn own(&self) -> Value {
        json!({ "id": self.id, "is_bot": true, "first_name": self.name, "username": self.name })
    }

    fn confirm(&mut self, offset: Option<i64>) {
        match offset {
            Some(last @ ..0) => {
                let most = usize::try_from(last.unsigned_abs()).unwrap_or(usize::MAX);
                let gone = self.updates.len().saturating_sub(most);
                self.updates.drain(..gone);
            }
            Some(offset) => self.updates.retain(|(update, _)| *update >= offset),
            None => {}
        }
    }

    fn give(&self, limit: u64) -> Vec<Value> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        self.updates.iter().take(most).map(|(_, said)| said.clone()).collect()
    }
}
