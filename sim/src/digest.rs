//! A 128-bit digest of a value, the same on every machine: what tells states of a search apart.
//!
//! Two lanes of 64 bits multiply each word that is fed by an odd constant of their own and fold the product of 128 bits, as
//! wyhash (Wang Yi, 2019) does. It is no defence against somebody who looks for collisions; nobody feeds a search such
//! states. By chance two of n states have one digest with a probability of about n² / 2¹²⁹: at a thousand million states,
//! one in 10²⁰.

use std::hash::{Hash, Hasher};

const SEEDS: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];
const FACTORS: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];

/// The digest of a value.
pub(crate) fn digest(value: &impl Hash) -> u128 {
    let mut lanes = Lanes::new();
    value.hash(&mut lanes);
    lanes.digest()
}

pub(crate) struct Lanes([u64; 2]);

impl Lanes {
    pub(crate) const fn new() -> Self {
        Self(SEEDS)
    }

    #[inline]
    fn feed(&mut self, word: u64) {
        let [one, two] = &mut self.0;
        *one = fold(*one ^ word, FACTORS[0]);
        // Not the same word: what one lane loses the other one keeps.
        *two = fold(two.rotate_left(23) ^ word.rotate_left(32), FACTORS[1]);
    }

    pub(crate) const fn digest(&self) -> u128 {
        let [one, two] = self.0;
        let high = fold(one ^ SEEDS[1], FACTORS[1]);
        let low = fold(two ^ SEEDS[0], FACTORS[0]);
        ((high as u128) << 64) | low as u128
    }
}

#[inline]
const fn fold(word: u64, factor: u64) -> u64 {
    let product = word as u128 * factor as u128;
    (product as u64) ^ (product >> 64) as u64
}

impl Hasher for Lanes {
    fn finish(&self) -> u64 {
        self.digest() as u64
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.feed(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length goes with the last word: "a" and "a\0" are not one.
        self.feed(u64::from_le_bytes(last) ^ ((rest.len() as u64) << 56));
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.feed(u64::from(value));
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.feed(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.feed(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.feed(value);
    }

    #[inline]
    fn write_u128(&mut self, value: u128) {
        self.feed(value as u64);
        self.feed((value >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.feed(value as u64);
    }

    #[inline]
    fn write_i8(&mut self, value: i8) {
        self.feed(value as u64);
    }

    #[inline]
    fn write_i16(&mut self, value: i16) {
        self.feed(value as u64);
    }

    #[inline]
    fn write_i32(&mut self, value: i32) {
        self.feed(value as u64);
    }

    #[inline]
    fn write_i64(&mut self, value: i64) {
        self.feed(value as u64);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.feed(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::digest;

    #[test]
    fn a_digest_is_the_same_on_every_machine() {
        assert_eq!(digest(&()), 0x163c_b0c3_99ec_b1f6_13ae_e7e2_ce3e_5b1a);
        assert_eq!(digest(&(1_u8, "gateway.lock", [2_u16, 3])), 0xa59f_c5fe_46c8_b8a0_f8da_382a_d0e7_415b);
    }

    #[test]
    fn small_values_differ_in_each_half() {
        let mut halves = [BTreeSet::new(), BTreeSet::new()];
        let mut values = 0;
        for a in 0..64_u32 {
            for b in 0..64_u8 {
                for c in [&[][..], &[0], &[1], &[0, 0], &[0, 1], &[1, 0], &[1, 1]] {
                    let digest = digest(&(a, b, c));
                    halves[0].insert(digest as u64);
                    halves[1].insert((digest >> 64) as u64);
                    values += 1;
                }
            }
        }
        assert_eq!(halves.map(|half| half.len()), [values; 2]);
    }

    #[test]
    fn one_bit_changes_half_of_them() {
        let mut changed = 0;
        for bit in 0..64 {
            changed += (digest(&7_u64) ^ digest(&(7_u64 ^ (1 << bit)))).count_ones();
        }
        assert!((3_600..4_600).contains(&changed), "{changed} of 8192");
    }
}
