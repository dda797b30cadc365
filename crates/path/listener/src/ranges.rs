//! One stage of the choice: by the longest range that holds an address.

use std::net::{IpAddr, Ipv4Addr};

use dragoman_matcher::CidrRange;
use dragoman_types::Address;
use rustc_hash::FxHashMap;

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
        let held =
            family.iter().find_map(|(bits, known)| known.get(&CidrRange::prefix_of(ip, *bits)));
        held.or(self.any.as_ref())
    }

    pub(crate) fn entry(&mut self, range: Option<&CidrRange>) -> &mut T
    where
        T: Default,
    {
        let Some(range) = range else { return self.any.get_or_insert_default() };
        let family = if range.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let place = match family.binary_search_by(|(known, _)| range.bits().cmp(known)) {
            Ok(place) => place,
            Err(place) => {
                family.insert(place, (range.bits(), FxHashMap::default()));
                place
            }
        };
        family[place].1.entry(range.prefix()).or_default()
    }
}
