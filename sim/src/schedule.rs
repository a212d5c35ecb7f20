//! A schedule is the whole of what was chosen: with the program and the setup it gives one execution, byte for byte.

use std::fmt;

/// Which of the possible steps was taken, each time there was a choice or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(Vec<u8>);

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A character that does not occur in schedules.
    #[error("character {character:?} at position {position} does not belong in a schedule")]
    Character {
        /// The character.
        character: char,
        /// Where it stands, counted in characters from 0.
        position: usize,
    },
    /// It breaks off in the middle of a pair.
    #[error("the schedule breaks off: it has an odd number of bytes")]
    Odd,
    /// It is longer than any search makes them.
    #[error("the schedule has more than {limit} steps")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

/// More steps than any search takes.
const MOST_STEPS: usize = 1 << 20;

impl Schedule {
    pub(crate) const fn from_indices(indices: Vec<u8>) -> Self {
        Self(indices)
    }

    /// How many steps it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no step.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied().map(usize::from)
    }

    /// Reads what `Display` has written.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let mut bytes = Vec::new();
        for (position, character) in text.chars().enumerate() {
            let digit = character.to_digit(16).filter(|_| !character.is_ascii_uppercase());
            match digit.and_then(|digit| u8::try_from(digit).ok()) {
                Some(digit) => bytes.push(digit),
                None => return Err(ScheduleError::Character { character, position }),
            }
        }
        let mut steps = Vec::new();
        let (runs, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(ScheduleError::Odd);
        }
        for [high, low, more_high, more_low] in runs {
            let count = usize::from(more_high * 16 + more_low) + 1;
            steps.resize(steps.len() + count, high * 16 + low);
            if steps.len() > MOST_STEPS {
                return Err(ScheduleError::TooLong { limit: MOST_STEPS });
            }
        }
        Ok(Self(steps))
    }
}

/// Pairs of bytes in hexadecimal: which step, and how many times more.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in self.0.chunk_by(|left, right| left == right) {
            for piece in run.chunks(256) {
                write!(f, "{:02x}{:02x}", piece[0], piece.len() - 1)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Schedule, ScheduleError};

    proptest! {
        #[test]
        fn what_is_written_is_read_back(steps in proptest::collection::vec(0_u8..4, 0..2000)) {
            let schedule = Schedule(steps);
            prop_assert_eq!(Schedule::parse(&schedule.to_string()), Ok(schedule));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = Schedule::parse(&text);
        }
    }

    #[test]
    fn a_wrong_character_is_named_with_its_place() {
        assert_eq!(Schedule::parse("00g0"), Err(ScheduleError::Character { character: 'g', position: 2 }));
        assert_eq!(Schedule::parse("000"), Err(ScheduleError::Odd));
    }
}
