//! One HTTP/1 connection's bytes: buffered reading, body framing both ways, coalesced writing.
//!
//! Strategy: small bodies are copied behind their head and leave in one write; large ones go from the
//! read buffer of one side to the socket of the other without a copy.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use dragoman_codec::h1::write::{NameStyle, chunk_start, last_chunk};
use dragoman_codec::h1::{BodyDecoder, BodyEncoder};
use dragoman_codec::{Framing, Limits};
use dragoman_net::buffer::LARGE;
use dragoman_net::{Buffer, BufferPool};
use dragoman_transport::Stream;
use dragoman_types::Headers;

use crate::stream::{Body, Sink, Source, StreamError};

/// Up to here body bytes are copied behind what waits to be written.
const COALESCE: usize = 4 << 10;

/// An output buffer up to this size is kept between messages.
const KEPT_OUT: usize = 4 << 10;

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    pool: Rc<BufferPool>,
    pub(crate) input: Buffer,
    /// Progress of the head's parser in `input`.
    pub(crate) scanned: usize,
    decoder: BodyDecoder,
    body_limit: usize,
    /// Body bytes at the front of `input`.
    chunk: usize,
    received: bool,
    out: Vec<u8>,
    sent: usize,
    encoder: BodyEncoder,
    /// Bytes of the present chunk that are still to be written.
    chunk_owed: usize,
    forward_trailers: bool,
    style: NameStyle,
    /// The peer ended its side.
    pub(crate) eof: bool,
    /// Bytes that came, and those of them that were taken as part of a message.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_taken: u64,
    pub(crate) bytes_out: u64,
    /// Bytes (in, out) that the statistics have already.
    counted: (u64, u64),
}

impl Wire {
    /// `input`: what of the stream was read already.
    pub(crate) fn new(
        stream: Stream,
        input: Buffer,
        pool: Rc<BufferPool>,
        style: NameStyle,
    ) -> Wire {
        Wire {
            stream,
            bytes_in: input.len() as u64,
            input,
            pool,
            scanned: 0,
            decoder: BodyDecoder::default(),
            body_limit: LARGE,
            chunk: 0,
            received: true,
            out: Vec::new(),
            sent: 0,
            encoder: BodyEncoder::None,
            chunk_owed: 0,
            forward_trailers: false,
            style,
            eof: false,
            bytes_taken: 0,
            bytes_out: 0,
            counted: (0, 0),
        }
    }

    /// Bytes (in, out) since the last call.
    pub(crate) fn uncounted(&mut self) -> (u64, u64) {
        let (read, written) = self.counted;
        self.counted = (self.bytes_in, self.bytes_out);
        (self.bytes_in - read, self.bytes_out - written)
    }

    /// Another codec served the connection, and has counted its bytes.
    pub(crate) fn served_by_other(&mut self, all_bytes: (u64, u64)) {
        (self.bytes_in, self.bytes_out) = all_bytes;
        self.counted = all_bytes;
    }

    /// Bytes (in, out) since the connection began.
    pub(crate) fn all_bytes(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }

    /// Counts what went past the framing, from the peer and to it.
    pub(crate) fn relayed(&mut self, read: u64, written: u64) {
        self.bytes_in += read;
        self.bytes_taken += read;
        self.bytes_out += written;
    }

    pub(crate) fn style(&self) -> NameStyle {
        self.style
    }

