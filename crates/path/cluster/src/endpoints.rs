//! A cluster load assignment: endpoints as configured, before names are resolved.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dragoman_proto::pb::envoy::config::cluster::v3::cluster::DnsLookupFamily;
use dragoman_proto::pb::envoy::config::core::v3 as core;
use dragoman_proto::pb::envoy::config::endpoint::v3 as pb;
use dragoman_proto::{u32_or, unpack};
use dragoman_types::{Address, Faults};

use crate::hosts::{Health, Host, Locality};

/// Where an endpoint's metadata names an HTTP proxy, as a `core.v3.Address`.
const VIA: &str = "envoy.http11_proxy_transport_socket.proxy_address";

/// Where an endpoint is: known, or a name that DNS must resolve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndpointAddress {
    Known(Address),
    Name(DnsTarget),
}

/// A name to resolve and the port to use with its addresses.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct DnsTarget {
    pub name: Box<str>,
    pub port: u16,
}

/// One `lb_endpoint`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub address: EndpointAddress,
    pub hostname: Box<str>,
    pub hash_key: Box<str>,
    pub weight: u32,
    pub priority: u32,
    pub locality: Locality,
    pub health: Health,
    pub via: Option<Address>,
}

impl Endpoint {
    /// This endpoint at `address`.
    pub fn host(&self, address: Address) -> Arc<Host> {
        let hostname = match (&*self.hostname, &self.address) {
            ("", EndpointAddress::Name(target)) => target.name.clone(),
            _ => self.hostname.clone(),
        };
        Arc::new(Host {
            address,
            hostname,
            hash_key: self.hash_key.clone(),
            weight: self.weight,
            priority: self.priority,
            locality: self.locality.clone(),
            health: self.health,
            via: self.via.clone(),
        })
    }
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DnsFamily {
    /// IPv6 if there is any, else IPv4.
    #[default]
    Auto,
    V4Only,
    V6Only,
    V4Preferred,
    All,
}

impl DnsFamily {
    pub(crate) fn of(value: i32) -> DnsFamily {
        match DnsLookupFamily::try_from(value) {
            Ok(DnsLookupFamily::V4Only) => DnsFamily::V4Only,
            Ok(DnsLookupFamily::V6Only) => DnsFamily::V6Only,
            Ok(DnsLookupFamily::V4Preferred) => DnsFamily::V4Preferred,
            Ok(DnsLookupFamily::All) => DnsFamily::All,
            _ => DnsFamily::Auto,
        }
    }
}

/// How often and how names are resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DnsOptions {
    pub family: DnsFamily,
    pub refresh: Duration,
    pub jitter: Duration,
    pub respect_ttl: bool,
}

/// All endpoints of a cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Endpoints {
    pub list: Vec<Endpoint>,
}

impl Endpoints {
    /// `names`: whether addresses may be names (DNS clusters) or must be IP addresses or pipes.
    pub fn compile(
        message: &pb::ClusterLoadAssignment,
        names: bool,
        faults: &mut Faults,
    ) -> Endpoints {
        let mut list = Vec::new();
        for (index, group) in message.endpoints.iter().enumerate() {
            faults
                .item("endpoints", index, |faults| compile_group(group, names, faults, &mut list));
        }
        Endpoints { list }
    }

    /// The hosts of endpoints whose addresses are known.
    pub fn known_hosts(&self) -> Vec<Arc<Host>> {
        let known = |e: &Endpoint| match &e.address {
            EndpointAddress::Known(address) => Some(e.host(address.clone())),
            EndpointAddress::Name(_) => None,
        };
        self.list.iter().filter_map(known).collect()
    }
}

fn compile_group(
    group: &pb::LocalityLbEndpoints,
    names: bool,
    faults: &mut Faults,
    list: &mut Vec<Endpoint>,
) {
    if group.priority > 0 {
        faults.add_at("priority", "unsupported", "only priority 0 is supported");
    }
    let locality = group.locality.as_ref().map_or_else(Locality::default, |l| Locality {
        region: l.region.as_str().into(),
        zone: l.zone.as_str().into(),
        sub_zone: l.sub_zone.as_str().into(),
    });
    for (index, lb_endpoint) in group.lb_endpoints.iter().enumerate() {
        let endpoint = faults.item("lb_endpoints", index, |faults| {
            compile_endpoint(lb_endpoint, &locality, group.priority, names, faults)
        });
        list.extend(endpoint);
    }
}

