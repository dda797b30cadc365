//! What the control thread and the resolving thread share, and what they do with it: bind, count,
//! take in what DNS says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use dragoman_cluster::{Cluster, Discovery, DnsOptions, EndpointAddress};
use dragoman_http_connection_manager::Node;
use dragoman_loggers::LogSinks;
use dragoman_net::{Bound, bind, clock};
use dragoman_stats::{Gauge, Registry};
use dragoman_types::{Address, Moment, Priority};
use dragoman_worker::snapshot::Snapshot;
use dragoman_worker::stats::ClusterLoad;
use dragoman_worker::{Command, Orders, Shared};
use indexmap::IndexMap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::compile::Plan;
use crate::dns::{Resolved, Sink, Wanted};
use crate::engine::PublishError;
use crate::listener::{ChainPlan, ListenerPlan};
use crate::metrics::ControlMetrics;
use crate::network::Means;
use crate::resources::Resources;

/// What the control thread and the resolving thread share.
pub(crate) struct Control {
    pub(crate) registry: Registry,
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Node,
    pub(crate) sinks: LogSinks,
    pub(crate) workers: usize,
    pub(crate) state: Mutex<State>,
    pub(crate) initialized: Condvar,
    logs: Mutex<Vec<LogRecord>>,
}

/// (level, logger, message) for the process's own log.
pub type LogRecord = (&'static str, &'static str, String);

/// Records that wait to be taken; beyond these the newest are dropped.
const MAX_LOGS: usize = 1000;

pub(crate) struct State {
    pub(crate) resources: Resources,
    pub(crate) plan: Plan,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) sockets: FxHashMap<Arc<str>, Arc<Vec<Bound>>>,
    /// What DNS said last, by cluster and name.
    pub(crate) resolved: FxHashMap<Box<str>, BTreeMap<String, Vec<SocketAddr>>>,
    /// DNS clusters that were not resolved yet.
    pub(crate) unresolved: FxHashSet<Box<str>>,
    pub(crate) metrics: ControlMetrics,
    pub(crate) orders: Vec<Orders>,
    /// Listeners that were told to stop accepting: none, those of inbound traffic, all.
    pub(crate) stopped: Stopped,
    /// Until when removed and replaced listeners drain.
    pub(crate) draining: Vec<Moment>,
    /// When each chain that an update in place left out is drained.
    pub(crate) draining_chains: Vec<Moment>,
}

/// Which listeners don't accept any more; later publishes don't change that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stopped {
    None,
    Inbound,
    All,
}

impl Stopped {
    pub(crate) fn covers(self, inbound: bool) -> bool {
        self == Stopped::All || (self == Stopped::Inbound && inbound)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names that the clusters of `plan` want resolved.
pub(crate) fn wanted(plan: &Plan) -> FxHashMap<Box<str>, Wanted> {
    let mut all = FxHashMap::default();
    for cluster in plan.clusters.values() {
        if let Some(options) = dns_options(cluster) {
            let named = cluster.endpoints.list.iter().filter_map(|e| match &e.address {
                EndpointAddress::Name(target) => Some(target.clone()),
                EndpointAddress::Known(_) => None,
            });
            let targets: Vec<_> = named.collect();
            if !targets.is_empty() {
                all.insert(cluster.name.clone(), Wanted { options, targets });
            }
        }
    }
    all
}

pub(crate) fn dns_options(cluster: &Cluster) -> Option<DnsOptions> {
    match cluster.discovery {
        Discovery::StrictDns(options) | Discovery::LogicalDns(options) => Some(options),
        Discovery::Static | Discovery::OriginalDst(_) => None,
    }
}

impl Sink for Control {
    fn resolved(&self, resolved: Resolved) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let Some(cluster) = state.plan.clusters.get(&*resolved.cluster).cloned() else { return };
        let known = state.resolved.entry(resolved.cluster.clone()).or_default();
        let stats = state.metrics.cluster(&cluster.stat_name);
        stats.update_attempt.inc();
        let mut changed = false;
        let mut answered = false;
        let logical = matches!(cluster.discovery, Discovery::LogicalDns(_));
        for (target, answer) in resolved.answers {
            let key = format!("{}:{}", target.name, target.port);
            match answer {
                // A logical host stays where it was; hosts that are their addresses are gone.
                Ok(addresses) if addresses.is_empty() && logical => stats.update_failure.inc(),
                Ok(addresses) => {
                    stats.update_success.inc();
                    answered = true;
                    changed |= known.get(&key) != Some(&addresses);
                    known.insert(key, addresses);
                }
                Err(error) => {
                    stats.update_failure.inc();
                    let name = &cluster.name;
                    let why = format!("cluster {name}: {} can't be resolved: {error}", target.name);
                    self.log("warning", "dns", why);
                }
            }
        }
        state.unresolved.remove(&resolved.cluster);
        if changed {
            self.rebuild(state);
        } else if answered {
            state.metrics.cluster(&cluster.stat_name).update_no_rebuild.inc();
        }
        if state.unresolved.is_empty() {
            self.initialized.notify_all();
        }
    }
}

impl Control {
    pub(crate) fn new(registry: Registry, workers: usize, node: Node, shared: Shared) -> Control {
        let metrics = ControlMetrics::new(&registry, workers, &shared.filesystem);
        Control {
            shared: Arc::new(shared),
            node,
            sinks: LogSinks::new(),
            workers,
            state: Mutex::new(State {
                resources: Resources::default(),
                plan: Plan::default(),
                snapshot: Arc::default(),
                sockets: FxHashMap::default(),
                resolved: FxHashMap::default(),
                unresolved: FxHashSet::default(),
                metrics,
                orders: Vec::new(),
                stopped: Stopped::None,
                draining: Vec::new(),
                draining_chains: Vec::new(),
            }),
            initialized: Condvar::new(),
            logs: Mutex::default(),
            registry,
        }
    }

