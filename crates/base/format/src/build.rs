//! From an operator's name and parameters to the operator: each reads its own parameters.

use dragoman_types::headers::HeaderName;

use crate::address::{Endpoint, Part};
use crate::content::{Field, GrpcForm, Message, Order, Origin, PathPart, ServerName};
use crate::op::{Bytes, Op, When};
use crate::time::TimeFormat;
use crate::timing::{Point, Span, Unit};
use crate::tls;

/// Compiles an operator whose name and kinds of arguments were checked.
pub(crate) fn build(name: &str, parameters: &str) -> Result<Op, String> {
    if let Some(op) = address(name, parameters).or_else(|| counter(name)) {
        return Ok(op);
    }
    Ok(match name {
        "REQ" | "REQUEST_HEADER" => field(Message::Request, parameters)?,
        "RESP" | "RESPONSE_HEADER" => field(Message::Response, parameters)?,
        "TRAILER" | "RESPONSE_TRAILER" => field(Message::ResponseTrailers, parameters)?,
        "START_TIME" => Op::Time(When::Start, TimeFormat::parse(parameters, b"Z")?),
        "EMIT_TIME" => Op::Time(When::Emit, TimeFormat::parse(parameters, b"Z")?),
        "START_TIME_LOCAL" => Op::Time(When::Start, local_time(parameters)?),
        "EMIT_TIME_LOCAL" => Op::Time(When::Emit, local_time(parameters)?),
        "COMMON_DURATION" => common(parameters)?,
        "RESPONSE_CODE_DETAILS" => Op::Details { spaces: parameters == "ALLOW_WHITESPACES" },
        "GRPC_STATUS" => Op::Grpc(grpc_form(parameters)?),
        "PATH" => path(parameters)?,
        "QUERY_PARAM" => Op::QueryParam(parameters.as_bytes().into()),
        "QUERY_PARAMS" => query_params(parameters)?,
        "REQUESTED_SERVER_NAME" => server_name(parameters)?,
        "ENVIRONMENT" => Op::Constant(environment(parameters)),
        "HOSTNAME" => Op::Constant(hostname()),
        "COALESCE" => Op::Coalesce(crate::coalesce::compile(parameters)?),
        "METADATA" => metadata(parameters)?,
        "DYNAMIC_METADATA" => dynamic_metadata(parameters)?,
        "FILTER_STATE" => filter_state(parameters)?,
        // There is none of hosts.
        "UPSTREAM_FILTER_STATE" => filter_state(parameters).map(|_| Op::Never)?,
        _ => match tls::build(name, parameters)? {
            Some(op) => Op::Tls(op),
            None => bare(name),
        },
    })
}

/// Operators without parameters; what is left has no value in this proxy (see `table::tls`).
fn bare(name: &str) -> Op {
    match name {
        "ACCESS_LOG_TYPE" => Op::LogType,
        "CONNECTION_ID" => Op::ConnectionId,
        "CONNECTION_TERMINATION_DETAILS" => Op::ConnectionTermination,
        "CUSTOM_FLAGS" => Op::Constant(Box::default()),
        "DRAGOMAN_CAUSE" => Op::Cause,
        "DURATION" => Op::Span(Span::Whole),
        "FILTER_CHAIN_NAME" => Op::FilterChain,
        "GRPC_STATUS_NUMBER" => Op::Grpc(GrpcForm::Number),
        "LISTENER_NAME" => Op::Listener,
        "LOCAL_REPLY_BODY" => Op::LocalReplyBody,
        "PROTOCOL" => Op::Protocol,
        "REQUEST_DURATION" => Op::Span(Span::Request),
        "REQUEST_TX_DURATION" => Op::Span(Span::RequestTx),
        "RESPONSE_CODE" => Op::ResponseCode,
        "RESPONSE_DURATION" => Op::Span(Span::Response),
        "RESPONSE_FLAGS" => Op::Flags { long: false },
        "RESPONSE_FLAGS_LONG" => Op::Flags { long: true },
        "RESPONSE_TX_DURATION" => Op::Span(Span::ResponseTx),
        "ROUTE_NAME" => Op::RouteName,
        "STREAM_ID" => Op::StreamId,
        "TLS_JA3_FINGERPRINT" => Op::Fingerprint { ja4: false },
        "TLS_JA4_FINGERPRINT" => Op::Fingerprint { ja4: true },
        "UNIQUE_ID" => Op::UniqueId,
        "UPSTREAM_CLUSTER" => Op::UpstreamCluster,
        "UPSTREAM_CLUSTER_RAW" => Op::UpstreamClusterRaw,
        "UPSTREAM_CONNECTION_ID" => Op::UpstreamConnectionId,
        "UPSTREAM_CONNECTION_POOL_READY_DURATION" => Op::Span(Span::PoolReady),
        "UPSTREAM_HOST" => Op::UpstreamHost,
        "UPSTREAM_HOST_NAME" => Op::UpstreamHostName { port: true },
        "UPSTREAM_HOST_NAME_WITHOUT_PORT" => Op::UpstreamHostName { port: false },
        "UPSTREAM_PROTOCOL" => Op::UpstreamProtocol,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Op::Attempts,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Op::TransportFailure,
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON" => Op::DownstreamTransportFailure,
        _ => Op::Never,
    }
}

