//! A plan as a file: TOML, read strictly, so that what is misspelt is found and not passed over.
//!
//! The names end in `.sweep.toml`. `docs/sweeps.md` describes each key.

mod check;
mod read;
mod schema;
mod shape;
mod write;

use std::error::Error;
use std::fmt;

use sim::network::Link;

use crate::plan::Plan;
use crate::weather::Weather;
pub use check::LONGEST_TITLE;
use shape::{Expect, File};
pub(crate) use write::InWords;

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

/// Everything that is wrong with a file, the first thing first; one if it cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.0.iter().enumerate() {
            let begin = if number == 0 { "" } else { "\n" };
            write!(f, "{begin}{mistake}")?;
        }
        Ok(())
    }
}

impl Error for Mistakes {}

impl Sweep {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Mistakes`]: what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        let file: File = toml::from_str(text)
            .map_err(|error| Mistakes(vec![Mistake::Text(error.to_string().trim_end().to_owned())]))?;
        let mistakes = file.check();
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
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
            plan = step.read(plan, link);
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
        assert_eq!((sweep.title.as_str(), sweep.seeds), ("t", 64));
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
        let all = PLAIN.replace("1000", "3_600_001").replace("schema = 1", "schema = 0\nlost_permille = 901");
        let all = mistake(&format!("{all}port = 0\n[[step]]\nat_ms = 1\nkill = 'x'\n[[step]]\nat_ms = 2\n"));
        let places: Vec<&str> = all.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(
            places,
            ["schema", "length_ms", "gateway.main", "lost_permille", "step at 1 ms", "step at 2 ms"]
        );
        assert_eq!(step("kill = \"ma\\u001bin\""), "step at 5 ms: there is no gateway `ma\\u{1b}in`");
        let names = "schema = 1\ntitle = \"a\\u0007\"\nlength_ms = 1\nbots = ['a b', 'a b']\n[gateway.'../m']\nhost = '..'\nstate = '/etc'\n";
        let all = mistake(names);
        for place in [
            "title: one line",
            "bots: \"a b\" is no name",
            "bots: two are called \"a b\"",
            "gateway: \"../m\" is no name: 1 to 64 letters",
            "gateway.../m: host: \"..\" is no name",
            "gateway.../m: state: \"/etc\" is no name",
        ] {
            assert!(all.lines().any(|line| line.starts_with(place)), "{place}\n{all}");
        }
        let bots = PLAIN.replace("[gateway", "bots = ['b']\n[gateway");
        let say =
            |words: &str| mistake(&format!("{bots}[[step]]\nat_ms = 900\nsay = {{ bot = 'b', {words} }}\n"));
        assert_eq!(say("count = 10_001"), "step at 900 ms: at most 10000 messages");
        assert_eq!(
            say("count = 3, every_ms = 9223372036854775807"),
            "step at 900 ms: the plan has ended before the last message"
        );
        for (list, length) in [("['here']", 1), ("['here', 'there', 'everywhere']", 3)] {
            let why = step(&format!("cut = {list}"));
            assert!(why.contains(&format!("invalid length {length}, expected a list of two")), "{why}");
        }
        assert_eq!(step("cut = ['here', 'here']"), "step at 5 ms: there is no way from `here` to itself");
        assert!(
            mistake(&format!("{PLAIN}[[step]]\nat_ms = 1001\nstart = 'main'\n"))
                .contains("the plan ends at 1000 ms")
        );
        assert!(
            mistake(&format!("{PLAIN}restart_ms = 3_600_001\n"))
                .starts_with("gateway.main: restart_ms: 0 to 3600000")
        );
        assert!(mistake(&PLAIN.replace("length", "seeds = 0\nlength")).starts_with("seeds: 1 to 1000000000"));
        let expect = mistake(&format!(
            "{PLAIN}[expect]\nhappens = ['nonsense', 'SIGKILL', 'cut', 'probe: dwon']\nbreaks = ['bogus']\n"
        ));
        assert!(expect.contains("expect.happens: nothing is counted as `nonsense`"), "{expect}");
        assert!(expect.contains("as `probe: dwon`") && expect.lines().count() == 3, "{expect}");
        assert!(
            expect.contains("expect.breaks: there is no promise `bogus`: they are single-owner, "),
            "{expect}"
        );
        assert!(mistake("schema = ").contains("line 1"), "{}", mistake("schema = "));
    }
}
