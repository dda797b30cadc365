//! Rewrites RE2's syntax, in which Envoy's configurations are written, where the `regex` crate reads
//! the same letters differently. Envoy runs RE2 over bytes (Latin-1), not over characters: `.` is one
//! byte, `\w` is ASCII, `é` in a class is its two bytes. The crate must compile the result with
//! Unicode off.

/// The pattern as the `regex` crate must read it. What neither knows is left for the crate to refuse.
pub(crate) fn translate(pattern: &str) -> String {
    let out = String::with_capacity(pattern.len() + 16);
    let mut reader = Reader { rest: pattern.as_bytes(), out };
    while let Some(byte) = reader.next() {
        match byte {
            b'\\' => reader.escape(),
            b'[' => reader.class(),
            b'{' if !is_repetition(reader.rest) => reader.out.push_str("\\{"),
            _ => push_byte(&mut reader.out, byte),
        }
    }
    reader.out
}

struct Reader<'p> {
    rest: &'p [u8],
    out: String,
}

/// One member of a character class, written as the crate reads it.
struct Atom {
    text: String,
    /// A single byte: it can begin or end a range.
    single: bool,
}

fn push_byte(out: &mut String, byte: u8) {
    match byte.is_ascii() {
        true => out.push(byte.into()),
        false => out.push_str(&format!("\\x{byte:02x}")),
    }
}

/// Whether what follows `{` makes it a repetition: `n}`, `n,}` or `n,m}`.
fn is_repetition(rest: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let low = digits(rest);
    let rest = &rest[low..];
    let rest = rest.strip_prefix(b",").map_or(rest, |high| &high[digits(high)..]);
    low > 0 && rest.first() == Some(&b'}')
}

/// The white space of RE2 lacks the vertical tab.
fn space_class(letter: u8) -> Option<&'static str> {
    match letter {
        b's' => Some(r"[\t\n\f\r ]"),
        b'S' => Some(r"[^\t\n\f\r ]"),
        _ => None,
    }
}

/// A member of a class. The crate gives `\<` and `\>` a meaning; plain they are themselves.
fn class_literal(byte: u8) -> String {
    let mut text = String::new();
    if byte.is_ascii_punctuation() && byte != b'<' && byte != b'>' {
        text.push('\\');
    }
    push_byte(&mut text, byte);
    text
}

/// The bytes that have a Unicode property when read as Latin-1, as a class.
fn property_class(escape: &str) -> Option<String> {
    let property = regex::Regex::new(&format!("^{escape}$")).ok()?;
    let has = |byte: &u8| property.is_match(char::from(*byte).encode_utf8(&mut [0; 4]));
    let members: String = (0..=255u8).filter(has).map(|byte| format!("\\x{byte:02x}")).collect();
    // An empty class is spelled as the complement of all.
    Some(if members.is_empty() { r"[^\x00-\xff]".into() } else { format!("[{members}]") })
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// What follows a backslash outside classes.
    fn escape(&mut self) {
        let Some(byte) = self.next() else { return self.out.push('\\') };
        match byte {
            b'C' => self.out.push_str("(?s:.)"),
            b'Q' => self.quoted(),
            b'p' | b'P' | b'x' => {
                let text = self.long_escape(byte);
                self.out.push_str(&text);
            }
            b'<' | b'>' => self.out.push(byte.into()),
            _ => match space_class(byte) {
                Some(class) => self.out.push_str(class),
                None => {
                    self.out.push('\\');
                    push_byte(&mut self.out, byte);
                }
            },
        }
    }

    /// Up to `\E`, every byte means itself.
    fn quoted(&mut self) {
        while !self.rest.is_empty() {
            if let Some(rest) = self.rest.strip_prefix(br"\E") {
                self.rest = rest;
                return;
            }
            let Some(byte) = self.next() else { return };
            self.out.push_str(&class_literal(byte));
        }
    }

    /// A class after its `[`.
    fn class(&mut self) {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix(b"^") {
            self.out.push('^');
            self.rest = rest;
        }
        let mut first = true;
        while !self.rest.is_empty() {
            if !first && let Some(rest) = self.rest.strip_prefix(b"]") {
                self.rest = rest;
                return self.out.push(']');
            }
            first = false;
            self.member();
        }
    }

    fn member(&mut self) {
        let Some(low) = self.atom() else { return };
        self.out.push_str(&low.text);
        let after = self.rest.strip_prefix(b"-").filter(|r| r.first().is_some_and(|b| *b != b']'));
        let Some(after) = after.filter(|_| low.single) else { return };
        self.rest = after;
        let Some(high) = self.atom() else { return };
        self.out.push_str(if high.single { "-" } else { r"\-" });
        self.out.push_str(&high.text);
    }

    fn atom(&mut self) -> Option<Atom> {
        if let Some(inside) = self.rest.strip_prefix(b"[:") {
            let name = inside.iter().take_while(|b| b.is_ascii_alphabetic() || **b == b'^').count();
            if let Some(rest) = inside[name..].strip_prefix(b":]") {
                self.rest = rest;
                let text = format!("[:{}:]", String::from_utf8_lossy(&inside[..name]));
                return Some(Atom { text, single: false });
            }
        }
        match self.next()? {
            b'\\' => self.class_escape(),
            byte => Some(Atom { text: class_literal(byte), single: true }),
        }
    }

    fn class_escape(&mut self) -> Option<Atom> {
        let byte = self.next()?;
        let text = match byte {
            b'p' | b'P' | b'x' => self.long_escape(byte),
            _ if byte.is_ascii_punctuation() => class_literal(byte),
            _ => space_class(byte).map_or_else(|| format!("\\{}", char::from(byte)), String::from),
        };
        Some(Atom { text, single: !b"pPdDwWsS".contains(&byte) })
    }

    /// `\pN`, `\p{Name}`, `\x41`, `\x{41}`.
    fn long_escape(&mut self, letter: u8) -> String {
        let length = match self.rest.first() {
            Some(b'{') => {
                self.rest.iter().position(|b| *b == b'}').map_or(self.rest.len(), |end| end + 1)
            }
            _ => self.rest.len().min(if letter == b'x' { 2 } else { 1 }),
        };
        let (body, rest) = self.rest.split_at(length);
        self.rest = rest;
        let body = String::from_utf8_lossy(body);
        let escape = format!("\\{}{body}", char::from(letter));
        match letter {
            b'x' => byte_escape(&body),
            _ => property_class(&escape).unwrap_or(escape),
        }
    }
}

