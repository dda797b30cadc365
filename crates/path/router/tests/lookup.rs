//! From a request to its route, and the index against the plain walk.

mod common;

use common::*;
use dragoman_proto::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_proto::pb::envoy::r#type::v3::FractionalPercent;
use dragoman_router::{Asked, Certificate, Found, RouteTable};
use dragoman_types::{Headers, RequestHead};
use pb::route_match::{PathSpecifier, TlsContextMatchOptions};

#[test]
fn host_then_first_route_that_fits() {
    let table = compile(&config(vec![
        virtual_host(
            "one",
            &["one", "*.one"],
            vec![to_a("red", with_header(prefix("/"), "x-c", "red")), to_a("rest", prefix("/a"))],
        ),
        virtual_host("two", &["two:80"], vec![]),
    ]));
    for (host, path, fields, expected) in [
        ("one", "/", &[("x-c", "red")][..], "red"),
        ("b.ONE", "/a", &[("x-c", "blue"), ("x-c", "red")], "red"),
        ("one", "/a?q", &[], "rest"),
        ("one", "/", &[], "no route"),
        ("two:80", "/", &[], "no route"),
        ("two", "/", &[], "no host"),
        ("", "/", &[], "no host"),
    ] {
        assert_eq!(name_found(&table, &request(host, path, fields)), expected, "{host}{path}");
    }
}

fn with_header(mut matching: pb::RouteMatch, name: &str, value: &str) -> pb::RouteMatch {
    matching.headers.push(header_is(name, value));
    matching
}

#[test]
fn every_condition_must_hold() {
    let grpc = pb::RouteMatch { grpc: Some(Default::default()), ..prefix("/grpc") };
    let mut query = prefix("/query");
    query
        .query_parameters
        .push(pb::QueryParameterMatcher { name: "k".into(), ..Default::default() });
    let mut cookie = prefix("/cookie");
    cookie.cookies.push(pb::CookieMatcher {
        name: "k".into(),
        string_match: Some(exact("v")),
        invert_match: false,
    });
    let table =
        compile(&any_host(vec![to_a("grpc", grpc), to_a("query", query), to_a("cookie", cookie)]));
    for (path, fields, expected) in [
        ("/grpc", &[("content-type", "application/grpc")][..], "grpc"),
        ("/grpc", &[], "no route"),
        ("/query?k", &[], "query"),
        ("/query", &[], "no route"),
        ("/cookie", &[("cookie", "k=v")], "cookie"),
        ("/cookie", &[("cookie", "k=w")], "no route"),
    ] {
        assert_eq!(name_found(&table, &request("x", path, fields)), expected, "{path}");
    }
}

#[test]
fn a_runtime_fraction_takes_its_share() {
    let half = RuntimeFractionalPercent {
        default_value: Some(FractionalPercent { numerator: 50, denominator: 0 }),
        runtime_key: "key".into(),
    };
    let matching = pb::RouteMatch { runtime_fraction: Some(half), ..prefix("/") };
    let table = compile(&any_host(vec![to_a("half", matching), to_a("rest", prefix("/"))]));
    let taken = |random| match table.find(&request("x", "/", &[]), &Asked { random, ..ASKED }) {
        Found::Route(route, _) => route.name(),
        other => panic!("{other:?}"),
    };
    assert_eq!((0..100).filter(|random| taken(*random) == "half").count(), 50);
}

#[test]
fn certificates() {
    let tls = |presented, validated| pb::RouteMatch {
        tls_context: Some(TlsContextMatchOptions { presented, validated }),
        ..prefix("/")
    };
    let cases = [
        (tls(on(), None), [false, true, true]),
        (tls(off(), None), [true, false, false]),
        (tls(None, on()), [false, false, true]),
        (tls(None, off()), [true, true, false]),
        (tls(on(), off()), [false, true, false]),
        (tls(None, None), [true, true, true]),
    ];
    for (matching, expected) in cases {
        let label = format!("{:?}", matching.tls_context);
        let table = compile(&any_host(vec![to_a("yes", matching)]));
        let states = [Certificate::Absent, Certificate::Presented, Certificate::Validated];
        let fits = states.map(|certificate| {
            let asked = Asked { certificate, ..ASKED };
            matches!(table.find(&request("x", "/", &[]), &asked), Found::Route(..))
        });
        assert_eq!(fits, expected, "{label}");
    }
}

#[test]
fn connect_has_no_path() {
    let connect = matching(PathSpecifier::ConnectMatcher(Default::default()));
    let table = compile(&any_host(vec![to_a("rest", prefix("")), to_a("connect", connect)]));
    let mut head = RequestHead::default();
    head.headers.push(b":method", b"CONNECT");
    head.headers.push(b":authority", b"x:80");
    assert_eq!(name_found(&table, &head), "connect");
    assert_eq!(name_found(&table, &request("x", "/", &[])), "rest");
}

#[test]
fn tls_is_required_by_scheme() {
    use pb::virtual_host::TlsRequirementType::*;
    let secure = |head: &mut RequestHead| head.headers.set(dragoman_types::id::SCHEME, b"https");
    for (requirement, plain, internal) in
        [(None, "r", "r"), (All, "require tls", "require tls"), (ExternalOnly, "require tls", "r")]
    {
        let mut host = virtual_host("h", &["*"], vec![to_a("r", prefix("/"))]);
        host.require_tls = requirement.into();
        let table = compile(&config(vec![host]));
        let mut head = request("x", "/", &[]);
        assert_eq!(name_found(&table, &head), plain, "{requirement:?}");
        secure(&mut head);
        assert_eq!(name_found(&table, &head), "r", "{requirement:?} with https");
        let head = request("x", "/", &[("x-envoy-internal", "true")]);
        assert_eq!(name_found(&table, &head), internal, "{requirement:?} internal");
    }
}

