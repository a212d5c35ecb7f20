//! What explanations show: executions that never end, the shortest way to each outcome, and deaths at each call.

use insta::assert_snapshot;

use super::{portcullis, shown};

/// Two gateways that start at once, of which one has to own.
const RACE: &str = r#"schema = 1
title  = "Two gateways start at once"
[gateway.a]
state = "S"
port  = 18789
[gateway.b]
state = "S"
port  = 18989
[run]
steps = [{ start = ["a", "b"] }, { wait = "settled" }]
[expect]
always   = ["single-owner"]
outcomes = [{ a = "ready" }, { b = "ready" }]
[explore]
span = 1
"#;

/// What a command shows of the race, which is read from a file of its own.
fn of_race(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("race.toml");
    std::fs::write(&file, RACE).unwrap();
    let output = portcullis(&[arguments, &[file.to_str().unwrap()]].concat());
    let text = shown(&output).replace(&directory.path().display().to_string(), "DIRECTORY");
    // The token names the directory, and its checksum depends on it.
    let lines = text.lines().map(|line| match line.find("replay  portcullis replay v1.") {
        Some(place) => format!("{}replay  portcullis replay TOKEN", &line[..place]),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_execution_that_goes_on_for_ever_is_shown_with_the_steps_that_repeat() {
    assert_snapshot!(of_race(&["run", "--design", "flock-without-limit"]), @"
    portcullis 0.1.0   1 scenario, 1 case   on sim   design flock-without-limit
       FAIL [   TIME] sim race                                       outcomes: b goes on for ever and never settles, while a owns
    --------------------------------------------------------------------------------
    FAIL race   on sim   DIRECTORY/race.toml:13
      outcomes: b goes on for ever and never settles, while a owns

       step  a                                 b                                 lock of S   owners
          1  (started)                                                           (none)      -
        ...  (2 calls)                                                           (none)      -
          4  open or create gateway.flock                                        (empty)     -
          5  flock gateway.flock                                                 held: a     -
          6  stat S: inode 2097152                                               held: a     -
          7  owner                                                               held: a     a
          8  ready                                                               held: a     a
          9                                    (started)                         held: a     a
         10                                    catch signals                     held: a     a
         11                                    mkdir S: EEXIST                   held: a     a
         12                                    open or create gateway.flock      held: a     a
             -- from here step 13 repeats --
         13                                    flock gateway.flock: EAGAIN       held: a     a
     for ever     step 13 repeats, which is fair: whoever could go on all the time does
     needed       0 faults, 0 preemptions, 13 steps
     searched     95 states, 172 steps
      replay  portcullis replay TOKEN
    --------------------------------------------------------------------------------
    Summary [   TIME] 1 case: 0 passed, 1 failed, 0 inconclusive, 0 unsupported
    (exit 1)
    ");
    assert_snapshot!(of_race(&["run", "--design", "flock-upgrade"]), @"
    portcullis 0.1.0   1 scenario, 1 case   on sim   design flock-upgrade
       FAIL [   TIME] sim race                                       outcomes: a and b go on for ever and never settle, while nobody owns
    --------------------------------------------------------------------------------
    FAIL race   on sim   DIRECTORY/race.toml:13
      outcomes: a and b go on for ever and never settle, while nobody owns

       step  a                                 b                                 lock of S   owners
          1  (started)                                                           (none)      -
        ...  (2 calls)                                                           (none)      -
          4  open or create gateway.flock                                        (empty)     -
          5  flock shared gateway.flock                                          (empty)     -
          6                                    (started)                         (empty)     -
     >>   7                                    catch signals                     (empty)     -
          8                                    mkdir S: EEXIST                   (empty)     -
          9                                    open or create gateway.flock      (empty)     -
             -- from here steps 10 to 15 repeat --
         10                                    flock shared gateway.flock        (empty)     -
     >>  11  flock gateway.flock: EAGAIN                                         (empty)     -
         12  unlock gateway.flock                                                (empty)     -
         13  flock shared gateway.flock                                          (empty)     -
     >>  14                                    flock gateway.flock: EAGAIN       (empty)     -
         15                                    unlock gateway.flock              (empty)     -
     for ever     steps 10 to 15 repeat, which is fair: whoever could go on all the time does
     needed       0 faults, 3 preemptions, 15 steps
     searched     188 states, 342 steps
      replay  portcullis replay TOKEN
    --------------------------------------------------------------------------------
    Summary [   TIME] 1 case: 0 passed, 1 failed, 0 inconclusive, 0 unsupported
    (exit 1)
    ");
}

#[test]
fn a_token_of_an_execution_that_never_ends_still_fails() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("race.toml");
    std::fs::write(&file, RACE).unwrap();
    let run = portcullis(&["run", "--design", "flock-upgrade", file.to_str().unwrap()]);
    let text = String::from_utf8(run.stdout).unwrap();
    let token = text.split_whitespace().find(|word| word.starts_with("v1.")).unwrap();
    let replay = portcullis(&["replay", token]);
    let shown = shown(&replay);
    assert_eq!(replay.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("outcomes: a and b go on for ever and never settle, while nobody owns"),
        "{shown}"
    );
    assert!(shown.contains("\n for ever     steps 10 to 15 repeat, which is fair"), "{shown}");
}

#[test]
fn a_passing_case_is_explained_by_the_shortest_way_to_each_outcome() {
    assert_snapshot!(of_race(&["explain", "--design", "pidfile-unlink-stale"]), @"
    race   on sim   design pidfile-unlink-stale   DIRECTORY/race.toml
      complete  292 states, 490 steps

    outcome 1: a is ready
      reached at 4 ends

       step  a                                 b                                 lock of S   owners
          1  (started)                                                           (none)      -
        ...  (2 calls)                                                           (none)      -
          4  create excl gateway.pid                                             (empty)     -
          5  getpid: pid 100                                                     (empty)     -
          6  write gateway.pid: 100                                              pid 100     -
          7  stat S: inode 2097152                                               pid 100     -
          8  owner                                                               pid 100     a
          9  ready                                                               pid 100     a
         10                                    (started)                         pid 100     a
         11                                    catch signals                     pid 100     a
         12                                    mkdir S: EEXIST                   pid 100     a
         13                                    create excl gateway.pid: EEXIST   pid 100     a
         14                                    open gateway.pid                  pid 100     a
         15                                    read gateway.pid: 100             pid 100     a
         16                                    close gateway.pid                 pid 100     a
         17                                    is 100 alive? yes                 pid 100     a
         18                                    refused: held by pid 100          pid 100     a
         19                                    exit 1                            pid 100     a
     needed       0 faults, 0 preemptions, 19 steps; nothing less ends so
      replay  portcullis replay TOKEN

    outcome 2: b is ready
      reached at 4 ends

       step  a                                 b                                 lock of S   owners
          1  (started)                                                           (none)      -
          2                                    (started)                         (none)      -
        ...                                    (2 calls)                         (none)      -
          5                                    create excl gateway.pid           (empty)     -
          6                                    getpid: pid 101                   (empty)     -
          7                                    write gateway.pid: 101            pid 101     -
          8                                    stat S: inode 3145728             pid 101     -
          9                                    owner                             pid 101     b
         10                                    ready                             pid 101     b
         11  catch signals                                                       pid 101     b
         12  mkdir S: EEXIST                                                     pid 101     b
         13  create excl gateway.pid: EEXIST                                     pid 101     b
         14  open gateway.pid                                                    pid 101     b
         15  read gateway.pid: 101                                               pid 101     b
         16  close gateway.pid                                                   pid 101     b
         17  is 101 alive? yes                                                   pid 101     b
         18  refused: held by pid 101                                            pid 101     b
         19  exit 1                                                              pid 101     b
     needed       0 faults, 0 preemptions, 19 steps; nothing less ends so
      replay  portcullis replay TOKEN

    a starts alone after the setup, dies after a call, and another a starts alone:

       calls     the last of them                                           the next one
       0-2       (none) ... mkdir S                                         ready after 8 calls
       3-4       create excl gateway.pid ... getpid: pid 100                wedged, refused:held after 7 calls
       5-8       write gateway.pid: 100 ... ready                           ready after 14 calls
    (exit 0)
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one output")]
fn a_death_at_any_call_of_the_reference_lock_is_nothing_to_the_next_gateway() {
    assert_snapshot!(shown(&portcullis(&["explain", "pid/recycled-pid[cron]"])), @"
    pid/recycled-pid[cron]   on sim   design refgate   scenarios/pid/recycled-pid.toml
      complete  171 states, 170 steps

    outcome 1: old is killed, new is ready, cron is running
      reached at 1 end

       step  old                    new                    cron                   lock of S   owners
          -  (started)                                                            (none)      -
        ...  (6 calls)                                                            (none)      -
          -  flock S                                                              (none)      -
          -  open or create gatewa~                                               (empty)     -
          -  fstat gateway.lock: i~                                               (empty)     -
          -  flock gateway.lock                                                   held: old   -
        ...  (2 calls)                                                            held: old   -
          -  open or create writer~                                               held: old   -
          -  flock writers.lock                                                   held: old   -
          -  open or create writer~                                               held: old   -
          -  flock shared writers.~                                               held: old   -
          -  close writers.lock                                                   held: old   -
          -  flock shared writers.~                                               held: old   -
        ...  (3 calls)                                                            held: old   -
          -  mkdir S: EEXIST                                                      held: old   -
        ...  (2 calls)                                                            held: old   -
          -  open or create .openc~                                               held: old   -
          -  fstat .openclaw.json.~                                               held: old   -
          -  flock .openclaw.json.~                                               held: old   -
          -  stat .openclaw.json.g~                                               held: old   -
          -  open openclaw.json: E~                                               held: old   -
        ...  (117 calls)                                                          held: old   -
          -  owner                                                                held: old   old
          -  list 3: 3 names                                                      held: old   old
          -  create excl journal.1                                                held: old   old
          -  write journal.1                                                      held: old   old
          -  fsync journal.1                                                      held: old   old
          -  link journal.1 gatewa~                                               held: old   old
          -  rename gateway.epoch.~                                               held: old   old
          -  fsync S                                                              held: old   old
          -  open or create gatewa~                                               held: old   old
          -  write gateway.owner.j~                                               held: old   old
          -  close gateway.owner.j~                                               held: old   old
          -  rename gateway.owner.~                                               held: old   old
        ...  (2 calls)                                                            held: old   old
          -  stat journal.2: ENOENT                                               held: old   old
          -  write journal.1                                                      held: old   old
          -  store 1 in cell 0                                                    held: old   old
          -  ready                                                                held: old   old
          -  (SIGKILL)                                                            (empty)     -
          -                                                (started with the dea~ (empty)     -
          1                         (started)                                     (empty)     -
        ...                         (2 calls)                                     (empty)     -
          4                         mkdir S: EEXIST                               (empty)     -
        ...                         (3 calls)                                     (empty)     -
          8                         flock S                                       (empty)     -
        ...                         (2 calls)                                     (empty)     -
         11                         flock gateway.lock                            held: new   -
        ...                         (3 calls)                                     held: new   -
         15                         flock writers.lock                            held: new   -
         16                         open or create writer~                        held: new   -
         17                         flock shared writers.~                        held: new   -
         18                         close writers.lock                            held: new   -
         19                         flock shared writers.~                        held: new   -
        ...                         (3 calls)                                     held: new   -
         23                         mkdir S: EEXIST                               held: new   -
        ...                         (4 calls)                                     held: new   -
         28                         flock .openclaw.json.~                        held: new   -
         29                         stat .openclaw.json.g~                        held: new   -
         30                         open openclaw.json: E~                        held: new   -
        ...                         (117 calls)                                   held: new   -
        148                         owner                                         held: new   new
        ...                         (2 calls)                                     held: new   new
        151                         read gateway.epoch: 5~                        held: new   new
        ...                         (3 calls)                                     held: new   new
        155                         create excl journal.2                         held: new   new
        156                         write journal.2                               held: new   new
        157                         fsync journal.2                               held: new   new
        158                         link journal.2 gatewa~                        held: new   new
        159                         rename gateway.epoch.~                        held: new   new
        160                         fsync S                                       held: new   new
        161                         open or create gatewa~                        held: new   new
        162                         write gateway.owner.j~                        held: new   new
        163                         close gateway.owner.j~                        held: new   new
        164                         rename gateway.owner.~                        held: new   new
        ...                         (2 calls)                                     held: new   new
        167                         stat journal.3: ENOENT                        held: new   new
        168                         write journal.2                               held: new   new
        169                         store 1 in cell 0                             held: new   new
        170                         ready                                         held: new   new
     needed       0 faults, 0 preemptions, 170 steps; nothing less ends so
      replay  portcullis replay v1.scenarios/pid/recycled-pid+cron.refgate.807af43e.494e06ac.00a9.0f81

    new starts alone after the setup, dies after a call, and another new starts alone:

       calls     the last of them                                           the next one
       0-153     (none) ... stat journal.1: inode 209~                      ready after 169 calls
       154-156   create excl journal.2 ... fsync journal.2                  ready after 173 calls
       157       link journal.2 gateway.epoch.2.tmp                         ready after 174 calls
       158-169   rename gateway.epoch.2.tm~ ... ready                       ready after 169 calls
    (exit 0)
    ");
}

#[test]
fn the_token_of_a_witness_takes_the_same_steps_and_breaks_nothing() {
    let explained = shown(&portcullis(&["explain", "disk/full-then-well"]));
    let token = explained.split_whitespace().find(|word| word.starts_with("v1.")).unwrap();
    let replay = portcullis(&["replay", token]);
    let shown = shown(&replay);
    assert_eq!(replay.status.code(), Some(0), "{shown}");
    assert!(shown.contains("steps were taken, the same as when the token was made"), "{shown}");
}

#[test]
fn a_failing_case_is_explained_by_its_failure_and_the_deaths_that_wedge() {
    let output = portcullis(&["explain", "pid/stale-lock-race", "--design", "pidfile-unlink-stale"]);
    assert_snapshot!(shown(&output), @"
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

    a starts alone after the setup, dies after a call, and another a starts alone:

       calls     the last of them                                           the next one
       0-7       (none) ... is 100 alive? no                                ready after 14 calls
       8         unlink gateway.pid                                         ready after 8 calls
       9-10      create excl gateway.pid ... getpid: pid 101                wedged, refused:held after 7 calls
       11-14     write gateway.pid: 101 ... ready                           ready after 14 calls
    (exit 1)
    ");
}

#[test]
fn what_cannot_be_explained_is_told_with_the_remedy() {
    assert_snapshot!(shown(&portcullis(&["explain", "pid/nothing-of-the-kind"])), @"
    (stderr)
    error: no case and no scenario is called `pid/nothing-of-the-kind`, and it is no file
      = help: `portcullis list` shows the cases of scenarios/; a file is named with its ending, `.toml`
    (exit 4)
    ");
    assert_snapshot!(shown(&portcullis(&["explain", "nothing/of/the/kind.toml"])), @"
    (stderr)
    error: there is no file or directory `nothing/of/the/kind.toml`
     |
     = help: check the path; it is taken from the current directory
    (exit 2)
    ");
}
