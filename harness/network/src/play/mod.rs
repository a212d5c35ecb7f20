//! Lets a plan happen: starts who is to be there, does what is to be done when its time has come, and asks in the end what became
//! of it. Where that is, on a simulated network or on real processes, it does not know.

mod calm;
mod machines;

use std::collections::BTreeMap;

use portcullis_os::{Ending, Signal};

use crate::clients::Notes;
use crate::file::InWords;
use crate::plan::{Client, Gateway, Plan, Step};
use crate::report::{Broken, Report, Unrunnable};
use crate::supervised::{Watchman, Wish};
use crate::world::{Deed, Going, ProcessNumber, Seen, Told, World};
use crate::{checks, weather};

/// A gateway, and the process that it has now.
pub(crate) struct Seat<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) process: Option<ProcessNumber>,
    /// When that has begun.
    pub(crate) since_ms: u64,
    watchman: Option<Watchman>,
    /// Whether somebody has wanted it to run.
    is_wanted: bool,
}

/// A client, and what it has written down.
pub(crate) struct Visitor<'a> {
    pub(crate) client: &'a Client,
    pub(crate) notes: Notes,
}

/// What is going on.
pub(crate) struct Play<'a, W> {
    pub(crate) plan: &'a Plan,
    pub(crate) world: W,
    pub(crate) seats: Vec<Seat<'a>>,
    pub(crate) visitors: Vec<Visitor<'a>>,
    /// Whose processes they are or were.
    names: BTreeMap<ProcessNumber, String>,
    /// When which host goes on.
    awake_ms: BTreeMap<String, u64>,
    /// When which host has power again.
    light_ms: BTreeMap<String, u64>,
    /// What is cut, and the step that has cut it.
    cuts: BTreeMap<[String; 2], String>,
    /// What was said to bots: when, the bot, the words.
    pub(crate) told: Vec<(u64, String, String)>,
    /// Who owns something, and which state.
    pub(crate) owners: BTreeMap<ProcessNumber, String>,
    /// Of how many replies of each bot a gateway says that they may have gone out or not.
    pub(crate) doubts: BTreeMap<String, u64>,
    pub(crate) report: Report,
}

/// A step, when it is taken, and whether the plan says so or it was drawn.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) at_ms: u64,
    /// The same as the plan says it, where everything goes faster.
    pub(crate) said_ms: u64,
    pub(crate) step: Step,
    pub(crate) is_drawn: bool,
}

/// Everything that happens by a seed, in order: what the plan says, and what is drawn besides.
pub(crate) fn acts(plan: &Plan, seed: u64) -> Vec<Act> {
    let drawn = plan.weather.map(|weather| weather::forecast(plan, weather, seed)).unwrap_or_default();
    let act = |is_drawn| move |(at_ms, step)| Act { at_ms, said_ms: at_ms, step, is_drawn };
    let said = plan.steps.iter().cloned().map(act(false));
    let mut acts: Vec<Act> = said.chain(drawn.into_iter().map(act(true))).collect();
    acts.sort_by_key(|act| act.at_ms);
    acts
}

/// Lets these steps happen once, under a plan.
pub(crate) fn run<W: World>(plan: &Plan, acts: &[Act], seed: u64, world: W) -> Result<Report, Unrunnable> {
    let mut play = Play::set(plan, seed, world)?;
    for Act { at_ms, said_ms, step, is_drawn } in acts {
        play.go_until(*at_ms)?;
        let words = format!("step at {said_ms} ms: {}", InWords { step, usual: plan.link });
        let lands = play.take(step)?;
        if !is_drawn && !lands {
            play.report.idle.insert(words.clone());
        }
        play.watch_for(step, &words);
    }
    play.go_until(plan.end_ms)?;
    play.calm()?;
    play.settle()?;
    play.sum_up();
    play.ask_for_doubts()?;
    play.take_in()?;
    checks::judge(&mut play);
    play.report.digest = play.world.digest();
    Ok(play.report)
}

