//! Operators that read the messages: header fields, path, server name, gRPC status.

use std::borrow::Cow;

use dragoman_types::grpc::is_grpc;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Facts, Headers, id};

use crate::op::{Wrote, text};
use crate::time::digits;

/// Whose fields are looked at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Message {
    Request,
    Response,
    ResponseTrailers,
}

/// `X?Y`: the first field X, or else the first field Y.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Field {
    pub(crate) message: Message,
    pub(crate) names: Box<[HeaderName]>,
}

/// `:status` isn't among the response's fields: its digits are appended here, and cut by the caller.
fn status(facts: &Facts<'_>, out: &mut Vec<u8>) -> Option<&'static [u8]> {
    digits(out, u64::from(facts.response?.status), 3);
    Some(b"")
}

pub(crate) fn field<'f>(wanted: &Field, facts: &Facts<'f>, out: &mut Vec<u8>) -> Option<&'f [u8]> {
    let headers: &'f Headers = match wanted.message {
        Message::Request => &facts.request?.headers,
        Message::Response => &facts.response?.headers,
        Message::ResponseTrailers => facts.response_trailers?,
    };
    wanted.names.iter().find_map(|name| {
        let is_status = name.as_bytes() == b":status" && wanted.message == Message::Response;
        if is_status { status(facts, out) } else { headers.get(name) }
    })
}

/// `PATH(with query?:which)`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct PathPart {
    pub(crate) query: bool,
    pub(crate) origin: Origin,
}

/// Which of the two paths (or hosts): the one that came in, or the one after rewrites.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Origin {
    Original,
    Present,
    OriginalOrPresent,
}

impl Origin {
    fn pick<'f>(
        self,
        facts: &Facts<'f>,
        original: dragoman_types::HeaderId,
        present: dragoman_types::HeaderId,
    ) -> Option<&'f [u8]> {
        let headers = &facts.request?.headers;
        match self {
            Origin::Original => headers.get(original),
            Origin::Present => headers.get(present),
            Origin::OriginalOrPresent => headers.get(original).or_else(|| headers.get(present)),
        }
    }
}

impl PathPart {
    pub(crate) fn write(self, facts: &Facts<'_>, out: &mut Vec<u8>) -> Wrote {
        let path = self.origin.pick(facts, id::X_ENVOY_ORIGINAL_PATH, id::PATH);
        let end = |path: &[u8]| match memchr::memchr(b'?', path) {
            Some(at) if !self.query => at,
            _ => path.len(),
        };
        text(path.map(|path| &path[..end(path)]), out)
    }
}

/// `REQUESTED_SERVER_NAME`: what the tls_inspector found, or the request's host.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ServerName {
    pub(crate) order: Order,
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Order {
    SniOnly,
    SniFirst,
    HostFirst,
}

/// A server name as a line may have it: one that is none is marked, and can't end the line.
fn sanitized(name: &str) -> Cow<'_, str> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.bytes().all(valid) {
        return Cow::Borrowed(name);
    }
    let chars = name.bytes().map(|byte| if valid(byte) { char::from(byte) } else { '_' });
    Cow::Owned(format!("invalid:{}", chars.collect::<String>()))
}

impl ServerName {
    pub(crate) fn write(self, facts: &Facts<'_>, out: &mut Vec<u8>) -> Wrote {
        let asked = facts
            .connection
            .hello
            .as_ref()
            .and_then(|hello| hello.server_name.as_deref())
            .map(sanitized);
        let asked = asked.as_deref().map(str::as_bytes);
        let host = || self.origin.pick(facts, id::X_ENVOY_ORIGINAL_HOST, id::AUTHORITY);
        let value = match self.order {
            Order::SniOnly => asked,
            Order::SniFirst => asked.or_else(host),
            Order::HostFirst => host().or(asked),
        };
        text(value, out)
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum GrpcForm {
    Camel,
    Snake,
    Number,
}

/// By number. Source: gRPC's status codes.
const GRPC: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

/// From the trailers, else the head, else what the response code stands for.
fn grpc_code(facts: &Facts<'_>) -> Option<i64> {
    let stated = facts
        .response_trailers
        .and_then(|t| t.get(id::GRPC_STATUS))
        .or_else(|| facts.response.and_then(|r| r.headers.get(id::GRPC_STATUS)));
    if let Some(value) = stated {
        let code = std::str::from_utf8(value).ok().and_then(|v| v.parse::<u32>().ok());
        return Some(code.map_or(-1, i64::from));
    }
    Some(match facts.info.response_code? {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    })
}

pub(crate) fn grpc_status(form: GrpcForm, facts: &Facts<'_>, out: &mut Vec<u8>) -> Wrote {
    if !facts.request.is_some_and(|request| is_grpc(&request.headers)) {
        return Wrote::Nothing;
    }
    let Some(code) = grpc_code(facts) else { return Wrote::Nothing };
    let names = usize::try_from(code).ok().and_then(|code| GRPC.get(code));
    match (form, names) {
        (GrpcForm::Camel, Some((camel, _))) => return text(Some(camel.as_bytes()), out),
        (GrpcForm::Snake, Some((_, snake))) => return text(Some(snake.as_bytes()), out),
        _ => {}
    }
    if code < 0 {
        out.push(b'-');
    }
    digits(out, code.unsigned_abs(), 1);
    if form == GrpcForm::Number { Wrote::Json } else { Wrote::Text }
}
