//! How one route judges a path. The path comes without query and fragment.

use std::borrow::Cow;

use dragoman_matcher::StringMatcher;
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_types::Faults;
use pb::route_match::PathSpecifier;

#[derive(Debug)]
pub(crate) struct PathMatcher {
    pub(crate) kind: Kind,
    pub(crate) ignore_case: bool,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Prefix(Box<[u8]>),
    Exact(Box<[u8]>),
    /// The text itself, or the text followed by `/`.
    Separated(Box<[u8]>),
    Regex(StringMatcher),
    Connect,
    /// Stands for a matcher that was refused.
    Never,
}

impl PathMatcher {
    pub(crate) fn compile(message: &pb::RouteMatch, faults: &mut Faults) -> PathMatcher {
        let bytes = |s: &str| Box::<[u8]>::from(s.as_bytes());
        let kind = match &message.path_specifier {
            Some(PathSpecifier::Prefix(s)) => Kind::Prefix(bytes(s)),
            Some(PathSpecifier::Path(s)) => Kind::Exact(bytes(s)),
            Some(PathSpecifier::PathSeparatedPrefix(s)) => {
                if s.contains(['?', '#']) || s.ends_with('/') || s.len() < 2 {
                    let text =
                        "must hold no '?' or '#', not end in '/', and not be a single character";
                    faults.add_at("path_separated_prefix", "bad-value", text);
                }
                Kind::Separated(bytes(s))
            }
            Some(PathSpecifier::SafeRegex(r)) => {
                Kind::Regex(faults.field("safe_regex", |f| StringMatcher::regex(r, f)))
            }
            Some(PathSpecifier::ConnectMatcher(_)) => Kind::Connect,
            Some(PathSpecifier::PathMatchPolicy(_)) => {
                faults.add_at(
                    "path_match_policy",
                    "unsupported",
                    "path match policies aren't supported",
                );
                Kind::Never
            }
            None => {
                faults.add("missing", "one of prefix, path, safe_regex, path_separated_prefix or connect_matcher is needed");
                Kind::Never
            }
        };
        let ignore_case = message.case_sensitive.as_ref().is_some_and(|v| !v.value);
        PathMatcher { kind, ignore_case }
    }

    /// `path` is `None` where the request has none (CONNECT of HTTP/1).
    pub(crate) fn matches(&self, path: Option<&[u8]>, is_connect: bool) -> bool {
        let Some(path) = path else { return is_connect && matches!(self.kind, Kind::Connect) };
        match &self.kind {
            Kind::Prefix(text) => self.starts(path, text),
            Kind::Exact(text) => path.len() == text.len() && self.starts(path, text),
            Kind::Separated(text) => {
                self.starts(path, text) && path.get(text.len()).is_none_or(|next| *next == b'/')
            }
            Kind::Regex(regex) => regex.matches(path),
            Kind::Connect => is_connect,
            Kind::Never => false,
        }
    }

    fn starts(&self, path: &[u8], text: &[u8]) -> bool {
        match path.get(..text.len()) {
            Some(head) if self.ignore_case => head.eq_ignore_ascii_case(text),
            Some(head) => head == text,
            None => false,
        }
    }

    /// How many bytes of `path` (as it stands in the request, without query) a prefix rewrite
    /// replaces; `None` where path parameters keep the matched text from being its head.
    pub(crate) fn matched_length(&self, path: &[u8]) -> Option<usize> {
        match &self.kind {
            Kind::Prefix(text) | Kind::Exact(text) | Kind::Separated(text) => {
                self.starts(path, text).then_some(text.len())
            }
            Kind::Regex(_) | Kind::Connect | Kind::Never => Some(path.len()),
        }
    }
}

/// Splits at the first `?` or `#`: (path, the rest with its mark).
pub(crate) fn split(path_and_query: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr2(b'?', b'#', path_and_query).unwrap_or(path_and_query.len());
    path_and_query.split_at(end)
}

