//! Filter chains and connections in a few words.
#![allow(dead_code, unreachable_pub)]

use std::net::SocketAddr;

use dragoman_listener::{Arrival, ChainMatcher, Transport};
use dragoman_proto::pb::envoy::config::core::v3::CidrRange;
use dragoman_proto::pb::envoy::config::listener::v3::FilterChainMatch;
use dragoman_proto::pb::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;
use dragoman_proto::pb::google::protobuf::UInt32Value;
use dragoman_types::{Address, Faults};

pub const LOCAL: i32 = ConnectionSourceType::SameIpOrLoopback as i32;
pub const EXTERNAL: i32 = ConnectionSourceType::External as i32;

/// A chain's criteria, set by `change`.
pub fn chain(change: impl FnOnce(&mut FilterChainMatch)) -> FilterChainMatch {
    let mut message = FilterChainMatch::default();
    change(&mut message);
    message
}

pub fn names(names: &[&str]) -> FilterChainMatch {
    chain(|c| c.server_names = texts(names))
}

pub fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

/// `10.0.0.0/8`, or no length at all.
pub fn ranges(ranges: &[&str]) -> Vec<CidrRange> {
    let range = |text: &&str| {
        let (prefix, length) = text.split_once('/').unwrap_or((text, ""));
        let prefix_len = length.parse().ok().map(|value| UInt32Value { value });
        CidrRange { address_prefix: prefix.to_owned(), prefix_len }
    };
    ranges.iter().map(range).collect()
}

#[track_caller]
pub fn compile(chains: &[FilterChainMatch]) -> ChainMatcher {
    let mut faults = Faults::new();
    let chains: Vec<_> = chains.iter().map(Some).collect();
    let matcher = ChainMatcher::compile(&chains, &mut faults);
    assert_eq!(faults.into_vec(), []);
    matcher
}

/// The faults of these chains: path and code.
pub fn faults(chains: &[FilterChainMatch]) -> Vec<(String, &'static str)> {
    let mut faults = Faults::new();
    let chains: Vec<_> = chains.iter().map(Some).collect();
    ChainMatcher::compile(&chains, &mut faults);
    faults.into_vec().into_iter().map(|fault| (fault.path, fault.code)).collect()
}

pub fn ip(text: &str) -> Address {
    Address::Ip(text.parse::<SocketAddr>().unwrap())
}

/// From 9.9.9.9 to 1.1.1.1:443.
pub fn arrival() -> Arrival {
    Arrival::new(ip("1.1.1.1:443"), ip("9.9.9.9:999"))
}

pub fn with(change: impl FnOnce(&mut Arrival)) -> Arrival {
    let mut arrival = arrival();
    change(&mut arrival);
    arrival
}

pub fn to(destination: &str) -> Arrival {
    with(|a| a.destination = ip(destination))
}

pub fn from(source: &str) -> Arrival {
    with(|a| a.source = ip(source))
}

pub fn asks(name: &str) -> Arrival {
    with(|a| {
        a.transport = Transport::Tls;
        a.server_name = Some(name.into());
    })
}

pub fn offers(applications: &[&str]) -> Arrival {
    with(|a| a.applications = applications.iter().map(|name| name.as_bytes().into()).collect())
}
