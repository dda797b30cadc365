//! Rewrites RE2's syntax, in which Envoy's configurations are written, where the `regex` crate reads
//! the same letters differently: ASCII-only `\d \w \s \b`, `\Q..\E`, `\C`, braces that are no
//! repetition, and character classes without set operations.

/// The pattern as the `regex` crate must read it. What neither knows is left for the crate to refuse.
pub(crate) fn translate(pattern: &str) -> String {
    let mut reader = Reader { rest: pattern, out: String::with_capacity(pattern.len() + 16) };
    while let Some(c) = reader.next() {
        match c {
            '\\' => reader.escape(),
            '[' => reader.class(),
            '{' if !is_repetition(reader.rest) => reader.out.push_str("\\{"),
            _ => reader.out.push(c),
        }
    }
    reader.out
}

struct Reader<'p> {
    rest: &'p str,
    out: String,
}

/// One member of a character class, written as the crate reads it.
struct Atom {
    text: String,
    /// A single character: it can begin or end a range.
    single: bool,
}

/// The ASCII meaning of a class letter, as a class.
fn ascii_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        _ => return None,
    })
}

/// Whether what follows `{` makes it a repetition: `n}`, `n,}` or `n,m}`.
fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// What follows a backslash outside classes.
    fn escape(&mut self) {
        let Some(c) = self.next() else { return self.out.push('\\') };
        match c {
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => self.out.push_str(r"(?-u:\B)"),
            'C' => self.out.push_str("(?s-u:.)"),
            'Q' => {
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.out.push_str(&regex::escape(quoted));
                self.rest = rest;
            }
            _ => match ascii_class(c) {
                Some(class) => self.out.push_str(class),
                None if c.is_ascii_punctuation() => self.literal(c),
                None => self.out.extend(['\\', c]),
            },
        }
    }

    /// A class after its `[`.
    fn class(&mut self) {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.out.push('^');
            self.rest = rest;
        }
        let mut first = true;
        while !self.rest.is_empty() {
            if !first && let Some(rest) = self.rest.strip_prefix(']') {
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
        let after = self.rest.strip_prefix('-').filter(|r| !r.starts_with(']') && !r.is_empty());
        let Some(after) = after.filter(|_| low.single) else { return };
        self.rest = after;
        let Some(high) = self.atom() else { return };
        self.out.push_str(if high.single { "-" } else { r"\-" });
        self.out.push_str(&high.text);
    }

    fn atom(&mut self) -> Option<Atom> {
        if let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|r| r.split_once(":]"))
            && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'^')
        {
            self.rest = rest;
            return Some(Atom { text: format!("[:{name}:]"), single: false });
        }
        match self.next()? {
            '\\' => self.class_escape(),
            c => Some(Atom { text: class_literal(c), single: true }),
        }
    }

    fn class_escape(&mut self) -> Option<Atom> {
        let c = self.next()?;
        let class = ascii_class(c);
        let text = match c {
            'p' | 'P' | 'x' => self.long_escape(c),
            _ if c.is_ascii_punctuation() => class_literal(c),
            _ => class.map_or_else(|| format!("\\{c}"), String::from),
        };
        Some(Atom { text, single: class.is_none() && !matches!(c, 'p' | 'P') })
    }

    /// `\pN`, `\p{Name}`, `\x41`, `\x{41}`.
    fn long_escape(&mut self, letter: char) -> String {
        let length = match self.rest.starts_with('{') {
            true => self.rest.find('}').map_or(self.rest.len(), |end| end + 1),
            false => {
                let count = if letter == 'x' { 2 } else { 1 };
                self.rest.char_indices().nth(count).map_or(self.rest.len(), |(at, _)| at)
            }
        };
        let (body, rest) = self.rest.split_at(length);
        self.rest = rest;
        format!("\\{letter}{body}")
    }
}

/// A character of a class. The crate gives `\<` and `\>` a meaning; plain they are themselves.
fn class_literal(c: char) -> String {
    match c {
        '<' | '>' => c.into(),
        _ if c.is_ascii_punctuation() => format!("\\{c}"),
        _ => c.into(),
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

    #[test]
    fn means_what_re2_means() {
        for (pattern, yes, no) in [
            (r"\d+", "09", "٣"),
            (r"\w+", "aZ_0", "é"),
            (r"\s", "\t", "\u{a0}"),
            (r"\D", "٣", "3"),
            (r"[\d-]+", "1-2", "٣"),
            (r"[\w-]+", "a-b", "é"),
            (r"[^\s/]+", "\u{a0}", "a b"),
            (r"/\Qa.b\E/.", "/a.b/c", "/aXb/c"),
            (r"\Qa.b", "a.b", "aXb"),
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
            (r"[\pL]", "é", "1"),
            (r"\pN", "1", "a"),
            (r"\<\>", "<>", ""),
            (r"\_\-\/\#", "_-/#", "a"),
            ("é.", "éé", "é"),
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
        assert!(matches(r"a\Cb", b"a\xffb") && !matches("a.b", b"a\xffb"));
    }

    #[test]
    fn nonsense_is_refused_without_panic() {
        for pattern in ["(", "[", "[a", "\\", r"[\", r"\h", "[z-a]", "a{1001}{1001}", "*", r"\x{"] {
            let mut faults = Faults::new();
            assert!(regex(pattern, true, &mut faults).is_none(), "{pattern}");
            assert_eq!(faults.len(), 1, "{pattern}");
        }
    }
}
