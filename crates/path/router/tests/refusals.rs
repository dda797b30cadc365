//! What can't be acted on is refused with its path; all faults are found at once.

mod common;

use std::collections::HashMap;

use common::*;
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use pb::route_action::{ClusterSpecifier, HostRewriteSpecifier};
use pb::route_match::PathSpecifier;
use pb::weighted_cluster::ClusterWeight;

fn any_route(change: impl FnOnce(&mut pb::Route)) -> pb::RouteConfiguration {
    let mut route = to_a("r", prefix("/"));
    change(&mut route);
    any_host(vec![route])
}

fn any_action(change: impl FnOnce(&mut pb::RouteAction)) -> pb::RouteConfiguration {
    let mut action = forward("a");
    change(&mut action);
    any_host(vec![forwarding(prefix("/"), action)])
}

fn any_match(change: impl FnOnce(&mut pb::RouteMatch)) -> pb::RouteConfiguration {
    let mut matching = prefix("/");
    change(&mut matching);
    any_host(vec![to_a("r", matching)])
}

fn weights(clusters: Vec<ClusterWeight>, key: &str) -> pb::RouteConfiguration {
    any_action(|action| {
        let weighted =
            pb::WeightedCluster { clusters, runtime_key_prefix: key.into(), ..Default::default() };
        action.cluster_specifier = Some(ClusterSpecifier::WeightedClusters(weighted));
    })
}

fn some_any() -> HashMap<String, dragoman_proto::pb::google::protobuf::Any> {
    HashMap::from([("filter".to_owned(), Default::default())])
}

#[track_caller]
fn refused(config: &pb::RouteConfiguration, path: &str, code: &str) {
    let found = faults(config);
    let found: Vec<_> = found.iter().map(|(path, code)| (&**path, *code)).collect();
    assert_eq!(found, [(path, code)]);
}

const ROUTE: &str = "virtual_hosts[0].routes[0]";

#[test]
fn unsupported_options_of_a_route() {
    refused(
        &any_route(|r| r.typed_per_filter_config = some_any()),
        &format!("{ROUTE}.typed_per_filter_config"),
        "unsupported",
    );
    refused(
        &any_route(|r| r.action = Some(pb::route::Action::FilterAction(Default::default()))),
        &format!("{ROUTE}.filter_action"),
        "unsupported",
    );
    refused(
        &any_route(|r| r.tracing = Some(Default::default())),
        &format!("{ROUTE}.tracing"),
        "unsupported",
    );
    refused(&any_route(|r| r.action = None), ROUTE, "missing");
}

#[test]
fn unsupported_options_of_an_action() {
    type Change = fn(&mut pb::RouteAction);
    #[allow(deprecated)]
    let changes: [(Change, &str); 6] = [
        (|a| a.metadata_match = Some(Default::default()), "metadata_match"),
        (|a| a.request_mirror_policies.push(Default::default()), "request_mirror_policies"),
        (|a| a.rate_limits.push(Default::default()), "rate_limits"),
        (|a| a.hedge_policy = Some(Default::default()), "hedge_policy"),
        (|a| a.internal_redirect_policy = Some(Default::default()), "internal_redirect_policy"),
        (|a| a.cors = Some(Default::default()), "cors"),
    ];
    for (change, field) in changes {
        refused(&any_action(change), &format!("{ROUTE}.route.{field}"), "unsupported");
    }
    let plugin = ClusterSpecifier::ClusterSpecifierPlugin("p".into());
    refused(
        &any_action(|a| a.cluster_specifier = Some(plugin)),
        &format!("{ROUTE}.route.cluster_specifier_plugin"),
        "unsupported",
    );
    refused(&any_action(|a| a.cluster_specifier = None), &format!("{ROUTE}.route"), "missing");
    refused(
        &any_action(|a| a.hash_policy.push(Default::default())),
        &format!("{ROUTE}.route.hash_policy[0]"),
        "missing",
    );
}

