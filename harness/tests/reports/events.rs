//! Events: their published schema, their order, and that equal runs give equal events.

use serde_json::{Value, json};

use super::validator::mistakes;
use super::{BROKEN, Room, root, text, timeless, verdicts};

fn schema() -> Value {
    let published = std::fs::read_to_string(root().join("harness/schemas/events.v1.json")).unwrap();
    serde_json::from_str(&published).unwrap()
}

#[test]
fn the_published_schema_is_the_one_that_the_types_have() {
    let printed = text(&Room::new().portcullis(&["schema", "events"]).stdout);
    let published = std::fs::read_to_string(root().join("harness/schemas/events.v1.json")).unwrap();
    assert_eq!(
        printed, published,
        "write it anew: portcullis schema events > harness/schemas/events.v1.json"
    );
}

#[test]
fn every_line_that_a_run_prints_fits_the_published_schema() {
    let room = Room::new();
    let schema = schema();
    let mut seen = std::collections::BTreeSet::new();
    for arguments in [
        &["--design", BROKEN][..],
        &["--budget", "0s"],
        &["--sample", "20", "--seed", "7", "scenarios/alone.toml", "--partition", "hash:1/2"],
        &["--on", "refgate", "scenarios/unsupported.toml"],
    ] {
        for event in room.events(arguments) {
            assert_eq!(mistakes(&schema, &event), Vec::<String>::new());
            let kind = format!("{} {}", event["event"], event["verdict"]);
            seen.insert(kind.replace('"', ""));
        }
    }
    let kinds = [
        "case-end fail",
        "case-end inconclusive",
        "case-end pass",
        "case-end unsupported",
        "case-start null",
        "run-end null",
        "run-start null",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), kinds);
}

#[test]
fn a_line_with_any_one_mistake_does_not_fit_the_schema() {
    let events = Room::new().events(&["--design", BROKEN, "-E", "test(race)"]);
    let schema = schema();
    let end = events.iter().find(|event| event["event"] == "case-end").unwrap();
    let with = |key: &str, value: Value| {
        let mut wrong = end.clone();
        wrong[key] = value;
        wrong
    };
    let table = [
        ("version", json!(2)),
        ("verdict", json!("passed")),
        ("elapsed_ms", json!("7")),
        ("index", json!(-1)),
        ("surprise", json!(true)),
        ("event", json!("case-stop")),
        ("failure", json!({ "check": "x" })),
    ];
    assert_eq!(mistakes(&schema, end), Vec::<String>::new());
    for (key, value) in table {
        assert_ne!(mistakes(&schema, &with(key, value.clone())), Vec::<String>::new(), "{key}: {value}");
    }
}

#[test]
fn equal_runs_give_equal_events_however_many_cases_run_at_once() {
    let room = Room::new();
    let one = timeless(room.events(&["--design", BROKEN, "--jobs", "1"]));
    let many = timeless(room.events(&["--design", BROKEN, "--jobs", "4"]));
    assert_eq!(one, many);
    let kinds: Vec<String> = one.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.first().unwrap(), "run-start");
    assert_eq!(kinds.last().unwrap(), "run-end");
    let pairs: Vec<_> = kinds[1..kinds.len() - 1].chunks(2).collect();
    assert!(pairs.iter().all(|pair| pair == &["case-start", "case-end"]), "{kinds:?}");
    assert_eq!(verdicts(&one).len(), pairs.len());
}

#[test]
fn a_failure_has_the_machine_after_each_step() {
    let events = Room::new().events(&["--design", BROKEN, "-E", "test(race)"]);
    let end = events.iter().find(|event| event["verdict"] == "fail").unwrap();
    let execution = &end["failure"]["execution"];
    let steps = execution["steps"].as_array().unwrap();
    let last = steps.last().unwrap();
    assert_eq!(last["owners"], json!([1, 2]), "both own at the end");
    assert!(steps[0]["machine"].is_object(), "the first step shows the machine");
    let machines: Vec<&Value> = steps.iter().filter_map(|step| step.get("machine")).collect();
    let lock = machines.last().unwrap()["names"].as_array().unwrap();
    assert!(lock.iter().any(|name| name["path"] == "/srv/S/gateway.pid"), "{lock:?}");
    let stale = &execution["stale_read"];
    assert_eq!(stale["object"], "gateway.pid");
    let number = |key: &str| stale[key].as_u64().unwrap();
    assert!(number("looked") < number("changed") && number("changed") < number("acted"));
}

