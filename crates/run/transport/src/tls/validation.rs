//! `CertificateValidationContext`: whether a peer's certificate is good enough.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, certificate_validation_context::TrustChainVerification,
};
use dragoman_proto::{Message, data_source, u32_or};
use dragoman_types::Faults;
use dragoman_types::tls::Certificate;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, Error};
use webpki::{
    EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, VerifiedPath,
};

use super::facts::Usage;
use super::loaded::path_of;
use super::names::{NameMatcher, covers};
use super::rejected::Rejected;
use super::spiffe::TrustDomains;
use super::{facts, material};

/// `max_verify_depth` unless it's set.
const MAX_DEPTH: u32 = 100;

/// Which certificates a peer may show.
#[derive(Debug)]
pub(super) struct Validation {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// When each of them is valid.
    anchors_valid: Vec<(i64, i64)>,
    /// The same as they were given: one of them may be the peer's own.
    trusted: Vec<CertificateDer<'static>>,
    /// The file that they came from.
    path: Box<str>,
    revoked: Vec<webpki::CertRevocationList<'static>>,
    only_leaf_revocation: bool,
    allow_expired: bool,
    accept_untrusted: bool,
    /// Certificates that may stand between a peer's own and a trusted one.
    max_depth: usize,
    /// Clients aren't told who is trusted.
    pub(super) quiet: bool,
    names: Vec<NameMatcher>,
    hashes: Vec<[u8; 32]>,
    keys: Vec<[u8; 32]>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// Of all that it asks for.
    pub(super) digest: [u8; 32],
    /// A peer's trust domain says whom to trust, instead of `trusted`.
    domains: Option<TrustDomains>,
}

impl Validation {
    /// The first certificate that it trusts, and where that came from.
    pub(super) fn first_trusted(&self) -> Option<(&str, &[u8])> {
        Some((&self.path, self.trusted.first()?))
    }

    pub(super) fn compile(
        message: &CertificateValidationContext,
        provider: &CryptoProvider,
        faults: &mut Faults,
    ) -> Option<Validation> {
        let pem = data_source::read(message.trusted_ca.as_ref(), "trusted_ca", faults);
        let trusted = match &pem {
            Some(pem) => material::certificates(pem, "trusted_ca", faults)?,
            None if message.system_root_certs.is_some() => material::system_certificates(faults),
            None => Vec::new(),
        };
        let (anchors, anchors_valid) = anchors(&trusted, faults)?;
        let names = message.match_typed_subject_alt_names.iter().enumerate();
        let names: Vec<_> = names
            .filter_map(|(index, name)| {
                faults
                    .item("match_typed_subject_alt_names", index, |f| NameMatcher::compile(name, f))
            })
            .collect();
        if !names.is_empty() && trusted.is_empty() && message.custom_validator_config.is_none() {
            let why =
                "names say nothing without trusted_ca: anybody can write them into a certificate";
            faults.add_at("match_typed_subject_alt_names", "insecure", why);
        }
        let revoked = revocation_lists(message, pem.as_deref(), faults)?;
        let domains = trust_domains(message, provider, faults);
        let bundles = domains.iter().flat_map(|domains: &TrustDomains| domains.all());
        let bundles: Vec<_> = bundles.flat_map(|domain| &domain.trusted).collect();
        Some(Validation {
            anchors,
            anchors_valid,
            path: path_of(message.trusted_ca.as_ref()).into(),
            revoked: revoked.into_iter().map(Into::into).collect(),
            only_leaf_revocation: message.only_verify_leaf_cert_crl,
            allow_expired: message.allow_expired_certificate,
            accept_untrusted: message.trust_chain_verification
                == TrustChainVerification::AcceptUntrusted as i32,
            max_depth: u32_or(message.max_verify_depth.as_ref(), MAX_DEPTH) as usize,
            quiet: message.suppress_client_ca_list,
            names,
            hashes: pins(
                &message.verify_certificate_hash,
                "verify_certificate_hash",
                from_hex,
                faults,
            ),
            keys: pins(
                &message.verify_certificate_spki,
                "verify_certificate_spki",
                from_base64,
                faults,
            ),
            algorithms: provider.signature_verification_algorithms,
            digest: digest_of(message, trusted.iter().chain(bundles)),
            trusted,
            domains,
        })
    }

