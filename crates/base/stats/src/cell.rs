//! The cells a worker writes: counter, gauge and the family of response codes.
//!
//! Law: one writer per cell, so load-then-store is exact. The lowest bit of a cell says "written
//! at least once" (the reader's `used`), which keeps a write at one load and one store.
//! Must not know: names, scopes, other shards.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// A count that only grows. 63 bits.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`; `add(0)` still marks the counter as used.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n << 1) | 1, Relaxed);
    }

    /// This shard's count.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed) >> 1
    }

    pub(crate) fn used(&self) -> bool {
        self.0.load(Relaxed) & 1 == 1
    }
}

/// A level: this shard's share of a sum, so it may be negative. 63 bits.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Takes one.
    #[inline]
    pub fn dec(&self) {
        self.add(-1);
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n << 1) | 1, Relaxed);
    }

    /// Takes `n`.
    #[inline]
    pub fn sub(&self, n: i64) {
        self.add(n.wrapping_neg());
    }

    /// Sets this shard's share. A gauge that is set should be set from one shard only, since the
    /// reader shows the sum.
    #[inline]
    pub fn set(&self, n: i64) {
        self.0.store(n << 1 | 1, Relaxed);
    }

    /// This shard's share.
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed) >> 1
    }

    pub(crate) fn used(&self) -> bool {
        self.0.load(Relaxed) & 1 == 1
    }
}

/// First code of the family that has its own cell; there are 500.
const FIRST: u16 = 100;

/// Responses by status code. One write per response; the reader shows `<stem><code>`,
/// `<stem><class>xx` and `<stem>completed` once they are not zero.
#[derive(Debug, Default)]
pub struct Codes {
    classes: [OnceLock<Box<[AtomicU64; 100]>>; 5],
    unknown: AtomicU64,
}

impl Codes {
    /// Counts one response. A code outside 100..=599 is counted as `<stem>unknown`.
    #[inline]
    pub fn record(&self, code: u16) {
        let at = usize::from(code.wrapping_sub(FIRST));
        let cell = match self.classes.get(at / 100) {
            Some(class) => &class.get_or_init(zeroed)[at % 100],
            None => &self.unknown,
        };
        cell.store(cell.load(Relaxed) + 1, Relaxed);
    }

    /// True once a response was counted.
    pub(crate) fn used(&self) -> bool {
        self.unknown.load(Relaxed) > 0 || self.classes.iter().any(|class| class.get().is_some())
    }

    /// Adds this shard's counts to `into`: 500 codes, then unknown.
    pub(crate) fn add_to(&self, into: &mut [u64]) {
        for (class, slots) in self.classes.iter().zip(into.chunks_mut(100)) {
            let Some(cells) = class.get() else { continue };
            for (cell, slot) in cells.iter().zip(slots) {
                *slot += cell.load(Relaxed);
            }
        }
        if let Some(slot) = into.get_mut(500) {
            *slot += self.unknown.load(Relaxed);
        }
    }
}

/// How many slots `Codes::add_to` fills.
pub(crate) const CODE_SLOTS: usize = 501;

pub(crate) fn zeroed<const N: usize>() -> Box<[AtomicU64; N]> {
    Box::new([const { AtomicU64::new(0) }; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_counts_and_knows_it_was_used() {
        let counter = Counter::default();
        assert!(!counter.used());
        counter.add(0);
        assert!(counter.used());
        counter.inc();
        counter.add(41);
        assert_eq!(counter.value(), 42);
    }

    #[test]
    fn gauge_goes_below_zero_and_back() {
        let gauge = Gauge::default();
        gauge.dec();
        gauge.sub(4);
        assert_eq!((gauge.value(), gauge.used()), (-5, true));
        gauge.add(7);
        assert_eq!(gauge.value(), 2);
        gauge.set(-9);
        gauge.inc();
        assert_eq!(gauge.value(), -8);
    }

    #[test]
    fn codes_outside_the_family_are_unknown() {
        let codes = Codes::default();
        for code in [100, 200, 200, 599, 600, 99, 0, 65535] {
            codes.record(code);
        }
        let mut slots = [0; CODE_SLOTS];
        codes.add_to(&mut slots);
        assert_eq!((slots[0], slots[100], slots[499], slots[500]), (1, 2, 1, 4));
        assert_eq!(slots.iter().sum::<u64>(), 8);
    }
}
