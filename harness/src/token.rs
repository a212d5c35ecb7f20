//! A replay token is one word that says everything: which case, which design, which schedule, and what it showed.
//!
//! `v1.CASE.DESIGN.SCENARIO.TRACE.SCHEDULE.CHECK`: the scenario file without `.toml` and what varied, the design, a hash of
//! the scenario's text, a hash of the steps, the schedule, and a checksum of all that. With the two hashes a replay can tell
//! "still fails" from "something has changed"; with the checksum a token that lost a piece on its way through a chat or a
//! terminal is refused instead of being taken for another schedule, which would break nothing and look like a repair.

use std::fmt;
use std::hash::Hasher;
use std::path::PathBuf;

use sim::{Schedule, ScheduleError, Trace, What, Who};
use siphasher::sip::SipHasher13;

use crate::designs::Design;
use crate::scenario::Case;

/// The longest token that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// Everything that is needed to take one execution again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The scenario file as it was named, without `.toml`, and the words of what varied.
    pub case: String,
    /// The design.
    pub design: Design,
    /// The hash of the scenario's text.
    pub scenario: u32,
    /// The hash of the steps that were taken.
    pub trace: u32,
    /// The schedule.
    pub schedule: Schedule,
}

/// A text that is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has too few parts, or another version.
    #[error("a token looks like v1.CASE.DESIGN.SCENARIO.TRACE.SCHEDULE.CHECK")]
    Shape,
    /// Its checksum is not that of the rest.
    #[error("the token was damaged or cut on the way: its last part does not fit the rest")]
    Damaged,
    /// It is longer than any token.
    #[error("the token is longer than {LONGEST} bytes")]
    TooLong,
    /// The design is not known here.
    #[error("no design is called `{name}`")]
    Design {
        /// Its name in the token.
        name: String,
    },
    /// A hash is no number.
    #[error("`{text}` is no hash of 8 hexadecimal digits")]
    Hash {
        /// What stands there.
        text: String,
    },
    /// The schedule cannot be read.
    #[error("{0}")]
    Schedule(#[from] ScheduleError),
}

impl Token {
    /// The token of one execution of a case.
    pub fn new(case: &Case, design: Design, trace: &Trace, schedule: Schedule) -> Self {
        Self {
            case: case_name(case),
            design,
            scenario: hash_text(&case.scenario.source),
            trace: hash_trace(trace),
            schedule,
        }
    }

    /// The scenario file that the token names.
    pub fn file(&self) -> PathBuf {
        file_of(&self.case)
    }

    /// Reads a token of a design of the catalogue.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        Self::parse_with(text, Design::of)
    }

    /// Reads a token of a design of the catalogue, or of this one.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse_for(text: &str, own: Design) -> Result<Self, TokenError> {
        Self::parse_with(text, |name| if own.name() == name { Some(own) } else { Design::of(name) })
    }

    fn parse_with(text: &str, design_of: impl Fn(&str) -> Option<Design>) -> Result<Self, TokenError> {
        if text.len() > LONGEST {
            return Err(TokenError::TooLong);
        }
        if !text.starts_with("v1.") {
            return Err(TokenError::Shape);
        }
        let (body, check) = text.rsplit_once('.').ok_or(TokenError::Shape)?;
        if check != checksum(body) {
            return Err(TokenError::Damaged);
        }
        let rest = body.strip_prefix("v1.").ok_or(TokenError::Shape)?;
        let mut parts = rest.rsplitn(5, '.');
        let (Some(schedule), Some(trace), Some(scenario), Some(design), Some(case)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Shape);
        };
        Ok(Self {
            case: case.to_owned(),
            design: design_of(design).ok_or_else(|| TokenError::Design { name: design.to_owned() })?,
            scenario: parse_hash(scenario)?,
            trace: parse_hash(trace)?,
            schedule: Schedule::parse(schedule)?,
        })
    }
}

fn parse_hash(text: &str) -> Result<u32, TokenError> {
    let bad = || TokenError::Hash { text: text.to_owned() };
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    u32::from_str_radix(text, 16).map_err(|_| bad())
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, design, scenario, trace, schedule } = self;
        let body = format!("v1.{case}.{}.{scenario:08x}.{trace:08x}.{schedule}", design.name());
        write!(f, "{body}.{}", checksum(&body))
    }
}

/// The last part of a token, over everything before it: the low 16 bits of a hash.
fn checksum(body: &str) -> String {
    format!("{:04x}", hash_text(body) & 0xffff)
}

