//! What a PROXY protocol header does to the connection, and what is none.

mod common;

use common::*;
use dragoman_listener::{Arrival, Inspected};
use dragoman_proto::pb::envoy::config::core::v3::ProxyProtocolPassThroughTlVs;
use dragoman_proto::pb::envoy::extensions::filters::listener::proxy_protocol::v3::{
    ProxyProtocol,
    proxy_protocol::{KeyValuePair, Rule},
};
use dragoman_types::Metadata;

const V1: i32 = 0;
const V2: i32 = 1;
const BASE64: i32 = 2;

const TCP4: &[u8] = b"PROXY TCP4 2.2.2.2 3.3.3.3 1000 80\r\n";

/// Version 2: command, family and transport, what follows.
fn v2(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let length = (rest.len() as u16).to_be_bytes();
    [&signature[..], &[0x20 | command, kind], &length, rest].concat()
}

const V4_ENDS: [u8; 12] = [2, 2, 2, 2, 3, 3, 3, 3, 0x03, 0xe8, 0, 80];

fn v4(tlvs: &[u8]) -> Vec<u8> {
    v2(1, 0x11, &[&V4_ENDS[..], tlvs].concat())
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat()
}

fn setup() -> Setup {
    compile(&ProxyProtocol::default())
}

fn lenient(disallowed: &[i32]) -> Setup {
    compile(&ProxyProtocol {
        allow_requests_without_proxy_protocol: true,
        disallowed_versions: disallowed.to_vec(),
        ..ProxyProtocol::default()
    })
}

/// The header and bytes behind it give these addresses, and the header alone is consumed.
#[track_caller]
fn read(setup: &Setup, header: &[u8], source: &str, destination: &str) -> Arrival {
    let (answer, seen) = setup.ask_every_way(&[header, b"GET"].concat());
    assert_eq!(answer, Inspected::Done { consumed: header.len() });
    assert_eq!((&seen.source, &seen.destination), (&ip(source), &ip(destination)));
    assert_eq!(seen.direct_source, ip("9.9.9.9:999"));
    seen
}

#[track_caller]
fn closed(message: &ProxyProtocol, data: &[u8], counters: &[&str]) {
    let setup = compile(message);
    let (answer, _) = setup.ask(data);
    assert!(matches!(answer, Inspected::Close(_)), "{answer:?} {data:?}");
    setup.counted(counters);
}

#[track_caller]
fn malformed(data: &[u8], version: &str) {
    let counter = format!("proxy_proto.versions.{version}.error");
    closed(&ProxyProtocol::default(), data, &["downstream_cx_proxy_proto_error", &counter]);
}

#[test]
fn version_1_says_both_ends() {
    let seen = read(&setup(), TCP4, "2.2.2.2:1000", "3.3.3.3:80");
    let proxy = seen.proxy.expect("a header");
    assert_eq!((proxy.version, proxy.source), (1, ip("2.2.2.2:1000")));
    let line = b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n";
    read(&setup(), line, "[2001:db8::1]:65535", "[::1]:0");
}

#[test]
fn version_2_says_both_ends() {
    let seen = read(&setup(), &v4(b""), "2.2.2.2:1000", "3.3.3.3:80");
    assert_eq!(seen.proxy.expect("a header").version, 2);
    // Datagrams are taken as streams, as in Envoy.
    read(&setup(), &v2(1, 0x12, &V4_ENDS), "2.2.2.2:1000", "3.3.3.3:80");
    let mut ends = [0; 36];
    (ends[0], ends[15], ends[31], ends[33], ends[35]) = (0x20, 1, 1, 7, 8);
    read(&setup(), &v2(1, 0x21, &ends), "[2000::1]:7", "[::1]:8");
}

#[test]
fn unknown_and_local_leave_the_sockets_ends() {
    let long = [&b"PROXY UNKNOWN "[..], &[b'f'; 92], b"\r\n"].concat();
    let rows: [&[u8]; 6] = [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \xff\r\n",
        b"PROXY UNKNOWN a b c\r\n",
        &long,
        &v2(0, 0, b""),
        &v2(0, 0x31, &[0xff; 40]),
    ];
    for header in rows {
        let seen = read(&setup(), header, "9.9.9.9:999", "1.1.1.1:443");
        let proxy = seen.proxy.expect("a header");
        assert_eq!((proxy.source, proxy.tlvs), (ip("9.9.9.9:999"), vec![]));
    }
}

