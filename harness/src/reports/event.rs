//! What happens in a run, as events: everything that is shown or written of a run is made from these and nothing else.
//!
//! One event is one line of JSON. The types are apart from those that a run computes with, so that those may change and
//! the lines do not. A reader must ignore keys that it does not know; what changes the meaning of a key raises the version.
//!
//! # Invariants
//!
//! - Cases begin and end in the order in which they were selected, however many are run at once.
//! - In the simulator, equal runs give equal events, but for keys that end in `_ms`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::picture::Picture;
use crate::report::in_short;
use crate::scenario::Case;
use crate::verdict::{self, CaseResult, Executor};

/// The version of the events that this program writes and reads.
pub const VERSION: u32 = 1;

/// Stands for [`VERSION`], and nothing else can be read as it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(serde::de::Error::custom(format!("version {other} is not known, only {VERSION}"))),
        }
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "const": VERSION, "description": "The version of the events." })
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first line: what will be run.
    RunStart(RunStart),
    /// A case is the next one to end.
    CaseStart(CaseStart),
    /// A case has ended.
    CaseEnd(Box<CaseEnd>),
    /// The last line: what came of it. Without it a run was cut.
    RunEnd(RunEnd),
}

/// What will be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunStart {
    /// The version of the events.
    pub version: Version,
    /// The version of the program.
    pub program: String,
    /// How many scenario files.
    pub scenarios: usize,
    /// How many different cases.
    pub cases: usize,
    /// How many cases will be run, each executor counted.
    pub planned: usize,
    /// The executors, in order.
    pub on: Vec<String>,
    /// The lock that the simulated gateways have.
    pub design: String,
    /// The profile that options were taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Which part of the cases this run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The seed, if schedules are drawn at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// One part of several, which together are all cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shard {
    /// How the cases are shared out.
    pub by: Sharing,
    /// Which part, from 1.
    pub part: u32,
    /// Of how many.
    pub of: u32,
}

/// How cases are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// By a hash of the name of a case: a case stays in its part when others come and go.
    Hash,
    /// In turn: parts differ by one case at most.
    Slice,
}

/// A case is the next one to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseStart {
    /// The version of the events.
    pub version: Version,
    /// Its place among all cases that were selected, before they were shared out, from 0.
    pub index: usize,
    /// Its name.
    pub case: String,
    /// Where it is run.
    pub on: String,
}

/// A case has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseEnd {
    /// The version of the events.
    pub version: Version,
    /// Its place among all cases that were selected, before they were shared out, from 0.
    pub index: usize,
    /// Its name.
    pub case: String,
    /// Where it was run.
    pub on: String,
    /// The scenario file, as it was named.
    pub file: String,
    /// What the scenario is about, in one sentence.
    pub title: String,
    /// Where the scenario comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// The verdict in one line: its evidence, or why there is none.
    pub says: String,
    /// What a pass rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What broke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What a second search has shown, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twice: Option<String>,
    /// The outcomes that the file lists and no schedule shows. They are told where every schedule was tried, `reach` asks for
    /// no outcome and nothing varies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unshown: Vec<Unshown>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// An outcome that the file lists and no schedule shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unshown {
    /// The outcome in words.
    pub outcome: String,
    /// Its line in the scenario file.
    pub line: usize,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that was expected held.
    Pass,
    /// Something did not.
    Fail,
    /// Something did not, and it is known of this target.
    Known,
    /// It was not decided.
    Inconclusive,
    /// The executor cannot do what the scenario asks for.
    Unsupported,
    /// As many cases before it have failed as a run was to wait for.
    #[serde(rename = "not-run")]
    NotRun,
}

impl Verdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Known => "known",
            Self::Inconclusive => "inconclusive",
            Self::Unsupported => "unsupported",
            Self::NotRun => "not-run",
        }
    }
}

