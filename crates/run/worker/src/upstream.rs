//! A worker's view of the clusters: balancers, pools and this worker's cells of their stats.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dragoman_cluster::{Balancer, Cluster, Host, Pick, Thresholds};
use dragoman_net::clock;
use dragoman_pool::{Acquired, Pool, Room};
use dragoman_stats::{Gauge, Shard};
use dragoman_transport::tls::TlsStats;
use dragoman_types::{Facts, Moment, Priority};
use rustc_hash::FxHashMap;

use crate::dial::Speaks;
use crate::h1::Client;
use crate::snapshot::ClusterEntry;
use crate::stats::{ClusterLoad, ClusterResponseStats, ClusterStats, HostStats, OriginStats};

/// One host on this worker. Outlives the host set that it came with while its address stays.
pub(crate) struct WorkerHost {
    pub(crate) host: Arc<Host>,
    /// By priority: they share no connections.
    pools: [Pool<Client>; 2],
    pub(crate) stats: Shard<HostStats>,
    /// Every worker's cells, for policies that ask how busy the host is.
    shards: Box<[Shard<HostStats>]>,
    pub(crate) cluster: Rc<ClusterCells>,
}

/// The cells of a cluster that this worker writes, and the others' that it reads.
pub(crate) struct ClusterCells {
    pub(crate) stats: Shard<ClusterStats>,
    pub(crate) responses: Shard<ClusterResponseStats>,
    pub(crate) internal: Shard<OriginStats>,
    pub(crate) external: Shard<OriginStats>,
    pub(crate) tls: Option<TlsStats>,
    /// What the circuit breakers count, by priority: this worker's share, then everybody's.
    loads: [Shard<ClusterLoad>; 2],
    shards: [Box<[Shard<ClusterLoad>]>; 2],
}

impl ClusterCells {
    fn new(entry: &ClusterEntry, worker: usize, workers: usize) -> ClusterCells {
        ClusterCells {
            stats: entry.stats.shard(worker),
            responses: entry.responses.shard(worker),
            internal: entry.internal.shard(worker),
            external: entry.external.shard(worker),
            tls: entry.tls.is_some().then(|| {
                let prefix = format!("cluster.{}.ssl.", entry.config.stat_name);
                TlsStats::new(&entry.registry, &prefix, worker)
            }),
            loads: std::array::from_fn(|at| entry.loads[at].shard(worker)),
            shards: std::array::from_fn(|at| {
                (0..workers).map(|i| entry.loads[at].shard(i)).collect()
            }),
        }
    }

    pub(crate) fn load(&self, priority: Priority) -> &ClusterLoad {
        &self.loads[priority as usize]
    }

    /// All workers together.
    pub(crate) fn sum(&self, priority: Priority, of: impl Fn(&ClusterLoad) -> &Gauge) -> u64 {
        let shards = self.shards[priority as usize].iter();
        shards.map(|shard| of(shard).value()).sum::<i64>().max(0) as u64
    }
}

/// One cluster on this worker.
pub(crate) struct WorkerCluster {
    pub(crate) entry: Arc<ClusterEntry>,
    pub(crate) hosts: Vec<Rc<WorkerHost>>,
    pub(crate) cells: Rc<ClusterCells>,
    balancer: RefCell<Box<dyn Balancer>>,
}

