//! Who is there, and what happens when.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_os::Signal;
use sim::network::Link;
use sim::supervisor::Supervisor;

use crate::play;
#[cfg(target_os = "linux")]
use crate::real::{Processes, Real};
use crate::report::{Report, Unrunnable};
use crate::simulated::Simulated;
use crate::weather::Weather;

/// The host that the bot service is on.
pub(crate) const SERVICE: &str = "service";
/// How long nothing is done to anybody at the end, in milliseconds: what was asked for must have come to something by then.
pub(crate) const CALM_MS: u64 = 60_000;
/// The longest that a packet is on its way, in milliseconds, unless it is lost.
pub(crate) const LONGEST_WAY_MS: u64 = 60_000;
/// How often a job runs at most, in milliseconds.
pub(crate) const LEAST_JOB_MS: u64 = 1_000;
/// The last port that a gateway can have: it reserves the 110 above it, too.
pub(crate) const LAST_PORT: u16 = u16::MAX - gateway::GATEWAY_SPAN;

/// Who is there, what happens when, and what may happen besides.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) clients: Vec<Client>,
    pub(crate) bots: Vec<String>,
    pub(crate) lease_ms: u64,
    pub(crate) shared: Vec<String>,
    pub(crate) link: Link,
    pub(crate) steps: Vec<(u64, Step)>,
    pub(crate) weather: Option<Weather>,
    pub(crate) end_ms: u64,
    pub(crate) answered_within_ms: Option<u64>,
}

/// A gateway, as a process that can be started.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) state: String,
    pub(crate) port: u16,
    pub(crate) bots: Vec<String>,
    pub(crate) every_ms: Option<u64>,
    pub(crate) supervisor: Option<Supervisor>,
    pub(crate) takes_over: bool,
    pub(crate) slips: Vec<Slip>,
}

/// What is wrong with a gateway that is to be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// Every start takes the same epoch.
    NoEpoch,
    /// What it writes down of replies is not there when it comes again.
    NoOutbox,
    /// It is told of every lock that it has got it, whoever else has it.
    NoLock,
    /// It is told that what it remembers is on the disk, and that is so only now and then.
    LateSync,
    /// It writes to one connection at a time, and waits for whoever does not read.
    OneWriter,
    /// It leaves what a job makes under a name that is taken.
    AnySlot,
    /// It leaves what its job makes in the workspace of the gateway `main` of its host.
    OneWorkspace,
    /// It listens, and never takes a connection.
    Mute,
    /// It panics after a while, when what it remembers is to be put on the disk.
    Panics,
}

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It says one thing after the other, and asks what is kept of it.
    Talker,
    /// It listens to everything, reads nothing for as long as it pauses, and comes again.
    Deaf,
    /// It looks how the gateway is.
    Probe,
    /// It is a device with a key, which pairs once and comes again with what it was given.
    Node,
}

/// A client of a gateway: it connects, does what it is there for, and comes again when it was sent away.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) gateway: String,
    pub(crate) pause_ms: u64,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A gateway is started, by its supervisor if it has one.
    Start(String),
    /// Its process is sent a signal, if there is one.
    Signal(String, Signal),
    /// Somebody says something to a bot.
    Say {
        /// The bot.
        bot: String,
        /// The chat.
        chat: i64,
        /// The words, which no other message has.
        text: String,
    },
    /// Packets travel so between two hosts, in both directions.
    Link([String; 2], Link),
    /// Packets travel so from the first host to the second.
    OneWay([String; 2], Link),
    /// A host does nothing for so long, and its wall clock goes on.
    Sleep(String, u64),
    /// The wall clock of a host is put forwards or back, in milliseconds.
    StepClock(String, i64),
    /// The power of a host fails for so long. Whatever supervisors start there is started when it is back.
    PowerLoss(String, u64),
}

impl Step {
    /// What it needs that real processes on one machine have not.
    fn needs(&self) -> Option<&'static str> {
        match self {
            Self::Start(_) | Self::Signal(..) | Self::Say { .. } | Self::Link(..) | Self::OneWay(..) => None,
            Self::Sleep(..) => Some("a host that sleeps"),
            Self::StepClock(..) => Some("a wall clock that can be put"),
            Self::PowerLoss(..) => Some("a host whose power fails"),
        }
    }
}

/// What a name consists of.
pub(crate) const NAME: &str = "1 to 64 letters and digits of ASCII, `-` and `_`";

