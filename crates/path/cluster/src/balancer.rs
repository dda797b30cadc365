//! The interface of load-balancing policies. Implementations live in `crates/ext/balancers`, one
//! folder each, named as in Envoy's `load_balancing_policies`.

use std::fmt::Debug;
use std::sync::Arc;

use dragoman_proto::pb::envoy::config::cluster::v3 as pb;
use dragoman_types::Faults;

use crate::hosts::Hosts;

/// A compiled policy: shared by all workers, makes one [`Balancer`] a worker and host set.
pub trait Policy: Send + Sync + Debug {
    /// Envoy's name, e.g. `round_robin`.
    fn name(&self) -> &'static str;

    /// A fresh balancer over `hosts`; `seed` differs from worker to worker.
    fn balancer(&self, hosts: &Arc<Hosts>, seed: u64) -> Box<dyn Balancer>;
}

/// One worker's state of a policy over one host set.
pub trait Balancer {
    /// The place in [`Hosts::all`] of the host that serves the next request; `None` only if
    /// [`Hosts::eligible`] is empty.
    fn pick(&mut self, pick: &mut Pick<'_>) -> Option<usize>;
}

/// What a pick may depend on.
pub struct Pick<'a> {
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
