//! What the policies' tests share: hosts of given weights, and who got how many picks.

use std::sync::Arc;

use dragoman_cluster::{Balancer, Health, Host, Hosts, Locality, Pick};
use dragoman_types::Address;

pub(crate) fn hosts(weights: &[u32]) -> Arc<Hosts> {
    let host = |(index, weight): (usize, &u32)| {
        Arc::new(Host {
            address: Address::Ip(([127, 0, 0, 1], index as u16).into()),
            hostname: "".into(),
            hash_key: "".into(),
            weight: *weight,
            priority: 0,
            locality: Locality::default(),
            health: Health::Healthy,
            via: None,
        })
    };
    Arc::new(Hosts::new(weights.iter().enumerate().map(host).collect(), 50.0))
}

/// Picks `times` times with a seeded generator.
pub(crate) fn counts(
    balancer: &mut dyn Balancer,
    hosts: usize,
    times: usize,
    active: impl Fn(usize) -> u64,
) -> Vec<usize> {
    let mut got = vec![0; hosts];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..times {
        let mut pick = Pick { hash: None, passed_over: 0, random: &mut random, active: &active };
        if let Some(host) = balancer.pick(&mut pick) {
            got[host] += 1;
        }
    }
    got
}
