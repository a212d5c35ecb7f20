//! The program as a user starts it, in an environment that says nothing of where the tests run.

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;

/// `portcullis`, to be run in a folder.
pub(crate) fn portcullis(folder: &Path) -> Command {
    let mut command = cargo_bin_cmd!("portcullis");
    // What is shown must not depend on whether a CI system runs the tests, nor on a profile of whoever does.
    for name in ["CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "PORTCULLIS_PROFILE"] {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}
