//! The interface of load-balancing policies. Implementations live in `crates/ext/balancers`, one
//! folder each, named as in Envoy's `load_balancing_policies`.

use std::fmt::Debug;
use std::sync::Arc;

use dragoman_proto::pb::envoy::config::cluster::v3 as pb;
use dragoman_types::Faults;

use crate::hosts::Hosts;

/// A compiled policy.
pub trait Policy: Send + Sync + Debug {
    /// Envoy's name, e.g. `round_robin`.
    fn name(&self) -> &'static str;

    /// The policy over `hosts`: what can be computed once for all workers is.
    fn over(&self, hosts: &Arc<Hosts>) -> Arc<dyn Balancing>;
}

/// A policy over one host set, shared by all workers.
pub trait Balancing: Send + Sync {
    /// A fresh balancer; `seed` differs from worker to worker.
    fn balancer(&self, seed: u64) -> Box<dyn Balancer>;

    /// What is told of it: gauges below `cluster.<name>.`.
    fn gauges(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

impl Debug for dyn Balancing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.gauges()).finish()
    }
}

/// Policies whose workers share nothing are the function that makes balancers.
impl<F: Fn(u64) -> Box<dyn Balancer> + Send + Sync> Balancing for F {
    fn balancer(&self, seed: u64) -> Box<dyn Balancer> {
        self(seed)
    }
}

/// One worker's state of a policy over one host set.
pub trait Balancer {
    /// The place in [`Hosts::all`] of the host that serves the next request; `None` only if
    /// [`Hosts::eligible`] is empty.
    fn pick(&mut self, pick: &mut Pick<'_>) -> Option<usize>;
}

/// What a pick may depend on.
pub struct Pick<'a> {
    /// Of what must come to the same host again; `None`: nothing must.
    pub hash: Option<u64>,
    /// Hosts that were picked for the request and passed over.
    pub passed_over: u32,
    /// A source of random bits.
    pub random: &'a mut dyn FnMut() -> u64,
    /// Requests in flight, all workers together, at the host with this place in [`Hosts::all`].
    pub active: &'a dyn Fn(usize) -> u64,
}

/// Finds the policy that a cluster asks for.
pub trait PolicyRegistry {
    /// Compiles `lb_policy` or `load_balancing_policy` of `cluster`; what isn't supported becomes a
    /// fault.
    fn policy(&self, cluster: &pb::Cluster, faults: &mut Faults) -> Option<Arc<dyn Policy>>;
}
