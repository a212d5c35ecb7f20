//! Who has its turn when: all servers are up at once, and each round goes through them in the other direction.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::Fault;
use super::bars::{self, Measured};
use super::case::{Case, FANS, TALKS};
use super::fan::Fan;
use super::idle;
use super::load::Load;
use super::machine::{self, Machine, resident_bytes};
use super::options::Options;
use super::reckon::{Sample, figures};
use super::report::{Absent, Failed, Line, Report, Row};
use super::servers::{Running, Server, Work};

/// Sockets enough for a thousand clients of two servers.
const OPEN_FILES: u64 = 8_192;
/// How many clients never read.
const STALLED: usize = 10;
/// Beside so many who do.
const SUBSCRIBERS: usize = 1_000;
/// What all of them are told at once: how many events, of how many bytes.
const EVENTS: (usize, usize) = (8, 2_048);
/// How long it takes until the kernel has no room either for what is not read.
const FILLING: Duration = Duration::from_secs(3);
/// How the effect of these is asked for on the command line.
const SLOW: &str = "slow consumers";
/// How memory and starts are asked for.
const IDLE: &str = "idle";

pub(crate) const SLOW_RATE: &str = "events a second beside ten clients that never read / without them";
pub(crate) const SLOW_BEFORE: &str = "memory of the gateway before these ten, MB";
pub(crate) const SLOW_AFTER: &str = "memory of the gateway after these ten, MB";

/// The servers that run, and what became of the others.
struct Stage {
    running: BTreeMap<(Server, Work), Running>,
    absent: Vec<Absent>,
    failed: Vec<Failed>,
    measured: Measured,
    before: Duration,
    during: Duration,
}

/// Measures everything that is wanted.
pub(crate) fn run(options: &Options) -> Result<Report, Fault> {
    machine::open_files(OPEN_FILES).map_err(Fault::of("the limit of open files"))?;
    let mut machine = Machine::here();
    let cores = machine::cores();
    let wanted = |cases: &[Case]| -> Vec<Case> {
        cases.iter().copied().filter(|case| options.wants(&case.name())).collect()
    };
    let (talks, fans) = (wanted(&TALKS), wanted(&FANS));
    // What is started from here on stays there.
    if let Some((servers, _)) = cores {
        machine::pin(servers)?;
    }
    let mut stage = Stage::open(options, talks.iter().chain(&fans))?;
    let (is_idle_wanted, is_slow_wanted) = (options.wants(IDLE), options.wants(SLOW));
    if is_idle_wanted {
        // Each of these starts servers of its own, and is no matter of who runs where.
        let values = [idle::gateway(options)?, idle::connections(options)?].concat();
        stage.measured.values.extend(values);
    }
    let slow = if is_slow_wanted { Some(Running::of(Server::Refgate, Work::Fan, options)?) } else { None };
    if let Some((_, clients)) = cores {
        machine::pin(clients)?;
    }
    stage.talk(&talks, options.rounds);
    stage.fan_out(&fans, options.rounds);
    if let Some(Ok(running)) = slow {
        stage.slow(&running)?;
    }
    machine.load_after = machine::load();
    Ok(stage.report(machine, options, &[talks, fans].concat()))
}

/// Who takes part in a case.
fn servers(case: Case, options: &Options) -> impl Iterator<Item = Server> {
    let is_wanted = move |server: &Server| {
        options.servers.is_empty() || *server == case.reference() || options.servers.contains(server)
    };
    case.servers().iter().copied().filter(is_wanted)
}

