//! `envoy.tls.cert_validator.spiffe`: each trust domain has certificates of its own, and a peer belongs to
//! the one that its identity names (`spiffe://<trust domain>/…`).
//! Source: SPIFFE X509-SVID, sections 2, 4 and 5; `SPIFFECertValidatorConfig`.

use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, SpiffeCertValidatorConfig as Message,
};
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::{type_name, unpack};
use dragoman_types::Faults;
use dragoman_types::tls::Certificate;
use rustls::crypto::CryptoProvider;

use super::validation::Validation;

const MESSAGE: &str = "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/// How the peers of each trust domain are validated.
#[derive(Debug)]
pub(super) struct TrustDomains(Vec<(Box<str>, Validation)>);

impl TrustDomains {
    /// `own`: the context that has the validator. Faults: `unsupported`, `missing`, `twice`, and those of
    /// the certificates.
    pub(super) fn compile(
        any: &Any,
        own: &CertificateValidationContext,
        provider: &CryptoProvider,
        faults: &mut Faults,
    ) -> Option<TrustDomains> {
        if type_name(any) != MESSAGE {
            faults.add("unsupported", format!("{} is not supported", type_name(any)));
            return None;
        }
        let message: Message = unpack(any, faults)?;
        if message.trust_bundles.is_some() {
            faults.add_at("trust_bundles", "unsupported", "name a trust_bundle for each domain");
        }
        let mut domains: Vec<(Box<str>, Validation)> = Vec::new();
        for (index, domain) in message.trust_domains.iter().enumerate() {
            domains.extend(faults.item("trust_domains", index, |faults| {
                if domains.iter().any(|(known, _)| **known == *domain.name) {
                    faults.add_at("name", "twice", format!("{} stands here twice", domain.name));
                }
                if !domain.workload_trust_domain.is_empty() {
                    let why = "peers belong to the trust domain that they name";
                    faults.add_at("workload_trust_domain", "unsupported", why);
                }
                if domain.trust_bundle.is_none() {
                    faults.add_at("trust_bundle", "missing", "nothing says whom to trust in it");
                    return None;
                }
                let context = CertificateValidationContext {
                    trusted_ca: domain.trust_bundle.clone(),
                    allow_expired_certificate: own.allow_expired_certificate,
                    ..CertificateValidationContext::default()
                };
                let validation = Validation::compile(&context, provider, faults)?;
                Some((domain.name.as_str().into(), validation))
            }));
        }
        Some(TrustDomains(domains))
    }

    /// How a peer is validated; `None`: it names no trust domain that is known.
    pub(super) fn of(&self, peer: &Certificate) -> Option<&Validation> {
        let find = |domain: &str| self.0.iter().find(|(known, _)| **known == *domain);
        let found = peer.uri_sans.iter().filter_map(|uri| trust_domain(uri)).find_map(find);
        found.map(|(_, validation)| validation)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Validation> {
        self.0.iter().map(|(_, validation)| validation)
    }
}

/// The trust domain of a SPIFFE identity.
fn trust_domain(uri: &str) -> Option<&str> {
    uri.strip_prefix("spiffe://")?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_names_its_trust_domain() {
        assert_eq!(trust_domain("spiffe://example.com/a/b"), Some("example.com"));
        assert_eq!(trust_domain("spiffe://example.com"), Some("example.com"));
        assert_eq!(trust_domain("https://example.com/a"), None);
    }
}
