//! The streams of one connection.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use dragoman_types::{Headers, Moment};
use rustc_hash::FxHashMap;

use super::frames::Code;
use super::message::Head;

/// Why a stream can't go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gone {
    /// The peer ended it.
    Reset(Code),
    /// The peer has done nothing for it, and won't.
    Refused,
    /// The connection ended, or took no more streams, before the peer had looked at it.
    Unseen,
    /// The connection ended.
    Closed,
    /// The peer's message broke the protocol: Envoy's name for the fault.
    Malformed(&'static str),
    /// The peer broke the protocol of the connection: Envoy's name for how.
    Fault(&'static str),
    /// We ended it.
    Local,
}

impl Gone {
    /// The peer has nothing more to say about it either.
    pub(super) fn is_by_peer(self) -> bool {
        matches!(self, Gone::Reset(_) | Gone::Refused | Gone::Unseen)
    }
}

/// Means a stream to its connection for as long as somebody holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    slot: u32,
    id: u32,
}

impl Key {
    /// The number of the stream on its connection.
    pub fn id(self) -> u32 {
        self.id
    }
}

/// What the holder of a stream waits for.
pub(super) mod wants {
    pub(in crate::h2) const READ: u8 = 1;
    pub(in crate::h2) const WRITE: u8 = 2;
    pub(in crate::h2) const END: u8 = 4;
    pub(in crate::h2) const ALL: u8 = 7;
}

/// What may still come, in bytes, and what was used up since the peer was last told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Credit {
    window: u32,
    left: i64,
    used: u32,
}

impl Credit {
    pub(super) fn new(window: u32) -> Credit {
        Credit { window, left: i64::from(window), used: 0 }
    }

    /// What the peer may still send is less than a frame: nobody takes what it sent.
    pub(super) fn is_used_up(&self) -> bool {
        self.left < super::frames::LARGEST as i64
    }

    #[cfg(test)]
    pub(super) fn left_and_used(&self) -> (i64, i64) {
        (self.left, i64::from(self.used))
    }

    /// So many bytes came; false: more than may.
    pub(super) fn take(&mut self, bytes: u32) -> bool {
        self.left -= i64::from(bytes);
        self.left >= 0
    }

    /// So many bytes are done with. Gives what the peer is to be told now.
    pub(super) fn give(&mut self, bytes: usize) -> Option<u32> {
        self.used += bytes as u32;
        if self.used < self.window / 2 {
            return None;
        }
        self.left += i64::from(self.used);
        Some(std::mem::take(&mut self.used))
    }
}

/// How a message ends whose body is still on its way.
#[derive(Debug)]
pub(super) enum Ending {
    Plain,
    Trailers(Headers),
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Heads that nobody has taken yet.
    pub(super) heads: VecDeque<Head>,
    /// Of ours: the final head came.
    pub(super) answered: bool,
    pub(super) to_head: bool,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Headers>,
    /// Bytes that the body still has to have.
    pub(super) owed: Option<u64>,
    pub(super) credit: Credit,
    /// The peer has sent all.
    pub(super) received: bool,
    /// What the peer still takes.
    pub(super) window: i64,
    /// We have sent all.
    pub(super) sent: bool,
    pub(super) gone: Option<Gone>,
    /// Bytes that wait for room or for the peer's window, from `framed` on.
    pub(super) kept: Vec<u8>,
    pub(super) framed: usize,
    /// What follows them is the end.
    pub(super) ending: Option<Ending>,
    /// When some of them last went.
    pub(super) moved: Option<Moment>,
    /// What is kept of it stands in the line for room.
    pub(super) in_line: bool,
    /// Who holds it waits for its turn to send.
    pub(super) held_up: bool,
    /// Nobody holds it any more: what is kept still goes out.
    pub(super) released: bool,
    waker: Option<Waker>,
    wants: u8,
}

/// What a stream that ended leaves to the next one.
const KEPT: usize = 4 << 10;

impl Stream {
    pub(super) fn watch(&mut self, cx: &Context<'_>, what: u8) {
        self.wants |= what;
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    pub(super) fn wake(&mut self, what: u8) {
        if self.wants & what != 0 {
            self.wants = 0;
            if let Some(waker) = &self.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// It can't go on; the first reason counts.
    pub(super) fn end(&mut self, gone: Gone) {
        self.gone.get_or_insert(gone);
        self.wake(wants::ALL);
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.kept.len() - self.framed
    }

    /// Neither side has anything more to say.
    pub(super) fn is_over(&self) -> bool {
        self.gone.is_some() || (self.received && self.sent)
    }

    fn recycle(self) -> Stream {
        let Stream { mut heads, mut body, mut kept, .. } = self;
        heads.clear();
        for bytes in [&mut body, &mut kept] {
            bytes.clear();
            bytes.shrink_to(KEPT);
        }
        Stream { heads, body, kept, ..Stream::default() }
    }
}

#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Stream>,
    free: Vec<u32>,
    known: FxHashMap<u32, u32>,
}

impl Streams {
    pub(super) fn insert(&mut self, id: u32, credit: u32, window: i64) -> (Key, &mut Stream) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Stream::default());
            self.slots.len() as u32 - 1
        });
        self.known.insert(id, slot);
        let stream = &mut self.slots[slot as usize];
        (stream.id, stream.credit, stream.window) = (id, Credit::new(credit), window);
        (Key { slot, id }, stream)
    }

    pub(super) fn key(&self, id: u32) -> Option<Key> {
        self.known.get(&id).map(|&slot| Key { slot, id })
    }

    /// A stream that somebody holds, or that was just found. A key that outlived its stream would mean
    /// another's: rather than mix two up, the connection's task ends.
    pub(super) fn get(&mut self, key: Key) -> &mut Stream {
        let stream = &mut self.slots[key.slot as usize];
        assert_eq!(stream.id, key.id, "a key without its stream");
        stream
    }

    /// See [`get`](Streams::get).
    pub(super) fn remove(&mut self, key: Key) {
        assert_eq!(self.known.remove(&key.id), Some(key.slot), "a key without its stream");
        let stream = std::mem::take(&mut self.slots[key.slot as usize]);
        self.slots[key.slot as usize] = stream.recycle();
        self.free.push(key.slot);
    }

    /// A connection without streams keeps nothing of those that were.
    pub(super) fn settle(&mut self) {
        if self.known.is_empty() {
            *self = Streams::default();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Stream> {
        let slots = self.slots.iter_mut();
        slots.filter(|stream| stream.id != 0)
    }
}
