//! A bot is polled: what it is told is written down before it is confirmed.
//!
//! Only one poller of a bot is served at a time, whoever it is, and the service lets the poll of a process that was killed live
//! on for a while. So a conflict ends nothing: it is shown, and the poll is tried again later and later.

use std::time::Duration;

use portcullis_os::Os;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::account::{ANSWER, Account, LONGEST_PAUSE_MS, LONGEST_REST_S, Pause, READY, UNKEPT};
use super::api::{Api, Failed};
use crate::control::{Health, Now};

/// How many updates are taken at once.
const BATCH: u64 = 32;
/// The longest message that is taken in, in bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// What comes of one poll.
enum Polled {
    /// It was answered.
    Answered,
    /// Something said no, or said nothing.
    Failed(Failed),
    /// What was said cannot be written down now.
    Unkept(String),
}

/// What a poller remembers from one poll to the next.
struct Poller<O: Os> {
    api: Api<O>,
    pause: Pause,
    /// Whether the service has said who the bot is.
    is_known: bool,
    /// Whether the last poll was answered. One that does not wait comes first, so that soon shows how it is.
    was_answered: bool,
    /// Until when a conflict is shown, by the monotonic clock: in this time another poller would have come again.
    calm_ms: u64,
}

impl<O: Os> Account<O> {
    /// Polls until the service does not know the bot.
    pub(super) async fn poll(&self) {
        let (api, pause) = (self.api(), Pause::new());
        let mut poller = Poller { api, pause, is_known: false, was_answered: false, calm_ms: 0 };
        loop {
            if !self.may_act().await {
                sleep(READY).await;
                continue;
            }
            let polled = self.poll_once(&mut poller).await;
            let now = self.now().await;
            poller.was_answered = matches!(polled, Polled::Answered);
            match polled {
                Polled::Answered => self.answered(&mut poller, now),
                Polled::Unkept(why) => {
                    self.show(Health::Disconnected, why, now);
                    sleep(UNKEPT).await;
                }
                Polled::Failed(failed) => match self.failed(&mut poller, &failed, now).await {
                    Some(rest) => sleep(rest).await,
                    None => return,
                },
            }
        }
    }

    fn answered(&self, poller: &mut Poller<O>, now: Now) {
        let is_calm = now.monotonic_ms >= poller.calm_ms;
        if is_calm {
            poller.pause = Pause::new();
        }
        self.control.channel(&self.id, now, |live| {
            live.transport_ms = Some(now.wall_ms);
            if is_calm {
                (live.health, live.error) = (Health::Healthy, None);
                (live.connected, live.attempts) = (true, 0);
                live.connected_ms = live.connected_ms.or(live.transport_ms);
            }
        });
    }

    /// How long nothing is asked after a poll has failed; `None`: for good.
    async fn failed(&self, poller: &mut Poller<O>, failed: &Failed, now: Now) -> Option<Duration> {
        let length = poller.pause.length(&self.os).await;
        match failed {
            Failed::Refused { code: 401, .. } => {
                self.show(Health::Unauthorized, failed.words(), now);
                None
            }
            Failed::Refused { code: 409, .. } => {
                let length_ms = u64::try_from(length.as_millis()).unwrap_or(LONGEST_PAUSE_MS);
                poller.calm_ms = now.monotonic_ms + self.poll_s * 1_000 + 2 * length_ms;
                self.show(Health::Conflict, failed.words(), now);
                self.control.channel(&self.id, now, |live| live.conflicts += 1);
                Some(length)
            }
            Failed::Refused { retry_after_s, .. } => {
                self.show(Health::Disconnected, failed.words(), now);
                let asked =
                    retry_after_s.map(|seconds| Duration::from_secs(seconds.clamp(1, LONGEST_REST_S)));
                Some(asked.unwrap_or(length))
            }
            Failed::Unsent(_) | Failed::Unknown(_) => {
                self.show(Health::Disconnected, failed.words(), now);
                Some(length)
            }
        }
    }

