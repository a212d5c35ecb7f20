//! Each token of the reference lock is needed: without it a scenario of the library breaks, with it the same one holds.
//!
//! The lengths of the shortest traces are pinned, so that a search that finds less, or a check that looks away, shows.

use std::path::{Path, PathBuf};

use harness::designs::{Design, Token};
use harness::scenario::{Case, Paint, Scenario, load};
use harness::simulate::{Simulation, run_case};
use harness::token;
use harness::verdict::{Evidence, Failure, Verdict};

/// The case that breaks without a token, the check that says so, and the steps of the shortest way there.
fn expected(token: Token) -> (&'static str, &'static str, usize) {
    match token {
        Token::Directory => ("operator/lock-file-removed", "single-owner", 143),
        Token::LockFile => ("storage/file-lock-only", "single-owner", 75),
        Token::Config => ("isolation/shared-config", "config-identity", 75),
        Token::Ports => ("isolation/overlapping-cdp-ranges[18809]", "ports-disjoint", 67),
        Token::ListenerV4 => ("port/foreign-holder", "outcomes", 146),
        Token::ListenerV6 => ("port/foreign-holder-on-v6-only", "outcomes", 146),
    }
}

fn case(id: &str) -> Case {
    let library: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let scenarios = load(&[library]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    let mut cases = scenarios.iter().flat_map(Scenario::cases);
    cases.find(|case| case.id == id).unwrap_or_else(|| panic!("there is no case {id}"))
}

fn failure(case: &Case, design: Design) -> Failure {
    match run_case(case, design) {
        Verdict::Fail(failure) => *failure,
        other @ (Verdict::Pass(_) | Verdict::Inconclusive(_) | Verdict::Unsupported(_)) => {
            panic!("{} does not break {}: {other:?}", design.name(), case.id)
        }
    }
}

#[test]
fn the_lock_without_any_one_of_its_tokens_breaks_a_scenario_that_it_holds_as_it_ships() {
    let mut seen = Vec::new();
    let mut wanted = Vec::new();
    for token in Token::ALL {
        let (id, check, steps) = expected(token);
        wanted.push((token.name(), check.to_owned(), steps));
        let case = case(id);
        let shipped = run_case(&case, Design::Refgate);
        assert!(matches!(shipped, Verdict::Pass(Evidence::Complete { .. })), "{id}: {shipped:?}");
        let failure = failure(&case, Design::Without(token));
        let replay = failure.replay.as_deref().map(token::Token::parse);
        let Some(Ok(replay)) = replay else { panic!("{id} prints no token: {replay:?}") };
        seen.push((token.name(), failure.check, replay.schedule.len()));
    }
    assert_eq!(seen, wanted);
}

#[test]
fn the_trace_of_each_missing_token_is_the_shortest_and_replays_to_the_same_violation() {
    for token in Token::ALL {
        let (id, _, _) = expected(token);
        let (case, design) = (case(id), Design::Without(token));
        let failure = failure(&case, design);
        let needed = failure.body.iter().find(|line| line.starts_with(" needed"));
        assert!(needed.is_some_and(|line| line.ends_with("nothing less breaks it")), "{id}: {needed:?}");
        let replay = failure.replay.as_deref().map(token::Token::parse);
        let Some(Ok(replay)) = replay else { panic!("{id} prints no token: {replay:?}") };
        let simulation = Simulation::new(&case.scenario, design);
        let (setup, checks, bounds) = (&simulation.setup, &simulation.checks, &simulation.bounds);
        let trace = sim::replay(setup, checks, bounds, &replay.schedule);
        let violation = trace.violation.as_ref().map(|violation| (&violation.check, &violation.says));
        assert_eq!(violation, Some((&failure.check, &failure.says)));
        assert_eq!(token::hash_trace(&trace), replay.trace);
    }
}
