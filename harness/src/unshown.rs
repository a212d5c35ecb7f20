//! The outcomes that a file lists and no schedule shows: allowed, and perhaps not what whoever wrote them believes.
//!
//! # Invariants
//!
//! - An outcome is called so only where every schedule was tried, and only if none of their ends fits it. An end counts for
//!   the first outcome that it fits; one that fits a shown outcome before it too may have been there, so nothing is said of it.

use crate::designs::Design;
use crate::scenario::{Case, FinalState, Located, Outcome, Policy, Reach, Reason};
use crate::simulate::{Simulation, run_case_until};
use crate::verdict::{Evidence, Verdict};

/// Runs a case as [`run_case_until`] does, and answers besides the listed outcomes that no schedule shows. There are none where not
/// every schedule was tried, where the file asks for its outcomes (`reach`), and where it has several cases: what varies ends
/// in various ways.
pub(crate) fn run_case(
    case: &Case,
    design: Design,
    should_stop: &(dyn Fn() -> bool + Sync),
) -> (Verdict, Vec<Located<Outcome>>) {
    let expect = &case.scenario.expect;
    let is_asked = expect.reach == Reach::Anything && case.id == case.scenario.name;
    if !is_asked || case.scenario.explore.policy != Policy::Exhaustive {
        return (run_case_until(case, design, should_stop), Vec::new());
    }
    let simulation = Simulation::new(&case.scenario, design);
    let (verdict, exploration) = simulation.run(case, design, should_stop);
    let Verdict::Pass(Evidence::Complete { .. }) = &verdict else { return (verdict, Vec::new()) };
    let is_shown = |number: usize| exploration.ends.contains_key(&number);
    let unshown = unshown(&expect.outcomes, is_shown);
    (verdict, unshown)
}

fn unshown(outcomes: &[Located<Outcome>], is_shown: impl Fn(usize) -> bool) -> Vec<Located<Outcome>> {
    let may_hide = |earlier: usize, outcome: &Located<Outcome>| {
        is_shown(earlier) && overlap(&outcomes[earlier].value, &outcome.value)
    };
    let unshown = outcomes.iter().enumerate().filter(|(number, outcome)| {
        !is_shown(*number) && !(0..*number).any(|earlier| may_hide(earlier, outcome))
    });
    unshown.map(|(_, outcome)| outcome.clone()).collect()
}

/// Whether something may end in both ways at once.
fn overlap(one: &Outcome, other: &Outcome) -> bool {
    let state_in = |outcome: &Outcome, wanted: &str| {
        outcome.states.iter().find(|(name, _)| name == wanted).map(|(_, state)| *state)
    };
    one.states.iter().all(|(name, state)| state_in(other, name).is_none_or(|other| are_one(*state, other)))
}

fn are_one(one: FinalState, other: FinalState) -> bool {
    match (one, other) {
        (FinalState::Refused(None), FinalState::Refused(_))
        | (FinalState::Refused(_), FinalState::Refused(None)) => true,
        (FinalState::Refused(Some(one)), FinalState::Refused(Some(other))) => {
            let is_below = |lower: &Reason, upper: &Reason| lower.parent == Some(upper.id);
            one == other || is_below(one, other) || is_below(other, one)
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::unshown;
    use crate::scenario::parse;

    #[test]
    fn an_outcome_is_unshown_unless_one_that_is_shown_before_it_may_hide_it() {
        let text = "schema = 1\ntitle = \"t\"\n[gateway]\na = { state = \"S\", port = 18789 }\nb = { state = \"S\", port = 18789 }\n\
                    [run]\nsteps = [{ start = [\"a\", \"b\"] }]\n[expect]\noutcomes = [\n{ a = \"ready\", b = \"refused\" },\n\
                    { a = \"ready\", b = \"refused:held-ready\" },\n{ b = \"refused:held\" },\n{ a = \"exited\" },\n\
                    { a = \"refused:held-ready\", b = \"ready\" },\n]\n";
        let Ok(scenario) = parse(Path::new("t.toml"), text) else { panic!("the scenario is valid") };
        let lines = |shown: &[usize]| {
            let unshown = unshown(&scenario.expect.outcomes, |number| shown.contains(&number));
            unshown.iter().map(|outcome| outcome.line).collect::<Vec<_>>()
        };
        assert_eq!(lines(&[0]), [13, 14], "the second and third may be the first");
        assert_eq!(
            lines(&[2]),
            [10, 11, 14],
            "what is listed later hides nothing; `a` may exit while `b` is refused"
        );
        assert_eq!(lines(&[4]), [10, 11, 12, 13]);
        assert_eq!(lines(&[0, 1, 2, 3, 4]), [0usize; 0]);
    }
}
