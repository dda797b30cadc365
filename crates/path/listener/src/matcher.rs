//! Which filter chain a connection takes: `envoy.config.listener.v3.FilterChainMatch`.
//!
//! Law: the criteria are asked in one order, each once, and the most specific answer is final. If what
//! follows it doesn't match, no other answer of an earlier stage is tried: the connection matches no
//! chain (the default chain is the caller's business). So `server_names: [a]` with a source range
//! hides a chain without `server_names` from everyone who asks for `a`, as it does in Envoy.

use dragoman_types::Address;

use crate::choice::Choice;
use crate::ranges::Ranges;
use crate::{Arrival, Transport};

/// A chain's number among the listener's. Without one: nothing stands here yet.
pub(crate) type Chain = Option<u32>;
pub(crate) type SourcePorts = Choice<u16, Chain>;
pub(crate) type SourceRanges = Ranges<SourcePorts>;
pub(crate) type DirectSources = Ranges<SourceTypes>;
pub(crate) type Applications = Choice<Box<[u8]>, DirectSources>;
pub(crate) type Transports = Choice<Box<str>, Applications>;
/// `*.example.com` stands under `.example.com`.
pub(crate) type ServerNames = Choice<Box<str>, Transports>;
pub(crate) type Destinations = Ranges<ServerNames>;
pub(crate) type DestinationPorts = Choice<u16, Destinations>;

/// By `source_type`.
#[derive(Debug, Default)]
pub(crate) struct SourceTypes {
    pub(crate) any: Option<Box<SourceRanges>>,
    pub(crate) local: Option<Box<SourceRanges>>,
    pub(crate) external: Option<Box<SourceRanges>>,
}

/// Which findings of listener filters some chain asks for. Envoy doesn't add a filter that is missing
/// (seen at 1.40): such a chain is then never chosen, which is worth a warning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// `server_names`: tls_inspector finds them.
    pub server_name: bool,
    /// `transport_protocol: tls`: tls_inspector.
    pub tls: bool,
    /// `application_protocols`: tls_inspector or http_inspector.
    pub application: bool,
}

/// The match criteria of a listener's filter chains, compiled. A look-up costs one hash a stage, one
/// for each dot of a server name and one for each length of the ranges, however many chains there are.
#[derive(Debug, Default)]
pub struct ChainMatcher {
    pub(crate) ports: DestinationPorts,
    pub(crate) needs: Needs,
    pub(crate) takes_all: bool,
}

impl ChainMatcher {
    /// The number of the chain that the connection takes; `None`: it matches none.
    pub fn find(&self, arrival: &Arrival) -> Option<usize> {
        let destinations = match arrival.destination.port() {
            Some(port) => self.ports.find(&port),
            None => self.ports.any(),
        };
        let names = destinations?.find(&arrival.destination)?;
        let transports = by_server_name(names, arrival.server_name.as_deref())?;
        let applications = transports.find(arrival.transport.name())?;
        let types = by_application(applications, arrival)?.find(&arrival.direct_source)?;
        let ports = by_source_type(types, arrival)?.find(&arrival.source)?;
        let chain = match arrival.source.port() {
            Some(port) => ports.find(&port),
            None => ports.any(),
        };
        chain.copied().flatten().map(|chain| chain as usize)
    }

    /// Whether there is one chain and it asks for nothing.
    pub fn takes_all(&self) -> bool {
        self.takes_all
    }

    /// What the chains want to know of a connection.
    pub fn needs(&self) -> Needs {
        self.needs
    }
}

/// The name itself, then `*.` before ever shorter ends of it, then no requirement.
fn by_server_name<'m>(names: &'m ServerNames, asked: Option<&str>) -> Option<&'m Transports> {
    let Some(asked) = asked else { return names.any() };
    if let Some(found) = names.exact(asked) {
        return Some(found);
    }
    // Nothing stands behind a dot at the end.
    let dots = asked.match_indices('.').filter(|(at, _)| at + 1 < asked.len());
    let mut ends = dots.map(|(at, _)| &asked[at..]);
    ends.find_map(|end| names.exact(end)).or(names.any())
}

/// The first of the client's protocols that some chain names, then no requirement.
fn by_application<'m>(
    applications: &'m Applications,
    arrival: &Arrival,
) -> Option<&'m DirectSources> {
    let asked = arrival.applications.iter();
    asked.into_iter().find_map(|name| applications.exact(&**name)).or(applications.any())
}

fn by_source_type<'m>(types: &'m SourceTypes, arrival: &Arrival) -> Option<&'m SourceRanges> {
    if types.local.is_none() && types.external.is_none() {
        return types.any.as_deref();
    }
    let special = if is_local(arrival) { &types.local } else { &types.external };
    special.as_deref().or(types.any.as_deref())
}

/// `SAME_IP_OR_LOOPBACK`: a pipe, 127.0.0.1 or ::1 (not the rest of 127.0.0.0/8), or our own address.
fn is_local(arrival: &Arrival) -> bool {
    match &arrival.source {
        Address::Pipe(_) => true,
        Address::Ip(source) => {
            source.ip() == std::net::Ipv4Addr::LOCALHOST
                || source.ip() == std::net::Ipv6Addr::LOCALHOST
                || arrival.destination.ip() == Some(source.ip())
        }
    }
}

impl Needs {
    /// Takes in what one chain asks for.
    pub(crate) fn add(&mut self, names: bool, transport: Option<&str>, applications: bool) {
        self.server_name |= names;
        self.tls |= transport == Some(Transport::Tls.name());
        self.application |= applications;
    }
}
