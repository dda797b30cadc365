//! Certificates, keys and lists of trusted ones, read from where the configuration says.

use std::sync::Arc;

use dragoman_proto::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, SdsSecretConfig, Secret, TlsCertificate, secret,
};
use dragoman_types::Faults;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Secrets by name (`static_resources.secrets`).
pub trait Secrets {
    fn secret(&self, name: &str) -> Option<&Secret>;
}

/// The source's bytes, read now. `None` where there is no source or it can't be read, which is then a
/// fault.
pub(super) fn read(
    source: Option<&DataSource>,
    field: &str,
    faults: &mut Faults,
) -> Option<Vec<u8>> {
    let specifier = source?.specifier.as_ref()?;
    faults.field(field, |faults| {
        let (field, found) = match specifier {
            Specifier::InlineString(text) => return Some(text.clone().into_bytes()),
            Specifier::InlineBytes(bytes) => return Some(bytes.clone()),
            Specifier::Filename(name) => {
                ("filename", std::fs::read(name).map_err(|error| format!("{name}: {error}")))
            }
            Specifier::EnvironmentVariable(name) => {
                let found = std::env::var(name).map(String::into_bytes);
                ("environment_variable", found.map_err(|error| format!("{name}: {error}")))
            }
        };
        found.map_err(|why| faults.add_at(field, "unreadable", why)).ok()
    })
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

/// A certificate with its key; a pair that doesn't belong together is a fault.
pub(super) fn certified_key(
    message: &TlsCertificate,
    provider: &CryptoProvider,
    faults: &mut Faults,
) -> Option<Arc<CertifiedKey>> {
    let chain = read(message.certificate_chain.as_ref(), "certificate_chain", faults);
    let key = read(message.private_key.as_ref(), "private_key", faults);
    for (found, field) in [(&chain, "certificate_chain"), (&key, "private_key")] {
        if found.is_none() && faults.is_empty() {
            faults.add_at(field, "missing", "a certificate and its key are needed");
        }
    }
    let chain = certificates(&chain?, "certificate_chain", faults)?;
    let key = match PrivateKeyDer::from_pem_slice(&key?) {
        Ok(key) => key,
        Err(error) => {
            let why = format!(
                "there is no usable private key in it ({error}); encrypted keys aren't read"
            );
            faults.add_at("private_key", "unreadable", why);
            return None;
        }
    };
    let key = match provider.key_provider.load_private_key(key) {
        Ok(key) => key,
        Err(error) => {
            faults.add_at("private_key", "unsupported", error.to_string());
            return None;
        }
    };
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Some(Arc::new(certified)),
        Err(error) => {
            let why = format!("the key doesn't belong to the certificate: {error}");
            faults.add_at("private_key", "mismatch", why);
            None
        }
    }
}

/// The protocols of ALPN. What isn't spoken can't be offered.
pub(super) fn protocols(names: &[String], faults: &mut Faults) -> Vec<Vec<u8>> {
    for (index, name) in names.iter().enumerate() {
        if name == "h2" {
            let why = "HTTP/2 isn't spoken yet: take h2 off the list";
            faults.item("alpn_protocols", index, |faults| faults.add("unsupported", why));
        }
    }
    names.iter().map(|name| name.clone().into_bytes()).collect()
}

/// The secret that `config` names, which must be a static one.
fn named<'s>(
    config: &SdsSecretConfig,
    secrets: &'s dyn Secrets,
    faults: &mut Faults,
) -> Option<&'s secret::Type> {
    if config.sds_config.is_some() {
        let why = "secrets aren't fetched yet: put the secret into static_resources.secrets";
        faults.add_at("sds_config", "unsupported", why);
        return None;
    }
    let found = secrets.secret(&config.name).and_then(|secret| secret.r#type.as_ref());
    if found.is_none() {
        let why = format!("there is no secret {:?} in static_resources.secrets", config.name);
        faults.add_at("name", "unknown-secret", why);
    }
    found
}

pub(super) fn named_certificate<'s>(
    config: &SdsSecretConfig,
    secrets: &'s dyn Secrets,
    faults: &mut Faults,
) -> Option<&'s TlsCertificate> {
    match named(config, secrets, faults)? {
        secret::Type::TlsCertificate(certificate) => Some(certificate),
        _ => {
            faults.add_at("name", "wrong-secret", "that secret is no tls_certificate");
            None
        }
    }
}

pub(super) fn named_validation<'s>(
    config: &SdsSecretConfig,
    secrets: &'s dyn Secrets,
    faults: &mut Faults,
) -> Option<&'s CertificateValidationContext> {
    match named(config, secrets, faults)? {
        secret::Type::ValidationContext(context) => Some(context),
        _ => {
            faults.add_at("name", "wrong-secret", "that secret is no validation_context");
            None
        }
    }
}
