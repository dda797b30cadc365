//! What a real Envoy 1.40 does to request heads, in its order: refusals and rewritten targets.

mod common;

use common::*;
use dragoman_proto::pb::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use dragoman_proto::pb::envoy::config::core::v3::{Http1ProtocolOptions, HttpProtocolOptions};
use dragoman_types::{Version, id};

#[test]
fn a_plain_request_passes() {
    let went = accept(&compile(&message()), get("/a?b", &["user-agent: u", "accept: */*"]));
    assert_eq!(went.path(), "/a?b");
    assert_eq!(went.fields(), format!("user-agent=u accept=*/* x-forwarded-proto=http {ID}"));
    assert_eq!(went.remote(), "127.0.0.1:4321");
    assert_eq!(went.pseudo(id::SCHEME).as_deref(), Some("http"));
    assert_eq!(went.answer.unwrap(), Default::default());
}

#[test]
fn http_10_needs_upgrade_unless_accepted() {
    let plain = compile(&message());
    let went = accept(&plain, http10(get("/", &[])));
    assert_eq!(went.refusal(), "426 DPE low_version|Upgrade Required close");
    assert!(went.head.headers.is_empty(), "the log shows no such request");
    assert_eq!(went.info.version, Some(Version::Http11));

    let options = Http1ProtocolOptions { accept_http_10: true, ..Default::default() };
    let accepting = compile(&with_http1(options.clone()));
    assert!(accept(&accepting, http10(get("/", &[]))).answer.is_ok());
    let went = accept(&accepting, http10(bare("GET", "/", &[])));
    assert_eq!(went.refusal(), "400 - missing_host_header| close");

    let options = Http1ProtocolOptions { default_host_for_http_10: "dflt".into(), ..options };
    let with_host = compile(&with_http1(options));
    let went = accept(&with_host, http10(bare("GET", "/", &[])));
    assert_eq!(went.pseudo(id::AUTHORITY).as_deref(), Some("dflt"));
    let went = accept(&with_host, bare("GET", "/", &[]));
    assert_eq!(went.refusal(), "400 - missing_host_header| close");
}

#[test]
fn refusals_in_envoys_words() {
    let config = compile(&message());
    let table = [
        (get("ftp://x/", &[]), "400 DPE http1.invalid_scheme|Bad Request close"),
        (get("http:///x", &[]), "400 DPE http1.invalid_url|Bad Request close"),
        (get("a/b", &[]), "400 DPE http1.codec_error|Bad Request close"),
        (get("*", &[]), "400 DPE http1.invalid_url|Bad Request close"),
        (get("/", &["host: a b"]), "400 DPE http.invalid_authority|Bad Request close"),
        (
            get("/", &["connection: x-forwarded-for"]),
            "400 DPE http1.connection_header_rejected|Bad Request close",
        ),
        (request("CONNECT", "h", &[]), "400 DPE http1.invalid_url|Bad Request close"),
        (bare("GET", "/", &[]), "400 - missing_host_header| close"),
        (request("OPTIONS", "*", &[]), "404 - absolute_path_rejected|"),
        (get("http://other?x=1", &[]), "404 - absolute_path_rejected|"),
        (get("/a#b", &[]), "400 - path_normalization_failed| close"),
    ];
    for (head, wanted) in table {
        let asked = format!("{head:?}");
        assert_eq!(accept(&config, head).refusal(), wanted, "{asked}");
    }
}

/// Which refusal wins where several apply.
#[test]
fn the_order_of_the_checks_is_envoys() {
    let config = compile(&message());
    let nominates = "connection: x-forwarded-for";
    let table = [
        (get("x", &[nominates]), "http1.codec_error"),
        (get("ftp://x/", &[nominates]), "http1.connection_header_rejected"),
        (http10(get("/", &[nominates])), "http1.connection_header_rejected"),
        (get("/", &[nominates, "host: a b"]), "http1.connection_header_rejected"),
        (http10(get("ftp://x/", &[])), "http1.invalid_scheme"),
        (get("ftp://x/", &["host: a b"]), "http1.invalid_scheme"),
        (http10(get("/", &["host: a b"])), "low_version"),
        (bare("GET", "/#", &[]), "missing_host_header"),
        (bare("OPTIONS", "*", &[]), "missing_host_header"),
        (bare("GET", "/", &["connection: upgrade", "upgrade: websocket"]), "missing_host_header"),
        (request("OPTIONS", "*#", &[]), "absolute_path_rejected"),
        (get("/", &["connection: host"]), "missing_host_header"),
    ];
    for (head, wanted) in table {
        let asked = format!("{head:?}");
        assert_eq!(accept(&config, head).answer.unwrap_err().details, wanted, "{asked}");
    }
}

#[test]
fn absolute_targets_replace_the_host() {
    let went = accept(&compile(&message()), get("https://u:p@Other:81/a?b", &[]));
    assert_eq!(went.path(), "/a?b");
    assert_eq!(went.pseudo(id::AUTHORITY).as_deref(), Some("Other:81"));
    assert_eq!(went.pseudo(id::SCHEME).as_deref(), Some("https"));
    // A bad Host that is replaced does no harm.
    assert_eq!(accept(&compile(&message()), get("http://x/", &["host: a b"])).path(), "/");
    let went = accept(&compile(&edge()), get("https://h/", &[]));
    assert_eq!(went.refusal(), "403 DPE http1.https_url_on_plaintext_connection|Forbidden close");

    let options = Http1ProtocolOptions { allow_absolute_url: FALSE, ..Default::default() };
    let refusing = compile(&with_http1(options));
    for target in ["http://other/a", "ftp://other", "*", "http:///x"] {
        let went = accept(&refusing, get(target, &[]));
        assert_eq!(went.refusal(), "404 - absolute_path_rejected|", "{target}");
    }
}

