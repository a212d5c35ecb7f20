//! Plans of the library, and what was broken under them.

use network::Report;

/// A plan of the library, as its file has it.
#[expect(clippy::disallowed_methods, reason = "a test reads the files that it judges")]
pub(crate) fn text(name: &str) -> String {
    let path = format!("{}/../../scenarios/{name}.sweep.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between two words in what is said of a broken promise.
pub(crate) fn said(report: &Report, check: &str, from: &str, to: &str) -> String {
    let broken = report.broken.iter().find(|broken| broken.check == check);
    let says = broken.map_or_else(|| panic!("{check} holds: {report}"), |broken| broken.says.clone());
    let (_, rest) = says.split_once(from).unwrap_or_else(|| panic!("{says}"));
    rest.split(to).next().unwrap_or_default().to_owned()
}