    /// What compiling needs besides the messages.
    pub(crate) fn means(&self) -> Means<'_> {
        Means { node: &self.node, registry: &self.registry, sinks: &self.sinks }
    }

    /// Puts a line into the process's own log.
    pub(crate) fn log(&self, level: &'static str, logger: &'static str, message: String) {
        let mut logs = lock(&self.logs);
        if logs.len() < MAX_LOGS {
            logs.push((level, logger, message));
        }
    }

    pub(crate) fn take_logs(&self) -> Vec<LogRecord> {
        std::mem::take(&mut *lock(&self.logs))
    }

    /// Binds what isn't bound yet; all or nothing.
    pub(crate) fn bind(
        &self,
        state: &State,
        plan: &Plan,
    ) -> Result<FxHashMap<Arc<str>, Arc<Vec<Bound>>>, PublishError> {
        let mut sockets = FxHashMap::default();
        for (name, listener) in &plan.listeners {
            if state.stopped.covers(listener.inbound) {
                continue;
            }
            let before = state.plan.listeners.get(name);
            let same = before.is_some_and(|before| {
                before.addresses == listener.addresses && before.binds == listener.binds
            });
            let kept = state.sockets.get(&listener.name).filter(|_| same).cloned();
            let bound = match kept {
                Some(kept) => kept,
                None => Arc::new(self.bind_listener(listener)?),
            };
            sockets.insert(listener.name.clone(), bound);
        }
        Ok(sockets)
    }

    fn bind_listener(&self, listener: &ListenerPlan) -> Result<Vec<Bound>, PublishError> {
        let one = |address: &Address| {
            bind(address, self.workers, listener.options).map_err(|error| PublishError::Bind {
                listener: listener.name.to_string(),
                address: address.to_string(),
                error,
            })
        };
        let bound = listener.addresses.iter().filter(|_| listener.binds);
        bound.map(one).collect()
    }

    /// Says and counts what is added, modified and removed.
    pub(crate) fn describe(&self, state: &mut State, plan: &Plan) -> Vec<String> {
        let mut changes = Vec::new();
        let (clusters, listeners) = (&state.metrics.clusters, &state.metrics.listeners);
        let (draining, draining_chains) = (&mut state.draining, &mut state.draining_chains);
        let drained = clock::now().after(self.shared.drain.time);
        compare(&state.plan.clusters, &plan.clusters, |name, how| {
            match how {
                How::Added => clusters.cluster_added.inc(),
                How::Modified => clusters.cluster_modified.inc(),
                How::Removed => clusters.cluster_removed.inc(),
            }
            changes.push(format!("cluster {name}: {}", how.word()));
        });
        clusters.active_clusters.set(plan.clusters.len() as i64);
        compare(&state.plan.routes, &plan.routes, |name, how| {
            changes.push(format!("route configuration {name}: {}", how.word()));
        });
        compare(&state.plan.listeners, &plan.listeners, |name, how| {
            match how {
                How::Added => listeners.listener_added.inc(),
                How::Modified => listeners.listener_modified.inc(),
                How::Removed => listeners.listener_removed.inc(),
            }
            let in_place = plan.listeners.get(name).is_some_and(|plan| plan.succeeds);
            let in_place = in_place && how == How::Modified;
            if in_place {
                listeners.listener_in_place_updated.inc();
                let lost = lost_chains(state.plan.listeners.get(name), plan.listeners.get(name));
                draining_chains.extend((0..lost).map(|_| drained));
            } else if how != How::Added {
                draining.push(drained);
            }
            if how != How::Removed {
                listeners.listener_create_success.add(self.workers as u64);
            }
            let only = if in_place { ", its filter chains only" } else { "" };
            changes.push(format!("listener {name}: {}{only}", how.word()));
        });
        listeners.total_listeners_active.set(plan.listeners.len() as i64);
        changes
    }

