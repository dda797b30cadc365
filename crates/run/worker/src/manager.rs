//! A connection manager and a listener with this worker's cells.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use dragoman_codec::h2::Flood;
use dragoman_format::LogType;
use dragoman_listener::Arrival;
use dragoman_net::Task;
use dragoman_stats::Shard;
use dragoman_transport::tls::TlsStats;
use dragoman_types::{Facts, Moment};
use rustc_hash::FxHashMap;

use crate::context::{Worker, WorkerRoutes};
use crate::h1::Wire;
use crate::snapshot::{ConnectionManager, FilterChain, Listener, Network, Plain, RouteSource};
use crate::stats::{
    CodecStats, HandlerStats, Http2Stats, HttpStats, ListenerHttpStats, ListenerStats,
};
use crate::tcp::WorkerTcp;

pub(crate) struct Manager {
    pub(crate) shared: Arc<ConnectionManager>,
    pub(crate) inline_routes: Option<Rc<WorkerRoutes>>,
    pub(crate) stats: Shard<HttpStats>,
    pub(crate) codec: Shard<CodecStats>,
    pub(crate) http2: Shard<Http2Stats>,
    pub(crate) listener_http: Shard<ListenerHttpStats>,
    /// Its chain's.
    pub(crate) draining_since: Rc<Cell<Option<Moment>>>,
}

impl Manager {
    fn new(
        shared: &Arc<ConnectionManager>,
        worker: usize,
        draining_since: Rc<Cell<Option<Moment>>>,
    ) -> Manager {
        let inline_routes = match &shared.routes {
            RouteSource::Inline(routes) => Some(Rc::new(WorkerRoutes::new(routes, worker))),
            RouteSource::Named(_) => None,
        };
        Manager {
            shared: shared.clone(),
            inline_routes,
            stats: shared.stats.shard(worker),
            codec: shared.codec.shard(worker),
            http2: shared.http2.shard(worker),
            listener_http: shared.listener_http.shard(worker),
            draining_since,
        }
    }

    /// Counts what went over a client's connection since it was last counted.
    pub(crate) fn count_bytes(&self, wire: &mut Wire) {
        let (read, written) = wire.uncounted();
        self.stats.downstream_cx_rx_bytes_total.add(read);
        self.stats.downstream_cx_tx_bytes_total.add(written);
    }
}

impl Manager {
    /// Counts what an HTTP/2 client sent too much of.
    pub(crate) fn count_flood(&self, flood: Option<Flood>) {
        match flood {
            Some(Flood::EmptyFrames) => self.http2.inbound_empty_frames_flood.inc(),
            Some(Flood::Priority) => self.http2.inbound_priority_frames_flood.inc(),
            Some(Flood::WindowUpdate) => self.http2.inbound_window_update_frames_flood.inc(),
            Some(Flood::Outbound) => self.http2.outbound_flood.inc(),
            Some(Flood::OutboundControl) => self.http2.outbound_control_flood.inc(),
            Some(Flood::Resets) => self.stats.downstream_rq_too_many_premature_resets.inc(),
            None => {}
        }
    }
}

/// What speaks a connection's protocol.
pub(crate) enum WorkerNetwork {
    Http(Rc<Manager>),
    Tcp(Rc<WorkerTcp>),
    Plain(Plain),
}

/// A filter chain with this worker's cells.
pub(crate) struct WorkerChain {
    pub(crate) shared: Arc<FilterChain>,
    pub(crate) network: WorkerNetwork,
    pub(crate) tls_stats: Option<TlsStats>,
    /// When an update of the listener left it out: since then its connections are asked to close.
    draining_since: Rc<Cell<Option<Moment>>>,
}

impl WorkerChain {
    /// Since when its connections are asked to close.
    pub(crate) fn draining_since(&self) -> Option<Moment> {
        self.draining_since.get()
    }

    fn new(shared: &Arc<FilterChain>, listener: &Listener, worker: usize) -> WorkerChain {
        let prefix = format!("{}ssl.", listener.stat_prefix);
        let draining_since = Rc::default();
        let stats = || TlsStats::new(&listener.registry, &prefix, worker);
        WorkerChain {
            shared: shared.clone(),
            network: match &shared.network {
                Network::Http(manager) => {
                    let manager = Manager::new(manager, worker, Rc::clone(&draining_since));
                    WorkerNetwork::Http(Rc::new(manager))
                }
                Network::Tcp(proxy) => WorkerNetwork::Tcp(Rc::new(WorkerTcp::new(proxy, worker))),
                Network::Plain(plain) => WorkerNetwork::Plain(plain.clone()),
            },
            tls_stats: shared.tls.is_some().then(stats),
            draining_since,
        }
    }
}

