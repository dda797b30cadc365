//! The host, and getting a connection to it: an idle one, a new one, or the first that comes free. Whatever
//! ends the wait, the pool's places and the gauges are given back.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use dragoman_cluster::{Cluster, Thresholds};
use dragoman_codec::Limits;
use dragoman_net::Buffer;
use dragoman_pool::{Acquired, Grant};
use dragoman_router::Forward;
use dragoman_transport::Stream;
use dragoman_types::tls::Tls;
use dragoman_types::{Moment, Priority};

use super::leg::Failure;
use super::{Exchange, Stop, replies};
use crate::client::Client;
use crate::dial::{Speaks, dial};
use crate::h1::{self, Wire, style};
use crate::h2::{Channel, ClientStream};
use crate::lease::Leased;
use crate::upstream::{MAX_NAMES, WorkerCluster, WorkerHost};

impl Exchange<'_> {
    /// The host that serves the request, as the request means it.
    pub(super) fn pick(
        &mut self,
        cluster: &WorkerCluster,
        forward: &Forward,
    ) -> Result<Rc<WorkerHost>, Stop> {
        let worker = self.worker;
        let headers = &self.x.request.headers;
        let host = cluster.pick(self.connection, Some(headers), &mut || worker.random());
        let Some(host) = host else { return Err(self.no_host(cluster)) };
        self.host = Some(host.clone());
        if forward.auto_host_rewrite && !host.host.hostname.is_empty() {
            let keep = self.envoy_headers();
            let mut edits = self.worker.edits();
            let request = &mut self.x.request;
            forward.use_host_name(request, &host.host.hostname, keep, &mut edits);
        }
        match (&cluster.config().http.names, &cluster.entry.proxy_protocol) {
            (None, None) => Ok(host),
            _ => self.meant(cluster, &host),
        }
    }

    /// The host with the connections that are for such requests, or for this client, alone.
    fn meant(
        &self,
        cluster: &WorkerCluster,
        host: &Rc<WorkerHost>,
    ) -> Result<Rc<WorkerHost>, Stop> {
        // Only TLS asks a host for a name.
        let names = cluster.config().http.names.as_ref().filter(|_| cluster.entry.tls.is_some());
        let name = names.and_then(|names| Some((names.of(&self.x.request)?, names)));
        let header = cluster.header(self.connection);
        if name.is_none() && header.is_empty() {
            return Ok(host.clone());
        }
        let meant = host.meant(name, header);
        meant.ok_or_else(|| self.overflowed(format!("requests call a host by {MAX_NAMES} names")))
    }

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
        let speaks = Speaks::http(cluster.config(), self.info.version);
        if speaks != Speaks::Http1
            && let Some(share) = host.share(priority)
        {
            let lease = Leased::shared(share, host, priority);
            count_request(&lease);
            return Ok(lease);
        }
        let lease = match host.acquire(priority, limits, now, cluster.config()) {
            Acquired::Idle(client) => Leased::new(Client::Http1(client), host, priority),
            Acquired::Connect => {
                cluster.cells.stats.upstream_rq_pending_total.inc();
                self.opened(cluster.config(), host, priority, speaks).await?
            }
            Acquired::Wait(waiter) => {
                if !host.is_opening(priority) {
                    cluster.cells.stats.upstream_cx_overflow.inc();
                }
                cluster.cells.stats.upstream_rq_pending_total.inc();
                let pending = Pending::new(&host, priority);
                let grant = self.patiently(waiter, None).await?.ok_or(Stop::Gone)?;
                drop(pending);
                match grant {
                    Grant::Idle(client) => Leased::new(Client::Http1(client), host, priority),
                    Grant::Shared(share) => Leased::shared(share, host, priority),
                    Grant::Connect => self.opened(cluster.config(), host, priority, speaks).await?,
                    Grant::Failed => {
                        let text = "the connection that it waited for could not be opened";
                        return Err(replies::connect_failed(cluster.config(), None, text).into());
                    }
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
        let (priority, host) = (dead.priority, dead.host.clone());
        let Some(host) = dead.into_place() else {
            let limits = cluster.config().thresholds[priority as usize];
            return self.connect(cluster, host, priority, &limits).await;
        };
        self.info.attempts += 1;
        let lease = self.opened(cluster.config(), host, priority, Speaks::Http1).await?;
        count_request(&lease);
        Ok(lease)
    }

    /// Boxed: connecting needs much state, and most requests never do.
    fn opened<'s>(
        &'s mut self,
        cluster: &'s Cluster,
        host: Rc<WorkerHost>,
        priority: Priority,
        speaks: Speaks,
    ) -> Pin<Box<dyn Future<Output = Result<Leased, Stop>> + 's>> {
        Box::pin(self.open(cluster, host, priority, speaks))
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
        let target = opening.host.clone();
        let until = Some(begun.after(cluster.connect_timeout));
        let tls = self.cluster.as_ref().and_then(|cluster| cluster.entry.tls.clone());
        let dialled = dial(self.worker, cluster, tls, &target, target.header(), speaks);
        let (stream, facts) = match self.patiently(dialled, until).await? {
            Some(Ok(dialled)) => dialled,
            Some(Err(error)) => {
                opening.host.cluster.count_handshake(Err(&error));
                opening.fail(false);
                let (reason, text) = error.told(&target.host.address);
                self.info.upstream_transport_failure = reason.clone().map(Into::into);
                return Err(replies::connect_failed(cluster, reason.as_deref(), &text).into());
            }
            None => {
                opening.fail(true);
                return Err(replies::connect_timeout(cluster).into());
            }
        };
        opening.host.cluster.count_handshake(Ok(facts.as_deref()));
        self.worker.clock.read();
        let tls: Option<Arc<Tls>> = facts.map(Arc::from);
        let picked = tls.as_ref().and_then(|tls| tls.application.as_deref());
        let http2 = match speaks {
            Speaks::Http2 => true,
            Speaks::Either => picked == Some(b"h2"),
            Speaks::Http1 | Speaks::Anything => false,
        };
        if speaks == Speaks::Either {
            opening.host.picked(http2);
            if !http2 {
                opening.host.spread(priority, &cluster.thresholds[priority as usize]);
            }
        }
        match http2 {
            true => self.speak_http2(cluster, opening, (stream, tls), begun).await,
            false => Ok(self.speak_http1(cluster, opening, (stream, tls), begun)),
        }
    }

    fn speak_http1(
        &self,
        cluster: &Cluster,
        opening: Opening,
        (stream, tls): (Stream, Option<Arc<Tls>>),
        begun: Moment,
    ) -> Leased {
        let now = self.worker.clock.now();
        let style = style(cluster.http.proper_case);
        let wire = Wire::new(stream, Buffer::default(), self.worker.buffers.clone(), style);
        let limits = Limits {
            head_bytes: cluster.http.max_response_headers_bytes,
            fields: cluster.http.max_headers_count,
        };
        let (id, trailers) = (self.worker.next_id(), cluster.http.enable_trailers);
        let mut client = Box::new(h1::Client::new(wire, id, now, limits, trailers));
        client.tls = tls;
        opening.done(Client::Http1(client), now.millis_since(begun))
    }

    async fn speak_http2(
        &self,
        cluster: &Cluster,
        opening: Opening,
        (stream, tls): (Stream, Option<Arc<Tls>>),
        begun: Moment,
    ) -> Result<Leased, Stop> {
        let now = self.worker.clock.now();
        let of = (opening.priority, cluster);
        let channel = Channel::open(self.worker, stream, tls, &opening.host, of).await;
        let limits = &cluster.thresholds[opening.priority as usize];
        let share = channel.ok().and_then(|c| opening.host.opened(opening.priority, c, limits));
        match share {
            Some(share) => {
                let client = Client::Http2(Box::new(ClientStream::new(share)));
                Ok(opening.done(client, now.millis_since(begun)))
            }
            None => {
                opening.fail(false);
                Err(replies::terminated().into())
            }
        }
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
    /// Others may share it: they wait for it too.
    shared: bool,
}

impl Opening {
    fn new(host: Rc<WorkerHost>, priority: Priority, speaks: Speaks) -> Opening {
        host.opening(priority, speaks);
        let shared = match speaks {
            Speaks::Http2 => true,
            Speaks::Either => !host.picks_http1(),
            Speaks::Http1 | Speaks::Anything => false,
        };
        if shared {
            host.begin_channel(priority);
        }
        Opening { pending: Some(Pending::new(&host, priority)), host, priority, shared }
    }

    fn fail(mut self, timeout: bool) {
        self.pending = None;
        self.host.cluster.stats.upstream_rq_pending_failure_eject.inc();
        if self.shared {
            self.host.pool(self.priority).fail_line();
        }
        self.host.failed(self.priority, timeout);
    }

    fn done(mut self, client: Client, connect_ms: u64) -> Leased {
        self.pending = None;
        self.host.cluster.stats.upstream_cx_connect_ms.record(connect_ms);
        Leased::new(client, self.host.clone(), self.priority)
    }
}

/// Nobody waits for it any more: the host isn't to blame.
impl Drop for Opening {
    fn drop(&mut self) {
        if self.shared {
            self.host.end_channel(self.priority);
        }
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
