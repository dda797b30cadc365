//! What those do who hold a stream.

use std::task::{Context, Poll};

use dragoman_types::Headers;

use super::{Endpoint, RECENT, Side};
use crate::h2::frames::Code;
use crate::h2::message::Head;
use crate::h2::stream::{Gone, Key, wants};

impl Endpoint {
    /// A request's head.
    pub fn take_head(&mut self, key: Key) -> Option<Head> {
        self.streams.get(key).heads.pop_front()
    }

    /// The next head of a response.
    pub fn poll_head(&mut self, key: Key, cx: &Context<'_>) -> Poll<Result<Head, Gone>> {
        let stream = self.streams.get(key);
        if let Some(head) = stream.heads.pop_front() {
            return Poll::Ready(Ok(head));
        }
        if let Some(gone) = stream.gone {
            return Poll::Ready(Err(gone));
        }
        stream.watch(cx, wants::READ);
        Poll::Pending
    }

    /// Takes a head's memory back.
    pub fn give_back(&mut self, mut head: Head) {
        if self.spare.len() < 16 {
            head.clear();
            head.headers.shrink(4 << 10);
            self.spare.push(head);
        }
    }

    /// What came of a body, in exchange for `chunk`, which is empty. False: it is over.
    pub fn poll_body(
        &mut self,
        key: Key,
        cx: &Context<'_>,
        chunk: &mut Vec<u8>,
    ) -> Poll<Result<bool, Gone>> {
        let stream = self.streams.get(key);
        if !stream.body.is_empty() {
            std::mem::swap(&mut stream.body, chunk);
            return Poll::Ready(Ok(true));
        }
        if stream.received {
            return Poll::Ready(Ok(false));
        }
        if let Some(gone) = stream.gone {
            return Poll::Ready(Err(gone));
        }
        stream.watch(cx, wants::READ);
        Poll::Pending
    }

    /// All of the body was taken.
    pub fn is_received(&mut self, key: Key) -> bool {
        let stream = self.streams.get(key);
        stream.received && stream.body.is_empty()
    }

    pub fn take_trailers(&mut self, key: Key) -> Option<Headers> {
        self.streams.get(key).trailers.take()
    }

    /// So many bytes of a body are done with.
    pub fn consumed(&mut self, key: Key, bytes: usize) {
        self.give_credit(Some(key), bytes);
    }

    pub(super) fn give_credit(&mut self, key: Option<Key>, bytes: usize) {
        if self.fault.is_some() || self.over {
            return;
        }
        if let Some(increment) = self.credit.give(bytes) {
            self.output.window_update(0, increment);
        }
        let Some(key) = key else { return };
        let stream = self.streams.get(key);
        if stream.received || stream.gone.is_some() {
            return;
        }
        if let Some(increment) = stream.credit.give(bytes) {
            self.output.window_update(key.id(), increment);
        }
    }

    /// Ready when nobody is there any more for what is sent.
    pub fn poll_gone(&mut self, key: Key, cx: &Context<'_>) -> Poll<Gone> {
        let stream = self.streams.get(key);
        if let Some(gone) = stream.gone {
            return Poll::Ready(gone);
        }
        stream.watch(cx, wants::END);
        Poll::Pending
    }

    /// Why a stream can't go on.
    pub fn gone(&mut self, key: Key) -> Option<Gone> {
        self.streams.get(key).gone
    }

    /// Ends a stream.
    pub fn reset(&mut self, key: Key, code: Code) {
        self.end_stream(key, code, Gone::Local);
    }

    pub(super) fn end_stream(&mut self, key: Key, code: Code, gone: Gone) {
        let stream = self.streams.get(key);
        if stream.is_over() {
            return;
        }
        stream.end(gone);
        let released = stream.released;
        self.tell_reset(key.id(), code);
        if released {
            self.remove(key);
        }
    }

    pub(super) fn tell_reset(&mut self, stream: u32, code: Code) {
        if self.fault.is_some() || self.over {
            return;
        }
        self.output.reset(stream, code);
        self.seen.resets_out += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(stream);
    }

    /// Nobody holds the stream any more; of what came, `unread` bytes were not done with. A message that is
    /// whole still goes out; a stream that isn't over is reset with `code`.
    pub fn release(&mut self, key: Key, unread: usize, code: Code) {
        if self.streams.key(key.id()) != Some(key) {
            return;
        }
        self.give_credit(None, unread);
        let stream = self.streams.get(key);
        if stream.ending.is_some() && stream.gone.is_none() && self.side == Side::Server {
            // What still comes of the request is nobody's.
            (stream.released, stream.owed, stream.moved) = (true, None, None);
            self.flushing += 1;
            self.output.wake();
            let stream = self.streams.get(key);
            let unread = std::mem::take(&mut stream.body).len();
            return self.give_credit(None, unread);
        }
        self.end_stream(key, code, Gone::Local);
        self.remove(key);
    }

    pub(super) fn remove(&mut self, key: Key) {
        let stream = self.streams.get(key);
        let (unread, kept) = (stream.body.len(), stream.waiting());
        self.flushing -= usize::from(stream.released);
        self.let_go(kept);
        let stream = self.streams.get(key);
        let heads: Vec<Head> = stream.heads.drain(..).collect();
        heads.into_iter().for_each(|head| self.give_back(head));
        self.streams.remove(key);
        self.thin_out();
        self.give_credit(None, unread);
        if kept > 0 {
            self.move_up();
        }
        if self.streams.is_empty() {
            // Its driver may have waited for that.
            self.output.wake();
        }
    }
}
