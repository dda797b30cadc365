//! Which failures are tried again, how often, after which pause.

use std::time::Duration;

use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_proto::pb::google::protobuf::{self as wkt, UInt32Value};
use dragoman_router::{Action, Again, Retries, RetryPolicy, RouteTable, Trouble};
use dragoman_types::{Faults, Headers, ResponseHead};
use pb::retry_policy::{RateLimitedRetryBackOff, ResetHeader, RetryBackOff};

mod common;

use common::*;

/// A table whose one route has this policy.
fn table(message: pb::RetryPolicy) -> RouteTable {
    let mut action = forward("a");
    action.retry_policy = Some(message);
    let mut faults = Faults::default();
    RouteTable::compile(&any_host(vec![forwarding(prefix("/"), action)]), &mut faults)
}

fn policy(table: &RouteTable) -> &RetryPolicy {
    match table.routes()[0].action() {
        Action::Forward(forward) => forward.retry.as_deref().expect("the route has a policy"),
        _ => panic!("the route forwards"),
    }
}

fn on(conditions: &str) -> pb::RetryPolicy {
    pb::RetryPolicy { retry_on: conditions.into(), ..Default::default() }
}

fn fields(list: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    list.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
    headers
}

fn answer(status: u16, list: &[(&str, &str)]) -> ResponseHead {
    ResponseHead { status, headers: fields(list), ..ResponseHead::default() }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn seconds(seconds: i64, nanos: i32) -> Option<wkt::Duration> {
    Some(wkt::Duration { seconds, nanos })
}

#[test]
fn nothing_is_tried_again_unasked() {
    assert!(Retries::of(None, &fields(&[("x-envoy-max-retries", "3")])).is_none());
    let table = table(on("nothing-known"));
    assert!(Retries::of(Some(policy(&table)), &fields(&[])).is_none());
}

#[test]
fn as_many_as_there_may_be() {
    let table = table(pb::RetryPolicy { num_retries: Some(UInt32Value { value: 2 }), ..on("5xx") });
    let mut retries = Retries::of(Some(policy(&table)), &fields(&[])).unwrap();
    let bad = answer(500, &[]);
    assert_eq!(retries.wants_another(&bad), Again::Yes);
    assert_eq!(retries.wants_another(&answer(404, &[])), Again::No);
    assert_eq!(retries.wants_after(Trouble::Reset, true), Again::Yes);
    assert_eq!(retries.wants_another(&bad), Again::Spent);
}

#[test]
fn every_condition_has_its_failures() {
    let wants = |conditions: &str, trouble, begun| {
        let table = table(on(conditions));
        let mut retries = Retries::of(Some(policy(&table)), &fields(&[])).unwrap();
        retries.wants_after(trouble, begun) == Again::Yes
    };
    for all in ["5xx", "gateway-error", "reset"] {
        for trouble in [Trouble::Unconnected, Trouble::Refused, Trouble::Reset] {
            assert!(wants(all, trouble, true), "{all} {trouble:?}");
        }
    }
    assert!(wants("connect-failure", Trouble::Unconnected, false));
    assert!(!wants("connect-failure", Trouble::Reset, false));
    assert!(wants("refused-stream", Trouble::Refused, true));
    assert!(!wants("refused-stream", Trouble::Reset, true));
    assert!(wants("reset-before-request", Trouble::Reset, false));
    assert!(!wants("reset-before-request", Trouble::Reset, true));
    assert!(!wants("unavailable", Trouble::Reset, true));
}

#[test]
fn a_request_adds_to_the_policy() {
    let table = table(on("retriable-4xx"));
    let request = fields(&[
        ("x-envoy-retry-on", "retriable-status-codes, retriable-headers"),
        ("x-envoy-retry-grpc-on", "internal"),
        ("x-envoy-max-retries", "9"),
        ("x-envoy-retriable-status-codes", "418, no, 420"),
        ("x-envoy-retriable-header-names", "x-again,"),
    ]);
    let mut retries = Retries::of(Some(policy(&table)), &request).unwrap();
    for (status, list, wanted) in [
        (409, &[][..], Again::Yes),
        (420, &[], Again::Yes),
        (421, &[], Again::No),
        (200, &[("x-again", "")], Again::Yes),
        (200, &[("grpc-status", "13")], Again::Yes),
        (200, &[("grpc-status", "14")], Again::No),
        (409, &[("x-envoy-ratelimited", "true")], Again::No),
    ] {
        assert_eq!(retries.wants_another(&answer(status, list)), wanted, "{status} {list:?}");
    }
}

#[test]
fn a_request_without_a_policy_has_the_usual_pauses() {
    let mut by_header = Retries::of(None, &fields(&[("x-envoy-retry-on", "5xx")])).unwrap();
    let longest = u64::MAX / 1000 * 1000 - 1;
    let pauses = [0; 5].map(|_| by_header.pause(longest));
    assert_eq!(pauses, [ms(24), ms(49), ms(99), ms(199), ms(249)]);
}

#[test]
fn a_policy_has_its_own_pauses() {
    let back_off = RetryBackOff { base_interval: seconds(0, 10_000_000), max_interval: None };
    let table = table(pb::RetryPolicy { retry_back_off: Some(back_off), ..on("5xx") });
    let mut retries = Retries::of(Some(policy(&table)), &fields(&[])).unwrap();
    assert_eq!([0; 2].map(|_| retries.pause(19)), [ms(9), ms(19)]);
}

#[test]
fn a_host_asks_for_a_pause() {
    let header = |name: &str, format| ResetHeader { name: name.into(), format };
    let limited = RateLimitedRetryBackOff {
        reset_headers: vec![header("retry-after", 0), header("x-reset", 1)],
        max_interval: seconds(10, 0),
    };
    let table = table(pb::RetryPolicy { rate_limited_retry_back_off: Some(limited), ..on("5xx") });
    let retries = Retries::of(Some(policy(&table)), &fields(&[])).unwrap();
    let asked = |list: &[(&str, &str)]| retries.asked_pause(&fields(list), 1_000_000, 0);
    assert_eq!(asked(&[("retry-after", "4")]), Some(ms(4000)));
    assert_eq!(asked(&[("x-reset", "1000007")]), Some(ms(7000)));
    // Another field's answer counts where one's can't.
    assert_eq!(asked(&[("retry-after", "soon"), ("x-reset", "1000007")]), Some(ms(7000)));
    for none in ["0", "11", "-1", "soon", ""] {
        assert_eq!(asked(&[("retry-after", none)]), None, "{none}");
    }
    assert_eq!(asked(&[("x-reset", "999999")]), None);
    // Up to half as long again, so that not all come back at once.
    let random = retries.asked_pause(&fields(&[("retry-after", "4")]), 0, 1999);
    assert_eq!(random, Some(ms(5999)));
}