fn counter(name: &str) -> Option<Op> {
    Some(Op::Bytes(match name {
        "BYTES_RECEIVED" => Bytes::Received,
        "BYTES_SENT" => Bytes::Sent,
        // Counted by QUIC only.
        "BYTES_RETRANSMITTED" | "PACKETS_RETRANSMITTED" => return Some(Op::Fixed(0)),
        "REQUEST_HEADERS_BYTES" => Bytes::RequestHeaders,
        "RESPONSE_HEADERS_BYTES" => Bytes::ResponseHeaders,
        "RESPONSE_TRAILERS_BYTES" => Bytes::ResponseTrailers,
        "UPSTREAM_WIRE_BYTES_SENT" => Bytes::UpstreamWireSent,
        "UPSTREAM_WIRE_BYTES_RECEIVED" => Bytes::UpstreamWireReceived,
        // HTTP/1 compresses no headers.
        "UPSTREAM_HEADER_BYTES_SENT" | "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT" => {
            Bytes::UpstreamHeaderSent
        }
        "UPSTREAM_HEADER_BYTES_RECEIVED" | "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED" => {
            Bytes::UpstreamHeaderReceived
        }
        "DOWNSTREAM_WIRE_BYTES_SENT" => Bytes::DownstreamWireSent,
        "DOWNSTREAM_WIRE_BYTES_RECEIVED" => Bytes::DownstreamWireReceived,
        "DOWNSTREAM_HEADER_BYTES_SENT" | "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT" => {
            Bytes::DownstreamHeaderSent
        }
        "DOWNSTREAM_HEADER_BYTES_RECEIVED" | "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED" => {
            Bytes::DownstreamHeaderReceived
        }
        _ => return None,
    }))
}

fn address(name: &str, parameters: &str) -> Option<Op> {
    let ends = [
        ("UPSTREAM_LOCAL_", Endpoint::UpstreamLocal),
        ("UPSTREAM_REMOTE_", Endpoint::UpstreamRemote),
        ("DOWNSTREAM_REMOTE_", Endpoint::DownstreamRemote),
        ("DOWNSTREAM_DIRECT_REMOTE_", Endpoint::DownstreamDirectRemote),
        ("DOWNSTREAM_LOCAL_", Endpoint::DownstreamLocal),
        ("DOWNSTREAM_DIRECT_LOCAL_", Endpoint::DownstreamDirectLocal),
    ];
    let (rest, end) =
        ends.iter().find_map(|(prefix, end)| name.strip_prefix(prefix).map(|rest| (rest, *end)))?;
    let part = match rest {
        "ADDRESS" => Part::Whole,
        // Not a number: Envoy prints the whole address.
        "ADDRESS_WITHOUT_PORT" => Part::WithoutPort(parameters.parse().ok()),
        "PORT" => Part::Port,
        "ADDRESS_ENDPOINT_ID" => Part::EndpointId,
        _ => return None,
    };
    Some(Op::Address(end, part))
}

