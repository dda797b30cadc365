//! Request heads.

use dragoman_types::{RequestHead, Version, id};
use std::mem::MaybeUninit;

use super::error::ParseError;
use super::head::{FramingFields, MAX_FIELDS, USUAL_FIELDS, find_end, from_httparse, take_fields};
use super::plain;
use crate::message::{Framing, Limits, Request};

/// Parses the head at the start of `buf` into `head` (cleared first). `scanned` remembers progress
/// between calls on a growing buffer and is reset to 0 once a head was taken. Empty lines before
/// the request line must be dropped by the caller ([`skip_empty_lines`]).
///
/// # Errors
/// [`ParseError`] for anything that isn't exactly one well-framed head within `limits`.
pub fn parse_request(
    buf: &[u8],
    scanned: &mut usize,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<Request>, ParseError> {
    if *scanned == 0
        && let Some(found) = at_once(buf, limits, head)
    {
        return Ok(Some(found));
    }
    // What can't begin a method isn't waited for.
    if *scanned == 0 && buf.first().is_some_and(|byte| !byte.is_ascii_graphic() && *byte != b'\r') {
        return Err(ParseError::Method);
    }
    let Some(end) = find_end(buf, scanned, limits)? else { return Ok(None) };
    *scanned = 0;
    let mut usual = [MaybeUninit::uninit(); USUAL_FIELDS];
    match fill(&buf[..end], &mut usual, limits, head) {
        Err(ParseError::TooManyFields) if limits.fields > USUAL_FIELDS => {
            let mut many = vec![MaybeUninit::uninit(); limits.fields.min(MAX_FIELDS)];
            fill(&buf[..end], &mut many, limits, head).map(Some)
        }
        other => other.map(Some),
    }
}

/// The number of bytes of CRLFs before a request line (RFC 9112 section 2.2).
pub fn skip_empty_lines(buf: &[u8]) -> usize {
    let mut at = 0;
    while buf[at..].starts_with(b"\r\n") {
        at += 2;
    }
    at
}

/// Most heads come as a whole, in lines as we write them ourselves: one look finds their end too.
/// `None`: not so, or something is wrong; the careful way tells.
fn at_once(buf: &[u8], limits: &Limits, head: &mut RequestHead) -> Option<Request> {
    const LAST: &[u8] = b" HTTP/1.1\r\n";
    let method = &buf[..buf.iter().take(LONGEST_METHOD + 1).position(|byte| *byte == b' ')?];
    let at = method.len() + 1;
    let end = plain::target_end(buf, at);
    let start = end + LAST.len();
    if end == at || buf.get(end..start)? != LAST || !is_known_method(method) {
        return None;
    }
    head.clear();
    head.version = Version::Http11;
    head.headers.append(id::METHOD, method);
    head.headers.append(id::PATH, &buf[at..end]);
    let (n, fields) = plain::take(buf, start, limits.fields, &mut head.headers)?;
    if n > limits.head_bytes {
        return None;
    }
    framing(&fields, head.version, n).ok()
}

fn fill<'b>(
    bytes: &'b [u8],
    table: &mut [MaybeUninit<httparse::Header<'b>>],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Request, ParseError> {
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, table) {
        Ok(httparse::Status::Complete(n)) if n == bytes.len() => {}
        // The end was found before: "partial" or "more behind" means two readings of one head.
        Ok(_) => return Err(ParseError::StartLine),
        Err(error) => return Err(refine(from_httparse(error), bytes)),
    }
    begin(&parsed, limits, head)?;
    let fields = take_fields(parsed.headers, &mut head.headers)?;
    framing(&fields, head.version, bytes.len())
}

