//! Points in time as one number, so that a request's times cost an addition and 8 bytes each. Reading
//! the clock is `dragoman-net`'s.

use std::num::NonZeroU64;
use std::time::Duration;

/// A point of the process's monotonic clock, in nanoseconds since it was first read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The clock's beginning.
    pub const START: Moment = Moment(NonZeroU64::MIN);

    /// So long behind `self`; what lies beyond 584 years is as good as never.
    #[inline]
    #[must_use]
    pub fn after(self, wait: Duration) -> Moment {
        let whole = wait.as_secs().saturating_mul(1_000_000_000);
        Moment(self.0.saturating_add(whole).saturating_add(u64::from(wait.subsec_nanos())))
    }

    /// The time between `earlier` and `self`; zero if they lie the other way round.
    #[inline]
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// As [`Moment::since`], in nanoseconds.
    #[inline]
    pub fn nanos_since(self, earlier: Moment) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// As [`Moment::since`], in whole milliseconds.
    #[inline]
    pub fn millis_since(self, earlier: Moment) -> u64 {
        self.nanos_since(earlier) / 1_000_000
    }

    /// `None` if they lie the other way round.
    pub fn checked_since(self, earlier: Moment) -> Option<Duration> {
        (earlier <= self).then(|| self.since(earlier))
    }

    /// A number that [`Moment::from_number`] takes back; never 0.
    pub fn number(self) -> u64 {
        self.0.get()
    }

    /// `None` for 0.
    pub fn from_number(number: u64) -> Option<Moment> {
        NonZeroU64::new(number).map(Moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_and_never_wraps() {
        let second = Moment::START.after(Duration::from_millis(1500));
        assert_eq!(second.since(Moment::START), Duration::from_millis(1500));
        assert_eq!(second.millis_since(Moment::START), 1500);
        assert_eq!(Moment::START.since(second), Duration::ZERO);
        assert_eq!(Moment::START.checked_since(second), None);
        assert!(second.after(Duration::MAX) > second);
        assert_eq!(Moment::from_number(second.number()), Some(second));
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
