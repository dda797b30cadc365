//! A connection manager and a listener with this worker's cells.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use dragoman_net::Task;
use dragoman_stats::Shard;
use dragoman_types::Moment;
use rustc_hash::FxHashMap;

use crate::context::WorkerRoutes;
use crate::h1::Wire;
use crate::snapshot::{ConnectionManager, Listener, RouteSource};
use crate::stats::{CodecStats, HandlerStats, HttpStats, ListenerHttpStats, ListenerStats};

pub(crate) struct Manager {
    pub(crate) shared: Arc<ConnectionManager>,
    pub(crate) inline_routes: Option<Rc<WorkerRoutes>>,
    pub(crate) stats: Shard<HttpStats>,
    pub(crate) codec: Shard<CodecStats>,
    pub(crate) listener_http: Shard<ListenerHttpStats>,
}

impl Manager {
    fn new(shared: &Arc<ConnectionManager>, worker: usize) -> Manager {
        let inline_routes = match &shared.routes {
            RouteSource::Inline(routes) => Some(Rc::new(WorkerRoutes::new(routes, worker))),
            RouteSource::Named(_) => None,
        };
        Manager {
            shared: shared.clone(),
            inline_routes,
            stats: shared.stats.shard(worker),
            codec: shared.codec.shard(worker),
            listener_http: shared.listener_http.shard(worker),
        }
    }

    /// Counts what went over a client's connection since it was last counted.
    pub(crate) fn count_bytes(&self, wire: &mut Wire) {
        let (read, written) = wire.uncounted();
        self.stats.downstream_cx_rx_bytes_total.add(read);
        self.stats.downstream_cx_tx_bytes_total.add(written);
    }
}

/// One version of a listener; connections keep the one they came by.
pub(crate) struct WorkerListener {
    pub(crate) shared: Arc<Listener>,
    pub(crate) manager: Manager,
    pub(crate) stats: Shard<ListenerStats>,
    pub(crate) handler: Shard<HandlerStats>,
    /// When the listener was removed, replaced or stopped: since then its connections are asked to
    /// close.
    pub(crate) draining_since: Cell<Option<Moment>>,
    /// The tasks of its connections, by the connections' ids.
    pub(crate) connections: RefCell<FxHashMap<u64, Task>>,
}

impl WorkerListener {
    pub(crate) fn new(shared: &Arc<Listener>, worker: usize) -> WorkerListener {
        WorkerListener {
            shared: shared.clone(),
            manager: Manager::new(&shared.manager, worker),
            stats: shared.stats.shard(worker),
            handler: shared.handlers[worker].shard(worker),
            draining_since: Cell::new(None),
            connections: RefCell::default(),
        }
    }

    /// Begins to ask the connections to close; a second call changes nothing.
    pub(crate) fn drain(&self, now: Moment) {
        self.draining_since.set(self.draining_since.get().or(Some(now)));
    }

    /// Ends the connections that are left.
    pub(crate) fn cut(&self) {
        for connection in self.connections.borrow().values() {
            connection.abort();
        }
    }
}
