//! One compiled cluster. Source: `envoy.config.cluster.v3.Cluster`.

use std::sync::Arc;
use std::time::Duration;

use dragoman_proto::pb::envoy::config::cluster::v3 as pb;
use dragoman_proto::pb::envoy::config::core::v3 as core;
use dragoman_proto::pb::envoy::extensions::clusters::dns::v3::DnsCluster;
use dragoman_proto::{duration, timeout, u32_or, unpack};
use dragoman_types::Faults;
use dragoman_types::headers::HeaderName;

use crate::balancer::{Policy, PolicyRegistry};
use crate::endpoints::{DnsFamily, DnsOptions, Endpoints};
use crate::http::UpstreamHttp;
use crate::thresholds::Thresholds;

/// How a cluster learns its hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Discovery {
    Static,
    /// Every address of every name is a host.
    StrictDns(DnsOptions),
    /// One host a name: its first address at the time of a new connection.
    LogicalDns(DnsOptions),
    /// A host is wherever a connection was for before it was redirected here.
    OriginalDst(OriginalDst),
}

/// Where the address of a host comes from (`Cluster.OriginalDstLbConfig`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OriginalDst {
    /// The header that has it before the connection says anything.
    pub header: Option<HeaderName>,
    /// The port that the host has, whatever the address says.
    pub port: Option<u16>,
    /// A host that has been unused for so long is forgotten.
    pub cleanup_interval: Duration,
}

impl OriginalDst {
    fn compile(message: &pb::Cluster, faults: &mut Faults) -> OriginalDst {
        use pb::cluster::LbConfig;
        if message.load_assignment.is_some() {
            let why = "hosts of an ORIGINAL_DST cluster are where its connections were for";
            faults.add_at("load_assignment", "no-effect", why);
        }
        let cleanup = message.cleanup_interval.as_ref().map_or(Duration::from_secs(5), duration);
        let mut compiled = OriginalDst { cleanup_interval: cleanup, ..OriginalDst::default() };
        let Some(LbConfig::OriginalDstLbConfig(config)) = &message.lb_config else {
            return compiled;
        };
        if config.use_http_header {
            let name = match &*config.http_header_name {
                "" => "x-envoy-original-dst-host",
                name => name,
            };
            compiled.header = Some(HeaderName::new(name));
        } else if !config.http_header_name.is_empty() {
            let why = "needs use_http_header";
            faults.add_at("original_dst_lb_config.http_header_name", "no-effect", why);
        }
        if let Some(port) = &config.upstream_port_override {
            match u16::try_from(port.value) {
                Ok(port) => compiled.port = Some(port),
                Err(_) => faults.add_at(
                    "original_dst_lb_config.upstream_port_override",
                    "out-of-range",
                    "is at most 65535",
                ),
            }
        }
        if config.metadata_key.is_some() {
            let why = "the address can't be taken from metadata yet";
            faults.add_at("original_dst_lb_config.metadata_key", "unsupported", why);
        }
        compiled
    }
}

/// TCP keep-alive of upstream sockets (`upstream_connection_options.tcp_keepalive`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpKeepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}

/// A cluster, frozen.
#[derive(Debug)]
pub struct Cluster {
    pub name: Box<str>,
    /// `alt_stat_name`, or the name.
    pub stat_name: Box<str>,
    pub discovery: Discovery,
    pub endpoints: Endpoints,
    pub connect_timeout: Duration,
    /// Percent of healthy hosts below which all hosts are used.
    pub panic_percent: f64,
    pub policy: Arc<dyn Policy>,
    /// By [`dragoman_types::Priority`].
    pub thresholds: [Thresholds; 2],
    pub http: UpstreamHttp,
    pub buffer_limit: usize,
    pub keepalive: Option<TcpKeepalive>,
}

impl Cluster {
    /// Compiles `message`; `None` where a fault leaves nothing to use.
    pub fn compile(
        message: &pb::Cluster,
        policies: &dyn PolicyRegistry,
        faults: &mut Faults,
    ) -> Option<Cluster> {
        let discovery = discovery(message, faults)?;
        let names = matches!(discovery, Discovery::StrictDns(_) | Discovery::LogicalDns(_));
        let endpoints = match &message.load_assignment {
            Some(assignment) => faults
                .field("load_assignment", |faults| Endpoints::compile(assignment, names, faults)),
            None => Endpoints::default(),
        };
        if matches!(discovery, Discovery::LogicalDns(_)) && endpoints.list.len() != 1 {
            let why = "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single \
                       lb_endpoint";
            faults.add_at("load_assignment", "logical-dns-endpoints", why);
        }
        // Nothing is balanced where a connection names its host.
        let unbalanced = pb::Cluster::default();
        let balanced = match discovery {
            Discovery::OriginalDst(_) => &unbalanced,
            _ => message,
        };
        hashes_names(message, faults);
        let policy = policies.policy(balanced, faults)?;
        let stat_name =
            if message.alt_stat_name.is_empty() { &message.name } else { &message.alt_stat_name };
        let panic = message.common_lb_config.as_ref().and_then(|c| c.healthy_panic_threshold);
        Some(Cluster {
            name: message.name.as_str().into(),
            stat_name: stat_name.as_str().into(),
            discovery,
            endpoints,
            connect_timeout: timeout(message.connect_timeout.as_ref(), None)
                .unwrap_or(Duration::from_secs(5)),
            panic_percent: panic.map_or(50.0, |percent| percent.value),
            policy,
            thresholds: Thresholds::compile(message.circuit_breakers.as_ref()),
            http: UpstreamHttp::compile(message, faults),
            buffer_limit: u32_or(message.per_connection_buffer_limit_bytes.as_ref(), 1 << 20)
                as usize,
            keepalive: keepalive(message),
        })
    }
}

