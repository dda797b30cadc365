//! What ends a connection before its sides do, and what it does meanwhile: its limits, its early data, its
//! lines in the log.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use dragoman_format::LogType;
use dragoman_types::{Flags, Moment, StreamInfo};

use super::Proxied;
use crate::connect::Waits;
use crate::context::Worker;

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stopped {
    /// Nothing moved for too long.
    Idle,
    /// It lasted too long.
    Duration,
    /// The client failed before there was a host.
    Client,
    /// Its listener drains.
    Drain,
}

impl Proxied {
    pub(super) fn count_stop(&mut self, why: Stopped) {
        let stats = &self.proxy.stats;
        match why {
            Stopped::Idle => stats.idle_timeout.inc(),
            Stopped::Duration => {
                stats.max_downstream_connection_duration.inc();
                self.info.flags.insert(Flags::DURATION_TIMEOUT);
            }
            Stopped::Client => {}
            Stopped::Drain => stats.downstream_cx_drain_close.inc(),
        }
    }

    /// The limit that is passed next, if nothing moves after `active`.
    pub(super) fn next_limit(&self, active: Moment) -> Option<(Moment, Stopped)> {
        let idle = self.proxy.config().idle_timeout;
        let idle = idle.map(|limit| (active.after(limit), Stopped::Idle));
        let longest = self.longest;
        let longest = longest.map(|t| (self.connection.accepted_at.after(t), Stopped::Duration));
        idle.into_iter().chain(longest).min_by_key(|(at, _)| *at)
    }

    /// Ready with the limit that passed; with `None` when `until` did, and no limit before it.
    pub(super) fn poll_limits(
        &mut self,
        cx: &mut Context<'_>,
        active: Moment,
        until: Option<Moment>,
    ) -> Poll<Option<Stopped>> {
        loop {
            let (own, limit) = self.next_limit(active).unzip();
            let first = own.into_iter().chain(until).chain(self.next_line).min();
            if self.deadline.poll_at(cx, first).is_pending() {
                return Poll::Pending;
            }
            if self.next_line.is_some() && self.next_line == first {
                self.log(LogType::TcpPeriodic);
                self.plan_line();
                continue;
            }
            let is_own = until.is_none() || own.is_some() && own <= until;
            return Poll::Ready(limit.filter(|_| is_own));
        }
    }

    /// When the next of its regular lines is due, if it has any.
    pub(super) fn plan_line(&mut self) {
        let every = self.proxy.config().logs.every;
        self.next_line = every.map(|every| self.worker.clock.read().after(every));
    }

    pub(super) fn log(&self, kind: LogType) {
        self.worker.log(&self.proxy.shared.access_logs, kind, &self.facts());
    }

    /// Waits for the next attempt's turn.
    pub(super) async fn pause(&mut self, pause: Duration) -> Result<(), Stopped> {
        let until = self.worker.clock.read().after(pause);
        self.wait(pending::<()>(), Some(until)).await.map(|_| ())
    }
}

/// The connection's own limits hold while it waits for its host.
impl Waits for Proxied {
    type Stop = Stopped;

    fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    fn info(&mut self) -> &mut StreamInfo {
        &mut self.info
    }

    async fn wait<F: Future>(
        &mut self,
        future: F,
        until: Option<Moment>,
    ) -> Result<Option<F::Output>, Stopped> {
        let mut future = pin!(future);
        let accepted = self.connection.accepted_at;
        poll_fn(|cx| {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(Some(done)));
            }
            if self.poll_early(cx).is_ready() {
                return Poll::Ready(Err(Stopped::Client));
            }
            self.poll_limits(cx, accepted, until).map(|stopped| match stopped {
                Some(limit) => Err(limit),
                None => Ok(None),
            })
        })
        .await
    }
}