/// One version of a listener; connections keep the one they came by.
pub(crate) struct WorkerListener {
    pub(crate) shared: Arc<Listener>,
    chains: Vec<Rc<WorkerChain>>,
    default_chain: Option<Rc<WorkerChain>>,
    pub(crate) stats: Shard<ListenerStats>,
    pub(crate) handler: Shard<HandlerStats>,
    /// When the listener was removed, replaced or stopped: since then its connections are asked to
    /// close.
    pub(crate) draining_since: Cell<Option<Moment>>,
    /// Its connections, by their ids.
    pub(crate) connections: RefCell<FxHashMap<u64, Served>>,
}

/// A connection of a listener.
pub(crate) struct Served {
    pub(crate) task: Task,
    /// `None`: it hasn't one yet.
    pub(crate) chain: Option<Rc<WorkerChain>>,
}

impl WorkerListener {
    /// Chains that `before` has too are the same ones.
    pub(crate) fn new(
        shared: &Arc<Listener>,
        worker: usize,
        before: Option<&WorkerListener>,
    ) -> WorkerListener {
        let chain = |chain: &Arc<FilterChain>| {
            let mut known = before.into_iter().flat_map(WorkerListener::all_chains);
            let same = known.find(|known| Arc::ptr_eq(&known.shared, chain)).cloned();
            same.unwrap_or_else(|| Rc::new(WorkerChain::new(chain, shared, worker)))
        };
        WorkerListener {
            shared: shared.clone(),
            chains: shared.chains.iter().map(chain).collect(),
            default_chain: shared.default_chain.as_ref().map(chain),
            stats: shared.stats.shard(worker),
            handler: shared.handlers[worker].shard(worker),
            draining_since: Cell::new(None),
            connections: RefCell::default(),
        }
    }

    /// The chain that every connection takes as it comes, if the listener is as simple as that.
    pub(crate) fn only_chain(&self) -> Option<&Rc<WorkerChain>> {
        match (&*self.chains, &self.default_chain) {
            _ if !self.shared.filters.list.is_empty() => None,
            ([], Some(chain)) => Some(chain),
            ([chain], None) if self.shared.matcher.takes_all() => Some(chain),
            _ => None,
        }
    }

    pub(crate) fn find_chain(&self, arrival: &Arrival) -> Option<&Rc<WorkerChain>> {
        let found = self.shared.matcher.find(arrival);
        found.and_then(|place| self.chains.get(place)).or(self.default_chain.as_ref())
    }

    /// Counts a connection that was let in.
    pub(crate) fn count_open(&self) {
        self.stats.downstream_cx_total.inc();
        self.stats.downstream_cx_active.inc();
        self.handler.downstream_cx_total.inc();
        self.handler.downstream_cx_active.inc();
    }

    /// Counts its end, and forgets it.
    pub(crate) fn count_closed(&self, id: u64, length_ms: u64) {
        self.stats.downstream_cx_active.dec();
        self.stats.downstream_cx_destroy.inc();
        self.stats.downstream_cx_length_ms.record(length_ms);
        self.handler.downstream_cx_active.dec();
        self.connections.borrow_mut().remove(&id);
    }

    /// Whether its connections are logged.
    pub(crate) fn logs(&self) -> bool {
        !self.shared.access_logs.is_empty()
    }

    /// Writes the line of a connection that ended. Source: `Listener.access_log`.
    pub(crate) fn log(&self, worker: &Worker, facts: &Facts<'_>) {
        worker.log(&self.shared.access_logs, LogType::NotSet, facts);
    }

    fn all_chains(&self) -> impl Iterator<Item = &Rc<WorkerChain>> {
        self.chains.iter().chain(&self.default_chain)
    }

    /// Begins to ask the connections to close; a second call changes nothing.
    pub(crate) fn drain(&self, now: Moment) {
        self.draining_since.set(self.draining_since.get().or(Some(now)));
    }

    /// The same for the connections of chains that `next` hasn't.
    pub(crate) fn drain_lost(&self, next: &WorkerListener, now: Moment) {
        for chain in self.all_chains() {
            if !next.all_chains().any(|kept| Rc::ptr_eq(kept, chain)) {
                chain.draining_since.set(chain.draining_since.get().or(Some(now)));
            }
        }
    }

    /// Ends the connections that were asked to close, and are left.
    pub(crate) fn cut(&self) {
        let whole = self.draining_since.get().is_some();
        for served in self.connections.borrow().values() {
            let chain = served.chain.as_ref();
            if whole || chain.is_some_and(|chain| chain.draining_since.get().is_some()) {
                served.task.abort();
            }
        }
    }
}
