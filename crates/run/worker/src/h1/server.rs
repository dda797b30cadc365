//! The server's end of an HTTP/1 connection.

use std::task::{Context, Poll, ready};

use dragoman_codec::h1::request::skip_empty_lines;
use dragoman_codec::h1::write::{NameStyle, response_head};
use dragoman_codec::h1::{ParseError, parse_request};
use dragoman_codec::{Framing, Limits, Request};
use dragoman_net::buffer::SMALL;
use dragoman_types::{Headers, RequestHead, ResponseHead, id};

use super::wire::Wire;
use crate::stream::{Body, Sink, Source, StreamError};

/// Empty lines a client may send before a request.
const MAX_EMPTY_LINES: u32 = 8;

/// What came in.
#[derive(Debug)]
pub(crate) enum Incoming {
    Request(Request),
    /// The client closed between requests.
    Closed,
    /// The client closed within a head.
    Cut,
    Malformed(ParseError),
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) wire: Wire,
    /// Bytes of the fields of the last response's head.
    pub(crate) sent_field_bytes: u64,
    pub(crate) enable_trailers: bool,
    empty_lines: u32,
}

/// What the response's framing depends on besides its own head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseContext {
    pub(crate) to_head: bool,
    pub(crate) http10: bool,
    /// The connection ends behind this response.
    pub(crate) close: bool,
    /// A tunnel begins behind it: no framing, nothing said of the connection.
    pub(crate) tunnel: bool,
}

impl Server {
    pub(crate) fn new(wire: Wire, enable_trailers: bool) -> Server {
        Server { wire, sent_field_bytes: 0, enable_trailers, empty_lines: 0 }
    }

    /// Ready as soon as there are bytes of a request, or the connection ended. No buffer is held
    /// while waiting.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.wire.input.is_empty() {
            return Poll::Ready(());
        }
        ready!(self.wire.stream.poll_read_ready(cx));
        // "Ready" may be a guess; only bytes, or the end, are a reason to stop idling.
        match self.wire.poll_fill(cx, SMALL) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => {
                self.wire.release_input();
                Poll::Pending
            }
        }
    }

    /// The next request's head.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        head: &mut RequestHead,
    ) -> Poll<Incoming> {
        loop {
            let blank = skip_empty_lines(self.wire.input.data());
            self.empty_lines += (blank / 2) as u32;
            if self.empty_lines > MAX_EMPTY_LINES {
                return Poll::Ready(Incoming::Malformed(ParseError::StartLine));
            }
            if blank > 0 {
                self.wire.input.consume(blank);
                self.wire.scanned = 0;
            }
            match parse_request(self.wire.input.data(), &mut self.wire.scanned, limits, head) {
                Ok(Some(request)) => {
                    self.empty_lines = 0;
                    self.wire.take(request.consumed);
                    self.wire.receive(request.framing, *limits);
                    return Poll::Ready(Incoming::Request(request));
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(Incoming::Malformed(error)),
            }
            let filled = match self.wire.eof {
                true => Ok(0),
                false => ready!(self.wire.poll_fill(cx, limits.head_bytes.max(SMALL))),
            };
            match filled {
                Ok(n) if n > 0 => {}
                _ if self.wire.input.is_empty() => return Poll::Ready(Incoming::Closed),
                _ => return Poll::Ready(Incoming::Cut),
            }
        }
    }

    /// Ready when the client is known to be gone while its request is being served. What it sends
    /// ahead (pipelining) is kept, up to one buffer.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.wire.input.len() < SMALL {
            match ready!(self.wire.poll_fill(cx, SMALL)) {
                Ok(n) if n > 0 => {}
                Ok(_) if !self.wire.eof => return Poll::Pending,
                _ => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Writes an interim response (1xx).
    pub(crate) fn interim(&mut self, head: &ResponseHead) {
        let style = self.wire.style();
        response_head(self.wire.out(), head, Framing::None, style, false);
    }

    /// Tells a waiting client to send its body.
    pub(crate) fn send_continue(&mut self) {
        self.wire.out().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// Begins the response. `body` is the framing it came with; what is written follows from the
    /// request too. Says whether the connection must end behind it, for its end is the body's.
    pub(crate) fn respond(
        &mut self,
        head: &mut ResponseHead,
        body: Framing,
        context: ResponseContext,
    ) -> bool {
        if matches!(head.status, 100..=199 | 204) || context.tunnel {
            head.headers.remove(id::CONTENT_LENGTH);
        }
        if context.tunnel {
            let style = self.wire.style();
            self.sent_field_bytes =
                response_head(self.wire.out(), head, Framing::None, style, context.http10);
            self.wire.send(Framing::None, false);
            return true;
        }
        let bodyless = context.to_head || matches!(head.status, 100..=199 | 204 | 304);
        let has_length = head.headers.contains(id::CONTENT_LENGTH);
        // A length that was taken off the head can't frame the body.
        let unstated = matches!(body, Framing::Length(_)) && !has_length;
        let open_ended = unstated || matches!(body, Framing::Chunked | Framing::UntilClose);
        let (written, sent) = match body {
            Framing::Length(_) if has_length => (body, body),
            _ if bodyless && has_length => (Framing::None, Framing::None),
            _ if matches!(head.status, 100..=199 | 204 | 304) => (Framing::None, Framing::None),
            _ if open_ended || context.to_head => match context.http10 {
                true => (Framing::UntilClose, Framing::UntilClose),
                false => (Framing::Chunked, Framing::Chunked),
            },
            _ if !has_length => {
                head.headers.set(id::CONTENT_LENGTH, b"0");
                (Framing::None, Framing::None)
            }
            _ => (Framing::None, Framing::None),
        };
        let close = context.close || (sent == Framing::UntilClose && !bodyless);
        if close {
            head.headers.set(id::CONNECTION, b"close");
        } else if context.http10 {
            head.headers.set(id::CONNECTION, b"keep-alive");
        }
        let style = self.wire.style();
        self.sent_field_bytes =
            response_head(self.wire.out(), head, written, style, context.http10);
        self.wire.send(if bodyless { Framing::None } else { sent }, self.enable_trailers);
        close
    }
}

impl Source for Server {
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

impl Sink for Server {
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

/// The style of a server's field names.
pub(crate) fn style(proper_case: bool) -> NameStyle {
    if proper_case { NameStyle::ProperCase } else { NameStyle::Lower }
}
