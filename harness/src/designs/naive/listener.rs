//! Naive locks that are nothing but a listening socket: whoever has the port is the owner.
//!
//! A port is held in a network namespace and at an address, a state directory is not: another port, the other loopback
//! address or a socket that shares its port lets a second owner in.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use gateway::Claim;
use portcullis_os::{BindOptions, Call, Descriptor, Errno, Os};

use super::life::{announce, prepare, refuse, serve};

/// How the port is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// At the first address of `localhost` where it is free, as most libraries do that are given a name.
    ByName,
    /// With `SO_REUSEPORT`.
    Sharing,
}

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim, asking: Asking) -> u8 {
    let Ok(Some(_listener)) = own(&os, &claim, asking).await else { return refuse(&os).await };
    serve(&os).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim, asking: Asking) -> Result<Option<Descriptor<O>>, Errno> {
    prepare(os, claim).await?;
    let mut addresses = vec![loopback(claim)];
    if asking == Asking::ByName {
        addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, claim.ports.base().get())));
    }
    let options = BindOptions { reuse_port: asking == Asking::Sharing, ..BindOptions::SERVER };
    for address in addresses {
        if let Some(listener) = listen(os, address, options).await? {
            announce(os, claim).await?;
            return Ok(Some(listener));
        }
    }
    Ok(None)
}

/// A listener at an address; `None` if somebody else has it.
pub(super) async fn listen<O: Os>(
    os: &O,
    address: SocketAddr,
    options: BindOptions,
) -> Result<Option<Descriptor<O>>, Errno> {
    let listener = match os.descriptor(Call::BindTcp { address, options }).await {
        Ok(listener) => listener,
        Err(Errno::AddressInUse) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    match os.listen(&listener, 16).await {
        Ok(()) => Ok(Some(listener)),
        Err(Errno::AddressInUse) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Where a gateway that asks for no name listens.
pub(super) fn loopback(claim: &Claim) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, claim.ports.base().get()))
}