#[test]
fn headers_are_counted_by_version() {
    for (header, version) in [(TCP4, "v1"), (&v4(b"")[..], "v2")] {
        let setup = setup();
        setup.ask(header);
        setup.counted(&[&format!("proxy_proto.versions.{version}.found")]);
    }
    let setup = compile(&ProxyProtocol { stat_prefix: "mine".into(), ..Default::default() });
    setup.ask(TCP4);
    setup.counted(&["proxy_proto.mine.versions.v1.found"]);
}

#[test]
fn malformed_lines() {
    for line in [
        "PROXY",
        "PROXY ",
        "PROXY TCP4",
        "PROXY TCP5 2.2.2.2 3.3.3.3 1 2",
        "PROXY tcp4 2.2.2.2 3.3.3.3 1 2",
        "PROXY TCP4 2.2.2.2 3.3.3.3 1",
        "PROXY TCP4 2.2.2.2 3.3.3.3 1 2 3",
        "PROXY TCP4  2.2.2.2 3.3.3.3 1 2",
        "PROXY TCP4 2.2.2.2 3.3.3.3 1 65536",
        "PROXY TCP4 2.2.2.2 3.3.3.3 +1 2",
        "PROXY TCP4 2.2.2.2 3.3.3.3  2",
        "PROXY TCP4 2.2.2 3.3.3.3 1 2",
        "PROXY TCP4 02.2.2.2 3.3.3.3 1 2",
        "PROXY TCP4 ::1 ::1 1 2",
        "PROXY TCP6 2.2.2.2 3.3.3.3 1 2",
        "PROXY TCP6 [::1] [::1] 1 2",
        "PROXY TCP6 ::1 2.2.2.2 1 2",
        "PROXY TCP4 0.0.0.0 3.3.3.3 1 2",
        "PROXY TCP4 2.2.2.2 224.0.0.1 1 2",
        "PROXY TCP4 2.2.2.2 255.255.255.255 1 2",
        "PROXY TCP6 :: ::1 1 2",
        "PROXY TCP6 ::1 ff02::1 1 2",
    ] {
        malformed(format!("{line}\r\n").as_bytes(), "v1");
    }
    malformed(b"PROXY TCP4 \xff 3.3.3.3 1 2\r\n", "v1");
    malformed(b"hello\r\n", "v1");
    let long = [&b"PROXY UNKNOWN "[..], &[b'f'; 93], b"\r\n"].concat();
    malformed(&long, "v1");
}

#[test]
fn malformed_binary_headers() {
    let with = |at: usize, value: u8| {
        let mut header = v4(b"");
        header[at] = value;
        header
    };
    malformed(&with(12, 0x11), "v2");
    malformed(&with(12, 0x31), "v2");
    malformed(&with(12, 0x22), "v2");
    for kind in [0x00, 0x01, 0x10, 0x13, 0x31, 0x32, 0x41] {
        malformed(&with(13, kind), "v2");
    }
    malformed(&with(15, 11), "v2");
    malformed(&v2(1, 0x21, &V4_ENDS), "v2");
    for ip in [[0, 0, 0, 0], [224, 0, 0, 1], [255; 4]] {
        let mut ends = V4_ENDS;
        ends[4..8].copy_from_slice(&ip);
        malformed(&v2(1, 0x11, &ends), "v2");
    }
    for tlvs in [&b"\x01"[..], b"\x01\x00", b"\x01\x00\x01", b"\x01\xff\xff\x00", b"\x01\0\0\x02"] {
        malformed(&v4(tlvs), "v2");
    }
    assert_eq!(setup().ask(&v4(b"\x01\0\0")).0, Inspected::Done { consumed: 31 });
}

