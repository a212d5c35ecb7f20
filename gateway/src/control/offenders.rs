//! Whoever fails to prove who it is waits longer each time, and whoever does not wait for the answer gains nothing by that.
//!
//! A socket holds one of the few places of its address until it was answered. A request over HTTP holds none, so until one is
//! answered, nothing else that is shown from there over HTTP is looked at.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use super::Now;

/// The longest that a failed proof is answered late, in milliseconds.
const LONGEST_MS: u64 = 5_000;
/// How late the first one is answered.
const FIRST_MS: u64 = 250;
/// How long failures of an address are remembered after the last of them.
const FORGIVEN_MS: u64 = 60_000;
/// Of at most so many addresses.
const MOST: usize = 1024;
/// All others count as this one, which is nobody's.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The addresses from which proofs have failed.
#[derive(Debug, Default)]
pub(super) struct Offenders(BTreeMap<IpAddr, Offender>);

#[derive(Clone, Copy, Debug, Default)]
struct Offender {
    failures: u32,
    last_ms: u64,
    /// Until when nothing is looked at that it shows over HTTP.
    until_ms: u64,
}

/// What comes of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is right.
    Right,
    /// It is wrong, and answered so many milliseconds late.
    Wrong(u64),
    /// It was not looked at: whoever is there has to wait for so many milliseconds.
    Wait(u64),
}

impl Offenders {
    /// How late the answer to a proof that has failed comes, each one later than the last.
    pub(super) fn penalty(&mut self, address: IpAddr, now: Now) -> u64 {
        let now_ms = now.monotonic_ms;
        self.0.retain(|_, offender| now_ms.saturating_sub(offender.last_ms) < FORGIVEN_MS);
        let offender = self.0.entry(self.key(address)).or_default();
        let penalty = FIRST_MS.saturating_mul(1 << offender.failures.min(8)).min(LONGEST_MS);
        offender.failures = offender.failures.saturating_add(1);
        offender.last_ms = now_ms;
        penalty
    }

    pub(super) fn forgive(&mut self, address: IpAddr) {
        self.0.remove(&address);
    }

    /// Looks at a proof, unless whoever shows it has to wait.
    pub(super) fn judge(&mut self, address: IpAddr, now: Now, is_right: impl FnOnce() -> bool) -> Verdict {
        let until_ms = self.0.get(&self.key(address)).map_or(0, |offender| offender.until_ms);
        let left = until_ms.saturating_sub(now.monotonic_ms);
        if left > 0 {
            return Verdict::Wait(left);
        }
        if is_right() {
            self.forgive(address);
            return Verdict::Right;
        }
        let penalty = self.penalty(address, now);
        let key = self.key(address);
        if let Some(offender) = self.0.get_mut(&key) {
            offender.until_ms = now.monotonic_ms.saturating_add(penalty);
        }
        Verdict::Wrong(penalty)
    }

    /// As whom an address counts.
    fn key(&self, address: IpAddr) -> IpAddr {
        if self.0.len() < MOST || self.0.contains_key(&address) { address } else { OTHERS }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{MOST, Now, Offenders, Verdict};

    fn at(monotonic_ms: u64) -> Now {
        Now { wall_ms: 0, monotonic_ms }
    }

    fn address(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(u32::try_from(number).expect("few")).into()
    }

    #[test]
    fn while_an_address_has_to_wait_nothing_that_it_shows_is_looked_at() {
        let (mut offenders, here) = (Offenders::default(), address(1));
        assert_eq!(offenders.judge(here, at(0), || false), Verdict::Wrong(250));
        let unseen = offenders.judge(here, at(249), || panic!("it is not looked at"));
        assert_eq!(unseen, Verdict::Wait(1));
        assert_eq!(offenders.judge(address(2), at(249), || true), Verdict::Right);
        assert_eq!(
            offenders.judge(here, at(250), || false),
            Verdict::Wrong(500),
            "to be refused costs nothing"
        );
        assert_eq!(offenders.judge(here, at(750), || true), Verdict::Right);
        assert_eq!(offenders.judge(here, at(751), || false), Verdict::Wrong(250));
    }

    #[test]
    fn whoever_has_ever_more_addresses_waits_as_one_once_there_are_too_many() {
        let mut offenders = Offenders::default();
        for number in 0..MOST {
            assert_eq!(offenders.judge(address(number), at(0), || false), Verdict::Wrong(250));
        }
        assert_eq!(offenders.judge(address(MOST), at(0), || false), Verdict::Wrong(250));
        assert_eq!(offenders.judge(address(MOST + 1), at(0), || true), Verdict::Wait(250));
        assert_eq!(offenders.judge(address(MOST + 1), at(250), || false), Verdict::Wrong(500));
        assert_eq!(offenders.0.len(), MOST + 1);
        assert_eq!(offenders.judge(address(MOST), at(60_250), || true), Verdict::Right, "all are forgiven");
    }
}
