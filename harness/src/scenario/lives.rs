//! Follows each process through the steps, so that a step that cannot mean anything is found before anything runs.
//!
//! Each process is started once: its name is a lane of the report, and a lane has one life. Only one that is looked after
//! by a supervisor may have more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sim::Telling;

use super::diagnostics::Diagnostics;
use super::names::{Declared, Kind, Names};
use super::problem::Problem;

/// The signals that a step sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Stop,
    Kill,
    Pause,
    Resume,
    Restart,
    Write,
}

/// What the steps so far did to one process.
#[derive(Clone, Debug, Default)]
struct Life {
    started: Option<Range<usize>>,
    stopped: bool,
    killed: Option<Range<usize>>,
    paused: Option<Range<usize>>,
    gone: bool,
    pid_given_to: Option<String>,
}

/// What the steps so far did to everybody.
#[derive(Debug, Default)]
pub(super) struct Lives {
    lives: BTreeMap<String, Life>,
    /// Named in a step that could not be read: what happens to them is not known.
    excused: BTreeSet<String>,
}

impl Lives {
    /// Nothing is known about this process from here on.
    pub(super) fn excuse(&mut self, name: &str) {
        self.excused.insert(name.to_owned());
    }

    pub(super) fn start(&mut self, who: &Declared, at: Range<usize>, diagnostics: &mut Diagnostics) {
        let name = &who.name;
        let life = self.lives.entry(name.clone()).or_default();
        if let Some(first) = life.started.as_ref().filter(|_| !who.is_supervised) {
            diagnostics.add(
                Problem::new(format!("`{name}` is started twice"), at)
                    .label("again here")
                    .note(first.clone(), "first started here")
                    .help("each name has one life: declare another one"),
            );
            return;
        }
        life.started = Some(at);
    }

    /// A step starts this process by its name.
    pub(super) fn start_by_name(&mut self, who: &Declared, at: Range<usize>, diagnostics: &mut Diagnostics) {
        match &who.browser_of {
            None => self.start(who, at, diagnostics),
            Some(gateway) => {
                diagnostics.add(
                    Problem::new(format!("`{}` is opened by `{gateway}`", who.name), at)
                        .label("a browser, which no step starts")
                        .note(who.at.clone(), "declared here")
                        .help(format!("write `{{ open_browsers = \"{gateway}\" }}`")),
                );
                self.excuse(&who.name);
            }
        }
    }

    /// A gateway opens those of its browsers that were not born before.
    pub(super) fn open_browsers(
        &mut self,
        who: &Declared,
        names: &Names,
        at: &Range<usize>,
        diagnostics: &mut Diagnostics,
    ) {
        let name = &who.name;
        let Some(life) = self.living(name, at, diagnostics) else {
            names.browsers_of(name).for_each(|browser| self.excuse(&browser.name));
            return;
        };
        if let Some(killed) = &life.killed {
            diagnostics.add(
                Problem::new(format!("`{name}` was killed before"), at.clone())
                    .label("opens nothing any more")
                    .note(killed.clone(), "killed here"),
            );
        }
        let mut first = None;
        let mut has_opened = false;
        for browser in names.browsers_of(name) {
            let life = self.lives.entry(browser.name.clone()).or_default();
            first = first.or_else(|| life.started.clone());
            has_opened |= life.started.is_none();
            life.started.get_or_insert_with(|| at.clone());
        }
        if let Some(first) = first.filter(|_| !has_opened) {
            diagnostics.add(
                Problem::new(format!("`{name}` opens its browsers twice"), at.clone())
                    .label("again here")
                    .note(first, "first opened here")
                    .help("each of them has one life"),
            );
        }
    }

    /// The supervisor of a process is asked for something.
    pub(super) fn order(&mut self, who: &Declared, at: Range<usize>, diagnostics: &mut Diagnostics) {
        let name = &who.name;
        if !who.is_supervised {
            diagnostics.add(
                Problem::new(format!("`{name}` has no supervisor"), at.clone())
                    .label("nobody to ask")
                    .note(who.at.clone(), "declared here")
                    .help("give it one, for instance `supervisor = { kind = \"systemd\" }`"),
            );
        }
        if let Some(life) = self.living(name, &at, diagnostics) {
            life.stopped = true;
        }
    }

