//! Rewriting a request's path and authority, and what that leaves behind in header fields.

use dragoman_proto::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Faults, Headers, id};

use crate::path::{PathMatcher, split};
use crate::substitution::Substitution;

#[derive(Debug, Default)]
pub(crate) enum PathRewrite {
    #[default]
    None,
    /// Replaces what the route matched: a prefix, or else the whole path.
    Prefix(Box<[u8]>),
    Regex(Substitution),
}

impl PathRewrite {
    pub(crate) fn compile(
        prefix: &str,
        regex: Option<&RegexMatchAndSubstitute>,
        faults: &mut Faults,
    ) -> PathRewrite {
        match regex {
            Some(_) if !prefix.is_empty() => {
                let text = "only one of prefix_rewrite and regex_rewrite may be set";
                faults.add_at("regex_rewrite", "conflict", text);
                PathRewrite::None
            }
            Some(regex) => PathRewrite::Regex(
                faults.field("regex_rewrite", |faults| Substitution::compile(regex, faults)),
            ),
            None if prefix.is_empty() => PathRewrite::None,
            None => PathRewrite::Prefix(prefix.as_bytes().into()),
        }
    }

    /// Rewrites `:path`; the query stays. With `keep_original` the old one is left in
    /// `x-envoy-original-path`, even where a regular expression changed nothing.
    pub(crate) fn apply(
        &self,
        matcher: &PathMatcher,
        headers: &mut Headers,
        keep_original: bool,
        scratch: &mut Vec<u8>,
    ) {
        let Some(whole) = headers.get(id::PATH) else { return };
        let (path, query) = split(whole);
        scratch.clear();
        match self {
            PathRewrite::None => return,
            PathRewrite::Prefix(prefix) => {
                let Some(matched) = matcher.matched_length(path) else { return };
                scratch.extend_from_slice(prefix);
                scratch.extend_from_slice(&path[matched..]);
            }
            PathRewrite::Regex(substitution) => substitution.replace_all(path, scratch),
        }
        scratch.extend_from_slice(query);
        let end = scratch.len();
        if keep_original {
            scratch.extend_from_slice(whole);
            headers.set(id::X_ENVOY_ORIGINAL_PATH, &scratch[end..]);
        }
        headers.set(id::PATH, &scratch[..end]);
    }
}

#[derive(Debug, Default)]
pub(crate) enum HostRewrite {
    #[default]
    None,
    Literal(Box<[u8]>),
    /// The value of this field, if there is one.
    Header(HeaderName),
    /// The path with its matches replaced.
    PathRegex(Substitution),
}

impl HostRewrite {
    /// Rewrites `:authority` as configured.
    pub(crate) fn apply(&self, headers: &mut Headers, how: HowToKeep, scratch: &mut Vec<u8>) {
        scratch.clear();
        match self {
            HostRewrite::None => return,
            HostRewrite::Literal(host) => scratch.extend_from_slice(host),
            HostRewrite::Header(name) => match headers.get(name) {
                Some(value) if !value.is_empty() => scratch.extend_from_slice(value),
                _ => return,
            },
            HostRewrite::PathRegex(substitution) => {
                let path = headers.get(id::PATH).unwrap_or_default();
                substitution.replace_all(split(path).0, scratch);
            }
        }
        set_authority(headers, how, scratch);
    }
}

/// What a host rewrite leaves behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HowToKeep {
    /// The old host goes to `x-envoy-original-host`.
    pub(crate) original: bool,
    /// The old host is appended to `x-forwarded-host`.
    pub(crate) forwarded: bool,
}

/// Makes `scratch`'s content the authority; the rest of `scratch` is used as room.
pub(crate) fn set_authority(headers: &mut Headers, how: HowToKeep, scratch: &mut Vec<u8>) {
    let end = scratch.len();
    scratch.extend_from_slice(headers.get(id::AUTHORITY).unwrap_or_default());
    let (new, old) = scratch.split_at(end);
    if how.original {
        headers.set(id::X_ENVOY_ORIGINAL_HOST, old);
    }
    if how.forwarded && !old.is_empty() {
        append_forwarded_host(headers, old);
    }
    headers.set(id::AUTHORITY, new);
}

/// Appends unless it is the last value already.
fn append_forwarded_host(headers: &mut Headers, host: &[u8]) {
    match headers.get(id::X_FORWARDED_HOST) {
        Some(known) if known.split(|b| *b == b',').rfind(|t| !t.is_empty()) == Some(host) => {}
        Some(known) if !known.is_empty() => headers.join(id::X_FORWARDED_HOST, b",", host),
        _ => headers.set(id::X_FORWARDED_HOST, host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forwarded_host_is_not_repeated() {
        for (before, after) in [
            (None, "h"),
            (Some("h"), "h"),
            (Some("a,h"), "a,h"),
            (Some("a, h"), "a, h,h"),
            (Some("h,a"), "h,a,h"),
            (Some(""), "h"),
            (Some("h,"), "h,"),
            (Some("ah"), "ah,h"),
        ] {
            let mut headers = Headers::new();
            if let Some(before) = before {
                headers.append(id::X_FORWARDED_HOST, before.as_bytes());
            }
            append_forwarded_host(&mut headers, b"h");
            assert_eq!(headers.get(id::X_FORWARDED_HOST), Some(after.as_bytes()), "{before:?}");
        }
    }
}
