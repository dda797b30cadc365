//! `RouteAction`: which cluster a request goes to, and the limits that the route sets.

use std::sync::Arc;
use std::time::Duration;

use dragoman_proxy_protocol::ProxyProtocol;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Priority, RequestHead};

use crate::hash::HashPolicy;
use crate::retry::RetryPolicy;
use crate::rewrite::{HostRewrite, PathRewrite};
use dragoman_edits::Edits;

/// Forwards to a cluster.
#[derive(Debug)]
pub struct Forward {
    pub(crate) choice: Choice,
    pub(crate) rewrite: Option<Box<Rewrite>>,
    /// After a host is picked, its name becomes the authority ([`Forward::use_host_name`]).
    pub auto_host_rewrite: bool,
    pub append_x_forwarded_host: bool,
    /// From the request's end to the response's end; `None` = off. 15 s unless set.
    pub timeout: Option<Duration>,
    /// Whether `timeout` was set, or is the default.
    pub timeout_is_set: bool,
    /// `None`: the connection manager's stream idle timeout holds. `Some(None)`: off.
    pub idle_timeout: Option<Option<Duration>>,
    pub max_stream_duration: Option<Box<MaxStreamDuration>>,
    /// Of gRPC calls, whose own timeouts then count (`max_grpc_timeout`, which Envoy calls deprecated); has no
    /// effect beside `max_stream_duration`.
    pub grpc_timeout: Option<Box<GrpcTimeout>>,
    /// The answer's status where the cluster doesn't exist: 503, 404 or 500.
    pub cluster_not_found_status: u16,
    pub priority: Priority,
    pub upgrades: Box<[Upgrade]>,
    /// The route's policy, or its virtual host's.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Bytes of the request's body that are kept for another attempt; `None`: as many as the connection's
    /// buffer holds.
    pub kept_body: Option<u64>,
    /// What the host is chosen by, where the cluster's policy is by hash.
    pub hash: Option<Box<HashPolicy>>,
}

/// What becomes of authority and path.
#[derive(Debug, Default)]
pub(crate) struct Rewrite {
    pub(crate) host: HostRewrite,
    pub(crate) path: PathRewrite,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MaxStreamDuration {
    /// `None`: the connection manager's limit holds. `Some(None)`: off.
    pub limit: Option<Option<Duration>>,
    /// Caps `grpc-timeout`, which then is the limit; zero: uncapped.
    pub grpc_timeout_header_max: Option<Duration>,
    pub grpc_timeout_header_offset: Option<Duration>,
}

impl MaxStreamDuration {
    /// The limit of a call that asks for `timeout` (zero: it's over at once); `None`: it doesn't ask, or
    /// asking has no effect.
    pub fn of_grpc(&self, timeout: Option<Duration>) -> Option<Duration> {
        let (asked, most) = (timeout?, self.grpc_timeout_header_max?);
        let limit = if most.is_zero() { asked } else { asked.min(most) };
        Some(limit.saturating_sub(self.grpc_timeout_header_offset.unwrap_or_default()))
    }
}

/// `RouteAction.max_grpc_timeout` and `grpc_timeout_offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrpcTimeout {
    /// Zero: there is no most.
    pub max: Duration,
    pub offset: Option<Duration>,
}

impl GrpcTimeout {
    /// The limit of a call that asks for `timeout`; `None`: there is none.
    pub fn of(&self, timeout: Option<Duration>) -> Option<Duration> {
        let asked = timeout.unwrap_or_default();
        // An offset never makes a limit endless.
        let less = self.offset.filter(|offset| *offset < asked).unwrap_or_default();
        let asked = asked - less;
        let limit = match self.max.is_zero() {
            false if asked.is_zero() || asked > self.max => self.max,
            _ => asked,
        };
        Some(limit).filter(|limit| !limit.is_zero())
    }
}

/// Whether this route allows an upgrade, over what the connection manager says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade {
    /// Lower-case, e.g. `websocket`.
    pub name: Box<str>,
    pub enabled: bool,
    /// `connect_config`: CONNECT ends here, and its bytes go to the cluster as they are.
    pub terminated: bool,
    /// `allow_post`: so does a POST.
    pub with_post: bool,
    /// The host is told of the client before its bytes.
    pub proxy_protocol: Option<ProxyProtocol>,
}

