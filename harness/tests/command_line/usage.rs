//! The help documents every option and exit status, and a mistake is told with its remedy.

use insta::assert_snapshot;

use super::{portcullis, shown};

#[test]
fn wrong_usage_is_told_with_the_remedy() {
    assert_snapshot!(shown(&portcullis(&["replay", "nonsense"])), @"
    (stderr)
    error: this token cannot be read: a token looks like v1.CASE.DESIGN.SCENARIO.TRACE.SCHEDULE.CHECK
      = help: copy the whole last line of a failure block, without `portcullis replay`
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
    assert_snapshot!(shown(&portcullis(&["run", "--on", "refgate", "--refgate", "README.md"])), @"
    (stderr)
    error: `README.md` cannot be run: it is not executable
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
fn a_run_may_be_bounded_less_or_more_than_its_scenarios_say() {
    let run = |options: &[&str]| {
        let mut arguments = vec!["run", "scenarios/race/three-gateways.toml"];
        arguments.extend(options);
        shown(&portcullis(&arguments))
    };
    assert_snapshot!(run(&["--max-preemptions", "0"]), @"
    portcullis 0.1.0   1 scenario, 1 case   on sim   design refgate
       PASS [   TIME] sim race/three-gateways                        bounded   0 preemptions, 1 663 states, 1 956 steps
    --------------------------------------------------------------------------------
    Summary [   TIME] 1 case: 1 passed (1 bounded), 0 failed, 0 inconclusive, 0 unsupported
    (exit 0)
    ");
    assert_snapshot!(run(&["--max-states", "1000"]), @"
    portcullis 0.1.0   1 scenario, 1 case   on sim   design refgate
       INCO [   TIME] sim race/three-gateways                        the limit of 1000 states is reached (1001 visited): `[limits] states` or `--max-states` raises it
    --------------------------------------------------------------------------------
    Summary [   TIME] 1 case: 0 passed, 0 failed, 1 inconclusive, 0 unsupported
    (exit 3)
    ");
    assert_snapshot!(run(&["--min-preemptions", "2", "--max-preemptions", "1"]), @"
    (stderr)
    error: no number of preemptions is at least 2 and at most 1
      = help: leave out `--min-preemptions` or `--max-preemptions`
    (exit 2)
    ");
}

#[test]
fn an_option_that_would_have_no_effect_is_wrong_usage() {
    assert_snapshot!(shown(&portcullis(&["run", "--tries", "3"])), @"
    (stderr)
    error: `--tries` has no effect: nothing is to be run on real processes
      = help: add `--on refgate`, or leave out `--tries`
    (exit 2)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "--refgate", "target/debug/refgate"])), @"
    (stderr)
    error: `--refgate` has no effect: nothing is to be run on real processes
      = help: add `--on refgate`, or leave out `--refgate`
    (exit 2)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "--on", "refgate", "--jobs", "2"])), @"
    (stderr)
    error: `--jobs` has no effect: nothing is to be run on the simulated machine
      = help: add `--on sim`, or leave out `--jobs`
    (exit 2)
    ");
    assert_snapshot!(shown(&portcullis(&["run", "--on", "refgate", "--design", "refgate"])), @"
    (stderr)
    error: `--design` has no effect: nothing is to be run on the simulated machine
      = help: add `--on sim`, or leave out `--design`
    (exit 2)
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a list")]
fn the_help_documents_the_exit_statuses() {
    assert_snapshot!(shown(&portcullis(&["--help"])), @"
    Runs scenarios of gateways that compete for one state directory, one configuration or one port: on a
    simulated machine, where every schedule is tried, and on real processes

    Usage: portcullis [OPTIONS] <COMMAND>

    Commands:
      run          Run scenarios
      list         List the cases, one a line, or the designs
      matrix       Compare designs with scenarios: which holds, which breaks, and whether that is known
      replay       Take one failure again, step for step
      explain      Explain cases: the shortest way to each outcome, the risk of a failure, and what a
                   death at each call leaves behind
      conform      Compare the simulated kernel with the real one, call by call
      stress       Kill, stop and rob real contenders for one lock, and judge whether their writes are
                   in order
      sweep        Let gateways run with clients and bots under seeds of trouble, simulated or real
      target       Test target files, which describe other gateways
      import       Make one timeline and one scenario of the logs of an incident
      check        Read scenario files and show every mistake in them
      new          Write a scenario to begin with
      accept       Take the outcomes that the simulator finds into scenario files
      fmt          Lay out scenario files: the same data and comments, always written in one way
      report       Make reports of runs that have ended
      schema       Print the JSON Schema of something that this program reads or writes
      completions  Print what makes a shell complete the arguments of this program
      man          Print the manual page of this program, or write those of all its commands
      help         Print this message or the help of the given subcommand(s)

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
      0    every case passed, is unsupported or deviates as is known (the summary says if
           nothing was tested);
           for replay: the whole schedule was taken and breaks nothing; for a saved failure:
           each of its steps still happens, and breaks nothing;
           for explain: every case that was explained passes;
           for conform: no difference; for matrix: every cell is as known;
           for stress: the writes of all owners are in order, and every contender ended as it should;
           for sweep: no seed breaks a promise that is not expected to break, and all that is to
           happen does;
           for report merge: as for the runs;
           for target check: the gateway does what the file says;
           for run --match: a schedule shows the timeline; for import: the scenario was made
      1    a case failed, or a known deviation did not show; with --fail-fast or --max-fail those
           behind it are not run;
           for replay: the schedule still breaks something;
           for conform: the kernels differ, or an ending of a call was not seen that should be;
           for matrix: a cell is not as known; for stress: an owner wrote after a later one,
           or a contender hung or ended as none should; for sweep: a seed breaks a promise, two
           executions of one differ, or what is to happen never does;
           for target check: the gateway does something else;
           for run --match: no schedule shows the timeline; for fmt --check: a file is not laid out;
           for accept: a check is broken, so that its outcomes are none to accept
      2    wrong usage, an invalid scenario, target, profile, log or file of events, a damaged
           token; for check --deny warnings: a warning
      3    nothing failed, but something stayed undecided; for replay: the token no longer applies:
           its schedule asks for a step that cannot happen, its scenario has changed, or its case
           is gone; for a saved failure: one of its steps does not happen any more;
           for stress: too few acquisitions, kills, stops or removals; for sweep: its time is spent;
           for report merge: a part is missing or was cut; for accept: the search is not complete
      4    no case was selected
      5    the environment lacks something, for instance the gateway's executable, namespaces, or
           what `--require` demands; or a report cannot be written
      130  interrupted, by whichever of SIGINT, SIGTERM and SIGHUP; the reports are written all the same
      141  the reader of the output left before its end
    (exit 0)
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a list")]
fn the_help_of_run_documents_every_option() {
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

      -E, --filter <EXPRESSION>
              Only cases that this expression picks out, for instance `test(pid/) & !tag(slow)`; may be
              given more than once, then one of them must. Predicates are test, tag, file, executor, all
              and none; operators are not, !, and, &, -, or, |, +

          --profile <NAME>
              Take options from this profile of `portcullis.toml`
              
              [env: PORTCULLIS_PROFILE]

          --rerun <WHICH>
              Only what did not pass when it was last run here

              Possible values:
              - failed: Those that did not pass when they were last run

          --partition <PART>
              Only one part of the cases: `hash:1/3` (a case stays in its part) or `slice:1/3` (parts of
              one size)

          --on <EXECUTOR>
              Where to run them: `sim` (the simulated machine: every schedule), `refgate` (real
              processes of the reference gateway), `stepped` (schedules of the simulated machine call by
              call on the real kernel), or a target file (real processes of the gateway that it
              describes); may be given more than once
              
              [default: sim]

          --require <CAPABILITY>
              End with status 5 unless real processes can do this, for instance `recycle`; may be given
              more than once

          --design <DESIGN>
              The lock that the simulated gateways have, by its name or number [default: refgate]

          --refgate <PATH>
              The executable of the reference gateway [default: the one built into this program]

          --tries <TRIES>
              Runs of each case on real processes [default: as the scenario says; 200 schedules with
              `--on stepped`]

          --sample <RUNS>
              Take so many random schedules of each case on the simulated machine, instead of all

          --sampler <HOW>
              How random schedules are chosen: `uniform`, `pct` or `pct=DEPTH` (random priorities),
              `swarm` (random weights)
              
              [default: uniform]

          --seed <NUMBER>
              What random schedules are drawn from: the same number, the same schedules; `random` takes
              another one each time
              
              [default: 1]

          --twice
              Search each case on the simulated machine twice, and compare every step

          --color <COLOR>
              When to use colours

              Possible values:
              - auto:   If the output is a terminal and NO_COLOR is not set
              - always: Always
              - never:  Never
              
              [default: auto]

          --max-preemptions <NUMBER>
              Search cases that are bounded by preemptions with at most so many, for a quicker and
              weaker run

          --min-preemptions <NUMBER>
              Search cases that are bounded by preemptions with at least so many, for a longer and
              stronger run

          --max-states <NUMBER>
              Visit at most so many states of each case, 16 to 48 bytes each [default: 8000000; with
              --match: 4000000]

      -j, --jobs <JOBS>
              Cases at once on the simulated machine [default: one for each core]

          --fail-fast
              Run no case behind the first one that fails; it is `not run`, and the exit status is 1

          --max-fail <NUMBER>
              Run no case behind so many that fail

          --no-fail-fast
              Run every case, also if the profile says otherwise; this is the default

          --budget <TIME>
              How long all of it may take, for instance `90s`, `10m` or `1h`; what has not ended then is
              inconclusive

          --match <WHAT>
              Look for a schedule that shows what the logs have shown (`[timeline]`), and do nothing
              else; what varies is tried in turn

              Possible values:
              - timeline: The timeline of the scenario

          --message-format <FORMAT>
              What the standard output shows

              Possible values:
              - human: Lines for people
              - json:  One event a line, as JSON; `portcullis schema events` says what they are
              
              [default: human]

      -q, --quiet
              Only what is no pass, and the summary

      -h, --help
              Print help (see a summary with '-h')

    Reports:
          --artifacts <DIRECTORY>
              Write run.jsonl, junit.xml, report.html and perfetto.json into this directory

          --jsonl <FILE>
              Write the events into a file as they happen, one a line, as JSON

          --junit <FILE>
              Write a JUnit report

          --html <FILE>
              Write one HTML page that needs nothing else: every failure step by step

          --perfetto <FILE>
              Write a trace of every failure for <https://ui.perfetto.dev> or chrome://tracing

          --github-annotations
              Write annotations of failures for GitHub to the standard error output
              
              [env: GITHUB_ACTIONS]

          --github-summary <FILE>
              Append a summary in Markdown to a file
              
              [env: GITHUB_STEP_SUMMARY]

    Examples:
      # Every schedule of one scenario
      portcullis run scenarios/operator/lock-file-removed.toml
      # The cases that an expression picks out, and only what does not pass
      portcullis run -E 'test(port/) & !tag(disk)' --quiet
      # A wrong lock, with its shortest failure: exit status 1
      portcullis run scenarios/pid/stale-lock-race.toml --design pidfile-unlink-stale
      # Three real runs of the reference gateway beside the search
      portcullis run scenarios/operator/lock-file-removed.toml --on sim --on refgate --tries 3
      # Random schedules where there are too many for all of them, with every report
      portcullis run scenarios/pid --sample 20 --artifacts report

    A real run that fails once fails its case: there is no `--retries`. A case whose runs do not
    all end alike is called flaky and fails; `--tries` runs it more often.
    (exit 0)
    ");
}
