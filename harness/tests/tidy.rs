//! House rules that no compiler checks: how a file begins, how long it is, what it may use, what must be written down.
//!
//! Each rule lists every place that breaks it, so that one run shows them all.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads the files that it judges, and fails if it cannot"
)]

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

use harness::scenario::{Case, Check, Paint, Scenario, load};

/// The longest file, in lines.
const LONGEST: usize = 500;

/// The packages of the workspace by folder, and which of the others each may use.
const PACKAGES: [(&str, &[&str]); 8] = [
    ("gateway/os", &[]),
    // The service of bots is for its tests.
    ("gateway", &["portcullis-bot", "portcullis-os"]),
    ("harness/bot", &["portcullis-os"]),
    ("sim", &["portcullis-os"]),
    ("harness/network", &["portcullis-bot", "portcullis-gateway", "portcullis-os", "portcullis-sim"]),
    // Its tests use what is optional of it.
    (
        "harness",
        &[
            "portcullis-gateway",
            "portcullis-harness",
            "portcullis-network",
            "portcullis-os",
            "portcullis-sim",
        ],
    ),
    ("benches", &["portcullis-gateway", "portcullis-harness", "portcullis-os", "portcullis-sim"]),
    ("benches/hot", &["portcullis-gateway", "portcullis-os"]),
];

/// Folders that may use only some modules of their own crate: an arrow the other way would close a circle.
const MODULES: [(&str, &[&str]); 5] = [
    ("gateway/src/lock", &["claim", "identity", "refusal"]),
    ("gateway/src/settings", &["auth", "claim", "text"]),
    ("sim/src/kernel", &["digest", "shared"]),
    ("harness/src/scenario", &[]),
    ("harness/src/checks", &["scenario"]),
];

/// Folders of what is simulated, or is run in the simulator.
const DETERMINISTIC: [&str; 2] = ["sim/src", "gateway/src/lock"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A text file of the workspace: its path from the root, and what is in it.
struct File {
    path: String,
    text: String,
}

/// Every file under a folder whose name ends so, in a fixed order. Hidden folders and build results are left out.
fn files(folder: &str, endings: &[&str]) -> Vec<File> {
    let mut folders = vec![root().join(folder)];
    let mut paths = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                paths.insert(path);
            }
        }
    }
    let shorten = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| File { path: shorten(path), text: read_to_string(path).unwrap() }).collect()
}

fn code() -> Vec<File> {
    let files = files("", &[".rs"]);
    assert!(files.len() > 100, "only {} files are found", files.len());
    files
}

/// Where one of some words stands, as `path:line: word`.
fn places(files: &[File], words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let found = words.iter().filter(|word| line.contains(**word));
            places.extend(found.map(|word| format!("{}:{number}: {word}", file.path)));
        }
    }
    places
}

#[test]
fn every_file_opens_with_a_claim() {
    let mute: Vec<_> = code().into_iter().filter(|file| !file.text.starts_with("//! ")).collect();
    assert!(mute.is_empty(), "{:?}", mute.iter().map(|file| &file.path).collect::<Vec<_>>());
}

#[test]
fn no_file_is_longer_than_can_be_read_in_one_go() {
    let length = |file: &File| file.text.lines().count();
    let long: Vec<_> = code()
        .iter()
        .filter(|file| length(file) > LONGEST)
        .map(|file| (file.path.clone(), length(file)))
        .collect();
    assert_eq!(long, []);
}

#[test]
fn packages_use_only_those_above_them() {
    let own = [
        "portcullis-os",
        "portcullis-gateway",
        "portcullis-sim",
        "portcullis-bot",
        "portcullis-network",
        "portcullis-harness",
        "portcullis-benches",
        "portcullis-hot",
    ];
    for (folder, allowed) in PACKAGES {
        let manifest = read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let (_, dependencies) = manifest.split_once("ependencies]").unwrap_or_default();
        let used =
            own.into_iter().filter(|package| dependencies.lines().any(|line| line.starts_with(package)));
        let forbidden: Vec<_> = used.filter(|package| !allowed.contains(package)).collect();
        assert!(forbidden.is_empty(), "{folder} uses {forbidden:?}");
    }
}

