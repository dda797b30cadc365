//! Bytes through a request: a CONNECT, or a POST whose bodies they are (`tunneling_config`).

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use dragoman_codec::Framing;
use dragoman_net::Buffer;
use dragoman_transport::Stream;
use dragoman_types::{Flags, ResponseHead};

use super::limits::Stopped;
use super::upstream::PRIORITY;
use super::{Link, Proxied, Tried};
use crate::client::Client;
use crate::connect::{NoConnection, Waits, pooled};
use crate::dial::Speaks;
use crate::exchange::Admitted;
use crate::h1::{Head, Wire, style};
use crate::lease::Leased;
use crate::stream::{PumpError, Sink, pump};
use crate::upstream::{Gone, WorkerCluster, WorkerHost};

/// A request that its host agreed to, and what it counts as.
pub(super) struct Tunnel {
    leased: Leased,
    _admitted: Admitted,
}

/// Both ways, as far as they are.
#[derive(Default)]
struct Ways {
    up: u64,
    down: u64,
    up_finished: bool,
    up_over: bool,
    down_finished: bool,
}

/// What ended both.
enum Over {
    /// The host's way is over, which ends a tunnel.
    Orderly,
    /// The client's connection failed, or the host's stream.
    ClientFailed,
    HostFailed,
    Stopped(Stopped),
}

impl Proxied {
    /// One attempt: a connection, the request, and the host's agreement.
    pub(super) async fn try_tunnel(
        &mut self,
        cluster: &Rc<WorkerCluster>,
        host: &Rc<WorkerHost>,
    ) -> Result<Tried, Stopped> {
        self.host = Some(host.clone());
        let limits = cluster.config().thresholds[PRIORITY as usize];
        if cluster.cells.sum(PRIORITY, |load| &load.requests) >= u64::from(limits.max_requests) {
            cluster.cells.stats.upstream_rq_active_overflow.inc();
            self.info.flags.insert(Flags::UPSTREAM_OVERFLOW);
            return Ok(Tried::Failed);
        }
        let admitted = Admitted::new(cluster, PRIORITY);
        let speaks = Speaks::http(cluster.config(), None);
        // Who is told of the client has connections for this client alone.
        let header = self.header(cluster);
        let told = match header.is_empty() {
            true => Some(host.clone()),
            false => host.meant(None, header),
        };
        let Some(host) = told else { return self.no_tunnel(NoConnection::Overflow) };
        let leased = pooled(self, cluster, host, (PRIORITY, &limits), speaks).await;
        let mut leased = match leased {
            Ok(leased) => leased,
            Err(why) => return self.no_tunnel(why),
        };
        let (_, local, tls) = leased.client().connection();
        (self.info.upstream_local, self.info.upstream_tls) = (local.clone(), tls.clone());
        self.info.phases.upstream_connect_end = Some(self.worker.clock.now());
        self.ask(&mut leased);
        if self.agreed(&mut leased).await? {
            return Ok(Tried::Connected(Link::Tunnel(Tunnel { leased, _admitted: admitted })));
        }
        self.info.flags.insert(Flags::UPSTREAM_CONNECTION_FAILURE);
        Ok(Tried::Failed)
    }

    fn no_tunnel(&mut self, why: NoConnection<Stopped>) -> Result<Tried, Stopped> {
        let flag = match why {
            NoConnection::Stopped(why) => return Err(why),
            NoConnection::Overflow => Flags::UPSTREAM_OVERFLOW,
            NoConnection::Failed { reason, .. } => {
                self.info.upstream_transport_failure = reason.map(Into::into);
                Flags::UPSTREAM_CONNECTION_FAILURE
            }
            NoConnection::OthersFailed
            | NoConnection::TimedOut
            | NoConnection::Terminated
            | NoConnection::Gone => Flags::UPSTREAM_CONNECTION_FAILURE,
        };
        self.info.flags.insert(flag);
        Ok(Tried::Failed)
    }

    /// Writes the request's head.
    fn ask(&self, leased: &mut Leased) {
        let proxy = self.proxy.clone();
        let Some(tunnel) = &proxy.config().tunnel else { return };
        let secure = leased.client().connection().2.is_some();
        let mut edits = self.worker.edits();
        let head = tunnel.request(&self.facts(), secure, &mut edits);
        let framing = if tunnel.is_connect() { Framing::None } else { Framing::Chunked };
        leased.client().request(&head, framing, tunnel.is_connect());
    }

