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

/// A secret as it is written, for whoever has to say it: it is shown nowhere, and a gateway keeps none.
#[derive(Clone, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    /// As it is written.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What it is compared with.
    pub fn secret(&self) -> Secret {
        Secret::new(&self.0)
    }

    /// The text, to be said to a gateway and to nobody else.
    pub(crate) fn said(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Word(..)")
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
    /// The word for it in a configuration.
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::Open => "none",
            Self::Token(_) => "token",
            Self::Password(_) => "password",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Auth, Secret, Word};

    #[test]
    fn a_secret_is_itself_and_shows_nothing() {
        let secret = Secret::new("s3cret");
        assert!(secret.is("s3cret"));
        for other in ["", "s3cre", "s3cret ", "S3cret"] {
            assert!(!secret.is(other), "{other}");
        }
        assert_eq!(format!("{:?}", Auth::Token(secret)), "Token(Secret(..))");
        assert_eq!(format!("{:?}", Word::new("s3cret")), "Word(..)");
        assert_eq!(Word::new("s3cret").secret(), Secret::new("s3cret"));
    }
}
