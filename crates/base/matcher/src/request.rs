//! Matchers over a request's headers, query and cookies (`envoy.config.route.v3`).

// Envoy still honours the fields that it calls deprecated.
#![allow(deprecated)]

use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Faults, Headers, id};
use pb::header_matcher::HeaderMatchSpecifier;
use pb::query_parameter_matcher::QueryParameterMatchSpecifier;

use crate::StringMatcher;

#[derive(Clone, Debug)]
enum Test {
    /// The field's presence must be this.
    Present(bool),
    /// A decimal integer in `start..end`.
    Range(i64, i64),
    Text(StringMatcher),
}

impl Test {
    /// `Present` is judged by the callers, who know of absence.
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Test::Present(wanted) => *wanted,
            Test::Range(start, end) => integer(value).is_some_and(|n| (*start..*end).contains(&n)),
            Test::Text(matcher) => matcher.matches(value),
        }
    }
}

/// A decimal integer with an optional sign and nothing else.
fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `HeaderMatcher`: every value of a repeated field is judged alone, and one that fits is enough.
#[derive(Clone, Debug)]
pub struct HeaderMatcher {
    name: HeaderName,
    test: Test,
    invert: bool,
    missing_as_empty: bool,
}

impl HeaderMatcher {
    pub fn compile(message: &pb::HeaderMatcher, faults: &mut Faults) -> HeaderMatcher {
        use HeaderMatchSpecifier::*;
        if message.name.is_empty() {
            faults.add_at("name", "empty", "must not be empty");
        }
        let not_empty = |text: &str, field: &str, faults: &mut Faults| {
            if text.is_empty() {
                faults.add_at(field, "empty", "must not be empty; use present_match");
            }
        };
        let test = match &message.header_match_specifier {
            None => Test::Present(true),
            Some(PresentMatch(wanted)) => Test::Present(*wanted),
            // Envoy reads an empty exact_match (deprecated) as "is there".
            Some(ExactMatch(s)) if s.is_empty() => Test::Present(true),
            Some(ExactMatch(s)) => Test::Text(StringMatcher::exact(s)),
            Some(PrefixMatch(s)) => {
                not_empty(s, "prefix_match", faults);
                Test::Text(StringMatcher::prefix(s))
            }
            Some(SuffixMatch(s)) => {
                not_empty(s, "suffix_match", faults);
                Test::Text(StringMatcher::suffix(s))
            }
            Some(ContainsMatch(s)) => {
                not_empty(s, "contains_match", faults);
                Test::Text(StringMatcher::contains(s))
            }
            Some(SafeRegexMatch(r)) => {
                Test::Text(faults.field("safe_regex_match", |f| StringMatcher::regex(r, f)))
            }
            Some(StringMatch(m)) => {
                Test::Text(faults.field("string_match", |f| StringMatcher::compile(m, f)))
            }
            Some(RangeMatch(range)) => Test::Range(range.start, range.end),
        };
        HeaderMatcher {
            name: HeaderName::new(&message.name),
            test,
            invert: message.invert_match,
            missing_as_empty: message.treat_missing_header_as_empty,
        }
    }

    pub fn matches(&self, headers: &Headers) -> bool {
        let present = self.missing_as_empty || headers.contains(&self.name);
        if let Test::Present(wanted) = self.test {
            return (present == wanted) != self.invert;
        }
        if !present {
            // An absent field fails the rule whether or not it is inverted.
            return false;
        }
        let mut values = headers.get_all(&self.name).peekable();
        let fits = match values.peek() {
            None => self.test.matches(b""),
            Some(_) => values.any(|value| self.test.matches(value)),
        };
        fits != self.invert
    }
}

/// `QueryParameterMatcher`: the first value of a name counts; nothing is percent-decoded.
#[derive(Clone, Debug)]
pub struct QueryParameterMatcher {
    name: Box<[u8]>,
    test: Test,
}

impl QueryParameterMatcher {
    pub fn compile(
        message: &pb::QueryParameterMatcher,
        faults: &mut Faults,
    ) -> QueryParameterMatcher {
        use QueryParameterMatchSpecifier::*;
        if message.name.is_empty() {
            faults.add_at("name", "empty", "must not be empty");
        }
        let test = match &message.query_parameter_match_specifier {
            None => Test::Present(true),
            Some(PresentMatch(wanted)) => Test::Present(*wanted),
            Some(StringMatch(m)) => {
                Test::Text(faults.field("string_match", |f| StringMatcher::compile(m, f)))
            }
        };
        QueryParameterMatcher { name: message.name.as_bytes().into(), test }
    }

    /// `query` is what follows the path's `?`.
    pub fn matches(&self, query: &[u8]) -> bool {
        match (&self.test, query_value(query, &self.name)) {
            (Test::Present(wanted), value) => value.is_some() == *wanted,
            (test, Some(value)) => test.matches(value),
            (_, None) => false,
        }
    }
}

/// `CookieMatcher`: the first cookie of a name counts, over all `cookie` fields.
#[derive(Clone, Debug)]
pub struct CookieMatcher {
    name: Box<[u8]>,
    matcher: Option<StringMatcher>,
    invert: bool,
}

impl CookieMatcher {
    pub fn compile(message: &pb::CookieMatcher, faults: &mut Faults) -> CookieMatcher {
        if message.name.is_empty() {
            faults.add_at("name", "empty", "must not be empty");
        }
        let matcher = match &message.string_match {
            Some(m) => Some(faults.field("string_match", |f| StringMatcher::compile(m, f))),
            None => {
                faults.add_at("string_match", "missing", "is needed");
                None
            }
        };
        let name = message.name.as_bytes().into();
        CookieMatcher { name, matcher, invert: message.invert_match }
    }

    pub fn matches(&self, headers: &Headers) -> bool {
        let fits = match (&self.matcher, cookie_value(headers, &self.name)) {
            (Some(matcher), Some(value)) => matcher.matches(value),
            _ => false,
        };
        fits != self.invert
    }
}

/// The first value of a parameter, as it stands; `query` is what follows the path's `?`.
pub fn query_value<'q>(query: &'q [u8], wanted: &[u8]) -> Option<&'q [u8]> {
    query.split(|b| *b == b'&').find_map(|pair| {
        let (name, value) = cut(pair, b'=').unwrap_or((pair, b""));
        (name == wanted).then_some(value)
    })
}

/// The first value of a cookie over all `cookie` fields, without its quotes.
pub fn cookie_value<'h>(headers: &'h Headers, wanted: &[u8]) -> Option<&'h [u8]> {
    headers
        .get_all(id::COOKIE)
        .flat_map(|field| field.split(|b| *b == b';'))
        .filter_map(|pair| cut(pair.trim_ascii_start(), b'='))
        .find_map(|(name, value)| (name == wanted).then_some(unquoted(value)))
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, text)?;
    Some((&text[..place], &text[place + 1..]))
}
