//! Profiles that were set up have nothing in common, and what one has is never taken or overwritten for another.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::home::{Home, awaited, base};
use crate::room::{USER, object};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// The first and the last port of a block.
fn span(ports: &Value) -> (u64, u64) {
    (ports["first"].as_u64().expect("a port"), ports["last"].as_u64().expect("a port"))
}

fn overlap(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

#[test]
fn two_profiles_run_beside_each_other_and_share_nothing() {
    let home = Home::new();
    let alpha = home.told(&["--profile", "alpha", "setup", "--json", "--port", &base(0).to_string()]);
    let beta = home
        .refgate(&["onboard", "--json", "--port", &base(1).to_string()])
        .env("OPENCLAW_PROFILE", "beta")
        .output();
    let beta = object(&beta.expect("it runs").stdout);
    for key in ["state", "config", "workspace", "log", "secretFile"] {
        assert_ne!(alpha[key], beta[key], "{key}");
        for (profile, set_up) in [("alpha", &alpha), ("beta", &beta)] {
            let path = set_up[key].as_str().expect("a path");
            assert!(path.contains(&format!("/.refgate-{profile}")), "{path}");
        }
    }
    assert!(!overlap(span(&alpha["ports"]), span(&beta["ports"])), "{alpha} {beta}");
    assert!(!overlap(span(&alpha["ports"]["cdp"]), span(&beta["ports"]["cdp"])), "{alpha} {beta}");

    let one = home.gateway(&["--profile", "alpha"]);
    let two = home.gateway(&["--profile", "beta"]);
    for (profile, set_up, gateway) in [("alpha", &alpha, &one), ("beta", &beta, &two)] {
        let told = home.told(&["ports", "--json", "--profile", profile]);
        let reserved = told["reserved"].as_array().expect("a list");
        let own: Vec<_> = reserved.iter().filter(|neighbour| neighbour["relation"] == "own").collect();
        assert_eq!(own.len(), 1, "{told}");
        let seen = (&own[0]["state"], &own[0]["phase"], &own[0]["holder"]["pid"], &own[0]["ports"]);
        assert_eq!(seen, (&set_up["state"], &"ready".into(), &gateway.pid().into(), &set_up["ports"]));
        let others = reserved.iter().filter(|neighbour| neighbour["relation"] == "apart");
        let here = |neighbour: &&Value| {
            neighbour["state"].as_str().is_some_and(|state| Path::new(state).starts_with(home.at("")))
        };
        assert_eq!(others.filter(here).count(), 1, "{told}");
        assert_eq!(told["conflicts"], serde_json::json!([]));
        let log = awaited(set_up["log"].as_str().expect("a path").as_ref(), 2);
        assert!(
            log.iter().all(|line| line["pid"] == gateway.pid() && line["instance"] == own[0]["instance"]),
            "{log:?}"
        );
    }
    let text = said(&home.run(&["--profile", "alpha", "ports"]));
    assert!(
        text.contains("(this profile)") && text.contains(alpha["state"].as_str().expect("a path")),
        "{text}"
    );
}

#[test]
fn profiles_whose_names_have_one_port_are_given_blocks_apart_even_if_they_are_set_up_at_once() {
    let home = Home::new();
    let names = ["p1402", "p2380", "default", "p1402-b", "p1402-c"];
    let children: Vec<_> = names
        .iter()
        .map(|name| {
            let mut command = home.refgate(&["--profile", name, "setup", "--json"]);
            command.stdout(Stdio::piped()).spawn().expect("it starts")
        })
        .collect();
    let blocks: Vec<_> = children
        .into_iter()
        .map(|child| span(&object(&child.wait_with_output().expect("it ends").stdout)["ports"]))
        .collect();
    for (place, block) in blocks.iter().enumerate() {
        assert!(blocks.iter().skip(place + 1).all(|other| !overlap(*block, *other)), "{blocks:?}");
        let told = home.told(&["--profile", names[place], "config", "explain", "ports.reserved", "--json"]);
        assert_eq!(told["settings"][0]["value"], format!("{}-{}", block.0, block.1), "it is remembered");
    }
    let told = home.told(&["--profile", "p2380", "ports", "--json", "--port", &blocks[0].0.to_string()]);
    assert_eq!(told["conflicts"][0]["profile"], "p1402", "{told}");
}

#[test]
fn ports_that_a_gateway_or_another_profile_has_are_not_given_away() {
    let home = Home::new();
    let port = base(2);
    home.told(&["--profile", "owner", "setup", "--json", "--port", &port.to_string()]);
    let refused = home.run(&["--profile", "late", "setup", "--port", &(port + 110).to_string()]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(said(&refused).contains("the ports of the profile owner"), "{}", said(&refused));
    assert!(!home.at(".refgate-late").exists());

    // A gateway of which nobody has written anything down.
    let other = Home::new();
    let _gateway = home.gateway(&["--profile", "owner"]);
    let refused = other.run(&["setup", "--port", &(port + 5).to_string()]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(said(&refused).contains("which a gateway has reserved"), "{}", said(&refused));
    let text = said(&other.run(&["ports", "--port", &(port + 5).to_string()]));
    assert!(text.contains("(in the way of this profile)"), "{text}");
}

#[test]
fn a_configuration_is_written_once_and_replaced_only_if_that_is_asked_for() {
    let home = Home::new();
    let port = base(4).to_string();
    home.told(&["setup", "--json", "--port", &port]);
    let (config, token) = (home.text(".refgate/openclaw.json"), home.text(".refgate/gateway.token"));
    for (name, expected) in [("", 0o700), ("openclaw.json", 0o600), ("gateway.token", 0o600)] {
        assert_eq!(mode(&home.at(".refgate").join(name)), expected, "{name}");
    }
    assert!(token.trim_end().len() == 64 && !config.contains(token.trim_end()));

    let again = home.run(&["setup", "--auth", "none"]);
    assert_eq!(again.status.code(), Some(78));
    assert!(said(&again).contains("is there already"), "{}", said(&again));
    assert_eq!(home.text(".refgate/openclaw.json"), config);

    let forced = home.told(&["setup", "--auth", "none", "--force", "--json"]);
    assert_eq!(forced["port"].to_string(), port, "it remembers its port");
    assert_eq!(home.text(".refgate/openclaw.json.bak"), config);
    assert!(home.text(".refgate/openclaw.json").contains("\"none\""));

    let kept = home.run(&["setup", "--force"]);
    assert!(kept.status.success() && !said(&kept).contains(token.trim_end()), "{}", said(&kept));
    assert_eq!(home.text(".refgate/gateway.token"), token, "clients know that one");
    assert_eq!(home.text(".refgate/openclaw.json"), config);
}

#[test]
fn a_configuration_that_a_gateway_goes_by_is_not_replaced() {
    let home = Home::new();
    home.told(&["setup", "--json", "--port", &base(5).to_string()]);
    let config = home.text(".refgate/openclaw.json");
    let gateway = home.gateway(&[]);
    let refused = home.run(&["setup", "--force"]);
    assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
    assert!(
        said(&refused).contains(&format!("gateway already running (pid {})", gateway.pid())),
        "{}",
        said(&refused)
    );
    assert_eq!(home.text(".refgate/openclaw.json"), config);
    assert!(!home.at(".refgate/openclaw.json.bak").exists());
}

#[test]
fn nothing_is_set_up_in_a_home_that_cannot_be_written() {
    let home = Home::new();
    fs::set_permissions(home.at(""), fs::Permissions::from_mode(0o555)).expect("it is mine");
    // Root may write everywhere, and the program may lie where an ordinary user may not go.
    let uid = rustix::process::geteuid().is_root().then_some(USER);
    let room = crate::room::Room::new(1, uid);
    let output = room
        .command(room.at("refgate"))
        .arg("setup")
        .env_clear()
        .env("HOME", home.at(""))
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(77), "{}", said(&output));
    assert!(said(&output).contains("cannot create"), "{}", said(&output));
    assert_eq!(fs::read_dir(home.at("")).expect("it is read").count(), 0);
    fs::set_permissions(home.at(""), fs::Permissions::from_mode(0o755)).expect("it is mine");
}

#[test]
fn a_gateway_that_would_listen_everywhere_without_a_secret_is_not_set_up() {
    let home = Home::new();
    let refused = home.run(&["setup", "--bind", "lan", "--auth", "none"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("it would listen on every address, and clients need no secret"),
        "{}",
        said(&refused)
    );
    let refused = home.run(&["setup", "--auth", "password"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("OPENCLAW_GATEWAY_PASSWORD"), "{}", said(&refused));
    assert_eq!(fs::read_dir(home.at("")).expect("it is read").count(), 0);
    let output = home
        .refgate(&["setup", "--bind", "lan", "--auth", "password"])
        .env("OPENCLAW_GATEWAY_PASSWORD", "pa55w0rd")
        .output();
    let output = output.expect("it runs");
    assert!(output.status.success() && !said(&output).contains("pa55w0rd"), "{}", said(&output));
    assert_eq!(home.text(".refgate/gateway.password"), "pa55w0rd\n");
}
