//! `listener.<address>.ssl.*` and `cluster.<name>.ssl.*`.

use std::cell::RefCell;

use dragoman_stats::{Counter, Registry, ScopeHandle, Shard, Single, stats_struct};
use dragoman_types::tls::Tls;

use super::rejected::Rejected;
use super::stream::HandshakeError;

stats_struct! {
    /// `<listener or cluster>.ssl.`
    pub struct SslStats {
        counters:
            connection_error, handshake, session_reused, no_certificate, fail_verify_no_cert,
            fail_verify_error, fail_verify_san, fail_verify_cert_hash, ocsp_staple_failed,
            ocsp_staple_omitted, ocsp_staple_responses, ocsp_staple_requests;
    }
}

stats_struct! {
    /// `<listener or cluster>.(server|client)_ssl_socket_factory.`
    pub struct SocketFactoryStats {
        counters:
            ssl_context_update_by_sds, upstream_context_secrets_not_ready,
            downstream_context_secrets_not_ready;
    }
}

/// A counter by family and name.
type Named = ((&'static str, &'static str), Shard<Single<Counter>>);

/// A worker's counters of one listener's or cluster's TLS.
#[derive(Debug)]
pub struct TlsStats {
    fixed: Shard<SslStats>,
    registry: Registry,
    prefix: Box<str>,
    worker: usize,
    /// Those that exist once they count: `versions.TLSv1.3`, `ciphers.…`.
    named: RefCell<Vec<Named>>,
}

impl TlsStats {
    /// `prefix` ends with `ssl.`.
    pub fn new(registry: &Registry, prefix: &str, worker: usize) -> TlsStats {
        let scope: ScopeHandle<SslStats> = registry.scope(prefix);
        TlsStats {
            fixed: scope.shard(worker),
            registry: registry.clone(),
            prefix: prefix.into(),
            worker,
            named: RefCell::default(),
        }
    }

    /// A handshake came to its end.
    pub fn done(&self, tls: &Tls) {
        self.fixed.handshake.inc();
        if tls.resumed {
            self.fixed.session_reused.inc();
        }
        if tls.peer.is_none() {
            self.fixed.no_certificate.inc();
        }
        if tls.forgiven {
            self.fixed.fail_verify_error.inc();
        }
        self.count("ciphers", tls.cipher);
        self.count("versions", tls.version);
        if !tls.group.is_empty() {
            self.count("curves", tls.group);
        }
        if !tls.proved_by.is_empty() {
            self.count("sigalgs", tls.proved_by);
        }
    }

    /// A handshake failed.
    pub fn failed(&self, error: &HandshakeError) {
        let error = match error {
            HandshakeError::Closed | HandshakeError::Io(_) => return,
            HandshakeError::HelloRefused | HandshakeError::PlainHttp { .. } => {
                return self.fixed.connection_error.inc();
            }
            HandshakeError::Tls(error) => error,
        };
        match Rejected::of(error) {
            None => self.fixed.connection_error.inc(),
            Some(Rejected::Nobody) => self.fixed.fail_verify_no_cert.inc(),
            Some(Rejected::Chain | Rejected::NoTrustDomain) => self.fixed.fail_verify_error.inc(),
            Some(Rejected::Name(_) | Rejected::NotAsked { .. } | Rejected::NotWanted) => {
                self.fixed.fail_verify_san.inc()
            }
            Some(Rejected::Pin) => self.fixed.fail_verify_cert_hash.inc(),
        }
    }

    fn count(&self, family: &'static str, name: &'static str) {
        let mut named = self.named.borrow_mut();
        let known = named.iter().find(|(known, _)| *known == (family, name));
        if let Some((_, counter)) = known {
            counter.inc();
            return;
        }
        let counter = self.registry.counter(&format!("{}{family}.{name}", self.prefix));
        let counter = counter.shard(self.worker);
        counter.inc();
        named.push(((family, name), counter));
    }
}
