//! A promise that is tried on drawn scenarios: what was broken once is tried first, what breaks it is made small and kept.

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::{Drawn, Scenarios};
use crate::scenario::{self, Case, Paint};
use crate::suite::edge::{from_manifest, variable};
use crate::suite::{On, told};
use crate::token::hash_text;
use crate::verdict::Verdict;

/// The variable that says how many scenarios are drawn.
const CASES: &str = "PORTCULLIS_CASES";
/// The variable that says what they are drawn from.
const SEED: &str = "PORTCULLIS_SEED";

/// For each scenario that is to be decided, so many may be too large.
const MOST_UNDECIDED: u32 = 4;

/// How often a failing scenario is made smaller at most.
const MOST_SHRINKS: u32 = 2_000;

/// What is tried, and how often.
#[derive(Clone, Debug)]
pub struct Property {
    /// What the files of its failures begin with: lower-case letters, digits and `-`.
    pub name: String,
    /// What is drawn.
    pub scenarios: Scenarios,
    /// How many scenarios must have been decided.
    pub cases: u32,
    /// What they are drawn from: the same number, the same scenarios.
    pub seed: u64,
    /// Where failures are kept. A relative path is taken from the manifest of the package under test.
    pub regressions: PathBuf,
    /// How many states a scenario may have in the simulator; with more it is not decided, and another one is drawn.
    pub states: usize,
}

/// What was tried and found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many scenarios that had failed once hold.
    pub kept: usize,
    /// How many drawn ones hold.
    pub drawn: u32,
    /// How many were not decided.
    pub undecided: u32,
}

/// A scenario that breaks a promise. For people it says everything: the file, the failure in lanes, the line that replays it.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Where it is kept.
    pub file: PathBuf,
    /// Whether it was there before, and broken again.
    pub was_kept: bool,
    /// The whole file.
    pub text: String,
    /// The verdict on it.
    pub verdict: Verdict,
    told: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word =
            if self.was_kept { "a scenario fails that failed before" } else { "a drawn scenario fails" };
        write!(f, "{word}; it is kept in {}\n\n{}\n{}", self.file.display(), self.text, self.told)
    }
}

impl std::error::Error for Broken {}

impl Property {
    /// 64 scenarios of all kinds with two to four gateways, from the seed 1; failures go to `scenarios/regressions`.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            scenarios: Scenarios::all(2..=super::MOST_GATEWAYS),
            cases: 64,
            seed: 1,
            regressions: PathBuf::from("scenarios/regressions"),
            states: 200_000,
        }
    }

    /// The same with as many cases as `PORTCULLIS_CASES` says, drawn from the seed that `PORTCULLIS_SEED` says, where they are set:
    /// so a night draws more than a day.
    ///
    /// # Panics
    ///
    /// If one of them is set and no number, or `PORTCULLIS_CASES` is 0.
    #[must_use]
    pub fn with_environment(self) -> Self {
        let cases = number(CASES, variable(CASES)).unwrap_or_else(|why| panic!("{why}"));
        let seed = number(SEED, variable(SEED)).unwrap_or_else(|why| panic!("{why}"));
        let cases = cases.unwrap_or(self.cases);
        assert!(cases > 0, "`{CASES}` is 0, and nothing would be shown; leave it out, or take at least 1");
        Self { cases, seed: seed.unwrap_or(self.seed), ..self }
    }

    /// Tries it: what has failed once, in the order of the names, then what is drawn.
    ///
    /// # Errors
    ///
    /// The first scenario that fails. A drawn one was made as small as can be, and kept.
    ///
    /// # Panics
    ///
    /// If a kept file is no scenario, with all its problems; if a failure cannot be kept; if the name is none for a file; if so
    /// many scenarios are too large that nothing would be shown; see also [`On::judge`].
    pub fn check(&self, on: &On) -> Result<Checked, Box<Broken>> {
        let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            !self.name.is_empty() && self.name.chars().all(is_fit),
            "`{}` is no name for files: lower-case letters, digits and `-` only",
            self.name
        );
        let directory = from_manifest(&self.regressions);
        let kept = kept(&directory, &self.name);
        for file in &kept {
            let case = read(file);
            let verdict = on.judge(&case);
            if let Some(told) = told(&case, on, &verdict) {
                let text = case.scenario.source.to_string();
                return Err(Box::new(Broken { file: file.clone(), was_kept: true, text, verdict, told }));
            }
        }
        let (drawn, undecided) = self.draw(on, &directory)?;
        Ok(Checked { kept: kept.len(), drawn, undecided })
    }

    /// Demands that it holds, [with the environment](Self::with_environment).
    ///
    /// # Panics
    ///
    /// If it does not, with everything that [`Broken`] says; else as [`Property::check`] and [`Property::with_environment`].
    #[track_caller]
    pub fn assert(&self, on: &On) {
        if let Err(broken) = self.clone().with_environment().check(on) {
            panic!("{broken}");
        }
    }

    /// Draws scenarios until enough are decided, and answers how many were and how many were not.
    fn draw(&self, on: &On, directory: &Path) -> Result<(u32, u32), Box<Broken>> {
        let config = Config {
            cases: self.cases,
            max_global_rejects: self.cases.saturating_mul(MOST_UNDECIDED),
            max_shrink_iters: MOST_SHRINKS,
            failure_persistence: None,
            ..Config::default()
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let undecided = Cell::new(0);
        let ended = runner.run(&self.scenarios.strategy(), |drawn| {
            match on.judge_within(&only_case(&drawn), self.states) {
                Verdict::Pass(_) | Verdict::Known(_) => Ok(()),
                Verdict::Fail(failure) => Err(TestCaseError::fail(failure.check)),
                Verdict::Inconclusive(why) | Verdict::Unsupported(why) => {
                    undecided.set(undecided.get() + 1);
                    Err(TestCaseError::reject(why))
                }
            }
        });
        match ended {
            Ok(()) => Ok((self.cases, undecided.get())),
            Err(TestError::Fail(_, smallest)) => Err(Box::new(self.keep(&smallest, on, directory))),
            Err(TestError::Abort(why)) => panic!(
                "{} of the scenarios of `{}` were not decided, so nothing is shown: {why}; draw smaller ones",
                undecided.get(),
                self.name
            ),
        }
    }

    /// Writes a failing scenario down, and runs it from there.
    fn keep(&self, smallest: &Drawn, on: &On, directory: &Path) -> Broken {
        let Verdict::Fail(failure) = on.judge(&only_case(smallest)) else {
            panic!("a scenario has failed, and holds when it is run again\n{smallest:?}")
        };
        let file = directory.join(format!("{}-{:08x}.toml", self.name, hash_text(smallest.text())));
        let text = format!(
            "# {}: {}\n# Drawn by the property `{}` from the seed {}, on {on}, and made small.\n{}",
            failure.check,
            failure.says.replace(char::is_control, " "),
            self.name,
            self.seed,
            smallest.text()
        );
        write(&file, &text).unwrap_or_else(|error| {
            panic!("{} cannot be written: {error}; the failing scenario is\n{text}", file.display())
        });
        let case = read(&file);
        let verdict = on.judge(&case);
        let told = told(&case, on, &verdict).unwrap_or_default();
        Broken { file, was_kept: false, text, verdict, told }
    }
}

