//! Reads `browsers` and `open_browsers`: a gateway opens browsers, each a process of its own that listens on a port of its own.
//!
//! A browser is a bystander that no `[process]` declares. It is called after its gateway, lives on when that ends, and ends
//! at once where its port is taken.

use std::net::{Ipv4Addr, SocketAddr};

use super::answers::Answers;
use super::diagnostics::Diagnostics;
use super::fields::{Bounds, Field, integer};
use super::model::{Action, Bystander, Gateway, Scenario};
use super::names::{Kind, Names};
use super::problem::Problem;
use super::steps::Steps;

/// How far above the base of its gateway the first browser listens.
pub(crate) const FIRST_ABOVE: u16 = 11;
/// How many browsers have a port in the block of their gateway.
pub(crate) const MOST_BROWSERS: u16 = 100;

pub(super) const BROWSERS: Bounds = Bounds {
    least: 1,
    most: MOST_BROWSERS as i64,
    why: "their ports are those from 11 to 110 above the base",
};

/// `browsers` of a gateway, each of which has a name from here on.
pub(super) fn browsers(
    gateway: &str,
    field: Field<'_>,
    names: &mut Names,
    diagnostics: &mut Diagnostics,
) -> Option<u8> {
    let count = integer("`browsers`", field.value, BROWSERS, diagnostics);
    // A number that cannot be read stands for one, so that a step that opens them is no second mistake.
    for number in 1..=count.unwrap_or(1) {
        names.declare_browser(&name_of(gateway, number), gateway, field.key.span(), diagnostics);
    }
    count
}

fn name_of(gateway: &str, number: u8) -> String {
    format!("{gateway}-browser-{number}")
}

/// The browsers of a gateway, with the ports that they have by default.
pub(super) fn browsers_of(gateway: &Gateway) -> impl Iterator<Item = Bystander> {
    (1..=gateway.browsers).map(|number| {
        let browser = Bystander {
            name: name_of(&gateway.name, number),
            looks_like: String::new(),
            listens: Vec::new(),
            connects: Vec::new(),
            does: None,
            answers: Answers::NeverAccepts,
            browser_of: Some(gateway.name.clone()),
        };
        listening(browser, gateway, FIRST_ABOVE + u16::from(number) - 1)
    })
}

/// The browser with its port so far above the base.
fn listening(browser: Bystander, gateway: &Gateway, above: u16) -> Bystander {
    // Whoever knows other distances has looked whether they fit.
    let port = gateway.port.get().saturating_add(above);
    Bystander {
        looks_like: format!("chrome --remote-debugging-port={port}"),
        listens: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))],
        ..browser
    }
}

impl Scenario {
    /// The browsers of a gateway, in order.
    pub fn browsers_of(&self, gateway: &str) -> impl Iterator<Item = &Bystander> {
        self.processes.iter().filter(move |process| process.browser_of.as_deref() == Some(gateway))
    }

    /// The same scenario where the ports of browsers begin so far above the base of their gateway.
    pub(crate) fn with_browsers_from(&self, first_above: u16) -> Self {
        let mut moved = self.clone();
        for gateway in &self.gateways {
            let browsers = moved.processes.iter_mut();
            let browsers = browsers.filter(|process| process.browser_of.as_ref() == Some(&gateway.name));
            for (above, browser) in (first_above..).zip(browsers) {
                *browser = listening(browser.clone(), gateway, above);
            }
        }
        moved
    }
}

impl Steps<'_> {
    /// `open_browsers`
    pub(super) fn open_browsers(&mut self, verb: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Action> {
        let names = self.names;
        let mut all_have_some = true;
        let named = self.named(verb, diagnostics, |lives, who, at, diagnostics| {
            if names.browsers_of(&who.name).next().is_some() {
                return lives.open_browsers(who, names, &at, diagnostics);
            }
            all_have_some = false;
            let problem = Problem::new(format!("`{}` has no browsers", who.name), at);
            let problem = problem.note(who.at.clone(), "declared here");
            diagnostics.add(match who.kind {
                Kind::Gateway => problem.label("nothing to open").help("give it some: `browsers = 2`"),
                Kind::Bystander => problem.label("a bystander, not a gateway"),
            });
        });
        named.filter(|_| all_have_some).map(Action::OpenBrowsers)
    }
}