fn is_field_name(name: &str) -> bool {
    let name = name.strip_prefix(':').unwrap_or(name);
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn field(message: Message, parameters: &str) -> Result<Op, String> {
    let names: Vec<&str> = parameters.split('?').collect();
    if names.len() > 2 {
        return Err(format!("takes at most one alternative header, got {parameters:?}"));
    }
    if let Some(bad) = names.iter().find(|name| !is_field_name(name)) {
        return Err(format!("{bad:?} is not a header name"));
    }
    let names = names.iter().filter(|n| !n.is_empty()).map(|n| HeaderName::new(n)).collect();
    Ok(Op::Field(Field { message, names }))
}

fn common(parameters: &str) -> Result<Op, String> {
    let parts: Vec<&str> = parameters.split(':').collect();
    let (from, to, unit) = match parts[..] {
        [from, to] => (from, to, "ms"),
        [from, to, unit] => (from, to, unit),
        _ => return Err("takes start:end:precision".into()),
    };
    let unit = match unit {
        "ms" => Unit::Millis,
        "us" => Unit::Micros,
        "ns" => Unit::Nanos,
        other => return Err(format!("precision must be ms, us or ns, got {other:?}")),
    };
    Ok(Op::Common(Point::parse(from)?, Point::parse(to)?, unit))
}

fn grpc_form(parameters: &str) -> Result<GrpcForm, String> {
    match parameters {
        "" | "CAMEL_STRING" => Ok(GrpcForm::Camel),
        "SNAKE_STRING" => Ok(GrpcForm::Snake),
        "NUMBER" => Ok(GrpcForm::Number),
        other => Err(format!("takes CAMEL_STRING, SNAKE_STRING or NUMBER, got {other:?}")),
    }
}

fn path(parameters: &str) -> Result<Op, String> {
    let mut parts = parameters.split(':');
    let query = match parts.next().unwrap_or("") {
        "" | "WQ" => true,
        "NQ" => false,
        other => return Err(format!("takes WQ or NQ first, got {other:?}")),
    };
    let origin = match parts.next().unwrap_or("") {
        "" | "ORIG_OR_PATH" => Origin::OriginalOrPresent,
        "ORIG" => Origin::Original,
        "PATH" => Origin::Present,
        other => return Err(format!("takes ORIG, PATH or ORIG_OR_PATH second, got {other:?}")),
    };
    Ok(Op::Path(PathPart { query, origin }))
}

fn query_params(parameters: &str) -> Result<Op, String> {
    match parameters {
        "" | "ORIG" => Ok(Op::QueryParams),
        "DECODED" => Err("DECODED isn't supported, use ORIG".into()),
        other => Err(format!("takes ORIG or DECODED, got {other:?}")),
    }
}

fn server_name(parameters: &str) -> Result<Op, String> {
    let mut parts = parameters.split(':');
    let order = match parts.next().unwrap_or("") {
        "" | "SNI_ONLY" => Order::SniOnly,
        "SNI_FIRST" => Order::SniFirst,
        "HOST_FIRST" => Order::HostFirst,
        other => return Err(format!("takes SNI_ONLY, SNI_FIRST or HOST_FIRST, got {other:?}")),
    };
    let origin = match parts.next().unwrap_or("") {
        "" | "ORIG_OR_HOST" => Origin::OriginalOrPresent,
        "ORIG" => Origin::Original,
        "HOST" => Origin::Present,
        other => return Err(format!("takes ORIG_OR_HOST, HOST or ORIG second, got {other:?}")),
    };
    Ok(Op::ServerName(ServerName { order, origin }))
}

/// Read once: a running process's environment doesn't change. `-` where unset, even in JSON.
fn environment(name: &str) -> Box<[u8]> {
    std::env::var_os(name).map_or(b"-"[..].into(), |v| v.into_encoded_bytes().into())
}

fn hostname() -> Box<[u8]> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim_end();
    if name.is_empty() { b"-"[..].into() } else { name.as_bytes().into() }
}

/// `namespace:key`, of which listener filters write strings; what is deeper has no value.
fn dynamic_metadata(parameters: &str) -> Result<Op, String> {
    let mut path = parameters.split(':');
    let namespace = path.next().unwrap_or_default();
    if namespace.is_empty() {
        return Err("the namespace is empty".into());
    }
    Ok(match (path.next(), path.next()) {
        (key, None) => Op::Metadata(Box::new((namespace.into(), key.map(Into::into)))),
        (_, Some(_)) => Op::Never,
    })
}

fn metadata(parameters: &str) -> Result<Op, String> {
    let (kind, rest) = parameters.split_once(':').unwrap_or((parameters, ""));
    match kind {
        "DYNAMIC" => dynamic_metadata(rest),
        kind @ ("CLUSTER"
        | "ROUTE"
        | "UPSTREAM_HOST"
        | "LISTENER"
        | "LISTENER_FILTER_CHAIN"
        | "VIRTUAL_HOST") => Err(format!("metadata of type {kind} isn't kept for formats")),
        other => Err(format!("{other:?} is not a type of metadata")),
    }
}

fn filter_state(parameters: &str) -> Result<Op, String> {
    match parameters.split(':').collect::<Vec<_>>()[..] {
        ["", ..] => Err("the key is empty".into()),
        [key] | [key, "PLAIN" | "TYPED"] => Ok(Op::FilterState(Box::new((key.into(), None)))),
        [key, "FIELD", field] => Ok(Op::FilterState(Box::new((key.into(), Some(field.into()))))),
        _ => Err("takes a key and then PLAIN, TYPED or FIELD:name".into()),
    }
}

/// Times in the machine's zone: the zone's data isn't read, so only UTC will do.
fn local_time(parameters: &str) -> Result<TimeFormat, String> {
    let utc = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or("");
        matches!(last, "" | "UTC" | "UTC0" | "UCT" | "GMT" | "GMT0" | "Universal" | "Zulu")
    };
    let zone = match std::env::var("TZ") {
        Ok(zone) => zone,
        Err(_) => match std::fs::read_link("/etc/localtime") {
            Ok(target) => target.to_string_lossy().into_owned(),
            Err(_) => String::new(),
        },
    };
    if utc(&zone) {
        TimeFormat::parse(parameters, b"+0000")
    } else {
        Err(format!("local time is supported where it is UTC only, this machine's is {zone}"))
    }
}
