//! Pauses between attempts.

use std::time::Duration;

/// `max` is so many times `base`, unless set.
const GROWTH: u32 = 10;

/// Each pause is a random part of an interval that doubles from `base` up to `max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackOff {
    base: Duration,
    max: Duration,
}

impl BackOff {
    /// Less than a millisecond counts as one. `max`: ten times `base`, unless set.
    pub fn new(base: Duration, max: Option<Duration>) -> BackOff {
        let base = base.max(Duration::from_millis(1));
        BackOff { base, max: max.unwrap_or(base * GROWTH) }
    }

    pub fn pauses(self) -> Pauses {
        Pauses { interval: self.base, max: self.max }
    }
}

/// What is left of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pauses {
    /// The interval that the next one is a part of.
    interval: Duration,
    max: Duration,
}

impl Pauses {
    /// The next one. `random`: evenly spread over all values.
    pub fn next(&mut self, random: u64) -> Duration {
        let pause = random_part(self.interval.min(self.max), random);
        self.interval = (self.interval * 2).min(self.max);
        pause
    }
}

/// A random part of `whole`, in milliseconds; never all of it.
pub fn random_part(whole: Duration, random: u64) -> Duration {
    let whole = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        // The longest that there can be: the number is -1 of each interval.
        let longest = u64::MAX / 600 * 600 - 1;
        let mut pauses = BackOff::new(ms(10), Some(ms(30))).pauses();
        assert_eq!([0; 4].map(|_| pauses.next(longest)), [ms(9), ms(19), ms(29), ms(29)]);
        let mut pauses = BackOff::new(ms(25), None).pauses();
        let longest = u64::MAX / 1000 * 1000 - 1;
        let all = [0; 5].map(|_| pauses.next(longest));
        assert_eq!(all, [ms(24), ms(49), ms(99), ms(199), ms(249)]);
    }

    #[test]
    fn the_shortest_is_none() {
        let mut pauses = BackOff::new(Duration::ZERO, None).pauses();
        assert_eq!(pauses.next(7), Duration::ZERO);
        assert_eq!(random_part(ms(2), 7), ms(1));
    }
}
