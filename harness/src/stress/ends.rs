//! How a contender may end: by itself with the status that its last word stands for, or by a signal that was sent to it.
//!
//! Everything else is a breach, and so is one that does not end at all.

use gateway::Reason;
use rustix::process::Signal;

use super::breaches::cut;
use crate::real::Ended;

/// How long a contender may take, from its start or from what it was told, until it is ready or gone, in microseconds. The
/// longest wait of any design is half of it.
pub(super) const PATIENCE_US: u64 = 20_000_000;

/// The statuses with which a design ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statuses {
    /// Those of `REFUSALS.md`, each for its codes, and 0 for an end that it was told to make.
    Documented,
    /// Whatever it likes, as long as it did not panic.
    Any,
}

/// What a contender has said last about its ownership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing that ends it.
    #[default]
    Nothing,
    /// It is no owner any more.
    Released,
    /// It was refused, with this code.
    Refused(String),
}

/// What was done to a contender, and what it has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) is_killed: bool,
    /// It was told to end.
    pub(super) is_told: bool,
    pub(super) word: Word,
    /// The first line that it complained of.
    pub(super) complaint: Option<String>,
}

impl Life {
    /// What is wrong with an end, as a fragment of a sentence.
    pub(super) fn strange(&self, ended: Ended, statuses: Statuses) -> Option<String> {
        let what = match ended {
            Ended::Signaled(signal) if self.is_killed && signal == Signal::KILL.as_raw() => return None,
            Ended::Signaled(signal) if self.is_told && signal == Signal::TERM.as_raw() => return None,
            Ended::Signaled(signal) => format!("ended by signal {signal}, which nobody had sent"),
            Ended::Exited(101) => "panicked".to_owned(),
            Ended::Exited(status) => match statuses {
                Statuses::Any => return None,
                Statuses::Documented => self.misfit(status)?,
            },
        };
        let complaint = self.complaint.as_ref().map(|line| format!(": {}", cut(line)));
        Some(what + &complaint.unwrap_or_default())
    }

    /// What a status has to do with the last word.
    fn misfit(&self, status: i32) -> Option<String> {
        let (word, expected) = match &self.word {
            Word::Nothing => return Some(format!("ended with status {status} and said nothing")),
            Word::Released if !self.is_told => {
                return Some(format!("released by itself and ended with status {status}"));
            }
            Word::Released => ("released".to_owned(), 0),
            Word::Refused(code) => {
                let Some(reason) = Reason::ALL.into_iter().find(|reason| reason.code() == code) else {
                    return Some(format!("was refused with {code}, which is no code"));
                };
                // A holder that nobody sees, and a gateway that is silent, may be about to end.
                let is_of_a_port = matches!(reason, Reason::PortRange | Reason::PortGateway);
                if (reason.may_be_unexplained() || is_of_a_port) && status == 75 {
                    return None;
                }
                (code.clone(), i32::from(reason.exit_status()))
            }
        };
        // A stress troubles nobody but by what it does to contenders and lock files.
        if word == Reason::Error.code() {
            return Some("was refused with error: the system has failed it".to_owned());
        }
        (status != expected).then(|| format!("said {word} and ended with status {status}, not {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Life, Statuses, Word};
    use crate::real::Ended::{Exited, Signaled};

    #[test]
    fn an_end_must_be_one_that_somebody_asked_for_or_that_the_last_word_stands_for() {
        let refused = |code: &str| Word::Refused(code.to_owned());
        for (is_killed, is_told, word, ended, expected) in [
            (true, false, Word::Nothing, Signaled(9), None),
            (false, true, Word::Nothing, Signaled(9), Some("ended by signal 9, which nobody had sent")),
            (false, true, Word::Nothing, Signaled(15), None),
            (true, true, Word::Released, Signaled(6), Some("ended by signal 6, which nobody had sent")),
            (false, true, Word::Released, Exited(0), None),
            (false, true, Word::Released, Exited(101), Some("panicked")),
            (false, true, Word::Released, Exited(1), Some("said released and ended with status 1, not 0")),
            (false, false, Word::Released, Exited(0), Some("released by itself and ended with status 0")),
            (false, false, Word::Nothing, Exited(0), Some("ended with status 0 and said nothing")),
            (false, false, refused("held-ready"), Exited(78), None),
            (false, false, refused("held-starting"), Exited(75), None),
            (false, false, refused("fenced"), Exited(70), None),
            (false, false, refused("config-shared"), Exited(78), None),
            (false, false, refused("config-shared"), Exited(75), None),
            (false, false, refused("port-range"), Exited(75), None),
            (
                false,
                false,
                refused("held-starting"),
                Exited(78),
                Some("said held-starting and ended with status 78, not 75"),
            ),
            (
                false,
                false,
                refused("held-ready"),
                Exited(0),
                Some("said held-ready and ended with status 0, not 78"),
            ),
            (false, false, refused("held"), Exited(1), Some("was refused with held, which is no code")),
            (
                false,
                false,
                refused("error"),
                Exited(70),
                Some("was refused with error: the system has failed it"),
            ),
        ] {
            let life = Life { is_killed, is_told, word, complaint: None };
            assert_eq!(life.strange(ended, Statuses::Documented).as_deref(), expected, "{life:?} {ended:?}");
        }
        let life = Life { word: refused("held"), complaint: Some("at line 7".to_owned()), ..Life::default() };
        assert_eq!(life.strange(Exited(1), Statuses::Any), None);
        assert_eq!(life.strange(Exited(101), Statuses::Any).as_deref(), Some("panicked: at line 7"));
    }
}
