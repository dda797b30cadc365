//! Version 1: `PROXY TCP4 <source> <destination> <source port> <destination port>` and CR LF
//! (proxy-protocol.txt section 2.1).

use std::net::{IpAddr, SocketAddr};

use dragoman_proto::pb::envoy::config::core::v3::proxy_protocol_config::Version;

use super::{Addresses, Header, Read, Refusal, unicast};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// The longest line with its end. The specification says 107; it is Envoy's limit.
const MAX_LINE: usize = 108;
/// As far as Envoy looks for the line's end: the bytes it asks for at first.
const LOOKED_AT: usize = 232;

/// Reads the line. Bytes that can't become one are given as well, while there are few of them: they
/// are refused at their first line end.
pub(super) fn read(data: &[u8], allowed: bool) -> Read<'_> {
    let refused = |refusal| Read::Refused(refusal);
    let looked_at = &data[..data.len().min(LOOKED_AT)];
    let ends = looked_at.windows(2).position(|pair| pair == b"\r\n");
    match ends {
        // It may be the beginning of version 2's signature.
        Some(0) => Read::More(data.len() + 1),
        None if looked_at.len() > MAX_LINE => refused(Refusal::NotFound),
        None => Read::More(data.len() + 1),
        Some(end) if end + 2 > MAX_LINE => {
            refused(Refusal::Malformed(Version::V1, "proxy_protocol: the line is too long"))
        }
        Some(_) if !allowed => refused(Refusal::Disallowed(Version::V1)),
        Some(end) => match parse(&data[..end]).filter(|addresses| unicast(*addresses)) {
            Some(addresses) => {
                let header = Header { addresses, length: end + 2, tlvs: Vec::new() };
                Read::Header(Version::V1, header)
            }
            None => refused(Refusal::Malformed(Version::V1, "proxy_protocol: malformed line")),
        },
    }
}

/// The outer `None`: malformed. `UNKNOWN` may be followed by any bytes.
fn parse(line: &[u8]) -> Option<Addresses> {
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
    if words.next()? != b"PROXY" {
        return None;
    }
    let v4 = match words.next()? {
        b"UNKNOWN" => return Some(None),
        b"TCP4" => true,
        b"TCP6" => false,
        _ => return None,
    };
    let words = words.map(|word| std::str::from_utf8(word).ok());
    let rest: Vec<&str> = words.collect::<Option<_>>()?;
    let [source, destination, source_port, destination_port] = rest[..] else { return None };
    let end = |ip: &str, port: &str| {
        let ip: IpAddr = ip.parse().ok()?;
        (ip.is_ipv4() == v4).then_some(SocketAddr::new(ip, number(port)?))
    };
    Some(Some((end(source, source_port)?, end(destination, destination_port)?)))
}

/// `u16::from_str` takes a sign.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
