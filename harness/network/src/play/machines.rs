//! What is done to simulated machines and to the ways between them.

use sim::network::Link;

use super::{Play, Seat, Visitor};
use crate::plan::Step;
use crate::report::Unrunnable;
use crate::supervised::Watchman;
use crate::world::{Machines, World};

impl<W: World> Play<'_, W> {
    /// Whatever was running on a host is gone, and nothing is before it has power again.
    pub(super) fn lose_power(&mut self, host: &str, for_ms: u64) -> Result<(), Unrunnable> {
        self.light_ms.insert(host.to_owned(), self.world.now_ms() + for_ms);
        self.count("power lost");
        self.note(host, "its power fails".to_owned());
        self.machines("power_loss")?.lose_power(host)?;
        for seat in self.seats.iter_mut().filter(|seat| seat.gateway.host == host) {
            seat.watchman = seat.gateway.supervisor.clone().map(Watchman::new);
        }
        self.take_in()
    }

    /// Supervisors start what was to run there, and people their clients.
    pub(super) fn restore_power(&mut self, host: &str) -> Result<(), Unrunnable> {
        self.light_ms.remove(host);
        self.note(host, "it has power again".to_owned());
        self.machines("power_loss")?.restore_power(host)?;
        let now_ms = self.world.now_ms();
        for seat in 0..self.seats.len() {
            let Seat { gateway, watchman, is_wanted, .. } = &mut self.seats[seat];
            if gateway.host == host && *is_wanted {
                let wish = watchman.as_mut().and_then(|watchman| watchman.start(now_ms));
                self.fulfil(seat, wish)?;
            }
        }
        for visitor in 0..self.visitors.len() {
            let Visitor { client, notes } = &self.visitors[visitor];
            if client.host == host {
                let (client, notes) = (*client, notes.clone());
                let seat = self.seat(&client.gateway)?;
                self.world.invite(client, self.seats[seat].gateway, notes)?;
            }
        }
        Ok(())
    }

    /// What is cut lands once something has waited for the end of it.
    pub(super) fn watch_for(&mut self, step: &Step, words: &str) {
        if !self.report.idle.contains(words) {
            return;
        }
        let ways = match step {
            Step::Link([one, other], _) => vec![[one.clone(), other.clone()], [other.clone(), one.clone()]],
            Step::OneWay([from, to], _) => vec![[from.clone(), to.clone()]],
            Step::Start(_)
            | Step::Signal(..)
            | Step::Say { .. }
            | Step::Sleep(..)
            | Step::StepClock(..)
            | Step::PowerLoss(..) => return,
        };
        self.cuts.extend(ways.into_iter().map(|way| (way, words.to_owned())));
    }

    /// Something has waited on a way that was cut.
    pub(super) fn has_waited(&mut self, way: &[String; 2]) {
        if let Some(words) = self.cuts.remove(way) {
            self.report.idle.remove(&words);
        }
    }

    /// The machines, to which something is done that only a simulated one bears.
    pub(super) fn machines(&mut self, what: &'static str) -> Result<&mut dyn Machines, Unrunnable> {
        self.world.machines().ok_or(Unrunnable::NotHere(what))
    }

    pub(super) fn link(&mut self, from: &str, to: &str, link: Link) -> Result<(), Unrunnable> {
        if self.world.set_link(from, to, link)? {
            self.has_waited(&[from.to_owned(), to.to_owned()]);
        }
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
}
