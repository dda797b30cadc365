//! Earliest deadline first: hosts are picked in proportion to weights that may change between
//! picks. A host of weight w comes round every 1/w.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines are fixed-point so that they have a total order.
const UNIT: f64 = (1u64 << 20) as f64;

#[derive(Debug, Default)]
pub(crate) struct Edf {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    /// Ties are served in the order of their arrival.
    arrivals: u64,
    now: u64,
}

impl Edf {
    pub(crate) fn add(&mut self, host: usize, weight: f64) {
        self.arrivals += 1;
        let deadline = self.now + (UNIT / weight.max(1e-6)) as u64;
        self.heap.push(Reverse((deadline, self.arrivals, host)));
    }

    /// The next host; it comes back with the weight that `weight` gives it now.
    pub(crate) fn pick(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let Reverse((deadline, _, host)) = self.heap.pop()?;
        self.now = deadline;
        self.add(host, weight(host));
        Some(host)
    }
}
