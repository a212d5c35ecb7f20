//! Lets a plan happen: starts who is to be there, does what is to be done when its time has come, and asks in the end what became of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bot::Service;
use portcullis_os::{Ending, FileId, Notice, Port, Signal, Uid};
use sim::kernel::{Effect, HostId, Kernel, Life, LockSupport, Mount, ProcessId, Spawn};
use sim::network::{Happened, Network};

use crate::bots::{self, Host, token};
use crate::clients::{self, Errand, Notes};
use crate::gateways;
use crate::plan::{CALM_MS, Gateway, Plan, SERVICE, Step};
use crate::report::{Broken, Report, Unrunnable};
use crate::supervised::{Watchman, Wish};
use crate::{checks, weather};

/// Whose files and processes these are.
const USER: Uid = Uid(1000);
/// How long an operator waits for an answer, in milliseconds.
const ANSWER_MS: u64 = 30_000;
/// How long the hosts have been up, in milliseconds.
const UP_MS: u64 = 300_000;

/// A gateway, and the processes that it has had.
pub(crate) struct Seat<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) process: Option<ProcessId>,
    watchman: Option<Watchman>,
}

/// A client, and what it has written down.
pub(crate) struct Visitor {
    pub(crate) name: String,
    pub(crate) gateway: String,
    pub(crate) notes: Notes,
}

/// What is going on.
pub(crate) struct Play<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) network: Network,
    hosts: Vec<String>,
    pub(crate) seats: Vec<Seat<'a>>,
    pub(crate) visitors: Vec<Visitor>,
    pub(crate) service: Service<Host>,
    /// Whose processes they are or were.
    names: BTreeMap<ProcessId, String>,
    /// When which host goes on.
    awake_ms: BTreeMap<String, u64>,
    /// What was said to bots: the bot, the words.
    pub(crate) told: Vec<(String, String)>,
    /// Who owns something, and which state.
    pub(crate) owners: BTreeMap<ProcessId, FileId>,
    /// Of how many replies of each bot a gateway says that they may have gone out or not.
    pub(crate) doubts: BTreeMap<String, u64>,
    pub(crate) report: Report,
}

/// Lets a plan happen once.
pub(crate) fn run(plan: &Plan, seed: u64) -> Result<Report, Unrunnable> {
    let mut play = Play::set(plan, seed)?;
    let drawn = plan.weather.map(|weather| weather::forecast(plan, weather, seed)).unwrap_or_default();
    let mut steps: Vec<(u64, &Step)> =
        plan.steps.iter().chain(&drawn).map(|(at_ms, step)| (*at_ms, step)).collect();
    steps.sort_by_key(|(at_ms, _)| *at_ms);
    for (at_ms, step) in steps {
        play.go_until(at_ms)?;
        play.take(step)?;
    }
    play.go_until(plan.end_ms)?;
    play.calm();
    play.go_until(plan.end_ms + CALM_MS)?;
    play.sum_up();
    play.ask_for_doubts()?;
    checks::judge(&mut play);
    play.report.digest = play.network.digest();
    Ok(play.report)
}

impl<'a> Play<'a> {
    /// Sets the scene: hosts, files, the bot service, the clients.
    fn set(plan: &'a Plan, seed: u64) -> Result<Self, Unrunnable> {
        let hosts: Vec<String> = plan.hosts().into_iter().map(str::to_owned).collect();
        let mut kernel = Kernel::new();
        for _ in 1..hosts.len() {
            kernel.add_host(UP_MS);
        }
        furnish(plan, &mut kernel);
        let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let room = |error: std::io::Error| Unrunnable::NoRoom(error.to_string());
        let mut network = Network::new(kernel, &names, seed).map_err(room)?;
        let mut service = None;
        let spawn = process(&network, HostId(0), "bots");
        let began = network.began();
        let spawned = network.spawn(&spawn, |node| {
            let host = Host::new(node.clone(), began);
            let running = bots::service(&plan.bots, plan.lease_ms, host);
            service = Some(running.clone());
            bots::serve(node, running)
        });
        let (Ok(_), Some(service)) = (spawned, service) else {
            return Err(Unrunnable::NoRoom(SERVICE.to_owned()));
        };
        let mut play = Self {
            plan,
            network,
            hosts,
            seats: plan.gateways.iter().map(Seat::of).collect(),
            visitors: Vec::new(),
            service,
            names: BTreeMap::new(),
            awake_ms: BTreeMap::new(),
            told: Vec::new(),
            owners: BTreeMap::new(),
            doubts: BTreeMap::new(),
            report: Report {
                seed,
                broken: Vec::new(),
                happened: BTreeMap::new(),
                replies: 0,
                log: Vec::new(),
                digest: 0,
            },
        };
        for from in 0..play.hosts.len() {
            for to in (0..play.hosts.len()).filter(|to| *to != from) {
                play.network.set_link(number(from), number(to), plan.link);
            }
        }
        play.invite()?;
        Ok(play)
    }

