//! Every rule of precedence has a row, every problem says what to write instead, and no input makes anything panic.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{
    CONFIG_PATH, ConfigFile, Flags, Found, GATEWAY_PORT, GATEWAY_TOKEN, PROFILE, Profile, STATE_DIR,
    Settings, SettingsError, Surroundings, VARIABLES, WORKSPACE_DIR, resolve,
};
use crate::claim::Listen;

/// Variables and their values.
type Variables<'a> = &'a [(&'static str, &'a str)];

fn flags(port: &str, profile: &str) -> Flags {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Flags { port: given(port), profile: given(profile) }
}

fn around(variables: &[(&'static str, &str)]) -> Surroundings {
    Surroundings {
        variables: variables.iter().map(|(name, value)| (*name, OsString::from(value))).collect(),
        home: Some(PathBuf::from("/home/u")),
        directory: Some(PathBuf::from("/here")),
    }
}

fn text(config: &str) -> impl Fn(&Path) -> Found + use<> {
    let file = match config {
        "" => ConfigFile::Absent,
        text => ConfigFile::Bytes(text.as_bytes().to_owned()),
    };
    move |path| found(path, file.clone())
}

fn settle(
    flags: &Flags,
    variables: &[(&'static str, &str)],
    config: &str,
) -> Result<Settings, SettingsError> {
    resolve(flags, &around(variables), text(config))
}

fn found(path: &Path, file: ConfigFile) -> Found {
    Found { path: path.to_owned(), file }
}

/// What a user sees of the problems with one configuration.
fn problems_of(config: impl Into<Vec<u8>>) -> String {
    let bytes = config.into();
    match resolve(&Flags::default(), &around(&[]), |path| found(path, ConfigFile::Bytes(bytes.clone()))) {
        Ok(settings) => format!("no problem: {settings:?}"),
        Err(error) => error.render(),
    }
}

#[test]
fn the_base_port_comes_from_flag_then_environment_then_configuration_then_profile() {
    let config = "{ gateway: { port: 30003 } }";
    let cases: [(&str, &str, Variables<'_>, &str, u16); 18] = [
        ("", "", &[], "", 18789),
        ("", "default", &[], "", 18789),
        ("", "main", &[], "", 23592),
        ("", "rescue", &[], "", 23532),
        ("", "Rescue", &[], "", 57804),
        ("", "", &[(PROFILE, "ops")], "", 55291),
        ("", "main", &[(PROFILE, "ops")], "", 23592),
        ("", "default", &[(PROFILE, "ops")], "", 18789),
        ("", "main", &[], config, 30003),
        ("", "main", &[(GATEWAY_PORT, "30002")], config, 30002),
        ("30001", "main", &[(GATEWAY_PORT, "30002")], config, 30001),
        ("", "", &[(GATEWAY_PORT, "localhost:30002")], config, 30002),
        ("", "", &[(GATEWAY_PORT, "127.0.0.1:30002")], config, 30002),
        ("", "", &[(GATEWAY_PORT, "[::1]:30002")], config, 30002),
        ("", "", &[(GATEWAY_PORT, "")], config, 30003),
        ("", "", &[], "{ 'gateway': { \"p\\u006frt\": 0x7533, }, /* ] */ } // {", 30003),
        ("", "", &[], "\u{feff}{ a: { gateway: { port: 1 } }, gateway: { port: 30003.0 } }", 30003),
        ("65425", "", &[], "", 65425),
    ];
    for (port, profile, variables, config, expected) in cases {
        let settings = settle(&flags(port, profile), variables, config).expect(config);
        assert_eq!(settings.ports.base().get(), expected, "{port} {profile} {variables:?} {config}");
        assert_eq!(settings.ports.span(), 110);
    }
}

#[test]
fn the_paths_follow_the_profile_unless_the_environment_names_them() {
    let cases: [(&str, Variables<'_>, &str, &str); 12] = [
        ("", &[], "/home/u/.refgate", "/home/u/.refgate/openclaw.json"),
        ("default", &[], "/home/u/.refgate", "/home/u/.refgate/openclaw.json"),
        ("ops", &[], "/home/u/.refgate-ops", "/home/u/.refgate-ops/openclaw.json"),
        ("", &[(PROFILE, "ops")], "/home/u/.refgate-ops", "/home/u/.refgate-ops/openclaw.json"),
        ("", &[(STATE_DIR, "/s")], "/s", "/s/openclaw.json"),
        ("ops", &[(STATE_DIR, "/s")], "/s", "/s/openclaw.json"),
        ("", &[(CONFIG_PATH, "/c.json")], "/home/u/.refgate", "/c.json"),
        ("", &[(STATE_DIR, "s"), (CONFIG_PATH, "../c")], "/here/s", "/here/../c"),
        ("", &[(STATE_DIR, "./s//t/.//")], "/here/s/t", "/here/s/t/openclaw.json"),
        ("", &[(STATE_DIR, "~/s")], "/home/u/s", "/home/u/s/openclaw.json"),
        ("", &[(STATE_DIR, "~")], "/home/u", "/home/u/openclaw.json"),
        ("", &[(STATE_DIR, "")], "/home/u/.refgate", "/home/u/.refgate/openclaw.json"),
    ];
    for (profile, variables, state, config) in cases {
        let settings = settle(&flags("", profile), variables, "").expect(state);
        assert_eq!(settings.state.as_os_str(), state, "{profile} {variables:?}");
        assert_eq!(settings.config.as_os_str(), config, "{profile} {variables:?}");
    }
}

#[test]
fn what_is_claimed_besides_comes_from_the_configuration() {
    let config = "{ gateway: { bind: 'custom', customBindHost: '192.168.0.2' }, \
                  browser: { cdpUrl: 'http://localhost:9222/x', profiles: { \
                    a: { cdpPort: 18800 }, b: { cdpUrl: 'wss://u:p@[::1]:9333' }, c: { cdpUrl: 'http://far.example:9444' } } }, \
                  agents: { defaults: { workspace: '~/w' }, list: [ { id: 'x' }, { workspace: '/v/./x', o: [[1], {}] }, { workspace: ' ' } ] } }";
    let variables = [(WORKSPACE_DIR, "here"), (GATEWAY_TOKEN, "t")];
    let settings = settle(&flags("", ""), &variables, config).expect(config);
    let pinned: Vec<u16> = settings.pinned.iter().map(|port| port.get()).collect();
    assert_eq!(pinned, [9222, 18800, 9333]);
    assert_eq!(settings.workspaces, ["/here/here", "/home/u/w", "/v/x"].map(PathBuf::from));
    assert_eq!(settings.listen, Listen::Also([192, 168, 0, 2].into()));
    let listens = [
        ("{}", Listen::Loopback),
        ("{gateway:{bind:'auto'}}", Listen::Loopback),
        ("{gateway:{bind:'tailnet'}}", Listen::Loopback),
        ("{gateway:{bind:'lan'}}", Listen::Everywhere),
        ("{gateway:{bind:'custom',customBindHost:'0.0.0.0'}}", Listen::Everywhere),
    ];
    for (config, expected) in listens {
        let settings = settle(&flags("", ""), &[(GATEWAY_TOKEN, "t")], config).expect(config);
        assert_eq!(
            (settings.listen, settings.pinned, settings.workspaces),
            (expected, vec![], vec![]),
            "{config}"
        );
    }
}

#[test]
fn what_would_be_claimed_and_is_not_understood_is_a_problem() {
    for (config, expected) in [
        ("{gateway:{bind:'moon'}}", "`gateway.bind` is \"moon\", which is not known"),
        ("{gateway:{bind:1}}", "`gateway.bind` must be a string, not a number"),
        (
            "{gateway:{bind:'custom'}}",
            "`gateway.customBindHost` must be an IPv4 address where `gateway.bind` is \"custom\", not absent",
        ),
        (
            "{gateway:{bind:'custom',customBindHost:'::1'}}",
            "`gateway.customBindHost` must be an IPv4 address, not a string",
        ),
        ("{browser:{profiles:{a:{cdpPort:'9'}}}}", "`cdpPort` must be a number, not a string"),
        ("{browser:{profiles:{a:{cdpPort:70000}}}}", "`cdpPort` is 70000, which is not a port"),
        ("{browser:{profiles:[]}}", "`browser.profiles` must be an object, not an array"),
        ("{agents:{list:{}}}", "`agents.list` must be an array, not an object"),
        ("{agents:{list:[{workspace:[]}]}}", "`workspace` must be a string, not an array"),
        (
            "{agents:{defaults:{workspace:'~bob/w'}}}",
            "is \"~bob/w\", and only `~/` is expanded, not the home of another user",
        ),
    ] {
        let error = settle(&flags("", ""), &[], config).expect_err(config);
        let lines = error.lines();
        assert!(lines.len() == 1 && lines[0].contains(expected), "{config}: {lines:?}");
    }
}

#[test]
fn a_profile_says_in_the_log_what_the_environment_keeps_from_it() {
    let variables = [(STATE_DIR, "/s"), (CONFIG_PATH, "/c"), (GATEWAY_PORT, "lan.example:30002")];
    let settings = settle(&flags("", "ops"), &variables, "").expect("valid");
    insta::assert_snapshot!(settings.notes.join("\n"), @r"
    the host lan.example in OPENCLAW_GATEWAY_PORT is not used: `gateway.bind` says where refgate listens
    --profile ops does not change OPENCLAW_STATE_DIR=/s: the environment wins
    --profile ops does not change OPENCLAW_CONFIG_PATH=/c: the environment wins
    --profile ops does not change OPENCLAW_GATEWAY_PORT=lan.example:30002: the environment wins
    ");
    let settings = settle(&flags("30001", ""), &variables, "").expect("valid");
    assert_eq!(settings.notes.len(), 1, "{:?}", settings.notes);
}

#[test]
fn every_problem_of_a_start_is_reported_at_once() {
    let variables = [(STATE_DIR, "/s"), (GATEWAY_PORT, "70000"), (CONFIG_PATH, "~bob/c")];
    let error = settle(&flags("+80", "a/b"), &variables, "").expect_err("invalid");
    assert_eq!(error.to_string(), "4 problems in the settings");
    insta::assert_snapshot!(error.render(), @r#"
    error: --profile is "a/b", which is not a profile name
     |
     = help: write a letter or digit and then at most 63 letters, digits, `_` or `-`

    error: OPENCLAW_CONFIG_PATH is "~bob/c", and only `~/` is expanded, not the home of another user
     |
     = help: write the absolute path

    error: OPENCLAW_GATEWAY_PORT is "70000", which is not a port
     |
     = help: write N, HOST:N or [IPV6]:N with N from 1 to 65425, or unset it

    error: --port is "+80", which is not a port
     |
     = help: write a number from 1 to 65425
    "#);
}

#[test]
fn a_port_that_leaves_no_room_for_its_block_is_refused_wherever_it_was_written() {
    let error = settle(&flags("65426", ""), &[], "").expect_err("too high");
    insta::assert_snapshot!(error.render(), @r"
    error: --port: base port 65426 leaves no room for the 110 ports reserved above it
     |
     = help: the highest base port is 65425
    ");
    insta::assert_snapshot!(problems_of("{gateway:{port:65535}}"), @r"
    error: base port 65535 leaves no room for the 110 ports reserved above it
     --> /home/u/.refgate/openclaw.json:1:16
      |
    1 | {gateway:{port:65535}}
      |                ^^^^^
      |
      = help: the highest base port is 65425
    ");
}

#[test]
fn unknown_keys_and_wrong_values_of_the_gateway_section_are_shown_with_their_lines() {
    insta::assert_snapshot!(problems_of("{\n  agents: {port: 'x'},\n  gateway: {\n\tprot: 1,\n    'zzz': 2, port: '18789',\n    port: 3 },\n}\n"), @r#"
    error: there is no key "prot" in `gateway`
     --> /home/u/.refgate/openclaw.json:4:2
      |
    4 |     prot: 1,
      |     ^^^^
      |
      = help: did you mean "port"?

    error: there is no key "zzz" in `gateway`
     --> /home/u/.refgate/openclaw.json:5:5
      |
    5 |     'zzz': 2, port: '18789',
      |     ^^^^^
      |
      = help: the keys are auth, bind, controlUi, customBindHost, http, mode, nodes, port, publicOrigin, push, reload, remote, roles, tailscale, terminal, tls, tools, trustedProxies

    error: "port" was given before, on line 5
     --> /home/u/.refgate/openclaw.json:6:5
      |
    6 |     port: 3 },
      |     ^^^^
      |
      = help: remove one of them

    error: `gateway.port` must be a number, not a string
     --> /home/u/.refgate/openclaw.json:5:21
      |
    5 |     'zzz': 2, port: '18789',
      |                     ^^^^^^^
      |
      = help: write the number without quotes
    "#);
    for (config, expected) in [
        ("{gateway:{port:0}}", "`gateway.port` is 0, which is not a port"),
        ("{gateway:{port:70000}}", "`gateway.port` is 70000, which is not a port"),
        ("{gateway:{port:-1}}", "`gateway.port` is -1, which is not a port"),
        ("{gateway:{port:1.5}}", "`gateway.port` is 1.5, which is not a port"),
        ("{gateway:{port:NaN}}", "`gateway.port` is NaN, which is not a port"),
        ("{gateway:{port:1e999}}", "`gateway.port` is 1e999, which is not a port"),
        ("{gateway:{port:null}}", "`gateway.port` must be a number, not null"),
        ("{gateway:{port:[1]}}", "`gateway.port` must be a number, not an array"),
        ("{gateway:{port:true}}", "`gateway.port` must be a number, not a truth value"),
        ("{gateway:[]}", "`gateway` must be an object, not an array"),
        ("{gateway:{},gateway:{}}", "\"gateway\" was given before, on line 1"),
        ("[]", "the configuration must be an object, not an array"),
    ] {
        assert!(problems_of(config).contains(expected), "{config}: {}", problems_of(config));
    }
}

#[test]
fn a_text_that_is_not_json5_is_shown_with_line_and_caret() {
    insta::assert_snapshot!(problems_of("{\n  gateway: {\n    port: 1\n    bind: 'auto',\n  },\n}"), @r"
    error: expected a comma or a closing bracket here
     --> /home/u/.refgate/openclaw.json:4:5
      |
    4 |     bind: 'auto',
      |     ^
      |
      = help: the file must hold one JSON5 object, for instance `{}`
    ");
    insta::assert_snapshot!(problems_of("{\n  gateway: {\n    port: 1,\n"), @r"
    error: this bracket is never closed
     --> /home/u/.refgate/openclaw.json:2:12
      |
    2 |   gateway: {
      |            ^
      |
      = help: the file must hold one JSON5 object, for instance `{}`
    ");
    for (config, expected) in [
        ("", "the file holds no value"),
        (" // only a comment", "the file holds no value"),
        ("{} {}", "something follows the end of the configuration"),
        ("{a: [1 2]}", "expected a comma or a closing bracket here"),
        ("{a: 'x\n'}", "line terminator in string"),
        ("{a: hello}", "expected value"),
        ("'abc", "the file ends before this string is complete"),
        ("{a: /* b }", "the file ends before this comment is complete"),
        ("{a:", "this bracket is never closed"),
        ("{a: 1e}", "this cannot be read"),
        ("\u{0}", "expected value"),
    ] {
        assert!(problems_of(config).contains(expected), "{config}: {}", problems_of(config));
    }
}

#[test]
fn a_file_that_is_not_text_is_shown_with_the_place_of_its_first_wrong_byte() {
    insta::assert_snapshot!(problems_of(b"{\n  a: '\xff\xfe',\n}"), @r"
    error: this byte is not UTF-8 text
     --> /home/u/.refgate/openclaw.json:2:7
      |
    2 |   a: '��',
      |       ^
      |
      = help: the file must hold one JSON5 object, for instance `{}`
    ");
}

#[test]
fn a_deeply_nested_text_is_refused_before_it_reaches_the_recursive_parser() {
    let shown = problems_of("[".repeat(1_000_000));
    assert!(shown.contains("more than 128 objects and arrays are nested"), "{}", shown.len());
    let deep = format!("{{a:{}{}}}", "[".repeat(127), "]".repeat(127));
    assert!(problems_of(deep).starts_with("no problem"));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let read = |path: &Path| found(path, ConfigFile::Unreadable("it is a directory".to_owned()));
    let error = resolve(&Flags::default(), &around(&[]), read).expect_err("unreadable");
    insta::assert_snapshot!(error.render(), @r#"
    error: the configuration file "/home/u/.refgate/openclaw.json" cannot be read: it is a directory
     |
     = help: make it a readable text file, remove it, or set OPENCLAW_CONFIG_PATH to another one
    "#);
}

#[test]
fn a_state_path_that_is_no_directory_is_not_blamed_on_a_configuration_that_nobody_asked_for() {
    let read = |path: &Path| found(path, ConfigFile::NoDirectory);
    let settings = resolve(&Flags::default(), &around(&[(STATE_DIR, "/file")]), read).expect("no problem");
    assert_eq!(settings.config.as_os_str(), "/file/openclaw.json");
    let asked = around(&[(CONFIG_PATH, "/file/c")]);
    let error = resolve(&Flags::default(), &asked, read).expect_err("unreadable");
    assert!(error.problems[0].to_string().ends_with("cannot be read: a part of the path is no directory"));
}

#[test]
fn what_is_owned_is_the_configuration_without_links() {
    let read = |_: &Path| found(Path::new("/real/c"), ConfigFile::Absent);
    let settings = resolve(&Flags::default(), &around(&[(CONFIG_PATH, "/link/c")]), read).expect("valid");
    assert_eq!(settings.config.as_os_str(), "/real/c");
}

#[test]
fn of_many_problems_in_one_long_line_only_the_first_are_shown_and_none_is_long() {
    let keys: String = (0..20_000).map(|key| format!("unknown{key}:1,")).collect();
    let error = settle(&Flags::default(), &[], &format!("{{gateway:{{{keys}}}}}")).expect_err("unknown keys");
    assert_eq!((error.problems.len(), error.more), (20, 19_980));
    assert_eq!(error.to_string(), "20000 problems in the settings");
    assert!(error.render().ends_with("\n\nand 19980 more"));
    assert!(error.render().lines().all(|line| line.chars().count() < 250));
    assert_eq!(error.lines().len(), 21);
    let long = problems_of(format!("{{ {} gateway: {{ {}: 1 }} }}", " ".repeat(200), "k".repeat(1_000_000)));
    insta::assert_snapshot!(long, @r#"
    error: there is no key "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk…" in `gateway`
     --> /home/u/.refgate/openclaw.json:1:215
      |
    1 | …                             gateway: { kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk…
      |                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: the keys are auth, bind, controlUi, customBindHost, http, mode, nodes, port, publicOrigin, push, reload, remote, roles, tailscale, terminal, tls, tools, trustedProxies
    "#);
    assert!(problems_of(format!("{{gateway:{{port:1{}}}}}", "0".repeat(1_000_000))).len() < 1000);
}

#[test]
fn a_home_is_needed_only_where_a_path_starts_in_it() {
    let mut nowhere = around(&[(STATE_DIR, "/s")]);
    nowhere.home = None;
    nowhere.directory = None;
    assert!(resolve(&Flags::default(), &nowhere, text("")).is_ok());
    nowhere.variables.clear();
    let error = resolve(&Flags::default(), &nowhere, text("")).expect_err("no home");
    assert_eq!(error.problems[0].to_string(), "HOME is not set");
    nowhere.home = Some(PathBuf::from("relative"));
    let error = resolve(&Flags::default(), &nowhere, text("")).expect_err("no home");
    assert_eq!(error.problems[0].to_string(), "HOME is \"relative\", which is not an absolute path");
    nowhere.variables.insert(STATE_DIR, "here".into());
    let error = resolve(&Flags::default(), &nowhere, text("")).expect_err("no directory");
    assert!(error.problems[0].to_string().ends_with("and the current directory it is relative to is gone"));
}

#[test]
fn two_profiles_with_the_same_hash_have_the_same_port_and_different_directories() {
    let port = |name: &str| Profile::new(name).map(|profile| profile.port().get());
    assert_eq!(port("p1402"), Some(55636));
    assert_eq!(port("p2380"), Some(55636));
}

#[test]
fn a_profile_name_is_safe_in_a_file_name() {
    let longest = format!("a{}", "b".repeat(63));
    for name in ["a", "A1", "0", "a_b-C", &longest] {
        assert!(Profile::new(name).is_some(), "{name}");
    }
    let too_long = format!("{longest}b");
    for name in ["", "-a", "_a", ".", "..", "a/b", "a b", "ä", "a\0", "a\n", &too_long] {
        assert!(Profile::new(name).is_none(), "{name}");
    }
}

/// A text that looks enough like a configuration to get past the first check.
fn nearly_json5() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("gateway:".to_owned()),
        Just("\"port\":".to_owned()),
        Just("18789".to_owned()),
        Just(",".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("// \u{2028}".to_owned()),
        Just("/* */".to_owned()),
        Just("\r\n".to_owned()),
        Just("'\\u12".to_owned()),
        ".{0,4}",
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_configuration_makes_it_panic(config in nearly_json5(), noise in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = problems_of(config);
        let _ = problems_of(noise);
    }

    #[test]
    fn no_flag_and_no_variable_makes_it_panic(
        port in prop::option::of(".{0,12}"),
        profile in prop::option::of(".{0,12}"),
        values in prop::array::uniform4("[~/.a0-9:\\[\\]\u{0}-\u{ff}]{0,12}"),
    ) {
        let flags = Flags { port, profile };
        let variables: Vec<_> = VARIABLES.into_iter().zip(values.iter().map(String::as_str)).collect();
        match settle(&flags, &variables, "") {
            Ok(settings) => prop_assert!(settings.state.is_absolute() && settings.config.is_absolute()),
            Err(error) => prop_assert!(!error.render().is_empty() && !error.problems.is_empty()),
        }
    }

    #[test]
    fn every_port_that_fits_is_taken_as_it_is_written(port in 1_u16..=65425) {
        let by_flag = settle(&flags(&port.to_string(), ""), &[], "");
        let by_config = settle(&Flags::default(), &[], &format!("{{gateway:{{port:{port}}}}}"));
        prop_assert_eq!(by_flag.map(|settings| settings.ports.base().get()), Ok(port));
        prop_assert_eq!(by_config.map(|settings| settings.ports.base().get()), Ok(port));
    }
}
