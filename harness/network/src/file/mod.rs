//! A plan as a file: TOML, read strictly, so that what is misspelt is found and not passed over.
//!
//! The names end in `.sweep.toml`. `docs/sweeps.md` describes each key.

mod read;
mod shape;
mod write;

use portcullis_os::Port;
use sim::network::Link;

use crate::plan::{LEAST_JOB_MS, Plan, SERVICE};
use crate::weather::Weather;
use shape::{Expect, File, FileStep};
pub(crate) use write::InWords;

/// The longest that anything goes on, in milliseconds: an hour.
const LONGEST_MS: u64 = 3_600_000;
/// At most so many of each kind.
const MOST: usize = 32;
/// At most so many messages.
const MOST_SAID: u64 = 10_000;

/// A plan, and what is expected of all executions of it.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What it is about, in one line.
    pub title: String,
    /// Where it is from.
    pub refs: Vec<String>,
    /// How many seeds are tried unless somebody says another number.
    pub seeds: u64,
    /// The plan.
    pub plan: Plan,
    /// How many replies each execution must have; `None`: any number.
    pub replies: Option<usize>,
    /// What must have happened in at least one execution, as the report counts it.
    pub happens: Vec<String>,
    /// What must not happen in any execution.
    pub never: Vec<String>,
    /// Promises that nobody can keep here. At least one execution must break each.
    pub breaks: Vec<String>,
    /// Seeds that failed once. They are tried first.
    pub regressions: Vec<u64>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It is no TOML, or has a key that there is not, or a value that does not fit.
    #[error("{0}")]
    Text(String),
    /// Something in it does not go together.
    #[error("{place}: {why}")]
    Sense {
        /// Where.
        place: String,
        /// What, and what to do about it.
        why: String,
    },
}

fn sense(place: impl Into<String>, why: impl Into<String>) -> Mistake {
    Mistake::Sense { place: place.into(), why: why.into() }
}

/// Whether packets can travel so.
fn travels(place: &str, [least_ms, most_ms]: [u64; 2], lost_permille: u16) -> Result<(), Mistake> {
    if least_ms > most_ms || most_ms > 60_000 {
        return Err(sense(format!("{place}latency_ms"), "the shortest and the longest, at most 60000"));
    }
    if lost_permille > 900 {
        let why = "at most 900: of a thousand packets, some must arrive";
        return Err(sense(format!("{place}lost_permille"), why));
    }
    Ok(())
}

