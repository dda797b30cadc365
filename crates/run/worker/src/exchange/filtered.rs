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

    /// A body that is here as a whole.
    pub(super) fn whole_response(&mut self, body: &mut Vec<u8>) {
        let mut out = Vec::with_capacity(body.len());
        self.streams.response_data(body, &mut out);
        self.streams.response_end(&mut Headers::new(), &mut out);
        *body = out;
    }
}

/// A source behind the filters.
pub(super) struct Filtered<'f, S> {
    source: &'f mut S,
    streams: &'f mut Streams,
    passing: &'f mut Passing,
    /// Where a filter's answer goes; `None`: it's the response, to which nobody can answer.
    answer: Option<&'f mut Option<LocalReply>>,
}

impl<S: Source> Filtered<'_, S> {
    /// Takes what the source has: a piece, or its end.
    fn take(&mut self, found: Body) -> Result<(), LocalReply> {
        let Filtered { source, streams, passing, answer } = self;
        let is_request = answer.is_some();
        if found == Body::End {
            passing.ended = true;
            passing.trailers = source.trailers().cloned().unwrap_or_default();
            return match is_request {
                true => streams.request_end(&mut passing.trailers, &mut passing.out),
                false => {
                    streams.response_end(&mut passing.trailers, &mut passing.out);
                    Ok(())
                }
            };
        }
        let data = source.data();
        let piece = &data[..data.len().min(PIECE)];
        let length = piece.len();
        match is_request {
            true => streams.request_data(piece, &mut passing.out)?,
            false => streams.response_data(piece, &mut passing.out),
        }
        passing.taken += length as u64;
        source.consume(length);
        Ok(())
    }
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
            if let Err(reply) = self.take(found) {
                if let Some(answer) = &mut self.answer {
                    **answer = Some(reply);
                }
                return Poll::Ready(Err(StreamError::Answered));
            }
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
