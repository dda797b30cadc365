//! Which of several certificates a client gets: by the name it asks for, then by the kind of key it takes.

use std::collections::HashMap;
use std::sync::Arc;

use dragoman_types::tls::Certificate;
use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::facts;

/// A server's certificates.
#[derive(Debug)]
pub(super) struct Selection {
    certificates: Vec<(Arc<CertifiedKey>, Arc<Certificate>)>,
    /// Places in `certificates` by a name, and by what follows `*.` in one.
    exact: HashMap<Box<str>, Vec<usize>>,
    wildcard: HashMap<Box<str>, Vec<usize>>,
    /// A name that no certificate has leads to all of them rather than to the first.
    full_scan: bool,
}

impl Selection {
    /// What a certificate can't be read for is the error.
    pub(super) fn new(keys: Vec<Arc<CertifiedKey>>, full_scan: bool) -> Result<Selection, String> {
        let mut selection = Selection {
            certificates: Vec::with_capacity(keys.len()),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            full_scan,
        };
        for key in keys {
            let leaf = key.cert.first().ok_or("an empty certificate chain")?;
            let facts = facts::certificate(leaf)?;
            let common = facts::common_name(leaf).filter(|_| facts.dns_sans.is_empty());
            let place = selection.certificates.len();
            for name in facts.dns_sans.iter().map(|name| &**name).chain(common.as_deref()) {
                let name = name.to_ascii_lowercase();
                let (map, key) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut selection.wildcard, rest),
                    None => (&mut selection.exact, &*name),
                };
                map.entry(key.into()).or_default().push(place);
            }
            selection.certificates.push((key, Arc::new(facts)));
        }
        Ok(selection)
    }

    /// The certificate for a client that asks for `name` and checks signatures by `schemes`.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&(Arc<CertifiedKey>, Arc<Certificate>)> {
        let all = || (0..self.certificates.len()).collect::<Vec<_>>();
        let lower = name.map(str::to_ascii_lowercase);
        let named = lower.as_deref().and_then(|name| {
            let wildcard = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(wildcard).cloned()
        });
        let places = match (named, name) {
            (Some(places), _) => places,
            (None, Some(_)) if !self.full_scan => vec![0],
            (None, _) => all(),
        };
        let takes =
            |place: &&usize| self.certificates[**place].0.key.choose_scheme(schemes).is_some();
        let is_ecdsa = |place: &&usize| {
            self.certificates[**place].0.key.algorithm() == SignatureAlgorithm::ECDSA
        };
        let best = places.iter().filter(is_ecdsa).find(takes);
        let place = best.or_else(|| places.iter().find(takes)).or(places.first())?;
        self.certificates.get(*place)
    }
}

impl ResolvesServerCert for Selection {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes()).map(|(key, _)| key.clone())
    }
}

/// The one certificate that a client shows, to whoever asks.
#[derive(Debug)]
pub(super) struct Always(pub(super) Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
