//! `refgate watch`: looks again and again, keeps what it has seen, and says ALERT only where it is sure.
//!
//! A bad sign counts once it has been seen twice in a row, for a gateway may be busy for a moment. That nobody owns the state
//! and nobody listens is no sign but the kernel's own word, and counts at once. Nothing is ever restarted here: who watches
//! and who repairs are two.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use portcullis_os::{Clock, Os as _};
use serde_json::{Value, json};

use super::aim::{Own, Way};
use super::report::{Report, error_in_words};
use super::{Desk, Outcome, Unfit, channels, edge, work};
use crate::client::{CallError, Caller, Session, scopes_of};
use crate::doctor::{self, Mode};
use crate::log::Format;
use crate::settings;
use crate::standing::{Aim, Asking, Depth, Standing, observe};
use crate::text::one_line;

/// What is said below the options.
pub(in crate::cli) const HELP: &str = "\
Each round asks the kernel who owns the state directory, has the gateway carry out a call, lets the
doctor look, and has the gateway try its channels. A line that begins with ALERT says that
something is wrong: twice in a row, or once if the kernel itself says that there is no gateway.

Exit status (without --once it ends only by a signal, or when nobody reads it any more):
   0  --once: nothing is wrong
   1  --once: something is, and was said in a line that begins with ALERT; or evidence cannot be kept
   2  the command line, the environment or the configuration was not understood";

/// The longest that --once waits before it looks again at a bad sign.
const AGAIN: Duration = Duration::from_secs(2);

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Watch {
    #[command(flatten)]
    own: Own,

    #[command(flatten)]
    way: Way,

    /// How long to wait between two rounds, in seconds
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval_s: u64,

    /// Look once, and once more at a bad sign
    #[arg(long)]
    once: bool,

    /// Append one JSON object for each round to this file, which may not lie in the state directory
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
}

/// What a round has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Good,
    /// Something is wrong, as it seems.
    Bad,
    /// The kernel says that there is no gateway.
    Proof,
}

/// What is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Suspect,
    Alert,
}

impl Verdict {
    const fn of(sign: Sign, was_bad: bool) -> Self {
        match sign {
            Sign::Good => Self::Good,
            Sign::Bad if !was_bad => Self::Suspect,
            Sign::Bad | Sign::Proof => Self::Alert,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Suspect => "suspect",
            Self::Alert => "alert",
        }
    }
}

pub(in crate::cli) fn run(options: Watch) -> ExitCode {
    work(options.own.format(), |desk| async move { watch(&desk, &options).await })
}

async fn watch(desk: &Desk, options: &Watch) -> Result<Outcome, Unfit> {
    let (aim, _) = options.own.aim(desk, options.way.word(desk)?)?;
    let evidence = options.evidence.as_deref().map(|path| outside(desk, &aim, path)).transpose()?;
    let interval = Duration::from_secs(options.interval_s);
    let mut was_bad = false;
    for round in 1_u64.. {
        let (verdict, text, line) = look(desk, &aim, options, round, was_bad).await;
        if let Some(path) = &evidence
            && let Err(error) = edge::append(path, &line)
        {
            let what = format!("evidence cannot be kept in {}: {error}", path.display());
            desk.log.failed(1, &what);
            return Err(Unfit(1));
        }
        let shown = match desk.format {
            Format::Text => text,
            Format::Json => line,
        };
        let mut out = std::io::stdout();
        if writeln!(out, "{shown}").and_then(|()| out.flush()).is_err() {
            break;
        }
        let is_over = options.once && verdict != Verdict::Suspect;
        if is_over {
            return Ok(Outcome { exit: u8::from(verdict == Verdict::Alert), ..Outcome::default() });
        }
        was_bad = verdict != Verdict::Good;
        tokio::time::sleep(if options.once { interval.min(AGAIN) } else { interval }).await;
    }
    Ok(Outcome::default())
}

