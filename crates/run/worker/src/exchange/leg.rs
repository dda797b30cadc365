//! The leg between the proxy and the host: sending the request, waiting for the answer, moving the
//! bodies. While any of it waits, the client and the clock are watched.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dragoman_cluster::Cluster;
use dragoman_codec::{Framing, Response};
use dragoman_router::Forward;
use dragoman_types::{Flags, IdSet, LocalReply, Moment, grpc, id};

use super::patience::Expired;
use super::{Exchange, Stop, replies};
use crate::client::Client;
use crate::h1::Head;
use crate::lease::Leased;
use crate::stream::{PumpError, Sink, Source, StreamError, pump};
use crate::upstream::Gone;

/// What ended the leg.
#[derive(Debug)]
pub(super) enum Failure {
    Upstream(StreamError),
    /// Status 101 where no upgrade was asked for, or a flood of interim responses.
    Unasked,
    ClientGone,
    Client(dragoman_codec::h1::ParseError),
    /// A filter answers in the middle of the request.
    Answered,
    /// A filter waits for the whole response, which is longer than what is kept.
    TooLarge,
    Expired(Expired),
}

impl Failure {
    /// The host closed without a byte of an answer.
    pub(super) fn is_unanswered_close(&self, leased: &Leased) -> bool {
        let closed = matches!(self, Failure::Upstream(StreamError::Closed | StreamError::Io));
        closed && !leased.is_answered()
    }
}

/// Interim responses that one answer may have.
const MAX_INTERIMS: u32 = 16;

/// Request fields that speak to the router.
const ROUTER_ORDERS: IdSet = IdSet::of(&[
    id::X_ENVOY_MAX_RETRIES,
    id::X_ENVOY_RETRY_ON,
    id::X_ENVOY_RETRY_GRPC_ON,
    id::X_ENVOY_RETRIABLE_STATUS_CODES,
    id::X_ENVOY_RETRIABLE_HEADER_NAMES,
    id::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
    id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE,
    id::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
]);

