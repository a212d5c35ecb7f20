//! A disk that changes what was written: it shows, nobody is trusted because of it, and what else was written is still read.

use proptest::prelude::*;

use super::file::{Trouble, name};
use super::reading::{Found, Reading};
use super::record::{FORMAT, Header, Hidden, Record, line};
use super::tests::{Place, all, any_record, issued, paired, said, session, text};

proptest! {
    /// Whatever byte is changed, nothing is taken for something that was not said, and it shows.
    #[test]
    fn whatever_byte_of_a_file_is_changed_it_shows_and_the_other_lines_are_read(
        records in proptest::collection::vec(any_record(), 0..9),
        place in 0..4096_usize,
        other in 1..=255_u8,
    ) {
        let mut lines = vec![line(&Header { format: FORMAT, epoch: 3, instance: text("i") })];
        lines.extend(records.iter().map(Record::line));
        let mut bytes = lines.concat();
        let place = place % bytes.len();
        bytes[place] ^= other;
        let mut reading = Reading::new(3);
        reading.take(&bytes);
        let mut starts = lines.iter().scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        });
        let changed = starts.position(|end| place < end).expect("it is in one of them");
        let is_end = lines[changed].len() == 1 + place - lines[..changed].concat().len();
        match reading.end() {
            Ok(Found::Damaged(None)) => prop_assert_eq!(changed, 0),
            // A line that does not end runs into the next one.
            Ok(Found::Damaged(Some(_))) if is_end => {}
            Ok(Found::Damaged(Some(memory))) => {
                let mut others = records;
                others.remove(changed - 1);
                prop_assert_eq!(memory.records(), all(&others).records());
            }
            // The number of the format is a later one now.
            Err(Trouble::Newer) => prop_assert_eq!(changed, 0),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_revocation_that_was_damaged_lets_nobody_in_and_the_file_is_kept_aside() {
    let place = Place::new().await;
    let (mut keep, memory) = place.load(1).await.expect("it is read");
    keep.rewrite(&memory).await.expect("it is written");
    let removed = Record::Removed { device: text("d") };
    let records = [session("a"), paired("d"), issued("d", "1"), removed, said("a", "1", "x")];
    keep.append(&records).await.expect("it is kept");
    let whole = place.text(&name(1));
    let changed = whole.replace("\"removed\"", "\"removee\"");
    place.put(&name(1), changed.as_bytes());
    let (mut next, memory) = place.load(2).await.expect("it is read");
    assert_eq!(memory.records(), all(&[session("a"), said("a", "1", "x")]).records(), "nobody is trusted");
    assert_eq!(next.rewrite(&memory).await, Ok(vec![text("control.1.jsonl.damaged")]));
    assert_eq!(place.names(), ["control.1.jsonl.damaged", "control.2.jsonl"]);
    assert_eq!(next.rewrite(&memory).await, Ok(Vec::new()), "it is told once");
    // Nor is anybody trusted by an older file that somebody left there.
    place.put(&name(3), changed.replace("\"format\"", "\"formas\"").as_bytes());
    next.append(&[paired("e")]).await.expect("it is kept");
    assert_eq!(place.remembered(4).await.devices().len(), 0);
}

#[tokio::test]
async fn a_file_of_the_first_version_is_read_as_it_was_and_written_with_sums() {
    let place = Place::new().await;
    let lines =
        "{\"format\":1,\"epoch\":1,\"instance\":\"i\"}\n{\"kind\":\"key\",\"seed\":\"s\"}\n{\"kind\":\"ses";
    place.put(&name(1), lines.as_bytes());
    let (mut keep, memory) = place.load(2).await.expect("it is read");
    assert_eq!(memory, all(&[Record::Key { seed: Hidden(text("s")) }]));
    assert_eq!(keep.rewrite(&memory).await, Ok(Vec::new()));
    assert_eq!(place.remembered(3).await, memory);
}