/// The request line, and whether there are too many fields.
fn begin(
    parsed: &httparse::Request<'_, '_>,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<(), ParseError> {
    if parsed.headers.len() > limits.fields {
        return Err(ParseError::TooManyFields);
    }
    head.clear();
    head.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let method = parsed.method.unwrap_or_default().as_bytes();
    let path = parsed.path.unwrap_or_default().as_bytes();
    if !is_known_method(method) {
        return Err(ParseError::Method);
    }
    if !path.iter().all(|b| b.is_ascii_graphic()) {
        return Err(ParseError::TargetByte);
    }
    head.headers.append(id::METHOD, method);
    head.headers.append(id::PATH, path);
    Ok(())
}

/// Says more exactly what is wrong with a head that the parser refused.
fn refine(error: ParseError, bytes: &[u8]) -> ParseError {
    let control = |b: &u8| *b == 0x7f || (*b < 0x20 && !matches!(*b, b'\t' | b'\r' | b'\n'));
    if bytes.iter().any(control) {
        return ParseError::ControlByte;
    }
    let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !is_known_method(method) || !target.starts_with(b"/") {
        return error;
    }
    match (words.next(), words.next()) {
        (None, _) => ParseError::OtherVersion,
        (Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']), None)
            if error == ParseError::Version =>
        {
            ParseError::OtherVersion
        }
        _ => error,
    }
}

/// The methods that Envoy's codec lets through (it takes no others, in any case).
fn is_known_method(method: &[u8]) -> bool {
    KNOWN_METHODS.contains(&method)
}

/// `UNSUBSCRIBE`.
const LONGEST_METHOD: usize = 11;

const KNOWN_METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"ACL",
    b"BIND",
    b"CHECKOUT",
    b"COPY",
    b"LINK",
    b"LOCK",
    b"MERGE",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKCOL",
    b"MOVE",
    b"MSEARCH",
    b"NOTIFY",
    b"PROPFIND",
    b"PROPPATCH",
    b"PURGE",
    b"REBIND",
    b"REPORT",
    b"SEARCH",
    b"QUERY",
    b"SOURCE",
    b"SUBSCRIBE",
    b"UNBIND",
    b"UNLINK",
    b"UNLOCK",
    b"UNSUBSCRIBE",
];

fn framing(
    fields: &FramingFields,
    version: Version,
    consumed: usize,
) -> Result<Request, ParseError> {
    fields.check()?;
    if fields.chunked && version == Version::Http10 {
        return Err(ParseError::ChunkedInHttp10);
    }
    let framing = match fields.length {
        _ if fields.chunked => Framing::Chunked,
        None | Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
    };
    let keep_alive = match version {
        Version::Http10 => fields.keep_alive && !fields.close,
        _ => !fields.close,
    };
    let (expect_continue, upgrade) = (fields.expect_continue, fields.upgrade);
    let field_bytes = fields.bytes;
    Ok(Request { consumed, framing, keep_alive, expect_continue, upgrade, field_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head_bytes: 8192, fields: 100 };

    fn parse(text: &str) -> Result<(Request, RequestHead), ParseError> {
        let mut head = RequestHead::default();
        let whole = parse_request(text.as_bytes(), &mut 0, &LIMITS, &mut head)?;
        // Law 4: byte by byte, the same.
        let mut scanned = 0;
        let mut again = RequestHead::default();
        let mut slow = None;
        for end in 0..=text.len() {
            slow = parse_request(&text.as_bytes()[..end], &mut scanned, &LIMITS, &mut again)?;
            if slow.is_some() {
                break;
            }
        }
        assert_eq!(whole, slow);
        Ok((whole.expect("a whole head"), head))
    }

    #[test]
    fn a_plain_request() {
        let (request, head) =
            parse("GET /a?b HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\nContent-Length: 3\r\n\r\nabc")
                .unwrap();
        assert_eq!(request.framing, Framing::Length(3));
        assert!(request.keep_alive);
        assert_eq!(
            (head.method(), head.path(), head.authority()),
            (&b"GET"[..], &b"/a?b"[..], &b"x"[..])
        );
        assert_eq!(head.headers.get(&b"x-y"[..]), Some(&b"z"[..]));
    }

    #[test]
    fn keep_alive_follows_version_and_connection() {
        let keep = |text: &str| parse(text).unwrap().0.keep_alive;
        assert!(!keep("GET / HTTP/1.1\r\nconnection: x, Close\r\n\r\n"));
        assert!(!keep("GET / HTTP/1.0\r\n\r\n"));
        assert!(keep("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"));
    }

    /// Hostile inputs A 1-5 and 9-12: what can be read two ways is refused.
    #[test]
    fn ambiguous_heads_are_refused() {
        use ParseError::*;
        let bad: &[(&str, ParseError)] = &[
            (
                "GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
                LengthAndChunked,
            ),
            ("GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n", ContentLength),
            ("GET / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\n", ContentLength),
            ("GET / HTTP/1.1\r\ncontent-length:\r\n\r\n", ContentLength),
            ("GET / HTTP/1.1\r\ntransfer-encoding: chunked, chunked\r\n\r\n", TransferEncoding),
            ("GET / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n", TransferEncoding),
            ("GET / HTTP/1.1\r\ntransfer-encoding: \u{b}chunked\r\n\r\n", ControlByte),
            ("GET / HTTP/1.1\r\ntransfer-encoding: identity\r\n\r\n", TransferEncoding),
            ("GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", ChunkedInHttp10),
            ("GET / HTTP/1.1\nhost: a\n\n", BareLineEnd),
            ("GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n", FieldValue),
            ("GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n", ControlByte),
            ("GET / HTTP/1.1\r\nhost : a\r\n\r\n", FieldName),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", FieldName),
            ("GET / HTTP/1.1\r\nhost\r\n\r\n", FieldName),
            ("GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n", FieldName),
            ("GET / HTTP/1.1\r\nh\u{e4}: b\r\n\r\n", FieldName),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", SeveralHosts),
            ("G ET / HTTP/1.1\r\n\r\n", Version),
            ("GET / HTTP/1.10\r\n\r\n", BareLineEnd),
            ("GET / HTTP/2.0\r\n\r\n", OtherVersion),
            ("GET /\u{e4} HTTP/1.1\r\n\r\n", TargetByte),
            ("GET  / HTTP/1.1\r\n\r\n", StartLine),
        ];
        for (text, wanted) in bad {
            assert_eq!(parse(text).map(|_| ()), Err(*wanted), "{text:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let many: String = (0..101).map(|n| format!("a{n}: b\r\n")).collect();
        assert_eq!(
            parse(&format!("GET / HTTP/1.1\r\n{many}\r\n")).unwrap_err(),
            ParseError::TooManyFields
        );
        let ok: String = (0..100).map(|n| format!("a{n}: b\r\n")).collect();
        assert!(parse(&format!("GET / HTTP/1.1\r\n{ok}\r\n")).is_ok());
        let long = "a".repeat(9000);
        let text = format!("GET /{long} HTTP/1.1\r\n\r\n");
        assert_eq!(parse(&text).unwrap_err(), ParseError::HeadTooLarge);
    }
}
