//! Client addresses and the fields about them, as a real Envoy 1.40 judges and writes them.

mod common;

use common::*;
use dragoman_proto::pb::envoy::config::core::v3::{CidrRange, SchemeHeaderTransformation};
use dragoman_proto::pb::google::protobuf::UInt32Value;
use dragoman_types::headers::HeaderName;
use dragoman_types::id;

fn internal(message: HttpConnectionManager, ranges: &[(&str, u32)]) -> HttpConnectionManager {
    let range = |(prefix, len): &(&str, u32)| CidrRange {
        address_prefix: (*prefix).into(),
        prefix_len: Some(UInt32Value { value: *len }),
    };
    let config = hcm::InternalAddressConfig {
        unix_sockets: false,
        cidr_ranges: ranges.iter().map(range).collect(),
    };
    HttpConnectionManager { internal_address_config: Some(config), ..message }
}

fn hops(message: HttpConnectionManager, hops: u32) -> HttpConnectionManager {
    HttpConnectionManager { xff_num_trusted_hops: hops, ..message }
}

/// (field lines, what x-forwarded-for becomes, whom the log names).
fn judge(message: &HttpConnectionManager, from: &str, xff: &[&str]) -> (String, String) {
    let fields: Vec<_> = xff.iter().map(|value| format!("x-forwarded-for: {value}")).collect();
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    let went = accept_from(&compile(message), from, get("/", &fields));
    let written = went.pseudo(id::X_FORWARDED_FOR).unwrap_or_else(|| "-".into());
    (written, went.remote())
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.into(), b.into())
}

#[test]
fn use_remote_address_appends_the_peer() {
    assert_eq!(judge(&edge(), "10.1.1.1", &[]), pair("10.1.1.1", "10.1.1.1:4321"));
    assert_eq!(judge(&edge(), "10.1.1.1", &["1.2.3.4"]), pair("1.2.3.4,10.1.1.1", "10.1.1.1:4321"));
    assert_eq!(judge(&edge(), "fd00::1", &[""]), pair("fd00::1", "[fd00::1]:4321"));
    let two = ["1.2.3.4, 10.0.0.7", "10.0.0.5"];
    let (written, _) = judge(&edge(), "10.1.1.1", &two);
    assert_eq!(written, "1.2.3.4, 10.0.0.7,10.0.0.5,10.1.1.1");
    assert_eq!(judge(&edge(), "@/run/x", &[]), pair("-", "/run/x"));
}

/// The log and x-envoy-external-address still name the loopback address.
#[test]
fn a_loopback_client_appears_as_a_local_interface() {
    assert_eq!(judge(&edge(), "127.0.0.1", &[]), pair("192.0.2.2", "127.0.0.1:4321"));
    assert_eq!(judge(&edge(), "::1", &[]), pair("192.0.2.2", "[::1]:4321"));
    assert_eq!(judge(&edge(), "127.0.0.2", &[]), pair("127.0.0.2", "127.0.0.2:4321"));
}

#[test]
fn trusted_hops_look_behind_the_peer() {
    let one = hops(edge(), 1);
    let table = [
        (vec![], "10.1.1.1", "10.1.1.1:4321"),
        (vec!["1.2.3.4"], "1.2.3.4,10.1.1.1", "1.2.3.4:0"),
        (vec!["1.2.3.4, 10.0.0.7"], "1.2.3.4, 10.0.0.7,10.1.1.1", "10.0.0.7:0"),
        (vec!["bogus"], "bogus,10.1.1.1", "10.1.1.1:4321"),
        (vec!["1.2.3.4:80"], "1.2.3.4:80,10.1.1.1", "10.1.1.1:4321"),
    ];
    for (xff, written, remote) in table {
        assert_eq!(judge(&one, "10.1.1.1", &xff), pair(written, remote), "{xff:?}");
    }
    let two = HttpConnectionManager { skip_xff_append: true, ..hops(edge(), 2) };
    assert_eq!(judge(&two, "10.1.1.1", &["1.2.3.4, 10.0.0.7"]).1, "1.2.3.4:0");
    assert_eq!(judge(&two, "10.1.1.1", &["1.2.3.4"]), pair("1.2.3.4", "10.1.1.1:4321"));
}

#[test]
fn without_use_remote_address_the_last_entry_is_believed() {
    let table = [
        ("1.2.3.4", "1.2.3.4:0"),
        ("::1", "[::1]:0"),
        ("1.2.3.4 , 10.0.0.5 ", "10.0.0.5:0"),
        ("1.2.3.4:80", "127.0.0.1:4321"),
        ("[::1]:80", "127.0.0.1:4321"),
        ("1.2.3.4,", "127.0.0.1:4321"),
        ("1.2.3.4, ,", "127.0.0.1:4321"),
        ("010.2.3.4", "127.0.0.1:4321"),
        ("1.2.3", "127.0.0.1:4321"),
        ("", "127.0.0.1:4321"),
    ];
    for (xff, remote) in table {
        let (written, found) = judge(&message(), "127.0.0.1", &[xff]);
        assert_eq!((written.as_str(), found.as_str()), (xff.trim(), remote));
    }
    let two = hops(message(), 2);
    let three = "10.0.0.1,10.0.0.2,10.0.0.3";
    assert_eq!(judge(&two, "127.0.0.1", &[three]).1, "10.0.0.1:0");
    assert_eq!(judge(&two, "127.0.0.1", &["10.0.0.1,10.0.0.2"]).1, "127.0.0.1:4321");
}

