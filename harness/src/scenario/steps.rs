//! Reads `[run]`: what is done to the processes, and in which order.

use std::ops::Range;

use sim::supervisor::Order;
use toml::de::DeValue;

use super::diagnostics::{Diagnostics, closest, did_you_mean_or_list, quoted};
use super::fields::{Field, Fields, Value, filled_list, list, table, text, wrong_type};
use super::format::{self, GATES};
use super::lives::{Lives, Sent};
use super::model::{Action, Located, Operation, Step};
use super::names::{Declared, Kind, Names};
use super::operations::{Modifiers, Tampering, Work, operation};
use super::problem::{Problem, line_at};

/// What a step does; each has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Start,
    Stop,
    Kill,
    Pause,
    Resume,
    Restart,
    Write,
    ServiceStop,
    ServiceRestart,
    OpenBrowsers,
    Recycle,
    Remove,
    Tamper,
    Move,
    Chmod,
    Disk,
    Lose,
    Clock,
    Suspend,
    Pass,
    Reboot,
    Wait,
}

impl Verb {
    const ALL: [Self; 22] = [
        Self::Start,
        Self::Stop,
        Self::Kill,
        Self::Pause,
        Self::Resume,
        Self::Restart,
        Self::Write,
        Self::ServiceStop,
        Self::ServiceRestart,
        Self::OpenBrowsers,
        Self::Recycle,
        Self::Remove,
        Self::Tamper,
        Self::Move,
        Self::Chmod,
        Self::Disk,
        Self::Lose,
        Self::Clock,
        Self::Suspend,
        Self::Pass,
        Self::Reboot,
        Self::Wait,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Restart => "restart",
            Self::Write => "write",
            Self::ServiceStop => "service_stop",
            Self::ServiceRestart => "service_restart",
            Self::OpenBrowsers => "open_browsers",
            Self::Recycle => "recycle",
            Self::Remove => "remove",
            Self::Tamper => "tamper",
            Self::Move => "move",
            Self::Chmod => "chmod",
            Self::Disk => "disk",
            Self::Lose => "lose",
            Self::Clock => "step_clock_ms",
            Self::Suspend => "suspend_ms",
            Self::Pass => "pass_ms",
            Self::Reboot => "reboot",
            Self::Wait => "wait",
        }
    }

    /// Whether its value is a name or a list of names.
    const fn takes_names(self) -> bool {
        match self {
            Self::Start
            | Self::Stop
            | Self::Kill
            | Self::Pause
            | Self::Resume
            | Self::Restart
            | Self::Write
            | Self::ServiceStop
            | Self::ServiceRestart
            | Self::OpenBrowsers => true,
            Self::Recycle
            | Self::Remove
            | Self::Tamper
            | Self::Move
            | Self::Chmod
            | Self::Disk
            | Self::Lose
            | Self::Clock
            | Self::Suspend
            | Self::Pass
            | Self::Reboot
            | Self::Wait => false,
        }
    }
}

pub(super) const LOCK_FILE: &str = "lock-file";
pub(super) const STATE_DIRECTORY: &str = "state-directory";

/// What reading the steps needs to know and to remember.
pub(super) struct Steps<'a> {
    pub(super) source: &'a str,
    pub(super) names: &'a Names,
    pub(super) lives: Lives,
}

