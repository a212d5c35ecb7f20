//! The configuration is `OpenClaw`'s JSON5: what it says about this gateway is read strictly, the rest is left alone.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use json5::ErrorCode;
use json5::char::is_json5_line_terminator;
use portcullis_os::Port;
use serde::de::IgnoredAny;

use super::cron::CronJob;
use super::port::is_loopback;
use super::scan::{self, Member, Nesting};
use super::secrets::{self, Document};
use super::{Excerpt, Origin, Problem, Problems};
use super::{auth, channels};
use crate::claim::{GATEWAY_SPAN, Listen};
use crate::text::brief;

/// What is found where the configuration should be, and where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The path without symbolic links, as far as it exists.
    pub path: PathBuf,
    /// What is there.
    pub file: ConfigFile,
}

/// What is found where the configuration should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// Nothing: everything has its default.
    Absent,
    /// Nothing, and nothing can be there: a part of the path before the last is no directory.
    NoDirectory,
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// Something that is not read, and why.
    Unreadable(String),
}

/// How deep objects and arrays may be nested: the parser is recursive, and a stack is finite.
const DEEPEST: usize = 128;

/// What a configuration says about what a gateway owns and where it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Configured {
    /// `gateway.port`.
    pub(super) port: Option<(Port, Origin)>,
    /// `gateway.bind`, with `gateway.customBindHost`, and where it is written.
    pub(super) listen: Option<(Listen, Origin)>,
    /// `gateway.auth`.
    pub(super) auth: auth::Configured,
    /// Everything, secrets replaced.
    pub(super) document: Document,
    /// The ports on this machine that browsers were given by hand.
    pub(super) pinned: Vec<Port>,
    /// `cron.jobs`.
    pub(super) cron: Vec<CronJob>,
    /// The accounts of `channels.telegram`.
    pub(super) channels: Vec<channels::Written>,
    /// The workspaces of the agents, as they were written.
    pub(super) workspaces: Vec<(String, Excerpt)>,
    /// What a user may not expect.
    pub(super) notes: Vec<String>,
}

/// The ports that the configuration of some other gateway gives it: the base, if it names one, and those of its browsers.
/// `None`: it cannot be read.
pub fn remembered(found: &Found) -> Option<(Option<Port>, Vec<Port>)> {
    let mut problems = Problems::default();
    let is_there = matches!(found.file, ConfigFile::Absent | ConfigFile::Bytes(_));
    let configured = configured(&found.path, found.file.clone(), &mut problems);
    let is_read = is_there && (configured != Configured::default() || problems.into_result().is_ok());
    is_read.then(|| (configured.port.map(|(port, _)| port), configured.pinned))
}

/// What a configuration says. Everything wrong in the file becomes a problem.
pub(super) fn configured(path: &Path, file: ConfigFile, problems: &mut Problems) -> Configured {
    let bytes = match file {
        ConfigFile::Absent => return Configured::default(),
        ConfigFile::NoDirectory => Err("a part of the path is no directory".to_owned()),
        ConfigFile::Unreadable(why) => Err(why),
        ConfigFile::Bytes(bytes) => Ok(bytes),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(why) => {
            problems.push(Problem::Unreadable { path: path.to_owned(), why });
            return Configured::default();
        }
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Reader { path, text, shown: secrets::masked(text), problems }.read(),
        Err(error) => {
            let at = excerpt_of_bytes(path, &bytes, error.valid_up_to());
            problems.push(Problem::Syntax { at, what: "this byte is not UTF-8 text".to_owned() });
            Configured::default()
        }
    }
}

/// The place of a byte that is not text, with a replacement character in its stead.
fn excerpt_of_bytes(path: &Path, bytes: &[u8], offset: usize) -> Excerpt {
    let end = bytes.iter().skip(offset).position(|byte| *byte == b'\n').map_or(bytes.len(), |n| offset + n);
    let text = secrets::masked(&String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)));
    // What comes before the offset is valid, so its length is the same in the lossy text.
    Excerpt::new(path.to_owned(), &text, offset..offset + char::REPLACEMENT_CHARACTER.len_utf8())
}

pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// The text as it may be shown.
    shown: String,
    pub(super) problems: &'a mut Problems,
}

