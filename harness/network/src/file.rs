//! A plan as a file: TOML, read strictly, so that what is misspelt is found and not passed over.
//!
//! The names end in `.sweep.toml`. `docs/sweeps.md` describes each key.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_os::{Port, Signal};
use serde::Deserialize;
use sim::network::Link;
use sim::supervisor::{KillMode, Restart, StartLimit, Supervisor, Systemd};

use crate::plan::{Client, Gateway, Plan, SERVICE, Step};
use crate::weather::Weather;

/// The longest that anything goes on, in milliseconds: an hour.
const LONGEST_MS: u64 = 3_600_000;
/// At most so many of each kind.
const MOST: usize = 32;
/// At most so many messages.
const MOST_SAID: u64 = 10_000;

/// A plan, and what is expected of all executions of it.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What it is about, in one line.
    pub title: String,
    /// Where it is from.
    pub refs: Vec<String>,
    /// How many seeds are tried unless somebody says another number.
    pub seeds: u64,
    /// The plan.
    pub plan: Plan,
    /// How many replies each execution must have; `None`: any number.
    pub replies: Option<usize>,
    /// What must have happened in at least one execution, as the report counts it.
    pub happens: Vec<String>,
    /// Promises that nobody can keep here. At least one execution must break each.
    pub breaks: Vec<String>,
    /// Seeds that failed once. They are tried first.
    pub regressions: Vec<u64>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It is no TOML, or has a key that there is not, or a value that does not fit.
    #[error("{0}")]
    Text(String),
    /// Something in it does not go together.
    #[error("{place}: {why}")]
    Sense {
        /// Where.
        place: String,
        /// What, and what to do about it.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u64,
    title: String,
    #[serde(default)]
    refs: Vec<String>,
    #[serde(default = "hundred")]
    seeds: u64,
    #[serde(default)]
    regressions: Vec<u64>,
    length_ms: u64,
    #[serde(default = "usual_latency")]
    latency_ms: [u64; 2],
    #[serde(default)]
    lost_permille: u16,
    weather_every_ms: Option<u64>,
    #[serde(default)]
    bots: Vec<String>,
    #[serde(default = "usual_lease")]
    lease_ms: u64,
    #[serde(default)]
    shared_without_locks: Vec<String>,
    gateway: BTreeMap<String, FileGateway>,
    #[serde(default)]
    client: BTreeMap<String, FileClient>,
    #[serde(default)]
    step: Vec<FileStep>,
    #[serde(default)]
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGateway {
    host: String,
    state: Option<String>,
    #[serde(default = "usual_port")]
    port: u16,
    #[serde(default)]
    bots: Vec<String>,
    job_every_ms: Option<u64>,
    #[serde(default)]
    restart: Again,
    #[serde(default = "usual_restart")]
    restart_ms: u64,
    #[serde(default)]
    takeover: bool,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Again {
    #[default]
    Never,
    OnFailure,
    Always,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileClient {
    host: String,
    gateway: String,
    #[serde(default = "usual_pause")]
    pause_ms: u64,
}

/// One of them is there besides the moment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileStep {
    at_ms: u64,
    start: Option<String>,
    stop: Option<String>,
    kill: Option<String>,
    restart: Option<String>,
    pause: Option<String>,
    resume: Option<String>,
    say: Option<Say>,
    cut: Option<[String; 2]>,
    cut_one_way: Option<[String; 2]>,
    mend: Option<[String; 2]>,
    sleep: Option<OfHost<u64>>,
    clock: Option<OfHost<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    bot: String,
    #[serde(default = "one")]
    count: u64,
    #[serde(default = "usual_pause")]
    every_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfHost<T> {
    host: String,
    ms: T,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Expect {
    replies: Option<usize>,
    #[serde(default)]
    happens: Vec<String>,
    #[serde(default)]
    breaks: Vec<String>,
}

const fn one() -> u64 {
    1
}

const fn hundred() -> u64 {
    100
}

const fn usual_latency() -> [u64; 2] {
    [1, 20]
}

const fn usual_lease() -> u64 {
    30_000
}

const fn usual_port() -> u16 {
    18_789
}

const fn usual_restart() -> u64 {
    5_000
}

const fn usual_pause() -> u64 {
    1_000
}

fn sense(place: impl Into<String>, why: impl Into<String>) -> Mistake {
    Mistake::Sense { place: place.into(), why: why.into() }
}

impl Sweep {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Mistake`]: what is wrong with it, the first thing that is.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let file: File =
            toml::from_str(text).map_err(|error| Mistake::Text(error.to_string().trim_end().to_owned()))?;
        file.check()?;
        let [least_ms, most_ms] = file.latency_ms;
        let link = Link { least_ms, most_ms, lost_permille: file.lost_permille, ..Link::default() };
        let mut plan = Plan::new().link(link).lease_ms(file.lease_ms).until(file.length_ms);
        for bot in &file.bots {
            plan = plan.bot(bot);
        }
        for state in &file.shared_without_locks {
            plan = plan.shared_without_locks(state);
        }
        for (name, gateway) in &file.gateway {
            plan = plan.gateway(gateway.read(name));
        }
        for (name, client) in &file.client {
            let pause = Duration::from_millis(client.pause_ms);
            plan = plan.client(Client::on(&client.host, name, &client.gateway).every(pause));
        }
        for step in &file.step {
            plan = step.read(plan, link)?;
        }
        if let Some(every_ms) = file.weather_every_ms {
            plan = plan.weather(Weather { every_ms });
        }
        let File { title, refs, seeds, regressions, expect: Expect { replies, happens, breaks }, .. } = file;
        Ok(Self { title, refs, seeds, plan, replies, happens, breaks, regressions })
    }
}

impl File {
    /// What TOML cannot say: that names are known and numbers make sense.
    fn check(&self) -> Result<(), Mistake> {
        if self.schema != 1 {
            return Err(sense("schema", format!("{} is not known: write `schema = 1`", self.schema)));
        }
        let most =
            [("bots", self.bots.len()), ("gateway", self.gateway.len()), ("client", self.client.len())];
        for (place, count) in most {
            if count > MOST {
                return Err(sense(place, format!("at most {MOST}, and here are {count}")));
            }
        }
        if self.length_ms == 0 || self.length_ms > LONGEST_MS {
            return Err(sense(
                "length_ms",
                format!("1 to {LONGEST_MS}, an hour, and not {}", self.length_ms),
            ));
        }
        let [least_ms, most_ms] = self.latency_ms;
        if least_ms > most_ms || most_ms > 60_000 {
            return Err(sense("latency_ms", "the shortest and the longest, at most 60000".to_owned()));
        }
        if self.lost_permille > 900 {
            return Err(sense("lost_permille", "at most 900: of a thousand packets, some must arrive"));
        }
        if self.weather_every_ms == Some(0) {
            return Err(sense("weather_every_ms", "at least 1"));
        }
        for (name, gateway) in &self.gateway {
            let place = format!("gateway.{name}");
            if Port::new(gateway.port).is_none() || gateway.port > 65_425 {
                return Err(sense(
                    place,
                    "its port is 1 to 65425, since the 110 ports above it are reserved too",
                ));
            }
            if let Some(bot) = gateway.bots.iter().find(|bot| !self.bots.contains(bot)) {
                return Err(sense(place, format!("there is no bot `{bot}`: name it in `bots`")));
            }
            if gateway.job_every_ms.is_some_and(|every_ms| every_ms < 1_000) {
                return Err(sense(place, "a job runs every 1000 milliseconds at most"));
            }
        }
        for (name, client) in &self.client {
            if !self.gateway.contains_key(&client.gateway) {
                let why = format!("there is no gateway `{}`", client.gateway);
                return Err(sense(format!("client.{name}"), why));
            }
        }
        self.step.iter().try_for_each(|step| self.check_names(step))
    }

    /// Whether everybody is known whom a step names.
    fn check_names(&self, step: &FileStep) -> Result<(), Mistake> {
        let unknown = |kind: &str, name: &str| {
            let place = format!("step at {} ms", step.at_ms);
            Err(sense(place, format!("there is no {kind} `{name}`")))
        };
        let gateways = [&step.start, &step.stop, &step.kill, &step.restart, &step.pause, &step.resume];
        for name in gateways.into_iter().flatten() {
            if !self.gateway.contains_key(name) {
                return unknown("gateway", name);
            }
        }
        if let Some(say) = step.say.as_ref().filter(|say| !self.bots.contains(&say.bot)) {
            return unknown("bot", &say.bot);
        }
        let pairs = [&step.cut, &step.cut_one_way, &step.mend].into_iter().flatten().flatten();
        let asleep = step.sleep.iter().map(|sleep| &sleep.host);
        let set = step.clock.iter().map(|clock| &clock.host);
        for host in pairs.chain(asleep).chain(set) {
            let hosts = self.gateway.values().map(|gateway| &gateway.host);
            if host != SERVICE
                && !hosts.chain(self.client.values().map(|client| &client.host)).any(|known| known == host)
            {
                return unknown("host", host);
            }
        }
        Ok(())
    }
}

impl FileGateway {
    fn read(&self, name: &str) -> Gateway {
        let mut gateway =
            Gateway::on(&self.host, name).state(self.state.as_deref().unwrap_or(name)).port(self.port);
        for bot in &self.bots {
            gateway = gateway.bot(bot);
        }
        if let Some(every_ms) = self.job_every_ms {
            gateway = gateway.job(Duration::from_millis(every_ms));
        }
        if self.takeover {
            gateway = gateway.takes_over();
        }
        let restart = match self.restart {
            Again::Never => return gateway,
            Again::OnFailure => Restart::OnFailure,
            Again::Always => Restart::Always,
        };
        gateway.supervisor(Supervisor::Systemd(Systemd {
            restart,
            restart_delay_ms: self.restart_ms,
            // Nobody gives up here: what is to be seen is what comes of it.
            start_limit: StartLimit { burst: u32::MAX, interval_ms: 0 },
            success: Vec::new(),
            never_after: Vec::new(),
            always_after: Vec::new(),
            stop_timeout_ms: Some(90_000),
            kill_mode: KillMode::ControlGroup,
        }))
    }
}

impl FileStep {
    /// Adds what is to be done.
    fn read(&self, plan: Plan, link: Link) -> Result<Plan, Mistake> {
        let place = format!("step at {} ms", self.at_ms);
        let at_ms = self.at_ms;
        if at_ms > LONGEST_MS {
            return Err(sense(place, format!("at most {LONGEST_MS}")));
        }
        let signals = [
            (&self.stop, Signal::Terminate),
            (&self.kill, Signal::Kill),
            (&self.restart, Signal::User1),
            (&self.pause, Signal::Stop),
            (&self.resume, Signal::Continue),
        ];
        let cut = Link { is_cut: true, ..link };
        let mut steps: Vec<(u64, Step)> = Vec::new();
        steps.extend(self.start.clone().map(|name| (at_ms, Step::Start(name))));
        for (name, signal) in signals {
            steps.extend(name.clone().map(|name| (at_ms, Step::Signal(name, signal))));
        }
        steps.extend(self.cut.clone().map(|pair| (at_ms, Step::Link(pair, cut))));
        steps.extend(self.cut_one_way.clone().map(|pair| (at_ms, Step::OneWay(pair, cut))));
        steps.extend(self.mend.clone().map(|pair| (at_ms, Step::Link(pair, link))));
        steps.extend(self.sleep.as_ref().map(|sleep| (at_ms, Step::Sleep(sleep.host.clone(), sleep.ms))));
        steps.extend(self.clock.as_ref().map(|clock| (at_ms, Step::StepClock(clock.host.clone(), clock.ms))));
        let says = usize::from(self.say.is_some());
        if steps.len() + says != 1 {
            return Err(sense(
                place,
                format!("a step does one thing, and this one does {}", steps.len() + says),
            ));
        }
        if let Some(say) = &self.say {
            if say.count > MOST_SAID {
                return Err(sense(place, format!("at most {MOST_SAID} messages")));
            }
            for number in 0..say.count {
                // No two messages of a plan have the same words.
                let text = format!("{at_ms}-{number}");
                let step = Step::Say { bot: say.bot.clone(), chat: 7, text };
                steps.push((at_ms + number * say.every_ms, step));
            }
        }
        Ok(steps.into_iter().fold(plan, |plan, (at_ms, step)| plan.at(at_ms, step)))
    }
}

#[cfg(test)]
mod tests {
    use super::Sweep;

    const PLAIN: &str = "schema = 1\ntitle = 't'\nlength_ms = 1000\n[gateway.main]\nhost = 'here'\n";

    fn mistake(text: &str) -> String {
        Sweep::parse(text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_plain_file_is_read() {
        let sweep = Sweep::parse(PLAIN).expect("it is right");
        assert_eq!((sweep.title.as_str(), sweep.seeds), ("t", 100));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert!(mistake(&format!("{PLAIN}hots = 'x'\n")).contains("unknown field `hots`"));
        assert!(mistake(&format!("{PLAIN}port = 0\n")).starts_with("gateway.main: "));
        assert!(mistake(&format!("{PLAIN}bots = ['x']\n")).ends_with("name it in `bots`"));
        assert!(
            mistake(&format!("{PLAIN}[client.c]\nhost = 'h'\ngateway = 'g'\n")).starts_with("client.c: ")
        );
        assert!(mistake(&format!("{PLAIN}[[step]]\nat_ms = 5\n")).contains("this one does 0"));
        assert!(
            mistake(&format!("{PLAIN}[[step]]\nat_ms = 5\nstart = 'main'\nkill = 'main'\n"))
                .contains("does 2")
        );
        let step = |words: &str| mistake(&format!("{PLAIN}[[step]]\nat_ms = 5\n{words}\n"));
        assert_eq!(step("kill = 'x'"), "step at 5 ms: there is no gateway `x`");
        assert_eq!(step("say = { bot = 'x' }"), "step at 5 ms: there is no bot `x`");
        assert_eq!(step("cut = ['here', 'x']"), "step at 5 ms: there is no host `x`");
        assert!(mistake(&PLAIN.replace("schema = 1", "schema = 2")).contains("write `schema = 1`"));
        assert!(mistake(&PLAIN.replace("1000", "0")).starts_with("length_ms: "));
        assert!(mistake("schema = ").contains("line 1"), "{}", mistake("schema = "));
    }
}
