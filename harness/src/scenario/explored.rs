//! Reads `[explore]`, what to try, apart from what is true, and `[limits]`, what that may cost.

use sim::{Sampler, Sampling};
use toml::de::DeValue;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::effort::{Explore, Policy};
use super::fields::{Bounds, Field, Fields, boolean, integer, wrong_type};
use super::format::{EXPLORE, LIMITS};
use super::problem::Problem;

pub(super) const PREEMPTIONS: Bounds = Bounds::new(0, 100);
pub(super) const KILLS: Bounds = Bounds::new(0, 4);
pub(super) const POWER_LOSSES: Bounds = Bounds::new(0, 2);
pub(super) const SPAN: Bounds =
    Bounds { least: 1, most: 110, why: "a gateway never claims more than 110 ports above its base" };
/// With more ports than these the orders in which a dying gateway gives them back are too many.
const SLOW_SPAN: u16 = 2;
pub(super) const TRIES: Bounds = Bounds::new(1, 10_000);
pub(super) const STATES: Bounds = Bounds::new(1, 1_000_000_000);
pub(super) const REAL_MS: Bounds =
    Bounds { least: 100, most: 3_600_000, why: "a try on real processes takes between 0.1 s and an hour" };
pub(super) const SCHEDULES: Bounds = Bounds::new(1, 1_000_000_000);
pub(super) const SEEDS: Bounds = Bounds::new(0, i64::MAX);
/// The seed of a sample that names none, as on the command line.
const SEED: u64 = 1;
pub(super) const DEPTHS: Bounds = Bounds::new(1, 100);
/// How many steps must come in a certain order where nobody says: more than most races need.
pub(crate) const PCT_DEPTH: u16 = 3;
/// The ways to draw schedules.
const RANDOM: [&str; 3] = ["random", "pct", "swarm"];

/// `[limits]`: what a case may cost.
pub(super) fn limits(field: Option<Field<'_>>, explore: &mut Explore, diagnostics: &mut Diagnostics) {
    let Some(field) = field else { return };
    let Some(fields) = Fields::of("`[limits]`", field.key.span(), field.value, diagnostics) else { return };
    let mut fields = fields.listed(LIMITS);
    if let Some(field) = fields.take("states") {
        explore.states = integer("`states`", field.value, STATES, diagnostics).unwrap_or(explore.states);
    }
    if let Some(field) = fields.take("real_ms") {
        explore.real_ms = integer("`real_ms`", field.value, REAL_MS, diagnostics);
    }
    fields.finish(diagnostics);
}

/// `[explore]`, every key of which has a default.
pub(super) fn explore(field: Option<Field<'_>>, diagnostics: &mut Diagnostics) -> Explore {
    let mut explore = Explore::everything();
    let Some(field) = field else { return explore };
    let Some(fields) = Fields::of("`[explore]`", field.key.span(), field.value, diagnostics) else {
        return explore;
    };
    let mut fields = fields.listed(EXPLORE);
    if let Some(field) = fields.take("policy") {
        explore.policy = policy(field, diagnostics).unwrap_or(explore.policy);
    }
    if let Some(field) = fields.take("kills") {
        explore.kills = integer("`kills`", field.value, KILLS, diagnostics).unwrap_or(explore.kills);
    }
    if let Some(field) = fields.take("power_losses") {
        explore.power_losses =
            integer("`power_losses`", field.value, POWER_LOSSES, diagnostics).unwrap_or(explore.power_losses);
    }
    if let Some(field) = fields.take("span") {
        explore.span = integer("`span`", field.value, SPAN, diagnostics).unwrap_or(explore.span);
    }
    if let Some(field) = fields.take("slow_release") {
        explore.slow_release = boolean("`slow_release`", field.value, diagnostics).unwrap_or_default();
        if explore.slow_release && explore.span > SLOW_SPAN {
            diagnostics.add(
                Problem::new("`slow_release` is for gateways with few ports", field.value.span())
                    .label("every order of as many descriptors as there are ports would be tried")
                    .help(format!("add `span`, {SLOW_SPAN} at most, before it")),
            );
        }
    }
    if let Some(field) = fields.take("tries") {
        explore.tries = integer("`tries`", field.value, TRIES, diagnostics).unwrap_or(explore.tries);
    }
    fields.finish(diagnostics);
    explore
}

fn policy(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Policy> {
    match field.value.get_ref() {
        DeValue::String(word) if word == "exhaustive" => Some(Policy::Exhaustive),
        DeValue::String(word) => {
            let problem = Problem::new(format!("no policy is called `{word}`"), field.value.span());
            let problem = problem.label("not known");
            diagnostics.add(if RANDOM.contains(&&**word) {
                problem.help(format!("say how many schedules are drawn, for instance `{{ {word} = 2000 }}`"))
            } else {
                problem.maybe_help(did_you_mean_or_list("it can be", word, &["exhaustive"]))
            });
            None
        }
        DeValue::Table(_) => so_many(field, diagnostics),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => {
            let wanted = "`\"exhaustive\"`, `{ exhaustive = PREEMPTIONS }` or `{ random = SCHEDULES }`";
            wrong_type("`policy`", wanted, field.value, diagnostics);
            None
        }
    }
}

/// A policy with a number: a bound on preemptions, or how many random schedules are drawn and how.
fn so_many(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Policy> {
    let mut fields = Fields::of("`policy`", field.key.span(), field.value, diagnostics)?;
    let drawn: Vec<Field<'_>> = RANDOM.into_iter().filter_map(|way| fields.take(way)).collect();
    let Some(way) = drawn.first().copied() else {
        let bound = fields.require("exhaustive", "policy = { exhaustive = 3 }");
        fields.finish(diagnostics);
        return integer("the bound on preemptions", bound?.value, PREEMPTIONS, diagnostics)
            .map(Policy::Preemptions);
    };
    for other in drawn.iter().skip(1).copied().chain(fields.take("exhaustive")) {
        diagnostics.add(
            Problem::new("`policy` is two things at once", other.key.span())
                .label(format!("it is `{}` already", way.name()))
                .help("leave one of them out"),
        );
    }
    let runs = integer("the number of schedules", way.value, SCHEDULES, diagnostics);
    let seed =
        fields.take("seed").map_or(Some(SEED), |field| integer("`seed`", field.value, SEEDS, diagnostics));
    let sampler = match way.name() {
        "pct" => {
            let depth = fields.take("depth");
            depth
                .map_or(Some(PCT_DEPTH), |field| integer("`depth`", field.value, DEPTHS, diagnostics))
                .map(|depth| Sampler::Pct { depth })
        }
        "swarm" => Some(Sampler::Swarm),
        _ => Some(Sampler::Uniform),
    };
    fields.finish(diagnostics);
    // A sample is the same for any number of threads, and cases are run beside each other.
    Some(Policy::Sampled(Sampling { sampler: sampler?, runs: runs?, seed: seed?, threads: 1 }))
}
