//! A gateway listens on 127.0.0.1 and on ::1, or it does not start.
//!
//! The two are separate addresses that separate programs can hold, so a gateway with only one of them would share the
//! name `localhost` with a stranger. Binding is not enough: two sockets can be bound to one port, only one can listen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis_os::{Descriptor, Errno, Os, Port, TcpRow, TcpState};

use super::{ATTEMPTS, PAUSE_MS, diagnose};
use crate::refusal::{Holder, Reason, Refusal};

/// How many sockets are listed as evidence.
const MOST_ROWS: usize = 5;
/// How many connections may wait to be accepted.
const BACKLOG: u16 = 1024;

/// Listens on both loopback addresses.
pub(super) async fn take<O: Os>(os: &O, port: Port) -> Result<Vec<Descriptor<O>>, Refusal> {
    let first = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.get());
    let mut listeners = vec![take_one(os, first).await?.ok_or_else(|| no_loopback(first))?];
    let second = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port.get());
    // Where the machine has no ::1 nobody else can hold it either.
    listeners.extend(take_one(os, second).await?);
    Ok(listeners)
}

/// Listens on one address; `None` if the machine has no such address.
async fn take_one<O: Os>(os: &O, address: SocketAddr) -> Result<Option<Descriptor<O>>, Refusal> {
    for attempt in 1..=ATTEMPTS {
        match try_listen(os, address).await {
            Ok(listener) => return Ok(Some(listener)),
            Err(Errno::AddressInUse) if attempt == ATTEMPTS => {}
            // A sleep that fails has only made the pause shorter.
            Err(Errno::AddressInUse) => drop(os.sleep(PAUSE_MS).await),
            Err(Errno::AddressNotAvailable | Errno::AddressFamilyNotSupported) => return Ok(None),
            Err(errno) => return Err(cannot_bind(address, errno)),
        }
    }
    let rows = match Port::new(address.port()) {
        Some(port) => os.tcp_sockets(port).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let blocking: Vec<TcpRow> = rows.into_iter().filter(|row| blocks(row, address)).collect();
    let holder = holder(os, &blocking).await;
    match try_listen(os, address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(_) => Err(refusal(address, &blocking, holder)),
    }
}

async fn try_listen<O: Os>(os: &O, address: SocketAddr) -> Result<Descriptor<O>, Errno> {
    let socket = os.bind_tcp(address).await?;
    os.listen(&socket, BACKLOG).await?;
    Ok(socket)
}

/// Whether a socket keeps others from listening on an address.
fn blocks(row: &TcpRow, address: SocketAddr) -> bool {
    let same_address = match (row.local.ip(), address.ip()) {
        (mine, wanted) if mine == wanted => true,
        // A dual-stack wildcard shows as `::` and blocks both families.
        (IpAddr::V6(mine), IpAddr::V4(wanted)) => {
            mine.is_unspecified() || mine.to_ipv4_mapped().is_some_and(|mapped| mapped == wanted)
        }
        (mine, _) => mine.is_unspecified() && mine.is_ipv4() == address.is_ipv4(),
    };
    row.local.port() == address.port() && same_address
}

/// The process behind the first blocking listener, if this user may see it.
async fn holder<O: Os>(os: &O, blocking: &[TcpRow]) -> Option<Holder> {
    let row = blocking.iter().find(|row| row.state == TcpState::Listen && row.socket != 0)?;
    for pid in os.processes().await.unwrap_or_default() {
        if os.holds_socket(pid, row.socket).await == Ok(true) {
            return diagnose::describe(os, pid, Some(row.uid)).await;
        }
    }
    None
}

fn refusal(address: SocketAddr, blocking: &[TcpRow], holder: Option<Holder>) -> Refusal {
    let listening = blocking.iter().find(|row| row.state == TcpState::Listen);
    let mut evidence = vec![format!("listen on {address}: {}", Errno::AddressInUse)];
    let mut rows: Vec<&TcpRow> = blocking.iter().collect();
    rows.sort_by_key(|row| row.state != TcpState::Listen);
    evidence.extend(rows.iter().take(MOST_ROWS).map(|row| {
        format!("/proc/net/tcp: {} {:?}, uid {}, socket {}", row.local, row.state, row.uid, row.socket)
    }));
    if rows.len() > MOST_ROWS {
        evidence.push(format!("/proc/net/tcp: {} more", rows.len() - MOST_ROWS));
    }
    let (reason, what) = match (listening, &holder) {
        (Some(_), Some(holder)) => (
            Reason::PortForeign,
            format!(
                "{address} is held by pid {} ({}), which holds no token of that port",
                holder.pid, holder.name
            ),
        ),
        (Some(row), None) => (
            Reason::PortForeign,
            format!("{address} is held by a process of uid {} that is not visible from here", row.uid),
        ),
        (None, _) if !blocking.is_empty() => (
            Reason::PortEphemeral,
            format!("{address} is taken by a connection, and no program listens on it"),
        ),
        (None, _) => {
            (Reason::PortUnknown, format!("{address} is taken, and by whom is not visible from here"))
        }
    };
    let next =
        holder.as_ref().map_or_else(|| format!("ss -tanp 'sport = :{}'", address.port()), Holder::inspect);
    let holder = holder.map(Box::new);
    Refusal {
        reason,
        what,
        holder,
        evidence,
        next,
        do_not: Some("kill by port number: that ends whoever holds it"),
    }
}

fn cannot_bind(address: SocketAddr, errno: Errno) -> Refusal {
    let mut refusal = Refusal::from_errno("listen on", &address.to_string(), errno);
    if errno == Errno::AccessDenied {
        refusal.reason = Reason::PortReserved;
    }
    refusal.next = format!("ss -tan 'sport = :{}'", address.port());
    refusal
}

fn no_loopback(address: SocketAddr) -> Refusal {
    Refusal {
        what: format!("this machine has no address {}", address.ip()),
        next: "ip address show lo".to_owned(),
        ..Refusal::from_errno("listen on", &address.to_string(), Errno::AddressNotAvailable)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_os::{TcpRow, TcpState, Uid};

    use super::blocks;

    fn listener(local: &str) -> TcpRow {
        TcpRow { local: local.parse().unwrap(), state: TcpState::Listen, uid: Uid(0), socket: 1 }
    }

    #[test]
    fn only_sockets_that_share_address_and_port_block() {
        let wanted = "127.0.0.1:18789".parse().unwrap();
        for (local, expected) in [
            ("127.0.0.1:18789", true),
            ("0.0.0.0:18789", true),
            ("[::]:18789", true),
            ("[::ffff:127.0.0.1]:18789", true),
            ("127.0.0.1:18790", false),
            ("127.0.0.2:18789", false),
            ("[::1]:18789", false),
        ] {
            assert_eq!(blocks(&listener(local), wanted), expected, "{local}");
        }
        assert!(blocks(&listener("[::1]:18789"), "[::1]:18789".parse().unwrap()));
        assert!(!blocks(&listener("0.0.0.0:18789"), "[::1]:18789".parse().unwrap()));
    }
}
