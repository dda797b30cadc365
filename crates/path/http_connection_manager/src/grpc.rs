//! Answers to gRPC requests: always 200, the outcome in `grpc-status` and `grpc-message`, no body.

use dragoman_types::grpc::{escape, status_of};
use dragoman_types::{LocalReply, ResponseHead, id};

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
