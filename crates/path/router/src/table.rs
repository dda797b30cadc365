//! The compiled route configuration, and the way from a request to its route.

use std::borrow::Cow;

use dragoman_types::headers::HeaderName;
use dragoman_types::{Headers, RequestHead, id};

use crate::condition::Conditions;
use crate::host::HostIndex;
use crate::path::{query_of, split, without_parameters};
use crate::route::{RequireTls, Route, VirtualHost};
use dragoman_edits::Edits;

/// A frozen `RouteConfiguration`.
#[derive(Debug)]
pub struct RouteTable {
    pub(crate) name: Box<str>,
    pub(crate) hosts: HostIndex,
    pub(crate) virtual_hosts: Box<[VirtualHost]>,
    pub(crate) routes: Box<[Route]>,
    pub(crate) clusters: Box<[Box<str>]>,
    pub(crate) cluster_uses: Box<[ClusterUse]>,
    pub(crate) validate_clusters: Option<bool>,
    pub(crate) most_specific_wins: bool,
    pub(crate) ignore_path_parameters: bool,
    /// The field that names the virtual host instead of the authority.
    pub(crate) host_header: Option<HeaderName>,
    pub(crate) request: Edits,
    pub(crate) response: Edits,
}

/// A place in the configuration that names a cluster.
#[derive(Clone, Debug)]
pub struct ClusterUse {
    /// Field path inside the route configuration.
    pub path: String,
    /// The cluster's place in [`RouteTable::clusters`].
    pub slot: usize,
}

/// What a decision needs besides the request's head.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The client's connection uses TLS. Counts only where the request has no `:scheme`.
    pub tls: bool,
    pub certificate: Certificate,
    /// Evenly spread over all values; the same one for the whole request.
    pub random: u64,
}

/// The client's TLS certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Certificate {
    #[default]
    Absent,
    Presented,
    Validated,
}

/// The outcome of a look-up.
#[derive(Clone, Copy, Debug)]
pub enum Found<'t> {
    Route(&'t Route, &'t VirtualHost),
    NoHost,
    NoRoute(&'t VirtualHost),
    /// Redirect to https ([`crate::answer_require_tls`]).
    RequireTls(&'t VirtualHost),
}

impl RouteTable {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All routes, virtual host after virtual host; a route's place is its [`Route::index`].
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub fn virtual_hosts(&self) -> &[VirtualHost] {
        &self.virtual_hosts
    }

    /// Every cluster name that the configuration holds, once. A worker may keep its clusters in a
    /// list of the same order, so that no name is looked up per request.
    pub fn clusters(&self) -> &[Box<str>] {
        &self.clusters
    }

    /// (field path, cluster name) wherever a cluster is named.
    pub fn cluster_names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cluster_uses.iter().map(|used| (&*used.path, &*self.clusters[used.slot]))
    }

    /// Whether unknown clusters refuse the table; `None`: Envoy's default (yes for static tables).
    pub fn validate_clusters(&self) -> Option<bool> {
        self.validate_clusters
    }

    /// The route that a request takes. Allocates nothing (but for hosts or paths in upper case that
    /// are longer than 256 bytes, and path parameters that are to be ignored).
    pub fn find<'t>(&'t self, request: &RequestHead, asked: &Asked) -> Found<'t> {
        let Some(place) = self.find_host(&request.headers) else { return Found::NoHost };
        let host = &self.virtual_hosts[place as usize];
        if self.needs_tls(host, request, asked) {
            return Found::RequireTls(host);
        }
        match self.find_in(host, request, asked) {
            Some(route) => Found::Route(route, host),
            None => Found::NoRoute(host),
        }
    }

    fn find_host(&self, headers: &Headers) -> Option<u32> {
        match &self.host_header {
            None => self.hosts.find(headers.get(id::AUTHORITY).unwrap_or_default()),
            Some(name) => match headers.get(name) {
                Some(host) => self.hosts.find(host),
                None => self.hosts.only_any(),
            },
        }
    }

    fn needs_tls(&self, host: &VirtualHost, request: &RequestHead, asked: &Asked) -> bool {
        let is_secure = || match request.headers.get(id::SCHEME) {
            Some(scheme) => scheme.eq_ignore_ascii_case(b"https"),
            None => asked.tls,
        };
        let is_internal = || request.headers.get(id::X_ENVOY_INTERNAL) == Some(b"true");
        match host.require_tls {
            RequireTls::No => false,
            RequireTls::External => !is_secure() && !is_internal(),
            RequireTls::All => !is_secure(),
        }
    }

    fn find_in(&self, host: &VirtualHost, request: &RequestHead, asked: &Asked) -> Option<&Route> {
        let headers = &request.headers;
        let whole = headers.get(id::PATH);
        let is_connect = request.method() == b"CONNECT";
        let path = whole.map(|whole| split(whole).0);
        let path = path.map(|path| match self.ignore_path_parameters {
            true => without_parameters(path),
            false => Cow::Borrowed(path),
        });
        let path = path.as_deref();
        let query = query_of(whole.unwrap_or_default());
        let fits = |place: u32| {
            let route = &self.routes[host.first_route + place as usize];
            let hold = |conditions: &Conditions| conditions.hold(headers, query, asked);
            route.path.matches(path, is_connect) && route.conditions.as_deref().is_none_or(hold)
        };
        let place = host.routes.first(path, fits)?;
        Some(&self.routes[host.first_route + place as usize])
    }
}
