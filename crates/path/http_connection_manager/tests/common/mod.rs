//! A connection, a configuration and a request in a few words each.
#![allow(dead_code, unused_imports, unreachable_pub)] // each test file uses its own part

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use dragoman_http_connection_manager::{Accepted, Arrival, Config, Node, Scratch};
use dragoman_proto::pb::envoy::config::core::v3::{Http1ProtocolOptions, HttpProtocolOptions};
pub use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager as hcm,
};
use dragoman_proto::pb::google::protobuf::BoolValue;
use dragoman_types::headers::HeaderName;
use dragoman_types::{
    Address, Connection, Faults, LocalReply, Moment, RequestHead, StreamInfo, Version, id,
};

pub const TRUE: Option<BoolValue> = Some(BoolValue { value: true });
pub const FALSE: Option<BoolValue> = Some(BoolValue { value: false });
/// What `x-request-id` becomes with the tests' randomness.
pub const ID: &str = "x-request-id=01234567-89ab-4def-8123-456789abcdef";

pub fn message() -> HttpConnectionManager {
    HttpConnectionManager { stat_prefix: "x".into(), ..Default::default() }
}

/// With `use_remote_address`.
pub fn edge() -> HttpConnectionManager {
    HttpConnectionManager { use_remote_address: TRUE, ..message() }
}

pub fn with_http1(options: Http1ProtocolOptions) -> HttpConnectionManager {
    HttpConnectionManager { http_protocol_options: Some(options), ..message() }
}

pub fn with_common(options: HttpProtocolOptions) -> HttpConnectionManager {
    HttpConnectionManager { common_http_protocol_options: Some(options), ..message() }
}

pub fn compile(message: &HttpConnectionManager) -> Config {
    let mut faults = Faults::new();
    let node = Node { id: "n1".into(), cluster: "c1".into() };
    let config = Config::compile(message, &node, &|_, _| None, &mut faults);
    assert!(faults.is_empty(), "{:?}", faults.into_vec());
    config
}

pub fn connection(remote: &str) -> Connection {
    let remote = match remote.strip_prefix('@') {
        Some(path) => Address::Pipe(path.into()),
        None => Address::Ip((remote.parse::<IpAddr>().unwrap(), 4321).into()),
    };
    Connection {
        id: 1,
        remote_ip: remote.ip().map(|ip| ip.to_string()).unwrap_or_default().into(),
        direct_remote: remote.clone(),
        remote,
        direct_local: Address::Ip((Ipv4Addr::LOCALHOST, 8080).into()),
        local: Address::Ip((Ipv4Addr::LOCALHOST, 8080).into()),
        listener: "l".into(),
        accepted_at: Moment::START,
        hello: None,
        chain: "".into(),
        tls: None,
    }
}

pub fn info() -> StreamInfo {
    StreamInfo::new(1, Moment::START)
}

/// `GET path` with fields of the form `name: value`; `host` unless the fields have one.
pub fn get(path: &str, fields: &[&str]) -> RequestHead {
    request("GET", path, fields)
}

pub fn request(method: &str, path: &str, fields: &[&str]) -> RequestHead {
    let mut head = bare(method, path, fields);
    if !head.headers.contains(id::AUTHORITY) {
        head.headers.append(id::AUTHORITY, b"h");
    }
    head
}

/// Without a host of its own.
pub fn bare(method: &str, path: &str, fields: &[&str]) -> RequestHead {
    let mut head = RequestHead::default();
    head.headers.append(id::METHOD, method.as_bytes());
    head.headers.append(id::PATH, path.as_bytes());
    for field in fields {
        let (name, value) = field.split_once(':').unwrap();
        let name = if name.eq_ignore_ascii_case("host") { ":authority" } else { name };
        head.headers.push(name.as_bytes(), value.trim().as_bytes());
    }
    head
}

pub fn http10(mut head: RequestHead) -> RequestHead {
    head.version = Version::Http10;
    head
}

/// What came of a request.
pub struct Went {
    pub answer: Result<Accepted, LocalReply>,
    pub head: RequestHead,
    pub info: StreamInfo,
}

impl Went {
    /// The fields behind method, path and authority, without `:scheme`, space-separated.
    pub fn fields(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let plain = self.head.headers.iter().filter(|(id, ..)| !id.is_pseudo());
        let all: Vec<_> = plain.map(|(_, n, v)| format!("{}={}", text(n), text(v))).collect();
        all.join(" ")
    }

    pub fn pseudo(&self, which: dragoman_types::HeaderId) -> Option<String> {
        self.head.headers.get(which).map(|v| String::from_utf8_lossy(v).into_owned())
    }

    pub fn path(&self) -> String {
        assert!(self.answer.is_ok(), "{:?}", self.answer);
        self.pseudo(id::PATH).unwrap_or_default()
    }

    /// `status details body[ close]` of the refusal.
    pub fn refusal(&self) -> String {
        let reply = self.answer.as_ref().expect_err("a refusal");
        let close = if reply.close { " close" } else { "" };
        format!("{} {} {}|{}{close}", reply.status, reply.flags, reply.details, reply.body)
    }

    pub fn remote(&self) -> String {
        self.info.remote.as_ref().unwrap().to_string()
    }
}

pub fn accept(config: &Config, head: RequestHead) -> Went {
    accept_on(config, &connection("127.0.0.1"), &[], head)
}

pub fn accept_from(config: &Config, remote: &str, head: RequestHead) -> Went {
    accept_on(config, &connection(remote), &[], head)
}

pub fn accept_on(
    config: &Config,
    connection: &Connection,
    internal_only: &[HeaderName],
    mut head: RequestHead,
) -> Went {
    let mut info = info();
    let arrival = Arrival {
        connection,
        local_interface: Some("192.0.2.2"),
        internal_only_headers: internal_only,
    };
    let mut random = || 0x0123_4567_89ab_cdef;
    let mut scratch = Scratch::default();
    let answer = config.accept(&mut head, &arrival, &mut info, &mut random, &mut scratch);
    Went { answer, head, info }
}
