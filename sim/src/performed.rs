//! What the machine has made of calls before: many states of a search have one machine and differ in what programs have
//! seen of it, so the same call is carried out on the same machine again and again.
//!
//! A machine that changed is remembered as a whole, beside what it was asked. That costs memory, so the table is bounded:
//! of two deeds that fall into one place the later one stays, and whatever is not there is carried out.
//!
//! # Invariants
//!
//! - A machine is a function of what it was and what was done: nothing but time is saved here.

use portcullis_os::{Call, Reply, Signal};

use crate::digest::digest;
use crate::kernel::{Completion, Effect, Kernel, ProcessId};
use crate::learn::{Answer, AnswerId, CallId, Forest};
use crate::shared::Shared;

/// Something that is done to the machine in one step.
#[derive(Clone, Copy)]
pub(crate) enum Deed<'a> {
    Call { process: ProcessId, call: &'a Call, id: CallId, how: Completion },
    Exit { process: ProcessId, status: u8 },
    Kill { process: ProcessId },
}

/// What became of it.
struct Done {
    key: u128,
    kernel: Shared<Kernel>,
    answer: AnswerId,
    effects: Vec<Effect>,
}

/// How many places the table has at first, and at most. Powers of two.
const FEW: usize = 1 << 8;
const MANY: usize = 1 << 16;

pub(crate) struct Performed {
    /// By the low bits of the key. Empty if nothing is remembered.
    places: Vec<Option<Done>>,
    /// How many deeds were put in since it has grown.
    put: usize,
}

impl Performed {
    pub(crate) fn new() -> Self {
        Self { places: empty(FEW), put: 0 }
    }

    /// One that remembers nothing.
    pub(crate) const fn nothing() -> Self {
        Self { places: Vec::new(), put: 0 }
    }

    /// Does something to a machine on which nothing has happened that is not noted. Tells the answer and what has happened.
    pub(crate) fn deed(
        &mut self,
        kernel: &mut Shared<Kernel>,
        forest: &mut Forest,
        effects: &mut Vec<Effect>,
        deed: Deed<'_>,
    ) -> AnswerId {
        if self.places.is_empty() {
            return forest.number(&carry_out(kernel, deed));
        }
        let key = key(kernel.digest(), deed);
        if let Some(done) = &self.places[self.place(key)]
            && done.key == key
        {
            effects.extend_from_slice(&done.effects);
            kernel.clone_from(&done.kernel);
            return done.answer;
        }
        let answer = forest.number(&carry_out(kernel, deed));
        if kernel.has_effects() {
            *effects = kernel.take_effects();
        }
        let done = Done { key, kernel: kernel.clone(), answer, effects: effects.clone() };
        self.put(done);
        answer
    }

    fn put(&mut self, done: Done) {
        let place = self.place(done.key);
        self.places[place] = Some(done);
        self.put += 1;
        if self.put > self.places.len() / 2 && self.places.len() < MANY {
            self.put = 0;
            let more = empty(4 * self.places.len());
            for done in std::mem::replace(&mut self.places, more).into_iter().flatten() {
                let place = self.place(done.key);
                self.places[place] = Some(done);
            }
        }
    }

    const fn place(&self, key: u128) -> usize {
        key as usize & (self.places.len() - 1)
    }
}

fn empty(places: usize) -> Vec<Option<Done>> {
    std::iter::repeat_with(|| None).take(places).collect()
}

fn key(kernel: u128, deed: Deed<'_>) -> u128 {
    match deed {
        Deed::Call { process, id, how, .. } => digest(&(kernel, process, 0_u8, id, how)),
        Deed::Exit { process, status } => digest(&(kernel, process, 1_u8, status)),
        Deed::Kill { process } => digest(&(kernel, process, 2_u8)),
    }
}

fn carry_out(kernel: &mut Kernel, deed: Deed<'_>) -> Answer {
    match deed {
        Deed::Call { process, call, how, .. } => kernel.perform(process, call, how),
        Deed::Exit { process, status } => {
            kernel.exit(process, status);
            Ok(Reply::Done)
        }
        Deed::Kill { process } => {
            kernel.signal(ProcessId::ENVIRONMENT, process, Signal::Kill);
            Ok(Reply::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use portcullis_os::{Call, Links, Open, Uid};

    use super::{Deed, MANY, Performed, carry_out};
    use crate::kernel::{Completion, Kernel, Life, Place, ProcessId, Spawn};
    use crate::learn::{CallId, Forest};
    use crate::shared::Shared;

    fn machine() -> (Kernel, [ProcessId; 2]) {
        let mut kernel = Kernel::new();
        let processes = [1, 2].map(|uid| {
            let (name, command) = ("contender".to_owned(), "contender".to_owned());
            let spawn =
                Spawn { name, command, uid: Uid(uid), parent: None, pid: None, place: Place::default() };
            kernel.spawn(&spawn).unwrap_or_else(|errno| panic!("{errno}"))
        });
        let _ = kernel.chmod(std::path::Path::new("/"), 0o777);
        kernel.take_effects();
        (kernel, processes)
    }

    fn calls() -> Vec<Call> {
        let path = PathBuf::from("/lock");
        vec![
            Call::Open { at: None, path: path.clone(), open: Open::create_exclusive() },
            Call::Stat { at: None, path: path.clone(), links: Links::Follow },
            Call::Unlink { at: None, path },
        ]
    }

    #[test]
    fn what_is_remembered_is_what_would_be_done() {
        let (first, processes) = machine();
        let calls = calls();
        let how = Completion::Normal;
        let mut deeds = Vec::new();
        for process in processes {
            let called = calls.iter().zip(0..);
            deeds.extend(
                called.map(|(call, id)| (process, Deed::Call { process, call, id: CallId(id), how })),
            );
            deeds.push((process, Deed::Exit { process, status: 1 }));
            deeds.push((process, Deed::Kill { process }));
        }
        let (mut performed, mut forest) = (Performed::new(), Forest::default());
        let mut compared = 0;
        for mut sequence in 0..deeds.len().pow(4) {
            let mut plain = first.clone();
            let mut remembered = Shared::new(first.clone());
            for _ in 0..4 {
                let (process, deed) = deeds[sequence % deeds.len()];
                sequence /= deeds.len();
                if plain.life(process) != Life::Running {
                    break;
                }
                let mut effects = Vec::new();
                let answer = performed.deed(&mut remembered, &mut forest, &mut effects, deed);
                assert_eq!(**forest.answer(answer), carry_out(&mut plain, deed));
                assert_eq!(effects, plain.take_effects());
                compared += 1;
            }
            assert_eq!(*remembered, plain);
        }
        assert!(compared > 10_000, "{compared}");
        assert!(performed.places.len() > super::FEW && performed.places.len() <= MANY);
    }
}
