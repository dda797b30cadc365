//! What policies by hash share: what hosts are known by, their shares, and a balancer that only looks up.

use std::fmt::Debug;
use std::sync::Arc;

use dragoman_cluster::{Balancer, Balancing, Host, Hosts, Pick};
use dragoman_proto::pb::envoy::config::cluster::v3 as pb;
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::common::v3::ConsistentHashingLbConfig;
use dragoman_types::Faults;

/// Where each hash leads.
pub(crate) trait Spread: Send + Sync + Debug + 'static {
    /// A place in [`Hosts::all`], another for each number of hosts that were passed over; `None`: there
    /// are no hosts.
    fn place(&self, hash: u64, passed_over: u32) -> Option<usize>;

    fn gauges(&self) -> Vec<(&'static str, u64)>;
}

/// A [`Spread`] as a policy's part that workers share.
pub(crate) struct Hashed<S>(pub(crate) Arc<S>);

impl<S: Spread> Balancing for Hashed<S> {
    fn balancer(&self, _seed: u64) -> Box<dyn Balancer> {
        Box::new(Lookup(self.0.clone()))
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        self.0.gauges()
    }
}

struct Lookup<S>(Arc<S>);

impl<S: Spread> Balancer for Lookup<S> {
    fn pick(&mut self, pick: &mut Pick<'_>) -> Option<usize> {
        self.0.place(pick.hash.unwrap_or_else(|| (pick.random)()), pick.passed_over)
    }
}

/// What hosts are known by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    Address,
    Hostname,
}

impl Key {
    /// By the message that all policies by hash have; what isn't built becomes a fault.
    pub(crate) fn compile(message: Option<&ConsistentHashingLbConfig>, faults: &mut Faults) -> Key {
        let Some(message) = message else { return Key::Address };
        Key::with(message.use_hostname_for_hashing, message.hash_balance_factor.is_some(), faults)
    }

    /// By a cluster's `common_lb_config`.
    pub(crate) fn of_cluster(cluster: &pb::Cluster, faults: &mut Faults) -> Key {
        let common = cluster.common_lb_config.as_ref();
        let Some(message) = common.and_then(|c| c.consistent_hashing_lb_config.as_ref()) else {
            return Key::Address;
        };
        faults.field("common_lb_config.consistent_hashing_lb_config", |faults| {
            let bounded = message.hash_balance_factor.is_some();
            Key::with(message.use_hostname_for_hashing, bounded, faults)
        })
    }

    pub(crate) fn with(hostname: bool, bounded: bool, faults: &mut Faults) -> Key {
        if bounded {
            let why = "busy hosts are not passed over yet";
            faults.add_at("hash_balance_factor", "unsupported", why);
        }
        if hostname { Key::Hostname } else { Key::Address }
    }

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
