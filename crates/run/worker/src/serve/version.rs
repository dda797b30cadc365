//! Which HTTP a client speaks, and the serving of HTTP/2.

use std::future::poll_fn;
use std::task::Poll;

use dragoman_codec::h2::PREFACE;
use dragoman_http_connection_manager::config::CodecType;
use dragoman_net::buffer::SMALL;
use dragoman_transport::Stream;
use dragoman_types::Version;

use super::ClientConnection;
use crate::h1::Wire;
use crate::h2::{Carrier, Ended, Link, serve_connection};

/// A wire whose connection HTTP/2 serves. However that ends, the wire has it back, and knows what went over
/// it.
struct Handed<'a> {
    wire: &'a mut Wire,
    carrier: Carrier,
}

impl Drop for Handed<'_> {
    fn drop(&mut self) {
        let Handed { wire, carrier } = self;
        wire.served_by_other(carrier.all_bytes());
        wire.stream = std::mem::replace(&mut carrier.stream, Stream::Gone);
        wire.eof = carrier.is_eof();
    }
}

impl ClientConnection {
    /// What the client speaks: by ALPN, by configuration, or by how it begins. `None`: the connection
    /// is to end. Source: `HttpConnectionManager.codec_type`.
    pub(super) async fn find_version(&mut self) -> Option<Version> {
        let protocol = self.connection.tls.as_ref().and_then(|tls| tls.application.as_deref());
        let http2 = match (self.config().codec_type, protocol) {
            (CodecType::Http1, _) => false,
            (CodecType::Http2, _) => true,
            (_, Some(protocol)) => protocol == b"h2",
            (_, None) => self.begins_http2().await?,
        };
        let version = if http2 { Version::Http2 } else { Version::Http11 };
        self.version = Some(version);
        self.count_version(version);
        Some(version)
    }

    /// Whether the first bytes are the preface of HTTP/2.
    async fn begins_http2(&mut self) -> Option<bool> {
        let until = self.idle_until();
        poll_fn(|cx| {
            let wire = &mut self.server.wire;
            loop {
                let n = wire.input.len().min(PREFACE.len());
                match wire.input.data()[..n] == PREFACE[..n] {
                    true if n < PREFACE.len() => {}
                    whole => return Poll::Ready(Some(whole)),
                }
                match wire.poll_fill(cx, PREFACE.len().max(SMALL)) {
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    // As HTTP/1, it ended within a head.
                    Poll::Ready(_) => return Poll::Ready(Some(false)),
                    Poll::Pending => return self.deadline.poll_at(cx, until).map(|()| None),
                }
            }
        })
        .await
        .or_else(|| {
            self.count_idle_end();
            None
        })
    }

    pub(super) async fn serve_http2(&mut self) {
        let wire = &mut self.server.wire;
        // From here on the carrier counts, what was read already included.
        let _ = wire.uncounted();
        let stream = std::mem::replace(&mut wire.stream, Stream::Gone);
        let input = std::mem::take(&mut wire.input);
        let parts = (&self.worker, &self.listener, &self.manager);
        let link = Link::new(parts, self.connection.clone());
        let carrier = Carrier::new(&self.worker, stream, input, link.end.clone());
        let mut handed = Handed { wire, carrier };
        let ended = serve_connection(&link, &mut handed.carrier, &mut self.deadline).await;
        drop(handed);
        let active = link.active() > 0;
        match ended {
            Ended::ByClient => {
                self.remote_close = true;
                if active {
                    self.count_active_end(true);
                }
                return;
            }
            Ended::Protocol(fault) => {
                self.count_protocol_error();
                self.manager.count_flood(fault.flood);
                if active {
                    self.count_active_end(false);
                }
            }
            Ended::HeadLate if active => self.count_active_end(false),
            Ended::HeadLate => {}
            // It is gone without a word: there is nobody to wait for.
            Ended::NoAnswer => {
                if active {
                    self.count_active_end(false);
                }
                return;
            }
            Ended::OwnLimit => self.count_idle_end(),
            Ended::Orderly => {}
        }
        self.close().await;
    }

    fn count_version(&self, version: Version) {
        let stats = &self.manager.stats;
        if version == Version::Http2 {
            stats.downstream_cx_http2_total.inc();
            stats.downstream_cx_http2_active.inc();
        } else {
            stats.downstream_cx_http1_total.inc();
            stats.downstream_cx_http1_active.inc();
        }
    }
}
