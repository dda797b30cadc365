//! One proxy: publishes snapshots to the workers and answers for them.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dragoman_cluster::{Cluster, Discovery, DnsOptions, EndpointAddress, Host, Hosts};
use dragoman_http_connection_manager::Node;
use dragoman_loggers::{LogBuffers, LogSinks};
use dragoman_net::{Bound, bind};
use dragoman_proto::bool_or;
use dragoman_router::RouteTable;
use dragoman_stats::{Registry, Sample, Unit};
use dragoman_types::Address;
use dragoman_worker::snapshot::{
    ClusterEntry, ConnectionManager, Listener, RouteSource, Routes, Snapshot,
};
use dragoman_worker::{Command, Handle, Shared, process_ms};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::compile::{Plan, compile};
use crate::dns::{Dns, Resolved, Sink, Wanted, weak_sink};
use crate::listener::{ListenerPlan, Means, RouteRef};
use crate::metrics::ControlMetrics;
use crate::resources::{Change, ResourceFault, Resources};
use crate::status::{ClusterStatus, ListenerStatus};

/// How long the end of the process waits for log lines to be written.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// How the engine runs.
#[derive(Clone, Debug)]
pub struct Options {
    pub workers: usize,
    pub drain_time: Duration,
    pub drain_immediately: bool,
    pub log_flush_interval: Duration,
    pub log_flush_bytes: usize,
    pub service_cluster: String,
    pub service_node: String,
}

/// Why a publish was refused; the running snapshot is untouched.
#[derive(Debug)]
pub enum PublishError {
    Faults(Vec<ResourceFault>),
    /// A listener's address can't be bound.
    Bind {
        listener: String,
        address: String,
        error: io::Error,
    },
}

/// What a publish did.
#[derive(Clone, Debug)]
pub struct Published {
    pub version: u64,
    pub changes: Vec<String>,
}

/// One proxy.
pub struct Engine {
    control: Arc<Control>,
    dns: Dns,
    workers: Mutex<Vec<Handle>>,
    options: Options,
}

/// What the control thread and the resolving thread share.
struct Control {
    registry: Registry,
    shared: Arc<Shared>,
    node: Node,
    sinks: LogSinks,
    workers: usize,
    state: Mutex<State>,
    initialized: Condvar,
}

struct State {
    resources: Resources,
    plan: Plan,
    snapshot: Arc<Snapshot>,
    sockets: FxHashMap<Box<str>, Arc<Vec<Bound>>>,
    /// What DNS said last, by cluster and name.
    resolved: FxHashMap<Box<str>, BTreeMap<String, Vec<std::net::SocketAddr>>>,
    /// DNS clusters that were not resolved yet.
    unresolved: FxHashSet<Box<str>>,
    metrics: ControlMetrics,
    commands: Vec<tokio::sync::mpsc::UnboundedSender<Command>>,
    stopped_listening: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// # Errors
    /// When a thread can't be started.
    pub fn new(options: Options) -> io::Result<Engine> {
        // Dates the process's own clock.
        process_ms();
        let registry = Registry::new(options.workers + 1);
        let metrics = ControlMetrics::new(&registry, options.workers);
        let control = Arc::new(Control {
            shared: Arc::new(Shared {
                local_interface: dragoman_net::local_interface(),
                ..Shared::default()
            }),
            node: Node {
                id: options.service_node.clone(),
                cluster: options.service_cluster.clone(),
            },
            sinks: LogSinks::new(),
            workers: options.workers,
            state: Mutex::new(State {
                resources: Resources::default(),
                plan: Plan::default(),
                snapshot: Arc::default(),
                sockets: FxHashMap::default(),
                resolved: FxHashMap::default(),
                unresolved: FxHashSet::default(),
                metrics,
                commands: Vec::new(),
                stopped_listening: false,
            }),
            initialized: Condvar::new(),
            registry,
        });
        let dns = Dns::start(weak_sink(&control))?;
        Ok(Engine { control, dns, workers: Mutex::default(), options })
    }

