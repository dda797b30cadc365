//! Addresses of the two connections, whole or in parts.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dragoman_types::{Address, Facts};

use crate::op::{Wrote, number, text};

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Endpoint {
    UpstreamLocal,
    UpstreamRemote,
    DownstreamRemote,
    DownstreamDirectRemote,
    DownstreamLocal,
    DownstreamDirectLocal,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Part {
    Whole,
    /// The IP address, or its network of so many bits (`127.0.0.0/8`).
    WithoutPort(Option<u8>),
    Port,
    /// Internal addresses only: an empty text for others.
    EndpointId,
}

impl Endpoint {
    pub(crate) fn write(self, part: Part, facts: &Facts<'_>, out: &mut Vec<u8>) -> Wrote {
        let info = facts.info;
        let connected = info.upstream_local.is_some() || info.upstream_connection_id.is_some();
        let address = match self {
            Endpoint::UpstreamLocal => info.upstream_local.as_ref(),
            // A host that was picked but never reached has no remote address yet.
            Endpoint::UpstreamRemote => facts.upstream_host.filter(|_| connected),
            Endpoint::DownstreamRemote => {
                Some(info.remote.as_ref().unwrap_or(&facts.connection.remote))
            }
            Endpoint::DownstreamDirectRemote => Some(&facts.connection.direct_remote),
            Endpoint::DownstreamLocal => Some(&facts.connection.local),
            Endpoint::DownstreamDirectLocal => Some(&facts.connection.direct_local),
        };
        address.map_or(Wrote::Nothing, |address| part.write(address, out))
    }
}

impl Part {
    pub(crate) fn write(self, address: &Address, out: &mut Vec<u8>) -> Wrote {
        match (self, address) {
            (Part::EndpointId, _) => text(Some(b""), out),
            (Part::Port, Address::Ip(socket)) => number(u64::from(socket.port()), out),
            (Part::Port, Address::Pipe(_)) => text(Some(b""), out),
            (Part::WithoutPort(None), Address::Ip(SocketAddr::V4(socket))) => {
                quad(*socket.ip(), None, out)
            }
            (Part::WithoutPort(bits), Address::Ip(socket)) => network(socket.ip(), bits, out),
            (Part::Whole, Address::Ip(SocketAddr::V4(socket))) => {
                quad(*socket.ip(), Some(socket.port()), out)
            }
            (Part::Whole, Address::Ip(socket)) => display(socket, out),
            (Part::Whole | Part::WithoutPort(_), Address::Pipe(path)) => {
                display(path.display(), out)
            }
        }
    }
}

fn display(value: impl std::fmt::Display, out: &mut Vec<u8>) -> Wrote {
    // A Vec takes every byte.
    let _ = write!(out, "{value}");
    Wrote::Text
}

/// `1.2.3.4:5`. In every line of a log: the standard formatter would take a quarter of the line's time.
fn quad(ip: Ipv4Addr, port: Option<u16>, out: &mut Vec<u8>) -> Wrote {
    let mut buffer = itoa::Buffer::new();
    for (index, octet) in ip.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(buffer.format(octet).as_bytes());
    }
    if let Some(port) = port {
        out.push(b':');
        out.extend_from_slice(buffer.format(port).as_bytes());
    }
    Wrote::Text
}

fn network(ip: IpAddr, bits: Option<u8>, out: &mut Vec<u8>) -> Wrote {
    let Some(bits) = bits else { return display(ip, out) };
    let (masked, bits) = match ip {
        IpAddr::V4(v4) => {
            let bits = bits.min(32);
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            (IpAddr::V4((v4.to_bits() & mask).into()), bits)
        }
        IpAddr::V6(v6) => {
            let bits = bits.min(128);
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            (IpAddr::V6((v6.to_bits() & mask).into()), bits)
        }
    };
    display(format_args!("{masked}/{bits}"), out)
}
