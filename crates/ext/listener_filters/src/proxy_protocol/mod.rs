//! `envoy.filters.listener.proxy_protocol`: the addresses that a proxy in front of us says (PROXY
//! protocol, haproxy.org/download/3.0/doc/proxy-protocol.txt, versions 1 and 2).
//!
//! Counted and decided as Envoy does it, also where it waits: below 16 bytes only a line's end tells
//! that no header comes, unless connections without one are allowed.

mod tlv;
mod v1;
mod v2;

use std::net::SocketAddr;
use std::sync::Arc;

use dragoman_listener::{
    Arrival, Inspected, ListenerFilter, Means, Progress, ProxyHeader, Stats, Tlv,
};
use dragoman_proto::pb::envoy::config::core::v3::proxy_protocol_config::Version;
use dragoman_proto::pb::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_stats::stats_struct;
use dragoman_types::{Address, Faults};

use tlv::Rules;

pub const MESSAGE: &str = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";

stats_struct! {
    /// `proxy_proto.[<stat_prefix>.]`
    struct ProxyProtocolStats {
        counters:
            not_found_allowed, not_found_disallowed,
            v1_found = "versions.v1.found", v1_disallowed = "versions.v1.disallowed",
            v1_error = "versions.v1.error",
            v2_found = "versions.v2.found", v2_disallowed = "versions.v2.disallowed",
            v2_error = "versions.v2.error";
    }
}

stats_struct! {
    /// Without a prefix: what Envoy counted first.
    struct LegacyStats {
        counters: downstream_cx_proxy_proto_error;
    }
}

/// The addresses of a header: source, destination. `None`: it says to take the socket's.
type Addresses = Option<(SocketAddr, SocketAddr)>;

