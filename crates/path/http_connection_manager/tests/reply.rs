//! Locally made answers in the shape in which a real Envoy 1.40 sends them.

mod common;

use std::time::SystemTime;

use common::*;
use dragoman_format::Scratch;
use dragoman_http_connection_manager::{Config, Node, ReplyFilter};
use dragoman_proto::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use dragoman_proto::pb::envoy::config::accesslog::v3::{
    AccessLogFilter, ComparisonFilter, StatusCodeFilter,
};
use dragoman_proto::pb::envoy::config::core::v3 as core;
use dragoman_proto::pb::envoy::config::core::v3::substitution_format_string::Format;
use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    LocalReplyConfig, ResponseMapper,
};
use dragoman_proto::pb::google::protobuf::UInt32Value;
use dragoman_types::grpc::is_grpc;
use dragoman_types::{Facts, Faults, LocalReply, Moment, RequestHead, ResponseHead};

/// Equality with the status that the request has got so far.
struct Status(u16);

impl ReplyFilter for Status {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        facts.info.response_code == Some(self.0)
    }
}

fn status(code: u32) -> Option<AccessLogFilter> {
    let value = core::RuntimeUInt32 { default_value: code, runtime_key: "x".into() };
    let comparison = Some(ComparisonFilter { op: 0, value: Some(value) });
    Some(AccessLogFilter {
        filter_specifier: Some(FilterSpecifier::StatusCodeFilter(StatusCodeFilter { comparison })),
    })
}

fn compile_status(filter: &AccessLogFilter, _: &mut Faults) -> Option<Box<dyn ReplyFilter>> {
    let Some(FilterSpecifier::StatusCodeFilter(filter)) = &filter.filter_specifier else {
        return None;
    };
    let value = filter.comparison.as_ref()?.value.as_ref()?.default_value;
    Some(Box::new(Status(value as u16)))
}

fn inline(text: &str) -> Option<core::DataSource> {
    let specifier = Some(core::data_source::Specifier::InlineString(text.into()));
    Some(core::DataSource { specifier, ..Default::default() })
}

fn format(text: &str) -> Option<core::SubstitutionFormatString> {
    let format = Some(Format::TextFormatSource(inline(text).unwrap()));
    Some(core::SubstitutionFormatString { format, ..Default::default() })
}

fn add(key: &str, value: &str) -> core::HeaderValueOption {
    let header = core::HeaderValue { key: key.into(), value: value.into(), ..Default::default() };
    core::HeaderValueOption { header: Some(header), ..Default::default() }
}

