//! What the reader makes of a histogram's bins: count, sum, quantiles, buckets.
//!
//! The figures are Envoy's: type 1 quantiles, a sample's expected place inside its bin being
//! `k / (n + 1)` of the way, sums from bin middles, and buckets that count a whole bin as soon as
//! their bound falls into it. Must not know: cells, shards, names.

use crate::Unit;
use crate::bins::{lower, midpoint, parts, parts_of_bound, width};

/// The quantiles Envoy shows.
pub const QUANTILES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.90, 0.95, 0.99, 0.995, 0.999, 1.0];

/// Envoy's default upper bounds of buckets, in the unit that is read.
pub const BUCKETS: [f64; 19] = [
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2500.0, 5e3, 1e4, 3e4, 6e4, 3e5,
    6e5, 1.8e6, 3.6e6,
];

/// A bin that is not empty, in the unit that is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Least value counted here.
    pub lower: f64,
    /// Distance to the next bin; zero for the bin of zero.
    pub width: f64,
    /// How many values.
    pub count: u64,
}

/// Counted values by bin. The unit's divisor applies to everything read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    unit: Unit,
    /// Bin number and count, by number, none empty.
    bins: Vec<(u16, u64)>,
}

impl Distribution {
    /// Nothing recorded.
    pub fn empty(unit: Unit) -> Self {
        Self { unit, bins: Vec::new() }
    }

    /// From bins in any order; one number may come more than once.
    pub(crate) fn from_bins(unit: Unit, mut bins: Vec<(u16, u64)>) -> Self {
        bins.sort_unstable_by_key(|&(number, _)| number);
        bins.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        Self { unit, bins }
    }

    /// What came since `earlier`, an earlier state of the same histogram.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut old = earlier.bins.iter().peekable();
        let mut bins = Vec::new();
        for &(number, count) in &self.bins {
            while old.next_if(|bin| bin.0 < number).is_some() {}
            let before = old.next_if(|bin| bin.0 == number).map_or(0, |bin| bin.1);
            if count > before {
                bins.push((number, count - before));
            }
        }
        Self { unit: self.unit, bins }
    }

    /// Both together.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let all = self.bins.iter().chain(&other.bins).copied().collect();
        Self::from_bins(self.unit, all)
    }

    /// True if nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.1).sum()
    }

    /// The sum of the recorded values, each taken as the middle of its bin.
    pub fn sum(&self) -> f64 {
        let sum: f64 = self.bins.iter().map(|&(bin, count)| midpoint(bin) * count as f64).sum();
        sum / self.unit.divisor()
    }

    /// The bins that are not empty, by value.
    pub fn bins(&self) -> impl Iterator<Item = Bin> + '_ {
        let by = self.unit.divisor();
        self.bins.iter().map(move |&(bin, count)| Bin {
            lower: lower(bin) / by,
            width: width(bin) / by,
            count,
        })
    }

    /// Values at [`QUANTILES`]; all NaN if nothing was recorded.
    pub fn quantiles(&self) -> [f64; QUANTILES.len()] {
        self.quantiles_at(QUANTILES)
    }

    /// Values at quantiles, which are from 0 to 1 and rise; all NaN if nothing was recorded.
    pub fn quantiles_at<const N: usize>(&self, quantiles: [f64; N]) -> [f64; N] {
        let mut bins = self.bins.iter().copied();
        let Some((mut bin, mut inside)) = bins.next() else { return [f64::NAN; N] };
        let total = self.count() as f64;
        // How many values lie in the bins before this one.
        let mut before = 0.0;
        quantiles.map(|quantile| {
            let rank = total * quantile;
            while before + (inside as f64) < rank {
                let Some(next) = bins.next() else { break };
                before += inside as f64;
                (bin, inside) = next;
            }
            // Quantile 0 is the first value, not one before it.
            let k = (rank - before).ceil().max(1.0);
            (lower(bin) + k / (inside as f64 + 1.0) * width(bin)) / self.unit.divisor()
        })
    }

    /// For each bound, which rise, how many values are at most in the bound's bin.
    pub fn counts_below(&self, bounds: &[f64]) -> Vec<u64> {
        let by = self.unit.divisor();
        let mut bins = self.bins.iter().peekable();
        let mut running = 0;
        let below = bounds.iter().map(|bound| {
            let bound = parts_of_bound(bound * by);
            while let Some(bin) = bins.next_if(|bin| parts(bin.0) <= bound) {
                running += bin.1;
            }
            running
        });
        below.collect()
    }
}

/// A histogram as of the last flush.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The unit it was declared with.
    pub unit: Unit,
    /// What came between the last two flushes.
    pub interval: Distribution,
    /// Everything up to the last flush.
    pub cumulative: Distribution,
}

impl Summary {
    pub(crate) fn empty(unit: Unit) -> Self {
        Self { unit, interval: Distribution::empty(unit), cumulative: Distribution::empty(unit) }
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            unit: self.unit,
            interval: self.interval.plus(&other.interval),
            cumulative: self.cumulative.plus(&other.cumulative),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bins: &[(u16, u64)]) -> Distribution {
        Distribution::from_bins(Unit::Milliseconds, bins.to_vec())
    }

    #[test]
    fn nothing_recorded_has_no_quantiles() {
        assert!(of(&[]).quantiles().iter().all(|value| value.is_nan()));
        assert_eq!((of(&[]).count(), of(&[]).sum()), (0, 0.0));
        assert_eq!(of(&[]).counts_below(&BUCKETS), [0; 19]);
    }

    #[test]
    fn one_value_sits_in_the_middle_of_its_bin() {
        assert_eq!(of(&[(1, 1)]).quantiles(), [1.05; 10]);
        assert_eq!(of(&[(0, 7)]).quantiles(), [0.0; 10]);
    }

    #[test]
    fn since_is_the_inverse_of_plus() {
        let (early, late) = (of(&[(1, 2), (40, 1)]), of(&[(0, 4), (1, 3), (99, 1)]));
        let both = early.plus(&late);
        assert_eq!(both.count(), 11);
        assert_eq!(both.since(&early), late);
        assert_eq!(both.since(&late), early);
        assert!(both.since(&both).is_empty());
    }

    #[test]
    fn the_divisor_applies_to_all_that_is_read() {
        let bins = vec![(100, 1)];
        let micros = Distribution::from_bins(Unit::MicrosAsMillis, bins.clone());
        let plain = Distribution::from_bins(Unit::Microseconds, bins);
        assert_eq!(micros.quantiles(), plain.quantiles().map(|value| value / 1e3));
        assert_eq!(micros.sum(), plain.sum() / 1e3);
        assert_eq!(micros.counts_below(&[0.09, 0.1]), plain.counts_below(&[90.0, 100.0]));
        assert_eq!(micros.bins().next().map(|bin| (bin.lower, bin.width)), Some((0.1, 0.01)));
    }
}
