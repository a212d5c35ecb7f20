//! One execution taken again inside a test: `PORTCULLIS_REPLAY=TOKEN cargo test`.
//!
//! The command line knows the designs of the catalogue. A lock of somebody's own is known to its tests alone, so they replay it.

use super::edge;
use crate::designs::Design;
use crate::lanes;
use crate::scenario::Case;
use crate::simulate::{self, Simulation};
use crate::token::{self, Token, TokenError};
use crate::verdict::{Failure, Verdict};

/// Whether a replay was asked for.
#[derive(Debug)]
pub(super) enum Replay {
    /// No.
    None,
    /// Of another case, or of another lock.
    Other,
    /// Of this one.
    This(Box<Token>),
}

impl Replay {
    /// What the environment asks for.
    pub(super) fn asked(case: &Case, design: Design) -> Self {
        let Some(text) = edge::variable(edge::REPLAY).filter(|text| !text.is_empty()) else {
            return Self::None;
        };
        Self::of(&text.to_string_lossy(), case, design)
    }

    fn of(text: &str, case: &Case, design: Design) -> Self {
        match Token::parse_for(text, design) {
            Ok(token) if token.design == design && token.case == token::case_name(case) => {
                Self::This(Box::new(token))
            }
            Ok(_) | Err(TokenError::Design { .. }) => Self::Other,
            Err(error) => panic!("{} cannot be replayed: {error}", edge::REPLAY),
        }
    }

    /// What the execution of a token shows. One that breaks nothing proves nothing either.
    pub(super) fn verdict(case: &Case, token: &Token) -> Verdict {
        if token::hash_text(&case.scenario.source) != token.scenario {
            let file = case.scenario.file.display();
            return Verdict::Inconclusive(format!("{file} has changed since the token was made"));
        }
        let simulation = Simulation::new(&case.scenario, token.design);
        let trace = sim::replay(&simulation.setup, &simulation.checks, &simulation.bounds, &token.schedule);
        let Some(violation) = &trace.violation else {
            let why = if trace.left_over > 0 {
                "the schedule asks for a step that cannot happen any more"
            } else {
                "the whole schedule was taken and nothing is broken"
            };
            return Verdict::Inconclusive(format!("{why}; without {} every schedule is tried", edge::REPLAY));
        };
        let mut body = lanes::render(&simulation, &trace);
        body.extend(lanes::stale_read(&simulation, &trace));
        body.extend(lanes::repeats(&trace));
        Verdict::Fail(Box::new(Failure {
            check: violation.check.clone(),
            says: violation.says.clone(),
            line: simulate::line_of(&case.scenario, &violation.check),
            body,
            replay: Some(token.to_string()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Replay;
    use crate::designs::Design;
    use crate::scenario::{Case, parse};
    use crate::simulate::run_case;
    use crate::verdict::Verdict;

    const RACE: &str = "schema = 1\ntitle = \"t\"\n[gateway]\na = { state = \"S\", port = 18789 }\n\
        b = { state = \"S\", port = 19001 }\n[run]\nsteps = [{ start = [\"a\", \"b\"] }, { wait = \"settled\" }]\n\
        [expect]\nalways = [\"single-owner\"]\noutcomes = [{ a = \"ready\" }, { a = \"refused\" }]\n";

    fn case(text: &str) -> Case {
        parse(Path::new("scenarios/race.toml"), text).unwrap().cases().remove(0)
    }

    #[test]
    fn a_token_is_taken_again_by_the_case_and_the_lock_that_it_names() {
        let design = Design::of("pidfile-check-then-write").unwrap();
        let (race, other) = (case(RACE), case(&RACE.replace("19001", "19002")));
        let Verdict::Fail(failure) = run_case(&race, design) else { panic!("the lock is naive") };
        let text = failure.replay.unwrap();
        let Replay::This(token) = Replay::of(&text, &race, design) else { panic!("it is this case") };
        let Verdict::Fail(again) = Replay::verdict(&race, &token) else { panic!("it still fails") };
        assert_eq!((again.check, again.replay), (failure.check, Some(text.clone())));
        assert!(matches!(Replay::verdict(&other, &token), Verdict::Inconclusive(_)));
        assert!(matches!(Replay::of(&text, &race, Design::Refgate), Replay::Other));
        let harmless = crate::token::Token { design: Design::Refgate, ..*token };
        assert!(matches!(Replay::verdict(&race, &harmless), Verdict::Inconclusive(_)));
    }
}
