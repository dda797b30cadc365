//! Header, query and cookie matchers, row by row as a real Envoy 1.40 answered.

// Envoy still honours the fields that it calls deprecated.
#![allow(deprecated)]

use dragoman_matcher::{CookieMatcher, HeaderMatcher, QueryParameterMatcher};
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_proto::pb::envoy::r#type::matcher::v3::{
    RegexMatcher, StringMatcher, string_matcher::MatchPattern,
};
use dragoman_proto::pb::envoy::r#type::v3::Int64Range;
use dragoman_types::{Faults, Headers};
use pb::header_matcher::HeaderMatchSpecifier::{self as Spec, *};

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut out = Headers::new();
    for (name, value) in fields {
        out.push(name.as_bytes(), value.as_bytes());
    }
    out
}

fn text(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { ignore_case: false, match_pattern: Some(pattern) }
}

fn exact(value: &str) -> StringMatcher {
    text(MatchPattern::Exact(value.into()))
}

fn header(spec: Option<Spec>, invert: bool, missing_as_empty: bool) -> HeaderMatcher {
    let message = pb::HeaderMatcher {
        name: "X-H".into(),
        invert_match: invert,
        treat_missing_header_as_empty: missing_as_empty,
        header_match_specifier: spec,
    };
    let mut faults = Faults::new();
    let matcher = HeaderMatcher::compile(&message, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    matcher
}

/// Which of the probes fit: none, a, b, a+b, b+a, empty, AB, 4, 5, -10, +3, 3x, abc, "a,b".
fn fits(matcher: &HeaderMatcher) -> String {
    let probes: [&[&str]; 14] = [
        &[],
        &["a"],
        &["b"],
        &["a", "b"],
        &["b", "a"],
        &[""],
        &["AB"],
        &["4"],
        &["5"],
        &["-10"],
        &["+3"],
        &["3x"],
        &["abc"],
        &["a,b"],
    ];
    let fit = |values: &[&str]| {
        let fields: Vec<_> = values.iter().map(|v| ("x-h", *v)).collect();
        if matcher.matches(&headers(&fields)) { 'Y' } else { '.' }
    };
    probes.into_iter().map(fit).collect()
}

#[test]
fn header_matchers() {
    let string = |v: &str| Some(StringMatch(exact(v)));
    let empty_regex = || {
        let regex = RegexMatcher { regex: "^$".into(), engine_type: None };
        Some(StringMatch(text(MatchPattern::SafeRegex(regex))))
    };
    let regex = RegexMatcher { regex: "a.c".into(), engine_type: None };
    let range = || Some(RangeMatch(Int64Range { start: -10, end: 5 }));
    let prefix = || Some(StringMatch(text(MatchPattern::Prefix("a,".into()))));
    let (y, n) = (true, false);
    #[rustfmt::skip]
    let table = [
        (string("a"), n, n,                        ".Y.YY........."),
        (string("a"), y, n,                        "..Y..YYYYYYYYY"),
        (string("a"), y, y,                        "Y.Y..YYYYYYYYY"),
        (string(""), n, n,                         ".....Y........"),
        (empty_regex(), n, y,                      "Y....Y........"),
        (range(), n, n,                            ".......Y.YY..."),
        (range(), y, n,                            ".YYYYYY.Y..YYY"),
        (Some(PresentMatch(true)), n, n,           ".YYYYYYYYYYYYY"),
        (Some(PresentMatch(false)), n, n,          "Y............."),
        (Some(PresentMatch(true)), y, n,           "Y............."),
        (Some(PresentMatch(false)), y, n,          ".YYYYYYYYYYYYY"),
        (Some(PresentMatch(true)), n, y,           "YYYYYYYYYYYYYY"),
        (Some(PresentMatch(false)), n, y,          ".............."),
        (None, n, n,                               ".YYYYYYYYYYYYY"),
        (None, y, n,                               "Y............."),
        (Some(ExactMatch("a".into())), n, n,       ".Y.YY........."),
        (Some(ExactMatch("".into())), n, n,        ".YYYYYYYYYYYYY"),
        (Some(PrefixMatch("a,".into())), n, n,     ".............Y"),
        (Some(SuffixMatch(",b".into())), n, n,     ".............Y"),
        (Some(ContainsMatch("a,b".into())), n, n,  ".............Y"),
        (Some(SafeRegexMatch(regex)), n, n,        "............Y."),
        (prefix(), n, n,                           ".............Y"),
    ];
    for (spec, invert, missing, expected) in table {
        let label = format!("{spec:?} invert {invert} missing {missing}");
        assert_eq!(fits(&header(spec, invert, missing)), expected, "{label}");
    }
}

#[test]
fn host_means_authority() {
    let message = pb::HeaderMatcher {
        name: "Host".into(),
        header_match_specifier: Some(StringMatch(exact("a.example"))),
        ..Default::default()
    };
    let matcher = HeaderMatcher::compile(&message, &mut Faults::new());
    assert!(matcher.matches(&headers(&[(":authority", "a.example")])));
}

#[test]
fn query_matchers() {
    use pb::query_parameter_matcher::QueryParameterMatchSpecifier as Q;
    let table: [(Option<Q>, &[&str], &[&str]); 5] = [
        (
            Some(Q::StringMatch(exact("v"))),
            &["k=v", "a=b&k=v", "k=v&k=x", "&k=v"],
            &["", "k", "k=", "K=v", "k=x&k=v", "k=v;x", "a;k=v", "k%3dv", "k=V", "?k=v", "%6b=v"],
        ),
        (None, &["k", "k=", "a&k"], &["", "kk", "K"]),
        (Some(Q::PresentMatch(true)), &["k", "k=1"], &["", "a=k"]),
        (Some(Q::PresentMatch(false)), &["", "a"], &["k", "a&k=1"]),
        (Some(Q::StringMatch(exact(""))), &["k", "k="], &["", "k=a"]),
    ];
    for (spec, yes, no) in table {
        let label = format!("{spec:?}");
        let message =
            pb::QueryParameterMatcher { name: "k".into(), query_parameter_match_specifier: spec };
        let matcher = QueryParameterMatcher::compile(&message, &mut Faults::new());
        for query in yes {
            assert!(matcher.matches(query.as_bytes()), "{label} should fit {query}");
        }
        for query in no {
            assert!(!matcher.matches(query.as_bytes()), "{label} should not fit {query}");
        }
    }
}

#[test]
fn cookie_matchers() {
    let cookie = |value: &str, invert: bool| {
        let string_match = Some(exact(value));
        let message = pb::CookieMatcher { name: "k".into(), string_match, invert_match: invert };
        CookieMatcher::compile(&message, &mut Faults::new())
    };
    #[rustfmt::skip]
    let table: [(&[&str], &str, bool); 14] = [
        (&["k=v"], "v", true), (&["a=b; k=v"], "v", true), (&["a=b;k=v"], "v", true),
        (&["k=x; k=v"], "v", false), (&["k=v; k=x"], "v", true), (&["a=b", "k=v"], "v", true),
        (&["k=x", "k=v"], "v", false), (&["k=\"v\""], "v", true), (&["k=\"v"], "v", false),
        (&["k = v"], "v", false), (&["a; k=v"], "v", true), (&["k"], "", false),
        (&["k="], "", true), (&["k=a=b"], "a=b", true),
    ];
    for (fields, value, expected) in table {
        let fields: Vec<_> = fields.iter().map(|f| ("cookie", *f)).collect();
        assert_eq!(cookie(value, false).matches(&headers(&fields)), expected, "{fields:?}");
        assert_eq!(cookie(value, true).matches(&headers(&fields)), !expected, "{fields:?}");
    }
    assert!(cookie("v", true).matches(&headers(&[])));
}

#[test]
fn what_lacks_a_name_or_a_pattern_is_refused() {
    let mut faults = Faults::new();
    HeaderMatcher::compile(&pb::HeaderMatcher::default(), &mut faults);
    let empty_prefix = pb::HeaderMatcher {
        name: "a".into(),
        header_match_specifier: Some(PrefixMatch(String::new())),
        ..Default::default()
    };
    HeaderMatcher::compile(&empty_prefix, &mut faults);
    QueryParameterMatcher::compile(&pb::QueryParameterMatcher::default(), &mut faults);
    CookieMatcher::compile(&pb::CookieMatcher::default(), &mut faults);
    let paths: Vec<_> = faults.into_vec().into_iter().map(|f| f.path).collect();
    assert_eq!(paths, ["name", "prefix_match", "name", "name", "string_match"]);
}
