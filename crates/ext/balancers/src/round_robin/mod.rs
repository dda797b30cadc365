//! `envoy.load_balancing_policies.round_robin`: in turn, in proportion to weights.

use std::sync::Arc;

use dragoman_cluster::{Balancer, Balancing, Hosts, Pick, Policy};
use dragoman_proto::pb::envoy::config::cluster::v3::cluster::LbPolicy;
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::round_robin::v3::RoundRobin as Message;
use dragoman_proto::unpack;

use crate::Registration;
use crate::edf::Edf;

pub const REGISTRATION: Registration = Registration {
    message: "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
    legacy: Some(LbPolicy::RoundRobin),
    from_message: |any, faults| {
        let message: Message = unpack(any, faults)?;
        if message.slow_start_config.is_some() {
            faults.add_at("slow_start_config", "unsupported", "slow start is not supported");
        }
        Some(Arc::new(RoundRobin))
    },
    from_cluster: |_, _| Some(Arc::new(RoundRobin)),
};

#[derive(Debug)]
struct RoundRobin;

impl Policy for RoundRobin {
    fn name(&self) -> &'static str {
        "round_robin"
    }

    fn over(&self, hosts: &Arc<Hosts>) -> Arc<dyn Balancing> {
        let hosts = hosts.clone();
        Arc::new(move |seed| balancer(&hosts, seed))
    }
}

fn balancer(hosts: &Arc<Hosts>, seed: u64) -> Box<dyn Balancer> {
    let eligible = hosts.eligible().len() as u64;
    if hosts.same_weight() {
        // Workers start at different hosts, or the first host would get every first request.
        let next = seed.checked_rem(eligible).unwrap_or(0) as usize;
        return Box::new(InTurn { hosts: hosts.clone(), next });
    }
    let mut weighted = Weighted { hosts: hosts.clone(), schedule: Edf::default() };
    for host in hosts.eligible() {
        weighted.schedule.add(*host, f64::from(hosts.all()[*host].weight));
    }
    for _ in 0..seed.checked_rem(eligible).unwrap_or(0) {
        weighted.next();
    }
    Box::new(weighted)
}

struct InTurn {
    hosts: Arc<Hosts>,
    next: usize,
}

impl Balancer for InTurn {
    fn pick(&mut self, _: &mut Pick<'_>) -> Option<usize> {
        let eligible = self.hosts.eligible();
        let host = *eligible.get(self.next)?;
        self.next = if self.next + 1 == eligible.len() { 0 } else { self.next + 1 };
        Some(host)
    }
}

struct Weighted {
    hosts: Arc<Hosts>,
    schedule: Edf,
}

impl Weighted {
    fn next(&mut self) -> Option<usize> {
        self.schedule.pick(|host| f64::from(self.hosts.all()[host].weight))
    }
}

impl Balancer for Weighted {
    fn pick(&mut self, _: &mut Pick<'_>) -> Option<usize> {
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{counts, hosts};

    #[test]
    fn equal_weights_take_turns() {
        let mut balancer = RoundRobin.over(&hosts(&[1, 1, 1])).balancer(7);
        assert_eq!(counts(&mut *balancer, 3, 300, |_| 0), [100, 100, 100]);
    }

    #[test]
    fn weights_are_shares() {
        let mut balancer = RoundRobin.over(&hosts(&[1, 2, 7])).balancer(0);
        assert_eq!(counts(&mut *balancer, 3, 1000, |_| 0), [100, 200, 700]);
    }

    #[test]
    fn no_host_no_pick() {
        let mut balancer = RoundRobin.over(&hosts(&[])).balancer(3);
        assert_eq!(counts(&mut *balancer, 0, 5, |_| 0), Vec::<usize>::new());
    }
}
