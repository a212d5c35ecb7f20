//! A naive lock that trusts the clock: the owner writes when its lease ends, and whoever finds it ended takes over.
//!
//! It asks again and again until it may, and a step of the wall clock is enough to make two owners.

use gateway::Claim;
use portcullis_os::{Clock, Errno, Open, Os};

use super::life::{announce, prepare, refuse, serve};

pub(super) const LEASE_FILE: &str = "gateway.lease";

/// How long a lease is, in nanoseconds.
const LEASE: u64 = 30_000_000_000;
/// How often it asks.
const ATTEMPTS: u32 = 400;

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    if own(&os, &claim).await != Ok(true) {
        return refuse(&os).await;
    }
    serve(&os).await;
    let _ = os.unlink(&claim.state.join(LEASE_FILE)).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim) -> Result<bool, Errno> {
    prepare(os, claim).await?;
    let path = claim.state.join(LEASE_FILE);
    for _ in 0..ATTEMPTS {
        let file = os.open(&path, Open::read_write_create()).await?;
        let text = os.read(&file, 0, 32).await?;
        let until =
            std::str::from_utf8(&text).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        let now = os.read_clock(Clock::Wall).await?;
        if now > until {
            os.write(&file, 0, (now + LEASE).to_string().as_bytes()).await?;
            announce(os, claim).await?;
            return Ok(true);
        }
        file.close().await?;
    }
    Ok(false)
}
