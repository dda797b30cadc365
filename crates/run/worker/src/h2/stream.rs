//! One stream of a connection: a message comes from it, another goes to it.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use dragoman_codec::h2::{Code, Endpoint, Gone, Head, Key};
use dragoman_codec::{Framing, Request};
use dragoman_types::{Headers, RequestHead, ResponseHead, Version, id};

use crate::h1::ResponseContext;
use crate::stream::{Body, Sink, Source, StreamError};

/// Bytes of a chunk whose memory serves the next one.
const LARGE: usize = 64 << 10;

/// A stream of either side. Whoever lets it go says with what code, if it isn't over.
pub(crate) struct Half {
    pub(crate) end: Rc<RefCell<Endpoint>>,
    pub(crate) key: Key,
    chunk: Vec<u8>,
    /// Where in it the bytes begin that nobody has taken.
    taken: usize,
    /// The message came as a whole.
    received: bool,
    trailers: Option<Headers>,
    /// Bytes that a body of known length still has to have; its last frame ends the stream.
    owed: Option<u64>,
    /// All was sent.
    ended: bool,
    /// Bytes of bodies: (taken, sent).
    pub(crate) bytes: (u64, u64),
    released: bool,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Half").field(&self.key).finish()
    }
}

impl Half {
    pub(crate) fn new(end: Rc<RefCell<Endpoint>>, key: Key) -> Half {
        Half {
            end,
            key,
            chunk: Vec::new(),
            taken: 0,
            received: false,
            trailers: None,
            owed: None,
            ended: false,
            bytes: (0, 0),
            released: false,
        }
    }

    /// Every byte of the message was taken.
    pub(crate) fn is_received(&self) -> bool {
        self.data().is_empty()
            && (self.received || self.released || self.end.borrow_mut().is_received(self.key))
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// What follows of the message is nobody's.
    pub(crate) fn ignore(&mut self) {
        self.received = true;
    }

    /// A message begins; `length`: of a body that nothing follows.
    pub(crate) fn begin(&mut self, length: Option<u64>, ended: bool) {
        (self.owed, self.ended) = (length, ended);
    }

    pub(crate) fn poll_gone(&self, cx: &Context<'_>) -> Poll<Gone> {
        self.end.borrow_mut().poll_gone(self.key, cx)
    }

    pub(crate) fn is_ended_by_peer(&self) -> bool {
        let gone = self.end.borrow_mut().gone(self.key);
        !matches!(gone, None | Some(Gone::Malformed(_) | Gone::Local))
    }

    pub(crate) fn reset(&mut self, code: Code) {
        self.ended = true;
        if !self.released {
            self.end.borrow_mut().reset(self.key, code);
        }
    }

    pub(crate) fn release(&mut self, code: Code) {
        if !std::mem::replace(&mut self.released, true) {
            let unread = self.chunk.len() - self.taken;
            self.end.borrow_mut().release(self.key, unread, code);
        }
    }
}

impl Source for Half {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        if self.taken < self.chunk.len() {
            return Poll::Ready(Ok(Body::Data));
        }
        if self.received {
            return Poll::Ready(Ok(Body::End));
        }
        self.chunk.clear();
        // What many bytes at once needed is not kept.
        self.chunk.shrink_to(LARGE);
        self.taken = 0;
        let mut end = self.end.borrow_mut();
        let more = ready!(end.poll_body(self.key, cx, &mut self.chunk))?;
        if more {
            self.bytes.0 += self.chunk.len() as u64;
            return Poll::Ready(Ok(Body::Data));
        }
        self.trailers = end.take_trailers(self.key);
        self.received = true;
        Poll::Ready(Ok(Body::End))
    }

    fn data(&self) -> &[u8] {
        &self.chunk[self.taken..]
    }

    fn consume(&mut self, n: usize) {
        self.taken += n;
        if n > 0 && !self.released {
            self.end.borrow_mut().consumed(self.key, n);
        }
    }

    fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_ref()
    }
}

impl Sink for Half {
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
        let last = self.owed == Some(data.len() as u64);
        let sent = ready!(self.end.borrow_mut().poll_send(self.key, cx, data, last))?;
        if let Some(owed) = &mut self.owed {
            *owed -= sent as u64;
            self.ended = *owed == 0;
        }
        self.bytes.1 += sent as u64;
        Poll::Ready(Ok(sent))
    }

    fn finish(&mut self, trailers: Option<&Headers>) {
        if !std::mem::replace(&mut self.ended, true) {
            let trailers = trailers.filter(|fields| !fields.is_empty());
            self.end.borrow_mut().finish(self.key, trailers);
        }
    }

    /// What was taken is within the peer's window: the connection's task sends it.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        Poll::Ready(Ok(()))
    }
}

