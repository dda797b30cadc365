//! `RegexMatchAndSubstitute`: RE2's replace-all with `\0` .. `\9` and `\\`.

use dragoman_proto::pb::envoy::r#type::matcher::v3 as pb;
use dragoman_types::Faults;
use regex::bytes::Regex;

#[derive(Debug)]
pub(crate) struct Substitution {
    /// `None` where the pattern was refused.
    pattern: Option<Regex>,
    parts: Box<[Part]>,
    /// Whether a group other than the whole match is used: captures cost more than matches.
    uses_groups: bool,
}

#[derive(Debug)]
enum Part {
    Text(Box<[u8]>),
    Group(usize),
}

impl Substitution {
    pub(crate) fn compile(
        message: &pb::RegexMatchAndSubstitute,
        faults: &mut Faults,
    ) -> Substitution {
        let text = message.pattern.as_ref().map_or("", |p| p.regex.as_str());
        let pattern = faults.field("pattern", |faults| {
            faults.field("regex", |faults| {
                if text.is_empty() {
                    faults.add("empty", "must not be empty");
                }
                dragoman_proto::regex(text, false, faults)
            })
        });
        let groups = pattern.as_ref().map_or(10, |p| p.captures_len());
        let parts = faults.field("substitution", |f| parts(&message.substitution, groups, f));
        let uses_groups = parts.iter().any(|part| matches!(part, Part::Group(n) if *n > 0));
        Substitution { pattern, parts: parts.into(), uses_groups }
    }

    /// Appends `text` with every match replaced.
    pub(crate) fn replace_all(&self, text: &[u8], out: &mut Vec<u8>) {
        let Some(pattern) = &self.pattern else { return out.extend_from_slice(text) };
        let mut done = 0;
        if self.uses_groups {
            for groups in pattern.captures_iter(text) {
                let Some(whole) = groups.get(0) else { continue };
                out.extend_from_slice(&text[done..whole.start()]);
                self.write(out, |n| groups.get(n).map_or(&b""[..], |group| group.as_bytes()));
                done = whole.end();
            }
        } else {
            for whole in pattern.find_iter(text) {
                out.extend_from_slice(&text[done..whole.start()]);
                self.write(out, |_| whole.as_bytes());
                done = whole.end();
            }
        }
        out.extend_from_slice(&text[done..]);
    }

    fn write<'t>(&self, out: &mut Vec<u8>, group: impl Fn(usize) -> &'t [u8]) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(n) => out.extend_from_slice(group(*n)),
            }
        }
    }
}

fn parts(substitution: &str, groups: usize, faults: &mut Faults) -> Vec<Part> {
    let (mut parts, mut text) = (Vec::new(), Vec::new());
    let mut bytes = substitution.bytes();
    while let Some(byte) = bytes.next() {
        if matches!(byte, 0 | b'\r' | b'\n') {
            faults.add("bad-substitution", "must hold no NUL, CR or LF");
        }
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'\\') => text.push(b'\\'),
            Some(digit @ b'0'..=b'9') => {
                let group = usize::from(digit - b'0');
                if group >= groups {
                    let message = format!("\\{group} names a group that the pattern doesn't have");
                    faults.add("bad-substitution", message);
                }
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text).into()));
                }
                parts.push(Part::Group(group));
            }
            _ => faults
                .add("bad-substitution", "a backslash must be followed by a digit or a backslash"),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(pattern: &str, substitution: &str) -> (Substitution, Faults) {
        let mut faults = Faults::new();
        let regex = pb::RegexMatcher { regex: pattern.into(), engine_type: None };
        let message =
            pb::RegexMatchAndSubstitute { pattern: Some(regex), substitution: substitution.into() };
        (Substitution::compile(&message, &mut faults), faults)
    }

    #[test]
    fn replaces_as_re2_does() {
        for (pattern, substitution, text, expected) in [
            ("/sub/([a-z]+)", r"/got/\1/\0", "/sub/abc/d", "/got/abc//sub/abc/d"),
            ("a", "b", "/all/a/a", "/bll/b/b"),
            ("^.*$", "x", "/tonone", "x"),
            ("/zzz", "/got", "/no/thing", "/no/thing"),
            ("^/service/([^/]+)(/.*)$", r"\2/instance/\1", "/service/foo/v1", "/v1/instance/foo"),
            ("^(.*?)one(.*)$", r"\1two\2", "/xxx/one/yyy/one", "/xxx/two/yyy/one"),
            ("b*", "-", "abb", "-a-"),
            ("(x)?y", r"[\1]", "yxy", "[][x]"),
            ("a", r"\\\0", "a", r"\a"),
            ("a", "", "banana", "bnn"),
        ] {
            let (substitution, faults) = compile(pattern, substitution);
            assert!(faults.is_empty(), "{faults:?}");
            let mut out = Vec::new();
            substitution.replace_all(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{pattern}");
        }
    }

    #[test]
    fn what_can_never_work_is_refused() {
        for (pattern, substitution) in
            [("x", r"\1"), ("x", r"\x"), ("x", "\\"), ("(", "y"), ("", "y"), ("x", "a\r\n")]
        {
            assert!(!compile(pattern, substitution).1.is_empty(), "{pattern} {substitution}");
        }
    }
}
