//! A replay token is one word that says everything: which case, which design, which schedule, and what it showed.
//!
//! `v1.CASE.DESIGN.SCENARIO.TRACE.SCHEDULE`: the scenario file without `.toml` and what varied, the design, a hash of the
//! scenario's text, a hash of the execution, and the schedule. With the two hashes a replay can tell "still fails" from
//! "something has changed".

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
    /// The hash of what was executed.
    pub trace: u32,
    /// The schedule.
    pub schedule: Schedule,
}

/// A text that is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has too few parts, or another version.
    #[error("a token looks like v1.CASE.DESIGN.SCENARIO.TRACE.SCHEDULE")]
    Shape,
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
        let path = self.case.split_once('+').map_or(self.case.as_str(), |(path, _)| path);
        PathBuf::from(format!("{}.toml", decode(path)))
    }

    /// Reads a token.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > LONGEST {
            return Err(TokenError::TooLong);
        }
        let rest = text.strip_prefix("v1.").ok_or(TokenError::Shape)?;
        let mut parts = rest.rsplitn(5, '.');
        let (Some(schedule), Some(trace), Some(scenario), Some(design), Some(case)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Shape);
        };
        Ok(Self {
            case: case.to_owned(),
            design: Design::of(design).ok_or_else(|| TokenError::Design { name: design.to_owned() })?,
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
        write!(f, "v1.{case}.{}.{scenario:08x}.{trace:08x}.{schedule}", design.name())
    }
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

/// The hash of a scenario's text.
pub fn hash_text(text: &str) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish() as u32
}

/// The hash of everything that an execution did.
pub fn hash_trace(trace: &Trace) -> u32 {
    let mut hasher = SipHasher13::new();
    for step in &trace.steps {
        let who = match step.who {
            Who::Slot(slot) => format!("slot {slot}"),
            Who::Script => "script".to_owned(),
            Who::Fault(slot) => format!("fault {slot}"),
        };
        let what = match &step.what {
            What::Call(call, reply) => format!("{call} {reply:?}"),
            What::Exit(status) => format!("exit {status}"),
            What::Action(action) => format!("{action:?}"),
            What::Kill => "kill".to_owned(),
        };
        hasher.write(format!("{who}: {what}\n").as_bytes());
    }
    if let Some(violation) = &trace.violation {
        hasher.write(violation.to_string().as_bytes());
    }
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_way_through_a_shell() {
        let text = "v1.scenarios/pid/recycled%20pid+api-gateway.refgate.0000002a.000000ff.0003";
        let token = Token::parse(text).unwrap();
        assert_eq!(token.to_string(), text);
        assert_eq!(token.file(), PathBuf::from("scenarios/pid/recycled pid.toml"));
    }

    #[test]
    fn each_kind_of_broken_token_is_told_apart() {
        assert_eq!(Token::parse("nonsense"), Err(TokenError::Shape));
        assert_eq!(Token::parse("v1.a.refgate.00000000.0003"), Err(TokenError::Shape));
        assert!(matches!(Token::parse("v1.a.nope.00000000.00000000.0003"), Err(TokenError::Design { .. })));
        assert!(matches!(Token::parse("v1.a.refgate.zz.00000000.0003"), Err(TokenError::Hash { .. })));
        assert!(matches!(Token::parse("v1.a.refgate.00000000.00000000.03"), Err(TokenError::Schedule(_))));
        assert_eq!(Token::parse(&"v1.".repeat(1 << 20)), Err(TokenError::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,300}") {
            let _ = Token::parse(&text);
        }
    }
}
