//! Reads what is waited for: the verb `wait`, and what a step of any verb is held back by, `when` and `after_ms`.
//!
//! A step that is held back is two steps, a wait and itself, so whoever carries them out knows waits only.

use sim::Telling;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::fields::{Field, integer, text};
use super::model::{Action, Operation, Wait};
use super::operations::SPANS;
use super::problem::Problem;
use super::steps::Steps;

/// What can be waited for of one process, besides what a gateway tells.
const MOMENTS: [&str; 3] = ["ready", "settled", "gone"];

/// All that can be waited for of one process.
pub(super) fn moments() -> impl Iterator<Item = &'static str> {
    MOMENTS.into_iter().chain(Telling::ALL.map(|(word, _)| word))
}

impl Steps<'_> {
    /// What a step is held back by: `when` something is so, or until some time has passed.
    pub(super) fn gate(&mut self, field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Action> {
        match field.name() {
            "when" => self.wait(field, diagnostics).map(Action::Wait),
            _ => {
                let passes = integer("`after_ms`", field.value, SPANS, diagnostics)?;
                Some(Action::Operate(Operation::Pass(passes)))
            }
        }
    }

    /// What is waited for.
    pub(super) fn wait(&mut self, verb: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Wait> {
        let at = verb.value.span();
        let written = text(&format!("`{}`", verb.name()), verb.value, diagnostics)?;
        if written == "settled" {
            return Some(Wait::Settled);
        }
        let (name, moment) = written.rsplit_once('.').unwrap_or((written, ""));
        if !moments().any(|known| known == moment) {
            let known: Vec<String> = moments().map(|moment| format!("{name}.{moment}")).collect();
            let known: Vec<_> = known.iter().map(|known| &**known).chain(["settled"]).collect();
            diagnostics.add(
                Problem::new(format!("`{written}` is nothing to wait for"), at)
                    .label("not known")
                    .maybe_help(did_you_mean_or_list("one can wait for", written, &known)),
            );
            return None;
        }
        let who = self.names.resolve(name, at.clone(), diagnostics)?;
        let name = who.name.clone();
        if let Some((_, telling)) = Telling::ALL.into_iter().find(|(word, _)| *word == moment) {
            self.lives.wait_told(telling, who, &at, diagnostics);
            return Some(Wait::Told(telling, name));
        }
        match moment {
            "ready" => {
                self.lives.wait_ready(who, &at, diagnostics);
                Some(Wait::ReadyOf(name))
            }
            "gone" => {
                self.lives.wait_gone(who, &at, diagnostics);
                Some(Wait::GoneOf(name))
            }
            _ => {
                self.lives.wait_settled(&name, &at, diagnostics);
                Some(Wait::SettledOf(name))
            }
        }
    }
}