    pub(super) fn show(&self, health: Health, error: String, now: Now) {
        self.control.channel(&self.id, now, |live| {
            (live.health, live.error, live.connected, live.connected_ms) = (health, Some(error), false, None);
            live.attempts += 1;
        });
    }

    async fn poll_once(&self, poller: &mut Poller<O>) -> Polled {
        let Poller { api, is_known, was_answered, .. } = poller;
        if !*is_known && let Err(failed) = self.introduce(api).await {
            return Polled::Failed(failed);
        }
        *is_known = true;
        let wait_s = if *was_answered { self.poll_s } else { 0 };
        let last = match self.control.last_update(&self.bot) {
            Ok(last) => last,
            Err(why) => return Polled::Unkept(why),
        };
        let params = wanted(last, BATCH, wait_s);
        let longest = Duration::from_secs(self.poll_s) + ANSWER;
        let updates = match api.call("getUpdates", &params, longest).await {
            Ok(Value::Array(updates)) => updates,
            Ok(_) => {
                return Polled::Failed(Failed::Unknown("getUpdates was answered without a list".to_owned()));
            }
            Err(failed) => return Polled::Failed(failed),
        };
        let mut updates: Vec<_> = updates.iter().filter_map(read).collect();
        updates.sort_by_key(|update| update.number);
        let is_new = |update: &Update<'_>| last.is_none_or(|last| update.number > last);
        if !updates.is_empty() && !updates.iter().any(is_new) {
            return Polled::Failed(Failed::Unknown(
                "getUpdates was answered with what was confirmed".to_owned(),
            ));
        }
        for update in updates.iter().filter(|update| is_new(update)) {
            if let Err(why) = self.take_in(update).await {
                return Polled::Unkept(why);
            }
        }
        Polled::Answered
    }

    /// Learns who the bot is, and makes sure that it can be polled at all.
    async fn introduce(&self, api: &mut Api<O>) -> Result<(), Failed> {
        let own = api.call("getMe", &json!({}), ANSWER).await?;
        let name = own["username"].as_str().map(crate::text::brief);
        api.call("deleteWebhook", &json!({ "drop_pending_updates": false }), ANSWER).await?;
        let now = self.now().await;
        self.control.channel(&self.id, now, |live| live.username = name);
        Ok(())
    }

    async fn take_in(&self, update: &Update<'_>) -> Result<(), String> {
        let Some((chat, text)) = update.said else {
            return self.control.pass(&self.bot, update.number).await.map_err(|failure| failure.message);
        };
        let text = &text[..text.floor_char_boundary(LONGEST_MESSAGE)];
        let received = self.control.receive(&self.id, &self.bot, (update.number, chat), text).await;
        received.map_err(|failure| failure.message)?;
        let now = self.now().await;
        self.control.channel(&self.id, now, |live| {
            (live.received, live.inbound_ms) = (live.received + 1, Some(now.wall_ms));
        });
        Ok(())
    }
}

/// What is asked of `getUpdates`: what comes after the last update that was written down, which confirms that one.
pub(super) fn wanted(last: Option<i64>, limit: u64, wait_s: u64) -> Value {
    let mut params = json!({ "limit": limit, "timeout": wait_s, "allowed_updates": ["message"] });
    if let Some(last) = last {
        params["offset"] = json!(last.saturating_add(1));
    }
    params
}

/// An update as far as anybody needs it.
struct Update<'a> {
    number: i64,
    /// The chat and the words; `None`: nothing that can be answered.
    said: Option<(i64, &'a str)>,
}

fn read(update: &Value) -> Option<Update<'_>> {
    let message = &update["message"];
    let said = message["chat"]["id"].as_i64().zip(message["text"].as_str().filter(|text| !text.is_empty()));
    Some(Update { number: update["update_id"].as_i64()?, said })
}
