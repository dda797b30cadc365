//! `envoy.filters.network.tcp_proxy`: a client's connection, one to a host, and bytes both ways.

mod early;
mod limits;
mod tunnel;
mod upstream;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dragoman_format::LogType;
use dragoman_listener::Refused;
use dragoman_net::{Buffer, Deadline, Socket, others_first};
use dragoman_stats::Shard;
use dragoman_tcp_proxy::Config;
use dragoman_transport::Stream;
use dragoman_types::{BackOff, Connection, Facts, Flags, Moment, StreamInfo};

use crate::connect::Waits;
use crate::context::Worker;
use crate::dial::{Speaks, dial};
use crate::handshake::{Unsecured, pass_filters, pass_secured, shake_hands};
use crate::manager::{WorkerChain, WorkerListener};
use crate::relay::{End, Way};
use crate::serve::{Admitted, connection_of};
use crate::snapshot::TcpProxy;
use crate::stats::TcpStats;
use crate::upstream::{WorkerCluster, WorkerHost, describe};

use early::Early;
use limits::Stopped;
use tunnel::Tunnel;
use upstream::{Counted, PRIORITY};

/// A chain's tcp_proxy with this worker's cells.
pub(crate) struct WorkerTcp {
    shared: Arc<TcpProxy>,
    stats: Shard<TcpStats>,
}

impl WorkerTcp {
    pub(crate) fn new(shared: &Arc<TcpProxy>, worker: usize) -> WorkerTcp {
        WorkerTcp { shared: shared.clone(), stats: shared.stats.shard(worker) }
    }

    fn config(&self) -> &Config {
        &self.shared.config
    }
}

/// A client's connection.
struct Proxied {
    worker: Rc<Worker>,
    listener: Rc<WorkerListener>,
    chain: Rc<WorkerChain>,
    proxy: Rc<WorkerTcp>,
    connection: Connection,
    info: StreamInfo,
    deadline: Deadline,
    /// The cluster that a filter chose.
    chosen: Option<Box<str>>,
    cluster: Option<Rc<WorkerCluster>>,
    host: Option<Rc<WorkerHost>>,
    /// How long it may last.
    longest: Option<Duration>,
    /// When its next regular line of the log is due.
    next_line: Option<Moment>,
    /// The client's side, until there is a host.
    early: Option<Early>,
}

/// Proxies a connection until it ends.
pub(crate) fn proxy(
    worker: Rc<Worker>,
    listener: Rc<WorkerListener>,
    proxy: Rc<WorkerTcp>,
    admitted: Admitted,
) -> impl Future<Output = ()> {
    let chain = admitted.chain.clone();
    let (connection, socket, input) = connection_of(&worker, &listener, admitted);
    let info = StreamInfo::new(worker.next_id(), connection.accepted_at);
    let longest = proxy.config().longest(worker.random());
    let mut proxied = Proxied {
        deadline: worker.reactor.deadline(),
        worker,
        listener,
        chain,
        proxy,
        connection,
        info,
        chosen: None,
        cluster: None,
        host: None,
        longest,
        next_line: None,
        early: None,
    };
    proxied.count_open();
    async move { proxied.run(socket, input).await }
}

impl Proxied {
    async fn run(&mut self, socket: Socket, input: Buffer) {
        self.plan_line();
        if self.proxy.config().logs.start {
            self.log(LogType::TcpConnectionStart);
        }
        let passing = pass_filters(&self.worker, &self.chain, &self.connection, &mut self.deadline);
        let mut passed = match passing.await {
            Ok(passed) => passed,
            Err(refused) => return self.turned_away(refused),
        };
        self.chosen = passed.cluster.take();
        let Some((client, input)) = Box::pin(self.secure(socket, input)).await else { return };
        let passing = pass_secured(&self.worker, &self.chain, &self.connection, &mut self.deadline);
        if let Err(refused) = passing.await {
            return self.turned_away(refused);
        }
        self.early = Some(Early::new(client, input));
        let Some(link) = Box::pin(self.link()).await else { return };
        let Some(Early { client, input, .. }) = self.early.take() else { return };
        if self.proxy.config().logs.connected {
            self.log(LogType::TcpUpstreamConnected);
        }
        match link {
            Link::Bytes(host, counted) => self.relay(client, input, host, counted).await,
            Link::Tunnel(tunnel) => Box::pin(self.relay_through(client, input, tunnel)).await,
        }
    }

