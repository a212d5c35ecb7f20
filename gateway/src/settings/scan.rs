//! Where things are in a JSON5 text. What they mean is the parser's business; an error message needs both.

use std::ops::Range;

use json5::char::is_json5_whitespace;

/// A member of an object, by the bytes of its key and of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// How the brackets of a text are nested. The text need not be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nesting {
    /// The first bracket that lies deeper than the limit.
    pub(super) too_deep: Option<usize>,
    /// The innermost bracket that is never closed.
    pub(super) unclosed: Option<usize>,
    /// The last token.
    pub(super) last: Range<usize>,
}

/// Looks at the brackets outside strings and comments. Afterwards a recursive parser is safe with this text.
pub(super) fn nesting(text: &str, limit: usize) -> Nesting {
    let mut open = Vec::new();
    let mut last = 0..0;
    for token in Tokens::new(text, 0) {
        last = token.range;
        match token.kind {
            Kind::Open if open.len() == limit => {
                return Nesting { too_deep: Some(last.start), unclosed: None, last };
            }
            Kind::Open => open.push(last.start),
            Kind::Close => {
                open.pop();
            }
            Kind::Comma | Kind::Colon | Kind::Atom => {}
        }
    }
    Nesting { too_deep: None, unclosed: open.pop(), last }
}

/// The first thing in a text that is neither blank nor comment.
pub(super) fn first(text: &str) -> Option<Range<usize>> {
    Tokens::new(text, 0).next().map(|token| token.range)
}

/// The members of the object that starts at `start`, in order. The text must be valid JSON5.
pub(super) fn members(text: &str, start: usize) -> Vec<Member> {
    let mut tokens = Tokens::new(text, start).skip(1);
    let mut members = Vec::new();
    while let Some(key) = tokens.next().filter(|token| token.kind == Kind::Atom) {
        let Some(first) = tokens.nth(1) else { break };
        let Some(range) = value(&first, &mut tokens) else { break };
        members.push(Member { key: key.range, value: range });
        // The comma, or the end of the object.
        if !tokens.next().is_some_and(|token| token.kind == Kind::Comma) {
            break;
        }
    }
    members
}

/// The elements of the array that starts at `start`, in order. The text must be valid JSON5.
pub(super) fn elements(text: &str, start: usize) -> Vec<Range<usize>> {
    let mut tokens = Tokens::new(text, start).skip(1);
    let mut elements = Vec::new();
    while let Some(first) = tokens.next().filter(|token| token.kind != Kind::Close) {
        let Some(range) = value(&first, &mut tokens) else { break };
        elements.push(range);
        if !tokens.next().is_some_and(|token| token.kind == Kind::Comma) {
            break;
        }
    }
    elements
}

/// The strings that are values of keys for which `is_meant`, and those inside such values, in a text that need not be valid.
pub(super) fn strings_after(text: &str, is_meant: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut tokens = Tokens::new(text, 0).peekable();
    // How deep inside a value of such a key this is; 0: outside.
    let mut depth = 0_usize;
    while let Some(token) = tokens.next() {
        let source = text.get(token.range.clone()).unwrap_or_default();
        let is_key = tokens.peek().is_some_and(|next| next.kind == Kind::Colon);
        match token.kind {
            Kind::Open if depth > 0 => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::Atom if is_key && depth == 0 => {
                let name = json5::from_str::<String>(source).unwrap_or_else(|_| source.to_owned());
                if is_meant(&name) {
                    let _ = tokens.next();
                    match tokens.peek() {
                        Some(value) if value.kind == Kind::Open => {
                            let _ = tokens.next();
                            depth = 1;
                        }
                        Some(value) if value.kind == Kind::Atom => {
                            found.extend(is_string(text, &value.range).then(|| value.range.clone()));
                        }
                        Some(_) | None => {}
                    }
                }
            }
            Kind::Atom if !is_key && depth > 0 && is_string(text, &token.range) => found.push(token.range),
            Kind::Open | Kind::Comma | Kind::Colon | Kind::Atom => {}
        }
    }
    found
}

fn is_string(text: &str, range: &Range<usize>) -> bool {
    text.get(range.clone()).is_some_and(|source| source.starts_with(['"', '\'']))
}

/// The whole of the value that begins with a token; `None` if the text ends before it does.
fn value(first: &Token, tokens: &mut impl Iterator<Item = Token>) -> Option<Range<usize>> {
    let mut range = first.range.clone();
    let mut depth = usize::from(first.kind == Kind::Open);
    while depth > 0 {
        let token = tokens.next()?;
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            Kind::Comma | Kind::Colon | Kind::Atom => {}
        }
        range.end = token.range.end;
    }
    Some(range)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    Comma,
    Colon,
    /// A string, a number, a word.
    Atom,
}

struct Token {
    kind: Kind,
    range: Range<usize>,
}

/// The tokens of a text, valid or not: every byte of it is looked at once, and none can make this fail.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    const fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start_matches(is_json5_whitespace).len();
            let comment = match rest.get(blanks..).unwrap_or_default() {
                line if line.starts_with("//") => {
                    line.find(['\n', '\r', '\u{2028}', '\u{2029}']).unwrap_or(line.len())
                }
                block if block.starts_with("/*") => {
                    block.get(2..).and_then(|body| body.find("*/")).map_or(block.len(), |end| end + 4)
                }
                _ => 0,
            };
            self.at += blanks + comment;
            if comment == 0 {
                return;
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks_and_comments();
        let rest = self.rest();
        let first = rest.chars().next()?;
        let (kind, length) = match first {
            '{' | '[' => (Kind::Open, 1),
            '}' | ']' => (Kind::Close, 1),
            ',' => (Kind::Comma, 1),
            ':' => (Kind::Colon, 1),
            '"' | '\'' => (Kind::Atom, string_length(rest, first)),
            _ => (Kind::Atom, word_length(rest, first)),
        };
        let range = self.at..self.at + length;
        self.at = range.end;
        Some(Token { kind, range })
    }
}

/// The length of the string at the start of `rest`, both quotes included.
fn string_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return offset + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of the word or number at the start of `rest`, at least its first character.
fn word_length(rest: &str, first: char) -> usize {
    let ends = |character: char| is_json5_whitespace(character) || "{}[],:\"'/".contains(character);
    let after = rest.get(first.len_utf8()..).unwrap_or_default();
    first.len_utf8() + after.find(ends).unwrap_or(after.len())
}