#[test]
fn what_is_no_header_is_closed_once_that_is_sure() {
    let counters = ["downstream_cx_proxy_proto_error", "proxy_proto.not_found_disallowed"];
    let none = ProxyProtocol::default();
    closed(&none, b"GET / HTTP/1.1\r\n", &counters);
    closed(&none, &[0; 16], &counters);
    closed(&none, b"\r\n\r\n\0\r\nQUIT\r\n\r\n\0", &counters);
    closed(&none, &[&b"PROXY "[..], &[b'a'; 103]].concat(), &counters);
    for data in [&b""[..], b"P", b"GET / HTTP/1.1", b"\r\n\r\n", &[b'a'; 15]] {
        assert!(matches!(setup().ask(data).0, Inspected::More { .. }), "{data:?}");
    }
    let longest = [&b"PROXY "[..], &[b'a'; 102]].concat();
    assert!(matches!(setup().ask(&longest).0, Inspected::More { .. }));
}

#[test]
fn without_a_header_where_that_is_allowed() {
    for data in [&b"G"[..], b"PX", b"\r\n\r\r", b"\x16\x03\x01\0\x05hello"] {
        let setup = lenient(&[]);
        assert_eq!(setup.ask_every_way(data), (DONE, arrival()));
        let setup = lenient(&[]);
        setup.ask(data);
        setup.counted(&["proxy_proto.not_found_allowed"]);
    }
    for data in [&b"PROXY"[..], b"\r\n\r\n\0\r\nQUIT"] {
        assert!(matches!(lenient(&[]).ask(data).0, Inspected::More { .. }));
    }
    read(&lenient(&[]), TCP4, "2.2.2.2:1000", "3.3.3.3:80");
    read(&lenient(&[]), &v4(b""), "2.2.2.2:1000", "3.3.3.3:80");
}

#[test]
fn disallowed_versions() {
    let without = |version: i32| ProxyProtocol {
        disallowed_versions: vec![version],
        ..ProxyProtocol::default()
    };
    let counters = |version: &str| {
        ["disallowed", "found"].map(|what| format!("proxy_proto.versions.{version}.{what}"))
    };
    for (version, header, name) in [(V1, TCP4, "v1"), (V2, &v4(b"")[..], "v2")] {
        let names = counters(name);
        closed(&without(version), header, &[&names[0], &names[1]]);
        assert_eq!(lenient(&[version]).ask(header), (DONE, arrival()));
    }
    read(&compile(&without(V1)), &v4(b""), "2.2.2.2:1000", "3.3.3.3:80");
    read(&compile(&without(V2)), TCP4, "2.2.2.2:1000", "3.3.3.3:80");
}

fn rule(kind: u32, namespace: &str, key: &str, encoding: i32) -> Rule {
    let on_tlv_present = Some(KeyValuePair {
        metadata_namespace: namespace.into(),
        key: key.into(),
        value_string_encoding: encoding,
    });
    Rule { tlv_type: kind, on_tlv_present }
}

fn with_rules(tlv_location: i32) -> ProxyProtocol {
    let rules = vec![
        rule(1, "", "one", 0),
        rule(2, "mine", "two", 0),
        rule(3, "", "three", BASE64),
        rule(4, "", "four", 0),
    ];
    ProxyProtocol { rules, tlv_location, ..ProxyProtocol::default() }
}

fn tlvs() -> Vec<u8> {
    [
        tlv(9, b"unasked"),
        tlv(2, b"b"),
        tlv(1, b"a\xffb\xe2\x82"),
        tlv(1, b"again"),
        tlv(3, b"\0\xff"),
    ]
    .concat()
}

#[test]
fn rules_put_values_into_the_dynamic_metadata() {
    let seen = read(&compile(&with_rules(0)), &v4(&tlvs()), "2.2.2.2:1000", "3.3.3.3:80");
    let filter = "envoy.filters.listener.proxy_protocol";
    let wanted = [("mine", "two", "b"), (filter, "one", "a!b!!"), (filter, "three", "AP8=")];
    let wanted = wanted.map(|(namespace, key, value)| Metadata {
        namespace: namespace.into(),
        key: key.into(),
        value: value.into(),
    });
    assert_eq!(seen.metadata, wanted);
    assert_eq!(seen.proxy.expect("a header").named, []);
}

#[test]
fn or_into_the_filter_state() {
    let seen = read(&compile(&with_rules(1)), &v4(&tlvs()), "2.2.2.2:1000", "3.3.3.3:80");
    let named = seen.proxy.expect("a header").named;
    let named: Vec<_> = named.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(named, [("two", "b"), ("one", "again"), ("three", "AP8=")]);
    assert_eq!(seen.metadata, []);
}

