//! Which devices may come: one on this machine that knows the secret may at once, one from elsewhere when somebody lets it in.
//!
//! What lets a device come again is a token of 32 random bytes. It is told once, and only its digest is kept.

use std::net::IpAddr;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Now;
use super::work::{Audience, Decision, Deed, News, no_randomness};
use super::world::World;
use crate::protocol::{Code, Failure, Scopes, scope};
use crate::store::{Device, Hidden, Record};

/// How long a device may wait to be let in, in milliseconds.
pub(super) const WAITING_MS: u64 = 300_000;
/// At most so many wait.
const MOST_WAITING: usize = 64;

/// A device that wants to come in.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) device: String,
    pub(super) public_key: String,
    pub(super) name: String,
    pub(super) platform: String,
    pub(super) client: String,
    pub(super) mode: String,
    pub(super) role: String,
    pub(super) scopes: Scopes,
    pub(super) address: IpAddr,
}

/// One that waits.
#[derive(Debug)]
pub(super) struct Pending {
    asking: Asking,
    at: Now,
}

/// What a token of a device is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Good {
    /// For what is asked.
    For,
    /// For less than is asked.
    ForLess,
    /// For nothing.
    ForNothing,
}

/// What a token of a device is good for. Takes as long for each that the device has.
pub(super) fn look_at(world: &World, device: &str, role: &str, token: &str, asked: &Scopes) -> Good {
    let digest = digest(token);
    let Some(known) = world.memory.device(device) else { return Good::ForNothing };
    let mut found = Good::ForNothing;
    for own in known.tokens.iter().filter(|own| own.role == role) {
        if own.digest.0.as_bytes().ct_eq(digest.0.as_bytes()).into() {
            found = if covers(&own.scopes, asked) { Good::For } else { Good::ForLess };
        }
    }
    found
}

fn digest(token: &str) -> Hidden {
    Hidden(HEXLOWER.encode(&Sha256::digest(token)))
}

fn covers(approved: &[String], asked: &Scopes) -> bool {
    let approved = Scopes::of(approved);
    asked.as_slice().iter().all(|scope| approved.allow(scope))
}

/// A device comes that knows the secret: it gets a token, or has to wait.
pub(super) fn ask(world: &mut World, asking: &Asking, now: Now) -> Result<Decision, Failure> {
    let known = world.memory.device(&asking.device);
    let approved = known.and_then(|known| known.approved.get(&asking.role)).map(|(scopes, _)| scopes.clone());
    let is_approved = approved.as_ref().is_some_and(|approved| covers(approved, &asking.scopes));
    if !is_approved && !asking.address.is_loopback() {
        let reason = match (known, approved) {
            (None, _) => Wanting::Device,
            (Some(_), None) => Wanting::Role,
            (Some(_), Some(_)) => Wanting::Scopes,
        };
        return wait(world, asking, reason, now);
    }
    let token = BASE64URL_NOPAD.encode(&world.draws.draw().ok_or_else(no_randomness)?);
    let mut records = Vec::new();
    if !is_approved {
        // What was approved before stays so.
        let all = [approved.unwrap_or_default(), asking.scopes.as_slice().to_vec()].concat();
        records.push(asking.paired(&Scopes::of(&all), now));
    }
    records.push(Record::Issued {
        device: asking.device.clone(),
        role: asking.role.clone(),
        digest: digest(&token),
        scopes: asking.scopes.as_slice().to_vec(),
        at_ms: now.wall_ms,
    });
    let note = (!is_approved).then(|| ("pairing.approved", asking.device.clone()));
    let answer = json!({ "deviceToken": token, "issuedAtMs": now.wall_ms });
    Ok(Decision::to_do(Deed { records, answer, note, ..Deed::default() }))
}

/// What a device asks for that it may not have yet.
#[derive(Clone, Copy, Debug)]
enum Wanting {
    Device,
    Role,
    Scopes,
}

