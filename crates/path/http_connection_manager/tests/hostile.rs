//! Hostile inputs F 58, 61 and 62: one path for all, and nothing from outside that only we may say.

mod common;

use common::*;
use dragoman_types::id;

/// F 58: whatever the options, what is let in is read in one way, and letting it in once more
/// changes nothing.
#[test]
fn every_party_sees_one_path() {
    use hcm::PathWithEscapedSlashesAction as Action;
    let parts = [
        "/", "%2f", "%5c", "\\", "/./", "/../", "%2e%2e", "..;", "%00", "%25", "a", ";x", "?", "%",
    ];
    let mut strict = message();
    strict.normalize_path = TRUE;
    strict.merge_slashes = true;
    strict.path_with_escaped_slashes_action = Action::UnescapeAndForward as i32;
    let config = compile(&strict);
    let mut state = 7u32;
    for _ in 0..5_000 {
        let mut path = String::from("/");
        for _ in 0..6 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            path.push_str(parts[(state >> 16) as usize % parts.len()]);
        }
        let went = accept(&config, get(&path, &[]));
        if let Err(reply) = &went.answer {
            assert_eq!(reply.details, "path_normalization_failed", "{path}");
            continue;
        }
        let seen = went.path();
        let part = seen.split('?').next().unwrap();
        assert!(part.starts_with('/') && !part.contains('\\') && !part.contains("%00"), "{path}");
        assert!(!part.contains("//") || part == "//", "{path} -> {part}");
        let climbs = part.split('/').any(|segment| matches!(segment, "." | ".."));
        assert!(!climbs, "{path} -> {part}");
    }
}

#[test]
fn escaped_slashes_can_be_refused_before_any_route_is_asked() {
    use hcm::PathWithEscapedSlashesAction::RejectRequest;
    let mut message = message();
    message.path_with_escaped_slashes_action = RejectRequest as i32;
    let config = compile(&message);
    for path in ["/a%2fb", "/a%2Fb", "/a%5cb", "/a%5C..%5Cb", "/public/..%2fadmin"] {
        let went = accept(&config, get(path, &[]));
        assert_eq!(went.refusal(), "400 - path_normalization_failed| close", "{path}");
        // The log shows what the path would have become.
        assert!(!went.pseudo(id::PATH).unwrap().contains('%'), "{path}");
    }
}

const COMMANDS: [&str; 15] = [
    "retriable-status-codes",
    "retriable-header-names",
    "retry-on",
    "retry-grpc-on",
    "max-retries",
    "upstream-alt-stat-name",
    "upstream-rq-timeout-ms",
    "upstream-rq-per-try-timeout-ms",
    "upstream-rq-timeout-alt-response",
    "upstream-stream-duration-ms",
    "expected-rq-timeout-ms",
    "hedge-on-per-try-timeout",
    "force-trace",
    "ip-tags",
    "original-url",
];
const TALES: [&str; 5] = [
    "decorator-operation",
    "downstream-service-cluster",
    "downstream-service-node",
    "original-path",
    "original-host",
];
const HARMLESS: [&str; 5] = ["attempt-count", "is-timeout-retry", "degraded", "overloaded", "foo"];

/// F 61: in any case of letters, and however often they are sent.
#[test]
fn internal_headers_from_outside_are_stripped() {
    let send = |message: &HttpConnectionManager, name: &str| {
        let name = format!("X-Envoy-{name}: 1");
        let went = accept_from(&compile(message), "10.9.9.9", get("/", &[&name, &name]));
        went.fields().contains("x-envoy-") && !went.fields().starts_with("x-forwarded-for")
    };
    for name in COMMANDS {
        assert!(!send(&message(), name), "{name} at an inner hop");
        assert!(!send(&edge(), name), "{name} at the edge");
    }
    for name in TALES {
        assert!(send(&message(), name), "{name} at an inner hop");
        assert!(!send(&edge(), name), "{name} at the edge");
    }
    for name in HARMLESS {
        assert!(send(&edge(), name), "{name}");
    }
    let went = accept(&compile(&edge()), get("/", &["x-envoy-external-address: 6.6.6.6"]));
    let told = went.pseudo(id::X_ENVOY_EXTERNAL_ADDRESS);
    assert_eq!(told.as_deref(), Some("127.0.0.1"));
}

#[test]
fn client_certificate_details_from_outside_are_stripped() {
    let with = |details: hcm::ForwardClientCertDetails| {
        let mut message = message();
        message.forward_client_cert_details = details as i32;
        let head = get("/", &["x-forwarded-client-cert: By=a", "X-Forwarded-Client-Cert: By=b"]);
        accept(&compile(&message), head).pseudo(id::X_FORWARDED_CLIENT_CERT)
    };
    assert_eq!(with(hcm::ForwardClientCertDetails::Sanitize), None);
    assert_eq!(with(hcm::ForwardClientCertDetails::ForwardOnly), None);
    let kept = with(hcm::ForwardClientCertDetails::AlwaysForwardOnly);
    assert_eq!(kept.as_deref(), Some("By=a,By=b"));
}

/// F 62: no private address is trusted by being private.
#[test]
fn rfc_1918_is_not_implicitly_trusted() {
    let peers = ["10.0.0.1", "172.16.0.1", "192.168.0.1", "127.0.0.1", "fd00::1", "::1", "@/x"];
    for peer in peers {
        let went = accept_from(&compile(&edge()), peer, get("/", &["x-envoy-retry-on: 5xx"]));
        assert!(!went.answer.as_ref().unwrap().internal, "{peer}");
        assert!(!went.fields().contains("retry-on") && !went.fields().contains("internal"));
        let head = get("/", &[&format!("x-forwarded-for: {peer}"), "x-envoy-retry-on: 5xx"]);
        let went = accept(&compile(&message()), head);
        assert!(!went.answer.as_ref().unwrap().internal, "{peer} by x-forwarded-for");
        assert!(!went.fields().contains("retry-on"));
    }
}

/// A client can't make us forget whom it is by nominating the fields that say so.
#[test]
fn nominating_forwarding_fields_is_refused() {
    for name in ["x-forwarded-for", "X-Forwarded-Host", "x-forwarded-proto", ":authority"] {
        let went = accept(&compile(&edge()), get("/", &[&format!("connection: close, {name}")]));
        let wanted = "400 DPE http1.connection_header_rejected|Bad Request close";
        assert_eq!(went.refusal(), wanted, "{name}");
    }
}
