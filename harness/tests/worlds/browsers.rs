//! Gateways open browsers: one whose gateway does not serve stays closed, one whose port is taken ends, in the simulator and
//! on real processes alike, and `ports-disjoint` sees one on a port of another gateway.
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]
#![cfg_attr(
    target_os = "linux",
    expect(clippy::disallowed_methods, reason = "a test writes the program that it runs")
)]

use std::path::{Path, PathBuf};

use harness::designs::Design;
use harness::scenario::{Paint, Scenario, load, parse};
use harness::simulate::{Simulation, run_case};
use harness::verdict::Verdict;

/// What comes before `[run]`; the port of the squatter is that of the second browser.
const PARTIES: &str = r#"schema = 1
title  = "Browsers"
[gateway.main]
state    = "M"
port     = 18789
browsers = 3
[process.squatter]
looks_like = "python3 -m http.server 18801"
listens    = [18801]
[run]
"#;

fn scenario(run_and_expect: &str) -> Scenario {
    let text = format!("{PARTIES}{run_and_expect}");
    parse(Path::new("scenarios/browsers.toml"), &text).unwrap_or_else(|problems| {
        let drawn: Vec<_> =
            problems.iter().map(|it| it.render(Path::new("t.toml"), &text, Paint::Plain)).collect();
        panic!("{}", drawn.join("\n"))
    })
}

/// What happens, and the one way in which it ends.
const ENDS: [(&str, &str); 4] = [
    (
        // The port of one is taken.
        r#"{ start = ["main", "squatter"] }, { wait = "settled" }, { open_browsers = "main" }"#,
        r#"main-browser-1 = "running", main-browser-2 = "exited", main-browser-3 = "running", squatter = "running""#,
    ),
    (
        // What is stopped does nothing.
        r#"{ start = ["main", "squatter"] }, { wait = "settled" }, { pause = "main" }, { open_browsers = "main" }"#,
        r#"main = "paused", main-browser-1 = "unstarted", main-browser-2 = "unstarted""#,
    ),
    (
        // They stay when their gateway goes, and each can be ended by its name.
        r#"{ start = "main" }, { wait = "main.ready" }, { open_browsers = "main" }, { stop = "main" }, { wait = "main.gone" },
           { kill = "main-browser-2" }, { wait = "main-browser-2.gone" }, { start = "squatter" }"#,
        r#"main = "exited", main-browser-1 = "running", main-browser-2 = "killed", squatter = "running""#,
    ),
    (
        // Who does not serve any more opens none.
        r#"{ start = ["main", "squatter"] }, { wait = "settled" }, { stop = "main" }, { wait = "main.gone" },
           { open_browsers = "main" }"#,
        r#"main = "exited", main-browser-1 = "unstarted", squatter = "running""#,
    ),
];

fn ends() -> impl Iterator<Item = Scenario> {
    ENDS.into_iter().map(|(steps, end)| {
        scenario(&format!(
            "steps = [{steps}, {{ wait = \"settled\" }}]\n[expect]\nalways = [\"no-collateral\", \"ports-disjoint\"]\n\
             outcomes = [{{ {end} }}]\nreach = \"every-outcome\"\n[explore]\nspan = 13\ntries = 2\n"
        ))
    })
}

#[test]
fn a_gateway_that_serves_opens_its_browsers_and_one_whose_port_is_taken_ends() {
    for scenario in ends() {
        let verdict = run_case(&scenario.cases().remove(0), Design::Refgate);
        assert!(matches!(verdict, Verdict::Pass(_)), "{:?}\n{verdict:?}", scenario.steps);
    }
}

#[cfg(target_os = "linux")]
mod on_real_processes {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use harness::real::{Isolation, Options};
    use harness::target::{Range, Target};
    use harness::verdict::Verdict;

    use super::{ends, scenario};

    const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

    fn options(directory: &Path) -> Options {
        let refgate = directory.join("refgate");
        symlink(PORTCULLIS, &refgate).unwrap();
        Options {
            target: Target::refgate(&refgate),
            helper: PathBuf::from(PORTCULLIS),
            tries: Some(2),
            seed: 1,
            isolation: Isolation::WherePossible,
            interrupted: Arc::new(AtomicBool::new(false)),
        }
    }

    fn run(scenario: &harness::scenario::Scenario, options: &Options) -> Verdict {
        harness::real::run_case(&scenario.cases().remove(0), options)
    }

    #[test]
    fn real_browsers_open_and_end_as_simulated_ones_do() {
        let directory = tempfile::tempdir().unwrap();
        let options = options(directory.path());
        for scenario in ends() {
            let verdict = run(&scenario, &options);
            assert!(matches!(verdict, Verdict::Pass(_)), "{:?}\n{verdict:?}", scenario.steps);
        }
    }

