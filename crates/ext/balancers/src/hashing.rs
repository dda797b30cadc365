//! What policies by hash share: what hosts are known by, their shares, and a balancer that only looks up.

use std::fmt::Debug;
use std::sync::Arc;

use dragoman_cluster::{Balancer, Balancing, Host, Hosts, Pick};
use dragoman_proto::pb::envoy::config::cluster::v3 as pb;
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::common::v3::ConsistentHashingLbConfig;
use dragoman_proto::pb::google::protobuf::UInt32Value;
use dragoman_types::{Faults, hash_with};

/// Where each hash leads.
pub(crate) trait Spread: Send + Sync + Debug + 'static {
    /// A place in [`Hosts::all`], another for each number of hosts that were passed over; `None`: there
    /// are no hosts.
    fn place(&self, hash: u64, passed_over: u32) -> Option<usize>;

    fn gauges(&self) -> Vec<(&'static str, u64)>;
}

/// A [`Spread`] as a policy's part that workers share.
pub(crate) struct Hashed<S> {
    spread: Arc<S>,
    bound: Option<Arc<Bound>>,
}

impl<S: Spread> Hashed<S> {
    pub(crate) fn new(spread: S, hosts: &Hosts, known: Known) -> Hashed<S> {
        let bound = known.balance_factor.map(|factor| {
            let hosts = shares(hosts, known.by).into_iter().map(|host| (host.place, host.share));
            Arc::new(Bound { factor, hosts: hosts.collect() })
        });
        Hashed { spread: Arc::new(spread), bound }
    }
}

impl<S: Spread> Balancing for Hashed<S> {
    fn balancer(&self, _seed: u64) -> Box<dyn Balancer> {
        Box::new(Lookup { spread: self.spread.clone(), bound: self.bound.clone() })
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        self.spread.gauges()
    }
}

struct Lookup<S> {
    spread: Arc<S>,
    bound: Option<Arc<Bound>>,
}

impl<S: Spread> Balancer for Lookup<S> {
    fn pick(&mut self, pick: &mut Pick<'_>) -> Option<usize> {
        let hash = pick.hash.unwrap_or_else(|| (pick.random)());
        let place = self.spread.place(hash, pick.passed_over)?;
        Some(self.bound.as_ref().map_or(place, |bound| bound.keep(place, hash, pick.active)))
    }
}

/// How busy a host may be beside the others (`hash_balance_factor`; Mirrokni et al., "Consistent Hashing with
/// Bounded Loads", 2016).
struct Bound {
    /// Per cent of its share.
    factor: u32,
    /// Places and shares.
    hosts: Vec<(usize, f64)>,
}

impl Bound {
    /// The host at `place`, or if it is busier than it may be another one: always the same for a hash, and
    /// spread over all of them, so that a busy host doesn't make its neighbour busy.
    fn keep(&self, place: usize, hash: u64, active: &dyn Fn(usize) -> u64) -> usize {
        let all: u64 = self.hosts.iter().map(|(place, _)| active(*place)).sum();
        let slots = ((all + 1) * u64::from(self.factor)).div_ceil(100) as f64;
        let load =
            |(place, share): &(usize, f64)| active(*place) as f64 / (slots * share).ceil().max(1.0);
        let Some(wanted) = self.hosts.iter().find(|host| host.0 == place) else { return place };
        if load(wanted) <= 1.0 {
            return place;
        }
        let mut order: Vec<_> = self.hosts.iter().filter(|host| host.0 != place).collect();
        order.sort_by_key(|host| hash_with(hash, &host.0.to_le_bytes()));
        let free = order.iter().find(|host| load(host) <= 1.0);
        let least =
            || order.iter().copied().chain([wanted]).min_by(|a, b| load(a).total_cmp(&load(b)));
        free.copied().or_else(least).map_or(place, |host| host.0)
    }
}

/// How hosts are told apart, and how busy one may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    pub(crate) by: Key,
    balance_factor: Option<u32>,
}

impl Known {
    /// Hosts are known by their addresses, and may be as busy as they like.
    pub(crate) const BY_ADDRESS: Known = Known { by: Key::Address, balance_factor: None };

    /// By the message that all policies by hash have.
    pub(crate) fn compile(
        message: Option<&ConsistentHashingLbConfig>,
        faults: &mut Faults,
    ) -> Known {
        let Some(message) = message else { return Known::BY_ADDRESS };
        Known::with(message.use_hostname_for_hashing, message.hash_balance_factor, faults)
    }

    /// By a cluster's `common_lb_config`.
    pub(crate) fn of_cluster(cluster: &pb::Cluster, faults: &mut Faults) -> Known {
        let common = cluster.common_lb_config.as_ref();
        let Some(message) = common.and_then(|c| c.consistent_hashing_lb_config.as_ref()) else {
            return Known::BY_ADDRESS;
        };
        faults.field("common_lb_config.consistent_hashing_lb_config", |faults| {
            Known::with(message.use_hostname_for_hashing, message.hash_balance_factor, faults)
        })
    }

    pub(crate) fn with(hostname: bool, factor: Option<UInt32Value>, faults: &mut Faults) -> Known {
        let balance_factor = factor.map(|factor| factor.value);
        if balance_factor.is_some_and(|factor| factor < 100) {
            faults.add_at("hash_balance_factor", "out-of-range", "is 100 (per cent) or more");
        }
        Known { by: if hostname { Key::Hostname } else { Key::Address }, balance_factor }
    }
}

/// What hosts are known by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    Address,
    Hostname,
}

impl Key {
    /// What `host` is known by; its metadata comes before anything else.
    fn of(self, host: &Host) -> String {
        match self {
            _ if !host.hash_key.is_empty() => host.hash_key.to_string(),
            Key::Hostname => host.hostname.to_string(),
            Key::Address => host.address.to_string(),
        }
    }
}

/// An eligible host and its share.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Share {
    pub(crate) key: String,
    /// In [`Hosts::all`].
    pub(crate) place: usize,
    /// All shares together are 1.
    pub(crate) share: f64,
}

/// The share of each eligible host, in the order of [`Hosts::eligible`].
pub(crate) fn shares(hosts: &Hosts, key: Key) -> Vec<Share> {
    let weight = |place: &usize| f64::from(hosts.all()[*place].weight);
    let total: f64 = hosts.eligible().iter().map(weight).sum();
    let share = |place: &usize| Share {
        key: key.of(&hosts.all()[*place]),
        place: *place,
        share: weight(place) / total,
    };
    hosts.eligible().iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_host_leaves_the_rest_to_others() {
        let hosts = vec![(0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)];
        let bound = Bound { factor: 125, hosts };
        let active = |loads: [u64; 4]| move |place: usize| loads[place];
        // 125 per cent of 41 requests are 52: 13 for each.
        assert_eq!(bound.keep(0, 7, &active([13, 9, 9, 9])), 0);
        let other = bound.keep(0, 7, &active([14, 9, 9, 8]));
        assert_ne!(other, 0);
        assert_eq!(bound.keep(0, 7, &active([14, 9, 9, 8])), other);
        let to: std::collections::HashSet<_> =
            (0..100).map(|hash| bound.keep(0, hash, &active([14, 9, 9, 8]))).collect();
        assert_eq!(to.len(), 3);
        assert_eq!(
            bound.keep(0, 7, &active([40, 0, 0, 0])),
            bound.keep(0, 7, &active([41, 0, 0, 0]))
        );
    }
}
