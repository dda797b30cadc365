//! The process's clock: the only place that reads it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dragoman_types::Moment;
use rustix::time::{ClockId, clock_gettime};

/// The clock's nanoseconds when it was first read, and the same in the library's words.
static START: OnceLock<(u64, Instant)> = OnceLock::new();

fn nanos() -> u64 {
    // A third of the cost of `Instant::now` and a subtraction of two of them.
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn start() -> (u64, Instant) {
    *START.get_or_init(|| (nanos(), Instant::now()))
}

/// The present moment.
pub fn now() -> Moment {
    let since = nanos().saturating_sub(start().0);
    Moment::from_number(since + 1).unwrap_or(Moment::START)
}

/// A moment as tokio's timers take it; `None` beyond what the system's clock can say.
pub fn instant(moment: Moment) -> Option<Instant> {
    start().1.checked_add(Duration::from_nanos(moment.nanos_since(Moment::START)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_tell_the_same() {
        // As far apart as their two first readings may be, if the thread was put aside between them.
        let slack = Duration::from_secs(1);
        let before = Instant::now();
        let told = instant(now()).unwrap();
        assert!(told + slack >= before && told <= Instant::now() + slack);
        let earlier = now();
        assert!(now() >= earlier);
    }
}
