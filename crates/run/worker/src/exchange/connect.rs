//! Getting a connection to the host: an idle one, a new one, or the first that comes free. Whatever
//! ends the wait, the pool's places and the gauges are given back.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use dragoman_cluster::{Cluster, Thresholds};
use dragoman_codec::h1::Limits;
use dragoman_net::Buffer;
use dragoman_pool::{Acquired, Grant};
use dragoman_types::Priority;

use super::leg::Failure;
use super::{Exchange, Stop, replies};
use crate::dial::{Speaks, dial};
use crate::h1::{Client, Wire, style};
use crate::upstream::{Leased, WorkerCluster, WorkerHost};

impl Exchange<'_> {
    /// A connection to `host`: an idle one, a new one, or the first that comes free.
    pub(super) async fn connect(
        &mut self,
        cluster: &WorkerCluster,
        host: Rc<WorkerHost>,
        priority: Priority,
        limits: &Thresholds,
    ) -> Result<Leased, Stop> {
        let now = self.worker.clock.now();
        self.info.phases.upstream_connect_begin.get_or_insert(now);
        self.info.attempts += 1;
        let lease = match host.acquire(priority, limits, now, cluster.config()) {
            Acquired::Idle(client) => Leased::new(client, host, priority),
            Acquired::Connect => {
                cluster.cells.stats.upstream_rq_pending_total.inc();
                self.opened(cluster.config(), host, priority).await?
            }
            Acquired::Wait(waiter) => {
                cluster.cells.stats.upstream_cx_overflow.inc();
                cluster.cells.stats.upstream_rq_pending_total.inc();
                let pending = Pending::new(&host, priority);
                let grant = self.patiently(waiter, None).await?.ok_or(Stop::Gone)?;
                drop(pending);
                match grant {
                    Grant::Idle(client) => Leased::new(client, host, priority),
                    Grant::Connect => self.opened(cluster.config(), host, priority).await?,
                }
            }
            Acquired::Overflow => {
                cluster.cells.stats.upstream_rq_pending_overflow.inc();
                return Err(self.overflow("max_pending_requests", limits.max_pending_requests));
            }
        };
        count_request(&lease);
        Ok(lease)
    }

    /// A connection to `host` for bytes that aren't HTTP: always a new one.
    pub(super) async fn connect_raw(
        &mut self,
        cluster: &WorkerCluster,
        host: Rc<WorkerHost>,
        priority: Priority,
        limits: &Thresholds,
    ) -> Result<Leased, Stop> {
        let now = self.worker.clock.now();
        self.info.phases.upstream_connect_begin.get_or_insert(now);
        self.info.attempts += 1;
        if !host.has_room(priority, limits) {
            cluster.cells.stats.upstream_cx_overflow.inc();
            return Err(self.overflow("max_connections", limits.max_connections));
        }
        host.take_place(priority);
        cluster.cells.stats.upstream_rq_pending_total.inc();
        let config = cluster.config();
        let mut leased = Box::pin(self.open(config, host, priority, Speaks::Anything)).await?;
        count_request(&leased);
        self.note_connection(&mut leased);
        Ok(leased)
    }

    /// Another connection to the same host, in the place of one that proved dead.
    pub(super) async fn reconnect(
        &mut self,
        cluster: &WorkerCluster,
        mut dead: Leased,
        failure: &Failure,
    ) -> Result<Leased, Stop> {
        dead.fate = failure.fate();
        self.info.attempts += 1;
        let priority = dead.priority;
        let lease = self.opened(cluster.config(), dead.into_place(), priority).await?;
        count_request(&lease);
        Ok(lease)
    }

    /// Boxed: connecting needs much state, and most requests never do.
    fn opened<'s>(
        &'s mut self,
        cluster: &'s Cluster,
        host: Rc<WorkerHost>,
        priority: Priority,
    ) -> Pin<Box<dyn Future<Output = Result<Leased, Stop>> + 's>> {
        Box::pin(self.open(cluster, host, priority, Speaks::Http))
    }

    async fn open(
        &mut self,
        cluster: &Cluster,
        host: Rc<WorkerHost>,
        priority: Priority,
        speaks: Speaks,
    ) -> Result<Leased, Stop> {
        let begun = self.worker.clock.read();
        let opening = Opening::new(host, priority, speaks);
        let address = opening.host.host.address.clone();
        let until = Some(begun.after(cluster.connect_timeout));
        let tls = self.cluster.as_ref().and_then(|cluster| cluster.entry.tls.clone());
        let dialled = dial(self.worker, cluster, tls, &address, speaks);
        let (stream, facts) = match self.patiently(dialled, until).await? {
            Some(Ok(dialled)) => dialled,
            Some(Err(error)) => {
                opening.host.cluster.count_handshake(Err(&error));
                opening.fail(false);
                let (reason, text) = error.told(&address);
                self.info.upstream_transport_failure = reason.clone().map(Into::into);
                return Err(replies::connect_failed(cluster, reason.as_deref(), &text).into());
            }
            None => {
                opening.fail(true);
                return Err(replies::connect_timeout(cluster).into());
            }
        };
        opening.host.cluster.count_handshake(Ok(facts.as_deref()));
        let now = self.worker.clock.read();
        let style = style(cluster.http.proper_case);
        let wire = Wire::new(stream, Buffer::default(), self.worker.buffers.clone(), style);
        let limits = Limits {
            head_bytes: cluster.http.max_response_headers_bytes,
            fields: cluster.http.max_headers_count,
        };
        let trailers = cluster.http.enable_trailers;
        let mut client = Box::new(Client::new(wire, self.worker.next_id(), now, limits, trailers));
        client.tls = facts.map(Arc::from);
        Ok(opening.done(client, now.millis_since(begun)))
    }
}

fn count_request(lease: &Leased) {
    lease.host.cluster.stats.upstream_rq_total.inc();
    lease.host.stats.rq_total.inc();
}

/// A connection that is being opened: its place in the pool is given back if nobody waits for it.
struct Opening {
    /// Whoever opens a connection waits for it. Gone once it's over.
    pending: Option<Pending>,
    host: Rc<WorkerHost>,
    priority: Priority,
}

impl Opening {
    fn new(host: Rc<WorkerHost>, priority: Priority, speaks: Speaks) -> Opening {
        host.opening(priority, speaks);
        Opening { pending: Some(Pending::new(&host, priority)), host, priority }
    }

    fn fail(mut self, timeout: bool) {
        self.pending = None;
        self.host.cluster.stats.upstream_rq_pending_failure_eject.inc();
        self.host.failed(self.priority, timeout);
    }

    fn done(mut self, client: Box<Client>, connect_ms: u64) -> Leased {
        self.pending = None;
        self.host.cluster.stats.upstream_cx_connect_ms.record(connect_ms);
        Leased::new(client, self.host.clone(), self.priority)
    }
}

/// Nobody waits for it any more: the host isn't to blame.
impl Drop for Opening {
    fn drop(&mut self) {
        if self.pending.take().is_some() {
            self.host.cluster.stats.upstream_rq_cancelled.inc();
            self.host.cancelled(self.priority);
        }
    }
}

/// A request that waits for a connection.
struct Pending(Rc<WorkerHost>, Priority);

impl Pending {
    fn new(host: &Rc<WorkerHost>, priority: Priority) -> Pending {
        host.cluster.stats.upstream_rq_pending_active.inc();
        host.cluster.load(priority).pending.inc();
        Pending(host.clone(), priority)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.cluster.stats.upstream_rq_pending_active.dec();
        self.0.cluster.load(self.1).pending.dec();
    }
}
