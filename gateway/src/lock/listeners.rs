//! A gateway listens on 127.0.0.1 and on ::1, and wherever else it was told to, or it does not start.
//!
//! The loopbacks are separate addresses that separate programs can hold, so a gateway with only one of them would share the
//! name `localhost` with a stranger. Binding is not enough: two sockets can be bound to one port, only one can listen.

use std::net::{IpAddr, SocketAddr};

use portcullis_os::{Descriptor, Errno, Notice, Os, Port, TcpRow, TcpState, Uid};

use super::{ATTEMPTS, PAUSE_MS, diagnose};
use crate::claim::Claim;
use crate::refusal::{Holder, Reason, Refusal};

/// How many sockets are listed as evidence.
const MOST_ROWS: usize = 5;
/// How many connections may wait to be accepted.
const BACKLOG: u16 = 1024;

/// Listens wherever the claim says, 127.0.0.1 or its wildcard first.
pub(super) async fn take<O: Os>(os: &O, claim: &Claim, own: Uid) -> Result<Vec<Descriptor<O>>, Refusal> {
    let mut listeners = Vec::new();
    for ip in claim.listen.addresses() {
        let address = SocketAddr::new(ip, claim.ports.base().get());
        match take_one(os, address, own).await? {
            Some(listener) => listeners.push(listener),
            // Where the machine has no IPv6 nobody else can hold its addresses either.
            None if ip.is_ipv6() => {}
            None => return Err(no_address(address)),
        }
    }
    Ok(listeners)
}

/// Names everybody who listens on a port of the claim above the base, and refuses nobody: a gateway may never need that
/// port, and a program that is no gateway has not promised to leave it alone. Who needs it later says so then.
pub(super) async fn note_foreign<O: Os>(os: &O, claim: &Claim) {
    let mut ranges: Vec<(Port, Port)> = Vec::new();
    for port in
        claim.all_ports().into_iter().filter(|port| *port != claim.ports.base().get()).filter_map(Port::new)
    {
        match ranges.last_mut() {
            Some((_, last)) if last.get() + 1 == port.get() => *last = port,
            Some(_) | None => ranges.push((port, port)),
        }
    }
    for (first, last) in ranges {
        // Where it cannot be seen there is nothing to note.
        for row in os.tcp_listeners([first, last]).await.unwrap_or_default().iter().take(MOST_ROWS) {
            let who = match holder(os, std::slice::from_ref(row)).await {
                Some(holder) => holder.in_short(),
                None => format!("a process of uid {} that is not visible from here", row.uid),
            };
            let note = format!("port {} is reserved, and {who} listens on {}", row.local.port(), row.local);
            // Whoever watches and is gone needs no note.
            let _ = os.notify(Notice::Noted(note)).await;
        }
    }
}

/// Listens on one address; `None` if the machine has no such address.
async fn take_one<O: Os>(os: &O, address: SocketAddr, own: Uid) -> Result<Option<Descriptor<O>>, Refusal> {
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
        Err(_) => {
            let seen = format!("listen on {address}: {}", Errno::AddressInUse);
            Err(refusal(address, &blocking, holder, own, seen))
        }
    }
}

/// What shows of a base port without trying to listen there.
pub(super) struct Observed {
    /// Why the first address that somebody listens on would be refused.
    pub(super) refusal: Option<Refusal>,
    /// How many connections have the port where nobody listens. Those that a server has accepted keep no gateway out,
    /// those that the kernel gave the port to do, and nothing tells them apart.
    pub(super) connections: usize,
}

