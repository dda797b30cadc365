//! Heads in the form in which nearly all come, and in which we write them: `name: value` CRLF, with one
//! space, each line whole. They are read and checked in one look, sixteen bytes at a time. What has any
//! other form is left to the careful way, which alone says what is wrong with a head.

use dragoman_types::{HeaderId, Headers};

use super::head::FramingFields;
use crate::scan::{find, is_token};

/// Where a request's target that begins at `at` ends, at a byte that isn't a graphic character.
pub(super) fn target_end(buf: &[u8], at: usize) -> usize {
    find(buf, at, |byte| !byte.is_ascii_graphic())
}

/// Where a text that begins at `at` ends: at a control byte, tabs among them.
pub(super) fn text_end(buf: &[u8], at: usize) -> usize {
    find(buf, at, |byte| byte.is_ascii_control())
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
        let colon = find(buf, at, |byte| byte == b':' || byte < 0x20);
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
    fn the_first_byte_is_found_wherever_it_stands() {
        for length in 0..50 {
            let buf = vec![b'a'; length];
            assert_eq!((text_end(&buf, 0), target_end(&buf, 0)), (length, length));
            for (at, byte) in (0..length).flat_map(|at| [b'\r', 0, 0x7f].map(|byte| (at, byte))) {
                let mut buf = buf.clone();
                buf[at] = byte;
                for from in 0..=at {
                    assert_eq!(text_end(&buf, from), at, "{byte} in {length} from {from}");
                    assert_eq!(target_end(&buf, from), at, "{byte} in {length} from {from}");
                }
                assert_eq!(text_end(&buf, at + 1), length);
            }
        }
        assert_eq!((text_end(b"ab\xe9 c\td", 0), target_end(b"ab\xe9 c", 0)), (5, 2));
        assert_eq!(text_end(b"ab", 5), 5);
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
