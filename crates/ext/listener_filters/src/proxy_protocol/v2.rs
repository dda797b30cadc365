//! Version 2: a binary header of 16 bytes, addresses, and type-length-values
//! (proxy-protocol.txt section 2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use dragoman_proto::pb::envoy::config::core::v3::proxy_protocol_config::Version;

use super::{Addresses, Header, Read, Refusal, tlv, unicast};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length of what follows.
pub(super) const HEADER: usize = 16;
const LOCAL: u8 = 0;
const PROXY: u8 = 1;
/// Source and destination with their ports.
const V4: usize = 12;
const V6: usize = 36;

/// Reads a header whose first 16 bytes are there. Refused with it: families other than IP (Unix
/// sockets among them) and transports other than streams and datagrams.
pub(super) fn read(data: &[u8]) -> Read<'_> {
    let malformed = |cause| Read::Refused(Refusal::Malformed(Version::V2, cause));
    let (version, command) = (data[12] >> 4, data[12] & 0x0f);
    let (family, transport) = (data[13] >> 4, data[13] & 0x0f);
    let length = usize::from(u16::from_be_bytes([data[14], data[15]]));
    if version != 2 {
        return malformed("proxy_protocol: unknown version");
    }
    let addresses = match (command, family, transport) {
        (LOCAL, ..) => 0,
        (PROXY, 1, 1 | 2) => V4,
        (PROXY, 2, 1 | 2) => V6,
        _ => return malformed("proxy_protocol: unsupported command, family or transport"),
    };
    if length < addresses {
        return malformed("proxy_protocol: no room for the addresses");
    }
    let whole = HEADER + length;
    let Some(rest) = data.get(HEADER..whole) else { return Read::More(whole) };
    if command == LOCAL {
        // What follows is to be ignored.
        let header = Header { addresses: None, length: whole, tlvs: Vec::new() };
        return Read::Header(Version::V2, header);
    }
    let (ends, rest) = rest.split_at(addresses);
    let Some(tlvs) = tlv::split(rest) else {
        return malformed("proxy_protocol: a type-length-value is cut off");
    };
    let addresses = parse(ends);
    if addresses.is_none() || !unicast(addresses) {
        return malformed("proxy_protocol: not an address of one host");
    }
    Read::Header(Version::V2, Header { addresses, length: whole, tlvs })
}

/// Source and destination of one family, then their ports.
fn parse(ends: &[u8]) -> Addresses {
    let (ips, ports) = ends.split_last_chunk::<4>()?;
    let (source, destination) = ips.split_at(ips.len() / 2);
    let end = |ip: &[u8], port: [u8; 2]| {
        let port = u16::from_be_bytes(port);
        if let Ok(v4) = <[u8; 4]>::try_from(ip) {
            return Some(SocketAddr::from((Ipv4Addr::from(v4), port)));
        }
        let v6 = <[u8; 16]>::try_from(ip).ok()?;
        Some(SocketAddr::from((Ipv6Addr::from(v6), port)))
    };
    Some((end(source, [ports[0], ports[1]])?, end(destination, [ports[2], ports[3]])?))
}
