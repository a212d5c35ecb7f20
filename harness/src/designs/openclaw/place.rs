//! Where a generation keeps what it locks: in the temporary directory, or in the state directory since the fifth.
//!
//! Each process may see other temporary directories, by its environment or because it runs in a container.

use std::path::{Path, PathBuf};

use portcullis_os::{Call, Errno, Os, Reply};

use super::Generation;

/// What a gateway finds around it besides its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// What it sees as `/tmp`.
    pub tmp: PathBuf,
    /// Where `TMPDIR` leads, or `/tmp`.
    pub tmpdir: PathBuf,
    /// What its machine is called (`gethostname`); a container is one of its own.
    pub host_name: String,
    /// Whether a supervisor has started it, and says so in the environment.
    pub supervised: bool,
    /// Whether it sees no other process, and nobody answers it.
    pub blind: bool,
    /// Whether it tells the sentence by which it explains a refusal to people, in a note after it. Nobody listens unless a
    /// scenario asks for what is said: each sentence is a step.
    pub explains: bool,
}

impl Surroundings {
    /// Those of a process on the first host that was started by hand.
    pub fn host() -> Self {
        let tmp = PathBuf::from("/tmp");
        Self {
            tmp: tmp.clone(),
            tmpdir: tmp,
            host_name: "local".to_owned(),
            supervised: false,
            blind: false,
            explains: false,
        }
    }
}

/// The paths of one gateway.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The directory of its pid file, or of its lock files since the fifth generation.
    temporary: PathBuf,
    in_state: PathBuf,
    lifecycles: PathBuf,
    database: PathBuf,
    config: String,
    host_name: String,
}

impl Place {
    pub(super) fn new(state: &Path, config: &Path, around: &Surroundings) -> Self {
        Self {
            temporary: around.tmpdir.join("openclaw"),
            in_state: state.join("tmp/openclaw"),
            lifecycles: around.tmp.join("openclaw-state-locks"),
            database: state.join("state/openclaw.sqlite"),
            config: flat(config),
            host_name: around.host_name.clone(),
        }
    }

    /// The pid file, called after the spelling of the configuration's path.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.temporary.join(self.config_file())
    }

    /// The lock file of the state directory.
    pub(super) fn state_lock(&self) -> PathBuf {
        self.in_state.join("gateway.state.lock")
    }

    /// The lock file of the configuration, which is one for each state directory.
    pub(super) fn config_lock(&self) -> PathBuf {
        self.in_state.join(self.config_file())
    }

    /// The file whose locks say who may live on the state directory.
    pub(super) fn lifecycle(&self) -> PathBuf {
        self.lifecycles.join(format!("gateway-lifecycle.{}.lock.sqlite", flat(&self.database)))
    }

    /// The database with the table of leases.
    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    /// What the machine is called.
    pub(super) fn host_name(&self) -> &str {
        &self.host_name
    }

    fn config_file(&self) -> String {
        format!("gateway.{}.lock", self.config)
    }
}

/// A path as a part of a file's name.
fn flat(path: &Path) -> String {
    let parts: Vec<_> = path.iter().skip(1).map(|part| part.to_string_lossy()).collect();
    parts.join("+")
}

/// The directory that a path leads to. Before the fifth generation nobody asks.
pub(super) async fn canonical<O: Os>(os: &O, generation: Generation, path: &Path) -> PathBuf {
    if generation < Generation::G5 {
        return path.to_owned();
    }
    match os.call(Call::ReadLink { at: None, path: path.to_owned() }).await {
        Ok(Reply::Path(target)) => target,
        Ok(_) | Err(_) => path.to_owned(),
    }
}

/// Makes a directory and what is missing above it: up to where something is, then down again.
pub(super) async fn make_directories<O: Os>(os: &O, path: &Path) -> Result<(), Errno> {
    let mut missing = Vec::new();
    for directory in path.ancestors() {
        match os.make_directory(directory, 0o700).await {
            Ok(()) | Err(Errno::Exists) => break,
            Err(Errno::NotFound) => missing.push(directory),
            Err(errno) => return Err(errno),
        }
    }
    while let Some(directory) = missing.pop() {
        match os.make_directory(directory, 0o700).await {
            Ok(()) | Err(Errno::Exists) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Makes the directory of a file and what is missing above it.
pub(super) async fn make_directory_of<O: Os>(os: &O, file: &Path) -> Result<(), Errno> {
    make_directories(os, file.parent().ok_or(Errno::NotFound)?).await
}
