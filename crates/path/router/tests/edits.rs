//! Header mutations and rewrites, row by row as a real Envoy 1.40 made them.

mod common;

use common::*;
use dragoman_proto::pb::envoy::config::core::v3::HeaderValueOption;
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_router::{Cluster, RouteTable};
use dragoman_types::id;
use pb::route_action::{ClusterSpecifier, HostRewriteSpecifier};
use pb::route_match::PathSpecifier;
use pb::weighted_cluster::{ClusterWeight, RandomValueSpecifier, cluster_weight};

fn keep_empty(option: HeaderValueOption) -> HeaderValueOption {
    HeaderValueOption { keep_empty_value: true, ..option }
}

#[test]
fn one_level_removes_computes_overwrites_appends() {
    let mut route = to_a("r", prefix("/"));
    route.request_headers_to_remove = vec!["X-Gone".into()];
    route.request_headers_to_add = vec![
        add("x-r", "1"),
        add("x-r", "2"),
        add("x-sees", "[%REQ(x-r)%%REQ(x-gone)%] %REQ(:path)%"),
        add("x-no", "%REQ(nope)%"),
        keep_empty(add("x-empty", "%REQ(nope)%")),
        overwrite("x-ow", "new"),
        add_as("x-abs", "new", Append::AddIfAbsent),
        add_as("x-twice", "1", Append::AddIfAbsent),
        add_as("x-twice", "2", Append::AddIfAbsent),
        add_as("x-owe", "new", Append::OverwriteIfExists),
        add_as("x-owe-not", "new", Append::OverwriteIfExists),
        overwrite("accept", "text/plain"),
        add("accept", "b/c"),
        add("cookie", "n=1"),
        add("x-percent", "50%%"),
    ];
    let table = compile(&any_host(vec![route]));
    let fields_before = [
        ("x-gone", "g"),
        ("x-ow", "old"),
        ("x-ow", "old2"),
        ("x-abs", "old"),
        ("x-owe", "old"),
        ("accept", "a/b"),
        ("cookie", "a=b"),
    ];
    let head = forwarded(&table, request("h", "/one?q", &fields_before)).unwrap();
    assert_eq!(
        fields(&head.headers),
        [
            "x-abs: old",
            "accept: text/plain,b/c",
            "cookie: a=b",
            "x-ow: new",
            "x-owe: new",
            "x-r: 1",
            "x-r: 2",
            "x-sees: [] /one?q",
            "x-empty: ",
            "x-twice: 1",
            "x-twice: 2",
            "cookie: n=1",
            "x-percent: 50%",
        ]
    );
}

/// A table whose three levels and one weighted cluster all touch `x-o` on both sides.
fn levels(most_specific_wins: bool) -> RouteTable {
    let mark = |text: &str| vec![overwrite("x-o", text), add("x-order", text)];
    let cluster = ClusterWeight {
        name: "a".into(),
        weight: number(1),
        request_headers_to_add: mark("weight"),
        response_headers_to_add: mark("weight"),
        host_rewrite_specifier: Some(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(
            "inner".into(),
        )),
        ..Default::default()
    };
    let action = pb::RouteAction {
        append_x_forwarded_host: true,
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters: vec![cluster],
            ..Default::default()
        })),
        ..Default::default()
    };
    let mut route = forwarding(prefix("/"), action);
    route.request_headers_to_add = mark("route");
    route.request_headers_to_add.push(add("x-sees", "%REQ(x-o)% %REQ(:authority)%"));
    route.response_headers_to_add = mark("route");
    let mut host = virtual_host("h", &["*"], vec![route]);
    host.request_headers_to_add = mark("host");
    host.response_headers_to_add = mark("host");
    let mut config = config(vec![host]);
    config.request_headers_to_add = mark("table");
    config.response_headers_to_add = mark("table");
    config.most_specific_header_mutations_wins = most_specific_wins;
    compile(&config)
}

