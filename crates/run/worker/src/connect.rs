//! Getting a connection to a host: an idle one, a new one, or the first that comes free. Whatever ends the
//! wait, the pool's places and the gauges are given back.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use dragoman_cluster::{Cluster, Thresholds};
use dragoman_codec::Limits;
use dragoman_net::Buffer;
use dragoman_pool::{Acquired, Grant};
use dragoman_transport::Stream;
use dragoman_types::tls::Tls;
use dragoman_types::{Moment, Priority, StreamInfo};

use crate::client::Client;
use crate::context::Worker;
use crate::dial::{Speaks, dial};
use crate::h1::{self, Wire, style};
use crate::h2::{Channel, ClientStream, Share};
use crate::lease::Leased;
use crate::upstream::{WorkerCluster, WorkerHost};

/// Who waits for a connection: a request, or a client of tcp_proxy's.
pub(crate) trait Waits {
    /// Why it waits no more.
    type Stop;

    fn worker(&self) -> &Rc<Worker>;

    /// What is known of it so far.
    fn info(&mut self) -> &mut StreamInfo;

    /// Awaits `future` within its own limits; `None`: the moment `until` came first.
    async fn wait<F: Future>(
        &mut self,
        future: F,
        until: Option<Moment>,
    ) -> Result<Option<F::Output>, Self::Stop>;
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum NoConnection<S> {
    Stopped(S),
    /// Too many wait for one.
    Overflow,
    /// As `%UPSTREAM_TRANSPORT_FAILURE_REASON%` has it, and in words.
    Failed {
        reason: Option<String>,
        text: String,
    },
    /// The one that it waited for, which another opened.
    OthersFailed,
    TimedOut,
    /// It ended before it could be used.
    Terminated,
    /// The pool is gone.
    Gone,
}

/// A connection to `host` that speaks HTTP. Most requests find one that is there ([`take`]).
pub(crate) async fn pooled<W: Waits>(
    who: &mut W,
    cluster: &WorkerCluster,
    host: Rc<WorkerHost>,
    (priority, limits): (Priority, &Thresholds),
    speaks: Speaks,
) -> Result<Leased, NoConnection<W::Stop>> {
    match take(who, cluster, &host, (priority, limits), speaks) {
        Ok(leased) => Ok(leased),
        Err(acquired) => obtain(who, cluster, host, acquired, (priority, speaks)).await,
    }
}

/// What the pool has for a request.
pub(crate) type FromPool = Acquired<h1::Client, Share>;

/// A connection that is there; or else what the pool says, for [`obtain`].
#[inline]
pub(crate) fn take<W: Waits>(
    who: &mut W,
    cluster: &WorkerCluster,
    host: &Rc<WorkerHost>,
    (priority, limits): (Priority, &Thresholds),
    speaks: Speaks,
) -> Result<Leased, FromPool> {
    let now = who.worker().clock.now();
    let info = who.info();
    info.phases.upstream_connect_begin.get_or_insert(now);
    info.attempts += 1;
    let lease = match speaks != Speaks::Http1 {
        true => host.share(priority).map(|share| Leased::shared(share, host.clone(), priority)),
        false => None,
    };
    let lease = match lease {
        Some(lease) => lease,
        None => match host.acquire(priority, limits, now, cluster.config()) {
            Acquired::Idle(client) => Leased::new(Client::Http1(client), host.clone(), priority),
            other => return Err(other),
        },
    };
    count_request(&lease);
    Ok(lease)
}

/// Opens a connection, or waits for one, as the pool said.
pub(crate) async fn obtain<W: Waits>(
    who: &mut W,
    cluster: &WorkerCluster,
    host: Rc<WorkerHost>,
    acquired: FromPool,
    (priority, speaks): (Priority, Speaks),
) -> Result<Leased, NoConnection<W::Stop>> {
    let stats = &cluster.cells.stats;
    let lease = match acquired {
        Acquired::Idle(client) => Leased::new(Client::Http1(client), host, priority),
        Acquired::Connect => {
            stats.upstream_rq_pending_total.inc();
            return opened(who, cluster, host, priority, speaks).await;
        }
        Acquired::Wait(waiter) => {
            if !host.is_opening(priority) {
                stats.upstream_cx_overflow.inc();
            }
            stats.upstream_rq_pending_total.inc();
            let pending = Pending::new(&host, priority);
            let grant = who.wait(waiter, None).await.map_err(NoConnection::Stopped)?;
            drop(pending);
            match grant.ok_or(NoConnection::Gone)? {
                Grant::Idle(client) => Leased::new(Client::Http1(client), host, priority),
                Grant::Shared(share) => Leased::shared(share, host, priority),
                Grant::Connect => return opened(who, cluster, host, priority, speaks).await,
                Grant::Failed => return Err(NoConnection::OthersFailed),
            }
        }
        Acquired::Overflow => {
            stats.upstream_rq_pending_overflow.inc();
            return Err(NoConnection::Overflow);
        }
    };
    count_request(&lease);
    Ok(lease)
}

type Opens<'s, S> = Pin<Box<dyn Future<Output = Result<Leased, NoConnection<S>>> + 's>>;

/// A new connection, whose place in the pool the caller has. Boxed: connecting needs much state, and
/// most requests never do.
pub(crate) fn opened<'s, W: Waits>(
    who: &'s mut W,
    cluster: &'s WorkerCluster,
    host: Rc<WorkerHost>,
    priority: Priority,
    speaks: Speaks,
) -> Opens<'s, W::Stop> {
    Box::pin(async move {
        let leased = open(who, cluster, host, priority, speaks).await?;
        count_request(&leased);
        Ok(leased)
    })
}

