//! HTTP/2 from the wire.

use std::task::{Context, Poll, Waker};

use dragoman_codec::h1::parse_request;
use dragoman_codec::h1::write::{NameStyle, request_head};
use dragoman_codec::h2::{Arrival, Code, Endpoint, GuardLimits, Options, PREFACE, Side};
use dragoman_codec::{Framing, Limits};
use dragoman_types::{Moment, RequestHead, ResponseHead, id};

const LIMITS: Limits = Limits { head_bytes: 4096, fields: 80 };
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

fn options() -> Options {
    Options {
        table_size: 4096,
        max_streams: 10,
        stream_window: 65_535,
        connection_window: 65_535,
        extended_connect: true,
        limits: LIMITS,
        message_ends_stream: true,
        max_frames: 1000,
        max_control_frames: 100,
        guard: GuardLimits::default(),
    }
}

/// What a client makes of a connection is the same however its bytes arrive; what is let through of it has
/// one meaning in HTTP/1 too; and what waits for the client is bounded by what it sent.
pub fn http2(bytes: &[u8]) {
    let whole = served(bytes, usize::MAX);
    assert_eq!(whole, served(bytes, 1));
    assert_eq!(whole, served(bytes, 7));
}

/// Every request of a connection whose bytes come in such pieces, with its body, and how it ended.
fn served(bytes: &[u8], piece: usize) -> (Vec<(String, Vec<u8>)>, Option<Code>) {
    let cx = Context::from_waker(Waker::noop());
    let mut end = Endpoint::new(Side::Server, options(), Moment::START);
    let (mut told, mut keys) = (Vec::new(), Vec::new());
    for piece in [PREFACE, SETTINGS].into_iter().chain(bytes.chunks(piece.min(bytes.len()).max(1)))
    {
        end.receive(piece, Moment::START);
        end.sent(end.output().len());
        while let Some(arrival) = end.accept() {
            let (key, said) = match arrival {
                Arrival::Request(key) => {
                    let head = end.take_head(key).unwrap_or_default();
                    let framing = head.framing();
                    let request = RequestHead { headers: head.headers, ..RequestHead::default() };
                    (key, check(&request, framing))
                }
                Arrival::TooLarge(key) => (key, "too large".into()),
                Arrival::Malformed(key, why) => (key, why.into()),
            };
            told.push((said, Vec::new()));
            keys.push(key);
        }
    }
    for (key, (_, body)) in keys.into_iter().zip(&mut told) {
        let mut chunk = Vec::new();
        if let Poll::Ready(Ok(true)) = end.poll_body(key, &cx, &mut chunk) {
            end.consumed(key, chunk.len());
            body.extend_from_slice(&chunk);
        }
        end.respond(key, &ResponseHead { status: 200, ..ResponseHead::default() }, false, false);
        let _ = end.poll_send(key, &cx, b"hello", false);
        end.finish(key, None);
        end.release(key, 0, Code::NO_ERROR);
    }
    assert!(end.output().len() < 64 << 10);
    (told, end.fault().map(|fault| fault.code))
}

/// The request as HTTP/1 says it, which is read back the same.
fn check(request: &RequestHead, framing: Framing) -> String {
    for (_, name, value) in request.headers.iter() {
        assert!(!name.iter().any(u8::is_ascii_whitespace) && !name.is_empty());
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0')));
    }
    let mut written = Vec::new();
    request_head(&mut written, request, framing, NameStyle::Lower, false);
    let text = String::from_utf8_lossy(&written).into_owned();
    let mut again = RequestHead::default();
    // A reader of HTTP/1 may refuse more: other methods, other paths.
    if let Ok(Some(found)) = parse_request(&written, &mut 0, &LIMITS, &mut again) {
        assert_eq!(found.consumed, written.len(), "{text}");
        assert_eq!(again.path(), request.path(), "{text}");
        assert_eq!(again.authority(), request.authority(), "{text}");
        if !request.headers.contains(id::UPGRADE) {
            assert_eq!(found.framing, framing, "{text}");
        }
    }
    text
}