fn code(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

fn config(replies: LocalReplyConfig) -> Config {
    let mut faults = Faults::new();
    let message = HttpConnectionManager { local_reply_config: Some(replies), ..message() };
    let config = Config::compile(&message, &Node::default(), &compile_status, &mut faults);
    assert!(faults.is_empty(), "{:?}", faults.into_vec());
    config
}

fn plain() -> Config {
    config(LocalReplyConfig::default())
}

fn formatted(text: &str) -> Config {
    config(LocalReplyConfig { body_format: format(text), ..Default::default() })
}

/// Status, fields and body, each behind a bar.
fn shape(config: &Config, reply: &LocalReply, request: Option<&RequestHead>) -> String {
    let connection = connection("127.0.0.1");
    let mut info = info();
    info.grpc = request.is_some_and(|request| is_grpc(&request.headers));
    let facts = Facts { request, ..Facts::new(&connection, &info) };
    let mut scratch = Scratch::new(SystemTime::now(), Moment::START);
    let (mut out, mut body) = (ResponseHead::default(), b"left over".to_vec());
    config.shape_reply(reply, &facts, &mut scratch, &mut out, &mut body);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields: Vec<_> =
        out.headers.iter().map(|(_, n, v)| format!("{}={}", text(n), text(v))).collect();
    format!("{}|{}|{}", out.status, fields.join(" "), text(&body))
}

fn reply(status: u16, body: &'static str) -> LocalReply {
    LocalReply::new(status, "d").body(body)
}

fn grpc() -> RequestHead {
    request("POST", "/", &["content-type: application/grpc"])
}

#[test]
fn plain_text_with_length_then_type() {
    let request = get("/", &[]);
    let table = [
        (
            reply(503, "no healthy upstream"),
            "503|content-length=19 content-type=text/plain|no healthy upstream",
        ),
        (reply(404, ""), "404||"),
        (reply(307, "").header("location", "/a/b"), "307|location=/a/b|"),
        (
            reply(200, "{}").header("content-type", "application/json"),
            "200|content-type=application/json content-length=2|{}",
        ),
    ];
    for (reply, wanted) in table {
        assert_eq!(shape(&plain(), &reply, Some(&request)), wanted);
    }
    assert_eq!(
        shape(&plain(), &reply(408, "x"), None),
        "408|content-length=1 content-type=text/plain|x"
    );
}

#[test]
fn head_requests_learn_the_length_only() {
    let head = request("HEAD", "/", &[]);
    let wanted = "404|content-length=3 content-type=text/plain|";
    assert_eq!(shape(&plain(), &reply(404, "abc"), Some(&head)), wanted);
}

#[test]
fn grpc_requests_get_a_status_and_a_message() {
    let statuses = [
        (200, 2),
        (301, 2),
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (409, 2),
        (412, 2),
        (418, 2),
        (429, 14),
        (431, 2),
        (499, 2),
        (500, 2),
        (502, 14),
        (503, 14),
        (504, 14),
        (505, 2),
    ];
    for (http, grpc_status) in statuses {
        let wanted = format!("200|content-type=application/grpc grpc-status={grpc_status}|");
        assert_eq!(shape(&plain(), &reply(http, ""), Some(&grpc())), wanted, "{http}");
    }
    let reply = reply(503, "a b%\n\"\u{e9}\t~\u{7f}");
    let wanted = "200|content-type=application/grpc grpc-status=14 \
        grpc-message=a b%25%0A\"%C3%A9%09%7E%7F|";
    assert_eq!(shape(&plain(), &reply, Some(&grpc())), wanted);
    let own = LocalReply::new(504, "d").grpc_status(4);
    let wanted = "200|content-type=application/grpc grpc-status=4|";
    assert_eq!(shape(&plain(), &own, Some(&grpc())), wanted);
    let head = request("HEAD", "/", &["content-type: application/grpc+proto"]);
    let wanted = "200|content-type=application/grpc grpc-status=14|";
    assert_eq!(shape(&plain(), &reply, Some(&head)), wanted);
}

#[test]
fn other_content_types_are_no_grpc() {
    for kind in ["application/grpc-web", "Application/grpc", "application/grpc;x"] {
        let request = request("POST", "/", &[&format!("content-type: {kind}")]);
        assert!(shape(&plain(), &reply(503, "x"), Some(&request)).starts_with("503|"), "{kind}");
    }
}

#[test]
fn body_format_makes_every_body() {
    let request = get("/p", &[]);
    let all = formatted(
        "F:%LOCAL_REPLY_BODY%:%RESPONSE_CODE%:%REQ(:PATH)%:%RESPONSE_CODE_DETAILS%:%RESP(:STATUS)%",
    );
    let table = [
        (reply(404, "x"), "404|content-length=16 content-type=text/plain|F:x:404:/p:d:404"),
        (reply(404, ""), "404|content-length=15 content-type=text/plain|F::404:/p:d:404"),
    ];
    for (reply, wanted) in table {
        assert_eq!(shape(&all, &reply, Some(&request)), wanted);
    }
    // What a reply brought as its type was meant for its own body.
    let typed = reply(200, "{}").header("content-type", "application/json");
    let wanted = "200|content-type=text/plain content-length=3|<{}";
    assert_eq!(shape(&formatted("<%LOCAL_REPLY_BODY%"), &typed, Some(&request)), wanted);
    assert_eq!(shape(&formatted(""), &reply(404, "x"), Some(&request)), "404||");
    let mut html = format("<p>%LOCAL_REPLY_BODY%").unwrap();
    html.content_type = "text/html".into();
    let html = config(LocalReplyConfig { body_format: Some(html), ..Default::default() });
    let wanted = "404|content-length=4 content-type=text/html|<p>x";
    assert_eq!(shape(&html, &reply(404, "x"), Some(&request)), wanted);
    let wanted = "200|content-type=application/grpc grpc-status=14 grpc-message=<p>x|";
    assert_eq!(shape(&html, &reply(503, "x"), Some(&grpc())), wanted);
}

fn mapped() -> Config {
    let mapper = |filter: u32| ResponseMapper { filter: status(filter), ..Default::default() };
    let mappers = vec![
        ResponseMapper {
            status_code: code(499),
            headers_to_add: vec![
                add("x-m", "%RESPONSE_CODE%/%RESP(:STATUS)%/%LOCAL_REPLY_BODY%"),
                add("content-type", "text/x"),
            ],
            ..mapper(404)
        },
        ResponseMapper {
            body: inline("mapped"),
            headers_to_add: vec![add("x-m", "1"), add("x-m", "2"), add("content-length", "3")],
            ..mapper(503)
        },
        ResponseMapper {
            status_code: code(501),
            body: inline("five"),
            body_format_override: format("O:%LOCAL_REPLY_BODY%:%RESPONSE_CODE%:%RESP(:STATUS)%"),
            ..mapper(500)
        },
        ResponseMapper { body: inline("never"), ..mapper(501) },
        ResponseMapper { body: inline(""), ..mapper(429) },
    ];
    config(LocalReplyConfig { mappers, body_format: format("G:%LOCAL_REPLY_BODY%") })
}

/// The first mapper that matches is the only one; the others don't see what it made.
#[test]
fn mappers_change_status_body_fields_and_format() {
    let table = [
        (reply(404, "b"), "499|x-m=404/404/ content-type=text/x content-length=3|G:b"),
        (reply(503, "b"), "503|x-m=1 x-m=2 content-length=8 content-type=text/plain|G:mapped"),
        (reply(500, "b"), "501|content-length=14 content-type=text/plain|O:five:501:501"),
        (reply(429, "b"), "429|content-length=2 content-type=text/plain|G:"),
        (reply(418, "b"), "418|content-length=3 content-type=text/plain|G:b"),
    ];
    for (reply, wanted) in table {
        assert_eq!(shape(&mapped(), &reply, Some(&get("/", &[]))), wanted);
    }
    let wanted = "200|x-m=404/404/ content-type=application/grpc grpc-status=2 grpc-message=G:b|";
    assert_eq!(shape(&mapped(), &reply(404, "b"), Some(&grpc())), wanted);
}

#[test]
fn a_malformed_request_ends_its_connection() {
    assert!(plain().closes(&reply(400, "")));
    assert!(plain().closes(&reply(404, "").close()));
    assert!(!plain().closes(&reply(404, "")));
    let message = HttpConnectionManager { stream_error_on_invalid_http_message: TRUE, ..message() };
    assert!(!compile(&message).closes(&reply(400, "")));
}
