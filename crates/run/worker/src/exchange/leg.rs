//! The leg between the proxy and the host: sending the request, waiting for the answer, moving the
//! bodies. While any of it waits, the client and the clock are watched.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dragoman_cluster::Cluster;
use dragoman_codec::{Framing, Response};
use dragoman_router::Forward;
use dragoman_types::{IdSet, Moment, grpc, id};

use super::failure::Failure;
use super::patience::Expired;
use super::{Exchange, Stop};
use crate::client::Client;
use crate::h1::Head;
use crate::lease::Leased;
use crate::stream::{PumpError, Sink, Source, StreamError, pump};

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
        let grpc = forward.grpc_timeout.as_ref().filter(|_| forward.max_stream_duration.is_none());
        if let Some(limit) = grpc.filter(|_| grpc::is_grpc(headers)) {
            self.patience.route = limit.of(grpc::timeout(headers));
            self.patience.told_grpc = true;
        }
        let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        let asked = headers.get(id::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS).and_then(number);
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
        if asked.is_some() || forward.retry.is_some() {
            let asked = asked.map(Duration::from_millis);
            self.patience.plan_attempts(forward.retry.as_deref(), asked);
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
        (self.request_refused, self.interims) = (false, 0);
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
        self.patience.attempt_began(now);
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
        let pumped = self.pump_request(cx, client);
        if self.kept.as_mut().is_some_and(|kept| kept.overflows())
            && let Some(cluster) = &self.cluster
        {
            cluster.cells.stats.retry_or_shadow_abandoned.inc();
        }
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

    fn pump_request(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
    ) -> Poll<Result<(), PumpError>> {
        let (server, finished) = (&mut self.server, &mut self.request_finished);
        let moved = &mut self.info.bytes_received;
        // What is sent again moves too, though the client sent nothing.
        let mut again = 0;
        match (&mut self.filtering, &mut self.kept) {
            (None, None) => pump(server, client, moved, finished, cx),
            (Some(filtering), None) => {
                let pumped = pump(&mut filtering.request(server), client, &mut 0, finished, cx);
                *moved = filtering.request.taken;
                pumped
            }
            (None, Some(kept)) => {
                let pumped = pump(&mut kept.replay(server), client, &mut again, finished, cx);
                *moved = kept.taken;
                self.patience.moved_some(again, self.worker.clock.now());
                pumped
            }
            (Some(filtering), Some(kept)) => {
                let mut source = filtering.request(server);
                let pumped = pump(&mut kept.replay(&mut source), client, &mut again, finished, cx);
                *moved = filtering.request.taken;
                self.patience.moved_some(again, self.worker.clock.now());
                pumped
            }
        }
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
}