impl WorkerCluster {
    /// Builds the worker's side of `entry`; hosts that `old` had at the same address keep their
    /// pools.
    pub(crate) fn new(
        entry: &Arc<ClusterEntry>,
        worker: usize,
        workers: usize,
        old: Option<&WorkerCluster>,
        seed: u64,
    ) -> WorkerCluster {
        let cells = match old {
            Some(old) if Arc::ptr_eq(&old.entry.config, &entry.config) => old.cells.clone(),
            _ => Rc::new(ClusterCells::new(entry, worker, workers)),
        };
        // Connections by another transport (plain bytes, other trust) are none of this cluster's.
        let same_transport = |old: &&WorkerCluster| match (&old.entry.tls, &entry.tls) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        };
        let before = old.filter(same_transport);
        let host = |(place, host): (usize, &Arc<Host>)| {
            let kept = before.and_then(|old| old.hosts.iter().find(|h| h.host == *host));
            if let Some(kept) = kept {
                return kept.clone();
            }
            let handle = &entry.host_stats[place];
            Rc::new(WorkerHost {
                host: host.clone(),
                pools: Default::default(),
                stats: handle.shard(worker),
                shards: (0..workers).map(|i| handle.shard(i)).collect(),
                cluster: cells.clone(),
            })
        };
        let hosts = entry.hosts.all().iter().enumerate().map(host).collect();
        let balancer = RefCell::new(entry.config.policy.balancer(&entry.hosts, seed));
        WorkerCluster { entry: entry.clone(), hosts, cells, balancer }
    }

    pub(crate) fn config(&self) -> &Cluster {
        &self.entry.config
    }

    /// The host that serves the next request.
    pub(crate) fn pick(&self, random: &mut dyn FnMut() -> u64) -> Option<Rc<WorkerHost>> {
        if self.entry.hosts.panic() {
            self.cells.stats.lb_healthy_panic.inc();
        }
        let active = |place: usize| {
            let shards = self.hosts[place].shards.iter();
            shards.map(|s| s.rq_active.value()).sum::<i64>().max(0) as u64
        };
        let place = self.balancer.borrow_mut().pick(&mut Pick { random, active: &active })?;
        self.hosts.get(place).cloned()
    }
}

impl WorkerHost {
    fn pool(&self, priority: Priority) -> &Pool<Client> {
        &self.pools[priority as usize]
    }

    /// Asks the pool, within the cluster's limits.
    pub(crate) fn acquire(
        &self,
        priority: Priority,
        limits: &Thresholds,
        now: Moment,
        cluster: &Cluster,
    ) -> Acquired<Client> {
        let room = || Room {
            may_connect: self.has_room(priority, limits),
            may_wait: self.cluster.sum(priority, |load| &load.pending)
                < u64::from(limits.max_pending_requests),
        };
        let idle_limit = cluster.http.idle_timeout;
        let alive = |client: &mut Client| {
            let stale = idle_limit.is_some_and(|t| now.since(client.last_used) >= t);
            !stale && !client.wire.stream.has_news()
        };
        self.pool(priority).acquire(room, alive, |client| {
            self.gone(priority, client, Gone::Remote, now);
        })
    }

    /// Whether the cluster may have one connection more.
    pub(crate) fn has_room(&self, priority: Priority, limits: &Thresholds) -> bool {
        let open = self.cluster.sum(priority, |load| &load.connections);
        open < u64::from(limits.max_connections)
    }

    /// A connection beside the pool's own, which counts among them until it is gone.
    pub(crate) fn take_place(&self, priority: Priority) {
        self.pool(priority).take_place();
    }

    /// Counts a connection that begins to be opened.
    pub(crate) fn opening(&self, priority: Priority, speaks: Speaks) {
        self.cluster.load(priority).connections.inc();
        let stats = &self.cluster.stats;
        stats.upstream_cx_total.inc();
        if speaks == Speaks::Http {
            stats.upstream_cx_http1_total.inc();
        }
        stats.upstream_cx_active.inc();
        self.stats.cx_total.inc();
        self.stats.cx_active.inc();
    }

    /// Counts a connection that could not be opened, and gives its place in the pool back.
    pub(crate) fn failed(&self, priority: Priority, timeout: bool) {
        self.cluster.load(priority).connections.dec();
        let stats = &self.cluster.stats;
        stats.upstream_cx_active.dec();
        stats.upstream_cx_connect_fail.inc();
        stats.upstream_cx_destroy.inc();
        if timeout {
            stats.upstream_cx_connect_timeout.inc();
            stats.upstream_cx_destroy_local.inc();
        } else {
            stats.upstream_cx_destroy_remote.inc();
        }
        self.stats.cx_active.dec();
        self.stats.cx_connect_fail.inc();
        self.pool(priority).closed();
    }

    /// Counts a connection that nobody waits for any more, and gives its place in the pool back.
    pub(crate) fn cancelled(&self, priority: Priority) {
        self.cluster.load(priority).connections.dec();
        let stats = &self.cluster.stats;
        stats.upstream_cx_active.dec();
        stats.upstream_cx_destroy.inc();
        stats.upstream_cx_destroy_local.inc();
        self.stats.cx_active.dec();
        self.pool(priority).closed();
    }

