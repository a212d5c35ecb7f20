//! A problem with a setting says where it was written, what was written and what to write instead.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use portcullis_os::Port;

use super::Excerpt;
use crate::claim::{GATEWAY_SPAN, Listen};
use crate::text::brief;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag(&'static str),
    /// In the environment.
    Variable(&'static str),
    /// In the configuration file.
    Config(Excerpt),
    /// Nowhere: it follows from the name of this profile.
    Profile(String),
    /// Nowhere: it follows from this other setting.
    Derived(&'static str),
    /// Nowhere: it is the value of last resort.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::Config(excerpt) => excerpt.fmt(f),
            Self::Profile(name) => write!(f, "the profile {name}"),
            Self::Derived(key) => f.write_str(key),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// What is wrong with one setting. `Display` is one line that names the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A profile has a name that is none.
    #[error("{origin} is {:?}, which is not a profile name", brief(value))]
    ProfileName {
        /// Where.
        origin: Origin,
        /// What.
        value: String,
    },
    /// A port on the command line or in the environment is none.
    #[error("{origin} is {:?}, which is not a port", brief(value))]
    PortText {
        /// Where.
        origin: Origin,
        /// What.
        value: String,
    },
    /// A port leaves no room for the ports above it that are reserved with it.
    #[error("{origin}: base port {port} leaves no room for the {GATEWAY_SPAN} ports reserved above it")]
    BlockTooHigh {
        /// Where.
        origin: Origin,
        /// Which.
        port: Port,
    },
    /// The home directory is needed and not usable.
    #[error("HOME is {}", value.as_ref().map_or("not set".to_owned(), |home| format!("{home:?}, which is not an absolute path")))]
    NoHome {
        /// The variable that can be set instead.
        instead: &'static str,
        /// What it is.
        value: Option<PathBuf>,
    },
    /// A path starts in the home directory of somebody else.
    #[error("{origin} is {value:?}, and only `~/` is expanded, not the home of another user")]
    HomeOfOther {
        /// Where.
        origin: Origin,
        /// What.
        value: PathBuf,
    },
    /// A path is relative to a current directory that is gone.
    #[error("{origin} is {value:?}, and the current directory it is relative to is gone")]
    NoDirectory {
        /// Where.
        origin: Origin,
        /// What.
        value: PathBuf,
    },
    /// The configuration file could not be read.
    #[error("the configuration file {path:?} cannot be read: {why}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The configuration file is not JSON5.
    #[error("{at}: {what}")]
    Syntax {
        /// Where.
        at: Excerpt,
        /// What.
        what: String,
    },
    /// A key that does not exist.
    #[error("{at}: there is no key {key:?} in {}", part(section))]
    UnknownKey {
        /// Where.
        at: Excerpt,
        /// What.
        key: String,
        /// In which part of the file: the way to it, `""` for the whole.
        section: &'static str,
        /// The known key that it looks like.
        similar: Option<&'static str>,
    },
    /// A key that was given before.
    #[error("{at}: {key:?} was given before, on line {before}")]
    Twice {
        /// Where.
        at: Excerpt,
        /// What.
        key: String,
        /// The line of the first.
        before: usize,
    },
    /// A value of the wrong type.
    #[error("{at}: {what} must be {expected}, not {found}")]
    WrongType {
        /// Where.
        at: Excerpt,
        /// Whose value.
        what: Cow<'static, str>,
        /// Which type it must have.
        expected: &'static str,
        /// Which it has.
        found: &'static str,
    },
    /// A number that is not a port.
    #[error("{at}: {what} is {value}, which is not a port")]
    PortNumber {
        /// Where.
        at: Excerpt,
        /// Whose value.
        what: Cow<'static, str>,
        /// The highest port that can stand there.
        highest: u16,
        /// What.
        value: String,
    },
    /// A word that is none of those that can stand there.
    #[error("{at}: {what} is {value:?}, which is not known")]
    Choice {
        /// Where.
        at: Excerpt,
        /// Whose value.
        what: Cow<'static, str>,
        /// What.
        value: String,
        /// The words that can stand there.
        choices: Cow<'static, str>,
    },
    /// A secret is somewhere else, and not where this gateway looks.
    #[error("{at}: {what} {why}")]
    SecretNotThere {
        /// Where.
        at: Excerpt,
        /// Whose value.
        what: Cow<'static, str>,
        /// Why it is not found.
        why: String,
    },
    /// The file that should hold a secret does not.
    #[error("{at}: the secret in {path:?} cannot be read: {why}")]
    SecretUnreadable {
        /// Where the file is named.
        at: Excerpt,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A secret is asked for, and there is none.
    #[error("{origin}: clients have to know a secret, and there is none")]
    NoSecret {
        /// Where it is asked for.
        origin: Origin,
        /// The key that would hold it.
        key: &'static str,
        /// The variable that would.
        variable: &'static str,
    },
    /// Others than those on this machine could do everything.
    #[error("{origin}: it would listen on {listen}, and clients need no secret")]
    OpenToAll {
        /// Where that is said.
        origin: Origin,
        /// Where it would listen.
        listen: Listen,
    },
}

/// A part of the file, as it is called.
fn part(section: &str) -> String {
    if section.is_empty() { "the configuration".to_owned() } else { format!("`{section}`") }
}

impl Problem {
    /// What to do about it, as a sentence without its full stop.
    pub fn remedy(&self) -> String {
        let highest = u16::MAX - GATEWAY_SPAN;
        match self {
            Self::ProfileName { .. } => {
                "write a letter or digit and then at most 63 letters, digits, `_` or `-`".to_owned()
            }
            Self::PortText { origin: Origin::Variable(_), .. } => {
                format!("write N, HOST:N or [IPV6]:N with N from 1 to {highest}, or unset it")
            }
            Self::PortText { .. } => format!("write a number from 1 to {highest}"),
            Self::PortNumber { highest, .. } => format!("write a number from 1 to {highest}"),
            Self::Choice { choices, .. } => format!("write {choices}"),
            Self::NoSecret { key, variable, .. } => format!("write {key}, or set {variable}"),
            Self::OpenToAll { .. } => {
                "set OPENCLAW_GATEWAY_TOKEN or gateway.auth.token, or listen on loopback only".to_owned()
            }
            Self::BlockTooHigh { .. } => format!("the highest base port is {highest}"),
            Self::NoHome { instead, .. } => format!("set HOME, or set {instead} to an absolute path"),
            Self::HomeOfOther { .. } => "write the absolute path".to_owned(),
            Self::NoDirectory { .. } => {
                "write an absolute path, or start in a directory that exists".to_owned()
            }
            Self::Unreadable { .. } => {
                "make it a readable text file, remove it, or set OPENCLAW_CONFIG_PATH to another one"
                    .to_owned()
            }
            Self::Syntax { .. } => "the file must hold one JSON5 object, for instance `{}`".to_owned(),
            Self::UnknownKey { similar: Some(similar), .. } => format!("did you mean {similar:?}?"),
            Self::UnknownKey { similar: None, section, .. } => {
                format!("the keys are {}", super::schema::keys(section).collect::<Vec<_>>().join(", "))
            }
            Self::Twice { .. } => "remove one of them".to_owned(),
            Self::WrongType { expected: "a number", found: "a string", .. } => {
                "write the number without quotes".to_owned()
            }
            Self::SecretNotThere { .. } => {
                "write the secret itself, or a reference to a provider of source \"file\" and mode \"singleValue\" with the id \
                 \"value\""
                    .to_owned()
            }
            Self::SecretUnreadable { .. } => "put the secret into that file, in one line, with mode 0600".to_owned(),
            Self::WrongType { expected, .. } => format!("write {expected}"),
        }
    }

    /// The place in the file, if it is in a file.
    const fn excerpt(&self) -> Option<&Excerpt> {
        match self {
            Self::Syntax { at, .. }
            | Self::UnknownKey { at, .. }
            | Self::Twice { at, .. }
            | Self::WrongType { at, .. }
            | Self::PortNumber { at, .. }
            | Self::Choice { at, .. }
            | Self::SecretNotThere { at, .. }
            | Self::SecretUnreadable { at, .. }
            | Self::NoSecret { origin: Origin::Config(at), .. }
            | Self::OpenToAll { origin: Origin::Config(at), .. }
            | Self::HomeOfOther { origin: Origin::Config(at), .. }
            | Self::NoDirectory { origin: Origin::Config(at), .. }
            | Self::BlockTooHigh { origin: Origin::Config(at), .. } => Some(at),
            Self::ProfileName { .. }
            | Self::PortText { .. }
            | Self::BlockTooHigh { .. }
            | Self::NoHome { .. }
            | Self::NoSecret { .. }
            | Self::OpenToAll { .. }
            | Self::HomeOfOther { .. }
            | Self::NoDirectory { .. }
            | Self::Unreadable { .. } => None,
        }
    }

    /// The problem as a compiler shows it, with the line and a caret.
    fn render(&self) -> String {
        let title = self.to_string();
        let help = Level::HELP.message(self.remedy());
        let Some(at) = self.excerpt() else {
            let group = Level::ERROR.primary_title(title).element(help);
            return Renderer::plain().render(&[group]);
        };
        let title = title.strip_prefix(&format!("{at}: ")).unwrap_or(&title).to_owned();
        let snippet = Snippet::source(&at.text)
            .line_start(at.line)
            .path(at.shown_path())
            .annotation(AnnotationKind::Primary.span(at.span.clone()));
        let group: Group<'_> = Level::ERROR.primary_title(title).element(snippet).element(help);
        // The renderer counts columns in what it is given, which of a long line is only a part.
        let (counted, meant) = (format!("--> {}\n", at.place_in_text()), format!("--> {at}\n"));
        Renderer::plain().render(&[group]).replacen(&counted, &meant, 1)
    }
}

/// The problems of one start, as far as anybody wants to read them: a file can have as many as it has bytes.
#[derive(Debug, Default)]
pub(super) struct Problems {
    shown: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// How many are shown.
    pub(super) const MOST: usize = 20;

    /// Whether another one would be shown. One that would not need not be made.
    pub(super) fn has_room(&self) -> bool {
        self.shown.len() < Self::MOST
    }

    /// One more, which is only counted when there is no room.
    pub(super) fn push(&mut self, problem: Problem) {
        if self.has_room() {
            self.shown.push(problem);
        } else {
            self.count();
        }
    }

    /// One more that is not shown.
    pub(super) fn count(&mut self) {
        self.more = self.more.saturating_add(1);
    }

    /// Everything is well unless there was a problem.
    pub(super) fn into_result(self) -> Result<(), SettingsError> {
        let Self { shown, more } = self;
        if shown.is_empty() { Ok(()) } else { Err(SettingsError { problems: shown, more }) }
    }
}

/// The problems that one start has found with its settings: at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} in the settings", match problems.len() + more { 1 => "a problem".to_owned(), n => format!("{n} problems") })]
pub struct SettingsError {
    /// The first problems, flags and environment before the file.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl SettingsError {
    /// The stable code.
    pub const CODE: &'static str = "settings";
    /// The exit status: what was written was not understood, as with a command line.
    pub const EXIT_STATUS: u8 = 2;

    /// The problems as a compiler shows them, one block each.
    pub fn render(&self) -> String {
        self.problems.iter().map(Problem::render).chain(self.rest()).collect::<Vec<_>>().join("\n\n")
    }

    /// The problems with what to do about them, one line each.
    pub fn lines(&self) -> Vec<String> {
        let shown = self.problems.iter().map(|problem| format!("{problem}; {}", problem.remedy()));
        shown.chain(self.rest()).collect()
    }

    /// What is said of the problems that are not shown.
    fn rest(&self) -> Option<String> {
        (self.more > 0).then(|| format!("and {} more", self.more))
    }
}
