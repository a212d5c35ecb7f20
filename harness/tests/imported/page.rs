//! The operator's page is true: each of its commands was run, and shows what the page says.

use harness::scenario::parse;

use super::Room;

fn page() -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join("docs/incidents.md")).unwrap()
}

/// The blocks of a page that begin with a word, without their fences.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}

/// Whether lines are those of a page, where `...` stands for any lines, or for any part of one.
fn is_like(shown: &[&str], page: &[&str]) -> bool {
    match page {
        [] => shown.is_empty(),
        ["...", rest @ ..] => (0..=shown.len()).any(|skipped| is_like(&shown[skipped..], rest)),
        [line, rest @ ..] => shown.split_first().is_some_and(|(first, others)| {
            let mut left = first.trim_end();
            let mut parts = line.trim_end().split("...");
            let begins = parts.next().is_some_and(|part| match left.strip_prefix(part) {
                Some(after) => {
                    left = after;
                    true
                }
                None => false,
            });
            let goes_on = parts.all(|part| match left.find(part) {
                Some(at) => {
                    left = if part.is_empty() { "" } else { &left[at + part.len()..] };
                    true
                }
                None => false,
            });
            begins && goes_on && left.is_empty() && is_like(others, rest)
        }),
    }
}

#[test]
fn each_command_of_the_page_shows_what_the_page_says() {
    let room = Room::new();
    let blocks = blocks(&page(), "console");
    assert!(blocks.len() >= 5, "{}", blocks.len());
    for block in blocks {
        let (command, rest) = block.split_once('\n').unwrap();
        let words: Vec<&str> = command.strip_prefix("$ portcullis ").unwrap().split(' ').collect();
        let shown = room.shown(&words);
        let (shown, _) = shown.rsplit_once("(exit").unwrap();
        let (lines, told): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), rest.lines().collect());
        assert!(is_like(&lines, &told), "{command}\n{shown}");
    }
}

#[test]
fn the_timeline_of_the_page_is_one() {
    let [table] = blocks(&page(), "toml").try_into().unwrap();
    let frame = r#"
schema = 1
title  = "A frame"
[gateway]
a = { state = "S", port = 18789 }
b = { state = "S", port = 18789 }
c = { state = "S", port = 18789 }
[run]
steps = [{ start = ["a", "b", "c"] }, { wait = "settled" }]
[expect]
outcomes = [{ a = "ready" }]
"#;
    let scenario = parse(std::path::Path::new("t.toml"), &format!("{frame}{table}")).unwrap();
    let timeline = scenario.timeline.unwrap();
    assert_eq!((timeline.events.len(), timeline.skew_us, timeline.logs.len()), (4, 200_000, 2));
}

#[test]
fn the_timeline_of_the_documentation_of_scenarios_is_one() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("scenarios/README.md")).unwrap();
    let (_, section) = readme.split_once("## `[timeline]`").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let [example] = blocks(section, "toml").try_into().unwrap();
    let frame = "schema = 1\ntitle = \"A frame\"\n";
    let rest = "[run]\nsteps = [{ start = [\"a\", \"b\"] }]\n[expect]\noutcomes = [{ a = \"ready\" }]\n";
    let scenario = parse(std::path::Path::new("t.toml"), &format!("{frame}{example}{rest}")).unwrap();
    assert_eq!(scenario.timeline.unwrap().events.len(), 3);
    for (word, _) in harness::scenario::Happening::ALL {
        assert!(section.contains(&format!("`{word}`")), "{word} is not documented");
    }
    for key in ["tells", "skew_ms", "logs", "events", "names", "at_us"] {
        assert!(section.contains(&format!("`{key}`")) && example.contains(key), "{key} is not documented");
    }
}
