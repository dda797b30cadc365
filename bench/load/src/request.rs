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

fn lines(headers: &[(&str, &str)], count: usize) -> String {
    let mut text = String::new();
    for (name, value) in headers.iter().take(count) {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text
}

/// The first `count` realistic response headers, as lines.
pub(crate) fn response_lines(count: usize) -> String {
    lines(&RESPONSE_HEADERS, count)
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
        let text = match &args.targets {
            Some(path) => std::fs::read_to_string(path)?,
            None => "bench.example.com /".to_owned(),
        };
        let body = pattern(args.body_bytes);
        let mut all = Vec::new();
        for line in text.lines() {
            let (host, path) = line.split_once(' ').ok_or(io::ErrorKind::InvalidInput)?;
            all.push(Request::new(args, host, path, &body));
        }
        if all.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no targets"));
        }
        Ok(Self { all, serials: args.serials })
    }

    /// Request number `serial`. Targets are scattered, so that a proxy that remembers its last
    /// match gains nothing from neighbours; 7919 is prime, so every target is met.
    pub(crate) fn get(&self, serial: u64) -> &Request {
        &self.all[(serial.wrapping_mul(7919) % self.all.len() as u64) as usize]
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
        head += &lines(&REQUEST_HEADERS, args.headers);
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
