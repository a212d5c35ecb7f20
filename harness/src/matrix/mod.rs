//! Designs against scenarios: which promises of which case each design keeps, and whether that is what is known.
//!
//! The reference gateway, whole or without a token, is judged by everything that a scenario expects. Other designs are
//! judged by promises alone: those at stake in a known case ([`KNOWN`], [`CONTESTS`]), or those that the scenario makes
//! always. How it ends and what a refusal says is about the reference gateway. Whoever asks for ever and gets nowhere
//! has failed, whatever the promises are.
//!
//! # Invariants
//!
//! - Same scenarios and designs, same matrix, however many cells are worked on at once.

mod known;
mod table;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use sim::{Evidence, Sampled};

pub use known::{Answer, CONTESTS, KNOWN, Known};
pub use table::{Format, render};

use crate::designs::Design;
use crate::sampled;
use crate::scenario::{Case, Expect, Located, Outcome, Policy, Reach, Scenario};
use crate::simulate::{Searched, Simulation};

/// How many states a cell may have before it is given up.
pub const MOST_STATES: usize = 2_000_000;

/// What is found of one design in one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The promises hold in every schedule.
    Holds {
        /// Different states.
        states: usize,
    },
    /// The promises hold in every schedule within the bounds of the scenario.
    Bounded {
        /// Different states.
        states: usize,
    },
    /// The promises hold in random schedules, as many as the scenario asks for.
    Sampled {
        /// How many.
        runs: u64,
    },
    /// A promise is broken.
    Broken {
        /// Which.
        check: String,
        /// The steps of the shortest way there, without those of the setup; `None` if something never comes. What goes on for
        /// ever is broken from where it comes back to.
        steps: Option<usize>,
    },
    /// [`MOST_STATES`] were not enough, or the user did not wait.
    Cut {
        /// Different states.
        states: usize,
    },
    /// The case is not about this design.
    Apart,
}

impl Cell {
    /// Whether this is what is known. A cell that is undecided never is, where something is known.
    pub fn agrees(&self, answer: Answer) -> bool {
        match answer {
            Answer::Open => true,
            Answer::Apart => *self == Self::Apart,
            Answer::Holds => {
                matches!(self, Self::Holds { .. } | Self::Bounded { .. } | Self::Sampled { .. })
            }
            Answer::Broken => matches!(self, Self::Broken { .. }),
        }
    }
}

/// One case, and what each design makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// The known case that it shows, if it shows one.
    pub known: Option<Known>,
    /// One cell for each design, in their order.
    pub cells: Vec<Cell>,
}

/// The whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The columns.
    pub designs: Vec<Design>,
    /// The known cases in the order of their numbers, then the others as they were given.
    pub rows: Vec<Row>,
}

impl Matrix {
    /// The cells that are not as is known: the row, and the column.
    pub fn surprises(&self) -> impl Iterator<Item = (&Row, Design, &Cell)> {
        self.rows.iter().filter_map(|row| Some((row, row.known?))).flat_map(|(row, known)| {
            let cells = self.designs.iter().zip(&row.cells);
            cells
                .filter(move |(design, cell)| !cell.agrees(known.answer(**design)))
                .map(move |(design, cell)| (row, *design, cell))
        })
    }

    /// Whether a cell is undecided.
    pub fn is_cut(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.cells).any(|cell| matches!(cell, Cell::Cut { .. }))
    }
}

/// The designs of the matrix where none is named: the reference gateway, and the generations of OpenClaw's lock.
pub fn usual_designs() -> Vec<Design> {
    Design::all()
        .into_iter()
        .filter(|design| matches!(design, Design::Refgate | Design::Openclaw(_)))
        .collect()
}

/// The designs of the matrix of contests where none is named: the reference gateway, and the naive locks.
pub fn naive_designs() -> Vec<Design> {
    Design::all().into_iter().filter(|design| matches!(design, Design::Refgate | Design::Naive(_))).collect()
}

/// The cases of scenarios: those of which something is known in the order of their numbers, then the others.
pub fn rows(scenarios: &[Scenario], known: &[Known]) -> Vec<(Case, Option<Known>)> {
    let cases: Vec<Case> = scenarios.iter().flat_map(Scenario::cases).collect();
    let of = |known: &Known| cases.iter().find(|case| case.id == known.case).cloned();
    let first = known.iter().filter_map(|known| Some((of(known)?, Some(*known))));
    let is_known = |case: &&Case| known.iter().any(|known| known.case == case.id);
    let others = cases.iter().filter(|case| !is_known(case)).map(|case| (case.clone(), None));
    first.chain(others).collect()
}

