//! A listener message compiled: addresses, listener filters, and the filter chains with what speaks their
//! protocol. Source: `envoy.config.listener.v3.Listener`.

use std::sync::Arc;
use std::time::Duration;

use dragoman_cluster::EndpointAddress;
use dragoman_cluster::endpoints::compile_address;
use dragoman_listener::{ChainMatcher, ListenerFilter, NetworkFilter};
use dragoman_listener_filters::original_dst;
use dragoman_loggers::AccessLog;
use dragoman_net::SocketOptions;
use dragoman_proto::pb::envoy::config::core::v3::{Address as PbAddress, TrafficDirection};
use dragoman_proto::pb::envoy::config::listener::v3::{FilterChain, Listener, listener_filter};
use dragoman_proto::{bool_or, duration, type_name, u32_or};
use dragoman_transport::DownstreamTls;
use dragoman_transport::tls::{Current, Secrets};
use dragoman_types::{Address, Faults};

use crate::compile::{Renewal, changed};
use crate::network::{self, Means, NetworkPlan};
use crate::resources::Resources;
use crate::transport_socket;

/// `per_connection_buffer_limit_bytes`, unless set.
const BUFFER_LIMIT: u32 = 1 << 20;

/// A compiled listener without sockets and statistics.
#[derive(Debug)]
pub(crate) struct ListenerPlan {
    pub(crate) name: Arc<str>,
    pub(crate) stat_prefix: Box<str>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) options: SocketOptions,
    /// Whether its addresses are listened on (`bind_to_port`).
    pub(crate) binds: bool,
    /// Connections go on at the listener that has their destination (`use_original_dst`).
    pub(crate) hands_off: bool,
    pub(crate) buffer_limit: u32,
    pub(crate) inbound: bool,
    pub(crate) filters: FiltersPlan,
    pub(crate) access_logs: Arc<Vec<AccessLog>>,
    pub(crate) matcher: Arc<ChainMatcher>,
    /// Those whose messages are as they were are the same objects as before.
    pub(crate) chains: Vec<Arc<ChainPlan>>,
    pub(crate) default_chain: Option<Arc<ChainPlan>>,
    /// Nothing but filter chains is new in it.
    pub(crate) succeeds: bool,
}

