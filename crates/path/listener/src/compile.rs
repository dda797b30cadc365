//! Compiles the match criteria of a listener's filter chains, and refuses two chains for one
//! connection.

use dragoman_matcher::CidrRange;
use dragoman_proto::pb::envoy::config::core::v3::CidrRange as PbCidrRange;
use dragoman_proto::pb::envoy::config::listener::v3::FilterChainMatch;
use dragoman_proto::pb::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;
use dragoman_types::Faults;

use crate::matcher::{ChainMatcher, SourceRanges, SourceTypes};

/// The criteria of one chain. An empty list is no requirement.
#[derive(Debug)]
struct Criteria {
    destination_port: Option<u16>,
    destinations: Vec<CidrRange>,
    server_names: Vec<Option<Box<str>>>,
    transport: Option<Box<str>>,
    applications: Vec<Option<Box<[u8]>>>,
    direct_sources: Vec<CidrRange>,
    source_type: ConnectionSourceType,
    sources: Vec<CidrRange>,
    source_ports: Vec<u16>,
}

impl ChainMatcher {
    /// Compiles the `filter_chain_match` of each of a listener's `filter_chains`, in their order.
    /// Faults stand at `filter_chains[i].filter_chain_match…`: `unsupported`, `bad-enum`, `bad-cidr`,
    /// `out-of-range`, `bad-name` (a server name with a `*` that is not the first label), and
    /// `duplicate-match` where a connection could take two chains ("multiple filter chains with
    /// the same matching rules" in Envoy).
    pub fn compile(chains: &[Option<&FilterChainMatch>], faults: &mut Faults) -> ChainMatcher {
        let mut matcher = ChainMatcher::default();
        let everyone = FilterChainMatch::default();
        matcher.takes_all = matches!(chains, [only] if only.is_none_or(|only| *only == everyone));
        for (index, message) in chains.iter().enumerate() {
            let message = message.unwrap_or(&everyone);
            faults.item("filter_chains", index, |faults| {
                faults
                    .field("filter_chain_match", |faults| add(&mut matcher, index, message, faults))
            });
        }
        matcher
    }
}

/// Adds one chain. One with a fault of its own isn't added: it would only cause more of them.
fn add(matcher: &mut ChainMatcher, index: usize, message: &FilterChainMatch, faults: &mut Faults) {
    let before = faults.len();
    let criteria = Criteria::compile(message, faults);
    if faults.len() > before {
        return;
    }
    let names = criteria.server_names.iter().any(Option::is_some);
    let applications = criteria.applications.iter().any(Option::is_some);
    matcher.needs.add(names, criteria.transport.as_deref(), applications);
    if let Err(other) = insert(matcher, index as u32, &criteria) {
        let text = if other as usize == index {
            "a value is listed twice".to_owned()
        } else {
            format!("multiple filter chains with the same matching rules: filter_chains[{other}]")
        };
        faults.add("duplicate-match", text);
    }
}

/// # Errors
/// The chain that a connection with these criteria takes already.
fn insert(matcher: &mut ChainMatcher, chain: u32, criteria: &Criteria) -> Result<(), u32> {
    let destinations = matcher.ports.entry(criteria.destination_port.as_ref());
    for destination in or_any(&criteria.destinations) {
        let names = destinations.entry(destination);
        for name in or_any(&criteria.server_names) {
            let transports = names.entry(name.and_then(Option::as_ref));
            let applications = transports.entry(criteria.transport.as_ref());
            for application in or_any(&criteria.applications) {
                let direct = applications.entry(application.and_then(Option::as_ref));
                for source in or_any(&criteria.direct_sources) {
                    insert_source(direct.entry(source), chain, criteria)?;
                }
            }
        }
    }
    Ok(())
}

