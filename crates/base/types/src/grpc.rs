//! How gRPC says things in heads.

use std::time::Duration;

use crate::{Headers, id};

/// `content-type: application/grpc`, or with a `+codec`.
pub fn is_grpc(headers: &Headers) -> bool {
    let kind = headers.get(id::CONTENT_TYPE).unwrap_or_default();
    matches!(kind.strip_prefix(b"application/grpc"), Some([] | [b'+', ..]))
}

/// `grpc-timeout`: up to eight digits and a unit. Less than a millisecond counts as one.
pub fn timeout(headers: &Headers) -> Option<Duration> {
    let (unit, digits) = headers.get(id::GRPC_TIMEOUT)?.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(value * 3600),
        b'M' => Duration::from_secs(value * 60),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_millis(value.div_ceil(1000)),
        b'n' => Duration::from_millis(value.div_ceil(1_000_000)),
        _ => return None,
    })
}

/// The gRPC status that stands for an HTTP status.
/// Source: grpc/doc/http-grpc-status-mapping.md.
pub fn status_of(http: u16) -> &'static [u8] {
    match http {
        400 => b"13",
        401 => b"16",
        403 => b"7",
        404 => b"12",
        429 | 502 | 503 | 504 => b"14",
        _ => b"2",
    }
}

/// The HTTP status that stands for a gRPC status.
/// Source: google/rpc/code.proto.
pub fn http_status(grpc: u32) -> u16 {
    match grpc {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// Percent-encodes a byte of `grpc-message` as Envoy does: `~` too, the space not.
pub fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if (b' '..b'~').contains(&byte) && byte != b'%' {
        return out.push(byte);
    }
    out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_content_type() {
        for (kind, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/grpc; x", false),
            ("Application/grpc", false),
        ] {
            let mut headers = Headers::new();
            headers.append(id::CONTENT_TYPE, kind.as_bytes());
            assert_eq!(is_grpc(&headers), expected, "{kind}");
        }
        assert!(!is_grpc(&Headers::new()));
    }

    #[test]
    fn timeouts_have_digits_and_a_unit() {
        let of = |text: &str| {
            let mut headers = Headers::new();
            headers.append(id::GRPC_TIMEOUT, text.as_bytes());
            timeout(&headers).map(|found| found.as_millis())
        };
        for (text, ms) in
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3000), ("4m", 4), ("1001u", 2), ("0n", 0)]
        {
            assert_eq!(of(text), Some(ms), "{text}");
        }
        assert_eq!(of("99999999H"), Some(359_999_996_400_000));
        for text in ["", "1", "m", "1x", "-1m", "1 m", "123456789m", "1.5S"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
