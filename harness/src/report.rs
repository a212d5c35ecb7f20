//! Verdicts and numbers in the words that every report uses.

use sim::Novelty;

use crate::verdict::{Evidence, Verdict};

/// A verdict in one line.
pub(crate) fn in_short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass(evidence) => evidence_text(evidence),
        Verdict::Fail(failure) => format!("{}: {}", failure.check, failure.says),
        Verdict::Known(known) => {
            let issue = known.issue.as_ref().map_or_else(String::new, |issue| format!(" ({issue})"));
            format!("known deviation in {}: {}{issue}", known.failure.check, known.because)
        }
        Verdict::Inconclusive(why) => why.clone(),
        Verdict::Unsupported(why) => why.clone(),
    }
}

fn evidence_text(evidence: &Evidence) -> String {
    let faults = |kills: u8, power_losses: u8| {
        let many = |count: u8, what: &str, whats: &str| match count {
            0 => String::new(),
            1 => format!(", 1 {what} at any call"),
            more => format!(", {more} {whats} at any call"),
        };
        many(kills, "kill", "kills") + &many(power_losses, "power loss", "power losses")
    };
    let word = evidence.word();
    match evidence {
        Evidence::Complete { states, transitions, kills, power_losses } => format!(
            "{word}  {} states, {} steps{}",
            grouped(*states),
            grouped(*transitions),
            faults(*kills, *power_losses)
        ),
        Evidence::Bounded { preemptions, starts, states, transitions, kills, power_losses } => format!(
            "{word}   {}, {} states, {} steps{}",
            bounds(*preemptions, *starts),
            grouped(*states),
            grouped(*transitions),
            faults(*kills, *power_losses)
        ),
        Evidence::Sampled { how, runs, given_up, states, schedules } => {
            let given_up = match given_up {
                0 => String::new(),
                more => format!(", {} given up", grouped(more)),
            };
            format!(
                "{word}   {} run{} ({how}){given_up}, {}, {}",
                grouped(runs),
                if *runs == 1 { "" } else { "s" },
                novel(states, "state"),
                novel(schedules, "schedule")
            )
        }
        Evidence::Observed { runs, note } => {
            let note = note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
            format!(
                "{word}  {}, 0 failures: under {} a run at 95%{note}",
                count(*runs as usize, "run"),
                percent(bound(*runs))
            )
        }
    }
}

/// How many there are, and which part of them was new in the last tenth of a sample.
fn novel(novelty: &Novelty, unit: &str) -> String {
    let Novelty { distinct, late, is_exact } = *novelty;
    let about = if is_exact { "" } else { "about " };
    let plural = if distinct == 1 { "" } else { "s" };
    let share = percent(late as f64 / distinct.max(1) as f64);
    format!("{about}{} {unit}{plural} ({share} new in the last tenth)", grouped(distinct))
}

fn bounds(preemptions: Option<u8>, starts: Option<u8>) -> String {
    let preemptions = preemptions.map(|most| count(usize::from(most), "preemption"));
    let starts = starts.map(|most| format!("{} by a supervisor", count(usize::from(most), "start")));
    preemptions.into_iter().chain(starts).collect::<Vec<_>>().join(", ")
}

/// The failure rate that so many clean runs rule out with 95 % confidence: 1 - 0.05^(1/n).
pub(crate) fn bound(runs: u32) -> f64 {
    if runs == 0 { 1.0 } else { 1.0 - 0.05_f64.powf(1.0 / f64::from(runs)) }
}

fn percent(rate: f64) -> String {
    format!("{:.1}%", rate * 100.0)
}

/// A number and its unit, in the plural where that is right.
pub fn count(number: usize, unit: &str) -> String {
    format!("{} {unit}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with a blank between groups of three digits.
pub(crate) fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{bound, grouped, percent};

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234), "1 234");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn forty_clean_runs_rule_out_a_failure_rate_of_seven_percent() {
        assert_eq!(percent(bound(40)), "7.2%");
        assert_eq!(percent(bound(0)), "100.0%");
    }
}
