//! Response heads.

use dragoman_types::{ResponseHead, Version};
use std::mem::MaybeUninit;

use super::error::ParseError;
use super::head::{FramingFields, MAX_FIELDS, USUAL_FIELDS, find_end, from_httparse, take_fields};
use super::plain;
use crate::message::{Framing, Limits, Response};

/// Parses the head at the start of `buf` into `head` (cleared first), as the answer to a request
/// that was (`to_head`) or wasn't a HEAD request.
///
/// # Errors
/// [`ParseError`] for anything that isn't exactly one well-framed head within `limits`.
pub fn parse_response(
    buf: &[u8],
    scanned: &mut usize,
    limits: &Limits,
    to_head: bool,
    head: &mut ResponseHead,
) -> Result<Option<Response>, ParseError> {
    if !could_be_response(buf) {
        return Err(ParseError::StartLine);
    }
    if *scanned == 0
        && let Some(found) = at_once(buf, limits, to_head, head)
    {
        return Ok(Some(found));
    }
    let Some(end) = find_end(buf, scanned, limits)? else { return Ok(None) };
    *scanned = 0;
    let mut usual = [MaybeUninit::uninit(); USUAL_FIELDS];
    match fill(&buf[..end], &mut usual, limits, to_head, head) {
        Err(ParseError::TooManyFields) if limits.fields > USUAL_FIELDS => {
            let mut many = vec![MaybeUninit::uninit(); limits.fields.min(MAX_FIELDS)];
            fill(&buf[..end], &mut many, limits, to_head, head).map(Some)
        }
        other => other.map(Some),
    }
}

/// Bytes that don't begin as a status line are refused at once, not waited on.
fn could_be_response(buf: &[u8]) -> bool {
    let wanted = b"HTTP/1.";
    let n = buf.len().min(wanted.len());
    buf[..n] == wanted[..n]
}

/// Most heads come as a whole, in lines as we write them ourselves: one look finds their end too.
/// `None`: not so, or something is wrong; the careful way tells.
fn at_once(
    buf: &[u8],
    limits: &Limits,
    to_head: bool,
    head: &mut ResponseHead,
) -> Option<Response> {
    let status = buf.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<4>()?;
    let [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' '] = *status else {
        return None;
    };
    let end = plain::text_end(buf, 13);
    if buf.get(end..end + 2)? != b"\r\n" {
        return None;
    }
    head.clear();
    head.version = Version::Http11;
    let digit = |byte: u8| u16::from(byte - b'0');
    head.status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    let (n, fields) = plain::take(buf, end + 2, limits.fields, &mut head.headers)?;
    if n > limits.head_bytes {
        return None;
    }
    finish(fields, head, to_head, n).ok()
}

fn fill<'b>(
    bytes: &'b [u8],
    table: &mut [MaybeUninit<httparse::Header<'b>>],
    limits: &Limits,
    to_head: bool,
    head: &mut ResponseHead,
) -> Result<Response, ParseError> {
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, bytes, table) {
        Ok(httparse::Status::Complete(n)) if n == bytes.len() => {}
        Ok(_) => return Err(ParseError::StartLine),
        Err(error) => return Err(from_httparse(error)),
    }
    begin(&parsed, limits, head)?;
    let fields = take_fields(parsed.headers, &mut head.headers)?;
    finish(fields, head, to_head, bytes.len())
}

/// The status line, and whether there are too many fields.
fn begin(
    parsed: &httparse::Response<'_, '_>,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<(), ParseError> {
    if parsed.headers.len() > limits.fields {
        return Err(ParseError::TooManyFields);
    }
    head.clear();
    head.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    head.status = parsed.code.unwrap_or_default();
    if !(100..=999).contains(&head.status) {
        return Err(ParseError::Status);
    }
    Ok(())
}

fn finish(
    mut fields: FramingFields,
    head: &ResponseHead,
    to_head: bool,
    consumed: usize,
) -> Result<Response, ParseError> {
    fields.hosts = 0;
    fields.check()?;
    let never_has_body = matches!(head.status, 100..=199 | 204);
    if never_has_body && (fields.chunked || fields.length.is_some_and(|length| length > 0)) {
        return Err(ParseError::ContentLength);
    }
    Ok(framing(&fields, head, to_head, consumed))
}

/// RFC 9112 section 6.3.
fn framing(
    fields: &FramingFields,
    head: &ResponseHead,
    to_head: bool,
    consumed: usize,
) -> Response {
    let interim = (100..200).contains(&head.status) && head.status != 101;
    let bodyless = to_head || interim || matches!(head.status, 101 | 204 | 304);
    let framing = match fields.length {
        _ if bodyless => Framing::None,
        _ if fields.chunked => Framing::Chunked,
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    let keep_alive = framing != Framing::UntilClose
        && match head.version {
            Version::Http10 => fields.keep_alive && !fields.close,
            _ => !fields.close,
        };
    Response { consumed, framing, keep_alive, interim, field_bytes: fields.bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head_bytes: 8192, fields: 100 };

    fn parse(text: &str, to_head: bool) -> Result<(Response, ResponseHead), ParseError> {
        let mut head = ResponseHead::default();
        let response = parse_response(text.as_bytes(), &mut 0, &LIMITS, to_head, &mut head)?;
        Ok((response.expect("a whole head"), head))
    }

    #[test]
    fn framing_follows_status_method_and_fields() {
        let framing = |text: &str, to_head| parse(text, to_head).unwrap().0.framing;
        let sized = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(framing(sized, false), Framing::Length(5));
        assert_eq!(framing(sized, true), Framing::None);
        assert_eq!(framing("HTTP/1.1 304 x\r\ncontent-length: 5\r\n\r\n", false), Framing::None);
        assert_eq!(framing("HTTP/1.1 204\r\n\r\n", false), Framing::None);
        assert_eq!(framing("HTTP/1.0 200 OK\r\n\r\n", false), Framing::UntilClose);
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", false),
            Framing::Chunked
        );
    }

    #[test]
    fn garbage_is_refused_at_the_first_byte_that_shows_it() {
        let mut head = ResponseHead::default();
        let got = parse_response(b"SSH-2.0", &mut 0, &LIMITS, false, &mut head);
        assert_eq!(got, Err(ParseError::StartLine));
        assert_eq!(parse_response(b"HTT", &mut 0, &LIMITS, false, &mut head), Ok(None));
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for bad in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\nset-cookie: b\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/3.1 200 OK\r\n\r\n",
        ] {
            assert!(parse(bad, false).is_err(), "accepted {bad:?}");
        }
    }
}
