//! Redirects and direct responses, row by row as a real Envoy 1.40 answered.

mod common;

use common::*;
use dragoman_proto::pb::envoy::config::core::v3 as core;
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_router::answer_require_tls;
use dragoman_types::{LocalReply, id};
use pb::redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier};

fn location(reply: &LocalReply) -> String {
    let found = reply.headers.iter().find(|(name, _)| name == "location");
    found.map_or(String::new(), |(_, value)| String::from_utf8_lossy(value).into_owned())
}

fn redirects(matching: pb::RouteMatch, action: pb::RedirectAction) -> dragoman_router::RouteTable {
    compile(&any_host(vec![route("", matching, pb::route::Action::Redirect(action))]))
}

fn to(path: PathRewriteSpecifier, strip_query: bool) -> pb::RedirectAction {
    let path_rewrite_specifier = Some(path);
    pb::RedirectAction { path_rewrite_specifier, strip_query, ..Default::default() }
}

fn to_host(host: &str, port_redirect: u32) -> pb::RedirectAction {
    pb::RedirectAction { host_redirect: host.into(), port_redirect, ..Default::default() }
}

fn to_scheme(scheme: SchemeRewriteSpecifier) -> pb::RedirectAction {
    pb::RedirectAction { scheme_rewrite_specifier: Some(scheme), ..Default::default() }
}

#[test]
fn paths_and_queries() {
    use PathRewriteSpecifier::*;
    let stay = || pb::RedirectAction { strip_query: true, ..to_host("h", 0) };
    let rows = [
        (to(PathRedirect("/new".into()), false), "/p?b=1", "http://rd/new?b=1"),
        (to(PathRedirect("/new".into()), false), "/p", "http://rd/new"),
        (to(PathRedirect("/new".into()), true), "/p?b=1", "http://rd/new"),
        (to(PathRedirect("/new?foo=1".into()), true), "/p?b=1", "http://rd/new?foo=1"),
        (to(PathRedirect("noslash".into()), false), "/p", "http://rd/noslash"),
        (to(PathRedirect("".into()), false), "/p?a", "http://rd/p?a"),
        (to(PrefixRewrite("/nn".into()), false), "/p/x?y", "http://rd/nn/x?y"),
        (to(PrefixRewrite("nn".into()), true), "/p/a?b", "http://rd/nn/a"),
        (
            to(RegexRewrite(substitution("/p/(.*)", r"/q/\1?z=1")), false),
            "/p/abc?d=e",
            "http://rd/q/abc?z=1?d=e",
        ),
        (to(PathRewrite("/n/%REQ(x-a)%".into()), false), "/p?b", "http://rd/n/1?b"),
        (to(PathRewrite("%REQ(none)%".into()), false), "/p?b", "http://rd/p?b"),
        (stay(), "/p/a?b", "http://h/p/a"),
    ];
    for (action, path, expected) in rows {
        let label = format!("{action:?}");
        let rewrites = !matches!(
            action.path_rewrite_specifier,
            None | Some(PathRedirect(_)) | Some(PathRewrite(_))
        );
        let table = redirects(prefix("/p"), action);
        let (reply, after) = answered(&table, request("rd", path, &[("x-a", "1")]));
        assert_eq!(location(&reply), expected, "{label}");
        if rewrites {
            // Formatters and logs see the path that was rewritten.
            assert_ne!(after.path(), path.as_bytes(), "{label}");
            assert_eq!(after.headers.get(id::X_ENVOY_ORIGINAL_PATH), Some(path.as_bytes()));
        }
    }
}

#[test]
fn schemes_hosts_and_ports() {
    use SchemeRewriteSpecifier::*;
    let https = || to_scheme(HttpsRedirect(true));
    let ftp = || to_scheme(SchemeRedirect("ftp".into()));
    let rows = [
        (https(), "rd", "https://rd/"),
        (https(), "rd:80", "https://rd/"),
        (https(), "rd:443", "https://rd:443/"),
        (https(), "rd:8080", "https://rd:8080/"),
        (https(), "[::1]:80", "https://[::1]/"),
        (https(), "[::1]", "https://[::1]/"),
        (to_scheme(HttpsRedirect(false)), "rd:80", "http://rd:80/"),
        (to_scheme(SchemeRedirect("".into())), "rd:80", "http://rd:80/"),
        (ftp(), "rd:80", "ftp://rd/"),
        (ftp(), "rd:443", "ftp://rd:443/"),
        (to_host("h.x", 0), "rd:80", "http://h.x/"),
        (to_host("h.x", 1), "rd", "http://h.x:1/"),
        (to_host("", 8443), "rd:80", "http://rd:8443/"),
        (to_host("", 8443), "[::1]:80", "http://[::1]:8443/"),
        (to_host("", 8443), "[::1]", "http://[::1]:8443/"),
        (to_host("", 0), "rd:80", "http://rd:80/"),
    ];
    for (action, host, expected) in rows {
        let label = format!("{action:?} {host}");
        let (reply, _) = answered(&redirects(prefix("/"), action), request(host, "/", &[]));
        assert_eq!(location(&reply), expected, "{label}");
    }
    let mut secure = request("rd:443", "/", &[("x-forwarded-proto", "https")]);
    secure.headers.set(id::SCHEME, b"https");
    let (reply, _) = answered(&redirects(prefix("/"), ftp()), secure);
    assert_eq!(location(&reply), "ftp://rd/");
}

