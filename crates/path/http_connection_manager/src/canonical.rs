//! RFC 3986 normalisation of a path (without query) as Envoy 1.40 does it: dot segments are
//! resolved, `\` counts as `/`, escaped unreserved characters are written plainly, and characters
//! that a URL must not hold are escaped. Escapes of anything else stay as they came.

/// The path holds an escaped NUL: no party may see a shorter path than another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Invalid;

/// What a look at every byte of a path tells.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Look {
    /// Where the query begins, or the path's length.
    pub(crate) part_end: usize,
    pub(crate) fragment: bool,
    /// Normalising could change it.
    pub(crate) abnormal: bool,
    pub(crate) double_slash: bool,
    pub(crate) percent: bool,
}

/// Looks at a path with its query; most paths need no more than this.
pub(crate) fn look(path: &[u8]) -> Look {
    let mut look = Look { part_end: path.len(), ..Look::default() };
    let mut before = 0u8;
    for (at, &byte) in path.iter().enumerate() {
        if PLAIN[usize::from(byte)] {
            before = byte;
            continue;
        }
        match byte {
            b'/' => look.double_slash |= before == b'/',
            b'.' => look.abnormal |= before == b'/',
            b'%' => (look.percent, look.abnormal) = (true, true),
            b'?' => {
                look.part_end = at;
                look.fragment |= path[at..].contains(&b'#');
                return look;
            }
            b'#' => look.fragment = true,
            _ => look.abnormal = true,
        }
        before = byte;
    }
    look
}

/// Characters that mean nothing to a path.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = PASSES[byte] && !matches!(byte as u8, b'/' | b'.' | b'%');
        byte += 1;
    }
    plain
};

/// Characters that stand in a path as they are. `%` is looked at by the caller.
const PASSES: [bool; 256] = {
    let mut passes = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let odd = matches!(
            byte as u8,
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#' | b'?'
        );
        passes[byte] = (byte as u8).is_ascii_graphic() && !odd;
        byte += 1;
    }
    passes
};

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Cuts path parameters off dot segments (`/..;x/` to `/../`), so that an origin that ignores
/// parameters can't be led elsewhere than the routes saw. Only plainly written dots and slashes
/// count, as in Envoy.
pub(crate) fn strip_dot_segment_parameters(path: &[u8], out: &mut Vec<u8>) {
    out.clear();
    for (index, segment) in path.split(|b| *b == b'/').enumerate() {
        if index > 0 {
            out.push(b'/');
        }
        let kept: &[u8] = match segment {
            [b'.', b';', ..] if index > 0 => b".",
            [b'.', b'.', b';', ..] if index > 0 => b"..",
            _ => segment,
        };
        out.extend_from_slice(kept);
    }
}

/// Writes the normal form of `path` (which begins with `/`) to `out` (cleared first).
pub(crate) fn normalize(path: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    out.clear();
    // Where a `%` stands in `out` that begins no escape; see `close_lone_percent`.
    let mut lone = None;
    let mut rest = path;
    while let Some(&byte) = rest.first() {
        if let Some(width) = dot(rest) {
            rest = take_dot(&rest[width..], out);
            continue;
        }
        rest = &rest[1..];
        match byte {
            b'\\' => out.push(b'/'),
            b'%' => match escaped(rest) {
                None => {
                    lone = Some(out.len());
                    out.push(b'%');
                }
                Some(0) => return Err(Invalid),
                Some(value) => {
                    if unreserved(value) {
                        out.push(value);
                        close_lone_percent(out, lone, rest.get(2));
                    } else {
                        out.push(b'%');
                        out.extend_from_slice(&rest[..2]);
                    }
                    rest = &rest[2..];
                }
            },
            _ if PASSES[usize::from(byte)] => out.push(byte),
            _ => escape(byte, out),
        }
    }
    Ok(())
}

/// The width of a dot, plain or escaped, at the start of `rest`.
fn dot(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'.', ..] => Some(1),
        [b'%', b'2', b'e' | b'E', ..] => Some(3),
        _ => None,
    }
}

/// Handles a dot, given what follows it; returns what is left to read.
fn take_dot<'p>(after: &'p [u8], out: &mut Vec<u8>) -> &'p [u8] {
    if out.last() != Some(&b'/') {
        out.push(b'.');
        return after;
    }
    if let Some(rest) = segment_end(after) {
        return rest;
    }
    if let Some(rest) = dot(after).and_then(|width| segment_end(&after[width..])) {
        // `out` ends with a slash: drop it and the segment before it, never the first slash.
        let parent = &out[..out.len() - 1];
        let keep = parent.iter().rposition(|b| *b == b'/').map_or(0, |at| at);
        out.truncate(keep + 1);
        return rest;
    }
    out.push(b'.');
    after
}

