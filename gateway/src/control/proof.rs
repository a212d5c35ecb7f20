//! How a client proves that it may come in: by the secret of this gateway, or as a device by a token that it was given.

use serde_json::json;

use super::pairing::{self, Good};
use super::world::World;
use super::{Control, Now};
use crate::auth::{Auth, Secret};
use crate::protocol::{Code, Connect, DeviceFault, Failure, ROLE_NODE, Said, Scopes};

/// By what a client has proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// By the secret that all share, if there is one.
    Secret,
    /// As a device that was let in before.
    Token,
}

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The device is not who it says.
    Device(DeviceFault),
    /// It has to be a device, and does not say which, or to know a secret.
    NoIdentity,
    /// The device shows no secret: a token or a password.
    Missing(&'static str),
    /// The secret is another one. Whether the device has a token that it could show instead.
    Wrong(&'static str, bool),
    /// The token of the device is not one.
    WrongToken,
    /// It is one, and not for all that is asked.
    Scopes,
    /// What is remembered of devices cannot be told.
    Amnesia(String),
}

impl Fault {
    /// Whether this may have been a guess: whoever guesses has to wait.
    pub(super) const fn is_guess(&self) -> bool {
        match self {
            // Where devices are not remembered, what was shown may have been meant for the secret.
            Self::Wrong(..) | Self::WrongToken | Self::Amnesia(_) => true,
            Self::Device(_) | Self::NoIdentity | Self::Missing(_) | Self::Scopes => false,
        }
    }

    /// The word that it is noted by.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Device(fault) => fault.code(),
            Self::NoIdentity => "DEVICE_IDENTITY_REQUIRED",
            Self::Missing("password") => "AUTH_PASSWORD_MISSING",
            Self::Missing(_) => "AUTH_TOKEN_MISSING",
            Self::Wrong("password", _) => "AUTH_PASSWORD_MISMATCH",
            Self::Wrong(..) => "AUTH_TOKEN_MISMATCH",
            Self::WrongToken => "AUTH_DEVICE_TOKEN_MISMATCH",
            Self::Scopes => "AUTH_SCOPE_MISMATCH",
            Self::Amnesia(_) => "UNAVAILABLE",
        }
    }

    /// What the client is told.
    pub(super) fn failure(&self) -> Failure {
        let refused = |reason: String, may_retry: bool, step: &str, message: String| Failure {
            details: Some(json!({
                "code": self.code(),
                "authReason": reason,
                "canRetryWithDeviceToken": may_retry,
                "recommendedNextStep": step,
            })),
            ..Failure::invalid(message)
        };
        let told = |message: &str| Failure {
            details: Some(json!({ "code": self.code() })),
            ..Failure::invalid(message)
        };
        match self {
            Self::Device(fault) => told(fault.message()),
            Self::NoIdentity => Failure { code: Code::NotPaired, ..told("device identity required") },
            Self::Missing(what) => refused(
                format!("{what}_missing"),
                false,
                "update_auth_configuration",
                format!("unauthorized: gateway {what} missing (show this gateway's gateway.auth.{what})"),
            ),
            Self::Wrong(what, may_retry) => refused(
                format!("{what}_mismatch"),
                *may_retry,
                if *may_retry { "retry_with_device_token" } else { "update_auth_credentials" },
                format!(
                    "unauthorized: gateway {what} mismatch (use this gateway's gateway.auth.{what} or pair the device)"
                ),
            ),
            Self::WrongToken => refused(
                "device_token_mismatch".to_owned(),
                false,
                "update_auth_credentials",
                "unauthorized: device token mismatch (come with the gateway's secret to get another one)"
                    .to_owned(),
            ),
            Self::Scopes => refused(
                "scope_mismatch".to_owned(),
                false,
                "review_auth_configuration",
                "unauthorized: device token scope mismatch (ask for less, or come with the gateway's secret)"
                    .to_owned(),
            ),
            Self::Amnesia(why) => {
                let message = format!("the gateway cannot tell which devices may come: {why}");
                Failure::unavailable(&message, Some(1_000), "not-kept")
            }
        }
    }
}

/// Whether a client may come in that is who it says, and by what.
pub(super) fn prove(
    control: &Control,
    world: &World,
    connect: &Connect,
    scopes: &Scopes,
) -> Result<Proof, Fault> {
    let auth = &control.about().auth;
    let shows = |secret: &Secret| {
        let shown = [&connect.auth.token, &connect.auth.password].into_iter().flatten();
        shown.map(|shown| secret.is(shown)).fold(false, |any, is| any | is)
    };
    let knows = match auth {
        Auth::Open => true,
        Auth::Token(secret) | Auth::Password(secret) => shows(secret),
    };
    let Some(device) = &connect.device else {
        let fault = || match connect.auth.secret() {
            Some(_) => Fault::Wrong(auth.mode(), false),
            None => Fault::NoIdentity,
        };
        return if knows { Ok(Proof::Secret) } else { Err(fault()) };
    };
    // Clients show their token where the secret goes, too.
    let token = connect.auth.device_token.as_ref().or(if knows { None } else { connect.auth.token.as_ref() });
    if let (Some(why), Some(_), false) = (world.amnesia(), token, knows) {
        return Err(Fault::Amnesia(why.to_owned()));
    }
    let good = token
        .map_or(Good::ForNothing, |token| pairing::look_at(world, &device.id, &connect.role, token, scopes));
    match good {
        Good::For => Ok(Proof::Token),
        Good::ForLess | Good::ForNothing if knows => Ok(Proof::Secret),
        Good::ForLess => Err(Fault::Scopes),
        Good::ForNothing if connect.auth.device_token.is_some() => Err(Fault::WrongToken),
        Good::ForNothing => Err(match connect.auth.secret() {
            Some(_) => Fault::Wrong(auth.mode(), world.memory.device(&device.id).is_some()),
            None => Fault::Missing(auth.mode()),
        }),
    }
}

/// Whether a device has signed what is said of it. A node must be one.
pub(super) fn verify(connect: &Connect, nonce: &str, now: Now) -> Result<(), Fault> {
    let client = &connect.client;
    let Some(device) = &connect.device else {
        return if connect.role == ROLE_NODE { Err(Fault::NoIdentity) } else { Ok(()) };
    };
    let said = Said {
        client: &client.id,
        mode: &client.mode,
        role: &connect.role,
        scopes: &connect.scopes,
        token: connect.auth.token.as_deref().or(connect.auth.device_token.as_deref()).unwrap_or(""),
        platform: &client.platform,
        family: client.device_family.as_deref().unwrap_or(""),
    };
    device.verify(said, nonce, now.wall_ms).map_err(Fault::Device)
}
