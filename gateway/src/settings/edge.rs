//! The only code of this module that looks at the environment and at the file system. It decides nothing.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::{ConfigFile, Found, Surroundings, VARIABLES};

/// The longest configuration that is read, in bytes. A longer one is a mistake, for instance a log in its place.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The longest path that the kernel takes, in bytes (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// How many links that lead nowhere yet are followed, as many as the kernel follows of those that lead somewhere.
const MOST_LINKS: usize = 40;

/// What this process finds around it.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the environment is read")]
pub fn surroundings() -> Surroundings {
    Surroundings {
        variables: VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect(),
        home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
        directory: std::env::current_dir().ok(),
    }
}

/// Where systemd looks for the units of this user, by what systemd.unit(5) says.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the environment is read")]
pub fn user_units() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".config"));
    Some(set.or_else(home)?.join("systemd/user"))
}

/// Every directory that systemd reads units of a user from, those of all users too, as systemd.unit(5) lists them. Where it
/// puts what it generates itself is left out.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the environment is read")]
pub fn unit_path() -> Vec<PathBuf> {
    let home = std::env::home_dir();
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let one = |name: &str, default: Option<PathBuf>| set(name).map(PathBuf::from).or(default);
    let many = |name: &str, default: &str| -> Vec<PathBuf> {
        std::env::split_paths(&set(name).unwrap_or_else(|| default.into())).collect()
    };
    let config = one("XDG_CONFIG_HOME", home.as_ref().map(|home| home.join(".config")));
    let runtime = one("XDG_RUNTIME_DIR", None);
    let mut bases: Vec<PathBuf> = [&config, &runtime].into_iter().flatten().cloned().collect();
    // Whatever the environment says here: the service manager of this user may have another one.
    bases.extend(home.iter().flat_map(|home| [home.join(".config"), home.join(".local/share")]));
    bases.extend(one("XDG_DATA_HOME", None));
    bases.extend(many("XDG_CONFIG_DIRS", "/etc/xdg"));
    bases.extend(many("XDG_DATA_DIRS", "/usr/local/share:/usr/share"));
    bases.extend(["/etc", "/run", "/usr/local/lib", "/usr/lib"].map(PathBuf::from));
    let control = [config, runtime].into_iter().flatten().map(|base| base.join("systemd/user.control"));
    let mut path: Vec<PathBuf> =
        control.chain(bases.into_iter().map(|base| base.join("systemd/user"))).collect();
    path.retain(|directory| directory.is_absolute());
    path
}

/// The executable that this process runs.
///
/// # Errors
///
/// What the system says.
pub fn program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Where a service manager wants to hear from its service, if one has started this process.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the environment is read")]
pub fn notify_socket() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())
}

/// The name of this machine; `localhost` where it does not say.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the machine is asked")]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// Reads the configuration. What is read is what the path names now, and that is also what is owned.
pub fn read(path: &Path) -> Found {
    let path = without_links(path);
    let file = contents(&path);
    Found { path, file }
}

/// The same place without symbolic links, of what exists of it.
pub fn place(path: &Path) -> PathBuf {
    without_links(path)
}

/// The same place without symbolic links, so that two spellings of one file are one. A part that does not exist yet stays
/// as it is; a link to such a part is replaced by it.
fn without_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if path.as_os_str().len() >= LONGEST_PATH {
            break;
        }
        let existing =
            |start: &Path| Some((std::fs::canonicalize(start).ok()?, path.strip_prefix(start).ok()?));
        let Some((start, rest)) = path.ancestors().find_map(existing) else { break };
        let mut rest = rest.components();
        let Some(first) = rest.next() else { return start };
        let missing = start.join(first);
        path = match std::fs::read_link(&missing) {
            Ok(target) => start.join(target).join(rest),
            // Joining what is left would end in a slash if nothing is.
            Err(_) => return missing.components().chain(rest).collect(),
        };
    }
    // The kernel will not open it either, and says why.
    path
}

/// Nothing but a regular file is opened, since a pipe would wait for ever.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the configuration is read")]
fn contents(path: &Path) -> ConfigFile {
    let status = match std::fs::metadata(path) {
        Ok(status) => status,
        Err(error) if error.kind() == ErrorKind::NotFound => return ConfigFile::Absent,
        Err(error) if error.kind() == ErrorKind::NotADirectory => return ConfigFile::NoDirectory,
        Err(error) => return ConfigFile::Unreadable(error.to_string()),
    };
    if status.is_dir() {
        return ConfigFile::Unreadable("it is a directory".to_owned());
    }
    if !status.is_file() {
        return ConfigFile::Unreadable("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > LONGEST => {
            ConfigFile::Unreadable(format!("it is longer than {LONGEST} bytes"))
        }
        Ok(_) => ConfigFile::Bytes(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => ConfigFile::Absent,
        Err(error) => ConfigFile::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::read;
    use crate::settings::ConfigFile;

    #[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
    fn put(path: &Path) {
        std::fs::write(path, "{}").unwrap();
    }

    #[test]
    fn two_spellings_of_one_file_are_one_path_whether_it_exists_or_not() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().canonicalize().unwrap();
        let at = |name: &str| real.join(name);
        std::fs::create_dir(at("folder")).unwrap();
        symlink("folder", at("other")).unwrap();
        symlink("folder/c", at("first")).unwrap();
        symlink(at("first"), at("second")).unwrap();
        let spellings = ["folder/c", "other/c", "first", "second", "other/../folder/./c"];
        for file in [ConfigFile::Absent, ConfigFile::Bytes(b"{}".to_vec())] {
            for spelling in spellings {
                let found = read(&at(spelling));
                assert_eq!((found.path, &found.file), (at("folder/c"), &file), "{spelling}");
            }
            put(&at("folder/c"));
        }
        assert_eq!(read(&at("other/new/er/c")).path, at("folder/new/er/c"));
    }

    #[test]
    fn a_path_that_leads_nowhere_stays_as_it_is_and_says_why() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().canonicalize().unwrap();
        let at = |name: &str| real.join(name);
        put(&at("file"));
        assert_eq!(read(&at("file/c")).path, at("file/c"));
        assert_eq!(read(&at("file/c")).file, ConfigFile::NoDirectory);
        symlink("loop", at("loop")).unwrap();
        assert_eq!(read(&at("loop")).path, at("loop"));
        assert!(matches!(read(&at("loop")).file, ConfigFile::Unreadable(_)));
        let long = at(&"x/".repeat(60_000));
        assert_eq!(read(&long).path, long);
        assert!(matches!(read(&long).file, ConfigFile::Unreadable(_)));
    }

    #[test]
    fn a_name_need_not_be_text() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().canonicalize().unwrap().join(OsStr::from_bytes(b"\xff.json"));
        assert_eq!(read(&path).path, path);
        put(&path);
        let found = read(&path);
        assert_eq!((found.path, found.file), (path, ConfigFile::Bytes(b"{}".to_vec())));
    }
}
