//! What is behind a verdict: of a case that passes, the shortest execution to each outcome; of any case, what the next
//! gateway makes of a death at each call of one that starts.
//!
//! There are no timings in it: same case, same bytes.

use std::io::{self, Write};

use sim::{Bounds, Checker, Crash, Exploration, Halt, TraceStep};

use crate::checks::{Role, fate};
use crate::designs::Design;
use crate::lanes;
use crate::report::{self, count};
use crate::reports::event::{About, CaseEnd};
use crate::reports::human;
use crate::scenario::{Case, Fate, MOST_STATES, Policy};
use crate::simulate::Simulation;
use crate::token::Token;
use crate::verdict::{CaseResult, Executor, Verdict};

/// Explains one case, and answers its verdict.
///
/// # Errors
///
/// What the writer says.
pub fn explain(
    case: &Case,
    design: Design,
    out: &mut impl Write,
    should_stop: &(dyn Fn() -> bool + Sync),
) -> io::Result<Verdict> {
    let simulation = Simulation::new(&case.scenario, design);
    let (verdict, exploration) = match case.scenario.explore.policy {
        Policy::Sampled(sampling) => (simulation.sample(case, design, &sampling, should_stop), None),
        Policy::Exhaustive | Policy::Preemptions(_) => {
            let (verdict, exploration) = simulation.run(case, design, should_stop);
            (verdict, Some(exploration))
        }
    };
    match &verdict {
        Verdict::Fail(_) => {
            let result = CaseResult {
                id: case.id.clone(),
                file: case.scenario.file.display().to_string(),
                on: Executor::Sim,
                elapsed: std::time::Duration::ZERO,
                verdict: verdict.clone(),
                twice: None,
                unshown: Vec::new(),
            };
            human::failure(out, &CaseEnd::new(0, About::default(), &result, None))?;
        }
        Verdict::Pass(_) | Verdict::Known(_) | Verdict::Inconclusive(_) | Verdict::Unsupported(_) => {
            writeln!(
                out,
                "{}   on sim   design {}   {}",
                case.id,
                design.name(),
                case.scenario.file.display()
            )?;
            writeln!(out, "  {}", report::in_short(&verdict))?;
        }
    }
    // What a sample has not reached may be reached all the same.
    if let (Verdict::Pass(_), Some(exploration)) = (&verdict, &exploration) {
        outcomes(case, design, &simulation, exploration, out, should_stop)?;
    }
    deaths(&simulation, out)?;
    Ok(verdict)
}

/// The outcomes that a passing case reaches, each with the shortest way there.
fn outcomes(
    case: &Case,
    design: Design,
    simulation: &Simulation,
    exploration: &Exploration,
    out: &mut impl Write,
    should_stop: &dyn Fn() -> bool,
) -> io::Result<()> {
    let bounds = Bounds { states: MOST_STATES, ..simulation.bounds };
    let witnesses = sim::witnesses(&simulation.setup, &simulation.checks, &bounds, should_stop);
    for (index, outcome) in case.scenario.expect.outcomes.iter().enumerate() {
        writeln!(out)?;
        let Some(ends) = exploration.ends.get(&index) else {
            writeln!(out, "outcome {}: {}\n  no schedule ends so", index + 1, outcome.value)?;
            continue;
        };
        let ends = count(usize::try_from(*ends).unwrap_or(usize::MAX), "end");
        writeln!(out, "outcome {}: {}\n  reached at {ends}", index + 1, outcome.value)?;
        let Some(witness) = witnesses.as_ref().and_then(|witnesses| witnesses.get(&index)) else {
            writeln!(out, "  there is no shortest way: it goes on for ever, or there are too many states")?;
            continue;
        };
        let trace = sim::replay(&simulation.setup, &simulation.checks, &simulation.bounds, &witness.schedule);
        writeln!(out)?;
        for line in lanes::render(simulation, &trace) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{}", lanes::cost(&trace, "nothing less ends so"))?;
        writeln!(
            out,
            "  replay  portcullis replay {}",
            Token::new(case, design, &trace, witness.schedule.clone())
        )?;
    }
    Ok(())
}

