//! The process's clock: the only place that reads it.

use std::sync::OnceLock;

use dragoman_types::Moment;
use rustix::time::{ClockId, clock_gettime};

/// The clock's nanoseconds when it was first read.
static START: OnceLock<u64> = OnceLock::new();

fn nanos() -> u64 {
    // A third of the cost of `Instant::now` and a subtraction of two of them.
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The present moment.
pub fn now() -> Moment {
    let now = nanos();
    let since = now.saturating_sub(*START.get_or_init(|| now));
    Moment::from_number(since + 1).unwrap_or(Moment::START)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on() {
        let earlier = now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(now().millis_since(earlier) >= 2);
    }
}