    /// When the first of the trusted certificates expires.
    pub(super) fn expiry(&self) -> Option<i64> {
        self.trusted.iter().filter_map(|der| facts::not_after(der)).min()
    }

    /// Whether there must be a certificate, even if nothing else says so: names, pins and trust domains ask for one.
    pub(super) fn requires(&self) -> bool {
        let pins = !self.hashes.is_empty() || !self.keys.is_empty();
        !self.names.is_empty() || pins || self.domains.is_some()
    }

    /// That a host's certificate has this DNS name or IP address; `wrong` makes the error of its names.
    pub(super) fn verify_name(
        leaf: &CertificateDer<'_>,
        name: &str,
        wrong: impl FnOnce(Box<str>) -> Rejected,
    ) -> Result<(), Error> {
        let facts = facts::certificate(leaf).map_err(|_| CertificateError::BadEncoding)?;
        let has = match name.parse::<IpAddr>() {
            Ok(ip) => facts.ip_sans.iter().any(|known| known.parse() == Ok(ip)),
            Err(_) => facts.dns_sans.iter().any(|known| covers(known, name)),
        };
        if has { Ok(()) } else { Err(wrong(all_names(&facts).into()).into()) }
    }

    /// Whether anything of a certificate is checked.
    pub(super) fn checks(&self) -> bool {
        let pins = !self.hashes.is_empty() || !self.keys.is_empty();
        !self.trusted.is_empty() || pins || self.domains.is_some()
    }

    /// Whether a chain that was let in fails its check (`ACCEPT_UNTRUSTED`).
    pub(super) fn forgives(&self, chain: &[CertificateDer<'_>], usage: Usage) -> bool {
        let Some((leaf, between)) = chain.split_first() else { return false };
        self.accept_untrusted
            && !self.trusted.is_empty()
            && self.verify_chain(leaf, between, UnixTime::now(), usage).is_err()
    }

    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Usage,
    ) -> Result<(), Error> {
        if let Some(domains) = &self.domains {
            let facts = facts::certificate(leaf).map_err(|_| CertificateError::BadEncoding)?;
            // An identity that may sign others is none: X509-SVID section 4.
            let domain = domains.of(&facts).filter(|_| !facts::may_sign(leaf));
            let domain = domain.ok_or(Rejected::NoTrustDomain)?;
            // An identity is one at either end.
            let judged = match domain.verify_chain(leaf, between, now, usage) {
                Err(Error::InvalidCertificate(CertificateError::InvalidPurpose)) => {
                    domain.verify_chain(leaf, between, now, usage.other())
                }
                judged => judged,
            };
            judged?;
            let wanted = self.names.is_empty() || self.names.iter().any(|n| n.matches(&facts));
            return if wanted { Ok(()) } else { Err(Rejected::NotWanted.into()) };
        }
        if !self.trusted.is_empty() {
            match self.verify_chain(leaf, between, now, usage) {
                Err(_) if self.accept_untrusted => {}
                judged => judged?,
            }
        }
        if !self.names.is_empty() {
            let facts = facts::certificate(leaf).map_err(|_| CertificateError::BadEncoding)?;
            if !self.names.iter().any(|name| name.matches(&facts)) {
                return Err(Rejected::Name(all_names(&facts).into()).into());
            }
        }
        let hash = digest(&SHA256, leaf);
        let pinned = self.hashes.iter().any(|pin| pin == hash.as_ref())
            || facts::spki_sha256(leaf).is_some_and(|key| self.keys.contains(&key));
        if (!self.hashes.is_empty() || !self.keys.is_empty()) && !pinned {
            return Err(Rejected::Pin.into());
        }
        Ok(())
    }

