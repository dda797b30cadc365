//! How long each phase of a request may take, and which limit was passed.
//! Sources: `HttpConnectionManager.{stream_idle_timeout,request_timeout}`,
//! `RouteAction.{timeout,idle_timeout,max_stream_duration}`, `x-envoy-upstream-rq-timeout-ms`.

use std::time::Duration;

use dragoman_http_connection_manager::Config;
use dragoman_router::RetryPolicy;
use dragoman_types::Moment;

/// A limit that was passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expired {
    /// The route's timeout: from the request's end to the response's.
    Route(Duration),
    /// Nothing moved for so long.
    Idle(Duration),
    /// The request took too long to come.
    Request(Duration),
    /// The whole stream took too long.
    Stream(Duration),
    /// One attempt took too long.
    Try(Duration),
    /// Nothing moved for so long in one attempt.
    TryIdle(Duration),
}

impl Expired {
    /// The router's limit, so its cluster and its host have a part in it.
    pub(crate) fn is_of_route(self) -> bool {
        matches!(self, Expired::Route(_) | Expired::Try(_) | Expired::TryIdle(_))
    }
}

/// The limits of one request and where it stands in them.
#[derive(Debug)]
pub(crate) struct Patience {
    pub(crate) route: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    request: Option<Duration>,
    pub(crate) stream: Option<Duration>,
    /// The host is told of the route's timeout.
    pub(crate) told_route: bool,
    /// So are gRPC hosts, in gRPC's own field.
    pub(crate) told_grpc: bool,
    start: Moment,
    /// Something moved last.
    active: Moment,
    request_end: Option<Moment>,
    /// Each attempt has limits of its own. Boxed, as few requests have them.
    attempt: Option<Box<Attempt>>,
}

/// `per_try_timeout` and `per_try_idle_timeout`.
#[derive(Debug)]
struct Attempt {
    limit: Option<Duration>,
    idle: Option<Duration>,
    /// It has a connection.
    began: Option<Moment>,
}

impl Patience {
    /// Before the route is known.
    pub(crate) fn new(start: Moment, config: &Config) -> Patience {
        Patience {
            route: None,
            idle: config.timeouts.stream_idle,
            request: config.timeouts.request,
            stream: config.timeouts.max_stream,
            told_route: true,
            told_grpc: false,
            start,
            active: start,
            request_end: None,
            attempt: None,
        }
    }

    /// `asked`: `x-envoy-upstream-rq-per-try-timeout-ms`, which goes before the policy's.
    pub(crate) fn plan_attempts(&mut self, policy: Option<&RetryPolicy>, asked: Option<Duration>) {
        let limit = asked.or(policy.and_then(|policy| policy.per_try_timeout));
        let limit = limit.filter(|limit| !limit.is_zero());
        // As in Envoy, one that is no less than the whole request's is none.
        let limit = limit.filter(|limit| self.route.is_none_or(|route| *limit < route));
        let idle = policy.and_then(|policy| policy.per_try_idle_timeout);
        if limit.is_some() || idle.is_some() {
            self.attempt = Some(Box::new(Attempt { limit, idle, began: None }));
        }
    }

    #[inline]
    pub(crate) fn attempt_began(&mut self, now: Moment) {
        if let Some(attempt) = &mut self.attempt {
            attempt.began = Some(now);
        }
    }

