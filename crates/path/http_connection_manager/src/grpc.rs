//! Answers to gRPC requests: always 200, the outcome in `grpc-status` and `grpc-message`, no body.

use dragoman_types::{LocalReply, ResponseHead, id};

/// The gRPC status that stands for an HTTP status.
/// Source: grpc/doc/http-grpc-status-mapping.md.
fn status_of(http: u16) -> &'static [u8] {
    match http {
        400 => b"13",
        401 => b"16",
        403 => b"7",
        404 => b"12",
        429 | 502 | 503 | 504 => b"14",
        _ => b"2",
    }
}

/// Turns the head into a trailers-only answer; the body becomes the message.
pub(crate) fn shape(reply: &LocalReply, head: bool, out: &mut ResponseHead, body: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let status = match reply.grpc_status {
        Some(status) => digits.format(status).as_bytes(),
        None => status_of(out.status),
    };
    out.status = 200;
    out.headers.set(id::CONTENT_TYPE, b"application/grpc");
    if !out.headers.contains(id::GRPC_STATUS) {
        out.headers.append(id::GRPC_STATUS, status);
    }
    if !body.is_empty() && !head {
        let plain = body.len();
        for at in 0..plain {
            escape(body[at], body);
        }
        out.headers.set(id::GRPC_MESSAGE, &body[plain..]);
    }
    out.headers.remove(id::CONTENT_LENGTH);
    body.clear();
}

/// Percent-encodes as Envoy does: `~` too, the space not.
fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if (b' '..b'~').contains(&byte) && byte != b'%' {
        return out.push(byte);
    }
    out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}
