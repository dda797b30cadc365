//! Heads between the `http` crate's types, which `h2` takes and gives, and ours.

use std::sync::LazyLock;

use bytes::Bytes;
use dragoman_types::{HeaderId, Headers, RequestHead, ResponseHead, Version, id};
use h2::ext::Protocol;
use http::uri::{self, Authority, PathAndQuery, Scheme};
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
    /// What no message may have (RFC 9113 section 8.1.1), and `h2` lets through.
    Malformed,
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
/// [`BadHead::TooManyFields`], [`BadHead::Malformed`].
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
        let path = path.as_str().as_bytes();
        // `*` is asked for by OPTIONS alone (RFC 9110 section 7.1).
        if !path.starts_with(b"/") && !(path == b"*" && parts.method == Method::OPTIONS) {
            return Err(BadHead::Malformed);
        }
        headers.append(id::PATH, path);
    }
    if let Some(authority) = parts.uri.authority() {
        let authority = authority.as_str().as_bytes();
        // RFC 9113 section 8.3.1: no user's name belongs in it.
        if authority.contains(&b'@') {
            return Err(BadHead::Malformed);
        }
        headers.append(id::AUTHORITY, authority);
    }
    if let Some(protocol) = protocol {
        headers.append(id::CONNECTION, b"upgrade");
        headers.append(id::UPGRADE, protocol);
    }
    if parts.headers.get_all(header::HOST).iter().nth(1).is_some() {
        return Err(BadHead::Malformed);
    }
    take_fields(&parts.headers, headers)?;
    Ok(Request {
        consumed: 0,
        framing: framing(&parts.headers, end)?,
        keep_alive: true,
        expect_continue: headers.get(id::EXPECT).is_some_and(is_continue),
        upgrade: false,
        field_bytes: headers.byte_size(),
    })
}

/// Takes a response's head in (`head` is cleared first). `end`: no body follows.
///
/// # Errors
/// [`BadHead::TooManyFields`], [`BadHead::Malformed`].
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
    take_fields(&parts.headers, &mut head.headers)?;
    Ok(Response {
        consumed: 0,
        framing: framing(&parts.headers, end)?,
        keep_alive: true,
        interim: parts.status.is_informational(),
        field_bytes: head.headers.byte_size(),
    })
}

fn is_continue(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// `h2` holds the body to the first length that there is, if it is a number; there may be one alone.
fn framing(fields: &HeaderMap, end: bool) -> Result<Framing, BadHead> {
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (Some(length), None) => Some(number(length.as_bytes()).ok_or(BadHead::Malformed)?),
        (Some(_), Some(_)) => return Err(BadHead::Malformed),
        (None, _) => None,
    };
    Ok(match length {
        _ if end => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    })
}

/// Digits alone: `parse` would take a sign too.
fn number(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Takes trailers in.
///
/// # Errors
/// [`BadHead::Malformed`]: fields that only a head may have.
pub fn trailers(fields: &HeaderMap) -> Result<Headers, BadHead> {
    if fields.contains_key(header::CONTENT_LENGTH) {
        return Err(BadHead::Malformed);
    }
    let mut headers = Headers::new();
    take_fields(fields, &mut headers)?;
    Ok(headers)
}

fn take_fields(fields: &HeaderMap, headers: &mut Headers) -> Result<(), BadHead> {
    for (name, value) in fields {
        match *name {
            // A cookie may come in crumbs, for compression's sake (RFC 9113 section 8.2.3).
            header::COOKIE => headers.join(id::COOKIE, b"; ", value.as_bytes()),
            header::HOST if headers.contains(id::AUTHORITY) => {}
            header::HOST => headers.append(id::AUTHORITY, value.as_bytes()),
            // The one character that a name of the `http` crate may have and a token may not.
            _ if name.as_str().contains('"') => return Err(BadHead::Malformed),
            _ => headers.push(name.as_str().as_bytes(), value.as_bytes()),
        }
    }
    Ok(())
}

/// Fields as `h2` takes them. What concerns an HTTP/1 connection has no place in it.
///
/// # Errors
/// [`BadHead::Unsayable`].
pub fn fields(headers: &Headers) -> Result<HeaderMap, BadHead> {
    let said = || headers.iter().filter(|(id, ..)| !id.is_pseudo() && !is_connection_specific(*id));
    let mut map = HeaderMap::with_capacity(headers.len());
    // One allocation for all values.
    let mut values = Vec::with_capacity(headers.byte_size() as usize);
    said().for_each(|(_, _, value)| values.extend_from_slice(value));
    let mut values = Bytes::from(values);
    for (id, name, value) in said() {
        let name = name_of(id, name).ok_or(BadHead::Unsayable)?;
        let value = HeaderValue::from_maybe_shared(values.split_to(value.len()));
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
    let mut request = http::Request::new(());
    *request.uri_mut() = target(head, scheme).ok_or(BadHead::Unsayable)?;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = fields(&head.headers)?;
    match protocol {
        None => {
            *request.method_mut() =
                Method::from_bytes(head.method()).map_err(|_| BadHead::Unsayable)?;
        }
        Some(protocol) => {
            let protocol = std::str::from_utf8(protocol).map_err(|_| BadHead::Unsayable)?;
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(Protocol::from(protocol));
        }
    }
    Ok(request)
}

/// `None`: the `http` crate's `Uri` can't hold it.
fn target(head: &RequestHead, scheme: &[u8]) -> Option<Uri> {
    let mut target = uri::Parts::default();
    if !head.authority().is_empty() {
        target.authority = Some(Authority::try_from(head.authority()).ok()?);
    }
    if head.method() != b"CONNECT" {
        let path = if head.path().is_empty() { b"/" } else { head.path() };
        let said = PathAndQuery::try_from(path);
        target.path_and_query = Some(said.or_else(|_| PathAndQuery::try_from(escaped(path))).ok()?);
        target.scheme = Some(match head.headers.get(id::SCHEME).unwrap_or(scheme) {
            b"http" => Scheme::HTTP,
            b"https" => Scheme::HTTPS,
            other => Scheme::try_from(other).ok()?,
        });
    }
    Uri::from_parts(target).ok()
}

/// A path with what no URI may hold in its escaped form (RFC 3986 section 2), as a browser would send it.
/// HTTP/1 peers send such bytes as they are, and their hosts take them.
fn escaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len() + 16);
    for &byte in path {
        match byte {
            b'"' | b'<' | b'>' | b'`' | 0..=b' ' | 0x7f.. => {
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            _ => out.push(byte),
        }
    }
    out
}