/// A header, whole and sound.
#[derive(Debug)]
struct Header<'a> {
    addresses: Addresses,
    /// Bytes with all that belongs to it.
    length: usize,
    tlvs: Vec<(u8, &'a [u8])>,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    NotFound,
    Disallowed(Version),
    Malformed(Version, &'static str),
}

/// What the bytes so far are.
enum Read<'a> {
    More(usize),
    /// No header, and none is needed.
    Absent,
    Header(Version, Header<'a>),
    Refused(Refusal),
}

#[derive(Debug)]
struct ProxyProtocol {
    optional: bool,
    v1: bool,
    v2: bool,
    rules: Rules,
    stats: Stats<ProxyProtocolStats>,
    legacy: Stats<LegacyStats>,
}

/// Takes the whole message. Faults: `bad-enum`, `out-of-range`, `empty`, `no-effect` (every version
/// is disallowed).
pub fn compile(
    any: &Any,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<Arc<dyn ListenerFilter>> {
    let message: Message = unpack(any, faults)?;
    let rules = Rules::compile(&message, faults);
    let mut allowed = [true; 2];
    for (index, value) in message.disallowed_versions.iter().enumerate() {
        match Version::try_from(*value) {
            Ok(version) => allowed[version as usize] = false,
            Err(_) => faults.item("disallowed_versions", index, |faults| {
                faults.add("bad-enum", "is neither V1 nor V2");
            }),
        }
    }
    if allowed == [false; 2] {
        faults.add_at("disallowed_versions", "no-effect", "all versions are disallowed");
    }
    let prefix = match &*message.stat_prefix {
        "" => "proxy_proto.".to_owned(),
        prefix => format!("proxy_proto.{prefix}."),
    };
    Some(Arc::new(ProxyProtocol {
        optional: message.allow_requests_without_proxy_protocol,
        v1: allowed[0],
        v2: allowed[1],
        rules,
        stats: Stats::new(means, &prefix),
        legacy: Stats::new(means, ""),
    }))
}

impl ListenerFilter for ProxyProtocol {
    fn max_bytes(&self) -> usize {
        v2::HEADER + usize::from(u16::MAX)
    }

    fn inspect(
        &self,
        data: &[u8],
        _: &mut Progress,
        arrival: &mut Arrival,
        worker: usize,
    ) -> Inspected {
        match self.read(data) {
            Read::More(until) => Inspected::More { until },
            Read::Absent => {
                self.stats.of(worker).not_found_allowed.inc();
                Inspected::Done { consumed: 0 }
            }
            Read::Header(version, header) => {
                self.count_found(version, worker);
                self.apply(version, &header, arrival);
                Inspected::Done { consumed: header.length }
            }
            Read::Refused(refusal) => Inspected::Close(self.refuse(refusal, worker)),
        }
    }
}

impl ProxyProtocol {
    fn read<'a>(&self, data: &'a [u8]) -> Read<'a> {
        // Which header it may still become.
        let may_be = |signature: &[u8]| {
            let seen = data.len().min(signature.len());
            data[..seen] == signature[..seen]
        };
        let (may_be_v1, may_be_v2) = (may_be(v1::SIGNATURE), may_be(v2::SIGNATURE));
        if data.is_empty() {
            Read::More(1)
        } else if self.optional && !(self.v1 && may_be_v1) && !(self.v2 && may_be_v2) {
            Read::Absent
        } else if data.len() >= v2::HEADER && may_be_v2 {
            if self.v2 { v2::read(data) } else { Read::Refused(Refusal::Disallowed(Version::V2)) }
        } else if data.len() >= v2::HEADER && !may_be_v1 {
            Read::Refused(Refusal::NotFound)
        } else {
            v1::read(data, self.v1)
        }
    }

    fn count_found(&self, version: Version, worker: usize) {
        let stats = self.stats.of(worker);
        match version {
            Version::V1 => stats.v1_found.inc(),
            Version::V2 => stats.v2_found.inc(),
        }
    }

    /// Counts, and gives the cause.
    fn refuse(&self, refusal: Refusal, worker: usize) -> &'static str {
        let stats = self.stats.of(worker);
        let (counter, cause) = match refusal {
            Refusal::NotFound => (&stats.not_found_disallowed, "proxy_protocol: no header"),
            Refusal::Malformed(Version::V1, cause) => (&stats.v1_error, cause),
            Refusal::Malformed(Version::V2, cause) => (&stats.v2_error, cause),
            Refusal::Disallowed(version) => {
                self.count_found(version, worker);
                let counter = match version {
                    Version::V1 => &stats.v1_disallowed,
                    Version::V2 => &stats.v2_disallowed,
                };
                counter.inc();
                return "proxy_protocol: the header's version is disallowed";
            }
        };
        counter.inc();
        self.legacy.of(worker).downstream_cx_proxy_proto_error.inc();
        cause
    }

    fn apply(&self, version: Version, header: &Header<'_>, arrival: &mut Arrival) {
        if let Some((source, destination)) = header.addresses {
            arrival.source = Address::Ip(source);
            arrival.destination = Address::Ip(destination);
        }
        let named = self.rules.apply(&header.tlvs, arrival);
        let passed = header.tlvs.iter().filter(|(kind, _)| self.rules.passes(*kind));
        let tlvs: Vec<Tlv> = passed.map(|(kind, value)| (*kind, (*value).into())).collect();
        arrival.proxy = Some(Box::new(ProxyHeader {
            version: version as u8 + 1,
            source: arrival.source.clone(),
            destination: arrival.destination.clone(),
            tlvs,
            named,
        }));
    }
}

/// Both ends must be what a connection can have: neither unspecified nor multicast nor broadcast.
fn unicast(addresses: Addresses) -> bool {
    addresses.is_none_or(|(source, destination)| {
        [source, destination].iter().all(|end| match end {
            SocketAddr::V4(v4) => {
                let ip = v4.ip();
                !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast()
            }
            SocketAddr::V6(v6) => !v6.ip().is_unspecified() && !v6.ip().is_multicast(),
        })
    })
}
