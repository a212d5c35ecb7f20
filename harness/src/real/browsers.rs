//! Gateways open their browsers: real processes that listen where those of the target would.

use super::attempt::{Attempt, Stop};
use super::judge::broken;
use super::lane::{Life, Role};
use crate::scenario::{Check, Fate};

impl Attempt {
    /// Opens the browsers of those gateways that serve at this moment, in a random order. One whose port is taken ends.
    pub(super) fn open_browsers(&mut self, gateways: &[String]) -> Result<(), Stop> {
        let mut names = Vec::new();
        for gateway in gateways {
            let lane = self.lane(gateway)?;
            if self.lanes[lane].fate() != Fate::Ready {
                self.record.add(self.clock.now_us(), gateway, "does not serve, so opens nothing");
                continue;
            }
            for browser in self.scenario.browsers_of(gateway) {
                if self.lanes[self.lane(&browser.name)?].life.is_none() {
                    names.push(browser.name.clone());
                }
            }
        }
        self.start_at_once(&names)?;
        self.judge_browsers()
    }

    /// A browser of a gateway that serves listens on no port of another one that does.
    pub(super) fn judge_browsers(&self) -> Result<(), Stop> {
        let Some(line) = self.line_of(Check::PortsDisjoint) else { return Ok(()) };
        let owners: Vec<_> = self
            .lanes
            .iter()
            .filter(|lane| lane.life.as_ref().is_some_and(Life::is_owner))
            .filter_map(|lane| lane.gateway())
            .collect();
        for lane in self.lanes.iter().filter(|lane| lane.living().is_some_and(|life| life.said.listens)) {
            let Role::Bystander(bystander) = &lane.role else { continue };
            let Some(of) = owners.iter().find(|owner| bystander.browser_of.as_ref() == Some(&owner.name))
            else {
                continue;
            };
            for port in bystander.listens.iter().map(|address| address.port()) {
                let has = |above: u16| self.order.target.ports.name(above).is_some();
                let other = owners.iter().find(|other| {
                    other.name != of.name && port.checked_sub(other.port.get()).is_some_and(has)
                });
                if let Some(other) = other {
                    let (browser, of, other) = (&lane.name, &of.name, &other.name);
                    let says = format!("{browser}, a browser of {of}, listens on {port}, which {other} has");
                    return Err(broken(Check::PortsDisjoint, line, says));
                }
            }
        }
        Ok(())
    }
}
