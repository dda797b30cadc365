//! Another attempt after one that failed: whether there is one, after which pause, at which host.

use std::future::pending;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use dragoman_codec::{Framing, Response};
use dragoman_router::{Again, Forward, Retries, Route, Trouble, VirtualHost};
use dragoman_stats::Gauge;
use dragoman_types::{Flags, Phases, Priority, id};

use super::failure::Failure;
use super::kept::Kept;
use super::patience::Expired;
use super::{Admitted, Answer, Exchange, Stop};
use crate::client::Client;
use crate::context::WorkerRoutes;
use crate::lease::Leased;
use crate::stats::ClusterLoad;
use crate::stream::{Body, Source, StreamError};
use crate::upstream::{ClusterCells, WorkerCluster, WorkerHost};

/// Of an answer that is not passed on, so much is read for its connection's sake.
const READ_OUT: usize = 64 << 10;

/// Where attempts go: the cluster, what the route says, route edits, and the place in the cluster.
type Means<'m> =
    (&'m WorkerCluster, &'m Forward, (&'m WorkerRoutes, &'m Route), &'m mut Option<Admitted>);

/// The attempts of a request that may have several.
pub(super) struct Attempts<'r> {
    retries: Retries<'r>,
    /// The present one is a retry.
    retry: Option<Retry>,
    /// Hosts that had one, where the policy asks.
    tried: Vec<Rc<WorkerHost>>,
    /// One of them sent something to a host.
    begun: bool,
    /// The pause before the next one.
    pause: Duration,
    /// A limit of the last one passed.
    timed_out: bool,
}

impl Attempts<'_> {
    /// Whether the policy would rather have another host, `looked` of which were passed over already.
    pub(super) fn passes_over(&self, host: &Rc<WorkerHost>, looked: u32) -> bool {
        let most = self.retries.avoids_previous_hosts();
        most.is_some_and(|most| looked < most) && self.tried.iter().any(|h| Rc::ptr_eq(h, host))
    }

    pub(super) fn tries(&mut self, host: &Rc<WorkerHost>) {
        if self.retries.avoids_previous_hosts().is_some() {
            self.tried.push(host.clone());
        }
    }
}

/// A retry that counts against the circuit breaker.
struct Retry(Rc<ClusterCells>, Priority);

impl Retry {
    fn new(cluster: &WorkerCluster, priority: Priority) -> Retry {
        cluster.cells.load(priority).retries.inc();
        Retry(cluster.cells.clone(), priority)
    }
}

impl Drop for Retry {
    fn drop(&mut self) {
        self.0.load(self.1).retries.dec();
    }
}