#[derive(Debug)]
pub(crate) enum Choice {
    Named(Named),
    Header(HeaderName),
    Weighted(Weighted),
    /// No cluster can be found: `non_forwarding_action`.
    Nothing,
}

/// A cluster's name and its slot in [`crate::RouteTable::clusters`].
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: Box<str>,
    pub(crate) slot: usize,
}

#[derive(Debug)]
pub(crate) struct Weighted {
    pub(crate) entries: Box<[WeightedEntry]>,
    pub(crate) total: u64,
    /// A request field whose number decides instead of the random one.
    pub(crate) header: Option<HeaderName>,
}

/// One of a route's weighted clusters.
#[derive(Debug)]
pub struct WeightedEntry {
    pub(crate) choice: Choice,
    pub(crate) weight: u32,
    pub(crate) host: Option<Box<[u8]>>,
    pub(crate) request: Edits,
    pub(crate) response: Edits,
}

/// Where one request goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t, 'r> {
    pub cluster: Cluster<'t, 'r>,
    /// The weighted cluster that was drawn; the edits need it again.
    pub entry: Option<&'t WeightedEntry>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cluster<'t, 'r> {
    /// Named in the configuration; `slot` is its place in [`crate::RouteTable::clusters`].
    Named { name: &'t str, slot: usize },
    /// Named by the request: it may be anything.
    Header(&'r [u8]),
    /// The request names none: answer as if the cluster didn't exist.
    Missing,
}

impl Choice {
    fn cluster<'t, 'r>(&'t self, request: &'r RequestHead) -> Cluster<'t, 'r> {
        match self {
            Choice::Named(named) => Cluster::Named { name: &named.name, slot: named.slot },
            Choice::Header(header) => match request.headers.get(header) {
                Some(name) if !name.is_empty() => Cluster::Header(name),
                _ => Cluster::Missing,
            },
            Choice::Weighted(_) | Choice::Nothing => Cluster::Missing,
        }
    }
}

impl Weighted {
    fn draw(&self, request: &RequestHead, random: u64) -> Option<&WeightedEntry> {
        let from_header = self
            .header
            .as_ref()
            .and_then(|name| request.headers.get(name))
            .and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
        let mut left = from_header.unwrap_or(random) % self.total.max(1);
        self.entries.iter().find(|entry| match left.checked_sub(u64::from(entry.weight)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
    }
}

impl Forward {
    /// Decides the cluster; `random` is evenly spread over all values.
    pub fn target<'t, 'r>(&'t self, request: &'r RequestHead, random: u64) -> Target<'t, 'r> {
        match &self.choice {
            Choice::Weighted(weighted) => {
                let entry = weighted.draw(request, random);
                let cluster = entry.map_or(Cluster::Missing, |e| e.choice.cluster(request));
                Target { cluster, entry }
            }
            choice => Target { cluster: choice.cluster(request), entry: None },
        }
    }

    /// Whether the route allows (`Some(true)`), forbids or leaves open an upgrade.
    pub fn upgrade(&self, name: &[u8]) -> Option<bool> {
        let found = self.upgrades.iter().find(|u| u.name.as_bytes().eq_ignore_ascii_case(name))?;
        Some(found.enabled)
    }

    /// Whether a CONNECT ends here rather than at the host.
    pub fn terminates_connect(&self) -> bool {
        self.upgrades.iter().any(|upgrade| upgrade.terminated)
    }

    /// What a host is told of the client whose CONNECT ends here.
    pub fn proxy_protocol(&self) -> Option<&ProxyProtocol> {
        self.upgrades.iter().find_map(|upgrade| upgrade.proxy_protocol.as_ref())
    }

    /// Whether a POST ends here in a CONNECT's stead.
    pub fn terminates_post(&self) -> bool {
        self.upgrades.iter().any(|upgrade| upgrade.with_post)
    }
}
