//! A host's connection that carries one client's bytes, as the statistics see it.

use std::rc::Rc;

use dragoman_types::{Moment, Priority};

use crate::upstream::WorkerHost;

/// tcp_proxy's connections have the default priority.
pub(super) const PRIORITY: Priority = Priority::Default;

/// Counted while it's there; however it ends, once.
pub(super) struct Counted {
    host: Rc<WorkerHost>,
    begun: Moment,
    connected: bool,
    /// Who ended it; the host unless something else is said.
    pub(super) ended_by_us: bool,
}

impl Counted {
    /// A connection begins to be opened.
    pub(super) fn new(host: &Rc<WorkerHost>, now: Moment) -> Counted {
        host.cluster.load(PRIORITY).connections.inc();
        host.cluster.load(PRIORITY).pending.inc();
        let stats = &host.cluster.stats;
        stats.upstream_cx_total.inc();
        stats.upstream_cx_active.inc();
        stats.upstream_rq_pending_total.inc();
        stats.upstream_rq_pending_active.inc();
        host.stats.cx_total.inc();
        host.stats.cx_active.inc();
        Counted { host: host.clone(), begun: now, connected: false, ended_by_us: true }
    }

    pub(super) fn connected(&mut self, now: Moment) {
        self.connected = true;
        self.host.cluster.load(PRIORITY).pending.dec();
        let stats = &self.host.cluster.stats;
        stats.upstream_cx_connect_ms.record(now.millis_since(self.begun));
        stats.upstream_rq_pending_active.dec();
        stats.upstream_rq_total.inc();
        stats.upstream_rq_active.inc();
        self.host.stats.rq_total.inc();
        self.host.stats.rq_active.inc();
    }

    /// It could not be opened.
    pub(super) fn failed(mut self, timeout: bool) {
        self.ended_by_us = timeout;
        let stats = &self.host.cluster.stats;
        stats.upstream_cx_connect_fail.inc();
        stats.upstream_rq_pending_failure_eject.inc();
        if timeout {
            stats.upstream_cx_connect_timeout.inc();
        }
        self.host.stats.cx_connect_fail.inc();
    }

    /// Bytes that came from the host and went to it since the last call.
    pub(super) fn moved(&self, read: u64, written: u64) {
        self.host.cluster.stats.upstream_cx_rx_bytes_total.add(read);
        self.host.cluster.stats.upstream_cx_tx_bytes_total.add(written);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.host.cluster.load(PRIORITY).connections.dec();
        let stats = &self.host.cluster.stats;
        stats.upstream_cx_active.dec();
        self.host.stats.cx_active.dec();
        stats.upstream_cx_destroy.inc();
        match self.ended_by_us {
            true => stats.upstream_cx_destroy_local.inc(),
            false => stats.upstream_cx_destroy_remote.inc(),
        }
        if !self.connected {
            self.host.cluster.load(PRIORITY).pending.dec();
            stats.upstream_rq_pending_active.dec();
            return;
        }
        stats.upstream_rq_active.dec();
        self.host.stats.rq_active.dec();
        stats.upstream_cx_destroy_with_active_rq.inc();
        match self.ended_by_us {
            true => stats.upstream_cx_destroy_local_with_active_rq.inc(),
            false => stats.upstream_cx_destroy_remote_with_active_rq.inc(),
        }
        let now = dragoman_net::clock::now();
        stats.upstream_cx_length_ms.record(now.millis_since(self.begun));
    }
}
