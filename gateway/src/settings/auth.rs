//! Who may come in: `gateway.auth` and the two variables that hold its secrets.

use super::config::Reader;
use super::scan::Member;
use super::{GATEWAY_PASSWORD, GATEWAY_TOKEN, Origin, Problem, Problems, Surroundings};
use crate::auth::{Auth, Secret};
use crate::claim::Listen;

use super::excerpt::Excerpt;
use crate::text::brief;

/// What a configuration says about who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Configured {
    mode: Option<(Mode, Excerpt)>,
    token: Option<Secret>,
    password: Option<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    None,
    Token,
    Password,
}

impl Reader<'_> {
    /// `gateway.auth`.
    pub(super) fn auth(&mut self, gateway: &[Member]) -> Configured {
        let Some(members) = self.object(gateway, "auth", "`gateway.auth`") else {
            return Configured::default();
        };
        let mode = self.only_one(&members, "mode").map(|mode| mode.value.clone());
        let mode = mode.and_then(|value| {
            let word = self.string(&value, "`gateway.auth.mode`")?;
            let at = self.excerpt(&value);
            match word.as_str() {
                "none" => Some((Mode::None, at)),
                "token" => Some((Mode::Token, at)),
                "password" => Some((Mode::Password, at)),
                _ => {
                    self.problems.push(Problem::Choice {
                        at,
                        what: "`gateway.auth.mode`",
                        value: brief(&word),
                        choices: "\"token\", \"password\" or \"none\"",
                    });
                    None
                }
            }
        });
        let token = self.secret(&members, "token", "`gateway.auth.token`");
        let password = self.secret(&members, "password", "`gateway.auth.password`");
        Configured { mode, token, password }
    }

    fn secret(&mut self, members: &[Member], name: &str, what: &'static str) -> Option<Secret> {
        let value = self.only_one(members, name)?.value.clone();
        let text = self.string(&value, what)?;
        (!text.is_empty()).then(|| Secret::new(&text))
    }
}

/// Who may come in, and by which word: that of the environment before that of the configuration.
pub(super) fn choose(
    configured: Configured,
    listen: Listen,
    around: &Surroundings,
    problems: &mut Problems,
) -> Auth {
    let variable = |name| around.variable(name).map(|value| Secret::new(&value.to_string_lossy()));
    let token = variable(GATEWAY_TOKEN).or(configured.token);
    let password = variable(GATEWAY_PASSWORD).or(configured.password);
    let (mode, origin) = match configured.mode {
        Some((mode, at)) => (mode, Origin::Config(at)),
        None if token.is_some() => (Mode::Token, Origin::Default),
        None if password.is_some() => (Mode::Password, Origin::Default),
        None => (Mode::None, Origin::Default),
    };
    let missing = match (mode, token, password) {
        (Mode::Token, Some(token), _) => return Auth::Token(token),
        (Mode::Password, _, Some(password)) => return Auth::Password(password),
        (Mode::None, ..) if listen == Listen::Loopback => return Auth::Open,
        (Mode::None, ..) => Problem::OpenToAll { origin, listen },
        (Mode::Token, ..) => Problem::NoSecret { origin, key: "gateway.auth.token", variable: GATEWAY_TOKEN },
        (Mode::Password, ..) => {
            Problem::NoSecret { origin, key: "gateway.auth.password", variable: GATEWAY_PASSWORD }
        }
    };
    problems.push(missing);
    Auth::Open
}
