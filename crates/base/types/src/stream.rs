//! The facts of one request, gathered while it runs, read by formatters, logs and histograms.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::flags::Flags;
use crate::head::{RequestHead, ResponseHead, Version};
use crate::headers::Headers;
use crate::moment::Moment;
use crate::tls::Tls;

/// `%RESPONSE_CODE_DETAILS%`: who answered and why, e.g. `via_upstream`, `route_not_found`.
pub type Details = Cow<'static, str>;

/// What a stream knows of the connection it came on.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Unique within the process.
    pub id: u64,
    /// The peer of the socket.
    pub direct_remote: Address,
    /// The peer, as the PROXY protocol names it where it's spoken.
    pub remote: Address,
    /// Its IP address in text; empty for a pipe.
    pub remote_ip: Box<str>,
    /// Our end of the socket.
    pub direct_local: Address,
    /// Our end, as the PROXY protocol names it where it's spoken.
    pub local: Address,
    /// The listener's name.
    pub listener: Arc<str>,
    pub accepted_at: Moment,
    /// What listener filters found; `None`: nothing. Boxed: most connections have none.
    pub hello: Option<Box<Hello>>,
    /// The filter chain's name; may be empty.
    pub chain: Arc<str>,
    /// `None`: plain bytes.
    pub tls: Option<Box<Tls>>,
}

/// What a client's first bytes say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hello {
    /// The name that it asks for.
    pub server_name: Option<Box<str>>,
    pub ja3: Option<Box<str>>,
    pub ja4: Option<Box<str>>,
    /// It began with a PROXY header.
    pub proxied: bool,
    /// Type and value of each TLV of a PROXY header that `pass_through_tlvs` let through.
    pub tlvs: Vec<(u8, Box<[u8]>)>,
    /// The connection's dynamic metadata: each (namespace, key) at most once.
    pub metadata: Vec<Metadata>,
    /// The connection's filter state: fields of objects, whose names are the namespaces.
    pub filter_state: Vec<Metadata>,
}

/// One string of dynamic metadata.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    pub namespace: Box<str>,
    pub key: Box<str>,
    pub value: Box<str>,
}

/// Times at which a request passed the edges between its phases. `None`: not reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phases {
    /// The request's last byte came in (`DS_RX_END`).
    pub request_end: Option<Moment>,
    /// An upstream connection was asked for.
    pub upstream_connect_begin: Option<Moment>,
    /// An upstream connection was at hand.
    pub upstream_connect_end: Option<Moment>,
    /// First byte sent upstream (`US_TX_BEG`).
    pub upstream_request_begin: Option<Moment>,
    /// Last byte sent upstream (`US_TX_END`).
    pub upstream_request_end: Option<Moment>,
    /// The response's head came in (`US_RX_BEG`).
    pub upstream_response_begin: Option<Moment>,
    /// The response's last byte came in (`US_RX_END`).
    pub upstream_response_end: Option<Moment>,
    /// First byte of the response sent (`DS_TX_BEG`).
    pub response_begin: Option<Moment>,
    /// Last byte of the response sent (`DS_TX_END`).
    pub response_end: Option<Moment>,
}

