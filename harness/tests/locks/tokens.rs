//! Each part of the reference lock is needed: without it a scenario of the library breaks, with it the same one holds.
//! Which parts nothing breaks without is written down as well, and tried where they are at work.
//!
//! The lengths of the shortest traces are pinned, so that a search that finds less, or a check that looks away, shows.

use std::collections::BTreeSet;

use crate::library::{case, cases, failure};
use harness::designs::{Design, Token};
use harness::simulate::{Simulation, run_case};
use harness::token;
use harness::verdict::{Evidence, Verdict};

/// The case that breaks without a part, the check that says so, and the steps of the shortest way there; or why nothing
/// breaks without it.
fn expected(token: Token) -> Result<(&'static str, &'static str, usize), &'static str> {
    Ok(match token {
        Token::Directory => ("operator/lock-file-removed", "single-owner", 150),
        Token::LockFile => ("storage/file-lock-only", "single-owner", 99),
        Token::Writers => ("lock/writer-left-behind", "refusal", 91),
        Token::LockTest => ("storage/locks-exclude-nobody", "single-owner", 95),
        Token::Config => ("isolation/shared-config", "config-identity", 99),
        Token::Companion => ("operator/config-edited", "config-identity", 49),
        Token::Workspace => ("isolation/shared-workspace", "outcomes", 134),
        Token::Around => ("isolation/nested-workspaces[inner]", "outcomes", 138),
        Token::Ports => ("lock/overlapping-blocks", "ports-disjoint", 91),
        Token::PinnedPorts => ("isolation/pinned-browser-port[9222]", "ports-disjoint", 98),
        Token::PortOrder => ("lock/overlapping-blocks", "outcomes", 114),
        Token::ListenerV4 => ("port/foreign-holder", "outcomes", 163),
        Token::ListenerV6 => ("port/foreign-holder-on-v6-only", "outcomes", 163),
        Token::ForcePidfd => ("operator/force-and-recycled-pid", "no-collateral", 43),
        Token::ForceRecheck => ("operator/force-and-recycled-pid", "no-collateral", 36),
        Token::ForceStopped => ("operator/force-healthy-owner", "no-collateral", 41),
        Token::LockFileRecheck => {
            return Err("the directory's lock excludes whatever the name of the file leads to");
        }
        Token::CompanionRecheck => {
            return Err("whoever removes the companion a moment later leaves the same behind");
        }
        Token::StateRecheck => {
            return Err("whoever moves the directory a moment later leaves the same behind");
        }
        Token::WorkspaceRecheck => {
            return Err("whoever moves the workspace a moment later leaves the same behind");
        }
    })
}

/// Every part that something breaks without.
fn needed() -> impl Iterator<Item = (Token, (&'static str, &'static str, usize))> {
    Token::ALL.into_iter().filter_map(|token| Some((token, expected(token).ok()?)))
}

#[test]
fn the_lock_without_any_one_of_its_parts_breaks_a_scenario_that_it_holds_as_it_ships() {
    let all = cases();
    let mut seen = Vec::new();
    let mut wanted = Vec::new();
    let mut held = BTreeSet::new();
    for (token, (id, check, steps)) in needed() {
        wanted.push((token.name(), check.to_owned(), steps));
        let (case, design) = (case(&all, id), Design::Without(token));
        if held.insert(id) {
            let shipped = run_case(case, Design::Refgate);
            assert!(matches!(shipped, Verdict::Pass(Evidence::Complete { .. })), "{id}: {shipped:?}");
        }
        let failure = failure(case, design);
        let needed = failure.body.iter().find(|line| line.starts_with(" needed"));
        assert!(needed.is_some_and(|line| line.ends_with("nothing less breaks it")), "{id}: {needed:?}");
        let replay = failure.replay.as_deref().map(token::Token::parse);
        let Some(Ok(replay)) = replay else { panic!("{id} prints no token: {replay:?}") };
        let simulation = Simulation::new(&case.scenario, design);
        let (setup, checks, bounds) = (&simulation.setup, &simulation.checks, &simulation.bounds);
        let trace = sim::replay(setup, checks, bounds, &replay.schedule);
        let violation = trace.violation.as_ref().map(|violation| (&violation.check, &violation.says));
        assert_eq!(violation, Some((&failure.check, &failure.says)));
        assert_eq!(token::hash_trace(&trace), replay.trace);
        seen.push((token.name(), failure.check, replay.schedule.len()));
    }
    assert_eq!(seen, wanted);
}

#[test]
fn a_second_look_at_a_name_narrows_a_gap_that_no_look_can_close_so_nothing_breaks_without_it() {
    let all = cases();
    let at_work = [
        "operator/lock-file-removed",
        "operator/old-files-cleaned-up",
        "operator/state-directory-moved",
        "operator/config-edited",
        "storage/network-file-system-allowed",
        "isolation/shared-workspace",
        "lock/killed-with-every-token",
    ];
    for token in Token::ALL {
        let Err(reason) = expected(token) else { continue };
        for id in at_work {
            let verdict = run_case(case(&all, id), Design::Without(token));
            assert!(matches!(verdict, Verdict::Pass(_)), "{id} breaks, though {reason}: {verdict:?}");
        }
    }
}
