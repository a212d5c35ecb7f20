//! `refgate gateway call`: one method, its result on stdout and everything else on stderr.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::aim::Reach;
use super::report::{Report, enter};
use super::{Desk, Outcome, Unfit, work};
use crate::log::Format;
use crate::standing::Depth;

/// The longest params that are taken, in bytes: what a gateway takes in one message.
const LONGEST: usize = 25 * 1024 * 1024;

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Call {
    /// The method, for instance `health` or `config.get`
    #[arg(value_name = "METHOD")]
    method: String,

    /// Its params, as JSON
    #[arg(long, value_name = "JSON")]
    params: Option<String>,

    #[command(flatten)]
    reach: Reach,
}

pub(in crate::cli) fn run(options: Call) -> ExitCode {
    work(options.reach.format(), |desk| async move { call(&desk, options).await })
}

async fn call(desk: &Desk, Call { method, params, reach }: Call) -> Result<Outcome, Unfit> {
    let params = params.map(|text| read(desk, &text)).transpose()?;
    let (standing, session) = enter(desk, &reach, &[&method], Depth::Plain).await?;
    let mut report = Report::new(&standing, "gateway-call", 1, "refgate gateway health");
    report.put("method", json!(method));
    let Some(mut session) = session else { return Ok(told(report, desk.format)) };
    let outcome = session.call(&method, params.as_ref()).await;
    session.leave().await;
    Ok(match outcome {
        Ok(result) => {
            report.exit = 0;
            match desk.format {
                Format::Json => {
                    report.put("result", result);
                    report.outcome(desk.format)
                }
                Format::Text => Outcome { out: format!("{result:#}\n"), ..Outcome::default() },
            }
        }
        Err(error) => {
            report.failed(&method, &error);
            told(report, desk.format)
        }
    })
}

/// What is no result does not go where results go.
fn told(report: Report<'_>, format: Format) -> Outcome {
    let outcome = report.outcome(format);
    match format {
        Format::Text => Outcome { err: outcome.out, out: String::new(), ..outcome },
        Format::Json => outcome,
    }
}

fn read(desk: &Desk, text: &str) -> Result<Value, Unfit> {
    let help = "for instance --params '{\"limit\":5}'";
    if text.len() > LONGEST {
        return Err(desk.misused("--params is longer than a gateway takes", help));
    }
    serde_json::from_str(text).map_err(|error| desk.misused(&format!("--params is no JSON: {error}"), help))
}
