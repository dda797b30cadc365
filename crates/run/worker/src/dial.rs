//! A connection to a host, through TLS's handshake where its cluster has it.

use std::io;
use std::sync::Arc;

use dragoman_cluster::Cluster;
use dragoman_net::{Keepalive, connect};
use dragoman_transport::tls::{HandshakeError, TlsStream};
use dragoman_transport::{Stream, UpstreamTls};
use dragoman_types::Address;
use dragoman_types::tls::Tls;

use crate::context::Worker;
use crate::upstream::ClusterCells;

/// Why there is no connection to a host.
#[derive(Debug)]
pub(crate) enum DialError {
    Connect(io::Error),
    Tls(HandshakeError),
}

impl DialError {
    /// As `%UPSTREAM_TRANSPORT_FAILURE_REASON%` has it, and in words.
    pub(crate) fn told(&self, address: &Address) -> (Option<String>, String) {
        match self {
            DialError::Connect(error) => (Some(connect_failure(error, address)), error.to_string()),
            DialError::Tls(error) => (error.reason(), format!("TLS: {error}")),
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
    Http,
    /// Whatever the client speaks: no protocol is offered for it.
    Anything,
}

/// Connects to `address`; the caller bounds the time.
pub(crate) async fn dial(
    worker: &Worker,
    cluster: &Cluster,
    tls: Option<Arc<UpstreamTls>>,
    address: &Address,
    speaks: Speaks,
) -> Result<(Stream, Option<Box<Tls>>), DialError> {
    let keepalive = cluster.keepalive.map(|k| Keepalive {
        probes: k.probes,
        time: k.time,
        interval: k.interval,
    });
    let socket = connect(&worker.reactor, address, keepalive).await.map_err(DialError::Connect)?;
    let Some(tls) = tls else { return Ok((Stream::Plain(socket), None)) };
    let http = speaks == Speaks::Http;
    let done = TlsStream::connect(socket, worker.buffers.clone(), &tls, address, http).await;
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