#[test]
fn the_levels_follow_each_other() {
    for (most_specific_wins, order, sees) in [
        (false, ["weight", "route", "host", "table"], "weight inner"),
        (true, ["weight", "table", "host", "route"], "host inner"),
    ] {
        let table = levels(most_specific_wins);
        let head = forwarded(&table, request("outer", "/", &[])).unwrap();
        assert_eq!(values(&head.headers, "x-order"), order);
        assert_eq!(values(&head.headers, "x-o"), [order[3]]);
        assert_eq!(values(&head.headers, "x-sees"), [sees]);
        // A weighted cluster's host leaves no trace of the old one.
        assert_eq!(head.authority(), b"inner");
        assert!(!head.headers.contains(id::X_ENVOY_ORIGINAL_HOST));
        assert!(!head.headers.contains(id::X_FORWARDED_HOST));

        let route = found(&table, &head).unwrap();
        let entry = route.target(&head, 0).unwrap().entry;
        let mut answer = response(&[("x-o", "origin"), ("vary", "a")]);
        with_facts(|facts| {
            table.edit_response(route, entry, &mut answer, facts, &mut scratch());
        });
        assert_eq!(values(&answer.headers, "x-order"), order);
        assert_eq!(values(&answer.headers, "x-o"), [order[3]]);
    }
}

#[test]
fn response_values_see_the_response_after_removal() {
    let mut route = to_a("r", prefix("/"));
    route.response_headers_to_remove = vec!["x-up".into()];
    route.response_headers_to_add =
        vec![add("x-sees", "[%RESP(x-up)%] %RESP(x-dup)%"), add("vary", "b")];
    let table = compile(&any_host(vec![route]));
    let head = request("h", "/", &[]);
    let mut answer = response(&[("x-up", "1"), ("x-dup", "a"), ("vary", "a")]);
    with_facts(|facts| {
        let route = found(&table, &head).unwrap();
        table.edit_response(route, None, &mut answer, facts, &mut scratch());
    });
    assert_eq!(fields(&answer.headers), ["x-dup: a", "vary: a,b", "x-sees: [] a"]);
}

fn regex_to(pattern: &str, to: &str) -> pb::RouteAction {
    pb::RouteAction { regex_rewrite: Some(substitution(pattern, to)), ..forward("a") }
}

fn prefix_to(to: &str) -> pb::RouteAction {
    pb::RouteAction { prefix_rewrite: to.into(), ..forward("a") }
}

fn format_to(to: &str) -> pb::RouteAction {
    pb::RouteAction { path_rewrite: to.into(), ..forward("a") }
}

#[test]
fn paths_are_rewritten() {
    use PathSpecifier::*;
    let insensitive = |text: &str| pb::RouteMatch { case_sensitive: off(), ..prefix(text) };
    let table = [
        (prefix("/p/"), prefix_to("/"), "/p/a/b?x=1", Some("/a/b?x=1")),
        (prefix("/p/"), prefix_to("/"), "/p/", Some("/")),
        (prefix("/p"), prefix_to("/p"), "/p", Some("/p")),
        (prefix("/p"), prefix_to("x"), "/p/b", Some("x/b")),
        (insensitive("/P"), prefix_to("/x"), "/p/b", Some("/x/b")),
        (matching(Path("/e".into())), prefix_to("/e2"), "/e?x=1", Some("/e2?x=1")),
        (matching(SafeRegex(regex("/r/.*"))), prefix_to("/r2"), "/r/a/b?q", Some("/r2?q")),
        (matching(PathSeparatedPrefix("/sep".into())), prefix_to("/s"), "/sep/a", Some("/s/a")),
        (prefix("/p"), prefix_to(""), "/p/x", None),
        (prefix("/s"), regex_to("/s/([a-z]+)", r"/g/\1"), "/s/b/d?/s/z", Some("/g/b/d?/s/z")),
        (prefix("/n"), regex_to("/zzz", "/got"), "/n?q", Some("/n?q")),
        (prefix("/f"), format_to("/n/%REQ(x-a)%/%REQ(x-none)%"), "/f?b", Some("/n/1/?b")),
        (prefix("/f"), format_to("%REQ(x-none)%"), "/f?b", None),
    ];
    for (matching, action, before, after) in table {
        let label = format!("{matching:?} {before}");
        let table = compile(&any_host(vec![forwarding(matching, action)]));
        let head = forwarded(&table, request("h", before, &[("x-a", "1")])).unwrap();
        let original = after.map(|_| before.to_owned());
        assert_eq!(head.path(), after.unwrap_or(before).as_bytes(), "{label}");
        assert_eq!(values(&head.headers, "x-envoy-original-path").pop(), original, "{label}");
    }
}