fn only_case(drawn: &Drawn) -> Case {
    Case { id: drawn.scenario().name.clone(), scenario: drawn.scenario().clone() }
}

/// The files of a property, in the order of their names.
fn kept(directory: &Path, name: &str) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => panic!("{} cannot be read: {error}", directory.display()),
    };
    let is_own = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let hash = stem.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        path.extension().is_some_and(|ending| ending == "toml")
            && hash.is_some_and(|hash| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_own).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Case {
    let scenarios =
        scenario::load(&[file.to_owned()]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    let case = scenarios.iter().flat_map(scenario::Scenario::cases).next();
    case.unwrap_or_else(|| unreachable!("a file that was read has a case"))
}

/// Reads a number from a variable, if it is set.
fn number<T: FromStr>(name: &str, value: Option<OsString>) -> Result<Option<T>, String> {
    let Some(value) = value else { return Ok(None) };
    let read = value.to_str().and_then(|text| text.parse().ok());
    read.map(Some).ok_or_else(|| {
        format!(
            "`{name}` is `{}`, which is no whole number that fits; leave it out, or take one like 500",
            value.display()
        )
    })
}

/// Writes a file whole or not at all: another test may read the directory meanwhile.
#[expect(clippy::disallowed_methods, reason = "the named edge: failing scenarios are kept as files")]
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut beside = builder.tempfile_in(directory)?;
    beside.write_all(text.as_bytes())?;
    beside.persist(file).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::{number, write};

    #[test]
    fn a_variable_that_is_no_number_is_named_with_its_value() {
        assert_eq!(number::<u32>("X", None), Ok(None));
        assert_eq!(number::<u64>("X", Some("18446744073709551615".into())), Ok(Some(u64::MAX)));
        for wrong in ["", "-1", "1e3", "4294967296", " 7"] {
            let why = number::<u32>("PORTCULLIS_CASES", Some(wrong.into())).unwrap_err();
            assert!(
                why.starts_with(&format!("`PORTCULLIS_CASES` is `{wrong}`, which is no whole number")),
                "{why}"
            );
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test reads what was written")]
    fn a_failure_is_kept_whole_and_nothing_else_is_left_beside_it() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("below/x-00000001.toml");
        for text in ["one", "another one"] {
            write(&file, text).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), text.as_bytes());
        }
        assert_eq!(std::fs::read_dir(room.path().join("below")).unwrap().count(), 1);
        // Where a file cannot take the name, nothing is left either.
        std::fs::create_dir(room.path().join("taken.toml")).unwrap();
        assert!(write(&room.path().join("taken.toml"), "text").is_err());
        assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 2);
    }
}
