//! A connection to a host, through TLS's handshake where its cluster has it.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use dragoman_cluster::{Cluster, UpstreamProtocol};
use dragoman_net::{Keepalive, connect};
use dragoman_transport::tls::{Asked, HandshakeError, Offer, TlsStream};
use dragoman_transport::{Stream, UpstreamTls};
use dragoman_types::tls::Tls;
use dragoman_types::{Address, Version};

use crate::context::Worker;
use crate::snapshot::SocketFactory;
use crate::upstream::{ClusterCells, WorkerHost};

/// Why there is no connection to a host.
#[derive(Debug)]
pub(crate) enum DialError {
    Connect(io::Error),
    Tls(HandshakeError),
    /// A secret of its TLS hasn't come.
    NotReady,
}

impl DialError {
    /// As `%UPSTREAM_TRANSPORT_FAILURE_REASON%` has it, and in words.
    pub(crate) fn told(&self, address: &Address) -> (Option<String>, String) {
        match self {
            DialError::Connect(error) => (Some(connect_failure(error, address)), error.to_string()),
            DialError::Tls(error) => (error.reason(), format!("TLS: {error}")),
            DialError::NotReady => (
                Some("TLS_error:_Secret_is_not_supplied_by_SDS".into()),
                "TLS: a secret has not been fetched".into(),
            ),
        }
    }
}

/// How Envoy words a failed connect: `delayed_connect_error:_Connection_refused`. A pipe fails at once.
fn connect_failure(error: &io::Error, address: &Address) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default().replace(' ', "_");
    match address {
        Address::Ip(_) => format!("delayed_connect_error:_{text}"),
        Address::Pipe(path) => {
            format!("immediate_connect_error:_{text}|remote_address:{}", path.display())
        }
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Speaks {
    Http1,
    Http2,
    /// The version that the host picks.
    Either,
    /// Whatever the client speaks: no protocol is offered for it.
    Anything,
}

impl Speaks {
    /// How HTTP is spoken to `cluster` for a client that speaks `version`.
    pub(crate) fn http(cluster: &Cluster, version: Option<Version>) -> Speaks {
        match cluster.http.protocol {
            UpstreamProtocol::Http1 => Speaks::Http1,
            UpstreamProtocol::Http2 => Speaks::Http2,
            UpstreamProtocol::Auto => Speaks::Either,
            UpstreamProtocol::Downstream if version == Some(Version::Http2) => Speaks::Http2,
            UpstreamProtocol::Downstream => Speaks::Http1,
        }
    }

    fn offer(self) -> Offer {
        match self {
            Speaks::Http1 => Offer::Http1,
            Speaks::Http2 => Offer::Http2,
            Speaks::Either => Offer::Either,
            Speaks::Anything => Offer::Nothing,
        }
    }
}

/// Connects to `host`, and sends it `header` before all else; the caller bounds the time.
pub(crate) async fn dial(
    worker: &Worker,
    cluster: &Cluster,
    tls: Option<Arc<SocketFactory<UpstreamTls>>>,
    host: &WorkerHost,
    header: &[u8],
    speaks: Speaks,
) -> Result<(Stream, Option<Box<Tls>>), DialError> {
    let keepalive = cluster.keepalive.map(|k| Keepalive {
        probes: k.probes,
        time: k.time,
        interval: k.interval,
    });
    let connecting = connect(&worker.reactor, &host.host.address, keepalive);
    let mut socket = connecting.await.map_err(DialError::Connect)?;
    let mut rest = header;
    while !rest.is_empty() {
        let written = poll_fn(|cx| socket.poll_write(cx, rest)).await;
        rest = &rest[written.map_err(DialError::Connect)?..];
    }
    host.cluster.stats.upstream_cx_tx_bytes_total.add(header.len() as u64);
    let peer = host.peer();
    let host = &host.host;
    let Some(factory) = tls else { return Ok((Stream::Plain(socket), None)) };
    let Some(tls) = factory.context.get() else {
        factory.stats.shard(worker.index).upstream_context_secrets_not_ready.inc();
        return Err(DialError::NotReady);
    };
    let pool = worker.buffers.clone();
    let asked = Asked { address: &host.address, hostname: &host.hostname, peer };
    let done = TlsStream::connect(socket, pool, &tls, asked, speaks.offer()).await;
    let done = done.map_err(DialError::Tls)?;
    Ok((Stream::Tls(done.stream), Some(done.facts)))
}

impl ClusterCells {
    /// Counts the handshake that a dial had, if it had one.
    pub(crate) fn count_handshake(&self, dialled: Result<Option<&Tls>, &DialError>) {
        match (&self.tls, dialled) {
            (Some(stats), Ok(Some(facts))) => stats.done(facts),
            (Some(stats), Err(DialError::Tls(error))) => stats.failed(error),
            _ => {}
        }
    }
}
