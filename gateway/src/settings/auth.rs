//! Who may come in: `gateway.auth` and the two variables that hold its secrets.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use super::config::Reader;
use super::explain::{Explained, Given};
use super::scan::Member;
use super::{
    ConfigFile, Found, GATEWAY_PASSWORD, GATEWAY_TOKEN, Origin, Problem, Problems, Surroundings, paths,
};
use crate::auth::{Auth, Word};
use crate::claim::Listen;

use super::excerpt::Excerpt;
use crate::text::brief;

/// The longest file that holds a secret, in bytes.
const LONGEST: usize = 4096;

/// What a configuration says about who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Configured {
    mode: Option<(Mode, Excerpt)>,
    token: Option<(Place, Excerpt)>,
    password: Option<(Place, Excerpt)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    None,
    Token,
    Password,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Here(Word),
    /// In a file that holds nothing else, as it was written.
    File(String),
}

impl Reader<'_> {
    /// `gateway.auth`, with what `secrets.providers` of the whole file says.
    pub(super) fn auth(&mut self, gateway: &[Member], all: &[Member]) -> Configured {
        let Some(members) = self.object(gateway, "auth", "`gateway.auth`") else {
            return Configured::default();
        };
        self.report_unknown_keys("gateway.auth", &members);
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
                        what: "`gateway.auth.mode`".into(),
                        value: brief(&word),
                        choices: "\"token\", \"password\" or \"none\"".into(),
                    });
                    None
                }
            }
        });
        let token = self.secret(&members, all, "token", "`gateway.auth.token`");
        let password = self.secret(&members, all, "password", "`gateway.auth.password`");
        Configured { mode, token, password }
    }

    pub(super) fn secret(
        &mut self,
        members: &[Member],
        all: &[Member],
        name: &str,
        what: &'static str,
    ) -> Option<(Place, Excerpt)> {
        let value = self.only_one(members, name)?.value.clone();
        let at = self.excerpt(&value);
        let place = if self.source(&value).starts_with('{') {
            self.reference(&value, all, what).map(Place::File)
        } else {
            let text = self.string(&value, what)?;
            if is_variable(&text) {
                Err("names a variable, and refgate looks up none".to_owned())
            } else if text.is_empty() {
                return None;
            } else {
                Ok(Place::Here(Word::new(&text)))
            }
        };
        match place {
            Ok(place) => Some((place, at)),
            Err(why) => {
                self.problems.push(Problem::SecretNotThere { at, what: what.into(), why });
                None
            }
        }
    }

    /// The file that a reference leads to, or why it leads nowhere.
    fn reference(
        &mut self,
        value: &Range<usize>,
        all: &[Member],
        what: &'static str,
    ) -> Result<String, String> {
        let members = self.members_of(value, what).unwrap_or_default();
        let [source, provider, id] = ["source", "provider", "id"].map(|name| self.word(&members, name));
        if source.as_deref() != Some("file") || id.as_deref() != Some("value") {
            return Err("is a reference of a kind that refgate does not follow".to_owned());
        }
        let provider = provider.unwrap_or_default();
        let secrets = self.object(all, "secrets", "`secrets`").unwrap_or_default();
        let providers = self.object(&secrets, "providers", "`secrets.providers`").unwrap_or_default();
        let Some(place) = self.only_one(&providers, &provider).map(|place| place.value.clone()) else {
            return Err(format!("refers to {:?}, which `secrets.providers` does not have", brief(&provider)));
        };
        let place = self.members_of(&place, "a provider in `secrets.providers`").unwrap_or_default();
        let [source, mode, path] = ["source", "mode", "path"].map(|name| self.word(&place, name));
        match (source.as_deref(), mode.as_deref(), path) {
            (Some("file"), Some("singleValue"), Some(path)) => Ok(path),
            _ => Err(format!("refers to {:?}, which is no file that holds one secret", brief(&provider))),
        }
    }

    /// A member that is a string; `None`: it is not there, or is none.
    fn word(&mut self, members: &[Member], name: &str) -> Option<String> {
        let value = self.only_one(members, name)?.value.clone();
        json5::from_str(self.source(&value)).ok()
    }
}

