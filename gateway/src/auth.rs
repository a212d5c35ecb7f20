//! What only those may know who may come in. It is compared in constant time and never shown.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A secret, as a digest: its length shows nowhere either.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Of its text.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether this is it. Takes as long whether it is or not.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.0.ct_eq(&Self::new(text).0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// What a client must know to come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nothing. For loopback only: whoever can reach the port may do everything.
    Open,
    /// The token.
    Token(Secret),
    /// The password.
    Password(Secret),
}

impl Auth {
    /// The words for it.
    pub(crate) const fn what(&self) -> &'static str {
        match self {
            Self::Open => "nothing",
            Self::Token(_) => "the token",
            Self::Password(_) => "the password",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Auth, Secret};

    #[test]
    fn a_secret_is_itself_and_shows_nothing() {
        let secret = Secret::new("s3cret");
        assert!(secret.is("s3cret"));
        for other in ["", "s3cre", "s3cret ", "S3cret"] {
            assert!(!secret.is(other), "{other}");
        }
        assert_eq!(format!("{:?}", Auth::Token(secret)), "Token(Secret(..))");
    }
}
