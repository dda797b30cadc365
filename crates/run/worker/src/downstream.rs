//! A request's way back to its client, whatever the protocol: an HTTP/1 connection that serves one
//! request at a time, or one stream of an HTTP/2 connection.

use std::task::{Context, Poll};

use dragoman_codec::Framing;
use dragoman_codec::h2::Gone;
use dragoman_types::{Headers, ResponseHead};

use crate::h1::{ResponseContext, Server, Wire};
use crate::h2::ServerStream;
use crate::manager::Manager;
use crate::stream::{Body, Sink, Source, StreamError};

#[derive(Debug)]
pub(crate) enum Downstream<'a> {
    Http1(&'a mut Server),
    Http2(&'a mut ServerStream),
}

impl Downstream<'_> {
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Downstream::Http2(_))
    }

    /// The connection's bytes, where the request has a connection for itself.
    pub(crate) fn wire(&mut self) -> Option<&mut Wire> {
        match self {
            Downstream::Http1(server) => Some(&mut server.wire),
            Downstream::Http2(_) => None,
        }
    }

    /// The request came as a whole.
    #[inline]
    pub(crate) fn is_received(&self) -> bool {
        match self {
            Downstream::Http1(server) => server.wire.is_received(),
            Downstream::Http2(stream) => stream.is_received(),
        }
    }

    /// Ready when the client is known to be gone, or wants no answer any more.
    #[inline]
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Downstream::Http1(server) => server.poll_gone(cx),
            Downstream::Http2(stream) => stream.poll_gone(cx),
        }
    }

    /// Why the client's stream ended, where it had one.
    pub(crate) fn why_gone(&self) -> Option<Gone> {
        match self {
            Downstream::Http1(_) => None,
            Downstream::Http2(stream) => stream.why_gone(),
        }
    }

    /// Begins the response: see [`Server::respond`]. Says whether the connection ends behind it.
    #[inline]
    pub(crate) fn respond(
        &mut self,
        head: &mut ResponseHead,
        body: Framing,
        context: ResponseContext,
    ) -> bool {
        match self {
            Downstream::Http1(server) => server.respond(head, body, context),
            Downstream::Http2(stream) => stream.respond(head, body, context),
        }
    }

    /// Writes an interim response (1xx).
    pub(crate) fn interim(&mut self, head: &ResponseHead) {
        match self {
            Downstream::Http1(server) => server.interim(head),
            Downstream::Http2(stream) => stream.interim(head),
        }
    }

    /// Tells a waiting client to send its body.
    pub(crate) fn send_continue(&mut self) {
        match self {
            Downstream::Http1(server) => server.send_continue(),
            Downstream::Http2(stream) => stream.send_continue(),
        }
    }

    /// Bytes of the fields of the response's head.
    pub(crate) fn sent_field_bytes(&self) -> u64 {
        match self {
            Downstream::Http1(server) => server.sent_field_bytes,
            Downstream::Http2(stream) => stream.sent_field_bytes,
        }
    }

    /// Bytes of this connection (HTTP/1) or stream (HTTP/2) so far: taken, sent.
    #[inline]
    pub(crate) fn wire_bytes(&self) -> (u64, u64) {
        match self {
            Downstream::Http1(server) => (server.wire.bytes_taken, server.wire.bytes_out),
            Downstream::Http2(stream) => stream.wire_bytes(),
        }
    }

    /// A long transfer is counted while it goes on. An HTTP/2 connection's own task counts for all its
    /// streams.
    #[inline]
    pub(crate) fn count_bytes(&mut self, manager: &Manager) {
        if let Downstream::Http1(server) = self {
            manager.count_bytes(&mut server.wire);
        }
    }
}

impl Source for Downstream<'_> {
    #[inline]
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        match self {
            Downstream::Http1(server) => server.poll_body(cx),
            Downstream::Http2(stream) => stream.poll_body(cx),
        }
    }

    #[inline]
    fn data(&self) -> &[u8] {
        match self {
            Downstream::Http1(server) => server.data(),
            Downstream::Http2(stream) => stream.data(),
        }
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        match self {
            Downstream::Http1(server) => server.consume(n),
            Downstream::Http2(stream) => stream.consume(n),
        }
    }

    fn trailers(&self) -> Option<&Headers> {
        match self {
            Downstream::Http1(server) => server.trailers(),
            Downstream::Http2(stream) => stream.trailers(),
        }
    }
}

impl Sink for Downstream<'_> {
    #[inline]
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        match self {
            Downstream::Http1(server) => server.poll_write(cx, data),
            Downstream::Http2(stream) => stream.poll_write(cx, data),
        }
    }

    fn finish(&mut self, trailers: Option<&Headers>) {
        match self {
            Downstream::Http1(server) => server.finish(trailers),
            Downstream::Http2(stream) => stream.finish(trailers),
        }
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match self {
            Downstream::Http1(server) => server.poll_flush(cx),
            Downstream::Http2(stream) => stream.poll_flush(cx),
        }
    }
}
