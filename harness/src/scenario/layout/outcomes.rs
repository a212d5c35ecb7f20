//! Puts other outcomes into a scenario file and leaves every other byte of it alone.

use toml_edit::{Array, Document, DocumentMut, Item};

use super::WIDTH;
use super::pieces::{Line, aligned, entries, on_one_line, wants_lines};

/// The text with those outcomes left out that are not to be kept, and others added at the end of the list. Comments above an
/// outcome stay, the one behind it goes with it. `None` if there is no such list.
pub(crate) fn with_outcomes(text: &str, keep: &[bool], added: &[String]) -> Option<String> {
    let spanned = Document::parse(text).ok()?;
    let at = spanned.as_table().get("expect")?.get("outcomes")?.span()?;
    let document: DocumentMut = text.parse().ok()?;
    let list = document.as_table().get("expect")?.get("outcomes").and_then(Item::as_array)?;
    let begin = text[..at.start].rfind('\n').map_or(0, |line| line + 1);
    let column = text[begin..at.start].chars().count();
    let written = short(list, keep, added).filter(|short| column + short.chars().count() <= WIDTH);
    let written = written.unwrap_or_else(|| long(list, keep, added));
    Some([&text[..at.start], &written, &text[at.end..]].concat())
}

/// The list on one line, if it was on one.
fn short(list: &Array, keep: &[bool], added: &[String]) -> Option<String> {
    if wants_lines(list) {
        return None;
    }
    let kept = list.iter().zip(keep).filter(|(_, keep)| **keep).map(|(outcome, _)| on_one_line(outcome));
    let all: Vec<String> = kept.chain(added.iter().cloned().map(Some)).collect::<Option<_>>()?;
    Some(format!("[{}]", all.join(", ")))
}

/// The list with a line for each outcome.
fn long(list: &Array, keep: &[bool], added: &[String]) -> String {
    let mut number = 0;
    let mut lines = Vec::new();
    for line in entries(list) {
        let is_comment = line.text.trim_start().starts_with('#');
        if is_comment || keep.get(number).copied().unwrap_or(true) {
            lines.push(line);
        }
        number += usize::from(!is_comment);
    }
    lines.extend(added.iter().map(|outcome| Line::alone(format!("  {outcome},"))));
    format!("[\n{}\n]", aligned(&lines).join("\n"))
}

#[cfg(test)]
mod tests {
    use super::with_outcomes;

    #[test]
    fn outcomes_come_and_go_and_everything_else_stays() {
        let text = "x  =1 # odd\n[expect]\noutcomes = [ # first\n  # of a\n  { a = \"ready\" }, # gone\n  { b = \"ready\" } # stays\n] # end\n";
        let new = with_outcomes(text, &[false, true], &["{ c = \"exited\" }".to_owned()]);
        assert_eq!(
            new.as_deref(),
            Some(
                "x  =1 # odd\n[expect]\noutcomes = [\n  # first\n  # of a\n  { b = \"ready\" }, # stays\n  { c = \"exited\" },\n] # end\n"
            )
        );
        let text = "expect = { outcomes = [{ a = \"ready\" }] }\n";
        let new = with_outcomes(text, &[false], &["{ a = \"exited\" }".to_owned()]);
        assert_eq!(new.as_deref(), Some("expect = { outcomes = [{ a = \"exited\" }] }\n"));
        assert_eq!(with_outcomes("a = 1", &[], &[]), None);
    }
}
