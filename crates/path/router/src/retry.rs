//! Which failures of a request are tried again, how often, and after which pause. Decides only: whoever asks
//! has the clock, the hosts and the circuit breaker.
//! Sources: `RetryPolicy`, and the request's `x-envoy-retry-on` and its kin.

use std::time::Duration;

use dragoman_matcher::HeaderMatcher;
use dragoman_types::headers::HeaderName;
use dragoman_types::{BackOff, Headers, IdSet, Pauses, ResponseHead, id, random_part};

/// What failed of an attempt that has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No connection to the host could be opened.
    Unconnected,
    /// The host refused the stream, and has done nothing for it (HTTP/2).
    Refused,
    /// The host, or a limit of the attempt, ended it.
    Reset,
}

/// Whether an attempt that failed is followed by another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    Yes,
    /// It's none of the failures that are tried again.
    No,
    /// There were as many as there may be.
    Spent,
}

/// A set of conditions; the bits stand in [`CONDITIONS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RetryOn(u16);

const FIVE_XX: RetryOn = RetryOn(1);
const GATEWAY_ERROR: RetryOn = RetryOn(1 << 1);
const RESET: RetryOn = RetryOn(1 << 2);
const RESET_BEFORE_REQUEST: RetryOn = RetryOn(1 << 3);
const CONNECT_FAILURE: RetryOn = RetryOn(1 << 4);
const RATELIMITED: RetryOn = RetryOn(1 << 5);
const RETRIABLE_4XX: RetryOn = RetryOn(1 << 6);
const REFUSED_STREAM: RetryOn = RetryOn(1 << 7);
const STATUS_CODES: RetryOn = RetryOn(1 << 8);
const HEADERS: RetryOn = RetryOn(1 << 9);
const CANCELLED: RetryOn = RetryOn(1 << 10);
const DEADLINE_EXCEEDED: RetryOn = RetryOn(1 << 11);
const RESOURCE_EXHAUSTED: RetryOn = RetryOn(1 << 12);
const INTERNAL: RetryOn = RetryOn(1 << 13);
const UNAVAILABLE: RetryOn = RetryOn(1 << 14);
/// Nothing to do without HTTP/3, and yet a condition.
const HTTP3_POST_CONNECT: RetryOn = RetryOn(1 << 15);

/// The words of `retry_on` and `x-envoy-retry-on`.
const CONDITIONS: [(&str, RetryOn); 11] = [
    ("5xx", FIVE_XX),
    ("gateway-error", GATEWAY_ERROR),
    ("reset", RESET),
    ("reset-before-request", RESET_BEFORE_REQUEST),
    ("connect-failure", CONNECT_FAILURE),
    ("envoy-ratelimited", RATELIMITED),
    ("retriable-4xx", RETRIABLE_4XX),
    ("refused-stream", REFUSED_STREAM),
    ("retriable-status-codes", STATUS_CODES),
    ("retriable-headers", HEADERS),
    ("http3-post-connect-failure", HTTP3_POST_CONNECT),
];

/// The words of `x-envoy-retry-grpc-on`, which `retry_on` knows too, and each one's `grpc-status`.
const GRPC_CONDITIONS: [(&str, RetryOn, u32); 5] = [
    ("cancelled", CANCELLED, 1),
    ("deadline-exceeded", DEADLINE_EXCEEDED, 4),
    ("resource-exhausted", RESOURCE_EXHAUSTED, 8),
    ("internal", INTERNAL, 13),
    ("unavailable", UNAVAILABLE, 14),
];

impl RetryOn {
    fn has(self, other: RetryOn) -> bool {
        self.0 & other.0 != 0
    }

    fn with(self, other: RetryOn) -> RetryOn {
        RetryOn(self.0 | other.0)
    }

    /// Words that are none are passed over, as in Envoy.
    fn parse(text: &[u8]) -> RetryOn {
        words(text).fold(RetryOn::default(), |set, word| {
            let found = CONDITIONS.iter().find(|(name, _)| name.as_bytes() == word);
            found.map_or(set, |(_, condition)| set.with(*condition))
        })
    }

