//! A naive lock that is sound in itself and is looked for under a name that is made from the path of the state directory.
//!
//! A bind mount, a symbolic link or another spelling is another path to the same directory: it has another lock.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use gateway::Claim;
use portcullis_os::{Descriptor, Errno, Os};
use siphasher::sip::SipHasher13;

use super::flock::lock;
use super::life::{announce, prepare, refuse, serve};

/// The directory with the locks of everybody, beside the state directories.
const SHARED: &str = "gateway-locks";

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    let Ok(Some(_file)) = own(&os, &claim).await else { return refuse(&os).await };
    serve(&os).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim) -> Result<Option<Descriptor<O>>, Errno> {
    prepare(os, claim).await?;
    let path = lock_file(&claim.state);
    match os.make_directory(path.parent().unwrap_or(&path), 0o700).await {
        Ok(()) | Err(Errno::Exists) => {}
        Err(errno) => return Err(errno),
    }
    let file = lock(os, &path).await?;
    if file.is_some() {
        announce(os, claim).await?;
    }
    Ok(file)
}

/// The lock file of a state directory, by its path.
pub(super) fn lock_file(state: &Path) -> PathBuf {
    let mut hasher = SipHasher13::new();
    hasher.write(state.as_os_str().as_encoded_bytes());
    state.with_file_name(SHARED).join(format!("state.{:016x}.lock", hasher.finish()))
}