async fn open<W: Waits>(
    who: &mut W,
    cluster: &WorkerCluster,
    host: Rc<WorkerHost>,
    priority: Priority,
    speaks: Speaks,
) -> Result<Leased, NoConnection<W::Stop>> {
    let worker = who.worker().clone();
    let config = cluster.config();
    let begun = worker.clock.read();
    let opening = Opening::new(host, priority, speaks);
    let target = opening.host.clone();
    let until = Some(begun.after(config.connect_timeout));
    let dialled = dial(&worker, cluster, &target, target.header(), speaks);
    let (stream, facts) = match who.wait(dialled, until).await.map_err(NoConnection::Stopped)? {
        Some(Ok(dialled)) => dialled,
        Some(Err(error)) => {
            opening.host.cluster.count_handshake(Err(&error));
            opening.fail(false);
            let (reason, text) = error.told(&target.host.address);
            return Err(NoConnection::Failed { reason, text });
        }
        None => {
            opening.fail(true);
            return Err(NoConnection::TimedOut);
        }
    };
    opening.host.cluster.count_handshake(Ok(facts.as_deref()));
    worker.clock.read();
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
            opening.host.spread(priority, &config.thresholds[priority as usize]);
        }
    }
    match http2 {
        true => {
            let channel = {
                let of = (opening.priority, config);
                let opens = Channel::open(&worker, stream, tls, &target, of);
                who.wait(opens, until).await.map_err(NoConnection::Stopped)?
            };
            match channel {
                Some(channel) => speak_http2(&worker, config, opening, channel, begun),
                None => {
                    opening.fail(true);
                    Err(NoConnection::TimedOut)
                }
            }
        }
        false => Ok(speak_http1(&worker, config, opening, (stream, tls), begun)),
    }
}

fn speak_http1(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    opening: Opening,
    (stream, tls): (Stream, Option<Arc<Tls>>),
    begun: Moment,
) -> Leased {
    let now = worker.clock.now();
    let style = style(cluster.http.proper_case);
    let wire = Wire::new(stream, Buffer::default(), worker.buffers.clone(), style);
    let limits = Limits {
        head_bytes: cluster.http.max_response_headers_bytes,
        fields: cluster.http.max_headers_count,
    };
    let (id, trailers) = (worker.next_id(), cluster.http.enable_trailers);
    let mut client = Box::new(h1::Client::new(wire, id, now, limits, trailers));
    client.tls = tls;
    opening.done(Client::Http1(client), now.millis_since(begun))
}

/// `channel`: none if the connection ended at once.
fn speak_http2<S>(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    opening: Opening,
    channel: Option<Rc<Channel>>,
    begun: Moment,
) -> Result<Leased, NoConnection<S>> {
    let limits = &cluster.thresholds[opening.priority as usize];
    let share = channel.and_then(|c| opening.host.opened(opening.priority, c, limits));
    let Some(share) = share else {
        opening.fail(false);
        return Err(NoConnection::Terminated);
    };
    let client = Client::Http2(Box::new(ClientStream::new(share)));
    Ok(opening.done(client, worker.clock.now().millis_since(begun)))
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
