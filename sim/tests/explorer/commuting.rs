//! Enumerations are compared with brute force: executions taken one by one, and made equivalent by swapping neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use portcullis_os::{Cell, Open, Os, Signal};
use sim::{Action, Bounds, Program, Schedule, Setup, Trace, TraceStep, Who, each_step, each_trace};

use crate::contest::{EVERYTHING, FAIR, contenders, contest, every_execution, passer_by, program};

/// What is compared of an execution.
#[derive(Clone, Debug)]
struct Execution {
    /// Each step with its reply.
    steps: Vec<String>,
    /// A digest of what the machine and the processes are after each step.
    states: Vec<u64>,
    ends_in_fault: bool,
}

impl Execution {
    fn of(trace: &Trace) -> Self {
        assert_eq!(trace.violation, None);
        let mut done = BTreeMap::<String, Vec<String>>::new();
        let mut states = Vec::new();
        let steps: Vec<String> = trace.steps.iter().map(described).collect();
        for (step, text) in trace.steps.iter().zip(&steps) {
            // What a process did, in whatever order its tasks did it, says how far it has come.
            let own = done.entry(format!("{:?}", step.who)).or_default();
            own.push(text.clone());
            own.sort();
            let mut hasher = DefaultHasher::new();
            step.kernel.hash(&mut hasher);
            done.hash(&mut hasher);
            states.push(hasher.finish());
        }
        let ends_in_fault = trace.steps.last().is_some_and(|step| matches!(step.who, Who::Fault(_)));
        Self { steps, states, ends_in_fault }
    }

    /// Each step with the state that it was taken in.
    fn transitions(&self) -> impl Iterator<Item = (u64, &str)> {
        let before = std::iter::once(0).chain(self.states.iter().copied());
        before.zip(self.steps.iter().map(String::as_str))
    }
}

fn described(step: &TraceStep) -> String {
    format!("{:?} {:?}", step.who, step.what)
}

const fn with(kills: u8) -> Bounds {
    Bounds { kills, ..EVERYTHING }
}

/// Every execution that comes to an end. One that ends by itself may have a killing behind it, which is another one.
fn complete(setup: &Setup, kills: u8) -> Vec<Execution> {
    let mut all = BTreeMap::new();
    every_execution(setup, &with(kills), |trace| {
        let execution = Execution::of(trace);
        all.insert(execution.steps.clone(), execution);
    });
    let goes_on: BTreeSet<Vec<String>> = all
        .values()
        .filter(|execution| !execution.ends_in_fault && !execution.steps.is_empty())
        .map(|execution| execution.steps[..execution.steps.len() - 1].to_vec())
        .collect();
    all.into_values().filter(|execution| !goes_on.contains(&execution.steps)).collect()
}

/// Which class each execution is in, the classes being those of a chain of swaps of independent neighbours.
fn classes(executions: &[Execution]) -> BTreeMap<Vec<String>, usize> {
    let place: BTreeMap<&Vec<String>, usize> =
        executions.iter().enumerate().map(|(place, execution)| (&execution.steps, place)).collect();
    let mut class: Vec<usize> = (0..executions.len()).collect();
    for (one, execution) in executions.iter().enumerate() {
        for second in 1..execution.steps.len() {
            let mut swapped = execution.steps.clone();
            swapped.swap(second - 1, second);
            let Some(other) = place.get(&swapped).copied() else { continue };
            if executions[other].states[second] == execution.states[second] {
                let (old, new) = (class[one], class[other]);
                class.iter_mut().filter(|class| **class == old).for_each(|class| *class = new);
            }
        }
    }
    executions.iter().zip(class).map(|(execution, class)| (execution.steps.clone(), class)).collect()
}

/// The executions that an enumeration hands out.
fn taken(setup: &Setup, kills: u8, schedules: &[Schedule]) -> Vec<Execution> {
    let replayed = schedules.iter().map(|schedule| sim::replay(setup, &FAIR, &with(kills), schedule));
    replayed
        .map(|trace| {
            assert_eq!(trace.left_over, 0);
            Execution::of(&trace)
        })
        .collect()
}

/// Writes to a shared file.
fn writer(name: &'static str) -> Program {
    program(name, move |os| async move {
        let Ok(shared) = os.open(Path::new("/state/shared"), Open::read_write_create()).await else {
            return 1;
        };
        u8::from(os.write(&shared, 0, name.as_bytes()).await.is_err())
    })
}