#[test]
fn a_reference_gateway_shows_its_locks_and_ports_in_each_step() {
    // A check that no start can keep makes the reference gateway fail, so that its machine is shown.
    let room = Room::new();
    let wrong = super::ALONE.replace("{ a = \"ready\" }", "{ a = \"refused\" }");
    room.write("scenarios/wrong.toml", &wrong);
    let events = room.events(&["-E", "test(=wrong[18789])"]);
    let end = events.iter().find(|event| event["verdict"] == "fail").unwrap();
    let steps = end["failure"]["execution"]["steps"].as_array().unwrap();
    let machine = steps.iter().filter_map(|step| step.get("machine")).next_back().unwrap();
    let paths: Vec<&str> =
        machine["locks"].as_array().unwrap().iter().map(|lock| lock["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"/srv/S"), "{paths:?}");
    let ports: Vec<&str> =
        machine["ports"].as_array().unwrap().iter().map(|port| port["what"].as_str().unwrap()).collect();
    assert!(ports.contains(&"127.0.0.1:18789") && ports.contains(&"[::1]:18789"), "{ports:?}");
    assert!(ports.iter().any(|port| port.starts_with('@')), "{ports:?}");
}

#[test]
fn junit_says_what_each_pass_rests_on_and_how_a_failure_is_replayed() {
    let room = Room::new();
    let output = room.portcullis(&[
        "run",
        "-q",
        "--design",
        BROKEN,
        "-E",
        "test(race)|test(=alone[18789])",
        "--junit",
        "j.xml",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let report = room.read("j.xml");
    for part in [
        "<testsuites name=\"portcullis\" tests=\"2\" skipped=\"0\" failures=\"1\" errors=\"0\"",
        "<testsuite name=\"scenarios/alone.toml on sim\" tests=\"1\"",
        "<testcase name=\"alone[18789]\" classname=\"sim\"",
        "<property name=\"evidence\" value=\"complete\"/>",
        "<property name=\"evidence.states\" value=\"",
        "<failure message=\"single-owner: a and b both own the state directory\" type=\"single-owner\">",
        "<property name=\"replay\" value=\"portcullis replay v1.",
        " stale read   step ",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
}

#[test]
fn on_github_a_failure_is_an_annotation_and_the_summary_is_appended() {
    let room = Room::new();
    room.write("summary.md", "before\n");
    let output = assert_cmd::cargo::cargo_bin_cmd!("portcullis")
        .current_dir(room.path(""))
        .args(["run", "--design", BROKEN, "-E", "test(race)"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", room.path("summary.md"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    let begin = "::error file=scenarios/race.toml,line=17,title=race on sim::single-owner: a and b both own the state \
                 directory%0Aportcullis replay v1.";
    assert!(told.starts_with(begin) && told.lines().count() == 1, "{told}");
    let summary = room.read("summary.md");
    assert!(summary.starts_with("before\n## portcullis\n"), "{summary}");
    for part in [
        "**1 case: 0 passed, 1 failed, 0 inconclusive, 0 unsupported**",
        "| fail | `race` | sim |",
        "```text\n",
    ] {
        assert!(summary.contains(part), "{part}\n{summary}");
    }
}

#[test]
fn a_trace_has_bars_for_owners_and_an_arrow_for_the_stale_read() {
    let room = Room::new();
    room.portcullis(&["run", "-q", "--design", BROKEN, "-E", "test(race)", "--perfetto", "p.json"]);
    let trace: Value = serde_json::from_str(&room.read("p.json")).unwrap();
    let entries = trace["traceEvents"].as_array().unwrap();
    let of = |key: &str, value: &str| entries.iter().filter(|it| it[key] == value).collect::<Vec<_>>();
    let names: Vec<&str> =
        of("name", "thread_name").iter().map(|it| it["args"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["old", "a", "b", "the machine", "old owns", "a owns", "b owns"]);
    let (start, end) = (of("ph", "s"), of("ph", "f"));
    assert_eq!((start.len(), end.len()), (1, 1));
    assert!(start[0]["ts"].as_u64() < end[0]["ts"].as_u64() && start[0]["id"] == end[0]["id"]);
    let bars = of("cat", "owner");
    let ends = |bar: &Value| bar["ts"].as_u64().unwrap() + bar["dur"].as_u64().unwrap();
    let last: Vec<&str> = {
        let latest = bars.iter().map(|bar| ends(bar)).max().unwrap();
        bars.iter().filter(|bar| ends(bar) == latest).map(|bar| bar["name"].as_str().unwrap()).collect()
    };
    assert_eq!(last, ["a owns", "b owns"], "two own at the end");
}

#[test]
fn an_outcome_that_is_listed_and_that_no_schedule_shows_is_noted_in_every_report() {
    let room = Room::new();
    let listed = "outcomes = [\n  { a = \"ready\" },\n  { a = \"exited\" },\n]";
    let alone = room.read("scenarios/alone.toml").replace("outcomes = [{ a = \"ready\" }]", listed);
    let (one, _) = alone.split_once("[vary]").unwrap();
    room.write("one.toml", one);
    room.write("varied.toml", &alone);
    room.write("asked.toml", &one.replace("[explore]", "reach = \"every-outcome\"\n[explore]"));
    let note = "no schedule ends with: a is exited (one.toml:13)";
    let files = ["--jsonl", "run.jsonl", "--html", "page.html", "--junit", "junit.xml"];
    let shown = text(&room.portcullis(&[&["run", "one.toml"], &files[..]].concat()).stdout);
    assert!(shown.contains(&format!("\n        {note}\n")), "{shown}");
    assert!(shown.contains("1 case: 1 passed (1 complete)"), "{shown}");
    assert!(room.read("page.html").contains(note));
    assert!(room.read("junit.xml").contains("name=\"unshown\" value=\"a is exited (one.toml:13)\""));
    let merged = text(&room.portcullis(&["report", "merge", "run.jsonl"]).stdout);
    assert!(merged.contains(note), "{merged}");
    let unshown = |arguments: &[&str]| {
        let ends = room.events(arguments).into_iter().filter(|event| event["event"] == "case-end");
        ends.map(|end| end["unshown"].as_array().map_or(0, Vec::len)).collect::<Vec<_>>()
    };
    assert_eq!(unshown(&["one.toml"]), [1]);
    // What varies ends in various ways, a sample has not tried everything, and what was asked for fails.
    assert_eq!(unshown(&["varied.toml"]), [0, 0, 0]);
    assert_eq!(unshown(&["one.toml", "--sample", "3"]), [0]);
    assert_eq!(unshown(&["asked.toml"]), [0]);
    let schema = schema();
    for event in room.events(&["one.toml"]) {
        assert_eq!(mistakes(&schema, &event), Vec::<String>::new(), "{event}");
    }
}
