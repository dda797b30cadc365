//! `envoy.config.core.v3.CidrRange`.

use std::net::IpAddr;

use dragoman_proto::pb::envoy::config::core::v3 as pb;
use dragoman_proto::u32_or;
use dragoman_types::Faults;

/// A range of IP addresses, without the bits behind its prefix: equal ranges are equal values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CidrRange {
    v4: bool,
    bits: u8,
    prefix: u128,
}

impl CidrRange {
    /// The first `bits` bits of the addresses; at most as many as an address has.
    pub fn new(ip: IpAddr, bits: u8) -> CidrRange {
        let v4 = ip.is_ipv4();
        let bits = bits.min(if v4 { 32 } else { 128 });
        CidrRange { v4, bits, prefix: CidrRange::prefix_of(ip, bits) }
    }

    /// A length that is unset is 0. Faults: `empty`, `bad-cidr`.
    pub fn compile(message: &pb::CidrRange, faults: &mut Faults) -> Option<CidrRange> {
        if message.address_prefix.is_empty() {
            faults.add_at("address_prefix", "empty", "must not be empty");
            return None;
        }
        let length = u32_or(message.prefix_len.as_ref(), 0);
        let Ok(ip) = message.address_prefix.parse::<IpAddr>() else {
            faults.add("bad-cidr", format!("{} is no IP address", message.address_prefix));
            return None;
        };
        let most = if ip.is_ipv4() { 32 } else { 128 };
        if length > most {
            faults.add("bad-cidr", format!("{ip}/{length} is no range: {most} at most"));
            return None;
        }
        Some(CidrRange::new(ip, length as u8))
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        self.v4 == ip.is_ipv4() && self.prefix == CidrRange::prefix_of(ip, self.bits)
    }

    pub fn is_ipv4(&self) -> bool {
        self.v4
    }

    /// The prefix's length.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// The prefix's bits, moved to the right end.
    pub fn prefix(&self) -> u128 {
        self.prefix
    }

    /// The first `bits` bits of an address. All of a length 0 are equal; a shift by the whole width would
    /// overflow.
    pub fn prefix_of(ip: IpAddr, bits: u8) -> u128 {
        let (address, width) = match ip {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
            IpAddr::V6(ip) => (ip.to_bits(), 128),
        };
        address.checked_shr(u32::from(width - bits)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_a_range_or_not() {
        let range = |text: &str, bits| CidrRange::new(text.parse().expect("an address"), bits);
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(range("10.0.0.0", 8).contains(ip("10.9.8.7")));
        assert!(!range("10.0.0.0", 8).contains(ip("11.0.0.0")));
        assert!(!range("0.0.0.0", 0).contains(ip("::1")));
        assert!(
            range("::", 0).contains(ip("fe80::1")) && range("1.2.3.4", 0).contains(ip("9.9.9.9"))
        );
        assert!(range("::1", 128).contains(ip("::1")) && !range("::1", 128).contains(ip("::2")));
        assert_eq!(range("10.1.2.3", 8), range("10.0.0.0", 8));
    }
}
