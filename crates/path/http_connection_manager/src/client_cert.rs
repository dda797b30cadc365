//! `x-forwarded-client-cert`: what the next hop is told of the client's certificate.
//! Source: `HttpConnectionManager.{forward_client_cert_details,set_current_client_cert_details}`.

use dragoman_proto::bool_or;
use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager as hcm,
};
use dragoman_types::tls::{Certificate, Tls};
use dragoman_types::{Headers, id};

/// What happens to the field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ForwardClientCert {
    #[default]
    Sanitize,
    /// Kept on connections whose client showed a certificate.
    ForwardOnly,
    AlwaysForwardOnly,
    /// The client's certificate is added to what came.
    AppendForward(Details),
    /// The client's certificate replaces what came.
    SanitizeSet(Details),
}

/// What is told besides the hash of the certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Details {
    subject: bool,
    cert: bool,
    dns: bool,
    uri: bool,
}

impl ForwardClientCert {
    pub(crate) fn compile(m: &HttpConnectionManager) -> ForwardClientCert {
        use hcm::ForwardClientCertDetails as Mode;
        let set = m.set_current_client_cert_details.unwrap_or_default();
        let details = Details {
            subject: bool_or(set.subject.as_ref(), false),
            cert: set.cert,
            dns: set.dns,
            uri: set.uri,
        };
        match m.forward_client_cert_details() {
            Mode::Sanitize => ForwardClientCert::Sanitize,
            Mode::ForwardOnly => ForwardClientCert::ForwardOnly,
            Mode::AlwaysForwardOnly => ForwardClientCert::AlwaysForwardOnly,
            Mode::AppendForward => ForwardClientCert::AppendForward(details),
            Mode::SanitizeSet => ForwardClientCert::SanitizeSet(details),
        }
    }

    pub(crate) fn apply(self, headers: &mut Headers, tls: Option<&Tls>) {
        let peer = tls.and_then(|tls| Some((tls, tls.peer.as_deref()?)));
        match (self, peer) {
            (ForwardClientCert::AlwaysForwardOnly, _)
            | (ForwardClientCert::ForwardOnly, Some(_)) => {}
            (ForwardClientCert::AppendForward(details), Some((tls, peer))) => {
                let told = details.told(tls, peer);
                match headers.get(id::X_FORWARDED_CLIENT_CERT) {
                    None | Some(b"") => headers.set(id::X_FORWARDED_CLIENT_CERT, told.as_bytes()),
                    Some(_) => headers.join(id::X_FORWARDED_CLIENT_CERT, b",", told.as_bytes()),
                }
            }
            (ForwardClientCert::SanitizeSet(details), Some((tls, peer))) => {
                let told = details.told(tls, peer);
                headers.set(id::X_FORWARDED_CLIENT_CERT, told.as_bytes());
            }
            (ForwardClientCert::Sanitize, _) | (_, None) => {
                headers.remove(id::X_FORWARDED_CLIENT_CERT);
            }
        }
    }
}

impl Details {
    /// One element of the field: pairs with semicolons between.
    fn told(self, tls: &Tls, peer: &Certificate) -> String {
        let ours = tls.local.iter().flat_map(|local| &local.uri_sans);
        let mut pairs: Vec<String> = ours.map(|name| format!("By={name}")).collect();
        pairs.push(format!("Hash={}", peer.sha256));
        if self.cert {
            pairs.push(format!("Cert=\"{}\"", peer.url_encoded_pem()));
        }
        if self.subject {
            pairs.push(format!("Subject=\"{}\"", peer.subject));
        }
        if self.uri {
            // A client without such a name says so.
            let nothing = peer.uri_sans.is_empty().then(|| "URI=".to_owned());
            pairs.extend(peer.uri_sans.iter().map(|name| format!("URI={name}")).chain(nothing));
        }
        if self.dns {
            pairs.extend(peer.dns_sans.iter().map(|name| format!("DNS={name}")));
        }
        pairs.join(";")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn tls(peer: Option<Certificate>) -> Tls {
        let local = Certificate { uri_sans: vec!["spiffe://us".into()], ..Default::default() };
        Tls { peer: peer.map(Arc::new), local: Some(Arc::new(local)), ..Tls::default() }
    }

    fn applied(mode: ForwardClientCert, tls: Option<&Tls>) -> Option<String> {
        let mut headers = Headers::default();
        headers.set(id::X_FORWARDED_CLIENT_CERT, b"Hash=0");
        mode.apply(&mut headers, tls);
        headers.get(id::X_FORWARDED_CLIENT_CERT).map(|v| String::from_utf8_lossy(v).into_owned())
    }

    #[test]
    fn each_mode_does_what_it_says() {
        let peer = Certificate {
            subject: "CN=x,O=y".into(),
            sha256: "ab".into(),
            dns_sans: vec!["a.b".into(), "c.d".into()],
            ..Certificate::default()
        };
        let with = tls(Some(peer));
        let without = tls(None);
        let details = Details { subject: true, dns: true, uri: true, cert: false };
        let told = "By=spiffe://us;Hash=ab;Subject=\"CN=x,O=y\";URI=;DNS=a.b;DNS=c.d";
        let appended = format!("Hash=0,{told}");
        use ForwardClientCert::*;
        for (mode, tls, expected) in [
            (Sanitize, Some(&with), None),
            (ForwardOnly, Some(&with), Some("Hash=0")),
            (ForwardOnly, Some(&without), None),
            (ForwardOnly, None, None),
            (AlwaysForwardOnly, None, Some("Hash=0")),
            (AppendForward(details), Some(&with), Some(&*appended)),
            (AppendForward(details), Some(&without), None),
            (SanitizeSet(details), Some(&with), Some(told)),
            (SanitizeSet(details), None, None),
        ] {
            assert_eq!(applied(mode, tls).as_deref(), expected, "{mode:?}");
        }
    }
}