    fn invite(&mut self) -> Result<(), Unrunnable> {
        for client in &self.plan.clients {
            let seat = self.seat(&client.gateway)?;
            let gateway = self.seats[seat].gateway;
            let port = Port::new(gateway.port).ok_or_else(|| Unrunnable::Nobody(client.gateway.clone()))?;
            let notes = Notes::default();
            let errand = Errand {
                name: client.name.clone(),
                host: gateway.host.clone(),
                port,
                pause: Duration::from_millis(client.pause_ms),
                began: self.network.began(),
            };
            let spawn = process(&self.network, self.host(&client.host)?, &client.name);
            let written = notes.clone();
            let process = self.network.spawn(&spawn, |node| clients::ask(node, errand, written));
            let process = process.map_err(|_| Unrunnable::NoRoom(client.name.clone()))?;
            self.names.insert(process, client.name.clone());
            let visitor = Visitor { name: client.name.clone(), gateway: client.gateway.clone(), notes };
            self.visitors.push(visitor);
        }
        Ok(())
    }

    fn host(&self, name: &str) -> Result<HostId, Unrunnable> {
        let place = self.hosts.iter().position(|host| host == name);
        place.map(number).ok_or_else(|| Unrunnable::Nobody(name.to_owned()))
    }

    fn seat(&self, name: &str) -> Result<usize, Unrunnable> {
        let place = self.seats.iter().position(|seat| seat.gateway.name == name);
        place.ok_or_else(|| Unrunnable::Nobody(name.to_owned()))
    }

    fn note(&mut self, who: &str, what: String) {
        let at_ms = self.network.now_ms();
        self.report.log.push((at_ms, who.to_owned(), what));
    }

    fn count(&mut self, what: &str) {
        *self.report.happened.entry(what.to_owned()).or_default() += 1;
    }

    /// Lets things go on until that moment, and supervisors and sleeping hosts do meanwhile what they have to.
    fn go_until(&mut self, until_ms: u64) -> Result<(), Unrunnable> {
        loop {
            let now_ms = self.network.now_ms();
            if now_ms >= until_ms {
                return Ok(());
            }
            let due = self.seats.iter().filter_map(|seat| seat.watchman.as_ref()?.next_ms());
            let next_ms = due.chain(self.awake_ms.values().copied()).fold(until_ms, u64::min);
            let ends = |_: &Kernel, happened: &[Happened]| {
                happened.iter().any(|happened| matches!(happened.effect, Effect::Died { .. }))
            };
            self.network.run(next_ms.saturating_sub(now_ms), ends)?;
            self.take_in()?;
            self.wake()?;
        }
    }

    /// Takes in what has happened.
    fn take_in(&mut self) -> Result<(), Unrunnable> {
        for Happened { at_ms, effect } in self.network.take_happened() {
            match effect {
                Effect::Notified { process, notice } => self.hear(at_ms, process, &notice),
                Effect::Died { process, how } => {
                    let who = self.name_of(process);
                    self.owners.remove(&process);
                    self.count(&format!("ended by {}", words(how)));
                    self.report.log.push((at_ms, who, format!("ends: {}", words(how))));
                    self.end(at_ms, process, how)?;
                }
                Effect::Signalled { .. }
                | Effect::Created { .. }
                | Effect::Changed { .. }
                | Effect::Unlinked { .. }
                | Effect::Linked { .. }
                | Effect::Renamed { .. }
                | Effect::Locked { .. }
                | Effect::Spawned { .. } => {}
            }
        }
        Ok(())
    }

    fn hear(&mut self, at_ms: u64, process: ProcessId, notice: &Notice) {
        let who = self.name_of(process);
        match notice {
            Notice::Owner(owned) => {
                let other =
                    self.owners.iter().find(|(_, state)| **state == owned.state).map(|(other, _)| *other);
                if let Some(other) = other.filter(|other| *other != process) {
                    let says =
                        format!("{who} owns the state that {} owns, at {at_ms} ms", self.name_of(other));
                    self.report.broken.push(Broken { check: "single-owner", says });
                }
                self.owners.insert(process, owned.state);
            }
            Notice::Released => {
                self.owners.remove(&process);
            }
            Notice::Ready | Notice::Refused { .. } | Notice::Noted(_) => {}
        }
        if let Notice::Refused { code, .. } = notice {
            self.count(&format!("refused {code}"));
        } else if *notice == Notice::Ready {
            self.count("ready");
        }
        self.report.log.push((at_ms, who, notice.to_string()));
    }

