//! `envoy.type.matcher.v3.StringMatcher`.

use dragoman_proto::pb::envoy::r#type::matcher::v3 as pb;
use dragoman_types::Faults;
use memchr::memmem::Finder;
use pb::string_matcher::MatchPattern;
use regex::bytes::Regex;

/// Compares one string. Case is folded for ASCII only, as Envoy does.
#[derive(Clone, Debug)]
pub struct StringMatcher {
    kind: Kind,
    ignore_case: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Regex(Regex),
    /// Stands for a matcher that was refused: the configuration that holds it is never served.
    Never,
}

impl StringMatcher {
    pub fn compile(message: &pb::StringMatcher, faults: &mut Faults) -> StringMatcher {
        let text = |s: &str, field: &str, faults: &mut Faults| -> Box<[u8]> {
            if s.is_empty() {
                faults.add_at(field, "empty", "must not be empty; use safe_regex or present_match");
            }
            s.as_bytes().into()
        };
        let kind = match &message.match_pattern {
            Some(MatchPattern::Exact(s)) => Kind::Exact(s.as_bytes().into()),
            Some(MatchPattern::Prefix(s)) => Kind::Prefix(text(s, "prefix", faults)),
            Some(MatchPattern::Suffix(s)) => Kind::Suffix(text(s, "suffix", faults)),
            Some(MatchPattern::Contains(s)) => {
                Kind::Contains(Box::new(Finder::new(&text(s, "contains", faults)).into_owned()))
            }
            Some(MatchPattern::SafeRegex(r)) => {
                if message.ignore_case {
                    faults.add_at("ignore_case", "no-effect", "has no effect for safe_regex");
                }
                faults.field("safe_regex", |faults| regex_kind(r, faults))
            }
            Some(MatchPattern::Custom(_)) => {
                faults.add_at("custom", "unsupported", "custom string matchers aren't supported");
                Kind::Never
            }
            None => {
                faults.add(
                    "missing",
                    "one of exact, prefix, suffix, contains or safe_regex is needed",
                );
                Kind::Never
            }
        };
        StringMatcher { kind, ignore_case: message.ignore_case }
    }

    pub fn exact(text: &str) -> StringMatcher {
        StringMatcher { kind: Kind::Exact(text.as_bytes().into()), ignore_case: false }
    }

    pub fn prefix(text: &str) -> StringMatcher {
        StringMatcher { kind: Kind::Prefix(text.as_bytes().into()), ignore_case: false }
    }

    pub fn suffix(text: &str) -> StringMatcher {
        StringMatcher { kind: Kind::Suffix(text.as_bytes().into()), ignore_case: false }
    }

    pub fn contains(text: &str) -> StringMatcher {
        StringMatcher {
            kind: Kind::Contains(Box::new(Finder::new(text).into_owned())),
            ignore_case: false,
        }
    }

    /// The whole text must match `message`'s regular expression.
    pub fn regex(message: &pb::RegexMatcher, faults: &mut Faults) -> StringMatcher {
        StringMatcher { kind: regex_kind(message, faults), ignore_case: false }
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        match (&self.kind, self.ignore_case) {
            (Kind::Exact(want), false) => text == &**want,
            (Kind::Exact(want), true) => text.eq_ignore_ascii_case(want),
            (Kind::Prefix(want), false) => text.starts_with(want),
            (Kind::Prefix(want), true) => {
                text.get(..want.len()).is_some_and(|head| head.eq_ignore_ascii_case(want))
            }
            (Kind::Suffix(want), false) => text.ends_with(want),
            (Kind::Suffix(want), true) => text
                .len()
                .checked_sub(want.len())
                .is_some_and(|at| text[at..].eq_ignore_ascii_case(want)),
            (Kind::Contains(finder), false) => finder.find(text).is_some(),
            (Kind::Contains(finder), true) => contains_ignoring_case(text, finder.needle()),
            (Kind::Regex(regex), _) => regex.is_match(text),
            (Kind::Never, _) => false,
        }
    }
}

