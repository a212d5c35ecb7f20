//! How a scenario file is laid out: the same data and the same comments, always written in one way.
//!
//! - Sections come in the order of the documentation, those of one kind in the order of the file, which has a meaning; keys
//!   stay where they are, and only those before the first section are put in order.
//! - The `=` of a section are below each other. So are the comments behind lines that follow each other.
//! - A list stays on one line if it was and fits; otherwise each entry has a line of its own.
//! - Blank lines stand between sections, and once at most inside of them.
//!
//! Laying out is idempotent, and what a file means stays the same.

mod outcomes;
mod pieces;

pub(crate) use outcomes::with_outcomes;
use pieces::{Line, aligned, comment, lines_before, on_one_line, wants_lines, written};
use toml_edit::{DocumentMut, Item, Key, Table, Value};

use super::format::FILE;

/// The longest line that a list is written on, in characters.
const WIDTH: usize = 124;

/// The text of a scenario file, laid out; `None` if it is not TOML, or has lists of tables, which no scenario has.
pub fn laid_out(text: &str) -> Option<String> {
    let document: DocumentMut = text.trim_start_matches('\u{feff}').parse().ok()?;
    let mut sections = Vec::new();
    collect(document.as_table(), &mut Vec::new(), &mut sections)?;
    sections.sort_by_key(|section| (rank(&section.path), section.position));
    let mut out = String::new();
    for section in &sections {
        section.write(&mut out);
    }
    let trailing = lines_before(document.trailing().as_str().unwrap_or_default());
    let mut trailing: Vec<&str> = trailing.iter().map(String::as_str).collect();
    while trailing.last() == Some(&"") {
        trailing.pop();
    }
    for line in trailing {
        out.push_str(line);
        out.push('\n');
    }
    Some(out)
}

/// The place of a section among the others: that of its first word in the documentation. What stands before all sections is
/// first.
fn rank(path: &[&Key]) -> usize {
    let of =
        |key: &&Key| FILE.iter().position(|known| known.name == key.get()).map_or(FILE.len(), |at| at + 1);
    path.first().map_or(0, of)
}

/// A table with what is written in it.
struct Section<'d> {
    path: Vec<&'d Key>,
    position: isize,
    table: &'d Table,
}

/// Every table that has a header or values, and the root. `None` if there is a list of tables.
fn collect<'d>(table: &'d Table, path: &mut Vec<&'d Key>, sections: &mut Vec<Section<'d>>) -> Option<()> {
    if path.is_empty() || !(table.is_implicit() || table.is_dotted()) {
        sections.push(Section { path: path.clone(), position: table.position().unwrap_or_default(), table });
    }
    for (name, item) in table {
        match item {
            Item::Table(inner) => {
                path.push(table.key(name)?);
                collect(inner, path, sections)?;
                path.pop();
            }
            Item::ArrayOfTables(_) => return None,
            Item::Value(_) | Item::None => {}
        }
    }
    Some(())
}

/// One `key = value`, with the lines before it.
struct Entry<'d> {
    before: Vec<String>,
    key: String,
    value: &'d Value,
    behind: Option<String>,
}

impl Section<'_> {
    fn write(&self, out: &mut String) {
        let mut entries = self.entries();
        let mut head = Vec::new();
        if self.path.is_empty() {
            // What stands at the top of a file is about all of it, whichever key comes first.
            if let Some(first) = entries.first_mut() {
                head.append(&mut first.before);
            }
            let known = |entry: &Entry<'_>| FILE.iter().position(|key| key.name == entry.key);
            entries.sort_by_key(|entry| known(entry).unwrap_or(FILE.len()));
        } else {
            let decor = self.table.decor();
            head.push(String::new());
            head.extend(lines_before(decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()));
            let behind = comment(decor.suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default());
            let path: Vec<_> = self.path.iter().map(|key| key.display_repr()).collect();
            let behind = behind.map_or_else(String::new, |comment| format!(" {comment}"));
            head.push(format!("[{}]{behind}", path.join(".")));
        }
        let width = entries.iter().map(|entry| entry.key.chars().count()).max().unwrap_or_default();
        let mut lines: Vec<Line> = head.into_iter().map(Line::alone).collect();
        for (number, entry) in entries.iter().enumerate() {
            let is_first = number == 0 && !self.path.is_empty();
            lines.extend(
                entry.before.iter().skip_while(|line| is_first && line.is_empty()).cloned().map(Line::alone),
            );
            entry.write(width, &mut lines);
        }
        let is_at_top = out.is_empty();
        let mut was_blank = is_at_top;
        for line in aligned(&lines) {
            let is_blank = line.is_empty();
            if !(is_blank && was_blank) {
                out.push_str(&line);
                out.push('\n');
            }
            was_blank = is_blank;
        }
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        let values = self.table.get_values().into_iter();
        values
            .map(|(path, value)| {
                let before = path.last().and_then(|key| key.leaf_decor().prefix()?.as_str());
                let behind = value.decor().suffix().and_then(|suffix| suffix.as_str());
                Entry {
                    before: lines_before(before.unwrap_or_default()),
                    key: dotted(&path),
                    value,
                    behind: comment(behind.unwrap_or_default()),
                }
            })
            .collect()
    }
}

impl Entry<'_> {
    fn write(&self, width: usize, lines: &mut Vec<Line>) {
        let key = format!("{:<width$} = ", self.key);
        if let Value::Array(list) = self.value {
            let whole = on_one_line(self.value).filter(|whole| {
                !wants_lines(list) && (list.len() < 2 || key.chars().count() + whole.chars().count() <= WIDTH)
            });
            let Some(whole) = whole else {
                lines.push(Line::alone(format!("{key}[")));
                lines.extend(pieces::entries(list));
                lines.push(Line { text: "]".to_owned(), behind: self.behind.clone() });
                return;
            };
            lines.push(Line { text: key + &whole, behind: self.behind.clone() });
            return;
        }
        lines.push(Line { text: key + &written(self.value), behind: self.behind.clone() });
    }
}

fn dotted(path: &[&Key]) -> String {
    path.iter().map(|key| key.display_repr().into_owned()).collect::<Vec<_>>().join(".")
}
