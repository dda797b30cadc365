//! `envoy.filters.listener.tls_inspector`: whether a connection begins with TLS, for which server name
//! and with which application protocols.
//!
//! What can't become TLS any more is known at its first bytes; Envoy waits for five, to the same end.

mod client_hello;
mod failure;
mod fingerprint;
mod records;

use std::sync::Arc;

use dragoman_listener::{Arrival, Inspected, ListenerFilter, Means, Progress, Stats, Transport};
use dragoman_proto::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector as Message;
use dragoman_proto::pb::google::protobuf::{Any, UInt32Value};
use dragoman_proto::{bool_or, unpack};
use dragoman_stats::stats_struct;
use dragoman_types::Faults;

use client_hello::ClientHello;
use records::Gathered;

pub const MESSAGE: &str = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";

/// The default, and the most.
const MAX_CLIENT_HELLO: u32 = 16 << 10;
/// A record's header: what Envoy has read when it knows that there is no TLS.
const HEADER: usize = 5;
const NAMESPACE: &str = "envoy.filters.listener.tls_inspector";
const FAILURE_REASON: &str = "failure_reason";

stats_struct! {
    /// `tls_inspector.`
    struct TlsInspectorStats {
        counters:
            alpn_found, alpn_not_found, client_hello_too_large, sni_found, sni_not_found, tls_found,
            tls_not_found;
        histograms: bytes_processed: Bytes;
    }
}

#[derive(Debug)]
struct TlsInspector {
    max_bytes: usize,
    ja3: bool,
    ja4: bool,
    /// Whatever isn't a ClientHello is closed.
    only_tls: bool,
    stats: Stats<TlsInspectorStats>,
}

/// Takes the whole message. `initial_read_buffer_size` is checked and changes nothing: the buffer
/// belongs to who reads. Faults: `out-of-range`.
pub fn compile(
    any: &Any,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<Arc<dyn ListenerFilter>> {
    let message: Message = unpack(any, faults)?;
    let initial = message.initial_read_buffer_size.as_ref();
    size("initial_read_buffer_size", initial, 64 << 10, faults);
    let most = message.max_client_hello_size.as_ref();
    let max_bytes = size("max_client_hello_size", most, MAX_CLIENT_HELLO, faults);
    Some(Arc::new(TlsInspector {
        max_bytes: max_bytes.unwrap_or(MAX_CLIENT_HELLO) as usize,
        ja3: bool_or(message.enable_ja3_fingerprinting.as_ref(), false),
        ja4: bool_or(message.enable_ja4_fingerprinting.as_ref(), false),
        only_tls: message.close_connection_on_client_hello_parsing_errors,
        stats: Stats::new(means, "tls_inspector."),
    }))
}

fn size(field: &str, set: Option<&UInt32Value>, most: u32, faults: &mut Faults) -> Option<u32> {
    let value = set?.value;
    if !(256..=most).contains(&value) {
        faults.add_at(field, "out-of-range", format!("{value} is not within 256 and {most}"));
    }
    Some(value)
}

impl ListenerFilter for TlsInspector {
    fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    fn inspect(
        &self,
        data: &[u8],
        progress: &mut Progress,
        arrival: &mut Arrival,
        worker: usize,
    ) -> Inspected {
        let data = &data[..data.len().min(self.max_bytes)];
        let stats = self.stats.of(worker);
        let hello = match records::gather(data, progress) {
            Gathered::More(until) if until > self.max_bytes => {
                return too_large(data, arrival, stats);
            }
            Gathered::More(until) => return Inspected::More { until },
            Gathered::Hello(body) => body,
            Gathered::Other(failure) => {
                stats.bytes_processed.record(data.len().min(HEADER) as u64);
                return self.no_hello(data, failure, arrival, stats);
            }
        };
        stats.bytes_processed.record(progress.at as u64);
        match ClientHello::parse(&hello) {
            Ok(hello) => self.found(&hello, arrival, stats),
            Err(failure) => self.no_hello(data, failure, arrival, stats),
        }
    }
}

/// Even the record that is begun can't become whole within the limit.
fn too_large(data: &[u8], arrival: &mut Arrival, stats: &TlsInspectorStats) -> Inspected {
    stats.bytes_processed.record(data.len() as u64);
    stats.client_hello_too_large.inc();
    arrival.add_metadata(NAMESPACE, FAILURE_REASON, "ClientHelloTooLarge");
    Inspected::Close("tls_inspector: the ClientHello is too large")
}

impl TlsInspector {
    fn no_hello(
        &self,
        data: &[u8],
        failure: &'static str,
        arrival: &mut Arrival,
        stats: &TlsInspectorStats,
    ) -> Inspected {
        arrival.transport_failure = Some(failure);
        // So Envoy takes it: what else should fill the whole buffer?
        let reason = if self.only_tls && data.len() >= self.max_bytes {
            stats.client_hello_too_large.inc();
            "ClientHelloTooLarge"
        } else {
            stats.tls_not_found.inc();
            "ClientHelloNotDetected"
        };
        arrival.add_metadata(NAMESPACE, FAILURE_REASON, reason);
        if self.only_tls {
            return Inspected::Close("tls_inspector: no ClientHello");
        }
        Inspected::Done { consumed: 0 }
    }

    fn found(
        &self,
        hello: &ClientHello<'_>,
        arrival: &mut Arrival,
        stats: &TlsInspectorStats,
    ) -> Inspected {
        match hello.server_name {
            Some(name) => {
                stats.sni_found.inc();
                // What isn't UTF-8 can't be what a configuration asks for, replaced or not.
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                arrival.server_name = Some(name.into());
            }
            None => stats.sni_not_found.inc(),
        }
        arrival.ja3 = self.ja3.then(|| fingerprint::ja3(hello).into());
        arrival.ja4 = self.ja4.then(|| fingerprint::ja4(hello).into());
        if !hello.has_version() {
            stats.tls_not_found.inc();
            arrival.transport_failure = Some(failure::REJECTED);
            arrival.add_metadata(NAMESPACE, FAILURE_REASON, "ClientHelloInvalidTlsVersion");
            return Inspected::Close("tls_inspector: no version of TLS");
        }
        stats.tls_found.inc();
        arrival.transport = Transport::Tls;
        match hello.applications() {
            Some(names) => {
                stats.alpn_found.inc();
                arrival.applications = names.into_iter().map(Into::into).collect();
            }
            None => stats.alpn_not_found.inc(),
        }
        Inspected::Done { consumed: 0 }
    }
}
