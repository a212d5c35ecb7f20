//! The ways between what a plan calls hosts: whoever goes from one to another goes through here, so that a way can be cut, be slow
//! or lose something.
//!
//! A way carries bytes and no packets: what is read at once is late together, and what is lost comes later. Somebody who connects
//! while a way is cut believes to be connected, because the kernel takes him in; nothing that he says arrives before it is mended,
//! and his end does not either.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sim::Random;
use sim::network::Link;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The stream of random numbers that delays are drawn from.
const DELAYS: u64 = 2;
/// How long nobody is taken in after somebody could not be.
const PAUSE: Duration = Duration::from_millis(10);
/// How much is carried at once, in bytes.
const PIECE: usize = 16 * 1024;

/// All of them. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Wires(Arc<Mutex<Laid>>);

#[derive(Debug)]
struct Laid {
    ways: BTreeMap<[String; 2], Way>,
    usual: Link,
    pace: u64,
    random: Random,
}

/// From one host to another.
#[derive(Clone, Debug)]
struct Way {
    link: Arc<watch::Sender<Link>>,
    /// How often something has waited because it was cut.
    waited: Arc<AtomicU64>,
}

impl Wires {
    /// Ways that carry everything so, so many times as fast as they say, and draw by that seed.
    pub(super) fn new(usual: Link, pace: u64, seed: u64) -> Self {
        let random = Random::of(seed, DELAYS);
        Self(Arc::new(Mutex::new(Laid { ways: BTreeMap::new(), usual, pace, random })))
    }

    /// Lets one way carry so. Whether anything has waited on it.
    pub(super) fn set(&self, from: &str, to: &str, link: Link) -> bool {
        let way = self.way(from, to);
        way.link.send_replace(link);
        way.waited.swap(0, Ordering::Relaxed) > 0
    }

    /// The same of all of them. Answers those on which anything has waited.
    pub(super) fn mend(&self, link: Link) -> Vec<[String; 2]> {
        let ways: Vec<[String; 2]> = self.laid().ways.keys().cloned().collect();
        ways.into_iter().filter(|[from, to]| self.set(from, to, link)).collect()
    }

    /// Where somebody on one host reaches that address, which is on the other.
    pub(super) async fn door(&self, from: &str, to: &str, target: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (wires, there, back) = (self.clone(), self.way(from, to), self.way(to, from));
        tokio::spawn(async move {
            // It ends with the runtime.
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        drop(tokio::spawn(wires.clone().join(stream, target, there.clone(), back.clone())));
                    }
                    // There is no descriptor left, or whoever came is gone.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Ok(address)
    }

    /// Carries everything between somebody and whom he wants to reach. Where nobody is, both ends are closed.
    async fn join(self, one: TcpStream, target: SocketAddr, there: Way, back: Way) {
        let Ok(other) = TcpStream::connect(target).await else { return };
        let _ = (one.set_nodelay(true), other.set_nodelay(true));
        let ((from_one, to_one), (from_other, to_other)) = (one.into_split(), other.into_split());
        // What is on its way in one direction arrives, whatever has become of the other.
        let _ = tokio::join!(self.carry(from_one, to_other, &there), self.carry(from_other, to_one, &back));
    }

    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: &Way) -> io::Result<()> {
        let (mut link, mut piece) = (way.link.subscribe(), vec![0; PIECE]);
        loop {
            // A reset is an end too, and comes no earlier.
            let count = from.read(&mut piece).await.unwrap_or(0);
            let mut is_through = false;
            while !is_through {
                let now = *link.borrow_and_update();
                self.delay(now).await;
                is_through = !link.borrow().is_cut;
                if !is_through {
                    way.waited.fetch_add(1, Ordering::Relaxed);
                    // The sender lives in `way`.
                    let _ = link.wait_for(|link| !link.is_cut).await;
                }
            }
            match count {
                0 => return to.shutdown().await,
                count => to.write_all(&piece[..count]).await?,
            }
        }
    }

    async fn delay(&self, link: Link) {
        let milliseconds = {
            let mut laid = self.laid();
            link.delay_ms(&mut laid.random) / laid.pace.max(1)
        };
        if milliseconds > 0 {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
    }

    fn way(&self, from: &str, to: &str) -> Way {
        let mut laid = self.laid();
        let usual = laid.usual;
        let new = || Way { link: Arc::new(watch::Sender::new(usual)), waited: Arc::default() };
        laid.ways.entry([from.to_owned(), to.to_owned()]).or_insert_with(new).clone()
    }

    fn laid(&self) -> MutexGuard<'_, Laid> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sim::network::Link;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::Wires;

    const QUICK: Link = Link { least_ms: 0, most_ms: 0, lost_permille: 0, is_cut: false };
    const CUT: Link = Link { is_cut: true, ..QUICK };
    const A_WHILE: Duration = Duration::from_millis(50);

    async fn hears(stream: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).await.expect("bytes");
        bytes
    }

    /// Somebody here and whom he has reached there.
    async fn joined(wires: &Wires) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = listener.local_addr().expect("an address");
        let door = wires.door("here", "there", target).await.expect("a door");
        let one = TcpStream::connect(door).await.expect("it is open");
        let (other, _) = listener.accept().await.expect("somebody");
        (one, other)
    }

    #[tokio::test]
    async fn what_is_cut_waits_in_that_direction_until_it_is_mended() {
        let wires = Wires::new(QUICK, 1, 0);
        let (mut one, mut other) = joined(&wires).await;
        one.write_all(b"hello").await.expect("written");
        assert_eq!(hears(&mut other, 5).await, b"hello");

        assert!(!wires.set("here", "there", CUT), "nothing has waited yet");
        one.write_all(b"are you there?").await.expect("written");
        other.write_all(b"yes").await.expect("written");
        assert_eq!(hears(&mut one, 3).await, b"yes", "the other direction is as it was");
        assert!(timeout(A_WHILE, other.read(&mut [0])).await.is_err(), "nothing gets through");
        one.shutdown().await.expect("it ends");
        assert!(timeout(A_WHILE, other.read(&mut [0])).await.is_err(), "and the end does not either");

        assert_eq!(wires.mend(QUICK), [["here".to_owned(), "there".to_owned()]]);
        assert_eq!(hears(&mut other, 14).await, b"are you there?");
        assert_eq!(other.read(&mut [0]).await.expect("the end"), 0);
        assert_eq!(wires.mend(QUICK), [[""; 2]; 0]);
    }

    #[tokio::test]
    async fn a_reset_waits_for_its_way_and_takes_nothing_from_the_other() {
        let wires = Wires::new(QUICK, 1, 0);
        let (mut one, mut other) = joined(&wires).await;
        wires.set("there", "here", CUT);
        other.write_all(b"goodbye").await.expect("written");
        one.write_all(b"unread").await.expect("written");
        other.readable().await.expect("it has come");
        // With something unread in it, a socket that is closed is reset.
        drop(other);
        assert!(timeout(A_WHILE, one.read(&mut [0])).await.is_err(), "the way is cut");
        wires.mend(QUICK);
        assert_eq!(hears(&mut one, 7).await, b"goodbye");
        assert_eq!(one.read(&mut [0]).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn whoever_is_not_there_is_missed_by_the_end_of_the_connection() {
        let wires = Wires::new(QUICK, 1, 0);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = listener.local_addr().expect("an address");
        drop(listener);
        let door = wires.door("here", "there", target).await.expect("a door");
        let mut one = TcpStream::connect(door).await.expect("it is open");
        assert!(matches!(one.read(&mut [0]).await, Ok(0) | Err(_)));
    }
}
