//! The connection pool of one host on one worker: decides who gets which connection. The caller
//! does the connecting, and owns the connections in use. A connection serves one request at a time, or
//! it is the caller's to share among several: then the pool only knows that it is open, and who waits.
//!
//! Laws: a request takes the most recently used idle connection; it opens one only if the cluster's
//! limit allows, or the host has none at all; otherwise it waits in line. Opening counts as waiting. A connection that comes
//! back goes to the first in line.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What the cluster allows at this moment, all workers together.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub may_connect: bool,
    pub may_wait: bool,
}

/// How a request gets its connection.
#[derive(Debug)]
pub enum Acquired<C, S> {
    /// This one; it was used before.
    Idle(Box<C>),
    /// Open one, then call [`Pool::closed`] when it's gone.
    Connect,
    /// Wait for one.
    Wait(Waiter<C, S>),
    /// Too many wait already.
    Overflow,
}

#[derive(Debug)]
enum Slot<C, S> {
    Waiting(Option<Waker>),
    Given(Grant<C, S>),
    Gone,
}

/// What a waiting request is given.
#[derive(Debug)]
pub enum Grant<C, S> {
    Idle(Box<C>),
    /// A share of a connection that others use too.
    Shared(S),
    /// A place for a new connection came free.
    Connect,
    /// The connection that was to be shared could not be opened.
    Failed,
}

#[derive(Debug)]
struct Inner<C, S> {
    /// Boxed, as connections go from hand to hand.
    idle: Vec<Box<C>>,
    line: VecDeque<Rc<RefCell<Slot<C, S>>>>,
    /// Connections that exist: idle, in use, or being opened.
    open: usize,
}

/// One host's connections on one worker.
#[derive(Debug)]
pub struct Pool<C, S>(Rc<RefCell<Inner<C, S>>>);

impl<C, S> Default for Pool<C, S> {
    fn default() -> Self {
        Pool(Rc::new(RefCell::new(Inner { idle: Vec::new(), line: VecDeque::new(), open: 0 })))
    }
}

impl<C, S> Pool<C, S> {
    /// Asks for a connection. `alive` judges idle ones; dead ones are handed to `discard`.
    pub fn acquire(
        &self,
        room: impl FnOnce() -> Room,
        alive: impl Fn(&mut C) -> bool,
        mut discard: impl FnMut(Box<C>),
    ) -> Acquired<C, S> {
        let mut inner = self.0.borrow_mut();
        while let Some(mut connection) = inner.idle.pop() {
            if alive(&mut connection) {
                return Acquired::Idle(connection);
            }
            inner.open -= 1;
            discard(connection);
        }
        let room = room();
        // Who opens a connection waits too.
        if !room.may_wait {
            return Acquired::Overflow;
        }
        if room.may_connect || inner.open == 0 {
            inner.open += 1;
            return Acquired::Connect;
        }
        let slot = Rc::new(RefCell::new(Slot::Waiting(None)));
        inner.line.push_back(slot.clone());
        Acquired::Wait(Waiter { slot, pool: self.0.clone() })
    }

    /// Somebody opens a connection that is never released, only [`closed`](Pool::closed).
    pub fn take_place(&self) {
        self.0.borrow_mut().open += 1;
    }

    /// A connection is free again.
    pub fn release(&self, connection: Box<C>) {
        self.0.borrow_mut().hand_over(Grant::Idle(connection));
    }

    /// Hands out shares of a connection to those in line, for as long as `share` gives any.
    pub fn share(&self, mut share: impl FnMut() -> Option<S>) {
        while self.has_line() {
            let Some(share) = share() else { return };
            let unwanted = self.0.borrow_mut().hand_over(Grant::Shared(share));
            drop(unwanted);
        }
    }

    /// The connection that all in line waited for serves one request at a time: each may open one of its
    /// own, as far as `may_connect` allows.
    pub fn spread(&self, mut may_connect: impl FnMut() -> bool) {
        while self.has_line() && may_connect() {
            let mut inner = self.0.borrow_mut();
            inner.open += 1;
            inner.hand_over(Grant::Connect);
        }
    }

    /// The connection that all in line waited for could not be opened.
    pub fn fail_line(&self) {
        let mut inner = self.0.borrow_mut();
        for _ in 0..inner.line.len() {
            inner.hand_over(Grant::Failed);
        }
    }

    /// Whether requests wait for a connection: one that is released goes to the first of them.
    pub fn has_line(&self) -> bool {
        !self.0.borrow().line.is_empty()
    }

    /// A connection that was acquired is gone.
    pub fn closed(&self) {
        let mut inner = self.0.borrow_mut();
        inner.open -= 1;
        if !inner.line.is_empty() {
            inner.open += 1;
            inner.hand_over(Grant::Connect);
        }
    }

    /// Takes out the idle connections for which `doomed` holds.
    pub fn sweep(&self, doomed: impl Fn(&mut C) -> bool, mut discard: impl FnMut(Box<C>)) {
        let mut inner = self.0.borrow_mut();
        let mut at = 0;
        while at < inner.idle.len() {
            if doomed(&mut inner.idle[at]) {
                inner.open -= 1;
                discard(inner.idle.remove(at));
            } else {
                at += 1;
            }
        }
    }

    /// (open, idle, waiting)
    pub fn counts(&self) -> (usize, usize, usize) {
        let inner = self.0.borrow();
        (inner.open, inner.idle.len(), inner.line.len())
    }
}

