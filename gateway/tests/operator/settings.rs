//! `refgate config` tells on real processes what a gateway would go by, everything wrong at once, and no secret.

use std::process::Output;

use serde_json::{Value, json};

use crate::home::Home;
use crate::room::object;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// What counts of a setting, and whose.
fn explained(home: &Home, arguments: &[&str], variables: &[(&str, &str)], key: &str) -> (Value, Value) {
    let mut command = home.refgate(&["config", "explain", "--json", key]);
    let output = command.args(arguments).envs(variables.iter().copied()).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let told = object(&output.stdout);
    (told["settings"][0]["value"].clone(), told["settings"][0]["from"].clone())
}

#[test]
fn each_place_counts_before_the_next_one() {
    let home = Home::new();
    let by_flag = ["--port", "21000"];
    let by_variable = [("OPENCLAW_GATEWAY_PORT", "21001")];
    let path = home.at(".refgate-ops/openclaw.json");
    home.put(".refgate-ops/openclaw.json", b"{\n  gateway: { port: 21002 },\n}\n");
    let ops = ["--profile", "ops"];
    let rescue = ["--profile", "rescue"];
    for (arguments, variables, value, from) in [
        (
            [&by_flag[..], &ops].concat(),
            &by_variable[..],
            "21000",
            json!({ "kind": "flag", "name": "--port" }),
        ),
        (
            ops.to_vec(),
            &by_variable,
            "21001",
            json!({ "kind": "environment", "name": "OPENCLAW_GATEWAY_PORT" }),
        ),
        (ops.to_vec(), &[], "21002", json!({ "kind": "config", "path": path, "line": 2, "column": 20 })),
        (rescue.to_vec(), &[], "23532", json!({ "kind": "profile", "name": "rescue" })),
        (vec![], &[], "18789", json!({ "kind": "default" })),
    ] {
        assert_eq!(explained(&home, &arguments, variables, "gateway.port"), (value.into(), from));
    }
    let told = home.run(&["config", "explain", "nothing"]);
    assert_eq!(told.status.code(), Some(2));
    assert!(said(&told).contains("no setting is called \"nothing\""), "{}", said(&told));
}

#[test]
fn everything_wrong_is_told_at_once_and_nothing_is_changed_or_shown_that_is_secret() {
    let home = Home::new();
    home.put(
        ".refgate/openclaw.json",
        b"{ gateway: { prot: 1, port: 'x', auth: { token: 's3cret' } }, agents: { list: {} } }",
    );
    let output = home.refgate(&["config", "check"]).env("OPENCLAW_GATEWAY_PASSWORD", "pa55").output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    for expected in ["no key \"prot\"", "`gateway.port` must be a number", "`agents.list` must be an array"] {
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
    let json = home.run(&["config", "check", "--json"]);
    let told = object(&json.stdout);
    assert_eq!(
        (json.status.code(), &told["ok"], told["problems"].as_array().map(Vec::len)),
        (Some(2), &json!(false), Some(3))
    );

    home.put(
        ".refgate/openclaw.json",
        b"{ gateway: { auth: { token: 's3cret' } }, cron: { enabled: 1 }, agents: { defaults: { worspace: '/w' } } }",
    );
    let before = home.text(".refgate/openclaw.json");
    for arguments in [
        &["config", "check"][..],
        &["config", "check", "--json"],
        &["config", "explain"],
        &["config", "explain", "--json"],
    ] {
        let output =
            home.refgate(arguments).env("OPENCLAW_GATEWAY_PASSWORD", "pa55").output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        for expected in ["worspace", "cron.enabled"] {
            assert!(said(&output).contains(expected), "{}", said(&output));
        }
        for secret in ["s3cret", "pa55"] {
            assert!(!said(&output).contains(secret), "{}", said(&output));
        }
    }
    assert_eq!(home.text(".refgate/openclaw.json"), before);
    assert_eq!(std::fs::read_dir(home.at(".refgate")).expect("it is read").count(), 1);
}

#[test]
fn the_schema_is_json_schema_of_draft_2020_12() {
    let schema: Value = serde_json::from_slice(&Home::new().run(&["config", "schema"]).stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for section in ["agents", "browser", "channels", "cron", "gateway", "secrets"] {
        assert_eq!(schema["properties"][section]["type"], "object", "{section}");
    }
}
