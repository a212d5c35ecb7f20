//! What is misspelt is named: as an error where it would change who owns or reaches what, and as a note elsewhere, because
//! the file belongs to other programs too.

use std::ops::Range;

use super::Problem;
use super::config::Reader;
use super::scan::{self, Member};
use super::schema::{self, Row, Shape};
use crate::text::brief;

/// How many notes there are at most: a file can have as many mistakes as it has bytes.
const MOST: usize = 20;

/// What a user may not have meant.
#[derive(Default)]
struct Doubts {
    shown: Vec<Problem>,
    more: usize,
}

impl Doubts {
    /// One more, made only if it will be shown.
    fn add(&mut self, make: impl FnOnce() -> Problem) {
        if self.shown.len() < MOST {
            self.shown.push(make());
        } else {
            self.more += 1;
        }
    }

    fn into_notes(self) -> Vec<String> {
        let told = |problem: &Problem| {
            // A value that is used and wrong is an error, so a wrong one here is none that is used.
            let unused = matches!(problem, Problem::WrongType { .. });
            let rest = if unused { " (refgate does not go by it)" } else { "" };
            format!("{problem}; {}{rest}", problem.remedy())
        };
        let mut notes: Vec<String> = self.shown.iter().map(told).collect();
        if self.more > 0 {
            notes.push(format!("and {} more like that in the configuration", self.more));
        }
        notes
    }
}

impl Reader<'_> {
    /// The file belongs to other programs too, so other sections are theirs; one that is all but called `gateway` is not.
    pub(super) fn report_misspelt_section(&mut self, members: &[Member]) {
        for member in members {
            let is_close = |key: &String| {
                key != "gateway" && key.len() < 16 && strsim::damerau_levenshtein(key, "gateway") <= 2
            };
            let Some(key) = self.name(member).filter(is_close) else { continue };
            self.report(|reader| Problem::UnknownKey {
                at: reader.excerpt(&member.key),
                similar: Some("gateway"),
                section: "",
                key: brief(&key),
            });
        }
    }

    /// Keys that an object of which all keys are listed does not have.
    pub(super) fn report_unknown_keys(&mut self, section: &'static str, members: &[Member]) {
        for member in members {
            let Some(key) = self.name(member).filter(|key| schema::child(section, key).is_none()) else {
                continue;
            };
            self.report(|reader| Problem::UnknownKey {
                at: reader.excerpt(&member.key),
                similar: schema::similar(section, &key),
                section,
                key: brief(&key),
            });
        }
    }

    /// What looks like a mistake in the sections that concern this gateway, and is no problem of it.
    pub(super) fn doubts(&self, members: &[Member]) -> Vec<String> {
        let mut doubts = Doubts::default();
        self.look_through("", members, &mut doubts);
        doubts.into_notes()
    }

    fn look_through(&self, section: &'static str, members: &[Member], doubts: &mut Doubts) {
        for member in members {
            let Some(key) = self.name(member) else { continue };
            match schema::child(section, &key) {
                Some(row) => self.look_at(row, &member.value, doubts),
                None => self.look_at_stranger(section, &key, member, doubts),
            }
        }
    }

    /// A key that is not listed is none of ours, unless it is nearly one of them.
    fn look_at_stranger(&self, section: &'static str, key: &str, member: &Member, doubts: &mut Doubts) {
        // What is said there is an error, and has been said.
        let is_said = matches!(section, "gateway" | "gateway.auth")
            || section.is_empty() && schema::similar(section, key) == Some("gateway");
        let similar = if is_said { None } else { schema::similar(section, key) };
        if similar.is_some() {
            doubts.add(|| Problem::UnknownKey {
                at: self.excerpt(&member.key),
                key: brief(key),
                section,
                similar,
            });
        }
    }

    fn look_at(&self, row: &'static Row, value: &Range<usize>, doubts: &mut Doubts) {
        let source = self.source(value);
        let holds_others = matches!(row.shape, Shape::Object { .. } | Shape::Map);
        if holds_others && source.starts_with('{') {
            self.look_through(row.path, &scan::members(self.text(), value.start), doubts);
        } else if row.shape == Shape::List && source.starts_with('[') {
            let Some(element) = schema::element(row.path) else { return };
            for value in scan::elements(self.text(), value.start) {
                self.look_at(element, &value, doubts);
            }
        } else if !row.used
            // Whoever goes by it says what is wrong with it.
            && let Some(expected) = wrong(row.shape, source)
        {
            doubts.add(|| Problem::WrongType {
                at: self.excerpt(value),
                what: format!("`{}`", row.path).into(),
                expected,
                found: self.kind(value),
            });
        }
    }
}