/// A request and its answer on a client's connection. A response that isn't complete when it goes is
/// reset.
#[derive(Debug)]
pub(crate) struct ServerStream {
    half: Half,
    /// The final head was sent.
    responded: bool,
    pub(crate) sent_field_bytes: u64,
    /// Bytes of the request's fields.
    received_field_bytes: u64,
    /// The client is gone, or wants no answer.
    gone: bool,
}

impl ServerStream {
    pub(crate) fn new(end: &Rc<RefCell<Endpoint>>, key: Key) -> ServerStream {
        ServerStream {
            half: Half::new(end.clone(), key),
            responded: false,
            sent_field_bytes: 0,
            received_field_bytes: 0,
            gone: false,
        }
    }

    /// Takes the request's head over into `head`, if it could be read.
    pub(crate) fn take_head(&mut self, head: &mut RequestHead) -> Option<Request> {
        let mut end = self.half.end.borrow_mut();
        let mut taken = end.take_head(self.half.key)?;
        head.version = Version::Http2;
        std::mem::swap(&mut head.headers, &mut taken.headers);
        let (framing, field_bytes) = (taken.framing(), taken.bytes);
        end.give_back(taken);
        drop(end);
        self.received_field_bytes = field_bytes;
        Some(Request {
            consumed: 0,
            framing,
            keep_alive: true,
            expect_continue: head.headers.get(id::EXPECT).is_some_and(is_continue),
            upgrade: false,
            field_bytes,
        })
    }

    pub(crate) fn is_received(&self) -> bool {
        self.half.is_received()
    }

    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.gone {
            return Poll::Ready(());
        }
        if self.half.is_ended() {
            return Poll::Pending;
        }
        let _ = ready!(self.half.poll_gone(cx));
        self.gone = true;
        Poll::Ready(())
    }

    /// Why the stream ended before its time.
    pub(crate) fn why_gone(&self) -> Option<Gone> {
        self.half.end.borrow_mut().gone(self.half.key)
    }

    /// Fields and bodies, without what frames and compression make of them: (taken, sent).
    pub(crate) fn wire_bytes(&self) -> (u64, u64) {
        let (taken, sent) = self.half.bytes;
        (self.received_field_bytes + taken, self.sent_field_bytes + sent)
    }

    pub(crate) fn interim(&mut self, head: &ResponseHead) {
        self.half.end.borrow_mut().respond(self.half.key, head, false, false);
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
        self.half.end.borrow_mut().respond(self.half.key, head, context.tunnel, end);
        self.half.begin(length, end);
        self.responded = true;
        context.close
    }

    pub(crate) fn reset(&mut self, code: Code) {
        self.half.reset(code);
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        // A whole answer is there, and nobody wants what the request still has.
        let code = match self.half.is_ended() {
            true => Code::NO_ERROR,
            false => Code::INTERNAL_ERROR,
        };
        self.half.release(code);
    }
}

impl Source for ServerStream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        self.half.poll_body(cx)
    }
    fn data(&self) -> &[u8] {
        self.half.data()
    }
    fn consume(&mut self, n: usize) {
        self.half.consume(n);
    }
    fn trailers(&self) -> Option<&Headers> {
        self.half.trailers()
    }
}

impl Sink for ServerStream {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        match self.responded {
            true => self.half.poll_write(cx, data),
            false => Poll::Ready(Err(StreamError::Closed)),
        }
    }
    fn finish(&mut self, trailers: Option<&Headers>) {
        if self.responded {
            self.half.finish(trailers);
        }
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match self.gone {
            true if !self.responded => Poll::Ready(Err(StreamError::Closed)),
            _ => self.half.poll_flush(cx),
        }
    }
}

fn is_continue(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// A host's answer: its head, taken over into `head`.
pub(crate) fn take_response(end: &RefCell<Endpoint>, mut taken: Head, head: &mut ResponseHead) {
    head.clear();
    head.version = Version::Http2;
    head.status = taken.status;
    std::mem::swap(&mut head.headers, &mut taken.headers);
    end.borrow_mut().give_back(taken);
}
