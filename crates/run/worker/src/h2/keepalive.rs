//! PINGs that ask whether a peer is still there. Source:
//! `envoy.config.core.v3.KeepaliveSettings`.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use dragoman_codec::h2::Endpoint;
use dragoman_net::Deadline;
use dragoman_proto::http2::Keepalive;
use dragoman_types::Moment;

use crate::context::Worker;

/// One connection's PINGs.
pub(crate) struct Asking {
    worker: Rc<Worker>,
    settings: Keepalive,
    deadline: Deadline,
    next: Option<Moment>,
    /// Since when an answer is awaited.
    asked: Option<Moment>,
}

impl Asking {
    /// `None`: the configuration asks for no PINGs.
    pub(crate) fn new(worker: &Rc<Worker>, settings: Option<Keepalive>) -> Option<Asking> {
        let mut asking = Asking {
            worker: worker.clone(),
            settings: settings?,
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
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, end: &RefCell<Endpoint>) -> Poll<()> {
        loop {
            let Some(since) = self.asked else {
                std::task::ready!(self.deadline.poll_at(cx, self.next));
                end.borrow_mut().ping();
                self.next = None;
                self.asked = Some(self.worker.clock.now());
                continue;
            };
            if !end.borrow_mut().take_pong() {
                return self.deadline.poll_at(cx, Some(since.after(self.settings.timeout)));
            }
            self.asked = None;
            self.plan();
        }
    }
}