    fn verify_chain(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Usage,
    ) -> Result<(), Error> {
        let facts = facts::certificate(leaf).map_err(|_| CertificateError::BadEncoding)?;
        let now = match self.allow_expired && (now.as_secs() as i64) > facts.not_after {
            true => UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                facts.not_after.max(0) as u64,
            )),
            false => now,
        };
        // A certificate that is itself listed is trusted as such (one that signed itself, say), unless
        // there are lists in which it might be revoked.
        if self.revoked.is_empty() && self.trusted.iter().any(|trusted| trusted == leaf) {
            return match facts::serves(leaf, usage) {
                true => in_time(&facts, now),
                false => Err(CertificateError::InvalidPurpose.into()),
            };
        }
        let leaf = EndEntityCert::try_from(leaf).map_err(pki)?;
        let lists: Vec<_> = self.revoked.iter().collect();
        let depth = match self.only_leaf_revocation {
            true => RevocationCheckDepth::EndEntity,
            false => RevocationCheckDepth::Chain,
        };
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|builder| {
            builder.with_depth(depth).with_expiration_policy(ExpirationPolicy::Enforce).build()
        });
        let purpose = match usage {
            Usage::Client => KeyUsage::client_auth(),
            Usage::Server => KeyUsage::server_auth(),
        };
        let path = |path: &VerifiedPath<'_>| self.verify_path(path, now);
        leaf.verify_for_usage(
            self.algorithms.all,
            &self.anchors,
            between,
            now,
            purpose,
            revocation,
            Some(&path),
        )
        .map(|_| ())
        .map_err(pki)
    }

    /// What webpki leaves open: that those between may sign, and that the trusted one is valid.
    fn verify_path(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), webpki::Error> {
        let now = now.as_secs() as i64;
        if path.intermediate_certificates().count() > self.max_depth {
            return Err(webpki::Error::UnknownIssuer);
        }
        if !path.intermediate_certificates().all(|between| facts::may_sign(&between.der())) {
            return Err(webpki::Error::UnknownIssuer);
        }
        let anchor = path.anchor();
        let is_it = |known: &TrustAnchor<'_>| {
            known.subject == anchor.subject
                && known.subject_public_key_info == anchor.subject_public_key_info
        };
        // Of several with one key and name one that is valid is enough.
        let mut valid =
            self.anchors.iter().zip(&self.anchors_valid).filter(|(known, _)| is_it(known));
        match self.allow_expired || valid.any(|(_, (from, to))| (*from..=*to).contains(&now)) {
            true => Ok(()),
            false => Err(webpki::Error::InvalidCertValidity),
        }
    }
}

/// `custom_validator_config`; it is the only one that says whom to trust.
fn trust_domains(
    message: &CertificateValidationContext,
    provider: &CryptoProvider,
    faults: &mut Faults,
) -> Option<TrustDomains> {
    let any = message.custom_validator_config.as_ref()?.typed_config.as_ref()?;
    for (field, set) in [
        ("trusted_ca", message.trusted_ca.is_some()),
        ("crl", message.crl.is_some()),
        ("verify_certificate_hash", !message.verify_certificate_hash.is_empty()),
        ("verify_certificate_spki", !message.verify_certificate_spki.is_empty()),
    ] {
        if set {
            faults.add_at(field, "no-effect", "custom_validator_config says whom to trust");
        }
    }
    faults.field("custom_validator_config.typed_config", |faults| {
        TrustDomains::compile(any, message, provider, faults)
    })
}

fn digest_of<'a>(
    message: &CertificateValidationContext,
    trusted: impl Iterator<Item = &'a CertificateDer<'static>>,
) -> [u8; 32] {
    let mut bytes = message.encode_to_vec();
    trusted.for_each(|der| bytes.extend_from_slice(der));
    let mut digested = [0; 32];
    digested.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    digested
}

/// As Envoy lists them.
fn all_names(facts: &Certificate) -> String {
    let lists = [&facts.dns_sans, &facts.uri_sans, &facts.email_sans, &facts.ip_sans];
    lists.into_iter().flatten().map(|name| &**name).collect::<Vec<_>>().join(",_")
}