    /// Applies all of `changes` or none.
    ///
    /// # Errors
    /// [`PublishError`]; then everything runs on as before.
    pub fn publish(&self, changes: &[Change]) -> Result<Published, PublishError> {
        let mut guard = lock(&self.control.state);
        let state = &mut *guard;
        let mut faults = Vec::new();
        let mut next = state.resources.clone();
        next.apply(changes, &mut faults);
        let means = Means { node: &self.control.node, sinks: &self.control.sinks };
        let plan = compile(&next, &state.resources, &state.plan, &means, &mut faults);
        if !faults.is_empty() {
            state.metrics.listeners.listener_create_failure.inc();
            return Err(PublishError::Faults(faults));
        }
        let sockets = self.control.bind(state, &plan)?;
        let done = self.control.describe(state, &plan);
        (state.resources, state.plan, state.sockets) = (next, plan, sockets);
        self.control.rebuild(state);
        self.dns.set(wanted(&state.plan));
        Ok(Published { version: state.snapshot.version, changes: done })
    }

    /// What [`Engine::publish`] would refuse of `changes`; nothing is bound or applied.
    pub fn check(&self, changes: &[Change]) -> Vec<ResourceFault> {
        let state = lock(&self.control.state);
        let mut faults = Vec::new();
        let mut next = state.resources.clone();
        next.apply(changes, &mut faults);
        let means = Means { node: &self.control.node, sinks: &self.control.sinks };
        compile(&next, &state.resources, &state.plan, &means, &mut faults);
        faults
    }

