//! The beginning and the end of a request as the statistics and the access log see it, and the
//! sending of local replies.

use std::future::poll_fn;
use std::task::Poll;

use dragoman_format::LogType;
use dragoman_types::{Facts, Flags, Headers, LocalReply, Moment, Version, id};

use super::filters::framing_of;
use super::{Active, Exchange};
use crate::lease::Leased;
use crate::stream::{Body, Sink, Source};
use crate::upstream::WorkerCluster;

/// Envoy's words for what is in flight when a listener's or the process's time is over.
const LISTENER_ENDED: &str =
    "downstream_local_disconnect(purging_socket_that_have_not_progressed_to_connections)";

/// The end of the process, the end of a listener's drain time, a panic: what was being served is
/// counted and logged all the same.
impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if !self.concluded {
            self.interrupted();
        }
    }
}

impl Exchange<'_> {
    pub(super) fn begin(&mut self) {
        let stats = &self.manager.stats;
        stats.downstream_rq_total.inc();
        match self.server.is_http2() {
            true => stats.downstream_rq_http2_total.inc(),
            false => stats.downstream_rq_http1_total.inc(),
        }
        self.active = Some(Active::new(self.worker, self.manager));
        if self.server.is_received() {
            // The head may have come in pieces.
            let now = self.worker.clock.now();
            self.info.phases.request_end = Some(now);
            self.patience.request_ended(now);
        }
    }

    /// Milliseconds between the request's end and the response's head, over all attempts; `None` for an
    /// answer that came before the request's end.
    pub(super) fn upstream_service_time(&self) -> Option<u64> {
        let phases = &self.info.phases;
        let (sent, answered) = (phases.upstream_request_end?, phases.upstream_response_begin?);
        Some(answered.millis_since(self.waited_since().unwrap_or(sent)))
    }

    /// The client waits since then for more than the present attempt.
    fn waited_since(&self) -> Option<Moment> {
        self.info.phases.request_end.filter(|_| self.info.attempts > 1)
    }

    /// The host's head is here.
    pub(super) fn answered(&mut self, leased: &Leased) {
        let now = self.worker.clock.now();
        self.patience.moved(now);
        self.patience.attempt_answered();
        self.info.phases.upstream_response_begin = Some(now);
        self.info.upstream_version = Some(self.x.response.version);
        self.info.response_code = Some(self.x.response.status);
        self.info.details = Some("via_upstream".into());
        self.manager.shared.config.join_response(&mut self.x.response, &mut self.x.hcm);
        for cookie in self.cookies.drain(..) {
            self.x.response.headers.append(id::SET_COOKIE, cookie.as_bytes());
        }
        let status = self.x.response.status;
        match status >= 500 {
            true => leased.host.stats.rq_error.inc(),
            false => leased.host.stats.rq_success.inc(),
        }
        self.charge_cluster(status);
    }

    /// Counts a response code for the request's cluster.
    fn charge_cluster(&mut self, status: u16) {
        let Some(cluster) = self.charged() else { return };
        cluster.cells.responses.upstream_rq.record(status);
        let internal = self.x.request.headers.get(id::X_ENVOY_INTERNAL) == Some(b"true");
        let origin = if internal { &cluster.cells.internal } else { &cluster.cells.external };
        origin.upstream_rq.record(status);
    }

    /// The cluster whose responses the request counts among: of checks only that they came is counted.
    fn charged(&self) -> Option<&WorkerCluster> {
        let counts = self.manager.shared.dynamic_stats && !self.info.health_check;
        self.cluster.as_deref().filter(|_| counts)
    }

    /// The response went out as a whole.
    pub(super) fn completed(&mut self, leased: Leased) {
        let now = self.worker.clock.now();
        self.info.phases.upstream_response_end = Some(now);
        self.info.phases.response_end = Some(now);
        if let Some(began) = self.info.phases.upstream_request_begin {
            let us = now.nanos_since(began) / 1000;
            let ms = self.waited_since().map_or(us / 1000, |since| now.millis_since(since));
            if let Some(cluster) = self.charged() {
                cluster.cells.responses.upstream_rq_time.record(ms);
                let internal = self.x.request.headers.get(id::X_ENVOY_INTERNAL) == Some(b"true");
                let cells = &cluster.cells;
                let origin = if internal { &cells.internal } else { &cells.external };
                origin.upstream_rq_time.record(ms);
            }
            leased.host.stats.upstream_rq_time.record(us);
            if let (Some(routes), Some(route)) = (&self.routes, self.route) {
                self.worker.route_times.note(routes, route, us);
            }
        }
        if let (Some(filtering), Some(sent)) =
            (&mut self.filtering, self.info.phases.upstream_request_end)
        {
            filtering.streams.host_took(now.since(sent));
        }
        (self.info.upstream_wire_received, self.info.upstream_wire_sent) = leased.wire_bytes();
        // A connection that was to become a tunnel serves nothing else.
        if !self.request_sent || self.upgraded.is_some() {
            // The answer came first: what the host didn't take of the request is nobody's.
            if !self.server.is_received() {
                self.manager.stats.downstream_rq_response_before_rq_complete.inc();
                self.close |= self.is_left_over();
            }
            return;
        }
        self.give_back(leased);
    }

    /// The host's connection serves others.
    pub(super) fn give_back(&self, leased: Leased) {
        let http = self.cluster.as_ref().map(|c| &c.config().http);
        let max = http.map_or(0, |http| http.max_requests_per_connection);
        let age = http.and_then(|http| http.max_connection_duration);
        leased.give_back(self.worker.clock.now(), max, age);
    }

    /// Sends a local reply.
    pub(super) async fn reply(&mut self, reply: LocalReply) {
        let config = &self.manager.shared.config;
        let http10 = self.info.version == Some(Version::Http10);
        if self.host.is_some() {
            self.take_buffered_request().await;
        }
        let complete = self.server.is_received();
        if !complete {
            self.manager.stats.downstream_rq_response_before_rq_complete.inc();
        }
        // A stream of HTTP/2 ends alone.
        if !self.server.is_http2() {
            self.close |= config.closes(&reply) || !complete || self.wants_upgrade || http10;
        }
        self.info.flags.insert(reply.flags);
        self.info.details = Some(reply.details.clone());
        if !reply.cause.is_empty() {
            self.info.cause = Some(reply.cause.clone());
        }
        if self.host.is_some() && !self.by_manager {
            self.charge_cluster(reply.status);
        }
        self.info.local_reply_body = Some(reply.body.clone());
        self.shape(&reply);
        let bare = self.x.body.is_empty();
        self.finish_response(bare);
        if !bare {
            // A filter that has an answer to an answer is not asked twice.
            let _ = self.shape_whole(&mut Headers::new());
        }
        self.respond_with_body().await;
    }

    /// Sends the head, and what is in `x.body`.
    pub(super) async fn respond_with_body(&mut self) {
        let framing = framing_of(&self.x.body);
        let context = self.response_context();
        self.info.response_code = Some(self.x.response.status);
        self.close = self.server.respond(&mut self.x.response, framing, context);
        self.responded = true;
        self.send_body().await;
        self.info.phases.response_end = Some(self.worker.clock.now());
    }

    /// What of the request's body is here already is taken, so that it needn't cost the connection.
    async fn take_buffered_request(&mut self) {
        poll_fn(|cx| {
            while let Poll::Ready(Ok(Body::Data)) = self.server.poll_body(cx) {
                let n = self.server.data().len();
                self.server.consume(n);
                self.info.bytes_received += n as u64;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The reply as a response: the route's edits come first, as it is the router that answers.
    fn shape(&mut self, reply: &LocalReply) {
        let routes = self.routes.clone();
        let route = self.route.and_then(|route| routes.as_deref()?.route(route));
        let config = &self.manager.shared.config;
        let x = &mut *self.x;
        let mut edits = self.worker.edits();
        let mut facts = Facts::new(self.connection, &self.info);
        facts.request = Some(&x.request);
        facts.upstream_host = self.host.as_ref().map(|h| &h.host.address);
        config.shape_reply(reply, &facts, &mut edits.format, &mut x.response, &mut x.body);
        let Some((routes, route)) = routes.as_deref().zip(route) else { return };
        routes.table().edit_response(route, None, &mut x.response, &facts, &mut edits);
        drop(edits);
        if self.info.attempts > 0 && !self.by_manager {
            self.tell_attempts(routes, route);
        }
    }

    /// Writes the local body; a client that doesn't take it is left to the idle limit.
    async fn send_body(&mut self) {
        let mut at = 0;
        let mut woken = false;
        let sent = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            while at < self.x.body.len() {
                match self.server.poll_write(cx, &self.x.body[at..]) {
                    Poll::Ready(Ok(n)) => at += n,
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => break,
                }
            }
            if at == self.x.body.len() {
                match self.server.poll_flush(cx) {
                    Poll::Ready(done) => return Poll::Ready(done.is_ok()),
                    Poll::Pending => {}
                }
            }
            self.deadline.poll_at(cx, self.patience.until()).map(|()| false)
        })
        .await;
        self.info.bytes_sent = if self.x.request.is_head() { 0 } else { at as u64 };
        self.close |= !sent;
    }

    /// What is left of the request would be read as the next one. An HTTP/2 stream is over without it.
    pub(super) fn is_left_over(&self) -> bool {
        !self.server.is_received() && !self.server.is_http2()
    }

    /// Counts, logs, and says whether the connection must close.
    pub(super) fn conclude(&mut self) -> bool {
        self.account();
        self.close
    }

    fn account(&mut self) {
        self.concluded = true;
        let now = self.worker.clock.now();
        self.info.end = Some(now);
        let (taken, sent) = self.server.wire_bytes();
        self.info.downstream_wire_received = taken - self.wire_before.0;
        self.info.downstream_wire_sent = sent - self.wire_before.1;
        if self.responded {
            self.info.downstream_header_sent = self.server.sent_field_bytes();
        }
        let stats = &self.manager.stats;
        self.active = None;
        if self.responded && !self.info.health_check {
            stats.downstream_rq_completed.inc();
            self.manager.listener_http.downstream_rq_completed.inc();
            self.count_class(self.x.response.status);
        }
        stats.downstream_rq_time.record(now.millis_since(self.info.start));
        let logs = &self.manager.shared.access_logs;
        if !logs.is_empty() {
            self.worker.log(logs, LogType::DownstreamEnd, &self.facts());
        }
    }

    fn count_class(&self, status: u16) {
        let (http, listener) = (&self.manager.stats, &self.manager.listener_http);
        match status / 100 {
            1 => (http.downstream_rq_1xx.inc(), listener.downstream_rq_1xx.inc()),
            2 => (http.downstream_rq_2xx.inc(), listener.downstream_rq_2xx.inc()),
            3 => (http.downstream_rq_3xx.inc(), listener.downstream_rq_3xx.inc()),
            4 => (http.downstream_rq_4xx.inc(), listener.downstream_rq_4xx.inc()),
            5 => (http.downstream_rq_5xx.inc(), listener.downstream_rq_5xx.inc()),
            _ => ((), ()),
        };
    }

    /// The connection's task ended in the middle of the request.
    fn interrupted(&mut self) {
        let stats = &self.manager.stats;
        stats.downstream_cx_destroy_active_rq.inc();
        stats.downstream_cx_destroy_local_active_rq.inc();
        self.info.flags.insert(Flags::DOWNSTREAM_CONNECTION_TERMINATION);
        let details = match std::thread::panicking() {
            true => "panic",
            false => LISTENER_ENDED,
        };
        self.info.details = Some(details.into());
        self.account();
    }
}
