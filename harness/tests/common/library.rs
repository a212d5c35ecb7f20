//! The cases of the library, and what a design that breaks one of them fails with.

use std::path::{Path, PathBuf};

use harness::designs::Design;
use harness::scenario::{Case, Paint, Scenario, load};
use harness::simulate::run_case;
use harness::verdict::{Failure, Verdict};

pub(crate) fn cases() -> Vec<Case> {
    let library: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let scenarios = load(&[library]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    scenarios.iter().flat_map(Scenario::cases).collect()
}

pub(crate) fn case<'a>(cases: &'a [Case], id: &str) -> &'a Case {
    cases.iter().find(|case| case.id == id).unwrap_or_else(|| panic!("there is no case {id}"))
}

pub(crate) fn failure(case: &Case, design: Design) -> Failure {
    match run_case(case, design) {
        Verdict::Fail(failure) => *failure,
        other @ (Verdict::Pass(_)
        | Verdict::Known(_)
        | Verdict::Inconclusive(_)
        | Verdict::Unsupported(_)) => {
            panic!("{} does not break {}: {other:?}", design.name(), case.id)
        }
    }
}
