//! Why a handshake failed, in the words that Envoy's logs have for it (those of BoringSSL's error
//! queue): what people search for in logs stays what it is.

use rustls::{AlertDescription, CertificateError, Error};

use super::rejected::Rejected;
use super::stream::HandshakeError;
use super::verifier::WRONG_USAGE;

/// BoringSSL's number of its error 0 in the library of TLS.
const LIBRARY: u32 = 0x1000_0000;
const CERTIFICATE_VERIFY_FAILED: u32 = LIBRARY + 125;
const NO_CERTIFICATE_RETURNED: u32 = LIBRARY + 192;
const UNEXPECTED_MESSAGE: u32 = LIBRARY + 223;
const WRONG_VERSION_NUMBER: u32 = LIBRARY + 247;
const HTTPS_PROXY_REQUEST: u32 = LIBRARY + 155;
const HTTP_REQUEST: u32 = LIBRARY + 156;
const KEY_USAGE: u32 = LIBRARY + 302;
const HELLO_REFUSED: u32 = LIBRARY + 154;
/// Received alerts count from here.
const ALERTS: u32 = LIBRARY + 1000;

impl HandshakeError {
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`; `None` where the peer just went.
    pub fn reason(&self) -> Option<String> {
        match self {
            HandshakeError::Closed => None,
            HandshakeError::Io(error) => {
                let number = 0x0200_0000 + error.raw_os_error().unwrap_or_default() as u32;
                let text = error.to_string();
                let text = text.split(" (os error").next().unwrap_or_default().replace(' ', "_");
                Some(format!(
                    "TLS_error:|{number}:system_library:OPENSSL_internal:{text}:TLS_error_end"
                ))
            }
            HandshakeError::HelloRefused => {
                let alert = ALERTS + u32::from(u8::from(AlertDescription::HandshakeFailure));
                let text = format!(
                    "SSLV3_ALERT_HANDSHAKE_FAILURE|{HELLO_REFUSED}:SSL_routines:OPENSSL_internal:HANDSHAKE_FAILURE_ON_CLIENT_HELLO"
                );
                Some(queued(alert, &text))
            }
            HandshakeError::PlainHttp { connect: false } => {
                Some(queued(HTTP_REQUEST, "HTTP_REQUEST"))
            }
            HandshakeError::PlainHttp { connect: true } => {
                Some(queued(HTTPS_PROXY_REQUEST, "HTTPS_PROXY_REQUEST"))
            }
            HandshakeError::Tls(error) => Some(of_tls(error)),
        }
    }
}

fn queued(number: u32, text: &str) -> String {
    format!("TLS_error:|{number}:SSL_routines:OPENSSL_internal:{text}:TLS_error_end")
}

fn of_tls(error: &Error) -> String {
    match error {
        Error::NoCertificatesPresented => queued(
            NO_CERTIFICATE_RETURNED,
            "PEER_DID_NOT_RETURN_A_CERTIFICATE:peer_did_not_provide_required_client_certificate",
        ),
        Error::InvalidCertificate(error) => {
            let why = unverified(error);
            let text = format!("CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_{why}");
            queued(CERTIFICATE_VERIFY_FAILED, &text)
        }
        Error::AlertReceived(alert) => {
            let number = ALERTS + u32::from(u8::from(*alert));
            queued(number, alert_name(*alert))
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            queued(UNEXPECTED_MESSAGE, "UNEXPECTED_MESSAGE")
        }
        error if *error == WRONG_USAGE => queued(KEY_USAGE, "KEY_USAGE_BIT_INCORRECT"),
        Error::InvalidMessage(_) => queued(WRONG_VERSION_NUMBER, "WRONG_VERSION_NUMBER"),
        other => format!("TLS_error:_{}", other.to_string().replace(' ', "_")),
    }
}

fn unverified(error: &CertificateError) -> String {
    let chain = match error {
        CertificateError::UnknownIssuer | CertificateError::UnknownRevocationStatus => {
            "unable_to_get_local_issuer_certificate"
        }
        CertificateError::Expired => "certificate_has_expired",
        CertificateError::NotValidYet => "certificate_is_not_yet_valid",
        CertificateError::Revoked => "certificate_revoked",
        CertificateError::InvalidPurpose => "unsupported_certificate_purpose",
        CertificateError::BadSignature => "certificate_signature_failure",
        CertificateError::Other(_) => match Rejected::of_certificate(error) {
            Rejected::Name(names) => {
                return format!("SAN_matcher,_certificate_SANs_are_[{names}]");
            }
            Rejected::NotAsked { asked, names } => {
                let expected = format!("expected_SANs:_[{asked}]");
                return format!("verify_SAN_list,_{expected},_certificate_SANs:_[{names}]");
            }
            Rejected::Pin => return "cert_hash_and_spki".into(),
            Rejected::NoTrustDomain => return "no_trust_bundle_store".into(),
            Rejected::NotWanted => return "SAN_match".into(),
            Rejected::Nobody | Rejected::Chain => "invalid_certificate_chain",
        },
        _ => "invalid_certificate",
    };
    format!("X509_verify_cert:_certificate_verification_error_at_depth_0:_{chain}")
}

fn alert_name(alert: AlertDescription) -> &'static str {
    use AlertDescription as A;
    match alert {
        A::UnexpectedMessage => "SSLV3_ALERT_UNEXPECTED_MESSAGE",
        A::BadRecordMac => "SSLV3_ALERT_BAD_RECORD_MAC",
        A::RecordOverflow => "TLSV1_ALERT_RECORD_OVERFLOW",
        A::HandshakeFailure => "SSLV3_ALERT_HANDSHAKE_FAILURE",
        A::BadCertificate => "SSLV3_ALERT_BAD_CERTIFICATE",
        A::UnsupportedCertificate => "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        A::CertificateRevoked => "SSLV3_ALERT_CERTIFICATE_REVOKED",
        A::CertificateExpired => "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        A::CertificateUnknown => "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        A::IllegalParameter => "SSLV3_ALERT_ILLEGAL_PARAMETER",
        A::UnknownCA => "TLSV1_ALERT_UNKNOWN_CA",
        A::AccessDenied => "TLSV1_ALERT_ACCESS_DENIED",
        A::DecodeError => "TLSV1_ALERT_DECODE_ERROR",
        A::DecryptError => "TLSV1_ALERT_DECRYPT_ERROR",
        A::ProtocolVersion => "TLSV1_ALERT_PROTOCOL_VERSION",
        A::InsufficientSecurity => "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        A::InternalError => "TLSV1_ALERT_INTERNAL_ERROR",
        A::UnrecognisedName => "TLSV1_ALERT_UNRECOGNIZED_NAME",
        A::CertificateRequired => "TLSV1_ALERT_CERTIFICATE_REQUIRED",
        A::NoApplicationProtocol => "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
        _ => "ALERT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_envoys_logs() {
        let told = |error: Error| HandshakeError::Tls(error).reason().unwrap();
        assert_eq!(
            told(Error::AlertReceived(AlertDescription::HandshakeFailure)),
            "TLS_error:|268436496:SSL_routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end"
        );
        assert_eq!(
            told(CertificateError::UnknownIssuer.into()),
            "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_X509_verify_cert:_certificate_verification_error_at_depth_0:_unable_to_get_local_issuer_certificate:TLS_error_end"
        );
        assert!(told(Error::NoCertificatesPresented).contains("|268435648:"));
        let reset = std::io::Error::from_raw_os_error(104);
        assert_eq!(
            HandshakeError::Io(reset).reason().unwrap(),
            "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end"
        );
    }
}
