//! A certificate's facts, read from its DER.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use dragoman_types::tls::Certificate;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

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
            GeneralName::DNSName(name) => facts.dns_sans.push((*name).into()),
            GeneralName::URI(name) => facts.uri_sans.push((*name).into()),
            GeneralName::RFC822Name(name) => facts.email_sans.push((*name).into()),
            GeneralName::IPAddress(octets) => {
                facts.ip_sans.extend(address(octets).map(|ip| ip.to_string().into()));
            }
            _ => {}
        }
    }
    Ok(facts)
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

/// The name as RFC 2253 writes it: most specific part first.
fn rfc2253(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in name.iter_rdn() {
        let attributes = part.iter().map(|attribute| {
            let kind = attribute.attr_type();
            let kind =
                oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_string(), str::to_owned);
            format!("{kind}={}", escaped(attribute.as_str().unwrap_or_default()))
        });
        parts.push(attributes.collect::<Vec<_>>().join("+"));
    }
    parts.reverse();
    parts.join(",")
}

/// RFC 2253 section 2.4.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, char) in value.chars().enumerate() {
        let special = matches!(char, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (place == 0 && matches!(char, ' ' | '#'))
            || (place == last && char == ' ');
        if special {
            out.push('\\');
        }
        out.push(char);
    }
    out
}
