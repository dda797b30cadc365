//! Which HTTP a first line is, however it comes.

mod common;

use common::*;
use dragoman_listener::{Inspected, Progress, Transport};
use dragoman_proto::pb::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn setup() -> Setup {
    compile(&HttpInspector {})
}

/// The one application and the one counter that come of it.
#[track_caller]
fn found(data: &[u8], application: &str, counter: &str) {
    let setup = setup();
    let (answer, seen) = setup.ask(data);
    assert_eq!(answer, DONE);
    let names: Vec<_> = seen.applications.iter().map(|name| &**name).collect();
    assert_eq!(names, [application.as_bytes()], "{:?}", String::from_utf8_lossy(data));
    setup.counted(&[&format!("http_inspector.{counter}")]);
    assert_eq!(self::setup().ask_every_way(data), (answer, seen));
}

#[track_caller]
fn not_found(data: &[u8]) {
    let setup = setup();
    let (answer, seen) = setup.ask(data);
    assert_eq!(answer, DONE, "{:?}", String::from_utf8_lossy(data));
    assert_eq!(seen, arrival());
    setup.counted(&["http_inspector.http_not_found"]);
    self::setup().ask_every_way(data);
}

#[test]
fn versions() {
    found(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "http/1.1", "http11_found");
    found(b"GET / HTTP/1.1\n", "http/1.1", "http11_found");
    found(b"GET / HTTP/1.0\r\n\r\n", "http/1.0", "http10_found");
    found(b"GET / HTTP/0.9\r\n", "http/1.0", "http10_found");
    found(b"GET / HTTP/1.2\r\n", "http/1.0", "http10_found");
    found(b"GET /\r\n", "http/1.0", "http10_found");
    found(PREFACE, "h2c", "http2_found");
    found(&[PREFACE, b"\0\0\0\x04"].concat(), "h2c", "http2_found");
    // The preface's first line alone is one of another version.
    found(b"PRI * HTTP/2.0\r\n\r\nXX", "http/1.0", "http10_found");
}

#[test]
fn targets_and_methods() {
    for line in [
        "OPTIONS * HTTP/1.1",
        "CONNECT a.example:443 HTTP/1.1",
        "GET http://a.example:80/b?c HTTP/1.1",
        "GET a+b-c.d://user@[::1]?x HTTP/1.1",
        "BREW /pot HTTP/1.1",
        "GET   /  HTTP/1.1  ",
    ] {
        found(format!("{line}\r\n").as_bytes(), "http/1.1", "http11_found");
    }
}

#[test]
fn lines_that_are_no_request() {
    for line in [
        "\r",
        "hello",
        "SSH-2.0-OpenSSH_9.6",
        "G@T / HTTP/1.1",
        " / HTTP/1.1",
        "GET a HTTP/1.1",
        "GET 1http://a HTTP/1.1",
        "GET http://a@@b HTTP/1.1",
        "GET http://a\\b HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "CONNECT a{ HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.1 x",
        "GET / HTTP/1.x",
    ] {
        not_found(format!("{line}\r\n").as_bytes());
    }
    not_found(b"\n");
}

#[test]
fn what_no_method_begins_with_is_known_at_once() {
    for data in [&b"\x16"[..], b"\x16\x03\x01\x02", b" G", b"\tG", b"\r", b"G@", b"G\0", b"GET\x80"]
    {
        not_found(data);
    }
}

#[test]
fn a_line_without_end_is_waited_for() {
    for data in
        [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM", b"G", b"GET / HTTP/1.1\r", b"GET /\x01"]
    {
        let (answer, seen) = setup().ask(data);
        assert_eq!((answer, seen), (Inspected::More { until: data.len() + 1 }, arrival()));
    }
}

#[test]
fn a_dripped_line_is_read_once() {
    let setup = setup();
    let (mut seen, mut progress) = (arrival(), Progress::default());
    for end in 2..60 {
        setup.filter.inspect(&[b'a'; 60][..end], &mut progress, &mut seen, 0);
        assert_eq!(progress.at, end);
    }
}

#[test]
fn a_line_that_is_too_long_is_closed() {
    let setup = setup();
    assert_eq!(setup.filter.max_bytes(), 64 << 10);
    let line = vec![b'a'; 64 << 10];
    let (mut seen, mut progress) = (arrival(), Progress::default());
    let short = &line[..line.len() - 1];
    let answer = setup.filter.inspect(short, &mut progress, &mut seen, 0);
    assert_eq!(answer, Inspected::More { until: 64 << 10 });
    let answer = setup.filter.inspect(&line, &mut progress, &mut seen, 0);
    assert!(matches!(answer, Inspected::Close(_)));
    setup.counted(&["http_inspector.read_error"]);
}

#[test]
fn tls_is_left_alone() {
    let setup = setup();
    let mut seen = arrival();
    seen.transport = Transport::Tls;
    for data in [&b""[..], b"GET / HTTP/1.1\r\n"] {
        let answer = setup.filter.inspect(data, &mut Progress::default(), &mut seen, 0);
        assert_eq!(answer, DONE);
    }
    assert!(seen.applications.is_empty());
    setup.counted(&[]);
}

#[test]
fn no_bytes_make_it_panic() {
    setup().survive_mutations(&[
        b"GET http://user@a.example/b?c HTTP/1.1\r\nhost: a\r\n\r\n",
        b"CONNECT a:1 HTTP/1.0\r\n",
        PREFACE,
    ]);
}
