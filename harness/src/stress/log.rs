//! Who wrote after whom: an owner whose line comes after that of a later one was an owner beside it.
//!
//! A line is the number of the contender that wrote it. The kernel appends each at the end of the file by one call, so the
//! order of the lines is the order of the writes.

use std::collections::BTreeSet;

use super::breaches::Breaches;

/// What a log shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) writes: u64,
    pub(super) owners: u64,
    pub(super) breaches: Breaches,
}

/// Judges the text of a log.
///
/// # Errors
///
/// The first line that no contender has written.
pub(super) fn judge(text: &str) -> Result<Judged, String> {
    let mut judged = Judged::default();
    let (mut seen, mut present) = (BTreeSet::new(), None);
    for (number, line) in (1..).zip(text.lines()) {
        let owner: u32 = line.parse().map_err(|_| format!("line {number} of the log is `{line}`"))?;
        judged.writes += 1;
        if present == Some(owner) {
            continue;
        }
        if let (false, Some(other)) = (seen.insert(owner), present) {
            judged
                .breaches
                .add(|| format!("owner {owner} writes line {number} after owner {other} has begun"));
        }
        present = Some(owner);
    }
    judged.owners = seen.len() as u64;
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn an_owner_that_comes_back_after_another_one_is_a_breach_each_time() {
        for (log, owners, violations) in [
            ("", 0, 0),
            ("1\n1\n2\n7\n7\n", 3, 0),
            ("2\n1\n", 2, 0),
            ("1\n2\n1\n", 2, 1),
            ("1\n2\n1\n2\n2\n3\n1\n", 3, 3),
        ] {
            let judged = judge(log).unwrap();
            assert_eq!((judged.owners, judged.breaches.count), (owners, violations), "{log:?}");
        }
        let told = judge("1\n2\n2\n1\n").unwrap().breaches.shown;
        assert_eq!(told, ["owner 1 writes line 4 after owner 2 has begun"]);
        assert_eq!(judge("1\nx\n"), Err("line 2 of the log is `x`".to_owned()));
    }
}
