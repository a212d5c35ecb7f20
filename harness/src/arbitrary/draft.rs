//! A scenario before it is written down: who shares what, when they start, and what is done to them.
//!
//! # Invariants
//!
//! - Every draft is a valid file: what makes no sense where it would happen, for instance a signal to the dead, is left out.
//! - The same draft is the same text, and what is as usual is not mentioned in it.

use std::fmt::Write as _;

use super::Fault;
use crate::scenario::Check;

/// The base port of the first gateway.
const BASE: usize = 18_789;
/// What a gateway with ports of its own has above that, for each one before it.
const APART: usize = 200;
/// What a stranger looks like that is given the pid of a dead gateway.
const STRANGER: &str = "/usr/sbin/cron -f";

/// How numbers of gateways begin a title.
const NUMBERS: [&str; 5] = ["No gateway", "One gateway", "Two gateways", "Three gateways", "Four gateways"];

/// A scenario.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) contenders: Vec<Contender>,
    /// How many start before anything is done to them; 0: all.
    pub(super) early: usize,
    /// Whether these have settled by then.
    pub(super) has_settled: bool,
    pub(super) blows: Vec<Blow>,
    /// Whether the explorer kills one at any call.
    pub(super) is_deadly: bool,
    pub(super) preemptions: u8,
    pub(super) span: u16,
    pub(super) always: Vec<Check>,
}

/// What a gateway shares with the first one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contender {
    pub(super) has_own_state: bool,
    pub(super) ports: Ports,
    pub(super) shares_config: bool,
    pub(super) shares_workspace: bool,
}

/// The ports of a gateway, as seen from those of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    Same,
    Overlapping,
    Apart,
}

/// Something that is done to one gateway, or to what it uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blow {
    pub(super) fault: Fault,
    /// Whom it meets, counted among those that were started, round and round.
    pub(super) who: usize,
    /// Whether everybody settles before anything else happens.
    pub(super) settles: bool,
}

/// What has become of a gateway so far.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    is_killed: bool,
    is_paused: bool,
    /// A signal was sent that may have ended it.
    may_have_ended: bool,
    gave_its_pid: bool,
}

/// A draft on its way to a text.
struct Written<'d> {
    draft: &'d Draft,
    lives: Vec<Life>,
    setup: Vec<String>,
    steps: Vec<String>,
    /// The labels of the state directories that need a mount. Such a directory cannot be removed.
    mounts: Vec<&'static str>,
    removed: Vec<&'static str>,
    /// The gateways whose pids are given to strangers.
    heirs: usize,
    happens: Vec<String>,
}

impl Draft {
    /// The whole file.
    pub(super) fn text(&self) -> String {
        let mut written = Written {
            draft: self,
            lives: vec![Life::default(); self.contenders.len()],
            setup: Vec::new(),
            steps: Vec::new(),
            mounts: Vec::new(),
            removed: Vec::new(),
            heirs: 0,
            happens: Vec::new(),
        };
        written.story();
        written.text()
    }

    fn state(&self, who: usize) -> &'static str {
        if who > 0 && self.contenders[who].has_own_state { "T" } else { "S" }
    }

    fn port(&self, who: usize) -> usize {
        match self.contenders[who].ports {
            Ports::Apart if who > 0 => BASE + APART * who,
            Ports::Overlapping if who > 0 => BASE + 1,
            Ports::Same | Ports::Overlapping | Ports::Apart => BASE,
        }
    }
}

/// The name of a gateway: one letter.
fn name(who: usize) -> char {
    // There are at most four.
    char::from(b'a' + who as u8)
}

fn names(range: impl Iterator<Item = usize>) -> String {
    let names: Vec<String> = range.map(|who| format!("\"{}\"", name(who))).collect();
    if let [only] = &names[..] { only.clone() } else { format!("[{}]", names.join(", ")) }
}

