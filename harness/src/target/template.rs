//! Words with blanks to be filled in: `{state}` stands for the state directory of the gateway that is started.
//!
//! A blank is known when the file is read, so filling in cannot fail.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A text with blanks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its parts, in order.
    pub pieces: Vec<Piece>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// It stands for itself.
    Text(String),
    /// The base port and so many ports above it.
    Port(u16),
    /// The state directory.
    State,
    /// The configuration file.
    Config,
    /// The directory that its agents work in.
    Workspace,
    /// The directory that everything of a run lies in.
    Room,
    /// The name of the gateway in the scenario.
    Name,
    /// The directory that the target file lies in.
    Here,
    /// The number of the user that it runs as.
    Uid,
}

/// What the blanks of one gateway are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The base port.
    pub base: u16,
    /// The state directory.
    pub state: &'a Path,
    /// The configuration file.
    pub config: &'a Path,
    /// The directory that its agents work in.
    pub workspace: &'a Path,
    /// The directory that everything of a run lies in.
    pub room: &'a Path,
    /// The name of the gateway in the scenario.
    pub name: &'a str,
    /// The directory that the target file lies in.
    pub here: &'a Path,
    /// The number of the user that it runs as.
    pub uid: u32,
}

/// What is wrong with a blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// It has no end, or a closing brace has no beginning.
    Unbalanced,
    /// Nothing is called so.
    Unknown(String),
    /// No port is called so.
    NoPort(String),
}

impl Template {
    /// The names that a blank can have, besides `port:NAME`.
    pub(super) const NAMES: [&'static str; 8] =
        ["base", "state", "config", "workspace", "room", "name", "here", "uid"];

    /// A text without blanks.
    pub fn plain(text: &str) -> Self {
        Self { pieces: vec![Piece::Text(text.to_owned())] }
    }

    /// Reads one. `port` knows how far each port is above the base. Two braces stand for one.
    pub(super) fn parse(text: &str, port: impl Fn(&str) -> Option<u16>) -> Result<Self, Mistake> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if after.starts_with(brace) {
                plain.push_str(brace);
                rest = &after[1..];
                continue;
            }
            let inside = after.split_once('}').filter(|_| brace == "{").ok_or(Mistake::Unbalanced)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(blank(inside.0, &port)?);
            rest = inside.1;
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// Fills in the blanks.
    pub fn fill(&self, places: &Places<'_>) -> String {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let words = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Port(above) => (u32::from(places.base) + u32::from(*above)).to_string(),
            Piece::State => path(places.state),
            Piece::Config => path(places.config),
            Piece::Workspace => path(places.workspace),
            Piece::Room => path(places.room),
            Piece::Name => places.name.to_owned(),
            Piece::Here => path(places.here),
            Piece::Uid => places.uid.to_string(),
        });
        words.collect()
    }

    /// Whether it has such a blank.
    pub fn has(&self, wanted: &Piece) -> bool {
        self.pieces.contains(wanted)
    }

    /// Whether it tells a port.
    pub(super) fn has_port(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Port(_)))
    }
}

fn blank(name: &str, port: impl Fn(&str) -> Option<u16>) -> Result<Piece, Mistake> {
    Ok(match name {
        "base" => Piece::Port(0),
        "state" => Piece::State,
        "config" => Piece::Config,
        "workspace" => Piece::Workspace,
        "room" => Piece::Room,
        "name" => Piece::Name,
        "here" => Piece::Here,
        "uid" => Piece::Uid,
        _ => match name.strip_prefix("port:") {
            Some(wanted) => Piece::Port(port(wanted).ok_or_else(|| Mistake::NoPort(wanted.to_owned()))?),
            None => return Err(Mistake::Unknown(name.to_owned())),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Mistake, Places, Template};

    fn filled(text: &str) -> Result<String, Mistake> {
        let places = Places {
            base: 18_789,
            state: Path::new("/r/state-S"),
            config: Path::new("/r/c.json"),
            workspace: Path::new("/r/w"),
            room: Path::new("/r"),
            name: "a",
            here: Path::new("/t"),
            uid: 1000,
        };
        let port = |name: &str| (name == "cdp").then_some(11);
        Template::parse(text, port).map(|template| template.fill(&places))
    }

    #[test]
    fn blanks_are_filled_and_doubled_braces_are_braces() {
        for (text, result) in [
            ("", ""),
            ("--port={base}", "--port=18789"),
            ("{port:cdp}", "18800"),
            ("{state}/x-{name}", "/r/state-S/x-a"),
            ("{here}{room}{config}{workspace}", "/t/r/r/c.json/r/w"),
            ("/tmp/of-{uid}", "/tmp/of-1000"),
            (r#"{{"port":{base}}}"#, r#"{"port":18789}"#),
            ("{{{{", "{{"),
        ] {
            assert_eq!(filled(text).unwrap(), result, "{text}");
        }
    }

    #[test]
    fn a_blank_that_is_none_is_told() {
        assert_eq!(filled("{stat}"), Err(Mistake::Unknown("stat".to_owned())));
        assert_eq!(filled("{port:vnc}"), Err(Mistake::NoPort("vnc".to_owned())));
        for text in ["{state", "state}", "{", "a}b"] {
            assert_eq!(filled(text), Err(Mistake::Unbalanced), "{text}");
        }
    }
}
