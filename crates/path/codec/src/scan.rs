//! Looks at bytes many at a time: what names and texts are made of.

/// Marks with 0xff each byte that `is`: looked at without a way out in between, sixteen are one vector.
#[inline]
fn marks(bytes: &[u8; 16], is: impl Fn(u8) -> bool) -> u128 {
    u128::from_le_bytes(std::array::from_fn(|at| if is(bytes[at]) { 0xff } else { 0 }))
}

/// Where the first byte is, from `at` on, that `is`; or `buf`'s end.
#[inline]
pub(crate) fn find(buf: &[u8], mut at: usize, is: impl Fn(u8) -> bool + Copy) -> usize {
    while let Some(sixteen) = buf.get(at..).and_then(<[u8]>::first_chunk) {
        let marks = marks(sixteen, is);
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 16;
    }
    let rest = buf.get(at..).unwrap_or_default();
    let found = match buf.last_chunk() {
        // They are the end of sixteen others.
        Some(sixteen) if !rest.is_empty() => {
            let marks = marks(sixteen, is) >> (8 * (16 - rest.len()));
            (marks.trailing_zeros() / 8) as usize
        }
        _ => rest.iter().position(|byte| is(*byte)).unwrap_or(rest.len()),
    };
    at + found.min(rest.len())
}

/// Bytes of a field's name (RFC 9110 section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let is = byte as u8;
        token[byte] = is.is_ascii_alphanumeric()
            || matches!(
                is,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    token
};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Whether the eight bytes are letters and dashes, of which most names are made.
#[inline]
fn usual(word: u64) -> bool {
    let lower = word | (ONES * 0x20);
    // Without a high bit no byte's sum carries into the next.
    let from_a = lower.wrapping_add(ONES * u64::from(0x80 - b'a'));
    let past_z = lower.wrapping_add(ONES * u64::from(0x7f - b'z'));
    let not_dash = (word ^ (ONES * u64::from(b'-'))).wrapping_add(ONES * 0x7f);
    word & HIGH == 0 && (from_a & !past_z | !not_dash) & HIGH == HIGH
}

/// Whether `name` is a token, empty ones aside.
#[inline]
pub(crate) fn is_token(name: &[u8]) -> bool {
    let (words, rest) = name.as_chunks::<8>();
    words.iter().all(|eight| {
        usual(u64::from_le_bytes(*eight)) || eight.iter().all(|b| TOKEN[usize::from(*b)])
    }) && rest.iter().all(|b| TOKEN[usize::from(*b)])
}

/// Whether `name` is a token in lower case, as HTTP/2 demands.
#[inline]
pub(crate) fn is_lower_token(name: &[u8]) -> bool {
    !name.is_empty() && is_token(name) && !name.iter().any(u8::is_ascii_uppercase)
}

/// Whether `value` has none of the bytes that no field's value may have (RFC 9110 section 5.5).
#[inline]
pub(crate) fn is_text(value: &[u8]) -> bool {
    let mut at = 0;
    loop {
        at = find(value, at, |byte| byte.is_ascii_control());
        match value.get(at) {
            None => return true,
            Some(b'\t') => at += 1,
            Some(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_wherever_a_byte_stands() {
        for byte in 0..=255u8 {
            for at in 0..13 {
                let mut name = *b"x-Zazaz-name9";
                name[at] = byte;
                assert_eq!(is_token(&name), TOKEN[usize::from(byte)], "{byte} at {at}");
            }
            let usual_byte = byte.is_ascii_alphabetic() || byte == b'-';
            if byte < 0x80 {
                assert_eq!(usual(ONES * u64::from(byte)), usual_byte, "{byte}");
            }
        }
    }

    #[test]
    fn tabs_may_stand_in_texts_and_no_other_control_byte() {
        for byte in 0..=255u8 {
            for at in 0..20 {
                let mut text = *b"a text of some bytes";
                text[at] = byte;
                assert_eq!(is_text(&text), byte == b'\t' || !byte.is_ascii_control());
            }
        }
        assert!(is_text(b"") && is_text(b"\t"));
    }
}
