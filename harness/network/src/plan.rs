//! Who is there, and what happens when.

use std::time::Duration;

use portcullis_os::Signal;
use sim::network::Link;
use sim::supervisor::Supervisor;

use crate::report::{Report, Unrunnable};
use crate::run;
use crate::weather::Weather;

/// The host that the bot service is on.
pub(crate) const SERVICE: &str = "service";
/// How long nothing is done to anybody at the end, in milliseconds: what was asked for must have come to something by then.
pub(crate) const CALM_MS: u64 = 60_000;

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
    pub(crate) slip: Option<Slip>,
}

/// What is wrong with a gateway that is to be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// Every start takes the same epoch.
    NoEpoch,
    /// What it writes down of replies is not there when it comes again.
    NoOutbox,
}

/// A client of a gateway: it connects, asks again and again, and comes again when it was sent away.
#[derive(Clone, Debug)]
pub struct Client {
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

    /// Lets it happen once.
    ///
    /// # Errors
    ///
    /// [`Unrunnable`]: what is wrong with the plan.
    pub fn run(&self, seed: u64) -> Result<Report, Unrunnable> {
        run::run(self, seed)
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
            slip: None,
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

    /// Something is wrong with it.
    #[must_use]
    pub const fn slip(mut self, slip: Slip) -> Self {
        self.slip = Some(slip);
        self
    }
}

impl Client {
    /// A client on that host that asks this gateway every second.
    pub fn on(host: &str, name: &str, gateway: &str) -> Self {
        Self { name: name.to_owned(), host: host.to_owned(), gateway: gateway.to_owned(), pause_ms: 1_000 }
    }

    /// How long it waits between two requests.
    #[must_use]
    pub fn every(mut self, pause: Duration) -> Self {
        self.pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self
    }
}
