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
fn the_help_documents_the_exit_statuses() {
    assert_snapshot!(shown(&portcullis(&["--help"])), @"
    Runs scenarios of gateways that compete for one state directory, one configuration or one port: on a
    simulated machine, where every schedule is tried, and on real processes

    Usage: portcullis [OPTIONS] <COMMAND>

    Commands:
      run      Run scenarios
      list     List the cases, one a line, or the designs
      matrix   Compare designs with scenarios: which holds, which breaks, and whether that is known
      replay   Take one failure again, step for step
      explain  Explain cases: the shortest way to each outcome, the risk of a failure, and what a death
               at each call leaves behind
      conform  Compare the simulated kernel with the real one, call by call
      stress   Kill, stop and rob real contenders for one lock, and judge whether their writes are in
               order
      check    Read scenario files and show every mistake in them
      help     Print this message or the help of the given subcommand(s)

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
      0    every case passed or is unsupported (the summary says if nothing was tested);
           for replay: the whole schedule was taken and breaks nothing; for a saved failure:
           each of its steps still happens, and breaks nothing;
           for explain: every case that was explained passes;
           for conform: no difference; for matrix: every cell is as known;
           for stress: the writes of all owners are in order, and every contender ended as it should
      1    a case failed; for replay: the schedule still breaks something;
           for conform: the kernels differ, or an ending of a call was not seen that should be;
           for matrix: a cell is not as known; for stress: an owner wrote after a later one,
           or a contender hung or ended as none should
      2    wrong usage, an invalid scenario file, or a damaged token
      3    nothing failed, but something stayed undecided; for replay: the token no longer applies:
           its schedule asks for a step that cannot happen, its scenario has changed, or its case
           is gone; for a saved failure: one of its steps does not happen any more;
           for stress: too few acquisitions, kills, stops or removals
      4    no case was selected
      5    the environment lacks something, for instance the gateway's executable, or namespaces
      130  interrupted, by whichever of SIGINT, SIGTERM and SIGHUP
      141  the reader of the output left before its end
    (exit 0)
    ");
}

#[test]
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

          --on <ON>
              Where to run them; may be given more than once

              Possible values:
              - sim:     The simulated machine: every schedule
              - refgate: Real processes of the reference gateway
              
              [default: sim]

          --design <DESIGN>
              The lock that the simulated gateways have, by its name or number [default: refgate]

          --refgate <PATH>
              The executable of the reference gateway [default: the one built into this program]

          --tries <TRIES>
              Runs of each case on real processes [default: as the scenario says]

          --sample <RUNS>
              Take so many random schedules of each case on the simulated machine, instead of all

          --sampler <HOW>
              How random schedules are chosen: `uniform`, `pct` or `pct=DEPTH` (random priorities),
              `swarm` (random weights)
              
              [default: uniform]

          --seed <NUMBER>
              What random schedules are drawn from: the same number, the same schedules
              
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

      -j, --jobs <JOBS>
              Cases at once on the simulated machine [default: one for each core]

      -h, --help
              Print help (see a summary with '-h')
    (exit 0)
    ");
}
