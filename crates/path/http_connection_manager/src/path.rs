//! The path as everything behind this point sees it: routes, filters, logs and the origin.
//!
//! Order, as observed: escaped slashes, then RFC 3986 normalisation, then merging of slashes; each
//! works on the part before `?`. A fragment is refused whatever the options say.
//! Source: `HttpConnectionManager.{normalize_path,merge_slashes,path_with_escaped_slashes_action}`.

use crate::canonical;

/// What to do with `%2F`, `%2f`, `%5C` and `%5c` in a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EscapedSlashes {
    #[default]
    Keep,
    Reject,
    UnescapeAndRedirect,
    UnescapeAndForward,
}

/// Which changes are made to paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PathRules {
    pub normalize: bool,
    pub merge_slashes: bool,
    pub escaped_slashes: EscapedSlashes,
}

/// Why a path was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadPath {
    Fragment,
    /// The path without escapes is in `out`: that is what Envoy's log shows.
    EscapedSlash,
    /// It can't be normalised (`%00`).
    Invalid,
}

/// What came of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Unchanged,
    /// The new path is in `out`.
    Changed,
    /// As `Changed`, and the client must ask again with it.
    Redirect,
}

impl PathRules {
    /// Applies the rules to `path` (with query). `spare` is overwritten.
    pub(crate) fn apply(
        &self,
        path: &[u8],
        out: &mut Vec<u8>,
        spare: &mut Vec<u8>,
    ) -> Result<Outcome, BadPath> {
        let look = canonical::look(path);
        if look.fragment {
            return Err(BadPath::Fragment);
        }
        let (part, query) = path.split_at(look.part_end);
        // Unescaped slashes may make dot segments and doubled slashes of what were none.
        let unescapes = look.percent && self.escaped_slashes != EscapedSlashes::Keep;
        let normalizes = self.normalize && (look.abnormal || unescapes);
        let merges = self.merge_slashes && (look.double_slash || normalizes || unescapes);
        if !unescapes && !normalizes && !merges {
            return Ok(Outcome::Unchanged);
        }
        out.clear();
        out.extend_from_slice(part);
        let unescaped = unescapes && unescape_slashes(out);
        if unescaped && self.escaped_slashes == EscapedSlashes::Reject {
            out.extend_from_slice(query);
            return Err(BadPath::EscapedSlash);
        }
        if normalizes {
            canonical::strip_dot_segment_parameters(out, spare);
            canonical::normalize(spare, out).map_err(|_| BadPath::Invalid)?;
        }
        if merges {
            merge_slashes(out);
        }
        if out.as_slice() == part {
            return Ok(Outcome::Unchanged);
        }
        out.extend_from_slice(query);
        let redirect = unescaped && self.escaped_slashes == EscapedSlashes::UnescapeAndRedirect;
        Ok(if redirect { Outcome::Redirect } else { Outcome::Changed })
    }
}

/// Unescapes slashes and backslashes; tells whether there were any.
fn unescape_slashes(part: &mut Vec<u8>) -> bool {
    let (mut read, mut written) = (0, 0);
    while read < part.len() {
        let (byte, width) = match part.get(read..read + 3) {
            Some([b'%', b'2', b'f' | b'F']) => (b'/', 3),
            Some([b'%', b'5', b'c' | b'C']) => (b'\\', 3),
            _ => (part[read], 1),
        };
        part[written] = byte;
        written += 1;
        read += width;
    }
    let found = written < part.len();
    part.truncate(written);
    found
}

