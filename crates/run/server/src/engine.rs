//! One proxy: publishes snapshots to the workers and answers for them.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dragoman_http_connection_manager::Node;
use dragoman_loggers::LogBuffers;
use dragoman_net::clock;
use dragoman_stats::{Registry, Sample, Unit};
use dragoman_transport::tls::{Certificates, Expiry};
use dragoman_transport::{DownstreamTls, UpstreamTls};
use dragoman_types::Address;
use dragoman_worker::snapshot::{ClusterEntry, Listener};
use dragoman_worker::{Command, Drain, Handle, Shared};
use rustc_hash::FxHashSet;

use crate::compile::{Renewal, compile};
use crate::control::{Control, LogRecord, Stopped, lock, wanted};
use crate::dns::{Dns, weak_sink};
use crate::resources::{Change, ResourceFault};
use crate::status::{ClusterStatus, ListenerStatus};

/// How long the end of the process waits for log lines to be written.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// How the engine runs.
#[derive(Clone, Debug)]
pub struct Options {
    pub workers: usize,
    pub drain: Drain,
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

fn first(expiries: &[Expiry]) -> Option<i64> {
    expiries.iter().map(|(_, at)| *at).min()
}

/// One proxy.
pub struct Engine {
    control: Arc<Control>,
    dns: Dns,
    workers: Mutex<Vec<Handle>>,
    options: Options,
}

impl Engine {
    /// # Errors
    /// When a thread can't be started.
    pub fn new(options: Options) -> io::Result<Engine> {
        let node =
            Node { id: options.service_node.clone(), cluster: options.service_cluster.clone() };
        let registry = Registry::new(options.workers + 1);
        let shared = Shared {
            local_interface: dragoman_net::local_interface().map(|ip| ip.to_string().into()),
            service_cluster: options.service_cluster.as_str().into(),
            drain: options.drain,
            health_failed: AtomicBool::default(),
            draining_since: AtomicU64::default(),
            filesystem: registry.scope("filesystem."),
        };
        let control = Arc::new(Control::new(registry, options.workers, node, shared));
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
        let means = self.control.means();
        let plan = compile(&next, &state.resources, &state.plan, &means, &mut faults);
        if !faults.is_empty() {
            state.metrics.listeners.listener_create_failure.inc();
            return Err(PublishError::Faults(faults));
        }
        let sockets = self.control.bind(state, &plan)?;
        let done = self.control.describe(state, &plan);
        (state.resources, state.plan, state.sockets) = (next, plan, sockets);
        state.plan.renewals.drain(..).for_each(Renewal::take_over);
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
        let means = self.control.means();
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
            let logs = LogBuffers::new(self.options.log_flush_bytes);
            let (shared, flush) = (self.control.shared.clone(), self.options.log_flush_interval);
            workers.push(Handle::start(index, self.options.workers, shared, logs, flush)?);
        }
        let mut state = lock(&self.control.state);
        state.orders = workers.iter().map(Handle::orders).collect();
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
            shared.draining_since.store(clock::now().number(), Ordering::Relaxed);
        }
        if !graceful && !keep {
            self.stop_listening(inbound_only);
        }
    }

    /// Stops accepting; connections live on and are asked to close.
    pub fn stop_listening(&self, inbound_only: bool) {
        let mut state = lock(&self.control.state);
        let stopped = if inbound_only { Stopped::Inbound } else { Stopped::All };
        state.stopped = state.stopped.max(stopped);
        for worker in &state.orders {
            worker.tell(Command::StopListeners { inbound_only });
        }
        // The kernel goes on queueing connections while any descriptor of a socket is open.
        let inbound: FxHashSet<Arc<str>> = (state.plan.listeners.values())
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
        let (done, flushed) = channel();
        for worker in &lock(&self.control.state).orders {
            worker.tell(Command::FlushLogs(done.clone()));
        }
        drop(done);
        // What was logged until now belongs into the old files.
        while flushed.recv_timeout(LOG_PATIENCE).is_ok() {}
        self.control.sinks.reopen();
    }

    /// Lines for the process's own log since the last call.
    pub fn take_logs(&self) -> Vec<LogRecord> {
        self.control.take_logs()
    }

    /// When the first of all certificates expires, in seconds since 1970; `None`: there are none.
    pub fn first_expiry(&self) -> Option<i64> {
        let found = self.of_tls(|up| first(up.expiries()), |down| first(down.expiries()));
        found.into_iter().flatten().min()
    }

    /// The certificates of every context, those of clusters first.
    pub fn certificates(&self) -> Vec<Certificates> {
        self.of_tls(|up| up.certificates().clone(), |down| down.certificates().clone())
    }

    /// Asks every TLS context that is there.
    fn of_tls<T>(
        &self,
        upstream: impl Fn(&UpstreamTls) -> T,
        downstream: impl Fn(&DownstreamTls) -> T,
    ) -> Vec<T> {
        let snapshot = lock(&self.control.state).snapshot.clone();
        let clusters = snapshot.clusters.values().filter_map(|cluster| cluster.tls.as_ref());
        let clusters = clusters.filter_map(|tls| Some(upstream(&*tls.context.get()?)));
        let listeners = snapshot.listeners.iter();
        let chains = listeners.flat_map(|l| l.chains.iter().chain(&l.default_chain));
        let chains = chains.filter_map(|chain| chain.tls.as_ref());
        let chains = chains.filter_map(|tls| Some(downstream(&*tls.context.get()?)));
        clusters.chain(chains).collect()
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
        let draining = self.control.shared.draining_since.load(Ordering::Relaxed) > 0;
        let status = |listener: &Arc<Listener>| ListenerStatus {
            name: listener.name.to_string(),
            addresses: listener.addresses.iter().map(Address::to_string).collect(),
            draining: draining || !state.sockets.contains_key(&listener.name),
            inbound: listener.inbound,
        };
        state.snapshot.listeners.iter().map(status).collect()
    }
}
