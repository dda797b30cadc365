//! A connection manager and a listener with this worker's cells.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use dragoman_stats::Shard;

use crate::context::WorkerRoutes;
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
}

/// One version of a listener; connections keep the one they came by.
pub(crate) struct WorkerListener {
    pub(crate) shared: Arc<Listener>,
    pub(crate) manager: Manager,
    pub(crate) stats: Shard<ListenerStats>,
    pub(crate) handler: Shard<HandlerStats>,
    /// The listener was removed or stopped: connections are asked to close.
    pub(crate) draining: Cell<bool>,
}

impl WorkerListener {
    pub(crate) fn new(shared: &Arc<Listener>, worker: usize) -> WorkerListener {
        WorkerListener {
            shared: shared.clone(),
            manager: Manager::new(&shared.manager, worker),
            stats: shared.stats.shard(worker),
            handler: shared.handlers[worker].shard(worker),
            draining: Cell::new(false),
        }
    }
}
