//! A certificate's facts, read from its DER.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use dragoman_types::tls::Certificate;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::subject::rfc2253;

/// What `der` says, or what is wrong with it.
pub(super) fn certificate(der: &[u8]) -> Result<Certificate, String> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let mut facts = Certificate {
        subject: rfc2253(parsed.subject()).into(),
        issuer: rfc2253(parsed.issuer()).into(),
        serial: hex(trim_zeros(parsed.raw_serial())).into(),
        sha256: hex(digest(&SHA256, der).as_ref()).into(),
        sha1: hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()).into(),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
        der: der.into(),
        ..Certificate::default()
    };
    let names = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(name) => facts.dns_sans.extend(harmless(name)),
            GeneralName::URI(name) => facts.uri_sans.extend(harmless(name)),
            GeneralName::RFC822Name(name) => facts.email_sans.extend(harmless(name)),
            GeneralName::IPAddress(octets) => {
                facts.ip_sans.extend(address(octets).map(|ip| ip.to_string().into()));
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// Its serial number, as it is encoded.
pub(super) fn serial(der: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(parsed.raw_serial().to_vec())
}

/// When a certificate expires, in seconds since 1970.
pub(super) fn not_after(der: &[u8]) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// The common name of a certificate's subject.
pub(super) fn common_name(der: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    parsed.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// SHA-256 of a certificate's public key (SubjectPublicKeyInfo).
pub(super) fn spki_sha256(der: &[u8]) -> Option<[u8; 32]> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    digest(&SHA256, parsed.public_key().raw).as_ref().try_into().ok()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| DIGITS[usize::from(n)] as char;
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn trim_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros.min(number.len().saturating_sub(1))..]
}

/// A name that may stand in a field or a line. One with control bytes is nobody's name: it could end the
/// field it's written into, and is as if it weren't there.
fn harmless(name: &str) -> Option<Box<str>> {
    (!name.chars().any(char::is_control)).then(|| name.into())
}

/// Whether a certificate may sign others: it says so, and doesn't take it back by its key's usage.
pub(super) fn may_sign(der: &[u8]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return false };
    let is_ca = parsed.basic_constraints().ok().flatten().is_some_and(|found| found.value.ca);
    // Malformed is as good as not allowed.
    let usage = parsed.key_usage();
    is_ca && usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()))
}

/// Whether a certificate's key may sign a handshake, which is all that keys do here: RFC 5280 section
/// 4.2.1.3.
pub(super) fn may_sign_handshakes(der: &[u8]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return false };
    let usage = parsed.key_usage();
    usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.value.digital_signature()))
}

/// What a certificate proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Usage {
    Client,
    Server,
}

impl Usage {
    /// The other end's.
    pub(super) fn other(self) -> Usage {
        match self {
            Usage::Client => Usage::Server,
            Usage::Server => Usage::Client,
        }
    }
}

/// Whether a certificate may be used so.
pub(super) fn serves(der: &[u8], usage: Usage) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return false };
    let allowed = parsed.extended_key_usage();
    allowed.is_ok_and(|found| {
        found.is_none_or(|found| match usage {
            Usage::Client => found.value.client_auth || found.value.any,
            Usage::Server => found.value.server_auth || found.value.any,
        })
    })
}

/// When a certificate is valid, in seconds since 1970.
pub(super) fn validity(der: &[u8]) -> Option<(i64, i64)> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let validity = parsed.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_no_field() {
        assert_eq!(harmless("a\r\nb"), None);
        assert_eq!(harmless("a.b").as_deref(), Some("a.b"));
    }
}
