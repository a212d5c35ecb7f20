//! Says one thing after the other, and asks now and then what is kept of it.
//!
//! Each thing that it says has a key of its own, and is said again under that key until it is answered: so it must have been said
//! once, however often the connection was lost.

use portcullis_os::Os;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Errand, Notes, enter, request};

/// After so many things that it has said it asks what is kept of them.
const LOOKS: u64 = 7;

/// Of what was said, a gateway keeps at least so much of each session.
const KEPT: usize = 50;

/// One connection.
pub(super) async fn visit<O: Os>(os: &O, errand: &Errand, notes: &Notes) {
    let Some(mut wire) = enter(os, &errand.host, errand.port).await else { return };
    notes.look().asked.let_in += 1;
    let session = format!("agent:{}", errand.name);
    loop {
        let number = notes.look().number;
        let text = format!("{}-{number}", errand.name);
        let params = json!({ "sessionKey": session, "message": text, "idempotencyKey": text });
        let id = format!("s{number}");
        let (answer, is_over) = request(&mut wire, notes, errand, (&id, "chat.send", &params)).await;
        if answer.is_some() {
            let mut notes = notes.look();
            notes.number += 1;
            notes.said.push_back(text);
            if notes.said.len() > KEPT {
                notes.said.pop_front();
            }
        }
        if is_over {
            return;
        }
        sleep(errand.pause).await;
        if !notes.look().number.is_multiple_of(LOOKS) {
            continue;
        }
        let params = json!({ "sessionKey": session, "limit": 150 });
        let id = format!("h{number}");
        let (answer, is_over) = request(&mut wire, notes, errand, (&id, "chat.history", &params)).await;
        if let Some(payload) = answer {
            let heard = own_words(&payload);
            let mut notes = notes.look();
            let counted =
                notes.said.iter().map(|said| (said, heard.iter().filter(|heard| *heard == said).count()));
            let amiss: Vec<(String, usize)> =
                counted.filter(|(_, often)| *often != 1).map(|(said, often)| (said.clone(), often)).collect();
            notes.amiss.extend(amiss);
        }
        if is_over {
            return;
        }
        sleep(errand.pause).await;
    }
}

/// What this client has said, as the gateway remembers it.
fn own_words(payload: &Value) -> Vec<String> {
    let messages = payload["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = messages.iter().filter(|message| message["role"] == "user");
    own.map(|message| words(&message["content"])).collect()
}

/// The text of a message, which is a string or a list of parts.
fn words(content: &Value) -> String {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = || parts.iter().filter_map(|part| part["text"].as_str()).collect();
    content.as_str().map_or_else(text, str::to_owned)
}
