//! Who and what a file declares, so that every other part can ask whether a name means anything.

use std::ops::Range;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::operations::LOCAL_HOST;
use super::problem::Problem;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A contender.
    Gateway,
    /// A process that is no gateway.
    Bystander,
}

/// A name and the place that declares it.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether somebody starts it again when it has ended.
    pub(super) is_supervised: bool,
    /// Whether it ends by itself although it is a bystander.
    pub(super) is_busy: bool,
    /// The gateway that opens it, if it is a browser.
    pub(super) browser_of: Option<String>,
    pub(super) at: Range<usize>,
}

/// All names of a file. A table whose contents are wrong still declares its name, so that one mistake stays one.
#[derive(Debug, Default)]
pub(super) struct Names {
    processes: Vec<Declared>,
    states: Vec<String>,
    mounted: Vec<String>,
    /// The links to state directories: each with the directory and where it is written.
    links: Vec<(String, Option<String>, Range<usize>)>,
    hosts: Vec<String>,
    /// Somebody kills processes whom the steps do not name.
    has_killer: bool,
}

impl Names {
    /// Adds a gateway or bystander; a name that is taken is a problem.
    pub(super) fn declare(
        &mut self,
        name: &str,
        kind: Kind,
        at: Range<usize>,
        diagnostics: &mut Diagnostics,
    ) {
        if let Some(first) = self.find(name) {
            diagnostics.add(
                Problem::new(format!("`{name}` is declared twice"), at)
                    .label("again here")
                    .note(first.at.clone(), "first declared here")
                    .help("gateways and processes share one set of names: rename one of them"),
            );
            return;
        }
        self.processes.push(Declared {
            name: name.to_owned(),
            kind,
            is_supervised: false,
            is_busy: false,
            browser_of: None,
            at,
        });
    }

    /// Adds a browser that a gateway opens. It ends by itself if its port is taken.
    pub(super) fn declare_browser(
        &mut self,
        name: &str,
        of: &str,
        at: Range<usize>,
        diagnostics: &mut Diagnostics,
    ) {
        let before = self.processes.len();
        self.declare(name, Kind::Bystander, at, diagnostics);
        if let Some(declared) = self.processes.get_mut(before) {
            declared.is_busy = true;
            declared.browser_of = Some(of.to_owned());
        }
    }

    /// The browsers of a gateway.
    pub(super) fn browsers_of(&self, gateway: &str) -> impl Iterator<Item = &Declared> {
        self.processes.iter().filter(move |declared| declared.browser_of.as_deref() == Some(gateway))
    }

    /// Somebody starts this one again when it has ended.
    pub(super) fn supervise(&mut self, name: &str) {
        if let Some(declared) = self.processes.iter_mut().find(|declared| declared.name == name) {
            declared.is_supervised = true;
        }
    }

    /// This bystander does something and ends.
    pub(super) fn keep_busy(&mut self, name: &str) {
        if let Some(declared) = self.processes.iter_mut().find(|declared| declared.name == name) {
            declared.is_busy = true;
        }
    }

    /// Somebody kills processes whom the steps do not name.
    pub(super) fn declare_killer(&mut self) {
        self.has_killer = true;
    }

    /// Whether somebody does.
    pub(super) fn has_killer(&self) -> bool {
        self.has_killer
    }

    pub(super) fn declare_host(&mut self, label: &str) {
        if !self.hosts.iter().any(|host| host == label) {
            self.hosts.push(label.to_owned());
        }
    }

    pub(super) fn declare_mount(&mut self, label: &str) {
        self.mounted.push(label.to_owned());
    }

    /// Whether a state directory lies on a mount of its own.
    pub(super) fn is_mounted(&self, label: &str) -> bool {
        self.mounted.iter().any(|mounted| mounted == label)
    }

    pub(super) fn declare_state(&mut self, label: &str) {
        if !self.states.iter().any(|state| state == label) {
            self.states.push(label.to_owned());
        }
    }

    pub(super) fn declare_link(&mut self, label: &str, state: Option<&str>, at: Range<usize>) {
        self.links.push((label.to_owned(), state.map(str::to_owned), at));
    }

    /// A link is no directory, and leads to one only.
    pub(super) fn check_links(&self, diagnostics: &mut Diagnostics) {
        for (place, (label, state, at)) in self.links.iter().enumerate() {
            if self.states.contains(label) {
                diagnostics.add(
                    Problem::new(format!("the link `{label}` is a state directory"), at.clone())
                        .label("the label of a directory")
                        .help("give the link a label of its own"),
                );
            }
            let is_other = |(known, to, _): &&(String, Option<String>, Range<usize>)| {
                known == label && to.is_some() && state.is_some() && to != state
            };
            if let Some((_, _, first)) = self.links[..place].iter().find(is_other) {
                diagnostics.add(
                    Problem::new(format!("the link `{label}` leads to two directories"), at.clone())
                        .label("to another one here")
                        .note(first.clone(), "first used here")
                        .help("give one of them another label"),
                );
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Declared> {
        self.processes.iter().find(|declared| declared.name == name)
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = &Declared> {
        self.processes.iter()
    }

    /// The declaration of a name; an unknown name is a problem.
    pub(super) fn resolve(
        &self,
        name: &str,
        at: Range<usize>,
        diagnostics: &mut Diagnostics,
    ) -> Option<&Declared> {
        let found = self.find(name);
        if found.is_none() {
            let known: Vec<_> = self.processes.iter().map(|declared| &*declared.name).collect();
            diagnostics.add_if_whole(
                Problem::new(format!("no process is called `{name}`"), at)
                    .label("not declared in this file")
                    .maybe_help(did_you_mean_or_list("declared are", name, &known)),
            );
        }
        found
    }

    /// Whether a label is a host; one that is not is a problem.
    pub(super) fn resolve_host(
        &self,
        label: &str,
        at: Range<usize>,
        diagnostics: &mut Diagnostics,
    ) -> Option<String> {
        let known: Vec<_> = [LOCAL_HOST].into_iter().chain(self.hosts.iter().map(|host| &**host)).collect();
        if known.contains(&label) {
            return Some(label.to_owned());
        }
        diagnostics.add_if_whole(
            Problem::new(format!("no gateway runs on a host `{label}`"), at)
                .label("no such label")
                .maybe_help(did_you_mean_or_list("hosts are", label, &known)),
        );
        None
    }

    /// Whether a label is a state directory; one that is not is a problem.
    pub(super) fn resolve_state(
        &self,
        label: &str,
        at: Range<usize>,
        diagnostics: &mut Diagnostics,
    ) -> Option<String> {
        if self.states.iter().any(|state| state == label) {
            return Some(label.to_owned());
        }
        let known: Vec<_> = self.states.iter().map(|state| &**state).collect();
        diagnostics.add_if_whole(
            Problem::new(format!("no gateway has the state `{label}`"), at)
                .label("no such label")
                .maybe_help(did_you_mean_or_list("labels in use are", label, &known)),
        );
        None
    }
}

/// `[a-z][a-z0-9-]*`, as a name of a process.
pub(crate) fn is_name(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(rest)
}

/// `[A-Za-z][A-Za-z0-9-]*`, as a label of a directory or a file.
pub(super) fn is_label(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(rest)
}

/// `[a-z0-9-]+`, as a tag.
pub(super) fn is_tag(text: &str) -> bool {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(part)
}
