//! Every format in `tests/golden/golden.jsonl` against the line that a real Envoy wrote for it; see
//! `generate.py` beside it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use dragoman_proto::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use dragoman_types::{
    Address, Connection, Facts, Faults, Flags, Moment, RequestHead, ResponseHead, StreamInfo,
    Version, id,
};

use crate::reader::Json;
use crate::{Format, JsonFormat, LineFormat, LogType, Scratch};

/// Latin-1 characters back to bytes.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn string(record: &Json, key: &str) -> Option<String> {
    match record.get(key) {
        Some(Json::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn number(record: &Json, key: &str) -> Option<u64> {
    match record.get(key) {
        Some(Json::Number(value)) => Some(*value as u64),
        _ => None,
    }
}

fn message(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(value) => Kind::NumberValue(*value),
        Json::Text(text) => Kind::StringValue(text.clone()),
        Json::List(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(message).collect() })
        }
        Json::Map(_) => Kind::StructValue(structure(json)),
    };
    Value { kind: Some(kind) }
}

fn structure(json: &Json) -> Struct {
    let Json::Map(fields) = json else { panic!("not an object: {json:?}") };
    Struct { fields: fields.iter().map(|(k, v)| (k.clone(), message(v))).collect() }
}

/// What a scenario's requests and connections were.
struct Scenario {
    name: String,
    connection: Connection,
    info: StreamInfo,
    request: Option<RequestHead>,
    response: Option<ResponseHead>,
    upstream: Option<Address>,
    scratch: Scratch,
}

const UPSTREAM_HEADERS: &[(&str, &[u8])] = &[
    (":authority", b"Example.com:80"),
    (":path", b"/main/p?a=1%202&b=x+y&%62c=&d=%zz%4&a=3"),
    ("x-a", b"\"q\\uo\xc3\xa9\xff\ttab"),
    ("x-b", b"caf\xc3\xa9 \xe2\x80\xa8/<>&'\"\\\tx"),
    ("x-d", b"1"),
    ("x-d", b"2"),
    ("x-empty", b""),
    ("x-surrogate", b"\xed\xa0\x80 \xf0\x9f\x98\x80"),
];

fn request(name: &str) -> Option<RequestHead> {
    let (method, headers): (&[u8], &[(&str, &[u8])]) = match name {
        "upstream" => (b"GET", UPSTREAM_HEADERS),
        "direct" => (b"POST", &[(":authority", b"h"), (":path", b"/direct?x")]),
        "dead" => (
            b"GET",
            &[
                (":authority", b"h"),
                (":path", b"/dead"),
                ("content-type", b"application/grpc+proto"),
            ],
        ),
        "gone" => (b"POST", &[(":authority", b"h"), (":path", b"/main")]),
        _ => return None,
    };
    let mut head = RequestHead::default();
    head.headers.push(b":method", method);
    for (name, value) in headers {
        head.headers.push(name.as_bytes(), value);
    }
    Some(head)
}

fn response(name: &str, status: u16, service_time: Option<&str>) -> Option<ResponseHead> {
    let mut head = ResponseHead { status, ..ResponseHead::default() };
    match name {
        "upstream" => {
            head.headers.push(b"x-origin", b"y");
            let time = service_time?.as_bytes();
            head.headers.append(id::X_ENVOY_UPSTREAM_SERVICE_TIME, time);
        }
        "dead" => head.headers.push(b"grpc-status", b"14"),
        "gone" => return None,
        _ => {}
    }
    Some(head)
}

fn loopback(port: u64) -> Address {
    Address::Ip(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap())))
}