#[test]
fn faults_of_a_retry_policy() {
    let path = |field: &str| format!("{ROUTE}.route.retry_policy.{field}");
    let policy = |change: fn(&mut pb::RetryPolicy)| {
        let mut policy = pb::RetryPolicy::default();
        change(&mut policy);
        any_action(|a| a.retry_policy = Some(policy))
    };
    let priority = policy(|p| p.retry_priority = Some(Default::default()));
    refused(&priority, &path("retry_priority"), "unsupported");
    let fresh = policy(|p| p.refresh_cluster_on_retry = true);
    refused(&fresh, &path("refresh_cluster_on_retry"), "unsupported");
    let back_off = policy(|p| p.retry_back_off = Some(Default::default()));
    refused(&back_off, &path("retry_back_off.base_interval"), "bad-value");
    let untyped = policy(|p| p.retry_host_predicate.push(Default::default()));
    refused(&untyped, &path("retry_host_predicate[0]"), "missing");
}

#[test]
fn unsupported_options_of_a_match() {
    let path = |field: &str| format!("{ROUTE}.match.{field}");
    refused(
        &any_match(|m| m.dynamic_metadata.push(Default::default())),
        &path("dynamic_metadata"),
        "unsupported",
    );
    refused(
        &any_match(|m| m.filter_state.push(Default::default())),
        &path("filter_state"),
        "unsupported",
    );
    let policy = PathSpecifier::PathMatchPolicy(Default::default());
    refused(
        &any_match(|m| m.path_specifier = Some(policy)),
        &path("path_match_policy"),
        "unsupported",
    );
    refused(&any_match(|m| m.path_specifier = None), &format!("{ROUTE}.match"), "missing");
    let broken = PathSpecifier::SafeRegex(regex("("));
    refused(
        &any_match(|m| m.path_specifier = Some(broken)),
        &path("safe_regex.regex"),
        "bad-regex",
    );
    let slash = PathSpecifier::PathSeparatedPrefix("/a/".into());
    refused(
        &any_match(|m| m.path_specifier = Some(slash)),
        &path("path_separated_prefix"),
        "bad-value",
    );
}

#[test]
fn weights_must_make_sense() {
    let cluster = |name: &str, header: &str, weight| ClusterWeight {
        name: name.into(),
        cluster_header: header.into(),
        weight: number(weight),
        ..Default::default()
    };
    let at = format!("{ROUTE}.route.weighted_clusters");
    refused(&weights(vec![cluster("a", "", 0)], ""), &format!("{at}.clusters"), "bad-weights");
    let too_many = vec![cluster("a", "", u32::MAX), cluster("b", "", 1)];
    refused(&weights(too_many, ""), &format!("{at}.clusters"), "bad-weights");
    let both = vec![cluster("a", "x-c", 1)];
    refused(&weights(both, ""), &format!("{at}.clusters[0]"), "conflict");
    refused(&weights(vec![cluster("", "", 1)], ""), &format!("{at}.clusters[0]"), "missing");
    let key = weights(vec![cluster("a", "", 1)], "key");
    refused(&key, &format!("{at}.runtime_key_prefix"), "unsupported");
    let unset = ClusterWeight { weight: None, ..cluster("b", "", 1) };
    let some = weights(vec![cluster("a", "", 1), unset], "");
    refused(&some, &format!("{at}.clusters[1].weight"), "missing");
}

#[test]
fn header_edits_are_checked() {
    for name in [":path", "Host", ":authority", "", "a b", "a:b"] {
        let mut config = any_host(vec![]);
        config.request_headers_to_add = vec![add(name, "x")];
        refused(&config, "request_headers_to_add[0].header.key", "bad-name");
        let mut config = any_host(vec![]);
        config.response_headers_to_remove = vec![name.into()];
        refused(&config, "response_headers_to_remove[0]", "bad-name");
    }
    let value = |text: &str| {
        let mut config = any_host(vec![]);
        config.virtual_hosts[0].response_headers_to_add = vec![add("a", text)];
        config
    };
    let path = "virtual_hosts[0].response_headers_to_add[0].header.value";
    refused(&value("a\r\nb"), path, "bad-value");
    for text in ["%NOPE%", "100%"] {
        assert_eq!(faults(&value(text)).len(), 1, "{text}");
        assert!(faults(&value(text))[0].0.starts_with(path));
    }
    let mut both = any_host(vec![]);
    both.request_headers_to_add = vec![overwrite("a", "b")];
    #[allow(deprecated)]
    {
        both.request_headers_to_add[0].append = on();
    }
    refused(&both, "request_headers_to_add[0].append", "conflict");
}

