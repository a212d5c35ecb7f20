//! Random schedules of random contests: the lock that ships keeps its promises, and the naive one is found out.
//!
//! Where the explorer visits every schedule of a few contests, this visits a few schedules of many contests, among them
//! such as are too large to be explored. A failure prints the scenario and the token that replays it.

use std::path::Path;

use harness::designs::{Design, Naive};
use harness::scenario::{Case, Check, Paint, parse};
use harness::simulate::Simulation;
use harness::token::Token;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use sim::{Walk, walk};

/// One gateway of a contest: the labels of its state directory and its configuration, and its base port.
#[derive(Clone, Debug)]
struct Contender {
    state: &'static str,
    config: Option<&'static str>,
    port: u16,
}

fn contender() -> impl Strategy<Value = Contender> {
    let state = prop::sample::select(vec!["S", "T"]);
    let config = prop::sample::select(vec![None, None, Some("C")]);
    // With a span of 3: the same block, two that overlap in one port, and one that touches neither.
    let port = prop::sample::select(vec![18789, 18792, 18800]);
    (state, config, port).prop_map(|(state, config, port)| Contender { state, config, port })
}

/// Everybody starts at once, perhaps where a killed gateway has left its lock behind, and every promise is watched.
fn contest(contenders: &[Contender], leftover: Leftover, kills: u8) -> Case {
    let old = Contender { state: "S", config: None, port: 18789 };
    let names = ["a", "b", "c"].into_iter().zip(contenders);
    let gateways: String = match leftover {
        Leftover::Nothing => names.map(table).collect(),
        Leftover::LockOfADeadOwner => names.chain([("old", &old)]).map(table).collect(),
    };
    let setup = match leftover {
        Leftover::Nothing => "",
        Leftover::LockOfADeadOwner => {
            r#"setup = [{ start = "old" }, { wait = "old.ready" }, { kill = "old" }, { wait = "old.gone" }]"#
        }
    };
    let starts = &["\"a\"", "\"b\"", "\"c\""][..contenders.len()].join(", ");
    let checks = Check::ALL.map(|check| format!("\"{}\"", check.id())).join(", ");
    let killed = if kills > 0 { ", { a = \"killed\" }" } else { "" };
    case(&format!(
        "schema = 1\ntitle = \"A contest\"\n{gateways}\
         [run]\n{setup}\nsteps = [{{ start = [{starts}] }}, {{ wait = \"settled\" }}]\n\
         [expect]\nalways = [{checks}]\n\
         outcomes = [{{ a = \"ready\" }}, {{ a = \"refused\" }}{killed}]\n\
         [explore]\nspan = 3\nkills = {kills}\n"
    ))
}

/// What is there before anybody starts.
#[derive(Clone, Copy, Debug)]
enum Leftover {
    Nothing,
    LockOfADeadOwner,
}

fn table((name, contender): (&str, &Contender)) -> String {
    let Contender { state, config, port } = contender;
    let config = config.map_or_else(String::new, |config| format!("config = \"{config}\"\n"));
    format!("[gateway.{name}]\nstate = \"{state}\"\nport = {port}\n{config}")
}

fn case(text: &str) -> Case {
    let file = Path::new("scenarios/race/contest.toml");
    let scenario = parse(file, text).unwrap_or_else(|problems| {
        let drawn: Vec<_> = problems.iter().map(|problem| problem.render(file, text, Paint::Plain)).collect();
        panic!("{}\n{text}", drawn.join("\n"))
    });
    Case { id: scenario.name.clone(), scenario }
}

/// Takes one random execution. A broken promise is told with what replays it.
fn run(case: &Case, design: Design, picks: &[u8]) -> Result<(), TestCaseError> {
    let simulation = Simulation::new(&case.scenario, design);
    let Walk { trace, schedule } = walk(&simulation.setup, &simulation.checks, &simulation.bounds, picks);
    let Some(violation) = &trace.violation else { return Ok(()) };
    let token = Token::new(case, design, &trace, schedule);
    let (file, source) = (case.scenario.file.display(), &case.scenario.source);
    Err(TestCaseError::fail(format!("{violation}\n  replay  portcullis replay {token}\n{file}:\n{source}")))
}

/// Nothing is written beside the tests: a failure carries everything that is needed to see it again.
fn config() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_order_and_no_kill_makes_the_reference_lock_break_a_promise(
        contenders in vec(contender(), 2..=3),
        leftover in prop::sample::select(vec![Leftover::Nothing, Leftover::LockOfADeadOwner]),
        kills in 0_u8..=1,
        picks in vec(any::<u8>(), 0..400),
    ) {
        run(&contest(&contenders, leftover, kills), Design::Refgate, &picks)?;
    }
}

#[test]
fn a_random_schedule_finds_the_race_in_the_naive_lock_and_shrinks_it() {
    let source = include_str!("../../../scenarios/pid/stale-lock-race.toml");
    let scenario = parse(Path::new("scenarios/pid/stale-lock-race.toml"), source).unwrap();
    let case = Case { id: scenario.name.clone(), scenario };
    let design = Design::Naive(Naive::PidfileUnlinkStale);
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let found = TestRunner::new_with_rng(config(), seed)
        .run(&vec(any::<u8>(), 0..400), |picks| run(&case, design, &picks));
    let Err(TestError::Fail(reason, picks)) = found else { panic!("nothing is found: {found:?}") };
    assert!(picks.len() < 40, "{} picks are left: {picks:?}", picks.len());

    let reason = reason.to_string();
    let mut lines = reason.lines();
    assert_eq!(lines.next(), Some("single-owner: a and b both own the state directory"));
    let printed = lines.next().and_then(|line| line.strip_prefix("  replay  portcullis replay "));
    let token = Token::parse(printed.unwrap()).unwrap();
    assert_eq!((token.design, token.file()), (design, case.scenario.file.clone()));
    let simulation = Simulation::new(&case.scenario, design);
    let (setup, checks, bounds) = (&simulation.setup, &simulation.checks, &simulation.bounds);
    let trace = sim::replay(setup, checks, bounds, &token.schedule);
    assert_eq!(trace.violation.map(|violation| violation.check), Some("single-owner".to_owned()));
}
