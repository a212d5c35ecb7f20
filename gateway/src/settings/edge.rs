//! The only code of this module that looks at the environment and at the file system. It decides nothing.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::{ConfigFile, Surroundings, VARIABLES};

/// The longest configuration that is read, in bytes. A longer one is a mistake, for instance a log in its place.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What this process finds around it.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the environment is read")]
pub fn surroundings() -> Surroundings {
    Surroundings {
        variables: VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect(),
        home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
        directory: std::env::current_dir().ok(),
    }
}

/// Reads the configuration. Nothing but a regular file is opened, since a pipe would wait for ever.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the configuration is read")]
pub fn read(path: &Path) -> ConfigFile {
    let status = match std::fs::metadata(path) {
        Ok(status) => status,
        Err(error) if error.kind() == ErrorKind::NotFound => return ConfigFile::Absent,
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
