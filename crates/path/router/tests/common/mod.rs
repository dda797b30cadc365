//! Builders that keep the tables of the tests short. Each test file uses its own part of them.
#![allow(dead_code, unreachable_pub)]

use std::time::SystemTime;

use dragoman_proto::pb::envoy::config::core::v3 as core;
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_proto::pb::envoy::r#type::matcher::v3::{
    RegexMatchAndSubstitute, RegexMatcher, StringMatcher, string_matcher::MatchPattern,
};
use dragoman_proto::pb::google::protobuf::{BoolValue, UInt32Value};
use dragoman_router::{Asked, Certificate, Found, Route, RouteTable, Scratch};
use dragoman_types::{
    Address, Connection, Facts, Faults, LocalReply, Moment, RequestHead, ResponseHead, StreamInfo,
};
use pb::route_match::PathSpecifier;

pub const ASKED: Asked = Asked { tls: false, certificate: Certificate::Absent, random: 0 };

pub fn compile(config: &pb::RouteConfiguration) -> RouteTable {
    let mut faults = Faults::new();
    let table = RouteTable::compile(config, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    table
}

/// (path, code) of every fault.
pub fn faults(config: &pb::RouteConfiguration) -> Vec<(String, &'static str)> {
    let mut faults = Faults::new();
    RouteTable::compile(config, &mut faults);
    faults.into_vec().into_iter().map(|f| (f.path, f.code)).collect()
}

pub fn config(virtual_hosts: Vec<pb::VirtualHost>) -> pb::RouteConfiguration {
    pb::RouteConfiguration { name: "table".into(), virtual_hosts, ..Default::default() }
}

pub fn virtual_host(name: &str, domains: &[&str], routes: Vec<pb::Route>) -> pb::VirtualHost {
    let domains = domains.iter().map(|d| String::from(*d)).collect();
    pb::VirtualHost { name: name.into(), domains, routes, ..Default::default() }
}

/// One virtual host for everything.
pub fn any_host(routes: Vec<pb::Route>) -> pb::RouteConfiguration {
    config(vec![virtual_host("host", &["*"], routes)])
}

pub fn matching(specifier: PathSpecifier) -> pb::RouteMatch {
    pb::RouteMatch { path_specifier: Some(specifier), ..Default::default() }
}

pub fn prefix(text: &str) -> pb::RouteMatch {
    matching(PathSpecifier::Prefix(text.into()))
}

pub fn route(name: &str, r#match: pb::RouteMatch, action: pb::route::Action) -> pb::Route {
    let r#match = Some(r#match);
    pb::Route { name: name.into(), r#match, action: Some(action), ..Default::default() }
}

pub fn forward(cluster: &str) -> pb::RouteAction {
    let specifier = pb::route_action::ClusterSpecifier::Cluster(cluster.into());
    pb::RouteAction { cluster_specifier: Some(specifier), ..Default::default() }
}

/// A route to the cluster `a`, named after its path.
pub fn to_a(name: &str, r#match: pb::RouteMatch) -> pb::Route {
    route(name, r#match, pb::route::Action::Route(forward("a")))
}

pub fn forwarding(r#match: pb::RouteMatch, action: pb::RouteAction) -> pb::Route {
    route("", r#match, pb::route::Action::Route(action))
}

pub fn exact(text: &str) -> StringMatcher {
    let match_pattern = Some(MatchPattern::Exact(text.into()));
    StringMatcher { match_pattern, ignore_case: false }
}

pub fn regex(text: &str) -> RegexMatcher {
    RegexMatcher { regex: text.into(), engine_type: None }
}

pub fn substitution(pattern: &str, substitution: &str) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute { pattern: Some(regex(pattern)), substitution: substitution.into() }
}

pub fn header_is(name: &str, value: &str) -> pb::HeaderMatcher {
    pb::HeaderMatcher {
        name: name.into(),
        header_match_specifier: Some(pb::header_matcher::HeaderMatchSpecifier::StringMatch(exact(
            value,
        ))),
        ..Default::default()
    }
}

pub use core::header_value_option::HeaderAppendAction as Append;

pub fn add_as(key: &str, value: &str, action: Append) -> core::HeaderValueOption {
    let header = core::HeaderValue { key: key.into(), value: value.into(), ..Default::default() };
    core::HeaderValueOption {
        header: Some(header),
        append_action: action.into(),
        ..Default::default()
    }
}

pub fn add(key: &str, value: &str) -> core::HeaderValueOption {
    add_as(key, value, Append::AppendIfExistsOrAdd)
}

pub fn overwrite(key: &str, value: &str) -> core::HeaderValueOption {
    add_as(key, value, Append::OverwriteIfExistsOrAdd)
}

pub fn on() -> Option<BoolValue> {
    Some(BoolValue { value: true })
}

pub fn off() -> Option<BoolValue> {
    Some(BoolValue { value: false })
}

pub fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

/// `GET http://host path` and further fields.
pub fn request(host: &str, path: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut request = RequestHead::default();
    for (name, value) in
        [(":method", "GET"), (":authority", host), (":scheme", "http"), (":path", path)]
    {
        request.headers.push(name.as_bytes(), value.as_bytes());
    }
    for (name, value) in fields {
        request.headers.push(name.as_bytes(), value.as_bytes());
    }
    request
}

/// The route taken, or what else was found.
pub fn found<'t>(table: &'t RouteTable, request: &RequestHead) -> Result<&'t Route, &'static str> {
    match table.find(request, &ASKED) {
        Found::Route(route, _) => Ok(route),
        Found::NoHost => Err("no host"),
        Found::NoRoute(_) => Err("no route"),
        Found::RequireTls(_) => Err("require tls"),
    }
}

pub fn name_found(table: &RouteTable, request: &RequestHead) -> String {
    match found(table, request) {
        Ok(route) => route.name().to_owned(),
        Err(text) => text.to_owned(),
    }
}

/// `name: value` of all fields of this name.
pub fn values(headers: &dragoman_types::Headers, name: &str) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.get_all(name.as_bytes()).map(text).collect()
}

/// All fields but the pseudo-headers that `request` puts in, as `name: value`.
pub fn fields(headers: &dragoman_types::Headers) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers
        .iter()
        .filter(|(id, _, _)| !id.is_pseudo())
        .map(|(_, name, value)| format!("{}: {}", text(name), text(value)))
        .collect()
}