    /// Whether the host says 200.
    async fn agreed(&mut self, leased: &mut Leased) -> Result<bool, Stopped> {
        let mut head = ResponseHead::default();
        let answering = poll_fn(|cx| {
            if let Poll::Ready(Err(_)) = leased.client().poll_flush(cx) {
                return Poll::Ready(false);
            }
            leased.count_bytes();
            let client = leased.client();
            loop {
                match ready!(client.poll_head(cx, &mut head)) {
                    Ok(Head::Interim) => {}
                    Ok(Head::Final(_)) => return Poll::Ready(head.status == 200),
                    Err(_) => return Poll::Ready(false),
                }
            }
        });
        // No other limit than the connection's own: it waits for ever only if it may.
        self.wait(answering, None).await.map(|agreed| agreed == Some(true))
    }

    pub(super) async fn relay_through(&mut self, client: Stream, input: Buffer, tunnel: Tunnel) {
        let Tunnel { mut leased, _admitted } = tunnel;
        let pool = self.worker.buffers.clone();
        let mut client = Wire::new(client, input, pool, style(false));
        client.become_raw();
        let is_connect = self.proxy.config().tunnel.as_ref().is_some_and(|t| t.is_connect());
        if let (Some(host), true) = (leased.client().wire(), is_connect) {
            host.become_raw();
        }
        let mut ways = Ways::default();
        let mut active = self.worker.clock.now();
        let over = poll_fn(|cx| {
            let before = (ways.up, ways.down, ways.up_over);
            if let Poll::Ready(over) = poll_ways(cx, &mut ways, &mut client, leased.client()) {
                return Poll::Ready(over);
            }
            if before != (ways.up, ways.down, ways.up_over) {
                active = self.worker.clock.read();
                self.count_carried(&mut leased, &ways);
                if self.is_drained() {
                    return Poll::Ready(Over::Stopped(Stopped::Drain));
                }
            }
            // Without another moment to wait for, what passes is a limit.
            self.poll_limits(cx, active, None).map(|why| why.map_or(Over::Orderly, Over::Stopped))
        })
        .await;
        self.count_carried(&mut leased, &ways);
        match over {
            Over::Orderly => {}
            Over::ClientFailed => {
                // A reset could destroy what it sent before. A stream of HTTP/2 is reset alone.
                if let Some(wire) = leased.client().wire().filter(|_| ways.up == 0) {
                    wire.stream.reset_on_close();
                }
            }
            Over::HostFailed => {
                self.info.flags.insert(Flags::UPSTREAM_REMOTE_RESET);
                leased.fate = Gone::RemoteActive;
                if ways.down == 0 {
                    client.stream.reset_on_close();
                }
            }
            Over::Stopped(why) => self.count_stop(why),
        }
    }

    fn count_carried(&mut self, leased: &mut Leased, ways: &Ways) {
        let (info, stats) = (&mut self.info, &self.proxy.stats);
        // What came early is counted already, and on its way.
        let up = ways.up.max(info.bytes_received);
        stats.downstream_cx_rx_bytes_total.add(up - info.bytes_received);
        stats.downstream_cx_tx_bytes_total.add(ways.down - info.bytes_sent);
        (info.bytes_received, info.bytes_sent) = (up, ways.down);
        (info.downstream_wire_received, info.downstream_wire_sent) = (up, ways.down);
        (info.upstream_wire_received, info.upstream_wire_sent) = leased.wire_bytes();
        leased.count_bytes();
    }
}

/// Moves what there is both ways; ready once the tunnel is over.
fn poll_ways(
    cx: &mut Context<'_>,
    ways: &mut Ways,
    client: &mut Wire,
    host: &mut Client,
) -> Poll<Over> {
    if !ways.up_over {
        match pump(client, host, &mut ways.up, &mut ways.up_finished, cx) {
            Poll::Ready(Ok(())) => {
                ways.up_over = true;
                if let Some(wire) = host.wire().filter(|wire| wire.is_until_close()) {
                    // A host that is gone is noticed by who reads from it.
                    let _ = wire.stream.shutdown();
                }
            }
            Poll::Ready(Err(PumpError::Source(_))) => return Poll::Ready(Over::ClientFailed),
            // It may still have something to say.
            Poll::Ready(Err(PumpError::Sink)) => ways.up_over = true,
            Poll::Pending => {}
        }
    }
    match pump(host, client, &mut ways.down, &mut ways.down_finished, cx) {
        Poll::Ready(Ok(())) => {
            let _ = client.stream.shutdown();
            Poll::Ready(Over::Orderly)
        }
        Poll::Ready(Err(PumpError::Source(_))) => Poll::Ready(Over::HostFailed),
        Poll::Ready(Err(PumpError::Sink)) => Poll::Ready(Over::ClientFailed),
        Poll::Pending => Poll::Pending,
    }
}
