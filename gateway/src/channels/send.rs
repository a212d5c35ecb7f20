//! What a bot owes is sent: that it is about to be is on the disk before, and what became of it afterwards.
//!
//! Sent again is only what certainly was not sent: the service could not be reached, has refused, or asked to be left alone. Of
//! whatever else goes wrong nobody knows what came of it, and a reply that is sent twice is what people see.

use std::time::Duration;

use portcullis_os::Os;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::account::{ANSWER, Account, LONGEST_REST_S, Pause, READY, UNKEPT};
use super::api::{Api, Failed};
use crate::control::{Due, Health};
use crate::store::Fate;

/// The longest reply that the service takes, in UTF-16 units.
const LONGEST_REPLY: usize = 4096;

/// What comes after an attempt to send.
enum Next {
    /// The next reply.
    Go,
    /// The same, or the next, but later.
    Later(Duration),
    /// Nothing: the service does not know this bot.
    End,
}

impl<O: Os> Account<O> {
    /// Sends what is owed, one reply after the other, until it is told to stop or the service does not know the bot.
    pub(super) async fn send(&self, mut halted: watch::Receiver<bool>) {
        let (mut api, mut pause) = (self.api(), Pause::new());
        let mut changes = self.control.watch_channels();
        while !*halted.borrow() {
            changes.borrow_and_update();
            let rest = match self.control.due(&self.bot) {
                Some(due) if self.may_act().await => match self.deliver(&mut api, &mut pause, &due).await {
                    Next::Go => continue,
                    Next::Later(rest) => rest,
                    Next::End => return,
                },
                Some(_) => READY,
                None => {
                    tokio::select! {
                        biased;
                        _ = halted.changed() => {}
                        _ = changes.changed() => {}
                    }
                    continue;
                }
            };
            tokio::select! {
                biased;
                _ = halted.changed() => {}
                () = sleep(rest) => {}
            }
        }
    }

    /// Sends one reply. That it is about to be sent is on the disk before, and what became of it afterwards.
    async fn deliver(&self, api: &mut Api<O>, pause: &mut Pause, due: &Due) -> Next {
        match self.control.begin_to_send(&self.bot, due.update).await {
            Ok(true) => {}
            Ok(false) => return Next::Go,
            Err(_) => return Next::Later(UNKEPT),
        }
        // Writing took its time: whoever has lost everything meanwhile sends nothing.
        let outcome = if self.may_act().await {
            let params = json!({ "chat_id": due.chat, "text": cut(&due.text) });
            api.call("sendMessage", &params, ANSWER).await.map(drop)
        } else {
            Err(Failed::Unsent("the gateway may not send any more".to_owned()))
        };
        let (fate, next) = match &outcome {
            Ok(()) => (Fate::Sent, Next::Go),
            Err(Failed::Unsent(_)) => (Fate::Unsent, Next::Later(pause.length(&self.os).await)),
            Err(Failed::Refused { code: 401, .. }) => (Fate::Unsent, Next::End),
            Err(Failed::Refused { code: 429, retry_after_s, .. }) => {
                let rest_s = retry_after_s.unwrap_or(1).clamp(1, LONGEST_REST_S);
                (Fate::Unsent, Next::Later(Duration::from_secs(rest_s)))
            }
            Err(Failed::Refused { code: 400..500, .. }) => (Fate::Refused, Next::Go),
            // Whoever fails within may have sent it before.
            Err(Failed::Refused { .. } | Failed::Unknown(_)) => {
                (Fate::Unknown, Next::Later(pause.length(&self.os).await))
            }
        };
        self.settle(due.update, fate).await;
        self.tell(due, fate, outcome.err()).await;
        if fate == Fate::Sent {
            *pause = Pause::new();
        }
        next
    }

    /// Writes down what became of a reply, as soon as that can be written.
    async fn settle(&self, update: i64, fate: Fate) {
        // The next owner says that nobody knows, if this one does not come to it.
        while self.control.settle(&self.bot, update, fate).await.is_err() {
            sleep(UNKEPT).await;
        }
    }

    async fn tell(&self, due: &Due, fate: Fate, failed: Option<Failed>) {
        let now = self.now().await;
        let is_unknown = matches!(failed, Some(Failed::Refused { code: 401, .. }));
        let why = failed.map(|failed| failed.words()).unwrap_or_default();
        let update = due.update;
        match fate {
            Fate::Sent => self.control.channel(&self.id, now, |live| {
                (live.sent, live.outbound_ms) = (live.sent + 1, Some(now.wall_ms));
            }),
            // The service does not know the bot: nobody polls for it any more either.
            Fate::Unsent if is_unknown => self.show(Health::Unauthorized, why, now),
            Fate::Unsent => {}
            Fate::Refused => {
                self.control.channel(&self.id, now, |live| live.refused += 1);
                let what = format!("the reply to update {update} was refused: {why}");
                self.control.note_channel(&self.id, &what);
            }
            Fate::Unknown => {
                let what = format!("the reply to update {update} may have gone out or not: {why}");
                self.control.note_channel(&self.id, &what);
            }
        }
    }
}

/// As much of a reply as the service takes.
fn cut(text: &str) -> String {
    if text.encode_utf16().count() <= LONGEST_REPLY {
        return text.to_owned();
    }
    let mut units = 1;
    let fits = text.chars().take_while(|character| {
        units += character.len_utf16();
        units <= LONGEST_REPLY
    });
    fits.chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_REPLY, cut};

    #[test]
    fn a_reply_that_is_too_long_ends_in_an_ellipsis_where_it_has_to() {
        let fits = "x".repeat(LONGEST_REPLY);
        assert_eq!(cut(&fits), fits);
        for long in [format!("{fits}y"), "😀".repeat(LONGEST_REPLY)] {
            let cut = cut(&long);
            assert!((LONGEST_REPLY - 1..=LONGEST_REPLY).contains(&cut.encode_utf16().count()));
            assert!(cut.strip_suffix('…').is_some_and(|beginning| long.starts_with(beginning)));
        }
    }
}
