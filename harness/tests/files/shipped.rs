//! The scenarios that ship are valid, are called what replay tokens call them, and the documentation of the format is true.

use std::path::{Path, PathBuf};

use harness::scenario::{Check, FinalState, Paint, Policy, REASONS, Reason, load, parse};
use sim::{Sampler, Sampling};

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn readme() -> String {
    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "a test reads the documentation it checks"
    )]
    std::fs::read_to_string(library().join("README.md")).expect("the documentation is readable")
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one list")]
fn every_scenario_of_the_library_is_valid_and_keeps_its_case_ids() {
    let scenarios = load(&[library()]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    let ids: Vec<_> = scenarios.iter().flat_map(|scenario| scenario.cases()).map(|case| case.id).collect();
    insta::assert_snapshot!(ids.join("\n"), @"
    clock/suspended
    clock/wall-steps-back
    clock/wall-steps-forward
    container/recreated-with-the-same-pid
    container/second-container-shares-state
    crash/killed-during-start
    crash/killed-while-reclaiming
    crash/owner-with-every-token-killed
    disk/full-then-well
    host/network-file-system-refused
    host/reboot
    host/second-host-on-shared-storage
    host/shared-storage-with-locks
    incident/desktop-app-kills-the-service
    incident/detached-child-and-service
    incident/first-restart-after-a-kill
    incident/forced-where-nothing-can-be-seen
    incident/killed-after-shutdown-timeout
    incident/lock-file-half-written
    incident/lock-file-of-no-bytes
    incident/lock-inherited-by-a-child
    incident/new-container-of-a-dead-owner
    incident/orphan-holds-the-port
    incident/own-pid-in-the-lock
    incident/rebind-after-restart
    incident/respawned-between-stop-and-start
    incident/scheduler-ignores-start
    incident/slow-start
    incident/stop-during-restart
    incident/stopped-during-start
    incident/three-containers-on-one-volume
    incident/two-boot-entries
    incident/two-successors-after-a-restart
    incident/two-updates-at-once
    incident/warm-up-taken-for-stale
    incident/web-server-taken-for-a-gateway
    incident/wizard-beside-the-launch-agent
    isolation/browser-on-a-base-port
    isolation/browsers-of-disjoint-blocks
    isolation/disjoint-port-blocks
    isolation/neighbouring-workspaces
    isolation/nested-workspaces[inner]
    isolation/nested-workspaces[inner-2]
    isolation/one-port-in-two-networks
    isolation/one-port-two-states
    isolation/overlapping-browsers[18791]
    isolation/overlapping-browsers[18809]
    isolation/overlapping-browsers[18899]
    isolation/overlapping-cdp-ranges[18791]
    isolation/overlapping-cdp-ranges[18809]
    isolation/overlapping-cdp-ranges[18899]
    isolation/pinned-browser-port[9222]
    isolation/pinned-browser-port[18790]
    isolation/port-of-another-user
    isolation/shared-config
    isolation/shared-workspace
    isolation/state-directory-by-two-paths
    isolation/state-of-another-user
    known/clock-steps-during-start
    known/disk-full-at-write
    known/duplicate-start
    known/linked-state-directory
    known/locks-stay-on-each-host
    known/other-port
    known/other-tmpdir
    known/owner-killed
    known/owner-paused-and-its-backlog-full
    known/owner-that-lost-its-file-stops
    known/pid-reused-later
    known/reclaimer-killed
    known/service-clears-its-port
    known/two-configurations
    lock/clock-jumps-while-raising-the-epoch
    lock/clock-steps-at-any-call
    lock/directory-recreated-at-any-call
    lock/directory-recreated-while-owner-paused
    lock/disk-full-at-any-call
    lock/disk-read-only-at-any-call
    lock/disk-without-inodes-at-any-call
    lock/equal-tick-any-token[C,W]
    lock/equal-tick-any-token[C,V]
    lock/equal-tick-any-token[D,W]
    lock/equal-tick-any-token[D,V]
    lock/everything-shared
    lock/killed-while-raising-the-epoch
    lock/killed-with-every-token
    lock/lock-file-removed-at-any-call
    lock/locks-lost-while-asked-to-write
    lock/locks-lost-while-owner-stops
    lock/locks-lost-while-starting
    lock/open-files-run-out[4]
    lock/open-files-run-out[5]
    lock/open-files-run-out[6]
    lock/open-files-run-out[7]
    lock/open-files-run-out[8]
    lock/open-files-run-out[9]
    lock/open-files-run-out[10]
    lock/open-files-run-out[11]
    lock/open-files-run-out[12]
    lock/open-files-used-up
    lock/overlapping-blocks
    lock/pinned-port-pairs[C,W]
    lock/pinned-port-pairs[C,V]
    lock/pinned-port-pairs[D,W]
    lock/pinned-port-pairs[D,V]
    lock/power-lost-while-raising-the-epoch[ext4]
    lock/power-lost-while-raising-the-epoch[ordered]
    lock/power-lost-while-raising-the-epoch[posix]
    lock/shared-things-in-two-containers[C]
    lock/shared-things-in-two-containers[D]
    lock/state-directory-moved-away
    lock/three-in-a-ring
    lock/token-pairs[C,W]
    lock/token-pairs[C,V]
    lock/token-pairs[D,W]
    lock/token-pairs[D,V]
    lock/token-pairs-and-a-kill[C,W]
    lock/token-pairs-and-a-kill[C,V]
    lock/token-pairs-and-a-kill[D,W]
    lock/token-pairs-and-a-kill[D,V]
    lock/two-containers-race
    lock/writer-ends-while-the-next-starts
    lock/writer-left-behind
    operator/backup-reads-lock
    operator/backup-while-service-restarts
    operator/config-edited
    operator/force-and-recycled-pid
    operator/force-healthy-owner
    operator/force-stopped-owner
    operator/lock-file-overwritten
    operator/lock-file-removed
    operator/old-files-cleaned-up
    operator/owner-paused
    operator/paused-at-any-call
    operator/paused-owner-writes
    operator/port-freed-by-force
    operator/state-directory-moved
    operator/state-directory-opened-up
    operator/two-forced-starts
    pid/recycled-pid[cron]
    pid/recycled-pid[api-gateway]
    pid/stale-lock-race
    pid/stale-lock-three-starters
    port/browser-outlives-its-gateway
    port/ephemeral-connection
    port/foreign-holder
    port/foreign-holder-is-no-gateway
    port/foreign-holder-on-v6-only
    port/foreign-holder-that-answers[never-accepts]
    port/foreign-holder-that-answers[nothing]
    port/foreign-holder-that-answers[closes]
    port/foreign-holder-that-answers[http-404]
    port/foreign-holder-that-answers[healthz-200]
    port/foreign-listener-in-block
    port/orphan-holds-the-port
    race/one-state-two-ports
    race/service-killed-any-pid
    race/three-gateways
    race/three-gateways-with-all-ports
    race/three-in-the-dark
    race/two-gateways
    race/two-gateways-one-killed
    restart/full-while-handing-over
    restart/handed-over
    restart/killed-while-handing-over
    restart/killed-while-restarting-in-place
    restart/other-claim-is-not-handed-over
    restart/owner-paused-while-handing-over
    restart/parked-and-recycled-pid
    restart/parked-behind-a-backup
    restart/parked-behind-a-dying-owner
    restart/parked-behind-a-writer
    restart/parked-takes-over
    restart/parked-while-owner-stops
    restart/read-only-while-handing-over
    restart/restarted-in-place
    restart/rival-starts-while-handing-over
    restart/rival-starts-while-owner-stops
    restart/successor-paused-while-handing-over
    restart/two-parked
    restart/two-rivals-start-while-owner-stops
    storage/broken-while-restarting-in-place
    storage/file-lock-only
    storage/full-while-raising-the-epoch
    storage/full-while-restarting-in-place
    storage/lock-file-removed-where-only-it-locks
    storage/locks-exclude-nobody
    storage/network-file-system-allowed
    storage/no-directory-locks
    storage/read-only-while-raising-the-epoch
    storage/read-only-while-restarting-in-place
    storage/without-inodes-while-raising-the-epoch
    storage/without-inodes-while-restarting-in-place
    supervisor/launchd-ignores-statuses
    supervisor/predecessor-still-stopping
    supervisor/service-restart
    supervisor/systemd-restarts-after-crashes
    supervisor/systemd-rival-refused
    supervisor/two-managers
    ");
}

#[test]
fn every_scenario_of_the_library_says_where_it_comes_from_and_proves_that_it_can_happen() {
    for scenario in load(&[library()]).expect("the library is valid") {
        let name = &scenario.name;
        assert!(!scenario.refs.is_empty(), "{name} has no refs");
        assert!(!scenario.tags.is_empty(), "{name} has no tags");
        assert!(!scenario.expect.always.is_empty(), "{name} checks nothing");
        assert_eq!(scenario.expect.reach, harness::scenario::Reach::EveryOutcome, "{name}");
    }
}

#[test]
fn every_example_of_the_documentation_is_valid() {
    let readme = readme();
    let examples: Vec<_> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|example| example.starts_with("schema"))
        .collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let path = Path::new("scenarios/README.toml");
        if let Err(problems) = parse(path, example) {
            let drawn: Vec<_> =
                problems.iter().map(|problem| problem.render(path, example, Paint::Plain)).collect();
            panic!("{}", drawn.join("\n"));
        }
    }
}

