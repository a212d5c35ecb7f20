//! Filter expressions: the operators and predicates of cargo-nextest's filterset language, over cases.
//!
//! `test(race) & tag(smoke)`, `not executor(sim)`, `file(scenarios/pid/*) - test(=pid/stale-lock-race)`. Predicates are
//! `test`, `tag`, `file`, `executor`, `all` and `none`; their arguments `word`, `=exact`, `~contains`, `#glob*` and `/regex/`.
//! `not` and `!` bind most, then `and`, `&` and `-` (and not), then `or`, `|` and `+`.

use std::ops::Range;
use std::path::Path;

use regex_lite::{Regex, RegexBuilder};

use super::syntax::{self, Argument, Call, Term};
use crate::scenario::diagnostics::did_you_mean;
use crate::scenario::{Paint, Problem};

/// The longest expression, in bytes.
const LONGEST: usize = 4096;
/// The largest compiled regular expression, in bytes.
const LARGEST_REGEX: usize = 1 << 20;

const PREDICATES: [&str; 6] = ["test", "tag", "file", "executor", "all", "none"];
const PREDICATES_HELP: &str =
    "the predicates are `test(name)`, `tag(name)`, `file(glob)`, `executor(name)`, `all()` and `none()`";

/// Picks cases out.
#[derive(Clone, Debug)]
pub struct Expression(Meaning);

#[derive(Clone, Debug)]
enum Meaning {
    Always(bool),
    Matches(What, Matcher),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

#[derive(Clone, Copy, Debug)]
enum What {
    Test,
    Tag,
    File,
    Executor,
}

#[derive(Clone, Debug)]
enum Matcher {
    Exact(String),
    Contains(String),
    Glob(Vec<char>),
    Regex(Regex),
}

/// What an expression judges: one case on one executor.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of the case.
    pub test: &'a str,
    /// The tags of its scenario.
    pub tags: &'a [String],
    /// The file of its scenario.
    pub file: &'a str,
    /// Where it is run.
    pub executor: &'a str,
}

/// A text that is no expression: every mistake in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    text: String,
    problems: Vec<Problem>,
}

impl Mistakes {
    /// Draws them, each with the place in the expression.
    pub fn render(&self, paint: Paint) -> String {
        let drawn = self.problems.iter().map(|it| it.render(Path::new("--filter"), &self.text, paint));
        drawn.collect::<Vec<_>>().join("\n\n")
    }
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// Every mistake in it.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        let wrong = |problems| Mistakes { text: text.to_owned(), problems };
        if text.len() > LONGEST {
            let says = format!("the expression is longer than {LONGEST} bytes");
            return Err(wrong(vec![problem(says, 0..1, "", None)]));
        }
        let term = syntax::parse(text).map_err(|(at, what)| {
            wrong(vec![problem("this is no filter expression", at, &what, Some(PREDICATES_HELP))])
        })?;
        let mut problems = Vec::new();
        match meaning(&term, &mut problems) {
            Some(meaning) if problems.is_empty() => Ok(Self(meaning)),
            Some(_) | None => Err(wrong(problems)),
        }
    }

    /// Whether it picks a case out.
    pub fn picks(&self, subject: &Subject<'_>) -> bool {
        self.0.picks(subject)
    }
}

/// A mistake at its place.
pub(crate) fn problem(
    message: impl Into<String>,
    span: Range<usize>,
    label: &str,
    help: Option<&str>,
) -> Problem {
    Problem::new(message, span).label(label).maybe_help(help.map(str::to_owned))
}

impl Meaning {
    fn picks(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Always(answer) => *answer,
            Self::Not(one) => !one.picks(subject),
            Self::And(one, other) => one.picks(subject) && other.picks(subject),
            Self::Or(one, other) => one.picks(subject) || other.picks(subject),
            Self::Matches(what, matcher) => match what {
                What::Test => matcher.matches(subject.test),
                What::Tag => subject.tags.iter().any(|tag| matcher.matches(tag)),
                What::File => matcher.matches(subject.file),
                What::Executor => matcher.matches(subject.executor),
            },
        }
    }
}