fn contains_ignoring_case(text: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return true };
    let last_start = match text.len().checked_sub(needle.len()) {
        Some(last) => last,
        None => return false,
    };
    let (low, high) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    memchr::memchr2_iter(low, high, &text[..=last_start])
        .any(|at| text[at..at + needle.len()].eq_ignore_ascii_case(needle))
}

fn regex_kind(message: &pb::RegexMatcher, faults: &mut Faults) -> Kind {
    if message.regex.is_empty() {
        faults.add_at("regex", "empty", "must not be empty");
    }
    match faults.field("regex", |faults| dragoman_proto::regex(&message.regex, true, faults)) {
        Some(regex) => Kind::Regex(regex),
        None => Kind::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(pattern: MatchPattern, ignore_case: bool) -> StringMatcher {
        let mut faults = Faults::new();
        let message = pb::StringMatcher { match_pattern: Some(pattern), ignore_case };
        let compiled = StringMatcher::compile(&message, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        compiled
    }

    fn regex(text: &str) -> MatchPattern {
        MatchPattern::SafeRegex(pb::RegexMatcher { regex: text.into(), engine_type: None })
    }

    #[test]
    fn every_pattern_with_and_without_case() {
        use MatchPattern::*;
        let (s, yes, no) = ("aB", true, false);
        #[rustfmt::skip]
        let table: Vec<(MatchPattern, bool, &[u8], bool)> = vec![
            (Exact(s.into()), no, b"aB", yes), (Exact(s.into()), no, b"ab", no),
            (Exact(s.into()), yes, b"Ab", yes), (Exact(s.into()), yes, b"abc", no),
            (Exact("".into()), no, b"", yes), (Exact("".into()), no, b"a", no),
            (Prefix(s.into()), no, b"aBc", yes), (Prefix(s.into()), no, b"abc", no),
            (Prefix(s.into()), yes, b"ABC", yes), (Prefix(s.into()), yes, b"a", no),
            (Suffix(s.into()), no, b"caB", yes), (Suffix(s.into()), no, b"cab", no),
            (Suffix(s.into()), yes, b"CAB", yes), (Suffix(s.into()), yes, b"B", no),
            (Contains(s.into()), no, b"xaBy", yes), (Contains(s.into()), no, b"xaby", no),
            (Contains(s.into()), yes, b"xxABy", yes), (Contains(s.into()), yes, b"aab", yes),
            (Contains(s.into()), yes, b"a b", no), (Contains(s.into()), yes, b"a", no),
            (regex("a[0-9]+"), no, b"a12", yes), (regex("a[0-9]+"), no, b"a12b", no),
            (regex("a|b"), no, b"b", yes), (regex("a|b"), no, b"ab", no),
            (regex("(?i)a"), no, b"A", yes), (regex("."), no, b"\xff", yes),
        ];
        for (pattern, ignore_case, text, expected) in table {
            let label = format!("{pattern:?} {ignore_case} {text:?}");
            assert_eq!(matcher(pattern, ignore_case).matches(text), expected, "{label}");
        }
    }

    #[test]
    fn what_envoy_refuses_is_refused() {
        use MatchPattern::*;
        let cases = [
            (None, false, "missing"),
            (Some(Prefix(String::new())), false, "empty"),
            (Some(Suffix(String::new())), false, "empty"),
            (Some(Contains(String::new())), false, "empty"),
            (Some(regex("(")), false, "bad-regex"),
            (Some(regex("a")), true, "no-effect"),
            (Some(Custom(Default::default())), false, "unsupported"),
        ];
        for (match_pattern, ignore_case, code) in cases {
            let mut faults = Faults::new();
            StringMatcher::compile(&pb::StringMatcher { match_pattern, ignore_case }, &mut faults);
            let codes: Vec<_> = faults.into_vec().iter().map(|f| f.code).collect();
            assert_eq!(codes, [code]);
        }
    }
}