/// Whether there are none.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// What a pass rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Evidence {
    /// Every schedule was covered.
    Complete {
        /// Different states.
        states: usize,
        /// Steps between them.
        steps: u64,
        /// How many gateways might be killed.
        kills: u8,
        /// How often the power might fail.
        power_losses: u8,
    },
    /// Every schedule within a bound was covered.
    Bounded {
        /// The bound on preemptions, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preemptions: Option<u8>,
        /// How often a supervisor started a gateway before it was left waiting, if one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts: Option<u8>,
        /// Different states.
        states: usize,
        /// Steps between them.
        steps: u64,
        /// How many gateways might be killed.
        kills: u8,
        /// How often the power might fail.
        power_losses: u8,
    },
    /// Random executions showed no failure.
    Sampled {
        /// How they were chosen.
        how: String,
        /// How many.
        runs: u64,
        /// How many of them went round in circles and were given up.
        given_up: u64,
        /// How many different states they met, perhaps an estimate.
        states: u64,
        /// How many different schedules they were, perhaps an estimate.
        schedules: u64,
    },
    /// Real runs showed no failure.
    Observed {
        /// How many.
        runs: u32,
        /// More failures in a million runs than this are ruled out with 95 % confidence.
        failures_in_a_million: u32,
        /// What else is worth knowing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
}

impl Evidence {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "complete",
            Self::Bounded { .. } => "bounded",
            Self::Sampled { .. } => "sampled",
            Self::Observed { .. } => "observed",
        }
    }

    fn of(evidence: &verdict::Evidence) -> Self {
        match evidence.clone() {
            verdict::Evidence::Complete { states, transitions, kills, power_losses } => {
                Self::Complete { states, steps: transitions, kills, power_losses }
            }
            verdict::Evidence::Bounded { preemptions, starts, states, transitions, kills, power_losses } => {
                Self::Bounded { preemptions, starts, states, steps: transitions, kills, power_losses }
            }
            verdict::Evidence::Sampled { how, runs, given_up, states, schedules } => {
                Self::Sampled { how, runs, given_up, states: states.distinct, schedules: schedules.distinct }
            }
            verdict::Evidence::Observed { runs, note } => Self::Observed {
                runs,
                failures_in_a_million: (crate::report::bound(runs) * 1e6).round() as u32,
                note,
            },
        }
    }
}

/// What broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The check that was broken, `outcomes`, `reach` or `refusal`.
    pub check: String,
    /// What happened, as a fragment of a sentence.
    pub says: String,
    /// The line of the expectation in the scenario file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The lanes of the execution, or what was observed, line by line.
    pub lanes: Vec<String>,
    /// The token that `portcullis replay` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// The execution step by step, and the machine after each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Picture>,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunEnd {
    /// The version of the events.
    pub version: Version,
    /// How it ended.
    pub ended: Ended,
    /// How many cases were run to their end.
    pub run: usize,
    /// How many passed.
    pub passed: usize,
    /// How many passed on which kind of evidence.
    pub evidence: BTreeMap<String, usize>,
    /// How many failed.
    pub failed: usize,
    /// How many failed as is known of their target.
    #[serde(default, skip_serializing_if = "is_none")]
    pub known: usize,
    /// How many were not decided.
    pub inconclusive: usize,
    /// How many cannot be run where they were to be.
    pub unsupported: usize,
    /// How many were not run because enough had failed before them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_run: usize,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// Executors that support none of their cases: no failure there means nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Every case passed, is unsupported or deviates as is known.
    Passed,
    /// A case failed.
    Failed,
    /// No case failed, some are undecided.
    Inconclusive,
    /// The user stopped it.
    Interrupted,
}