/// What should be there instead of a value, if it should not be there.
fn wrong(shape: Shape, source: &str) -> Option<&'static str> {
    let text = || json5::from_str::<String>(source).ok();
    let whole = || json5::from_str::<f64>(source).ok().filter(|number| number.fract() == 0.0);
    let (is_right, expected) = match shape {
        Shape::Object { .. } | Shape::Map => (source.starts_with('{'), "an object"),
        Shape::List => (source.starts_with('['), "an array"),
        Shape::Text => (text().is_some(), "a string"),
        Shape::Words(words) => {
            (text().is_some_and(|text| words.contains(&&*text)), "one of the words that the schema lists")
        }
        Shape::Port(most) => {
            (whole().is_some_and(|number| 1.0 <= number && number <= f64::from(most)), "a port")
        }
        Shape::Count => (whole().is_some_and(|number| 0.0 <= number), "a whole number"),
        Shape::Bool => (matches!(source, "true" | "false"), "true or false"),
        Shape::Secret => (text().is_some() || source.starts_with('{'), "a string or a reference to a secret"),
        Shape::Any => (true, ""),
    };
    (!is_right).then_some(expected)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::settings::{ConfigFile, Flags, Found, Surroundings, resolve};

    fn notes(config: &str) -> Vec<String> {
        let around = Surroundings { home: Some("/s".into()), ..Surroundings::default() };
        let read = |path: &Path| Found { path: path.to_owned(), file: ConfigFile::Bytes(config.into()) };
        let settings = resolve(&Flags::default(), &around, read).expect("nothing is wrong that matters");
        settings.notes.iter().map(|note| note.replace("/s/.refgate/openclaw.json", "C")).collect()
    }

    #[test]
    fn what_looks_like_a_mistake_is_a_note_with_its_place_and_what_may_be_meant() {
        let config = "{\n  agents: { defaults: { worspace: '/w' }, list: [{ id: 7 }] },\n  browzer: {},\n\
            \x20 browser: { headles: 1,\n    profiles: { a: { cdpprt: 1, color: 2 } } },\n\
            \x20 channels: { discord: { enabled: 'yes', botToken: 'x' } },\n\
            \x20 cron: { enabled: 1, maxConcurrentRuns: 1.5 },\n  gateway: { mode: 'lokal' } }";
        insta::assert_snapshot!(notes(config).join("\n"), @r#"
        C:2:25: there is no key "worspace" in `agents.defaults`; did you mean "workspace"?
        C:2:56: `agents.list[].id` must be a string, not a number; write a string (refgate does not go by it)
        C:3:3: there is no key "browzer" in the configuration; did you mean "browser"?
        C:4:14: there is no key "headles" in `browser`; did you mean "headless"?
        C:5:22: there is no key "cdpprt" in `browser.profiles.*`; did you mean "cdpPort"?
        C:5:40: `browser.profiles.*.color` must be a string, not a number; write a string (refgate does not go by it)
        C:6:35: `channels.*.enabled` must be true or false, not a string; write true or false (refgate does not go by it)
        C:7:20: `cron.enabled` must be true or false, not a number; write true or false (refgate does not go by it)
        C:7:42: `cron.maxConcurrentRuns` must be a whole number, not a number; write a whole number (refgate does not go by it)
        C:8:20: `gateway.mode` must be one of the words that the schema lists, not a string; write one of the words that the schema lists (refgate does not go by it)
        "#);
    }

    #[test]
    fn what_belongs_to_other_programs_is_left_alone() {
        let config = "{ tools: { a: 1 }, session: [], agents: { defaults: { model: {}, sandbox: 1 } },\
            browser: { brandNew: 1 }, channels: { x: { y: {} } }, cron: { wakeMode: 1 } }";
        assert_eq!(notes(config), Vec::<String>::new());
    }

    #[test]
    fn of_many_doubts_the_first_are_told_and_the_rest_are_counted() {
        let agents: String = (0..5000).map(|n| format!("{{id:{n}}},")).collect();
        let notes = notes(&format!("{{agents:{{list:[{agents}]}}}}"));
        assert_eq!(notes.len(), 21);
        assert_eq!(notes.last().map(String::as_str), Some("and 4980 more like that in the configuration"));
    }
}
