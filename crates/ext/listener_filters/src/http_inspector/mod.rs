//! `envoy.filters.listener.http_inspector`: which HTTP a connection without TLS speaks, by its first
//! line (RFC 9112 section 3) or the HTTP/2 preface (RFC 9113 section 3.4).
//!
//! A line that drips in is read once: `Progress::at` is how far that came, and `found` is 1 when the
//! method is over. A byte that no method has settles it before the line is whole, so TLS isn't kept.

mod request_line;

use std::sync::Arc;

use dragoman_listener::{Arrival, Inspected, ListenerFilter, Means, Progress, Stats, Transport};
use dragoman_proto::pb::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_stats::stats_struct;
use dragoman_types::Faults;

use request_line::Line;

pub const MESSAGE: &str = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";

/// The longest line that is waited for.
const MAX_BYTES: usize = 64 << 10;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DONE: Inspected = Inspected::Done { consumed: 0 };

stats_struct! {
    /// `http_inspector.`
    struct HttpInspectorStats {
        counters: http10_found, http11_found, http2_found, http_not_found, read_error;
    }
}

#[derive(Debug)]
struct HttpInspector {
    stats: Stats<HttpInspectorStats>,
}

/// The message has no fields.
pub fn compile(
    any: &Any,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<Arc<dyn ListenerFilter>> {
    let _: Message = unpack(any, faults)?;
    Some(Arc::new(HttpInspector { stats: Stats::new(means, "http_inspector.") }))
}

impl ListenerFilter for HttpInspector {
    fn max_bytes(&self) -> usize {
        MAX_BYTES
    }

    fn inspect(
        &self,
        data: &[u8],
        progress: &mut Progress,
        arrival: &mut Arrival,
        worker: usize,
    ) -> Inspected {
        if arrival.transport == Transport::Tls {
            return DONE;
        }
        let stats = self.stats.of(worker);
        let data = &data[..data.len().min(MAX_BYTES)];
        if data.len() < PREFACE.len() && PREFACE.starts_with(data) {
            return Inspected::More { until: data.len() + 1 };
        }
        let (found, name) = if data.starts_with(PREFACE) {
            (&stats.http2_found, "h2c")
        } else {
            let Some(end) = memchr::memchr(b'\n', &data[progress.at..]) else {
                return more(data, progress, stats);
            };
            match request_line::judge(&data[..progress.at + end]) {
                Line::Http11 => (&stats.http11_found, "http/1.1"),
                Line::Older => (&stats.http10_found, "http/1.0"),
                Line::Other => {
                    stats.http_not_found.inc();
                    return DONE;
                }
            }
        };
        found.inc();
        arrival.applications = vec![name.as_bytes().into()];
        DONE
    }
}

/// There is no end of the line yet.
fn more(data: &[u8], progress: &mut Progress, stats: &HttpInspectorStats) -> Inspected {
    if progress.found == 0 {
        let fresh = &data[progress.at..];
        let end = fresh.iter().position(u8::is_ascii_whitespace);
        let word = &fresh[..end.unwrap_or(fresh.len())];
        let begins_empty = progress.at == 0 && word.is_empty();
        if begins_empty || !request_line::is_method(word) {
            stats.http_not_found.inc();
            return DONE;
        }
        progress.found = end.is_some().into();
    }
    if data.len() >= MAX_BYTES {
        stats.read_error.inc();
        return Inspected::Close("http_inspector: the first line is too long");
    }
    progress.at = data.len();
    Inspected::More { until: data.len() + 1 }
}
