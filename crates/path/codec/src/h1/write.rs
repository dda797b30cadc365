//! Heads and chunk frames on their way out. Values were checked when they came in: nothing that
//! is written here can hold a CR or LF that ends a line early (see [`is_safe_value`]).

use dragoman_types::{HeaderId, Headers, RequestHead, ResponseHead, id};

use crate::message::Framing;

/// How field names are spelled on the wire.
/// Source: `Http1ProtocolOptions.header_key_format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NameStyle {
    #[default]
    Lower,
    /// `Content-Type`
    ProperCase,
}

/// Whether `value` may be written as a field value.
pub fn is_safe_value(value: &[u8]) -> bool {
    value.iter().all(|b| *b == b'\t' || (*b >= 0x20 && *b != 0x7f))
}

/// Appends a request head in HTTP/1.1; returns the bytes of its fields. `state_zero`: say that there is
/// no body, where the method leads one to expect it.
pub fn request_head(
    out: &mut Vec<u8>,
    head: &RequestHead,
    framing: Framing,
    style: NameStyle,
    state_zero: bool,
) -> u64 {
    out.extend_from_slice(head.method());
    out.push(b' ');
    // CONNECT has no path: its target is the authority (RFC 9112 section 3.2.3).
    let path = head.path();
    out.extend_from_slice(if path.is_empty() { head.authority() } else { path });
    out.extend_from_slice(b" HTTP/1.1\r\n");
    fields(out, &head.headers, framing, style, state_zero)
}

/// Appends a response head; returns the bytes of its fields. `version_10` answers an HTTP/1.0 client in its own version.
pub fn response_head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    framing: Framing,
    style: NameStyle,
    version_10: bool,
) -> u64 {
    out.extend_from_slice(if version_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(itoa::Buffer::new().format(head.status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason(head.status).as_bytes());
    out.extend_from_slice(b"\r\n");
    fields(out, &head.headers, framing, style, false)
}

fn fields(
    out: &mut Vec<u8>,
    headers: &Headers,
    framing: Framing,
    style: NameStyle,
    state_zero: bool,
) -> u64 {
    let start = out.len();
    // The framing that is written is the codec's own, not what the peer said of its.
    let chunked = framing == Framing::Chunked;
    let written = |id| id != id::TRANSFER_ENCODING && !(chunked && id == id::CONTENT_LENGTH);
    lines(out, headers, style, written);
    if chunked {
        field(out, b"transfer-encoding", b"chunked", style);
    }
    if state_zero {
        field(out, b"content-length", b"0", style);
    }
    let bytes = out.len() - start;
    out.extend_from_slice(b"\r\n");
    bytes as u64
}

fn lines(
    out: &mut Vec<u8>,
    headers: &Headers,
    style: NameStyle,
    written: impl Fn(HeaderId) -> bool,
) {
    match style {
        NameStyle::Lower => headers.write_lines(out, written),
        NameStyle::ProperCase => {
            for (id, name, value) in headers.iter().filter(|(id, ..)| written(*id)) {
                match id {
                    id::AUTHORITY => field(out, b"host", value, style),
                    pseudo if pseudo.is_pseudo() => {}
                    _ => field(out, name, value, style),
                }
            }
        }
    }
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8], style: NameStyle) {
    let at = out.len();
    out.extend_from_slice(name);
    if style == NameStyle::ProperCase {
        proper_case(&mut out[at..]);
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Upper-cases the first letter and each letter behind a character that is neither letter nor digit.
fn proper_case(name: &mut [u8]) {
    let mut upper = true;
    for byte in name {
        if upper {
            byte.make_ascii_uppercase();
        }
        upper = !byte.is_ascii_alphanumeric();
    }
}

/// Appends the line before a chunk's data.
pub fn chunk_start(out: &mut Vec<u8>, length: usize) {
    let mut digits = [0u8; 16];
    let mut at = digits.len();
    let mut rest = length;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk with optional trailers.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Option<&Headers>, style: NameStyle) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        lines(out, trailers, style, |id| id != id::AUTHORITY);
    }
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase (RFC 9110 section 15 and IANA's registry), `Unknown` where there is none.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        _ => error_reason(status),
    }
}

fn error_reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        599 => "Last Unassigned Server Error Code",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::h1::parse_request;

    #[test]
    fn what_was_read_is_written() {
        let text = b"POST /a HTTP/1.1\r\nHost: h\r\nX-Y: z\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut head = RequestHead::default();
        let limits = Limits { head_bytes: 1000, fields: 10 };
        let request = parse_request(text, &mut 0, &limits, &mut head).unwrap().unwrap();
        let mut out = Vec::new();
        request_head(&mut out, &head, request.framing, NameStyle::Lower, false);
        let wanted = "POST /a HTTP/1.1\r\nhost: h\r\nx-y: z\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), wanted);
        out.clear();
        request_head(&mut out, &head, Framing::None, NameStyle::ProperCase, false);
        assert_eq!(String::from_utf8_lossy(&out), "POST /a HTTP/1.1\r\nHost: h\r\nX-Y: z\r\n\r\n");
    }

    #[test]
    fn chunk_lines_are_hexadecimal() {
        for n in [0usize, 1, 15, 16, 4096, usize::MAX] {
            let mut out = Vec::new();
            chunk_start(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{n:x}\r\n"));
        }
    }
}
