//! A connection to a host, through TLS's handshake where its cluster has it.

use std::future::poll_fn;
use std::io;

use dragoman_cluster::{Cluster, UpstreamProtocol};
use dragoman_codec::Limits;
use dragoman_codec::h1::parse_response;
use dragoman_net::{Keepalive, Socket, connect};
use dragoman_transport::Stream;
use dragoman_transport::tls::{Asked, HandshakeError, Offer, TlsStream};
use dragoman_types::tls::Tls;
use dragoman_types::{Address, ResponseHead, Version};

use crate::context::Worker;
use crate::upstream::{ClusterCells, WorkerCluster, WorkerHost};

/// Why there is no connection to a host.
#[derive(Debug)]
pub(crate) enum DialError {
    Connect(io::Error),
    Tls(HandshakeError),
    /// A secret of its TLS hasn't come.
    NotReady,
    /// The HTTP proxy on the way gave no tunnel: why.
    Proxy(String),
}

impl DialError {
    /// As `%UPSTREAM_TRANSPORT_FAILURE_REASON%` has it, and in words.
    pub(crate) fn told(&self, address: &Address) -> (Option<String>, String) {
        match self {
            DialError::Connect(error) => (Some(connect_failure(error, address)), error.to_string()),
            DialError::Tls(error) => (error.reason(), format!("TLS: {error}")),
            DialError::Proxy(why) => (None, format!("the HTTP proxy on the way: {why}")),
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
    cluster: &WorkerCluster,
    host: &WorkerHost,
    header: &[u8],
    speaks: Speaks,
) -> Result<(Stream, Option<Box<Tls>>), DialError> {
    let keepalive = cluster.config().keepalive.map(|k| Keepalive {
        probes: k.probes,
        time: k.time,
        interval: k.interval,
    });
    let proxied = cluster.entry.http_proxy.as_ref();
    let via = proxied.and_then(|proxy| host.host.via.as_ref().or(proxy.default.as_ref()));
    let to = via.unwrap_or(&host.host.address);
    let connecting = connect(&worker.reactor, to, keepalive);
    let mut socket = connecting.await.map_err(DialError::Connect)?;
    write(&mut socket, header, &host.cluster).await?;
    let peer = host.peer();
    let Some(factory) = &cluster.entry.tls else { return Ok((Stream::Plain(socket), None)) };
    // Plain HTTP needs no tunnel: the proxy sees what it's asked for.
    if via.is_some() {
        ask_for_tunnel(&mut socket, host).await?;
    }
    let host = &host.host;
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

async fn write(socket: &mut Socket, bytes: &[u8], cluster: &ClusterCells) -> Result<(), DialError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = poll_fn(|cx| socket.poll_write(cx, rest)).await;
        rest = &rest[written.map_err(DialError::Connect)?..];
    }
    cluster.stats.upstream_cx_tx_bytes_total.add(bytes.len() as u64);
    Ok(())
}

/// Asks the HTTP proxy at the socket's other end for a tunnel to `host`: RFC 9110 section 9.3.6.
async fn ask_for_tunnel(socket: &mut Socket, host: &WorkerHost) -> Result<(), DialError> {
    const MOST: usize = 4096;
    let to = &host.host.address;
    let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    write(socket, request.as_bytes(), &host.cluster).await?;
    let limits = Limits { head_bytes: MOST, fields: 100 };
    let (mut input, mut scanned, mut filled) = ([0; MOST], 0, 0);
    let mut head = ResponseHead::default();
    let refused = |why: &str| DialError::Proxy(why.to_owned());
    loop {
        let read = poll_fn(|cx| socket.poll_read(cx, &mut input[filled..])).await;
        match read.map_err(DialError::Connect)? {
            0 if filled == MOST => return Err(refused("its answer is too long")),
            0 => return Err(refused("it closed the connection")),
            n => filled += n,
        }
        let parsed = parse_response(&input[..filled], &mut scanned, &limits, true, &mut head);
        let Some(found) = parsed.map_err(|error| refused(error.text()))? else { continue };
        return match head.status {
            // It's we who speak first in TLS.
            200 if found.consumed == filled => Ok(()),
            200 => Err(refused("it sent more than its answer")),
            status => Err(DialError::Proxy(format!("it answers {status}"))),
        };
    }
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
