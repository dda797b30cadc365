//! Certificates, keys and lists of trusted ones, read from where the configuration says.

use std::sync::Arc;

use dragoman_proto::data_source::read;
use dragoman_proto::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, SdsSecretConfig, Secret, TlsCertificate,
    TlsSessionTicketKeys, common_tls_context::ValidationContextType, secret,
};
use dragoman_types::Faults;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::facts;
use super::ocsp::Staple;
use super::tickets::TicketKeys;
use super::validation::Validation;

/// Where secrets come from.
pub trait Secrets {
    /// One of `static_resources.secrets`.
    fn secret(&self, name: &str) -> Option<&Secret>;

    /// One that was fetched, if it has come, by [`fetched_key`].
    fn fetched(&self, key: &str) -> Option<&Secret>;
}

/// By which name a fetched secret is published: its own name and the file that it stands in. `None`: it
/// is a static one.
#[expect(deprecated, reason = "configurations still say `path`")]
pub fn fetched_key(config: &SdsSecretConfig) -> Option<String> {
    let path = match config.sds_config.as_ref()?.config_source_specifier.as_ref() {
        Some(ConfigSourceSpecifier::PathConfigSource(source)) => source.path.as_str(),
        Some(ConfigSourceSpecifier::Path(path)) => path.as_str(),
        _ => "",
    };
    Some(format!("{}@{path}", config.name))
}

/// The secret by which a context checks its peers, if it has one.
pub(super) fn validation_secret(common: &CommonTlsContext) -> Option<&SdsSecretConfig> {
    match common.validation_context_type.as_ref()? {
        ValidationContextType::ValidationContextSdsSecretConfig(named) => Some(named),
        ValidationContextType::CombinedValidationContext(combined) => {
            combined.validation_context_sds_secret_config.as_ref()
        }
        _ => None,
    }
}

/// The keys of the secrets that a context fetches.
pub(super) fn fetched_keys(common: &CommonTlsContext) -> Vec<String> {
    let certificates = common.tls_certificate_sds_secret_configs.iter();
    certificates.chain(validation_secret(common)).filter_map(fetched_key).collect()
}

/// Which of the secrets that a context has fetched have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fetched {
    /// It has none fetched.
    None,
    Waiting,
    All,
}

impl Fetched {
    pub(super) fn of(keys: &[String], secrets: &dyn Secrets) -> Fetched {
        match keys.iter().all(|key| secrets.fetched(key).is_some()) {
            _ if keys.is_empty() => Fetched::None,
            true => Fetched::All,
            false => Fetched::Waiting,
        }
    }
}

/// Whether a secret is of use at all, whoever is to use it.
pub fn check_secret(secret: &Secret, faults: &mut Faults) {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match &secret.r#type {
        Some(secret::Type::TlsCertificate(certificate)) => {
            faults.field("tls_certificate", |f| certified_key(certificate, &provider, f));
        }
        Some(secret::Type::ValidationContext(context)) => {
            faults.field("validation_context", |f| Validation::compile(context, &provider, f));
        }
        Some(secret::Type::SessionTicketKeys(keys)) => {
            faults.field("session_ticket_keys", |f| TicketKeys::compile(keys, [0; 32], f));
        }
        Some(_) | None => faults.add("unsupported", "TLS has no use for this kind of secret"),
    }
}

/// All certificates of a PEM text.
pub(super) fn certificates(
    pem: &[u8],
    field: &str,
    faults: &mut Faults,
) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Some(found),
        Ok(_) => {
            faults.add_at(field, "unreadable", "there is no certificate in it (PEM is expected)");
            None
        }
        Err(error) => {
            faults.add_at(field, "unreadable", format!("it isn't valid PEM: {error}"));
            None
        }
    }
}

/// Those that the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` say where else to look). What isn't a
/// certificate among them is passed over, as long as there is one.
pub(super) fn system_certificates(faults: &mut Faults) -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    let mut certificates = found.certs;
    certificates.retain(|der| webpki::anchor_from_trusted_cert(der).is_ok());
    if certificates.is_empty() {
        let why = found.errors.first().map_or("there are none".to_owned(), ToString::to_string);
        faults.add_at("system_root_certs", "unreadable", format!("the system's: {why}"));
    }
    certificates
}