    /// The answer has begun: its attempt may last as long as things move.
    #[inline]
    pub(crate) fn attempt_answered(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.limit = None;
        }
    }

    pub(crate) fn attempt_over(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.began = None;
        }
    }

    /// How long a host has for an attempt that begins now, if it's told.
    #[inline]
    pub(crate) fn told(&self, now: Moment) -> Option<Duration> {
        let whole = self.route.filter(|_| self.told_route);
        if self.attempt.is_none() && self.request_end.is_none_or(|end| end == now) {
            return whole;
        }
        let limit = self.attempt.as_ref().and_then(|attempt| attempt.limit);
        let elapsed =
            Duration::from_millis(self.request_end.map_or(0, |end| now.millis_since(end)));
        // Zero would mean that there is no limit.
        let left = whole.map(|whole| whole.saturating_sub(elapsed).max(Duration::from_millis(1)));
        limit.filter(|_| self.told_route).into_iter().chain(left).min()
    }

    pub(crate) fn moved(&mut self, now: Moment) {
        self.active = now;
    }

    /// As [`Patience::moved`], if it was any.
    pub(crate) fn moved_some(&mut self, bytes: u64, now: Moment) {
        if bytes > 0 {
            self.moved(now);
        }
    }

    pub(crate) fn request_ended(&mut self, now: Moment) {
        self.request_end = Some(now);
        self.active = now;
    }

    /// What looked like its end was none: the route's timeout, which counts from there, is over.
    pub(crate) fn request_goes_on(&mut self) {
        self.request_end = None;
    }

    pub(crate) fn is_request_ended(&self) -> bool {
        self.request_end.is_some()
    }

    fn limits(&self) -> [Option<(Moment, Expired)>; 4] {
        let at = |from: Option<Moment>, limit: Option<Duration>, kind: fn(Duration) -> Expired| {
            let (from, limit) = (from?, limit?);
            Some((from.after(limit), kind(limit)))
        };
        let request_start = if self.request_end.is_none() { Some(self.start) } else { None };
        [
            at(self.request_end, self.route, Expired::Route),
            at(Some(self.active), self.idle, Expired::Idle),
            at(request_start, self.request, Expired::Request),
            at(Some(self.start), self.stream, Expired::Stream),
        ]
    }

    fn attempt_limits(&self, attempt: &Attempt) -> impl Iterator<Item = (Moment, Expired)> {
        let whole = || {
            let from = self.request_end?.max(attempt.began?);
            let limit = attempt.limit?;
            Some((from.after(limit), Expired::Try(limit)))
        };
        let idle = || {
            let limit = attempt.idle?;
            Some((self.active.max(attempt.began?).after(limit), Expired::TryIdle(limit)))
        };
        [whole(), idle()].into_iter().flatten()
    }

    /// When patience ends next.
    pub(crate) fn until(&self) -> Option<Moment> {
        let own = self.limits().into_iter().flatten().map(|(at, _)| at).min();
        let Some(attempt) = &self.attempt else { return own };
        self.attempt_limits(attempt).map(|(at, _)| at).chain(own).min()
    }

    /// The limit that was passed by `now`, the earliest first.
    pub(crate) fn expired(&self, now: Moment) -> Option<Expired> {
        let passed = |(at, _): &(Moment, Expired)| *at <= now;
        let own = self.limits().into_iter().flatten();
        let first = match &self.attempt {
            None => own.filter(passed).min_by_key(|(at, _)| *at),
            Some(attempt) => {
                let all = own.chain(self.attempt_limits(attempt));
                all.filter(passed).min_by_key(|(at, _)| *at)
            }
        };
        first.map(|(_, which)| which)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(start: Moment) -> Patience {
        Patience {
            route: Some(Duration::from_secs(15)),
            idle: Some(Duration::from_secs(5)),
            request: Some(Duration::from_secs(3)),
            stream: None,
            told_route: true,
            told_grpc: false,
            start,
            active: start,
            request_end: None,
            attempt: None,
        }
    }

    #[test]
    fn each_limit_counts_from_its_own_moment() {
        let start = Moment::START;
        let s = |n| start.after(Duration::from_secs(n));
        let mut p = patience(start);
        assert_eq!(p.until(), Some(s(3)));
        assert_eq!(p.expired(s(4)), Some(Expired::Request(Duration::from_secs(3))));
        p.request_ended(s(2));
        assert_eq!(p.until(), Some(s(7)));
        p.moved(s(16));
        assert_eq!(p.until(), Some(s(17)));
        assert_eq!(p.expired(s(17)), Some(Expired::Route(Duration::from_secs(15))));
        assert_eq!(p.expired(s(16)), None);
    }

    #[test]
    fn an_attempt_has_limits_once_it_has_a_connection_and_the_request() {
        let start = Moment::START;
        let s = |n| start.after(Duration::from_secs(n));
        let mut p = patience(start);
        (p.request, p.idle) = (None, None);
        p.plan_attempts(None, Some(Duration::from_secs(2)));
        p.attempt_began(s(1));
        assert_eq!(p.until(), None);
        p.request_ended(s(4));
        assert_eq!(p.expired(s(6)), Some(Expired::Try(Duration::from_secs(2))));
        assert_eq!(p.told(s(4)), Some(Duration::from_secs(2)));
        p.attempt_over();
        assert_eq!(p.until(), Some(s(19)));
        p.attempt_began(s(18));
        assert_eq!(p.expired(s(19)), Some(Expired::Route(Duration::from_secs(15))));
        assert_eq!(p.told(s(18)), Some(Duration::from_secs(1)));
        assert_eq!(p.told(s(30)), Some(Duration::from_millis(1)));
    }

    #[test]
    fn an_attempt_that_may_last_as_long_as_the_request_has_no_limit() {
        let mut p = patience(Moment::START);
        p.plan_attempts(None, Some(Duration::from_secs(15)));
        assert!(p.attempt.is_none());
    }
}
