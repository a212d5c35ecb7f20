//! Collects the problems of one file, and finds the word that was meant.

use super::problem::Problem;

/// More problems than this are not shown: whoever has them does not read on.
const MOST_SHOWN: usize = 100;

/// Whether everything that the file says was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// It was.
    Whole,
    /// Some lines were not, so nothing may be called missing.
    Broken,
}

/// The problems found so far.
#[derive(Debug)]
pub(crate) struct Diagnostics {
    problems: Vec<Problem>,
    reported: usize,
    syntax: Syntax,
}

impl Diagnostics {
    pub(crate) const fn new(syntax: Syntax) -> Self {
        Self { problems: Vec::new(), reported: 0, syntax }
    }

    /// Adds a problem, unless it is known already: varied values are read once for each combination.
    pub(crate) fn add(&mut self, problem: Problem) {
        self.reported += 1;
        if self.problems.len() <= MOST_SHOWN && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds a problem that only holds if everything else was understood.
    pub(crate) fn add_if_whole(&mut self, problem: Problem) {
        match self.syntax {
            Syntax::Whole => self.add(problem),
            Syntax::Broken => {}
        }
    }

    /// How many problems were reported so far, those that were known already included.
    pub(crate) const fn count(&self) -> usize {
        self.reported
    }

    /// All problems in the order of the file.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        let cut = problems.len() > MOST_SHOWN;
        problems.truncate(MOST_SHOWN);
        problems.sort_by_key(|problem| problem.span.start);
        if cut && let Some(last) = problems.last().map(|last| last.span.clone()) {
            problems
                .push(Problem::new(format!("more than {MOST_SHOWN} problems; the rest is not shown"), last));
        }
        problems
    }
}

/// "did you mean ...?", if one of the words is close to what was written.
pub(crate) fn did_you_mean<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<String> {
    closest(written, words).map(|word| format!("did you mean `{word}`?"))
}

/// "did you mean ...?" if a word is close, otherwise all words.
pub(crate) fn did_you_mean_or_list(what: &str, written: &str, words: &[&str]) -> Option<String> {
    let list = || (!words.is_empty()).then(|| format!("{what}: {}", quoted(words)));
    did_you_mean(written, words.iter().copied()).or_else(list)
}

/// The words in backquotes, with commas.
pub(crate) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The word that was probably meant: at most every third letter differs, or only the case does.
pub(crate) fn closest<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let written_lower = written.to_lowercase();
    if written_lower.len() > 100 {
        return None;
    }
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written_lower, &word.to_lowercase()), word))
        .filter(|(distance, word)| {
            let longest = written.len().max(word.len());
            *distance < longest && *distance <= longest.div_ceil(3).min(3)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_was_meant_is_found() {
        let words = ["single-owner", "no-theft", "no-wedge"];
        assert_eq!(closest("singel-owner", words), Some("single-owner"));
        assert_eq!(closest("No-Theft", words), Some("no-theft"));
        assert_eq!(closest("bb", ["a", "b"]), Some("b"));
        assert_eq!(closest("squatter", words), None);
        assert_eq!(closest("x", ["a", "b"]), None);
    }
}
