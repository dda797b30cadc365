//! A listener message compiled: addresses, and the connection manager of its filter chain.
//! Sources: `envoy.config.listener.v3.Listener`, `HttpConnectionManager`.

use std::sync::Arc;
use std::time::Duration;

use dragoman_cluster::EndpointAddress;
use dragoman_cluster::endpoints::compile_address;
use dragoman_filter::Chain;
use dragoman_format::LogType;
use dragoman_http_connection_manager as hcm;
use dragoman_listener::{ChainMatcher, ListenerFilter};
use dragoman_loggers::{AccessLog, LogSinks};
use dragoman_net::SocketOptions;
use dragoman_proto::pb::envoy::config::accesslog::v3::AccessLogFilter;
use dragoman_proto::pb::envoy::config::core::v3::{Address as PbAddress, TrafficDirection};
use dragoman_proto::pb::envoy::config::listener::v3::{
    Filter, FilterChain, Listener, filter, listener_filter,
};
use dragoman_proto::pb::envoy::extensions::filters::http::router::v3::Router;
use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier, http_filter,
};
use dragoman_proto::{bool_or, duration, type_name, u32_or, unpack};
use dragoman_router::RouteTable;
use dragoman_stats::Registry;
use dragoman_transport::DownstreamTls;
use dragoman_transport::tls::Secrets;
use dragoman_types::{Address, Facts, Faults};

use crate::transport_socket;

/// Routes as a connection manager names them.
#[derive(Debug)]
pub(crate) enum RouteRef {
    Inline(Arc<RouteTable>),
    Named(Box<str>),
}

/// A compiled connection manager without statistics.
#[derive(Debug)]
pub(crate) struct ManagerPlan {
    pub(crate) config: Arc<hcm::Config>,
    pub(crate) filters: Chain,
    pub(crate) routes: RouteRef,
    pub(crate) access_logs: Arc<Vec<AccessLog>>,
    pub(crate) router: Router,
}

/// A compiled listener without sockets and statistics.
#[derive(Debug)]
pub(crate) struct ListenerPlan {
    pub(crate) name: Arc<str>,
    pub(crate) stat_prefix: Box<str>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) options: SocketOptions,
    pub(crate) inbound: bool,
    pub(crate) filters: FiltersPlan,
    pub(crate) matcher: Arc<ChainMatcher>,
    pub(crate) chains: Vec<ChainPlan>,
    pub(crate) default_chain: Option<ChainPlan>,
}

impl ListenerPlan {
    /// Every chain with its field path.
    pub(crate) fn all_chains(&self) -> impl Iterator<Item = (String, &ChainPlan)> {
        let chains = self.chains.iter().enumerate();
        let chains = chains.map(|(index, chain)| (format!("filter_chains[{index}]"), chain));
        chains.chain(self.default_chain.iter().map(|chain| ("default_filter_chain".into(), chain)))
    }
}

/// The compiled listener filters.
#[derive(Clone, Debug)]
pub(crate) struct FiltersPlan {
    pub(crate) list: Vec<Arc<dyn ListenerFilter>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) continue_on_timeout: bool,
}

/// A compiled filter chain.
#[derive(Debug)]
pub(crate) struct ChainPlan {
    pub(crate) name: Arc<str>,
    pub(crate) tls: Option<Arc<DownstreamTls>>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) manager: ManagerPlan,
}

/// Whether any chain of the listener has one.
pub(crate) fn has_transport_socket(message: &Listener) -> bool {
    let mut chains = message.filter_chains.iter().chain(&message.default_filter_chain);
    chains.any(|chain| chain.transport_socket.is_some())
}

/// What compiling needs besides the message.
pub(crate) struct Means<'a> {
    pub(crate) node: &'a hcm::Node,
    pub(crate) registry: &'a Registry,
    pub(crate) sinks: &'a LogSinks,
}