/// A certificate with its key; a pair that doesn't belong together is a fault.
pub(super) fn certified_key(
    message: &TlsCertificate,
    provider: &CryptoProvider,
    faults: &mut Faults,
) -> Option<Arc<CertifiedKey>> {
    let (chain, key) = match message.pkcs12 {
        Some(_) => from_store(message, faults)?,
        None => from_pem(message, faults)?,
    };
    let key = match provider.key_provider.load_private_key(key) {
        Ok(key) => key,
        Err(error) => {
            faults.add_at("private_key", "unsupported", error.to_string());
            return None;
        }
    };
    let mut certified = CertifiedKey::new(chain, key);
    certified.ocsp = staple(message, &certified.cert[0], faults);
    match certified.keys_match() {
        Ok(()) => Some(Arc::new(certified)),
        Err(error @ rustls::Error::InconsistentKeys(_)) => {
            let why = format!("the key doesn't belong to the certificate: {error}");
            faults.add_at("private_key", "mismatch", why);
            None
        }
        Err(error) => {
            faults.add_at("certificate_chain", "unsupported", unusable(&error));
            None
        }
    }
}

/// Why no certificate can be made use of, though its text can be read.
fn unusable(error: &rustls::Error) -> String {
    let text = error.to_string();
    let known = [
        (
            "UnsupportedCertVersion",
            "it is an X.509 certificate of version 1; version 3 is needed \
             (openssl x509 -req makes one with -extfile or -copy_extensions)",
        ),
        ("UnsupportedCriticalExtension", "it has a critical extension that isn't known"),
    ];
    let why = known.iter().find(|(mark, _)| text.contains(mark));
    why.map_or(text.clone(), |(_, why)| (*why).to_owned())
}

/// A chain, and its first certificate's key.
type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn from_pem(message: &TlsCertificate, faults: &mut Faults) -> Option<Pair> {
    let chain = read(message.certificate_chain.as_ref(), "certificate_chain", faults);
    let key = read(message.private_key.as_ref(), "private_key", faults);
    for (found, field) in [(&chain, "certificate_chain"), (&key, "private_key")] {
        if found.is_none() && faults.is_empty() {
            faults.add_at(field, "missing", "a certificate and its key are needed");
        }
    }
    let chain = certificates(&chain?, "certificate_chain", faults)?;
    let password = read(message.password.as_ref(), "password", faults);
    match private_key(&key?, password.as_deref()) {
        Ok(key) => Some((chain, key)),
        Err(why) => {
            faults.add_at("private_key", "unreadable", why);
            None
        }
    }
}

/// Both from one file (PKCS #12, RFC 7292).
fn from_store(message: &TlsCertificate, faults: &mut Faults) -> Option<Pair> {
    let others = [
        (message.certificate_chain.is_some(), "certificate_chain"),
        (message.private_key.is_some(), "private_key"),
    ];
    for (_, field) in others.into_iter().filter(|(is_set, _)| *is_set) {
        faults.add_at(field, "conflict", "pkcs12 has both the certificate and its key");
    }
    let store = read(message.pkcs12.as_ref(), "pkcs12", faults)?;
    let password = read(message.password.as_ref(), "password", faults).unwrap_or_default();
    let opened = || {
        let password = std::str::from_utf8(&password).map_err(|_| "the password isn't UTF-8")?;
        let store = KeyStore::from_pkcs12(&store, password, Pkcs12ImportPolicy::Strict)
            .map_err(|error| format!("it can't be opened (is the password right?): {error}"))?;
        let (_, pair) = store.private_key_chain().ok_or("there is no private key in it")?;
        let chain = pair.certs().iter().map(|one| one.as_der().to_vec().into()).collect();
        let key = PrivatePkcs8KeyDer::from(pair.key().as_der().to_vec());
        Ok::<Pair, String>((chain, key.into()))
    };
    match opened() {
        Ok(pair) if faults.is_empty() => Some(pair),
        Ok(_) => None,
        Err(why) => {
            faults.add_at("pkcs12", "unreadable", why);
            None
        }
    }
}