    pub(super) fn signal(
        &mut self,
        sent: Sent,
        who: &Declared,
        at: Range<usize>,
        diagnostics: &mut Diagnostics,
    ) {
        let name = &who.name;
        let Some(life) = self.living(name, &at, diagnostics) else { return };
        let problem = |message: String| Problem::new(message, at.clone());
        let found = match (sent, &life.killed, &life.paused) {
            (
                Sent::Stop | Sent::Kill | Sent::Pause | Sent::Resume | Sent::Restart | Sent::Write,
                Some(killed),
                _,
            ) => Some(problem(format!("`{name}` was killed before")).note(killed.clone(), "killed here")),
            (Sent::Pause, None, Some(paused)) => {
                Some(problem(format!("`{name}` is paused already")).note(paused.clone(), "paused here"))
            }
            (Sent::Resume, None, None) => Some(problem(format!("`{name}` is not paused"))),
            (Sent::Write, None, _) if who.kind == Kind::Bystander => {
                Some(problem(format!("`{name}` writes nothing")).note(who.at.clone(), "declared here"))
            }
            (Sent::Stop | Sent::Kill | Sent::Restart | Sent::Write, None, _)
            | (Sent::Pause, None, None)
            | (Sent::Resume, None, Some(_)) => None,
        };
        match sent {
            Sent::Stop => life.stopped = true,
            // It may be started again, so nothing is known of how it ends.
            Sent::Kill if who.is_supervised => (life.stopped, life.paused) = (true, None),
            Sent::Kill => (life.killed, life.paused) = (Some(at), None),
            Sent::Pause => life.paused = Some(at),
            Sent::Resume => life.paused = None,
            // Who does not catch it dies of it.
            Sent::Restart | Sent::Write => life.stopped = true,
        }
        if let Some(found) = found {
            diagnostics.add(found);
        }
    }

    /// `new` is born with the pid of `old`.
    pub(super) fn recycle(
        &mut self,
        (old, old_at): (&str, Range<usize>),
        (new, new_at): (&Declared, Range<usize>),
        diagnostics: &mut Diagnostics,
    ) {
        if let Some(life) = self.living(old, &old_at, diagnostics) {
            if !life.gone && !life.stopped && life.killed.is_none() {
                diagnostics.add(
                    Problem::new(format!("`{old}` may still be alive"), old_at.clone())
                        .label("its pid is not free here")
                        .help(format!("add `{{ kill = \"{old}\" }}` before this step")),
                );
            }
            if let Some(taken) = life.pid_given_to.replace(new.name.clone()) {
                diagnostics.add(
                    Problem::new(format!("the pid of `{old}` is given away twice"), old_at)
                        .label(format!("`{taken}` has it")),
                );
            }
        }
        self.start(new, new_at, diagnostics);
    }

    /// A host reboots: whoever runs may be on it.
    pub(super) fn reboot(&mut self) {
        for life in self.lives.values_mut() {
            life.stopped = true;
        }
    }

    pub(super) fn wait_settled(&mut self, name: &str, at: &Range<usize>, diagnostics: &mut Diagnostics) {
        self.living(name, at, diagnostics);
    }

    pub(super) fn wait_ready(&mut self, who: &Declared, at: &Range<usize>, diagnostics: &mut Diagnostics) {
        let name = &who.name;
        if who.kind == Kind::Bystander {
            diagnostics.add(
                Problem::new(format!("`{name}` is never ready"), at.clone())
                    .label("a bystander, not a gateway")
                    .note(who.at.clone(), "declared here"),
            );
        }
        let Some(life) = self.living(name, at, diagnostics) else { return };
        if let Some(killed) = &life.killed {
            diagnostics.add(
                Problem::new(format!("`{name}` can no longer become ready"), at.clone())
                    .label("waits forever")
                    .note(killed.clone(), "killed here"),
            );
        }
    }