impl Steps<'_> {
    /// `[run]`: the setup and the steps.
    pub(super) fn run(
        &mut self,
        field: Option<Field<'_>>,
        diagnostics: &mut Diagnostics,
    ) -> (Vec<Step>, Vec<Step>) {
        let Some(field) = field else { return (Vec::new(), Vec::new()) };
        let Some(mut fields) = Fields::of("`[run]`", field.key.span(), field.value, diagnostics) else {
            return (Vec::new(), Vec::new());
        };
        let setup = fields.take("setup").and_then(|field| list("`setup`", field.value, diagnostics));
        let setup = self.all(setup, diagnostics);
        let steps = fields
            .require("steps", "steps = [{ start = \"a\" }, { wait = \"settled\" }]")
            .and_then(|field| filled_list("`steps`", field.value, diagnostics));
        let readable = steps.is_some();
        let steps = self.all(steps, diagnostics);
        fields.finish(diagnostics);
        if readable {
            self.lives.finish(self.names, diagnostics);
        }
        (setup, steps)
    }

    fn all(&mut self, values: Option<&[Value<'_>]>, diagnostics: &mut Diagnostics) -> Vec<Step> {
        let mut steps = Vec::new();
        for value in values.unwrap_or_default() {
            let before = diagnostics.count();
            let line = line_at(self.source, value.span().start);
            let mut actions = Vec::new();
            let last = self.step(value, &mut actions, diagnostics);
            actions.extend(last);
            steps.extend(actions.into_iter().map(|value| Located { value, line }));
            if diagnostics.count() > before {
                self.excuse_all_in(value.get_ref());
            }
        }
        steps
    }

    /// Reads one step. What it waits for before it goes to `first`.
    #[expect(clippy::too_many_lines, reason = "one arm a key")]
    fn step(
        &mut self,
        value: &Value<'_>,
        first: &mut Vec<Action>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Action> {
        let entries = table("a step", value, diagnostics)?;
        let mut fields = Fields::new("a step", value.span(), entries);
        let verbs = Verb::ALL.into_iter().filter_map(|verb| Some((verb, fields.take(verb.word())?)));
        let verbs: Vec<_> = verbs.collect();
        let heir = fields.take("as");
        let modifiers = Modifiers {
            state: fields.take("state"),
            mode: fields.take("mode"),
            host: fields.take("host"),
            with: fields.take("with"),
            of: fields.take("of"),
        };
        let gates = GATES.iter().filter_map(|gate| fields.take(gate.name)).collect::<Vec<_>>();
        let before = diagnostics.count();
        fields.finish(diagnostics);
        let Some((verb, field)) = one_verb(&verbs, diagnostics) else {
            if diagnostics.count() == before {
                diagnostics.add_if_whole(
                    Problem::new("this step does nothing", value.span())
                        .label("no verb")
                        .help(format!("the verbs are: {}", quoted(&Verb::ALL.map(Verb::word)))),
                );
            }
            for (_, field) in verbs.iter().filter(|(verb, _)| verb.takes_names()) {
                self.named(*field, diagnostics, |_, _, _, _| {});
            }
            return None;
        };
        for gate in gates {
            first.extend(self.gate(gate, diagnostics));
        }
        let Modifiers { state, mode, host, with, of } = modifiers;
        let listed = format::step(verb.word());
        for (modifier, example) in [
            (heir, "recycle"),
            (state, "remove"),
            (mode, "chmod"),
            (host, "step_clock_ms"),
            (with, "tamper"),
            (of, "tamper"),
        ] {
            misplaced(modifier.filter(|field| !listed.takes(field.name())), example, diagnostics);
        }
        let mut operate = |work| operation(work, field, modifiers, self.names, diagnostics);
        let operated = match verb {
            Verb::Tamper => operate(Work::Tamper),
            Verb::Move => operate(Work::Move),
            Verb::Chmod => operate(Work::Chmod),
            Verb::Disk => operate(Work::Disk),
            Verb::Lose => operate(Work::Lose),
            Verb::Clock => operate(Work::Clock),
            Verb::Suspend => operate(Work::Suspend),
            Verb::Pass => operate(Work::Pass),
            Verb::Reboot => operate(Work::Reboot),
            Verb::Start
            | Verb::Stop
            | Verb::Kill
            | Verb::Pause
            | Verb::Resume
            | Verb::Restart
            | Verb::Write
            | Verb::ServiceStop
            | Verb::ServiceRestart
            | Verb::OpenBrowsers
            | Verb::Recycle
            | Verb::Remove
            | Verb::Wait => None,
        };
        if let Some(Operation::Reboot { .. }) = operated {
            self.lives.reboot();
        }
        if let (Some(Operation::Tamper { with: Tampering::PidOf(name), .. }), Some(of)) = (&operated, of) {
            self.lives.wait_settled(name, &of.value.span(), diagnostics);
        }
        match verb {
            Verb::Start => self.named(field, diagnostics, Lives::start_by_name).map(Action::Start),
            Verb::Stop => self.signal(field, Sent::Stop, diagnostics).map(Action::Stop),
            Verb::Kill => self.signal(field, Sent::Kill, diagnostics).map(Action::Kill),
            Verb::Pause => self.signal(field, Sent::Pause, diagnostics).map(Action::Pause),
            Verb::Resume => self.signal(field, Sent::Resume, diagnostics).map(Action::Resume),
            Verb::Restart => self.signal(field, Sent::Restart, diagnostics).map(Action::Restart),
            Verb::Write => self.signal(field, Sent::Write, diagnostics).map(Action::Write),
            Verb::ServiceStop => self.order(field, Order::Stop, diagnostics),
            Verb::ServiceRestart => self.order(field, Order::Restart, diagnostics),
            Verb::OpenBrowsers => self.open_browsers(field, diagnostics),
            Verb::Recycle => self.recycle(field, heir, diagnostics),
            Verb::Remove => self.remove(field, modifiers.state, diagnostics),
            Verb::Tamper
            | Verb::Move
            | Verb::Chmod
            | Verb::Disk
            | Verb::Lose
            | Verb::Clock
            | Verb::Suspend
            | Verb::Pass
            | Verb::Reboot => operated.map(Action::Operate),
            Verb::Wait => self.wait(field, diagnostics).map(Action::Wait),
        }
    }

    fn signal(&mut self, verb: Field<'_>, sent: Sent, diagnostics: &mut Diagnostics) -> Option<Vec<String>> {
        self.named(verb, diagnostics, |lives, who, at, diagnostics| {
            lives.signal(sent, who, at, diagnostics);
        })
    }

    fn order(&mut self, verb: Field<'_>, order: Order, diagnostics: &mut Diagnostics) -> Option<Action> {
        let named = self.named(verb, diagnostics, Lives::order);
        named.map(|names| Action::Order(order, names))
    }

    /// A name or a list of names, each of which the step acts on.
    pub(super) fn named(
        &mut self,
        verb: Field<'_>,
        diagnostics: &mut Diagnostics,
        mut act: impl FnMut(&mut Lives, &Declared, Range<usize>, &mut Diagnostics),
    ) -> Option<Vec<String>> {
        let what = format!("`{}`", verb.name());
        let values = match verb.value.get_ref() {
            DeValue::String(_) => std::slice::from_ref(verb.value),
            DeValue::Array(_) => filled_list(&what, verb.value, diagnostics)?,
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => {
                wrong_type(&what, "a name or a list of names", verb.value, diagnostics);
                return None;
            }
        };
        let mut found = Vec::new();
        for value in values {
            let Some(name) = text(&what, value, diagnostics) else { continue };
            let at = value.span();
            let Some(who) = self.names.resolve(name, at.clone(), diagnostics) else { continue };
            if found.iter().any(|earlier| earlier == name) {
                diagnostics.add(
                    Problem::new(format!("`{name}` is named twice in one step"), at).label("again here"),
                );
                continue;
            }
            act(&mut self.lives, who, at, diagnostics);
            found.push(name.to_owned());
        }
        (found.len() == values.len()).then_some(found)
    }

    fn recycle(
        &mut self,
        verb: Field<'_>,
        heir: Option<Field<'_>>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Action> {
        let old = text("`recycle`", verb.value, diagnostics);
        let old = old.and_then(|name| self.names.resolve(name, verb.value.span(), diagnostics));
        let Some(heir) = heir else {
            diagnostics.add_if_whole(
                Problem::new("`recycle` does not say who gets the pid", verb.key.span())
                    .label("`as` is missing")
                    .help("name a bystander, for instance `recycle = \"old\", as = \"cron\"`"),
            );
            return None;
        };
        let new = text("`as`", heir.value, diagnostics);
        let new = new.and_then(|name| self.names.resolve(name, heir.value.span(), diagnostics));
        let (old, new) = old.zip(new)?;
        if new.kind == Kind::Gateway {
            diagnostics.add(
                Problem::new(format!("`{}` is a gateway", new.name), heir.value.span())
                    .label("must be a bystander")
                    .note(new.at.clone(), "declared here"),
            );
            return None;
        }
        let given = (&*old.name, verb.value.span());
        self.lives.recycle(given, (new, heir.value.span()), diagnostics);
        Some(Action::Recycle { old: old.name.clone(), new: new.name.clone() })
    }

    fn remove(
        &self,
        verb: Field<'_>,
        state: Option<Field<'_>>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Action> {
        let what = text("`remove`", verb.value, diagnostics);
        if let Some(what) = what
            && ![LOCK_FILE, STATE_DIRECTORY].contains(&what)
        {
            diagnostics.add(
                Problem::new(format!("an operator cannot remove `{what}`"), verb.value.span())
                    .label("not known")
                    .maybe_help(did_you_mean_or_list(
                        "what can be removed is",
                        what,
                        &[LOCK_FILE, STATE_DIRECTORY],
                    )),
            );
        }
        let Some(state) = state else {
            diagnostics.add_if_whole(
                Problem::new("`remove` does not say whose lock file", verb.key.span())
                    .label("`state` is missing")
                    .help("name the label, for instance `remove = \"lock-file\", state = \"S\"`"),
            );
            return None;
        };
        let label = text("`state`", state.value, diagnostics)?;
        let state = self.names.resolve_state(label, state.value.span(), diagnostics)?;
        Some(match what? {
            STATE_DIRECTORY => Action::Operate(Operation::RemoveState { state }),
            _ => Action::RemoveLockFile { state },
        })
    }

    /// A step that could not be read may have been about anybody it mentions, so nothing more is said about them.
    fn excuse_all_in(&mut self, value: &DeValue<'_>) {
        match value {
            DeValue::String(text) => {
                let known = self.names.processes().map(|declared| &*declared.name);
                if let Some(name) = closest(text.split('.').next().unwrap_or_default(), known) {
                    self.lives.excuse(name);
                }
            }
            DeValue::Array(values) => values.iter().for_each(|value| self.excuse_all_in(value.get_ref())),
            DeValue::Table(table) => table.values().for_each(|value| self.excuse_all_in(value.get_ref())),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }
}

/// The only verb of a step.
fn one_verb<'t>(verbs: &[(Verb, Field<'t>)], diagnostics: &mut Diagnostics) -> Option<(Verb, Field<'t>)> {
    let mut in_order = verbs.to_vec();
    in_order.sort_by_key(|(_, field)| field.key.span().start);
    if let [(_, first), (_, second), ..] = &in_order[..] {
        diagnostics.add(
            Problem::new("two verbs in one step", second.key.span())
                .label("a second verb")
                .note(first.key.span(), "the first")
                .help("make it two steps: what they set in motion interleaves all the same"),
        );
        return None;
    }
    in_order.pop()
}

/// Reports a modifier that belongs to another verb.
fn misplaced(field: Option<Field<'_>>, verb: &str, diagnostics: &mut Diagnostics) {
    if let Some(field) = field {
        let name = field.name();
        diagnostics.add(
            Problem::new(format!("`{name}` belongs to `{verb}`"), field.key.span())
                .label("means nothing here")
                .help("leave it out"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Verb, format};

    #[test]
    fn the_verbs_that_are_read_are_those_that_are_published() {
        assert_eq!(Verb::ALL.map(Verb::word), format::STEPS.map(|step| step.verb.name));
    }
}
