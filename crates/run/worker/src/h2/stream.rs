//! A client's stream: the request's body comes from it, the response goes to it.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use dragoman_codec::Framing;
use dragoman_codec::h2::head;
use dragoman_types::{Headers, ResponseHead, Version, id};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};

use crate::h1::ResponseContext;
use crate::stream::{Body, Sink, Source, StreamError};

/// The receiving half of a stream, of either side.
#[derive(Debug)]
pub(crate) struct Receiver {
    body: RecvStream,
    chunk: Bytes,
    ended: bool,
    trailers: Option<Headers>,
    /// Its trailers are none.
    malformed: bool,
    /// Bytes that came as DATA.
    received: u64,
}

impl Receiver {
    pub(crate) fn new(body: RecvStream) -> Receiver {
        let ended = body.is_end_stream();
        Receiver { body, chunk: Bytes::new(), ended, trailers: None, malformed: false, received: 0 }
    }

    /// Bytes that came as DATA.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn is_received(&self) -> bool {
        self.chunk.is_empty() && (self.ended || self.body.is_end_stream())
    }
}

impl Source for Receiver {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        loop {
            if !self.chunk.is_empty() {
                return Poll::Ready(Ok(Body::Data));
            }
            if self.ended {
                return Poll::Ready(Ok(Body::End));
            }
            match ready!(self.body.poll_data(cx)) {
                Some(data) => {
                    self.chunk = data.map_err(StreamError::of_h2)?;
                    self.received += self.chunk.len() as u64;
                }
                None => {
                    let trailers = ready!(self.body.poll_trailers(cx));
                    if let Some(fields) = trailers.map_err(StreamError::of_h2)? {
                        self.trailers = head::trailers(&fields).ok();
                        self.malformed = self.trailers.is_none();
                    }
                    self.ended = true;
                    if self.malformed {
                        return Poll::Ready(Err(StreamError::Http2));
                    }
                }
            }
        }
    }

    fn data(&self) -> &[u8] {
        &self.chunk
    }

    fn consume(&mut self, n: usize) {
        self.chunk.advance(n);
        // It fails only for a stream that is gone, which the next poll tells.
        let _ = self.body.flow_control().release_capacity(n);
    }

    fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_ref()
    }
}

/// The sending half of a stream, of either side.
#[derive(Debug)]
pub(crate) struct Sender {
    stream: SendStream<Bytes>,
    /// Bytes that a body of known length still has to have; its last frame ends the stream.
    owed: Option<u64>,
    ended: bool,
    /// Bytes that went as DATA.
    sent: u64,
}

impl Sender {
    /// `length`: of a body that nothing follows.
    pub(crate) fn new(stream: SendStream<Bytes>, length: Option<u64>, ended: bool) -> Sender {
        Sender { stream, owed: length, ended, sent: 0 }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that went as DATA.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.stream.poll_reset(cx)
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        self.ended = true;
        self.stream.send_reset(reason);
    }
}

impl Sink for Sender {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        let all = data.len();
        // Bytes beyond what was announced are dropped.
        let data = match self.owed {
            Some(owed) => &data[..data.len().min(usize::try_from(owed).unwrap_or(usize::MAX))],
            None => data,
        };
        if self.ended || data.is_empty() {
            return Poll::Ready(Ok(all));
        }
        self.stream.reserve_capacity(data.len());
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(StreamError::of_h2(error))),
                None => return Poll::Ready(Err(StreamError::Closed)),
            }
        }
        let n = self.stream.capacity().min(data.len());
        if let Some(owed) = &mut self.owed {
            *owed -= n as u64;
            self.ended = *owed == 0;
        }
        let sent = self.stream.send_data(Bytes::copy_from_slice(&data[..n]), self.ended);
        sent.map_err(StreamError::of_h2)?;
        self.sent += n as u64;
        Poll::Ready(Ok(n))
    }

    fn finish(&mut self, trailers: Option<&Headers>) {
        if self.ended {
            return;
        }
        self.ended = true;
        let trailers = trailers.filter(|fields| !fields.is_empty()).map(head::fields);
        // Either fails only for a stream that is gone, which its reset tells.
        let _ = match trailers {
            Some(Ok(fields)) => self.stream.send_trailers(fields),
            Some(Err(_)) => {
                self.stream.send_reset(Reason::INTERNAL_ERROR);
                Ok(())
            }
            None => self.stream.send_data(Bytes::new(), true),
        };
    }

    /// What was taken is within the peer's window: the connection's task sends it.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        Poll::Ready(Ok(()))
    }
}

