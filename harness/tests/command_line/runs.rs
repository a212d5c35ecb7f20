//! What runs, lists and checks of scenarios show.

use insta::assert_snapshot;

use super::{portcullis, root, shown};

#[test]
fn a_passing_run_says_what_it_rests_on() {
    let output = portcullis(&["run", "scenarios/operator", "scenarios/pid/recycled-pid.toml"]);
    assert_snapshot!(shown(&output), @"
    portcullis 0.1.0   17 scenarios, 18 cases   on sim   design refgate
       PASS [   TIME] sim operator/backup-reads-lock                 complete  4 053 states, 10 303 steps
       PASS [   TIME] sim operator/backup-while-service-restarts     bounded   3 starts by a supervisor, 255 229 states, 472 578 steps
       PASS [   TIME] sim operator/config-edited                     complete  62 states, 66 steps
       PASS [   TIME] sim operator/force-and-recycled-pid            complete  4 602 states, 5 878 steps
       PASS [   TIME] sim operator/force-healthy-owner               complete  422 states, 741 steps
       PASS [   TIME] sim operator/force-stopped-owner               complete  103 states, 102 steps
       PASS [   TIME] sim operator/lock-file-overwritten             complete  112 states, 177 steps
       PASS [   TIME] sim operator/lock-file-removed                 complete  3 667 states, 4 929 steps
       PASS [   TIME] sim operator/old-files-cleaned-up              complete  1 800 states, 3 104 steps
       PASS [   TIME] sim operator/owner-paused                      complete  32 states, 31 steps
       PASS [   TIME] sim operator/paused-at-any-call                complete  6 057 states, 7 983 steps
       PASS [   TIME] sim operator/paused-owner-writes               complete  93 states, 165 steps
       PASS [   TIME] sim operator/port-freed-by-force               complete  69 states, 68 steps
       PASS [   TIME] sim operator/state-directory-moved             complete  2 261 states, 4 009 steps
       PASS [   TIME] sim operator/state-directory-opened-up         complete  10 states, 9 steps
       PASS [   TIME] sim operator/two-forced-starts                 bounded   2 preemptions, 339 962 states, 461 143 steps
       PASS [   TIME] sim pid/recycled-pid[cron]                     complete  171 states, 170 steps
       PASS [   TIME] sim pid/recycled-pid[api-gateway]              complete  171 states, 170 steps
    --------------------------------------------------------------------------------
    Summary [   TIME] 18 cases: 18 passed (2 bounded, 16 complete), 0 failed, 0 inconclusive, 0 unsupported
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

       step  old                    a                      b                      lock of S   owners     risk
          -  (started)                                                            (none)      -
        ...  (2 calls)                                                            (none)      -
          -  create excl gateway.p~                                               (empty)     -
          -  getpid: pid 100                                                      (empty)     -
          -  write gateway.pid: 100                                               pid 100     -
          -  stat S: inode 2097152                                                pid 100     -
          -  owner                                                                pid 100     old
          -  ready                                                                pid 100     old
          -  (SIGKILL)                                                            pid 100     -
          1                         (started)                                     pid 100     -          55.31 %
          2                         catch signals                                 pid 100     -          52.42 %
          3                         mkdir S: EEXIST                               pid 100     -          46.63 %
          4                         create excl gateway.p~                        pid 100     -          38.36 %
          5                         open gateway.pid                              pid 100     -          28.45 %
          6                         read gateway.pid: 100                         pid 100     -          18.14 %
          7                         close gateway.pid                             pid 100     -          8.98 %
          8                         is 100 alive? no                              pid 100     -          2.64 %
          9                                                (started)              pid 100     -          5.27 %
     >>  10                                                catch signals          pid 100     -          10.55 %
         11                                                mkdir S: EEXIST        pid 100     -          21.09 %
         12                                                create excl gateway.p~ pid 100     -          42.19 %
         13                                                open gateway.pid       pid 100     -          84.38 %
         14                                                read gateway.pid: 100  pid 100     -          75.00 %
         15                                                close gateway.pid      pid 100     -          62.50 %
         16                                                is 100 alive? no       pid 100     -          50.00 %
         17                                                unlink gateway.pid     (none)      -          50.00 %
         18                                                create excl gateway.p~ (empty)     -          100 %
         19                                                getpid: pid 102        (empty)     -          100 %
         20                                                write gateway.pid: 102 pid 102     -          100 %
         21                                                stat S: inode 2097152  pid 102     -          100 %
         22                                                owner                  pid 102     b          100 %
         23                                                ready                  pid 102     b          100 %
         24                         unlink gateway.pid                            (none)      b          100 %
         25                         create excl gateway.p~                        (empty)     b          100 %
         26                         getpid: pid 101                               (empty)     b          100 %
         27                         write gateway.pid: 101                        pid 101     b          100 %
         28                         stat S: inode 2097152                         pid 101     b          100 %
         29                         owner                                         pid 101     a b  <- 2  100 %
     stale read   step 24 acts on what a saw of gateway.pid at step 6 (100); b changed it at step 20
     needed       0 faults, 1 preemption, 29 steps; nothing less breaks it
     risk         55.3139 % of random schedules break it; step 18 is the point of no return
     searched     195 states, 316 steps
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
#[expect(clippy::too_many_lines, reason = "they are lists")]
fn lists_are_one_line_a_case_and_one_line_a_design() {
    assert_snapshot!(shown(&portcullis(&["list", "scenarios/pid", "scenarios/operator"])), @"
    pid/recycled-pid[cron]                         A dead gateway's pid now belongs to an unrelated process
    pid/recycled-pid[api-gateway]                  A dead gateway's pid now belongs to an unrelated process
    pid/stale-lock-race                            Two gateways start at once where a killed one has left its lock behind
    pid/stale-lock-three-starters                  Three gateways start at once where a killed one has left its lock behind
    operator/backup-reads-lock                     A backup reads the files of a gateway and locks each while it reads
    operator/backup-while-service-restarts         A service is restarted while a backup has files of its state locked for reading
    operator/config-edited                         The configuration is edited while its owner runs, and a rival starts with it
    operator/force-and-recycled-pid                A forced start finds a stopped owner, which dies, and its pid goes to another process
    operator/force-healthy-owner                   The owner is healthy, and a gateway is started with --force
    operator/force-stopped-owner                   The owner is stopped, and a gateway is started with --force
    operator/lock-file-overwritten                 Somebody writes into the lock file of an owner, and half a minute later a rival starts
    operator/lock-file-removed                     An operator deletes the lock file of a live owner and a rival starts
    operator/old-files-cleaned-up                  A cleaner removes files older than ten days, the lock file of a live owner among them
    operator/owner-paused                          The owner is stopped with SIGSTOP, a rival starts, the owner wakes up
    operator/paused-at-any-call                    A gateway is stopped at any call of its start or after it, a rival starts a minute later, it goes on
    operator/paused-owner-writes                   The owner is stopped for a minute, a rival starts, the owner wakes up, and both are asked to write
    operator/port-freed-by-force                   A script kills whoever listens on the port, and the next gateway starts
    operator/state-directory-moved                 A state directory is moved away and back while its owner runs
    operator/state-directory-opened-up             An operator lets everybody write to the state directory, and a gateway starts
    operator/two-forced-starts                     The owner is stopped, and two gateways are started with --force
    (exit 0)
    ");
    assert_snapshot!(shown(&portcullis(&["list", "--designs"])), @"
    N27   refgate                           The reference gateway, as it ships.
    N1    bind-only                         The port at the first address of `localhost` that is free, and nothing else: there are other addresses and ports.
    N2    pidfile-check-then-write          A pid file that is looked at and then written: two can look before either writes.
    N3    pidfile-unlink-stale              A lock file made with O_EXCL; its owner is judged by kill(pid, 0); a stale one is unlinked.
    N4    pidfile-start-time                A lock file made with O_EXCL and judged by pid and start time: what is unlinked is still a name, and half a file stays for ever.
    N5    pidfile-stale-by-age              A lock file made with O_EXCL that is stale after 30 seconds if it says nothing: its owner may only be slow.
    N6    pidfile-link                      A lock file that appears whole, by link(2): a stale one is unlinked as ever, and another one in its place.
    N7    pidfile-rename-aside              A stale lock file is moved aside, looked at and put back if it lives: meanwhile the name is free.
    N8    pidfile-rename-over               A lock file that is renamed into place and read back: each of two can read its own.
    N9    reclaim-guard                     A stale lock file goes only under a guard directory: whoever dies inside locks everybody out.
    N10   reclaim-guard-finally             A guard directory that is removed by those, too, who did not get it: then two are inside.
    N11   flock-unlink-then-close           A flock on a file that its owner unlinks, then closes: who has opened it before gets a lock without a name.
    N12   flock-unlock-then-unlink          A flock on a file that its owner unlocks, then unlinks: the name that goes is that of the next owner.
    N12b  flock-recheck-unlock-then-unlink  A flock with a second look at the name, and a name that is unlinked after the unlock: the look comes before it goes.
    N13   flock-recheck-unlink-then-close   A flock with a second look at the name, unlinked while it is held: right until somebody else removes the name.
    N14   flock-never-unlink                A flock on a file that is never unlinked: right until somebody else does.
    N15   flock-recheck-never-unlink        A flock with a second look at a name that is never unlinked: the look protects who comes, not who owns.
    N16   posix-lock                        A lock of fcntl(2) on the whole file: the owner loses it by reading and closing that file.
    N17   sqlite-exclusive                  BEGIN EXCLUSIVE on a database: the same locks, lost in the same way, inside an open transaction.
    N18   lease-heartbeat                   A file that its owner touches and that is free when it is 30 seconds old: a stopped owner cannot touch it.
    N18b  lease-wall-clock                  A file with the end of the owner's lease by the wall clock; asked for until it has ended.
    N19   sidecar-unchanged                 A lock file with pid and start time, unlinked only if it still says the same: in another container every owner looks dead.
    N20   path-hash                         A flock in a shared directory under a hash of the path: one directory has many paths.
    N21   port-then-pidfile                 The port, then a pid file that is looked at and written: with two ports two can do so at once.
    N22   pidfile-port-probe                A lock file that is stale if nobody listens on the port: an owner that is starting does not yet.
    N23   verify-then-write                 A lease that is looked at before each write: it can run out between the look and the write.
    N24   pidfile-kill-owner                A lock file made with O_EXCL; whoever's pid stands in it is told to stop, then it is unlinked.
    N24b  port-kill-holder                  Whoever listens on the port is told to stop, be it a gateway or not.
    N25   flock-inherited                   A flock and a listener that a child inherits: they outlive their owner in a process that knows nothing of them.
    N26   reuse-port                        A listener with SO_REUSEPORT: the kernel shares the port among all who ask so.
    G1    openclaw-g1                       OpenClaw up to 2026.1.20: whoever can listen on the port is the owner.
    G2    openclaw-g2                       OpenClaw 2026.1.21 to 2026.2.21: a pid file in the temporary directory, unlinked when its pid is dead or it is old.
    G3    openclaw-g3                       OpenClaw 2026.2.22 to 2026.4.4: the same pid file, whose owner is dead if nobody listens on the port of whoever asks.
    G4    openclaw-g4                       OpenClaw 2026.4.5 to 2026.7.1: the same, and a pid file that cannot be written is removed again.
    G5    openclaw-g5                       OpenClaw 2026.7.2 to 2026.9.1: fcntl locks through SQLite, then pid files that are removed under a guard directory.
    G6    openclaw-g6                       OpenClaw 2026.9.6: the same with a wait for the first lock, and a lease in a table.
    -     flock-without-limit               A flock that is asked for again and again, without a limit.
    -     flock-upgrade                     A shared flock that is turned into an exclusive one; whoever is not alone gives it back and begins again.
    -     refgate-without-directory-lock    The reference gateway, which never takes the lock on the state directory.
    -     refgate-without-file-lock         The reference gateway, which never takes the lock on the lock file.
    -     refgate-without-writers-lock      The reference gateway, which never asks whether somebody still writes to the state.
    -     refgate-without-lock-test         The reference gateway, which never asks whether locks exclude anybody.
    -     refgate-without-config-lock       The reference gateway, which never takes the locks on the configuration.
    -     refgate-without-companion-lock    The reference gateway, which never takes the lock beside the configuration.
    -     refgate-without-workspace-lock    The reference gateway, which never takes the lock on its workspace.
    -     refgate-without-locks-around-workspace The reference gateway, which never takes the locks on the directories around its workspace.
    -     refgate-without-port-tokens       The reference gateway, which never takes the tokens of its ports.
    -     refgate-without-pinned-port-tokens The reference gateway, which never takes the tokens of ports outside its block.
    -     refgate-without-port-order        The reference gateway, which takes the tokens of its ports from the last to the first, if its base says so.
    -     refgate-without-listener-v4       The reference gateway, which never takes the listener on 127.0.0.1.
    -     refgate-without-listener-v6       The reference gateway, which never takes the listener on ::1.
    -     refgate-without-lock-file-recheck The reference gateway, which never looks whether its lock file still has its name.
    -     refgate-without-companion-recheck The reference gateway, which never looks whether the lock beside its configuration still has its name.
    -     refgate-without-state-recheck     The reference gateway, which never looks whether its state directory is still where it was.
    -     refgate-without-workspace-recheck The reference gateway, which never looks whether its workspace is still where it was.
    -     refgate-without-force-pidfd       The reference gateway, which signals an owner by its pid, whose that may be by then.
    -     refgate-without-force-recheck     The reference gateway, which never looks at an owner again once its pidfd is open.
    -     refgate-without-force-stopped     The reference gateway, which takes every owner for one that is stopped.
    -     refgate-seal-not-recorded         The reference gateway, whose seals cut nothing off.
    -     refgate-epoch-not-raised          The reference gateway, which always begins with the first epoch.
    -     refgate-epoch-from-file-only      The reference gateway, which raises the epoch from its file and overlooks the journals.
    -     refgate-nothing-synced            The reference gateway, which never syncs.
    -     refgate-never-looks               The reference gateway, which does not look after what it owns while it waits.
    -     refgate-reader-ignores-seal       The reference gateway, whose journals are read beyond their seals.
    -     refgate-never-releases            The reference gateway, which never says that it is no owner any more.
    -     refgate-hands-over-unheard        The reference gateway, which hands over without waiting for what its successor says.
    -     refgate-leaks-nothing             The reference gateway, whose child inherits nothing.
    -     refgate-leaks-directory           The reference gateway, whose child inherits the state directory and its lock.
    -     refgate-leaks-lock-file           The reference gateway, whose child inherits the lock file.
    -     refgate-leaks-writers-lock        The reference gateway, whose child inherits the writers' lock.
    -     refgate-leaks-companion           The reference gateway, whose child inherits the lock beside the configuration.
    -     refgate-leaks-workspace           The reference gateway, whose child inherits the workspace and its lock.
    -     refgate-leaks-port-token          The reference gateway, whose child inherits the token of a port.
    -     refgate-leaks-listener            The reference gateway, whose child inherits a listener.
    (exit 0)
    ");
    assert_snapshot!(shown(&portcullis(&["check"])), @"
    165 scenarios, 199 cases, 17 plans: no mistake
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

#[cfg(target_os = "linux")]
#[test]
fn what_the_simulator_shows_is_shown_call_by_call_on_the_real_kernel() {
    let on = |more: &[&str]| {
        let arguments = [&["run", "--on", "stepped", "--jobs", "1"], more].concat();
        shown(&portcullis(&arguments))
    };
    assert_snapshot!(on(&["scenarios/pid/recycled-pid.toml"]), @"
    portcullis 0.1.0   1 scenario, 2 cases   on stepped   design refgate
       PASS [   TIME] stepped pid/recycled-pid[cron]                 complete  171 states, 170 steps; 1 schedule driven on the real kernel, 337 steps as here: every step from every state
       PASS [   TIME] stepped pid/recycled-pid[api-gateway]          complete  171 states, 170 steps; 1 schedule driven on the real kernel, 337 steps as here: every step from every state
    --------------------------------------------------------------------------------
    Summary [   TIME] 2 cases: 2 passed (2 complete), 0 failed, 0 inconclusive, 0 unsupported
    (exit 0)
    ");
    let naive = on(&["scenarios/pid/stale-lock-race.toml", "--design", "pidfile-unlink-stale"]);
    let last = naive.lines().find(|line| line.contains("for real")).unwrap_or_else(|| panic!("{naive}"));
    assert_snapshot!(last, @" for real     real processes have taken it too: 39 steps, each reply as above");
    assert!(naive.ends_with("(exit 1)"), "{naive}");
}