/// Whether somebody can be called so. Directories are, so nothing may lead out of where they belong.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan {
    /// Nobody is there, and nothing happens for a minute.
    pub fn new() -> Self {
        Self {
            gateways: Vec::new(),
            clients: Vec::new(),
            bots: Vec::new(),
            lease_ms: 30_000,
            shared: Vec::new(),
            link: Link { least_ms: 1, most_ms: 20, ..Link::default() },
            steps: Vec::new(),
            weather: None,
            end_ms: 60_000,
            answered_within_ms: None,
        }
    }

    /// A bot, which the service knows by this name.
    #[must_use]
    pub fn bot(mut self, name: &str) -> Self {
        self.bots.push(name.to_owned());
        self
    }

    /// For how long the service keeps others out after a poller has vanished, in milliseconds.
    #[must_use]
    pub const fn lease_ms(mut self, lease_ms: u64) -> Self {
        self.lease_ms = lease_ms;
        self
    }

    /// A gateway that can be started.
    #[must_use]
    pub fn gateway(mut self, gateway: Gateway) -> Self {
        self.gateways.push(gateway);
        self
    }

    /// A client, which begins at once.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// The state of that label is on storage that every host sees, and locks on it do not reach from one to the other.
    #[must_use]
    pub fn shared_without_locks(mut self, state: &str) -> Self {
        self.shared.push(state.to_owned());
        self
    }

    /// How packets travel between hosts.
    #[must_use]
    pub const fn link(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    /// What happens at that moment, in milliseconds. Of two that happen at one moment, the one that was said first comes first.
    #[must_use]
    pub fn at(mut self, at_ms: u64, step: Step) -> Self {
        self.steps.push((at_ms, step));
        self
    }

    /// What may happen besides.
    #[must_use]
    pub const fn weather(mut self, weather: Weather) -> Self {
        self.weather = Some(weather);
        self
    }

    /// How long things happen, in milliseconds. Then nothing is done to anybody for a minute, in which everything must settle.
    #[must_use]
    pub const fn until(mut self, end_ms: u64) -> Self {
        self.end_ms = end_ms;
        self
    }

    /// Something is wrong with all of its gateways, besides what is already.
    #[must_use]
    pub fn slip(mut self, slip: Slip) -> Self {
        self.gateways.iter_mut().for_each(|gateway| gateway.slips.push(slip));
        self
    }

    /// No client waits longer for an answer, in milliseconds.
    #[must_use]
    pub const fn answered_within_ms(mut self, most_ms: u64) -> Self {
        self.answered_within_ms = Some(most_ms);
        self
    }

    /// Lets it happen once.
    ///
    /// # Errors
    ///
    /// [`Unrunnable`]: what is wrong with the plan.
    pub fn run(&self, seed: u64) -> Result<Report, Unrunnable> {
        self.run_unless(seed, &|| false)
    }

    /// The same, unless somebody wants an end of it meanwhile.
    ///
    /// # Errors
    ///
    /// [`Unrunnable`]: what is wrong with the plan, or that it was interrupted.
    pub fn run_unless(&self, seed: u64, should_stop: &dyn Fn() -> bool) -> Result<Report, Unrunnable> {
        play::run(self, &play::acts(self, seed), seed, Simulated::of(self, seed, should_stop)?)
    }

    /// Lets it happen once on real processes, which begin as that says, unless somebody wants an end of it meanwhile.
    ///
    /// # Errors
    ///
    /// [`Unrunnable`]: what is wrong with the plan, or with the machine, or that it was interrupted.
    #[cfg(target_os = "linux")]
    pub fn run_on_processes(
        &self,
        seed: u64,
        how: &Processes<'_>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Report, Unrunnable> {
        let hurried = self.hurried(how.pace);
        let mut acts = play::acts(self, seed);
        acts.retain(|act| act.step.needs().is_none());
        for act in &mut acts {
            act.at_ms /= how.pace;
        }
        play::run(&hurried, &acts, seed, Real::of(&hurried, how, seed, should_stop)?)
    }

    /// What it needs that real processes on one machine have not; nothing: it can happen there. What is drawn besides is left out
    /// there as far as it cannot be done.
    pub fn needs(&self) -> Vec<&'static str> {
        let steps = self.steps.iter().filter_map(|(_, step)| step.needs());
        let storage =
            (!self.shared.is_empty()).then_some("storage whose locks do not reach from host to host");
        let slips = self.gateways.iter().any(|gateway| !gateway.slips.is_empty());
        let slips = slips.then_some("a gateway that lacks something");
        let mut needs: Vec<&str> = steps.chain(storage).chain(slips).collect();
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    /// The same so many times as fast, but for the steps and the ways.
    #[cfg(target_os = "linux")]
    fn hurried(&self, pace: u64) -> Self {
        let mut plan = self.clone();
        plan.end_ms /= pace;
        plan.lease_ms /= pace;
        for gateway in &mut plan.gateways {
            gateway.every_ms = gateway.every_ms.map(|every_ms| (every_ms / pace).max(LEAST_JOB_MS));
            if let Some(Supervisor::Systemd(systemd)) = &mut gateway.supervisor {
                systemd.restart_delay_ms /= pace;
            }
        }
        for client in &mut plan.clients {
            client.pause_ms /= pace;
        }
        plan
    }

    /// Whether directories and hosts can have the names that it gives to everybody.
    pub(crate) fn named(&self) -> Result<(), Unrunnable> {
        let gateways =
            self.gateways.iter().flat_map(|gateway| [&gateway.name, &gateway.host, &gateway.state]);
        let clients = self.clients.iter().flat_map(|client| [&client.name, &client.host]);
        let mut names = gateways.chain(clients).chain(&self.bots).chain(&self.shared);
        names.find(|name| !is_name(name)).map_or(Ok(()), |name| Err(Unrunnable::Misnamed(name.clone())))
    }

    /// The hosts whose power fails.
    pub(crate) fn dark_hosts(&self) -> BTreeSet<&str> {
        let dark = self.steps.iter().filter_map(|(_, step)| match step {
            Step::PowerLoss(host, _) => Some(&**host),
            Step::Start(_)
            | Step::Signal(..)
            | Step::Say { .. }
            | Step::Link(..)
            | Step::OneWay(..)
            | Step::Sleep(..)
            | Step::StepClock(..) => None,
        });
        dark.collect()
    }

    /// Every host, the service first.
    pub(crate) fn hosts(&self) -> Vec<&str> {
        let mut hosts = vec![SERVICE];
        let named = self.gateways.iter().map(|gateway| &*gateway.host);
        for host in named.chain(self.clients.iter().map(|client| &*client.host)) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }
}

