//! This machine's own addresses.

use std::net::IpAddr;

/// The first IPv4 address of an interface that isn't a loopback one.
pub fn local_interface() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    interfaces.iter().map(|i| i.ip()).find(|ip| ip.is_ipv4() && !ip.is_loopback())
}
