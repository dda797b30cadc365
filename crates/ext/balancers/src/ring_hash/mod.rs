//! `envoy.load_balancing_policies.ring_hash`: each host stands at many points of a ring, in proportion to
//! its weight; a hash leads to the next point (ketama). The same hosts in Envoy's configuration have the
//! same points.

use std::sync::Arc;

use dragoman_cluster::{Balancing, Hosts, Policy};
use dragoman_proto::pb::envoy::config::cluster::v3::cluster::ring_hash_lb_config;
use dragoman_proto::pb::envoy::config::cluster::v3::cluster::{LbConfig, LbPolicy};
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::ring_hash::v3::RingHash as Message;
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::ring_hash::v3::ring_hash::HashFunction;
use dragoman_proto::pb::google::protobuf::UInt64Value;
use dragoman_proto::unpack;
use dragoman_types::{Faults, hash_of, murmur_hash_of};

use crate::Registration;
use crate::hashing::{Hashed, Known, Spread, shares};

const MIN_RING_SIZE: u64 = 1024;
const MAX_RING_SIZE: u64 = 8 * 1024 * 1024;

pub const REGISTRATION: Registration = Registration {
    message: "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
    legacy: Some(LbPolicy::RingHash),
    from_message: |any, faults| {
        let message: Message = unpack(any, faults)?;
        if message.locality_weighted_lb_config.is_some() {
            let why = "localities aren't weighted yet";
            faults.add_at("locality_weighted_lb_config", "unsupported", why);
        }
        let murmur = message.hash_function == HashFunction::MurmurHash2 as i32;
        let sizes = (message.minimum_ring_size.as_ref(), message.maximum_ring_size.as_ref());
        #[allow(deprecated)]
        let known = match &message.consistent_hashing_lb_config {
            Some(config) => faults.field("consistent_hashing_lb_config", |faults| {
                Known::compile(Some(config), faults)
            }),
            None => {
                Known::with(message.use_hostname_for_hashing, message.hash_balance_factor, faults)
            }
        };
        Some(Arc::new(RingHash { sizes: ring_sizes(sizes, faults)?, known, murmur }))
    },
    from_cluster: |cluster, faults| {
        let known = Known::of_cluster(cluster, faults);
        let Some(LbConfig::RingHashLbConfig(config)) = &cluster.lb_config else {
            let sizes = (MIN_RING_SIZE, MAX_RING_SIZE);
            return Some(Arc::new(RingHash { sizes, known, murmur: false }));
        };
        let murmur = config.hash_function == ring_hash_lb_config::HashFunction::MurmurHash2 as i32;
        let sizes = faults.field("ring_hash_lb_config", |faults| {
            let (least, most) = (&config.minimum_ring_size, &config.maximum_ring_size);
            ring_sizes((least.as_ref(), most.as_ref()), faults)
        })?;
        Some(Arc::new(RingHash { sizes, known, murmur }))
    },
};

fn ring_sizes(
    (least, most): (Option<&UInt64Value>, Option<&UInt64Value>),
    faults: &mut Faults,
) -> Option<(u64, u64)> {
    let least_points = least.map_or(MIN_RING_SIZE, |value| value.value);
    let most_points = most.map_or(MAX_RING_SIZE, |value| value.value);
    if least_points <= most_points && most_points <= MAX_RING_SIZE {
        return Some((least_points, most_points));
    }
    let (field, why) = match most_points > MAX_RING_SIZE {
        true => ("maximum_ring_size", format!("is at most {MAX_RING_SIZE}")),
        false => (
            "minimum_ring_size",
            format!("{least_points} is more than maximum_ring_size, {most_points}"),
        ),
    };
    faults.add_at(field, "out-of-range", why);
    None
}

#[derive(Clone, Debug)]
struct RingHash {
    /// At least and at most so many points.
    sizes: (u64, u64),
    known: Known,
    /// The points' hashes are `MURMUR_HASH_2`.
    murmur: bool,
}

