//! What a process says about itself, so that others need not guess: the moments that matter for ownership.

use std::ffi::OsString;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{FileId, Pid, Port};

/// One configuration file, whatever inode it has today: editors replace the inode, the name in its directory stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigKey {
    /// The directory that the file is in.
    pub directory: FileId,
    /// The file's name in that directory.
    pub name: OsString,
}

/// What an owner owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ownership {
    /// The state directory.
    pub state: FileId,
    /// The configuration, where the design knows one.
    pub config: Option<ConfigKey>,
    /// The first port that is reserved.
    pub base: Port,
    /// How many ports above the base are reserved as well.
    pub span: u16,
}

/// A moment in the life of a gateway, told when it comes (as a service tells its manager that it is ready).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Notice {
    /// From here on this process acts as the owner.
    Owner(Ownership),
    /// The owner serves clients.
    Ready,
    /// The process gives up and changes nothing.
    Refused {
        /// The stable code of the reason, for instance `held-starting`.
        code: String,
        /// The process that is said to be in the way.
        holder: Option<Pid>,
    },
    /// Something that people may not expect. Nothing follows from it.
    Noted(String),
    /// The owner has stopped acting as one. Its locks go next.
    Released,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(_) => f.write_str("owner"),
            Self::Ready => f.write_str("ready"),
            Self::Refused { code, holder: None } => write!(f, "refused: {code}"),
            Self::Refused { code, holder: Some(pid) } => write!(f, "refused: {code} by pid {pid}"),
            Self::Noted(text) => write!(f, "note: {text}"),
            Self::Released => f.write_str("released"),
        }
    }
}
