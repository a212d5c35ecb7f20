//! Who is still there when it should be gone.
#![expect(clippy::disallowed_methods, reason = "the tests look at real processes and files from outside")]
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]

use std::fs;

/// Whether a process with this word in its command line lives, in whatever namespace. Zombies have no command line.
pub(crate) fn lives(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(word)
    })
}