/// Hosts may be hashed by their names only where there is one host a name.
fn hashes_names(message: &pb::Cluster, faults: &mut Faults) {
    use pb::cluster::{ClusterDiscoveryType, DiscoveryType};
    let common = message.common_lb_config.as_ref();
    let hashing = common.and_then(|common| common.consistent_hashing_lb_config.as_ref());
    let by_name = DiscoveryType::StrictDns as i32;
    if hashing.is_some_and(|config| config.use_hostname_for_hashing)
        && message.cluster_discovery_type != Some(ClusterDiscoveryType::Type(by_name))
    {
        let field = "common_lb_config.consistent_hashing_lb_config.use_hostname_for_hashing";
        faults.add_at(field, "unsupported", "needs a cluster of type STRICT_DNS");
    }
}

fn discovery(message: &pb::Cluster, faults: &mut Faults) -> Option<Discovery> {
    use pb::cluster::{ClusterDiscoveryType, DiscoveryType};
    let kind = match &message.cluster_discovery_type {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(value)) => match DiscoveryType::try_from(*value) {
            Ok(kind) => kind,
            Err(_) => return unsupported(faults, "type", "unknown discovery type"),
        },
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            return faults.field("cluster_type", |faults| custom_type(custom, faults));
        }
    };
    match kind {
        DiscoveryType::Static => Some(Discovery::Static),
        DiscoveryType::StrictDns => Some(Discovery::StrictDns(dns_options(message))),
        DiscoveryType::LogicalDns => Some(Discovery::LogicalDns(dns_options(message))),
        DiscoveryType::OriginalDst => {
            let provided = pb::cluster::LbPolicy::ClusterProvided as i32;
            if message.lb_policy != provided || message.load_balancing_policy.is_some() {
                let why = "is CLUSTER_PROVIDED in a cluster of type ORIGINAL_DST";
                faults.add_at("lb_policy", "unsupported", why);
            }
            Some(Discovery::OriginalDst(OriginalDst::compile(message, faults)))
        }
        other => unsupported(faults, "type", &format!("{} is not supported", other.as_str_name())),
    }
}

fn unsupported(faults: &mut Faults, field: &str, why: &str) -> Option<Discovery> {
    faults.add_at(field, "unsupported", why);
    None
}

fn dns_options(message: &pb::Cluster) -> DnsOptions {
    let seconds = Duration::from_secs;
    #[allow(deprecated)]
    DnsOptions {
        family: DnsFamily::of(message.dns_lookup_family),
        refresh: message.dns_refresh_rate.as_ref().map_or(seconds(5), duration),
        jitter: message.dns_jitter.as_ref().map_or(Duration::ZERO, duration),
        respect_ttl: message.respect_dns_ttl,
    }
}

/// `envoy.clusters.dns`, the newer spelling of both DNS types.
fn custom_type(custom: &pb::cluster::CustomClusterType, faults: &mut Faults) -> Option<Discovery> {
    if custom.name != "envoy.clusters.dns" && custom.name != "envoy.cluster.dns" {
        return unsupported(faults, "name", &format!("{} is not supported", custom.name));
    }
    let dns: DnsCluster = match &custom.typed_config {
        Some(any) => faults.field("typed_config", |faults| unpack(any, faults))?,
        None => DnsCluster::default(),
    };
    use dragoman_proto::pb::envoy::extensions::clusters::common::dns::v3::DnsLookupFamily as New;
    let family = match New::try_from(dns.dns_lookup_family) {
        Ok(New::V4Only) => DnsFamily::V4Only,
        Ok(New::V6Only) => DnsFamily::V6Only,
        Ok(New::V4Preferred) => DnsFamily::V4Preferred,
        Ok(New::All) => DnsFamily::All,
        _ => DnsFamily::Auto,
    };
    let options = DnsOptions {
        family,
        refresh: dns.dns_refresh_rate.as_ref().map_or(Duration::from_secs(5), duration),
        jitter: dns.dns_jitter.as_ref().map_or(Duration::ZERO, duration),
        respect_ttl: dns.respect_dns_ttl,
    };
    if dns.all_addresses_in_single_endpoint {
        return Some(Discovery::LogicalDns(options));
    }
    Some(Discovery::StrictDns(options))
}

fn keepalive(message: &pb::Cluster) -> Option<TcpKeepalive> {
    let keepalive: &core::TcpKeepalive =
        message.upstream_connection_options.as_ref()?.tcp_keepalive.as_ref()?;
    let seconds = |v: &dragoman_proto::pb::google::protobuf::UInt32Value| {
        Duration::from_secs(u64::from(v.value))
    };
    Some(TcpKeepalive {
        probes: keepalive.keepalive_probes.as_ref().map(|v| v.value),
        time: keepalive.keepalive_time.as_ref().map(seconds),
        interval: keepalive.keepalive_interval.as_ref().map(seconds),
    })
}
