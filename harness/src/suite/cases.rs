//! One scenario inside a test.

use std::path::Path;

use super::edge::from_manifest;
use super::on::On;
use super::told::told;
use crate::scenario::{self, Case, Paint, Scenario};
use crate::verdict::Verdict;

/// The cases of a scenario: one, or one for each combination of what varies.
#[derive(Clone, Debug)]
pub struct Cases {
    cases: Vec<Case>,
}

/// The verdicts on some cases.
#[derive(Clone, Debug)]
pub struct Judged {
    on: On,
    verdicts: Vec<(Case, Verdict)>,
}

/// A scenario file, or a directory of them. A relative path is taken from the manifest of the package under test.
///
/// ```no_run
/// use harness::{designs::Design, scenario, sim};
///
/// scenario("scenarios/race/two-gateways.toml").on(sim(Design::Refgate)).assert();
/// ```
///
/// # Panics
///
/// If there is no such file or it is no valid scenario: with every problem that it has and its place.
#[track_caller]
pub fn scenario(path: impl AsRef<Path>) -> Cases {
    match scenario::load(&[from_manifest(path.as_ref())]) {
        Ok(scenarios) => Cases { cases: scenarios.iter().flat_map(Scenario::cases).collect() },
        Err(errors) => panic!("{}", errors.render(Paint::Plain)),
    }
}

/// A scenario that stands in the test itself.
///
/// # Panics
///
/// If it is no valid scenario: with every problem that it has and its place.
#[track_caller]
pub fn scenario_text(text: &str) -> Cases {
    let file = Path::new("scenario.toml");
    match scenario::parse(file, text) {
        Ok(scenario) => Cases { cases: scenario.cases() },
        Err(problems) => {
            let drawn: Vec<String> =
                problems.iter().map(|problem| problem.render(file, text, Paint::Plain)).collect();
            panic!("{}", drawn.join("\n\n"))
        }
    }
}

impl Cases {
    /// The cases, in the order of the file.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Runs every case.
    ///
    /// # Panics
    ///
    /// See [`On::judge`].
    #[track_caller]
    pub fn on(&self, on: On) -> Judged {
        let mut verdicts = Vec::new();
        for case in &self.cases {
            verdicts.push((case.clone(), on.judge(case)));
        }
        Judged { on, verdicts }
    }
}

impl From<Scenario> for Cases {
    fn from(scenario: Scenario) -> Self {
        Self { cases: scenario.cases() }
    }
}

impl Judged {
    /// The id of each case, and the verdict on it.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        self.verdicts.iter().map(|(case, verdict)| (case.id.as_str(), verdict))
    }

    /// Whether a case has failed. What is undecided has not.
    pub fn has_failed(&self) -> bool {
        self.verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Fail(_)))
    }

    /// Demands that every case has passed.
    ///
    /// # Panics
    ///
    /// If one has not, with what was broken, the lanes and the line that replays it. What is undecided or unsupported has
    /// not passed.
    #[track_caller]
    pub fn assert(&self) {
        let told: Vec<String> =
            self.verdicts.iter().filter_map(|(case, verdict)| told(case, &self.on, verdict)).collect();
        assert!(told.is_empty(), "{}", told.join("\n\n"));
    }
}