impl Stage {
    fn open<'a>(options: &Options, cases: impl Iterator<Item = &'a Case>) -> Result<Self, Fault> {
        let millis = options.millis;
        let mut stage = Self {
            running: BTreeMap::new(),
            absent: Vec::new(),
            failed: Vec::new(),
            measured: Measured::default(),
            before: Duration::from_millis(millis.div_ceil(3)),
            during: Duration::from_millis(millis),
        };
        for case in cases {
            for server in servers(*case, options) {
                let samples = stage.measured.samples.entry(case.name()).or_default();
                if stage.absent.iter().any(|absent| absent.server == server) {
                    continue;
                }
                if let Entry::Vacant(place) = stage.running.entry((server, case.work)) {
                    match Running::of(server, case.work, options)? {
                        Ok(running) => drop(place.insert(running)),
                        Err(why) => {
                            stage.absent.push(Absent { server, why });
                            continue;
                        }
                    }
                }
                samples.insert(server, Vec::new());
            }
        }
        Ok(stage)
    }

    /// The servers of a case, in the order of a round.
    fn turns(&self, case: Case, round: u32) -> Vec<Server> {
        let known = &self.measured.samples[&case.name()];
        let mut servers: Vec<_> =
            case.servers().iter().copied().filter(|server| known.contains_key(server)).collect();
        if round % 2 == 1 {
            servers.reverse();
        }
        servers
    }

    fn talk(&mut self, cases: &[Case], rounds: u32) {
        for (case, server) in self.plan(cases, rounds) {
            let running = &self.running[&(server, case.work)];
            let sample = Load::connect(case, server, running.port)
                .and_then(|mut load| load.measure(running.pid(), self.before, self.during));
            self.settle(case, server, sample);
        }
    }

    fn fan_out(&mut self, cases: &[Case], rounds: u32) {
        let subscribers = cases.first().map_or(0, |case| case.connections);
        let everybody = self.running.iter().filter(|((_, work), _)| *work == Work::Fan);
        let mut fans: BTreeMap<_, _> = everybody
            .map(|((server, _), running)| {
                let fan = Fan::connect(*server, running.port, subscribers);
                (*server, (running.pid(), fan.map_err(|fault| fault.to_string())))
            })
            .collect();
        for (case, server) in self.plan(cases, rounds) {
            let Some((pid, fan)) = fans.get_mut(&server) else { continue };
            let sample = match fan {
                Ok(fan) => fan.measure(*pid, (case.window, case.bytes), self.before, self.during),
                Err(why) => Err(Fault::Wrong(why.clone())),
            };
            if let Err(fault) = &sample {
                // What was on its way would be taken for something else.
                *fan = Err(fault.to_string());
            }
            self.settle(case, server, sample);
        }
    }

    /// Every turn, in order.
    fn plan(&self, cases: &[Case], rounds: u32) -> Vec<(Case, Server)> {
        let of_round = |round| {
            cases
                .iter()
                .flat_map(move |case| self.turns(*case, round).into_iter().map(move |server| (*case, server)))
        };
        (0..rounds).flat_map(of_round).collect()
    }

    /// Takes down what a turn has come to. A server that has failed once has no turn in that case any more.
    fn settle(&mut self, case: Case, server: Server, sample: Result<Sample, Fault>) {
        let Some(servers) = self.measured.samples.get_mut(&case.name()) else { return };
        let Some(samples) = servers.get_mut(&server) else { return };
        match sample {
            Ok(sample) => samples.push(sample),
            Err(fault) => {
                servers.remove(&server);
                self.failed.push(Failed { case: case.name(), server, why: fault.to_string() });
            }
        }
    }

    /// What ten clients that never read change for a thousand who do.
    fn slow(&mut self, running: &Running) -> Result<(), Fault> {
        let mut fan = Fan::connect(Server::Refgate, running.port, SUBSCRIBERS)?;
        let (before, during) = (self.before, self.during * 3);
        let alone = fan.measure(running.pid(), EVENTS, before, during)?.rate();
        let memory_before = resident_bytes(running.pid())?;
        for _ in 0..STALLED {
            fan.stall(running.port)?;
        }
        let beside = fan.measure(running.pid(), EVENTS, FILLING, during)?.rate();
        let memory_after = resident_bytes(running.pid())?;
        self.measured.values.extend([
            (SLOW_RATE, beside / alone),
            (SLOW_BEFORE, memory_before as f64 / 1e6),
            (SLOW_AFTER, memory_after as f64 / 1e6),
        ]);
        Ok(())
    }

    fn report(self, machine: Machine, options: &Options, cases: &[Case]) -> Report {
        let rows = cases.iter().map(|case| {
            let servers = &self.measured.samples[&case.name()];
            let reference = servers.get(&case.reference()).map_or(&[][..], Vec::as_slice);
            let line = |server: &Server| {
                let figures = figures(servers.get(server)?, reference)?;
                Some(Line { server: *server, figures })
            };
            Row { name: case.name(), case: *case, lines: case.servers().iter().filter_map(line).collect() }
        });
        Report {
            machine,
            rounds: options.rounds,
            millis: options.millis,
            rows: rows.collect(),
            values: self.measured.values.clone(),
            bars: bars::judge(&self.measured),
            absent: self.absent,
            failed: self.failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::Stage;
    use crate::compare::Fault;
    use crate::compare::bars::Measured;
    use crate::compare::case::{Case, TALKS};
    use crate::compare::reckon::Sample;
    use crate::compare::servers::Server;

    const SAMPLE: Sample = Sample { messages: 1, cpu_ns: 1, wall_ns: 1 };

    fn stage(case: Case) -> Stage {
        let servers = [Server::Tcp, Server::Refgate, Server::Ws].map(|server| (server, Vec::new()));
        Stage {
            running: BTreeMap::new(),
            absent: Vec::new(),
            failed: Vec::new(),
            measured: Measured {
                samples: BTreeMap::from([(case.name(), BTreeMap::from(servers))]),
                values: BTreeMap::new(),
            },
            before: Duration::ZERO,
            during: Duration::ZERO,
        }
    }

    #[test]
    fn servers_take_turns_and_every_other_round_the_other_way() {
        let stage = stage(TALKS[0]);
        let turns: Vec<_> = stage.plan(&TALKS[..1], 3).into_iter().map(|(_, server)| server).collect();
        let (a, b, c) = (Server::Tcp, Server::Refgate, Server::Ws);
        assert_eq!(turns, [a, b, c, c, b, a, a, b, c]);
    }

    #[test]
    fn whoever_fails_once_is_named_and_counts_no_more_in_that_case() {
        let mut stage = stage(TALKS[0]);
        for sample in [Ok(SAMPLE), Err(Fault::Wrong("a wrong answer".to_owned())), Ok(SAMPLE)] {
            stage.settle(TALKS[0], Server::Ws, sample);
        }
        stage.settle(TALKS[0], Server::Tcp, Ok(SAMPLE));
        let servers = &stage.measured.samples[&TALKS[0].name()];
        assert_eq!(servers.get(&Server::Ws), None);
        assert_eq!(servers[&Server::Tcp], [SAMPLE]);
        assert_eq!(stage.failed.len(), 1);
        assert_eq!(stage.failed[0].why, "a wrong answer");
    }
}
