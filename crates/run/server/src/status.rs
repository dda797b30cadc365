//! What runs, as the admin interface shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dragoman_cluster::{Health, Host, Thresholds};
use dragoman_stats::ScopeHandle;
use dragoman_worker::snapshot::ClusterEntry;
use dragoman_worker::stats::HostStats;

/// One endpoint.
#[derive(Clone, Debug)]
pub struct HostStatus {
    pub host: Arc<Host>,
    /// `healthy`, or Envoy's flags.
    pub health_flags: String,
    pub stats: BTreeMap<&'static str, u64>,
}

/// One cluster.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    pub name: String,
    pub observability_name: String,
    /// (default priority, high priority)
    pub thresholds: [Thresholds; 2],
    pub hosts: Vec<HostStatus>,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerStatus {
    pub name: String,
    pub addresses: Vec<String>,
    pub draining: bool,
    pub inbound: bool,
}

impl ClusterStatus {
    pub(crate) fn of(entry: &ClusterEntry, workers: usize) -> ClusterStatus {
        let host = |(place, host): (usize, &Arc<Host>)| HostStatus {
            host: host.clone(),
            health_flags: match host.health {
                Health::Healthy => "healthy".into(),
                Health::Degraded => "/degraded_eds_health".into(),
                Health::Unhealthy => "/failed_eds_health".into(),
            },
            stats: host_stats(&entry.host_stats[place], workers),
        };
        ClusterStatus {
            name: entry.config.name.to_string(),
            observability_name: entry.config.stat_name.to_string(),
            thresholds: entry.config.thresholds,
            hosts: entry.hosts.all().iter().enumerate().map(host).collect(),
        }
    }
}

fn host_stats(handle: &ScopeHandle<HostStats>, workers: usize) -> BTreeMap<&'static str, u64> {
    let shards: Vec<_> = (0..workers).map(|i| handle.shard(i)).collect();
    let counter = |of: fn(&HostStats) -> u64| shards.iter().map(|s| of(s)).sum::<u64>();
    let gauge = |of: fn(&HostStats) -> i64| shards.iter().map(|s| of(s)).sum::<i64>().max(0) as u64;
    BTreeMap::from([
        ("cx_active", gauge(|s| s.cx_active.value())),
        ("cx_connect_fail", counter(|s| s.cx_connect_fail.value())),
        ("cx_total", counter(|s| s.cx_total.value())),
        ("rq_active", gauge(|s| s.rq_active.value())),
        ("rq_error", counter(|s| s.rq_error.value())),
        ("rq_success", counter(|s| s.rq_success.value())),
        ("rq_timeout", counter(|s| s.rq_timeout.value())),
        ("rq_total", counter(|s| s.rq_total.value())),
    ])
}
