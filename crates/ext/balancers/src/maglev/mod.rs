//! `envoy.load_balancing_policies.maglev`: a table that a hash is an index of, filled by each host in
//! its own order (Eisenbud et al., "Maglev", NSDI 2016, section 3.4), as often as its weight says.
//! The same hosts in Envoy's configuration have the same table.

use std::sync::Arc;

use dragoman_cluster::{Balancing, Hosts, Policy};
use dragoman_proto::pb::envoy::config::cluster::v3::cluster::{LbConfig, LbPolicy};
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::maglev::v3::Maglev as Message;
use dragoman_proto::pb::google::protobuf::UInt64Value;
use dragoman_proto::unpack;
use dragoman_types::{Faults, hash_of, hash_with};

use crate::Registration;
use crate::hashing::{Hashed, Known, Spread, shares};

const TABLE_SIZE: u64 = 65_537;
const MAX_TABLE_SIZE: u64 = 5_000_011;

pub const REGISTRATION: Registration = Registration {
    message: "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
    legacy: Some(LbPolicy::Maglev),
    from_message: |any, faults| {
        let message: Message = unpack(any, faults)?;
        if message.locality_weighted_lb_config.is_some() {
            let why = "localities aren't weighted yet";
            faults.add_at("locality_weighted_lb_config", "unsupported", why);
        }
        let size = table_size(message.table_size.as_ref(), faults)?;
        let known = faults.field("consistent_hashing_lb_config", |faults| {
            Known::compile(message.consistent_hashing_lb_config.as_ref(), faults)
        });
        Some(Arc::new(Maglev { size, known }))
    },
    from_cluster: |cluster, faults| {
        let config = match &cluster.lb_config {
            Some(LbConfig::MaglevLbConfig(config)) => config.table_size.as_ref(),
            _ => None,
        };
        let size = faults.field("maglev_lb_config", |faults| table_size(config, faults))?;
        Some(Arc::new(Maglev { size, known: Known::of_cluster(cluster, faults) }))
    },
};

fn table_size(value: Option<&UInt64Value>, faults: &mut Faults) -> Option<u64> {
    let size = value.map_or(TABLE_SIZE, |value| value.value);
    let prime = |n: u64| n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    if size <= MAX_TABLE_SIZE && prime(size) {
        return Some(size);
    }
    let near = (size.min(MAX_TABLE_SIZE)..=MAX_TABLE_SIZE).find(|n| prime(*n));
    let near = near.unwrap_or(MAX_TABLE_SIZE);
    let why = format!("{size} is not a prime number of at most {MAX_TABLE_SIZE}; {near} is");
    faults.add_at("table_size", "out-of-range", why);
    None
}

#[derive(Clone, Debug)]
struct Maglev {
    size: u64,
    known: Known,
}

impl Policy for Maglev {
    fn name(&self) -> &'static str {
        "maglev"
    }

    fn over(&self, hosts: &Arc<Hosts>) -> Arc<dyn Balancing> {
        Arc::new(Hashed::new(Table::new(hosts, self), hosts, self.known))
    }
}

#[derive(Debug, Default)]
struct Table {
    places: Vec<u32>,
    /// Rows of the host that has the fewest, and of the one that has the most.
    rows: (u64, u64),
}

/// A host that fills the table.
struct Filler {
    place: u32,
    share: f64,
    /// Grows by the largest share with each row, so who has half of that gets every other turn.
    due: f64,
    next: u64,
    skip: u64,
    rows: u64,
}

const FREE: u32 = u32::MAX;

impl Table {
    fn new(hosts: &Hosts, policy: &Maglev) -> Table {
        let size = policy.size;
        let mut shares = shares(hosts, policy.known.by);
        if shares.is_empty() {
            return Table::default();
        }
        let largest = shares.iter().map(|host| host.share).fold(0.0, f64::max);
        // The order in which hosts take turns must not depend on the configuration's.
        shares.sort_by(|a, b| a.key.cmp(&b.key));
        let filler = |host: &crate::hashing::Share| Filler {
            place: host.place as u32,
            share: host.share,
            due: 0.0,
            next: hash_of(host.key.as_bytes()) % size,
            skip: hash_with(1, host.key.as_bytes()) % (size - 1) + 1,
            rows: 0,
        };
        let mut fillers: Vec<Filler> = shares.iter().map(filler).collect();
        let mut places = vec![FREE; size as usize];
        let mut left = size;
        for turn in 1u64.. {
            for filler in &mut fillers {
                if left == 0 {
                    let rows = || fillers.iter().map(|filler| filler.rows);
                    let rows = (rows().min().unwrap_or(0), rows().max().unwrap_or(0));
                    return Table { places, rows };
                }
                if (turn as f64) * filler.share < filler.due {
                    continue;
                }
                filler.due += largest;
                filler.take(&mut places);
                left -= 1;
            }
        }
        unreachable!("each turn takes a row at least: the host with the largest share's")
    }
}

impl Filler {
    /// Takes the first free row in this host's order; there is one.
    fn take(&mut self, places: &mut [u32]) {
        let size = places.len() as u64;
        while places[self.next as usize] != FREE {
            self.next = (self.next + self.skip) % size;
        }
        places[self.next as usize] = self.place;
        self.next = (self.next + self.skip) % size;
        self.rows += 1;
    }
}

impl Spread for Table {
    fn place(&self, hash: u64, passed_over: u32) -> Option<usize> {
        // Far away, so that not all come to the same other host. (Of no host it is the hash as it is.)
        let hash = hash ^ u64::from(passed_over).wrapping_neg();
        let row = hash.checked_rem(self.places.len() as u64)?;
        Some(self.places[row as usize] as usize)
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let (min, max) = self.rows;
        vec![("maglev_lb.min_entries_per_host", min), ("maglev_lb.max_entries_per_host", max)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{counts, hosts};

    fn table(weights: &[u32]) -> Table {
        Table::new(&hosts(weights), &Maglev { size: 65_537, known: Known::BY_ADDRESS })
    }

    #[test]
    fn rows_are_shared_by_weight() {
        assert_eq!(table(&[1, 1, 1]).rows, (21_845, 21_846));
        let (least, most) = table(&[1, 3]).rows;
        assert!((2.99..3.01).contains(&(most as f64 / least as f64)), "{least} {most}");
        assert_eq!(table(&[]).place(7, 0), None);
    }

    #[test]
    fn few_hashes_move_when_a_host_goes() {
        let (before, after) = (table(&[1, 1, 1, 1]), table(&[1, 1, 1]));
        let stayed =
            (0..65_537).filter(|hash| before.place(*hash, 0) == after.place(*hash, 0)).count();
        // A quarter must move; the paper's measurements have a few per cent more.
        assert!(stayed > 65_537 * 65 / 100, "{stayed}");
    }

    #[test]
    fn without_a_hash_any_host_serves() {
        let policy = Maglev { size: 65_537, known: Known::BY_ADDRESS };
        let mut balancer = policy.over(&hosts(&[1, 1])).balancer(0);
        let got = counts(&mut *balancer, 2, 1000, |_| 0);
        assert!(got.iter().all(|n| (400..600).contains(n)), "{got:?}");
    }

    #[test]
    fn a_table_has_a_prime_number_of_rows() {
        let size = |value| table_size(Some(&UInt64Value { value }), &mut Faults::new());
        assert_eq!([2, 65_537, 5_000_011].map(size), [2, 65_537, 5_000_011].map(Some));
        assert_eq!([0, 1, 4, 65_536, 5_000_077].map(size), [None; 5]);
    }
}
