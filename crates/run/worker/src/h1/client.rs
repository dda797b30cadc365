//! The client's end of an HTTP/1 connection: one request at a time towards an upstream host.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use dragoman_codec::h1::parse_response;
use dragoman_codec::h1::write::request_head;
use dragoman_codec::{Framing, Limits, Response};
use dragoman_net::buffer::SMALL;
use dragoman_types::tls::Tls;
use dragoman_types::{Address, Headers, Moment, RequestHead, ResponseHead, id};

use super::wire::Wire;
use crate::stream::{Body, Sink, Source, StreamError};

/// What [`Client::poll_head`] found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    Interim,
    Final(Response),
}

/// A connection to an upstream host.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) wire: Wire,
    pub(crate) id: u64,
    pub(crate) opened: Moment,
    pub(crate) last_used: Moment,
    pub(crate) requests: u32,
    pub(crate) local: Option<Address>,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) limits: Limits,
    pub(crate) enable_trailers: bool,
    /// The response said that the connection serves no other request.
    pub(crate) closing: bool,
    /// Bytes of the present response were seen.
    pub(crate) answered: bool,
    to_head: bool,
    to_connect: bool,
}

impl Client {
    pub(crate) fn new(wire: Wire, id: u64, now: Moment, limits: Limits, trailers: bool) -> Client {
        let local = wire.stream.local();
        Client {
            wire,
            id,
            opened: now,
            last_used: now,
            requests: 0,
            local,
            tls: None,
            limits,
            enable_trailers: trailers,
            closing: false,
            answered: false,
            to_head: false,
            to_connect: false,
        }
    }

    /// Begins a request; returns the bytes of its fields. `body` is the framing it came with.
    pub(crate) fn request(&mut self, head: &RequestHead, body: Framing) -> u64 {
        let has_length = head.headers.contains(id::CONTENT_LENGTH);
        // `Connection: content-length` or a route may have taken the length off the head: without
        // framing the host would read the body as its next request.
        let body = match body {
            Framing::Length(_) if !has_length => Framing::Chunked,
            framed => framed,
        };
        let bodiless =
            matches!(head.method(), b"GET" | b"HEAD" | b"DELETE" | b"TRACE" | b"CONNECT");
        let state_zero = body == Framing::None && !bodiless && !has_length;
        self.to_head = head.is_head();
        self.to_connect = head.method() == b"CONNECT";
        self.answered = false;
        self.requests += 1;
        let style = self.wire.style();
        let bytes = request_head(self.wire.out(), head, body, style, state_zero);
        self.wire.send(body, self.enable_trailers);
        bytes
    }

    /// The next head of the response.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<Head, StreamError>> {
        loop {
            let input = self.wire.input.data();
            if !input.is_empty() {
                self.answered = true;
                let scanned = &mut self.wire.scanned;
                let parsed = parse_response(input, scanned, &self.limits, self.to_head, head)?;
                if let Some(found) = parsed {
                    return Poll::Ready(Ok(self.take_head(found, head.status)));
                }
            }
            let limit = self.limits.head_bytes.max(SMALL);
            if ready!(self.wire.poll_fill(cx, limit))? == 0 {
                return Poll::Ready(Err(StreamError::Closed));
            }
        }
    }

    fn take_head(&mut self, mut found: Response, status: u16) -> Head {
        // What follows is the tunnel (RFC 9112 section 6.3).
        if self.to_connect && (200..300).contains(&status) {
            found.framing = Framing::None;
        }
        self.wire.take(found.consumed);
        if found.interim {
            return Head::Interim;
        }
        self.closing |= !found.keep_alive;
        self.wire.receive(found.framing, self.limits);
        Head::Final(found)
    }

    /// Whether another request may be sent: both messages are complete, nobody wants to close, and
    /// the host sent nothing beyond its response. What it sends later is asked for when the connection
    /// is taken up again.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.closing
            && !self.wire.eof
            && self.wire.is_received()
            && self.wire.is_sent()
            && self.wire.input.is_empty()
    }
}

impl Source for Client {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        self.wire.poll_body(cx)
    }
    fn data(&self) -> &[u8] {
        self.wire.data()
    }
    fn consume(&mut self, n: usize) {
        self.wire.consume(n);
    }
    fn trailers(&self) -> Option<&Headers> {
        self.wire.trailers().filter(|_| self.enable_trailers)
    }
}

impl Sink for Client {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        self.wire.poll_write(cx, data)
    }
    fn finish(&mut self, trailers: Option<&Headers>) {
        self.wire.finish(trailers);
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.wire.poll_flush(cx)
    }
}
