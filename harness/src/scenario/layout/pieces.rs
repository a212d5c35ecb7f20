//! The parts of a laid out file: values on one line, lists on several, comments behind them.

use toml_edit::{Array, Decor, RawString, Value};

use super::dotted;

/// Comments are not put below each other behind lines that are longer than this, in characters.
const ALIGNED: usize = 100;

/// A line, and the comment behind it.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) behind: Option<String>,
}

impl Line {
    /// A line without a comment behind it.
    pub(super) const fn alone(text: String) -> Self {
        Self { text, behind: None }
    }
}

/// The lines with their comments, those of neighbours below each other.
pub(super) fn aligned(lines: &[Line]) -> Vec<String> {
    let mut out = Vec::new();
    let runs = lines.chunk_by(|a, b| a.behind.is_some() && b.behind.is_some());
    for run in runs {
        let width = run.iter().map(|line| line.text.chars().count()).max().unwrap_or_default();
        let width = if width > ALIGNED { 0 } else { width };
        out.extend(run.iter().map(|line| match &line.behind {
            Some(comment) => format!("{:<width$} {comment}", line.text),
            None => line.text.clone(),
        }));
    }
    out
}

fn text(raw: Option<&RawString>) -> &str {
    raw.and_then(RawString::as_str).unwrap_or_default()
}

/// The comments and blank lines before a key; the last line of what stands there is the key's own.
pub(super) fn lines_before(raw: &str) -> Vec<String> {
    let mut lines: Vec<String> = raw.split('\n').map(|line| line.trim().to_owned()).collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The comment that stands behind something on its line.
pub(super) fn comment(raw: &str) -> Option<String> {
    let comment = raw.lines().next().unwrap_or_default().trim();
    (!comment.is_empty()).then(|| comment.to_owned())
}

/// Whether a list has a line break or a comment between its entries, so that each has a line.
pub(super) fn wants_lines(list: &Array) -> bool {
    let in_decor =
        |decor: &Decor| [text(decor.prefix()), text(decor.suffix())].concat().contains(['\n', '#']);
    text(Some(list.trailing())).contains(['\n', '#']) || list.iter().any(|item| in_decor(item.decor()))
}

/// A list with a line for each entry, without its brackets.
pub(super) fn entries(list: &Array) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut between = String::new();
    for item in list {
        between.push_str(text(item.decor().prefix()));
        comments(&between, &mut lines);
        lines.push(Line::alone(format!("  {},", written(item))));
        between = text(item.decor().suffix()).to_owned();
    }
    between.push_str(text(Some(list.trailing())));
    comments(&between, &mut lines);
    lines
}

/// What stands between two entries: the rest of the first one's line, and lines of their own.
fn comments(between: &str, lines: &mut Vec<Line>) {
    let mut parts = between.split('\n');
    let behind = comment(parts.next().unwrap_or_default());
    match (lines.last_mut(), behind) {
        (Some(line), Some(comment)) if line.behind.is_none() => line.behind = Some(comment),
        (_, Some(comment)) => lines.push(Line::alone(format!("  {comment}"))),
        (_, None) => {}
    }
    let own = parts.map(str::trim).filter(|line| !line.is_empty());
    lines.extend(own.map(|comment| Line::alone(format!("  {comment}"))));
}

/// A value on one line, or as it is if there are comments in it.
pub(super) fn written(value: &Value) -> String {
    on_one_line(value).unwrap_or_else(|| {
        let mut bare = value.clone();
        bare.decor_mut().clear();
        bare.to_string().trim().to_owned()
    })
}

/// A value on one line; `None` if there are comments in it.
pub(super) fn on_one_line(value: &Value) -> Option<String> {
    let has_comment = |decor: &Decor| [text(decor.prefix()), text(decor.suffix())].concat().contains('#');
    match value {
        Value::String(scalar) => Some(scalar.display_repr().into_owned()),
        Value::Integer(scalar) => Some(scalar.display_repr().into_owned()),
        Value::Float(scalar) => Some(scalar.display_repr().into_owned()),
        Value::Boolean(scalar) => Some(scalar.display_repr().into_owned()),
        Value::Datetime(scalar) => Some(scalar.display_repr().into_owned()),
        Value::Array(list) => {
            if text(Some(list.trailing())).contains('#') || list.iter().any(|item| has_comment(item.decor()))
            {
                return None;
            }
            let items: Vec<String> = list.iter().map(on_one_line).collect::<Option<_>>()?;
            Some(format!("[{}]", items.join(", ")))
        }
        Value::InlineTable(table) => {
            let mut fields = Vec::new();
            for (path, value) in table.get_values() {
                let keys =
                    path.iter().any(|key| has_comment(key.leaf_decor()) || has_comment(key.dotted_decor()));
                if keys || has_comment(value.decor()) {
                    return None;
                }
                fields.push(format!("{} = {}", dotted(&path), on_one_line(value)?));
            }
            let has_rest = text(Some(table.trailing())).contains('#');
            (!has_rest).then(|| {
                if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
            })
        }
    }
}
