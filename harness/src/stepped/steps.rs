//! A plan of the simulator becomes steps for a driver.

use portcullis_os::Signal;
use sim::kernel::{Completion, Life};
use sim::{Action, Plan, Planned, What, Who};

use super::wire::{Act, Fate, Step};

/// The steps of a plan, each with its number in the plan: what does nothing is left out.
pub(super) fn steps(plan: &Plan) -> (Vec<usize>, Vec<Step>) {
    plan.steps.iter().enumerate().filter_map(|(number, planned)| Some((number, step(planned)?))).unzip()
}

fn step(planned: &Planned) -> Option<Step> {
    let act = match (&planned.what, planned.who) {
        (What::Call(call, answer), Who::Slot(slot)) => Act::Call {
            slot,
            task: planned.task,
            call: call.clone(),
            times_out: planned.how == Completion::TimedOut,
            answer: answer.clone(),
        },
        (What::Exit(_), Who::Slot(slot)) => Act::Exit { slot },
        (What::Kill, Who::Fault(slot)) => Act::Signal { slot, signal: Signal::Kill },
        (What::Action(action), Who::Script) => match action {
            Action::Start(_) | Action::Recycle { .. } | Action::Open { .. } => {
                let (slot, pid) = planned.started?;
                Act::Start { slot, pid: pid.get() }
            }
            Action::Signal(slot, signal) => Act::Signal { slot: *slot, signal: *signal },
            Action::Remove(paths) => Act::Remove(paths.clone()),
            Action::Wait(_) => return None,
            Action::Order(..) | Action::Operate(_) => {
                unreachable!("what cannot be driven is refused before anything is")
            }
        },
        (
            What::Call(..)
            | What::Execute
            | What::Exit(_)
            | What::Release(_)
            | What::Kill
            | What::Action(_)
            | What::Restart(_)
            | What::LosePatience
            | What::PowerLoss { .. },
            who,
        ) => {
            unreachable!("{who:?} does not do that")
        }
    };
    let fates = planned.fates.iter().map(|(slot, life)| (*slot, fate(*life))).collect();
    Some(Step { act, fates, asks: planned.asks.clone(), exit: planned.exit })
}

const fn fate(life: Life) -> Fate {
    match life {
        // Whoever dies slowly or sleeps in the kernel is not yet what it becomes.
        Life::Running | Life::Uninterruptible | Life::Dying(_) => Fate::Runs,
        Life::Stopped => Fate::Stops,
        Life::Dead(ending) => Fate::Ends(ending),
    }
}