impl Written<'_> {
    fn story(&mut self) {
        let all = self.draft.contenders.len();
        let early = if self.draft.early == 0 { all } else { self.draft.early.min(all) };
        let first = [format!("start = {}", names(0..early))];
        if self.draft.has_settled {
            self.setup.extend(first);
            self.setup.push("wait = \"settled\"".to_owned());
        } else {
            self.steps.extend(first);
        }
        for blow in &self.draft.blows {
            self.blow(*blow, blow.who % early);
        }
        if early < all {
            self.steps.push(format!("start = {}", names(early..all)));
        }
        let paused: Vec<usize> = (0..all).filter(|who| self.lives[*who].is_paused).collect();
        if !paused.is_empty() {
            self.settle();
            self.steps.push(format!("resume = {}", names(paused.iter().copied())));
            paused.iter().for_each(|who| self.lives[*who].is_paused = false);
        }
        self.settle();
    }

    fn settle(&mut self) {
        const SETTLED: &str = "wait = \"settled\"";
        if self.steps.last().is_none_or(|step| step != SETTLED) {
            self.steps.push(SETTLED.to_owned());
        }
    }

    /// Does something to somebody who was started, unless that makes no sense.
    fn blow(&mut self, Blow { fault, settles, .. }: Blow, who: usize) {
        let (life, gateway, state) = (self.lives[who], name(who), self.draft.state(who));
        let signal = |verb: &str| vec![format!("{verb} = \"{gateway}\"")];
        let (steps, told) = match fault {
            Fault::Recycle if !life.gave_its_pid => {
                let mut steps = if life.is_killed { Vec::new() } else { signal("kill") };
                steps.push(format!("wait = \"{gateway}.gone\""));
                steps.push(format!("recycle = \"{gateway}\", as = \"stranger-{gateway}\""));
                self.heirs |= 1 << who;
                self.lives[who] = Life { is_killed: true, is_paused: false, gave_its_pid: true, ..life };
                (steps, format!("{gateway} dies and its pid goes to a stranger"))
            }
            Fault::Recycle => return,
            Fault::Kill | Fault::Stop | Fault::Pause | Fault::Restart if life.is_killed => return,
            Fault::Kill => {
                self.lives[who] = Life { is_killed: true, is_paused: false, ..life };
                (signal("kill"), format!("{gateway} is killed"))
            }
            Fault::Stop => {
                self.lives[who].may_have_ended = true;
                (signal("stop"), format!("{gateway} is asked to stop"))
            }
            Fault::Pause if life.is_paused => return,
            Fault::Pause => {
                self.lives[who].is_paused = true;
                (signal("pause"), format!("{gateway} is paused"))
            }
            Fault::Restart => {
                self.lives[who].may_have_ended = true;
                (signal("restart"), format!("{gateway} is restarted in place"))
            }
            Fault::RemoveLockFile => {
                let step = format!("remove = \"lock-file\", state = \"{state}\"");
                (vec![step], format!("the lock file of {state} is removed"))
            }
            Fault::RemoveState if self.mounts.contains(&state) => return,
            Fault::RemoveState => {
                self.removed.push(state);
                let step = format!("remove = \"state-directory\", state = \"{state}\"");
                (vec![step], format!("{state} is removed"))
            }
            Fault::DiskFull | Fault::DiskReadOnly if self.removed.contains(&state) => return,
            Fault::DiskFull | Fault::DiskReadOnly => {
                self.disk(state, if fault == Fault::DiskFull { "full" } else { "read-only" }, settles);
                return;
            }
            Fault::ClockBack => {
                (vec!["step_clock_ms = -3600000".to_owned()], "the clock is set back".to_owned())
            }
            Fault::ClockForward => {
                (vec!["step_clock_ms = 3600000".to_owned()], "the clock is set forward".to_owned())
            }
            Fault::Suspend => (vec!["suspend_ms = 60000".to_owned()], "the machine sleeps".to_owned()),
        };
        self.steps.extend(steps);
        self.happens.push(told);
        if settles {
            self.settle();
        }
    }

    /// A disk that is bad for a while. It is well again before anything else happens: on a bad one nobody promises anything.
    fn disk(&mut self, state: &'static str, how: &str, settles: bool) {
        self.steps.push(format!("disk = \"{how}\", state = \"{state}\""));
        if settles {
            self.settle();
        }
        self.steps.push(format!("disk = \"healthy\", state = \"{state}\""));
        if !self.mounts.contains(&state) {
            self.mounts.push(state);
        }
        self.happens.push(format!("the disk of {state} is {how} for a while"));
    }

    fn title(&self) -> String {
        let count = self.draft.contenders.len();
        let many =
            NUMBERS.get(count).map_or_else(|| format!("{count} gateways"), |words| (*words).to_owned());
        let verb = if count == 1 { "starts" } else { "start" };
        let mut title = format!("{many} {verb}");
        for happens in &self.happens {
            let _ = write!(title, ", {happens}");
        }
        if self.draft.is_deadly {
            title.push_str(", one may be killed at any call");
        }
        title
    }

    fn text(&self) -> String {
        let draft = self.draft;
        let mut text =
            format!("schema = 1\ntitle  = \"{}\"\ntags   = [\"generated\"]\n\n[gateway]\n", self.title());
        for (who, contender) in draft.contenders.iter().enumerate() {
            let _ = write!(
                text,
                "{} = {{ state = \"{}\", port = {}",
                name(who),
                draft.state(who),
                draft.port(who)
            );
            if contender.shares_config {
                text.push_str(", config = \"C\"");
            }
            if contender.shares_workspace {
                text.push_str(", workspace = \"W\"");
            }
            text.push_str(" }\n");
        }
        for who in (0..draft.contenders.len()).filter(|who| self.heirs & (1 << who) != 0) {
            let _ = write!(text, "\n[process.stranger-{}]\nlooks_like = \"{STRANGER}\"\n", name(who));
        }
        for state in &self.mounts {
            let _ = write!(text, "\n[mount.{state}]\ndirectory_locks = true\n");
        }
        text.push_str("\n[run]\n");
        if !self.setup.is_empty() {
            text.push_str(&listed("setup", &tables(&self.setup)));
        }
        text.push_str(&listed("steps", &tables(&self.steps)));
        let checks: Vec<String> = self.promises().map(|check| format!("\"{check}\"")).collect();
        let _ = write!(text, "\n[expect]\n{}", listed("always  ", &checks));
        let _ = writeln!(text, "outcomes = [{}] # whatever else comes of it", self.ends().join(", "));
        let _ = write!(text, "\n[explore]\npolicy = {{ exhaustive = {} }}\n", draft.preemptions);
        if draft.is_deadly {
            text.push_str("kills  = 1\n");
        }
        let _ = writeln!(text, "span   = {}", draft.span);
        text
    }

    /// The promises that can be judged in spite of what happens.
    fn promises(&self) -> impl Iterator<Item = Check> {
        // On a bad disk no gateway becomes ready, also if it runs alone.
        let has_bad_disk = !self.mounts.is_empty();
        // Whoever came for a directory that has gone meanwhile tells of its holder, and the check asks for the name.
        let has_lost_state = !self.removed.is_empty();
        self.draft.always.iter().copied().filter(move |check| match check {
            Check::NoWedge => !has_bad_disk,
            Check::Truthful => !has_lost_state,
            Check::SingleOwner
            | Check::SingleWriter
            | Check::NoTheft
            | Check::NoForeignUnlink
            | Check::NoCollateral
            | Check::PortsDisjoint
            | Check::ConfigIdentity
            | Check::EffectAfterLock
            | Check::NoDeadEnd
            | Check::Handoff
            | Check::FailFast
            | Check::ClockFree => true,
        })
    }

    /// Everything that may come of the first gateway.
    fn ends(&self) -> Vec<String> {
        let life = self.lives[0];
        let mut ends = vec!["refused", "exited"];
        if !life.is_killed {
            ends.splice(0..0, ["ready", "running"]);
        }
        if life.is_killed || life.may_have_ended || self.draft.is_deadly {
            ends.push("killed");
        }
        ends.iter().map(|end| format!("{{ a = \"{end}\" }}")).collect()
    }
}

fn tables(steps: &[String]) -> Vec<String> {
    steps.iter().map(|step| format!("{{ {step} }}")).collect()
}

/// A list: on one line if it is short.
fn listed(key: &str, entries: &[String]) -> String {
    let short = format!("{key} = [{}]\n", entries.join(", "));
    if short.len() <= 100 { short } else { format!("{key} = [\n  {},\n]\n", entries.join(",\n  ")) }
}
