//! What is counted and logged of a client connection.

use dragoman_codec::h1::ParseError;
use dragoman_types::{Facts, Flags, Moment, StreamInfo, Version};

use super::ClientConnection;

/// What a connection's log line tells of its end.
#[derive(Debug, Default)]
pub(super) struct Ending {
    pub(super) flags: Flags,
    pub(super) transport_failure: Option<String>,
    /// `%CONNECTION_TERMINATION_DETAILS%`
    pub(super) details: Option<String>,
}

impl ClientConnection {
    pub(super) fn count_open(&self) {
        let stats = &self.manager.stats;
        stats.downstream_cx_total.inc();
        stats.downstream_cx_active.inc();
        if self.chain.shared.tls.is_some() {
            stats.downstream_cx_ssl_total.inc();
            stats.downstream_cx_ssl_active.inc();
        }
        self.listener.count_open();
        self.worker.connections.set(self.worker.connections.get() + 1);
    }

    pub(super) fn count_protocol_error(&mut self) {
        self.manager.stats.downstream_cx_protocol_error.inc();
        let ending = self.ending.get_or_insert_default();
        ending.flags.insert(Flags::DOWNSTREAM_PROTOCOL_ERROR);
    }

    pub(super) fn count_malformed(&mut self, error: ParseError) {
        self.count_protocol_error();
        let stats = &self.manager.stats;
        stats.downstream_rq_rx_reset.inc();
        stats.downstream_rq_response_before_rq_complete.inc();
        if error == ParseError::HeadTooLarge {
            stats.downstream_rq_too_large.inc();
        }
    }

    /// The connection ended while a request was being served.
    pub(super) fn count_active_end(&self, remote: bool) {
        let stats = &self.manager.stats;
        stats.downstream_cx_destroy_active_rq.inc();
        match remote {
            true => stats.downstream_cx_destroy_remote_active_rq.inc(),
            false => stats.downstream_cx_destroy_local_active_rq.inc(),
        }
    }

    /// The line that the listener wants of it.
    #[cold]
    pub(super) fn log(&mut self, now: Moment) {
        let mut info = StreamInfo::new(self.worker.next_id(), self.connection.accepted_at);
        info.end = Some(now);
        // HTTP/2's requests are counted elsewhere.
        let served = self.requests > 0 || self.version == Some(Version::Http2);
        info.version = self.version.filter(|_| served);
        (info.bytes_received, info.bytes_sent) = self.server.wire.all_bytes();
        if let Some(why) = self.ending.take() {
            info.flags = why.flags;
            info.downstream_transport_failure = why.transport_failure.map(Into::into);
            info.connection_termination = why.details.map(Into::into);
        }
        self.listener.log(&self.worker, &Facts::of_connection(&self.connection, &info));
    }

    pub(super) fn count_idle_end(&self) {
        let stats = &self.manager.stats;
        let oldest = self.config().timeouts.max_connection;
        let age = self.worker.clock.read().since(self.connection.accepted_at);
        if oldest.is_some_and(|t| age >= t) {
            stats.downstream_cx_max_duration_reached.inc();
        } else {
            stats.downstream_cx_idle_timeout.inc();
        }
    }
}

/// However a connection ends (closed, cut, a panic in its request), it is counted, and logged if
/// its listener wants that.
impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.manager.count_bytes(&mut self.server.wire);
        let stats = &self.manager.stats;
        stats.downstream_cx_active.dec();
        match self.version {
            Some(Version::Http2) => stats.downstream_cx_http2_active.dec(),
            Some(_) => stats.downstream_cx_http1_active.dec(),
            None => {}
        }
        if self.chain.shared.tls.is_some() {
            stats.downstream_cx_ssl_active.dec();
        }
        stats.downstream_cx_destroy.inc();
        if self.remote_close || self.server.wire.eof {
            stats.downstream_cx_destroy_remote.inc();
        } else {
            stats.downstream_cx_destroy_local.inc();
        }
        let now = self.worker.clock.now();
        let length = now.millis_since(self.connection.accepted_at);
        stats.downstream_cx_length_ms.record(length);
        if self.listener.logs() {
            self.log(now);
        }
        self.listener.count_closed(self.connection.id, length);
        self.worker.connections.set(self.worker.connections.get() - 1);
    }
}