    #[test]
    fn without_a_network_of_their_own_browsers_move_with_their_gateway() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { isolation: Isolation::Never, ..options(directory.path()) };
        let verdict = run(&ends().next().unwrap(), &options);
        assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
    }

    #[test]
    fn the_ports_of_browsers_are_those_of_the_target() {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options(directory.path());
        let of_second_and_third = scenario(
            "setup = [{ start = \"squatter\" }]\n\
             steps = [{ start = \"main\" }, { wait = \"settled\" }, { open_browsers = \"main\" }, { wait = \"settled\" }]\n\
             [expect]\nalways = [\"no-collateral\"]\noutcomes = [{ main-browser-1 = \"exited\", main-browser-2 = \"running\" }]\n",
        );
        options.target.ports.0.insert("cdp".to_owned(), Range { first: 12, last: 14 });
        let verdict = run(&of_second_and_third, &options);
        assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
        options.target.ports.0.insert("cdp".to_owned(), Range { first: 12, last: 13 });
        let Verdict::Unsupported(reason) = run(&of_second_and_third, &options) else {
            panic!("there is no room for three")
        };
        assert_eq!(reason, "refgate has 2 ports for browsers, and main opens 3");
    }

    #[test]
    fn a_real_browser_on_a_port_of_another_gateway_that_serves_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let refgate = directory.path().join("refgate");
        let mut options = options(directory.path());
        std::fs::remove_file(&refgate).unwrap();
        // One that reserves nothing, and has two ports.
        let says = "echo '{\"event\":\"owner\"}'; echo '{\"event\":\"ready\"}'; exec sleep 1000";
        std::fs::write(&refgate, format!("#!/bin/sh\n{says}\n")).unwrap();
        std::fs::set_permissions(&refgate, std::fs::Permissions::from_mode(0o755)).unwrap();
        options.target.ports.0.insert("reserved".to_owned(), Range { first: 0, last: 1 });
        let rescue = "[gateway.rescue]\nstate = \"R\"\nport = 18801\n[process.squatter]";
        let text = super::PARTIES.replace("[process.squatter]", rescue);
        let text = format!(
            "{text}steps = [{{ start = [\"main\", \"rescue\", \"squatter\"] }}, {{ wait = \"settled\" }}, \
             {{ open_browsers = \"main\" }}, {{ wait = \"settled\" }}]\n[expect]\nalways = [\"ports-disjoint\"]\n\
             outcomes = [{{ main = \"ready\", rescue = \"ready\" }}]\n"
        );
        let scenario = harness::scenario::parse(Path::new("t.toml"), &text).unwrap();
        let Verdict::Fail(failure) = run(&scenario, &options) else { panic!("two listen where one may") };
        assert_eq!(
            (failure.check.as_str(), failure.says.as_str()),
            ("ports-disjoint", "main-browser-3, a browser of main, listens on 18802, which rescue has")
        );
    }
}

/// The case, the design, the check that it breaks, the steps of the shortest way there, and what is said.
const BROKEN: [(&str, &str, &str, usize, &str); 4] = [
    (
        "isolation/browser-on-a-base-port",
        "G1",
        "truthful",
        5,
        "rescue says held, and nobody held the lock since it started",
    ),
    (
        "isolation/browser-on-a-base-port",
        "G4",
        "clock-free",
        0,
        "main read the wall clock before it was an owner",
    ),
    (
        "isolation/overlapping-browsers[18791]",
        "G1",
        "ports-disjoint",
        17,
        "main has ports 18789-18899, rescue has ports 18791-18901, and both have 18791",
    ),
    (
        "isolation/overlapping-browsers[18899]",
        "N1",
        "ports-disjoint",
        15,
        "main has ports 18789-18899, rescue has ports 18899-19009, and both have 18899",
    ),
];

fn library() -> Vec<Scenario> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/isolation");
    load(&[folder]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)))
}

/// The check that a design breaks first, in how many steps, and what is said.
fn broken(scenario: &Scenario, design: &str) -> (String, usize, String) {
    let simulation = Simulation::new(scenario, Design::of(design).unwrap());
    let (setup, checks, bounds) = (&simulation.setup, &simulation.checks, &simulation.bounds);
    let found = sim::explore(setup, checks, bounds).found;
    let found = found.unwrap_or_else(|| panic!("{design} breaks nothing of {}", scenario.name));
    let trace = sim::replay(setup, checks, bounds, &found.schedule);
    let taken = trace.steps.iter().filter(|step| !step.in_setup).count();
    (found.violation.check, taken, found.violation.says)
}

#[test]
fn a_lock_that_reserves_no_ports_fails_the_scenarios_of_browsers() {
    let library = library();
    let cases: Vec<_> = library.iter().flat_map(Scenario::cases).collect();
    for (id, design, check, steps, says) in BROKEN {
        let case = cases.iter().find(|case| case.id == id).unwrap();
        assert_eq!(
            broken(&case.scenario, design),
            (check.to_owned(), steps, says.to_owned()),
            "{id} {design}"
        );
    }
}

