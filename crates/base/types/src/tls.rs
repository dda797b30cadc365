//! What is known of a connection's TLS, for routing, forwarded certificates and logs. Plain data.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A connection's TLS, after its handshake.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The suite under OpenSSL's name.
    pub cipher: &'static str,
    /// The group of the key exchange; empty where it isn't known (a resumed TLS 1.2 session).
    pub group: &'static str,
    /// The signature algorithm by which the peer proved itself; empty where it didn't.
    pub proved_by: &'static str,
    /// The name that the client asked for (SNI).
    pub server_name: Option<Box<str>>,
    /// The protocol that was agreed on (ALPN).
    pub application: Option<Box<[u8]>>,
    /// An earlier session was resumed.
    pub resumed: bool,
    pub peer: Option<Arc<Certificate>>,
    /// The peer's certificate was checked against trusted ones or pins.
    pub validated: bool,
    /// It failed the check, and was let in all the same (`ACCEPT_UNTRUSTED`).
    pub forgiven: bool,
    /// Our own.
    pub local: Option<Arc<Certificate>>,
}

/// What of a certificate is asked for, as text. Fingerprints and numbers in lower-case hexadecimal.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    /// RFC 2253, e.g. `CN=a,O=b`.
    pub subject: Box<str>,
    pub issuer: Box<str>,
    pub serial: Box<str>,
    pub sha256: Box<str>,
    pub sha1: Box<str>,
    pub uri_sans: Vec<Box<str>>,
    pub dns_sans: Vec<Box<str>>,
    pub ip_sans: Vec<Box<str>>,
    pub email_sans: Vec<Box<str>>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// DER.
    pub der: Box<[u8]>,
}

impl Certificate {
    /// PEM whose special characters are `%` and two digits.
    pub fn url_encoded_pem(&self) -> String {
        let mut out = String::from("-----BEGIN%20CERTIFICATE-----%0A");
        for (place, char) in STANDARD.encode(&self.der).chars().enumerate() {
            if place > 0 && place % 64 == 0 {
                out.push_str("%0A");
            }
            match char {
                '+' => out.push_str("%2B"),
                '/' => out.push_str("%2F"),
                '=' => out.push_str("%3D"),
                plain => out.push(plain),
            }
        }
        out.push_str("%0A-----END%20CERTIFICATE-----%0A");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_cut_into_lines_and_escaped() {
        let certificate = Certificate { der: [0xfb; 49].into(), ..Certificate::default() };
        let pem = certificate.url_encoded_pem();
        assert!(pem.contains("%2B%2Fv7%2B") && pem.matches("%0A").count() == 4, "{pem}");
    }
}
