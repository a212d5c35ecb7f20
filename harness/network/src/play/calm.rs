//! The end of a play: everything is mended, and it is looked what comes of it.

use portcullis_os::Signal;

use super::{Play, Seat};
use crate::checks;
use crate::plan::{CALM_MS, SERVICE};
use crate::report::Unrunnable;
use crate::supervised::Watchman;
use crate::world::{Going, World};

/// How often it is looked whether everything has settled, in milliseconds, where time does not pass by itself.
const LOOK_MS: u64 = 500;

impl<W: World> Play<'_, W> {
    /// Asks each gateway that serves which replies may have gone out or not.
    pub(super) fn ask_for_doubts(&mut self) -> Result<(), Unrunnable> {
        self.doubts.clear();
        for seat in 0..self.seats.len() {
            let gateway = self.seats[seat].gateway;
            if !self.owns(&self.seats[seat]) || gateway.bots.is_empty() {
                continue;
            }
            let status = self.world.ask(gateway, "channels.status")?;
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

    /// Counts what has come of what clients asked, and how often two have polled one bot.
    pub(super) fn sum_up(&mut self) {
        let record = self.world.record();
        let conflicts: usize = self.plan.bots.iter().map(|bot| record.conflicts(bot)).sum();
        if conflicts > 0 {
            self.report.happened.insert("conflict".to_owned(), conflicts as u64);
        }
        for visitor in &self.visitors {
            for (what, often) in &visitor.notes.look().seen {
                *self.report.happened.entry(what.clone()).or_default() += often;
            }
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
    pub(super) fn calm(&mut self) -> Result<(), Unrunnable> {
        let link = self.plan.link;
        let waited = self.world.mend(link);
        for way in waited {
            self.has_waited(&way);
        }
        self.awake_ms.clear();
        let dark: Vec<String> = self.light_ms.keys().cloned().collect();
        dark.iter().try_for_each(|host| self.restore_power(host))?;
        for seat in 0..self.seats.len() {
            let Some(process) = self.seats[seat].process else { continue };
            if self.world.going(process) == Going::Stopped {
                self.send(seat, Signal::Continue)?;
            }
        }
        self.note(SERVICE, "calm".to_owned());
        Ok(())
    }

    /// Lets the calm pass. Where that takes as long as it says, it is over a while after nothing is owed to anybody any more.
    pub(super) fn settle(&mut self) -> Result<(), Unrunnable> {
        let end_ms = self.plan.end_ms + CALM_MS;
        if self.world.machines().is_some() {
            return self.go_until(end_ms);
        }
        while self.world.now_ms() < end_ms {
            self.go_until((self.world.now_ms() + LOOK_MS).min(end_ms))?;
            if self.seats.iter().any(|seat| self.comes(seat)) {
                continue;
            }
            if checks::owes(self) {
                self.ask_for_doubts()?;
            }
            if !checks::owes(self) {
                // What comes twice comes now.
                return self.go_until((self.world.now_ms() + 2 * LOOK_MS).min(end_ms));
            }
        }
        Ok(())
    }

    /// Whether a gateway is about to own what nobody else owns.
    fn comes(&self, of: &Seat<'_>) -> bool {
        let is_rival = |seat: &Seat<'_>| {
            self.owns(seat)
                && (&seat.gateway.host, &seat.gateway.state) == (&of.gateway.host, &of.gateway.state)
        };
        let waits = of.process.is_some() || of.watchman.as_ref().is_some_and(Watchman::waits);
        waits && !self.seats.iter().any(is_rival)
    }
}
