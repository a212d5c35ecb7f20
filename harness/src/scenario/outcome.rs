//! Reads final states: who may end how, and whether anything in the scenario can bring that about.

use std::collections::BTreeMap;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::fields::{Field, Value, filled_list, in_file_order, table, text};
use super::lives::Lives;
use super::model::{Located, Outcome};
use super::names::{Declared, Kind, Names};
use super::problem::{Problem, line_at};
use super::vocabulary::{FinalState, REASONS, Reason};

/// What an outcome is judged by.
pub(super) struct Stage<'a> {
    pub(super) source: &'a str,
    pub(super) names: &'a Names,
    pub(super) lives: &'a Lives,
    pub(super) kills: u8,
}

impl Stage<'_> {
    /// `outcomes`
    pub(super) fn outcomes(&self, field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<Located<Outcome>> {
        let mut outcomes: Vec<Located<Outcome>> = Vec::new();
        let mut seen = BTreeMap::new();
        for value in filled_list("`outcomes`", field.value, diagnostics).unwrap_or_default() {
            let Some(outcome) = self.outcome(value, diagnostics) else { continue };
            let mut sorted = outcome.states.clone();
            sorted.sort();
            if let Some(first) = seen.insert(sorted, value.span()) {
                diagnostics.add(
                    Problem::new("this outcome is listed twice", value.span())
                        .label("again here")
                        .note(first, "first listed here"),
                );
            }
            outcomes.push(Located { value: outcome, line: line_at(self.source, value.span().start) });
        }
        outcomes
    }

    fn outcome(&self, value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<Outcome> {
        let entries = table("an outcome", value, diagnostics)?;
        if entries.is_empty() {
            diagnostics.add_if_whole(
                Problem::new("this outcome names nobody", value.span())
                    .label("anything would fit it")
                    .help("say how somebody ends, for instance `{ a = \"ready\" }`"),
            );
            return None;
        }
        let before = diagnostics.count();
        let mut states = Vec::new();
        for entry in in_file_order(entries) {
            let who = self.names.resolve(entry.name(), entry.key.span(), diagnostics);
            let state = final_state(entry, diagnostics);
            let Some((who, state)) = who.zip(state) else { continue };
            self.judge(who, state, entry, diagnostics);
            states.push((who.name.clone(), state));
        }
        (diagnostics.count() == before).then_some(Outcome { states })
    }

    /// Reports a final state that this process cannot have.
    fn judge(&self, who: &Declared, state: FinalState, entry: Field<'_>, diagnostics: &mut Diagnostics) {
        let of_gateways = matches!(state, FinalState::Ready | FinalState::Refused(_));
        let never = match state {
            _ if of_gateways && who.kind == Kind::Bystander => {
                Some("a bystander is `running`, `exited`, `killed` or `paused`")
            }
            FinalState::Ready | FinalState::Running => self.lives.cannot_end_alive(who),
            FinalState::Killed => self.lives.cannot_end_killed(who, self.kills),
            FinalState::Paused => self.lives.cannot_end_paused(who),
            FinalState::Restarting => self.lives.cannot_end_restarting(who),
            FinalState::Refused(_) | FinalState::Exited | FinalState::Unstarted => None,
        };
        if let Some(why) = never {
            diagnostics.add(
                Problem::new(format!("`{}` cannot end {state}", who.name), entry.value.span())
                    .label(why)
                    .note(who.at.clone(), "declared here"),
            );
        }
    }
}

fn final_state(entry: Field<'_>, diagnostics: &mut Diagnostics) -> Option<FinalState> {
    let written = text("a final state", entry.value, diagnostics)?;
    let problem = |message: String| Problem::new(message, entry.value.span()).label("not known");
    match written {
        "ready" => Some(FinalState::Ready),
        "refused" => Some(FinalState::Refused(None)),
        "exited" => Some(FinalState::Exited),
        "killed" => Some(FinalState::Killed),
        "paused" => Some(FinalState::Paused),
        "running" => Some(FinalState::Running),
        "unstarted" => Some(FinalState::Unstarted),
        "restarting" => Some(FinalState::Restarting),
        _ => {
            if let Some(code) = written.strip_prefix("refused:") {
                if let Some(reason) = Reason::of(code) {
                    return Some(FinalState::Refused(Some(reason)));
                }
                let known = REASONS.map(|reason| reason.id);
                diagnostics.add(
                    problem(format!("no refusal has the reason `{code}`")).maybe_help(did_you_mean_or_list(
                        "the reasons are",
                        code,
                        &known,
                    )),
                );
            } else if Reason::of(written).is_some() {
                diagnostics.add(
                    problem(format!("no final state is called `{written}`"))
                        .help(format!("did you mean `refused:{written}`?")),
                );
            } else {
                diagnostics.add(
                    problem(format!("no final state is called `{written}`"))
                        .maybe_help(did_you_mean_or_list("the states are", written, &FinalState::WORDS)),
                );
            }
            None
        }
    }
}