/// A device has to wait until somebody lets it in. Answers what it is told.
fn wait(world: &mut World, asking: &Asking, wanting: Wanting, now: Now) -> Result<Decision, Failure> {
    forget_old(world, now);
    let is_it =
        |pending: &Pending| pending.asking.device == asking.device && pending.asking.role == asking.role;
    let before = world.pending.iter().find(|(_, pending)| is_it(pending)).map(|(id, _)| id.clone());
    let is_new = before.is_none();
    let request = match before {
        Some(request) => request,
        None => world.draws.uuid().ok_or_else(no_randomness)?,
    };
    while is_new
        && world.pending.len() >= MOST_WAITING
        && let Some((oldest, _)) = world.pending.iter().min_by_key(|(_, pending)| pending.at.monotonic_ms)
    {
        let oldest = oldest.clone();
        world.pending.remove(&oldest);
    }
    let pending = Pending { asking: asking.clone(), at: now };
    let mut news = None;
    if is_new {
        world.ring.note("pairing.requested", &asking.device, now.wall_ms);
        let row = pending.row(&request);
        news = Some(News::of("device.pair.requested", &row, Audience::Scope(scope::PAIRING)));
    }
    world.pending.insert(request.clone(), pending);
    let (reason, what) = match wanting {
        Wanting::Device => ("not-paired", "device is not approved yet"),
        Wanting::Role => ("role-upgrade", "device is asking for a higher role than currently approved"),
        Wanting::Scopes => ("scope-upgrade", "device is asking for more scopes than currently approved"),
    };
    let failure = Failure {
        code: Code::NotPaired,
        details: Some(json!({
            "code": "PAIRING_REQUIRED",
            "reason": reason,
            "requestId": request,
            "deviceId": asking.device,
            "requestedRole": asking.role,
            "requestedScopes": asking.scopes.as_slice(),
            "remediationHint": "Approve this device with device.pair.approve, from a client that may.",
        })),
        ..Failure::invalid(format!("pairing required: {what} (requestId: {request})"))
    };
    Ok(Decision::Refused(failure, news))
}

/// Who waited too long waits no more.
fn forget_old(world: &mut World, now: Now) {
    world.pending.retain(|_, pending| now.monotonic_ms.saturating_sub(pending.at.monotonic_ms) < WAITING_MS);
}

fn unknown_request() -> Failure {
    Failure::invalid("unknown requestId: see device.pair.list for those that wait")
}

fn unknown_device() -> Failure {
    Failure::invalid("unknown deviceId: see device.pair.list for those that are paired")
}

/// Somebody lets a device in: nobody gives what it has not.
pub(super) fn approve(world: &mut World, request: &str, by: &Scopes, now: Now) -> Result<Decision, Failure> {
    forget_old(world, now);
    let asking = world.pending.get(request).ok_or_else(unknown_request)?.asking.clone();
    if let Some(lacking) = asking.scopes.as_slice().iter().find(|scope| !by.allow(scope)) {
        return Err(Failure::missing_scope(lacking));
    }
    let known = world.memory.device(&asking.device);
    let before = known.and_then(|known| known.approved.get(&asking.role)).map(|(scopes, _)| scopes.clone());
    let all = [before.unwrap_or_default(), asking.scopes.as_slice().to_vec()].concat();
    let scopes = Scopes::of(&all);
    let device = json!({
        "deviceId": asking.device, "publicKey": asking.public_key, "displayName": asking.name,
        "platform": asking.platform, "role": asking.role, "scopes": scopes.as_slice(), "approvedAtMs": now.wall_ms,
    });
    Ok(Decision::to_do(Deed {
        records: vec![asking.paired(&scopes, now)],
        answer: json!({ "requestId": request, "device": device }),
        news: vec![resolved(request, &asking.device, "approved", now)],
        settled: Some(request.to_owned()),
        note: Some(("pairing.approved", asking.device)),
        ..Deed::default()
    }))
}

/// Somebody does not let a device in.
pub(super) fn reject(world: &mut World, request: &str, now: Now) -> Result<Decision, Failure> {
    forget_old(world, now);
    let device = &world.pending.get(request).ok_or_else(unknown_request)?.asking.device;
    Ok(Decision::to_do(Deed {
        answer: json!({ "requestId": request, "deviceId": device }),
        news: vec![resolved(request, device, "rejected", now)],
        settled: Some(request.to_owned()),
        note: Some(("pairing.rejected", device.clone())),
        ..Deed::default()
    }))
}