fn insert_source(types: &mut SourceTypes, chain: u32, criteria: &Criteria) -> Result<(), u32> {
    let sources: &mut SourceRanges = match criteria.source_type {
        ConnectionSourceType::Any => types.any.get_or_insert_default(),
        ConnectionSourceType::SameIpOrLoopback => types.local.get_or_insert_default(),
        ConnectionSourceType::External => types.external.get_or_insert_default(),
    };
    for source in or_any(&criteria.sources) {
        let ports = sources.entry(source);
        for port in or_any(&criteria.source_ports) {
            match ports.entry(port) {
                Some(other) => return Err(*other),
                free => *free = Some(chain),
            }
        }
    }
    Ok(())
}

/// The values of a list, or "no requirement" if there are none.
fn or_any<T>(list: &[T]) -> impl Iterator<Item = Option<&T>> {
    let any = list.is_empty().then_some(None);
    any.into_iter().chain(list.iter().map(Some))
}

impl Criteria {
    fn compile(message: &FilterChainMatch, faults: &mut Faults) -> Criteria {
        let unsupported = [
            (!message.address_suffix.is_empty(), "address_suffix"),
            (message.suffix_len.is_some(), "suffix_len"),
        ];
        for (_, field) in unsupported.iter().filter(|(is_set, _)| *is_set) {
            faults.add_at(field, "unsupported", "this option isn't supported (nor by Envoy)");
        }
        let destination_port = message.destination_port.as_ref();
        let names = message.server_names.iter().enumerate();
        let ports = message.source_ports.iter().enumerate();
        let applications = message.application_protocols.iter();
        Criteria {
            destination_port: destination_port
                .and_then(|set| faults.field("destination_port", |faults| port(set.value, faults))),
            destinations: ranges("prefix_ranges", &message.prefix_ranges, faults),
            server_names: names
                .filter_map(|(index, name)| {
                    faults.item("server_names", index, |faults| server_name(name, faults))
                })
                .collect(),
            transport: Some(&*message.transport_protocol).filter(|t| !t.is_empty()).map(Into::into),
            // An empty text is no requirement, here and among the names: so it is in Envoy.
            applications: applications
                .map(|name| Some(name.as_bytes()).filter(|name| !name.is_empty()).map(Into::into))
                .collect(),
            direct_sources: ranges(
                "direct_source_prefix_ranges",
                &message.direct_source_prefix_ranges,
                faults,
            ),
            source_type: source_type(message.source_type, faults),
            sources: ranges("source_prefix_ranges", &message.source_prefix_ranges, faults),
            source_ports: ports
                .filter_map(|(index, value)| {
                    faults.item("source_ports", index, |faults| port(*value, faults))
                })
                .collect(),
        }
    }
}

fn port(value: u32, faults: &mut Faults) -> Option<u16> {
    let port = u16::try_from(value).ok().filter(|port| *port > 0);
    if port.is_none() {
        faults.add("out-of-range", format!("{value} is no port: 1 to 65535"));
    }
    port
}

fn ranges(field: &str, messages: &[PbCidrRange], faults: &mut Faults) -> Vec<CidrRange> {
    let messages = messages.iter().enumerate();
    let compile = |(index, message)| {
        faults.item(field, index, |faults: &mut Faults| CidrRange::compile(message, faults))
    };
    messages.filter_map(compile).collect()
}

/// The key that the name stands under; the inner `None` is no requirement.
fn server_name(name: &str, faults: &mut Faults) -> Option<Option<Box<str>>> {
    let lower = name.to_ascii_lowercase();
    let key = match lower.strip_prefix('*') {
        Some(end) if end.starts_with('.') => end,
        Some(_) => "*",
        None => &*lower,
    };
    if key.contains('*') {
        let text = format!("{name}: a wildcard must be the whole first label, as in *.example.com");
        faults.add("bad-name", text);
        return None;
    }
    Some(Some(key).filter(|key| !key.is_empty()).map(Into::into))
}

fn source_type(value: i32, faults: &mut Faults) -> ConnectionSourceType {
    ConnectionSourceType::try_from(value).unwrap_or_else(|_| {
        let text = "is none of ANY, SAME_IP_OR_LOOPBACK, EXTERNAL";
        faults.add_at("source_type", "bad-enum", text);
        ConnectionSourceType::Any
    })
}