    /// Gauges that are judgements on other gauges.
    pub(crate) fn refresh_gauges(&self) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.metrics.files_written(self.sinks.stats());
        let now = clock::now();
        state.draining.retain(|end| *end > now);
        state.metrics.listeners.total_listeners_draining.set(state.draining.len() as i64);
        state.draining_chains.retain(|end| *end > now);
        let chains = state.draining_chains.len() as i64;
        state.metrics.listeners.total_filter_chains_draining.set(chains);
        let snapshot = state.snapshot.clone();
        for entry in snapshot.clusters.values() {
            let sum = |priority: Priority, of: fn(&ClusterLoad) -> &Gauge| {
                let shards = (0..self.workers).map(|i| entry.loads[priority as usize].shard(i));
                shards.map(|shard| of(&shard).value()).sum::<i64>()
            };
            let open = |priority: Priority, of: fn(&ClusterLoad) -> &Gauge, limit: u32| {
                i64::from(sum(priority, of) >= i64::from(limit))
            };
            let stats = state.metrics.cluster(&entry.config.stat_name);
            let gauges = [
                [
                    &stats.default_cx_open,
                    &stats.default_rq_open,
                    &stats.default_rq_pending_open,
                    &stats.default_rq_retry_open,
                ],
                [
                    &stats.high_cx_open,
                    &stats.high_rq_open,
                    &stats.high_rq_pending_open,
                    &stats.high_rq_retry_open,
                ],
            ];
            for (priority, [cx, rq, pending, retry]) in Priority::ALL.into_iter().zip(gauges) {
                let limits = entry.config.thresholds[priority as usize];
                cx.set(open(priority, |load| &load.connections, limits.max_connections));
                rq.set(open(priority, |load| &load.requests, limits.max_requests));
                pending.set(open(priority, |load| &load.pending, limits.max_pending_requests));
                let requests =
                    sum(priority, |load| &load.requests) + sum(priority, |load| &load.pending);
                let most = limits.most_retries(requests.try_into().unwrap_or(0));
                let retries = sum(priority, |load| &load.retries);
                retry.set(i64::from(retries.try_into().is_ok_and(|now: u64| now >= most)));
            }
        }
    }
}

impl State {
    pub(crate) fn tell_snapshot(&self) {
        for worker in &self.orders {
            worker.tell(Command::Apply(self.snapshot.clone(), self.sockets.clone()));
        }
    }
}

/// How many chains of `old` are none of `new`.
fn lost_chains(old: Option<&Arc<ListenerPlan>>, new: Option<&Arc<ListenerPlan>>) -> usize {
    let chains = |plan: Option<&Arc<ListenerPlan>>| -> Vec<Arc<ChainPlan>> {
        plan.iter().flat_map(|plan| plan.all_chains()).map(|(_, chain)| chain.clone()).collect()
    };
    let kept = chains(new);
    let lost = |chain: &&Arc<ChainPlan>| !kept.iter().any(|known| Arc::ptr_eq(known, chain));
    chains(old).iter().filter(lost).count()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Added,
    Modified,
    Removed,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            How::Added => "added",
            How::Modified => "modified",
            How::Removed => "removed",
        }
    }
}

fn compare<T>(
    old: &IndexMap<String, Arc<T>>,
    new: &IndexMap<String, Arc<T>>,
    mut tell: impl FnMut(&str, How),
) {
    for (name, now) in new {
        match old.get(name) {
            None => tell(name, How::Added),
            Some(before) if !Arc::ptr_eq(before, now) => tell(name, How::Modified),
            Some(_) => {}
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        tell(name, How::Removed);
    }
}
