//! The owner record is whole or absent, and only informs: a crash at any point leaves the old one or the new one.

use portcullis_os::{Descriptor, Errno, Open, Os};

use super::OWNER_RECORD;
use crate::identity::Identity;

/// Where the record is written before it gets its name.
const TEMPORARY: &str = "gateway.owner.json.tmp";

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
    os.sync(&file).await?;
    file.close().await?;
    os.rename_at(state, TEMPORARY, OWNER_RECORD).await
}
