//! The certificates of a context, for who asks what is loaded.

use std::sync::Arc;

use dragoman_proto::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::CommonTlsContext;
use dragoman_types::Faults;
use dragoman_types::tls::Certificate;
use rustls::sign::CertifiedKey;

use super::facts;
use super::material::{Secrets, named_certificate};
use super::validation::Validation;

/// Where a certificate came from, and what it says.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// A file's name, or `<inline>`.
    pub path: Box<str>,
    pub facts: Arc<Certificate>,
}

/// What a context has.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// The first of those that are trusted.
    pub ca: Option<Loaded>,
    pub chain: Vec<Loaded>,
}

impl Loaded {
    fn new(path: &str, der: &[u8]) -> Option<Loaded> {
        let facts = Arc::new(facts::certificate(der).ok()?);
        Some(Loaded { path: path.into(), facts })
    }
}

impl Certificates {
    pub(super) fn of(
        common: &CommonTlsContext,
        secrets: &dyn Secrets,
        keys: &[Arc<CertifiedKey>],
        validation: Option<&Validation>,
    ) -> Certificates {
        // What can't be found was told when the keys were made of it.
        let mut told = Faults::new();
        let fetched = common.tls_certificate_sds_secret_configs.iter();
        let fetched = fetched.filter_map(|named| named_certificate(named, secrets, &mut told));
        let own = common.tls_certificates.iter().chain(fetched);
        let paths = own.map(|message| path_of(message.certificate_chain.as_ref()));
        let chain = paths.zip(keys).filter_map(|(path, key)| Loaded::new(path, key.cert.first()?));
        let ca = validation.and_then(|found| {
            let (path, first) = found.first_trusted()?;
            Loaded::new(path, first)
        });
        Certificates { ca, chain: chain.collect() }
    }
}

/// A source as the admin page names it.
pub(super) fn path_of(source: Option<&DataSource>) -> &str {
    match source.and_then(|source| source.specifier.as_ref()) {
        Some(Specifier::Filename(name)) => name,
        _ => "<inline>",
    }
}