impl Policy for RingHash {
    fn name(&self) -> &'static str {
        "ring_hash"
    }

    fn over(&self, hosts: &Arc<Hosts>) -> Arc<dyn Balancing> {
        Arc::new(Hashed::new(Ring::new(hosts, self), hosts, self.known))
    }
}

#[derive(Debug, Default)]
struct Ring {
    /// Sorted.
    points: Vec<(u64, u32)>,
    /// As many as were meant to be.
    size: u64,
    /// Points of the host that has the fewest, and of the one that has the most.
    of_one: (u64, u64),
}

impl Ring {
    fn new(hosts: &Hosts, policy: &RingHash) -> Ring {
        let shares = shares(hosts, policy.known.by);
        if shares.is_empty() {
            return Ring::default();
        }
        let smallest = shares.iter().map(|host| host.share).fold(1.0, f64::min);
        let (least, most) = policy.sizes;
        // So many that the host with the smallest share has a whole number of them.
        let wanted = ((smallest * least as f64).ceil() / smallest).min(most as f64);
        let size = wanted.ceil() as u64;
        let mut points = Vec::with_capacity(size as usize);
        let (mut target, mut of_one) = (0.0, (size, 0));
        for host in &shares {
            // Summed up, so parts of points are not lost.
            target += wanted * host.share;
            let mut own = 0;
            while (points.len() as f64) < target {
                let text = format!("{}_{own}", host.key);
                let hash = if policy.murmur { murmur_hash_of } else { hash_of };
                let point = hash(text.as_bytes());
                points.push((point, host.place as u32));
                own += 1;
            }
            of_one = (of_one.0.min(own), of_one.1.max(own));
        }
        points.sort_by_key(|(point, _)| *point);
        Ring { points, size, of_one }
    }
}

impl Spread for Ring {
    fn place(&self, hash: u64, passed_over: u32) -> Option<usize> {
        let next = self.points.partition_point(|(point, _)| *point < hash);
        let first = if next == self.points.len() { 0 } else { next };
        let at = (first + passed_over as usize).checked_rem(self.points.len())?;
        Some(self.points[at].1 as usize)
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let (min, max) = self.of_one;
        vec![
            ("ring_hash_lb.size", self.size),
            ("ring_hash_lb.min_hashes_per_host", min),
            ("ring_hash_lb.max_hashes_per_host", max),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hosts;

    fn ring(weights: &[u32], sizes: (u64, u64)) -> Ring {
        Ring::new(&hosts(weights), &RingHash { sizes, known: Known::BY_ADDRESS, murmur: false })
    }

    #[test]
    fn points_are_shared_by_weight() {
        let even = ring(&[1, 1, 1], (1024, MAX_RING_SIZE));
        assert_eq!((even.size, even.of_one), (1026, (342, 342)));
        assert_eq!(ring(&[1, 3], (1024, MAX_RING_SIZE)).of_one, (256, 768));
        let little = ring(&[1, 1, 1, 1], (1, 6));
        assert_eq!((little.size, little.of_one), (4, (1, 1)));
        assert_eq!(ring(&[], (1024, 2048)).place(1, 0), None);
    }

    #[test]
    fn a_hash_leads_to_the_next_point() {
        let ring = ring(&[1, 1], (4, 4));
        let points: Vec<_> = ring.points.iter().map(|(at, place)| (*at, *place as usize)).collect();
        for (at, place) in &points {
            assert_eq!(ring.place(*at, 0), Some(*place));
        }
        assert_eq!(ring.place(points[0].0 + 1, 0), Some(points[1].1));
        assert_eq!(ring.place(u64::MAX, 0), Some(points[0].1));
        assert_eq!(ring.place(u64::MAX, 5), Some(points[1].1));
    }

    #[test]
    fn sizes_have_limits() {
        let value = |value| UInt64Value { value };
        let sizes =
            |least, most| ring_sizes((Some(&value(least)), Some(&value(most))), &mut Faults::new());
        assert_eq!(sizes(5, 5), Some((5, 5)));
        assert_eq!([sizes(6, 5), sizes(1, MAX_RING_SIZE + 1)], [None, None]);
    }
}
