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
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0x3 << 62) | (0x2 << 62);
    let (b, d) = (digits(high as u32), digits(low as u32));
    let (a, c) = (digits((high >> 32) as u32), digits((low >> 32) as u32));
    let mut out = [b'-'; LENGTH];
    out[..8].copy_from_slice(&a);
    out[9..13].copy_from_slice(&b[..4]);
    out[14..18].copy_from_slice(&b[4..]);
    out[19..23].copy_from_slice(&c[..4]);
    out[24..28].copy_from_slice(&c[4..]);
    out[28..].copy_from_slice(&d);
    out
}

/// Eight hexadecimal digits at once: a nibble is spread to each byte of a word, then all become
/// letters or digits together. A digit a step costs ten times as much, once a request.
fn digits(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut word = u64::from(value);
    word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
    word = (word | word << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (word + ONES * 6) >> 4 & ONES;
    (word + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
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
        for value in [0, 0x0123_4567, 0x89ab_cdef, 0xdead_beef, u32::MAX] {
            assert_eq!(digits(value), *format!("{value:08x}").as_bytes());
        }
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
