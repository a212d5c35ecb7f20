//! Where the state and the configuration are, as absolute paths that say the same to everybody.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::{CONFIG_PATH, Origin, Problem, Problems, Profile, STATE_DIR, Surroundings};

/// The name of the configuration file in a state directory. The format is `OpenClaw`'s, so the name is too.
pub const CONFIG_NAME: &str = "openclaw.json";

/// The directory of the log in a state directory.
pub const LOG_DIRECTORY: &str = "logs";

/// The log in that directory.
pub const LOG_NAME: &str = "gateway.jsonl";

/// The name of the state directory in the home directory. Not `OpenClaw`'s, so that a real installation is never
/// touched by accident.
const HOME_NAME: &str = ".refgate";

/// What could be settled; a part that is `None` has left a problem behind.
pub(super) struct Paths {
    pub(super) state: Option<PathBuf>,
    pub(super) config: Option<PathBuf>,
}

/// Chooses both paths. `profile` is `None` if its name is unusable.
pub(super) fn choose(
    profile: Option<&Option<Profile>>,
    around: &Surroundings,
    problems: &mut Problems,
) -> Paths {
    let state = match around.variable(STATE_DIR) {
        Some(value) => absolute(STATE_DIR, Origin::Variable(STATE_DIR), value, around, problems),
        None => profile.and_then(|profile| by_profile(profile.as_ref(), around, problems)),
    };
    let config = match around.variable(CONFIG_PATH) {
        Some(value) => absolute(CONFIG_PATH, Origin::Variable(CONFIG_PATH), value, around, problems),
        None => state.as_ref().map(|state| state.join(CONFIG_NAME)),
    };
    Paths { state, config }
}

/// The state directory that belongs to a profile.
fn by_profile(profile: Option<&Profile>, around: &Surroundings, problems: &mut Problems) -> Option<PathBuf> {
    Some(home(STATE_DIR, around, problems)?.join(state_name(profile)))
}

/// What the state directory of a profile is called in the home directory.
pub fn state_name(profile: Option<&Profile>) -> String {
    match profile {
        Some(profile) => format!("{HOME_NAME}-{}", profile.as_str()),
        None => HOME_NAME.to_owned(),
    }
}

/// The profile whose state directory is called so in the home directory, `Some(None)` for the default one.
pub fn profile_of(name: &str) -> Option<Option<Profile>> {
    match name.strip_prefix(HOME_NAME)? {
        "" => Some(None),
        rest => Profile::new(rest.strip_prefix('-')?).map(Some),
    }
}

/// The home directory, if it is known and absolute.
fn home<'a>(instead: &'static str, around: &'a Surroundings, problems: &mut Problems) -> Option<&'a Path> {
    let home = around.home.as_deref().filter(|home| home.is_absolute());
    if home.is_none() {
        problems.push(Problem::NoHome { instead, value: around.home.clone() });
    }
    home
}

/// An absolute path without `.` and doubled or trailing slashes. `..` stays: after a symbolic link it leads elsewhere
/// than the text says. Where there is no home directory for a `~`, `instead` can be set.
pub(super) fn absolute(
    instead: &'static str,
    origin: Origin,
    value: &OsStr,
    around: &Surroundings,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let path = Path::new(value);
    let mut parts = path.components();
    let path = match parts.next() {
        Some(Component::Normal(first)) if first == "~" => home(instead, around, problems)?.join(parts),
        Some(Component::Normal(first)) if first.as_encoded_bytes().starts_with(b"~") => {
            problems.push(Problem::HomeOfOther { origin, value: path.to_owned() });
            return None;
        }
        _ if path.is_absolute() => path.to_owned(),
        _ => match &around.directory {
            Some(directory) => directory.join(path),
            None => {
                problems.push(Problem::NoDirectory { origin, value: path.to_owned() });
                return None;
            }
        },
    };
    Some(path.components().collect())
}
