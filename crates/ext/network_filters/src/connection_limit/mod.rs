//! `envoy.filters.network.connection_limit`: so many connections at once by all chains that have this
//! filter's place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dragoman_listener::{Means, NetworkFilter, Opened, Stats, Verdict};
use dragoman_proto::pb::envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::{duration, unpack};
use dragoman_stats::stats_struct;
use dragoman_types::{Faults, Flags};

pub const MESSAGE: &str = "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit";

stats_struct! {
    /// `connection_limit.<stat_prefix>.`
    struct ConnectionLimitStats {
        counters: limited_connections;
        gauges: active_connections;
    }
}

#[derive(Debug)]
struct ConnectionLimit {
    most: u64,
    delay: Duration,
    counted: Arc<Counted>,
}

/// What the filter and the connections that it let in share.
#[derive(Debug)]
struct Counted {
    /// Of all workers.
    open: AtomicU64,
    stats: Stats<ConnectionLimitStats>,
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
    let prefix = format!("connection_limit.{}.", message.stat_prefix.replace(':', "_"));
    Some(Arc::new(ConnectionLimit {
        most: message.max_connections.map_or(u64::MAX, |most| most.value),
        delay: message.delay.as_ref().map(duration).unwrap_or_default(),
        counted: Arc::new(Counted { open: AtomicU64::new(0), stats: Stats::new(means, &prefix) }),
    }))
}

impl NetworkFilter for ConnectionLimit {
    fn open(&self, opened: &Opened<'_>) -> Verdict {
        let counted = &self.counted;
        let room = |open: u64| (open < self.most).then_some(open + 1);
        let stats = counted.stats.of(opened.worker);
        if counted.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            stats.limited_connections.inc();
            return Verdict::Close { after: self.delay, flags: Flags::NONE };
        }
        stats.active_connections.inc();
        Verdict::Hold(Box::new(Place { counted: counted.clone(), worker: opened.worker }))
    }
}

/// One connection's place, until it ends.
struct Place {
    counted: Arc<Counted>,
    worker: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counted.open.fetch_sub(1, Ordering::Relaxed);
        self.counted.stats.of(self.worker).active_connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragoman_stats::Registry;
    use dragoman_types::Moment;

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let registry = Registry::new(2);
        let stats = Stats::new(&Means { registry: &registry }, "connection_limit.a.");
        let counted = Arc::new(Counted { open: AtomicU64::new(0), stats });
        let delay = Duration::from_secs(1);
        let limit = ConnectionLimit { most: 2, delay, counted };
        let open = |worker| limit.open(&Opened { hello: None, worker, now: Moment::START });
        let (one, two) = (open(0), open(1));
        assert!(matches!((&one, &two), (Verdict::Hold(_), Verdict::Hold(_))));
        assert!(matches!(open(0), Verdict::Close { after, .. } if after == delay));
        drop(one);
        assert!(matches!(open(1), Verdict::Hold(_)));
        drop(two);
        assert_eq!(limit.counted.open.load(Ordering::Relaxed), 0);
    }
}
