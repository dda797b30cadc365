//! Latencies in buckets of at most 1/64 relative width: fixed size, one increment a request.

const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();

pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        let size = bucket_of(u64::MAX) + 1;
        Self { buckets: vec![0; size], count: 0, sum: 0, max: 0 }
    }

    pub(crate) fn add(&mut self, value: u64) {
        self.buckets[bucket_of(value)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// The least value that `share` (0..=1) of all values do not exceed, within a bucket's width.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return top_of(bucket).min(self.max);
            }
        }
        self.max
    }

    pub(crate) fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }
}

fn bucket_of(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let shift = value.ilog2() - STEP_BITS;
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

fn top_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let low = (bucket - shift * STEPS) << shift;
    low + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_within_its_bucket() {
        for value in [0, 1, 63, 64, 65, 127, 128, 1000, 123_456_789, u64::MAX] {
            let top = top_of(bucket_of(value));
            assert!(top >= value, "{value}");
            assert!(top - value <= value / STEPS, "{value}");
        }
        assert_eq!(bucket_of(63) + 1, bucket_of(64));
        assert_eq!(bucket_of(127) + 1, bucket_of(128));
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let mut histogram = Histogram::new();
        (1..=10_000).for_each(|value| histogram.add(value));
        for (share, exact) in [(0.5, 5_000_u64), (0.9, 9_000), (0.99, 9_900), (1.0, 10_000)] {
            let got = histogram.quantile(share);
            assert!(got.abs_diff(exact) <= exact / STEPS, "{share}: {got}");
        }
        assert_eq!(histogram.mean(), 5_000);
        assert_eq!(histogram.max(), 10_000);
    }
}
