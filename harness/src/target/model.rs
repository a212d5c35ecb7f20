//! A target as plain data: everything that a run needs, nothing about how the file spelled it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sim::Telling;

use super::events::Log;
use super::pattern::{Day, Glob, Pattern};
use super::template::{Piece, Template};
use crate::scenario::{FIRST_ABOVE, MOST_BROWSERS};

/// The ports of a gateway's browsers in `[ports]`.
const BROWSERS: &str = "cdp";

/// One target file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What it is called in reports.
    pub name: String,
    /// Whether a known deviation that does not show is a failure.
    pub strict: bool,
    /// The command that tells its version; empty: nobody knows.
    pub version: Vec<Template>,
    /// The command that starts it.
    pub start: Vec<Template>,
    /// Its environment, besides `PATH` and `HOME`.
    pub env: Vec<(String, Template)>,
    /// The variables of portcullis's own environment that it gets too.
    pub inherit: Vec<String>,
    /// Where it is started; `None`: in the directory of the run.
    pub workdir: Option<Template>,
    /// Files that are there before anything starts, and what is in them.
    pub files: Vec<(Template, Template)>,
    /// How it is seen that it serves.
    pub ready: Signs,
    /// How long that may take.
    pub ready_within: Patience,
    /// How it is seen that a ready one still answers; `None`: it is not looked at.
    pub answers: Option<Probe>,
    /// What asks it to stop.
    pub stop: StopSignal,
    /// How long that may take.
    pub stop_within: Patience,
    /// What asks it to begin anew in place; `None`: it cannot.
    pub restart: Option<StopSignal>,
    /// What asks it for a write at once; `None`: nothing does.
    pub write: Option<StopSignal>,
    /// Its ports.
    pub ports: Ports,
    /// The files that it keeps others out with.
    pub locks: Locks,
    /// What it gets where a scenario asks for more than a state directory and a port.
    pub options: BTreeMap<Feature, Extra>,
    /// What its refusals look like; the first that fits counts.
    pub refusals: Vec<Refusal>,
    /// What the lines of its log mean.
    pub log: Log,
    /// Where it is known not to do what a scenario expects.
    pub known: Vec<Known>,
}

/// How something is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signs {
    /// It prints the events of `refgate gateway --json`.
    Events,
    /// It prints a line.
    Log(Pattern),
    /// It answers.
    Probe(Probe),
}

/// A question to one of its ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// How far the port is above the base.
    pub above: u16,
    /// What is asked.
    pub request: Request,
}

/// What is asked, and what the answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// That it takes a connection.
    Tcp,
    /// `GET`.
    Http {
        /// The path.
        path: String,
        /// The status of the answer.
        status: u16,
        /// What must occur in a line of the answer.
        body: Option<Pattern>,
    },
    /// An upgrade to a WebSocket.
    WebSocket {
        /// The path.
        path: String,
    },
}

/// For how long something is waited for, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Patience(pub u64);

/// A signal that a gateway is asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StopSignal {
    /// `TERM`
    Term,
    /// `INT`
    Int,
    /// `HUP`
    Hup,
    /// `QUIT`
    Quit,
    /// `USR1`
    Usr1,
    /// `USR2`
    Usr2,
}

/// The ports of a gateway, by name, as distances above its base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports(pub BTreeMap<String, Range>);

/// Neighbouring ports, as distances above the base, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Range {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

/// The files that a gateway keeps others out with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// Where they lie. They are looked at and never touched, unless a step of a scenario deletes them or
    /// overwrites what is in them.
    pub files: Vec<Template>,
    /// Whether nobody ever deletes or replaces them, not even when nobody owns.
    pub permanent: bool,
    /// Names of the files that an owner may write at any time; everything else is written by nobody who is refused.
    /// Empty: nothing is known, and what a refused start leaves beside a living owner is not judged.
    pub owner_writes: Vec<Glob>,
}

/// What a scenario may ask of a gateway besides a state directory and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Feature {
    /// `config`: a configuration file outside of its state directory.
    Config,
    /// `workspace`: a directory for its agents.
    Workspace,
    /// `allow-file-lock`: that it may rely on a lock file alone.
    AllowFileLock,
    /// `allow-remote-fs`: that its state may lie on a file system that other machines reach.
    AllowRemoteFs,
}

/// What a gateway gets where a scenario asks for a feature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// More arguments.
    pub args: Vec<Template>,
    /// More variables.
    pub env: Vec<(String, Template)>,
    /// More files that are there before anything starts.
    pub files: Vec<(Template, Template)>,
}

/// What one kind of refusal looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The reason, as scenarios name it.
    pub reason: String,
    /// The exit statuses; empty: any.
    pub exit: Vec<u8>,
    /// What a line of the error output holds.
    pub stderr: Option<Pattern>,
    /// What a line of the output holds.
    pub stdout: Option<Pattern>,
    /// The exit status of scenarios that this one stands for; `None`: for itself.
    pub means: Option<u8>,
}

/// A case that a target is known not to pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The cases.
    pub case: Glob,
    /// The check that does not hold; `None`: any.
    pub check: Option<String>,
    /// Why that is so.
    pub because: String,
    /// Where it is discussed.
    pub issue: Option<String>,
    /// The last day on which it is accepted; `None`: there is none.
    pub until: Option<Day>,
    /// Whether it does not show in every run, so that a pass is no news.
    pub sometimes: bool,
    /// The line in the target file, counted from 1.
    pub line: usize,
}

impl Feature {
    /// Every one of them, with its name in a target file.
    pub const ALL: [(&'static str, Self); 4] = [
        ("config", Self::Config),
        ("workspace", Self::Workspace),
        ("allow-file-lock", Self::AllowFileLock),
        ("allow-remote-fs", Self::AllowRemoteFs),
    ];

    /// Its name in a target file.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, feature)| *feature == self).map_or("", |(name, _)| name)
    }
}