impl Scenario {
    fn new(name: &str, values: &Json) -> Scenario {
        let wall =
            |key| UNIX_EPOCH + Duration::from_nanos(string(values, key).unwrap().parse().unwrap());
        let n = |key| number(values, key);
        let accepted_at = Moment::START;
        let start = accepted_at.after(Duration::from_nanos(n("accepted").unwrap()));
        let at = |key| n(key).map(|nanos| start.after(Duration::from_nanos(nanos)));
        let mut info = StreamInfo::new(7, start);
        info.end = Some(start.after(Duration::from_millis(n("duration").unwrap())));
        info.phases.request_end = at("request_end");
        info.phases.upstream_connect_begin = n("connect").map(|_| start);
        info.phases.upstream_connect_end = at("connect");
        info.phases.upstream_request_begin = at("upstream_request_begin");
        info.phases.upstream_request_end = at("upstream_request_end");
        info.phases.upstream_response_begin = at("upstream_response_begin");
        info.phases.upstream_response_end = at("upstream_response_end");
        info.phases.response_begin = at("response_begin");
        info.phases.response_end = at("response_end");
        info.version = Some(Version::Http11);
        info.upstream_version = n("upstream_local_port").map(|_| Version::Http11);
        info.response_code = n("code").filter(|c| *c > 0).map(|code| code as u16);
        info.details = string(values, "details").map(Into::into);
        info.flags = Flags::from_short(&string(values, "flags").unwrap()).unwrap_or_default();
        info.attempts = n("attempts").unwrap() as u32;
        info.upstream_transport_failure = string(values, "failure").map(Into::into);
        info.bytes_received = n("received").unwrap();
        info.bytes_sent = n("sent").unwrap();
        info.downstream_wire_sent = n("down_wire_sent").unwrap();
        info.downstream_wire_received = n("down_wire_received").unwrap();
        info.downstream_header_sent = n("down_header_sent").unwrap();
        info.downstream_header_received = n("down_header_received").unwrap();
        info.upstream_wire_sent = n("up_wire_sent").unwrap();
        info.upstream_wire_received = n("up_wire_received").unwrap();
        info.upstream_header_sent = n("up_header_sent").unwrap();
        info.upstream_header_received = n("up_header_received").unwrap();
        info.upstream_local = n("upstream_local_port").map(loopback);
        info.upstream_connection_id = n("upstream_connection_id").filter(|id| *id > 0);
        // Envoy gives a log an empty body even where it made one.
        info.local_reply_body = (name == "direct").then_some("hello".into());
        let connection = Connection {
            id: n("connection_id").unwrap(),
            remote_ip: "".into(),
            direct_remote: loopback(n("remote_port").unwrap()),
            remote: loopback(n("remote_port").unwrap()),
            direct_local: loopback(21900),
            local: loopback(21900),
            listener: "lst".into(),
            accepted_at,
            hello: None,
            chain: "chain".into(),
            tls: None,
        };
        let mut head = request(name);
        if let (Some(head), Some(request_id)) = (&mut head, string(values, "request_id")) {
            head.headers.append(id::X_REQUEST_ID, request_id.as_bytes());
        }
        let past = wall("emit").duration_since(wall("start")).unwrap();
        let mut scratch = Scratch::new(wall("emit"), start.after(past));
        scratch.log_type = LogType::DownstreamEnd;
        let upstream = match name {
            "upstream" | "gone" => Some(loopback(21901)),
            "dead" => Some(loopback(21902)),
            _ => None,
        };
        let time = string(values, "service_time");
        let response = response(name, info.response_code.unwrap_or(0), time.as_deref());
        Scenario { name: name.into(), connection, info, request: head, response, upstream, scratch }
    }

    fn write(&mut self, format: &LineFormat) -> Vec<u8> {
        let (route, cluster, host) = match &*self.name {
            "upstream" | "gone" => (Some("main"), Some("c"), Some("host-c:99")),
            "dead" => (Some("dead"), Some("dead"), Some("host-dead:99")),
            "direct" => (Some("direct"), None, None),
            _ => (None, None, None),
        };
        let facts = Facts {
            request: self.request.as_ref(),
            response: self.response.as_ref(),
            route_name: route,
            cluster,
            cluster_raw: cluster,
            upstream_host: self.upstream.as_ref(),
            upstream_host_name: host,
            ..Facts::new(&self.connection, &self.info)
        };
        let mut out = Vec::new();
        format.write(&facts, &mut self.scratch, &mut out);
        out
    }
}

fn compile(record: &Json) -> LineFormat {
    let mut faults = Faults::new();
    let omit = record.get("omit") == Some(&Json::Bool(true));
    let format = match (record.get("text"), record.get("json")) {
        (Some(Json::Text(text)), _) => {
            LineFormat::Text(Format::parse_line(text, omit, &mut faults))
        }
        (_, Some(json)) => {
            LineFormat::Json(JsonFormat::compile(&structure(json), omit, &mut faults))
        }
        _ => LineFormat::default_text(),
    };
    assert!(faults.is_empty(), "{record:?}: {faults:?}");
    format
}

#[test]
fn lines_are_a_real_envoys_to_the_byte() {
    // ENVIRONMENT reads the process's own environment, and a test can't set that: run once more.
    if std::env::var_os("GOLDEN_CHILD").is_none() {
        let name = "golden::lines_are_a_real_envoys_to_the_byte";
        let odd: std::ffi::OsString =
            std::os::unix::ffi::OsStringExt::from_vec(b"\x01\x08\x0c\x7f\x80\xff\"\\ a".to_vec());
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([name, "--exact"]).env("GOLDEN_CHILD", "1").env("TZ", "UTC");
        let output = child.env("ODD", odd).env("PLAIN", "bar baz").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let mut scenarios: HashMap<String, Scenario> = HashMap::new();
    let (mut checked, mut wrong) = (0, String::new());
    for line in include_str!("../tests/golden/golden.jsonl").lines() {
        let record = Json::read(line).unwrap();
        let name = string(&record, "scenario").unwrap();
        if let Some(values) = record.get("values") {
            scenarios.insert(name.clone(), Scenario::new(&name, values));
            continue;
        }
        let wanted = bytes(&string(&record, "line").unwrap());
        let got = scenarios.get_mut(&name).unwrap().write(&compile(&record));
        checked += 1;
        if got != wanted {
            let (got, wanted) = (got.escape_ascii(), wanted.escape_ascii());
            wrong += &format!("{line}\n  wanted {wanted}\n  got    {got}\n");
        }
    }
    assert!(wrong.is_empty() && checked > 1700, "{checked} checked\n{wrong}");
}
