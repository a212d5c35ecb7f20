//! What happens to machines, networks and processes without anybody's plan, drawn from a seed.
//!
//! Each seed draws first what kinds of trouble there are at all, and then when and to whom: a run with three kinds of trouble finds
//! what a run with all of them hides (swarm testing: Groce, Zhang, Eide, Chen and Regehr, 2012).

use portcullis_os::Signal;
use sim::Random;
use sim::network::Link;

use crate::plan::{LONGEST_WAY_MS, Plan, SERVICE, Step};

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// How often something does, on average, in milliseconds.
    pub every_ms: u64,
}

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Kill,
    Pause,
    Restart,
    Stop,
    Cut,
    CutOneWay,
    Slow,
    Lossy,
    Sleep,
    Clock,
}

const KINDS: [Kind; 10] = [
    Kind::Kill,
    Kind::Pause,
    Kind::Restart,
    Kind::Stop,
    Kind::Cut,
    Kind::CutOneWay,
    Kind::Slow,
    Kind::Lossy,
    Kind::Sleep,
    Kind::Clock,
];

/// The stream of random numbers that the weather is drawn from. The network draws from another one.
const WEATHER: u64 = 1;
/// The longest that anything is cut, stopped or asleep, in milliseconds.
const LONGEST_MS: u64 = 40_000;

/// Whether something that is counted can happen to simulated machines only.
pub(crate) fn needs_simulation(counted: &str) -> bool {
    ["clock", "sleep"].contains(&counted)
}

/// What happens under a plan besides, in order. Whatever is broken is mended before the calm.
pub(crate) fn forecast(plan: &Plan, weather: Weather, seed: u64) -> Vec<(u64, Step)> {
    let mut random = Random::of(seed, WEATHER);
    let kinds: Vec<Kind> = KINDS.into_iter().filter(|_| random.below(3) == 0).collect();
    let hosts: Vec<String> = plan.hosts().into_iter().map(str::to_owned).collect();
    let own: Vec<String> = hosts.iter().filter(|host| *host != SERVICE).cloned().collect();
    let gateways: Vec<String> = plan.gateways.iter().map(|gateway| gateway.name.clone()).collect();
    let (mut steps, mut at_ms) = (Vec::new(), 0);
    loop {
        at_ms += 1 + random.below(weather.every_ms.max(1) * 2);
        if at_ms >= plan.end_ms {
            return steps;
        }
        let until_ms = (at_ms + 1 + random.below(LONGEST_MS)).min(plan.end_ms);
        let Some(kind) = one_of(&mut random, &kinds).copied() else { return steps };
        let (Some(gateway), Some(host)) =
            (one_of(&mut random, &gateways).cloned(), one_of(&mut random, &own).cloned())
        else {
            return steps;
        };
        let other = one_of(&mut random, &hosts).filter(|other| **other != host).cloned();
        let pair = [host.clone(), other.unwrap_or_else(|| SERVICE.to_owned())];
        let cut = Link { is_cut: true, ..plan.link };
        let mut add = |at_ms, step| steps.push((at_ms, step));
        match kind {
            Kind::Kill => add(at_ms, Step::Signal(gateway, Signal::Kill)),
            Kind::Stop => add(at_ms, Step::Signal(gateway, Signal::Terminate)),
            Kind::Restart => add(at_ms, Step::Signal(gateway, Signal::User1)),
            Kind::Pause => {
                add(at_ms, Step::Signal(gateway.clone(), Signal::Stop));
                add(until_ms, Step::Signal(gateway, Signal::Continue));
            }
            Kind::Cut => {
                add(at_ms, Step::Link(pair.clone(), cut));
                add(until_ms, Step::Link(pair, plan.link));
            }
            Kind::CutOneWay => {
                add(at_ms, Step::OneWay(pair.clone(), cut));
                add(until_ms, Step::OneWay(pair, plan.link));
            }
            Kind::Slow => {
                let most_ms = (plan.link.most_ms + random.below(3_000)).min(LONGEST_WAY_MS);
                add(at_ms, Step::Link(pair.clone(), Link { most_ms, ..plan.link }));
                add(until_ms, Step::Link(pair, plan.link));
            }
            Kind::Lossy => {
                let lost_permille = u16::try_from(random.below(400)).unwrap_or(0);
                add(at_ms, Step::Link(pair.clone(), Link { lost_permille, ..plan.link }));
                add(until_ms, Step::Link(pair, plan.link));
            }
            Kind::Sleep => add(at_ms, Step::Sleep(host, until_ms - at_ms)),
            Kind::Clock => {
                let by_ms = i64::try_from(random.below(7_200_000)).unwrap_or(0) - 3_600_000;
                add(at_ms, Step::StepClock(host, by_ms));
            }
        }
    }
}

/// One of these; `None`: there are none.
fn one_of<'a, T>(random: &mut Random, of: &'a [T]) -> Option<&'a T> {
    of.get(random.place(of.len()))
}