    /// The way to a host, once there is a reason to have one.
    async fn link(&mut self) -> Option<Link> {
        let linked = match self.first_bytes().await {
            Ok(true) => self.connect().await,
            Ok(false) => Ok(None),
            Err(why) => Err(why),
        };
        linked.unwrap_or_else(|why| {
            self.count_stop(why);
            None
        })
    }

    fn turned_away(&mut self, refused: Refused) {
        self.info.flags.insert(refused.flags);
        self.info.connection_termination = refused.details.map(Into::into);
    }

    /// TLS's handshake with the client, if the chain has it.
    async fn secure(&mut self, socket: Socket, input: Buffer) -> Option<(Stream, Buffer)> {
        if self.chain.shared.tls.is_none() {
            return Some((Stream::Plain(socket), input));
        }
        let accepted_at = self.connection.accepted_at;
        let (own, limit) = self.next_limit(accepted_at).unzip();
        let timer = (&mut self.deadline, accepted_at, own);
        let bytes = (socket, input);
        match shake_hands(&self.worker, &self.listener, &self.chain, bytes, timer).await {
            Ok(secured) => {
                self.connection.tls = Some(secured.tls);
                Some((secured.stream, Buffer::default()))
            }
            Err(why) => {
                match (why, limit) {
                    (Unsecured::TooSlow, _) => {
                        let late = "transport socket timeout was reached";
                        self.info.connection_termination = Some(late.into());
                    }
                    (Unsecured::OwnLimit, Some(limit)) => self.count_stop(limit),
                    (Unsecured::ByClient(reason), _) => {
                        self.info.downstream_transport_failure = reason.map(Into::into);
                    }
                    _ => {}
                }
                None
            }
        }
    }

    /// A connection to a host of the cluster; several are tried if the configuration says so.
    async fn connect(&mut self) -> Result<Option<Link>, Stopped> {
        let worker = self.worker.clone();
        let snapshot = worker.snapshot();
        let proxy = self.proxy.clone();
        let config = proxy.config();
        let name = self.chosen.as_deref().unwrap_or_else(|| config.cluster(worker.random()));
        let Some(cluster) = snapshot.clusters.get(name).cloned() else {
            self.proxy.stats.downstream_cx_no_route.inc();
            self.info.flags.insert(Flags::NO_CLUSTER_FOUND);
            return Ok(None);
        };
        self.cluster = Some(cluster.clone());
        let mut pauses = config.back_off.map(BackOff::pauses);
        for left in (0..config.max_connect_attempts).rev() {
            match self.attempt(&cluster).await? {
                Tried::Connected(link) => return Ok(Some(link)),
                Tried::Refused => return Ok(None),
                Tried::Failed => match &mut pauses {
                    Some(pauses) if left > 0 => self.pause(pauses.next(worker.random())).await?,
                    // Attempts that fail at once must not follow each other without end.
                    _ => others_first().await,
                },
            }
        }
        cluster.cells.stats.upstream_cx_connect_attempts_exceeded.inc();
        self.info.flags.insert(Flags::UPSTREAM_RETRY_LIMIT_EXCEEDED);
        Ok(None)
    }

