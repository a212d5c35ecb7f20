//! The only agent there is: it says what it was told, so that whoever asked can tell that it was asked, and by whom.

/// The name that it goes by.
pub(super) const AGENT: &str = "main";

/// What it answers. The same question has always the same answer.
pub(super) fn answer(text: &str) -> String {
    format!("echo: {text}")
}
