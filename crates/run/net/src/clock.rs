//! The process's clock: the only place that reads it.

use std::sync::OnceLock;
use std::time::Instant;

use dragoman_types::Moment;

static START: OnceLock<Instant> = OnceLock::new();

fn start() -> Instant {
    *START.get_or_init(Instant::now)
}

/// The present moment.
pub fn now() -> Moment {
    let start = start();
    Moment::START.after(start.elapsed())
}

/// A moment as tokio's timers take it; `None` beyond what the system's clock can say.
pub fn instant(moment: Moment) -> Option<Instant> {
    start().checked_add(moment.since(Moment::START))
}
