//! Breaches are all counted, and only the first are told: a lock that is broken breaks thousands of times a minute.

/// How many breaches of one kind are told one by one.
const SHOWN: usize = 5;
/// The longest sentence, in characters.
const LONGEST: usize = 200;

/// What should never have been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Breaches {
    pub(super) count: u64,
    /// The first of them, as sentences.
    pub(super) shown: Vec<String>,
}

impl Breaches {
    /// Takes one down.
    pub(super) fn add(&mut self, told: impl FnOnce() -> String) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(cut(&told()));
        }
    }
}

/// As much of a text as is shown.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Breaches;

    #[test]
    fn a_thousand_breaches_are_counted_and_five_are_told_each_in_few_words() {
        let mut breaches = Breaches::default();
        for number in 0..1000 {
            breaches.add(|| format!("{number} {}", "long ".repeat(1000)));
        }
        assert_eq!((breaches.count, breaches.shown.len()), (1000, 5));
        assert!(breaches.shown.iter().all(|line| line.chars().count() <= 204), "{:?}", breaches.shown);
    }
}