fn in_time(facts: &Certificate, now: UnixTime) -> Result<(), Error> {
    let now = now.as_secs() as i64;
    match () {
        () if now < facts.not_before => Err(CertificateError::NotValidYet.into()),
        () if now > facts.not_after => Err(CertificateError::Expired.into()),
        () => Ok(()),
    }
}

/// Which alert follows depends on the kind of the error.
fn pki(error: webpki::Error) -> Error {
    use webpki::Error as E;
    let kind = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertNotValidYet { .. } => CertificateError::NotValidYet,
        E::CertExpired { .. } | E::CrlExpired { .. } | E::InvalidCertValidity => {
            CertificateError::Expired
        }
        E::CertRevoked => CertificateError::Revoked,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        E::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        _ => return Rejected::Chain.into(),
    };
    kind.into()
}

/// Those of the trusted certificates that may sign others, and when they are valid. The rest are trusted
/// as what they are, and nobody else by them.
fn anchors(trusted: &[CertificateDer<'static>], faults: &mut Faults) -> Option<Anchors> {
    let mut found = (Vec::new(), Vec::new());
    for der in trusted.iter().filter(|der| facts::may_sign(der)) {
        match (webpki::anchor_from_trusted_cert(der), facts::validity(der)) {
            (Ok(anchor), Some(valid)) => {
                found.0.push(anchor.to_owned());
                found.1.push(valid);
            }
            (Err(error), _) => {
                faults.add_at("trusted_ca", "unreadable", error.to_string());
                return None;
            }
            (_, None) => {}
        }
    }
    Some(found)
}

type Anchors = (Vec<TrustAnchor<'static>>, Vec<(i64, i64)>);

/// Those of `crl`, and those that lie among the trusted certificates.
fn revocation_lists(
    message: &CertificateValidationContext,
    trusted: Option<&[u8]>,
    faults: &mut Faults,
) -> Option<Vec<OwnedCertRevocationList>> {
    let own = data_source::read(message.crl.as_ref(), "crl", faults);
    let mut all = Vec::new();
    for (pem, field) in [(own.as_deref(), "crl"), (trusted, "trusted_ca")] {
        let Some(pem) = pem else { continue };
        match read_lists(pem) {
            // A file that says something else would let revoked ones in.
            Ok(lists) if lists.is_empty() && field == "crl" && !pem.trim_ascii().is_empty() => {
                let why = "there is no revocation list in it (PEM is expected)";
                faults.add_at(field, "unreadable", why);
                return None;
            }
            Ok(lists) => all.extend(lists),
            Err(why) => {
                faults.add_at(field, "unreadable", why);
                return None;
            }
        }
    }
    Some(all)
}

fn read_lists(pem: &[u8]) -> Result<Vec<OwnedCertRevocationList>, String> {
    let lists = CertificateRevocationListDer::pem_slice_iter(pem);
    let read = |list: Result<CertificateRevocationListDer<'_>, pem::Error>| {
        let list = list.map_err(|error| error.to_string())?;
        OwnedCertRevocationList::from_der(&list).map_err(|error| error.to_string())
    };
    lists.map(read).collect()
}

fn pins(
    texts: &[String],
    field: &str,
    read: fn(&str) -> Option<[u8; 32]>,
    faults: &mut Faults,
) -> Vec<[u8; 32]> {
    let mut pins = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match read(text) {
            Some(pin) => pins.push(pin),
            None => faults.item(field, index, |faults| {
                faults.add("unreadable", "a SHA-256 is expected");
            }),
        }
    }
    pins
}

/// 64 digits, or pairs of them with colons between.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    bytes?.try_into().ok()
}

fn from_base64(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_32_bytes() {
        let hex = "00:11".to_owned() + &":ff".repeat(30);
        assert_eq!(from_hex(&hex).map(|pin| (pin[1], pin[31])), Some((0x11, 0xff)));
        assert_eq!(from_hex("00"), None);
        assert_eq!(from_base64(&format!("{}=", "A".repeat(43))), Some([0; 32]));
        assert_eq!(from_base64("AA"), None);
    }
}