    fn parse_grpc(text: &[u8]) -> RetryOn {
        words(text).fold(RetryOn::default(), |set, word| {
            let found = GRPC_CONDITIONS.iter().find(|(name, ..)| name.as_bytes() == word);
            found.map_or(set, |(_, condition, _)| set.with(*condition))
        })
    }

    /// `retry_on` of a configuration: the words of both kinds.
    pub(crate) fn configured(text: &str) -> RetryOn {
        RetryOn::parse(text.as_bytes()).with(RetryOn::parse_grpc(text.as_bytes()))
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Of policies that say nothing else, and of requests without one.
pub(crate) fn usual_back_off() -> BackOff {
    BackOff::new(Duration::from_millis(25), None)
}

/// A field of the response that says when the host takes requests again.
#[derive(Debug)]
pub(crate) struct ResetHeader {
    pub(crate) name: HeaderName,
    /// Seconds since 1970, rather than from now.
    pub(crate) is_timestamp: bool,
}

/// `RetryPolicy`, compiled.
#[derive(Debug)]
pub struct RetryPolicy {
    pub(crate) retry_on: RetryOn,
    pub(crate) retries: u32,
    pub(crate) codes: Box<[u32]>,
    /// Responses with one of these are tried again (`retriable_headers`).
    pub(crate) response: Box<[HeaderMatcher]>,
    /// Only requests with one of these are (`retriable_request_headers`); empty: all.
    pub(crate) request: Box<[HeaderMatcher]>,
    pub(crate) back_off: BackOff,
    pub(crate) reset_headers: Box<[ResetHeader]>,
    /// The longest pause that a host may ask for.
    pub(crate) most_asked: Duration,
    /// From the request's end, or the connection, whichever is later, to the response's end.
    pub per_try_timeout: Option<Duration>,
    /// Nothing moved for so long.
    pub per_try_idle_timeout: Option<Duration>,
    /// Other hosts than those that were tried are preferred (`previous_hosts`).
    pub avoids_previous_hosts: bool,
    /// How often another host is looked for.
    pub host_attempts: u32,
}

/// Request fields that ask for retries.
const ORDERS: IdSet = IdSet::of(&[id::X_ENVOY_RETRY_ON, id::X_ENVOY_RETRY_GRPC_ON]);

/// What is left of one request's retries.
#[derive(Debug)]
pub struct Retries<'p> {
    policy: Option<&'p RetryPolicy>,
    retry_on: RetryOn,
    left: u32,
    /// The request's own: `x-envoy-retriable-status-codes`, `x-envoy-retriable-header-names`.
    codes: Vec<u32>,
    names: Vec<HeaderName>,
    pauses: Pauses,
}

impl<'p> Retries<'p> {
    /// `request`: its fields, with the orders still on it. `None`: nothing is tried again.
    pub fn of(policy: Option<&'p RetryPolicy>, request: &Headers) -> Option<Retries<'p>> {
        let ordered = request.present().meets(ORDERS);
        if policy.is_none() && !ordered {
            return None;
        }
        let of = |name, parse: fn(&[u8]) -> RetryOn| request.get(name).map(parse);
        let mut retry_on = policy.map_or(RetryOn::default(), |policy| policy.retry_on);
        retry_on = retry_on.with(of(id::X_ENVOY_RETRY_ON, RetryOn::parse).unwrap_or_default());
        let grpc = of(id::X_ENVOY_RETRY_GRPC_ON, RetryOn::parse_grpc).unwrap_or_default();
        retry_on = retry_on.with(grpc);
        let only = policy.map_or(&[][..], |policy| &policy.request);
        let fits = only.is_empty() || only.iter().any(|matcher| matcher.matches(request));
        if retry_on == RetryOn::default() || !fits {
            return None;
        }
        let asked = request.get(id::X_ENVOY_MAX_RETRIES).and_then(number);
        let configured = policy.map_or(1, |policy| policy.retries);
        let list = |name| request.get(name).unwrap_or_default();
        let names = words(list(id::X_ENVOY_RETRIABLE_HEADER_NAMES));
        Some(Retries {
            policy,
            retry_on,
            left: asked.unwrap_or(configured),
            codes: words(list(id::X_ENVOY_RETRIABLE_STATUS_CODES)).filter_map(number).collect(),
            names: names
                .filter_map(|name| std::str::from_utf8(name).ok().filter(|name| !name.is_empty()))
                .map(HeaderName::new)
                .collect(),
            pauses: policy.map_or_else(usual_back_off, |policy| policy.back_off).pauses(),
        })
    }

    /// Whether an answer is one to try again after.
    pub fn wants_another(&mut self, response: &ResponseHead) -> Again {
        let wanted = self.is_retriable(response);
        self.spend(wanted)
    }

    /// The same for an attempt without an answer. `begun`: some attempt sent something to a host.
    pub fn wants_after(&mut self, trouble: Trouble, begun: bool) -> Again {
        let on = self.retry_on;
        let wanted = on.has(RESET.with(FIVE_XX).with(GATEWAY_ERROR))
            || (on.has(RESET_BEFORE_REQUEST) && !begun)
            || (on.has(REFUSED_STREAM) && trouble == Trouble::Refused)
            || (on.has(CONNECT_FAILURE) && trouble == Trouble::Unconnected);
        self.spend(wanted)
    }

    fn spend(&mut self, wanted: bool) -> Again {
        if !wanted {
            return Again::No;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Again::Yes
            }
            None => Again::Spent,
        }
    }

