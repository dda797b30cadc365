//! What request and response heads share: where a head ends, and which fields decide framing.

use dragoman_types::{HeaderId, Headers, id};
use memchr::memchr;

use super::error::ParseError;
use crate::message::Limits;

/// The most fields that any configuration may allow: bounds the parser's table.
pub const MAX_FIELDS: usize = 1024;
/// Fields parsed on the stack before a larger table is tried.
pub(super) const USUAL_FIELDS: usize = 64;

/// Finds the head's end in `buf`, resuming at `scanned` (bytes known to hold no end).
/// Returns the length of the head with its empty line, or `None` for "need more".
pub(super) fn find_end(
    buf: &[u8],
    scanned: &mut usize,
    limits: &Limits,
) -> Result<Option<usize>, ParseError> {
    let mut at = *scanned;
    while let Some(offset) = memchr(b'\n', &buf[at..]) {
        let lf = at + offset;
        if lf == 0 || buf[lf - 1] != b'\r' {
            return Err(ParseError::BareLineEnd);
        }
        if lf >= 3 && buf[lf - 2] == b'\n' {
            let end = lf + 1;
            return if end > limits.head_bytes {
                Err(ParseError::HeadTooLarge)
            } else {
                Ok(Some(end))
            };
        }
        at = lf + 1;
    }
    *scanned = buf.len();
    if buf.len() >= limits.head_bytes { Err(ParseError::HeadTooLarge) } else { Ok(None) }
}

/// Takes the fields that a parser found into `headers`, and what they say about framing.
pub(super) fn take_fields(
    parsed: &[httparse::Header<'_>],
    headers: &mut Headers,
) -> Result<FramingFields, ParseError> {
    let mut fields = FramingFields::default();
    for field in parsed {
        let id = HeaderId::of(field.name.as_bytes());
        fields.note(id, field.name.len(), field.value)?;
        match id {
            id::OTHER => headers.push(field.name.as_bytes(), field.value),
            id::HOST => headers.append(id::AUTHORITY, field.value),
            known => headers.append(known, field.value),
        }
    }
    Ok(fields)
}

/// What the fields say about framing, gathered field by field.
#[derive(Default)]
pub(super) struct FramingFields {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) hosts: u32,
    pub(super) upgrade: bool,
    pub(super) expect_continue: bool,
    /// Names and values, three bytes more a field: how Envoy counts received header bytes.
    pub(super) bytes: u64,
}

impl FramingFields {
    #[inline]
    pub(super) fn note(
        &mut self,
        id: HeaderId,
        name_len: usize,
        value: &[u8],
    ) -> Result<(), ParseError> {
        self.bytes += (name_len + value.len() + 3) as u64;
        match id {
            id::CONTENT_LENGTH => {
                let length = content_length(value)?;
                // One field, once: repeated lengths are how requests are smuggled.
                if self.length.replace(length).is_some() {
                    return Err(ParseError::ContentLength);
                }
            }
            id::TRANSFER_ENCODING => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ParseError::TransferEncoding);
                }
                self.chunked = true;
            }
            id::PROXY_CONNECTION => {
                self.close |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"close"));
            }
            id::CONNECTION => {
                for token in tokens(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            id::HOST => self.hosts += 1,
            id::UPGRADE => self.upgrade = true,
            id::EXPECT => self.expect_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ParseError> {
        if self.chunked && self.length.is_some() {
            return Err(ParseError::LengthAndChunked);
        }
        if self.hosts > 1 {
            return Err(ParseError::SeveralHosts);
        }
        Ok(())
    }
}

/// Comma-separated tokens without their white space.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|t| !t.is_empty())
}

/// 1*DIGIT and nothing else (RFC 9110 section 8.6).
fn content_length(value: &[u8]) -> Result<u64, ParseError> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(ParseError::ContentLength);
    }
    let length = value.iter().fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    // Beyond what a signed 64-bit number holds, a reader behind us may see something else.
    if length > i64::MAX as u64 { Err(ParseError::ContentLength) } else { Ok(length) }
}

pub(super) fn from_httparse(error: httparse::Error) -> ParseError {
    match error {
        httparse::Error::HeaderName => ParseError::FieldName,
        httparse::Error::HeaderValue => ParseError::FieldValue,
        httparse::Error::NewLine => ParseError::BareLineEnd,
        httparse::Error::Status => ParseError::Status,
        httparse::Error::Token => ParseError::StartLine,
        httparse::Error::TooManyHeaders => ParseError::TooManyFields,
        httparse::Error::Version => ParseError::Version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_digits_only() {
        for bad in [
            "",
            "+5",
            "-1",
            "0x5",
            "5,5",
            " 5",
            "5 ",
            "1_0",
            "99999999999999999999",
            "9223372036854775808",
        ] {
            assert_eq!(content_length(bad.as_bytes()), Err(ParseError::ContentLength), "{bad:?}");
        }
        assert_eq!(content_length(b"0042"), Ok(42));
    }

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        let limits = Limits { head_bytes: 100, fields: 10 };
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\ntail";
        assert_eq!(find_end(head, &mut 0, &limits), Ok(Some(27)));
        let mut scanned = 0;
        for end in 0..27 {
            assert_eq!(find_end(&head[..end], &mut scanned, &limits), Ok(None), "{end}");
        }
        assert_eq!(find_end(&head[..27], &mut scanned, &limits), Ok(Some(27)));
        assert_eq!(find_end(b"GET /\n", &mut 0, &limits), Err(ParseError::BareLineEnd));
        assert_eq!(find_end(&[b'a'; 100], &mut 0, &limits), Err(ParseError::HeadTooLarge));
    }
}
