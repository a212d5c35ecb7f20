//! A mistake in a file is shown where it is: message, place, caret, related places and a remedy.
//!
//! A [`Problem`] is data; drawing needs the text of the file and happens here alone, so that every mistake looks the
//! same. Spans are clamped to the text, so that no span can make the drawing fail.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};

/// Whether the drawing carries colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// No escape sequences.
    Plain,
    /// ANSI colours.
    Coloured,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody can have meant it, and nothing is run.
    Error,
    /// It says nothing, and probably something was meant.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// Where: bytes of the text.
    pub span: Range<usize>,
    /// What stands beside the caret; may be empty.
    pub label: String,
    /// Other places that explain it.
    pub notes: Vec<Note>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A place that explains a problem elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where: bytes of the text.
    pub span: Range<usize>,
    /// What it has to do with the problem.
    pub label: String,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        let severity = Severity::Error;
        Self { severity, message: message.into(), span, label: String::new(), notes: Vec::new(), help: None }
    }

    pub(super) fn warning(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(message, span) }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn note(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.notes.push(Note { span, label: label.into() });
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// The line that it is on, counted from 1.
    pub fn line(&self, text: &str) -> usize {
        line_at(text, self.span.start)
    }

    /// Draws it with the lines of the file that it is about. Ends without a line break.
    pub fn render(&self, path: &Path, text: &str, paint: Paint) -> String {
        let primary = AnnotationKind::Primary.span(clamp(text, &self.span)).label(some(&self.label));
        let notes = self
            .notes
            .iter()
            .map(|note| AnnotationKind::Context.span(clamp(text, &note.span)).label(some(&note.label)));
        let snippet =
            Snippet::source(text).path(path.display().to_string()).annotation(primary).annotations(notes);
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        draw(level.primary_title(&self.message).element(snippet), self.help.as_deref(), paint)
    }
}

/// Draws a mistake that has no place in a text. Ends without a line break.
pub(crate) fn render_bare(message: &str, help: &str, paint: Paint) -> String {
    draw(Group::with_title(Level::ERROR.primary_title(message)), Some(help), paint)
}

/// The line that a byte is on, counted from 1.
pub(crate) fn line_at(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|byte| *byte == b'\n').count()
}

fn draw(group: Group<'_>, help: Option<&str>, paint: Paint) -> String {
    let help = help.map(|help| Level::HELP.message(normalize_untrusted_str(help)));
    let renderer = match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Coloured => Renderer::styled(),
    };
    renderer.render(&[group.elements(help)])
}

fn some(label: &str) -> Option<&str> {
    (!label.is_empty()).then_some(label)
}

/// The nearest span that lies in the text, on whole characters and on one line: more lines would hide the mistake.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    start..end.min(line_end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_place_caret_related_place_and_remedy() {
        let text = "schema = 1\n[gateway.b]\nsteps = [{ start = \"bb\" }]\n";
        let at = |word: &str| text.find(word).map_or(0..0, |start| start..start + word.len());
        let problem = Problem::new("no process is called `bb`", at("\"bb\""))
            .label("not declared in this file")
            .note(at("[gateway.b]"), "declared here")
            .help("did you mean `b`?");
        insta::assert_snapshot!(problem.render(Path::new("scenarios/x.toml"), text, Paint::Plain), @r#"
        error: no process is called `bb`
         --> scenarios/x.toml:3:20
          |
        2 | [gateway.b]
          | ----------- declared here
        3 | steps = [{ start = "bb" }]
          |                    ^^^^ not declared in this file
          |
          = help: did you mean `b`?
        "#);
    }

    #[test]
    fn a_span_outside_the_text_or_inside_a_character_is_clamped() {
        let text = "é\nb";
        assert_eq!(clamp(text, &(1..99)), 0..2);
        assert_eq!(clamp(text, &(77..99)), 4..4);
        assert_eq!(clamp("", &Range { start: 3, end: 1 }), 0..0);
    }
}