/// `$NAME` or `${NAME}`: other readers of this file put the value of a variable there, so it is nobody's secret.
fn is_variable(text: &str) -> bool {
    let Some(name) = text.strip_prefix('$') else { return false };
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    name.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Who may come in, and the word that lets them in: that of the environment before that of the configuration.
pub(super) fn choose(
    configured: Configured,
    listen: Listen,
    around: &Surroundings,
    read: &mut impl FnMut(&Path) -> Found,
    problems: &mut Problems,
    explained: &mut Explained,
) -> (Auth, Option<Word>) {
    let Configured { mode, token, password } = configured;
    let mut around = Secrets { around, read, problems, explained };
    let token = around.secret("gateway.auth.token", GATEWAY_TOKEN, token);
    let password = around.secret("gateway.auth.password", GATEWAY_PASSWORD, password);
    let Secrets { problems, explained, .. } = around;
    // What is wrong has been said.
    let (Ok(token), Ok(password)) = (token, password) else { return (Auth::Open, None) };
    let (mode, origin) = match mode {
        Some((mode, at)) => (mode, Origin::Config(at)),
        None if token.is_some() => (Mode::Token, Origin::Default),
        None if password.is_some() => (Mode::Password, Origin::Default),
        None => (Mode::None, Origin::Default),
    };
    let word = match mode {
        Mode::None => "none",
        Mode::Token => "token",
        Mode::Password => "password",
    };
    explained.add("gateway.auth.mode", vec![Given::new(word, origin.clone())]);
    let missing = match (mode, token, password) {
        (Mode::Token, Some(token), _) => return (Auth::Token(token.secret()), Some(token)),
        (Mode::Password, _, Some(password)) => {
            return (Auth::Password(password.secret()), Some(password));
        }
        (Mode::None, ..) if listen == Listen::Loopback => return (Auth::Open, None),
        (Mode::None, ..) => Problem::OpenToAll { origin, listen },
        (Mode::Token, ..) => Problem::NoSecret { origin, key: "gateway.auth.token", variable: GATEWAY_TOKEN },
        (Mode::Password, ..) => {
            Problem::NoSecret { origin, key: "gateway.auth.password", variable: GATEWAY_PASSWORD }
        }
    };
    problems.push(missing);
    (Auth::Open, None)
}

/// What a secret is looked up in.
pub(super) struct Secrets<'a, R> {
    around: &'a Surroundings,
    read: &'a mut R,
    problems: &'a mut Problems,
    explained: &'a mut Explained,
}

/// A problem has been left.
struct Unread;

impl<'a, R: FnMut(&Path) -> Found> Secrets<'a, R> {
    pub(super) const fn new(
        around: &'a Surroundings,
        read: &'a mut R,
        problems: &'a mut Problems,
        explained: &'a mut Explained,
    ) -> Self {
        Self { around, read, problems, explained }
    }

    /// The secret at a place; `None`: there is none, and a problem was left.
    pub(super) fn word(&mut self, place: Place, at: Excerpt) -> Option<Word> {
        match place {
            Place::Here(word) => Some(word),
            Place::File(path) => self.in_file(path, at).ok().flatten(),
        }
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn explain(&mut self, key: &'static str, given: Given) {
        self.explained.add(key, vec![given]);
    }

    /// A secret, and where it comes from. What the environment overrides is not read.
    fn secret(
        &mut self,
        key: &'static str,
        variable: &'static str,
        configured: Option<(Place, Excerpt)>,
    ) -> Result<Option<Word>, Unread> {
        let from_environment =
            self.around.variable(variable).map(|value| Word::new(&value.to_string_lossy()));
        let mut given = Vec::new();
        if from_environment.is_some() {
            given.push(Given::new(format!("(set, from {variable})"), Origin::Variable(variable)));
        }
        if let Some((place, at)) = &configured {
            let shown = match place {
                Place::Here(_) => "(set, from the configuration)".to_owned(),
                Place::File(path) => format!("(set, from the file {path})"),
            };
            given.push(Given::new(shown, Origin::Config(at.clone())));
        }
        if given.is_empty() {
            given.push(Given::new("(not set)", Origin::Default));
        }
        self.explained.add(key, given);
        match (from_environment, configured) {
            (Some(secret), _) | (None, Some((Place::Here(secret), _))) => Ok(Some(secret)),
            (None, Some((Place::File(path), at))) => self.in_file(path, at),
            (None, None) => Ok(None),
        }
    }

    /// The secret that a file holds, without the end of its line.
    fn in_file(&mut self, path: String, at: Excerpt) -> Result<Option<Word>, Unread> {
        let origin = Origin::Config(at.clone());
        let path = OsString::from(path);
        let path = paths::absolute("the configuration", origin, &path, self.around, self.problems);
        let Found { path, file } = (self.read)(&path.ok_or(Unread)?);
        match secret_in(file) {
            Ok(secret) => Ok(Some(secret)),
            Err(why) => {
                self.problems.push(Problem::SecretUnreadable { at, path, why });
                Err(Unread)
            }
        }
    }
}

fn secret_in(file: ConfigFile) -> Result<Word, String> {
    let bytes = match file {
        ConfigFile::Absent | ConfigFile::NoDirectory => return Err("it is not there".to_owned()),
        ConfigFile::Unreadable(why) => return Err(why),
        ConfigFile::Bytes(bytes) => bytes,
    };
    if bytes.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not text".to_owned())?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    match line.strip_suffix('\r').unwrap_or(line) {
        "" => Err("it is empty".to_owned()),
        secret => Ok(Word::new(secret)),
    }
}
