//! The operators as compiled, and the one function that evaluates them.

use dragoman_types::{Facts, Metadata, Version};

use crate::address::{Endpoint, Part};
use crate::content::{Field, GrpcForm, PathPart, ServerName, field, grpc_status};
use crate::escape::escape;
use crate::query;
use crate::scratch::{LogType, Scratch};
use crate::time::{TimeFormat, digits};
use crate::timing::{Point, Span, Unit, common};
use crate::tls::TlsOp;

/// What an operator appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrote {
    /// No value: nothing was appended.
    Nothing,
    Text,
    /// JSON as it stands: digits, or an object.
    Json,
}

/// A moment that a time format prints.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum When {
    Start,
    Emit,
}

/// Counters of bytes and heads.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Bytes {
    Received,
    Sent,
    RequestHeaders,
    ResponseHeaders,
    ResponseTrailers,
    UpstreamWireSent,
    UpstreamWireReceived,
    UpstreamHeaderSent,
    UpstreamHeaderReceived,
    DownstreamWireSent,
    DownstreamWireReceived,
    DownstreamHeaderSent,
    DownstreamHeaderReceived,
}

/// One operator with its parameters.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Op {
    Time(When, TimeFormat),
    Span(Span),
    Common(Point, Point, Unit),
    Bytes(Bytes),
    /// Always this number (what HTTP/1 can't count).
    Fixed(u64),
    /// Known once and for all, e.g. the host's name.
    Constant(Box<[u8]>),
    /// Has no value in any request that this proxy serves.
    Never,
    ResponseCode,
    Details {
        spaces: bool,
    },
    ConnectionTermination,
    Flags {
        long: bool,
    },
    Grpc(GrpcForm),
    Protocol,
    UpstreamProtocol,
    Attempts,
    LocalReplyBody,
    TransportFailure,
    DownstreamTransportFailure,
    Cause,
    RouteName,
    UpstreamHost,
    UpstreamHostName {
        port: bool,
    },
    UpstreamCluster,
    UpstreamClusterRaw,
    FilterChain,
    Listener,
    Address(Endpoint, Part),
    ConnectionId,
    UpstreamConnectionId,
    StreamId,
    Field(Field),
    Path(PathPart),
    QueryParam(Box<[u8]>),
    QueryParams,
    ServerName(ServerName),
    /// Of a namespace of dynamic metadata: one key, or all.
    Metadata(Box<(Box<str>, Option<Box<str>>)>),
    FilterState(Box<(Box<str>, Option<Box<str>>)>),
    Fingerprint {
        ja4: bool,
    },
    UniqueId,
    LogType,
    Coalesce(Box<[Step]>),
    Tls(TlsOp),
}

/// An operator and its `:length`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) length: Option<usize>,
}

