//! No text panics: whatever a file holds, it ends as a scenario or as problems that can be drawn; whatever a token holds, it
//! is taken or refused.
//!
//! `PORTCULLIS_FUZZ_SECONDS=600` feeds more, for so long, and says how much it was.

use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use harness::designs::Design;
use harness::scenario::{Case, Paint, Scenario, laid_out, load, parse};
use harness::simulate::Simulation;
use harness::token::Token;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::Schedule;

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
    let tidy = laid_out(text);
    match parse(path, text) {
        Ok(scenario) => {
            let ids: Vec<_> = scenario.cases().into_iter().map(|case| case.id).collect();
            assert!(!ids.is_empty());
            assert!(ids.iter().all(|id| !id.contains(char::is_whitespace)), "{ids:?}");
            assert!(ids.iter().enumerate().all(|(index, id)| !ids[..index].contains(id)), "{ids:?}");
            for warning in scenario.warnings() {
                let drawn = warning.render(path, text, Paint::Plain);
                assert!(drawn.starts_with("warning: "), "{drawn}");
            }
            let tidy = tidy.unwrap_or_else(|| panic!("a scenario can be laid out:\n{text}"));
            assert!(parse(path, &tidy).is_ok(), "no scenario any more:\n{text}\n---\n{tidy}");
            assert_eq!(laid_out(&tidy).as_ref(), Some(&tidy), "not laid out at once:\n{text}");
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

/// The case that the tokens are about: small, and a broken design breaks it.
static CASE: LazyLock<Case> = LazyLock::new(|| {
    let scenario = VALID.iter().find(|scenario| scenario.name == "pid/stale-lock-race");
    scenario.unwrap_or_else(|| panic!("the library has it")).cases().remove(0)
});

/// Reads a token, and takes its schedule if it is one of [`CASE`].
fn read_and_take(text: &str) {
    let Ok(token) = Token::parse(text) else { return };
    assert_eq!(Token::parse(&token.to_string()).as_ref(), Ok(&token), "{text}");
    let design = Design::of("pidfile-unlink-stale").unwrap_or(Design::Refgate);
    let simulation = Simulation::new(&CASE.scenario, design);
    let trace = sim::replay(&simulation.setup, &simulation.checks, &simulation.bounds, &token.schedule);
    assert!(trace.left_over <= token.schedule.len());
}

fn pieces() -> impl Strategy<Value = String> {
    proptest::collection::vec(0..PIECES.len(), 0..40)
        .prop_map(|pieces| pieces.into_iter().map(|piece| PIECES[piece]).collect())
}

/// A scenario of the library with some places cut out or replaced.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0_usize..12, 0..PIECES.len(), any::<bool>());
    (any::<prop::sample::Index>(), proptest::collection::vec(edit, 1..4)).prop_map(|(file, edits)| {
        let mut text = VALID[file.index(VALID.len())].source.to_string();
        for (at, cut, piece, paste) in edits {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + cut).min(text.len()));
            text.replace_range(start..end, if paste { PIECES[piece] } else { "" });
        }
        text
    })
}

/// A scenario of the library with words that have changed places.
fn swapped() -> impl Strategy<Value = String> {
    let swap = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (any::<prop::sample::Index>(), proptest::collection::vec(swap, 1..4)).prop_map(|(file, swaps)| {
        let mut words: Vec<_> = VALID[file.index(VALID.len())].source.split_inclusive([' ', '\n']).collect();
        for (a, b) in swaps {
            let (a, b) = (a.index(words.len()), b.index(words.len()));
            words.swap(a, b);
        }
        words.concat()
    })
}

/// One scenario of the library with lines of another one in it.
fn crossed() -> impl Strategy<Value = String> {
    let line = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (any::<prop::sample::Index>(), proptest::collection::vec(line, 1..6)).prop_map(|(file, lines)| {
        let mut text: Vec<&str> = VALID[file.index(VALID.len())].source.lines().collect();
        for (other, from, to) in lines {
            let other: Vec<&str> = VALID[other.index(VALID.len())].source.lines().collect();
            text.insert(to.index(text.len() + 1), other[from.index(other.len())]);
        }
        text.join("\n")
    })
}

fn texts() -> impl Strategy<Value = String> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        1 => "\\PC*",
        1 => bytes.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        2 => pieces(),
        6 => mutated(),
        3 => swapped(),
        3 => crossed(),
    ]
}

/// Tokens that are whole, and tokens with some bytes changed.
fn tokens() -> impl Strategy<Value = String> {
    let schedule = proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Schedule::parse(&hex).unwrap_or_default()
    });
    let whole = (schedule, any::<u32>(), any::<u32>(), "[a-z/\\[\\],.-]{0,30}").prop_map(
        |(schedule, scenario, trace, case)| {
            Token { case, design: Design::Refgate, scenario, trace, schedule }.to_string()
        },
    );
    let whole = whole.boxed();
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<char>(), any::<bool>()), 1..4);
    let damaged = (whole.clone(), edits).prop_map(|(mut token, edits)| {
        for (at, character, paste) in edits {
            let start = token.floor_char_boundary(at.index(token.len() + 1));
            let end = token.ceil_char_boundary((start + 1).min(token.len()));
            token.replace_range(start..end, &if paste { character.to_string() } else { String::new() });
        }
        token
    });
    prop_oneof![2 => whole, 3 => damaged, 1 => "v1\\.\\PC{0,80}", 1 => "\\PC*"]
}

proptest! {
    #[test]
    fn no_text_panics(text in texts()) {
        read_and_draw(&text);
    }

    #[test]
    fn mutated_scenarios_never_panic(text in mutated()) {
        read_and_draw(&text);
    }

    #[test]
    fn no_token_panics(text in tokens()) {
        read_and_take(&text);
    }
}

/// The most memory that the process has had, in KiB.
fn peak() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test looks at itself")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it runs is asked for; nothing is judged by it")]
fn it_goes_on_for_as_long_as_is_asked() {
    let seconds = std::env::var("PORTCULLIS_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let (mut texts_read, mut tokens_read, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    let mut round = 0_u64;
    while round == 0 || Instant::now() < end {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let found = runner.run(&texts(), |text| {
            let begun = Instant::now();
            read_and_draw(&text);
            slowest_of(&begun);
            Ok(())
        });
        found.unwrap_or_else(|failure| panic!("round {round}: {failure}"));
        let found = runner.run(&tokens(), |token| {
            read_and_take(&token);
            Ok(())
        });
        found.unwrap_or_else(|failure| panic!("round {round}: {failure}"));
        (texts_read, tokens_read, round) = (texts_read + 100, tokens_read + 100, round + 1);
        slowest = slowest.max(SLOWEST.with(std::cell::Cell::get));
    }
    let said = writeln!(
        std::io::stderr(),
        "{texts_read} texts and {tokens_read} tokens; the slowest text took {} ms; {} KiB at most",
        slowest.as_millis(),
        peak()
    );
    assert!(said.is_ok());
    assert!(peak() < 1 << 20, "{} KiB", peak());
}

std::thread_local! {
    /// How long the slowest text took so far.
    static SLOWEST: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

fn slowest_of(begun: &Instant) {
    SLOWEST.with(|slowest| slowest.set(slowest.get().max(begun.elapsed())));
}
