//! `envoy.filters.network.local_ratelimit`: each connection takes a token, and is closed without one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dragoman_listener::{Means, NetworkFilter, Opened, Stats, Verdict};
use dragoman_proto::pb::envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::{duration, u32_or, unpack};
use dragoman_stats::stats_struct;
use dragoman_types::{Faults, Flags, Moment};

pub const MESSAGE: &str = "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit";

/// Envoy takes no shorter one.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);

stats_struct! {
    /// `local_rate_limit.<stat_prefix>.`
    struct LocalRateLimitStats {
        counters: rate_limited;
    }
}

#[derive(Debug)]
struct LocalRateLimit {
    bucket: Mutex<Bucket>,
    stats: Stats<LocalRateLimitStats>,
}

/// Tokens that come back with time, all workers' together.
#[derive(Debug)]
struct Bucket {
    most: u64,
    per_fill: u64,
    interval: Duration,
    tokens: u64,
    /// When tokens last came; `None`: nobody has asked yet.
    filled: Option<Moment>,
}

impl Bucket {
    fn take(&mut self, now: Moment) -> bool {
        let filled = *self.filled.get_or_insert(now);
        let fills = now.since(filled).as_nanos() / self.interval.as_nanos().max(1);
        let fills = u32::try_from(fills).unwrap_or(u32::MAX);
        if fills > 0 {
            let fresh = u64::from(fills).saturating_mul(self.per_fill);
            self.tokens = self.tokens.saturating_add(fresh).min(self.most);
            self.filled = Some(filled.after(self.interval.saturating_mul(fills)));
        }
        let has = self.tokens > 0;
        self.tokens -= u64::from(has);
        has
    }
}

pub fn compile(
    any: &Any,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<Arc<dyn NetworkFilter>> {
    let message: Message = unpack(any, faults)?;
    if message.runtime_enabled.is_some() {
        faults.add_at("runtime_enabled", "unsupported", "runtime values aren't read");
    }
    if !message.share_key.is_empty() {
        faults.add_at("share_key", "unsupported", "each filter has a bucket of its own");
    }
    let Some(bucket) = &message.token_bucket else {
        faults.add_at("token_bucket", "missing", "a token bucket is needed");
        return None;
    };
    let interval = bucket.fill_interval.as_ref().map(duration).unwrap_or_default();
    if interval < SHORTEST_INTERVAL {
        let why = "it must be at least 50ms";
        faults.add_at("token_bucket.fill_interval", "out-of-bounds", why);
    }
    let most = u64::from(bucket.max_tokens);
    let per_fill = u64::from(u32_or(bucket.tokens_per_fill.as_ref(), 1));
    let prefix = format!("local_rate_limit.{}.", message.stat_prefix.replace(':', "_"));
    Some(Arc::new(LocalRateLimit {
        bucket: Mutex::new(Bucket { most, per_fill, interval, tokens: most, filled: None }),
        stats: Stats::new(means, &prefix),
    }))
}

impl NetworkFilter for LocalRateLimit {
    fn open(&self, opened: &Opened<'_>) -> Verdict {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.take(opened.now) {
            return Verdict::Pass;
        }
        self.stats.of(opened.worker).rate_limited.inc();
        Verdict::Close { after: Duration::ZERO, flags: Flags::UPSTREAM_RETRY_LIMIT_EXCEEDED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_with_time() {
        let interval = Duration::from_millis(100);
        let mut bucket = Bucket { most: 3, per_fill: 2, interval, tokens: 3, filled: None };
        let at = |ms| Moment::START.after(Duration::from_millis(ms));
        let mut took = |ms| (0..5).filter(|_| bucket.take(at(ms))).count();
        assert_eq!(took(0), 3);
        assert_eq!(took(99), 0);
        assert_eq!(took(100), 2);
        assert_eq!(took(250), 2);
        // What was left of an interval isn't lost.
        assert_eq!(took(300), 2);
        assert_eq!(took(10_000_000), 3);
    }
}
