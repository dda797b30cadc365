//! Metrics that the control thread owns: of listeners and clusters as such, and those that Python
//! names.

use std::sync::atomic::Ordering;

use dragoman_cluster::{Health, Hosts};
use dragoman_loggers::FileStats;
use dragoman_stats::{
    Counter, Gauge, Histogram, Registry, ScopeHandle, Shard, Single, Unit, stats_struct,
};
use dragoman_worker::stats::{ClusterControlStats, FilesystemStats};
use rustc_hash::FxHashMap;

stats_struct! {
    /// `listener_manager.`
    pub(crate) struct ListenerManagerStats {
        counters:
            listener_added, listener_create_failure, listener_create_success,
            listener_in_place_updated, listener_modified, listener_removed, listener_stopped;
        gauges:
            total_filter_chains_draining, total_listeners_active, total_listeners_draining,
            total_listeners_warming, workers_started;
    }
}

stats_struct! {
    /// `cluster_manager.`
    pub(crate) struct ClusterManagerStats {
        counters:
            cluster_added, cluster_modified, cluster_removed, cluster_updated,
            cluster_updated_via_merge, update_merge_cancelled, update_out_of_merge_window;
        gauges: active_clusters, warming_clusters;
    }
}

/// The control thread's cells.
#[derive(Debug)]
pub(crate) struct ControlMetrics {
    pub(crate) listeners: Shard<ListenerManagerStats>,
    pub(crate) clusters: Shard<ClusterManagerStats>,
    filesystem: Shard<FilesystemStats>,
    /// What of the writing threads' numbers is in `filesystem`: completed, failed, not reopened.
    files_counted: [u64; 3],
    registry: Registry,
    shard: usize,
    by_cluster: FxHashMap<Box<str>, Shard<ClusterControlStats>>,
    /// What clusters' balancing policies tell.
    balancing: FxHashMap<Box<str>, Vec<Shard<Single<Gauge>>>>,
    counters: FxHashMap<String, Shard<Single<Counter>>>,
    gauges: FxHashMap<String, Shard<Single<Gauge>>>,
    histograms: FxHashMap<String, Shard<Single<Histogram>>>,
}

impl ControlMetrics {
    /// `shard`: the control thread's own.
    pub(crate) fn new(
        registry: &Registry,
        shard: usize,
        filesystem: &ScopeHandle<FilesystemStats>,
    ) -> ControlMetrics {
        let listeners: ScopeHandle<ListenerManagerStats> = registry.scope("listener_manager.");
        let clusters: ScopeHandle<ClusterManagerStats> = registry.scope("cluster_manager.");
        ControlMetrics {
            listeners: listeners.shard(shard),
            clusters: clusters.shard(shard),
            filesystem: filesystem.shard(shard),
            files_counted: [0; 3],
            registry: registry.clone(),
            shard,
            by_cluster: FxHashMap::default(),
            balancing: FxHashMap::default(),
            counters: FxHashMap::default(),
            gauges: FxHashMap::default(),
            histograms: FxHashMap::default(),
        }
    }

    /// What the threads that write log files counted.
    pub(crate) fn files_written(&mut self, files: &FileStats) {
        let counters = [&files.write_completed, &files.write_failed, &files.reopen_failed];
        let now = counters.map(|counter| counter.load(Ordering::Relaxed));
        let before = std::mem::replace(&mut self.files_counted, now);
        let stats = &self.filesystem;
        stats.write_completed.add(now[0] - before[0]);
        stats.write_failed.add(now[1] - before[1]);
        stats.reopen_failed.add(now[2] - before[2]);
        stats.write_total_buffered.set(files.queued_bytes.load(Ordering::Relaxed) as i64);
    }

    /// A cluster's own cells.
    pub(crate) fn cluster(&mut self, stat_name: &str) -> &Shard<ClusterControlStats> {
        let (registry, shard) = (&self.registry, self.shard);
        self.by_cluster
            .entry(stat_name.into())
            .or_insert_with(|| registry.scope(&format!("cluster.{stat_name}.")).shard(shard))
    }

    /// Forgets clusters that are gone.
    pub(crate) fn keep_clusters(&mut self, kept: impl Fn(&str) -> bool) {
        self.by_cluster.retain(|name, _| kept(name));
        self.balancing.retain(|name, _| kept(name));
    }

    /// A cluster's hosts changed.
    pub(crate) fn membership(&mut self, stat_name: &str, hosts: &Hosts) {
        let stats = self.cluster(stat_name);
        stats.membership_change.inc();
        stats.membership_total.set(hosts.all().len() as i64);
        stats.membership_healthy.set(hosts.count(Health::Healthy) as i64);
        stats.membership_degraded.set(hosts.count(Health::Degraded) as i64);
        let heaviest = hosts.all().iter().map(|h| h.weight).max().unwrap_or(0);
        // Envoy counts the heaviest host only where weights are set.
        stats.max_host_weight.set(if heaviest > 1 { i64::from(heaviest) } else { 0 });
    }

    /// A cluster's policy has other hosts.
    pub(crate) fn balancing(&mut self, stat_name: &str, gauges: Vec<(&'static str, u64)>) {
        let cell = |(name, value): (&str, u64)| {
            let cell =
                self.registry.gauge(&format!("cluster.{stat_name}.{name}")).shard(self.shard);
            cell.set(value as i64);
            cell
        };
        let cells = gauges.into_iter().map(cell).collect();
        self.balancing.insert(stat_name.into(), cells);
    }

    pub(crate) fn counter_add(&mut self, name: &str, by: u64) {
        let (registry, shard) = (&self.registry, self.shard);
        let cell = self.counters.entry(name.into());
        cell.or_insert_with(|| registry.counter(name).shard(shard)).add(by);
    }

    pub(crate) fn gauge_set(&mut self, name: &str, value: i64) {
        let (registry, shard) = (&self.registry, self.shard);
        let cell = self.gauges.entry(name.into());
        cell.or_insert_with(|| registry.gauge(name).shard(shard)).set(value);
    }

    pub(crate) fn histogram_record(&mut self, name: &str, unit: Unit, value: u64) {
        let (registry, shard) = (&self.registry, self.shard);
        let cell = self.histograms.entry(name.into());
        cell.or_insert_with(|| registry.histogram(name, unit).shard(shard)).record(value);
    }
}