#[test]
fn rewrites_exclude_each_other() {
    let config = any_action(|a| {
        a.prefix_rewrite = "/x".into();
        a.regex_rewrite = Some(substitution("x", "y"));
    });
    refused(&config, &format!("{ROUTE}.route"), "conflict");
    let format = HostRewriteSpecifier::HostRewrite("%NOPE%".into());
    let config = any_action(|a| a.host_rewrite_specifier = Some(format));
    assert_eq!(faults(&config).len(), 1);
}

#[test]
fn every_fault_is_found_at_once() {
    let config = pb::RouteConfiguration {
        vhds: Some(Default::default()),
        ..config(vec![
            virtual_host("a", &["x"], vec![]),
            virtual_host("b", &["X"], vec![]),
            virtual_host("", &[], vec![to_a("r", matching(PathSpecifier::SafeRegex(regex("["))))]),
        ])
    };
    let paths: Vec<_> = faults(&config).into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "vhds",
            "virtual_hosts[1].domains[0]",
            "virtual_hosts[2].domains",
            "virtual_hosts[2].name",
            "virtual_hosts[2].routes[0].match.safe_regex.regex",
        ]
    );
}

#[test]
fn clusters_are_told_with_their_places() {
    let cluster =
        |name: &str| ClusterWeight { name: name.into(), weight: number(1), ..Default::default() };
    let mut config = weights(vec![cluster("b"), cluster("a")], "");
    config.virtual_hosts[0].routes.insert(0, to_a("r", prefix("/")));
    config.validate_clusters = off();
    let table = compile(&config);
    let used: Vec<_> = table.cluster_names().collect();
    assert_eq!(
        used,
        [
            ("virtual_hosts[0].routes[0].route.cluster", "a"),
            ("virtual_hosts[0].routes[1].route.weighted_clusters.clusters[0].name", "b"),
            ("virtual_hosts[0].routes[1].route.weighted_clusters.clusters[1].name", "a"),
        ]
    );
    assert_eq!(table.clusters().iter().map(|c| &**c).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(table.validate_clusters(), Some(false));
}

#[test]
fn limits_and_labels_are_kept() {
    use dragoman_proto::pb::google::protobuf::Duration as Pb;
    use dragoman_router::Action;
    use dragoman_types::Priority;
    use std::time::Duration;
    let seconds = |seconds| Some(Pb { seconds, nanos: 0 });
    let mut config = any_action(|a| {
        a.timeout = seconds(0);
        a.idle_timeout = seconds(3);
        a.priority = 1;
        a.cluster_not_found_response_code = 2;
        a.upgrade_configs = vec![pb::route_action::UpgradeConfig {
            upgrade_type: "WebSocket".into(),
            enabled: off(),
            connect_config: None,
        }];
        a.max_stream_duration = Some(pb::route_action::MaxStreamDuration {
            max_stream_duration: seconds(0),
            ..Default::default()
        });
    });
    config.virtual_hosts[0].routes.push(to_a("named", prefix("/")));
    let table = compile(&config);
    let [Action::Forward(set), Action::Forward(default)] =
        [0, 1].map(|place| table.routes()[place].action())
    else {
        panic!("both routes forward");
    };
    assert_eq!((set.timeout, set.timeout_is_set), (None, true));
    assert_eq!((default.timeout, default.timeout_is_set), (Some(Duration::from_secs(15)), false));
    assert_eq!(
        (set.idle_timeout, default.idle_timeout),
        (Some(Some(Duration::from_secs(3))), None)
    );
    assert_eq!((set.priority, default.priority), (Priority::High, Priority::Default));
    assert_eq!((set.cluster_not_found_status, default.cluster_not_found_status), (500, 503));
    assert_eq!((set.upgrade(b"websocket"), set.upgrade(b"other")), (Some(false), None));
    assert_eq!(set.max_stream_duration.as_ref().unwrap().limit, Some(None));
    let labels: Vec<_> = table.routes().iter().map(|route| route.label()).collect();
    assert_eq!(labels, ["host#0", "named"]);
}
