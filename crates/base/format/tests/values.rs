//! Values that the golden lines can't pin: header values, random ids, addresses other than IPv4, and
//! inputs of a hostile peer.

use std::time::SystemTime;

use dragoman_format::{Format, LogType, Scratch};
use dragoman_types::{Address, Connection, Facts, Faults, Moment, RequestHead, StreamInfo};

fn connection(remote: &str) -> Connection {
    let address = |text: &str| match text.parse() {
        Ok(socket) => Address::Ip(socket),
        Err(_) => Address::Pipe(text.into()),
    };
    Connection {
        id: 1,
        remote_ip: "".into(),
        direct_remote: address(remote),
        remote: address(remote),
        direct_local: address("[::1]:80"),
        local: address("[::1]:80"),
        listener: "l".into(),
        accepted_at: Moment::START,
        hello: None,
        chain: "".into(),
        tls: None,
    }
}

/// Writes `format` as a header's value for a request of this path.
fn value(format: &str, path: &str, remote: &str) -> Option<String> {
    let mut faults = Faults::new();
    let format = Format::parse(format, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    let connection = connection(remote);
    let mut info = StreamInfo::new(1, Moment::START);
    info.local_reply_body = Some("a body\r\nx-evil: 1".into());
    let mut head = RequestHead::default();
    head.headers.push(b":path", path.as_bytes());
    head.headers.push(b"x-empty", b"");
    let facts = Facts { request: Some(&head), ..Facts::new(&connection, &info) };
    let mut out = b"before".to_vec();
    let mut scratch = Scratch::new(SystemTime::now(), Moment::START);
    assert_eq!(scratch.log_type, LogType::NotSet);
    let written = format.write(&facts, &mut scratch, &mut out);
    written.then(|| String::from_utf8(out[6..].to_vec()).unwrap())
}

#[test]
fn header_values_are_what_envoy_adds_or_leaves_out() {
    let of = |format: &str| value(format, "/x?y", "127.0.0.1:5");
    for absent in ["", "%REQ(no)%", "%REQ(no)%%REQ(no)%", "%REQ(x-empty)%", "%UPSTREAM_HOST%"] {
        assert_eq!(of(absent), None, "{absent}");
    }
    assert_eq!(of("%LOCAL_REPLY_BODY%"), None);
    for (format, wanted) in [
        ("a%REQ(no)%b", "ab"),
        ("%%", "%"),
        ("a%%b%REQ(:path)%", "a%b/x?y"),
        ("%RESPONSE_FLAGS%", "-"),
        ("%RESPONSE_CODE%", "0"),
        ("%UPSTREAM_CONNECTION_ID%", "0"),
        ("%ACCESS_LOG_TYPE%", "NotSet"),
        ("%ENVIRONMENT(DRAGOMAN_NO_SUCH_VARIABLE)%", "-"),
    ] {
        assert_eq!(of(format).as_deref(), Some(wanted), "{format}");
    }
    assert_eq!(Format::parse("a%%", &mut Faults::new()).as_literal(), Some(&b"a%"[..]));
    assert_eq!(Format::parse("%PATH%", &mut Faults::new()).as_literal(), None);
}

#[test]
fn a_body_has_the_local_replys_body_and_a_log_line_has_not() {
    let format = Format::parse_line("[%LOCAL_REPLY_BODY%]", false, &mut Faults::new());
    let connection = connection("/a");
    let mut info = StreamInfo::new(1, Moment::START);
    info.local_reply_body = Some("no route".into());
    let facts = Facts::new(&connection, &info);
    let mut scratch = Scratch::new(SystemTime::now(), Moment::START);
    let mut out = Vec::new();
    format.write(&facts, &mut scratch, &mut out);
    scratch.log_type = LogType::DownstreamEnd;
    format.write(&facts, &mut scratch, &mut out);
    assert_eq!(out, b"[no route][]");
}

#[test]
fn addresses_of_every_kind() {
    let of = |format: &str, remote: &str| value(format, "/", remote).unwrap_or_default();
    let six = "[2001:db8::1:2]:443";
    assert_eq!(of("%DOWNSTREAM_REMOTE_ADDRESS%", six), six);
    assert_eq!(of("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", six), "2001:db8::1:2");
    assert_eq!(of("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(32)%", six), "2001:db8::/32");
    assert_eq!(of("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(0)%", six), "::/0");
    assert_eq!(of("%DOWNSTREAM_REMOTE_PORT%", six), "443");
    assert_eq!(of("%DOWNSTREAM_REMOTE_ADDRESS%", "/run/a"), "/run/a");
    assert_eq!(of("%DOWNSTREAM_REMOTE_PORT%", "/run/a"), "");
}

#[test]
fn unique_ids_are_random_uuids() {
    let ids: Vec<_> = (0..2).map(|_| value("%UNIQUE_ID%", "/", "/a").unwrap()).collect();
    assert_ne!(ids[0], ids[1]);
    for id in ids {
        let shape: String = id.chars().map(|c| if c == '-' { '-' } else { 'x' }).collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}

#[test]
fn an_encoded_newline_starts_no_line_and_no_header() {
    let of = |path: &str| value("%QUERY_PARAM(a)%", path, "/a");
    assert_eq!(of("/?a=1%0d%0aset-cookie:%20x%00%7f").unwrap(), "1%0d%0aset-cookie: x%00%7f");
    assert_eq!(of("/?a=%2").unwrap(), "%2");
    assert_eq!(of("/?a=%").unwrap(), "%");
    assert_eq!(of("/?%61=%41").unwrap(), "A");
    assert_eq!(of("/?%6=1"), None);
    assert_eq!(of("/?"), None);
}