impl Sweep {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Mistake`]: what is wrong with it, the first thing that is.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let file: File =
            toml::from_str(text).map_err(|error| Mistake::Text(error.to_string().trim_end().to_owned()))?;
        file.check()?;
        let [least_ms, most_ms] = file.latency_ms;
        let link = Link { least_ms, most_ms, lost_permille: file.lost_permille, ..Link::default() };
        let mut plan = Plan::new().link(link).lease_ms(file.lease_ms).until(file.length_ms);
        for bot in &file.bots {
            plan = plan.bot(bot);
        }
        for state in &file.shared_without_locks {
            plan = plan.shared_without_locks(state);
        }
        for (name, gateway) in &file.gateway {
            plan = plan.gateway(gateway.read(name));
        }
        for (name, client) in &file.client {
            plan = plan.client(client.read(name));
        }
        for step in &file.step {
            plan = step.read(plan, link)?;
        }
        if let Some(every_ms) = file.weather_every_ms {
            plan = plan.weather(Weather { every_ms });
        }
        let File { title, refs, seeds, regressions, expect, .. } = file;
        let Expect { replies, answered_within_ms, happens, never, breaks } = expect;
        let plan = Plan { answered_within_ms, ..plan };
        Ok(Self { title, refs, seeds, plan, replies, happens, never, breaks, regressions })
    }
}

impl File {
    /// What TOML cannot say: that names are known and numbers make sense.
    fn check(&self) -> Result<(), Mistake> {
        if self.schema != 1 {
            return Err(sense("schema", format!("{} is not known: write `schema = 1`", self.schema)));
        }
        let most =
            [("bots", self.bots.len()), ("gateway", self.gateway.len()), ("client", self.client.len())];
        for (place, count) in most {
            if count > MOST {
                return Err(sense(place, format!("at most {MOST}, and here are {count}")));
            }
        }
        if self.length_ms == 0 || self.length_ms > LONGEST_MS {
            return Err(sense(
                "length_ms",
                format!("1 to {LONGEST_MS}, an hour, and not {}", self.length_ms),
            ));
        }
        let [least_ms, most_ms] = self.latency_ms;
        travels("", [least_ms, most_ms], self.lost_permille)?;
        if self.weather_every_ms == Some(0) {
            return Err(sense("weather_every_ms", "at least 1"));
        }
        for (name, gateway) in &self.gateway {
            let place = format!("gateway.{name}");
            if Port::new(gateway.port).is_none() || gateway.port > 65_425 {
                return Err(sense(
                    place,
                    "its port is 1 to 65425, since the 110 ports above it are reserved too",
                ));
            }
            if let Some(bot) = gateway.bots.iter().find(|bot| !self.bots.contains(bot)) {
                return Err(sense(place, format!("there is no bot `{bot}`: name it in `bots`")));
            }
            if gateway.job_every_ms.is_some_and(|every_ms| every_ms < LEAST_JOB_MS) {
                return Err(sense(place, "a job runs every 1000 milliseconds at most"));
            }
        }
        for (name, client) in &self.client {
            if !self.gateway.contains_key(&client.gateway) {
                let why = format!("there is no gateway `{}`", client.gateway);
                return Err(sense(format!("client.{name}"), why));
            }
        }
        self.step.iter().try_for_each(|step| self.check_names(step))
    }

    /// Whether everybody is known whom a step names.
    fn check_names(&self, step: &FileStep) -> Result<(), Mistake> {
        let unknown = |kind: &str, name: &str| {
            let place = format!("step at {} ms", step.at_ms);
            Err(sense(place, format!("there is no {kind} `{name}`")))
        };
        let gateways = [&step.start, &step.stop, &step.kill, &step.restart, &step.pause, &step.resume];
        for name in gateways.into_iter().flatten() {
            if !self.gateway.contains_key(name) {
                return unknown("gateway", name);
            }
        }
        if let Some(say) = step.say.as_ref().filter(|say| !self.bots.contains(&say.bot)) {
            return unknown("bot", &say.bot);
        }
        let pairs = [&step.cut, &step.cut_one_way, &step.mend].into_iter().flatten().flatten();
        let ways = || [&step.link, &step.link_one_way].into_iter().flatten();
        for way in ways() {
            let place = format!("step at {} ms: ", step.at_ms);
            travels(&place, way.latency_ms, way.lost_permille)?;
        }
        let pairs = pairs.chain(ways().flat_map(|way| &way.hosts));
        let asleep = step.sleep.iter().map(|sleep| &sleep.host);
        let set = step.clock.iter().map(|clock| &clock.host);
        let dark = step.power_loss.iter().map(|loss| &loss.host);
        if step.power_loss.as_ref().is_some_and(|loss| loss.host == SERVICE) {
            let place = format!("step at {} ms", step.at_ms);
            return Err(sense(place, "the host of the bot service always has power"));
        }
        for host in pairs.chain(asleep).chain(set).chain(dark) {
            let hosts = self.gateway.values().map(|gateway| &gateway.host);
            if host != SERVICE
                && !hosts.chain(self.client.values().map(|client| &client.host)).any(|known| known == host)
            {
                return unknown("host", host);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Sweep;

    const PLAIN: &str = "schema = 1\ntitle = 't'\nlength_ms = 1000\n[gateway.main]\nhost = 'here'\n";

    fn mistake(text: &str) -> String {
        Sweep::parse(text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_plain_file_is_read() {
        let sweep = Sweep::parse(PLAIN).expect("it is right");
        assert_eq!((sweep.title.as_str(), sweep.seeds), ("t", 100));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert!(mistake(&format!("{PLAIN}hots = 'x'\n")).contains("unknown field `hots`"));
        assert!(mistake(&format!("{PLAIN}port = 0\n")).starts_with("gateway.main: "));
        assert!(mistake(&format!("{PLAIN}bots = ['x']\n")).ends_with("name it in `bots`"));
        assert!(
            mistake(&format!("{PLAIN}[client.c]\nhost = 'h'\ngateway = 'g'\n")).starts_with("client.c: ")
        );
        assert!(mistake(&format!("{PLAIN}[[step]]\nat_ms = 5\n")).contains("this one does 0"));
        assert!(
            mistake(&format!("{PLAIN}[[step]]\nat_ms = 5\nstart = 'main'\nkill = 'main'\n"))
                .contains("does 2")
        );
        let step = |words: &str| mistake(&format!("{PLAIN}[[step]]\nat_ms = 5\n{words}\n"));
        assert_eq!(step("kill = 'x'"), "step at 5 ms: there is no gateway `x`");
        assert_eq!(step("say = { bot = 'x' }"), "step at 5 ms: there is no bot `x`");
        assert_eq!(step("cut = ['here', 'x']"), "step at 5 ms: there is no host `x`");
        assert!(mistake(&PLAIN.replace("schema = 1", "schema = 2")).contains("write `schema = 1`"));
        assert!(mistake(&PLAIN.replace("1000", "0")).starts_with("length_ms: "));
        assert!(mistake("schema = ").contains("line 1"), "{}", mistake("schema = "));
    }
}