    /// Counts the end of a connection that is no longer in the pool's lists.
    fn gone(&self, priority: Priority, client: Box<Client>, how: Gone, now: Moment) {
        self.cluster.load(priority).connections.dec();
        let stats = &self.cluster.stats;
        stats.upstream_cx_active.dec();
        self.stats.cx_active.dec();
        stats.upstream_cx_destroy.inc();
        let active = how == Gone::LocalActive || how == Gone::RemoteActive;
        match how {
            Gone::Local | Gone::LocalActive => stats.upstream_cx_destroy_local.inc(),
            Gone::Remote | Gone::RemoteActive => stats.upstream_cx_destroy_remote.inc(),
        }
        if active {
            stats.upstream_cx_destroy_with_active_rq.inc();
            match how {
                Gone::LocalActive => stats.upstream_cx_destroy_local_with_active_rq.inc(),
                _ => stats.upstream_cx_destroy_remote_with_active_rq.inc(),
            }
        }
        stats.upstream_rq_per_cx.record(u64::from(client.requests));
        stats.upstream_cx_length_ms.record(now.millis_since(client.opened));
    }

    /// Closes idle connections that their host closed, or that idled too long.
    pub(crate) fn sweep(&self, now: Moment, cluster: &Cluster) {
        let limit = cluster.http.idle_timeout;
        let idle = |c: &mut Client| limit.is_some_and(|t| now.since(c.last_used) >= t);
        let old = |c: &mut Client| {
            let limit = cluster.http.max_connection_duration;
            limit.is_some_and(|t| now.since(c.opened) >= t)
        };
        for priority in Priority::ALL {
            let pool = self.pool(priority);
            pool.sweep(idle, |client| {
                self.cluster.stats.upstream_cx_idle_timeout.inc();
                self.gone(priority, client, Gone::Local, now);
            });
            pool.sweep(old, |client| {
                self.cluster.stats.upstream_cx_max_duration_reached.inc();
                self.gone(priority, client, Gone::Local, now);
            });
            pool.sweep(
                |client| client.wire.stream.has_news(),
                |client| self.gone(priority, client, Gone::Remote, now),
            );
        }
    }
}

/// A host that is gone takes its idle connections along.
impl Drop for WorkerHost {
    fn drop(&mut self) {
        let now = clock::now();
        for priority in Priority::ALL {
            let end = |client| self.gone(priority, client, Gone::Local, now);
            self.pool(priority).sweep(|_| true, end);
        }
    }
}

/// Who ended an upstream connection, and whether a request was on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    Local,
    Remote,
    LocalActive,
    RemoteActive,
}

/// A connection in use. However the request ends, the pool hears of it.
pub(crate) struct Leased {
    client: Option<Box<Client>>,
    pub(crate) host: Rc<WorkerHost>,
    pub(crate) priority: Priority,
    /// What to count if it isn't given back.
    pub(crate) fate: Gone,
    /// It had served requests before this one.
    pub(crate) reused: bool,
    bytes_taken: u64,
    bytes_out: u64,
}

impl Leased {
    pub(crate) fn new(client: Box<Client>, host: Rc<WorkerHost>, priority: Priority) -> Leased {
        let reused = client.requests > 0;
        let wire = &client.wire;
        let (bytes_taken, bytes_out) = (wire.bytes_taken, wire.bytes_out);
        let fate = Gone::LocalActive;
        host.stats.rq_active.inc();
        Leased { client: Some(client), host, priority, fate, reused, bytes_taken, bytes_out }
    }

    /// The connection; there is one until [`Leased::give_back`].
    pub(crate) fn client(&mut self) -> &mut Client {
        // Only `give_back` and `drop` empty it, and both end the lease.
        self.client.as_mut().expect("a lease holds its connection until it ends")
    }

    /// Bytes of this request's answer taken, and of this request sent.
    pub(crate) fn wire_bytes(&self) -> (u64, u64) {
        let Some(client) = &self.client else { return (0, 0) };
        (client.wire.bytes_taken - self.bytes_taken, client.wire.bytes_out - self.bytes_out)
    }