/// Two tasks of one process, one of which starts a third.
fn tasks() -> Program {
    program("tasks", |os| async move {
        let child = os.clone();
        os.task(async move {
            let grandchild = child.clone();
            let _ = child.load(Cell(1)).await;
            child.task(async move {
                let _ = grandchild.store(Cell(2), 7).await;
            });
        });
        let _ = os.store(Cell(1), 1).await;
        u8::from(os.load(Cell(2)).await != Ok(0))
    })
}

/// Waits for an answer that may come in time or not.
fn asker() -> Program {
    program("asker", |os| async move {
        match os.connect_unix("name".to_owned()).await {
            Ok(stream) => u8::from(os.receive(&stream, 1, 10).await.is_ok()),
            Err(_) => 2,
        }
    })
}

fn answerer() -> Program {
    program("answerer", |os| async move {
        let Ok(socket) = os.listen_unix("name".to_owned(), 1).await else { return 1 };
        let Ok((_, stream)) = os.accept(vec![socket.fd()]).await else { return 1 };
        u8::from(os.send(&stream, vec![1]).await.is_err())
    })
}

/// A process that is stopped and resumed while it works.
fn paused() -> Setup {
    let mut setup = contest(&[passer_by()]);
    setup.script.steps.extend([Action::Signal(0, Signal::Stop), Action::Signal(0, Signal::Continue)]);
    setup
}

fn setups() -> Vec<(&'static str, Setup, u8)> {
    vec![
        ("two pass by", contenders(&passer_by(), 2), 0),
        ("one passes by and may be killed", contenders(&passer_by(), 1), 1),
        ("two write", contest(&[writer("one"), writer("two")]), 0),
        ("three tasks", contenders(&tasks(), 1), 0),
        ("one asks and one answers", contest(&[asker(), answerer()]), 0),
        ("one is paused", paused(), 0),
    ]
}

#[test]
fn each_trace_is_met_once_and_none_is_left_out() {
    let mut figures = Vec::new();
    for (name, setup, kills) in setups() {
        let executions = complete(&setup, kills);
        let classes = classes(&executions);
        let mut schedules = Vec::new();
        let traces = each_trace(&setup, kills, &mut |schedule| {
            schedules.push(schedule.clone());
            ControlFlow::Continue(())
        });
        let Ok(traces) = traces else { panic!("{name}: {traces:?}") };
        assert!(traces.is_complete && traces.schedules == schedules.len() as u64, "{name}");
        let met: Vec<usize> =
            taken(&setup, kills, &schedules).iter().map(|execution| classes[&execution.steps]).collect();
        let all: BTreeSet<usize> = classes.values().copied().collect();
        assert_eq!(met.iter().copied().collect::<BTreeSet<_>>(), all, "{name}: some trace is not met");
        assert_eq!(met.len(), all.len(), "{name}: some trace is met twice");
        figures.push((name, executions.len(), met.len()));
    }
    // How many executions there are, and how many traces.
    let expected = [
        ("two pass by", 362, 8),
        ("one passes by and may be killed", 6, 6),
        ("two write", 126, 4),
        ("three tasks", 10, 7),
        ("one asks and one answers", 61, 4),
        ("one is paused", 6, 6),
    ];
    assert_eq!(figures, expected);
}

#[test]
fn every_step_from_every_state_is_taken() {
    for (name, setup, kills) in setups() {
        let mut all = BTreeSet::new();
        every_execution(&setup, &with(kills), |trace| {
            let execution = Execution::of(trace);
            all.extend(execution.transitions().map(|(state, step)| (state, step.to_owned())));
        });
        let mut schedules = Vec::new();
        let cover = each_step(&setup, kills, EVERYTHING.states, &mut |schedule| {
            schedules.push(schedule.clone());
            ControlFlow::Continue(())
        });
        let Ok(cover) = cover else { panic!("{name}: {cover:?}") };
        let mut covered = BTreeSet::new();
        for execution in taken(&setup, kills, &schedules) {
            covered.extend(execution.transitions().map(|(state, step)| (state, step.to_owned())));
        }
        assert_eq!(covered, all, "{name}");
        assert!(cover.is_complete && cover.transitions == all.len(), "{name}: {cover:?}, {}", all.len());
    }
}