/// How a case is called in a token: without blanks and without characters that a shell would take for its own.
pub fn case_name(case: &Case) -> String {
    let path = case.scenario.file.with_extension("");
    let mut name = encode(&path.to_string_lossy());
    if let Some((_, words)) = case.id.split_once('[') {
        for word in words.trim_end_matches(']').split(',') {
            name.push('+');
            name.push_str(&encode(word));
        }
    }
    name
}

/// The scenario file of a case that is called so in tokens.
pub(crate) fn file_of(case: &str) -> PathBuf {
    let path = case.split_once('+').map_or(case, |(path, _)| path);
    PathBuf::from(format!("{}.toml", decode(path)))
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02x}")),
        }
    }
    out
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The hash of a text: of a scenario, or of a token.
pub fn hash_text(text: &str) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish() as u32
}

/// The hash of the steps of an execution. What is said of them is not part of it: a check may come to judge the same steps
/// otherwise.
pub fn hash_trace(trace: &Trace) -> u32 {
    let mut hasher = SipHasher13::new();
    for step in &trace.steps {
        let who = match step.who {
            Who::Slot(slot) => format!("slot {slot}"),
            Who::Script => "script".to_owned(),
            Who::Supervisor(slot) => format!("supervisor {slot}"),
            Who::Fault(slot) => format!("fault {slot}"),
            Who::Outage(host) => format!("outage {}", host.0),
        };
        let what = match &step.what {
            What::Call(call, reply) => format!("{call} {reply:?}"),
            What::Exit(status) => format!("exit {status}"),
            What::Action(action) => format!("{action:?}"),
            What::Execute => "execute".to_owned(),
            What::Release(fd) => format!("release {fd}"),
            What::Restart(None) => "restart".to_owned(),
            What::Restart(Some(pid)) => format!("restart as {pid}"),
            What::LosePatience => "lose patience".to_owned(),
            What::Kill => "kill".to_owned(),
            What::PowerLoss { outcome } => format!("power loss {outcome}"),
        };
        hasher.write(format!("{who}: {what}\n").as_bytes());
    }
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "v1.scenarios/pid/recycled%20pid+api-gateway.refgate.0000002a.000000ff.0003";

    fn signed(body: &str) -> String {
        format!("{body}.{}", checksum(body))
    }

    #[test]
    fn a_token_survives_the_way_through_a_shell() {
        let text = signed(BODY);
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.to_string(), text);
        assert_eq!(token.file(), PathBuf::from("scenarios/pid/recycled pid.toml"));
    }

    #[test]
    fn each_kind_of_broken_token_is_told_apart() {
        let parse = |body: &str| Token::parse(&signed(body));
        assert_eq!(Token::parse("nonsense"), Err(TokenError::Shape));
        assert_eq!(parse("v1.a.refgate.00000000.0003"), Err(TokenError::Shape));
        assert_eq!(parse("v2.a.refgate.00000000.00000000.0003"), Err(TokenError::Shape));
        assert!(matches!(parse("v1.a.nope.00000000.00000000.0003"), Err(TokenError::Design { .. })));
        assert!(matches!(parse("v1.a.refgate.zz.00000000.0003"), Err(TokenError::Hash { .. })));
        assert!(matches!(parse("v1.a.refgate.00000000.00000000.03"), Err(TokenError::Schedule(_))));
        assert_eq!(Token::parse(&"v1.".repeat(1 << 20)), Err(TokenError::TooLong));
    }

    #[test]
    fn a_token_that_is_cut_anywhere_or_has_one_other_character_is_refused() {
        let text = signed(BODY);
        for end in 0..text.len() {
            let cut = Token::parse(&text[..end]);
            assert!(matches!(cut, Err(TokenError::Shape | TokenError::Damaged)), "{end}: {cut:?}");
        }
        for place in 0..text.len() {
            for other in ["0", "1", "f", "x", "."] {
                let mut damaged = text.clone();
                damaged.replace_range(place..=place, other);
                let parsed = Token::parse(&damaged);
                let is_refused = matches!(parsed, Err(TokenError::Shape | TokenError::Damaged));
                assert!(damaged == text || is_refused, "{damaged}: {parsed:?}");
            }
        }
        // A whole schedule less is a schedule, too, but not the one that the token was made from.
        assert_eq!(Token::parse(&text.replace(".0003.", "..")), Err(TokenError::Damaged));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,300}") {
            let _ = Token::parse(&text);
        }
    }
}
