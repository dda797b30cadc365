//! Heads between the `http` crate's types, which `h2` takes and gives, and ours.

use std::sync::LazyLock;

use bytes::BytesMut;
use dragoman_types::{HeaderId, Headers, RequestHead, ResponseHead, Version, id};
use h2::ext::Protocol;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request, response,
};

use crate::message::{Framing, Limits, Request, Response};

/// A head that can't be passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadHead {
    TooManyFields,
    /// A field that the other protocol can't say.
    Unsayable,
}

/// The interned names as HTTP/2 has them: cloning one allocates nothing.
static NAMES: LazyLock<Vec<Option<HeaderName>>> = LazyLock::new(|| {
    let known = (0..128).map_while(HeaderId::from_index);
    known.map(|id| HeaderName::from_bytes(id.name()).ok()).collect()
});

fn name_of(id: HeaderId, name: &[u8]) -> Option<HeaderName> {
    match NAMES.get(usize::from(id.index())) {
        Some(Some(known)) if id != id::OTHER => Some(known.clone()),
        _ => HeaderName::from_bytes(name).ok(),
    }
}

/// Takes a request's head in (`head` is cleared first). `end`: no body follows. An extended CONNECT
/// (RFC 8441) with this `protocol` becomes the upgrade that it would be in HTTP/1: whoever decides about
/// upgrades knows one form.
///
/// # Errors
/// [`BadHead::TooManyFields`].
pub fn request_head(
    parts: &request::Parts,
    protocol: Option<&[u8]>,
    end: bool,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Request, BadHead> {
    head.clear();
    head.version = Version::Http2;
    if parts.headers.len() > limits.fields {
        return Err(BadHead::TooManyFields);
    }
    let headers = &mut head.headers;
    let method = if protocol.is_some() { "GET" } else { parts.method.as_str() };
    headers.append(id::METHOD, method.as_bytes());
    if let Some(scheme) = parts.uri.scheme_str() {
        headers.append(id::SCHEME, scheme.as_bytes());
    }
    if let Some(path) = parts.uri.path_and_query() {
        headers.append(id::PATH, path.as_str().as_bytes());
    }
    if let Some(authority) = parts.uri.authority() {
        headers.append(id::AUTHORITY, authority.as_str().as_bytes());
    }
    if let Some(protocol) = protocol {
        headers.append(id::CONNECTION, b"upgrade");
        headers.append(id::UPGRADE, protocol);
    }
    take_fields(&parts.headers, headers);
    Ok(Request {
        consumed: 0,
        framing: framing(&parts.headers, end),
        keep_alive: true,
        expect_continue: headers.get(id::EXPECT).is_some_and(is_continue),
        upgrade: false,
        field_bytes: headers.byte_size(),
    })
}

/// Takes a response's head in (`head` is cleared first). `end`: no body follows.
///
/// # Errors
/// [`BadHead::TooManyFields`].
pub fn response_head(
    parts: &response::Parts,
    end: bool,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<Response, BadHead> {
    head.clear();
    head.version = Version::Http2;
    head.status = parts.status.as_u16();
    if parts.headers.len() > limits.fields {
        return Err(BadHead::TooManyFields);
    }
    take_fields(&parts.headers, &mut head.headers);
    Ok(Response {
        consumed: 0,
        framing: framing(&parts.headers, end),
        keep_alive: true,
        interim: parts.status.is_informational(),
        field_bytes: head.headers.byte_size(),
    })
}

fn is_continue(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// The codec has compared lengths that contradict each other, and holds the body to this one.
fn framing(fields: &HeaderMap, end: bool) -> Framing {
    let length = fields.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.and_then(|digits| digits.parse().ok()) {
        _ if end => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

/// Takes fields in: trailers, or what of a head isn't a pseudo-header.
pub fn take_fields(fields: &HeaderMap, headers: &mut Headers) {
    for (name, value) in fields {
        match *name {
            // A cookie may come in crumbs, for compression's sake (RFC 9113 section 8.2.3).
            header::COOKIE => headers.join(id::COOKIE, b"; ", value.as_bytes()),
            header::HOST if headers.contains(id::AUTHORITY) => {}
            header::HOST => headers.append(id::AUTHORITY, value.as_bytes()),
            _ => headers.push(name.as_str().as_bytes(), value.as_bytes()),
        }
    }
}

/// Fields as `h2` takes them. What concerns an HTTP/1 connection has no place in it.
///
/// # Errors
/// [`BadHead::Unsayable`].
pub fn fields(headers: &Headers) -> Result<HeaderMap, BadHead> {
    let mut map = HeaderMap::with_capacity(headers.len());
    // One allocation for all values.
    let mut values = BytesMut::with_capacity(headers.byte_size() as usize);
    for (id, name, value) in headers.iter() {
        if id.is_pseudo() || is_connection_specific(id) {
            continue;
        }
        values.extend_from_slice(value);
        let name = name_of(id, name).ok_or(BadHead::Unsayable)?;
        let value = HeaderValue::from_maybe_shared(values.split().freeze());
        let mut value = value.map_err(|_| BadHead::Unsayable)?;
        value.set_sensitive(is_volatile(id));
        map.append(name, value);
    }
    Ok(map)
}

/// Values that the next message won't have. In HPACK's table they would only drive out those that it has,
/// and `h2` compares a value with all of its name in the table: sent as never indexed (RFC 7541 section
/// 6.2.3) they cost neither.
fn is_volatile(id: HeaderId) -> bool {
    matches!(
        id,
        id::X_REQUEST_ID
            | id::X_ENVOY_UPSTREAM_SERVICE_TIME
            | id::X_FORWARDED_FOR
            | id::X_CLIENT_TRACE_ID
            | id::GRPC_TIMEOUT
            | id::TRACEPARENT
            | id::TRACESTATE
            | id::X_B3_TRACEID
            | id::X_B3_SPANID
            | id::X_B3_PARENTSPANID
    )
}

fn is_connection_specific(id: HeaderId) -> bool {
    matches!(
        id,
        id::HOST
            | id::CONNECTION
            | id::KEEP_ALIVE
            | id::PROXY_CONNECTION
            | id::TRANSFER_ENCODING
            | id::UPGRADE
    )
}

/// A response as `h2` takes it. `tunnel`: a 101 is told as 200, which is what agrees in HTTP/2.
///
/// # Errors
/// [`BadHead::Unsayable`].
pub fn response(head: &ResponseHead, tunnel: bool) -> Result<http::Response<()>, BadHead> {
    let mut response = http::Response::new(());
    let status = if tunnel && head.status == 101 { 200 } else { head.status };
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| BadHead::Unsayable)?;
    *response.headers_mut() = fields(&head.headers)?;
    Ok(response)
}

/// A host's 200 to an extended CONNECT becomes HTTP/1's 101.
pub fn agree(head: &mut ResponseHead, protocol: &[u8]) {
    head.status = 101;
    head.headers.append(id::CONNECTION, b"upgrade");
    head.headers.append(id::UPGRADE, protocol);
}

/// A request as `h2` takes it. `protocol`: it's an upgrade, told as an extended CONNECT. `scheme`: of a
/// request that names none.
///
/// # Errors
/// [`BadHead::Unsayable`].
pub fn request(
    head: &RequestHead,
    protocol: Option<&[u8]>,
    scheme: &[u8],
) -> Result<http::Request<()>, BadHead> {
    let bad = |_| BadHead::Unsayable;
    let mut uri = Uri::builder();
    let connect = head.method() == b"CONNECT";
    if !head.authority().is_empty() {
        uri = uri.authority(head.authority());
    }
    if !connect {
        let path = head.path();
        uri = uri.path_and_query(if path.is_empty() { b"/" } else { path });
        uri = uri.scheme(head.headers.get(id::SCHEME).unwrap_or(scheme));
    }
    let mut request = http::Request::new(());
    *request.uri_mut() = uri.build().map_err(|_| BadHead::Unsayable)?;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = fields(&head.headers)?;
    match protocol {
        None => {
            *request.method_mut() =
                Method::from_bytes(head.method()).map_err(|_| BadHead::Unsayable)?;
        }
        Some(protocol) => {
            let protocol = std::str::from_utf8(protocol).map_err(bad)?;
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(Protocol::from(protocol));
        }
    }
    Ok(request)
}
