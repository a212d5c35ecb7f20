//! The only code of this module that looks at files: the kernel's table of sockets, and the profiles in a home directory.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::Remembered;
use crate::lock::token_port;
use crate::settings::{self, CONFIG_NAME};

/// A socket that listens, among the flags of the table (`__SO_ACCEPTCON` of `include/linux/net.h`).
const LISTENS: u32 = 1 << 16;

/// The ports whose tokens somebody in this network namespace has.
///
/// # Errors
///
/// What the system says.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the kernel's table is read")]
pub fn tokens() -> io::Result<BTreeSet<u16>> {
    // A name need not be text.
    let table = std::fs::read("/proc/net/unix")?;
    Ok(String::from_utf8_lossy(&table).lines().filter_map(token).collect())
}

/// The port of a line: `Num RefCount Protocol Flags Type St Inode Path`, an abstract name after an `@`.
fn token(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let name = fields.nth(3)?.strip_prefix('@')?;
    if flags & LISTENS == 0 || fields.next().is_some() {
        return None;
    }
    token_port(name)
}

/// What the profiles in a home directory remember, the default one first whether it is there or not, then by their names.
///
/// # Errors
///
/// What the system says of the home directory. One that is not there has no profiles.
pub fn remembered(home: &Path) -> io::Result<Vec<Remembered>> {
    let mut names = BTreeSet::from([None]);
    match std::fs::read_dir(home) {
        Ok(entries) => {
            for entry in entries {
                names.extend(settings::profile_of(&entry?.file_name().to_string_lossy()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let read = |profile| {
        let config = home.join(settings::state_name(Option::as_ref(&profile))).join(CONFIG_NAME);
        Remembered::of(profile, &settings::edge::read(&config))
    };
    Ok(names.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn only_a_token_that_is_listened_on_is_one() {
        let line = |flags: &str, path: &str| {
            format!("0000000000000000: 00000002 00000000 {flags} 0001 01 1234567 {path}")
        };
        assert_eq!(token(&line("00010000", "@refgate.v1.port.18789")), Some(18_789));
        for (flags, path) in [
            ("00000000", "@refgate.v1.port.18789"),
            ("00010000", "/refgate.v1.port.18789"),
            ("00010000", "@refgate.v1.port.18789 x"),
            ("00010000", "@refgate.v1.port.70000"),
            ("00010000", "@refgate.v1.state.1.2"),
            ("00010000", ""),
            ("x", "@refgate.v1.port.18789"),
        ] {
            assert_eq!(token(&line(flags, path)), None, "{flags} {path}");
        }
        assert_eq!(token("Num       RefCount Protocol Flags    Type St Inode Path"), None);
    }
}
