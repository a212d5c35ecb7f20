//! The lock as a table of what each call does: a model written by hand, as other explorers want it.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::{DEAD_PID, RETRIES, Race, Seen};

/// How far a contender has come: the call that it makes next, with what it remembers for later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// Looks whether the lock file is there.
    Stat,
    /// Reads the pid in it.
    Read,
    /// Asks whether the process of the pid that it has read lives; 0 is nobody's.
    Kill0,
    /// Removes the file.
    UnlinkStale,
    /// Creates it.
    OpenExclusive,
    /// Writes the own pid into the file that it has created.
    Write,
    /// Flushes it.
    Sync,
    /// Looks whether the file is still there.
    StatAgain,
    /// Reads whether its pid still stands in it.
    ReadAgain,
    /// Takes the port.
    Bind,
    /// Serves.
    Serve,
    /// Gives the port back.
    Close,
    /// Removes the file, and is no owner any more if it was one.
    Unlink(bool),
    /// Has nothing left but to exit.
    Exit,
    /// Has served or has not bound the port, and is dead.
    Done,
    /// Was too late, or was killed, and is dead.
    Lost,
}

/// One contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contender {
    at: At,
    /// The pid that it has read and not asked about yet.
    pid: u32,
    retries: u8,
    /// The file that it has created.
    file: Option<(u8, u8)>,
}

impl Contender {
    const fn is_alive(&self) -> bool {
        !matches!(self.at, At::Done | At::Lost)
    }
}

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    contenders: Vec<Contender>,
    /// Who has created the lock file, as its how manieth, and what stands in it.
    file: Option<((u8, u8), u32)>,
    port: Option<u8>,
    crashes: u8,
    /// How many files each contender has created, or all together if they are numbered in one row.
    created: Vec<u8>,
}

/// Whoever has made the stale file.
const NOBODY: u8 = u8::MAX;

/// The table, with three details that differ between models of the same lock.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The race.
    pub race: Race,
    /// Whether a process that has made its last call exits in a step of its own, as real ones do.
    pub exits_later: bool,
    /// Whether files are numbered in the order in which they are created, whoever creates them.
    pub one_row: bool,
    /// Whether the dead forget what they knew and how they came to be dead, and an owner knows that it is one. As a program
    /// does; a table that is kept simple does not.
    pub forgets: bool,
}

/// One thing that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A contender makes its next call.
    Step(u8),
    /// A contender is killed.
    Crash(u8),
}

impl Table {
    /// The state before anything has happened.
    pub fn first(&self) -> State {
        let count = usize::from(self.race.contenders);
        State {
            contenders: vec![Contender { at: At::Stat, pid: 0, retries: 0, file: None }; count],
            file: self.race.stale.then_some(((NOBODY, 0), DEAD_PID)),
            port: None,
            crashes: 0,
            created: vec![0; if self.one_row { 1 } else { count }],
        }
    }