#[test]
fn statuses() {
    use pb::redirect_action::RedirectResponseCode::*;
    for (code, status) in [
        (MovedPermanently, 301),
        (Found, 302),
        (SeeOther, 303),
        (TemporaryRedirect, 307),
        (PermanentRedirect, 308),
    ] {
        let action = pb::RedirectAction { response_code: code.into(), ..Default::default() };
        let (reply, _) = answered(&redirects(prefix("/"), action), request("h", "/", &[]));
        assert_eq!((reply.status, &*reply.details), (status, "direct_response"));
        assert!(reply.body.is_empty() && reply.flags.is_empty());
    }
}

#[test]
fn tls_is_demanded_with_the_host_as_it_came() {
    let reply = answer_require_tls(&request("h:80", "/a?b", &[]));
    assert_eq!((reply.status, location(&reply)), (301, "https://h:80/a?b".into()));
}

fn direct(status: u32, body: Option<core::DataSource>) -> pb::DirectResponseAction {
    pb::DirectResponseAction { status, body, ..Default::default() }
}

fn source(specifier: core::data_source::Specifier) -> Option<core::DataSource> {
    Some(core::DataSource { specifier: Some(specifier), ..Default::default() })
}

fn inline(text: &str) -> Option<core::DataSource> {
    source(core::data_source::Specifier::InlineString(text.into()))
}

fn answers(action: pb::DirectResponseAction) -> pb::RouteConfiguration {
    any_host(vec![route("", prefix("/"), pb::route::Action::DirectResponse(action))])
}

#[test]
fn direct_responses() {
    for (status, body, url) in [
        (200, "body", ""),
        (204, "", ""),
        (503, "x", ""),
        (201, "made", "http://h/a?b"),
        (302, "x", "http://h/a?b"),
    ] {
        let table = compile(&answers(direct(status, inline(body))));
        let (reply, _) = answered(&table, request("h", "/a?b", &[]));
        assert_eq!((u32::from(reply.status), &*reply.body), (status, body));
        assert_eq!((location(&reply), &*reply.details), (url.to_owned(), "direct_response"));
    }
}

#[test]
fn bodies_come_from_files_and_variables_too() {
    use core::data_source::Specifier::*;
    let path = std::env::temp_dir().join(format!("dragoman-router-{}.txt", std::process::id()));
    std::fs::write(&path, "from a file").unwrap();
    let file = path.to_str().unwrap().to_owned();
    for (specifier, body) in [
        (Filename(file), "from a file"),
        (EnvironmentVariable("CARGO_PKG_NAME".into()), "dragoman-router"),
        (InlineBytes(b"bytes".to_vec()), "bytes"),
    ] {
        let table = compile(&answers(direct(200, source(specifier))));
        assert_eq!(answered(&table, request("h", "/", &[])).0.body, body);
    }
    std::fs::remove_file(&path).unwrap();
    for specifier in [
        Filename("/nowhere/at/all".into()),
        EnvironmentVariable("DRAGOMAN_NOT_SET".into()),
        InlineBytes(vec![0xff]),
    ] {
        assert_eq!(faults(&answers(direct(200, source(specifier)))).len(), 1);
    }
}

#[test]
fn a_body_format_makes_the_body() {
    use core::substitution_format_string::Format;
    let text = core::SubstitutionFormatString {
        format: Some(Format::TextFormatSource(
            inline("[%LOCAL_REPLY_BODY% %REQ(:path)%]").unwrap(),
        )),
        content_type: "text/html".into(),
        ..Default::default()
    };
    let action = pb::DirectResponseAction { body_format: Some(text), ..direct(200, inline("b")) };
    let (reply, _) = answered(&compile(&answers(action)), request("h", "/c", &[]));
    assert_eq!(reply.body, "[b /c]");
    assert_eq!(reply.headers, [("content-type".into(), b"text/html".to_vec())]);
}

#[test]
fn bodies_are_limited() {
    let config = answers(direct(200, inline(&"x".repeat(4097))));
    let path = "virtual_hosts[0].routes[0].direct_response.body".to_owned();
    assert_eq!(faults(&config), [(path, "too-large")]);
    let larger =
        pb::RouteConfiguration { max_direct_response_body_size_bytes: number(5000), ..config };
    assert_eq!(faults(&larger), []);
}
