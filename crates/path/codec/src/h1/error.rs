//! Everything that can be wrong with a peer's HTTP/1 bytes.

use std::fmt;

/// A message that is refused. The texts in [`ParseError::details`] are the proxy's
/// `%RESPONSE_CODE_DETAILS%`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// The request or status line isn't one.
    StartLine,
    Method,
    Target,
    /// A control character anywhere in a head that is malformed.
    ControlByte,
    /// A byte that no target may hold.
    TargetByte,
    Version,
    /// A version that isn't ours, well-formed: `HTTP/2.0`.
    OtherVersion,
    /// A field name that isn't a token, or white space before the colon, or no colon, or folding.
    FieldName,
    /// A control character in a value.
    FieldValue,
    /// A CR without LF, or an LF without CR.
    BareLineEnd,
    HeadTooLarge,
    TooManyFields,
    ContentLength,
    TransferEncoding,
    /// Content-Length together with Transfer-Encoding.
    LengthAndChunked,
    /// Transfer-Encoding in HTTP/1.0.
    ChunkedInHttp10,
    SeveralHosts,
    /// A chunk size line, chunk end, or its extension.
    Chunk,
    Trailer,
    /// `Upgrade` or status 101 where none was agreed.
    Status,
}

impl ParseError {
    /// Envoy's name of the failure, where it has one: `http1.codec_error` otherwise.
    pub fn details(self) -> &'static str {
        match self {
            ParseError::HeadTooLarge => "http1.headers_too_large",
            ParseError::TooManyFields => "http1.too_many_headers",
            ParseError::TransferEncoding => "http1.invalid_transfer_encoding",
            ParseError::LengthAndChunked => "http1.content_length_and_chunked_not_allowed",
            ParseError::Target => "http1.invalid_url",
            ParseError::OtherVersion => "low_version",
            ParseError::FieldValue | ParseError::ControlByte => "http1.invalid_characters",
            _ => "http1.codec_error",
        }
    }

    /// What was wrong, for people.
    pub fn text(self) -> &'static str {
        match self {
            ParseError::StartLine => "malformed start line",
            ParseError::Method => "malformed method",
            ParseError::Target | ParseError::TargetByte => "malformed request target",
            ParseError::ControlByte => "control character",
            ParseError::Version | ParseError::OtherVersion => "unsupported HTTP version",
            ParseError::FieldName => "malformed header field name",
            ParseError::FieldValue => "forbidden character in a header field value",
            ParseError::BareLineEnd => "line end that is not CRLF",
            ParseError::HeadTooLarge => "head larger than the limit",
            ParseError::TooManyFields => "more header fields than the limit",
            ParseError::ContentLength => "malformed or conflicting content-length",
            ParseError::TransferEncoding => "transfer-encoding other than exactly chunked",
            ParseError::LengthAndChunked => "both content-length and transfer-encoding",
            ParseError::ChunkedInHttp10 => "transfer-encoding in HTTP/1.0",
            ParseError::SeveralHosts => "more than one host field",
            ParseError::Chunk => "malformed chunk",
            ParseError::Trailer => "malformed trailer",
            ParseError::Status => "malformed status",
        }
    }

    /// The answer to a request like this.
    pub fn status(self) -> u16 {
        match self {
            ParseError::HeadTooLarge | ParseError::TooManyFields => 431,
            // RFC 9112 section 6.1: a coding that isn't understood.
            ParseError::TransferEncoding => 501,
            ParseError::OtherVersion => 426,
            _ => 400,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for ParseError {}
