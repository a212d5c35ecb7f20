//! What is demanded: one table, for people, for `--check` and for the page.

use std::collections::BTreeMap;

use serde::Serialize;

use super::idle;
use super::reckon::{Sample, paired};
use super::servers::Server;

/// What all rounds have come to: by case and by server, one sample a round.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) samples: BTreeMap<String, BTreeMap<Server, Vec<Sample>>>,
    pub(crate) values: BTreeMap<&'static str, f64>,
}

/// One demand.
#[derive(Debug)]
struct Bar {
    what: &'static str,
    of: Of,
    limit: Limit,
}

/// Which figure it is about.
#[derive(Debug)]
enum Of {
    /// What a message costs one server in a case, as a multiple of what it costs another.
    Cost { case: &'static str, of: Server, to: Server },
    /// What a message costs the best of the other libraries of Rust, as a multiple of what it costs the gateway.
    BestPeer { case: &'static str },
    /// How many messages a second the gateway answers, in the best of all rounds: in the others it had to share the machine.
    Rate { case: &'static str },
    /// A value that is no ratio.
    Value(&'static str),
}

#[derive(Debug)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

use Limit::{AtLeast, AtMost};
use Of::{BestPeer, Cost, Rate, Value};

const fn bar(what: &'static str, of: Of, limit: Limit) -> Bar {
    Bar { what, of, limit }
}

const fn cost(case: &'static str, of: Server, to: Server) -> Of {
    Cost { case, of, to }
}

const QUICK: &str = "rpc 16,16,256";

/// Every demand.
const BARS: [Bar; 15] = [
    bar("echo 64,1,256 / raw TCP", cost("echo 64,1,256", Server::Refgate, Server::Tcp), AtMost(1.20)),
    bar("echo 16,16,256 / raw TCP", cost("echo 16,16,256", Server::Refgate, Server::Tcp), AtMost(1.45)),
    bar("rpc 16,16,256 / raw TCP", cost(QUICK, Server::Refgate, Server::Tcp), AtMost(2.6)),
    bar("best Rust peer / refgate, echo 64,1,256", BestPeer { case: "echo 64,1,256" }, AtLeast(0.98)),
    bar("best Rust peer / refgate, echo 16,16,256", BestPeer { case: "echo 16,16,256" }, AtLeast(0.98)),
    bar("best Rust peer / refgate, rpc 64,1,256", BestPeer { case: "rpc 64,1,256" }, AtLeast(0.98)),
    bar("best Rust peer / refgate, rpc 16,16,256", BestPeer { case: QUICK }, AtLeast(0.98)),
    bar("JS ws / refgate, rpc 16,16,256", cost(QUICK, Server::Ws, Server::Refgate), AtLeast(10.0)),
    bar("Go gorilla / refgate, rpc 16,16,256", cost(QUICK, Server::Gorilla, Server::Refgate), AtLeast(8.0)),
    bar(
        "fan-out of 1 event / a loop of writes",
        cost("fan-out 1000,1,256", Server::Refgate, Server::Tcp),
        AtMost(1.30),
    ),
    bar(
        "fan-out of 8 events / a loop of writes",
        cost("fan-out 1000,8,256", Server::Refgate, Server::Tcp),
        AtMost(0.25),
    ),
    bar(idle::CONNECTION, Value(idle::CONNECTION), AtMost(24.0)),
    bar(idle::GATEWAY, Value(idle::GATEWAY), AtMost(15.0)),
    bar(idle::READY, Value(idle::READY), AtMost(30.0)),
    bar("health a second, 32 clients, best round", Rate { case: "health 32,1" }, AtLeast(30_000.0)),
];

/// How a demand was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// What it is about was not measured.
    Unknown,
}

/// A demand, and what was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) what: &'static str,
    /// As it is shown: `<= 1.2`.
    pub(crate) limit: String,
    pub(crate) value: Option<f64>,
    pub(crate) verdict: Verdict,
}

/// Holds every demand against what was measured.
pub(crate) fn judge(measured: &Measured) -> Vec<Outcome> {
    let judged = BARS.iter().map(|bar| {
        let value = measured.value(&bar.of);
        let (limit, is_met) = match bar.limit {
            AtMost(most) => (format!("<= {most}"), value.map(|value| value <= most)),
            AtLeast(least) => (format!(">= {least}"), value.map(|value| value >= least)),
        };
        let verdict = match is_met {
            Some(true) => Verdict::Met,
            Some(false) => Verdict::Missed,
            None => Verdict::Unknown,
        };
        Outcome { what: bar.what, limit, value, verdict }
    });
    judged.collect()
}

/// What all of them come to: one that is missed is enough, and so is one that is met where none is missed.
pub(crate) fn verdict(outcomes: &[Outcome]) -> Verdict {
    let any = |verdict| outcomes.iter().any(|outcome| outcome.verdict == verdict);
    [Verdict::Missed, Verdict::Met].into_iter().find(|verdict| any(*verdict)).unwrap_or(Verdict::Unknown)
}

impl Measured {
    fn value(&self, of: &Of) -> Option<f64> {
        match of {
            Cost { case, of, to } => {
                let servers = self.samples.get(*case)?;
                paired(servers.get(of)?, servers.get(to)?)
            }
            BestPeer { case } => {
                let servers = self.samples.get(*case)?;
                let own = servers.get(&Server::Refgate)?;
                let peers = servers.iter().filter(|(server, _)| server.is_peer());
                peers.filter_map(|(_, samples)| paired(samples, own)).min_by(f64::total_cmp)
            }
            Rate { case } => {
                let own = self.samples.get(*case)?.get(&Server::Refgate)?;
                own.iter().map(|sample| sample.rate()).max_by(f64::total_cmp)
            }
            Value(name) => self.values.get(name).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BARS, BestPeer, Cost, Measured, Rate, Value, Verdict, judge, verdict};
    use crate::compare::case::{FANS, TALKS};
    use crate::compare::idle;
    use crate::compare::reckon::Sample;
    use crate::compare::servers::Server;

    fn sample(cpu_ns: u64) -> Vec<Sample> {
        vec![Sample { messages: 10, cpu_ns, wall_ns: 1_000 }]
    }

    fn measured() -> Measured {
        let servers = [
            (Server::Tcp, 100),
            (Server::Refgate, 110),
            (Server::SockudoWs, 100),
            (Server::Tungstenite, 300),
            (Server::Ws, 50),
        ];
        let echo = servers.map(|(server, cpu_ns)| (server, sample(cpu_ns)));
        Measured {
            samples: BTreeMap::from([("echo 64,1,256".to_owned(), BTreeMap::from(echo))]),
            values: BTreeMap::from([(idle::GATEWAY, 15.5)]),
        }
    }

    #[test]
    fn each_demand_is_held_against_its_own_figure() {
        let outcomes = judge(&measured());
        let of = |what: &str| {
            let outcome = outcomes.iter().find(|outcome| outcome.what == what).unwrap();
            (outcome.limit.as_str(), outcome.value, outcome.verdict)
        };
        assert_eq!(of("echo 64,1,256 / raw TCP"), ("<= 1.2", Some(1.1), Verdict::Met));
        // Another language is no peer, and the best of the peers counts.
        let best = of("best Rust peer / refgate, echo 64,1,256");
        assert_eq!((best.0, best.2), (">= 0.98", Verdict::Missed));
        assert!((best.1.unwrap() - 100.0 / 110.0).abs() < 1e-9);
        assert_eq!(of(idle::GATEWAY), ("<= 15", Some(15.5), Verdict::Missed));
        assert_eq!(of("rpc 16,16,256 / raw TCP"), ("<= 2.6", None, Verdict::Unknown));
    }

    #[test]
    fn one_that_is_missed_is_enough_and_none_that_is_known_is_nothing() {
        assert_eq!(verdict(&judge(&measured())), Verdict::Missed);
        assert_eq!(verdict(&judge(&Measured::default())), Verdict::Unknown);
        let met = Measured { values: BTreeMap::from([(idle::GATEWAY, 9.0)]), ..Measured::default() };
        assert_eq!(verdict(&judge(&met)), Verdict::Met);
    }

    #[test]
    fn every_demand_is_about_something_that_is_measured() {
        let names: Vec<_> = TALKS.iter().chain(&FANS).map(|case| case.name()).collect();
        for bar in BARS {
            match bar.of {
                Cost { case, .. } | BestPeer { case } | Rate { case } => {
                    assert!(names.iter().any(|name| name == case), "{case}");
                }
                Value(name) => assert!([idle::CONNECTION, idle::GATEWAY, idle::READY].contains(&name)),
            }
        }
    }
}