pub(crate) fn compile(
    name: &str,
    message: &Listener,
    secrets: &dyn Secrets,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<ListenerPlan> {
    let mut addresses = Vec::new();
    let own = message.address.iter().map(|a| ("address".to_owned(), a));
    let more = message.additional_addresses.iter().enumerate().filter_map(|(index, more)| {
        Some((format!("additional_addresses[{index}].address"), more.address.as_ref()?))
    });
    let (mut mode, mut compat) = (0, false);
    for (path, address) in own.chain(more) {
        let found = faults.field(&path, |faults| compile_address(address, false, faults));
        if let Some(EndpointAddress::Known(known)) = found {
            addresses.push(known);
        }
        (mode, compat) = (mode.max(pipe_mode(address)), compat || ipv4_compat(address));
    }
    if message.address.is_none() {
        faults.add_at("address", "missing", "a listener needs an address");
    }
    if message.filter_chains.is_empty() && message.default_filter_chain.is_none() {
        faults.add("missing", "no filter chains specified");
    }
    let matches: Vec<_> =
        message.filter_chains.iter().map(|chain| chain.filter_chain_match.as_ref()).collect();
    let matcher = Arc::new(ChainMatcher::compile(&matches, faults));
    let filters = compile_filters(message, means, faults);
    let mut chains = Vec::with_capacity(message.filter_chains.len());
    for (index, chain) in message.filter_chains.iter().enumerate() {
        chains.extend(
            faults.item("filter_chains", index, |faults| {
                compile_chain(chain, secrets, means, faults)
            }),
        );
    }
    let default_chain = message.default_filter_chain.as_ref().and_then(|chain| {
        faults.field("default_filter_chain", |f| compile_chain(chain, secrets, means, f))
    });
    Some(ListenerPlan {
        name: name.into(),
        stat_prefix: message.stat_prefix.as_str().into(),
        addresses,
        options: SocketOptions {
            backlog: u32_or(message.tcp_backlog_size.as_ref(), 4096).min(i32::MAX as u32) as i32,
            reuse_port: bool_or(message.enable_reuse_port.as_ref(), true),
            ipv4_compat: compat,
            pipe_mode: mode,
        },
        inbound: message.traffic_direction == TrafficDirection::Inbound as i32,
        filters,
        matcher,
        chains,
        default_chain,
    })
}

fn pipe_mode(address: &PbAddress) -> u32 {
    use dragoman_proto::pb::envoy::config::core::v3::address::Address::Pipe;
    match &address.address {
        Some(Pipe(pipe)) => pipe.mode,
        _ => 0,
    }
}

fn ipv4_compat(address: &PbAddress) -> bool {
    use dragoman_proto::pb::envoy::config::core::v3::address::Address::SocketAddress;
    matches!(&address.address, Some(SocketAddress(socket)) if socket.ipv4_compat)
}

/// The listener filters, in their order.
fn compile_filters(message: &Listener, means: &Means<'_>, faults: &mut Faults) -> FiltersPlan {
    let registry = dragoman_listener::Means { registry: means.registry };
    let mut list = Vec::with_capacity(message.listener_filters.len());
    for (index, filter) in message.listener_filters.iter().enumerate() {
        list.extend(faults.item("listener_filters", index, |faults| {
            let Some(listener_filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
                faults.add("missing", format!("{} needs a typed_config", filter.name));
                return None;
            };
            let Some(compile) = dragoman_listener_filters::find(type_name(any)) else {
                let why = format!("the listener filter {} is not supported", type_name(any));
                faults.add_at("typed_config", "unsupported", why);
                return None;
            };
            faults.field("typed_config", |faults| compile(any, &registry, faults))
        }));
    }
    // Zero: as long as it takes.
    let timeout = message.listener_filters_timeout.as_ref().map_or(FILTERS_TIMEOUT, duration);
    FiltersPlan {
        list,
        timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
        continue_on_timeout: message.continue_on_listener_filters_timeout,
    }
}

/// `listener_filters_timeout` unless it's set.
const FILTERS_TIMEOUT: Duration = Duration::from_secs(15);

fn compile_chain(
    chain: &FilterChain,
    secrets: &dyn Secrets,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<ChainPlan> {
    let tls = transport_socket::downstream(chain.transport_socket.as_ref(), secrets, faults);
    let timeout = chain.transport_socket_connect_timeout.as_ref();
    let [only] = chain.filters.as_slice() else {
        faults.add_at("filters", "unsupported", "exactly one network filter is supported");
        return None;
    };
    let manager = faults.item("filters", 0, |f| compile_filter(only, means, f))?;
    Some(ChainPlan {
        name: chain.name.as_str().into(),
        tls,
        connect_timeout: timeout.map(duration),
        manager,
    })
}

fn compile_filter(filter: &Filter, means: &Means<'_>, faults: &mut Faults) -> Option<ManagerPlan> {
    let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
        faults.add("missing", format!("{} needs a typed_config", filter.name));
        return None;
    };
    faults.field("typed_config", |faults| {
        let message: HttpConnectionManager = unpack(any, faults)?;
        compile_manager(&message, means, faults)
    })
}

fn compile_manager(
    message: &HttpConnectionManager,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<ManagerPlan> {
    let config = hcm::Config::compile(message, means.node, &reply_filter, faults);
    let access_logs = dragoman_loggers::compile(&message.access_log, means.sinks, faults);
    let routes = match &message.route_specifier {
        Some(RouteSpecifier::RouteConfig(routes)) => {
            let table = faults.field("route_config", |faults| RouteTable::compile(routes, faults));
            RouteRef::Inline(Arc::new(table))
        }
        Some(RouteSpecifier::Rds(rds)) => RouteRef::Named(rds.route_config_name.as_str().into()),
        Some(RouteSpecifier::ScopedRoutes(_)) => {
            faults.add_at("scoped_routes", "unsupported", "scoped routes are not supported");
            return None;
        }
        None => {
            faults.add("missing", "route_config or rds is required");
            return None;
        }
    };
    let prefix = format!("http.{}.", config.stat_prefix);
    let means = dragoman_filter::Means { registry: means.registry, stat_prefix: &prefix };
    let (filters, router) = compile_http_filters(&message.http_filters, &means, faults)?;
    Some(ManagerPlan {
        config: Arc::new(config),
        filters,
        routes,
        access_logs: Arc::new(access_logs),
        router,
    })
}

/// An access-log filter that picks local replies.
struct PicksReplies(dragoman_loggers::Filter);

impl hcm::ReplyFilter for PicksReplies {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        let now = facts.info.end.unwrap_or(facts.info.start);
        self.0.holds(LogType::NotSet, facts, now)
    }
}

fn reply_filter(
    message: &AccessLogFilter,
    faults: &mut Faults,
) -> Option<Box<dyn hcm::ReplyFilter>> {
    let filter = dragoman_loggers::Filter::compile(message, faults)?;
    Some(Box::new(PicksReplies(filter)))
}

/// The HTTP filters before the router, and the router.
fn compile_http_filters(
    filters: &[HttpFilter],
    means: &dragoman_filter::Means<'_>,
    faults: &mut Faults,
) -> Option<(Chain, Router)> {
    let Some((last, before)) = filters.split_last() else {
        faults.add_at("http_filters", "missing", "the last HTTP filter must be the router");
        return None;
    };
    let mut chain = Vec::with_capacity(before.len());
    for (index, filter) in before.iter().enumerate() {
        let compiled =
            faults.item("http_filters", index, |faults| compile_http_filter(filter, means, faults));
        chain.extend(compiled);
    }
    let router = faults.item("http_filters", before.len(), |faults| match &last.config_type {
        Some(http_filter::ConfigType::TypedConfig(any)) => {
            faults.field("typed_config", |faults| unpack(any, faults))
        }
        None if last.name == "envoy.filters.http.router" => Some(Router::default()),
        _ => {
            faults.add("unsupported", format!("the HTTP filter {} is not supported", last.name));
            None
        }
    })?;
    Some((Chain(chain.into()), router))
}

fn compile_http_filter(
    filter: &HttpFilter,
    means: &dragoman_filter::Means<'_>,
    faults: &mut Faults,
) -> Option<Arc<dyn dragoman_filter::HttpFilter>> {
    let Some(http_filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
        faults.add("missing", format!("{} needs a typed_config", filter.name));
        return None;
    };
    let Some(compile) = dragoman_filters::find(type_name(any)) else {
        let why = format!("the HTTP filter {} is not supported", type_name(any));
        faults.add_at("typed_config", "unsupported", why);
        return None;
    };
    faults.field("typed_config", |faults| compile(any, means, faults))
}
