//! What speaks a connection's protocol, compiled: the HTTP connection manager with its filters, or
//! tcp_proxy. Sources: `HttpConnectionManager`, `TcpProxy`.

use std::sync::Arc;

use dragoman_filter::Chain;
use dragoman_format::LogType;
use dragoman_http_connection_manager as hcm;
use dragoman_listener::NetworkFilter;
use dragoman_loggers::{AccessLog, LogSinks};
use dragoman_proto::pb::envoy::config::accesslog::v3::AccessLogFilter;
use dragoman_proto::pb::envoy::config::listener::v3::{Filter, filter};
use dragoman_proto::pb::envoy::extensions::filters::http::router::v3::Router;
use dragoman_proto::pb::envoy::extensions::filters::network::direct_response::v3::Config as DirectResponse;
use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier, http_filter,
};
use dragoman_proto::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use dragoman_proto::{data_source, type_name, unpack};
use dragoman_router::RouteTable;
use dragoman_stats::Registry;
use dragoman_tcp_proxy::Config;
use dragoman_types::{Facts, Faults};
use dragoman_worker::snapshot::Plain;

const MANAGER: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

const ECHO: &str = "envoy.extensions.filters.network.echo.v3.Echo";
const DIRECT_RESPONSE: &str = "envoy.extensions.filters.network.direct_response.v3.Config";

/// The last network filter of a chain.
#[derive(Debug)]
pub(crate) enum NetworkPlan {
    Http(Box<ManagerPlan>),
    Tcp(Arc<TcpPlan>),
    Plain(Plain),
}

/// A compiled tcp_proxy without statistics.
#[derive(Debug)]
pub(crate) struct TcpPlan {
    pub(crate) config: Arc<Config>,
    pub(crate) access_logs: Arc<Vec<AccessLog>>,
}

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
    pub(crate) upgrade_filters: Vec<(Box<str>, Chain)>,
    pub(crate) routes: RouteRef,
    pub(crate) access_logs: Arc<Vec<AccessLog>>,
    pub(crate) router: Router,
}

/// What compiling needs besides the message.
pub(crate) struct Means<'a> {
    pub(crate) node: &'a hcm::Node,
    pub(crate) registry: &'a Registry,
    pub(crate) sinks: &'a LogSinks,
}

/// Compiles a network filter that stands before the last one.
pub(crate) fn compile_before(
    filter: &Filter,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<Arc<dyn NetworkFilter>> {
    let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
        faults.add("missing", format!("{} needs a typed_config", filter.name));
        return None;
    };
    let Some(compile) = dragoman_network_filters::find(type_name(any)) else {
        let why = format!("the network filter {} is not supported here", type_name(any));
        faults.add_at("typed_config", "unsupported", why);
        return None;
    };
    let registry = dragoman_listener::Means { registry: means.registry };
    faults.field("typed_config", |faults| compile(any, &registry, faults))
}

/// Compiles a chain's last network filter.
pub(crate) fn compile(
    filter: &Filter,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<NetworkPlan> {
    let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
        faults.add("missing", format!("{} needs a typed_config", filter.name));
        return None;
    };
    faults.field("typed_config", |faults| match type_name(any) {
        MANAGER => {
            let message: HttpConnectionManager = unpack(any, faults)?;
            compile_manager(&message, means, faults).map(Box::new).map(NetworkPlan::Http)
        }
        TCP_PROXY => {
            let message: TcpProxy = unpack(any, faults)?;
            let config = Config::compile(&message, faults);
            let logs = dragoman_loggers::compile(&message.access_log, means.sinks, faults);
            Some(NetworkPlan::Tcp(Arc::new(TcpPlan {
                config: config?.into(),
                access_logs: Arc::new(logs),
            })))
        }
        ECHO => Some(NetworkPlan::Plain(Plain::Echo)),
        DIRECT_RESPONSE => {
            let message: DirectResponse = unpack(any, faults)?;
            let response = data_source::read(message.response.as_ref(), "response", faults)?;
            Some(NetworkPlan::Plain(Plain::DirectResponse(response.into())))
        }
        name => {
            faults.add("unsupported", format!("the network filter {name} is not supported"));
            None
        }
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
    let (filters, router) =
        compile_http_filters("http_filters", &message.http_filters, &means, faults)?;
    let upgrade_filters = compile_upgrades(message, &router, &means, faults);
    Some(ManagerPlan {
        config: Arc::new(config),
        filters,
        upgrade_filters,
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

/// The filters of upgrades that have their own, by the upgrade's kind.
fn compile_upgrades(
    message: &HttpConnectionManager,
    router: &Router,
    means: &dragoman_filter::Means<'_>,
    faults: &mut Faults,
) -> Vec<(Box<str>, Chain)> {
    let mut chains = Vec::new();
    for (index, upgrade) in message.upgrade_configs.iter().enumerate() {
        if upgrade.filters.is_empty() {
            continue;
        }
        faults.item("upgrade_configs", index, |faults| {
            let compiled = compile_http_filters("filters", &upgrade.filters, means, faults);
            let Some((chain, own)) = compiled else { return };
            if own != *router {
                let why = "the router of an upgrade's filters is set as that of http_filters is";
                faults.add_at("filters", "unsupported", why);
            }
            chains.push((upgrade.upgrade_type.as_str().into(), chain));
        });
    }
    chains
}

/// The HTTP filters of `field` before the router, and the router.
fn compile_http_filters(
    field: &str,
    filters: &[HttpFilter],
    means: &dragoman_filter::Means<'_>,
    faults: &mut Faults,
) -> Option<(Chain, Router)> {
    let Some((last, before)) = filters.split_last() else {
        faults.add_at(field, "missing", "the last HTTP filter must be the router");
        return None;
    };
    let mut chain = Vec::with_capacity(before.len());
    for (index, filter) in before.iter().enumerate() {
        let compiled =
            faults.item(field, index, |faults| compile_http_filter(filter, means, faults));
        chain.extend(compiled);
    }
    let router = faults.item(field, before.len(), |faults| match &last.config_type {
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
