//! What differs between two texts, line by line, for people.

/// A file has more lines than this only by mistake; then it is not compared line by line.
const MOST_LINES: usize = 4_000;

/// The lines that are gone, with `-`, and those that have come, with `+`, in the order of the texts. At most so many.
pub(super) fn difference(old: &str, new: &str, most: usize) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let changes = changes(&old, &new);
    let more = changes.len().saturating_sub(most);
    let mut shown: Vec<String> = changes.into_iter().take(most).collect();
    if more > 0 {
        shown.push(format!("... and {} more", crate::report::count(more, "line")));
    }
    shown
}

/// The first line of the old text that is not the same in the new one, counted from 1.
pub(super) fn first_line(old: &str, new: &str) -> usize {
    1 + old.lines().zip(new.lines()).take_while(|(a, b)| a == b).count()
}

fn changes(old: &[&str], new: &[&str]) -> Vec<String> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[same..], &new[same..]);
    let same = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - same], &new[..new.len() - same]);
    let gone = |line: &&str| format!("- {line}");
    let come = |line: &&str| format!("+ {line}");
    if old.len().max(new.len()) > MOST_LINES {
        return old.iter().map(gone).chain(new.iter().map(come)).collect();
    }
    // The longest common rest of each pair of ends.
    let mut longest = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            longest[a][b] = if old[a] == new[b] {
                longest[a + 1][b + 1] + 1
            } else {
                longest[a + 1][b].max(longest[a][b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut changes = Vec::new();
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            (a, b) = (a + 1, b + 1);
        } else if b == new.len() || (a < old.len() && longest[a + 1][b] >= longest[a][b + 1]) {
            changes.push(gone(&old[a]));
            a += 1;
        } else {
            changes.push(come(&new[b]));
            b += 1;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::{difference, first_line};

    #[test]
    fn lines_that_stay_are_not_shown_and_what_is_too_long_is_counted() {
        let (old, new) = ("a\nb\nc\nd\n", "a\nx\nc\ny\nd\n");
        assert_eq!(difference(old, new, 9), ["- b", "+ x", "+ y"]);
        assert_eq!(difference(old, new, 1), ["- b", "... and 2 lines more"]);
        assert_eq!(first_line(old, new), 2);
        assert_eq!(difference(old, old, 9), Vec::<String>::new());
    }
}