/// Two gateways that claim no more than two ports each, so that only browsers show whose ports overlap.
const TWO: &str = r#"
schema = 1
title  = "A browser opens while another gateway starts on its port"
[gateway.main]
state    = "M"
port     = 18789
browsers = 10
[gateway.rescue]
state = "R"
port  = 18809
[run]
setup = [{ start = "main" }, { wait = "main.ready" }]
steps = [{ start = "rescue" }, { open_browsers = "main" }, { wait = "settled" }]
[expect]
always   = ["ports-disjoint"]
outcomes = [{ main = "ready" }]
[explore]
span = 1
"#;

#[test]
fn a_browser_on_the_port_of_a_gateway_that_owns_breaks_ports_disjoint_whatever_was_claimed() {
    let scenario = parse(Path::new("scenarios/two.toml"), TWO).unwrap();
    let (check, _, says) = broken(&scenario, "G4");
    assert_eq!(check, "ports-disjoint");
    assert_eq!(says, "main-browser-10, a browser of main, listens on 18809, which rescue claims");
    // Who listens before it owns finds the port taken, or takes it: then the browser ends.
    let mut case = scenario.cases().remove(0);
    assert!(matches!(run_case(&case, Design::of("G1").unwrap()), Verdict::Pass(_)));
    case.scenario.expect.always.clear();
    assert!(matches!(run_case(&case, Design::of("G4").unwrap()), Verdict::Pass(_)));
}

#[test]
fn browsers_that_only_live_have_no_lane_and_one_that_is_to_blame_has() {
    let scenario = parse(Path::new("scenarios/two.toml"), TWO).unwrap();
    let Verdict::Fail(failure) = run_case(&scenario.cases().remove(0), Design::of("G4").unwrap()) else {
        panic!("it breaks")
    };
    let header = failure.body.first().unwrap();
    assert_eq!(
        header.split_whitespace().take(4).collect::<Vec<_>>(),
        ["step", "main", "rescue", "main-browser-10"],
        "{}",
        failure.body.join("\n")
    );
    assert!(failure.body.iter().any(|line| line.contains("(opens browser-9)")));
    assert!(failure.body.iter().any(|line| line.contains("(opened)")));
}

/// What is written wrong in a file of [`PARTIES`], and what is said first.
const MISTAKES: [(&str, &str, &str); 9] = [
    ("", "", "`main` never opens its browsers"),
    ("", "{ open_browsers = \"squatter\" }", "`squatter` has no browsers"),
    ("", "{ open_browsers = \"man\" }", "no process is called `man`"),
    ("", "{ start = \"main-browser-1\" }", "`main-browser-1` is opened by `main`"),
    ("", "{ open_browsers = \"main\" }, { open_browsers = \"main\" }", "`main` opens its browsers twice"),
    ("", "{ kill = \"main\" }, { open_browsers = \"main\" }", "`main` was killed before"),
    ("browsers = 0", "{ open_browsers = \"main\" }", "`browsers` is 0, which is out of range"),
    ("browsers = 101", "{ open_browsers = \"main\" }", "`browsers` is 101, which is out of range"),
    ("browsers = \"2\"", "{ open_browsers = \"main\" }", "`browsers` must be an integer, not a string"),
];

#[test]
fn what_is_said_of_browsers_and_means_nothing_is_an_error_at_its_place() {
    for (browsers, steps, wanted) in MISTAKES {
        let parties =
            if browsers.is_empty() { PARTIES.to_owned() } else { PARTIES.replace("browsers = 3", browsers) };
        let steps = if steps.is_empty() { String::new() } else { format!("{steps}, ") };
        let text = format!(
            "{parties}steps = [{{ start = [\"main\", \"squatter\"] }}, {steps}{{ wait = \"settled\" }}]\n\
             [expect]\noutcomes = [{{ squatter = \"running\" }}]\n"
        );
        let problems = parse(Path::new("t.toml"), &text).unwrap_err();
        let found = problems.iter().find(|problem| problem.message == wanted);
        assert!(found.is_some_and(|problem| !problem.span.is_empty()), "{wanted}: {problems:?}");
    }
    let text = format!(
        "{}steps = [{{ start = [\"main\", \"squatter\", \"main-browser-2\"] }}]\n[expect]\noutcomes = [{{ main = \"ready\" }}]\n",
        PARTIES.replace(
            "[process.squatter]",
            "[process.main-browser-2]\nlooks_like = \"x\"\n[process.squatter]"
        )
    );
    let problems = parse(Path::new("t.toml"), &text).unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.message == "`main-browser-2` is declared twice"),
        "{problems:?}"
    );
}

#[test]
fn browsers_above_what_the_simulated_gateway_claims_are_warned_of() {
    let scenario = parse(Path::new("scenarios/two.toml"), TWO).unwrap();
    let warned: Vec<String> = scenario.warnings().into_iter().map(|warning| warning.message).collect();
    assert_eq!(warned, ["`main` does not claim the ports of its browsers"]);
    let enough = TWO.replace("span = 1", "span = 20");
    assert_eq!(parse(Path::new("scenarios/two.toml"), &enough).unwrap().warnings().len(), 0);
}