/// What becomes of the next gateway after a death at each call of one that starts alone where the setup has led to.
fn deaths(simulation: &Simulation, out: &mut impl Write) -> io::Result<()> {
    let Some((starter, probe)) = starter(simulation) else { return Ok(()) };
    let name = &simulation.checks.slots[starter].0;
    writeln!(out)?;
    let crashes = match sim::crashes(&simulation.setup, &simulation.checks, starter, probe) {
        Ok(crashes) => crashes,
        Err(violation) => return writeln!(out, "no gateway can be started after the setup: {violation}"),
    };
    writeln!(
        out,
        "{name} starts alone after the setup, dies after a call, and another {name} starts alone:"
    )?;
    writeln!(out)?;
    writeln!(out, "   {:<9} {:<58} the next one", "calls", "the last of them")?;
    let calls = crashes.iter().filter_map(|crash| crash.after.as_ref().map(|(call, reply)| (call, reply)));
    let mut words = vec!["(none)".to_owned()];
    words.extend(lanes::calls(calls));
    let fates: Vec<String> = crashes.iter().map(|crash| aftermath(simulation, probe, crash)).collect();
    let mut begin = 0;
    while let Some(fate) = fates.get(begin) {
        let same = fates[begin..].iter().take_while(|other| *other == fate).count();
        let last = begin + same - 1;
        let (numbers, range) = if same == 1 {
            (begin.to_string(), words[begin].clone())
        } else {
            (format!("{begin}-{last}"), format!("{} ... {}", cut(&words[begin]), cut(&words[last])))
        };
        writeln!(out, "   {numbers:<9} {range:<58} {fate}")?;
        begin = last + 1;
    }
    Ok(())
}

/// Words that leave room for as many beside them.
fn cut(words: &str) -> String {
    lanes::cut(words, 26)
}

/// The first gateway that the setup does not start, and a fresh one that wants the same.
fn starter(simulation: &Simulation) -> Option<(usize, usize)> {
    let checks = &simulation.checks;
    let trace = sim::replay(&simulation.setup, checks, &simulation.bounds, &sim::Schedule::default());
    let is_started = |slot: usize| {
        let slots = trace.steps.last().map(|step: &TraceStep| &step.slots);
        slots.is_some_and(|slots| slots[slot].process.is_some())
    };
    let gateways = checks.slots.iter().enumerate().filter(|(_, (_, role))| matches!(role, Role::Gateway(_)));
    let mut pairs = gateways.map(|(slot, _)| slot).zip(checks.probes.iter().copied());
    pairs.find(|(slot, _)| !is_started(*slot))
}

/// How the next gateway ends.
fn aftermath(simulation: &Simulation, probe: usize, crash: &Crash) -> String {
    let view = crash.next.view();
    let calls = count(crash.calls as usize, "call");
    let owners = view.owners();
    if owners.len() > 1 {
        let others: Vec<&str> = owners
            .iter()
            .filter(|slot| **slot != probe)
            .map(|slot| simulation.checks.slots[*slot].0.as_str())
            .collect();
        return format!("owns beside {}, after {calls}", others.join(" and "));
    }
    let end = match (crash.halt, fate(&view, probe)) {
        (Halt::Ready, _) => return format!("ready after {calls}"),
        (Halt::Never, _) => "never comes to an end".to_owned(),
        (Halt::Still, Fate::Refused { code }) => format!("refused:{code} after {calls}"),
        (Halt::Still, fate) => format!("{fate} after {calls}"),
    };
    // Whoever is in the way is a reason not to start; if nobody is, nobody ever starts again.
    if simulation.checks.is_free(probe, &crash.left.view()) { format!("wedged, {end}") } else { end }
}