#[test]
fn folders_use_only_the_modules_that_lie_below_them() {
    for (folder, allowed) in MODULES {
        let own = folder.rsplit('/').next().unwrap();
        for file in files(folder, &[".rs"]) {
            for rest in file.text.split("crate::").skip(1) {
                let module: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                assert!(
                    module == own || allowed.contains(&module.as_str()),
                    "{} uses crate::{module}",
                    file.path
                );
            }
        }
    }
}

#[test]
fn the_lock_awaits_nothing_but_os() {
    let lock = files("gateway/src/lock", &[".rs"]);
    assert_eq!(
        places(&lock, &["tokio", "futures", "std::fs", "std::net::Tcp", "rustix"]),
        Vec::<String>::new()
    );
}

#[test]
fn only_the_os_package_talks_to_the_kernel_for_a_gateway() {
    for folder in ["gateway/src", "sim/src"] {
        assert_eq!(
            places(&files(folder, &[".rs"]), &["rustix", "std::process::Command"]),
            Vec::<String>::new()
        );
    }
}

#[test]
fn nothing_simulated_reads_a_clock_or_iterates_in_the_order_of_hashes() {
    let words = [
        "thread::sleep",
        "HashMap",
        "HashSet",
        "Instant::now",
        "SystemTime::now",
        "thread_local!",
        "static mut",
    ];
    for folder in DETERMINISTIC {
        assert_eq!(places(&files(folder, &[".rs"]), &words), Vec::<String>::new());
    }
}

#[test]
fn a_gateway_that_waits_for_several_things_looks_at_them_in_one_order() {
    // Taken apart, so that this file is no example of it.
    let select = concat!("select", "! {");
    let mut found = 0;
    for file in files("gateway/src", &[".rs"]) {
        for rest in file.text.split(select).skip(1) {
            found += 1;
            assert!(rest.trim_start().starts_with("biased;"), "{}: {select}{:.60}", file.path, rest);
        }
    }
    assert!(found > 0, "nothing was looked at");
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    // Taken apart, so that this file does not break its own rules.
    let words =
        [concat!("#[", "allow("), concat!("#![", "allow("), concat!("cfg", "(sim)"), concat!("todo", "!(")];
    assert_eq!(places(&code(), &words), Vec::<String>::new());
}

#[test]
fn tests_are_sentences_that_always_run() {
    let words = [
        concat!("should", "_panic"),
        concat!("#[", "ignore"),
        concat!("fn ", "test_"),
        concat!("thread::", "sleep("),
    ];
    let in_tests: Vec<_> = code()
        .into_iter()
        .filter(|file| file.path.contains("tests") || file.text.contains("#[cfg(test)]"))
        .collect();
    assert_eq!(places(&in_tests, &words), Vec::<String>::new());
}

#[test]
fn no_file_depends_on_where_the_workspace_lies() {
    let root = root();
    let root = root.to_string_lossy();
    let texts = files("", &[".rs", ".toml", ".md", ".yml", "run"]);
    assert_eq!(places(&texts, &[&root, concat!("../", "shared")]), Vec::<String>::new());
}

#[test]
fn every_check_is_documented_and_some_scenario_relies_on_it() {
    let documents =
        ["ARCHITECTURE.md", "scenarios/README.md"].map(|path| read_to_string(root().join(path)).unwrap());
    let library = library();
    for check in Check::ALL {
        let id = check.id();
        assert!(
            documents.iter().all(|text| text.contains(&format!("| `{id}` | "))),
            "{id} is not documented"
        );
        let wants = |scenario: &Scenario| scenario.expect.always.iter().any(|wanted| wanted.value == check);
        assert!(library.iter().any(wants), "no scenario checks {id}");
    }
}

#[test]
fn every_scenario_loads_and_is_a_sentence_with_at_least_one_case() {
    let library = library();
    let is_sweep = |file: &&File| file.path.ends_with(".sweep.toml");
    let files = files("scenarios", &[".toml"]);
    let sweeps = files.iter().filter(is_sweep).count();
    assert_eq!(library.len(), files.len() - sweeps, "files and scenarios");
    for scenario in library {
        let title = &scenario.title;
        assert!(title.starts_with(|c: char| c.is_uppercase()) && !title.ends_with('.'), "{title}");
        let cases: Vec<Case> = scenario.cases();
        assert!(cases.iter().all(|case| case.id.starts_with(&scenario.name)) && !cases.is_empty(), "{title}");
    }
}

fn library() -> Vec<Scenario> {
    load(&[root().join("scenarios")]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)))
}