    /// The host sent something since the request began.
    pub(crate) fn is_answered(&self) -> bool {
        self.client.as_ref().is_some_and(|c| c.answered || !c.wire.input.is_empty())
    }

    /// The request is over: back into the pool if it can serve another one.
    pub(crate) fn give_back(mut self, now: Moment, max_requests: u32, max_age: Option<Duration>) {
        let Some(mut client) = self.client.take() else { return };
        let mut worn = max_requests > 0 && client.requests >= max_requests;
        let old = max_age.is_some_and(|age| now.since(client.opened) >= age);
        if old {
            self.host.cluster.stats.upstream_cx_max_duration_reached.inc();
        }
        if worn {
            self.host.cluster.stats.upstream_cx_max_requests.inc();
        }
        worn |= old;
        self.account(&mut client);
        if client.closing {
            self.host.cluster.stats.upstream_cx_close_notify.inc();
        }
        // Whoever waits in line takes it up at once.
        let pool = self.host.pool(self.priority);
        let in_order = !pool.has_line() || !client.wire.stream.has_news();
        if client.is_reusable() && in_order && !worn {
            client.last_used = now;
            client.wire.idle();
            pool.release(client);
        } else {
            let how = if client.wire.eof { Gone::Remote } else { Gone::Local };
            self.host.gone(self.priority, client, how, now);
            self.host.pool(self.priority).closed();
        }
    }

    /// The connection proved dead: it is counted out, but its place in the pool is kept for a new one.
    pub(crate) fn into_place(mut self) -> Rc<WorkerHost> {
        if let Some(mut client) = self.client.take() {
            self.account(&mut client);
            self.host.gone(self.priority, client, self.fate, clock::now());
        }
        self.host.clone()
    }

    /// Counts what went over the connection since it was last counted.
    pub(crate) fn count_bytes(&mut self) {
        if let Some(client) = &mut self.client {
            count_bytes(&self.host, client);
        }
    }

    /// Counts what the lease did; called once, at its end.
    fn account(&self, client: &mut Client) {
        self.host.stats.rq_active.dec();
        count_bytes(&self.host, client);
    }
}

fn count_bytes(host: &WorkerHost, client: &mut Client) {
    let (read, written) = client.wire.uncounted();
    host.cluster.stats.upstream_cx_rx_bytes_total.add(read);
    host.cluster.stats.upstream_cx_tx_bytes_total.add(written);
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(mut client) = self.client.take() {
            self.account(&mut client);
            let now = clock::now();
            self.host.gone(self.priority, client, self.fate, now);
            self.host.pool(self.priority).closed();
        }
    }
}

/// Where something went, for logs.
pub(crate) fn describe<'f>(
    facts: &mut Facts<'f>,
    cluster: Option<&'f WorkerCluster>,
    host: Option<&'f WorkerHost>,
) {
    facts.cluster = cluster.map(|c| &*c.config().stat_name);
    facts.cluster_raw = cluster.map(|c| &*c.config().name);
    facts.upstream_host = host.map(|h| &h.host.address);
    let name = host.map(|h| &*h.host.hostname);
    facts.upstream_host_name = name.filter(|name| !name.is_empty());
}

/// Builds this worker's clusters for a new snapshot; unchanged ones stay as they are.
pub(crate) fn rebuild(
    entries: &FxHashMap<Box<str>, Arc<ClusterEntry>>,
    old: &FxHashMap<Box<str>, Rc<WorkerCluster>>,
    worker: usize,
    workers: usize,
    mut seed: impl FnMut() -> u64,
) -> FxHashMap<Box<str>, Rc<WorkerCluster>> {
    let mut clusters = FxHashMap::default();
    for (name, entry) in entries {
        let before = old.get(name);
        let cluster = match before {
            Some(same) if Arc::ptr_eq(&same.entry, entry) => same.clone(),
            _ => {
                let before = before.map(Rc::as_ref);
                Rc::new(WorkerCluster::new(entry, worker, workers, before, seed()))
            }
        };
        clusters.insert(name.clone(), cluster);
    }
    clusters
}
