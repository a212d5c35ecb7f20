//! One bot: a task that polls it and sends what is owed, until it is told to stop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_os::{Errno, FileId, Links, Os};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::api::Api;
use super::poll::wanted;
use crate::auth::Word;
use crate::control::{Control, Health, Now};
use crate::server::Host;
use crate::settings::{ApiRoot, ChannelAccount};
use crate::store::file_name;

/// How much longer than it was asked to wait a service may take for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How often it is looked whether a gateway that is not ready yet may begin.
pub(super) const READY: Duration = Duration::from_millis(25);
/// How long it waits for whoever writes down, and for what cannot be written.
pub(super) const UNKEPT: Duration = Duration::from_secs(1);
/// The longest that a service may ask to be left alone, in seconds.
pub(super) const LONGEST_REST_S: u64 = 300;
/// How long what is being sent may take when the gateway stops.
const LAST_SEND: Duration = Duration::from_millis(2_000);
/// How long the last word to the service may take.
const LAST_WORD: Duration = Duration::from_millis(1_000);
/// The first pause after a failure, in milliseconds.
const FIRST_PAUSE_MS: u64 = 500;
/// The longest one.
pub(super) const LONGEST_PAUSE_MS: u64 = 30_000;

/// A bot.
#[derive(Clone)]
pub(super) struct Account<O: Os> {
    pub(super) os: O,
    pub(super) control: Control,
    epoch: u64,
    /// Where the state directory is, and which it is.
    state: PathBuf,
    home: FileId,
    pub(super) id: String,
    pub(super) bot: String,
    token: Word,
    root: ApiRoot,
    pub(super) poll_s: u64,
}

/// Pauses that grow, each a part of it left to chance so that two who fail together do not come again together.
pub(super) struct Pause {
    next_ms: u64,
}

impl Pause {
    pub(super) const fn new() -> Self {
        Self { next_ms: FIRST_PAUSE_MS }
    }

    pub(super) async fn length<O: Os>(&mut self, os: &O) -> Duration {
        let longest_ms = self.next_ms;
        self.next_ms = (2 * longest_ms).min(LONGEST_PAUSE_MS);
        // A machine without randomness waits as long as it may.
        let chance =
            os.random().await.map_or(u64::MAX, |bytes| u64::from(bytes[0]) << 8 | u64::from(bytes[1]));
        Duration::from_millis(longest_ms / 2 + (longest_ms / 2) * chance.min(0xffff) / 0xffff)
    }
}

impl<O: Os> Account<O> {
    /// The bot of an account; `None`: it is not to be polled.
    pub(super) fn new(
        os: &O,
        control: &Control,
        epoch: u64,
        (state, home): (&str, FileId),
        written: &ChannelAccount,
    ) -> Option<Self> {
        let (token, root) = (written.token.clone()?, written.root.clone()?);
        written.enabled.then_some(())?;
        Some(Self {
            os: os.clone(),
            control: control.clone(),
            epoch,
            state: Path::new(state).to_owned(),
            home,
            id: written.id.clone(),
            bot: written.bot()?,
            token,
            root,
            poll_s: written.poll_s,
        })
    }

    pub(super) fn api(&self) -> Api<O> {
        Api::new(&self.os, &self.root, &self.token)
    }

    pub(super) async fn now(&self) -> Now {
        Host::now(&self.os).await
    }

    /// Polls and sends until it is told to stop, or the service does not know the bot.
    pub(super) async fn live(self, mut stopped: watch::Receiver<bool>) {
        let now = self.now().await;
        self.control.channel(&self.id, now, |live| {
            (live.running, live.health, live.error) = (true, Health::Starting, None);
            (live.attempts, live.started_ms) = (0, Some(now.wall_ms));
        });
        let halt = watch::Sender::new(false);
        let mut has_sent_all = false;
        {
            let (polling, sending) = (self.poll(), self.send(halt.subscribe()));
            tokio::pin!(polling, sending);
            let is_stopped = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => true,
                () = &mut polling => false,
                () = &mut sending => { has_sent_all = true; false }
            };
            halt.send_replace(true);
            let last_send = async {
                if !has_sent_all {
                    // What does not end in time is cut off, and then nobody knows what became of it.
                    let _ = timeout(LAST_SEND, &mut sending).await;
                }
            };
            // The poll is still open meanwhile: the service ends it when it hears the last word, and keeps nobody out.
            tokio::join!(last_send, self.last_word(is_stopped));
        }
        let now = self.now().await;
        self.control.channel(&self.id, now, |live| {
            (live.running, live.connected, live.stopped_ms) = (false, false, Some(now.wall_ms));
            if live.health != Health::Unauthorized {
                (live.health, live.error) = (Health::Stopped, None);
            }
        });
    }

    /// A poll that does not wait ends the one that does, and confirms what was written down.
    async fn last_word(&self, is_stopped: bool) {
        let mut is_healthy = false;
        let now = self.now().await;
        self.control.channel(&self.id, now, |live| is_healthy = live.health == Health::Healthy);
        // In a conflict it would end the poll of somebody else.
        let is_ours = is_stopped && is_healthy && self.is_at_home().await;
        if let (true, Ok(last)) = (is_ours, self.control.last_update(&self.bot)) {
            let params = wanted(last, 1, 0);
            let mut api = self.api();
            let _ = timeout(LAST_WORD, api.call("getUpdates", &params, LAST_WORD)).await;
        }
    }

    /// Whether this gateway may poll and send: it serves, its epoch is not over, and it has not lost what it owns: a successor
    /// begins the file of its memory before it polls. What cannot be looked at has not been lost.
    pub(super) async fn may_act(&self) -> bool {
        if !self.control.may_act(self.epoch) {
            return false;
        }
        let successor = self.state.join(file_name(self.epoch + 1));
        self.is_at_home().await
            && self.os.stat(&successor, Links::Follow).await.is_err()
            && self.control.may_act(self.epoch)
    }

    /// Whether the state directory is where it was. Where that cannot be seen, it is.
    async fn is_at_home(&self) -> bool {
        match self.os.stat(&self.state, Links::Follow).await {
            Ok(status) => status.id == self.home,
            Err(errno) => errno != Errno::NotFound,
        }
    }

    /// Tries the service, and takes down what comes of it.
    pub(super) async fn probe(&self, longest: Duration) {
        let began = tokio::time::Instant::now();
        let mut api = self.api();
        let tried = timeout(longest, api.call("getMe", &json!({}), longest)).await;
        let elapsed_ms = began.elapsed().as_millis();
        let now = self.now().await;
        self.control.channel(&self.id, now, |live| {
            let error = match &tried {
                Ok(Ok(_)) if live.health == Health::Conflict => Some("conflict".to_owned()),
                Ok(Ok(_)) => None,
                Ok(Err(failed)) => Some(failed.words()),
                Err(_) => Some("no answer came in time".to_owned()),
            };
            let mut probe = json!({ "ok": error.is_none(), "elapsedMs": elapsed_ms });
            if let Some(error) = error {
                probe["error"] = json!(error);
            }
            if let Some(name) = &live.username {
                probe["bot"] = json!({ "username": name });
            }
            live.probe = Some(probe);
        });
    }
}