impl Exchange<'_> {
    /// Route, header and connection-manager settings become this request's limits.
    pub(super) fn plan_timeouts(&mut self, forward: &Forward, cluster: &Cluster) {
        let headers = &mut self.x.request.headers;
        self.patience.route = forward.timeout;
        let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        let expected = headers.get(id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS).and_then(number);
        if let Some(ms) = expected.filter(|_| self.manager.shared.respect_expected_timeout) {
            // An inner proxy's budget, already running.
            self.patience.route = Some(Duration::from_millis(ms)).filter(|d| !d.is_zero());
        } else if let Some(value) = headers.get(id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS) {
            if let Some(ms) = number(value) {
                self.patience.route = Some(Duration::from_millis(ms)).filter(|d| !d.is_zero());
            }
            headers.remove(id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS);
        }
        // The router's own orders; they end here.
        for order in headers.present().intersection(ROUTER_ORDERS).iter() {
            headers.remove(order);
        }
        if let Some(idle) = forward.idle_timeout {
            self.patience.idle = idle;
        }
        if let Some(max) = &forward.max_stream_duration {
            let own = max.limit.unwrap_or(self.patience.stream);
            self.patience.stream = max.of_grpc(grpc::timeout(headers)).or(own);
            // The host is told of this limit rather than of the route's timeout.
            self.patience.told_route = false;
            if let Some(limit) = self.patience.stream.filter(|_| grpc::is_grpc(headers)) {
                headers.set(id::GRPC_TIMEOUT, format!("{}m", limit.as_millis()).as_bytes());
            }
        }
        let limits = self.patience.stream.into_iter().chain(cluster.http.max_stream_duration);
        self.patience.stream = limits.min();
    }

    /// Awaits `future` while watching the client, the request's limits, and `until`; `None`: the
    /// moment `until` came first.
    pub(super) async fn patiently<F: Future>(
        &mut self,
        future: F,
        until: Option<Moment>,
    ) -> Result<Option<F::Output>, Stop> {
        let mut future = pin!(future);
        let mut woken = false;
        poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(Some(done)));
            }
            if let Poll::Ready(failure) = self.poll_patience(cx, until) {
                return Poll::Ready(match failure {
                    None => Ok(None),
                    Some(failure) => Err(self.stop_for(failure)),
                });
            }
            Poll::Pending
        })
        .await
    }

    /// Ready with a failure when the client is gone or a limit passed; with `None` when `until` did.
    pub(super) fn poll_patience(
        &mut self,
        cx: &mut Context<'_>,
        until: Option<Moment>,
    ) -> Poll<Option<Failure>> {
        // A "100 Continue" must not wait for a host.
        let _ = self.server.poll_flush(cx);
        if self.server.poll_gone(cx).is_ready() {
            return Poll::Ready(Some(Failure::ClientGone));
        }
        self.poll_limits(cx, until).map(|passed| passed.map(Failure::Expired))
    }

    /// Ready with a limit of the request that passed; with `None` when `until` did.
    pub(super) fn poll_limits(
        &mut self,
        cx: &mut Context<'_>,
        until: Option<Moment>,
    ) -> Poll<Option<Expired>> {
        let own = self.patience.until();
        let next = own.into_iter().chain(until).min();
        ready!(self.deadline.poll_at(cx, next));
        Poll::Ready(self.patience.expired(self.worker.clock.read()))
    }

    pub(super) fn send_head(&mut self, leased: &mut Leased) {
        self.note_connection(leased);
        let tunnel = self.upgraded.is_some();
        let framing = match self.server.is_http2() && tunnel {
            // What follows on the stream is the tunnel's.
            true => Framing::None,
            false => self.incoming.framing,
        };
        self.info.upstream_header_sent = leased.client().request(&self.x.request, framing, tunnel);
        (self.request_sent, self.request_finished) = (false, false);
        self.request_refused = false;
    }

    /// There is a connection to the host.
    #[inline]
    pub(super) fn note_connection(&mut self, leased: &mut Leased) {
        let now = self.worker.clock.now();
        let (info, client) = (&mut self.info, leased.client());
        info.phases.upstream_connect_end = Some(now);
        info.phases.upstream_request_begin = Some(now);
        let (id, local, tls) = client.connection();
        info.upstream_local = local.clone();
        info.upstream_connection_id = Some(id);
        info.upstream_tls = tls.clone();
    }

    /// Moves the request on; errors of the host's side are left to its answer.
    pub(super) fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
    ) -> Result<(), Failure> {
        if self.request_sent || self.request_refused {
            return Ok(());
        }
        if self.upgraded.is_some() && (self.server.is_http2() || client.wire().is_none()) {
            // What follows on the stream waits for the host's agreement.
            match client.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.request_sent = true,
                Poll::Ready(Err(_)) => self.request_refused = true,
                Poll::Pending => {}
            }
            return Ok(());
        }
        let before = self.info.bytes_received;
        let moved = &mut self.info.bytes_received;
        let finished = &mut self.request_finished;
        let pumped = match &mut self.filtering {
            None => pump(&mut self.server, client, moved, finished, cx),
            Some(filtering) => {
                let source = &mut filtering.request(&mut self.server);
                let pumped = pump(source, client, &mut 0, finished, cx);
                *moved = filtering.request.taken;
                pumped
            }
        };
        let whole = self.server.is_received() && !self.patience.is_request_ended();
        if whole && !(self.upgraded.is_some() && self.is_connect()) {
            let now = self.worker.clock.now();
            self.patience.request_ended(now);
            if self.upgraded.is_none() {
                self.info.phases.request_end = Some(now);
            }
        }
        match pumped {
            Poll::Ready(Ok(())) => {
                self.request_sent = true;
                if self.upgraded.is_none() {
                    self.info.phases.upstream_request_end = Some(self.worker.clock.now());
                }
            }
            Poll::Ready(Err(PumpError::Sink)) => self.request_refused = true,
            Poll::Ready(Err(PumpError::Source(error))) => {
                return Err(match error {
                    StreamError::Answered => Failure::Answered,
                    StreamError::Protocol(error) => Failure::Client(error),
                    _ => Failure::ClientGone,
                });
            }
            Poll::Pending if before != self.info.bytes_received => {
                self.patience.moved(self.worker.clock.now());
            }
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Sends the request and waits for the answer's head.
    pub(super) async fn until_answer(&mut self, leased: &mut Leased) -> Result<Response, Failure> {
        let mut woken = false;
        poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            self.poll_request(cx, leased.client())?;
            loop {
                match leased.client().poll_head(cx, &mut self.x.response) {
                    Poll::Ready(Ok(Head::Interim)) => {
                        self.interims += 1;
                        if self.interims > MAX_INTERIMS {
                            return Poll::Ready(Err(Failure::Unasked));
                        }
                        self.interim();
                        let _ = self.server.poll_flush(cx);
                    }
                    Poll::Ready(Ok(Head::Final(_)))
                        if self.x.response.status == 101 && !self.may_switch() =>
                    {
                        return Poll::Ready(Err(Failure::Unasked));
                    }
                    Poll::Ready(Ok(Head::Final(found))) => {
                        self.info.upstream_header_received = found.field_bytes;
                        return Poll::Ready(Ok(found));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::Upstream(error))),
                    Poll::Pending => break,
                }
            }
            self.poll_patience(cx, None).map(|f| Err(f.unwrap_or(Failure::ClientGone)))
        })
        .await
    }

    /// An interim response: the host's "100 Continue" is passed on if the client was left waiting
    /// for it, the others end here.
    fn interim(&mut self) {
        let proxied = self.manager.shared.config.proxy_100_continue && self.interims == 1;
        if self.x.response.status == 100 && proxied && self.incoming.expect_continue {
            self.server.interim(&self.x.response);
        }
    }

    /// Moves what is left of both bodies.
    pub(super) async fn until_complete(&mut self, leased: &mut Leased) -> Result<(), Stop> {
        let mut woken = false;
        let outcome = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            if let Err(failure) = self.poll_request(cx, leased.client()) {
                return Poll::Ready(Err(failure));
            }
            let before = self.info.bytes_sent;
            let moved = &mut self.info.bytes_sent;
            let finished = &mut self.response_finished;
            let pumped = match &mut self.filtering {
                None => pump(leased.client(), &mut self.server, moved, finished, cx),
                Some(filtering) => {
                    let source = &mut filtering.response(leased.client());
                    pump(source, &mut self.server, moved, finished, cx)
                }
            };
            match pumped {
                Poll::Ready(Ok(())) => {
                    self.keep_trailers(leased);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(PumpError::Source(error))) => {
                    return Poll::Ready(Err(Failure::Upstream(error)));
                }
                Poll::Ready(Err(PumpError::Sink)) => {
                    return Poll::Ready(Err(Failure::ClientGone));
                }
                Poll::Pending => {}
            }
            if before != self.info.bytes_sent {
                self.patience.moved(self.worker.clock.now());
            }
            // A long transfer is seen while it goes on.
            self.server.count_bytes(self.manager);
            leased.count_bytes();
            self.poll_patience(cx, None).map(|f| Err(f.unwrap_or(Failure::ClientGone)))
        })
        .await;
        outcome.map_err(|failure| {
            leased.fate = failure.fate();
            self.stop_for(failure)
        })
    }

    /// For the logs, which come later than the host's stream ends.
    fn keep_trailers(&mut self, leased: &mut Leased) {
        if self.manager.shared.access_logs.is_empty() {
            return;
        }
        let client = leased.client();
        let found = match &mut self.filtering {
            None => client.trailers(),
            Some(filtering) => filtering.response.trailers(),
        };
        self.x.trailers.clear();
        if let Some(found) = found {
            self.x.trailers.clone_from(found);
        }
    }

    /// The leg ended before an answer: count it and say how to stop.
    pub(super) fn failed(&mut self, mut leased: Leased, failure: Failure) -> Stop {
        leased.fate = failure.fate();
        let stats = &leased.host.cluster.stats;
        match &failure {
            Failure::Upstream(StreamError::Protocol(_)) | Failure::Unasked => {
                stats.upstream_cx_protocol_error.inc();
            }
            Failure::Upstream(StreamError::Refused | StreamError::Reset) => {
                stats.upstream_rq_rx_reset.inc();
            }
            Failure::Expired(Expired::Route(_)) => {
                stats.upstream_rq_timeout.inc();
                leased.host.stats.rq_timeout.inc();
            }
            _ => {}
        }
        if matches!(failure, Failure::Upstream(_)) {
            leased.host.stats.rq_error.inc();
        }
        let partial = leased.is_answered();
        match failure {
            // Half a head is no head: the host broke the protocol rather than went away.
            Failure::Upstream(StreamError::Closed) if partial => {
                stats.upstream_cx_protocol_error.inc();
                replies::upstream_protocol("the connection ended within the head").into()
            }
            other => self.stop_for(other),
        }
    }

    pub(super) fn stop_for(&mut self, failure: Failure) -> Stop {
        if self.responded {
            return self.cut(failure);
        }
        let reply: LocalReply = match failure {
            Failure::Upstream(StreamError::Protocol(error)) => {
                replies::upstream_protocol(error.text())
            }
            Failure::Upstream(StreamError::Http2 | StreamError::Unsayable) => {
                replies::upstream_protocol("HTTP/2 doesn't allow what the host sent")
            }
            Failure::Upstream(StreamError::Broken(broken)) => LocalReply::new(502, broken.0),
            Failure::Upstream(StreamError::Refused) => replies::reset_by_host("refused stream"),
            Failure::Upstream(StreamError::Reset) => replies::reset_by_host(""),
            Failure::Upstream(_) => replies::terminated(),
            Failure::Unasked => replies::upstream_protocol("101 without an upgrade"),
            Failure::ClientGone => return self.client_gone(),
            Failure::Client(error) => replies::malformed(error),
            Failure::Answered => {
                let answer = self.filtering.as_mut().and_then(|filtering| filtering.answer.take());
                answer.unwrap_or_else(|| LocalReply::new(500, "filter_answered_nothing"))
            }
            Failure::TooLarge => {
                self.manager.stats.rs_too_large.inc();
                let filtering = self.filtering.as_mut();
                let answer = filtering.and_then(|f| f.streams.response_too_large());
                answer.unwrap_or_else(|| LocalReply::new(500, "response_payload_too_large"))
            }
            Failure::Expired(which) => {
                self.count_expired(which);
                replies::expired(which, self.patience.is_request_ended())
            }
        };
        reply.into()
    }

    /// The response can't be completed: only flags and the connection's end can say so.
    fn cut(&mut self, failure: Failure) -> Stop {
        let (flags, details) = match failure {
            Failure::Upstream(StreamError::Broken(broken)) => (Flags::NONE, broken.0),
            Failure::Upstream(_) | Failure::Unasked => (
                Flags::UPSTREAM_PROTOCOL_ERROR,
                "upstream_reset_after_response_started{protocol_error}",
            ),
            Failure::ClientGone => return self.client_gone(),
            Failure::Answered | Failure::TooLarge => {
                (Flags::NONE, "local_reply_after_response_started")
            }
            Failure::Client(error) => (Flags::DOWNSTREAM_PROTOCOL_ERROR, error.details()),
            Failure::Expired(which) => {
                self.count_expired(which);
                match which {
                    Expired::Route(_) => (Flags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout"),
                    Expired::Idle(_) => (Flags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout"),
                    Expired::Request(_) => (Flags::NONE, "request_overall_timeout"),
                    Expired::Stream(_) => (Flags::NONE, "max_duration_timeout"),
                }
            }
        };
        self.info.flags.insert(flags);
        self.info.details = Some(details.into());
        if flags == Flags::UPSTREAM_PROTOCOL_ERROR {
            self.manager.stats.rq_reset_after_downstream_response_started.inc();
        }
        self.manager.stats.downstream_rq_tx_reset.inc();
        Stop::Cut
    }

    fn client_gone(&mut self) -> Stop {
        self.info.flags.insert(Flags::DOWNSTREAM_CONNECTION_TERMINATION);
        self.info.details = Some("downstream_remote_disconnect".into());
        self.manager.stats.downstream_rq_rx_reset.inc();
        Stop::Gone
    }

    fn count_expired(&mut self, which: Expired) {
        let stats = &self.manager.stats;
        match which {
            Expired::Idle(_) => stats.downstream_rq_idle_timeout.inc(),
            Expired::Request(_) => stats.downstream_rq_timeout.inc(),
            Expired::Stream(_) => stats.downstream_rq_max_duration_reached.inc(),
            Expired::Route(_) => {}
        }
    }
}

impl Failure {
    pub(super) fn fate(&self) -> Gone {
        match self {
            Failure::Upstream(StreamError::Closed | StreamError::Io) => Gone::RemoteActive,
            _ => Gone::LocalActive,
        }
    }
}
