//! A part of a state that clones share until one of them changes it, and that is hashed once for all of them.
//!
//! A step changes one or two parts. All others keep their memory and their digest, so a step costs what it touches and
//! not what the machine holds: a gateway with its whole block of ports has more than a hundred sockets.
//!
//! # Invariants
//!
//! - The digest is a function of the value alone: [`Shared::edit`], the only way to change the value, forgets it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest;

/// A value with copy-on-write clones and a remembered 128-bit digest.
pub struct Shared<T>(Arc<Remembered<T>>);

struct Remembered<T> {
    value: T,
    digest: Digest,
}

/// Its two halves; 0 where it is not known. Whoever finds one of them finds the right one, since all that set them agree.
#[derive(Default)]
struct Digest([AtomicU64; 2]);

impl Digest {
    fn get(&self) -> Option<u128> {
        let [high, low] = self.0.each_ref().map(|half| half.load(Ordering::Relaxed));
        (high != 0 && low != 0).then_some((u128::from(high) << 64) | u128::from(low))
    }

    fn set(&self, digest: u128) {
        let [high, low] = &self.0;
        high.store((digest >> 64) as u64, Ordering::Relaxed);
        low.store(digest as u64, Ordering::Relaxed);
    }
}

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Remembered { value, digest: Digest::default() }))
    }
}

impl<T: Hash> Shared<T> {
    /// The digest of the value.
    pub(crate) fn digest(&self) -> u128 {
        self.0.digest.get().unwrap_or_else(|| {
            let digest = digest::digest(&self.0.value);
            self.0.digest.set(digest);
            digest
        })
    }
}

impl<T: Clone> Shared<T> {
    /// The value, to be changed: copied first if somebody else shares it.
    pub(crate) fn edit(&mut self) -> &mut T {
        let remembered = Arc::make_mut(&mut self.0);
        remembered.digest = Digest::default();
        &mut remembered.value
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.edit()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Most parts of a state are those of the state before: counting their clones down and up again would be for nothing.
    fn clone_from(&mut self, source: &Self) {
        if !Arc::ptr_eq(&self.0, &source.0) {
            self.0 = Arc::clone(&source.0);
        }
    }
}

impl<T: Clone> Clone for Remembered<T> {
    /// Only [`Shared::edit`] copies, and it is about to change the value: a digest would be stale at once.
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), digest: Digest::default() }
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.digest());
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(value: &Shared<Vec<u8>>) -> u128 {
        digest::digest(value)
    }

    #[test]
    fn a_change_reaches_the_digest_but_not_the_other_clone() {
        let before = Shared::new(vec![1]);
        let old = digest(&before);
        let mut after = before.clone();
        after.edit().push(2);
        assert_eq!(*before, [1]);
        assert_ne!(digest(&after), old);
        after.edit().pop();
        assert_eq!(digest(&after), old);
        assert_eq!(after, before);
    }

    #[test]
    fn an_edit_in_place_forgets_the_digest() {
        let mut alone = Shared::new(vec![1]);
        let old = digest(&alone);
        alone.edit().push(2);
        assert_ne!(digest(&alone), old);
    }
}
