//! The requests that `drive` and `hold` send, written out once before the first is sent.

use std::fmt::Write;
use std::io;

use crate::args::Args;
use crate::body::pattern;
use crate::wire::{RECEIVED, SERIAL};

/// What a browser, a mesh and a tracing library put on a request; sizes as met in practice.
const REQUEST_HEADERS: [(&str, &str); 20] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "session=4f3c2b1a0d9e8f7a6b5c4d3e2f1a0b9c; theme=dark; consent=all; lang=en"),
    ("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN"),
    ("cache-control", "no-cache"),
    ("pragma", "no-cache"),
    ("referer", "https://shop.example.com/catalogue/garden/tools?page=3&sort=price"),
    ("origin", "https://shop.example.com"),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-origin"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-ch-ua-mobile", "?0"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tracestate", "vendor=00f067aa0ba902b7"),
    ("x-tenant", "north-europe-17"),
    ("if-none-match", "\"5d8c72a5edda8d6a\""),
    ("dnt", "1"),
];

const RESPONSE_HEADERS: [(&str, &str); 20] = [
    ("content-type", "application/json; charset=utf-8"),
    ("cache-control", "private, max-age=60, stale-while-revalidate=30"),
    ("etag", "\"5d8c72a5edda8d6a\""),
    ("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("vary", "accept-encoding, origin"),
    ("set-cookie", "session=4f3c2b1a0d9e8f7a; Path=/; HttpOnly; Secure; SameSite=Lax"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("content-security-policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("permissions-policy", "geolocation=(), camera=(), microphone=()"),
    ("access-control-allow-origin", "https://shop.example.com"),
    ("access-control-allow-credentials", "true"),
    ("access-control-expose-headers", "etag, x-ratelimit-remaining"),
    ("x-ratelimit-limit", "1000"),
    ("x-ratelimit-remaining", "987"),
    ("x-runtime", "0.004217"),
    ("x-powered-by", "garden/2.7"),
    ("alt-svc", "clear"),
];

/// The hosts and paths to ask for; at least one.
pub(crate) fn targets(args: &Args) -> io::Result<Vec<(String, String)>> {
    let text = match &args.targets {
        Some(path) => std::fs::read_to_string(path)?,
        None => "bench.example.com /".to_owned(),
    };
    let pair =
        |line: &str| line.split_once(' ').map(|(host, path)| (host.to_owned(), path.to_owned()));
    let all: Option<Vec<_>> = text.lines().map(pair).collect();
    match all {
        Some(all) if !all.is_empty() => Ok(all),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no targets, or not `host path`")),
    }
}

/// The target of request number `serial`. Targets are scattered, so that a proxy that remembers its
/// last match gains nothing from neighbours; 7919 is prime, so every target is met.
pub(crate) fn scattered(serial: u64, targets: usize) -> usize {
    (serial.wrapping_mul(7919) % targets as u64) as usize
}

/// The first `count` realistic request headers.
pub(crate) fn request_headers(count: usize) -> &'static [(&'static str, &'static str)] {
    &REQUEST_HEADERS[..count.min(REQUEST_HEADERS.len())]
}

/// The first `count` realistic response headers.
pub(crate) fn response_headers(count: usize) -> &'static [(&'static str, &'static str)] {
    &RESPONSE_HEADERS[..count.min(RESPONSE_HEADERS.len())]
}

fn lines(headers: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text
}

/// The first `count` realistic response headers, as lines.
pub(crate) fn response_lines(count: usize) -> String {
    lines(response_headers(count))
}

/// One request, whole; `serial_at` is where its twenty serial digits stand.
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    serial_at: usize,
}

/// All requests of a run and the order in which they are taken.
pub(crate) struct Requests {
    all: Vec<Request>,
    serials: bool,
}

impl Requests {
    pub(crate) fn from_args(args: &Args) -> io::Result<Self> {
        let body = pattern(args.body_bytes);
        let targets = targets(args)?;
        let all = targets.iter().map(|(host, path)| Request::new(args, host, path, &body));
        Ok(Self { all: all.collect(), serials: args.serials })
    }

    fn get(&self, serial: u64) -> &Request {
        &self.all[scattered(serial, self.all.len())]
    }

    /// The bytes to send; written into `scratch` only when serials are on.
    pub(crate) fn bytes<'a>(&'a self, serial: u64, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let request = self.get(serial);
        if !self.serials {
            return &request.bytes;
        }
        scratch.clear();
        scratch.extend_from_slice(&request.bytes);
        let digits = format!("{serial:020}");
        scratch[request.serial_at..request.serial_at + 20].copy_from_slice(digits.as_bytes());
        scratch
    }
}

impl Request {
    fn new(args: &Args, host: &str, path: &str, body: &[u8]) -> Self {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        head += &lines(request_headers(args.headers));
        let mut serial_at = 0;
        if args.serials {
            let _ = write!(head, "{SERIAL}: ");
            serial_at = head.len();
            head += "00000000000000000000\r\n";
        }
        if !body.is_empty() {
            let _ = write!(head, "{RECEIVED}: 0\r\ncontent-length: {}\r\n", body.len());
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self { bytes, serial_at }
    }
}
