//! Back-off strategies, of which Envoy has two messages of one shape.

use std::time::Duration;

use dragoman_types::{BackOff, Faults};
use envoy_types::pb::google::protobuf as wkt;

use crate::duration;

/// Compiles `base_interval` and `max_interval`. Faults: `bad-value` (no base, or one above the maximum).
pub fn compile(
    base: Option<&wkt::Duration>,
    max: Option<&wkt::Duration>,
    faults: &mut Faults,
) -> BackOff {
    let set = |value: Option<&wkt::Duration>| value.map(duration).filter(|set| !set.is_zero());
    let (base, max) = (set(base), set(max));
    if base.is_none() {
        faults.add_at("base_interval", "bad-value", "must be more than 0 s");
    }
    let base = base.unwrap_or(Duration::from_millis(1));
    if max.is_some_and(|max| max < base) {
        faults.add_at("max_interval", "bad-value", "must be at least base_interval");
    }
    BackOff::new(base, max)
}