/// `\x41` or `\x{41}` with two digits: with braces the crate would mean a character, not a byte. What
/// is no byte becomes an escape that the crate refuses, as RE2 does.
fn byte_escape(body: &str) -> String {
    let digits = body.strip_prefix('{').map_or(body, |inside| inside.trim_end_matches('}'));
    match u8::from_str_radix(digits, 16) {
        Ok(byte) => format!("\\x{byte:02x}"),
        Err(_) => "\\x{}".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::regex;
    use dragoman_types::Faults;

    fn matches(pattern: &str, text: &[u8]) -> bool {
        let mut faults = Faults::new();
        let compiled = regex(pattern, true, &mut faults);
        assert!(faults.is_empty(), "{pattern}: {faults:?}");
        compiled.is_some_and(|regex| regex.is_match(text))
    }

    /// Every row was put to a real Envoy 1.40.
    #[test]
    fn means_what_re2_means() {
        for (pattern, yes, no) in [
            (r"\d+", "09", "٣"),
            (r"\w+", "aZ_0", "é"),
            (r"\s", "\t", "\u{a0}"),
            (r"\D\D", "٣", "3"),
            (r"[\d-]+", "1-2", "٣"),
            (r"[\w-]+", "a-b", "é"),
            (r"[^\s/]+", "\u{a0}", "a b"),
            (r"/\Qa.b\E/.", "/a.b/c", "/aXb/c"),
            (r"\Qa.b\E", "a.b", "aXb"),
            ("/{id}", "/{id}", "/id"),
            ("a{,3}", "a{,3}", "aaa"),
            ("a{2,3}", "aaa", "a"),
            ("a{2,}", "aaaa", "a"),
            ("a{2}", "aa", "a"),
            ("[[]x", "[x", "x"),
            ("[]a]+", "]a", "b"),
            ("[^]a]", "b", "]"),
            ("[a&&b]+", "a&b", "c"),
            ("[a~~b]+", "a~b", "c"),
            ("[+--]+", "+,-", "."),
            ("[a-]+", "a-", "b"),
            ("[-a]+", "a-", "b"),
            ("[[:alpha:]_]+", "a_", "1"),
            (r"[\x41-\x{43}]", "B", "D"),
            (r"[\pL]", "a", "1"),
            (r"\pN", "1", "a"),
            (r"\<\>", "<>", ""),
            (r"\_\-\/\#", "_-/#", "a"),
            ("é..", "éé", "é"),
            ("[é]+", "é", "e"),
            ("[<>]+", "<>", "a"),
            (r"[\]\\]+", r"]\", "a"),
            (r"\ba\b", "a", "b"),
            ("(?i)AB(?-i)c", "abc", "abC"),
            ("(?P<n>x)(?<m>y)", "xy", "x"),
            ("a|b", "b", "ab"),
        ] {
            assert!(matches(pattern, yes.as_bytes()), "{pattern} should match {yes:?}");
            assert!(!matches(pattern, no.as_bytes()), "{pattern} should not match {no:?}");
        }
    }

    /// Put to a real Envoy too: a byte is a character of Latin-1.
    #[test]
    fn bytes_are_characters() {
        let accented = "é".as_bytes();
        for (pattern, text, expected) in [
            (".", &b"\xe9"[..], true),
            ("..", accented, true),
            (".", accented, false),
            (r"\pL", b"\xe9", true),
            (r"[\pL]", accented, false),
            (r"\xe9", b"\xe9", true),
            (r"\x{e9}", accented, false),
            ("[é]", b"\xc3", true),
            ("[é]", accented, false),
            ("é", b"\xe9", false),
            ("é", accented, true),
            ("(?i)É", accented, false),
            (r"(?i)\xc9", b"\xe9", false),
            ("[[:alpha:]]", b"\xe9", false),
            (r"\C", b"\xe9", true),
            ("[^a]", accented, false),
            ("[^a]", b"\xff", true),
            (r"\p{Greek}", "α".as_bytes(), false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_without_panic() {
        let patterns =
            ["(", "[", "[a", "\\", r"[\", r"\h", "[z-a]", "*", r"\x{", r"\x{263a}", r"\p{No}\p{X}"];
        for pattern in patterns {
            let mut faults = Faults::new();
            assert!(regex(pattern, true, &mut faults).is_none(), "{pattern}");
            assert_eq!(faults.len(), 1, "{pattern}");
        }
    }
}
