//! The whole output of each command, exit status included, as a user sees it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use insta::assert_snapshot;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn portcullis(arguments: &[&str]) -> Output {
    cargo_bin_cmd!("portcullis").current_dir(root()).args(arguments).output().unwrap()
}

/// Everything that is shown, with each `[ 1.23s]` made the same.
fn shown(output: &Output) -> String {
    let mut text = String::new();
    for (name, bytes) in [("", &output.stdout), ("(stderr)\n", &output.stderr)] {
        if !bytes.is_empty() {
            text.push_str(name);
            text.push_str(&without_times(&String::from_utf8_lossy(bytes)));
        }
    }
    let status = output.status.code().map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    format!("{text}(exit {status})")
}

fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once("s]") {
            Some((time, tail)) if time.trim().parse::<f64>().is_ok() => {
                out.push_str("[   TIME]");
                rest = tail;
            }
            _ => {
                out.push('[');
                rest = after;
            }
        }
    }
    out + rest
}

#[test]
fn a_passing_run_says_what_it_rests_on() {
    let output = portcullis(&["run", "scenarios/operator", "scenarios/pid/recycled-pid.toml"]);
    assert_snapshot!(shown(&output), @"
    portcullis 0.1.0   3 scenarios, 4 cases   on sim   design refgate
       PASS [   TIME] sim operator/lock-file-removed                 complete  103 states, 162 steps
       PASS [   TIME] sim operator/owner-paused                      complete  31 states, 30 steps
       PASS [   TIME] sim pid/recycled-pid[cron]                     complete  147 states, 146 steps
       PASS [   TIME] sim pid/recycled-pid[api-gateway]              complete  147 states, 146 steps
    --------------------------------------------------------------------------------
    Summary [   TIME] 4 cases: 4 passed (4 complete), 0 failed, 0 inconclusive, 0 unsupported
    (exit 0)
    ");
}

#[test]
fn a_broken_lock_is_shown_as_lanes_that_end_in_two_owners() {
    let output =
        portcullis(&["run", "scenarios/pid/stale-lock-race.toml", "--design", "pidfile-unlink-stale"]);
    assert_snapshot!(shown(&output), @"
    portcullis 0.1.0   1 scenario, 1 case   on sim   design pidfile-unlink-stale
       FAIL [   TIME] sim pid/stale-lock-race                        single-owner: a and b both own the state directory
    --------------------------------------------------------------------------------
    FAIL pid/stale-lock-race   on sim   scenarios/pid/stale-lock-race.toml:19
      single-owner: a and b both own the state directory

       step  old                    a                      b                      lock of S   owners
          -  (started)                                                            (none)      -
        ...  (2 calls)                                                            (none)      -
          -  create excl gateway.p~                                               (empty)     -
          -  getpid: pid 100                                                      (empty)     -
          -  write gateway.pid: 100                                               pid 100     -
          -  stat S: inode 2097152                                                pid 100     -
          -  owner                                                                pid 100     old
          -  ready                                                                pid 100     old
          -  (SIGKILL)                                                            pid 100     -
          1                         (started)                                     pid 100     -
          2                         catch signals                                 pid 100     -
          3                         mkdir S: EEXIST                               pid 100     -
          4                         create excl gateway.p~                        pid 100     -
          5                         open gateway.pid                              pid 100     -
          6                         read gateway.pid: 100                         pid 100     -
          7                         close gateway.pid                             pid 100     -
          8                         is 100 alive? no                              pid 100     -
          9                                                (started)              pid 100     -
     >>  10                                                catch signals          pid 100     -
         11                                                mkdir S: EEXIST        pid 100     -
         12                                                create excl gateway.p~ pid 100     -
         13                                                open gateway.pid       pid 100     -
         14                                                read gateway.pid: 100  pid 100     -
         15                                                close gateway.pid      pid 100     -
         16                                                is 100 alive? no       pid 100     -
         17                                                unlink gateway.pid     (none)      -
         18                                                create excl gateway.p~ (empty)     -
         19                                                getpid: pid 102        (empty)     -
         20                                                write gateway.pid: 102 pid 102     -
         21                                                stat S: inode 2097152  pid 102     -
         22                                                owner                  pid 102     b
         23                                                ready                  pid 102     b
         24                         unlink gateway.pid                            (none)      b
         25                         create excl gateway.p~                        (empty)     b
         26                         getpid: pid 101                               (empty)     b
         27                         write gateway.pid: 101                        pid 101     b
         28                         stat S: inode 2097152                         pid 101     b
         29                         owner                                         pid 101     a b  <- 2
     stale read   step 24 acts on what a saw of gateway.pid at step 6 (100); b changed it at step 20
     needed       0 faults, 1 preemption, 29 steps; nothing less breaks it
     searched     291 states, 479 steps
      replay  portcullis replay v1.scenarios/pid/stale-lock-race.pidfile-unlink-stale.bf1e42c3.aa0a5c8e.0007010e0005
    --------------------------------------------------------------------------------
    Summary [   TIME] 1 case: 0 passed, 1 failed, 0 inconclusive, 0 unsupported
    (exit 1)
    ");
}

#[test]
fn a_token_replays_byte_for_byte_and_the_one_in_the_readme_is_true() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let token = readme.split_whitespace().find(|word| word.starts_with("v1.")).unwrap();
    let first = portcullis(&["replay", token]);
    let second = portcullis(&["replay", token]);
    assert_eq!(first, second);
    assert_eq!(first.status.code(), Some(1));
    let run = portcullis(&["run", "scenarios/pid/stale-lock-race.toml", "--design", "pidfile-unlink-stale"]);
    let run = String::from_utf8(run.stdout).unwrap();
    assert!(run.contains(&format!("\n  replay  portcullis replay {token}\n")), "{run}");
    let replayed = String::from_utf8(first.stdout).unwrap();
    let lanes = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| !line.starts_with("   step"));
        lines.take_while(|line| !line.starts_with(" needed")).map(str::to_owned).collect()
    };
    assert_eq!(lanes(&replayed), lanes(&run));
    for line in lanes(&readme).iter().filter(|line| *line != "...") {
        assert!(run.contains(line.as_str()), "the README shows a line that is not shown: {line}");
    }
}

