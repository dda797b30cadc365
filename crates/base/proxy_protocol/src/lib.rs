//! The PROXY protocol towards hosts: a header before all else says who the client is.
//! Source: `ProxyProtocolConfig`; <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>.

use std::net::{IpAddr, SocketAddr};

use dragoman_proto::pb::envoy::config::core::v3::ProxyProtocolConfig;
use dragoman_proto::pb::envoy::config::core::v3::proxy_protocol_config::Version;
use dragoman_proto::pb::envoy::config::core::v3::proxy_protocol_pass_through_tl_vs::PassTlVsMatchType;
use dragoman_proto::tlv::{self, Tlv};
use dragoman_types::{Address, Faults};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, commands LOCAL and PROXY.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Streams over IPv4 and IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyProtocol {
    version: Version,
    /// Which of the client's own are passed on.
    passed: Passed,
    added: Vec<Tlv>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Passed {
    All,
    Of(Vec<u8>),
}

impl Default for ProxyProtocol {
    fn default() -> ProxyProtocol {
        ProxyProtocol { version: Version::V1, passed: Passed::Of(Vec::new()), added: Vec::new() }
    }
}

impl ProxyProtocol {
    /// Faults: `out-of-range` (a type is a byte), `too-long`, `unsupported` (formatted values).
    pub fn compile(message: &ProxyProtocolConfig, faults: &mut Faults) -> ProxyProtocol {
        let passed = match &message.pass_through_tlvs {
            None => Passed::Of(Vec::new()),
            Some(pass) if pass.match_type == PassTlVsMatchType::IncludeAll as i32 => Passed::All,
            Some(pass) => faults.field("pass_through_tlvs", |faults| {
                let kinds = pass.tlv_type.iter().enumerate();
                let kinds = kinds.filter_map(|(index, kind)| {
                    faults.item("tlv_type", index, |faults| tlv::byte(*kind, faults))
                });
                Passed::Of(kinds.collect())
            }),
        };
        let added = tlv::compile(&message.added_tlvs, "added_tlvs", faults);
        ProxyProtocol { version: message.version(), passed, added }
    }

    /// The header for a client at `source` that meant `destination`, with the TLVs that it sent.
    pub fn header(&self, source: &Address, destination: &Address, tlvs: &[Tlv]) -> Vec<u8> {
        let ends = match (source, destination) {
            (Address::Ip(source), Address::Ip(destination)) => Some((*source, *destination)),
            _ => None,
        };
        let ends = ends.filter(|(source, destination)| source.is_ipv4() == destination.is_ipv4());
        match self.version {
            Version::V1 => text(ends),
            Version::V2 => self.binary(ends, tlvs),
        }
    }

    fn binary(&self, ends: Option<(SocketAddr, SocketAddr)>, tlvs: &[Tlv]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        let Some((source, destination)) = ends else {
            header.extend([LOCAL, 0, 0, 0]);
            return header;
        };
        let mut body = Vec::with_capacity(36);
        for end in [source, destination] {
            match end.ip() {
                IpAddr::V4(ip) => body.extend(ip.octets()),
                IpAddr::V6(ip) => body.extend(ip.octets()),
            }
        }
        body.extend(source.port().to_be_bytes());
        body.extend(destination.port().to_be_bytes());
        // Those of the configuration come first, and instead of the client's of the same type.
        let own = |kind: u8| self.added.iter().any(|(known, _)| *known == kind);
        let passed = tlvs.iter().filter(|(kind, _)| self.passes(*kind) && !own(*kind));
        for (kind, value) in self.added.iter().chain(passed) {
            let length = u16::try_from(value.len()).ok();
            // What the header has no room for is left out: its length has two bytes.
            let room = usize::from(u16::MAX) - body.len();
            if let Some(length) = length.filter(|length| usize::from(*length) + 3 <= room) {
                body.push(*kind);
                body.extend(length.to_be_bytes());
                body.extend_from_slice(value);
            }
        }
        header.extend([PROXY, if source.is_ipv4() { TCP4 } else { TCP6 }]);
        header.extend((body.len() as u16).to_be_bytes());
        header.extend(body);
        header
    }

    fn passes(&self, kind: u8) -> bool {
        match &self.passed {
            Passed::All => true,
            Passed::Of(kinds) => kinds.contains(&kind),
        }
    }
}

fn text(ends: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let Some((source, destination)) = ends else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.port(), destination.port());
    format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Address {
        Address::Ip(text.parse().expect("an address"))
    }

    #[test]
    fn ends_that_are_no_pair_are_not_told() {
        let pipe = Address::Pipe("/a".into());
        let v1 = ProxyProtocol::default();
        let v2 = ProxyProtocol { version: Version::V2, ..ProxyProtocol::default() };
        for (source, destination) in
            [(&pipe, &ip("127.0.0.1:1")), (&ip("[::1]:1"), &ip("1.1.1.1:1"))]
        {
            assert_eq!(v1.header(source, destination, &[]), b"PROXY UNKNOWN\r\n");
            assert_eq!(v2.header(source, destination, &[])[12..], [0x20, 0, 0, 0]);
        }
    }

    #[test]
    fn values_without_room_are_left_out() {
        let passed = Passed::All;
        let v2 = ProxyProtocol { version: Version::V2, passed, ..ProxyProtocol::default() };
        let long: Box<[u8]> = vec![b'x'; 65_510].into();
        let tlvs = [(1, long), (2, b"0123456789".as_slice().into()), (3, b"y".as_slice().into())];
        let header = v2.header(&ip("1.2.3.4:5"), &ip("6.7.8.9:10"), &tlvs);
        assert_eq!(header[14..16], (65_529u16).to_be_bytes());
        assert!(header.ends_with(b"x\x03\0\x01y"));
    }
}
