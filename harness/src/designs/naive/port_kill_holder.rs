//! A naive lock that makes room for itself: whoever listens on the port is told to stop.
//!
//! It may be a program that is no gateway, and by the time of the signal the pid may be that of yet another one.

use gateway::Claim;
use portcullis_os::{BindOptions, Descriptor, Errno, Os, Signal, TcpState};

use super::life::{announce, prepare, refuse, serve};
use super::listener::{listen, loopback};

/// How often it tries to make room.
const ATTEMPTS: u32 = 3;

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    let Ok(Some(_listener)) = own(&os, &claim).await else { return refuse(&os).await };
    serve(&os).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim) -> Result<Option<Descriptor<O>>, Errno> {
    prepare(os, claim).await?;
    for _ in 0..ATTEMPTS {
        if let Some(listener) = listen(os, loopback(claim), BindOptions::SERVER).await? {
            announce(os, claim).await?;
            return Ok(Some(listener));
        }
        make_room(os, claim).await?;
        os.sleep(1000).await?;
    }
    Ok(None)
}

async fn make_room<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    let rows = os.tcp_sockets(claim.ports.base()).await?;
    let listening = rows.into_iter().filter(|row| row.state == TcpState::Listen);
    let listening: Vec<u64> = listening.map(|row| row.socket).collect();
    for pid in os.processes().await? {
        for socket in &listening {
            if os.holds_socket(pid, *socket).await == Ok(true) {
                let _ = os.kill(pid, Some(Signal::Terminate)).await;
            }
        }
    }
    Ok(())
}
