//! What TOML cannot say of a file: that names are known and can be used as names, and that numbers make sense.

use portcullis_os::{Port, Signal};

use super::Mistake;
use super::shape::{Expect, File, FileClient, FileGateway, FileStep, Way};
use crate::checks::PROMISES;
use crate::plan::{LAST_PORT, LEAST_JOB_MS, LONGEST_WAY_MS, NAME, SERVICE, is_name};

/// The longest that anything goes on, in milliseconds: an hour.
pub(super) const LONGEST_MS: u64 = 3_600_000;
/// The farthest that a clock is put, in milliseconds: some ten years.
const FARTHEST_MS: u64 = 315_360_000_000;
/// At most so many of each kind.
pub(super) const MOST: usize = 32;
/// At most so many messages.
pub(super) const MOST_SAID: u64 = 10_000;
/// At most so many seeds.
pub(super) const MOST_SEEDS: u64 = 1_000_000_000;
/// At most so many packets of a thousand are lost.
pub(super) const MOST_LOST: u16 = 900;
/// How names are written, as a regular expression.
pub(super) const NAMED: &str = "^[A-Za-z0-9_-]{1,64}$";
/// The longest title, in bytes.
pub const LONGEST_TITLE: usize = 500;
/// What is counted, besides signals.
const COUNTED: [&str; 26] = [
    "answered",
    "clock",
    "conflict",
    "cut",
    "cut off",
    "job run",
    "let in",
    "lossy",
    "mended",
    "node: came again",
    "node: not paired",
    "node: paired",
    "node: turned away",
    "power lost",
    "probe: degraded",
    "probe: down",
    "probe: healthy",
    "probe: not up yet",
    "ready",
    "refused",
    "said",
    "sent",
    "silent",
    "sleep",
    "slow",
    "started",
];
/// How the rest of it begins, which says more.
const COUNTED_SO: [&str; 3] = ["deaf: ", "ended by ", "refused "];

fn sense(place: impl Into<String>, why: impl Into<String>) -> Mistake {
    Mistake::Sense { place: place.into(), why: why.into() }
}

/// Why that is no name.
fn misnamed(name: &str) -> Option<String> {
    (!is_name(name)).then(|| format!("{name:?} is no name: {NAME}"))
}

/// Why something cannot take so long.
fn too_long(key: &str, least_ms: u64, ms: u64) -> Option<String> {
    (!(least_ms..=LONGEST_MS).contains(&ms))
        .then(|| format!("{key}: {least_ms} to {LONGEST_MS}, and not {ms}"))
}

/// Why packets cannot travel so.
fn travels(place: &str, [least_ms, most_ms]: [u64; 2], lost_permille: u16) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if least_ms > most_ms || most_ms > LONGEST_WAY_MS {
        let why = format!(
            "the shortest and the longest, at most {LONGEST_WAY_MS}, and not {least_ms} and {most_ms}"
        );
        mistakes.push(sense(format!("{place}latency_ms"), why));
    }
    if lost_permille > MOST_LOST {
        let why =
            format!("at most {MOST_LOST}, and not {lost_permille}: of a thousand packets, some must arrive");
        mistakes.push(sense(format!("{place}lost_permille"), why));
    }
    mistakes
}