impl Gateway {
    /// A gateway with a state of its own, on the usual port, that serves whoever reaches its host.
    pub fn on(host: &str, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            state: name.to_owned(),
            port: 18_789,
            bots: Vec::new(),
            every_ms: None,
            supervisor: None,
            takes_over: false,
            slips: Vec::new(),
        }
    }

    /// Its state, workspace and configuration are those of this label, which other gateways may have too.
    #[must_use]
    pub fn state(mut self, state: &str) -> Self {
        self.state = state.to_owned();
        self
    }

    /// Its port.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// It answers for this bot.
    #[must_use]
    pub fn bot(mut self, bot: &str) -> Self {
        self.bots.push(bot.to_owned());
        self
    }

    /// It has a job that runs so often.
    #[must_use]
    pub fn job(mut self, every: Duration) -> Self {
        self.every_ms = u64::try_from(every.as_millis()).ok();
        self
    }

    /// Somebody starts it again when it has ended.
    #[must_use]
    pub fn supervisor(mut self, supervisor: Supervisor) -> Self {
        self.supervisor = Some(supervisor);
        self
    }

    /// It has the one that runs hand everything over.
    #[must_use]
    pub const fn takes_over(mut self) -> Self {
        self.takes_over = true;
        self
    }

    /// Something is wrong with it, besides what is already.
    #[must_use]
    pub fn slip(mut self, slip: Slip) -> Self {
        self.slips.push(slip);
        self
    }
}

impl Client {
    /// A client on that host that asks this gateway every second.
    pub fn on(host: &str, name: &str, gateway: &str) -> Self {
        let [name, host, gateway] = [name, host, gateway].map(str::to_owned);
        Self { kind: Kind::Talker, name, host, gateway, pause_ms: 1_000 }
    }

    /// What it is there for.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// How long it waits between two requests.
    #[must_use]
    pub fn every(mut self, pause: Duration) -> Self {
        self.pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self
    }
}
