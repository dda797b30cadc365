//! One lazy timer a connection.
//!
//! Requests come and go with deadlines of their own; registering and cancelling a timer for each
//! would cost more than the deadline is worth. So the timer stays armed at the earliest moment it
//! was ever asked for, and looks, when it fires, whether the deadline of now has passed.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use dragoman_types::Moment;
use tokio::task::unconstrained;
use tokio::time::Sleep;

use crate::clock;

/// A timer that is armed at most once per expiry.
#[derive(Debug, Default)]
pub struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Moment>,
}

impl Deadline {
    /// Ready once `at` has passed. The task that polls must be the same every time. `None` never
    /// becomes ready.
    pub fn poll_at(&mut self, cx: &mut Context<'_>, at: Option<Moment>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        if let (Some(armed), Some(sleep)) = (self.armed, &self.sleep)
            && armed <= at
            && !sleep.is_elapsed()
        {
            return Poll::Pending;
        }
        self.rearm(cx, at)
    }

    #[cold]
    fn rearm(&mut self, cx: &mut Context<'_>, at: Moment) -> Poll<()> {
        if clock::now() >= at {
            return Poll::Ready(());
        }
        let Some(instant) = clock::instant(at) else { return Poll::Pending };
        let new = || Box::pin(tokio::time::sleep_until(instant.into()));
        let sleep = self.sleep.get_or_insert_with(new);
        sleep.as_mut().reset(instant.into());
        self.armed = Some(at);
        // Outside tokio's cooperative budget: a sleep that is refused its poll for lack of budget
        // registers no waker, and nothing would poll it again.
        pin!(unconstrained(sleep.as_mut())).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_spent_budget_loses_no_deadline() {
        let mut deadline = Deadline::default();
        let at = Some(clock::now().after(Duration::from_millis(20)));
        let mut first = true;
        poll_fn(|cx| {
            // Whatever is left of this turn's budget.
            while first && pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
            first = false;
            deadline.poll_at(cx, at)
        })
        .await;
    }
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test]
    async fn later_deadlines_do_not_rearm_and_earlier_ones_do() {
        let start = clock::now();
        let at = |ms| Some(start.after(Duration::from_millis(ms)));
        let mut deadline = Deadline::default();
        poll_fn(|cx| {
            assert!(deadline.poll_at(cx, None).is_pending());
            assert!(deadline.poll_at(cx, at(60_000)).is_pending());
            assert_eq!(deadline.armed, at(60_000));
            assert!(deadline.poll_at(cx, at(30)).is_pending());
            assert_eq!(deadline.armed, at(30));
            assert!(deadline.poll_at(cx, at(50)).is_pending());
            assert_eq!(deadline.armed, at(30));
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| deadline.poll_at(cx, at(50))).await;
        assert!(clock::now().since(start) >= Duration::from_millis(50));
    }
}