impl Reader<'_> {
    fn read(mut self) -> Configured {
        let mut configured = Configured::default();
        let Some(top) = self.valid_object() else { return configured };
        configured.document = Document::of(self.text);
        let members = scan::members(self.text, top);
        self.report_misspelt_section(&members);
        if let Some(gateway) = self.object(&members, "gateway", "`gateway`") {
            self.report_unknown_keys("gateway", &gateway);
            let port = self.only_one(&gateway, "port").map(|port| port.value.clone());
            configured.port = port.and_then(|value| {
                let (port, at) = self.port_of(&value, "`gateway.port`", u16::MAX - GATEWAY_SPAN)?;
                Some((port, Origin::Config(at)))
            });
            configured.listen = self.listen(&gateway, &mut configured.notes).and_then(|listen| {
                let value = self.only_one(&gateway, "bind")?.value.clone();
                Some((listen, Origin::Config(self.excerpt(&value))))
            });
            configured.auth = self.auth(&gateway, &members);
        }
        configured.cron = self.cron(&members);
        configured.channels = self.channels(&members);
        if let Some(browser) = self.object(&members, "browser", "`browser`") {
            self.browser(&browser, &mut configured.pinned);
        }
        if let Some(agents) = self.object(&members, "agents", "`agents`") {
            self.agents(&agents, &mut configured.workspaces);
        }
        configured.notes.extend(self.doubts(&members));
        configured
    }

    /// The members of a member that must be an object.
    pub(super) fn object(
        &mut self,
        members: &[Member],
        name: &str,
        what: &'static str,
    ) -> Option<Vec<Member>> {
        let value = self.only_one(members, name)?.value.clone();
        self.members_of(&value, what)
    }

    pub(super) fn members_of(&mut self, value: &Range<usize>, what: &'static str) -> Option<Vec<Member>> {
        if !self.source(value).starts_with('{') {
            self.wrong_type(value, what, "an object");
            return None;
        }
        Some(scan::members(self.text, value.start))
    }

    /// `gateway.bind`. What is not read here would widen or narrow silently who can reach the gateway.
    fn listen(&mut self, gateway: &[Member], notes: &mut Vec<String>) -> Option<Listen> {
        let value = self.only_one(gateway, "bind")?.value.clone();
        let bind = self.string(&value, "`gateway.bind`")?;
        match bind.as_str() {
            "loopback" | "auto" => Some(Listen::Loopback),
            "lan" => Some(Listen::Everywhere),
            "custom" => {
                let Some(host) = self.only_one(gateway, "customBindHost").map(|host| host.value.clone())
                else {
                    let at = self.excerpt(&value);
                    self.problems.push(Problem::WrongType {
                        at,
                        what: "`gateway.customBindHost`".into(),
                        expected: "an IPv4 address where `gateway.bind` is \"custom\"",
                        found: "absent",
                    });
                    return None;
                };
                let address = self.string(&host, "`gateway.customBindHost`")?.parse::<Ipv4Addr>().ok();
                match address {
                    Some(Ipv4Addr::UNSPECIFIED) => Some(Listen::Everywhere),
                    Some(address) => Some(Listen::Also(address)),
                    None => {
                        self.wrong_type(&host, "`gateway.customBindHost`", "an IPv4 address");
                        None
                    }
                }
            }
            "tailnet" => {
                notes.push(
                    "`gateway.bind` is \"tailnet\", which refgate does not know: it listens on loopback only"
                        .to_owned(),
                );
                Some(Listen::Loopback)
            }
            _ => {
                let at = self.excerpt(&value);
                let problem = Problem::Choice {
                    at,
                    what: "`gateway.bind`".into(),
                    value: brief(&bind),
                    choices: "\"loopback\", \"auto\", \"lan\", \"custom\" or \"tailnet\"".into(),
                };
                self.problems.push(problem);
                None
            }
        }
    }

    /// The ports of this machine that browsers were given by hand: two gateways must not drive one browser.
    fn browser(&mut self, browser: &[Member], pinned: &mut Vec<Port>) {
        let url = self.only_one(browser, "cdpUrl").map(|url| url.value.clone());
        pinned.extend(url.and_then(|url| self.local_port(&url, "`browser.cdpUrl`")));
        let Some(profiles) = self.object(browser, "profiles", "`browser.profiles`") else { return };
        for profile in profiles {
            let Some(members) = self.members_of(&profile.value, "a profile in `browser.profiles`") else {
                continue;
            };
            let port = self.only_one(&members, "cdpPort").map(|port| port.value.clone());
            let port = port.and_then(|port| self.port_of(&port, "`cdpPort`", u16::MAX));
            pinned.extend(port.map(|(port, _)| port));
            let url = self.only_one(&members, "cdpUrl").map(|url| url.value.clone());
            pinned.extend(url.and_then(|url| self.local_port(&url, "`cdpUrl`")));
        }
    }

    /// The port of an address, if it is one of this machine.
    fn local_port(&mut self, value: &Range<usize>, what: &'static str) -> Option<Port> {
        let url = self.string(value, what)?;
        let authority = url.split_once("://").map_or(&*url, |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = authority.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        is_loopback(host).then(|| super::port::parse(port))?
    }

    /// The directories that agents work in: those of `agents.defaults` and of each agent.
    fn agents(&mut self, agents: &[Member], workspaces: &mut Vec<(String, Excerpt)>) {
        if let Some(defaults) = self.object(agents, "defaults", "`agents.defaults`") {
            workspaces.extend(self.workspace(&defaults, "`agents.defaults.workspace`"));
        }
        let Some(list) = self.only_one(agents, "list").map(|list| list.value.clone()) else { return };
        for agent in self.elements(&list, "`agents.list`") {
            let Some(members) = self.members_of(&agent, "an agent in `agents.list`") else { continue };
            workspaces.extend(self.workspace(&members, "`workspace`"));
        }
    }

    /// The elements of a value that must be an array.
    pub(super) fn elements(&mut self, value: &Range<usize>, what: &'static str) -> Vec<Range<usize>> {
        if !self.source(value).starts_with('[') {
            self.wrong_type(value, what, "an array");
            return Vec::new();
        }
        scan::elements(self.text, value.start)
    }

    fn workspace(&mut self, members: &[Member], what: &'static str) -> Option<(String, Excerpt)> {
        let value = self.only_one(members, "workspace")?.value.clone();
        let path = self.string(&value, what)?;
        (!path.trim().is_empty()).then(|| (path, self.excerpt(&value)))
    }

    pub(super) fn string(&mut self, value: &Range<usize>, what: &'static str) -> Option<String> {
        let text = json5::from_str::<String>(self.source(value)).ok();
        if text.is_none() {
            self.wrong_type(value, what, "a string");
        }
        text
    }

    /// Where the object starts that the whole text is, if it is one.
    fn valid_object(&mut self) -> Option<usize> {
        let Some(first) = scan::first(self.text) else {
            self.syntax(self.text.len()..self.text.len(), "the file holds no value");
            return None;
        };
        let nesting = scan::nesting(self.text, DEEPEST);
        if let Some(at) = nesting.too_deep {
            self.syntax(at..at + 1, &format!("more than {DEEPEST} objects and arrays are nested"));
            return None;
        }
        if let Err(error) = json5::from_str::<IgnoredAny>(self.text) {
            let (range, what) = self.explain(&error, &nesting);
            self.syntax(range, &what);
            return None;
        }
        if !self.source(&first).starts_with('{') {
            self.wrong_type(&first, "the configuration", "an object");
            return None;
        }
        Some(first.start)
    }

    /// Where an error of the parser is, and what it says in the words of somebody who writes a configuration.
    fn explain(&self, error: &json5::Error, nesting: &Nesting) -> (Range<usize>, String) {
        let at = error.position().map_or(self.text.trim_end().len(), |position| offset(self.text, position));
        let width = self.source(&(at..self.text.len())).chars().next().map_or(0, char::len_utf8);
        let here = at..at + width;
        let Some(code) = error.code() else { return (here, "this cannot be read".to_owned()) };
        let what = code.to_string();
        if let Some(unfinished) = what.strip_prefix("EOF parsing ") {
            return match (unfinished, nesting.unclosed) {
                ("comment", _) => self.unfinished(nesting.last.end, "comment", "/*"),
                ("string" | "escape sequence", _) | (_, None) => {
                    self.unfinished(nesting.last.start, unfinished, "")
                }
                (_, Some(open)) => (open..open + 1, "this bracket is never closed".to_owned()),
            };
        }
        let separator = matches!(
            code,
            ErrorCode::ExpectedComma | ErrorCode::ExpectedClosingBrace | ErrorCode::ExpectedClosingBracket
        );
        if separator {
            (here, "expected a comma or a closing bracket here".to_owned())
        } else if code == ErrorCode::TrailingCharacters {
            (here, "something follows the end of the configuration".to_owned())
        } else {
            (here, what)
        }
    }

    /// Something that begins with `sign` behind `from` and is cut off by the end of the file.
    fn unfinished(&self, from: usize, what: &str, sign: &str) -> (Range<usize>, String) {
        let rest = self.source(&(from..self.text.len()));
        let start = from + rest.find(sign).unwrap_or(0);
        (
            start..self.text.trim_end().len().max(start),
            format!("the file ends before this {what} is complete"),
        )
    }

    /// The member of that name, whose second appearance is a problem: which one counts is nothing to guess about.
    pub(super) fn only_one<'m>(&mut self, members: &'m [Member], name: &str) -> Option<&'m Member> {
        let mut named = members.iter().filter(|member| self.name(member).as_deref() == Some(name));
        let first = named.next()?;
        let others: Vec<&Member> = named.collect();
        for other in others {
            self.report(|reader| Problem::Twice {
                at: reader.excerpt(&other.key),
                key: name.to_owned(),
                before: reader.excerpt(&first.key).line,
            });
        }
        Some(first)
    }

    /// A port with the place where it is written; `highest` is told to whoever has to write another.
    fn port_of(&mut self, value: &Range<usize>, what: &'static str, highest: u16) -> Option<(Port, Excerpt)> {
        let source = self.source(value);
        let Some(number) = json5::from_str::<f64>(source).ok() else {
            self.wrong_type(value, what, "a number");
            return None;
        };
        let at = self.excerpt(value);
        // JSON5 has one kind of number, so 18789.0 and 0x4965 are ports as good as 18789.
        let port = (1..=u16::MAX).find(|port| f64::from(*port) == number).and_then(Port::new);
        if port.is_none() {
            self.problems.push(Problem::PortNumber {
                at: at.clone(),
                what: what.into(),
                highest,
                value: brief(source),
            });
        }
        Some((port?, at))
    }

    /// One more problem, made only if it will be shown.
    pub(super) fn report(&mut self, make: impl FnOnce(&Self) -> Problem) {
        if self.problems.has_room() {
            let problem = make(self);
            self.problems.push(problem);
        } else {
            self.problems.count();
        }
    }

    /// The name of a member, whichever way it is quoted and escaped.
    pub(super) fn name(&self, member: &Member) -> Option<String> {
        let object = format!("{{{}:0}}", self.source(&member.key));
        json5::from_str::<BTreeMap<String, IgnoredAny>>(&object).ok()?.into_keys().next()
    }

    pub(super) fn source(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    pub(super) fn excerpt(&self, range: &Range<usize>) -> Excerpt {
        Excerpt::new(self.path.to_owned(), &self.shown, range.clone())
    }

    fn syntax(&mut self, range: Range<usize>, what: &str) {
        let at = self.excerpt(&range);
        self.problems.push(Problem::Syntax { at, what: what.to_owned() });
    }

    fn wrong_type(&mut self, value: &Range<usize>, what: &'static str, expected: &'static str) {
        let (at, found) = (self.excerpt(value), self.kind(value));
        self.problems.push(Problem::WrongType { at, what: what.into(), expected, found });
    }

    /// What a value is.
    pub(super) fn kind(&self, value: &Range<usize>) -> &'static str {
        match self.source(value).chars().next() {
            Some('{') => "an object",
            Some('[') => "an array",
            Some('"' | '\'') => "a string",
            Some('t' | 'f') => "a truth value",
            Some('n') => "null",
            _ => "a number",
        }
    }

    /// The text, as it can be read.
    pub(super) const fn text(&self) -> &str {
        self.text
    }
}

/// The byte that the parser means with a line and a column, which it counts from 0 and in characters.
fn offset(text: &str, position: json5::Position) -> usize {
    let (mut line, mut column) = (0, 0);
    let mut characters = text.char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        if (line, column) >= (position.line, position.column) {
            return offset;
        }
        let half_of_a_line_end = character == '\r' && characters.peek().is_some_and(|next| next.1 == '\n');
        match is_json5_line_terminator(character) {
            true if half_of_a_line_end => {}
            true => (line, column) = (line + 1, 0),
            false => column += 1,
        }
    }
    text.len()
}
