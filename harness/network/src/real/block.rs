//! Ports that nobody uses: a base and the 110 above it, as every gateway reserves them.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Where blocks are looked for: below the ports that the kernel gives to connections, and above those that people use.
const FIRST: u16 = 20_000;
/// From one to the next.
const STEP: u16 = 120;
/// How many there are.
const BLOCKS: u16 = 100;
/// How many ports a gateway reserves.
const SPAN: u16 = 111;

/// The next one that is tried. What was used a moment ago has connections that are remembered for a minute.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A block, which is kept from everybody who finds one in this way.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) base: u16,
    _kept: UnixListener,
}

impl Block {
    /// One that nobody uses.
    pub(super) fn find() -> Option<Self> {
        (0..BLOCKS).find_map(|_| {
            let base = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % BLOCKS * STEP;
            let kept = keep(&format!("portcullis-sweep.{base}"))?;
            (base..base + SPAN).all(is_free).then_some(Self { base, _kept: kept })
        })
    }
}

fn keep(name: &str) -> Option<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()
}

/// Whether nobody has reserved a port, or listens on it.
fn is_free(port: u16) -> bool {
    keep(&format!("refgate.v1.port.{port}")).is_some()
        && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv6Addr::LOCALHOST, port))
            .map_or_else(|error| error.kind() == std::io::ErrorKind::AddrNotAvailable, |_| true)
}