#[test]
fn a_token_says_when_it_no_longer_applies() {
    let gone = portcullis(&["replay", "v1.scenarios/gone.refgate.00000000.00000000.0003"]);
    assert_snapshot!(shown(&gone), @"
    not applicable: error: there is no file or directory `scenarios/gone.toml`
     |
     = help: check the path; it is taken from the current directory
    (exit 3)
    ");
    let changed = portcullis(&["replay", "v1.scenarios/race/two-gateways.refgate.00000000.00000000.0003"]);
    assert_snapshot!(shown(&changed), @"
    not applicable: scenarios/race/two-gateways.toml has changed since the token was made
    (exit 3)
    ");
}

#[test]
fn the_right_lock_passes_where_the_token_of_a_wrong_one_fails() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let token = readme.split_whitespace().find(|word| word.starts_with("v1.")).unwrap();
    let fixed = portcullis(&["replay", &token.replace("pidfile-unlink-stale", "refgate")]);
    assert_ne!(fixed.status.code(), Some(1), "{}", shown(&fixed));
}

#[test]
fn wrong_usage_is_told_with_the_remedy() {
    assert_snapshot!(shown(&portcullis(&["replay", "nonsense"])), @"
    (stderr)
    error: not a token: a token looks like v1.CASE.DESIGN.SCENARIO.TRACE.SCHEDULE
      = help: copy the last line of a failure block, without `portcullis replay`
    (exit 2)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "--design", "pidfile-unlink-stal"])), @"
    (stderr)
    error: invalid value 'pidfile-unlink-stal' for '--design <DESIGN>': no design is called so; did you mean `pidfile-unlink-stale`?

    For more information, try '--help'.
    (exit 2)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "--on", "refgate", "--design", "pidfile-unlink-stale"])), @"
    (stderr)
    error: `--design pidfile-unlink-stale` exists only in the simulator
      = help: leave out `--on refgate`
    (exit 2)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "--on", "refgate", "--refgate", "no/such/gateway"])), @"
    (stderr)
    error: there is no gateway at `no/such/gateway`
      = help: build it with `cargo build --bin refgate`, or leave `--refgate` out to use the built-in one
    (exit 5)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "--tag", "nothing-has-this-tag"])), @"
    (stderr)
    error: no case was selected
      = help: `portcullis list` shows them all
    (exit 4)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "no-such-folder"])), @"
    (stderr)
    error: there is no file or directory `no-such-folder`
     |
     = help: check the path; it is taken from the current directory
    (exit 2)
    ");
}

#[test]
fn every_mistake_of_a_file_is_shown_at_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    std::fs::write(
        &file,
        r#"schema = 1
title  = "Three mistakes"
[gateway.a]
state = "S"
port  = 70000
[run]
steps = [{ start = "aa" }]
[expect]
always   = ["singel-owner"]
outcomes = [{ a = "ready" }]
"#,
    )
    .unwrap();
    let output = portcullis(&["check", file.to_str().unwrap()]);
    let text = shown(&output).replace(&directory.path().display().to_string(), "DIRECTORY");
    assert_snapshot!(text, @r#"
    (stderr)
    error: `port` is 70000, which is out of range
     --> DIRECTORY/wrong.toml:5:9
      |
    5 | port  = 70000
      |         ^^^^^ not in 1 to 65425
      |
      = help: a gateway claims its base port and the 110 above it, so 65425 is the highest base

    error: no process is called `aa`
     --> DIRECTORY/wrong.toml:7:20
      |
    7 | steps = [{ start = "aa" }]
      |                    ^^^^ not declared in this file
      |
      = help: did you mean `a`?

    error: no check is called `singel-owner`
     --> DIRECTORY/wrong.toml:9:13
      |
    9 | always   = ["singel-owner"]
      |             ^^^^^^^^^^^^^^ unknown check
      |
      = help: did you mean `single-owner`?
    (exit 2)
    "#);
}

