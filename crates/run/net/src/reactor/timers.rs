//! Who waits for which moment.

use std::collections::BTreeMap;
use std::task::Waker;

use dragoman_types::Moment;

/// An armed timer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Timer {
    pub(crate) at: Moment,
    /// Tells those of one moment apart.
    number: u32,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: BTreeMap<Timer, Waker>,
    count: u32,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Moment, waker: Waker) -> Timer {
        self.count = self.count.wrapping_add(1);
        let timer = Timer { at, number: self.count };
        self.armed.insert(timer, waker);
        timer
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        self.armed.remove(&timer);
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.armed.first_key_value().map(|(timer, _)| timer.at)
    }

    /// Wakes those whose moment is not after `now`.
    pub(super) fn fire(&mut self, now: Moment) {
        while let Some(first) = self.armed.first_entry() {
            if first.key().at > now {
                return;
            }
            first.remove().wake();
        }
    }
}
