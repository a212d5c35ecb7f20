//! The lock of the second to the fourth generation: a file made with `O_EXCL`.
//!
//! Whoever judges it stale unlinks it by its name, without a second look, and so does an owner that stops.

use std::path::{Path, PathBuf};

use portcullis_os::{Descriptor, Errno, Open, Os, Port};

use super::record::{self, Record, Status};
use super::{ATTEMPTS, Generation, Refused, pause, place};

/// How long to wait between two looks, in milliseconds.
const POLL_MS: u32 = 100;

/// A pid file that this process has made.
#[derive(Debug)]
pub(super) struct PidFile<O: Os> {
    file: Descriptor<O>,
    path: PathBuf,
}

impl<O: Os> PidFile<O> {
    pub(super) async fn acquire(
        os: &O,
        generation: Generation,
        path: PathBuf,
        port: Port,
    ) -> Result<Self, Refused> {
        place::make_directory_of(os, &path).await?;
        let mut holder = None;
        for look in 1..=ATTEMPTS {
            match os.open(&path, Open::create_exclusive()).await {
                Ok(file) => return Self::fill(os, generation, file, path).await,
                Err(Errno::Exists) => {}
                Err(errno) => return Err(errno.into()),
            }
            let found = record::read(os, &path).await;
            holder = found.as_ref().map(|record| record.pid);
            let status = match &found {
                Some(record) => record::status_for(os, generation, record, port).await,
                None => Status::Unknown,
            };
            let is_stale = match status {
                Status::Dead => true,
                Status::Alive => false,
                Status::Unknown => record::is_old(os, generation, &path, found.as_ref()).await?,
            };
            if is_stale {
                remove(os, &path).await?;
            } else {
                pause(os, look, POLL_MS).await?;
            }
        }
        Err(Refused::Held(holder))
    }

    /// Writes who owns it. Until then it is there, and empty.
    async fn fill(
        os: &O,
        generation: Generation,
        file: Descriptor<O>,
        path: PathBuf,
    ) -> Result<Self, Refused> {
        let written = match Record::own(os, generation).await {
            Ok(record) => os.write(&file, 0, record.text().as_bytes()).await.map(|_| ()),
            Err(errno) => Err(errno),
        };
        match written {
            Ok(()) => Ok(Self { file, path }),
            Err(errno) => {
                if generation >= Generation::G4 {
                    let _ = file.close().await;
                    remove(os, &path).await?;
                }
                Err(errno.into())
            }
        }
    }

    pub(super) async fn release(self, os: &O) {
        let _ = self.file.close().await;
        let _ = remove(os, &self.path).await;
    }
}

/// `rm -f`: whatever has that name by now.
async fn remove<O: Os>(os: &O, path: &Path) -> Result<(), Errno> {
    match os.unlink(path).await {
        Err(Errno::NotFound) => Ok(()),
        other => other,
    }
}
