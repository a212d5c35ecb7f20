//! Numbers for values that come again and again, so that they are compared and stored as numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Each value once, numbered from 0 in the order in which they came.
pub(crate) struct Numbered<T> {
    numbers: BTreeMap<Arc<T>, u32>,
    values: Vec<Arc<T>>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), values: Vec::new() }
    }
}

impl<T: Ord + Clone> Numbered<T> {
    /// The number of a value, which may be a fresh one.
    pub(crate) fn number(&mut self, value: &T) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let Ok(number) = u32::try_from(self.values.len()) else {
            unreachable!("more than 2^32 values do not fit into memory")
        };
        let value = Arc::new(value.clone());
        self.numbers.insert(Arc::clone(&value), number);
        self.values.push(value);
        number
    }

    /// The number of a value that has one.
    pub(crate) fn known(&self, value: &T) -> Option<u32> {
        self.numbers.get(value).copied()
    }

    /// The value with a number.
    pub(crate) fn value(&self, number: u32) -> &Arc<T> {
        &self.values[number as usize]
    }
}
