//! How random schedules are chosen, as one word of the command line.

use sim::Sampler;

use crate::scenario::PCT_DEPTH;

/// Reads `uniform`, `pct`, `pct=DEPTH` or `swarm`.
pub(super) fn parse_sampler(text: &str) -> Result<Sampler, String> {
    match text.split_once('=') {
        None => match text {
            "uniform" => Ok(Sampler::Uniform),
            "pct" => Ok(Sampler::Pct { depth: PCT_DEPTH }),
            "swarm" => Ok(Sampler::Swarm),
            _ => Err("it can be `uniform`, `pct`, `pct=DEPTH` or `swarm`".to_owned()),
        },
        Some(("pct", depth)) => match depth.parse() {
            Ok(depth) if (1..=100).contains(&depth) => Ok(Sampler::Pct { depth }),
            Ok(_) | Err(_) => Err("the depth is a number from 1 to 100".to_owned()),
        },
        Some(_) => Err("only `pct` has a depth".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use sim::Sampler;

    use super::parse_sampler;

    #[test]
    fn each_way_to_choose_has_its_word() {
        assert_eq!(parse_sampler("uniform"), Ok(Sampler::Uniform));
        assert_eq!(parse_sampler("pct"), Ok(Sampler::Pct { depth: 3 }));
        assert_eq!(parse_sampler("pct=1"), Ok(Sampler::Pct { depth: 1 }));
        assert_eq!(parse_sampler("swarm"), Ok(Sampler::Swarm));
        for mistake in ["", "random", "pct=", "pct=0", "pct=101", "pct=-1", "swarm=2", "PCT"] {
            assert!(parse_sampler(mistake).is_err(), "{mistake}");
        }
    }
}