#[test]
fn every_check_state_and_reason_is_documented_with_its_meaning() {
    let readme = readme();
    for check in Check::ALL {
        assert!(readme.contains(&format!("| `{}` | {} |", check.id(), check.meaning())), "{check}");
    }
    for word in FinalState::WORDS {
        assert!(readme.contains(&format!("| `{word}`")), "{word}");
    }
    for reason in REASONS {
        let parent = reason.parent.map_or(String::new(), |parent| format!("`{parent}` "));
        let row = format!("| `{}` | {parent}| {} |", reason.id, reason.meaning);
        assert!(readme.contains(&row), "{row}");
    }
}

#[test]
fn every_refusal_of_the_reference_gateway_can_be_expected() {
    for reason in gateway::refusal::Reason::ALL {
        assert!(Reason::of(reason.code()).is_some(), "{}", reason.code());
    }
}

#[test]
fn what_varies_makes_one_case_for_each_combination_in_the_order_of_the_file() {
    let readme = readme();
    let example =
        readme.rsplit("```toml\n").next().and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let scenario = parse(Path::new("scenarios/x/everything.toml"), example).expect("the example is valid");
    let cases = scenario.cases();
    let seen: Vec<_> = cases
        .iter()
        .map(|case| {
            let a = &case.scenario.gateways[1];
            let cron = &case.scenario.processes[0];
            format!("{} {} {}", case.id, cron.looks_like, a.allow_file_lock)
        })
        .collect();
    assert_eq!(
        seen,
        [
            "x/everything[cron,false] /usr/sbin/cron -f false",
            "x/everything[cron,true] /usr/sbin/cron -f true",
            "x/everything[api-gateway,false] /usr/bin/api-gateway --port 80 false",
            "x/everything[api-gateway,true] /usr/bin/api-gateway --port 80 true",
        ]
    );
    assert!(cases.iter().all(|case| case.scenario.variants.is_empty()));
    assert_eq!(scenario.explore.policy, Policy::Preemptions(3));
}

#[test]
fn a_scenario_says_how_many_schedules_are_drawn_and_how() {
    let readme = readme();
    let examples = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let example = examples.into_iter().find(|example| example.contains("pct = 50")).expect("it is shown");
    let drawn = |policy: &str| {
        let text = example.replace("{ pct = 50, depth = 2, seed = 7 }", policy);
        let scenario = parse(Path::new("scenarios/x/drawn.toml"), &text).expect("it is valid");
        let Policy::Sampled(Sampling { sampler, runs, seed, .. }) = scenario.explore.policy else {
            panic!("{policy} is no sample")
        };
        (sampler, runs, seed)
    };
    for (policy, wanted) in [
        ("{ random = 2000 }", (Sampler::Uniform, 2000, 1)),
        ("{ pct = 50, depth = 2, seed = 7 }", (Sampler::Pct { depth: 2 }, 50, 7)),
        ("{ pct = 1 }", (Sampler::Pct { depth: 3 }, 1, 1)),
        ("{ seed = 0, swarm = 1_000_000_000 }", (Sampler::Swarm, 1_000_000_000, 0)),
    ] {
        assert_eq!(drawn(policy), wanted, "{policy}");
    }
}