impl Exchange<'_> {
    /// What route and request say of further attempts; asked before the request's orders are taken off it.
    pub(super) fn plan_attempts<'r>(&mut self, forward: &'r Forward) -> Option<Box<Attempts<'r>>> {
        let retries = Retries::of(forward.retry.as_deref(), &self.x.request.headers)?;
        // Filters may make a body of none.
        if !self.server.is_received() || self.filtering.is_some() {
            let most = forward.kept_body.unwrap_or_else(|| self.buffer_limit());
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            self.kept = Some(Box::new(Kept::new(most, self.worker.kept.clone())));
        }
        Some(Box::new(Attempts {
            retries,
            retry: None,
            tried: Vec::new(),
            begun: false,
            pause: Duration::ZERO,
            timed_out: false,
        }))
    }

    /// Bytes of a request's body that are kept, unless the route says.
    fn buffer_limit(&self) -> u64 {
        match self.server.is_http2() {
            true => self.manager.shared.config.http2.initial_stream_window_size.into(),
            false => self.listener.shared.buffer_limit.into(),
        }
    }

    /// Attempts, after the first, until one has an answer that is passed on.
    pub(super) async fn until_accepted(
        &mut self,
        mut last: Result<Answer, Failure>,
        mut attempts: Option<Box<Attempts<'_>>>,
        (cluster, forward, way, admitted): Means<'_>,
    ) -> Result<Answer, Stop> {
        let of = (cluster, forward.priority);
        loop {
            match last {
                Ok((leased, response))
                    if !self.tries_again_after_answer(&mut attempts, of, &leased, response) =>
                {
                    self.kept.iter_mut().for_each(|kept| kept.stop());
                    return Ok((leased, response));
                }
                Ok((leased, response)) => self.let_go(leased, response),
                Err(failure) if self.tries_again_after(&mut attempts, of, &failure) => {}
                Err(failure) => return Err(self.stop_for(failure)),
            }
            *admitted = None;
            self.back_off(attempts.as_deref(), way).await?;
            *admitted = Some(self.admit(cluster, forward.priority)?);
            last = self.attempt(cluster, forward, attempts.as_deref_mut()).await;
        }
    }

    /// Whether an answer is followed by another attempt rather than passed on. (`None`: what was to be had is a
    /// connection, and here it is.)
    fn tries_again_after_answer(
        &mut self,
        attempts: &mut Option<Box<Attempts<'_>>>,
        (cluster, priority): (&WorkerCluster, Priority),
        leased: &Leased,
        response: Option<Response>,
    ) -> bool {
        let Some(found) = self.retriable(attempts) else { return false };
        let again = match response {
            Some(_) => found.retries.wants_another(&self.x.response),
            None => Again::No,
        };
        if !self.decide(found, (cluster, priority), again) {
            return false;
        }
        let wall = self.worker.clock.wall(self.worker.clock.now());
        let unix = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let random = self.worker.random();
        let asked = found.retries.asked_pause(&self.x.response.headers, unix, random);
        self.plan_pause(found, cluster, asked);
        found.timed_out = false;
        leased.host.stats.rq_error.inc();
        if self.manager.shared.dynamic_stats {
            cluster.cells.retry.upstream_rq.record(self.x.response.status);
        }
        true
    }

    /// Whether a failure is followed by another attempt.
    fn tries_again_after(
        &mut self,
        attempts: &mut Option<Box<Attempts<'_>>>,
        (cluster, priority): (&WorkerCluster, Priority),
        failure: &Failure,
    ) -> bool {
        let Some(trouble) = failure.trouble() else { return false };
        let Some(found) = self.retriable(attempts) else { return false };
        found.begun |= self.info.phases.upstream_request_begin.is_some();
        let again = found.retries.wants_after(trouble, found.begun);
        if !self.decide(found, (cluster, priority), again) {
            return false;
        }
        self.plan_pause(found, cluster, None);
        found.timed_out = matches!(failure, Failure::Expired(_));
        true
    }

    /// There is another attempt only if nothing of the request is lost. After an interim response there is
    /// none, as in Envoy: the client may have seen it.
    fn retriable<'a, 'r>(
        &mut self,
        attempts: &'a mut Option<Box<Attempts<'r>>>,
    ) -> Option<&'a mut Attempts<'r>> {
        if self.interims > 0 || self.kept.as_ref().is_some_and(|kept| kept.is_overflowed()) {
            *attempts = None;
        }
        attempts.as_deref_mut()
    }

    fn decide(
        &mut self,
        attempts: &mut Attempts<'_>,
        (cluster, priority): (&WorkerCluster, Priority),
        again: Again,
    ) -> bool {
        let stats = &cluster.cells.stats;
        let was_retry = attempts.retry.take().is_some();
        match again {
            Again::No if was_retry => stats.upstream_rq_retry_success.inc(),
            Again::No => {}
            Again::Spent => {
                stats.upstream_rq_retry_limit_exceeded.inc();
                self.info.flags.insert(Flags::UPSTREAM_RETRY_LIMIT_EXCEEDED);
            }
            Again::Yes => {
                let sum = |of: fn(&ClusterLoad) -> &Gauge| cluster.cells.sum(priority, of);
                let requests = sum(|load| &load.requests) + sum(|load| &load.pending);
                let limits = &cluster.config().thresholds[priority as usize];
                if sum(|load| &load.retries) < limits.most_retries(requests) {
                    attempts.retry = Some(Retry::new(cluster, priority));
                    stats.upstream_rq_retry.inc();
                    return true;
                }
                stats.upstream_rq_retry_overflow.inc();
                self.info.flags.insert(Flags::UPSTREAM_OVERFLOW);
            }
        }
        false
    }

    fn plan_pause(
        &self,
        attempts: &mut Attempts<'_>,
        cluster: &WorkerCluster,
        asked: Option<Duration>,
    ) {
        let stats = &cluster.cells.stats;
        match asked {
            Some(_) => stats.upstream_rq_retry_backoff_ratelimited.inc(),
            None => stats.upstream_rq_retry_backoff_exponential.inc(),
        }
        let random = self.worker.random();
        attempts.pause = asked.unwrap_or_else(|| attempts.retries.pause(random));
    }

    /// The answer in `x.response` goes no further. A short one costs no connection.
    fn let_go(&mut self, mut leased: Leased, response: Option<Response>) {
        let Some(response) = response else { return };
        let bare = matches!(response.framing, Framing::None | Framing::Length(0));
        let whole = bare || read_out(leased.client());
        if whole && self.request_sent && self.upgraded.is_none() {
            self.give_back(leased);
        }
    }

    /// Waits for the next attempt's turn, and makes ready for it.
    async fn back_off(
        &mut self,
        attempts: Option<&Attempts<'_>>,
        (routes, route): (&WorkerRoutes, &Route),
    ) -> Result<(), Stop> {
        let Some(attempts) = attempts else { return Ok(()) };
        self.patience.attempt_over();
        let until = self.worker.clock.read().after(attempts.pause);
        self.patiently(pending::<()>(), Some(until)).await?;
        if let Some(kept) = &mut self.kept {
            kept.again();
        }
        let request_end = self.info.phases.request_end;
        self.info.phases = Phases { request_end, ..Phases::default() };
        // What the last host's connection was is not the next one's.
        (self.info.upstream_local, self.info.upstream_tls) = (None, None);
        (self.info.upstream_connection_id, self.info.upstream_transport_failure) = (None, None);
        let host = routes.table().virtual_hosts().get(route.virtual_host());
        if host.is_some_and(VirtualHost::include_request_attempt_count) {
            let mut digits = itoa::Buffer::new();
            let count = digits.format(self.info.attempts + 1).as_bytes();
            self.x.request.headers.set(id::X_ENVOY_ATTEMPT_COUNT, count);
        }
        if host.is_some_and(VirtualHost::include_is_timeout_retry_header) {
            let told: &[u8] = if attempts.timed_out { b"true" } else { b"false" };
            self.x.request.headers.set(id::X_ENVOY_IS_TIMEOUT_RETRY, told);
        }
        self.tell_timeout();
        Ok(())
    }
}

/// Reads what is left of an answer, if it is here and short; says whether that was all.
fn read_out(client: &mut Client) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let mut left = READ_OUT;
    while let Poll::Ready(Ok(found)) = client.poll_body(&mut cx) {
        if found == Body::End {
            return true;
        }
        let n = client.data().len();
        client.consume(n);
        left = left.saturating_sub(n);
        if left == 0 {
            break;
        }
    }
    false
}

impl Failure {
    /// What may be tried again of it, if anything.
    fn trouble(&self) -> Option<Trouble> {
        match self {
            Failure::Unconnected(_) => Some(Trouble::Unconnected),
            Failure::Upstream(StreamError::Refused | StreamError::Unseen) => Some(Trouble::Refused),
            Failure::Upstream(StreamError::Answered | StreamError::Broken(_)) => None,
            Failure::Upstream(_) | Failure::HalfHead | Failure::Unasked => Some(Trouble::Reset),
            Failure::Expired(Expired::Try(_) | Expired::TryIdle(_)) => Some(Trouble::Reset),
            Failure::Expired(_)
            | Failure::ClientGone
            | Failure::Client(_)
            | Failure::Answered
            | Failure::TooLarge
            | Failure::Stopped(_) => None,
        }
    }
}
