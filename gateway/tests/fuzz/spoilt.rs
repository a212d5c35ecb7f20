//! Bytes that were right once.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

/// One change to some bytes.
#[derive(Clone, Debug)]
enum Change {
    Put(Index, u8),
    Insert(Index, &'static [u8]),
    Cut(Index, usize),
    Again(Index, usize),
    /// What follows in another one.
    Cross(Index, Index, Index),
}

/// Pieces that mean something to whoever reads.
const PIECES: [&[u8]; 28] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"0.5",
    b"\\u0000",
    b"\\ud800",
    b"//",
    b"/*",
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    "\u{feff}".as_bytes(),
    "\u{202e}".as_bytes(),
    b"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"\x88\x80\0\0\0\0",
    b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: evil.example\r\n",
];

/// The files of a folder of the corpus, in the order of their names.
#[expect(clippy::disallowed_methods, clippy::expect_used, reason = "a test reads its corpus")]
pub(crate) fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(folder);
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

/// One of the corpus, with some changes or none.
pub(crate) fn spoilt(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Put(at, byte)),
        4 => (any::<Index>(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Insert(at, PIECES[piece])),
        3 => (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Change::Cut(at, count)),
        2 => (any::<Index>(), 1..200_usize).prop_map(|(at, count)| Change::Again(at, count)),
        1 => any::<(Index, Index, Index)>().prop_map(|(at, other, from)| Change::Cross(at, other, from)),
    ];
    (any::<Index>(), proptest::collection::vec(change, 0..6)).prop_map(move |(which, changes)| {
        let mut bytes = which.get(&corpus).clone();
        for change in changes {
            apply(&mut bytes, change, &corpus);
        }
        bytes
    })
}

fn apply(bytes: &mut Vec<u8>, change: Change, corpus: &[Vec<u8>]) {
    let place = |at: Index| at.index(bytes.len() + 1);
    match change {
        Change::Put(at, byte) => {
            let at = place(at);
            match bytes.get_mut(at) {
                Some(old) => *old = byte,
                None => bytes.push(byte),
            }
        }
        Change::Insert(at, piece) => {
            let at = place(at);
            bytes.splice(at..at, piece.iter().copied());
        }
        Change::Cut(at, count) => {
            let at = place(at);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Change::Again(at, count) => {
            let at = place(at);
            let piece = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        Change::Cross(at, other, from) => {
            let at = place(at);
            let other = other.get(corpus);
            bytes.truncate(at);
            bytes.extend(&other[from.index(other.len() + 1)..]);
        }
    }
}