/// The file for evidence, unless it lies where only an owner may write.
fn outside(desk: &Desk, aim: &Aim, path: &Path) -> Result<PathBuf, Unfit> {
    let place = settings::edge::place(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let state = aim.claim.as_ref().map(|claim| settings::edge::place(&claim.state));
    match state.filter(|state| place.starts_with(state)) {
        Some(state) => Err(desk.misused(
            &format!("{} lies in the state directory {}", path.display(), state.display()),
            "only the owner of a state directory writes there: name a file elsewhere",
        )),
        None => Ok(place),
    }
}

/// One round: what is made of it, as text and as JSON.
async fn look(
    desk: &Desk,
    aim: &Aim,
    options: &Watch,
    round: u64,
    was_bad: bool,
) -> (Verdict, String, String) {
    let deadlines = options.way.deadlines();
    let asking = Asking { caller: Caller::Cli, scopes: scopes_of("status"), deadlines, depth: Depth::Plain };
    let (standing, session) = observe(&desk.os, aim, asking).await;
    let asked = match session {
        Some(session) => ask(session, deadlines.call.as_millis()).await,
        None => Asked { wrong: Some(standing.message()), accounts: Vec::new() },
    };
    let sign = match &asked.wrong {
        _ if standing.is_proof_of_absence() => Sign::Proof,
        Some(_) => Sign::Bad,
        None => Sign::Good,
    };
    let verdict = Verdict::of(sign, was_bad);
    let exit = u8::from(verdict == Verdict::Alert);
    let mut report = Report::new(&standing, "watch", exit, "refgate channels status --probe");
    let message = match &asked.wrong {
        Some(wrong) if *wrong != standing.message() => format!("{}, and {wrong}", standing.message()),
        Some(_) | None => standing.message(),
    };
    report.say(message.clone());
    report.put("round", json!(round));
    report.put("verdict", json!(verdict.as_str()));
    let now = desk.os.read_clock(Clock::Wall).await.unwrap_or_default() / 1_000_000;
    report.put("ts", json!(now));
    report.put("accounts", Value::Array(asked.accounts));
    if let Some(claim) = &aim.claim {
        let examination = doctor::examine(&desk.os, claim, Mode::Look, &aim.options).await;
        report.put("doctor", json!({ "exit": examination.exit_status(claim) }));
    }
    let text = text(verdict, &message, &standing);
    (verdict, text, report.to_json())
}

fn text(verdict: Verdict, message: &str, standing: &Standing) -> String {
    let message = one_line(message);
    let next = standing.next("refgate channels status --probe");
    match verdict {
        Verdict::Good => format!("refgate: {message}"),
        Verdict::Suspect => format!("refgate: {message}; it is looked at once more before that counts"),
        Verdict::Alert => format!("ALERT {message}\n  {:<9}  {}", "next", one_line(&next)),
    }
}

/// What a gateway that lets clients in has answered.
struct Asked {
    wrong: Option<String>,
    accounts: Vec<Value>,
}

async fn ask(mut session: Session, longest_ms: u128) -> Asked {
    let asked = read(&mut session, longest_ms).await;
    session.leave().await;
    match asked {
        Ok(accounts) => {
            let bad: Vec<&str> = accounts
                .iter()
                .filter(|account| account.is_bad)
                .map(|account| account.line.as_str())
                .collect();
            let wrong = (!bad.is_empty()).then(|| format!("a channel does not work: {}", bad.join("; ")));
            Asked { wrong, accounts: accounts.iter().map(channels::Account::to_json).collect() }
        }
        Err((method, error)) => Asked {
            wrong: Some(format!("{method} has no result: {}", error_in_words(&error))),
            accounts: Vec::new(),
        },
    }
}

async fn read(
    session: &mut Session,
    longest_ms: u128,
) -> Result<Vec<channels::Account>, (&'static str, CallError)> {
    session.call("status", None).await.map_err(|error| ("status", error))?;
    let params = channels::params(true, longest_ms);
    let said =
        session.call(channels::METHOD, Some(&params)).await.map_err(|error| (channels::METHOD, error))?;
    Ok(channels::accounts(&said))
}

#[cfg(test)]
mod tests {
    use super::{Sign, Verdict};

    #[test]
    fn a_bad_sign_counts_the_second_time_and_the_word_of_the_kernel_at_once() {
        for (signs, expected) in [
            (vec![Sign::Good, Sign::Bad, Sign::Good, Sign::Bad], "good suspect good suspect"),
            (vec![Sign::Bad, Sign::Bad, Sign::Bad, Sign::Good], "suspect alert alert good"),
            (vec![Sign::Proof], "alert"),
            (vec![Sign::Proof, Sign::Bad, Sign::Good], "alert alert good"),
        ] {
            let mut was_bad = false;
            let mut seen = Vec::new();
            for sign in signs {
                let verdict = Verdict::of(sign, was_bad);
                was_bad = verdict != Verdict::Good;
                seen.push(verdict.as_str());
            }
            assert_eq!(seen.join(" "), expected);
        }
    }
}