impl File {
    /// Everything that is wrong with it.
    pub(super) fn check(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.schema != 1 {
            mistakes.push(sense("schema", format!("{} is not known: write `schema = 1`", self.schema)));
        }
        for (place, text) in
            std::iter::once(("title", &self.title)).chain(self.refs.iter().map(|text| ("refs", text)))
        {
            if text.len() > LONGEST_TITLE || text.chars().any(char::is_control) {
                mistakes.push(sense(place, format!("one line of at most {LONGEST_TITLE} bytes")));
            }
        }
        if !(1..=MOST_SEEDS).contains(&self.seeds) {
            mistakes.push(sense("seeds", format!("1 to {MOST_SEEDS}, and not {}", self.seeds)));
        }
        for (place, count) in
            [("bots", self.bots.len()), ("gateway", self.gateway.len()), ("client", self.client.len())]
        {
            if count > MOST {
                mistakes.push(sense(place, format!("at most {MOST}, and here are {count}")));
            }
        }
        let weather_ms = self.weather_every_ms.unwrap_or(LONGEST_MS);
        for (place, least_ms, ms) in [
            ("length_ms", 1, self.length_ms),
            ("weather_every_ms", 1, weather_ms),
            ("lease_ms", 0, self.lease_ms),
        ] {
            if !(least_ms..=LONGEST_MS).contains(&ms) {
                mistakes.push(sense(place, format!("{least_ms} to {LONGEST_MS}, an hour, and not {ms}")));
            }
        }
        for (place, names) in [("bots", &self.bots), ("shared_without_locks", &self.shared_without_locks)] {
            mistakes.extend(names.iter().filter_map(|name| misnamed(name)).map(|why| sense(place, why)));
            let twice = names.iter().enumerate().filter(|(at, name)| names[..*at].contains(name));
            mistakes.extend(twice.map(|(_, name)| sense(place, format!("two are called {name:?}"))));
        }
        mistakes.extend(self.gateway.iter().flat_map(|(name, gateway)| gateway.check(name, &self.bots)));
        for (name, client) in &self.client {
            mistakes.extend(client.check(name));
            if !self.gateway.contains_key(&client.gateway) {
                let why = format!("there is no gateway `{}`", client.gateway.escape_debug());
                mistakes.push(sense(format!("client.{}", name.escape_debug()), why));
            }
        }
        mistakes.extend(travels("", self.latency_ms, self.lost_permille));
        mistakes.extend(self.step.iter().flat_map(|step| self.check_step(step)));
        mistakes.extend(self.expect.check());
        mistakes
    }

    /// What is wrong with a step, and who is not known that it names.
    fn check_step(&self, step: &FileStep) -> Vec<Mistake> {
        let place = format!("step at {} ms", step.at_ms);
        let mut faults = step.faults(self.length_ms);
        let mut unknown =
            |kind: &str, name: &str| faults.push(format!("there is no {kind} `{}`", name.escape_debug()));
        let gateways = [&step.start, &step.stop, &step.kill, &step.restart, &step.pause, &step.resume];
        for name in gateways.into_iter().flatten().filter(|name| !self.gateway.contains_key(*name)) {
            unknown("gateway", name);
        }
        if let Some(say) = step.say.as_ref().filter(|say| !self.bots.contains(&say.bot)) {
            unknown("bot", &say.bot);
        }
        let asleep = step.sleep.iter().map(|sleep| &sleep.host);
        let set = step.clock.iter().map(|clock| &clock.host);
        let dark = step.power_loss.iter().map(|loss| &loss.host);
        for host in step.ways().flatten().chain(asleep).chain(set).chain(dark) {
            let hosts = self.gateway.values().map(|gateway| &gateway.host);
            if host != SERVICE
                && !hosts.chain(self.client.values().map(|client| &client.host)).any(|known| known == host)
            {
                unknown("host", host);
            }
        }
        let mut mistakes: Vec<Mistake> = faults.into_iter().map(|why| sense(place.clone(), why)).collect();
        let place = format!("{place}: ");
        mistakes.extend(step.links().flat_map(|way| travels(&place, way.latency_ms, way.lost_permille)));
        mistakes
    }
}

impl FileGateway {
    fn check(&self, name: &str, bots: &[String]) -> Vec<Mistake> {
        let place = format!("gateway.{}", name.escape_debug());
        let mut faults = Vec::new();
        if Port::new(self.port).is_none() || self.port > LAST_PORT {
            faults.push(format!(
                "its port is 1 to {LAST_PORT}, since the 110 ports above it are reserved too, and not {}",
                self.port
            ));
        }
        faults.extend(misnamed(&self.host).map(|why| format!("host: {why}")));
        faults.extend(self.state.as_deref().and_then(misnamed).map(|why| format!("state: {why}")));
        for bot in self.bots.iter().filter(|bot| !bots.contains(bot)) {
            faults.push(format!("there is no bot `{}`: name it in `bots`", bot.escape_debug()));
        }
        faults.extend(self.job_every_ms.and_then(|ms| too_long("job_every_ms", LEAST_JOB_MS, ms)));
        faults.extend(too_long("restart_ms", 0, self.restart_ms));
        let mistakes = misnamed(name).map(|why| sense("gateway", why)).into_iter();
        mistakes.chain(faults.into_iter().map(|why| sense(place.clone(), why))).collect()
    }
}

