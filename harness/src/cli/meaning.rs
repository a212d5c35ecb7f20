//! Whether a text says what a scenario says, apart from where it says it.
//!
//! What lays out a file holds its own work to this before it writes: a fault in it must not cost anybody a scenario.

use crate::scenario::{Scenario, parse_as};

/// Whether a text is the same scenario: the same names in the same order, the same steps, demands and cases.
pub(super) fn is_same(scenario: &Scenario, text: &str) -> bool {
    let read = parse_as(&scenario.name, &scenario.file, text);
    read.is_ok_and(|read| read.without_places() == scenario.clone().without_places())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_same;
    use crate::scenario::parse;

    const TEXT: &str = r#"schema = 1
title  = "t"
tags   = ["x", "y"]
[gateway.a]
state = "S"
port  = 18789
[gateway.b]
state = "S"
port  = 18790
[run]
steps = [{ start = "a" }, { start = "b" }, { wait = "settled" }]
[expect]
outcomes = [{ a = "ready" }, { b = "ready" }]
[timeline]
events = [{ a = "ready" }, { b = "refused" }]
[vary]
"explore.span" = [1, 2]
"#;

    #[test]
    fn other_places_are_the_same_meaning_and_any_other_word_or_order_is_another() {
        let Ok(scenario) = parse(Path::new("t.toml"), TEXT) else { panic!("the scenario is valid") };
        let moved = TEXT
            .replace("[gateway.a]\n", "\n# a comment\n[gateway.a]\n")
            .replace("[{ a = \"ready\" },", "[\n { a = \"ready\" },\n");
        assert!(is_same(&scenario, TEXT) && is_same(&scenario, &moved));
        for (from, to) in [
            ("title  = \"t\"", "title  = \"u\""),
            ("[\"x\", \"y\"]", "[\"y\", \"x\"]"),
            ("18790", "18791"),
            ("{ start = \"a\" }, { start = \"b\" }", "{ start = \"b\" }, { start = \"a\" }"),
            ("[{ a = \"ready\" }, { b = \"ready\" }]", "[{ b = \"ready\" }, { a = \"ready\" }]"),
            ("{ b = \"refused\" }", "{ b = \"refused:held\" }"),
            ("[1, 2]", "[2, 1]"),
            (
                "[gateway.a]\nstate = \"S\"\nport  = 18789\n[gateway.b]\nstate = \"S\"\nport  = 18790\n",
                "[gateway.b]\nstate = \"S\"\nport  = 18790\n[gateway.a]\nstate = \"S\"\nport  = 18789\n",
            ),
            ("schema = 1", "schema = 2"),
        ] {
            let other = TEXT.replace(from, to);
            assert!(other != TEXT && !is_same(&scenario, &other), "{to}");
        }
    }
}
