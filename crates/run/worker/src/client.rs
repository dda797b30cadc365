//! A request's way to its host, whatever the protocol: an HTTP/1 connection for itself, or one stream of
//! an HTTP/2 connection.

use std::sync::Arc;
use std::task::{Context, Poll};

use dragoman_codec::Framing;
use dragoman_types::tls::Tls;
use dragoman_types::{Address, Headers, RequestHead, ResponseHead};

use crate::h1::{self, Head, Wire};
use crate::h2::ClientStream;
use crate::stream::{Body, Sink, Source, StreamError};

#[derive(Debug)]
pub(crate) enum Client {
    Http1(Box<h1::Client>),
    Http2(Box<ClientStream>),
}

impl Client {
    /// The connection's number, our end of it, and its TLS.
    pub(crate) fn connection(&self) -> (u64, &Option<Address>, &Option<Arc<Tls>>) {
        match self {
            Client::Http1(client) => (client.id, &client.local, &client.tls),
            Client::Http2(stream) => {
                let channel = stream.channel();
                (channel.id, &channel.local, &channel.tls)
            }
        }
    }

    /// The connection served requests before this one.
    pub(crate) fn is_used(&self) -> bool {
        match self {
            Client::Http1(client) => client.requests > 0,
            Client::Http2(stream) => stream.channel().served() > 0,
        }
    }

    /// The connection's bytes, where the request has a connection for itself.
    pub(crate) fn wire(&mut self) -> Option<&mut Wire> {
        match self {
            Client::Http1(client) => Some(&mut client.wire),
            Client::Http2(_) => None,
        }
    }

    /// Begins the request; returns the bytes of its fields. `body` is the framing it came with;
    /// `tunnel`: what follows the head is another protocol's.
    #[inline]
    pub(crate) fn request(&mut self, head: &RequestHead, body: Framing, tunnel: bool) -> u64 {
        match self {
            Client::Http1(client) => client.request(head, body),
            Client::Http2(stream) => stream.request(head, body, tunnel),
        }
    }

    /// The next head of the response.
    #[inline]
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<Head, StreamError>> {
        match self {
            Client::Http1(client) => client.poll_head(cx, head),
            Client::Http2(stream) => stream.poll_head(cx, head),
        }
    }

    /// What follows of the response is nobody's.
    pub(crate) fn ignore_body(&mut self) {
        match self {
            Client::Http1(client) => client.wire.receive(Framing::None, client.limits),
            Client::Http2(stream) => stream.ignore_body(),
        }
    }

    /// The host sent something in answer.
    #[inline]
    pub(crate) fn is_answered(&self) -> bool {
        match self {
            Client::Http1(client) => client.answered || !client.wire.input.is_empty(),
            Client::Http2(stream) => stream.answered,
        }
    }

    /// Bytes of this connection (HTTP/1) or stream (HTTP/2) so far: taken, sent.
    #[inline]
    pub(crate) fn wire_bytes(&self) -> (u64, u64) {
        match self {
            Client::Http1(client) => (client.wire.bytes_taken, client.wire.bytes_out),
            Client::Http2(stream) => stream.wire_bytes(),
        }
    }
}

impl Source for Client {
    #[inline]
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        match self {
            Client::Http1(client) => client.poll_body(cx),
            Client::Http2(stream) => stream.poll_body(cx),
        }
    }

    #[inline]
    fn data(&self) -> &[u8] {
        match self {
            Client::Http1(client) => client.data(),
            Client::Http2(stream) => stream.data(),
        }
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        match self {
            Client::Http1(client) => client.consume(n),
            Client::Http2(stream) => stream.consume(n),
        }
    }

    fn trailers(&self) -> Option<&Headers> {
        match self {
            Client::Http1(client) => client.trailers(),
            Client::Http2(stream) => stream.trailers(),
        }
    }
}

impl Sink for Client {
    #[inline]
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        match self {
            Client::Http1(client) => client.poll_write(cx, data),
            Client::Http2(stream) => stream.poll_write(cx, data),
        }
    }

    fn finish(&mut self, trailers: Option<&Headers>) {
        match self {
            Client::Http1(client) => client.finish(trailers),
            Client::Http2(stream) => stream.finish(trailers),
        }
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match self {
            Client::Http1(client) => client.poll_flush(cx),
            Client::Http2(stream) => stream.poll_flush(cx),
        }
    }
}