    /// What can happen in a state.
    pub fn choices(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, contender) in (0..).zip(&state.contenders) {
            if contender.is_alive() {
                actions.push(Action::Step(number));
            }
        }
        if state.crashes < self.race.crashes {
            for (number, contender) in (0..).zip(&state.contenders) {
                if contender.is_alive() {
                    actions.push(Action::Crash(number));
                }
            }
        }
    }

    /// The state after it.
    pub fn after(&self, state: &State, action: Action) -> State {
        let mut state = state.clone();
        match action {
            Action::Step(who) => self.step(&mut state, who),
            Action::Crash(who) => {
                state.crashes += 1;
                state.contenders[usize::from(who)].at = At::Lost;
                self.bury(&mut state, who);
            }
        }
        state
    }

    fn step(&self, state: &mut State, who: u8) {
        let me = usize::from(who);
        let Contender { at, pid, retries, file } = state.contenders[me];
        let is_mine = state.file.is_some_and(|(it, _)| Some(it) == file);
        let over = |end| if self.exits_later { At::Exit } else { end };
        let next = match at {
            At::Stat if state.file.is_none() => At::OpenExclusive,
            At::Stat => At::Read,
            At::Read => match state.file {
                None => At::OpenExclusive,
                Some((_, pid)) => {
                    state.contenders[me].pid = pid;
                    At::Kill0
                }
            },
            At::Kill0 => {
                state.contenders[me].pid = 0;
                if state.lives(pid) { over(At::Lost) } else { At::UnlinkStale }
            }
            At::UnlinkStale => {
                state.file = None;
                At::OpenExclusive
            }
            At::OpenExclusive if state.file.is_none() => {
                let row = &mut state.created[if self.one_row { 0 } else { me }];
                let created = (if self.one_row { NOBODY } else { who }, *row + 1);
                *row += 1;
                state.file = Some((created, 0));
                state.contenders[me].file = Some(created);
                At::Write
            }
            At::OpenExclusive => {
                state.contenders[me].retries += 1;
                if retries == RETRIES { over(At::Lost) } else { At::Stat }
            }
            At::Write => {
                if let Some((_, pid)) = state.file.as_mut().filter(|_| is_mine) {
                    *pid = u32::from(who) + 1;
                }
                At::Sync
            }
            At::Sync => At::StatAgain,
            At::StatAgain if is_mine => At::ReadAgain,
            At::StatAgain => over(At::Lost),
            At::ReadAgain if state.file.is_some_and(|(_, pid)| pid == u32::from(who) + 1) => At::Bind,
            At::ReadAgain => over(At::Lost),
            At::Bind if state.port.is_none() => {
                state.port = Some(who);
                At::Serve
            }
            At::Bind => At::Unlink(!self.forgets),
            At::Serve => At::Close,
            At::Close => {
                state.port = None;
                At::Unlink(true)
            }
            At::Unlink(_) => {
                state.file = None;
                over(At::Done)
            }
            At::Exit | At::Done | At::Lost => At::Lost,
        };
        state.contenders[me].at = next;
        self.bury(state, who);
    }

    /// Takes from a contender what its death takes, if it is dead.
    fn bury(&self, state: &mut State, who: u8) {
        let contender = &mut state.contenders[usize::from(who)];
        if contender.is_alive() {
            return;
        }
        if self.forgets {
            *contender = Contender { at: At::Lost, pid: 0, retries: 0, file: None };
        }
        if state.port == Some(who) {
            state.port = None;
        }
    }

    /// Every state that can be reached, as it is seen from outside, and whether one of them has two owners.
    pub fn reachable(&self) -> (BTreeSet<Seen>, usize, bool) {
        let mut known = BTreeSet::from([self.first()]);
        let mut open = vec![self.first()];
        let mut actions = Vec::new();
        while let Some(state) = open.pop() {
            self.choices(&state, &mut actions);
            for action in actions.drain(..) {
                let next = self.after(&state, action);
                if known.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        let is_broken = known.iter().any(|state| state.owners() > 1);
        (known.iter().map(State::seen).collect(), known.len(), is_broken)
    }
}

impl State {
    /// Whether a contender is alive.
    pub fn is_alive(&self, contender: u8) -> bool {
        self.contenders.get(usize::from(contender)).is_some_and(Contender::is_alive)
    }

    fn lives(&self, pid: u32) -> bool {
        let place = usize::try_from(pid).ok().and_then(|pid| pid.checked_sub(1));
        place.and_then(|place| self.contenders.get(place)).is_some_and(Contender::is_alive)
    }

    /// How many are between having bound the port and having removed the lock file.
    pub fn owners(&self) -> usize {
        let owns = |contender: &&Contender| matches!(contender.at, At::Serve | At::Close | At::Unlink(true));
        self.contenders.iter().filter(owns).count()
    }

    fn seen(&self) -> Seen {
        let alive = (0..).zip(&self.contenders).filter(|(_, contender)| contender.is_alive());
        Seen {
            file: self.file.map(|((who, number), _)| ((who != NOBODY).then_some(who), number)),
            content: self.file.map(|(_, pid)| pid),
            port: self.port,
            alive: alive.fold(0, |mask, (number, _): (u8, _)| mask | 1 << number),
        }
    }
}

impl Model for Table {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.choices(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.after(state, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // It is broken: with a property the search would end at the first violation.
        vec![Property::sometimes("a state that is not there", |_, _| false)]
    }
}