    fn name_of(&self, process: ProcessId) -> String {
        self.names.get(&process).cloned().unwrap_or_else(|| format!("process {}", process.0))
    }

    fn end(&mut self, at_ms: u64, process: ProcessId, how: Ending) -> Result<(), Unrunnable> {
        let Some(seat) = self.seats.iter().position(|seat| seat.process == Some(process)) else {
            return Ok(());
        };
        self.seats[seat].process = None;
        let wish = self.seats[seat].watchman.as_mut().and_then(|watchman| watchman.on_exit(at_ms, how));
        self.fulfil(seat, wish)
    }

    /// Does what supervisors and sleeping hosts have waited for.
    fn wake(&mut self) -> Result<(), Unrunnable> {
        let now_ms = self.network.now_ms();
        for seat in 0..self.seats.len() {
            let watchman = self.seats[seat].watchman.as_mut();
            let wish = watchman
                .filter(|watchman| watchman.next_ms().is_some_and(|next_ms| next_ms <= now_ms))
                .and_then(|watchman| watchman.wake(now_ms));
            self.fulfil(seat, wish)?;
        }
        let rested: Vec<String> =
            self.awake_ms.iter().filter(|(_, at)| **at <= now_ms).map(|(host, _)| host.clone()).collect();
        for host in rested {
            self.awake_ms.remove(&host);
            let id = self.host(&host)?;
            self.network.set_asleep(id, false);
            self.note(&host, "wakes".to_owned());
        }
        Ok(())
    }

    fn fulfil(&mut self, seat: usize, wish: Option<Wish>) -> Result<(), Unrunnable> {
        match wish {
            None => Ok(()),
            Some(Wish::Start) => self.start(seat),
            Some(Wish::Send(signals)) => {
                for signal in signals {
                    self.send(seat, *signal);
                }
                Ok(())
            }
        }
    }

    fn start(&mut self, seat: usize) -> Result<(), Unrunnable> {
        let gateway = self.seats[seat].gateway;
        let plan = self.plan;
        let settled = self.network.look(|kernel| gateways::settle(plan, gateway, kernel));
        let (claim, about) =
            settled.map_err(|why| Unrunnable::Unsettled { name: gateway.name.clone(), why })?;
        let spawn = process(&self.network, self.host(&gateway.host)?, "refgate");
        let slip = gateway.slip;
        let process = self.network.spawn(&spawn, |node| gateways::run(node, claim, about, slip));
        let process = process.map_err(|_| Unrunnable::NoRoom(gateway.name.clone()))?;
        self.names.insert(process, gateway.name.clone());
        self.seats[seat].process = Some(process);
        self.count("started");
        self.note(&gateway.name, "starts".to_owned());
        Ok(())
    }

    fn send(&mut self, seat: usize, signal: Signal) {
        let Some(process) = self.seats[seat].process else { return };
        let life = self.network.look(|kernel| kernel.life(process));
        if matches!(life, Life::Running | Life::Stopped) {
            self.count(&signal.to_string());
            self.note(&self.seats[seat].gateway.name, signal.to_string());
            self.network.signal(process, signal);
        }
    }

    /// Does what is to be done now.
    fn take(&mut self, step: &Step) -> Result<(), Unrunnable> {
        match step {
            Step::Start(name) => {
                let seat = self.seat(name)?;
                if self.seats[seat].process.is_some() {
                    return Ok(());
                }
                let now_ms = self.network.now_ms();
                match self.seats[seat].watchman.as_mut() {
                    None => self.start(seat),
                    Some(watchman) => {
                        let wish = watchman.start(now_ms);
                        self.fulfil(seat, wish)
                    }
                }
            }
            Step::Signal(name, signal) => {
                let seat = self.seat(name)?;
                self.send(seat, *signal);
                Ok(())
            }
            Step::Say { bot, chat, text } => {
                self.service.say(&token(bot), *chat, text).ok_or_else(|| Unrunnable::Nobody(bot.clone()))?;
                self.told.push((bot.clone(), text.clone()));
                self.count("said");
                Ok(())
            }
            Step::Link([one, other], link) => {
                self.link(one, other, *link)?;
                self.link(other, one, *link)
            }
            Step::OneWay([from, to], link) => self.link(from, to, *link),
            Step::Sleep(host, milliseconds) => {
                let id = self.host(host)?;
                self.network.set_asleep(id, true);
                let until_ms = self.network.now_ms() + milliseconds;
                self.awake_ms.insert(host.clone(), until_ms);
                self.count("sleep");
                self.note(host, "sleeps".to_owned());
                Ok(())
            }
            Step::StepClock(host, by_ms) => {
                let id = self.host(host)?;
                self.network.change(|kernel| kernel.step_wall(id, *by_ms));
                self.count("clock");
                self.note(host, format!("its clock is put by {by_ms} ms"));
                Ok(())
            }
        }
    }

