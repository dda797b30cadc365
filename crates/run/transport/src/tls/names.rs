//! Whom a certificate names.

use dragoman_matcher::StringMatcher;
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::{
    SubjectAltNameMatcher, subject_alt_name_matcher::SanType,
};
use dragoman_proto::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use dragoman_types::Faults;
use dragoman_types::tls::Certificate;

/// One of `match_typed_subject_alt_names`.
#[derive(Debug)]
pub(super) struct NameMatcher {
    kind: SanType,
    matcher: StringMatcher,
    /// The name of an exact matcher: a certificate's `*.example.com` covers it.
    exact: Option<Box<str>>,
}

impl NameMatcher {
    pub(super) fn compile(
        message: &SubjectAltNameMatcher,
        faults: &mut Faults,
    ) -> Option<NameMatcher> {
        let kind = SanType::try_from(message.san_type).unwrap_or(SanType::Unspecified);
        if matches!(kind, SanType::Unspecified | SanType::OtherName) {
            let why = "DNS, URI, EMAIL and IP_ADDRESS are supported";
            faults.add_at("san_type", "unsupported", why);
            return None;
        }
        let Some(matcher) = &message.matcher else {
            faults.add_at("matcher", "missing", "a matcher is needed");
            return None;
        };
        let exact = match &matcher.match_pattern {
            Some(MatchPattern::Exact(name)) if kind == SanType::Dns => Some(name.as_str().into()),
            _ => None,
        };
        let matcher = faults.field("matcher", |faults| StringMatcher::compile(matcher, faults));
        Some(NameMatcher { kind, matcher, exact })
    }

    pub(super) fn matches(&self, facts: &Certificate) -> bool {
        let names = match self.kind {
            SanType::Dns => &facts.dns_sans,
            SanType::Uri => &facts.uri_sans,
            SanType::Email => &facts.email_sans,
            _ => &facts.ip_sans,
        };
        names.iter().any(|name| match &self.exact {
            Some(exact) => covers(name, exact),
            None => self.matcher.matches(name.as_bytes()),
        })
    }
}

/// Whether a certificate's DNS name, perhaps `*.example.com` or `w*.example.com`, covers `name` (RFC 6125
/// section 6.4.3).
pub(super) fn covers(pattern: &str, name: &str) -> bool {
    if pattern.eq_ignore_ascii_case(name) {
        return true;
    }
    let (Some((first, rest)), Some((label, others))) =
        (pattern.split_once('.'), name.split_once('.'))
    else {
        return false;
    };
    let Some((before, after)) = first.split_once('*') else { return false };
    // A part of an encoded label is no part of a name.
    if label.is_empty() || after.contains('*') || before.len() + after.len() > label.len() {
        return false;
    }
    let encoded = !(before.is_empty() && after.is_empty())
        && label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    let starts = label.get(..before.len()).is_some_and(|part| part.eq_ignore_ascii_case(before));
    let ends = label.get(label.len() - after.len()..);
    let ends = ends.is_some_and(|part| part.eq_ignore_ascii_case(after));
    !encoded && starts && ends && rest.eq_ignore_ascii_case(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(covers("*.example.com", "a.Example.com") && covers("a.b", "A.B"));
        for name in ["example.com", "a.b.example.com", ".example.com", "aexample.com"] {
            assert!(!covers("*.example.com", name), "{name}");
        }
        for name in ["w.example.com", "www.example.com", "W2.example.com"] {
            assert!(covers("w*.example.com", name), "{name}");
        }
        assert!(covers("a*z.b", "az.b") && !covers("a*a.b", "a.b") && !covers("x*.b", "xn--a.b"));
        assert!(!covers("a.*.b", "a.c.b") && !covers("*", "a") && !covers("**.b", "ab.b"));
    }
}
