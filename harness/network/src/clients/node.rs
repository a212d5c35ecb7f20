//! A node: a device with a key, which pairs once and comes again with the token that it was given then.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use portcullis_os::Os;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use super::{Errand, Notes, call, count, knock, request};
use crate::gateways::WORD;

/// One connection: it is let in by its token if it has one, else by the secret, and asks again and again how the gateway is.
pub(super) async fn visit<O: Os>(os: &O, errand: &Errand, notes: &Notes) {
    let Some((mut wire, challenge)) = knock(os, &errand.host, errand.port).await else { return };
    let token = notes.look().device_token.clone();
    let connect = connect(&errand.name, token.as_deref(), &challenge["payload"]);
    let Ok(hello) = call(&mut wire, "connect", "connect", &connect).await else {
        count(notes, if token.is_some() { "node: turned away" } else { "node: not paired" });
        return;
    };
    notes.look().asked.let_in += 1;
    match hello["auth"]["deviceToken"].as_str() {
        Some(given) => {
            notes.look().device_token = Some(given.to_owned());
            count(notes, "node: paired");
        }
        None => count(notes, "node: came again"),
    }
    loop {
        let (_, is_over) = request(&mut wire, notes, errand, ("look", "health", &json!({}))).await;
        if is_over {
            return;
        }
        sleep(errand.pause).await;
    }
}

/// What a node says of itself, signed with a key that follows from its name.
fn connect(name: &str, token: Option<&str>, challenge: &Value) -> Value {
    let key = SigningKey::from_bytes(&Sha256::digest(name).into());
    let public = key.verifying_key();
    let id = HEXLOWER.encode(&Sha256::digest(public.as_bytes()));
    // By the clock of the gateway, which has just said what time it is.
    let (nonce, signed_at) = (challenge["nonce"].as_str().unwrap_or_default(), &challenge["ts"]);
    let shown = token.unwrap_or(WORD);
    let signed = format!("v3|{id}|node-host|node|node||{signed_at}|{shown}|{nonce}|linux|");
    let auth = token
        .map_or_else(|| json!({ "token": WORD }), |token| json!({ "token": token, "deviceToken": token }));
    json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "node", "scopes": [], "auth": auth,
        "client": { "id": "node-host", "version": "1", "platform": "linux", "mode": "node" },
        "device": {
            "id": id, "publicKey": BASE64URL_NOPAD.encode(public.as_bytes()),
            "signature": BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).to_bytes()),
            "signedAt": signed_at, "nonce": nonce,
        },
    })
}
