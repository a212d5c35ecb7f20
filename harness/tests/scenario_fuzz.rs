//! No text panics: whatever a file holds, it ends as a scenario or as problems that can be drawn.

use std::path::Path;
use std::sync::LazyLock;

use harness::scenario::{Paint, Scenario, load, parse};
use proptest::prelude::*;

/// The text of every scenario that ships.
static VALID: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    load(&[library]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)))
});

/// Pieces that mean something to the format, so that mutations reach past the syntax.
const PIECES: [&str; 32] = [
    "[gateway.a]",
    "[process.a]",
    "[mount.S]",
    "[vary]",
    "[explore]",
    "\n",
    "\"",
    "=",
    "{",
    "}",
    "[",
    "]",
    ",",
    "18789",
    "0",
    "-1",
    "0xffffffffffffffffffff",
    "true",
    "1979-05-27",
    "inf",
    "\"gateway.a.port\" = [1, 2]",
    "policy = {}",
    "start = \"a\"",
    "kill = []",
    "recycle = \"a\", as = \"b\"",
    "wait = \".ready\"",
    "refused:",
    "\u{feff}",
    "\0",
    "日本",
    "'''",
    "\\u0000",
];

fn read_and_draw(text: &str) {
    let path = Path::new("scenarios/x.toml");
    match parse(path, text) {
        Ok(scenario) => {
            let ids: Vec<_> = scenario.cases().into_iter().map(|case| case.id).collect();
            assert!(!ids.is_empty());
            assert!(ids.iter().all(|id| !id.contains(char::is_whitespace)), "{ids:?}");
            assert!(ids.iter().enumerate().all(|(index, id)| !ids[..index].contains(id)), "{ids:?}");
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.message.is_empty());
                let drawn = problem.render(path, text, Paint::Plain);
                assert!(drawn.starts_with("error: "), "{drawn}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*") {
        read_and_draw(&text);
    }

    #[test]
    fn arbitrary_bytes_that_are_text_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_and_draw(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn pieces_in_any_order_never_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..40)) {
        read_and_draw(&pieces.into_iter().map(|piece| PIECES[piece]).collect::<String>());
    }

    #[test]
    fn mutated_scenarios_never_panic(
        file in any::<prop::sample::Index>(),
        edits in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..12, 0..PIECES.len(), any::<bool>()), 1..4),
    ) {
        let mut text = VALID[file.index(VALID.len())].source.to_string();
        for (at, cut, piece, paste) in edits {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + cut).min(text.len()));
            text.replace_range(start..end, if paste { PIECES[piece] } else { "" });
        }
        read_and_draw(&text);
    }

    #[test]
    fn words_of_a_scenario_in_the_wrong_places_never_panic(
        file in any::<prop::sample::Index>(),
        swaps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let mut words: Vec<_> = VALID[file.index(VALID.len())].source.split_inclusive([' ', '\n']).collect();
        for (a, b) in swaps {
            let (a, b) = (a.index(words.len()), b.index(words.len()));
            words.swap(a, b);
        }
        read_and_draw(&words.concat());
    }
}