fn compile_endpoint(
    message: &pb::LbEndpoint,
    locality: &Locality,
    priority: u32,
    names: bool,
    faults: &mut Faults,
) -> Option<Endpoint> {
    let Some(pb::lb_endpoint::HostIdentifier::Endpoint(endpoint)) = &message.host_identifier else {
        faults.add("missing", "an endpoint with an address is required");
        return None;
    };
    let address = faults.field("endpoint.address", |faults| match &endpoint.address {
        Some(address) => compile_address(address, names, faults),
        None => {
            faults.add("missing", "an address is required");
            None
        }
    })?;
    let health = match core::HealthStatus::try_from(message.health_status) {
        Ok(core::HealthStatus::Unhealthy | core::HealthStatus::Draining) => Health::Unhealthy,
        Ok(core::HealthStatus::Timeout) => Health::Unhealthy,
        Ok(core::HealthStatus::Degraded) => Health::Degraded,
        _ => Health::Healthy,
    };
    Some(Endpoint {
        address,
        hostname: endpoint.hostname.as_str().into(),
        hash_key: message.metadata.as_ref().and_then(hash_key).unwrap_or_default().into(),
        weight: u32_or(message.load_balancing_weight.as_ref(), 1).max(1),
        priority,
        locality: locality.clone(),
        health,
        via: message.metadata.as_ref().and_then(|metadata| via(metadata, faults)),
    })
}

/// What an endpoint's metadata wants it to be known by, where hosts are chosen by hash.
fn hash_key(metadata: &core::Metadata) -> Option<&str> {
    use dragoman_proto::pb::google::protobuf::value::Kind;
    match &metadata.filter_metadata.get("envoy.lb")?.fields.get("hash_key")?.kind {
        Some(Kind::StringValue(key)) => Some(key),
        _ => None,
    }
}

/// The proxy that an endpoint's metadata names.
fn via(metadata: &core::Metadata, faults: &mut Faults) -> Option<Address> {
    let any = metadata.typed_filter_metadata.get(VIA)?;
    faults.field("metadata.typed_filter_metadata", |faults| {
        let message: core::Address = unpack(any, faults)?;
        known_address(&message, faults)
    })
}

/// An address that needs no resolving.
pub fn known_address(message: &core::Address, faults: &mut Faults) -> Option<Address> {
    match compile_address(message, false, faults)? {
        EndpointAddress::Known(address) => Some(address),
        EndpointAddress::Name(_) => None,
    }
}

/// An address message as a place to connect to or to bind; names only where `names` is set.
pub fn compile_address(
    message: &core::Address,
    names: bool,
    faults: &mut Faults,
) -> Option<EndpointAddress> {
    use core::address::Address as Kind;
    match &message.address {
        Some(Kind::Pipe(pipe)) => {
            Some(EndpointAddress::Known(Address::Pipe(PathBuf::from(&pipe.path))))
        }
        Some(Kind::SocketAddress(socket)) => {
            faults.field("socket_address", |faults| compile_socket(socket, names, faults))
        }
        Some(Kind::EnvoyInternalAddress(_)) => {
            faults.add("unsupported", "internal listeners are not supported");
            None
        }
        None => {
            faults.add("missing", "a socket_address or a pipe is required");
            None
        }
    }
}

fn compile_socket(
    socket: &core::SocketAddress,
    names: bool,
    faults: &mut Faults,
) -> Option<EndpointAddress> {
    use core::socket_address::PortSpecifier;
    let port = match &socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(*port).ok(),
        _ => None,
    };
    let Some(port) = port else {
        faults.add_at("port_value", "missing", "a port between 0 and 65535 is required");
        return None;
    };
    if let Ok(ip) = socket.address.parse::<IpAddr>() {
        return Some(EndpointAddress::Known(Address::Ip(SocketAddr::new(ip, port))));
    }
    if names && !socket.address.is_empty() {
        let name = socket.address.as_str().into();
        return Some(EndpointAddress::Name(DnsTarget { name, port }));
    }
    let why = format!(
        "malformed IP address: {}. Consider setting resolver_name or setting cluster type to \
         'STRICT_DNS' or 'LOGICAL_DNS'",
        socket.address
    );
    faults.add_at("address", "bad-address", why);
    None
}
