//! Listens to everything and reads nothing: what waits for it grows, and must hold up nobody else.

use futures_util::StreamExt as _;
use portcullis_os::Os;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::{Errand, Notes, PATIENCE, count, enter, request};

/// One connection. It reads in the end, to see how the gateway has ended it.
pub(super) async fn visit<O: Os>(os: &O, errand: &Errand, notes: &Notes) {
    let Some(mut wire) = enter(os, &errand.host, errand.port).await else { return };
    notes.look().asked.let_in += 1;
    let (_, is_over) = request(&mut wire, notes, errand, ("all", "sessions.subscribe", &json!({}))).await;
    if is_over {
        return;
    }
    sleep(errand.pause).await;
    let end = async {
        while let Some(Ok(message)) = wire.next().await {
            if let Message::Close(frame) = message {
                return frame.map_or_else(String::new, |frame| frame.reason.to_string());
            }
        }
        String::new()
    };
    match timeout(PATIENCE, end).await.as_deref() {
        Ok("") => count(notes, "deaf: cut off"),
        Ok(reason) => count(notes, &format!("deaf: {reason}")),
        Err(_) => count(notes, "deaf: let be"),
    }
}
