//! Whose request it is: judges `x-forwarded-for`, writes it, `x-forwarded-proto` and
//! `x-forwarded-port`, and tells inner from outer requests.
//!
//! A private address earns no trust by itself: only `internal_address_config` names inner peers.
//! Source: `HttpConnectionManager.{use_remote_address,xff_num_trusted_hops,skip_xff_append,
//! append_x_forwarded_port,internal_address_config,scheme_header_transformation}`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dragoman_matcher::CidrRange;
use dragoman_types::{Address, Headers, id};

use crate::accept::Arrival;

/// Addresses whose requests count as inner ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InternalAddresses {
    pub unix_sockets: bool,
    pub ranges: Vec<CidrRange>,
}

impl InternalAddresses {
    pub(crate) fn contains(&self, address: &Address) -> bool {
        match address {
            Address::Ip(socket) => self.ranges.iter().any(|range| range.contains(socket.ip())),
            Address::Pipe(_) => self.unix_sockets,
        }
    }
}

/// How a client's address is found out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientAddressRules {
    pub use_remote_address: bool,
    pub trusted_hops: u32,
    pub skip_append: bool,
    pub append_port: bool,
    pub internal: InternalAddresses,
    /// `http` or `https`, whatever the connection is.
    pub scheme: Option<&'static str>,
}

/// What was found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    pub(crate) address: Address,
    /// It's the connection's own peer.
    pub(crate) is_peer: bool,
    pub(crate) internal: bool,
    /// We are the first trusted hop.
    pub(crate) edge: bool,
}

impl ClientAddressRules {
    /// Finds out the client and writes the forwarding fields.
    pub(crate) fn apply(
        &self,
        headers: &mut Headers,
        arrival: &Arrival<'_>,
        text: &mut Vec<u8>,
    ) -> Client {
        let direct = &arrival.connection.remote;
        let (found, alone) = if self.use_remote_address {
            let alone = !headers.contains(id::X_FORWARDED_FOR);
            let found = self.trusted_hops.checked_sub(1).and_then(|skip| from_xff(headers, skip));
            self.append_peer(headers, arrival);
            (found.map(|(address, _)| address), alone)
        } else {
            let found = from_xff(headers, self.trusted_hops);
            let alone = found.as_ref().is_some_and(|(_, alone)| *alone);
            (found.map(|(address, _)| address), alone)
        };
        let is_peer = found.is_none();
        let found = found.unwrap_or_else(|| direct.clone());
        self.write_proto(headers, arrival);
        self.write_port(headers, arrival, text);
        self.write_scheme(headers, arrival.connection.tls.is_some());
        let internal = alone && self.internal.contains(&found);
        Client { address: found, is_peer, internal, edge: !internal && self.use_remote_address }
    }

    /// With trusted hops in front, what they said of protocol and port is taken over.
    fn replaces(&self, there: bool) -> bool {
        !there || (self.use_remote_address && self.trusted_hops == 0)
    }

    fn append_peer(&self, headers: &mut Headers, arrival: &Arrival<'_>) {
        let Some(peer) = arrival.connection.remote.ip() else { return };
        if self.skip_append {
            return;
        }
        // Envoy names itself rather than a loopback address, which means nothing elsewhere.
        let shown = match is_canonical_loopback(peer) {
            true => arrival.local_interface.unwrap_or("127.0.0.1"),
            false => &arrival.connection.remote_ip,
        };
        match headers.get(id::X_FORWARDED_FOR).is_some_and(|value| !value.is_empty()) {
            true => headers.join(id::X_FORWARDED_FOR, b",", shown.as_bytes()),
            false => headers.set(id::X_FORWARDED_FOR, shown.as_bytes()),
        }
    }

    fn write_proto(&self, headers: &mut Headers, arrival: &Arrival<'_>) {
        let there = headers.contains(id::X_FORWARDED_PROTO);
        if let Some(scheme) = self.scheme {
            headers.set(id::X_FORWARDED_PROTO, scheme.as_bytes());
        } else if self.replaces(there) {
            let line: &[u8] = match arrival.connection.tls.is_some() {
                true => b"x-forwarded-proto: https\r\n",
                false => b"x-forwarded-proto: http\r\n",
            };
            headers.set_line(id::X_FORWARDED_PROTO, line);
        }
    }

    fn write_port(&self, headers: &mut Headers, arrival: &Arrival<'_>, text: &mut Vec<u8>) {
        let there = headers.contains(id::X_FORWARDED_PORT);
        let Some(port) = arrival.connection.local.port() else { return };
        if self.append_port && self.replaces(there) {
            text.clear();
            text.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
            headers.set(id::X_FORWARDED_PORT, text);
        }
    }

    /// `:scheme` as routes and logs see it: an absolute target's own, else what
    /// `x-forwarded-proto` says, else the connection's.
    fn write_scheme(&self, headers: &mut Headers, tls: bool) {
        let scheme: &'static [u8] = match self.scheme {
            Some(scheme) => scheme.as_bytes(),
            None if headers.contains(id::SCHEME) => return,
            None => match headers.get(id::X_FORWARDED_PROTO) {
                Some(proto) if proto.eq_ignore_ascii_case(b"https") => connection_scheme(true),
                Some(proto) if proto.eq_ignore_ascii_case(b"http") => connection_scheme(false),
                _ => connection_scheme(tls),
            },
        };
        headers.set(id::SCHEME, scheme);
    }
}

fn connection_scheme(tls: bool) -> &'static [u8] {
    if tls { b"https" } else { b"http" }
}

/// 127.0.0.1 and ::1 only: to Envoy 127.0.0.2 is an address like any other.
fn is_canonical_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4 == Ipv4Addr::LOCALHOST,
        IpAddr::V6(v6) => v6.is_loopback(),
    }
}

pub(crate) fn write_ip(address: IpAddr, text: &mut Vec<u8>) {
    text.clear();
    match address {
        IpAddr::V4(v4) => {
            for (nth, part) in v4.octets().into_iter().enumerate() {
                if nth > 0 {
                    text.push(b'.');
                }
                text.extend_from_slice(itoa::Buffer::new().format(part).as_bytes());
            }
        }
        // Writing to a vector can't fail.
        IpAddr::V6(v6) => drop(write!(text, "{v6}")),
    }
}

/// The address that stands `skip` places before the end of `x-forwarded-for`, and whether it is
/// the only one there. Anything but a plain address (a port, a name) counts as none.
fn from_xff(headers: &Headers, skip: u32) -> Option<(Address, bool)> {
    let mut rest = headers.get(id::X_FORWARDED_FOR)?;
    for _ in 0..skip {
        rest = &rest[..rest.iter().rposition(|b| *b == b',')?];
    }
    let comma = rest.iter().rposition(|b| *b == b',');
    let last = comma.map_or(rest, |at| &rest[at + 1..]).trim_ascii();
    let ip: IpAddr = std::str::from_utf8(last).ok()?.parse().ok()?;
    Some((Address::Ip(SocketAddr::new(ip, 0)), comma.is_none() && skip == 0))
}
