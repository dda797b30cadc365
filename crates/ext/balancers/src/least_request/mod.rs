//! `envoy.load_balancing_policies.least_request`: with equal weights the least busy of a few random
//! hosts; with different weights earliest deadline first, weights shrinking with requests in flight.

use std::sync::Arc;

use dragoman_cluster::{Balancer, Balancing, Hosts, Pick, Policy};
use dragoman_proto::pb::envoy::config::cluster::v3::cluster::{LbConfig, LbPolicy};
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::least_request::v3::LeastRequest as Message;
use dragoman_proto::pb::envoy::extensions::load_balancing_policies::least_request::v3::least_request::SelectionMethod;
use dragoman_proto::{u32_or, unpack};

use crate::Registration;
use crate::edf::Edf;

pub const REGISTRATION: Registration = Registration {
    message: "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
    legacy: Some(LbPolicy::LeastRequest),
    from_message: |any, faults| {
        let message: Message = unpack(any, faults)?;
        if message.slow_start_config.is_some() {
            faults.add_at("slow_start_config", "unsupported", "slow start is not supported");
        }
        let bias = message.active_request_bias.as_ref().map_or(1.0, |b| b.default_value);
        Some(Arc::new(LeastRequest {
            choices: u32_or(message.choice_count.as_ref(), 2),
            bias,
            full_scan: message.selection_method == SelectionMethod::FullScan as i32,
        }))
    },
    from_cluster: |cluster, _| {
        let (mut choices, mut bias) = (2, 1.0);
        if let Some(LbConfig::LeastRequestLbConfig(config)) = &cluster.lb_config {
            choices = u32_or(config.choice_count.as_ref(), 2);
            bias = config.active_request_bias.as_ref().map_or(1.0, |b| b.default_value);
        }
        Some(Arc::new(LeastRequest { choices, bias, full_scan: false }))
    },
};

#[derive(Clone, Debug)]
struct LeastRequest {
    choices: u32,
    bias: f64,
    full_scan: bool,
}

impl Policy for LeastRequest {
    fn name(&self) -> &'static str {
        "least_request"
    }

    fn over(&self, hosts: &Arc<Hosts>) -> Arc<dyn Balancing> {
        let (hosts, policy) = (hosts.clone(), self.clone());
        Arc::new(move |_: u64| policy.balancer(&hosts))
    }
}

impl LeastRequest {
    fn balancer(&self, hosts: &Arc<Hosts>) -> Box<dyn Balancer> {
        if hosts.same_weight() {
            return Box::new(Choices { hosts: hosts.clone(), policy: self.clone() });
        }
        let mut schedule = Edf::default();
        for host in hosts.eligible() {
            schedule.add(*host, f64::from(hosts.all()[*host].weight));
        }
        Box::new(Weighted { hosts: hosts.clone(), schedule, bias: self.bias })
    }
}

struct Choices {
    hosts: Arc<Hosts>,
    policy: LeastRequest,
}

impl Balancer for Choices {
    fn pick(&mut self, pick: &mut Pick<'_>) -> Option<usize> {
        let eligible = self.hosts.eligible();
        if eligible.len() <= 1 {
            return eligible.first().copied();
        }
        if self.policy.full_scan {
            // A random start makes ties fair.
            let start = ((pick.random)() % eligible.len() as u64) as usize;
            let order = eligible[start..].iter().chain(&eligible[..start]);
            return order.copied().min_by_key(|host| (pick.active)(*host));
        }
        let mut best: Option<(u64, usize)> = None;
        for _ in 0..self.policy.choices {
            let host = eligible[((pick.random)() % eligible.len() as u64) as usize];
            let active = (pick.active)(host);
            if best.is_none_or(|(least, _)| active < least) {
                best = Some((active, host));
            }
        }
        best.map(|(_, host)| host)
    }
}

struct Weighted {
    hosts: Arc<Hosts>,
    schedule: Edf,
    bias: f64,
}

impl Balancer for Weighted {
    fn pick(&mut self, pick: &mut Pick<'_>) -> Option<usize> {
        let (hosts, bias, active) = (&self.hosts, self.bias, pick.active);
        self.schedule.pick(|host| {
            let busy = (active(host) + 1) as f64;
            f64::from(hosts.all()[host].weight) / busy.powf(bias)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{counts, hosts};

    fn policy(choices: u32, full_scan: bool) -> LeastRequest {
        LeastRequest { choices, bias: 1.0, full_scan }
    }

    #[test]
    fn the_busier_of_two_is_avoided() {
        let mut balancer = policy(2, false).balancer(&hosts(&[1, 1]));
        let got = counts(&mut *balancer, 2, 4000, |host| if host == 0 { 9 } else { 0 });
        // Host 0 is picked only when both choices fall on it: a quarter.
        assert!((800..1200).contains(&got[0]), "{got:?}");
    }

    #[test]
    fn a_full_scan_finds_the_least() {
        let mut balancer = policy(2, true).balancer(&hosts(&[1, 1, 1]));
        assert_eq!(counts(&mut *balancer, 3, 50, |host| 5 - host as u64), [0, 0, 50]);
    }

    #[test]
    fn different_weights_share_when_idle() {
        let mut balancer = policy(2, false).balancer(&hosts(&[1, 3]));
        assert_eq!(counts(&mut *balancer, 2, 400, |_| 0), [100, 300]);
    }
}
