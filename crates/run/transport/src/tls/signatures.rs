//! Signature algorithms of the handshake: which are offered, taken and signed with, and their names.
//! Source: `TlsParameters.signature_algorithms`; RFC 8446 section 4.2.3.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use dragoman_types::Faults;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// Under the names of Envoy's configuration and statistics.
const SCHEMES: [(&str, SignatureScheme); 10] = [
    ("ecdsa_secp256r1_sha256", SignatureScheme::ECDSA_NISTP256_SHA256),
    ("ecdsa_secp384r1_sha384", SignatureScheme::ECDSA_NISTP384_SHA384),
    ("ecdsa_secp521r1_sha512", SignatureScheme::ECDSA_NISTP521_SHA512),
    ("rsa_pss_rsae_sha256", SignatureScheme::RSA_PSS_SHA256),
    ("rsa_pss_rsae_sha384", SignatureScheme::RSA_PSS_SHA384),
    ("rsa_pss_rsae_sha512", SignatureScheme::RSA_PSS_SHA512),
    ("rsa_pkcs1_sha256", SignatureScheme::RSA_PKCS1_SHA256),
    ("rsa_pkcs1_sha384", SignatureScheme::RSA_PKCS1_SHA384),
    ("rsa_pkcs1_sha512", SignatureScheme::RSA_PKCS1_SHA512),
    ("ed25519", SignatureScheme::ED25519),
];

/// The name that statistics have.
pub(super) fn name_of(scheme: SignatureScheme) -> &'static str {
    SCHEMES.iter().find(|(_, known)| *known == scheme).map_or("unknown", |(name, _)| name)
}

thread_local! {
    /// How the last peer that proved itself on this thread did.
    static PROVED_BY: Cell<Option<SignatureScheme>> = const { Cell::new(None) };
}

/// A peer proved itself. Verifiers are shared by connections; who asks is [`proved_by`].
pub(super) fn proves(scheme: SignatureScheme) {
    PROVED_BY.set(Some(scheme));
}

/// How the peer proved itself that did so since the last call.
pub(super) fn proved_by() -> Option<SignatureScheme> {
    PROVED_BY.take()
}

/// Limits `provider` to the algorithms of this name, the first being the most wanted. Faults: `unsupported`.
pub(super) fn limit(provider: &mut CryptoProvider, names: &[String], faults: &mut Faults) {
    if names.is_empty() {
        return;
    }
    let mut wanted = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        match SCHEMES.iter().find(|(known, _)| *known == name) {
            Some((_, scheme)) => wanted.push(*scheme),
            None => faults.item("signature_algorithms", index, |faults| {
                let known = SCHEMES.map(|(name, _)| name).join(", ");
                faults.add("unsupported", format!("{name:?} isn't built in; there are {known}"));
            }),
        }
    }
    let parts = Parts::of(wanted);
    provider.signature_verification_algorithms = parts.verification;
    provider.key_provider = parts.keys;
}

/// What a provider needs, for ever: rustls takes nothing shorter-lived.
#[derive(Clone, Copy)]
struct Parts {
    verification: WebPkiSupportedAlgorithms,
    keys: &'static Keys,
}

impl Parts {
    /// Each list is made once, however often a configuration with it is loaded.
    fn of(schemes: Vec<SignatureScheme>) -> Parts {
        static KNOWN: Mutex<Vec<Parts>> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parts) = known.iter().find(|parts| *parts.keys.schemes == *schemes) {
            return *parts;
        }
        let usual = default_provider().signature_verification_algorithms;
        let of = |scheme| usual.mapping.iter().find(|(known, _)| *known == scheme).copied();
        let mapping: Vec<_> = schemes.iter().filter_map(|scheme| of(*scheme)).collect();
        let parts = Parts {
            verification: WebPkiSupportedAlgorithms {
                mapping: Box::leak(mapping.into_boxed_slice()),
                ..usual
            },
            keys: Box::leak(Box::new(Keys { schemes: schemes.into() })),
        };
        known.push(parts);
        parts
    }
}

/// Loads keys that sign by some algorithms only.
#[derive(Debug)]
struct Keys {
    schemes: Arc<[SignatureScheme]>,
}

impl KeyProvider for Keys {
    fn load_private_key(&self, der: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let key = default_provider().key_provider.load_private_key(der)?;
        Ok(Arc::new(Key { key, schemes: self.schemes.clone() }))
    }
}

#[derive(Debug)]
struct Key {
    key: Arc<dyn SigningKey>,
    schemes: Arc<[SignatureScheme]>,
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let both = self.schemes.iter().filter(|scheme| offered.contains(scheme));
        both.copied().find_map(|scheme| self.key.choose_scheme(&[scheme]))
    }

    fn public_key(&self) -> Option<rustls::pki_types::SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_made_once_and_keeps_its_order() {
        let names = ["rsa_pss_rsae_sha512".to_owned(), "ed25519".to_owned()];
        let made = || {
            let (mut provider, mut faults) = (default_provider(), Faults::new());
            limit(&mut provider, &names, &mut faults);
            assert!(faults.is_empty());
            provider.signature_verification_algorithms
        };
        let schemes = made().supported_schemes();
        assert_eq!(schemes, [SignatureScheme::RSA_PSS_SHA512, SignatureScheme::ED25519]);
        assert!(std::ptr::eq(made().mapping, made().mapping));
    }

    #[test]
    fn a_name_that_is_none_is_told_where_it_stands() {
        let (mut provider, mut faults) = (default_provider(), Faults::new());
        limit(&mut provider, &["ed25519".into(), "rsa_pkcs1_md5".into()], &mut faults);
        assert_eq!(faults.into_vec()[0].path, "signature_algorithms[1]");
    }
}