    fn link(&mut self, from: &str, to: &str, link: sim::network::Link) -> Result<(), Unrunnable> {
        let (from_id, to_id) = (self.host(from)?, self.host(to)?);
        self.network.set_link(from_id, to_id, link);
        let what = match link {
            link if link.is_cut => "cut",
            link if link == self.plan.link => "mended",
            link if link.lost_permille > 0 => "lossy",
            _ => "slow",
        };
        self.count(what);
        self.note(from, format!("the way to {to} is {what}"));
        Ok(())
    }

    /// Asks each gateway that serves which replies may have gone out or not.
    fn ask_for_doubts(&mut self) -> Result<(), Unrunnable> {
        for seat in 0..self.seats.len() {
            let gateway = self.seats[seat].gateway;
            let owns = self.seats[seat].process.is_some_and(|process| self.owners.contains_key(&process));
            let Some(port) = Port::new(gateway.port).filter(|_| owns && !gateway.bots.is_empty()) else {
                continue;
            };
            let answer = Arc::new(Mutex::new(None));
            let spawn = process(&self.network, self.host(&gateway.host)?, "operator");
            let written = answer.clone();
            let asked = self
                .network
                .spawn(&spawn, |node| clients::look(node, port, "channels.status", written))
                .map_err(|_| Unrunnable::NoRoom("an operator".to_owned()))?;
            self.network.run(ANSWER_MS, |kernel, _| matches!(kernel.life(asked), Life::Dead(_)))?;
            let status = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
            let accounts = status.iter().flat_map(|status| status["channelAccounts"]["telegram"].as_array());
            for account in accounts.flatten() {
                let doubts = account["repliesUnconfirmed"].as_u64().unwrap_or_default();
                if let Some(bot) = account["accountId"].as_str() {
                    *self.doubts.entry(bot.to_owned()).or_default() += doubts;
                }
            }
        }
        Ok(())
    }

    /// Counts what has come of what clients asked.
    fn sum_up(&mut self) {
        for visitor in &self.visitors {
            let asked = visitor.notes.look().asked;
            let counts = [
                ("let in", asked.let_in),
                ("sent", asked.sent),
                ("answered", asked.answered),
                ("refused", asked.refused),
                ("cut off", asked.cut),
                ("silent", asked.silent),
            ];
            for (what, often) in counts.into_iter().filter(|(_, often)| *often > 0) {
                *self.report.happened.entry(what.to_owned()).or_default() += often;
            }
        }
    }

    /// Mends everything: from here on it must settle.
    fn calm(&mut self) {
        for from in 0..self.hosts.len() {
            for to in (0..self.hosts.len()).filter(|to| *to != from) {
                self.network.set_link(number(from), number(to), self.plan.link);
            }
            self.network.set_asleep(number(from), false);
        }
        self.awake_ms.clear();
        for seat in 0..self.seats.len() {
            let Some(process) = self.seats[seat].process else { continue };
            if self.network.look(|kernel| kernel.life(process)) == Life::Stopped {
                self.send(seat, Signal::Continue);
            }
        }
        self.note(SERVICE, "calm".to_owned());
    }
}

impl<'a> Seat<'a> {
    fn of(gateway: &'a Gateway) -> Self {
        Self { gateway, process: None, watchman: gateway.supervisor.clone().map(Watchman::new) }
    }
}

fn number(place: usize) -> HostId {
    HostId(u8::try_from(place).unwrap_or(u8::MAX))
}

fn process(network: &Network, host: HostId, name: &str) -> Spawn {
    Spawn {
        name: name.to_owned(),
        command: name.to_owned(),
        uid: USER,
        parent: None,
        pid: None,
        place: network.look(|kernel| kernel.place_on(host)),
    }
}

/// Every directory and configuration.
fn furnish(plan: &Plan, kernel: &mut Kernel) {
    for place in ["/home", "/work", "/shared"] {
        kernel.make_directory(place.as_ref(), 0o755, USER);
    }
    if !plan.shared.is_empty() {
        kernel.mount("/shared".as_ref(), Mount { locks: LockSupport::PerHost, ..Mount::local() });
    }
    for gateway in &plan.gateways {
        gateways::furnish(plan, gateway, kernel, USER);
    }
    kernel.take_effects();
}

fn words(how: Ending) -> String {
    match how {
        Ending::Exited(status) => format!("exit {status}"),
        Ending::Killed(signal) => signal.to_string(),
        Ending::KilledBy(number) => format!("signal {number}"),
    }
}