/// The OCSP response that goes with the certificate.
fn staple(
    message: &TlsCertificate,
    leaf: &CertificateDer<'_>,
    faults: &mut Faults,
) -> Option<Vec<u8>> {
    let response = read(message.ocsp_staple.as_ref(), "ocsp_staple", faults)?;
    let serial = facts::serial(leaf).unwrap_or_default();
    match Staple::read(&response, &serial) {
        Ok(_) => Some(response),
        Err(why) => {
            faults.add_at("ocsp_staple", "unusable", why);
            None
        }
    }
}

/// The key of a PEM text. Encrypted ones are PKCS #8's under PBES2 (RFC 5958, RFC 8018), as OpenSSL writes
/// them.
fn private_key(pem: &[u8], password: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, String> {
    let text = std::str::from_utf8(pem).unwrap_or_default();
    if !text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return PrivateKeyDer::from_pem_slice(pem)
            .map_err(|error| format!("there is no usable private key in it ({error})"));
    }
    let password = password.ok_or("it is encrypted: set password")?;
    let (_, der) = SecretDocument::from_pem(text).map_err(|error| error.to_string())?;
    let found = EncryptedPrivateKeyInfoRef::try_from(der.as_bytes());
    let found = found.map_err(|error| format!("it is encrypted in no known way: {error}"))?;
    match found.decrypt(password) {
        Ok(key) => Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()),
        Err(error) => Err(format!("it can't be decrypted (is the password right?): {error}")),
    }
}

/// The protocols of ALPN; one of the texts may be a list with commas.
pub(super) fn protocols(names: &[String]) -> Vec<Vec<u8>> {
    let each = names.iter().flat_map(|name| name.split(','));
    each.map(|name| name.as_bytes().to_vec()).collect()
}

/// The secret that `config` names.
fn named<'s>(
    config: &SdsSecretConfig,
    secrets: &'s dyn Secrets,
    faults: &mut Faults,
) -> Option<&'s secret::Type> {
    let (found, place) = match fetched_key(config) {
        Some(key) => (secrets.fetched(&key), "its file"),
        None => (secrets.secret(&config.name), "static_resources.secrets"),
    };
    let found = found.and_then(|secret| secret.r#type.as_ref());
    if found.is_none() {
        let why = format!("there is no secret {:?} in {place}", config.name);
        faults.add_at("name", "unknown-secret", why);
    }
    found
}

/// The secret that `config` names, which must be a `kind`.
fn named_as<'s, T>(
    config: &SdsSecretConfig,
    secrets: &'s dyn Secrets,
    (kind, of): (&str, fn(&'s secret::Type) -> Option<&'s T>),
    faults: &mut Faults,
) -> Option<&'s T> {
    let found = of(named(config, secrets, faults)?);
    if found.is_none() {
        faults.add_at("name", "wrong-secret", format!("that secret is no {kind}"));
    }
    found
}

pub(super) fn named_certificate<'s>(
    config: &SdsSecretConfig,
    secrets: &'s dyn Secrets,
    faults: &mut Faults,
) -> Option<&'s TlsCertificate> {
    let of = |secret: &'s secret::Type| match secret {
        secret::Type::TlsCertificate(found) => Some(found),
        _ => None,
    };
    named_as(config, secrets, ("tls_certificate", of), faults)
}

pub(super) fn named_ticket_keys<'s>(
    config: &SdsSecretConfig,
    secrets: &'s dyn Secrets,
    faults: &mut Faults,
) -> Option<&'s TlsSessionTicketKeys> {
    let of = |secret: &'s secret::Type| match secret {
        secret::Type::SessionTicketKeys(found) => Some(found),
        _ => None,
    };
    named_as(config, secrets, ("session_ticket_keys", of), faults)
}

pub(super) fn named_validation<'s>(
    config: &SdsSecretConfig,
    secrets: &'s dyn Secrets,
    faults: &mut Faults,
) -> Option<&'s CertificateValidationContext> {
    let of = |secret: &'s secret::Type| match secret {
        secret::Type::ValidationContext(found) => Some(found),
        _ => None,
    };
    named_as(config, secrets, ("validation_context", of), faults)
}
