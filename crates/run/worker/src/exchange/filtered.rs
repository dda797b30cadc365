//! Bodies on their way through the filters that look at them.

use std::task::{Context, Poll, ready};

use dragoman_codec::Framing;
use dragoman_filter::Streams;
use dragoman_types::{Headers, LocalReply, id};

use crate::stream::{Body, Source, StreamError};

/// Bytes that filters are given at once.
const PIECE: usize = 16 << 10;

/// The filters' parts in a request, and both bodies as they leave them.
#[derive(Debug, Default)]
pub(super) struct Filtering {
    pub(super) streams: Streams,
    pub(super) request: Passing,
    pub(super) response: Passing,
    /// What a filter answers in the middle of the request's body.
    pub(super) answer: Option<LocalReply>,
}

/// One body.
#[derive(Debug, Default)]
pub(super) struct Passing {
    out: Vec<u8>,
    at: usize,
    ended: bool,
    trailers: Headers,
    /// Bytes that came.
    pub(super) taken: u64,
}

impl Passing {
    pub(super) fn trailers(&self) -> Option<&Headers> {
        Some(&self.trailers).filter(|fields| !fields.is_empty())
    }
}

/// What a head without a length says of a body that filters may have changed.
pub(super) fn framing(headers: &Headers, found: Framing) -> Framing {
    match found {
        Framing::Length(length) if length > 0 && !headers.contains(id::CONTENT_LENGTH) => {
            Framing::Chunked
        }
        found => found,
    }
}

impl Filtering {
    pub(super) fn request<'f, S: Source>(&'f mut self, source: &'f mut S) -> Filtered<'f, S> {
        let Filtering { streams, request, answer, .. } = self;
        Filtered { source, streams, passing: request, answer: Some(answer) }
    }

    pub(super) fn response<'f, S: Source>(&'f mut self, source: &'f mut S) -> Filtered<'f, S> {
        let Filtering { streams, response, .. } = self;
        Filtered { source, streams, passing: response, answer: None }
    }
}

/// A source behind the filters.
pub(super) struct Filtered<'f, S> {
    source: &'f mut S,
    streams: &'f mut Streams,
    passing: &'f mut Passing,
    /// Where a filter's answer goes; `None`: it's the response, which has begun.
    answer: Option<&'f mut Option<LocalReply>>,
}

impl<S: Source> Filtered<'_, S> {
    /// Takes what the source has: a piece, or its end.
    fn take(&mut self, found: Body) -> Result<(), StreamError> {
        let Filtered { source, streams, passing, answer } = self;
        let (trailers, out) = (&mut passing.trailers, &mut passing.out);
        if found == Body::End {
            passing.ended = true;
            *trailers = source.trailers().cloned().unwrap_or_default();
            return match answer {
                Some(answer) => answered(answer, streams.request_end(trailers, out)),
                None => Ok(streams.response_end(trailers, out)?),
            };
        }
        let data = source.data();
        let piece = &data[..data.len().min(PIECE)];
        let length = piece.len();
        match answer {
            Some(answer) => answered(answer, streams.request_data(piece, out))?,
            None => streams.response_data(piece, out)?,
        }
        passing.taken += length as u64;
        source.consume(length);
        Ok(())
    }
}

fn answered(
    answer: &mut Option<LocalReply>,
    done: Result<(), LocalReply>,
) -> Result<(), StreamError> {
    done.map_err(|reply| {
        *answer = Some(reply);
        StreamError::Answered
    })
}

impl<S: Source> Source for Filtered<'_, S> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        loop {
            if self.passing.at < self.passing.out.len() {
                return Poll::Ready(Ok(Body::Data));
            }
            if self.passing.ended {
                return Poll::Ready(Ok(Body::End));
            }
            let found = ready!(self.source.poll_body(cx))?;
            self.take(found)?;
        }
    }

    fn data(&self) -> &[u8] {
        &self.passing.out[self.passing.at..]
    }

    fn consume(&mut self, n: usize) {
        self.passing.at += n;
        if self.passing.at >= self.passing.out.len() {
            self.passing.out.clear();
            self.passing.at = 0;
        }
    }

    fn trailers(&self) -> Option<&Headers> {
        self.passing.trailers()
    }
}