    /// One attempt, at one host, within the cluster's limits.
    async fn attempt(&mut self, cluster: &Rc<WorkerCluster>) -> Result<Tried, Stopped> {
        let worker = self.worker.clone();
        let limits = &cluster.config().thresholds[PRIORITY as usize];
        let open = cluster.cells.sum(PRIORITY, |load| &load.connections);
        if open >= u64::from(limits.max_connections) {
            cluster.cells.stats.upstream_cx_overflow.inc();
            self.info.flags.insert(Flags::UPSTREAM_OVERFLOW);
            return Ok(Tried::Refused);
        }
        let random = &mut || worker.random();
        let hash = self.proxy.config().hash(&self.connection.remote);
        let Some(host) = cluster.pick(&self.connection, None, (hash, 0), random) else {
            cluster.cells.stats.upstream_cx_none_healthy.inc();
            self.info.flags.insert(Flags::NO_HEALTHY_UPSTREAM);
            return Ok(Tried::Refused);
        };
        if self.proxy.config().tunnel.is_some() {
            return self.try_tunnel(cluster, &host).await;
        }
        self.info.attempts += 1;
        let waiting = cluster.cells.sum(PRIORITY, |load| &load.pending);
        if waiting >= u64::from(limits.max_pending_requests) {
            cluster.cells.stats.upstream_rq_pending_overflow.inc();
            return Ok(Tried::Failed);
        }
        self.try_host(cluster, &host).await
    }

    /// What tells a host who the client is, if the cluster's hosts are told.
    fn header(&self, cluster: &WorkerCluster) -> Vec<u8> {
        let Some(tlvs) = &self.proxy.config().tlvs else { return cluster.header(&self.connection) };
        let hello = self.connection.hello.as_ref().filter(|hello| hello.proxied);
        cluster.header_with(&self.connection, &tlvs.merged(hello.map(|hello| &*hello.tlvs)))
    }

    async fn try_host(
        &mut self,
        cluster: &WorkerCluster,
        host: &Rc<WorkerHost>,
    ) -> Result<Tried, Stopped> {
        let begun = self.worker.clock.read();
        self.info.phases.upstream_connect_begin.get_or_insert(begun);
        let mut counted = Counted::new(host, begun);
        let until = Some(begun.after(cluster.config().connect_timeout));
        let worker = self.worker.clone();
        let header = self.header(cluster);
        let dialling = dial(&worker, cluster, host, &header, Speaks::Anything);
        let dialled = self.wait(dialling, until).await?;
        self.host = Some(host.clone());
        match dialled {
            Some(Ok((stream, tls))) => {
                cluster.cells.count_handshake(Ok(tls.as_deref()));
                let now = self.worker.clock.read();
                counted.connected(now);
                self.info.phases.upstream_connect_end = Some(now);
                self.info.upstream_local = stream.local();
                self.info.upstream_tls = tls.map(Into::into);
                Ok(Tried::Connected(Link::Bytes(stream, counted)))
            }
            Some(Err(error)) => {
                cluster.cells.count_handshake(Err(&error));
                self.info.upstream_transport_failure =
                    error.told(&host.host.address).0.map(Into::into);
                self.info.flags.insert(Flags::UPSTREAM_CONNECTION_FAILURE);
                counted.failed(false);
                Ok(Tried::Failed)
            }
            None => {
                self.info.flags.insert(Flags::UPSTREAM_CONNECTION_FAILURE);
                counted.failed(true);
                Ok(Tried::Failed)
            }
        }
    }

