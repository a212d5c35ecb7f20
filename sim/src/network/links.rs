//! When a packet arrives: each direction between two hosts has a latency, loses some, and may be cut.
//!
//! What is lost is sent again by TCP after a while, twice as long each time, and what comes behind it waits for it. So a loss is a
//! delay, and nothing is ever out of order. What is cut off waits, and arrives once that is repaired, as retransmissions would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use turmoil_net::{Packet, Transport};

use crate::kernel::HostId;
use crate::sample::Random;

/// How long TCP waits before it sends a packet again, in milliseconds: the least that Linux allows (`TCP_RTO_MIN`).
const RETRANSMISSION_MS: u64 = 200;
/// How often in a row one packet is lost at most.
const MOST_LOSSES: u32 = 6;

/// How packets travel in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// How long a packet takes at least, in milliseconds.
    pub least_ms: u64,
    /// And at most.
    pub most_ms: u64,
    /// How many of a thousand packets are lost.
    pub lost_permille: u16,
    /// Whether nothing gets through.
    pub is_cut: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self { least_ms: 1, most_ms: 2, lost_permille: 0, is_cut: false }
    }
}

impl Link {
    /// How long a packet takes, in milliseconds, with what it takes to send it once more as often as it is lost.
    pub fn delay_ms(&self, random: &mut Random) -> u64 {
        let spread = self.most_ms.saturating_sub(self.least_ms) + 1;
        let mut delay_ms = self.least_ms + random.below(spread);
        for losses in 0..MOST_LOSSES {
            if self.lost_permille == 0 || random.below(1000) >= u64::from(self.lost_permille) {
                break;
            }
            delay_ms += RETRANSMISSION_MS << losses;
        }
        delay_ms
    }
}

/// Whether TCP sends a packet until it hears that it has arrived. It does so with bytes and with both ends of a connection.
fn is_sent_again(packet: &Packet) -> bool {
    match &packet.payload {
        Transport::Tcp(segment) => !segment.payload.is_empty() || segment.flags.syn || segment.flags.fin,
        Transport::Udp(_) => false,
    }
}

/// A direction, and what is on its way in it.
#[derive(Debug, Default)]
struct Way {
    link: Link,
    /// When the last packet arrives that was sent before.
    last_ms: u64,
    held: VecDeque<Packet>,
}

/// All directions.
#[derive(Debug, Default)]
pub(super) struct Links {
    ways: BTreeMap<[HostId; 2], Way>,
    /// By when they arrive, and by the order in which they were sent; each with its direction.
    travelling: BTreeMap<(u64, u64), ([HostId; 2], Packet)>,
    sent: u64,
    /// Hosts without power.
    dark: BTreeSet<HostId>,
}

impl Links {
    /// Lets packets travel so. Answers how many have waited for it.
    pub(super) fn set(
        &mut self,
        [from, to]: [HostId; 2],
        link: Link,
        now_ms: u64,
        random: &mut Random,
    ) -> usize {
        let way = self.ways.entry([from, to]).or_default();
        way.link = link;
        self.release([from, to], now_ms, random)
    }

    /// Sends off what was held, if it may travel now. Answers how much that was.
    fn release(&mut self, [from, to]: [HostId; 2], now_ms: u64, random: &mut Random) -> usize {
        let Some(way) = self.ways.get_mut(&[from, to]) else { return 0 };
        if way.link.is_cut || self.dark.contains(&to) {
            return 0;
        }
        let held = std::mem::take(&mut way.held);
        let count = held.len();
        for packet in held {
            let arrives_ms = (now_ms + way.link.delay_ms(random)).max(way.last_ms);
            way.last_ms = arrives_ms;
            self.travelling.insert((arrives_ms, self.sent), ([from, to], packet));
            self.sent += 1;
        }
        count
    }

    /// Says nothing for a host any more, and holds what is sent to it and what was on its way there, as far as whoever has sent it
    /// hears of no arrival and sends it again.
    pub(super) fn darken(&mut self, host: HostId) {
        self.dark.insert(host);
        let unheard: Vec<_> = self.travelling.extract_if(.., |_, ([_, to], _)| *to == host).collect();
        for (_, (way, packet)) in unheard.into_iter().rev() {
            self.ways.entry(way).or_default().held.push_front(packet);
        }
        for ([from, to], way) in &mut self.ways {
            if *from == host {
                way.held.clear();
            } else if *to == host {
                way.held.retain(is_sent_again);
            }
        }
    }

    /// Lets a host that has power again hear what was sent to it meanwhile.
    pub(super) fn lighten(&mut self, host: HostId, now_ms: u64, random: &mut Random) {
        self.dark.remove(&host);
        let ways: Vec<[HostId; 2]> = self.ways.keys().filter(|[_, to]| *to == host).copied().collect();
        for way in ways {
            self.release(way, now_ms, random);
        }
    }

    /// Takes a packet that a host sends.
    pub(super) fn send(&mut self, [from, to]: [HostId; 2], packet: Packet, now_ms: u64, random: &mut Random) {
        let is_never_heard = self.dark.contains(&to) && !is_sent_again(&packet);
        if self.dark.contains(&from) || is_never_heard {
            return;
        }
        let way = self.ways.entry([from, to]).or_default();
        if way.link.is_cut || self.dark.contains(&to) {
            way.held.push_back(packet);
            return;
        }
        let arrives_ms = (now_ms + way.link.delay_ms(random)).max(way.last_ms);
        way.last_ms = arrives_ms;
        self.travelling.insert((arrives_ms, self.sent), ([from, to], packet));
        self.sent += 1;
    }

    /// When the next packet arrives.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.travelling.first_key_value().map(|((arrives_ms, _), _)| *arrives_ms)
    }

    /// The next packet that has arrived by now.
    pub(super) fn arrived(&mut self, now_ms: u64) -> Option<Packet> {
        let entry = self.travelling.first_entry()?;
        (entry.key().0 <= now_ms).then(|| entry.remove().1)
    }
}
