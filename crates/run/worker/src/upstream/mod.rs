//! A worker's view of the clusters: balancers, pools and this worker's cells of their stats.

mod host;
mod passing;

use std::cell::{LazyCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use dragoman_cluster::{Balancer, Cluster, Discovery, Host, Pick};
use dragoman_proto::tlv::Tlv;
use dragoman_stats::{Gauge, Shard};
use dragoman_transport::tls::TlsStats;
use dragoman_types::{Connection, Facts, Headers, Moment, Priority};
use rustc_hash::FxHashMap;

use passing::Passing;

pub(crate) use host::{Gone, MAX_NAMES, WorkerHost, history};

use crate::snapshot::ClusterEntry;
use crate::stats::{
    ClusterLoad, ClusterResponseStats, ClusterStats, Http2Stats, OriginStats, RetryStats,
};

/// The cells of a cluster that this worker writes, and the others' that it reads.
pub(crate) struct ClusterCells {
    pub(crate) stats: Shard<ClusterStats>,
    pub(crate) responses: Shard<ClusterResponseStats>,
    pub(crate) internal: Shard<OriginStats>,
    pub(crate) external: Shard<OriginStats>,
    pub(crate) retry: Shard<RetryStats>,
    pub(crate) tls: Option<TlsStats>,
    /// `cluster.<name>.http2.`, there once the first of its connections speaks HTTP/2.
    pub(crate) http2: LazyCell<Shard<Http2Stats>, Box<dyn FnOnce() -> Shard<Http2Stats>>>,
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
            retry: entry.retry.shard(worker),
            tls: entry.tls.is_some().then(|| {
                let prefix = format!("cluster.{}.ssl.", entry.config.stat_name);
                TlsStats::new(&entry.registry, &prefix, worker)
            }),
            http2: LazyCell::new({
                let prefix = format!("cluster.{}.http2.", entry.config.stat_name);
                let registry = entry.registry.clone();
                Box::new(move || registry.scope(&prefix).shard(worker))
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
    /// Hosts that connections named themselves.
    passing: Option<Rc<Passing>>,
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
            (Some(old), Some(new)) => Arc::ptr_eq(&old.context, &new.context),
            _ => false,
        };
        let same_names = |old: &&WorkerCluster| {
            old.entry.config.http.names == entry.config.http.names
                && old.entry.proxy_protocol == entry.proxy_protocol
                && old.entry.http_proxy == entry.http_proxy
        };
        let before = old.filter(same_transport).filter(same_names);
        // Weight and health are the balancer's matter: a host is the same without them.
        let known: FxHashMap<_, _> = before
            .iter()
            .flat_map(|old| &old.hosts)
            .map(|host| ((&host.host.address, &*host.host.hostname, &host.host.via), host))
            .collect();
        let host = |(place, host): (usize, &Arc<Host>)| {
            if let Some(kept) = known.get(&(&host.address, &*host.hostname, &host.via)) {
                return Rc::clone(kept);
            }
            let handle = &entry.host_stats[place];
            let shards = (0..workers).map(|i| handle.shard(i)).collect();
            Rc::new(WorkerHost::new(host.clone(), handle.shard(worker), shards, cells.clone()))
        };
        let hosts = entry.hosts.all().iter().enumerate().map(host).collect();
        let balancer = RefCell::new(entry.balancing.balancer(seed));
        let passing = match &entry.config.discovery {
            Discovery::OriginalDst(how) => {
                let kept = before.and_then(|old| old.passing.as_ref());
                let kept = kept.filter(|passing| passing.how == *how).cloned();
                Some(kept.unwrap_or_else(|| Rc::new(Passing::new(entry, how, &cells))))
            }
            _ => None,
        };
        WorkerCluster { entry: entry.clone(), hosts, cells, balancer, passing }
    }

    /// Closes what idled too long.
    pub(crate) fn sweep(&self, now: Moment) {
        for host in &self.hosts {
            host.sweep(now, self.config());
        }
        if let Some(passing) = &self.passing {
            passing.sweep(now, self.config());
        }
    }

    pub(crate) fn config(&self) -> &Cluster {
        &self.entry.config
    }

    /// What tells a host who the client is, if the cluster's hosts are told.
    pub(crate) fn header(&self, client: &Connection) -> Vec<u8> {
        let tlvs = client.hello.as_ref().map_or(&[][..], |hello| &hello.tlvs);
        self.header_with(client, tlvs)
    }

    /// The same with other TLVs than the client's own.
    pub(crate) fn header_with(&self, client: &Connection, tlvs: &[Tlv]) -> Vec<u8> {
        let protocol = self.entry.proxy_protocol.as_ref();
        protocol.map_or(Vec::new(), |of| of.header(&client.remote, &client.local, tlvs))
    }

    /// The host that serves the next request. `request`: its headers, where it is HTTP's. With the
    /// hash of what must come to the same host again, and how many hosts were passed over.
    pub(crate) fn pick(
        &self,
        connection: &Connection,
        request: Option<&Headers>,
        (hash, passed_over): (Option<u64>, u32),
        random: &mut dyn FnMut() -> u64,
    ) -> Option<Rc<WorkerHost>> {
        if let Some(passing) = &self.passing {
            return passing.pick(connection, request);
        }
        if self.entry.hosts.panic() {
            self.cells.stats.lb_healthy_panic.inc();
        }
        let active = |place: usize| self.hosts[place].active_requests();
        let place = self.balancer.borrow_mut().pick(&mut Pick {
            hash,
            passed_over,
            random,
            active: &active,
        })?;
        self.hosts.get(place).cloned()
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
