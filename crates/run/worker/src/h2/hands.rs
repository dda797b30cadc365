//! The tasks that serve a connection's requests. One that is through takes the next request up, so that
//! its memory and its timer serve many.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Tasks that may wait for a request at one connection.
const MOST: usize = 128;

/// A task's letterbox.
struct Hand<J> {
    job: Cell<Option<J>>,
    waker: Cell<Option<Waker>>,
}

/// The tasks of one connection that wait for a request.
pub(crate) struct Hands<J> {
    waiting: RefCell<Vec<Rc<Hand<J>>>>,
    /// Counts up when all that wait are sent home.
    shift: Cell<u64>,
    /// No more jobs will come.
    closed: Cell<bool>,
}

impl<J> Default for Hands<J> {
    fn default() -> Hands<J> {
        Hands { waiting: RefCell::default(), shift: Cell::new(0), closed: Cell::new(false) }
    }
}

impl<J> Hands<J> {
    /// Gives the job to a task that waits; back if there is none.
    pub(crate) fn give(&self, job: J) -> Result<(), J> {
        let Some(hand) = self.waiting.borrow_mut().pop() else { return Err(job) };
        hand.job.set(Some(job));
        if let Some(waker) = hand.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// A task waits for a job; `None`: it's sent home.
    pub(crate) async fn next(&self) -> Option<J> {
        if self.closed.get() || self.waiting.borrow().len() >= MOST {
            return None;
        }
        let shift = self.shift.get();
        let hand = Rc::new(Hand { job: Cell::new(None), waker: Cell::new(None) });
        self.waiting.borrow_mut().push(hand.clone());
        poll_fn(|cx| {
            if let Some(job) = hand.job.take() {
                return Poll::Ready(Some(job));
            }
            if self.shift.get() != shift {
                return Poll::Ready(None);
            }
            hand.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// No more jobs will come: sends home who waits, and who would.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.dismiss();
    }

    /// Sends those who wait home.
    pub(crate) fn dismiss(&self) {
        self.shift.set(self.shift.get() + 1);
        for hand in self.waiting.take() {
            if let Some(waker) = hand.waker.take() {
                waker.wake();
            }
        }
    }
}