impl FileClient {
    fn check(&self, name: &str) -> Vec<Mistake> {
        let place = format!("client.{}", name.escape_debug());
        let host = misnamed(&self.host).map(|why| format!("host: {why}"));
        let faults = host.into_iter().chain(too_long("pause_ms", 1, self.pause_ms));
        let mistakes = misnamed(name).map(|why| sense("client", why)).into_iter();
        mistakes.chain(faults.map(|why| sense(place.clone(), why))).collect()
    }
}

impl FileStep {
    /// The ways between hosts that it sets.
    fn links(&self) -> impl Iterator<Item = &Way> {
        [&self.link, &self.link_one_way].into_iter().flatten()
    }

    /// The ways between hosts that it names.
    fn ways(&self) -> impl Iterator<Item = &[String; 2]> {
        let ways = self.links().map(|way| &way.hosts);
        [&self.cut, &self.cut_one_way, &self.mend].into_iter().flatten().chain(ways)
    }

    /// What is wrong with it, whoever it names, in a plan that is so long.
    fn faults(&self, length_ms: u64) -> Vec<String> {
        let mut faults = Vec::new();
        if self.at_ms > length_ms {
            faults.push(format!("the plan ends at {length_ms} ms: what comes then is not waited for"));
        }
        let count = self.count();
        if count != 1 {
            faults.push(format!("a step does one thing, and this one does {count}"));
        }
        if let Some(say) = &self.say {
            let last_ms = say.every_ms.checked_mul(say.count.saturating_sub(1));
            let last_ms = last_ms.and_then(|after_ms| self.at_ms.checked_add(after_ms));
            if say.count > MOST_SAID {
                faults.push(format!("at most {MOST_SAID} messages"));
            } else if last_ms.is_none_or(|last_ms| last_ms > length_ms.max(self.at_ms)) {
                faults.push("the plan has ended before the last message".to_owned());
            }
        }
        for [one, _] in self.ways().filter(|[one, other]| one == other) {
            faults.push(format!("there is no way from `{}` to itself", one.escape_debug()));
        }
        faults.extend(self.sleep.as_ref().and_then(|sleep| too_long("ms", 1, sleep.ms)));
        if let Some(loss) = &self.power_loss {
            faults.extend(too_long("ms", 1, loss.ms));
            if loss.host == SERVICE {
                faults.push("the host of the bot service always has power".to_owned());
            }
        }
        if let Some(clock) = self.clock.as_ref().filter(|clock| clock.ms.unsigned_abs() > FARTHEST_MS) {
            faults.push(format!("a clock is put by {FARTHEST_MS} ms at most, and not by {}", clock.ms));
        }
        faults
    }
}

/// Whether something is ever counted under that name.
fn is_counted(what: &str) -> bool {
    let is_signal = || Signal::ALL.iter().any(|signal| signal.to_string() == what);
    COUNTED.contains(&what) || COUNTED_SO.iter().any(|beginning| what.starts_with(beginning)) || is_signal()
}

impl Expect {
    fn check(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (place, words) in [("expect.happens", &self.happens), ("expect.never", &self.never)] {
            for what in words.iter().filter(|what| !is_counted(what)) {
                mistakes.push(sense(place, format!("nothing is counted as `{}`", what.escape_debug())));
            }
        }
        for what in self.breaks.iter().filter(|what| !PROMISES.contains(&what.as_str())) {
            let known = PROMISES.join(", ");
            let why = format!("there is no promise `{}`: they are {known}", what.escape_debug());
            mistakes.push(sense("expect.breaks", why));
        }
        mistakes
    }
}