fn resolved(request: &str, device: &str, decision: &str, now: Now) -> News {
    let payload =
        json!({ "requestId": request, "deviceId": device, "decision": decision, "ts": now.wall_ms });
    News::of("device.pair.resolved", &payload, Audience::Scope(scope::PAIRING))
}

/// A device may not come any more.
pub(super) fn remove(world: &World, device: &str) -> Result<Decision, Failure> {
    world.memory.device(device).ok_or_else(unknown_device)?;
    Ok(Decision::to_do(Deed {
        records: vec![Record::Removed { device: device.to_owned() }],
        answer: json!({ "deviceId": device }),
        expelled: Some((device.to_owned(), None)),
        note: Some(("pairing.removed", device.to_owned())),
        ..Deed::default()
    }))
}

/// The tokens of a device in a role count no more.
pub(super) fn revoke(world: &World, device: &str, role: &str, now: Now) -> Result<Decision, Failure> {
    let known = world.memory.device(device).ok_or_else(unknown_device)?;
    if known.tokens.iter().all(|token| token.role != role) {
        return Err(Failure::invalid("this device has no token in that role"));
    }
    Ok(Decision::to_do(Deed {
        records: vec![Record::Revoked { device: device.to_owned(), role: role.to_owned() }],
        answer: json!({ "deviceId": device, "role": role, "revokedAtMs": now.wall_ms }),
        expelled: Some((device.to_owned(), Some(role.to_owned()))),
        note: Some(("pairing.revoked", device.to_owned())),
        ..Deed::default()
    }))
}

/// Who waits and who may come.
pub(super) fn list(world: &mut World, now: Now) -> Value {
    forget_old(world, now);
    json!({
        "pending": world.pending.iter().map(|(request, pending)| pending.row(request)).collect::<Vec<_>>(),
        "paired": world.memory.devices().iter().map(|(id, device)| paired(id, device)).collect::<Vec<_>>(),
    })
}

fn paired(id: &str, device: &Device) -> Value {
    let tokens = device
        .tokens
        .iter()
        .map(|token| json!({ "role": token.role, "scopes": token.scopes, "createdAtMs": token.at_ms }));
    let since = device.approved.values().map(|(_, at_ms)| *at_ms);
    let mut scopes: Vec<&String> = device.approved.values().flat_map(|(scopes, _)| scopes).collect();
    scopes.sort();
    scopes.dedup();
    json!({
        "deviceId": id,
        "publicKey": device.public_key,
        "displayName": device.name,
        "platform": device.platform,
        "roles": device.approved.keys().collect::<Vec<_>>(),
        "scopes": scopes,
        "createdAtMs": since.clone().min(),
        "approvedAtMs": since.max(),
        "tokens": tokens.collect::<Vec<_>>(),
    })
}

impl Asking {
    fn paired(&self, scopes: &Scopes, now: Now) -> Record {
        Record::Paired {
            device: self.device.clone(),
            public_key: self.public_key.clone(),
            name: self.name.clone(),
            platform: self.platform.clone(),
            role: self.role.clone(),
            scopes: scopes.as_slice().to_vec(),
            at_ms: now.wall_ms,
        }
    }
}

impl Pending {
    fn row(&self, request: &str) -> Value {
        let asking = &self.asking;
        let mut row = json!({
            "requestId": request,
            "deviceId": asking.device,
            "publicKey": asking.public_key,
            "clientId": asking.client,
            "clientMode": asking.mode,
            "role": asking.role,
            "roles": [asking.role],
            "scopes": asking.scopes.as_slice(),
            "remoteIp": asking.address.to_string(),
            "ts": self.at.wall_ms,
        });
        for (name, text) in [("displayName", &asking.name), ("platform", &asking.platform)] {
            if !text.is_empty() {
                row[name] = json!(text);
            }
        }
        row
    }
}