    async fn relay(
        &mut self,
        mut client: Stream,
        input: Buffer,
        mut host: Stream,
        mut counted: Counted,
    ) {
        let pool = &self.worker.buffers;
        let mut up = Way::new(input, pool.clone());
        let mut down = Way::new(Buffer::default(), pool.clone());
        let mut active = self.worker.clock.now();
        // What came early is counted already.
        let mut counts = (self.info.bytes_received, 0, 0, 0);
        // The client's way was over while the host's went on.
        let mut client_first = false;
        let over = poll_fn(|cx| {
            let now = self.worker.clock.read();
            let (sent, answered) =
                (up.poll(cx, &mut client, &mut host), down.poll(cx, &mut host, &mut client));
            let before =
                std::mem::replace(&mut counts, (up.read, up.written, down.read, down.written));
            if counts != before {
                active = now;
                self.count_moved(&counted, before, counts);
                if self.is_drained() {
                    return Poll::Ready(Some(Stopped::Drain));
                }
            }
            // Who failed has nothing more to say, and nobody to hear the other.
            let failed = up.end == Some(End::Reset) || down.end == Some(End::Reset);
            if failed || sent.is_ready() && answered.is_ready() {
                return Poll::Ready(None);
            }
            client_first |= sent.is_ready();
            self.poll_limits(cx, active, None)
        })
        .await;
        match over {
            None => {
                // Whoever ends last ends the connection.
                let by_host = down.end == Some(End::Reset) || up.end == Some(End::Gone);
                counted.ended_by_us = !client_first && !by_host;
                self.pass_reset_on(&up, &mut host);
                self.pass_reset_on(&down, &mut client);
                if down.end == Some(End::Reset) {
                    self.info.flags.insert(Flags::UPSTREAM_REMOTE_RESET);
                }
            }
            Some(why) => self.count_stop(why),
        }
    }

    /// One side failed: the other learns it by a reset, unless that could destroy bytes on their way.
    fn pass_reset_on(&self, way: &Way, sink: &mut Stream) {
        match way.end {
            Some(End::Reset) if way.written == 0 => sink.reset_on_close(),
            Some(End::Reset) => drop(sink.shutdown()),
            _ => {}
        }
    }

    /// Each: bytes (read and written towards the host, read and written towards the client).
    fn count_moved(
        &mut self,
        counted: &Counted,
        before: (u64, u64, u64, u64),
        now: (u64, u64, u64, u64),
    ) {
        let stats = &self.proxy.stats;
        stats.downstream_cx_rx_bytes_total.add(now.0 - before.0);
        stats.downstream_cx_tx_bytes_total.add(now.3 - before.3);
        counted.moved(now.2 - before.2, now.1 - before.1);
        self.info.bytes_received = now.0;
        self.info.bytes_sent = now.2;
        (self.info.downstream_wire_received, self.info.downstream_wire_sent) = (now.0, now.2);
        (self.info.upstream_wire_sent, self.info.upstream_wire_received) = (now.0, now.2);
    }

    /// It ends with what it says while its listener drains.
    fn is_drained(&self) -> bool {
        let drains = || self.worker.drain_close(&self.listener, self.chain.draining_since());
        self.proxy.config().check_drain_close && drains()
    }

    fn count_open(&self) {
        self.proxy.stats.downstream_cx_total.inc();
        self.listener.count_open();
        self.worker.connections.set(self.worker.connections.get() + 1);
    }

    fn facts(&self) -> Facts<'_> {
        let mut facts = Facts::of_connection(&self.connection, &self.info);
        describe(&mut facts, self.cluster.as_deref(), self.host.as_deref());
        facts
    }
}

/// The way to a host.
enum Link {
    Bytes(Stream, Counted),
    /// A request that its host agreed to.
    Tunnel(Tunnel),
}

/// What became of an attempt to connect.
enum Tried {
    Connected(Link),
    Failed,
    /// There is no use in another one.
    Refused,
}

/// However it ends (closed, cut, a panic), it is counted and logged.
impl Drop for Proxied {
    fn drop(&mut self) {
        let now = self.worker.clock.now();
        self.info.end = Some(now);
        self.listener.log(&self.worker, &self.facts());
        self.log(LogType::TcpConnectionEnd);
        let length = now.millis_since(self.connection.accepted_at);
        self.listener.count_closed(self.connection.id, length);
        self.worker.connections.set(self.worker.connections.get() - 1);
    }
}
