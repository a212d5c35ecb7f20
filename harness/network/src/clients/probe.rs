//! Looks how a gateway is, again and again, as monitors do: whether it answers at all, and whether its bots are served.

use portcullis_os::Os;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{Errand, Notes, PATIENCE, count, enter, note, request};

/// One look. A gateway that answers is not down, whatever it has lost, and one that was never there is not up yet.
pub(super) async fn visit<O: Os>(os: &O, errand: &Errand, notes: &Notes) {
    sleep(errand.pause).await;
    let since = Instant::now();
    let entered = timeout(PATIENCE, enter(os, &errand.host, errand.port)).await.ok().flatten();
    let Some(mut wire) = entered else {
        notes.look().asked.sent += 1;
        note(notes, errand, since, &Err(super::Nothing::Cut));
        let was_up = notes.look().asked.let_in > 0;
        count(notes, if was_up { "probe: down" } else { "probe: not up yet" });
        return;
    };
    notes.look().asked.let_in += 1;
    let (status, _) = request(&mut wire, notes, errand, ("look", "channels.status", &json!({}))).await;
    count(notes, word(status.as_ref()));
}

fn word(status: Option<&Value>) -> &'static str {
    let Some(status) = status else { return "probe: down" };
    let accounts = status["channelAccounts"]["telegram"].as_array().map(Vec::as_slice).unwrap_or_default();
    let serves = accounts.iter().all(|account| account["connected"] == true);
    if serves { "probe: healthy" } else { "probe: degraded" }
}