/// What follows the first `?`.
pub(crate) fn query_of(path_and_query: &[u8]) -> &[u8] {
    match memchr::memchr(b'?', path_and_query) {
        Some(at) => &path_and_query[at + 1..],
        None => b"",
    }
}

/// The path without the `;parameters` of its segments.
pub(crate) fn without_parameters(path: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b';', path).is_none() {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    for (place, segment) in path.split(|b| *b == b'/').enumerate() {
        if place > 0 {
            out.push(b'/');
        }
        out.extend_from_slice(&segment[..memchr::memchr(b';', segment).unwrap_or(segment.len())]);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragoman_proto::pb::envoy::r#type::matcher::v3::RegexMatcher;
    use dragoman_proto::pb::google::protobuf::BoolValue;

    fn matcher(specifier: PathSpecifier, case_sensitive: bool) -> PathMatcher {
        let message = pb::RouteMatch {
            path_specifier: Some(specifier),
            case_sensitive: Some(BoolValue { value: case_sensitive }),
            ..Default::default()
        };
        let mut faults = Faults::new();
        let matcher = PathMatcher::compile(&message, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        matcher
    }

    #[test]
    fn paths_as_envoy_matches_them() {
        use PathSpecifier::*;
        let regex = |r: &str| SafeRegex(RegexMatcher { regex: r.into(), engine_type: None });
        let probes = [
            "/a", "/a/", "/ab", "/A", "/Ab", "/a/b", "/A/b", "/a1", "/a1?x", "/a?x", "/a1/",
            "/a;p=1", "/%61", "//a", "/a%3fx", "/a#f",
        ];
        #[rustfmt::skip]
        let table: [(PathSpecifier, bool, &[&str]); 11] = [
            (Prefix("/a".into()), true, &["/a", "/a/", "/ab", "/a/b", "/a1", "/a1?x", "/a?x", "/a1/", "/a;p=1", "/a%3fx", "/a#f"]),
            (Path("/a".into()), true, &["/a", "/a?x", "/a#f"]),
            (PathSeparatedPrefix("/a".into()), true, &["/a", "/a/", "/a/b", "/a?x", "/a#f"]),
            (regex("/a[0-9]"), true, &["/a1", "/a1?x"]),
            (Prefix("/A/".into()), false, &["/a/", "/a/b", "/A/b"]),
            (Path("/A".into()), false, &["/a", "/A", "/a?x", "/a#f"]),
            (PathSeparatedPrefix("/A".into()), false, &["/a", "/a/", "/A", "/a/b", "/A/b", "/a?x", "/a#f"]),
            (regex("/A."), false, &["/Ab"]),
            (Path("".into()), true, &[]),
            (Prefix("/a?x".into()), true, &[]),
            (Path("/a;p=1".into()), true, &["/a;p=1"]),
        ];
        for (specifier, case_sensitive, expected) in table {
            let label = format!("{specifier:?} {case_sensitive}");
            let matcher = matcher(specifier, case_sensitive);
            let hits: Vec<_> = probes
                .into_iter()
                .filter(|p| matcher.matches(Some(split(p.as_bytes()).0), false))
                .collect();
            assert_eq!(hits, expected, "{label}");
        }
    }

    #[test]
    fn connect_needs_its_own_matcher() {
        let connect = matcher(PathSpecifier::ConnectMatcher(Default::default()), true);
        assert!(connect.matches(None, true));
        assert!(!connect.matches(Some(b"/"), false));
        assert!(!matcher(PathSpecifier::Prefix("".into()), true).matches(None, true));
    }

    #[test]
    fn parameters_are_cut_from_each_segment() {
        for (path, expected) in
            [("/a;p=1/x;q=2/y;r", "/a/x/y"), ("/;p/a/", "//a/"), ("/a/;x", "/a/"), ("/a", "/a")]
        {
            assert_eq!(&*without_parameters(path.as_bytes()), expected.as_bytes());
        }
    }
}
