//! The examples at the end of the help of each command. A test runs each of them where the scenario library is.

pub(super) const RUN: &str = "Examples:
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
all end alike is called flaky and fails; `--tries` runs it more often.";

pub(super) const LIST: &str = "Examples:
  portcullis list scenarios/race
  portcullis list --filter 'tag(lock)'
  portcullis list --designs";

pub(super) const MATRIX: &str = "Examples:
  # One scenario against the reference lock and one generation
  portcullis matrix scenarios/pid/recycled-pid.toml --design refgate --design G1
  portcullis matrix scenarios/pid/recycled-pid.toml --design N1 --format tsv";

pub(super) const REPLAY: &str = "Examples:
  # TOKEN is the last word of a failure that `run` shows; exit status 1 while it still fails
  portcullis replay TOKEN
  # Keep it by its causes instead of its steps, and ask again after an edit of the lock
  portcullis replay TOKEN --save race.causal
  portcullis replay race.causal";

pub(super) const EXPLAIN: &str = "Examples:
  portcullis explain operator/lock-file-removed
  portcullis explain scenarios/pid/stale-lock-race.toml --design pidfile-unlink-stale";

#[cfg(target_os = "linux")]
pub(super) const CONFORM: &str = "Examples:
  portcullis conform --sequences 200
  # One sequence again
  portcullis conform --only 17 --seed 1";

pub(super) const SWEEP: &str = "Examples:
  # Fifty executions of each plan, each of them made twice and compared
  portcullis sweep scenarios/channel --seeds 50 --twice
  # One execution from its beginning to its end
  portcullis sweep scenarios/network/one-state-on-two-hosts.sweep.toml --seed 3
  # The same plans on real processes
  portcullis sweep scenarios/channel --on refgate";

#[cfg(target_os = "linux")]
pub(super) const STRESS: &str = "Examples:
  portcullis stress --seconds 20
  # A lock that can be deleted shows two owners within seconds: exit status 1
  portcullis stress --seconds 3 --design flock-recheck-never-unlink";

pub(super) const CHECK: &str = "Examples:
  portcullis check
  portcullis check scenarios/race --deny warnings";

pub(super) const NEW: &str = "Examples:
  portcullis new
  portcullis new crashed.toml --template crash";

pub(super) const ACCEPT: &str = "Examples:
  portcullis accept operator/lock-file-removed --dry-run";

pub(super) const FMT: &str = "Examples:
  portcullis fmt scenarios/race
  portcullis fmt --check";

pub(super) const MERGE: &str = "Examples:
  portcullis run scenarios/port --sample 5 --partition hash:1/2 --jsonl part-1.jsonl
  portcullis run scenarios/port --sample 5 --partition hash:2/2 --jsonl part-2.jsonl
  portcullis report merge part-1.jsonl part-2.jsonl --artifacts merged";

pub(super) const SCHEMA: &str = "Examples:
  portcullis schema scenario
  portcullis schema target
  portcullis schema events";
