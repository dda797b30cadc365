//! How long each phase of a request may take, and which limit was passed.
//! Sources: `HttpConnectionManager.{stream_idle_timeout,request_timeout}`,
//! `RouteAction.{timeout,idle_timeout,max_stream_duration}`, `x-envoy-upstream-rq-timeout-ms`.

use std::time::Duration;

use dragoman_http_connection_manager::Config;
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
}

/// The limits of one request and where it stands in them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) route: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    request: Option<Duration>,
    pub(crate) stream: Option<Duration>,
    /// The host is told of the route's timeout.
    pub(crate) told_route: bool,
    start: Moment,
    /// Something moved last.
    active: Moment,
    request_end: Option<Moment>,
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
            start,
            active: start,
            request_end: None,
        }
    }

    pub(crate) fn moved(&mut self, now: Moment) {
        self.active = now;
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

    /// When patience ends next.
    pub(crate) fn until(&self) -> Option<Moment> {
        self.limits().into_iter().flatten().map(|(at, _)| at).min()
    }

    /// The limit that was passed by `now`, the earliest first.
    pub(crate) fn expired(&self, now: Moment) -> Option<Expired> {
        let passed = self.limits().into_iter().flatten().filter(|(at, _)| *at <= now);
        passed.min_by_key(|(at, _)| *at).map(|(_, which)| which)
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
            start,
            active: start,
            request_end: None,
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
}
