//! What is known of a watched descriptor, and who waits for it.
//!
//! The kernel tells of changes only (edge-triggered), so what it told is kept until a call finds
//! otherwise: a short read or a refused one.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use mio::event::Event;

use super::Reactor;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// One direction: what is known, and who waits.
#[derive(Default)]
struct Side {
    ready: Cell<bool>,
    /// It ended, so it stays ready: to tell so.
    ended: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Side {
    fn tell(&self, ready: bool, ended: bool) {
        if ended {
            self.ended.set(true);
        }
        if ready || ended {
            self.ready.set(true);
            if let Some(waker) = self.waiting.take() {
                waker.wake();
            }
        }
    }

    fn wait(&self, cx: &Context<'_>) {
        let kept = self.waiting.take().filter(|waker| waker.will_wake(cx.waker()));
        self.waiting.set(Some(kept.unwrap_or_else(|| cx.waker().clone())));
    }
}

pub(super) struct Readiness {
    read: Side,
    write: Side,
    slot: u32,
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (read, write) = (self.read.ready.get(), self.write.ready.get());
        f.debug_struct("Readiness").field("read", &read).field("write", &write).finish()
    }
}

impl Readiness {
    pub(super) fn new(slot: u32) -> Readiness {
        Readiness { read: Side::default(), write: Side::default(), slot }
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    fn tell(&self, event: &Event) {
        let (failed, hung_up) = (event.is_error(), event.is_write_closed());
        self.read.tell(event.is_readable(), event.is_read_closed() || failed);
        self.write.tell(event.is_writable(), hung_up || failed);
    }
}

/// A watched descriptor.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) reactor: Reactor,
    readiness: Rc<Readiness>,
}

impl Source {
    pub(super) fn new(reactor: Reactor, readiness: Rc<Readiness>) -> Source {
        Source { reactor, readiness }
    }

    /// Ready when a call that way isn't known to be in vain.
    pub(crate) fn poll_ready(&self, cx: &Context<'_>, direction: Direction) -> Poll<()> {
        let side = self.readiness.side(direction);
        if !side.ready.get() {
            side.wait(cx);
            return Poll::Pending;
        }
        if !self.reactor.spend() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.readiness.side(direction).ready.get()
    }

    /// A call that way found nothing more to do; the kernel will tell when there is.
    pub(crate) fn exhausted(&self, direction: Direction) {
        let side = self.readiness.side(direction);
        side.ready.set(side.ended.get());
    }

    /// A call that way was refused: not even the end is there to be told.
    pub(crate) fn refused(&self, direction: Direction) {
        let side = self.readiness.side(direction);
        side.ready.set(false);
        side.ended.set(false);
    }

    /// A call that way would succeed, as far as anybody can know.
    pub(crate) fn assume_ready(&self, direction: Direction) {
        self.readiness.side(direction).ready.set(true);
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.reactor.free(self.readiness.slot);
    }
}

/// The watched descriptors by the numbers that the kernel knows them by.
#[derive(Debug, Default)]
pub(super) struct Sources {
    slots: Vec<Option<Rc<Readiness>>>,
    free: Vec<u32>,
    /// Freed in this turn: the kernel's last answer may still speak of them.
    freed: Vec<u32>,
}

impl Sources {
    pub(super) fn reserve(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        })
    }

    pub(super) fn fill(&mut self, slot: u32, readiness: Rc<Readiness>) {
        self.slots[slot as usize] = Some(readiness);
    }

    pub(super) fn free(&mut self, slot: u32) {
        self.slots[slot as usize] = None;
        self.freed.push(slot);
    }

    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    /// The kernel's answer was read to its end.
    pub(super) fn turned(&mut self) {
        self.free.append(&mut self.freed);
    }

    pub(super) fn tell(&self, slot: usize, event: &Event) {
        if let Some(Some(readiness)) = self.slots.get(slot) {
            readiness.tell(event);
        }
    }
}
