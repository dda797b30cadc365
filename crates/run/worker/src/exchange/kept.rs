//! A request's body on its way to a host that may fail: what it had so far is kept, for the next one.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use dragoman_types::Headers;

use crate::stream::{Body, Source, StreamError};

/// Bytes that a worker keeps for all its requests together: clients can't make more of them.
const MOST_IN_ALL: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Kept {
    /// What is kept of all requests.
    all: Rc<Cell<usize>>,
    bytes: Vec<u8>,
    /// What of them the present attempt has had.
    at: usize,
    /// At most so many are kept; `None`: no more, as there will be no other attempt.
    limit: Option<usize>,
    /// What came behind them is lost to another attempt.
    overflowed: bool,
    /// The statistics know of it.
    counted: bool,
    /// Bytes that came from the client.
    pub(super) taken: u64,
}

impl Kept {
    pub(super) fn new(limit: usize, all: Rc<Cell<usize>>) -> Kept {
        Kept {
            all,
            bytes: Vec::new(),
            at: 0,
            limit: Some(limit),
            overflowed: false,
            counted: false,
            taken: 0,
        }
    }

    /// More came than is kept.
    pub(super) fn is_overflowed(&self) -> bool {
        self.overflowed
    }

    /// The same, once.
    pub(super) fn overflows(&mut self) -> bool {
        self.overflowed && !std::mem::replace(&mut self.counted, true)
    }

    /// Another attempt begins.
    pub(super) fn again(&mut self) {
        self.at = 0;
    }

    /// There will be no other attempt.
    pub(super) fn stop(&mut self) {
        self.limit = None;
        self.forget();
    }

    /// What is kept and was sent serves nothing any more.
    fn forget(&mut self) {
        if self.at == self.bytes.len() && self.limit.is_none() {
            self.release();
        }
    }

    /// `source` behind what is kept of it.
    pub(super) fn replay<'k, S: Source>(&'k mut self, source: &'k mut S) -> Replay<'k, S> {
        Replay { source, kept: self }
    }

    fn keep(&mut self, data: &[u8]) {
        self.taken += data.len() as u64;
        let Some(limit) = self.limit else { return };
        let in_all = self.all.get() + data.len();
        if self.bytes.len() + data.len() > limit || in_all > MOST_IN_ALL {
            self.overflowed = true;
            self.stop();
            return;
        }
        self.all.set(in_all);
        self.bytes.extend_from_slice(data);
        self.at = self.bytes.len();
    }

    fn release(&mut self) {
        self.all.set(self.all.get() - self.bytes.len());
        (self.bytes, self.at) = (Vec::new(), 0);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.release();
    }
}

pub(super) struct Replay<'k, S> {
    source: &'k mut S,
    kept: &'k mut Kept,
}

impl<S: Source> Source for Replay<'_, S> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        match self.kept.at < self.kept.bytes.len() {
            true => Poll::Ready(Ok(Body::Data)),
            false => self.source.poll_body(cx),
        }
    }

    fn data(&self) -> &[u8] {
        match &self.kept.bytes[self.kept.at..] {
            [] => self.source.data(),
            kept => kept,
        }
    }

    fn consume(&mut self, n: usize) {
        if self.kept.at < self.kept.bytes.len() {
            self.kept.at += n;
            self.kept.forget();
            return;
        }
        self.kept.keep(&self.source.data()[..n]);
        self.source.consume(n);
    }

    fn trailers(&self) -> Option<&Headers> {
        self.source.trailers()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Some pieces, then the end.
    struct Pieces(Vec<&'static [u8]>);

    impl Source for Pieces {
        fn poll_body(&mut self, _: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
            Poll::Ready(Ok(if self.0.is_empty() { Body::End } else { Body::Data }))
        }
        fn data(&self) -> &[u8] {
            self.0.first().copied().unwrap_or_default()
        }
        fn consume(&mut self, n: usize) {
            self.0[0] = &self.0[0][n..];
            self.0.retain(|piece| !piece.is_empty());
        }
        fn trailers(&self) -> Option<&Headers> {
            None
        }
    }

    fn read(source: &mut impl Source, most: usize) -> Vec<u8> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = Vec::new();
        while read.len() < most && matches!(source.poll_body(&mut cx), Poll::Ready(Ok(Body::Data)))
        {
            let n = source.data().len().min(most - read.len());
            read.extend_from_slice(&source.data()[..n]);
            source.consume(n);
        }
        read
    }

    #[test]
    fn an_attempt_begins_with_what_others_had() {
        let mut source = Pieces(vec![b"abc", b"def", b"ghi"]);
        let mut kept = Kept::new(100, Rc::default());
        assert_eq!(read(&mut kept.replay(&mut source), 4), b"abcd");
        kept.again();
        assert_eq!(read(&mut kept.replay(&mut source), 2), b"ab");
        kept.again();
        assert_eq!(read(&mut kept.replay(&mut source), 100), b"abcdefghi");
        assert!(!kept.is_overflowed());
        assert_eq!(kept.taken, 9);
    }

    #[test]
    fn more_than_the_limit_is_not_kept() {
        let mut source = Pieces(vec![b"abc", b"def"]);
        let mut kept = Kept::new(5, Rc::default());
        assert_eq!(read(&mut kept.replay(&mut source), 100), b"abcdef");
        assert!(kept.is_overflowed());
        assert!(kept.bytes.is_empty());
    }

    #[test]
    fn all_that_is_kept_has_a_limit() {
        let all = Rc::new(Cell::new(MOST_IN_ALL - 4));
        let mut source = Pieces(vec![b"abc", b"def"]);
        let mut kept = Kept::new(100, all.clone());
        read(&mut kept.replay(&mut source), 3);
        assert_eq!(all.get(), MOST_IN_ALL - 1);
        read(&mut kept.replay(&mut source), 3);
        assert!(kept.is_overflowed());
        assert_eq!(all.get(), MOST_IN_ALL - 4);
        let mut another = Kept::new(100, all.clone());
        read(&mut another.replay(&mut Pieces(vec![b"abc"])), 3);
        drop(another);
        assert_eq!(all.get(), MOST_IN_ALL - 4);
    }

    #[test]
    fn the_last_attempt_still_has_all_of_it() {
        let mut source = Pieces(vec![b"abc", b"def"]);
        let mut kept = Kept::new(5, Rc::default());
        read(&mut kept.replay(&mut source), 3);
        kept.again();
        assert_eq!(read(&mut kept.replay(&mut source), 1), b"a");
        kept.stop();
        assert_eq!(read(&mut kept.replay(&mut source), 100), b"bcdef");
    }
}
