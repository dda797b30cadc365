//! The query of the request's path, and the request's id.

use dragoman_types::{Facts, id};

use crate::op::{Wrote, text};

pub(crate) fn request_id<'f>(facts: &Facts<'f>) -> Option<&'f [u8]> {
    facts.request?.headers.get(id::X_REQUEST_ID)
}

/// What follows the path's first `?`.
pub(crate) fn of<'f>(facts: &Facts<'f>) -> Option<&'f [u8]> {
    let path = facts.request?.headers.get(id::PATH)?;
    memchr::memchr(b'?', path).map(|at| &path[at + 1..])
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// The next byte of a percent-encoded text and how many bytes it took; broken escapes stay as they are.
fn decoded(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'%', high, low, ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, 3)),
            _ => Some((b'%', 1)),
        },
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

fn is_key(mut encoded: &[u8], key: &[u8]) -> bool {
    for &wanted in key {
        match decoded(encoded) {
            Some((byte, used)) if byte == wanted => encoded = &encoded[used..],
            _ => return false,
        }
    }
    encoded.is_empty()
}

/// The first parameter of this name, decoded. Control characters stay encoded (Envoy decodes them): a
/// `%0a` must start no line of a log and no header field.
pub(crate) fn param(key: &[u8], facts: &Facts<'_>, out: &mut Vec<u8>) -> Wrote {
    let Some(query) = of(facts) else { return Wrote::Nothing };
    for pair in query.split(|&b| b == b'&') {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        if is_key(&pair[..at], key) {
            let mut value = pair.get(at + 1..).unwrap_or_default();
            while let Some((byte, used)) = decoded(value) {
                if byte.is_ascii_control() {
                    out.extend_from_slice(&value[..used]);
                } else {
                    out.push(byte);
                }
                value = &value[used..];
            }
            return text(Some(b""), out);
        }
    }
    Wrote::Nothing
}