    fn is_retriable(&self, response: &ResponseHead) -> bool {
        let (on, status) = (self.retry_on, u32::from(response.status));
        let headers = &response.headers;
        if headers.contains(id::X_ENVOY_RATELIMITED) {
            return on.has(RATELIMITED);
        }
        let policy = self.policy;
        let by_code =
            || self.codes.contains(&status) || policy.is_some_and(|p| p.codes.contains(&status));
        let by_header = || {
            let matchers = policy.map_or(&[][..], |policy| &policy.response);
            matchers.iter().any(|matcher| matcher.matches(headers))
                || self.names.iter().any(|name| headers.contains(name))
        };
        (on.has(FIVE_XX) && (500..600).contains(&status))
            || (on.has(GATEWAY_ERROR) && (502..=504).contains(&status))
            || (on.has(RETRIABLE_4XX) && status == 409)
            || (on.has(STATUS_CODES) && by_code())
            || (on.has(HEADERS) && by_header())
            || self.is_retriable_grpc(headers)
    }

    /// Only what a head says counts: trailers come when the answer is already on its way.
    fn is_retriable_grpc(&self, headers: &Headers) -> bool {
        let Some(status) = headers.get(id::GRPC_STATUS).and_then(number) else { return false };
        GRPC_CONDITIONS
            .iter()
            .any(|(_, condition, code)| self.retry_on.has(*condition) && *code == status)
    }

    /// How long the host of `response` asks to be left alone (`rate_limited_retry_back_off`). `unix`: the
    /// seconds since 1970; `random`: evenly spread over all values.
    pub fn asked_pause(&self, response: &Headers, unix: u64, random: u64) -> Option<Duration> {
        let policy = self.policy?;
        let asked = |header: &ResetHeader| {
            let value: u64 = number(response.get(&header.name)?)?;
            let seconds = match header.is_timestamp {
                true => value.checked_sub(unix)?,
                false => value,
            };
            Some(Duration::from_secs(seconds)).filter(|asked| *asked <= policy.most_asked)
        };
        let asked = policy.reset_headers.iter().find_map(asked).filter(|asked| !asked.is_zero())?;
        // Not everybody comes back at the same moment.
        Some(asked + random_part(asked / 2, random))
    }

    /// The next pause that nobody asked for.
    pub fn pause(&mut self, random: u64) -> Duration {
        self.pauses.next(random)
    }

    /// Whether hosts that were tried are passed over, and how often another one is looked for.
    pub fn avoids_previous_hosts(&self) -> Option<u32> {
        let policy = self.policy.filter(|policy| policy.avoids_previous_hosts)?;
        Some(policy.host_attempts)
    }
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
