//! PINGs that ask whether a peer is still there. Source:
//! `envoy.config.core.v3.KeepaliveSettings`.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use dragoman_net::Deadline;
use dragoman_proto::http2::Keepalive;
use dragoman_types::Moment;
use h2::{Ping, PingPong};

use crate::context::Worker;

/// One connection's PINGs.
pub(crate) struct Asking {
    worker: Rc<Worker>,
    settings: Keepalive,
    pings: PingPong,
    deadline: Deadline,
    next: Option<Moment>,
    /// Since when an answer is awaited.
    asked: Option<Moment>,
}

impl Asking {
    /// `None`: the configuration asks for no PINGs.
    pub(crate) fn new(
        worker: &Rc<Worker>,
        settings: Option<Keepalive>,
        pings: Option<PingPong>,
    ) -> Option<Asking> {
        let mut asking = Asking {
            worker: worker.clone(),
            settings: settings?,
            pings: pings?,
            deadline: worker.reactor.deadline(),
            next: None,
            asked: None,
        };
        asking.plan();
        Some(asking)
    }

    fn plan(&mut self) {
        let Some(interval) = self.settings.interval else { return };
        let most = interval.as_millis() as u64 * u64::from(self.settings.jitter) / 100;
        let extra = if most > 0 { self.worker.random() % most } else { 0 };
        let interval = interval + Duration::from_millis(extra);
        self.next = Some(self.worker.clock.now().after(interval));
    }

    /// A request is to go over the connection, which idled since then.
    pub(crate) fn used(&mut self, idle: Duration) {
        if self.settings.idle.is_some_and(|limit| idle >= limit) && self.asked.is_none() {
            self.next = Some(self.worker.clock.now());
        }
    }

    /// Ready once the peer has owed an answer for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(since) = self.asked else {
                std::task::ready!(self.deadline.poll_at(cx, self.next));
                // One that can't be sent: the connection is ending, which is told otherwise.
                if self.pings.send_ping(Ping::opaque()).is_err() {
                    return Poll::Pending;
                }
                self.next = None;
                self.asked = Some(self.worker.clock.now());
                continue;
            };
            match self.pings.poll_pong(cx) {
                Poll::Ready(Ok(_)) => {
                    self.asked = None;
                    self.plan();
                }
                Poll::Ready(Err(_)) => return Poll::Pending,
                Poll::Pending => {
                    return self.deadline.poll_at(cx, Some(since.after(self.settings.timeout)));
                }
            }
        }
    }
}
