//! A profile is a name that is safe in a file name, and a name of its own gives it a port of its own.

use portcullis_os::Port;

use super::{Flags, Origin, PROFILE, Problem, Problems, Surroundings};

/// The longest profile name, in bytes.
const LONGEST: usize = 64;

/// The name of a profile that is not the default one: a letter or digit, then letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile(String);

impl Profile {
    /// Reads a name; `None` unless it is one. Whether `default` means no profile is not decided here.
    pub fn new(name: &str) -> Option<Self> {
        let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let goes_on_well =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        (starts_well && goes_on_well && name.len() <= LONGEST).then(|| Self(name.to_owned()))
    }

    /// The name itself. Upper and lower case differ.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The base port of this profile where nobody chose one: 20000 to 59999, by a hash of the name.
    ///
    /// Two names can have blocks that overlap. That is refused when both start, not prevented here, because the rule
    /// is `OpenClaw`'s (since 2026.8).
    pub fn port(&self) -> Port {
        let hash = self
            .0
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let port = u16::try_from(20_000 + hash % 40_000).ok().and_then(Port::new);
        port.unwrap_or(super::DEFAULT_PORT)
    }
}

/// The profile that was asked for: `Some(None)` is the default one, `None` that the name is unusable.
pub(super) fn choose(
    flags: &Flags,
    around: &Surroundings,
    problems: &mut Problems,
) -> Option<Option<Profile>> {
    let (origin, name) = match (&flags.profile, around.variable(PROFILE)) {
        (Some(name), _) => (Origin::Flag("--profile"), name.clone()),
        (None, Some(name)) => (Origin::Variable(PROFILE), name.to_string_lossy().into_owned()),
        (None, None) => return Some(None),
    };
    if name == "default" {
        return Some(None);
    }
    let profile = Profile::new(&name);
    if profile.is_none() {
        problems.push(Problem::ProfileName { origin, value: name });
        return None;
    }
    Some(profile)
}
