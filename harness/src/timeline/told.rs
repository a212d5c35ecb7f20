//! What a search for a timeline has come to, as text: the schedule in lanes, or how far the best one came.
//!
//! There are no timings in it: same case, same bytes.

use std::io::{self, Write};

use sim::{Schedule, Violation};

use super::monitor::Furthest;
use super::order::Order;
use super::search::{Matched, Searched, replay};
use crate::checks::Checks;
use crate::designs::Design;
use crate::lanes;
use crate::report::{count, grouped};
use crate::scenario::{Case, Check, Expect, Located, Seen, Timeline};
use crate::simulate::Simulation;
use crate::token::Token;

/// Tells of one case that has a timeline.
///
/// # Errors
///
/// What the writer says.
pub fn tell(
    out: &mut impl Write,
    case: &Case,
    design: Design,
    (simulation, timeline): (&Simulation, &Timeline),
    (matched, searched): &(Matched, Searched),
) -> io::Result<()> {
    writeln!(
        out,
        "match {}   on sim   design {}   {}",
        case.id,
        design.name(),
        case.scenario.file.display()
    )?;
    let told = Told { case, design, simulation, timeline };
    let all = count(timeline.events.len(), "event");
    match matched {
        Matched::Reproduced { schedule, is_shortest } => {
            writeln!(out, "  reproduced: a schedule shows {}", all_of(&all))?;
            told.schedule(out, schedule, if *is_shortest { "nothing less shows it" } else { "" }, searched)
        }
        Matched::Nowhere { furthest, schedule } => {
            writeln!(out, "  no schedule of this protocol gives this log, whatever comes between its steps")?;
            told.furthest(out, furthest)?;
            match schedule {
                Some((schedule, is_shortest)) => {
                    writeln!(out, "  one that comes so far:")?;
                    let least = if *is_shortest { "nothing less comes so far" } else { "" };
                    told.schedule(out, schedule, least, searched)
                }
                None => writeln!(out, "{}", line_of(searched)),
            }
        }
        Matched::Undecided { why, furthest } => {
            writeln!(out, "  undecided: {why}")?;
            told.furthest(out, furthest)?;
            writeln!(out, "{}", line_of(searched))
        }
    }
}

fn all_of(all: &str) -> String {
    if all == "1 event" { "the event of the log".to_owned() } else { format!("all {all} of the logs") }
}

/// How far a search went, in one line.
fn line_of(searched: &Searched) -> String {
    let Searched { states, transitions, kills } = searched;
    let kills = match kills {
        0 => String::new(),
        kills => format!(", up to {}", count(usize::from(*kills), "kill")),
    };
    let transitions = usize::try_from(*transitions).unwrap_or(usize::MAX);
    format!(" searched     {} states, {} steps{kills}", grouped(*states), grouped(transitions))
}

struct Told<'a> {
    case: &'a Case,
    design: Design,
    simulation: &'a Simulation,
    timeline: &'a Timeline,
}

impl Told<'_> {
    /// A schedule in lanes, what it took, what it breaks, and the token that takes it again.
    fn schedule(
        &self,
        out: &mut impl Write,
        schedule: &Schedule,
        proof: &str,
        searched: &Searched,
    ) -> io::Result<()> {
        let Self { case, design, simulation, .. } = self;
        // With the checks of the scenario, as `replay` takes it: from the first broken promise on nothing more is shown.
        let judged = sim::replay(&simulation.setup, &simulation.checks, &simulation.bounds, schedule);
        let trace = replay(simulation, self.timeline, *design, schedule);
        writeln!(out)?;
        for line in lanes::render(simulation, &trace) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{}", lanes::cost(&trace, proof))?;
        for violation in self.broken(schedule) {
            writeln!(out, " breaks       {violation}")?;
        }
        writeln!(out, "{}", line_of(searched))?;
        writeln!(out, "  replay  portcullis replay {}", Token::new(case, *design, &judged, schedule.clone()))
    }

    /// Each promise of the scenario that a schedule breaks, whichever comes first.
    fn broken(&self, schedule: &Schedule) -> Vec<Violation> {
        let Self { simulation, .. } = self;
        let alone = |check: &Located<Check>| {
            let expect =
                Expect { always: vec![check.clone()], refusal: None, ..simulation.checks.expect.clone() };
            let checks = Checks { expect, ..simulation.checks.clone() };
            let violation = sim::replay(&simulation.setup, &checks, &simulation.bounds, schedule).violation?;
            (violation.check == check.value.id()).then_some(violation)
        };
        simulation.checks.expect.always.iter().filter_map(alone).collect()
    }

    /// How far the best schedule came, and what could not be matched.
    fn furthest(&self, out: &mut impl Write, furthest: &Furthest) -> io::Result<()> {
        let order = Order::of(self.timeline);
        let all = self.timeline.events.len();
        writeln!(out, "  furthest     {} of {}", furthest.count(), count(all, "event"))?;
        let due = (0..all).filter(|event| order.is_due(*event, &furthest.done));
        for event in due {
            let Located { value, line } = &self.timeline.events[event];
            let file = self.case.scenario.file.display();
            writeln!(out, "  unmatched    {}   {file}:{line}", in_words(value))?;
        }
        for instead in &furthest.instead {
            writeln!(out, "  instead      {instead}")?;
        }
        Ok(())
    }
}

/// An event in words.
fn in_words(seen: &Seen) -> String {
    let names = seen.names.as_ref().map_or_else(String::new, |name| format!(", naming {name}"));
    format!("{} {}{names}", seen.who, seen.what)
}
