//! Defaults, limits and refusals of the configuration.

mod common;

use std::time::Duration;

use common::*;
use dragoman_http_connection_manager::{Config, Node};
use dragoman_proto::pb::envoy::config::core::v3::{CidrRange, HttpProtocolOptions};
use dragoman_proto::pb::google::protobuf::{Duration as Wire, UInt32Value};
use dragoman_types::Faults;

fn faults(message: &HttpConnectionManager) -> Vec<(String, &'static str)> {
    let mut faults = Faults::new();
    Config::compile(message, &Node::default(), &|_, _| None, &mut faults);
    faults.into_vec().into_iter().map(|fault| (fault.path, fault.code)).collect()
}

#[test]
fn defaults_are_envoys() {
    let config = compile(&message());
    let seconds = |n| Some(Duration::from_secs(n));
    let t = &config.timeouts;
    assert_eq!((t.stream_idle, t.stream_flush), (seconds(300), seconds(300)));
    assert_eq!((t.request, t.request_headers), (None, None));
    assert_eq!((t.connection_idle, t.delayed_close), (seconds(3600), seconds(1)));
    assert_eq!((t.max_connection, t.max_stream), (None, None));
    assert_eq!(t.drain, Duration::from_secs(5));
    let l = &config.limits;
    assert_eq!((l.max_request_headers_bytes, l.max_headers_count), (61_440, 100));
    assert_eq!(l.max_requests_per_connection, None);
    assert!(config.http1.allow_absolute_url && !config.http1.accept_http_10);
    assert_eq!(&*config.server_line, b"server: envoy\r\n");
}

#[test]
fn zero_turns_a_timeout_off() {
    let zero = Some(Wire { seconds: 0, nanos: 0 });
    let mut message = with_common(HttpProtocolOptions {
        idle_timeout: zero,
        max_requests_per_connection: Some(UInt32Value { value: 7 }),
        ..Default::default()
    });
    message.stream_idle_timeout = zero;
    message.delayed_close_timeout = zero;
    message.request_timeout = Some(Wire { seconds: 2, nanos: 500_000_000 });
    let config = compile(&message);
    let t = &config.timeouts;
    assert_eq!((t.stream_idle, t.stream_flush), (None, None));
    assert_eq!((t.connection_idle, t.delayed_close), (None, None));
    assert_eq!(t.request, Some(Duration::from_millis(2500)));
    assert_eq!(config.limits.max_requests_per_connection, Some(7));
}

#[test]
fn every_fault_is_told_with_its_path() {
    let mut message = HttpConnectionManager {
        append_local_overload: true,
        tracing: Some(Default::default()),
        ..Default::default()
    };
    let range = |prefix: &str, len| CidrRange {
        address_prefix: prefix.into(),
        prefix_len: Some(UInt32Value { value: len }),
    };
    message.internal_address_config = Some(hcm::InternalAddressConfig {
        unix_sockets: false,
        cidr_ranges: vec![range("10.0.0.0", 8), range("10.0.0.0", 33), range("ten", 8)],
    });
    let upgrade =
        |kind: &str| hcm::UpgradeConfig { upgrade_type: kind.into(), ..Default::default() };
    message.upgrade_configs = vec![upgrade("websocket"), upgrade("WebSocket")];
    let wanted = [
        ("tracing", "unsupported"),
        ("append_local_overload", "unsupported"),
        ("stat_prefix", "empty"),
        ("internal_address_config.cidr_ranges[1]", "bad-cidr"),
        ("internal_address_config.cidr_ranges[2]", "bad-cidr"),
        ("upgrade_configs[1].upgrade_type", "duplicate"),
    ];
    let wanted: Vec<_> = wanted.iter().map(|(path, code)| ((*path).to_owned(), *code)).collect();
    assert_eq!(faults(&message), wanted);
}