/// One request's own facts (strings that live elsewhere are in [`Facts`]).
#[derive(Clone, Debug)]
pub struct StreamInfo {
    /// Unique within the process.
    pub id: u64,
    pub start: Moment,
    /// Set when the request is over: the moment that `%DURATION%` counts to.
    pub end: Option<Moment>,
    pub phases: Phases,
    pub version: Option<Version>,
    pub upstream_version: Option<Version>,
    pub response_code: Option<u16>,
    pub details: Option<Details>,
    pub flags: Flags,
    /// Body bytes from and to the client, framing excluded.
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// Head bytes, all bytes on the wire, from and to the client.
    pub downstream_header_received: u64,
    pub downstream_header_sent: u64,
    pub downstream_wire_received: u64,
    pub downstream_wire_sent: u64,
    /// The same towards the upstream host.
    pub upstream_header_sent: u64,
    pub upstream_header_received: u64,
    pub upstream_wire_sent: u64,
    pub upstream_wire_received: u64,
    /// How often the request was sent upstream.
    pub attempts: u32,
    /// The client's address after x-forwarded-for was judged.
    pub remote: Option<Address>,
    pub upstream_local: Option<Address>,
    pub upstream_connection_id: Option<u64>,
    pub upstream_tls: Option<Arc<Tls>>,
    /// Why the connection to the host failed, e.g. `delayed_connect_error:_Connection_refused`.
    pub upstream_transport_failure: Option<Details>,
    /// Why the client's own connection got no TLS.
    pub downstream_transport_failure: Option<Details>,
    pub connection_termination: Option<Details>,
    /// Which rule or limit made a local answer.
    pub cause: Option<Cow<'static, str>>,
    /// The locally made body.
    pub local_reply_body: Option<Cow<'static, str>>,
    pub health_check: bool,
    /// It came as a gRPC call, whatever filters have made of it.
    pub grpc: bool,
}

impl StreamInfo {
    pub fn new(id: u64, start: Moment) -> StreamInfo {
        StreamInfo {
            id,
            start,
            end: None,
            phases: Phases::default(),
            version: None,
            upstream_version: None,
            response_code: None,
            details: None,
            flags: Flags::NONE,
            bytes_received: 0,
            bytes_sent: 0,
            downstream_header_received: 0,
            downstream_header_sent: 0,
            downstream_wire_received: 0,
            downstream_wire_sent: 0,
            upstream_header_sent: 0,
            upstream_header_received: 0,
            upstream_wire_sent: 0,
            upstream_wire_received: 0,
            attempts: 0,
            remote: None,
            upstream_local: None,
            upstream_connection_id: None,
            upstream_tls: None,
            upstream_transport_failure: None,
            downstream_transport_failure: None,
            connection_termination: None,
            cause: None,
            local_reply_body: None,
            health_check: false,
            grpc: false,
        }
    }

    /// Time from the request's first byte to `at`; `None` while `at` isn't reached.
    pub fn since_start(&self, at: Option<Moment>) -> Option<Duration> {
        Some(at?.since(self.start))
    }
}

/// Everything a formatter, matcher or access-log filter may ask about a stream, borrowed for the
/// length of one question: nothing is copied or counted to build it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub connection: &'a Connection,
    pub info: &'a StreamInfo,
    pub request: Option<&'a RequestHead>,
    pub response: Option<&'a ResponseHead>,
    pub response_trailers: Option<&'a Headers>,
    pub route_name: Option<&'a str>,
    pub virtual_host: Option<&'a str>,
    /// The cluster's name as stats know it (`alt_stat_name` or `name`) and as configured.
    pub cluster: Option<&'a str>,
    pub cluster_raw: Option<&'a str>,
    pub upstream_host: Option<&'a Address>,
    /// The endpoint's hostname, where it was resolved from one.
    pub upstream_host_name: Option<&'a str>,
    /// Dynamic metadata: that of the connection where it is what is told of. A request has none of its own yet.
    pub metadata: &'a [Metadata],
}

impl<'a> Facts<'a> {
    /// Of the connection itself, rather than of a request on it.
    pub fn of_connection(connection: &'a Connection, info: &'a StreamInfo) -> Facts<'a> {
        let metadata = connection.hello.as_ref().map_or(&[][..], |hello| &hello.metadata);
        Facts { metadata, ..Facts::new(connection, info) }
    }

    /// What is known before anything is routed.
    pub fn new(connection: &'a Connection, info: &'a StreamInfo) -> Facts<'a> {
        Facts {
            connection,
            info,
            request: None,
            response: None,
            response_trailers: None,
            route_name: None,
            virtual_host: None,
            cluster: None,
            cluster_raw: None,
            upstream_host: None,
            upstream_host_name: None,
            metadata: &[],
        }
    }
}