impl StopSignal {
    /// Every one of them, with its name in a target file.
    pub const ALL: [(&'static str, Self); 6] = [
        ("TERM", Self::Term),
        ("INT", Self::Int),
        ("HUP", Self::Hup),
        ("QUIT", Self::Quit),
        ("USR1", Self::Usr1),
        ("USR2", Self::Usr2),
    ];
}

impl Ports {
    /// How far the highest port is above the base.
    pub fn span(&self) -> u16 {
        self.0.values().map(|range| range.last).max().unwrap_or_default()
    }

    /// The first port that two gateways with these bases both have, if there is one.
    pub fn clash(&self, one: u16, other: u16) -> Option<u16> {
        let at = |base: u16, above: u16| u32::from(base) + u32::from(above);
        let both = self.0.values().flat_map(|mine| self.0.values().map(move |theirs| (mine, theirs)));
        let shared = both.filter_map(|(mine, theirs)| {
            let first = at(one, mine.first).max(at(other, theirs.first));
            let last = at(one, mine.last).min(at(other, theirs.last));
            (first <= last).then_some(first)
        });
        shared.min().and_then(|port| u16::try_from(port).ok())
    }

    /// How far above its base the ports of a gateway's browsers begin.
    pub(crate) fn first_of_browsers(&self) -> u16 {
        self.0.get(BROWSERS).map_or(FIRST_ABOVE, |range| range.first)
    }

    /// How many browsers have a port of their own.
    pub(crate) fn room_for_browsers(&self) -> u16 {
        self.0.get(BROWSERS).map_or(MOST_BROWSERS, |range| range.last - range.first + 1)
    }

    /// The name of a port, if it has one.
    pub fn name(&self, above: u16) -> Option<&str> {
        let found = self.0.iter().find(|(_, range)| (range.first..=range.last).contains(&above));
        found.map(|(name, _)| name.as_str())
    }
}

impl Target {
    /// Whether it tells its events, so that more can be judged than what is seen from outside.
    pub fn tells_events(&self) -> bool {
        self.ready == Signs::Events
    }

    /// Whether a refusal for that reason can say who is in the way.
    pub fn can_name(&self, reason: &str) -> bool {
        let names = |pattern: &Pattern| pattern.has_group("pid");
        self.tells_events()
            || self.refusals.iter().filter(|refusal| refusal.reason == reason).any(|refusal| {
                refusal.stderr.as_ref().is_some_and(names) || refusal.stdout.as_ref().is_some_and(names)
            })
    }

    /// Whether it tells this of itself, so that a step can wait for it.
    pub fn can_tell(&self, telling: Telling) -> bool {
        let word = telling.name();
        let is_known = self.tells_events() || (telling == Telling::Refused && !self.refusals.is_empty());
        let kind = |emits: &str| emits.split(':').next().unwrap_or_default().to_owned();
        is_known || self.log.events.iter().any(|event| kind(&event.emits) == word)
    }

    /// Whether a scenario may ask this of it.
    pub fn has(&self, feature: Feature) -> bool {
        let piece = match feature {
            Feature::Config => Some(Piece::Config),
            Feature::Workspace => Some(Piece::Workspace),
            Feature::AllowFileLock | Feature::AllowRemoteFs => None,
        };
        self.options.contains_key(&feature) || piece.is_some_and(|piece| self.tells(&piece))
    }

    /// Whether every gateway is told this, whatever the scenario asks for.
    pub(super) fn tells(&self, piece: &Piece) -> bool {
        self.told().any(|template| template.has(piece))
    }

    /// Whether every gateway is told its port.
    pub(super) fn tells_port(&self) -> bool {
        self.told().any(Template::has_port)
    }

    /// All words that reach a gateway.
    fn told(&self) -> impl Iterator<Item = &Template> {
        let env = self.env.iter().map(|(_, template)| template);
        let files = self.files.iter().flat_map(|(path, text)| [path, text]);
        self.start.iter().chain(env).chain(files).chain(&self.workdir)
    }

    /// The known deviation that a failure of a case is, if it is one that is still accepted on that day.
    pub fn excuse(&self, case: &str, check: &str, today: Day) -> Option<&Known> {
        self.known_for(case).find(|known| {
            known.check.as_deref().is_none_or(|wanted| wanted == check)
                && known.until.is_none_or(|last| today <= last)
        })
    }

    /// The known deviations of a case.
    pub fn known_for(&self, case: &str) -> impl Iterator<Item = &Known> {
        self.known.iter().filter(move |known| known.case.admits(case))
    }
}

#[cfg(test)]
mod tests {
    use super::{Ports, Range};

    #[test]
    fn the_documented_distance_of_20_shares_ports_and_111_is_the_first_that_does_not() {
        let range = |first, last| Range { first, last };
        let ports = Ports([("control".to_owned(), range(0, 0)), ("cdp".to_owned(), range(11, 110))].into());
        assert_eq!(ports.span(), 110);
        for (distance, shared) in
            [(0, Some(18_789)), (20, Some(18_809)), (5, Some(18_805)), (110, Some(18_899))]
        {
            assert_eq!(ports.clash(18_789, 18_789 + distance), shared, "{distance}");
            assert_eq!(ports.clash(18_789 + distance, 18_789), shared, "{distance}");
        }
        assert_eq!(ports.clash(18_789, 18_900), None);
        assert_eq!(ports.clash(65_500, 65_535), Some(65_535));
        assert_eq!(ports.name(12), Some("cdp"));
        assert_eq!(ports.name(1), None);
    }
}
