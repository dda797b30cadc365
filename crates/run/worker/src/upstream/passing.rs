//! Hosts of an `ORIGINAL_DST` cluster: each connection or request brings its host's address along.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use dragoman_cluster::{Cluster, Health, Host, Locality, OriginalDst};
use dragoman_stats::Shard;
use dragoman_types::{Address, Connection, Headers, Moment};
use rustc_hash::FxHashMap;

use super::{ClusterCells, WorkerHost};
use crate::snapshot::ClusterEntry;
use crate::stats::HostStats;

/// How many hosts a worker knows at once: with `use_http_header` clients name them.
const MAX_HOSTS: usize = 10_000;

pub(super) struct Passing {
    pub(super) how: OriginalDst,
    /// Envoy's hosts are called so.
    cluster: Box<str>,
    cells: Rc<ClusterCells>,
    /// Of all of them: hosts that come and go have no names among the statistics.
    stats: Shard<HostStats>,
    hosts: RefCell<FxHashMap<SocketAddr, Known>>,
}

struct Known {
    host: Rc<WorkerHost>,
    unused_since: Option<Moment>,
}

impl Passing {
    pub(super) fn new(
        entry: &ClusterEntry,
        how: &OriginalDst,
        cells: &Rc<ClusterCells>,
    ) -> Passing {
        Passing {
            how: how.clone(),
            cluster: entry.config.name.clone(),
            cells: cells.clone(),
            stats: entry.registry.unlisted().shard(0),
            hosts: RefCell::default(),
        }
    }

    /// The host that the request or its connection names; `None`: neither does, or there are too many.
    pub(super) fn pick(
        &self,
        connection: &Connection,
        request: Option<&Headers>,
    ) -> Option<Rc<WorkerHost>> {
        let mut address = self.told(request).or_else(|| redirected(connection))?;
        address.set_port(self.how.port.unwrap_or(address.port()));
        let mut hosts = self.hosts.borrow_mut();
        if let Some(known) = hosts.get_mut(&address) {
            known.unused_since = None;
            return Some(known.host.clone());
        }
        if hosts.len() >= MAX_HOSTS {
            hosts.retain(|_, known| !known.host.is_unused());
        }
        if hosts.len() >= MAX_HOSTS {
            return None;
        }
        let host = Rc::new(self.host(address));
        hosts.insert(address, Known { host: host.clone(), unused_since: None });
        Some(host)
    }

    /// The address in the header, if that is what the configuration wants.
    fn told(&self, request: Option<&Headers>) -> Option<SocketAddr> {
        let value = request?.get(self.how.header.as_ref()?)?;
        let address = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        if address.is_none() {
            self.cells.stats.original_dst_host_invalid.inc();
        }
        address
    }

    fn host(&self, address: SocketAddr) -> WorkerHost {
        let host = Host {
            address: Address::Ip(address),
            hostname: format!("{}{address}", self.cluster).into(),
            hash_key: "".into(),
            weight: 1,
            priority: 0,
            locality: Locality::default(),
            health: Health::Healthy,
            via: None,
        };
        let shards = Rc::new([self.stats.clone()]);
        WorkerHost::new(Arc::new(host), self.stats.clone(), shards, self.cells.clone())
    }

    /// Looks after the hosts, and forgets those that were unused for long enough.
    pub(super) fn sweep(&self, now: Moment, cluster: &Cluster) {
        self.hosts.borrow_mut().retain(|_, known| {
            known.host.sweep(now, cluster);
            if !known.host.is_unused() {
                known.unused_since = None;
                return true;
            }
            let since = *known.unused_since.get_or_insert(now);
            now.since(since) < self.how.cleanup_interval
        });
    }
}

/// Where the connection was for, if that isn't where it came.
fn redirected(connection: &Connection) -> Option<SocketAddr> {
    match &connection.local {
        Address::Ip(address) if connection.local != connection.direct_local => Some(*address),
        _ => None,
    }
}
