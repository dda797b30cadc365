//! `envoy.load_balancing_policies.random`: any eligible host, whatever its weight.

use std::sync::Arc;

use dragoman_cluster::{Balancer, Balancing, Hosts, Pick, Policy};
use dragoman_proto::pb::envoy::config::cluster::v3::cluster::LbPolicy;
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::random::v3::Random as Message;
use dragoman_proto::unpack;

use crate::Registration;

pub const REGISTRATION: Registration = Registration {
    message: "envoy.extensions.load_balancing_policies.random.v3.Random",
    legacy: Some(LbPolicy::Random),
    from_message: |any, faults| unpack::<Message>(any, faults).map(|_| Arc::new(Random) as _),
    from_cluster: |_, _| Some(Arc::new(Random)),
};

#[derive(Debug)]
struct Random;

impl Policy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn over(&self, hosts: &Arc<Hosts>) -> Arc<dyn Balancing> {
        let hosts = hosts.clone();
        Arc::new(move |_: u64| -> Box<dyn Balancer> { Box::new(AnyHost { hosts: hosts.clone() }) })
    }
}

struct AnyHost {
    hosts: Arc<Hosts>,
}

impl Balancer for AnyHost {
    fn pick(&mut self, pick: &mut Pick<'_>) -> Option<usize> {
        let eligible = self.hosts.eligible();
        let place = (pick.random)().checked_rem(eligible.len() as u64)?;
        eligible.get(place as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{counts, hosts};

    #[test]
    fn every_host_gets_about_its_share() {
        let mut balancer = Random.over(&hosts(&[1, 1, 9])).balancer(0);
        let got = counts(&mut *balancer, 3, 3000, |_| 0);
        assert!(got.iter().all(|n| (850..1150).contains(n)), "{got:?}");
    }
}
