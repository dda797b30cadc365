//! One lazy timer a connection.
//!
//! Requests come and go with deadlines of their own; arming and disarming a timer for each would cost
//! more than the deadline is worth. So the timer stays armed at the earliest moment it was ever asked
//! for, and looks, when it fires, whether the deadline of now has passed.

use std::task::{Context, Poll};

use dragoman_types::Moment;

use crate::clock;
use crate::reactor::{Reactor, Timer};

/// A timer that is armed at most once per expiry.
#[derive(Debug)]
pub struct Deadline {
    reactor: Reactor,
    armed: Option<Timer>,
}

impl Deadline {
    pub(crate) fn new(reactor: &Reactor) -> Deadline {
        Deadline { reactor: reactor.clone(), armed: None }
    }

    /// Ready once `at` has passed. The task that polls must be the same every time. `None` never
    /// becomes ready.
    pub fn poll_at(&mut self, cx: &mut Context<'_>, at: Option<Moment>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        match &self.armed {
            Some(armed) if armed.at <= at && armed.at > self.reactor.turned() => Poll::Pending,
            _ => self.rearm(cx, at),
        }
    }

    #[cold]
    fn rearm(&mut self, cx: &mut Context<'_>, at: Moment) -> Poll<()> {
        self.disarm();
        if clock::now() >= at {
            return Poll::Ready(());
        }
        self.armed = Some(self.reactor.arm(at, cx.waker()));
        Poll::Pending
    }

    fn disarm(&mut self) {
        if let Some(timer) = self.armed.take() {
            self.reactor.disarm(timer);
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.disarm();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[test]
    fn later_deadlines_do_not_rearm_and_earlier_ones_do() {
        let reactor = Reactor::new().unwrap();
        let start = clock::now();
        let at = move |ms| Some(start.after(Duration::from_millis(ms)));
        let mut deadline = reactor.deadline();
        let done = reactor.block_on(async move {
            poll_fn(|cx| {
                let armed = |deadline: &Deadline| deadline.armed.map(|timer| timer.at);
                assert!(deadline.poll_at(cx, None).is_pending());
                assert!(deadline.poll_at(cx, at(60_000)).is_pending());
                assert_eq!(armed(&deadline), at(60_000));
                assert!(deadline.poll_at(cx, at(30)).is_pending());
                assert_eq!(armed(&deadline), at(30));
                assert!(deadline.poll_at(cx, at(50)).is_pending());
                assert_eq!(armed(&deadline), at(30));
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| deadline.poll_at(cx, at(50))).await;
            clock::now()
        });
        assert!(done.unwrap().since(start) >= Duration::from_millis(50));
    }
}
