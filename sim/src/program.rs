//! What a program of the simulated machine is: a future, or stages that follow each other.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_os::Stage;

use crate::process::{Begin, Instance, Process};

/// A program of the simulated machine: how to start it, by name.
#[derive(Clone)]
pub struct Program {
    /// The name, for people.
    pub name: String,
    begin: Begin,
}

impl Program {
    /// A program whose main task is the future that `start` makes; its output is the exit status.
    pub fn new<F>(name: impl Into<String>, start: impl Fn(Process) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = u8> + Send + 'static,
    {
        Self::staged(name, (), move |process, ()| {
            let body = start(process);
            async move { Stage::Exit(body.await) }
        })
    }

    /// A program in stages: each is a future that ends with what the next one begins with, and nothing else goes from one to
    /// the next. So what a stage has forgotten is forgotten by the explorer as well, and a program that goes on for ever has
    /// finitely many states.
    ///
    /// On a real machine the same stages run in a loop. A stage makes at least one call.
    pub fn staged<S, F>(
        name: impl Into<String>,
        first: S,
        stage: impl Fn(Process, S) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone + Eq + Send + 'static,
        F: Future<Output = Stage<S>> + Send + 'static,
    {
        // A stage is known by where what it begins with stands here.
        let known = Arc::new(Mutex::new(vec![first]));
        let begin: Begin = Arc::new(move |process, number| {
            let known = Arc::clone(&known);
            let body = stage(process, locked(&known)[number as usize].clone());
            Box::pin(async move {
                match body.await {
                    Stage::Exit(status) => Stage::Exit(status),
                    Stage::Continue(next) => {
                        let mut known = locked(&known);
                        let place = known.iter().position(|other| *other == next).unwrap_or(known.len());
                        if place == known.len() {
                            known.push(next);
                        }
                        Stage::Continue(narrow(place))
                    }
                }
            })
        });
        Self { name: name.into(), begin }
    }

    /// Whether two values are one program: then what is learned of it is shared.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.begin, &other.begin)
    }

    pub(crate) fn instance(&self, stage: u32) -> Instance {
        Instance::start(&self.begin, stage)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({})", self.name)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| unreachable!("more than 2^32 stages do not fit into memory"))
}
