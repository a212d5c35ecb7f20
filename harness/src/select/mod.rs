//! Which cases are run: those that an expression picks out, those that failed before, one part of several.
//!
//! A part is taken last, of what everything else has left: so the parts of equal commands are together what one command
//! without `--partition` runs, and no case is in two of them.

pub mod expression;
mod syntax;

use std::collections::BTreeSet;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::reports::event::{Shard, Sharing};
use crate::runner::Planned;
use expression::{Expression, Subject};

/// What is asked for.
#[derive(Debug, Default)]
pub struct Selection {
    /// Tags, one of which a scenario must have; none: any scenario.
    pub tags: Vec<String>,
    /// Expressions, one of which must pick a case out; none: every case.
    pub expressions: Vec<Expression>,
    /// Executor and name of the cases to choose from; none: all.
    pub among: Option<BTreeSet<(String, String)>>,
    /// The part to be taken; none: all.
    pub shard: Option<Shard>,
}

impl Selection {
    /// What is selected, in order. Each case gets its number before the part is taken.
    pub fn of(&self, planned: Vec<Planned>) -> Vec<Planned> {
        let selected = planned.into_iter().filter(|planned| self.picks(planned)).enumerate();
        let numbered = selected.map(|(index, planned)| Planned { index, ..planned });
        numbered.filter(|planned| self.shard.is_none_or(|shard| is_in(shard, planned))).collect()
    }

    fn picks(&self, planned: &Planned) -> bool {
        let scenario = &planned.case.scenario;
        let on = planned.on.to_string();
        let subject = Subject {
            test: &planned.case.id,
            tags: &scenario.tags,
            file: &scenario.file.to_string_lossy(),
            executor: &on,
        };
        let has_tag = self.tags.is_empty() || scenario.tags.iter().any(|tag| self.tags.contains(tag));
        let is_meant = self.expressions.is_empty() || self.expressions.iter().any(|it| it.picks(&subject));
        let among = self.among.as_ref();
        has_tag
            && is_meant
            && among.is_none_or(|among| among.contains(&(on.clone(), planned.case.id.clone())))
    }
}

fn is_in(shard: Shard, planned: &Planned) -> bool {
    let number = match shard.by {
        Sharing::Slice => planned.index as u64,
        Sharing::Hash => {
            let mut hasher = SipHasher13::new();
            hasher.write(planned.case.id.as_bytes());
            hasher.finish()
        }
    };
    number % u64::from(shard.of) + 1 == u64::from(shard.part)
}

/// Reads `hash:PART/PARTS` or `slice:PART/PARTS`.
///
/// # Errors
///
/// What is wrong with it, as a fragment.
pub fn parse_shard(text: &str) -> Result<Shard, String> {
    let shape = || "it looks like `hash:1/3` or `slice:1/3`".to_owned();
    let (by, numbers) = text.split_once(':').ok_or_else(shape)?;
    let by = match by {
        "hash" => Sharing::Hash,
        "slice" => Sharing::Slice,
        _ => return Err(shape()),
    };
    let (part, of) = numbers.split_once('/').ok_or_else(shape)?;
    let (Ok(part), Ok(of)) = (part.parse::<u32>(), of.parse::<u32>()) else { return Err(shape()) };
    if of == 0 || part == 0 || part > of {
        return Err(format!("there is no part {part} of {of}: parts are counted from 1"));
    }
    Ok(Shard { by, part, of })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::runner::plan;
    use crate::scenario::parse;
    use crate::verdict::Executor;

    fn planned() -> Vec<Planned> {
        let ports: Vec<String> = (0..40).map(|number| (18789 + 200 * number).to_string()).collect();
        let text = format!(
            "schema = 1\ntitle = \"t\"\ntags = [\"race\"]\n[gateway.a]\nstate = \"S\"\nport = 18789\n[run]\n\
             steps = [{{ start = \"a\" }}]\n[expect]\noutcomes = [{{ a = \"ready\" }}]\n[vary]\n\"gateway.a.port\" = [{}]\n",
            ports.join(", ")
        );
        let scenario = parse(Path::new("t.toml"), &text).unwrap_or_else(|problems| panic!("{problems:?}"));
        plan(&[scenario], &[Executor::Sim, Executor::Refgate])
    }

    fn names(planned: &[Planned]) -> Vec<(usize, String, String)> {
        planned.iter().map(|it| (it.index, it.on.to_string(), it.case.id.clone())).collect()
    }

    #[test]
    fn the_parts_are_together_the_whole_and_no_case_is_in_two() {
        let whole = names(&Selection::default().of(planned()));
        assert_eq!(whole.len(), 80);
        for by in ["hash", "slice"] {
            let mut together = Vec::new();
            for part in 1..=3 {
                let shard = parse_shard(&format!("{by}:{part}/3")).unwrap();
                let taken = names(&Selection { shard: Some(shard), ..Selection::default() }.of(planned()));
                assert!(!taken.is_empty() && taken.len() < whole.len(), "{by}");
                together.extend(taken);
            }
            together.sort();
            assert_eq!(together, whole, "{by}");
        }
    }

    #[test]
    fn a_part_by_hash_does_not_depend_on_what_else_is_selected() {
        let shard = parse_shard("hash:2/3").unwrap();
        let all = Selection { shard: Some(shard), ..Selection::default() }.of(planned());
        let only_sim = Expression::parse("executor(sim)").unwrap();
        let some = Selection { expressions: vec![only_sim], shard: Some(shard), ..Selection::default() }
            .of(planned());
        let of_sim: Vec<_> = all.iter().filter(|it| it.on == Executor::Sim).map(|it| &it.case.id).collect();
        assert_eq!(some.iter().map(|it| &it.case.id).collect::<Vec<_>>(), of_sim);
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for mistake in
            ["", "hash", "hash:", "hash:1", "hash:0/3", "hash:4/3", "slice:1/0", "slice:-1/3", "count:1/2"]
        {
            assert!(parse_shard(mistake).is_err(), "{mistake}");
        }
    }
}
