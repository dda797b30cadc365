//! Heads in the form in which nearly all come, and in which we write them: `name: value` CRLF, with one
//! space, each line whole. They are read and checked in one look, eight bytes at a time. What has any
//! other form is left to the careful way, which alone says what is wrong with a head.

use dragoman_types::{HeaderId, Headers};

use super::head::FramingFields;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Eight bytes at `at`, the first one lowest; zeros behind the end.
#[inline]
fn word(buf: &[u8], at: usize) -> u64 {
    let rest = buf.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Marks the bytes below `limit` (at most 0x80): the lowest mark is exact, those above it may not be.
#[inline]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH
}

/// Marks the bytes that are `byte`, as exactly as [`below`].
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// How many bytes of a word stand before the lowest mark; eight without one.
#[inline]
fn before(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// Where the first byte is, from `at` on, that `marks` finds; `buf`'s end is one for marks of zero.
#[inline]
fn find(buf: &[u8], mut at: usize, marks: impl Fn(u64) -> u64) -> usize {
    loop {
        match before(marks(word(buf, at))) {
            8 => at += 8,
            found => return at + found,
        }
    }
}

/// Where a request's target that begins at `at` ends, at a byte that isn't a graphic character.
pub(super) fn target_end(buf: &[u8], at: usize) -> usize {
    find(buf, at, |word| below(word, 0x21) | equal(word, 0x7f) | (word & HIGH))
}

/// Where a text that begins at `at` ends: at a control byte, tabs among them.
pub(super) fn text_end(buf: &[u8], mut at: usize) -> usize {
    let controls = |word| below(word, 0x20) | equal(word, 0x7f);
    // Most are short.
    for _ in 0..2 {
        match before(controls(word(buf, at))) {
            8 => at += 8,
            found => return at + found,
        }
    }
    let (chunks, _) = buf.get(at..).unwrap_or_default().as_chunks::<16>();
    // Looked at without a way out in between, sixteen bytes are one vector.
    let control = |chunk: &[u8; 16]| chunk.iter().fold(false, |is, b| is | b.is_ascii_control());
    let whole = chunks.iter().take_while(|chunk| !control(chunk)).count();
    find(buf, at + whole * 16, controls)
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
fn is_token(name: &[u8]) -> bool {
    let (words, rest) = name.as_chunks::<8>();
    words.iter().all(|eight| {
        usual(u64::from_le_bytes(*eight)) || eight.iter().all(|b| TOKEN[usize::from(*b)])
    }) && rest.iter().all(|b| TOKEN[usize::from(*b)])
}

/// Takes the lines from `start` on, at most `most`, up to and with the empty one. Gives where the head
/// ends, and what the fields say about framing. `None`: they have another form, or something is wrong;
/// `headers` holds nothing then.
pub(super) fn take(
    buf: &[u8],
    start: usize,
    most: usize,
    headers: &mut Headers,
) -> Option<(usize, FramingFields)> {
    let mut fields = FramingFields::default();
    let mut block = headers.block(start);
    let (mut at, mut count) = (start, 0);
    while !buf.get(at..)?.starts_with(b"\r\n") {
        let colon = find(buf, at, |word| equal(word, b':') | below(word, 0x20));
        let name = buf.get(at..colon)?;
        let value_at = colon + 2;
        // The look went no further than a line's end.
        if name.is_empty() || buf.get(colon..value_at)? != b": " {
            return None;
        }
        let end = text_end(buf, value_at);
        let value = buf.get(value_at..end)?;
        let (Some(first), Some(last)) = (value.first(), value.last()) else { return None };
        if *first == b' ' || *last == b' ' || buf.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        let id = HeaderId::of(name);
        // A name that is known is well-formed.
        if id == dragoman_types::id::OTHER && !is_token(name) {
            return None;
        }
        if id.is_pseudo() || count == most {
            return None;
        }
        block.line(id, at, value_at, value.len());
        fields.note(id, name.len(), value).ok()?;
        (at, count) = (end + 2, count + 1);
    }
    block.finish(buf.get(start..at)?);
    Some((at + 2, fields))
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
    fn the_lowest_mark_is_exact() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                let mut bytes = [b'a'; 8];
                bytes[at] = byte;
                let word = u64::from_le_bytes(bytes);
                let place = |is: bool| if is { at } else { 8 };
                assert_eq!(before(below(word, 0x20)), place(byte < 0x20), "{byte} at {at}");
                assert_eq!(before(equal(word, 0x7f)), place(byte == 0x7f), "{byte} at {at}");
                assert_eq!(before(equal(word, b':')), place(byte == b':'), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn the_end_of_the_bytes_ends_what_is_looked_for() {
        for length in 0..50 {
            let buf = vec![b'a'; length];
            assert_eq!(text_end(&buf, 0), length);
            assert_eq!(target_end(&buf, 0), length);
        }
        assert_eq!(word(b"ab", 0), 0x6261);
        assert_eq!(word(b"ab", 5), 0);
    }

    fn lines(text: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut headers = Headers::new();
        let found = take(text, 0, 3, &mut headers);
        if found.is_none() {
            assert!(headers.is_empty());
        }
        let (end, _) = found?;
        assert!(text[..end].ends_with(b"\r\n"));
        Some(headers.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect())
    }

    #[test]
    fn plain_lines_are_taken() {
        let text = b"Content-Type: text/plain; a=\xe9\r\nx-Y!: 1\r\nHOST: a\r\n\r\nbody: no";
        let wanted: [(&[u8], &[u8]); 3] =
            [(b"content-type", b"text/plain; a=\xe9"), (b"x-y!", b"1"), (b":authority", b"a")];
        let wanted = wanted.map(|(name, value)| (name.to_vec(), value.to_vec()));
        assert_eq!(lines(text).as_deref(), Some(&wanted[..]));
        assert_eq!(lines(b"\r\n"), Some(Vec::new()));
    }

    #[test]
    fn other_forms_are_left_alone() {
        let all: &[&[u8]] = &[
            b"",
            b"\r",
            b"a: b",
            b"a: b\r\n",
            b"a: b\r\n\r",
            b"a:b\r\n\r\n",
            b"a:  b\r\n\r\n",
            b"a: b \r\n\r\n",
            b"a: b\t\r\n\r\n",
            b"a: \r\n\r\n",
            b"a : b\r\n\r\n",
            b" a: b\r\n\r\n",
            b": b\r\n\r\n",
            b":path: /\r\n\r\n",
            b"a: b\n\r\n",
            b"a: b\r\r\n\r\n",
            b"a: b\0c\r\n\r\n",
            b"a: b\x7f\r\n\r\n",
            b"a: b\r\n c\r\n\r\n",
            b"a\xe9: b\r\n\r\n",
            b"a\r\n: b\r\n\r\n",
            b"a(b): c\r\n\r\n",
            b"a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n",
        ];
        for text in all {
            assert_eq!(lines(text), None, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
