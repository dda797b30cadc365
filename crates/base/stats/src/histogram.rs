//! A histogram's cells: what a worker writes when it records a value.
//!
//! Bounded: nothing until the first value, then about half a kilobyte, and 720 bytes for each
//! decade seen (19 at most). Must not know: names, intervals, percentiles.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::bins::{DECADES, PER_DECADE, SMALL, number, place};
use crate::cell::zeroed;

/// What the numbers of a histogram mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Plain numbers.
    Unspecified,
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
    /// Microseconds, read as microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Recorded in microseconds, read in milliseconds.
    MicrosAsMillis,
    /// Recorded in millionths (1.0 is 1,000,000), read as a fraction.
    Percent,
}

impl Unit {
    /// What the reader divides recorded values by.
    pub fn divisor(self) -> f64 {
        match self {
            Unit::MicrosAsMillis => 1e3,
            Unit::Percent => 1e6,
            _ => 1.0,
        }
    }
}

type Decade = Box<[AtomicU64; PER_DECADE]>;

#[derive(Debug, Default)]
struct Cells {
    small: [AtomicU64; SMALL],
    decades: [OnceLock<Decade>; DECADES],
}

/// A histogram's share of one shard.
#[derive(Debug, Default)]
pub struct Histogram(OnceLock<Box<Cells>>);

impl Histogram {
    /// Records one value, in the unit the histogram was declared with.
    #[inline]
    pub fn record(&self, value: u64) {
        let cells = self.0.get_or_init(Box::default);
        let cell = if value < SMALL as u64 {
            &cells.small[value as usize]
        } else {
            let (decade, bin) = place(value);
            &cells.decades[decade].get_or_init(zeroed)[bin]
        };
        cell.store(cell.load(Relaxed) + 1, Relaxed);
    }

    /// Calls `each` with the number and count of every bin that is not empty, in order.
    pub(crate) fn for_each(&self, mut each: impl FnMut(u16, u64)) {
        let Some(cells) = self.0.get() else { return };
        let mut show = |number, cell: &AtomicU64| match cell.load(Relaxed) {
            0 => {}
            count => each(number, count),
        };
        for (value, cell) in cells.small.iter().enumerate() {
            show(value as u16, cell);
        }
        for (decade, bins) in cells.decades.iter().enumerate() {
            for (bin, cell) in bins.get().into_iter().flat_map(|bins| bins.iter().enumerate()) {
                show(number(decade, bin), cell);
            }
        }
    }

    /// True once a value was recorded.
    pub(crate) fn used(&self) -> bool {
        self.0.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_every_magnitude() {
        let histogram = Histogram::default();
        assert!(!histogram.used());
        for value in [0, 9, 10, 99, 100, 109, 110, u64::MAX] {
            histogram.record(value);
        }
        let mut seen = Vec::new();
        histogram.for_each(|number, count| seen.push((number, count)));
        assert_eq!(seen, [(0, 1), (9, 1), (10, 1), (99, 1), (100, 2), (101, 1), (1638, 1)]);
    }
}
