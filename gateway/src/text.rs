//! What comes from outside stays inside its own line: no value can forge a line, move a cursor or turn the reading
//! direction round.
//!
//! Names of processes, paths and command lines are chosen by others. Each is made harmless before it becomes a part of
//! a text, because afterwards nobody can tell its line ends from ours.

/// The longest value that is shown in full, in characters.
const LONGEST: usize = 100;

/// A value as a part of one line: each character that would change more than its own place becomes U+FFFD.
pub(crate) fn one_line(value: &str) -> String {
    value.chars().map(|c| if is_unruly(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A finished text of several lines, whose line ends are ours.
pub(crate) fn block(text: &str) -> String {
    text.chars().map(|c| if is_unruly(c) && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The beginning of a value, with an ellipsis if there is more of it.
pub(crate) fn brief(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// Control characters, the line ends of Unicode, and what overrides the direction of text (Unicode TR 9, section 2).
fn is_unruly(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{block, brief, one_line};

    #[test]
    fn no_value_leaves_its_line_or_turns_it_round() {
        let value =
            "a\nrefgate: b\r\t\u{1b}[2J\u{85}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{7f}ä€";
        assert_eq!(
            one_line(value),
            format!("a\u{fffd}refgate: b{}[2J{}ä€", "\u{fffd}".repeat(3), "\u{fffd}".repeat(8))
        );
        assert_eq!(block("a\nb\u{202e}\r\nc"), "a\nb\u{fffd}\u{fffd}\nc");
    }

    #[test]
    fn a_long_value_is_cut_between_two_characters() {
        assert_eq!(brief("ä"), "ä");
        assert_eq!(brief(&"ä".repeat(100)), "ä".repeat(100));
        assert_eq!(brief(&"ä".repeat(101)), format!("{}…", "ä".repeat(100)));
    }
}
