//! The shape of a filter expression: words, brackets and operators, each with its place. What the words mean is asked
//! elsewhere.

use std::ops::Range;

use winnow::ascii::multispace0;
use winnow::combinator::{alt, cut_err, delimited, eof, preceded, repeat, terminated};
use winnow::error::{ContextError, ErrMode, ModalResult, StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::stream::LocatingSlice;
use winnow::token::{any, none_of, take_while};

type Input<'t> = LocatingSlice<&'t str>;

/// Deeper brackets are refused: reading them takes room on the stack.
const DEEPEST: usize = 64;

/// An expression as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// `word(argument)`.
    Call(Call),
    /// What is not so.
    Not(Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// One of them.
    Or(Box<Self>, Box<Self>),
}

/// `word(argument)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) word: String,
    pub(super) word_at: Range<usize>,
    /// The argument, its backslashes taken away.
    pub(super) argument: Argument,
    pub(super) argument_at: Range<usize>,
}

/// What stands in the brackets of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// Nothing.
    Nothing,
    /// A word, which is compared as its predicate likes best.
    Plain(String),
    /// `=word`.
    Exact(String),
    /// `~word`.
    Contains(String),
    /// `#word*`.
    Glob(String),
    /// `/regular expression/`.
    Regex(String),
}

/// Reads an expression, or says where it stops to be one and what was expected there.
pub(super) fn parse(text: &str) -> Result<Term, (Range<usize>, String)> {
    if let Some(at) = too_deep(text) {
        return Err((at..at + 1, format!("brackets are at most {DEEPEST} deep")));
    }
    terminated(or, (multispace0, eof.context(expected("an operator: `&`, `|` or `-`"))))
        .parse(LocatingSlice::new(text))
        .map_err(|error| {
            let at = error.offset();
            // The innermost one: the others say what else might have stood around it.
            let what = error.inner().context().find_map(|context| {
                if let StrContext::Expected(what) = context { Some(format!("expected {what}")) } else { None }
            });
            (
                at..at + usize::from(at < text.len()),
                what.unwrap_or_else(|| "expected something else".to_owned()),
            )
        })
}

fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Some(at);
        }
    }
    None
}

const fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

/// An operator as a word, which no other letter may follow.
fn keyword<'t>(word: &'static str) -> impl Parser<Input<'t>, (), ErrMode<ContextError>> {
    (word, winnow::combinator::not(take_while(1, |c: char| c.is_alphanumeric() || c == '_'))).void()
}

fn operator<'t>(
    symbols: &'static str,
    word: &'static str,
) -> impl Parser<Input<'t>, char, ErrMode<ContextError>> {
    let symbol = any.verify(move |c: &char| symbols.contains(*c));
    delimited(multispace0, alt((symbol, keyword(word).value(' '))), multispace0)
}

fn or(input: &mut Input<'_>) -> ModalResult<Term> {
    let first = and.parse_next(input)?;
    repeat(0.., preceded(operator("|+", "or"), cut_err(and)))
        .fold(move || first.clone(), |left, right| Term::Or(Box::new(left), Box::new(right)))
        .parse_next(input)
}

fn and(input: &mut Input<'_>) -> ModalResult<Term> {
    let first = unary.parse_next(input)?;
    repeat(0.., (operator("&-", "and"), cut_err(unary)))
        .fold(
            move || first.clone(),
            |left, (operator, right)| {
                let right = if operator == '-' { Term::Not(Box::new(right)) } else { right };
                Term::And(Box::new(left), Box::new(right))
            },
        )
        .parse_next(input)
}

fn unary(input: &mut Input<'_>) -> ModalResult<Term> {
    let not = delimited(multispace0, alt(('!'.void(), keyword("not"))), multispace0);
    let times: usize = repeat(0.., not).parse_next(input)?;
    let term = preceded(multispace0, alt((bracketed, call.map(Term::Call))))
        .context(expected("a predicate, for instance `test(race)`"))
        .parse_next(input)?;
    Ok(if times.is_multiple_of(2) { term } else { Term::Not(Box::new(term)) })
}

fn bracketed(input: &mut Input<'_>) -> ModalResult<Term> {
    let close = preceded(multispace0, ')').context(expected("`)`"));
    delimited('(', cut_err(or), cut_err(close)).parse_next(input)
}

fn call(input: &mut Input<'_>) -> ModalResult<Call> {
    let name = take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '_');
    let (word, word_at) = name.with_span().parse_next(input)?;
    cut_err('('.context(expected("`(`"))).parse_next(input)?;
    let (argument, argument_at) =
        delimited(multispace0, argument, multispace0).with_span().parse_next(input)?;
    cut_err(')'.context(expected("`)`"))).parse_next(input)?;
    Ok(Call { word: word.to_owned(), word_at, argument, argument_at })
}

fn argument(input: &mut Input<'_>) -> ModalResult<Argument> {
    let regex = delimited('/', cut_err(until("/")), cut_err('/'.context(expected("`/`"))));
    alt((
        regex.map(Argument::Regex),
        preceded('=', until(")")).map(Argument::Exact),
        preceded('~', until(")")).map(Argument::Contains),
        preceded('#', until(")")).map(Argument::Glob),
        until(")").map(|text| if text.is_empty() { Argument::Nothing } else { Argument::Plain(text) }),
    ))
    .parse_next(input)
}

/// Everything before a character, which a backslash may escape. Blanks at the end are not part of a word.
fn until<'t>(end: &'static str) -> impl Parser<Input<'t>, String, ErrMode<ContextError>> {
    let escaped = preceded('\\', any).map(move |c: char| {
        // What else a backslash means is up to the regular expression.
        if end.contains(c) { c.to_string() } else { format!("\\{c}") }
    });
    let plain = none_of(move |c: char| end.contains(c)).map(|c: char| c.to_string());
    repeat(0.., alt((escaped, plain)))
        .fold(String::new, |text, piece: String| text + &piece)
        .map(move |text: String| if end == ")" { text.trim_end().to_owned() } else { text })
}
