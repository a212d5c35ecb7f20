//! The owner record only informs: a crash at any point leaves the old one or the new one, and what a loss of power leaves
//! torn is read as none.

use std::path::Path;

use portcullis_os::{Descriptor, Errno, Open, Os};

use super::OWNER_RECORD;
use crate::identity::{Identity, LONGEST};

/// Where the record is written before it gets its name.
pub(super) const TEMPORARY: &str = "gateway.owner.json.tmp";

/// Replaces the record in a state directory that the caller owns.
pub(super) async fn write<O: Os>(os: &O, state: &Descriptor<O>, identity: &Identity) -> Result<(), Errno> {
    let file = os.open_at(state, TEMPORARY, Open::create_truncate()).await?;
    let bytes = identity.to_line();
    let mut written = 0;
    while written < bytes.len() {
        match os.write(&file, written as u64, &bytes[written..]).await? {
            0 => return Err(Errno::InputOutput),
            count => written += count as usize,
        }
    }
    file.close().await?;
    os.rename_at(state, TEMPORARY, OWNER_RECORD).await
}

/// Reads the record in a state directory, whoever wrote it. The outer error: it cannot be read. `Ok(None)`: what is there is
/// no record. A record is a hint for people and an order of caution for programs, and no proof of anything.
pub(super) async fn read<O: Os>(os: &O, state: &Path) -> Result<Option<Identity>, Errno> {
    let open = Open { no_follow: true, ..Open::read() };
    let file = os.open(&state.join(OWNER_RECORD), open).await?;
    let bytes = os.read(&file, 0, LONGEST as u32).await?;
    Ok(Identity::from_line(&bytes))
}