    pub(super) fn wait_told(
        &mut self,
        telling: Telling,
        who: &Declared,
        at: &Range<usize>,
        diagnostics: &mut Diagnostics,
    ) {
        let name = &who.name;
        if who.kind == Kind::Bystander {
            diagnostics.add(
                Problem::new(format!("`{name}` tells nothing"), at.clone())
                    .label("a bystander, not a gateway")
                    .note(who.at.clone(), "declared here"),
            );
        }
        let Some(life) = self.living(name, at, diagnostics) else { return };
        if let Some(killed) = &life.killed {
            diagnostics.add(
                Problem::new(
                    format!("`{name}` may have been killed before it was {}", telling.name()),
                    at.clone(),
                )
                .label("may wait forever")
                .note(killed.clone(), "killed here"),
            );
        }
    }

    pub(super) fn wait_gone(&mut self, who: &Declared, at: &Range<usize>, diagnostics: &mut Diagnostics) {
        let name = &who.name;
        let Some(life) = self.living(name, at, diagnostics) else { return };
        if who.kind == Kind::Bystander && !who.is_busy && !life.stopped && life.killed.is_none() {
            diagnostics.add(
                Problem::new(format!("nothing ends `{name}`"), at.clone())
                    .label("waits forever")
                    .help(format!("a bystander does not end by itself: add `{{ stop = \"{name}\" }}`")),
            );
        }
        life.gone = true;
    }

    /// The life of a process that must have been started.
    fn living(&mut self, name: &str, at: &Range<usize>, diagnostics: &mut Diagnostics) -> Option<&mut Life> {
        let life = self.lives.get_mut(name);
        if life.is_none() && !self.excused.contains(name) {
            diagnostics.add_if_whole(
                Problem::new(format!("`{name}` is not started before this step"), at.clone())
                    .label("nothing runs under this name here")
                    .help(format!("add `{{ start = \"{name}\" }}` before it")),
            );
        }
        life
    }

    /// Whoever is declared must be started.
    pub(super) fn finish(&self, names: &Names, diagnostics: &mut Diagnostics) {
        for declared in names.processes() {
            let name = &declared.name;
            if self.lives.contains_key(name) || self.excused.contains(name) {
                continue;
            }
            if let Some(gateway) = &declared.browser_of {
                self.never_opened(gateway, declared, names, diagnostics);
                continue;
            }
            diagnostics.add_if_whole(
                Problem::new(format!("`{name}` is never started"), declared.at.clone())
                    .label("declared here")
                    .help("start it in `[run]`, or remove it"),
            );
        }
    }

    /// Reports once that a gateway never opens its browsers, where the first of them is met.
    fn never_opened(&self, gateway: &str, browser: &Declared, names: &Names, diagnostics: &mut Diagnostics) {
        let is_first = names.browsers_of(gateway).next().is_some_and(|first| first.name == browser.name);
        if is_first && !self.excused.contains(gateway) {
            diagnostics.add_if_whole(
                Problem::new(format!("`{gateway}` never opens its browsers"), browser.at.clone())
                    .label("declared here")
                    .help(format!("add `{{ open_browsers = \"{gateway}\" }}`, or leave them out")),
            );
        }
    }

    /// Why this process cannot end up killed although the file says so; `None` if it can.
    pub(super) fn cannot_end_killed(&self, who: &Declared, kills: u8) -> Option<&'static str> {
        let life = self.known(who)?;
        let explored = who.kind == Kind::Gateway && kills > 0;
        (life.killed.is_none() && !life.stopped && !explored).then_some("nothing kills it")
    }

    /// The same for being started again and again.
    pub(super) fn cannot_end_restarting(&self, who: &Declared) -> Option<&'static str> {
        (!who.is_supervised).then_some("nobody starts it again")
    }

    /// The same for paused.
    pub(super) fn cannot_end_paused(&self, who: &Declared) -> Option<&'static str> {
        self.known(who)?.paused.is_none().then_some("nothing leaves it paused")
    }

    /// The same for ready or running.
    pub(super) fn cannot_end_alive(&self, who: &Declared) -> Option<&'static str> {
        self.known(who)?.killed.is_some().then_some("a step kills it")
    }

    fn known(&self, who: &Declared) -> Option<&Life> {
        self.lives.get(&who.name).filter(|_| !self.excused.contains(&who.name))
    }
}