/// As in Envoy, which keeps the rules by type.
#[test]
fn the_last_rule_of_a_type_counts() {
    let rules = vec![rule(1, "", "first", 0), rule(1, "", "last", 0)];
    let setup = compile(&ProxyProtocol { rules, ..ProxyProtocol::default() });
    let (_, seen) = setup.ask(&v4(&tlv(1, b"a")));
    let keys: Vec<_> = seen.metadata.iter().map(|metadata| &*metadata.key).collect();
    assert_eq!(keys, ["last"]);
}

#[test]
fn tlvs_are_passed_as_they_came() {
    let passing = |match_type: i32, tlv_type: &[u32]| {
        let pass_through_tlvs =
            Some(ProxyProtocolPassThroughTlVs { match_type, tlv_type: tlv_type.to_vec() });
        let setup = compile(&ProxyProtocol { pass_through_tlvs, ..Default::default() });
        let proxy = setup.ask(&v4(&tlvs())).1.proxy.expect("a header");
        proxy.tlvs.into_iter().map(|(kind, _)| kind).collect::<Vec<u8>>()
    };
    assert_eq!(passing(0, &[]), [9, 2, 1, 1, 3]);
    assert_eq!(passing(1, &[1, 3, 77]), [1, 1, 3]);
    assert_eq!(passing(1, &[]), []);
    let proxy = setup().ask(&v4(&tlvs())).1.proxy.expect("a header");
    assert_eq!(proxy.tlvs, []);
}

#[test]
fn the_longest_header_is_within_the_limit() {
    let value = vec![7; usize::from(u16::MAX) - V4_ENDS.len() - 3];
    let header = v4(&tlv(1, &value));
    let setup = setup();
    assert_eq!(setup.filter.max_bytes(), header.len());
    assert_eq!(setup.ask(&header).0, Inspected::Done { consumed: header.len() });
    assert_eq!(setup.ask(&header[..16]).0, Inspected::More { until: header.len() });
}

#[test]
fn no_bytes_make_it_panic() {
    let rules = with_rules(0);
    let line = b"PROXY TCP6 2001:db8::1 ::1 65535 1\r\nGET / HTTP/1.1\r\n";
    for message in
        [rules.clone(), ProxyProtocol { allow_requests_without_proxy_protocol: true, ..rules }]
    {
        compile(&message).survive_mutations(&[TCP4, line, &v4(&tlvs()), &v2(0, 0, b"abc")]);
    }
}

#[test]
fn options_out_of_their_range() {
    let base = ProxyProtocol::default;
    refused(
        &ProxyProtocol { rules: vec![rule(256, "", "a", 0)], ..base() },
        "rules[0].tlv_type",
        "out-of-range",
    );
    let key = "rules[0].on_tlv_present.key";
    refused(&ProxyProtocol { rules: vec![rule(1, "", "", 0)], ..base() }, key, "empty");
    let bare = Rule { tlv_type: 1, on_tlv_present: None };
    compile(&ProxyProtocol { rules: vec![bare], ..base() });
    let encoding = "rules[0].on_tlv_present.value_string_encoding";
    refused(&ProxyProtocol { rules: vec![rule(1, "", "a", 3)], ..base() }, encoding, "bad-enum");
    refused(&ProxyProtocol { tlv_location: 2, ..base() }, "tlv_location", "bad-enum");
    refused(
        &ProxyProtocol { disallowed_versions: vec![2], ..base() },
        "disallowed_versions[0]",
        "bad-enum",
    );
    let both = ProxyProtocol { disallowed_versions: vec![V1, V2], ..base() };
    refused(&both, "disallowed_versions", "no-effect");
    let pass = |match_type, tlv_type| ProxyProtocol {
        pass_through_tlvs: Some(ProxyProtocolPassThroughTlVs { match_type, tlv_type }),
        ..base()
    };
    refused(&pass(2, vec![]), "pass_through_tlvs.match_type", "bad-enum");
    refused(&pass(1, vec![1, 256]), "pass_through_tlvs.tlv_type[1]", "out-of-range");
}
