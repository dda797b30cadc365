//! What the control thread publishes and all workers share: compiled, frozen, resolved.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dragoman_cluster::{Balancing, Cluster, Hosts};
use dragoman_filter::Chain;
use dragoman_http_connection_manager as hcm;
use dragoman_listener::{ChainMatcher, ListenerFilter, NetworkFilter};
use dragoman_loggers::AccessLog;
use dragoman_proxy_protocol::ProxyProtocol;
use dragoman_router::RouteTable;
use dragoman_stats::{GaugeId, Registry, ScopeHandle};
use dragoman_transport::tls::{Current, SocketFactoryStats};
use dragoman_transport::{DownstreamTls, UpstreamTls};
use dragoman_types::Address;
use rustc_hash::FxHashMap;

use crate::stats::{
    ClusterLoad, ClusterResponseStats, ClusterStats, CodecStats, HandlerStats, HostStats,
    Http2Stats, HttpStats, ListenerHttpStats, ListenerStats, OriginStats, RetryStats, RouteStats,
    TcpStats,
};

/// One version of everything.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub version: u64,
    pub listeners: Vec<Arc<Listener>>,
    pub clusters: FxHashMap<Box<str>, Arc<ClusterEntry>>,
    pub routes: FxHashMap<Box<str>, Arc<Routes>>,
}

/// A cluster with its present hosts.
#[derive(Debug)]
pub struct ClusterEntry {
    pub config: Arc<Cluster>,
    pub hosts: Arc<Hosts>,
    /// The cluster's policy over them.
    pub balancing: Arc<dyn Balancing>,
    /// The header that tells hosts who the client is.
    pub proxy_protocol: Option<Arc<ProxyProtocol>>,
    /// Hosts are reached through HTTP proxies.
    pub http_proxy: Option<Arc<HttpProxy>>,
    /// `None`: plain bytes.
    pub tls: Option<Arc<SocketFactory<UpstreamTls>>>,
    pub registry: Registry,
    pub stats: ScopeHandle<ClusterStats>,
    pub responses: ScopeHandle<ClusterResponseStats>,
    pub internal: ScopeHandle<OriginStats>,
    pub external: ScopeHandle<OriginStats>,
    pub retry: ScopeHandle<RetryStats>,
    /// By priority.
    pub loads: [ScopeHandle<ClusterLoad>; 2],
    /// By place in `hosts`.
    pub host_stats: Vec<ScopeHandle<HostStats>>,
}

/// TLS of a chain or a cluster.
#[derive(Debug)]
pub struct SocketFactory<T> {
    pub context: Arc<Current<T>>,
    pub stats: ScopeHandle<SocketFactoryStats>,
    pub shown: Mutex<Shown>,
}

/// What is told of a context, while it is there.
#[derive(Debug, Default)]
pub struct Shown {
    /// As of this one of its renewals.
    pub renewals: u64,
    /// When its certificates expire.
    pub expiries: Vec<GaugeId>,
}

/// A route configuration with the stats of each route.
#[derive(Debug)]
pub struct Routes {
    pub table: Arc<RouteTable>,
    /// By [`dragoman_router::Route::index`].
    pub stats: Vec<ScopeHandle<RouteStats>>,
}

/// Where a connection manager's routes come from.
#[derive(Debug)]
pub enum RouteSource {
    Inline(Arc<Routes>),
    /// By name from the snapshot (`rds`).
    Named(Box<str>),
}

/// One compiled HTTP connection manager.
#[derive(Debug)]
pub struct ConnectionManager {
    pub config: Arc<hcm::Config>,
    pub filters: Chain,
    /// Those that upgrades of a kind have in their place.
    pub upgrade_filters: Vec<(Box<str>, Chain)>,
    pub routes: RouteSource,
    pub access_logs: Arc<Vec<AccessLog>>,
    pub suppress_envoy_headers: bool,
    /// Count responses by code.
    pub dynamic_stats: bool,
    pub respect_expected_timeout: bool,
    pub stats: ScopeHandle<HttpStats>,
    pub codec: ScopeHandle<CodecStats>,
    pub http2: ScopeHandle<Http2Stats>,
    pub listener_http: ScopeHandle<ListenerHttpStats>,
}

/// What looks at a connection before its filter chain is chosen.
#[derive(Debug, Default)]
pub struct ListenerFilters {
    pub list: Vec<Arc<dyn ListenerFilter>>,
    /// For all of them together; `None`: as long as it takes.
    pub timeout: Option<Duration>,
    /// When the time is over the connection goes on with what is known.
    pub continue_on_timeout: bool,
}

/// What becomes of the connections that take this chain.
#[derive(Debug)]
pub struct FilterChain {
    /// Tells versions of one chain apart.
    pub config_id: usize,
    pub name: Arc<str>,
    /// `None`: plain bytes.
    pub tls: Option<Arc<SocketFactory<DownstreamTls>>>,
    /// For the handshake.
    pub connect_timeout: Option<Duration>,
    /// Asked before the connection is served.
    pub filters: Arc<[Arc<dyn NetworkFilter>]>,
    pub network: Network,
}

/// What speaks the connection's protocol.
#[derive(Debug)]
pub enum Network {
    /// `envoy.filters.network.http_connection_manager`
    Http(Arc<ConnectionManager>),
    /// `envoy.filters.network.tcp_proxy`
    Tcp(Arc<TcpProxy>),
    Plain(Plain),
}

/// What needs no host.
#[derive(Clone, Debug)]
pub enum Plain {
    /// `envoy.filters.network.echo`
    Echo,
    /// `envoy.filters.network.direct_response`
    DirectResponse(Arc<[u8]>),
}

/// A compiled tcp_proxy.
#[derive(Debug)]
pub struct TcpProxy {
    pub config: Arc<dragoman_tcp_proxy::Config>,
    pub access_logs: Arc<Vec<AccessLog>>,
    pub stats: ScopeHandle<TcpStats>,
}

/// One compiled listener.
#[derive(Debug)]
pub struct Listener {
    /// Tells versions of one listener apart.
    pub config_id: usize,
    /// The version before, if nothing but filter chains has changed since: connections of chains that are still
    /// there stay.
    pub succeeds: Option<usize>,
    pub name: Arc<str>,
    /// Bound addresses, real ports; those of a listener that isn't bound as they were configured.
    pub addresses: Vec<Address>,
    /// IPv4 comes to the IPv6 any-address too (`ipv4_compat`).
    pub takes_ipv4: bool,
    /// Connections whose destination is another one than the socket's go on at the listener that has
    /// it, if there is one.
    pub hands_off: bool,
    /// Bytes of a request that may be kept for another attempt (`per_connection_buffer_limit_bytes`).
    pub buffer_limit: u32,
    pub inbound: bool,
    pub filters: ListenerFilters,
    /// Of connections, at their end.
    pub access_logs: Arc<Vec<AccessLog>>,
    pub matcher: Arc<ChainMatcher>,
    pub chains: Vec<Arc<FilterChain>>,
    pub default_chain: Option<Arc<FilterChain>>,
    pub registry: Registry,
    /// Ends with a dot.
    pub stat_prefix: Box<str>,
    pub stats: ScopeHandle<ListenerStats>,
    /// By worker.
    pub handlers: Vec<ScopeHandle<HandlerStats>>,
}

/// `Http11ProxyUpstreamTransport`.
#[derive(PartialEq, Eq, Debug)]
pub struct HttpProxy {
    /// Of hosts whose metadata name none; without it those are called themselves.
    pub default: Option<Address>,
}