impl Matcher {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(word) => text == word,
            Self::Contains(word) => text.contains(word.as_str()),
            Self::Glob(pattern) => glob(pattern, &text.chars().collect::<Vec<_>>()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Whether a pattern of `*`, `?` and other characters fits a text. Goes back to the last `*` alone, so that it takes no
/// more steps than the product of both lengths.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, t) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// What a term means; each part that means nothing is a problem.
fn meaning(term: &Term, problems: &mut Vec<Problem>) -> Option<Meaning> {
    let mut pair = |one: &Term, other: &Term| {
        let (one, other) = (meaning(one, problems), meaning(other, problems));
        one.zip(other).map(|(one, other)| (Box::new(one), Box::new(other)))
    };
    match term {
        Term::And(one, other) => pair(one, other).map(|(one, other)| Meaning::And(one, other)),
        Term::Or(one, other) => pair(one, other).map(|(one, other)| Meaning::Or(one, other)),
        Term::Not(one) => meaning(one, problems).map(|one| Meaning::Not(Box::new(one))),
        Term::Call(call) => match meaning_of_call(call) {
            Ok(meaning) => Some(meaning),
            Err(problem) => {
                problems.push(*problem);
                None
            }
        },
    }
}

fn meaning_of_call(call: &Call) -> Result<Meaning, Box<Problem>> {
    let Call { word, word_at, argument, argument_at } = call;
    let what = match word.as_str() {
        "test" => What::Test,
        "tag" => What::Tag,
        "file" => What::File,
        "executor" => What::Executor,
        "all" | "none" => {
            if *argument == Argument::Nothing {
                return Ok(Meaning::Always(word == "all"));
            }
            let says = format!("`{word}()` takes no argument");
            return Err(Box::new(problem(says, argument_at.clone(), "leave it out", None)));
        }
        _ => {
            let help = did_you_mean(word, PREDICATES).unwrap_or_else(|| PREDICATES_HELP.to_owned());
            let says = format!("there is no predicate `{word}`");
            return Err(Box::new(problem(says, word_at.clone(), "unknown predicate", Some(&help))));
        }
    };
    let matcher = match argument {
        Argument::Nothing => {
            let says = format!("`{word}()` needs an argument");
            let help = format!("for instance `{word}(race)`; `all()` picks every case");
            let at = word_at.start..argument_at.end;
            return Err(Box::new(problem(says, at, "nothing is in the brackets", Some(&help))));
        }
        Argument::Plain(text) => match what {
            What::Test => Matcher::Contains(text.clone()),
            What::Tag | What::File | What::Executor => Matcher::Glob(text.chars().collect()),
        },
        Argument::Exact(text) => Matcher::Exact(text.clone()),
        Argument::Contains(text) => Matcher::Contains(text.clone()),
        Argument::Glob(text) => Matcher::Glob(text.chars().collect()),
        Argument::Regex(text) => {
            Matcher::Regex(RegexBuilder::new(text).size_limit(LARGEST_REGEX).build().map_err(|error| {
                let says = "this is no regular expression";
                Box::new(problem(says, argument_at.clone(), &error.to_string(), None))
            })?)
        }
    };
    Ok(Meaning::Matches(what, matcher))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(text: &str) -> Vec<&'static str> {
        let expression = Expression::parse(text).unwrap_or_else(|it| panic!("{}", it.render(Paint::Plain)));
        let subjects = [
            ("race/two-gateways", "race", "scenarios/race/two-gateways.toml", "sim"),
            ("race/two-gateways", "race", "scenarios/race/two-gateways.toml", "refgate"),
            ("pid/recycled-pid[cron]", "pid", "scenarios/pid/recycled-pid.toml", "sim"),
        ];
        let names = ["race@sim", "race@refgate", "pid@sim"];
        let is_picked = |(test, tag, file, executor): (&str, &str, &str, &str)| {
            expression.picks(&Subject { test, tags: &[tag.to_owned(), "smoke".to_owned()], file, executor })
        };
        subjects
            .into_iter()
            .zip(names)
            .filter(|(subject, _)| is_picked(*subject))
            .map(|(_, name)| name)
            .collect()
    }

    #[test]
    fn predicates_and_operators_mean_what_they_mean_in_nextest() {
        let all = ["race@sim", "race@refgate", "pid@sim"];
        let table: [(&str, &[&str]); 22] = [
            ("all()", &all),
            ("none()", &[]),
            ("test(two)", &all[..2]),
            ("test(=race/two)", &[]),
            ("test(=race/two-gateways)", &all[..2]),
            ("test(~cron)", &all[2..]),
            ("test(#pid/*[cron])", &all[2..]),
            ("test(/^pid.*\\[cron\\]$/)", &all[2..]),
            ("test( /a\\/two/ )", &[]),
            ("tag(smoke)", &all),
            ("tag(smo)", &[]),
            ("tag(sm*e)", &all),
            ("file(scenarios/pid/*)", &all[2..]),
            ("executor(sim)", &["race@sim", "pid@sim"]),
            ("not executor(sim)", &all[1..2]),
            ("!executor(sim)", &all[1..2]),
            ("not not executor(refgate)", &all[1..2]),
            ("test(race) & executor(sim)", &all[..1]),
            ("test(race) - executor(sim)", &all[1..2]),
            ("test(pid) or test(race) and executor(sim)", &["race@sim", "pid@sim"]),
            ("(test(pid) | test(race)) & !executor(sim)", &all[1..2]),
            (" tag( pid )+none() ", &all[2..]),
        ];
        for (text, wanted) in table {
            assert_eq!(picked(text), wanted, "{text}");
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        let shown = |text: &str| Expression::parse(text).unwrap_err().render(Paint::Plain);
        insta::assert_snapshot!(shown("tset(race) & tag(/[/) | file()"), @"
        error: there is no predicate `tset`
         --> --filter:1:1
          |
        1 | tset(race) & tag(/[/) | file()
          | ^^^^ unknown predicate
          |
          = help: did you mean `test`?

        error: this is no regular expression
         --> --filter:1:18
          |
        1 | tset(race) & tag(/[/) | file()
          |                  ^^^ found unclosed character class

        error: `file()` needs an argument
         --> --filter:1:25
          |
        1 | tset(race) & tag(/[/) | file()
          |                         ^^^^^ nothing is in the brackets
          |
          = help: for instance `file(race)`; `all()` picks every case
        ");
        insta::assert_snapshot!(shown("test(race) tag(x)"), @"
        error: this is no filter expression
         --> --filter:1:12
          |
        1 | test(race) tag(x)
          |            ^ expected an operator: `&`, `|` or `-`
          |
          = help: the predicates are `test(name)`, `tag(name)`, `file(glob)`, `executor(name)`, `all()` and `none()`
        ");
        insta::assert_snapshot!(shown("test(race"), @"
        error: this is no filter expression
         --> --filter:1:10
          |
        1 | test(race
          |          ^ expected `)`
          |
          = help: the predicates are `test(name)`, `tag(name)`, `file(glob)`, `executor(name)`, `all()` and `none()`
        ");
        insta::assert_snapshot!(shown("test(race) &"), @"
        error: this is no filter expression
         --> --filter:1:13
          |
        1 | test(race) &
          |             ^ expected a predicate, for instance `test(race)`
          |
          = help: the predicates are `test(name)`, `tag(name)`, `file(glob)`, `executor(name)`, `all()` and `none()`
        ");
        insta::assert_snapshot!(shown(""), @"
        error: this is no filter expression
         --> --filter:1:1
          |
        1 |
          | ^ expected a predicate, for instance `test(race)`
          |
          = help: the predicates are `test(name)`, `tag(name)`, `file(glob)`, `executor(name)`, `all()` and `none()`
        ");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert!(Expression::parse(&format!("{}all(){}", "(".repeat(63), ")".repeat(63))).is_ok());
        assert!(Expression::parse(&format!("{}all()", "(".repeat(2000))).is_err());
        assert!(Expression::parse(&format!("{}all()", "not ".repeat(1000))).is_ok());
        assert!(Expression::parse(&" ".repeat(5000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z()!&|+/#=~\\\\ -]{0,60}|.{0,60}") {
            if let Err(mistakes) = Expression::parse(&text) {
                assert!(!mistakes.render(Paint::Plain).is_empty());
            }
        }
    }
}
