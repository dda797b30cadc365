//! One stage of the choice: by the longest range that holds an address.

use std::net::{IpAddr, Ipv4Addr};

use dragoman_proto::pb::envoy::config::core::v3::CidrRange;
use dragoman_proto::u32_or;
use dragoman_types::{Address, Faults};
use rustc_hash::FxHashMap;

/// A range of IP addresses, without the bits behind its prefix: equal ranges are equal values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Range {
    v4: bool,
    bits: u8,
    /// The prefix's bits, moved to the right end.
    prefix: u128,
}

/// The address's bits at the left end of so many.
fn bits_of(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

/// The first `bits` bits. All of a length 0 are equal; a shift by the whole width would overflow.
fn prefix_of((address, width): (u128, u8), bits: u8) -> u128 {
    address.checked_shr(u32::from(width - bits)).unwrap_or(0)
}

impl Range {
    /// Reads `CidrRange`; a length that is unset is 0. Faults: `empty`, `bad-cidr`.
    pub(crate) fn compile(message: &CidrRange, faults: &mut Faults) -> Option<Range> {
        if message.address_prefix.is_empty() {
            faults.add_at("address_prefix", "empty", "must not be empty");
            return None;
        }
        let length = u32_or(message.prefix_len.as_ref(), 0);
        let Ok(ip) = message.address_prefix.parse::<IpAddr>() else {
            faults.add("bad-cidr", format!("{} is no IP address", message.address_prefix));
            return None;
        };
        let address = bits_of(ip);
        if length > u32::from(address.1) {
            faults.add("bad-cidr", format!("{ip}/{length} is no range: {} at most", address.1));
            return None;
        }
        let bits = length as u8;
        Some(Range { v4: ip.is_ipv4(), bits, prefix: prefix_of(address, bits) })
    }
}

/// The ranges of one family: by their length, longest first.
type Family<T> = Vec<(u8, FxHashMap<u128, T>)>;

/// What follows for each range, and for addresses in none. A look-up asks each length that occurs once.
#[derive(Debug)]
pub(crate) struct Ranges<T> {
    v4: Family<T>,
    v6: Family<T>,
    any: Option<T>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Ranges<T> {
        Ranges { v4: Vec::new(), v6: Vec::new(), any: None }
    }
}

impl<T> Ranges<T> {
    /// The longest range that holds `address`, else the one without a requirement. A pipe is looked
    /// for as 255.255.255.255, as in Envoy, so it is in no range but `0.0.0.0/0` that means anything.
    pub(crate) fn find(&self, address: &Address) -> Option<&T> {
        if self.v4.is_empty() && self.v6.is_empty() {
            return self.any.as_ref();
        }
        let ip = address.ip().unwrap_or(IpAddr::V4(Ipv4Addr::BROADCAST));
        let family = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        let address = bits_of(ip);
        let held = family.iter().find_map(|(bits, known)| known.get(&prefix_of(address, *bits)));
        held.or(self.any.as_ref())
    }

    pub(crate) fn entry(&mut self, range: Option<&Range>) -> &mut T
    where
        T: Default,
    {
        let Some(range) = range else { return self.any.get_or_insert_default() };
        let family = if range.v4 { &mut self.v4 } else { &mut self.v6 };
        let place = match family.binary_search_by(|(known, _)| range.bits.cmp(known)) {
            Ok(place) => place,
            Err(place) => {
                family.insert(place, (range.bits, FxHashMap::default()));
                place
            }
        };
        family[place].1.entry(range.prefix).or_default()
    }
}