impl CaseEnd {
    /// The event of a result. `execution` is what the simulator has to show of a failure.
    pub fn new(index: usize, about: About, result: &CaseResult, execution: Option<Picture>) -> Self {
        let (verdict, evidence, failure) = match &result.verdict {
            verdict::Verdict::Pass(evidence) => (Verdict::Pass, Some(Evidence::of(evidence)), None),
            verdict::Verdict::Fail(failure) => (Verdict::Fail, None, Some(&**failure)),
            verdict::Verdict::Known(known) => (Verdict::Known, None, Some(&known.failure)),
            verdict::Verdict::Inconclusive(_) => (Verdict::Inconclusive, None, None),
            verdict::Verdict::Unsupported(_) => (Verdict::Unsupported, None, None),
        };
        let failure = failure.map(|failure| Failure {
            check: failure.check.clone(),
            says: failure.says.clone(),
            line: failure.line,
            lanes: failure.body.clone(),
            replay: failure.replay.clone(),
            execution,
        });
        let About { title, refs } = about;
        Self {
            version: Version,
            index,
            case: result.id.clone(),
            on: result.on.to_string(),
            file: result.file.clone(),
            title,
            refs,
            verdict,
            says: in_short(&result.verdict),
            evidence,
            failure,
            twice: result.twice.clone(),
            unshown: result
                .unshown
                .iter()
                .map(|unshown| Unshown { outcome: unshown.value.to_string(), line: unshown.line })
                .collect(),
            elapsed_ms: u64::try_from(result.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The event of a case that is not run, since `failed` cases before it have failed.
    pub fn not_run(index: usize, case: &Case, on: Executor, failed: usize) -> Self {
        let failures = if failed == 1 {
            "a case before it has failed".to_owned()
        } else {
            format!("{failed} cases before it have failed")
        };
        Self {
            version: Version,
            index,
            case: case.id.clone(),
            on: on.to_string(),
            file: case.scenario.file.display().to_string(),
            title: case.scenario.title.clone(),
            refs: case.scenario.refs.clone(),
            verdict: Verdict::NotRun,
            says: format!("not run: {failures}"),
            evidence: None,
            failure: None,
            twice: None,
            unshown: Vec::new(),
            elapsed_ms: 0,
        }
    }
}

/// What a scenario says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// One sentence.
    pub title: String,
    /// Where it comes from.
    pub refs: Vec<String>,
}

impl RunEnd {
    /// What cases come to. `planned` are the executors of all cases, one for each case.
    pub fn new<'e>(
        ends: impl IntoIterator<Item = &'e CaseEnd> + Clone,
        planned: &[String],
        interrupted: bool,
        elapsed_ms: u64,
    ) -> Self {
        let count = |wanted: Verdict| ends.clone().into_iter().filter(|end| end.verdict == wanted).count();
        let mut evidence: BTreeMap<String, usize> = BTreeMap::new();
        for of in ends.clone().into_iter().filter_map(|end| end.evidence.as_ref()) {
            *evidence.entry(of.word().to_owned()).or_default() += 1;
        }
        let (failed, inconclusive) = (count(Verdict::Fail), count(Verdict::Inconclusive));
        let ended = if failed > 0 {
            Ended::Failed
        } else if interrupted {
            Ended::Interrupted
        } else if inconclusive > 0 {
            Ended::Inconclusive
        } else {
            Ended::Passed
        };
        let mut executors: Vec<&String> = Vec::new();
        for on in planned {
            if !executors.contains(&on) {
                executors.push(on);
            }
        }
        let is_untested = |on: &&&String| {
            let unsupported = ends.clone().into_iter().filter(|end| end.on == ***on);
            unsupported.filter(|end| end.verdict == Verdict::Unsupported).count()
                == planned.iter().filter(|other| other == *on).count()
        };
        Self {
            version: Version,
            ended,
            run: ends.clone().into_iter().filter(|end| end.verdict != Verdict::NotRun).count(),
            passed: count(Verdict::Pass),
            evidence,
            failed,
            known: count(Verdict::Known),
            inconclusive,
            unsupported: count(Verdict::Unsupported),
            not_run: count(Verdict::NotRun),
            interrupted,
            untested: executors.iter().filter(is_untested).map(|on| (*on).clone()).collect(),
            elapsed_ms,
        }
    }
}