/// `/a//b` becomes `/a/b`. A path of slashes only becomes `//`: Envoy joins the (empty) rest with a
/// leading and a trailing slash, and every party must see what Envoy's would.
fn merge_slashes(part: &mut Vec<u8>) {
    if !part.windows(2).any(|pair| pair == b"//") {
        return;
    }
    let only_slashes = part.iter().all(|b| *b == b'/');
    part.dedup_by(|next, before| *next == b'/' && *before == b'/');
    if only_slashes {
        part.push(b'/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rules: PathRules, path: &str) -> String {
        let mut out = Vec::new();
        match rules.apply(path.as_bytes(), &mut out, &mut Vec::new()) {
            Ok(Outcome::Unchanged) => path.into(),
            Ok(Outcome::Changed) => String::from_utf8(out).unwrap(),
            Ok(Outcome::Redirect) => format!("-> {}", String::from_utf8(out).unwrap()),
            Err(why) => format!("{why:?}"),
        }
    }

    const MERGE: PathRules =
        PathRules { normalize: false, merge_slashes: true, escaped_slashes: EscapedSlashes::Keep };
    const NORMALIZE: PathRules =
        PathRules { normalize: true, merge_slashes: false, escaped_slashes: EscapedSlashes::Keep };

    fn slashes(action: EscapedSlashes, all: bool) -> PathRules {
        PathRules { normalize: all, merge_slashes: all, escaped_slashes: action }
    }

    #[test]
    fn a_fragment_is_refused_by_every_setting() {
        for rules in [PathRules::default(), MERGE, NORMALIZE] {
            for path in ["/a#frag", "/a?q#frag", "/#"] {
                assert_eq!(run(rules, path), "Fragment", "{path}");
            }
        }
    }

    #[test]
    fn without_options_a_path_passes_as_it_came() {
        for path in ["/a/../b", "//a", "/a%2fb", "/%00", "/a/..;/b", "/a\\b"] {
            assert_eq!(run(PathRules::default(), path), path);
        }
    }

    #[test]
    fn merge_slashes_leaves_the_query_alone() {
        let table = [
            ("//", "//"),
            ("///", "//"),
            ("//?", "//?"),
            ("/a//", "/a/"),
            ("/a///?x//y", "/a/?x//y"),
            ("//a", "/a"),
            ("/a//b", "/a/b"),
            ("/a//../b", "/a/../b"),
            ("//..//a", "/../a"),
            ("/?a//b%2fc", "/?a//b%2fc"),
            ("/%2f%2fx//y", "/%2f%2fx/y"),
        ];
        for (path, wanted) in table {
            assert_eq!(run(MERGE, path), wanted, "{path}");
        }
    }

    #[test]
    fn escaped_slashes_are_kept_refused_forwarded_or_redirected() {
        use EscapedSlashes::*;
        let table = [
            ("/a%2fb", "/a/b", "/a/b"),
            ("/a%5cb", "/a\\b", "/a/b"),
            ("/a%2F..%2Fb", "/a/../b", "/b"),
            ("/a%5c..%5cb", "/a\\..\\b", "/b"),
            ("/a%2f?x%2f", "/a/?x%2f", "/a/?x%2f"),
            ("/a/%2E%2E%2Fb", "/a/%2E%2E/b", "/b"),
            ("/a/%5C%5c/..;/b", "/a/\\\\/..;/b", "/a/b"),
            ("/%2f%2fx//y", "///x//y", "/x/y"),
        ];
        for (path, alone, with_all) in table {
            assert_eq!(run(slashes(Keep, false), path), path);
            assert_eq!(run(slashes(Reject, false), path), "EscapedSlash");
            assert_eq!(run(slashes(UnescapeAndForward, false), path), alone);
            assert_eq!(run(slashes(UnescapeAndForward, true), path), with_all);
            assert_eq!(run(slashes(UnescapeAndRedirect, false), path), format!("-> {alone}"));
            assert_eq!(run(slashes(UnescapeAndRedirect, true), path), format!("-> {with_all}"));
        }
        for action in [Reject, UnescapeAndForward, UnescapeAndRedirect] {
            for path in ["/a%2", "/a%", "/?%2f", "/%252f"] {
                assert_eq!(run(slashes(action, false), path), path, "{action:?}");
            }
        }
    }

    #[test]
    fn normalisation_keeps_the_query_and_refuses_a_nul() {
        assert_eq!(run(NORMALIZE, "/a/../b?x=/../y"), "/b?x=/../y");
        assert_eq!(run(NORMALIZE, "/a/..?q"), "/?q");
        assert_eq!(run(NORMALIZE, "/%00"), "Invalid");
        assert_eq!(run(NORMALIZE, "/a?%00"), "/a?%00");
        assert_eq!(run(NORMALIZE, "/.;a/..;b/c?..;/"), "/c?..;/");
    }
}