    /// Reads more into `input`; `Ready(Ok(0))` is the peer's end, or a full buffer at `limit`.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let room = self.input.room(&self.pool, limit);
        if room.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let n = ready!(self.stream.poll_read(cx, room))?;
        self.eof |= n == 0;
        self.input.filled(n);
        self.bytes_in += n as u64;
        Poll::Ready(Ok(n))
    }

    /// The first `n` bytes of the input are dealt with.
    pub(crate) fn take(&mut self, n: usize) {
        self.input.consume(n);
        self.bytes_taken += n as u64;
    }

    /// A message with this framing begins behind the head that was just consumed.
    pub(crate) fn receive(&mut self, framing: Framing, limits: Limits) {
        self.decoder = BodyDecoder::new(framing, limits);
        // Trailers are read as a whole.
        self.body_limit = LARGE.max(limits.head_bytes + 1);
        self.chunk = 0;
        self.received = self.decoder.is_done();
    }

    /// What comes and goes from here on is a tunnel's: it has no framing.
    pub(crate) fn become_raw(&mut self) {
        self.decoder = BodyDecoder::UntilClose;
        (self.chunk, self.received) = (0, false);
        self.encoder = BodyEncoder::UntilClose;
    }

    /// The incoming message is complete.
    pub(crate) fn is_received(&self) -> bool {
        self.received && self.chunk == 0
    }

    /// The end of the connection is the end of the body that is being received.
    pub(crate) fn is_until_close(&self) -> bool {
        matches!(self.decoder, BodyDecoder::UntilClose)
    }

    /// Where the outgoing head is written.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.out.reserve(1024);
        &mut self.out
    }

    /// A message with this framing is sent behind the head that was just written.
    pub(crate) fn send(&mut self, framing: Framing, forward_trailers: bool) {
        self.encoder = BodyEncoder::new(framing);
        self.chunk_owed = 0;
        self.forward_trailers = forward_trailers;
    }

    /// Every announced byte went out.
    pub(crate) fn is_sent(&self) -> bool {
        self.out.len() == self.sent && self.encoder.is_complete()
    }

    /// The outgoing message stays incomplete. Where only the connection's end would tell, an orderly
    /// end would make it look whole.
    pub(crate) fn mark_cut(&mut self) {
        if self.encoder == BodyEncoder::UntilClose {
            self.stream.reset_on_close();
        }
    }

    /// Gives the read buffer back if it's empty: the connection waits for its peer.
    pub(crate) fn release_input(&mut self) {
        self.input.release(&self.pool);
    }

    /// Gives empty buffers back: nothing is expected for a while.
    pub(crate) fn release(&mut self) {
        self.release_input();
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Gives buffers back while nothing is expected.
    pub(crate) fn idle(&mut self) {
        self.input.release(&self.pool);
        self.decoder = BodyDecoder::default();
        if self.out.len() == self.sent {
            self.out.clear();
            self.sent = 0;
            self.out.shrink_to(KEPT_OUT);
        }
    }

    /// Writes what waits and some of `data`; says how much of `data` went.
    fn poll_write_through(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        let waiting = self.out.len() - self.sent;
        // One buffer goes by the cheaper call.
        let n = if waiting == 0 {
            ready!(self.stream.poll_write(cx, data))?
        } else if data.is_empty() {
            ready!(self.stream.poll_write(cx, &self.out[self.sent..]))?
        } else {
            let parts = [IoSlice::new(&self.out[self.sent..]), IoSlice::new(data)];
            ready!(self.stream.poll_write_vectored(cx, &parts))?
        };
        if n == 0 {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
        }
        self.bytes_out += n as u64;
        self.sent += n.min(waiting);
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Poll::Ready(Ok(n.saturating_sub(waiting)))
    }

    /// How many of `len` bytes the framing lets out now; writes a chunk's first line if one begins.
    fn frame(&mut self, len: usize) -> usize {
        match &mut self.encoder {
            BodyEncoder::Chunked => {
                if self.chunk_owed == 0 {
                    chunk_start(&mut self.out, len);
                    self.chunk_owed = len;
                }
                self.chunk_owed.min(len)
            }
            BodyEncoder::Length(owed) => usize::try_from(*owed).unwrap_or(usize::MAX).min(len),
            BodyEncoder::UntilClose => len,
            BodyEncoder::None => 0,
        }
    }

    /// `n` framed bytes were taken.
    fn framed(&mut self, n: usize) {
        match &mut self.encoder {
            BodyEncoder::Chunked => {
                self.chunk_owed -= n;
                if self.chunk_owed == 0 {
                    self.out.extend_from_slice(b"\r\n");
                }
            }
            BodyEncoder::Length(owed) => *owed -= n as u64,
            _ => {}
        }
    }
}

impl Source for Wire {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        loop {
            if self.chunk > 0 {
                return Poll::Ready(Ok(Body::Data));
            }
            if self.received {
                return Poll::Ready(Ok(Body::End));
            }
            let found = self.decoder.decode(self.input.data())?;
            self.take(found.framing);
            (self.chunk, self.received) = (found.data, found.done);
            if found.data > 0 || found.done || found.framing > 0 {
                continue;
            }
            if ready!(self.poll_fill(cx, self.body_limit))? == 0 {
                if !self.is_until_close() {
                    return Poll::Ready(Err(StreamError::Closed));
                }
                self.received = true;
            }
        }
    }

    fn data(&self) -> &[u8] {
        &self.input.data()[..self.chunk]
    }

    fn consume(&mut self, n: usize) {
        self.chunk -= n;
        self.take(n);
    }

    fn trailers(&self) -> Option<&Headers> {
        self.decoder.trailers()
    }
}

impl Sink for Wire {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        if self.encoder == BodyEncoder::None {
            // Bytes beyond what the framing announced (a body in answer to HEAD) are dropped.
            return Poll::Ready(Ok(data.len()));
        }
        let len = self.frame(data.len());
        if len == 0 {
            return Poll::Ready(Ok(data.len()));
        }
        if self.out.len() - self.sent + len <= COALESCE {
            self.out.extend_from_slice(&data[..len]);
            self.framed(len);
            return Poll::Ready(Ok(len));
        }
        loop {
            // Zero: only what waited went out.
            let n = ready!(self.poll_write_through(cx, &data[..len]))?;
            if n > 0 {
                self.framed(n);
                return Poll::Ready(Ok(n));
            }
        }
    }

    fn finish(&mut self, trailers: Option<&Headers>) {
        if self.encoder == BodyEncoder::Chunked {
            let trailers = trailers.filter(|_| self.forward_trailers);
            last_chunk(&mut self.out, trailers, self.style);
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        while self.sent < self.out.len() {
            ready!(self.poll_write_through(cx, &[]))?;
        }
        self.stream.poll_flush(cx).map_err(StreamError::from)
    }
}