#[test]
fn lists_are_one_line_a_case_and_one_line_a_design() {
    assert_snapshot!(shown(&portcullis(&["list", "scenarios/pid", "scenarios/operator"])), @"
    pid/recycled-pid[cron]                         A dead gateway's pid now belongs to an unrelated process
    pid/recycled-pid[api-gateway]                  A dead gateway's pid now belongs to an unrelated process
    pid/stale-lock-race                            Two gateways start at once where a killed one has left its lock behind
    operator/lock-file-removed                     An operator deletes the lock file of a live owner and a rival starts
    operator/owner-paused                          The owner is stopped with SIGSTOP, a rival starts, the owner wakes up
    (exit 0)
    ");
    assert_snapshot!(shown(&portcullis(&["list", "--designs"])), @"
    refgate                          The reference gateway, as it ships.
    pidfile-unlink-stale             A lock file made with O_EXCL; its owner is judged by kill(pid, 0); a stale one is unlinked.
    refgate-without-directory-lock   The reference gateway, which never takes the lock on the state directory.
    refgate-without-file-lock        The reference gateway, which never takes the lock on the lock file.
    refgate-without-config-lock      The reference gateway, which never takes the lock beside the configuration.
    refgate-without-port-tokens      The reference gateway, which never takes the tokens of its ports.
    refgate-without-listener-v4      The reference gateway, which never takes the listener on 127.0.0.1.
    refgate-without-listener-v6      The reference gateway, which never takes the listener on ::1.
    (exit 0)
    ");
    assert_snapshot!(shown(&portcullis(&["check"])), @"
    16 scenarios, 19 cases: no mistake
    (exit 0)
    ");
}

#[test]
fn the_help_documents_the_exit_statuses() {
    assert_snapshot!(shown(&portcullis(&["--help"])), @"
    Runs scenarios of gateways that compete for one state directory, one configuration or one port: on a
    simulated machine, where every schedule is tried, and on real processes

    Usage: portcullis [OPTIONS] <COMMAND>

    Commands:
      run     Run scenarios
      list    List the cases, one a line, or the designs
      replay  Take one failure again, step for step
      check   Read scenario files and show every mistake in them
      help    Print this message or the help of the given subcommand(s)

    Options:
          --color <COLOR>
              When to use colours

              Possible values:
              - auto:   If the output is a terminal and NO_COLOR is not set
              - always: Always
              - never:  Never
              
              [default: auto]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Exit status:
      0    every case passed, or the executor does not support it
      1    a case failed; for replay: it still fails
      2    wrong usage, or an invalid scenario file
      3    nothing failed, but something stayed undecided; for replay: the token no longer applies
      4    no case was selected
      5    the environment lacks something, for instance the gateway's executable
      130  interrupted
    (exit 0)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "--help"])), @"
    Run scenarios

    Usage: portcullis run [OPTIONS] [PATHS]...

    Arguments:
      [PATHS]...
              Scenario files, or directories of them
              
              [default: scenarios]

    Options:
          --tag <TAG>
              Only scenarios with this tag; may be given more than once

          --on <ON>
              Where to run them; may be given more than once

              Possible values:
              - sim:     The simulated machine: every schedule
              - refgate: Real processes of the reference gateway
              
              [default: sim]

          --design <DESIGN>
              The lock that the simulated gateways have
              
              [default: refgate]

          --refgate <PATH>
              The executable of the reference gateway [default: the one built into this program]

          --color <COLOR>
              When to use colours

              Possible values:
              - auto:   If the output is a terminal and NO_COLOR is not set
              - always: Always
              - never:  Never
              
              [default: auto]

          --tries <TRIES>
              Runs of each case on real processes [default: as the scenario says]

      -j, --jobs <JOBS>
              Cases at once on the simulated machine [default: one for each core]

      -h, --help
              Print help (see a summary with '-h')
    (exit 0)
    ");
}

#[test]
fn real_processes_of_the_built_in_gateway_keep_the_same_promises() {
    let output = portcullis(&["run", "scenarios/race/two-gateways.toml", "--on", "refgate", "--tries", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("observed  3 runs, 0 failures"), "{text}");
}