    /// Starts the workers: accepting begins.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub fn start(&self) -> io::Result<()> {
        let mut workers = lock(&self.workers);
        for index in 0..self.options.workers {
            let logs = LogBuffers::new();
            let (shared, flush) = (self.control.shared.clone(), self.options.log_flush_interval);
            workers.push(Handle::start(index, self.options.workers, shared, logs, flush)?);
        }
        let mut state = lock(&self.control.state);
        state.commands = workers.iter().map(Handle::sender).collect();
        state.tell_snapshot();
        state.metrics.listeners.workers_started.set(1);
        Ok(())
    }

    /// True once every DNS cluster was tried once.
    pub fn wait_initialized(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = lock(&self.control.state);
        while !state.unresolved.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.control.initialized.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Ends the workers. Idempotent.
    pub fn stop(&self) {
        for worker in lock(&self.workers).iter_mut() {
            worker.stop();
        }
        self.control.sinks.drain(LOG_PATIENCE);
    }

    /// `graceful`: ask clients to leave over the drain time before listening stops.
    /// `keep`: never stop listening.
    pub fn drain_listeners(&self, graceful: bool, inbound_only: bool, keep: bool) {
        let shared = &self.control.shared;
        if graceful || keep {
            let drain = self.options.drain_time.as_millis() as u64;
            shared.drain_from_ms.store(process_ms(), Ordering::Relaxed);
            shared.drain_for_ms.store(drain, Ordering::Relaxed);
            shared.drain_immediately.store(self.options.drain_immediately, Ordering::Relaxed);
            shared.draining.store(true, Ordering::Relaxed);
        }
        if !graceful && !keep {
            self.stop_listening(inbound_only);
        }
    }

    /// Stops accepting; connections live on and are asked to close.
    pub fn stop_listening(&self, inbound_only: bool) {
        let mut state = lock(&self.control.state);
        state.stopped_listening |= !inbound_only;
        for worker in &state.commands {
            let _ = worker.send(Command::StopListeners { inbound_only });
        }
        // The kernel goes on queueing connections while any descriptor of a socket is open.
        let inbound: FxHashSet<Box<str>> = (state.plan.listeners.values())
            .filter(|l| !inbound_only || l.inbound)
            .map(|l| l.name.clone())
            .collect();
        let before = state.sockets.len();
        state.sockets.retain(|name, _| !inbound.contains(name));
        let stopped = (before - state.sockets.len()) as u64;
        state.metrics.listeners.listener_stopped.add(stopped);
    }

    pub fn active_requests(&self) -> u64 {
        lock(&self.workers).iter().map(|w| w.load.requests.load(Ordering::Relaxed)).sum()
    }

    pub fn active_connections(&self) -> u64 {
        lock(&self.workers).iter().map(|w| w.load.connections.load(Ordering::Relaxed)).sum()
    }

    pub fn set_health_check_failed(&self, failed: bool) {
        self.control.shared.health_failed.store(failed, Ordering::Relaxed);
    }

    /// Opens the log files anew (SIGUSR1).
    pub fn reopen_logs(&self) {
        for worker in &lock(&self.control.state).commands {
            let _ = worker.send(Command::FlushLogs);
        }
        self.control.sinks.reopen();
    }

    pub fn flush_stats(&self) {
        self.control.registry.flush();
    }

    pub fn reset_counters(&self) {
        self.control.registry.reset_counters();
    }

    /// All metrics, sorted by name.
    pub fn stats(&self) -> Vec<Sample> {
        self.control.refresh_gauges();
        self.control.registry.snapshot()
    }

    pub fn counter_add(&self, name: &str, by: u64) {
        lock(&self.control.state).metrics.counter_add(name, by);
    }

    pub fn gauge_set(&self, name: &str, value: i64) {
        lock(&self.control.state).metrics.gauge_set(name, value);
    }

    pub fn text_set(&self, name: &str, value: &str) {
        self.control.registry.text_readout(name, value);
    }

    pub fn histogram_record(&self, name: &str, unit: Unit, value: u64) {
        lock(&self.control.state).metrics.histogram_record(name, unit, value);
    }

    pub fn clusters(&self) -> Vec<ClusterStatus> {
        let snapshot = lock(&self.control.state).snapshot.clone();
        let status = |entry: &Arc<ClusterEntry>| ClusterStatus::of(entry, self.options.workers);
        let mut all: Vec<_> = snapshot.clusters.values().map(status).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub fn listeners(&self) -> Vec<ListenerStatus> {
        let state = lock(&self.control.state);
        let draining = self.control.shared.draining.load(Ordering::Relaxed);
        let status = |listener: &Arc<Listener>| ListenerStatus {
            name: listener.name.to_string(),
            addresses: listener.addresses.iter().map(Address::to_string).collect(),
            draining: draining || !state.sockets.contains_key(&listener.name),
            inbound: listener.inbound,
        };
        state.snapshot.listeners.iter().map(status).collect()
    }
}

/// The names that the clusters of `plan` want resolved.
fn wanted(plan: &Plan) -> FxHashMap<Box<str>, Wanted> {
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

fn dns_options(cluster: &Cluster) -> Option<DnsOptions> {
    match cluster.discovery {
        Discovery::StrictDns(options) | Discovery::LogicalDns(options) => Some(options),
        Discovery::Static => None,
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
        for (target, answer) in resolved.answers {
            let key = format!("{}:{}", target.name, target.port);
            match answer {
                Ok(addresses) if addresses.is_empty() => stats.update_empty.inc(),
                Ok(addresses) => {
                    stats.update_success.inc();
                    changed |= known.get(&key) != Some(&addresses);
                    known.insert(key, addresses);
                }
                Err(_) => stats.update_failure.inc(),
            }
        }
        state.unresolved.remove(&resolved.cluster);
        if changed {
            self.rebuild(state);
        } else {
            state.metrics.cluster(&cluster.stat_name).update_no_rebuild.inc();
        }
        if state.unresolved.is_empty() {
            self.initialized.notify_all();
        }
    }
}

impl Control {
    /// Binds what isn't bound yet; all or nothing.
    fn bind(
        &self,
        state: &State,
        plan: &Plan,
    ) -> Result<FxHashMap<Box<str>, Arc<Vec<Bound>>>, PublishError> {
        let mut sockets = FxHashMap::default();
        if state.stopped_listening {
            return Ok(sockets);
        }
        for (name, listener) in &plan.listeners {
            let before = state.plan.listeners.get(name);
            let same = before.is_some_and(|b| b.addresses == listener.addresses);
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
        listener.addresses.iter().map(one).collect()
    }

    /// Says and counts what is added, modified and removed.
    fn describe(&self, state: &mut State, plan: &Plan) -> Vec<String> {
        let mut changes = Vec::new();
        let (clusters, listeners) = (&state.metrics.clusters, &state.metrics.listeners);
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
            if how != How::Removed {
                listeners.listener_create_success.add(self.workers as u64);
            }
            changes.push(format!("listener {name}: {}", how.word()));
        });
        listeners.total_listeners_active.set(plan.listeners.len() as i64);
        changes
    }

    /// Makes a snapshot of the plan and hands it to the workers. What didn't change is the same
    /// object as before.
    fn rebuild(&self, state: &mut State) {
        let old = state.snapshot.clone();
        let mut next = Snapshot { version: old.version + 1, ..Snapshot::default() };
        state.unresolved.retain(|name| state.plan.clusters.contains_key(&**name));
        for cluster in state.plan.clusters.values().cloned().collect::<Vec<_>>() {
            let entry = self.cluster(state, &cluster, old.clusters.get(&cluster.name));
            next.clusters.insert(cluster.name.clone(), entry);
        }
        let kept =
            |stat_name: &str| state.plan.clusters.values().any(|c| &*c.stat_name == stat_name);
        state.metrics.keep_clusters(kept);
        for (name, table) in &state.plan.routes {
            let name: Box<str> = name.as_str().into();
            let same = old.routes.get(&name).filter(|r| Arc::ptr_eq(&r.table, table)).cloned();
            next.routes.insert(name, same.unwrap_or_else(|| self.routes(table)));
        }
        for plan in state.plan.listeners.values() {
            let sockets = state.sockets.get(&plan.name);
            let before = old.listeners.iter().find(|l| l.name == plan.name);
            let same = before.filter(|l| l.config_id == Arc::as_ptr(plan) as usize).cloned();
            next.listeners.push(same.unwrap_or_else(|| self.listener(plan, sockets)));
        }
        state.snapshot = Arc::new(next);
        state.tell_snapshot();
    }

    fn cluster(
        &self,
        state: &mut State,
        config: &Arc<Cluster>,
        old: Option<&Arc<ClusterEntry>>,
    ) -> Arc<ClusterEntry> {
        let hosts = self.hosts(state, config);
        if let Some(old) = old
            && Arc::ptr_eq(&old.config, config)
            && old.hosts.all() == hosts.as_slice()
        {
            return old.clone();
        }
        let hosts = Arc::new(Hosts::new(hosts, config.panic_percent));
        state.metrics.membership(&config.stat_name, &hosts);
        let prefix = format!("cluster.{}.", config.stat_name);
        let host_stats = hosts.all().iter().map(|host| {
            let address = host.address.to_string().replace(':', "_");
            self.registry.scope(&format!("{prefix}endpoint.{address}."))
        });
        Arc::new(ClusterEntry {
            config: config.clone(),
            stats: self.registry.scope(&prefix),
            responses: self.registry.scope(&prefix),
            internal: self.registry.scope(&format!("{prefix}internal.")),
            external: self.registry.scope(&format!("{prefix}external.")),
            host_stats: host_stats.collect(),
            hosts,
        })
    }

    /// The hosts of a cluster as far as they are known.
    fn hosts(&self, state: &mut State, config: &Arc<Cluster>) -> Vec<Arc<Host>> {
        let mut hosts = config.endpoints.known_hosts();
        if dns_options(config).is_none() {
            return hosts;
        }
        let resolved = state.resolved.get(&config.name);
        for endpoint in &config.endpoints.list {
            let EndpointAddress::Name(target) = &endpoint.address else { continue };
            let key = format!("{}:{}", target.name, target.port);
            match resolved.and_then(|names| names.get(&key)) {
                Some(addresses) => {
                    let one = matches!(config.discovery, Discovery::LogicalDns(_));
                    let take = if one { 1 } else { usize::MAX };
                    let found = addresses.iter().take(take);
                    hosts.extend(found.map(|a| endpoint.host(Address::Ip(*a))));
                }
                None => {
                    state.unresolved.insert(config.name.clone());
                }
            }
        }
        hosts
    }

    fn routes(&self, table: &Arc<RouteTable>) -> Arc<Routes> {
        let stats = table.routes().iter().map(|route| {
            let host = table.virtual_hosts().get(route.virtual_host()).map_or("", |v| v.name());
            self.registry.scope(&format!("vhost.{host}.route.{}.", route.label()))
        });
        Arc::new(Routes { stats: stats.collect(), table: table.clone() })
    }

    fn listener(
        &self,
        plan: &Arc<ListenerPlan>,
        sockets: Option<&Arc<Vec<Bound>>>,
    ) -> Arc<Listener> {
        let bound = sockets.map(|s| s.iter().map(|b| b.address.clone()).collect::<Vec<_>>());
        let addresses = bound.unwrap_or_else(|| plan.addresses.clone());
        let stat_name = match (&*plan.stat_prefix, addresses.first()) {
            ("", Some(address)) => address.to_string().replace(':', "_"),
            ("", None) => plan.name.to_string(),
            (prefix, _) => prefix.to_owned(),
        };
        let prefix = format!("listener.{stat_name}.");
        let http = &plan.manager.config.stat_prefix;
        let routes = match &plan.manager.routes {
            RouteRef::Inline(table) => RouteSource::Inline(self.routes(table)),
            RouteRef::Named(name) => RouteSource::Named(name.clone()),
        };
        let manager = ConnectionManager {
            config: plan.manager.config.clone(),
            routes,
            access_logs: plan.manager.access_logs.clone(),
            suppress_envoy_headers: plan.manager.router.suppress_envoy_headers,
            dynamic_stats: bool_or(plan.manager.router.dynamic_stats.as_ref(), true),
            respect_expected_timeout: plan.manager.router.respect_expected_rq_timeout,
            stats: self.registry.scope(&format!("http.{http}.")),
            codec: self.registry.scope("http1."),
            listener_http: self.registry.scope(&format!("{prefix}http.{http}.")),
        };
        let handler = |worker: usize| self.registry.scope(&format!("{prefix}worker_{worker}."));
        Arc::new(Listener {
            config_id: Arc::as_ptr(plan) as usize,
            name: plan.name.clone(),
            addresses,
            inbound: plan.inbound,
            manager: Arc::new(manager),
            stats: self.registry.scope(&prefix),
            handlers: (0..self.workers).map(handler).collect(),
        })
    }

    /// Gauges that are judgements on other gauges.
    fn refresh_gauges(&self) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let snapshot = state.snapshot.clone();
        for entry in snapshot.clusters.values() {
            let sum = |of: fn(&dragoman_worker::stats::ClusterStats) -> i64| {
                (0..self.workers).map(|i| of(&entry.stats.shard(i))).sum::<i64>().max(0) as u64
            };
            let limits = entry.config.thresholds[0];
            let stats = state.metrics.cluster(&entry.config.stat_name);
            let open = |now: u64, limit: u32| i64::from(now >= u64::from(limit));
            let connections = sum(|s| s.upstream_cx_active.value());
            stats.default_cx_open.set(open(connections, limits.max_connections));
            let requests = sum(|s| s.upstream_rq_active.value());
            stats.default_rq_open.set(open(requests, limits.max_requests));
            let pending = sum(|s| s.upstream_rq_pending_active.value());
            stats.default_rq_pending_open.set(open(pending, limits.max_pending_requests));
        }
    }
}

impl State {
    fn tell_snapshot(&self) {
        for worker in &self.commands {
            let _ = worker.send(Command::Apply(self.snapshot.clone(), self.sockets.clone()));
        }
    }
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
    old: &BTreeMap<String, Arc<T>>,
    new: &BTreeMap<String, Arc<T>>,
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
