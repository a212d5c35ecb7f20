//! Probabilities that are known: of graphs of a few states, and of a small lock race that is spelled out as a table.

use std::collections::BTreeMap;

use super::{chances, doomed};
use crate::graph::{By, Edge, Graph, Mark};

fn step(to: u32) -> Edge {
    Edge { to, by: By::Script, passes_deadline: false }
}

fn fault(to: u32) -> Edge {
    Edge { to, by: By::Fault, passes_deadline: false }
}

#[test]
fn a_state_breaks_with_the_mean_of_what_its_steps_lead_to_and_faults_do_not_count() {
    let graph = Graph::of([
        (Mark::Open, vec![step(1), step(2), step(3), fault(4)]),
        (Mark::Open, vec![step(Graph::BROKEN), step(3)]),
        (Mark::Open, vec![step(Graph::BROKEN), step(4)]),
        (Mark::End(0), vec![fault(4)]),
        (Mark::Broken, vec![]),
    ]);
    assert_eq!(chances(&graph), Some(vec![0.5, 0.5, 1.0, 0.0, 1.0]));
    assert_eq!(doomed(&graph), [false, false, true, false, true]);
}

#[test]
fn a_round_is_left_sooner_or_later_and_one_that_cannot_be_left_breaks_nothing() {
    let graph = Graph::of([
        (Mark::Open, vec![step(1), step(3)]),
        // Two out of three ways lead out of the round of 1 and 2, and one of these breaks something.
        (Mark::Open, vec![step(2), step(Graph::BROKEN), step(4)]),
        (Mark::Open, vec![step(1)]),
        (Mark::Open, vec![step(3)]),
        (Mark::End(0), vec![]),
    ]);
    let chances = chances(&graph).unwrap_or_default();
    let wanted = [0.25, 0.5, 0.5, 0.0, 0.0];
    assert!(
        chances.iter().zip(wanted).all(|(chance, wanted)| (chance - wanted).abs() < 1e-15),
        "{chances:?}"
    );
    assert_eq!(doomed(&graph), [false; 5]);
}

#[test]
fn a_group_that_is_too_large_to_be_solved_is_left_out() {
    let round = |count: u32| Graph::of((0..count).map(|state| (Mark::Open, vec![step((state + 1) % count)])));
    assert!(chances(&round(300)).is_some());
    assert!(chances(&round(301)).is_none());
}

/// What one process of the race does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Stat,
    Read,
    Kill0,
    UnlinkStale,
    OpenExcl,
    Write,
    Fsync,
    StatAgain,
    ReadAgain,
    Bind,
    Serve,
    Close,
    Unlink,
    Done,
    Lost,
}

impl Next {
    const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Lost)
    }
}

/// A process: what it does next, how often it found the file there, its inode, the pid that it has read.
type Process = (Next, u8, u8, u8);

/// A lock file by inode and recorded pid, who has the port, how many files were made, and the processes. 0 is nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Race {
    inode: u8,
    recorded: u8,
    port: u8,
    made: u8,
    processes: Vec<Process>,
}

impl Race {
    /// What was left behind is a file with inode 1 and the pid 9, which nobody has.
    fn of(count: usize, is_stale: bool) -> Self {
        let (inode, recorded) = if is_stale { (1, 9) } else { (0, 0) };
        Self { inode, recorded, port: 0, made: 1, processes: vec![(Next::Stat, 0, 0, 0); count] }
    }

    fn is_alive(&self, pid: u8) -> bool {
        let process = usize::from(pid).checked_sub(1).and_then(|place| self.processes.get(place));
        process.is_some_and(|(next, ..)| !next.is_over())
    }

    /// Whoever has found its own pid in the file is an owner until it removes the file.
    fn owners(&self) -> usize {
        let owns = |next| matches!(next, Next::Bind | Next::Serve | Next::Close | Next::Unlink);
        self.processes.iter().filter(|(next, ..)| owns(*next)).count()
    }

    fn step(&mut self, place: usize) {
        let pid = u8::try_from(place + 1).unwrap_or_default();
        let (next, mut tries, mut own, mut read) = self.processes[place];
        let then = |holds, next| if holds { next } else { Next::Lost };
        let next = match next {
            Next::Stat if self.inode == 0 => Next::OpenExcl,
            Next::Stat => Next::Read,
            Next::Read if self.inode == 0 => Next::OpenExcl,
            Next::Read => {
                read = self.recorded;
                Next::Kill0
            }
            Next::Kill0 => then(!self.is_alive(std::mem::take(&mut read)), Next::UnlinkStale),
            Next::UnlinkStale => {
                (self.inode, self.recorded) = (0, 0);
                Next::OpenExcl
            }
            Next::OpenExcl if self.inode == 0 => {
                self.made += 1;
                (own, self.inode, self.recorded) = (self.made, self.made, 0);
                Next::Write
            }
            Next::OpenExcl => {
                tries += 1;
                then(tries <= 2, Next::Stat)
            }
            Next::Write => {
                if self.inode == own {
                    self.recorded = pid;
                }
                Next::Fsync
            }
            Next::Fsync => Next::StatAgain,
            Next::StatAgain => then(self.inode == own, Next::ReadAgain),
            Next::ReadAgain => then(self.recorded == pid, Next::Bind),
            Next::Bind if self.port == 0 => {
                self.port = pid;
                Next::Serve
            }
            Next::Bind => Next::Unlink,
            Next::Serve => Next::Close,
            Next::Close => {
                self.port = 0;
                Next::Unlink
            }
            Next::Unlink => {
                (self.inode, self.recorded) = (0, 0);
                Next::Done
            }
            Next::Done | Next::Lost => unreachable!("the dead take no step"),
        };
        self.processes[place] = (next, tries, own, read);
    }

    /// Its graph, where two owners are the end of it or are not.
    fn graph(count: usize, is_stale: bool, ends_with_two: bool) -> Graph {
        let first = Self::of(count, is_stale);
        let mut numbers = BTreeMap::from([(first.clone(), 0)]);
        let (mut races, mut states) = (vec![first], Vec::new());
        while let Some(race) = races.get(states.len()).cloned() {
            if ends_with_two && race.owners() > 1 {
                states.push((Mark::Broken, Vec::new()));
                continue;
            }
            let mut steps = Vec::new();
            for place in (0..count).filter(|place| !race.processes[*place].0.is_over()) {
                let mut after = race.clone();
                after.step(place);
                let number = *numbers.entry(after).or_insert_with_key(|after| {
                    races.push(after.clone());
                    races.len() as u32 - 1
                });
                steps.push(step(number));
            }
            states.push((if steps.is_empty() { Mark::End(0) } else { Mark::Open }, steps));
        }
        Graph::of(states)
    }
}

#[test]
fn the_race_for_a_pid_file_breaks_as_often_as_dynamic_programming_has_shown_elsewhere() {
    // How many processes, whether a file was left behind; the states; the probability in units of 0.0001 %.
    let table = [
        (2, false, 648, 7_965),
        (2, true, 687, 15_916),
        (3, false, 67_724, 14_530),
        (3, true, 69_800, 25_767),
    ];
    for (count, is_stale, states, wanted) in table {
        assert_eq!(Race::graph(count, is_stale, false).len(), states);
        let chances = chances(&Race::graph(count, is_stale, true)).unwrap_or_default();
        let chance = (chances[0] * 1e6).round();
        assert!((chance - f64::from(wanted)).abs() < 0.5, "{count} {is_stale}: {chance}");
    }
}