/// What follows the end of a segment, where `rest` is at one.
fn segment_end(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [] => Some(rest),
        [b'/' | b'\\', rest @ ..] => Some(rest),
        _ => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// The value of the two hexadecimal digits at the start of `rest`.
fn escaped(rest: &[u8]) -> Option<u8> {
    let [high, low, ..] = rest else { return None };
    Some(hex(*high)? << 4 | hex(*low)?)
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// A character that was just unescaped may complete an escape that wasn't one in the input
/// (`%%341` must not become `%41`): then the `%` that stood alone is written `%25`.
fn close_lone_percent(out: &mut Vec<u8>, lone: Option<usize>, next: Option<&u8>) {
    let Some(lone) = lone else { return };
    let behind = &out[lone + 1..];
    let completes = match behind {
        [high] => hex(*high).is_some() && next.is_some_and(|low| hex(*low).is_some()),
        [high, low] => hex(*high).is_some() && hex(*low).is_some(),
        _ => false,
    };
    if completes {
        out.splice(lone + 1..lone + 1, *b"25");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str) -> String {
        let (mut stripped, mut out) = (Vec::new(), Vec::new());
        strip_dot_segment_parameters(path.as_bytes(), &mut stripped);
        let answer = normalize(&stripped, &mut out);
        assert!(out == path.as_bytes() || look(path.as_bytes()).abnormal, "{path}");
        answer.map_or("invalid".into(), |()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn dot_segments_are_resolved() {
        let table = [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/%2E./b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a//../b", "/a/b"),
            ("//..//a", "//a"),
            ("/a\\b", "/a/b"),
            ("/a\\..\\b", "/b"),
            ("/a%5c..%5cb", "/a%5c..%5cb"),
            ("/a%2F..%2Fb", "/a%2F..%2Fb"),
            ("/%2e/a", "/a"),
            ("/a/%2E%2E%2Fb", "/a/..%2Fb"),
            ("/a/b/../../../c/", "/c/"),
            ("/./", "/"),
            ("/a/.%2e/%2e%2E/b/", "/b/"),
            ("/a...", "/a..."),
            ("/...", "/..."),
            ("/%252e%252e/a", "/%252e%252e/a"),
        ];
        for (path, wanted) in table {
            assert_eq!(run(path), wanted, "{path}");
        }
    }

    /// Envoy 1.40's answer to `/..;x`.
    #[test]
    fn path_parameters_of_dot_segments_are_dropped() {
        let table = [
            ("/a/..;x/b", "/b"),
            ("/a/.;x/b", "/a/b"),
            ("/a/b;x=1/c", "/a/b;x=1/c"),
            ("/a/b;x=1/../c", "/a/c"),
            ("/a;p/..;q/b", "/b"),
            ("/a/%2e%2e;x/b", "/a/..;x/b"),
            ("/a/..%3bx/b", "/a/..%3bx/b"),
            ("/a/%2e%2e%3bx/b", "/a/..%3bx/b"),
            ("/a/..;x", "/"),
            ("/a/..;x/", "/"),
            ("/a/.;", "/a/"),
            ("/a/...;x/b", "/a/...;x/b"),
            ("/a;../b", "/a;../b"),
            ("/;..;/b", "/;..;/b"),
            ("/a\\..;x/b", "/a/..;x/b"),
            ("/a/..;x\\c/b", "/b"),
            ("/a/..;x%2fc/b", "/b"),
            ("/a/..;x%5cc", "/"),
            ("/a/.;..;/b", "/a/b"),
            ("/a/..;;;/b", "/b"),
            ("/a/%2e.;x/b", "/a/..;x/b"),
            ("/a/.%2e;x/../b", "/a/b"),
            ("/a/.;x/.;y", "/a/"),
            ("/a/..;..;/b", "/b"),
            ("/..;", "/"),
        ];
        for (path, wanted) in table {
            assert_eq!(run(path), wanted, "{path}");
        }
    }

    #[test]
    fn escapes_are_undone_for_unreserved_characters_only() {
        for value in 1..=255u8 {
            let path = format!("/%{value:02X}x");
            let plain = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
            let wanted = if plain { format!("/{}x", value as char) } else { path.clone() };
            assert_eq!(run(&path), wanted);
        }
        assert_eq!(run("/%00"), "invalid");
        for path in ["/%zz", "/%", "/%0", "/a%25", "/%3%3", "/a%23b"] {
            assert_eq!(run(path), path);
        }
    }

    #[test]
    fn characters_outside_urls_are_escaped() {
        assert_eq!(run("/a\"<>^`{}|"), "/a%22%3C%3E%5E%60%7B%7D%7C");
        let kept = "/!$&'()*+,-.:;=@[]_~";
        assert_eq!(run(kept), kept);
    }

    #[test]
    fn an_unescaped_character_never_completes_an_escape() {
        let table = [
            ("/%%341", "/%2541"),
            ("/%%30%30", "/%2500"),
            ("/%%%30", "/%%0"),
            ("/%4%31x", "/%2541x"),
            ("/%%34%31", "/%2541"),
        ];
        for (path, wanted) in table {
            assert_eq!(run(path), wanted, "{path}");
        }
    }

    /// Hostile inputs F 58: one path for every party, also when it is normalised again.
    #[test]
    fn normalising_twice_changes_nothing_that_leads_elsewhere() {
        let parts = ["/", "..", ".", "%2e", "%2f", ";", "a", "\\", "%", "%5c", "//", "%25"];
        let mut state = 1u32;
        for _ in 0..20_000 {
            let mut path = String::from("/");
            for _ in 0..8 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                path.push_str(parts[(state >> 16) as usize % parts.len()]);
            }
            let mut out = Vec::new();
            normalize(path.as_bytes(), &mut out).unwrap();
            assert!(out.starts_with(b"/") && !out.contains(&b'\\'), "{path}");
            let climbs = out.split(|b| *b == b'/').any(|s| s == b".." || s == b".");
            assert!(!climbs, "{path} -> {}", String::from_utf8_lossy(&out));
        }
    }
}
