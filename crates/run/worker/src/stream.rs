//! What the exchange moves bytes between: one HTTP stream's receiving and sending half, whatever the
//! protocol. HTTP/1 implements them over a connection, HTTP/2 and HTTP/3 over a stream of one.

use std::io;
use std::task::{Context, Poll};

use dragoman_codec::h1::ParseError;
use dragoman_codec::h2::{Code, Gone};
use dragoman_filter::Broken;
use dragoman_types::Headers;

/// Why a stream can't go on.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// The peer ended its side before the message was complete.
    Closed,
    /// The transport failed.
    Io,
    /// The peer broke the protocol.
    Protocol(ParseError),
    /// The same in HTTP/2.
    Http2,
    /// An HTTP/2 peer won't serve the stream, and has done nothing for it.
    Refused,
    /// The same, because its connection ends.
    Unseen,
    /// An HTTP/2 peer ended the stream.
    Reset,
    /// A filter of the body has an answer of its own.
    Answered,
    /// A filter of the body can't go on with it.
    Broken(Broken),
}

impl From<Gone> for StreamError {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Reset(Code::PROTOCOL_ERROR) | Gone::Malformed(_) | Gone::Fault(_) => {
                StreamError::Http2
            }
            Gone::Reset(_) => StreamError::Reset,
            Gone::Refused => StreamError::Refused,
            Gone::Unseen => StreamError::Unseen,
            Gone::Closed | Gone::Local => StreamError::Closed,
        }
    }
}

impl From<Broken> for StreamError {
    fn from(broken: Broken) -> Self {
        StreamError::Broken(broken)
    }
}

impl From<io::Error> for StreamError {
    fn from(_: io::Error) -> Self {
        StreamError::Io
    }
}

impl From<ParseError> for StreamError {
    fn from(error: ParseError) -> Self {
        StreamError::Protocol(error)
    }
}

/// What [`Source::poll_body`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// [`Source::data`] holds at least one byte.
    Data,
    /// The body is over; [`Source::trailers`] may hold some.
    End,
}

/// The receiving half.
pub(crate) trait Source {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>>;
    /// Body bytes at hand.
    fn data(&self) -> &[u8];
    /// The first `n` bytes of [`Source::data`] are dealt with.
    fn consume(&mut self, n: usize);
    fn trailers(&self) -> Option<&Headers>;
}

/// The sending half.
pub(crate) trait Sink {
    /// Takes some of `data`: what it took is framed and sent or kept for the next flush.
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8])
    -> Poll<Result<usize, StreamError>>;
    /// The body is over.
    fn finish(&mut self, trailers: Option<&Headers>);
    /// Ready once everything taken is with the kernel.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>>;
}

/// Which side of a [`pump`] failed.
#[derive(Debug)]
pub(crate) enum PumpError {
    Source(StreamError),
    Sink,
}

/// Moves body bytes until the source is over and everything is flushed; `moved` counts them.
/// The sink's back-pressure stops the reading, so memory stays bounded by the two buffers.
pub(crate) fn pump(
    source: &mut impl Source,
    sink: &mut impl Sink,
    moved: &mut u64,
    finished: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), PumpError>> {
    while !*finished {
        match source.poll_body(cx) {
            Poll::Ready(Ok(Body::Data)) => match sink.poll_write(cx, source.data()) {
                Poll::Ready(Ok(n)) => {
                    source.consume(n);
                    *moved += n as u64;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(PumpError::Sink)),
                Poll::Pending => return Poll::Pending,
            },
            Poll::Ready(Ok(Body::End)) => {
                sink.finish(source.trailers());
                *finished = true;
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(PumpError::Source(error))),
            Poll::Pending => {
                // Nothing more for now: what was taken must not wait for what comes.
                return match sink.poll_flush(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Err(PumpError::Sink)),
                    _ => Poll::Pending,
                };
            }
        }
    }
    sink.poll_flush(cx).map_err(|_| PumpError::Sink)
}