#[test]
fn path_parameters_can_keep_a_prefix_from_being_rewritten() {
    let config = pb::RouteConfiguration {
        ignore_path_parameters_in_path_matching: true,
        ..any_host(vec![forwarding(prefix("/a/"), prefix_to("/z/"))])
    };
    let table = compile(&config);
    for (before, after) in [("/a;p=1/x", "/a;p=1/x"), ("/a/x;p=/y?z;q", "/z/x;p=/y?z;q")] {
        let head = forwarded(&table, request("h", before, &[])).unwrap();
        assert_eq!(head.path(), after.as_bytes());
        assert_eq!(head.headers.contains(id::X_ENVOY_ORIGINAL_PATH), before != after);
    }
}

#[test]
fn hosts_are_rewritten() {
    use HostRewriteSpecifier::*;
    let literal = || HostRewriteLiteral("new.host".into());
    let cases = [
        (literal(), false, &[][..], Some("new.host"), ""),
        (literal(), true, &[], Some("new.host"), "old"),
        (literal(), true, &[("x-forwarded-host", "a")], Some("new.host"), "a,old"),
        (HostRewriteLiteral("old".into()), true, &[], Some("old"), "old"),
        (HostRewriteHeader("x-h".into()), false, &[("x-h", "from.it")], Some("from.it"), ""),
        (HostRewriteHeader("x-h".into()), true, &[("x-h", "")], None, ""),
        (HostRewriteHeader("x-h".into()), true, &[], None, ""),
        (
            HostRewritePathRegex(substitution("^/re/(.+)/x$", r"\1.x")),
            false,
            &[],
            Some("foo.x"),
            "",
        ),
        (HostRewrite("%REQ(x-a)%.h".into()), false, &[("x-a", "1")], Some("1.h"), ""),
        (HostRewrite("%REQ(x-a)%.h".into()), false, &[], Some("-.h"), ""),
        (AutoHostRewrite(*on().as_ref().unwrap()), true, &[], None, ""),
    ];
    for (specifier, append, given, expected, forwarded_host) in cases {
        let label = format!("{specifier:?} {given:?}");
        let action = pb::RouteAction {
            append_x_forwarded_host: append,
            host_rewrite_specifier: Some(specifier),
            ..forward("a")
        };
        let table = compile(&any_host(vec![forwarding(prefix("/"), action)]));
        let head = forwarded(&table, request("old", "/re/foo/x?z", given)).unwrap();
        let original = expected.map(|_| "old".to_owned());
        assert_eq!(head.authority(), expected.unwrap_or("old").as_bytes(), "{label}");
        assert_eq!(values(&head.headers, "x-envoy-original-host").pop(), original, "{label}");
        assert_eq!(values(&head.headers, "x-forwarded-host").concat(), forwarded_host, "{label}");
    }
}