impl Step {
    /// Appends the value as text, cut to the length in bytes as Envoy does.
    pub(crate) fn write(
        &self,
        facts: &Facts<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Wrote {
        let start = out.len();
        let wrote = self.op.write(facts, scratch, out);
        if let Some(length) = self.length {
            out.truncate(start.saturating_add(length));
        }
        wrote
    }

    /// The same for a typed value: a number is never cut.
    pub(crate) fn write_typed(
        &self,
        facts: &Facts<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Wrote {
        let start = out.len();
        let wrote = self.op.write(facts, scratch, out);
        if let (Wrote::Text, Some(length)) = (wrote, self.length) {
            out.truncate(start.saturating_add(length));
        }
        wrote
    }
}

pub(crate) fn text(value: Option<&[u8]>, out: &mut Vec<u8>) -> Wrote {
    match value {
        Some(value) => {
            out.extend_from_slice(value);
            Wrote::Text
        }
        None => Wrote::Nothing,
    }
}

/// Names: an empty one counts as none.
fn name(value: Option<&str>, out: &mut Vec<u8>) -> Wrote {
    text(value.filter(|v| !v.is_empty()).map(str::as_bytes), out)
}

pub(crate) fn number(value: u64, out: &mut Vec<u8>) -> Wrote {
    digits(out, value, 1);
    Wrote::Json
}

fn version(value: Option<Version>, out: &mut Vec<u8>) -> Wrote {
    name(value.map(Version::as_str), out)
}

impl Op {
    fn write(&self, facts: &Facts<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Wrote {
        let info = facts.info;
        match self {
            Op::Field(wanted) => text(field(wanted, facts, out), out),
            Op::Time(when, format) => {
                let time =
                    if *when == When::Start { scratch.wall_at(info.start) } else { scratch.wall };
                format.write(time, &mut scratch.calendar, out);
                Wrote::Text
            }
            Op::Bytes(which) => number(bytes(*which, facts), out),
            Op::Span(span) => match span.millis(info, scratch.instant) {
                Some(value) => number(value, out),
                None => Wrote::Nothing,
            },
            Op::Common(from, to, unit) => match common(*from, *to, *unit, facts) {
                Some(value) => number(value, out),
                None => Wrote::Nothing,
            },
            Op::ResponseCode => number(u64::from(info.response_code.unwrap_or(0)), out),
            Op::Flags { long } => flags(facts, *long, out),
            Op::Protocol => version(info.version, out),
            Op::UpstreamProtocol => version(info.upstream_version, out),
            Op::Attempts => number(u64::from(info.attempts), out),
            Op::ConnectionId => number(facts.connection.id, out),
            Op::UpstreamConnectionId => number(info.upstream_connection_id.unwrap_or(0), out),
            Op::Fixed(value) => number(*value, out),
            Op::Address(endpoint, part) => endpoint.write(*part, facts, out),
            Op::UpstreamHost => match facts.upstream_host {
                Some(address) => Part::Whole.write(address, out),
                None => Wrote::Nothing,
            },
            Op::Path(part) => part.write(facts, out),
            Op::QueryParam(key) => query::param(key, facts, out),
            Op::QueryParams => text(query::of(facts), out),
            Op::Grpc(form) => grpc_status(*form, facts, out),
            Op::ServerName(order) => order.write(facts, out),
            Op::Tls(op) => op.write(facts, scratch, out),
            Op::Coalesce(steps) => coalesce(steps, facts, scratch, out),
            _ => self.write_text(facts, scratch, out),
        }
    }

    /// The operators whose value is a text that lies ready.
    fn write_text(&self, facts: &Facts<'_>, scratch: &Scratch, out: &mut Vec<u8>) -> Wrote {
        let info = facts.info;
        match self {
            Op::Constant(value) => text(Some(value), out),
            Op::Details { spaces } => details(info.details.as_deref(), *spaces, out),
            Op::ConnectionTermination => name(info.connection_termination.as_deref(), out),
            Op::TransportFailure => details(info.upstream_transport_failure.as_deref(), false, out),
            Op::DownstreamTransportFailure => {
                details(info.downstream_transport_failure.as_deref(), false, out)
            }
            Op::Cause => name(info.cause.as_deref(), out),
            Op::LocalReplyBody => local_reply_body(facts, scratch.log_type, out),
            Op::RouteName => name(facts.route_name, out),
            Op::UpstreamHostName { port } => host_name(facts, *port, out),
            Op::UpstreamCluster => name(facts.cluster, out),
            Op::UpstreamClusterRaw => name(facts.cluster_raw, out),
            Op::FilterChain => name(Some(&facts.connection.chain), out),
            Op::Listener => name(Some(&facts.connection.listener), out),
            Op::Fingerprint { ja4 } => {
                let hello = facts.connection.hello.as_ref();
                name(
                    hello.and_then(|hello| if *ja4 { &hello.ja4 } else { &hello.ja3 }.as_deref()),
                    out,
                )
            }
            Op::Metadata(path) => metadata(facts.metadata, &path.0, path.1.as_deref(), out),
            Op::FilterState(path) => {
                let hello = facts.connection.hello.as_ref();
                let state = hello.map_or(&[][..], |hello| &hello.filter_state);
                metadata(state, &path.0, path.1.as_deref(), out)
            }
            Op::StreamId => text(query::request_id(facts), out),
            Op::UniqueId => unique_id(out),
            Op::LogType => name(Some(scratch.log_type.as_str()), out),
            _ => Wrote::Nothing,
        }
    }
}

/// A value, or all of a namespace as a JSON object.
fn metadata(all: &[Metadata], namespace: &str, key: Option<&str>, out: &mut Vec<u8>) -> Wrote {
    let within = all.iter().filter(|one| *one.namespace == *namespace);
    if let Some(key) = key {
        let mut within = within;
        return name(within.find(|one| *one.key == *key).map(|one| &*one.value), out);
    }
    let mut all: Vec<_> = within.map(|one| (&*one.key, &*one.value)).collect();
    if all.is_empty() {
        return Wrote::Nothing;
    }
    all.sort_unstable();
    for (at, (key, value)) in all.into_iter().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        for (part, behind) in [(key, &b":"[..]), (value, b"")] {
            out.push(b'"');
            escape(part.as_bytes(), out);
            out.push(b'"');
            out.extend_from_slice(behind);
        }
    }
    out.push(b'}');
    Wrote::Json
}

fn bytes(which: Bytes, facts: &Facts<'_>) -> u64 {
    let info = facts.info;
    match which {
        Bytes::Received => info.bytes_received,
        Bytes::Sent => info.bytes_sent,
        Bytes::RequestHeaders => facts.request.map_or(0, |r| r.headers.byte_size()),
        // The status counts as `:status` and its three digits.
        Bytes::ResponseHeaders => facts.response.map_or(0, |r| r.headers.byte_size() + 10),
        Bytes::ResponseTrailers => facts.response_trailers.map_or(0, |t| t.byte_size()),
        Bytes::UpstreamWireSent => info.upstream_wire_sent,
        Bytes::UpstreamWireReceived => info.upstream_wire_received,
        Bytes::UpstreamHeaderSent => info.upstream_header_sent,
        Bytes::UpstreamHeaderReceived => info.upstream_header_received,
        Bytes::DownstreamWireSent => info.downstream_wire_sent,
        Bytes::DownstreamWireReceived => info.downstream_wire_received,
        Bytes::DownstreamHeaderSent => info.downstream_header_sent,
        Bytes::DownstreamHeaderReceived => info.downstream_header_received,
    }
}

fn flags(facts: &Facts<'_>, long: bool, out: &mut Vec<u8>) -> Wrote {
    let start = out.len();
    for (short_name, long_name) in facts.info.flags.names() {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(if long { long_name } else { short_name }.as_bytes());
    }
    if out.len() == start {
        out.push(b'-');
    }
    Wrote::Text
}

/// Details may carry another's words: spaces become underscores unless they are asked for.
fn details(value: Option<&str>, spaces: bool, out: &mut Vec<u8>) -> Wrote {
    let start = out.len();
    let wrote = text(value.map(str::as_bytes), out);
    if !spaces {
        for byte in out[start..].iter_mut().filter(|b| b.is_ascii_whitespace()) {
            *byte = b'_';
        }
    }
    wrote
}

/// Bodies and header values see the body; to a log line Envoy gives an empty one.
fn local_reply_body(facts: &Facts<'_>, log_type: LogType, out: &mut Vec<u8>) -> Wrote {
    if log_type == LogType::NotSet {
        out.extend_from_slice(facts.info.local_reply_body.as_deref().unwrap_or("").as_bytes());
    }
    Wrote::Text
}

fn host_name(facts: &Facts<'_>, port: bool, out: &mut Vec<u8>) -> Wrote {
    let Some(host) = facts.upstream_host_name.filter(|n| !n.is_empty()) else {
        let part = if port { Part::Whole } else { Part::WithoutPort(None) };
        return facts.upstream_host.map_or(Wrote::Nothing, |address| part.write(address, out));
    };
    let bare = if port { host } else { host.rsplit_once(':').map_or(host, |(bare, _)| bare) };
    name(Some(bare), out)
}

/// A random UUID, version 4.
fn unique_id(out: &mut Vec<u8>) -> Wrote {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bits = fastrand::u128(..).to_be_bytes();
    bits[6] = bits[6] & 0x0f | 0x40;
    bits[8] = bits[8] & 0x3f | 0x80;
    for (index, byte) in bits.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    Wrote::Text
}

/// The first operator that has a value, be it an empty one.
fn coalesce(steps: &[Step], facts: &Facts<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Wrote {
    for step in steps {
        let wrote = step.write(facts, scratch, out);
        if wrote != Wrote::Nothing {
            return wrote;
        }
    }
    Wrote::Nothing
}