/// Fills the table, `jobs` cells at a time, until it is told to stop.
pub fn fill(
    rows: Vec<(Case, Option<Known>)>,
    designs: Vec<Design>,
    jobs: usize,
    interrupted: &AtomicBool,
) -> Matrix {
    let work: Vec<(usize, Design)> =
        (0..rows.len()).flat_map(|row| designs.iter().map(move |design| (row, *design))).collect();
    let mut cells: Vec<Option<Cell>> = vec![None; work.len()];
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..jobs.clamp(1, work.len().max(1)) {
            let (sender, next, work, rows) = (sender.clone(), &next, &work, &rows);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((row, design)) = work.get(index) else { return };
                    let (case, known) = &rows[*row];
                    let stop = || interrupted.load(Ordering::Relaxed);
                    if sender.send((index, cell(case, known.as_ref(), *design, &stop))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (index, cell) in receiver {
            cells[index] = Some(cell);
        }
    });
    let mut cells = cells.into_iter().map(|cell| cell.unwrap_or(Cell::Cut { states: 0 }));
    let width = designs.len();
    let rows = rows
        .into_iter()
        .map(|(case, known)| Row { case, known, cells: cells.by_ref().take(width).collect() })
        .collect();
    Matrix { designs, rows }
}

/// Searches one case with one design.
fn cell(case: &Case, known: Option<&Known>, design: Design, should_stop: &(dyn Fn() -> bool + Sync)) -> Cell {
    if known.is_some_and(|known| known.answer(design) == Answer::Apart) {
        return Cell::Apart;
    }
    let scenario = judged(&case.scenario, known, design);
    let mut simulation = Simulation::new(&scenario, design);
    simulation.bounds.states = MOST_STATES;
    if let Policy::Sampled(sampling) = scenario.explore.policy {
        return drawn(&simulation.draw(&sampling, should_stop), &scenario);
    }
    let (exploration, searched) = simulation.search(&scenario, should_stop);
    let states = exploration.states;
    match searched {
        Searched::Broken(found) => {
            Cell::Broken { check: found.violation.check, steps: Some(found.schedule.len()) }
        }
        Searched::Endless(lasso) => {
            Cell::Broken { check: lasso.violation.check, steps: Some(lasso.repeats_from) }
        }
        Searched::Vacuous(failure) => Cell::Broken { check: failure.check, steps: None },
        Searched::Cut => Cell::Cut { states },
        Searched::Nothing => match exploration.evidence {
            Evidence::Complete if exploration.cut.is_empty() => Cell::Holds { states },
            Evidence::Complete | Evidence::Bounded | Evidence::Cut => Cell::Bounded { states },
        },
    }
}

/// What random schedules have shown.
fn drawn(sampled: &Sampled, scenario: &Scenario) -> Cell {
    if let Some(found) = &sampled.found {
        let check = found.violation.check.clone();
        return Cell::Broken { check, steps: Some(found.schedule.len()) };
    }
    let states = usize::try_from(sampled.states.distinct).unwrap_or(usize::MAX);
    if sampled.is_cut || sampled::undecided(scenario, sampled).is_some() {
        return Cell::Cut { states };
    }
    Cell::Sampled { runs: sampled.runs }
}

/// The scenario with what a design is judged by as its expectations.
pub fn judged(scenario: &Scenario, known: Option<&Known>, design: Design) -> Scenario {
    let mut scenario = scenario.clone();
    if is_reference(design) {
        return scenario;
    }
    let ends_as_it_likes = Located { value: Outcome { states: Vec::new() }, line: 0 };
    let judged_by_ends = known.is_some_and(|known| known.checks.is_empty());
    let expect = &scenario.expect;
    let always = match known {
        None => expect.always.clone(),
        Some(known) => known.checks.iter().map(|check| Located { value: *check, line: 0 }).collect(),
    };
    let outcomes = if judged_by_ends { expect.outcomes.clone() } else { vec![ends_as_it_likes] };
    scenario.expect = Expect { always, outcomes, reach: Reach::Anything, refusal: None };
    scenario
}

/// Whether a design is the reference gateway, whole or in part.
const fn is_reference(design: Design) -> bool {
    match design {
        Design::Refgate | Design::Without(_) | Design::Slipping(_) | Design::Leaking(_) => true,
        Design::Naive(_) | Design::Openclaw(_) | Design::Endless(_) | Design::Own(_) => false,
    }
}