#[test]
fn connect_names_the_authority() {
    let went = accept(&compile(&message()), bare("CONNECT", "h:80", &["host: other"]));
    assert_eq!(went.pseudo(id::AUTHORITY).as_deref(), Some("h:80"));
    assert_eq!(went.pseudo(id::PATH), None);
    assert!(went.answer.unwrap().upgrade);
}

#[test]
fn headers_with_underscores() {
    let config = |action: HeadersWithUnderscoresAction| {
        compile(&with_common(HttpProtocolOptions {
            headers_with_underscores_action: action as i32,
            ..Default::default()
        }))
    };
    let head = || get("/", &["a_b: 1", "x-ok: 1", "X_Y-z: 2"]);
    let went = accept(&config(HeadersWithUnderscoresAction::Allow), head());
    assert!(went.fields().starts_with("a_b=1 x-ok=1 x_y-z=2 "));
    let went = accept(&config(HeadersWithUnderscoresAction::DropHeader), head());
    assert!(went.fields().starts_with("x-ok=1 x-forwarded-proto"));
    assert_eq!(went.answer.unwrap().dropped_underscores, 2);
    let went = accept(&config(HeadersWithUnderscoresAction::RejectRequest), head());
    assert_eq!(went.refusal(), "400 DPE http1.unexpected_underscore|Bad Request close");
}

#[test]
fn escaped_slashes_redirect_except_grpc() {
    use hcm::PathWithEscapedSlashesAction::UnescapeAndRedirect;
    let mut message = message();
    message.path_with_escaped_slashes_action = UnescapeAndRedirect as i32;
    let config = compile(&message);
    let reply = accept(&config, get("/a%2fb?c", &[])).answer.unwrap_err();
    assert_eq!((reply.status, &*reply.details), (307, "path_normalization_failed"));
    assert_eq!(reply.headers, [("location".into(), b"/a/b?c".to_vec())]);
    let went = accept(&config, get("/a%2fb", &["content-type: application/grpc"]));
    assert_eq!(went.refusal(), "400 - path_normalization_failed| close");
}

#[test]
fn expect_is_answered_or_passed_on() {
    let own = compile(&message());
    for value in ["100-continue", "100-Continue"] {
        let went = accept(&own, get("/", &[&format!("expect: {value}")]));
        assert!(went.answer.as_ref().unwrap().send_100_continue);
        assert!(!went.fields().contains("expect"));
    }
    for value in ["foo", "100-continue, x"] {
        let went = accept(&own, get("/", &[&format!("expect: {value}")]));
        assert!(!went.answer.as_ref().unwrap().send_100_continue);
        assert!(went.fields().contains("expect"));
    }
    let mut message = message();
    message.proxy_100_continue = true;
    let went = accept(&compile(&message), get("/", &["expect: 100-continue"]));
    assert!(!went.answer.as_ref().unwrap().send_100_continue);
    assert!(went.fields().contains("expect=100-continue"));
}

#[test]
fn upgrades_pass_only_where_listed() {
    let refused = "403 upgrade_failed close";
    let ask = |config: &dragoman_http_connection_manager::Config, kind: &str, route| {
        let fields = ["connection: Upgrade, x-a", &format!("upgrade: {kind}"), "x-a: 1"];
        let went = accept(config, get("/", &fields));
        assert!(went.answer.as_ref().unwrap().upgrade);
        match config.check_upgrade(&went.head, route) {
            Ok(()) => went.fields(),
            Err(reply) => {
                assert!(reply.close);
                format!("{} {} close", reply.status, reply.details)
            }
        }
    };
    let none = compile(&message());
    assert_eq!(ask(&none, "websocket", None), refused);
    assert!(!ask(&none, "websocket", Some(true)).starts_with("403"));
    let mut message = message();
    message.upgrade_configs =
        vec![hcm::UpgradeConfig { upgrade_type: "websocket".into(), ..Default::default() }];
    let listed = compile(&message);
    // As it came, nominated fields included.
    let passed = ask(&listed, "WebSocket", None);
    assert!(passed.starts_with("connection=Upgrade, x-a upgrade=WebSocket x-a=1 "), "{passed}");
    assert_eq!(ask(&listed, "foo", None), refused);
    assert_eq!(ask(&listed, "websocket", Some(false)), refused);
    let went = accept(&listed, get("/", &["connection: upgrade", "upgrade: h2c"]));
    assert!(!went.answer.as_ref().unwrap().upgrade);
    assert!(!went.fields().contains("upgrade"));
    for lone in ["upgrade: websocket", "connection: upgrade"] {
        let went = accept(&listed, get("/", &[lone]));
        assert_eq!(went.fields(), format!("x-forwarded-proto=http {ID}"), "{lone}");
    }
}
