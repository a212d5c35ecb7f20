//! Each part of raising, sealing, keeping to and handing over an epoch is needed: with one slip in it a scenario of the library breaks, which
//! the lock that ships holds.
//!
//! The lengths of the shortest traces are pinned, so that a search that finds less, or a check that looks away, shows.

use crate::library::{case, cases, failure};
use harness::designs::{Design, Slip};
use harness::scenario::{Case, Policy};
use harness::simulate::run_case;
use harness::token::Token;
use harness::verdict::{Evidence, Verdict};

/// The case that breaks with a slip, the check that says so, and the steps of the shortest way there.
fn expected(slip: Slip) -> (&'static str, &'static str, usize) {
    match slip {
        Slip::SealNotRecorded | Slip::ReaderIgnoresSeal => {
            ("lock/locks-lost-while-owner-stops", "single-writer", 71)
        }
        Slip::EpochNotRaised => ("lock/killed-while-raising-the-epoch", "single-writer", 42),
        // The number is that of a journal that is there, which nobody can create a second time.
        Slip::EpochFromFileOnly => ("lock/killed-while-raising-the-epoch", "no-wedge", 46),
        Slip::NothingSynced => ("lock/power-lost-while-raising-the-epoch[ext4]", "single-writer", 43),
        Slip::NeverLooks => ("lock/directory-recreated-while-owner-paused", "outcomes", 59),
        Slip::NeverReleases => ("restart/handed-over", "single-owner", 109),
        Slip::HandsOverUnheard => ("restart/handed-over", "handoff", 80),
    }
}

#[test]
fn each_slip_breaks_a_scenario_by_a_shortest_trace_of_known_length() {
    let all = cases();
    let mut found = Vec::new();
    for slip in Slip::ALL {
        let (id, check, steps) = expected(slip);
        let failure = failure(case(&all, id), Design::Slipping(slip));
        let needed = failure.body.iter().find(|line| line.starts_with(" needed"));
        assert!(needed.is_some_and(|line| line.ends_with("nothing less breaks it")), "{slip:?}: {needed:?}");
        let Some(Ok(replay)) = failure.replay.as_deref().map(Token::parse) else {
            panic!("{slip:?} prints no token")
        };
        let broken = (failure.check.clone(), replay.schedule.len());
        if (broken.0.as_str(), broken.1) != (check, steps) {
            found.push((slip, broken));
        }
    }
    assert_eq!(found, [], "in other ways than expected");
}

#[test]
fn the_lock_that_ships_holds_every_scenario_about_epochs_as_far_as_it_asks() {
    let about_epochs = |case: &&Case| case.scenario.tags.iter().any(|tag| tag == "epoch");
    // Whoever runs the library explores this one, which takes longer than a test should.
    let is_short = |case: &&Case| case.id != "lock/state-directory-moved-away";
    let all = cases();
    let mut count = 0;
    for case in all.iter().filter(about_epochs).filter(is_short) {
        let verdict = run_case(case, Design::Refgate);
        let Verdict::Pass(evidence) = verdict else { panic!("{}: {verdict:?}", case.id) };
        let is_enough = match case.scenario.explore.policy {
            Policy::Exhaustive => matches!(evidence, Evidence::Complete { .. }),
            Policy::Preemptions(bound) => {
                matches!(evidence, Evidence::Bounded { preemptions: Some(seen), .. } if seen == bound)
            }
            Policy::Sampled(_) => false,
        };
        assert!(is_enough, "{}: {evidence:?}", case.id);
        count += 1;
    }
    assert_eq!(count, 18);
}
