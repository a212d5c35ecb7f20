//! What one line of a log says: an event of a gateway, a note, or nothing that is known.
//!
//! The lines of `refgate gateway --json` are known by themselves, those of another gateway by the patterns of its target.

use serde::Deserialize;

use super::time::{self, Micros};
use crate::scenario::Happening;
use crate::target::{LogLine, Target};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// That something has happened to a gateway.
    Event(Box<Heard>),
    /// Something that nothing follows from.
    Note,
    /// Nothing that is known here. When it was written may be known all the same.
    Unknown,
}

/// An event, as its line tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) what: Happening,
    /// The process that wrote the line.
    pub(super) pid: Option<u32>,
    pub(super) at_us: Option<Micros>,
    /// The line has a time that is none.
    pub(super) is_time_wrong: bool,
    /// How old the process was.
    pub(super) uptime_us: Option<u64>,
    /// When the process began, in clock ticks after boot.
    pub(super) start_tick: Option<u64>,
    pub(super) port: Option<u16>,
    pub(super) state: Option<String>,
    pub(super) holder: Option<Holder>,
}

/// Who is said to be in the way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Holder {
    pub(super) pid: u32,
    /// Its command line, if that was told.
    #[serde(default)]
    pub(super) command: String,
}

/// The status with which a shell tells that a process was aborted.
const ABORTED: u8 = 134;

/// A line of `refgate gateway --json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refgate {
    event: String,
    pid: u32,
    at: Option<String>,
    uptime_us: Option<u64>,
    start_tick: Option<u64>,
    port: Option<u16>,
    state: Option<String>,
    code: Option<String>,
    exit: Option<u8>,
    holder: Option<Holder>,
}

/// Reads a line, by the patterns of a target first if there is one.
pub(super) fn read(line: &str, target: Option<&Target>) -> Says {
    let heard = target.and_then(|target| target.log.read(line)).map(|line| of_target(&line));
    heard.unwrap_or_else(|| refgate(line))
}

fn of_target(line: &LogLine<'_>) -> Says {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let at_us = line.time.and_then(time::parse);
    Says::Event(Box::new(Heard {
        what: line.emits,
        pid: number(line.pid),
        at_us,
        is_time_wrong: line.time.is_some() && at_us.is_none(),
        uptime_us: None,
        start_tick: None,
        port: line.port.and_then(|text| text.parse().ok()),
        state: line.state.map(str::to_owned),
        holder: number(line.holder)
            .map(|pid| Holder { pid, command: String::new() })
            .filter(|_| is_refusal(line.emits)),
    }))
}

fn refgate(line: &str) -> Says {
    if !line.starts_with('{') {
        return Says::Unknown;
    }
    let Ok(Refgate { event, pid, at, uptime_us, start_tick, port, state, code, exit, holder }) =
        serde_json::from_str(line)
    else {
        return Says::Unknown;
    };
    let what = match event.as_str() {
        "note" => return Says::Note,
        "refused" => match code.as_deref() {
            // Nothing was tried: the settings were not understood.
            Some("settings") => return Says::Note,
            Some(code) => Happening::of(&format!("refused:{code}")).unwrap_or(Happening::Refused(None)),
            None => Happening::Refused(None),
        },
        // Others cannot be told by a process of itself.
        "owner" => Happening::Owner,
        "ready" => Happening::Ready,
        "draining" => Happening::Draining,
        "released" => Happening::Released,
        // An error of the program itself, which aborts it, or of whoever has started it.
        "failed" if exit == Some(ABORTED) => Happening::Killed,
        "failed" => Happening::Exited,
        _ => return Says::Unknown,
    };
    let at_us = at.as_deref().and_then(time::parse);
    let is_time_wrong = at.is_some() && at_us.is_none();
    let holder = holder.filter(|_| is_refusal(what));
    Says::Event(Box::new(Heard {
        what,
        pid: Some(pid),
        at_us,
        is_time_wrong,
        uptime_us,
        start_tick,
        port,
        state,
        holder,
    }))
}

/// Only a refusal names whoever is in the way.
fn is_refusal(what: Happening) -> bool {
    what.kind() == Happening::Refused(None)
}

#[cfg(test)]
mod tests {
    use super::{Says, read};
    use crate::scenario::Happening;

    fn event(line: &str) -> super::Heard {
        let Says::Event(heard) = read(line, None) else { panic!("{line}") };
        *heard
    }

    #[test]
    fn the_lines_of_refgate_are_read_and_what_is_new_in_them_is_ignored() {
        let heard = event(
            r#"{"event":"refused","pid":4,"at":"1970-01-01T00:00:01.5Z","uptimeUs":90,"code":"held-ready","exit":78,"x":[],
            "state":"/s","port":1,"holder":{"pid":3,"command":"refgate gateway","startTick":9}}"#,
        );
        assert_eq!(heard.what, Happening::of("refused:held-ready").unwrap());
        assert_eq!((heard.pid, heard.at_us, heard.uptime_us), (Some(4), Some(1_500_000), Some(90)));
        assert_eq!(heard.holder.map(|holder| holder.pid), Some(3));
        let later = event(r#"{"event":"refused","pid":4,"code":"moon-phase"}"#);
        assert_eq!(later.what, Happening::Refused(None), "a reason of a later version");
        let wrong = event(r#"{"event":"ready","pid":4,"at":"yesterday"}"#);
        assert!(wrong.is_time_wrong && wrong.at_us.is_none());
    }

    #[test]
    fn what_is_no_line_of_a_gateway_is_unknown_and_a_note_is_a_note() {
        for line in [
            "",
            "{",
            "[]",
            "null",
            r#"{"event":"ready"}"#,
            r#"{"event":"ready","pid":-1}"#,
            r#"{"event":7,"pid":1}"#,
            "ready",
        ] {
            assert_eq!(read(line, None), Says::Unknown, "{line}");
        }
        assert_eq!(read(r#"{"event":"note","pid":1,"message":"x"}"#, None), Says::Note);
    }
}
