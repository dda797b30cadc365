//! What Envoy logs (`%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`) of bytes that are no ClientHello: the
//! error of BoringSSL. Seen at an Envoy 1.40.

macro_rules! error {
    ($code:literal, $name:literal) => {
        concat!(
            "TLS_error|error:",
            $code,
            ":SSL_routines:OPENSSL_internal:",
            $name,
            ":TLS_error_end"
        )
    };
}

pub(super) const HTTP_REQUEST: &str = error!("1000009c", "HTTP_REQUEST");
pub(super) const PROXY_REQUEST: &str = error!("1000009b", "HTTPS_PROXY_REQUEST");
pub(super) const WRONG_VERSION: &str = error!("100000f7", "WRONG_VERSION_NUMBER");
pub(super) const UNEXPECTED_RECORD: &str = error!("100000e1", "UNEXPECTED_RECORD");
pub(super) const EMPTY_RECORD: &str = error!("100000db", "TOO_MANY_EMPTY_FRAGMENTS");
pub(super) const LONG_RECORD: &str = error!("10000092", "ENCRYPTED_LENGTH_TOO_LONG");
pub(super) const UNEXPECTED_MESSAGE: &str = error!("100000df", "UNEXPECTED_MESSAGE");
pub(super) const LONG_MESSAGE: &str = error!("10000096", "EXCESSIVE_MESSAGE_SIZE");
pub(super) const MALFORMED: &str = error!("10000083", "CLIENTHELLO_PARSE_FAILED");
pub(super) const MALFORMED_EXTENSION: &str = error!("10000095", "ERROR_PARSING_EXTENSION");
pub(super) const REJECTED: &str = error!("10000085", "CONNECTION_REJECTED");