impl<'a, W: World> Play<'a, W> {
    /// Invites the clients.
    fn set(plan: &'a Plan, seed: u64, world: W) -> Result<Self, Unrunnable> {
        let mut play = Self {
            plan,
            world,
            seats: plan.gateways.iter().map(Seat::of).collect(),
            visitors: Vec::new(),
            names: BTreeMap::new(),
            awake_ms: BTreeMap::new(),
            light_ms: BTreeMap::new(),
            cuts: BTreeMap::new(),
            told: Vec::new(),
            owners: BTreeMap::new(),
            doubts: BTreeMap::new(),
            report: Report::of(seed),
        };
        for client in &plan.clients {
            let seat = play.seat(&client.gateway)?;
            let notes = Notes::default();
            play.world.invite(client, play.seats[seat].gateway, notes.clone())?;
            play.visitors.push(Visitor { client, notes });
        }
        Ok(play)
    }

    fn seat(&self, name: &str) -> Result<usize, Unrunnable> {
        let place = self.seats.iter().position(|seat| seat.gateway.name == name);
        place.ok_or_else(|| Unrunnable::Nobody(name.to_owned()))
    }

    fn note(&mut self, who: &str, what: String) {
        let at_ms = self.world.now_ms();
        self.report.log.push((at_ms, who.to_owned(), what));
    }

    fn count(&mut self, what: &str) {
        *self.report.happened.entry(what.to_owned()).or_default() += 1;
    }

    /// Lets things go on until that moment, and supervisors and sleeping hosts do meanwhile what they have to.
    fn go_until(&mut self, until_ms: u64) -> Result<(), Unrunnable> {
        loop {
            let now_ms = self.world.now_ms();
            if now_ms >= until_ms {
                return Ok(());
            }
            let due = self.seats.iter().filter_map(|seat| seat.watchman.as_ref()?.next_ms());
            let back = self.awake_ms.values().chain(self.light_ms.values()).copied();
            let next_ms = due.chain(back).fold(until_ms, u64::min);
            self.world.go_until(next_ms)?;
            self.take_in()?;
            self.wake()?;
        }
    }

