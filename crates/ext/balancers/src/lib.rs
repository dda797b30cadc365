//! Load-balancing policies. A policy is a folder with Envoy's name for it and one row in
//! [`POLICIES`].

mod edf;
mod hashing;
pub mod least_request;
pub mod maglev;
pub mod random;
pub mod ring_hash;
pub mod round_robin;

use std::sync::Arc;

use dragoman_cluster::{Policy, PolicyRegistry};
use dragoman_proto::pb::envoy::config::cluster::v3 as pb;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::type_name;
use dragoman_types::Faults;

/// How a policy is asked for and made.
pub struct Registration {
    /// The message of `load_balancing_policy.policies[].typed_extension_config.typed_config`.
    pub message: &'static str,
    /// The same policy as `Cluster.lb_policy`.
    pub legacy: Option<pb::cluster::LbPolicy>,
    pub from_message: fn(&Any, &mut Faults) -> Option<Arc<dyn Policy>>,
    pub from_cluster: fn(&pb::Cluster, &mut Faults) -> Option<Arc<dyn Policy>>,
}

/// Every policy there is.
pub const POLICIES: &[Registration] = &[
    round_robin::REGISTRATION,
    least_request::REGISTRATION,
    random::REGISTRATION,
    ring_hash::REGISTRATION,
    maglev::REGISTRATION,
];

/// The registry over [`POLICIES`].
#[derive(Debug, Default)]
pub struct Builtins;

impl PolicyRegistry for Builtins {
    fn policy(&self, cluster: &pb::Cluster, faults: &mut Faults) -> Option<Arc<dyn Policy>> {
        if let Some(list) = &cluster.load_balancing_policy {
            return faults.field("load_balancing_policy", |faults| first_known(list, faults));
        }
        let wanted = pb::cluster::LbPolicy::try_from(cluster.lb_policy).unwrap_or_default();
        let found = POLICIES.iter().find(|p| p.legacy == Some(wanted));
        if found.is_none() {
            let why = format!("{} is not supported", wanted.as_str_name());
            faults.add_at("lb_policy", "unsupported", why);
        }
        (found?.from_cluster)(cluster, faults)
    }
}

/// The first policy of the list that is known wins, as in Envoy.
fn first_known(list: &pb::LoadBalancingPolicy, faults: &mut Faults) -> Option<Arc<dyn Policy>> {
    for (index, policy) in list.policies.iter().enumerate() {
        let config = policy.typed_extension_config.as_ref().and_then(|c| c.typed_config.as_ref());
        let Some(any) = config else { continue };
        if let Some(found) = POLICIES.iter().find(|p| p.message == type_name(any)) {
            let path = "typed_extension_config.typed_config";
            return faults.item("policies", index, |faults| {
                faults.field(path, |faults| (found.from_message)(any, faults))
            });
        }
    }
    faults.add("unsupported", "none of the policies is supported");
    None
}

#[cfg(test)]
mod testing;
