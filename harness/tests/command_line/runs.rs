//! What runs, lists and checks of scenarios show.

use insta::assert_snapshot;

use super::{portcullis, root, shown};

#[test]
fn a_passing_run_says_what_it_rests_on() {
    let output = portcullis(&["run", "scenarios/operator", "scenarios/pid/recycled-pid.toml"]);
    assert_snapshot!(shown(&output), @"
    portcullis 0.1.0   9 scenarios, 10 cases   on sim   design refgate
       PASS [   TIME] sim operator/backup-reads-lock                 complete  2 201 states, 5 591 steps
       PASS [   TIME] sim operator/config-edited                     complete  54 states, 57 steps
       PASS [   TIME] sim operator/lock-file-removed                 complete  111 states, 176 steps
       PASS [   TIME] sim operator/old-files-cleaned-up              complete  126 states, 191 steps
       PASS [   TIME] sim operator/owner-paused                      complete  32 states, 31 steps
       PASS [   TIME] sim operator/port-freed-by-force               complete  47 states, 46 steps
       PASS [   TIME] sim operator/state-directory-moved             complete  112 states, 177 steps
       PASS [   TIME] sim operator/state-directory-opened-up         complete  10 states, 9 steps
       PASS [   TIME] sim pid/recycled-pid[cron]                     complete  149 states, 148 steps
       PASS [   TIME] sim pid/recycled-pid[api-gateway]              complete  149 states, 148 steps
    --------------------------------------------------------------------------------
    Summary [   TIME] 10 cases: 10 passed (10 complete), 0 failed, 0 inconclusive, 0 unsupported
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
      replay  portcullis replay v1.scenarios/pid/stale-lock-race.pidfile-unlink-stale.bf1e42c3.8d3c3958.0007010e0005.91aa
    --------------------------------------------------------------------------------
    Summary [   TIME] 1 case: 0 passed, 1 failed, 0 inconclusive, 0 unsupported
    (exit 1)
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
    operator/backup-reads-lock                     A backup reads the files of a gateway and locks each while it reads
    operator/config-edited                         The configuration is edited while its owner runs, and a rival starts with it
    operator/lock-file-removed                     An operator deletes the lock file of a live owner and a rival starts
    operator/old-files-cleaned-up                  A cleaner removes files older than ten days, the lock file of a live owner among them
    operator/owner-paused                          The owner is stopped with SIGSTOP, a rival starts, the owner wakes up
    operator/port-freed-by-force                   A script kills whoever listens on the port, and the next gateway starts
    operator/state-directory-moved                 A state directory is moved away and back while its owner runs
    operator/state-directory-opened-up             An operator lets everybody write to the state directory, and a gateway starts
    (exit 0)
    ");
    assert_snapshot!(shown(&portcullis(&["list", "--designs"])), @"
    refgate                          The reference gateway, as it ships.
    pidfile-unlink-stale             A lock file made with O_EXCL; its owner is judged by kill(pid, 0); a stale one is unlinked.
    pidfile-kill-owner               A lock file made with O_EXCL; whoever's pid stands in it is told to stop, then it is unlinked.
    lease-wall-clock                 A file with the end of the owner's lease by the wall clock; asked for until it has ended.
    refgate-without-directory-lock   The reference gateway, which never takes the lock on the state directory.
    refgate-without-file-lock        The reference gateway, which never takes the lock on the lock file.
    refgate-without-config-lock      The reference gateway, which never takes the locks on the configuration.
    refgate-without-port-tokens      The reference gateway, which never takes the tokens of its ports.
    refgate-without-listener-v4      The reference gateway, which never takes the listener on 127.0.0.1.
    refgate-without-listener-v6      The reference gateway, which never takes the listener on ::1.
    (exit 0)
    ");
    assert_snapshot!(shown(&portcullis(&["check"])), @"
    38 scenarios, 41 cases: no mistake
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

#[test]
fn the_figures_in_the_readme_are_those_of_the_run() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let cases = ["scenarios/race/two-gateways.toml", "scenarios/race/two-gateways-one-killed.toml"];
    let run = String::from_utf8(portcullis(&["run", cases[0], cases[1]]).stdout).unwrap();
    let after_time = |line: &str| line.split_once("s] ").map(|(_, rest)| rest.to_owned());
    let told: Vec<String> =
        readme.lines().filter(|line| line.contains("] sim ")).filter_map(after_time).collect();
    assert_eq!(told.len(), cases.len());
    assert_eq!(told, run.lines().filter_map(after_time).take(cases.len()).collect::<Vec<_>>());
}
