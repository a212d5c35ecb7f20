//! Who is still there when it should be gone.

use std::fs;

/// Whether a process with this word in its command line lives, in whatever namespace. Zombies have no command line.
pub(crate) fn lives(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(word)
    })
}
