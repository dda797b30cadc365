//! Rewriting a request's path and authority, and what that leaves behind in header fields.

use dragoman_format::Format;
use dragoman_proto::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Facts, Faults, Headers, RequestHead, id};

use crate::path::{PathMatcher, split};
use crate::substitution::Substitution;
use dragoman_edits::Scratch;

#[derive(Debug, Default)]
pub(crate) enum PathRewrite {
    #[default]
    None,
    /// Replaces what the route matched: a prefix, or else the whole path.
    Prefix(Box<[u8]>),
    Regex(Substitution),
    /// The whole path; an empty one changes nothing.
    Format(Format),
}

impl PathRewrite {
    /// At most one of the three may be set.
    pub(crate) fn compile(
        prefix: &str,
        regex: Option<&RegexMatchAndSubstitute>,
        format: &str,
        faults: &mut Faults,
    ) -> PathRewrite {
        let set = [!prefix.is_empty(), regex.is_some(), !format.is_empty()];
        if set.into_iter().filter(|set| *set).count() > 1 {
            let text = "only one of prefix_rewrite, regex_rewrite and path_rewrite may be set";
            faults.add("conflict", text);
        }
        if let Some(regex) = regex {
            faults.field("regex_rewrite", |f| PathRewrite::Regex(Substitution::compile(regex, f)))
        } else if !format.is_empty() {
            faults.field("path_rewrite", |f| PathRewrite::Format(Format::parse(format, f)))
        } else if !prefix.is_empty() {
            PathRewrite::Prefix(prefix.as_bytes().into())
        } else {
            PathRewrite::None
        }
    }

    /// Rewrites `:path`; the query stays. With `keep_original` the old one is left in
    /// `x-envoy-original-path`, even where a regular expression changed nothing.
    pub(crate) fn apply(
        &self,
        matcher: &PathMatcher,
        request: &mut RequestHead,
        facts: &Facts<'_>,
        keep_original: bool,
        scratch: &mut Scratch,
    ) {
        let Some(whole) = request.headers.get(id::PATH) else { return };
        let (path, query) = split(whole);
        let out = &mut scratch.bytes;
        out.clear();
        match self {
            PathRewrite::None => return,
            PathRewrite::Prefix(prefix) => {
                let Some(matched) = matcher.matched_length(path) else { return };
                out.extend_from_slice(prefix);
                out.extend_from_slice(&path[matched..]);
            }
            PathRewrite::Regex(substitution) => substitution.replace_all(path, out),
            PathRewrite::Format(format) => {
                let facts = Facts { request: Some(request), ..*facts };
                if !format.write(&facts, &mut scratch.format, out) {
                    return;
                }
            }
        }
        out.extend_from_slice(query);
        let end = out.len();
        if keep_original {
            out.extend_from_slice(whole);
            request.headers.set(id::X_ENVOY_ORIGINAL_PATH, &out[end..]);
        }
        request.headers.set(id::PATH, &out[..end]);
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
    Format(Format),
}

impl HostRewrite {
    /// Rewrites `:authority` as configured.
    pub(crate) fn apply(
        &self,
        request: &mut RequestHead,
        facts: &Facts<'_>,
        how: HowToKeep,
        scratch: &mut Scratch,
    ) {
        let out = &mut scratch.bytes;
        out.clear();
        match self {
            HostRewrite::None => return,
            HostRewrite::Literal(host) => out.extend_from_slice(host),
            HostRewrite::Header(name) => match request.headers.get(name) {
                Some(value) if !value.is_empty() => out.extend_from_slice(value),
                _ => return,
            },
            HostRewrite::PathRegex(substitution) => {
                let path = request.headers.get(id::PATH).unwrap_or_default();
                substitution.replace_all(split(path).0, out);
            }
            HostRewrite::Format(format) => {
                let facts = Facts { request: Some(request), ..*facts };
                if !format.write(&facts, &mut scratch.format, out) {
                    return;
                }
            }
        }
        set_authority(&mut request.headers, how, out);
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
