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
use super::ocsp::Staple;

/// A server's certificates.
#[derive(Debug)]
pub(super) struct Selection {
    certificates: Vec<Entry>,
    /// Places in `certificates` by a name, and by what follows `*.` in one.
    exact: HashMap<Box<str>, Vec<usize>>,
    wildcard: HashMap<Box<str>, Vec<usize>>,
    /// A name that no certificate has leads to all of them rather than to the first.
    full_scan: bool,
}

/// One of a server's certificates.
#[derive(Debug)]
pub(super) struct Entry {
    key: Arc<CertifiedKey>,
    pub(super) facts: Arc<Certificate>,
    /// Its OCSP response, and the key without it.
    staple: Option<(Staple, Arc<CertifiedKey>)>,
}

impl Entry {
    fn new(key: Arc<CertifiedKey>, facts: Certificate, leaf: &[u8]) -> Result<Entry, String> {
        let staple = key.ocsp.as_ref().map(|response| {
            let staple = Staple::read(response, &facts::serial(leaf).unwrap_or_default())?;
            let without = CertifiedKey { ocsp: None, ..CertifiedKey::clone(&key) };
            Ok::<_, String>((staple, Arc::new(without)))
        });
        Ok(Entry { key, facts: Arc::new(facts), staple: staple.transpose()? })
    }

    /// With its OCSP response, as long as that holds.
    fn shown(&self) -> Arc<CertifiedKey> {
        match &self.staple {
            Some((staple, without)) if staple.is_expired() => without.clone(),
            _ => self.key.clone(),
        }
    }
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
            let entry = Entry::new(key.clone(), facts, leaf)?;
            selection.certificates.push(entry);
        }
        Ok(selection)
    }

    /// The certificate for a client that asks for `name` and checks signatures by `schemes`.
    pub(super) fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Entry> {
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
        let key = |place: &usize| &self.certificates[*place].key.key;
        let takes = |place: &&usize| key(place).choose_scheme(schemes).is_some();
        let is_ecdsa = |place: &&usize| key(place).algorithm() == SignatureAlgorithm::ECDSA;
        let best = places.iter().filter(is_ecdsa).find(takes);
        let place = best.or_else(|| places.iter().find(takes)).or(places.first())?;
        self.certificates.get(*place)
    }
}

impl ResolvesServerCert for Selection {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes()).map(Entry::shown)
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
