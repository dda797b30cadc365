//! Percent-encoding (RFC 3986 section 2.1) in paths and queries.

/// Which encoded characters stay encoded in what several segments are bound to: `url_unescape_spec`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// RFC 6570's reserved characters.
    Reserved,
    Slash,
    Nothing,
}

impl Kept {
    fn keeps(self, byte: u8) -> bool {
        match self {
            Kept::Reserved => b"!#$&'()*+,/:;=?@[]".contains(&byte),
            Kept::Slash => byte == b'/',
            Kept::Nothing => false,
        }
    }
}

/// The text that `escaped` stands for; what isn't well encoded stays as it is. `None`: no UTF-8.
pub(super) fn unescape(escaped: &str, kept: Kept, plus_is_space: bool) -> Option<String> {
    let bytes = escaped.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let decoded = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            u8::from_str_radix(digits, 16).ok().filter(|byte| plain && !kept.keeps(*byte))
        });
        match decoded {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if plus_is_space && *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_encoded() {
        let text = "%2f%23/%20%2523%zz%4";
        let of = |kept| unescape(text, kept, false).expect("UTF-8");
        assert_eq!(of(Kept::Reserved), "%2f%23/ %23%zz%4");
        assert_eq!(of(Kept::Slash), "%2f#/ %23%zz%4");
        assert_eq!(of(Kept::Nothing), "/#/ %23%zz%4");
        assert_eq!(unescape("a+b%2B", Kept::Nothing, true).as_deref(), Some("a b+"));
        assert_eq!(unescape("%ff", Kept::Nothing, true), None);
        assert_eq!(unescape("%+1%-1", Kept::Nothing, false).as_deref(), Some("%+1%-1"));
    }
}
