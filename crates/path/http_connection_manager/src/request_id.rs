//! `x-request-id`: a random UUID whose 13th nibble tells a tracing decision.
//! Source: `extensions.request_id.uuid.v3.UuidRequestIdConfig`.

use dragoman_types::{Headers, id};

/// Length of a UUID in text, and where the nibble stands.
const LENGTH: usize = 36;
const NIBBLE: usize = 14;
/// No tracing decision.
const NO_TRACE: u8 = b'4';

/// When an id is made, kept and shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestIdRules {
    pub generate: bool,
    pub preserve_external: bool,
    pub always_in_response: bool,
    pub pack_trace_reason: bool,
}

/// A version 4 UUID (RFC 9562) from 128 random bits, in text.
pub fn uuid(high: u64, low: u64) -> [u8; LENGTH] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = u128::from(high) << 64 | u128::from(low);
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let mut out = [b'-'; LENGTH];
    let mut shift = 128;
    for (at, byte) in out.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            shift -= 4;
            *byte = DIGITS[(bits >> shift) as usize & 15];
        }
    }
    out
}

impl RequestIdRules {
    /// Gives the request an id where it needs a new one. `edge`: it comes from outside.
    pub(crate) fn apply(
        &self,
        headers: &mut Headers,
        edge: bool,
        random: &mut impl FnMut() -> u64,
    ) {
        if !self.generate {
            return;
        }
        let there = headers.get(id::X_REQUEST_ID).filter(|value| !value.is_empty());
        let Some(present) = there else { return fresh(headers, random) };
        if !edge {
            return;
        }
        if !self.preserve_external {
            return fresh(headers, random);
        }
        // A client's own decision to be traced isn't taken from outside.
        if let Ok(mut text) = <[u8; LENGTH]>::try_from(present)
            && self.pack_trace_reason
            && text[NIBBLE] != NO_TRACE
        {
            text[NIBBLE] = NO_TRACE;
            headers.set(id::X_REQUEST_ID, &text);
        }
    }
}

fn fresh(headers: &mut Headers, random: &mut impl FnMut() -> u64) {
    let text = uuid(random(), random());
    headers.set(id::X_REQUEST_ID, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: RequestIdRules = RequestIdRules {
        generate: true,
        preserve_external: false,
        always_in_response: false,
        pack_trace_reason: true,
    };
    const SAMPLED: &str = "E2C5F5C5-3B5E-9D6A-A1A4-1F6E8A5C7D11";
    const PLAIN: &str = "E2C5F5C5-3B5E-4D6A-A1A4-1F6E8A5C7D11";
    const NEW: &str = "01234567-89ab-4def-8123-456789abcdef";

    fn run(rules: RequestIdRules, given: Option<&str>, edge: bool) -> Option<String> {
        let mut headers = Headers::new();
        if let Some(given) = given {
            headers.append(id::X_REQUEST_ID, given.as_bytes());
        }
        rules.apply(&mut headers, edge, &mut || 0x0123_4567_89ab_cdef);
        let value = headers.get(id::X_REQUEST_ID)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn a_uuid_has_version_and_variant() {
        assert_eq!(&uuid(0, 0), b"00000000-0000-4000-8000-000000000000");
        assert_eq!(&uuid(u64::MAX, u64::MAX), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(&uuid(0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef), NEW.as_bytes());
    }

    #[test]
    fn an_edge_request_gets_a_new_id_and_an_inner_one_keeps_its_own() {
        assert_eq!(run(RULES, None, true).as_deref(), Some(NEW));
        assert_eq!(run(RULES, Some("abc"), true).as_deref(), Some(NEW));
        assert_eq!(run(RULES, Some("abc"), false).as_deref(), Some("abc"));
        assert_eq!(run(RULES, Some(SAMPLED), false).as_deref(), Some(SAMPLED));
        assert_eq!(run(RULES, Some(""), false).as_deref(), Some(NEW));
        assert_eq!(run(RULES, None, false).as_deref(), Some(NEW));
    }

    #[test]
    fn preserve_external_request_id_resets_the_trace_nibble() {
        let rules = RequestIdRules { preserve_external: true, ..RULES };
        assert_eq!(run(rules, Some(SAMPLED), true).as_deref(), Some(PLAIN));
        assert_eq!(run(rules, Some(PLAIN), true).as_deref(), Some(PLAIN));
        assert_eq!(run(rules, Some("abc"), true).as_deref(), Some("abc"));
        let rules = RequestIdRules { pack_trace_reason: false, ..rules };
        assert_eq!(run(rules, Some(SAMPLED), true).as_deref(), Some(SAMPLED));
    }

    #[test]
    fn generate_request_id_false_leaves_everything() {
        let rules = RequestIdRules { generate: false, ..RULES };
        assert_eq!(run(rules, None, true), None);
        assert_eq!(run(rules, Some("abc"), true).as_deref(), Some("abc"));
    }
}