#[test]
fn x_forwarded_proto_and_port() {
    let port = |message: HttpConnectionManager| HttpConnectionManager {
        append_x_forwarded_port: true,
        ..message
    };
    let told = ["x-forwarded-proto: https", "x-forwarded-port: 99"];
    let table = [
        (port(message()), &told[..0], "http", "8080"),
        (port(message()), &told[..], "https", "99"),
        (port(edge()), &told[..], "http", "8080"),
        (port(hops(edge(), 1)), &told[..], "https", "99"),
        (port(hops(edge(), 1)), &told[..0], "http", "8080"),
        (edge(), &told[..], "http", "99"),
    ];
    for (message, fields, proto, forwarded_port) in table {
        let went = accept(&compile(&message), get("/", fields));
        assert_eq!(went.pseudo(id::X_FORWARDED_PROTO).as_deref(), Some(proto));
        assert_eq!(went.pseudo(id::X_FORWARDED_PORT).as_deref(), Some(forwarded_port));
    }
}

#[test]
fn the_scheme_follows_target_then_proto_then_connection() {
    let scheme = |message: &HttpConnectionManager, path: &str, proto: &str| {
        let went = accept(&compile(message), get(path, &[&format!("x-forwarded-proto: {proto}")]));
        (went.pseudo(id::SCHEME).unwrap(), went.pseudo(id::X_FORWARDED_PROTO).unwrap())
    };
    assert_eq!(scheme(&message(), "/", "https"), pair("https", "https"));
    assert_eq!(scheme(&message(), "/", "HTTPS"), pair("https", "HTTPS"));
    assert_eq!(scheme(&message(), "/", "ftp"), pair("http", "ftp"));
    assert_eq!(scheme(&message(), "/", "https,http"), pair("http", "https,http"));
    assert_eq!(scheme(&message(), "http://h/", "https"), pair("http", "https"));
    assert_eq!(scheme(&hops(edge(), 1), "https://h/", "http"), pair("https", "http"));
    use dragoman_proto::pb::envoy::config::core::v3::scheme_header_transformation::Transformation;
    let overwrite = SchemeHeaderTransformation {
        transformation: Some(Transformation::SchemeToOverwrite("https".into())),
        ..Default::default()
    };
    let message = HttpConnectionManager { scheme_header_transformation: Some(overwrite), ..edge() };
    assert_eq!(scheme(&message, "/", "http"), pair("https", "https"));
}

#[test]
fn the_fields_of_an_edge_request_in_envoys_order() {
    let message = HttpConnectionManager { add_user_agent: TRUE, via: "me".into(), ..edge() };
    let went = accept(&compile(&message), get("/", &[]));
    let wanted = "x-forwarded-for=192.0.2.2 x-forwarded-proto=http \
        x-envoy-downstream-service-cluster=c1 user-agent=c1 x-envoy-downstream-service-node=n1 \
        via=me x-envoy-external-address=127.0.0.1";
    assert_eq!(went.fields(), format!("{wanted} {ID}"));
    let went = accept(&compile(&message), get("/", &["user-agent: u", "via: v0"]));
    assert!(went.fields().starts_with("user-agent=u via=v0, me "), "{}", went.fields());
}

/// x-envoy-internal is ours to say: only for one address, and only for a configured range.
#[test]
fn inner_requests() {
    let both = [("127.0.0.0", 8), ("10.0.0.0", 8)];
    let says = |message: &HttpConnectionManager, from: &str, xff: &[&str]| {
        let mut fields = vec!["x-envoy-internal: true".to_owned()];
        fields.extend(xff.iter().map(|value| format!("x-forwarded-for: {value}")));
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        let went = accept_from(&compile(message), from, get("/", &fields));
        let told = went.pseudo(id::X_ENVOY_INTERNAL).is_some();
        assert_eq!(went.answer.unwrap().internal, told);
        told
    };
    assert!(says(&internal(edge(), &both), "127.0.0.1", &[]));
    assert!(!says(&internal(edge(), &both), "127.0.0.1", &["10.0.0.1"]));
    assert!(!says(&internal(edge(), &both), "1.2.3.4", &[]));
    assert!(says(&internal(message(), &both), "1.2.3.4", &["10.0.0.1"]));
    assert!(!says(&internal(message(), &both), "1.2.3.4", &["10.0.0.1, 10.0.0.2"]));
    assert!(!says(&internal(message(), &both), "127.0.0.1", &[]));
    let mut unix = internal(edge(), &[]);
    assert!(!says(&unix, "@/x", &[]));
    unix.internal_address_config.as_mut().unwrap().unix_sockets = true;
    assert!(says(&unix, "@/x", &[]));
}

#[test]
fn internal_only_headers_of_the_routes_go_from_outer_requests() {
    let names = [HeaderName::new("x-secret")];
    let head = || get("/", &["x-secret: 1", "X-Secret: 2"]);
    let outer = accept_on(&compile(&edge()), &connection("127.0.0.1"), &names, head());
    assert!(!outer.fields().contains("secret"));
    let config = compile(&internal(edge(), &[("127.0.0.0", 8)]));
    let inner = accept_on(&config, &connection("127.0.0.1"), &names, head());
    assert!(inner.fields().contains("x-secret=1 x-secret=2"));
}