/// A request and its answer on a client's connection. A response that isn't complete when it goes is
/// reset.
pub(crate) struct ServerStream {
    receiver: Receiver,
    respond: SendResponse<Bytes>,
    sender: Option<Sender>,
    pub(crate) sent_field_bytes: u64,
    /// Bytes of the request's fields.
    received_field_bytes: u64,
    /// The client is gone, or wants no answer.
    gone: bool,
}

impl std::fmt::Debug for ServerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ServerStream").field(&self.respond.stream_id()).finish()
    }
}

impl ServerStream {
    pub(crate) fn new(body: RecvStream, respond: SendResponse<Bytes>) -> ServerStream {
        ServerStream {
            receiver: Receiver::new(body),
            respond,
            sender: None,
            sent_field_bytes: 0,
            received_field_bytes: 0,
            gone: false,
        }
    }

    pub(crate) fn note_fields(&mut self, bytes: u64) {
        self.received_field_bytes = bytes;
    }

    pub(crate) fn is_received(&self) -> bool {
        self.receiver.is_received()
    }

    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.gone {
            return Poll::Ready(());
        }
        let reset = match &mut self.sender {
            None => self.respond.poll_reset(cx),
            Some(sender) if sender.is_ended() => return Poll::Pending,
            Some(sender) => sender.poll_reset(cx),
        };
        self.gone = reset.is_ready();
        reset.map(|_| ())
    }

    /// Fields and bodies, without what frames and compression make of them: (taken, sent).
    pub(crate) fn wire_bytes(&self) -> (u64, u64) {
        let sent = self.sender.as_ref().map_or(0, |sender| sender.sent);
        (self.received_field_bytes + self.receiver.received, self.sent_field_bytes + sent)
    }

    pub(crate) fn interim(&mut self, head: &ResponseHead) {
        if let Ok(response) = head::response(head, false) {
            // A stream that is gone is told of by its reset.
            let _ = self.respond.send_informational(response);
        }
    }

    pub(crate) fn send_continue(&mut self) {
        self.interim(&ResponseHead { status: 100, ..ResponseHead::default() });
    }

    /// Begins the response. Says whether the connection is asked to end, which it does once its other
    /// streams are over.
    pub(crate) fn respond(
        &mut self,
        head: &mut ResponseHead,
        body: Framing,
        context: ResponseContext,
    ) -> bool {
        if matches!(head.status, 100..=199 | 204) || context.tunnel {
            head.headers.remove(id::CONTENT_LENGTH);
        }
        let bodyless = context.to_head || matches!(head.status, 204 | 304);
        let end =
            !context.tunnel && (bodyless || matches!(body, Framing::None | Framing::Length(0)));
        self.sent_field_bytes = head.headers.byte_size();
        // Trailers may follow a body of HTTP/2 whatever its length.
        let length = match body {
            Framing::Length(length) if head.version <= Version::Http11 => Some(length),
            _ => None,
        };
        match head::response(head, context.tunnel) {
            Ok(response) => match self.respond.send_response(response, end) {
                Ok(stream) => self.sender = Some(Sender::new(stream, length, end)),
                Err(_) => self.gone = true,
            },
            Err(_) => self.reset(Reason::INTERNAL_ERROR),
        }
        context.close
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        self.gone = true;
        match &mut self.sender {
            Some(sender) => sender.reset(reason),
            None => self.respond.send_reset(reason),
        }
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        let ended = self.sender.as_ref().is_some_and(Sender::is_ended);
        if !ended && !self.gone {
            let malformed = self.receiver.malformed;
            self.reset(if malformed { Reason::PROTOCOL_ERROR } else { Reason::INTERNAL_ERROR });
        }
    }
}

impl Source for ServerStream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        self.receiver.poll_body(cx)
    }
    fn data(&self) -> &[u8] {
        self.receiver.data()
    }
    fn consume(&mut self, n: usize) {
        self.receiver.consume(n);
    }
    fn trailers(&self) -> Option<&Headers> {
        self.receiver.trailers()
    }
}

impl Sink for ServerStream {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        match &mut self.sender {
            Some(sender) => sender.poll_write(cx, data),
            None => Poll::Ready(Err(StreamError::Closed)),
        }
    }
    fn finish(&mut self, trailers: Option<&Headers>) {
        if let Some(sender) = &mut self.sender {
            sender.finish(trailers);
        }
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match &mut self.sender {
            Some(sender) => sender.poll_flush(cx),
            None if self.gone => Poll::Ready(Err(StreamError::Closed)),
            None => Poll::Ready(Ok(())),
        }
    }
}