impl ListenerPlan {
    /// Every chain with its field path.
    pub(crate) fn all_chains(&self) -> impl Iterator<Item = (String, &Arc<ChainPlan>)> {
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
    pub(crate) tls: Option<Arc<Current<DownstreamTls>>>,
    pub(crate) connect_timeout: Option<Duration>,
    /// Those before the last one.
    pub(crate) filters: Arc<[Arc<dyn NetworkFilter>]>,
    pub(crate) network: NetworkPlan,
}

/// Whether any chain of the listener has one.
pub(crate) fn has_transport_socket(message: &Listener) -> bool {
    let mut chains = message.filter_chains.iter().chain(&message.default_filter_chain);
    chains.any(|chain| chain.transport_socket.is_some())
}

/// What of the listener's TLS secrets make anew that were fetched since.
pub(crate) fn renewals(
    message: &Listener,
    plan: &ListenerPlan,
    (next, previous): (&Resources, &Resources),
    faults: &mut Faults,
) -> Vec<Renewal> {
    let one = |chain: &FilterChain, plan: &ChainPlan, faults: &mut Faults| {
        let socket = chain.transport_socket.as_ref();
        let current = plan.tls.clone().filter(|_| changed(socket, next, previous))?;
        let fresh = transport_socket::downstream(socket, next, faults)?;
        Some(Renewal::Downstream(current, fresh))
    };
    let mut all = Vec::new();
    for (index, (chain, plan)) in message.filter_chains.iter().zip(&plan.chains).enumerate() {
        all.extend(faults.item("filter_chains", index, |faults| one(chain, plan, faults)));
    }
    if let (Some(chain), Some(plan)) = (&message.default_filter_chain, &plan.default_chain) {
        all.extend(faults.field("default_filter_chain", |faults| one(chain, plan, faults)));
    }
    all
}

pub(crate) fn compile(
    name: &str,
    message: &Listener,
    before: Option<&Before<'_>>,
    (secrets, means): (&Resources, &Means<'_>),
    faults: &mut Faults,
) -> Option<ListenerPlan> {
    let (addresses, options) = compile_addresses(message, faults);
    if message.filter_chains.is_empty() && message.default_filter_chain.is_none() {
        faults.add("missing", "no filter chains specified");
    }
    let matches: Vec<_> =
        message.filter_chains.iter().map(|chain| chain.filter_chain_match.as_ref()).collect();
    let matcher = Arc::new(ChainMatcher::compile(&matches, faults));
    let filters = compile_filters(message, means, faults);
    let access_logs = dragoman_loggers::compile(&message.access_log, means.sinks, faults);
    let mut chains = Vec::with_capacity(message.filter_chains.len());
    for (index, chain) in message.filter_chains.iter().enumerate() {
        chains.extend(faults.item("filter_chains", index, |faults| {
            chain_of(chain, before, (secrets, means), faults)
        }));
    }
    let default_chain = message.default_filter_chain.as_ref().and_then(|chain| {
        faults.field("default_filter_chain", |f| chain_of(chain, before, (secrets, means), f))
    });
    Some(ListenerPlan {
        name: name.into(),
        stat_prefix: message.stat_prefix.as_str().into(),
        addresses,
        options,
        binds: bool_or(message.bind_to_port.as_ref(), true),
        hands_off: hands_off(message),
        buffer_limit: u32_or(message.per_connection_buffer_limit_bytes.as_ref(), BUFFER_LIMIT),
        inbound: message.traffic_direction == TrafficDirection::Inbound as i32,
        filters,
        access_logs: Arc::new(access_logs),
        matcher,
        chains,
        default_chain,
        succeeds: before
            .is_some_and(|before| without_chains(before.message) == without_chains(message)),
    })
}

/// The listener as it was.
pub(crate) struct Before<'a> {
    pub(crate) message: &'a Listener,
    pub(crate) plan: &'a ListenerPlan,
    pub(crate) resources: &'a Resources,
}

fn without_chains(message: &Listener) -> Listener {
    Listener { filter_chains: Vec::new(), default_filter_chain: None, ..message.clone() }
}

/// The chain of `message`: the one before, if that is its message still.
fn chain_of(
    message: &FilterChain,
    before: Option<&Before<'_>>,
    (secrets, means): (&Resources, &Means<'_>),
    faults: &mut Faults,
) -> Option<Arc<ChainPlan>> {
    let same = before.and_then(|before| {
        let chains = before.message.filter_chains.iter().zip(&before.plan.chains);
        let default = before.message.default_filter_chain.iter().zip(&before.plan.default_chain);
        let (_, plan) = chains.chain(default).find(|(known, _)| *known == message)?;
        let fetched = changed(message.transport_socket.as_ref(), secrets, before.resources);
        (!fetched).then(|| plan.clone())
    });
    same.or_else(|| compile_chain(message, secrets, means, faults).map(Arc::new))
}

/// All the addresses, and how they are listened on.
fn compile_addresses(message: &Listener, faults: &mut Faults) -> (Vec<Address>, SocketOptions) {
    let mut addresses = Vec::new();
    let own = message.address.iter().map(|a| ("address".to_owned(), a));
    let more = message.additional_addresses.iter().enumerate().filter_map(|(index, more)| {
        Some((format!("additional_addresses[{index}].address"), more.address.as_ref()?))
    });
    let mut options = SocketOptions {
        backlog: u32_or(message.tcp_backlog_size.as_ref(), 4096).min(i32::MAX as u32) as i32,
        reuse_port: bool_or(message.enable_reuse_port.as_ref(), true),
        ipv4_compat: false,
        pipe_mode: 0,
    };
    for (path, address) in own.chain(more) {
        let found = faults.field(&path, |faults| compile_address(address, false, faults));
        if let Some(EndpointAddress::Known(known)) = found {
            addresses.push(known);
        }
        options.pipe_mode = options.pipe_mode.max(pipe_mode(address));
        options.ipv4_compat |= ipv4_compat(address);
    }
    if message.address.is_none() {
        faults.add_at("address", "missing", "a listener needs an address");
    }
    (addresses, options)
}

fn hands_off(message: &Listener) -> bool {
    #[allow(deprecated)]
    bool_or(message.use_original_dst.as_ref(), false)
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
    if hands_off(message) {
        list.push(original_dst::filter());
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
    let Some((last, before)) = chain.filters.split_last() else {
        faults.add_at("filters", "unsupported", "a chain without filters isn't supported");
        return None;
    };
    let mut filters = Vec::with_capacity(before.len());
    for (index, filter) in before.iter().enumerate() {
        filters
            .extend(faults.item("filters", index, |f| network::compile_before(filter, means, f)));
    }
    let network = faults.item("filters", before.len(), |f| network::compile(last, means, f))?;
    Some(ChainPlan {
        name: chain.name.as_str().into(),
        tls,
        // Zero: as long as it takes.
        connect_timeout: timeout.map(duration).filter(|limit| !limit.is_zero()),
        filters: filters.into(),
        network,
    })
}