impl<C, S> Inner<C, S> {
    /// Gives to the first in line who still waits, else keeps. A share that nobody wants is given back.
    fn hand_over(&mut self, grant: Grant<C, S>) -> Option<S> {
        while let Some(slot) = self.line.pop_front() {
            let waker = match &mut *slot.borrow_mut() {
                Slot::Waiting(waker) => waker.take(),
                _ => continue,
            };
            *slot.borrow_mut() = Slot::Given(grant);
            if let Some(waker) = waker {
                waker.wake();
            }
            return None;
        }
        match grant {
            Grant::Idle(connection) => self.idle.push(connection),
            Grant::Shared(share) => return Some(share),
            Grant::Connect => self.open -= 1,
            Grant::Failed => {}
        }
        None
    }
}

/// A place in line. Dropping it leaves the line; what was given already goes to the next.
#[derive(Debug)]
pub struct Waiter<C, S> {
    slot: Rc<RefCell<Slot<C, S>>>,
    pool: Rc<RefCell<Inner<C, S>>>,
}

impl<C, S> Future for Waiter<C, S> {
    type Output = Grant<C, S>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Grant<C, S>> {
        let mut slot = self.slot.borrow_mut();
        match std::mem::replace(&mut *slot, Slot::Gone) {
            Slot::Given(grant) => Poll::Ready(grant),
            Slot::Waiting(_) | Slot::Gone => {
                *slot = Slot::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl<C, S> Drop for Waiter<C, S> {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.slot.borrow_mut(), Slot::Gone);
        if let Slot::Given(grant) = left {
            let unwanted = self.pool.borrow_mut().hand_over(grant);
            // Not within the borrow: a share that ends may ask the pool who waits.
            drop(unwanted);
        }
        self.pool.borrow_mut().line.retain(|slot| !Rc::ptr_eq(slot, &self.slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Room = Room { may_connect: false, may_wait: true };
    const FREE: Room = Room { may_connect: true, may_wait: true };

    fn acquire(pool: &Pool<u32, char>, room: Room) -> Acquired<u32, char> {
        pool.acquire(|| room, |c| *c < 100, |_| {})
    }

    fn poll(waiter: &mut Waiter<u32, char>) -> Poll<Grant<u32, char>> {
        Pin::new(waiter).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_last_used_connection_is_taken_and_dead_ones_are_dropped() {
        let pool = Pool::default();
        for _ in 0..3 {
            assert!(matches!(acquire(&pool, FREE), Acquired::Connect));
        }
        pool.release(Box::new(1));
        pool.release(Box::new(2));
        pool.release(Box::new(100));
        assert!(matches!(acquire(&pool, FREE), Acquired::Idle(c) if *c == 2));
        assert_eq!(pool.counts(), (2, 1, 0));
    }

    #[test]
    fn a_full_cluster_waits_in_line() {
        let pool = Pool::default();
        assert!(matches!(acquire(&pool, FULL), Acquired::Connect), "the first is always allowed");
        let (Acquired::Wait(mut first), Acquired::Wait(mut second)) =
            (acquire(&pool, FULL), acquire(&pool, FULL))
        else {
            panic!("both wait")
        };
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        pool.release(Box::new(7));
        assert!(matches!(poll(&mut first), Poll::Ready(Grant::Idle(c)) if *c == 7));
        pool.closed();
        assert!(matches!(poll(&mut second), Poll::Ready(Grant::Connect)));
        assert_eq!(pool.counts(), (1, 0, 0));
        let overflow = Room { may_connect: false, may_wait: false };
        assert!(matches!(acquire(&pool, overflow), Acquired::Overflow));
    }

    #[test]
    fn what_a_leaver_was_given_goes_to_the_next() {
        let pool = Pool::default();
        assert!(matches!(acquire(&pool, FULL), Acquired::Connect));
        let (Acquired::Wait(first), Acquired::Wait(mut second)) =
            (acquire(&pool, FULL), acquire(&pool, FULL))
        else {
            panic!("both wait")
        };
        pool.release(Box::new(7));
        drop(first);
        assert!(matches!(poll(&mut second), Poll::Ready(Grant::Idle(c)) if *c == 7));
        let Acquired::Wait(third) = acquire(&pool, FULL) else { panic!("waits") };
        drop(third);
        pool.release(Box::new(7));
        assert_eq!(pool.counts(), (1, 1, 0));
    }

    #[test]
    fn shares_go_to_those_in_line_and_unwanted_ones_end() {
        let pool = Pool::default();
        assert!(matches!(acquire(&pool, FULL), Acquired::Connect));
        let (Acquired::Wait(mut first), Acquired::Wait(mut second), Acquired::Wait(mut third)) =
            (acquire(&pool, FULL), acquire(&pool, FULL), acquire(&pool, FULL))
        else {
            panic!("all wait")
        };
        let mut shares = vec!['b', 'a'];
        pool.share(|| shares.pop());
        assert!(matches!(poll(&mut first), Poll::Ready(Grant::Shared('a'))));
        assert!(matches!(poll(&mut second), Poll::Ready(Grant::Shared('b'))));
        assert!(poll(&mut third).is_pending());
        pool.fail_line();
        assert!(matches!(poll(&mut third), Poll::Ready(Grant::Failed)));
        pool.share(|| panic!("nobody waits"));
        assert_eq!(pool.counts(), (1, 0, 0));
    }

    #[test]
    fn a_line_for_a_connection_that_cannot_be_shared_spreads() {
        let pool = Pool::default();
        assert!(matches!(acquire(&pool, FULL), Acquired::Connect));
        let (Acquired::Wait(mut first), Acquired::Wait(mut second)) =
            (acquire(&pool, FULL), acquire(&pool, FULL))
        else {
            panic!("both wait")
        };
        let mut places = 1;
        pool.spread(|| std::mem::replace(&mut places, 0) > 0);
        assert!(matches!(poll(&mut first), Poll::Ready(Grant::Connect)));
        assert!(poll(&mut second).is_pending());
        assert_eq!(pool.counts(), (2, 0, 1));
    }
}
