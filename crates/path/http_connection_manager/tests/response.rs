//! What a real Envoy 1.40 does to response heads before it writes them.

mod common;

use common::*;
use dragoman_http_connection_manager::Config;
use dragoman_types::{RequestHead, ResponseHead};

fn response(fields: &[&str]) -> ResponseHead {
    let mut head = ResponseHead { status: 200, ..Default::default() };
    for field in fields {
        let (name, value) = field.split_once(':').unwrap();
        head.headers.push(name.as_bytes(), value.trim().as_bytes());
    }
    head
}

fn finish(config: &Config, request: &RequestHead, fields: &[&str]) -> String {
    let mut head = response(fields);
    config.finish_response(&mut head, Some(request), b"date: today\r\n");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all: Vec<_> =
        head.headers.iter().map(|(_, n, v)| format!("{}={}", text(n), text(v))).collect();
    all.join(" ")
}

#[test]
fn date_is_kept_and_server_overwritten() {
    let config = compile(&message());
    let request = get("/", &[]);
    let table: [(&[&str], &str); 3] = [
        (&[], "date=today server=envoy"),
        (&["server: o", "date: yesterday", "x-a: 1"], "server=envoy date=yesterday x-a=1"),
        (&["content-length: 2"], "content-length=2 date=today server=envoy"),
    ];
    for (fields, wanted) in table {
        assert_eq!(finish(&config, &request, fields), wanted);
    }
}

#[test]
fn server_header_transformation() {
    use hcm::ServerHeaderTransformation::{AppendIfAbsent, PassThrough};
    let with = |transformation: hcm::ServerHeaderTransformation, fields: &[&str]| {
        let mut message = message();
        message.server_header_transformation = transformation as i32;
        message.server_name = "zz".into();
        finish(&compile(&message), &get("/", &[]), fields)
    };
    assert_eq!(with(AppendIfAbsent, &["server: o"]), "server=o date=today");
    assert_eq!(with(AppendIfAbsent, &["server:"]), "server= date=today");
    assert_eq!(with(AppendIfAbsent, &[]), "date=today server=zz");
    assert_eq!(with(PassThrough, &["server: o"]), "server=o date=today");
    assert_eq!(with(PassThrough, &[]), "date=today");
}

/// Nominated fields, `te`, `trailer` and `x-envoy-*` pass.
#[test]
fn hop_by_hop_fields_of_responses_go() {
    let fields = [
        "connection: x-a",
        "x-a: 1",
        "keep-alive: timeout=3",
        "proxy-connection: close",
        "upgrade: h2c",
        "transfer-encoding: chunked",
        "trailer: x",
        "te: trailers",
        "x-envoy-internal: 1",
        "x-envoy-overloaded: 1",
    ];
    let wanted = "x-a=1 trailer=x te=trailers x-envoy-internal=1 x-envoy-overloaded=1 \
        date=today server=envoy";
    assert_eq!(finish(&compile(&message()), &get("/", &[]), &fields), wanted);
}

#[test]
fn an_upgrade_that_both_sides_speak_of_keeps_its_fields() {
    let upgrade = ["connection: upgrade", "upgrade: websocket"];
    let config = compile(&message());
    let kept = finish(&config, &get("/", &upgrade), &upgrade);
    assert!(kept.starts_with("connection=upgrade upgrade=websocket "));
    assert!(finish(&config, &get("/", &[]), &upgrade).starts_with("date="));
}

#[test]
fn via_is_appended() {
    let message = HttpConnectionManager { via: "vv".into(), ..message() };
    let config = compile(&message);
    let request = get("/", &[]);
    assert_eq!(finish(&config, &request, &[]), "date=today server=envoy via=vv");
    assert_eq!(finish(&config, &request, &["via: o"]), "via=o, vv date=today server=envoy");
}

#[test]
fn the_request_id_is_shown_where_wanted_or_forced() {
    let request = get("/", &["x-request-id: abc"]);
    let forced = get("/", &["x-request-id: abc", "x-envoy-force-trace: 1"]);
    let plain = compile(&message());
    assert_eq!(
        finish(&plain, &request, &["x-request-id: zz"]),
        "x-request-id=zz date=today server=envoy"
    );
    assert_eq!(finish(&plain, &forced, &[]), "date=today server=envoy x-request-id=abc");
    let message = HttpConnectionManager { always_set_request_id_in_response: true, ..message() };
    let always = compile(&message);
    assert_eq!(
        finish(&always, &request, &["x-request-id: zz"]),
        "x-request-id=abc date=today server=envoy"
    );
}