#[test]
fn the_picked_hosts_name_may_become_the_authority() {
    let action = pb::RouteAction {
        append_x_forwarded_host: true,
        host_rewrite_specifier: Some(HostRewriteSpecifier::AutoHostRewrite(
            *on().as_ref().unwrap(),
        )),
        ..forward("a")
    };
    let table = compile(&any_host(vec![forwarding(prefix("/"), action)]));
    let mut head = request("old", "/", &[]);
    let dragoman_router::Action::Forward(forward) = found(&table, &head).unwrap().action() else {
        panic!("the route forwards");
    };
    assert!(forward.auto_host_rewrite);
    forward.use_host_name(&mut head, "a.internal", true, &mut scratch());
    assert_eq!(head.authority(), b"a.internal");
    assert_eq!(fields(&head.headers), ["x-envoy-original-host: old", "x-forwarded-host: old"]);
}

#[test]
fn suppressed_envoy_headers_leave_only_the_forwarded_host() {
    let action = pb::RouteAction {
        append_x_forwarded_host: true,
        host_rewrite_specifier: Some(HostRewriteSpecifier::HostRewriteLiteral("new".into())),
        ..prefix_to("/p")
    };
    let table = compile(&any_host(vec![forwarding(prefix("/l"), action)]));
    let mut head = request("h", "/l/a", &[("x-envoy-original-host", "given")]);
    let route = found(&table, &head).unwrap();
    with_facts(|facts| table.edit_request(route, None, &mut head, facts, false, &mut scratch()));
    assert_eq!(head.path(), b"/p/a");
    assert_eq!(fields(&head.headers), ["x-envoy-original-host: given", "x-forwarded-host: h"]);
}

fn weighted(clusters: Vec<ClusterWeight>) -> RouteTable {
    let random = RandomValueSpecifier::HeaderName("x-rand".into());
    let action = pb::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters,
            random_value_specifier: Some(random),
            ..Default::default()
        })),
        ..Default::default()
    };
    compile(&any_host(vec![forwarding(prefix("/"), action)]))
}

#[test]
fn weights_share_by_random_or_by_header() {
    let cluster = |name: &str, weight| ClusterWeight {
        name: name.into(),
        weight: number(weight),
        ..Default::default()
    };
    let by_header =
        ClusterWeight { cluster_header: "x-c".into(), weight: number(2), ..Default::default() };
    let table = weighted(vec![cluster("a", 3), cluster("zero", 0), by_header, cluster("c", 1)]);
    let drawn = |random, fields: &[(&str, &str)]| {
        let head = request("h", "/", fields);
        match found(&table, &head).unwrap().target(&head, random).unwrap().cluster {
            Cluster::Named { name, slot } => {
                assert_eq!(&*table.clusters()[slot], name);
                name.to_owned()
            }
            Cluster::Header(name) => format!("header {}", String::from_utf8_lossy(name)),
            Cluster::Missing => "missing".to_owned(),
        }
    };
    let shares: Vec<_> = (0..7).map(|random| drawn(random, &[("x-c", "b")])).collect();
    assert_eq!(shares, ["a", "a", "a", "header b", "header b", "c", "a"]);
    assert_eq!(drawn(3, &[]), "missing");
    for (value, expected) in [
        ("5", "c"),
        ("7", "a"),
        ("18446744073709551615", "header b"),
        ("18446744073709551616", "a"),
        ("-1", "a"),
        ("x", "a"),
        ("", "a"),
    ] {
        assert_eq!(drawn(0, &[("x-rand", value), ("x-c", "b")]), expected, "{value}");
    }
}

#[test]
fn a_header_may_name_the_cluster() {
    let action = pb::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::ClusterHeader("x-c".into())),
        ..Default::default()
    };
    let table = compile(&any_host(vec![forwarding(prefix("/"), action)]));
    for (fields, expected) in [
        (&[("x-c", "b")][..], Cluster::Header(b"b")),
        (&[("x-c", "b"), ("x-c", "a")], Cluster::Header(b"b")),
        (&[("x-c", "")], Cluster::Missing),
        (&[], Cluster::Missing),
    ] {
        let head = request("h", "/", fields);
        let target = found(&table, &head).unwrap().target(&head, 0).unwrap();
        assert_eq!(target.cluster, expected, "{fields:?}");
    }
}
