//! A device is known by an Ed25519 key: it signs who it is, what it asks for and the challenge of this very connection.

use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

/// How old a signature may be, or how far ahead, in milliseconds.
const FRESH_MS: u64 = 120_000;

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    /// The SHA-256 of its public key, in hexadecimal.
    pub(crate) id: String,
    /// 32 bytes in base64url without padding.
    pub(crate) public_key: String,
    /// 64 bytes in base64url without padding.
    pub(crate) signature: String,
    /// When it was signed, in milliseconds since 1970.
    pub(crate) signed_at: u64,
    /// The challenge that it answers.
    pub(crate) nonce: String,
}

/// What is signed besides what the device says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) client: &'a str,
    pub(crate) mode: &'a str,
    pub(crate) role: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) token: &'a str,
    pub(crate) platform: &'a str,
    pub(crate) family: &'a str,
}

/// Why a device is not who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceFault {
    /// The key is none.
    Key,
    /// The id is not that of the key.
    Id,
    /// It answers no challenge.
    NoNonce,
    /// It answers another challenge.
    Nonce,
    /// It was signed too long ago, or in the future.
    Stale,
    /// The signature is not that of the key over what was said.
    Signature,
}

impl DeviceFault {
    /// The word that clients tell it by.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Key => "DEVICE_AUTH_PUBLIC_KEY_INVALID",
            Self::Id => "DEVICE_AUTH_DEVICE_ID_MISMATCH",
            Self::NoNonce => "DEVICE_AUTH_NONCE_REQUIRED",
            Self::Nonce => "DEVICE_AUTH_NONCE_MISMATCH",
            Self::Stale => "DEVICE_AUTH_SIGNATURE_EXPIRED",
            Self::Signature => "DEVICE_AUTH_SIGNATURE_INVALID",
        }
    }

    /// In a sentence.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Key => "device public key invalid",
            Self::Id => "device identity mismatch",
            Self::NoNonce => "device nonce required",
            Self::Nonce => "device nonce mismatch",
            Self::Stale => {
                "device signature expired: the clocks of the two machines differ by more than two minutes"
            }
            Self::Signature => "device signature invalid",
        }
    }
}

impl Device {
    /// Whether the device has signed this, for this challenge, just now.
    pub(crate) fn verify(&self, said: Said<'_>, nonce: &str, now_ms: u64) -> Result<(), DeviceFault> {
        let key: [u8; 32] = bytes(&self.public_key).ok_or(DeviceFault::Key)?;
        let verifying = VerifyingKey::from_bytes(&key).map_err(|_| DeviceFault::Key)?;
        if self.id != HEXLOWER.encode(&Sha256::digest(key)) {
            return Err(DeviceFault::Id);
        }
        if self.nonce.is_empty() {
            return Err(DeviceFault::NoNonce);
        }
        if self.nonce != nonce {
            return Err(DeviceFault::Nonce);
        }
        if self.signed_at.abs_diff(now_ms) > FRESH_MS {
            return Err(DeviceFault::Stale);
        }
        let signature: [u8; 64] = bytes(&self.signature).ok_or(DeviceFault::Signature)?;
        let signature = Signature::from_bytes(&signature);
        let [second, third] = self.texts(said);
        let verifies = |text: &str| verifying.verify_strict(text.as_bytes(), &signature).is_ok();
        if verifies(&third) || verifies(&second) { Ok(()) } else { Err(DeviceFault::Signature) }
    }

    /// What a device signs, in the second and in the third version.
    fn texts(&self, said: Said<'_>) -> [String; 2] {
        let Said { client, mode, role, scopes, token, platform, family } = said;
        let Self { id, signed_at, nonce, .. } = self;
        let scopes = scopes.join(",");
        let rest = format!("{id}|{client}|{mode}|{role}|{scopes}|{signed_at}|{token}|{nonce}");
        let (platform, family) = (platform.to_lowercase(), family.to_lowercase());
        [format!("v2|{rest}"), format!("v3|{rest}|{platform}|{family}")]
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{Device, DeviceFault, Said};

    /// A signature of a real client.
    fn device() -> Device {
        Device {
            id: "82704344e35d1b0804f61367713d7d4f2c4ef5edf4afe104252da488fda3059a".to_owned(),
            public_key: "a79_xKtE7_AGAEpO8sc6WFRRVSFEQwN6k277KhM9iIQ".to_owned(),
            signature:
                "NYf6lQ494yRYEB3qNLReDesndzd1-EnWa4texAfl149mwyDMB2OEabqnAEK7fZp6HwHD95RocD5IkpGkz8AsBw"
                    .to_owned(),
            signed_at: 1_795_295_080_491,
            nonce: "90ea42cd-c570-4e18-af7a-2762b422fb62".to_owned(),
        }
    }

    const NOW: u64 = 1_795_295_080_600;

    fn verify(device: &Device, change: impl FnOnce(&mut Said<'_>)) -> Result<(), DeviceFault> {
        let scopes = ["operator.read".to_owned()];
        let mut said = Said {
            client: "cli",
            mode: "cli",
            role: "operator",
            scopes: &scopes,
            token: "",
            platform: "Linux",
            family: "Linux",
        };
        change(&mut said);
        device.verify(said, "90ea42cd-c570-4e18-af7a-2762b422fb62", NOW)
    }

    #[test]
    fn a_real_signature_is_valid_for_what_was_said_and_for_nothing_else() {
        assert_eq!(verify(&device(), |_| ()), Ok(()));
        for change in [
            (|said| said.client = "test") as fn(&mut Said<'_>),
            |said| said.mode = "probe",
            |said| said.role = "node",
            |said| said.scopes = &[],
            |said| said.token = "t",
            |said| said.platform = "darwin",
            |said| said.family = "",
        ] {
            assert_eq!(verify(&device(), change), Err(DeviceFault::Signature));
        }
    }

    #[test]
    fn each_fault_of_a_device_has_a_name() {
        let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
        for (device, fault) in [
            (Device { public_key: "x".to_owned(), ..device() }, DeviceFault::Key),
            (Device { public_key: other, ..device() }, DeviceFault::Id),
            (Device { id: "82704344".to_owned(), ..device() }, DeviceFault::Id),
            (Device { nonce: String::new(), ..device() }, DeviceFault::NoNonce),
            (Device { nonce: "n".to_owned(), ..device() }, DeviceFault::Nonce),
            (Device { signed_at: NOW - 120_001, ..device() }, DeviceFault::Stale),
            (Device { signed_at: NOW + 120_001, ..device() }, DeviceFault::Stale),
            (Device { signed_at: NOW, ..device() }, DeviceFault::Signature),
            (Device { signature: "AA".to_owned(), ..device() }, DeviceFault::Signature),
        ] {
            assert_eq!(verify(&device, |_| ()), Err(fault), "{device:?}");
        }
    }
}