/// Looks who listens where the gateway would.
pub(super) async fn observe<O: Os>(os: &O, claim: &Claim, own: Uid) -> Result<Observed, Errno> {
    let rows = os.tcp_sockets(claim.ports.base()).await?;
    for ip in claim.listen.addresses() {
        let address = SocketAddr::new(ip, claim.ports.base().get());
        let blocking: Vec<TcpRow> = rows
            .iter()
            .filter(|row| row.state == TcpState::Listen && blocks(row, address))
            .copied()
            .collect();
        if !blocking.is_empty() {
            let holder = holder(os, &blocking).await;
            let seen = format!("/proc/net/tcp: somebody listens where {address} would");
            let refusal = refusal(address, &blocking, holder, own, seen);
            return Ok(Observed { refusal: Some(refusal), connections: 0 });
        }
    }
    let connections = rows.iter().filter(|row| row.state != TcpState::Listen).count();
    Ok(Observed { refusal: None, connections })
}

async fn try_listen<O: Os>(os: &O, address: SocketAddr) -> Result<Descriptor<O>, Errno> {
    let socket = os.bind_tcp(address).await?;
    os.listen(&socket, BACKLOG).await?;
    Ok(socket)
}

/// Whether a socket keeps others from listening on an address, which for IPv6 means on IPv6 only.
fn blocks(row: &TcpRow, address: SocketAddr) -> bool {
    let same_address = match (row.local.ip(), address.ip()) {
        (theirs, wanted) if theirs == wanted => true,
        // A dual-stack wildcard shows as `::` and blocks both families, a mapped address is one of IPv4.
        (IpAddr::V6(theirs), IpAddr::V4(wanted)) => {
            theirs.is_unspecified()
                || theirs.to_ipv4_mapped().is_some_and(|theirs| wanted.is_unspecified() || theirs == wanted)
        }
        (IpAddr::V6(theirs), IpAddr::V6(wanted)) => {
            theirs.is_unspecified() || wanted.is_unspecified() && theirs.to_ipv4_mapped().is_none()
        }
        (IpAddr::V4(theirs), IpAddr::V4(wanted)) => theirs.is_unspecified() || wanted.is_unspecified(),
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
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

/// The refusal. `seen` is how it shows that the address is taken.
fn refusal(
    address: SocketAddr,
    blocking: &[TcpRow],
    holder: Option<Holder>,
    own: Uid,
    seen: String,
) -> Refusal {
    let listening = blocking.iter().find(|row| row.state == TcpState::Listen);
    let mut evidence = vec![seen];
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
        // Most processes of the same user show their descriptors while they have any: this one is in another container, has
        // hidden itself, or is dying.
        (Some(row), None) if row.uid == own => (
            Reason::PortUnknown,
            format!("{address} is held by a process of this user that is not visible from here"),
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
    let next = match (&holder, listening) {
        (Some(holder), _) => holder.inspect(),
        // Whose it is is all that shows: its processes, and the units that they are in.
        (None, Some(row)) => format!("ps -o pid,unit,lstart,args -U {}", row.uid),
        (None, None) => format!("ss -tanp 'sport = :{}'", address.port()),
    };
    let holder = holder.map(Box::new);
    Refusal {
        reason,
        what,
        holder,
        evidence,
        next,
        do_not: Some("kill by port number: that ends whoever holds it"),
        may_pass: false,
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

fn no_address(address: SocketAddr) -> Refusal {
    Refusal {
        reason: Reason::AddressUnavailable,
        what: format!("this machine has no address {}", address.ip()),
        next: "ip address show".to_owned(),
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
        for (local, wanted, expected) in [
            ("[::1]:18789", "[::1]:18789", true),
            ("0.0.0.0:18789", "[::1]:18789", false),
            ("127.0.0.2:18789", "0.0.0.0:18789", true),
            ("[::ffff:127.0.0.1]:18789", "0.0.0.0:18789", true),
            ("[::1]:18789", "0.0.0.0:18789", false),
            ("[::1]:18789", "[::]:18789", true),
            ("127.0.0.1:18789", "[::]:18789", false),
            ("[::ffff:127.0.0.1]:18789", "[::]:18789", false),
        ] {
            assert_eq!(blocks(&listener(local), wanted.parse().unwrap()), expected, "{local} and {wanted}");
        }
    }
}