/// Calls `f` with facts about a stream of which nothing is known yet.
pub fn with_facts<T>(f: impl FnOnce(&Facts<'_>) -> T) -> T {
    let address = |port| Address::Ip(([127, 0, 0, 1], port).into());
    let connection = Connection {
        id: 1,
        remote_ip: "".into(),
        direct_remote: address(1),
        remote: address(1),
        direct_local: address(2),
        local: address(2),
        listener: "listener".into(),
        accepted_at: Moment::START,
        hello: None,
        chain: "".into(),
        tls: None,
    };
    let info = StreamInfo::new(1, Moment::START);
    f(&Facts::new(&connection, &info))
}

pub fn response(fields: &[(&str, &str)]) -> ResponseHead {
    let mut response = ResponseHead { status: 200, ..Default::default() };
    for (name, value) in fields {
        response.headers.push(name.as_bytes(), value.as_bytes());
    }
    response
}

pub fn scratch() -> Scratch {
    Scratch::new(dragoman_format::Scratch::new(SystemTime::now(), Moment::START))
}

/// The request as it goes upstream, or `Err` where nothing is forwarded.
pub fn forwarded(
    table: &RouteTable,
    mut request: RequestHead,
) -> Result<RequestHead, &'static str> {
    let route = found(table, &request)?;
    let entry = route.target(&request, ASKED.random).ok_or("not forwarded")?.entry;
    with_facts(|facts| table.edit_request(route, entry, &mut request, facts, true, &mut scratch()));
    Ok(request)
}

/// The answer that the route makes itself, and the request as it then stands.
pub fn answered(table: &RouteTable, mut request: RequestHead) -> (LocalReply, RequestHead) {
    let route = found(table, &request).unwrap();
    let reply = with_facts(|facts| table.answer(route, &mut request, facts, true, &mut scratch()));
    (reply.expect("the route answers itself"), request)
}
