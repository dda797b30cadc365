//! The connection pool of one host on one worker: decides who gets which connection. The caller
//! does the connecting, and owns the connections in use. HTTP/1 only: a connection serves one
//! request at a time.
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
pub enum Acquired<C> {
    /// This one; it was used before.
    Idle(Box<C>),
    /// Open one, then call [`Pool::closed`] when it's gone.
    Connect,
    /// Wait for one.
    Wait(Waiter<C>),
    /// Too many wait already.
    Overflow,
}

#[derive(Debug)]
enum Slot<C> {
    Waiting(Option<Waker>),
    Given(Grant<C>),
    Gone,
}

/// What a waiting request is given.
#[derive(Debug)]
pub enum Grant<C> {
    Idle(Box<C>),
    /// A place for a new connection came free.
    Connect,
}

#[derive(Debug)]
struct Inner<C> {
    /// Boxed, as connections go from hand to hand.
    idle: Vec<Box<C>>,
    line: VecDeque<Rc<RefCell<Slot<C>>>>,
    /// Connections that exist: idle, in use, or being opened.
    open: usize,
}

/// One host's connections on one worker.
#[derive(Debug)]
pub struct Pool<C>(Rc<RefCell<Inner<C>>>);

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Pool(Rc::new(RefCell::new(Inner { idle: Vec::new(), line: VecDeque::new(), open: 0 })))
    }
}

impl<C> Pool<C> {
    /// Asks for a connection. `alive` judges idle ones; dead ones are handed to `discard`.
    pub fn acquire(
        &self,
        room: impl FnOnce() -> Room,
        alive: impl Fn(&mut C) -> bool,
        mut discard: impl FnMut(Box<C>),
    ) -> Acquired<C> {
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

impl<C> Inner<C> {
    /// Gives to the first in line who still waits, else keeps.
    fn hand_over(&mut self, grant: Grant<C>) {
        while let Some(slot) = self.line.pop_front() {
            let waker = match &mut *slot.borrow_mut() {
                Slot::Waiting(waker) => waker.take(),
                _ => continue,
            };
            *slot.borrow_mut() = Slot::Given(grant);
            if let Some(waker) = waker {
                waker.wake();
            }
            return;
        }
        match grant {
            Grant::Idle(connection) => self.idle.push(connection),
            Grant::Connect => self.open -= 1,
        }
    }
}

/// A place in line. Dropping it leaves the line; what was given already goes to the next.
#[derive(Debug)]
pub struct Waiter<C> {
    slot: Rc<RefCell<Slot<C>>>,
    pool: Rc<RefCell<Inner<C>>>,
}

impl<C> Future for Waiter<C> {
    type Output = Grant<C>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Grant<C>> {
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

impl<C> Drop for Waiter<C> {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.slot.borrow_mut(), Slot::Gone);
        if let Slot::Given(grant) = left {
            self.pool.borrow_mut().hand_over(grant);
        }
        self.pool.borrow_mut().line.retain(|slot| !Rc::ptr_eq(slot, &self.slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Room = Room { may_connect: false, may_wait: true };
    const FREE: Room = Room { may_connect: true, may_wait: true };

    fn acquire(pool: &Pool<u32>, room: Room) -> Acquired<u32> {
        pool.acquire(|| room, |c| *c < 100, |_| {})
    }

    fn poll(waiter: &mut Waiter<u32>) -> Poll<Grant<u32>> {
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
}
