//! What a bystander answers: a gateway that looks whether anybody does is fooled by it, in the simulator and on real
//! processes; the reference gateway is not.
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]
#![cfg_attr(
    target_os = "linux",
    expect(clippy::disallowed_methods, reason = "a test writes the program that it runs")
)]

use std::path::Path;

use harness::designs::Design;
use harness::scenario::{Scenario, parse};
use harness::simulate::{Simulation, run_case};
use harness::verdict::Verdict;
use portcullis_os::Call;
use sim::{What, Who};

/// A service whose port is taken for good.
fn service(answers: &str) -> Scenario {
    let text = format!(
        r#"schema = 1
title = "A service and a squatter"
[gateway.a]
state = "S"
port = 18789
supervisor = {{ kind = "systemd", never_after = [78] }}
[process.squatter]
looks_like = "python3 -m http.server 18789"
listens = [18789]
answers = "{answers}"
[run]
setup = [{{ start = "squatter" }}]
steps = [{{ start = "a" }}, {{ wait = "settled" }}]
[expect]
outcomes = [{{ a = "refused", squatter = "running" }}]
[explore]
span = 1
"#
    );
    parse(Path::new("scenarios/service.toml"), &text).unwrap()
}

/// For each answer: whether the fourth generation of OpenClaw's lock takes it for that of a gateway that is well, and gives
/// up. Else it waits once and begins anew.
const TAKEN_FOR_A_GATEWAY: [(&str, bool); 5] = [
    ("never-accepts", false),
    ("nothing", false),
    ("closes", false),
    ("http-404", true),
    ("healthz-200", true),
];

#[test]
fn whoever_answers_over_http_is_taken_for_a_gateway_by_the_lock_that_asks_for_health_and_nobody_else_is() {
    for (answers, is_fooled) in TAKEN_FOR_A_GATEWAY {
        let scenario = service(answers);
        let simulation = Simulation::new(&scenario, Design::of("G4").unwrap());
        let (setup, checks, bounds) = (&simulation.setup, &simulation.checks, &simulation.bounds);
        let witnesses = sim::witnesses(setup, checks, bounds, &|| false).unwrap();
        let trace = sim::replay(setup, checks, bounds, &witnesses[&0].schedule);
        let count = |wanted: fn(&Call) -> bool| {
            let is_it = |what: &What| matches!(what, What::Call(call, _) if wanted(call));
            trace.steps.iter().filter(|step| step.who == Who::Slot(0) && is_it(&step.what)).count()
        };
        let asked = count(|call| matches!(call, Call::ConnectTcp { .. }));
        let waited = count(|call| matches!(call, Call::Sleep { milliseconds: 5000 }));
        assert_eq!((asked, waited), if is_fooled { (1, 0) } else { (1, 1) }, "{answers}");
    }
}

#[test]
fn the_reference_gateway_names_the_squatter_whatever_it_answers() {
    for (answers, _) in TAKEN_FOR_A_GATEWAY {
        let mut scenario = service(answers);
        let text = scenario.source.replace("a = \"refused\"", "a = \"refused:port-foreign\"");
        let text = text.replace("[explore]", "refusal = { names = \"squatter\", exit = 78 }\n[explore]");
        scenario = parse(Path::new("scenarios/service.toml"), &text).unwrap();
        let verdict = run_case(&scenario.cases().remove(0), Design::Refgate);
        assert!(matches!(verdict, Verdict::Pass(_)), "{answers}: {verdict:?}");
    }
}

/// What is written wrong, and what is said of it.
const MISTAKES: [(&str, &str); 4] = [
    ("answers = \"http-404\"", "`answers` without `listens` answers nobody"),
    ("listens = [1]\nanswers = \"http-500\"", "`answers` cannot be `http-500`"),
    ("listens = [1]\nanswers = 404", "`answers` must be a string, not an integer"),
    (
        "listens = [1]\nanswers = \"closes\"\ndoes = { kind = \"read\", state = \"S\" }",
        "a process that answers does nothing else",
    ),
];

#[test]
fn an_answer_that_nobody_can_get_is_an_error() {
    for (keys, wanted) in MISTAKES {
        let text = format!(
            "schema = 1\ntitle = \"t\"\n[gateway.a]\nstate = \"S\"\nport = 2\n[process.p]\nlooks_like = \"p\"\n{keys}\n\
             [run]\nsteps = [{{ start = [\"a\", \"p\"] }}]\n[expect]\noutcomes = [{{ a = \"ready\" }}]\n"
        );
        let problems = parse(Path::new("t.toml"), &text).unwrap_err();
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, [wanted]);
    }
}

#[cfg(target_os = "linux")]
mod on_real_processes {
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use harness::real::{Isolation, Options, run_case};
    use harness::scenario::parse;
    use harness::target::Target;
    use harness::verdict::Verdict;

    const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

    /// A gateway that asks for the health of its port, and says by its reason what came of it.
    const ASKS: &str = r#"#!/usr/bin/python3
import json, socket
port = socket.socket()
port.settimeout(1)
port.connect(("127.0.0.1", 18789))
port.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
try:
    answer = port.recv(4096)
    code = "held-ready" if b"live" in answer else "port-foreign" if b" 404 " in answer else "port-unknown"
except ConnectionResetError:
    code = "port-unknown"
except socket.timeout:
    code = "held-hung"
print(json.dumps({"event": "refused", "code": code, "exit": 1}), flush=True)
raise SystemExit(1)
"#;

    #[test]
    fn a_real_squatter_answers_what_its_scenario_says() {
        let directory = tempfile::tempdir().unwrap();
        let refgate = directory.path().join("refgate");
        std::fs::write(&refgate, ASKS).unwrap();
        std::fs::set_permissions(&refgate, std::fs::Permissions::from_mode(0o755)).unwrap();
        let options = Options {
            target: Target::refgate(&refgate),
            helper: PathBuf::from(PORTCULLIS),
            tries: Some(1),
            seed: 1,
            isolation: Isolation::WherePossible,
            interrupted: Arc::new(AtomicBool::new(false)),
        };
        for (answers, code) in [
            ("never-accepts", "held-hung"),
            ("nothing", "held-hung"),
            ("closes", "port-unknown"),
            ("http-404", "port-foreign"),
            ("healthz-200", "held-ready"),
        ] {
            let text = format!(
                "schema = 1\ntitle = \"t\"\n[gateway.a]\nstate = \"S\"\nport = 18789\n[process.squatter]\n\
                 looks_like = \"python3 -m http.server\"\nlistens = [18789, \"[::1]:18789\"]\nanswers = \"{answers}\"\n\
                 [run]\nsetup = [{{ start = \"squatter\" }}]\nsteps = [{{ start = \"a\" }}, {{ wait = \"settled\" }}]\n\
                 [expect]\nalways = [\"no-collateral\"]\n\
                 outcomes = [{{ a = \"refused:{code}\", squatter = \"running\" }}]\n"
            );
            let case = parse(Path::new("scenarios/t.toml"), &text).unwrap().cases().remove(0);
            let verdict = run_case(&case, &options);
            assert!(matches!(verdict, Verdict::Pass(_)), "{answers}: {verdict:?}");
        }
    }
}
