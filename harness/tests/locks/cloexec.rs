//! Each descriptor of an owner is closed on execution for a reason: with one that is not, a child that outlives its owner keeps
//! the next gateway out, or is taken for one that may still write.
//!
//! The lengths of the shortest traces are pinned, so that a search that finds less, or a check that looks away, shows.

use crate::library::{case, cases, failure};
use harness::designs::{Design, Leak};
use harness::simulate::run_case;
use harness::token::Token;
use harness::verdict::{Evidence, Verdict};

/// An owner with every kind of token is killed, and another gateway starts.
const CASE: &str = "crash/owner-with-every-token-killed";

/// What the next gateway is told although nothing alive stands in its way, and the steps of the shortest way there.
const fn expected(leak: Leak) -> Option<(&'static str, usize)> {
    Some(match leak {
        Leak::Nothing => return None,
        Leak::Directory => ("refused:held-orphan", 1),
        Leak::LockFile => ("refused:held-orphan", 1),
        Leak::Writers => ("refused:held-writers", 1),
        Leak::Companion => ("refused:config-shared", 1),
        Leak::Workspace => ("refused:workspace-shared", 1),
        Leak::PortToken => ("refused:port-range", 1),
        Leak::Listener => ("refused:port-foreign", 1),
    })
}

#[test]
fn each_descriptor_that_a_child_inherits_breaks_what_the_lock_that_ships_holds() {
    let all = cases();
    for design in [Design::Refgate, Design::Leaking(Leak::Nothing)] {
        let held = run_case(case(&all, CASE), design);
        assert!(matches!(held, Verdict::Pass(Evidence::Complete { .. })), "{}: {held:?}", design.name());
    }
    let mut found = Vec::new();
    for leak in Leak::ALL {
        let Some(expected) = expected(leak) else { continue };
        let failure = failure(case(&all, CASE), Design::Leaking(leak));
        let needed = failure.body.iter().find(|line| line.starts_with(" needed"));
        assert!(needed.is_some_and(|line| line.ends_with("nothing less breaks it")), "{leak:?}: {needed:?}");
        let Some(Ok(replay)) = failure.replay.as_deref().map(Token::parse) else {
            panic!("{leak:?} prints no token")
        };
        assert_eq!(failure.check, "no-wedge", "{leak:?}");
        let broken = (failure.says.rsplit(' ').next().unwrap_or_default().to_owned(), replay.schedule.len());
        if (broken.0.as_str(), broken.1) != expected {
            found.push((leak, broken));
        }
    }
    assert_eq!(found, [], "in other ways than expected");
}