    /// Takes in what has happened.
    fn take_in(&mut self) -> Result<(), Unrunnable> {
        for Seen { at_ms, process, deed } in self.world.take_seen() {
            match deed {
                Deed::Told(told, reads) => self.hear(at_ms, process, &told, reads),
                // A client that goes down with its host, or an operator who has his answer.
                Deed::Ended(_) if !self.names.contains_key(&process) => {}
                Deed::Ended(how) => {
                    let who = self.name_of(process);
                    self.owners.remove(&process);
                    self.count(&format!("ended by {}", words(how)));
                    self.report.log.push((at_ms, who, format!("ends: {}", words(how))));
                    self.end(at_ms, process, how)?;
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, at_ms: u64, process: ProcessNumber, told: &Told, reads: String) {
        let who = self.name_of(process);
        match told {
            Told::Owner(state) => {
                let is_rival =
                    |other: &ProcessNumber| *other != process && !self.world.has_died_unseen(*other);
                let mut others = self.owners.iter().filter(|(_, of)| *of == state).map(|(other, _)| *other);
                if let Some(other) = others.find(is_rival) {
                    let says =
                        format!("{who} owns the state that {} owns, at {at_ms} ms", self.name_of(other));
                    self.report.broken.push(Broken { check: "single-owner", says });
                }
                self.owners.insert(process, state.clone());
            }
            Told::Released => {
                self.owners.remove(&process);
            }
            Told::Ready => self.count("ready"),
            Told::Refused(code) => self.count(&format!("refused {code}")),
            Told::Other => {}
        }
        self.report.log.push((at_ms, who, reads));
    }

    fn name_of(&self, process: ProcessNumber) -> String {
        self.names.get(&process).cloned().unwrap_or_else(|| format!("process {}", process.0))
    }

    fn end(&mut self, at_ms: u64, process: ProcessNumber, how: Ending) -> Result<(), Unrunnable> {
        let Some(seat) = self.seats.iter().position(|seat| seat.process == Some(process)) else {
            return Ok(());
        };
        self.seats[seat].process = None;
        if self.light_ms.contains_key(&self.seats[seat].gateway.host) {
            // Whoever would start it again is as dark.
            return Ok(());
        }
        let wish = self.seats[seat].watchman.as_mut().and_then(|watchman| watchman.on_exit(at_ms, how));
        self.fulfil(seat, wish)
    }

    /// Does what supervisors and sleeping hosts have waited for.
    fn wake(&mut self) -> Result<(), Unrunnable> {
        let now_ms = self.world.now_ms();
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
            self.machines("sleep")?.set_asleep(&host, false)?;
            self.note(&host, "wakes".to_owned());
        }
        let lit = self.light_ms.iter().filter(|(_, at)| **at <= now_ms).map(|(host, _)| host.clone());
        lit.collect::<Vec<_>>().iter().try_for_each(|host| self.restore_power(host))
    }

    fn fulfil(&mut self, seat: usize, wish: Option<Wish>) -> Result<(), Unrunnable> {
        match wish {
            None => Ok(()),
            Some(Wish::Start) => self.start(seat),
            Some(Wish::Send(signals)) => {
                signals.iter().try_for_each(|signal| self.send(seat, *signal).map(drop))
            }
        }
    }

    fn start(&mut self, seat: usize) -> Result<(), Unrunnable> {
        let gateway = self.seats[seat].gateway;
        let process = self.world.start(self.plan, gateway)?;
        self.names.insert(process, gateway.name.clone());
        self.seats[seat].process = Some(process);
        self.seats[seat].since_ms = self.world.now_ms();
        self.count("started");
        self.note(&gateway.name, "starts".to_owned());
        Ok(())
    }

    /// Sends a signal to a gateway. Whether there is one.
    fn send(&mut self, seat: usize, signal: Signal) -> Result<bool, Unrunnable> {
        let Some(process) = self.seats[seat].process else { return Ok(false) };
        if self.world.going(process) == Going::Over {
            return Ok(false);
        }
        self.count(&signal.to_string());
        self.note(&self.seats[seat].gateway.name, signal.to_string());
        self.world.signal(process, signal)?;
        Ok(true)
    }

    /// Does what is to be done now. Whether it finds anybody or anything; what is cut shows that later.
    fn take(&mut self, step: &Step) -> Result<bool, Unrunnable> {
        match step {
            Step::Start(name) => {
                let seat = self.seat(name)?;
                self.seats[seat].is_wanted = true;
                let is_dark = self.light_ms.contains_key(&self.seats[seat].gateway.host);
                if self.seats[seat].process.is_some() || is_dark {
                    return Ok(false);
                }
                let now_ms = self.world.now_ms();
                let wish = match self.seats[seat].watchman.as_mut() {
                    None => Some(Wish::Start),
                    Some(watchman) => watchman.start(now_ms),
                };
                self.fulfil(seat, wish)?;
            }
            Step::Signal(name, signal) => {
                let seat = self.seat(name)?;
                return self.send(seat, *signal);
            }
            Step::Say { bot, chat, text } => {
                if !self.world.say(bot, *chat, text) {
                    return Err(Unrunnable::Nobody(bot.clone()));
                }
                self.told.push((self.world.now_ms(), bot.clone(), text.clone()));
                self.count("said");
            }
            Step::Link([one, other], link) => {
                self.link(one, other, *link)?;
                self.link(other, one, *link)?;
                return Ok(!link.is_cut);
            }
            Step::OneWay([from, to], link) => {
                self.link(from, to, *link)?;
                return Ok(!link.is_cut);
            }
            Step::Sleep(host, milliseconds) => {
                self.machines("sleep")?.set_asleep(host, true)?;
                let until_ms = self.world.now_ms() + milliseconds;
                self.awake_ms.insert(host.clone(), until_ms);
                self.count("sleep");
                self.note(host, "sleeps".to_owned());
                return Ok(self.is_inhabited(host));
            }
            Step::StepClock(host, by_ms) => {
                self.machines("clock")?.step_clock(host, *by_ms)?;
                self.count("clock");
                self.note(host, format!("its clock is put by {by_ms} ms"));
            }
            Step::PowerLoss(host, milliseconds) => {
                let lands = self.is_inhabited(host);
                self.lose_power(host, *milliseconds)?;
                return Ok(lands);
            }
        }
        Ok(true)
    }

    /// Whether somebody runs on a host.
    fn is_inhabited(&self, host: &str) -> bool {
        let runs = self.seats.iter().any(|seat| seat.gateway.host == host && seat.process.is_some());
        runs || self.visitors.iter().any(|visitor| visitor.client.host == host)
    }
}

impl<'a> Seat<'a> {
    fn of(gateway: &'a Gateway) -> Self {
        let watchman = gateway.supervisor.clone().map(Watchman::new);
        Self { gateway, process: None, since_ms: 0, watchman, is_wanted: false }
    }
}

fn words(how: Ending) -> String {
    match how {
        Ending::Exited(status) => format!("exit {status}"),
        Ending::Killed(signal) => signal.to_string(),
        Ending::KilledBy(number) => format!("signal {number}"),
    }
}