#[test]
fn another_field_may_name_the_host() {
    let hosts = || {
        vec![
            virtual_host("v", &["v"], vec![to_a("v", prefix("/"))]),
            virtual_host("star", &["*"], vec![to_a("star", prefix("/"))]),
        ]
    };
    let config = |virtual_hosts| pb::RouteConfiguration {
        vhost_header: "X-V".into(),
        ..config(virtual_hosts)
    };
    let table = compile(&config(hosts()));
    for (fields, expected) in [
        (&[("x-v", "V")][..], "v"),
        (&[("x-v", "")], "star"),
        (&[("x-v", "w")], "star"),
        (&[], "no host"),
    ] {
        assert_eq!(name_found(&table, &request("v", "/", fields)), expected, "{fields:?}");
    }
    let table = compile(&config(hosts().split_off(1)));
    assert_eq!(name_found(&table, &request("v", "/", &[])), "star");
}

#[test]
fn path_parameters_may_be_ignored() {
    let config = pb::RouteConfiguration {
        ignore_path_parameters_in_path_matching: true,
        ..any_host(vec![
            to_a("exact", matching(PathSpecifier::Path("/a/b".into()))),
            to_a("prefix", prefix("/a/")),
        ])
    };
    let table = compile(&config);
    for (path, expected) in [
        ("/a;x/b", "exact"),
        ("/a/b;c=d?e", "exact"),
        ("/a;p=1/x", "prefix"),
        ("/;p/a/", "no route"),
    ] {
        assert_eq!(name_found(&table, &request("x", path, &[])), expected, "{path}");
    }
}

/// A path over so few letters that random tables and random paths meet.
fn random_path(rng: &mut fastrand::Rng) -> String {
    let mut path = String::from("/");
    for _ in 0..rng.usize(0..6) {
        path.push(['a', 'b', 'A', 'B', '/', ';'][rng.usize(0..6)]);
    }
    path
}

fn random_match(rng: &mut fastrand::Rng) -> pb::RouteMatch {
    let path = random_path(rng);
    let specifier = match rng.u8(0..10) {
        0..=3 => PathSpecifier::Path(path),
        4..=6 => PathSpecifier::Prefix(path),
        7 | 8 => PathSpecifier::PathSeparatedPrefix(format!("{}x", path)),
        _ => PathSpecifier::SafeRegex(regex(&format!("{path}.*"))),
    };
    let mut matching = matching(specifier);
    if rng.u8(0..4) == 0 {
        matching.case_sensitive = off();
    }
    if rng.u8(0..3) == 0 {
        matching.headers.push(header_is("x-c", ["red", "blue"][rng.usize(0..2)]));
    }
    matching
}

/// The same routes, each alone in a table: the first that fits is the right answer.
fn naive(tables: &[RouteTable], head: &RequestHead) -> Option<usize> {
    tables.iter().position(|table| found(table, head).is_ok())
}

#[test]
fn the_index_finds_what_a_walk_finds() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut hits = 0;
    for _ in 0..60 {
        let count = rng.usize(1..60);
        let routes: Vec<_> = (0..count).map(|_| to_a("r", random_match(&mut rng))).collect();
        let alone: Vec<_> =
            routes.iter().map(|route| compile(&any_host(vec![route.clone()]))).collect();
        let table = compile(&any_host(routes));
        for _ in 0..200 {
            let mut path = random_path(&mut rng);
            if rng.bool() {
                path.push_str(["x", "x/", "?q", "#f"][rng.usize(0..4)]);
            }
            let colour = [("x-c", "red"), ("x-c", "blue"), ("x-d", "")][rng.usize(0..3)];
            let head = request("any", &path, &[colour]);
            let expected = naive(&alone, &head);
            let actual = found(&table, &head).ok().map(|route| route.index());
            assert_eq!(actual, expected, "{path} {colour:?} among {count}");
            hits += usize::from(actual.is_some());
        }
    }
    assert!((2_000..10_000).contains(&hits), "the tables and paths must meet: {hits}");
}

#[test]
fn ten_thousand_paths_each_find_their_own() {
    let exact = |n| matching(PathSpecifier::Path(format!("/exact/{n}")));
    let prefixed = |n| prefix(&format!("/prefix/{n}/"));
    let mut routes: Vec<_> = (0..5_000).map(|n| to_a(&format!("e{n}"), exact(n))).collect();
    routes.extend((0..5_000).map(|n| to_a(&format!("p{n}"), prefixed(n))));
    routes.push(to_a("rest", prefix("/")));
    let table = compile(&any_host(routes));
    for n in (0..5_000).step_by(7) {
        assert_eq!(
            name_found(&table, &request("x", &format!("/exact/{n}?q"), &[])),
            format!("e{n}")
        );
        let path = format!("/prefix/{n}/tail");
        assert_eq!(name_found(&table, &request("x", &path, &[])), format!("p{n}"));
    }
    assert_eq!(name_found(&table, &request("x", "/exact/none", &[])), "rest");
    assert_eq!(table.routes().len(), 10_001);
    assert!(table.routes().iter().enumerate().all(|(place, route)| route.index() == place));
}

#[test]
fn hostile_heads_find_nothing_and_hurt_nothing() {
    let table = compile(&config(vec![virtual_host("h", &["*.x", "y*"], vec![])]));
    let long = "A".repeat(70_000);
    for (host, path) in [("", ""), (&*long, "/"), ("[", "?"), (":", "#"), ("]:", &*long)] {
        name_found(&table, &request(host, path, &[]));
    }
    let empty = RequestHead { headers: Headers::new(), ..Default::default() };
    assert_eq!(name_found(&table, &empty), "no host");
}
