//! The request target of HTTP/1: absolute form becomes scheme, authority and path; CONNECT's target
//! becomes the authority. What can't be taken apart in one way is refused as Envoy's codec does.

/// An absolute-form target, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Absolute<'t> {
    pub(crate) https: bool,
    pub(crate) authority: &'t [u8],
    /// With query; may begin with `?` (then it is no path and is refused later on).
    pub(crate) path: &'t [u8],
}

/// Why a target was refused, by Envoy's details.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadTarget {
    /// Neither a path nor something with `://`.
    Malformed,
    Scheme,
    Url,
}

impl BadTarget {
    pub(crate) fn details(self) -> &'static str {
        match self {
            BadTarget::Malformed => "http1.codec_error",
            BadTarget::Scheme => "http1.invalid_scheme",
            BadTarget::Url => "http1.invalid_url",
        }
    }
}

/// Whether an HTTP/1 parser takes `target` for anything but CONNECT: `/…`, `*…` or `scheme://…`.
pub(crate) fn is_well_formed(target: &[u8]) -> bool {
    match target.first() {
        Some(b'/' | b'*') => true,
        _ => split_scheme(target).is_some_and(|(_, rest)| {
            let end = authority_end(rest);
            // A fragment right behind the authority leaves no path to carry it.
            rest.get(end) != Some(&b'#')
        }),
    }
}

fn split_scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = target.windows(3).position(|w| w == b"://")?;
    let (scheme, rest) = (&target[..at], &target[at + 3..]);
    let letters = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let valid = scheme.first()?.is_ascii_alphabetic() && scheme.iter().all(letters);
    valid.then_some((scheme, rest))
}

fn authority_end(rest: &[u8]) -> usize {
    rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len())
}

/// Takes an absolute-form target apart; user information is dropped.
pub(crate) fn absolute(target: &[u8]) -> Result<Absolute<'_>, BadTarget> {
    let (scheme, rest) = split_scheme(target).ok_or(BadTarget::Url)?;
    let https = scheme.eq_ignore_ascii_case(b"https");
    if !https && !scheme.eq_ignore_ascii_case(b"http") {
        return Err(BadTarget::Scheme);
    }
    let (authority, path) = rest.split_at(authority_end(rest));
    let mut parts = authority.splitn(2, |b| *b == b'@');
    let authority = match (parts.next(), parts.next()) {
        (Some(_), Some(host)) => host,
        _ => authority,
    };
    host_and_port(authority)?;
    let path = if path.is_empty() { b"/" } else { path };
    Ok(Absolute { https, authority, path })
}

/// CONNECT's target must be `host:port`.
pub(crate) fn connect_authority(target: &[u8]) -> Result<(), BadTarget> {
    if host_and_port(target)? { Ok(()) } else { Err(BadTarget::Url) }
}

/// Whether Envoy passes this `Referer` on: a path, or a URL with a plain authority, without
/// fragment, user information or characters that a URL can't hold.
pub(crate) fn is_referer(value: &[u8]) -> bool {
    if !value.iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        return false;
    }
    if value.starts_with(b"/") {
        return true;
    }
    let Some((_, rest)) = split_scheme(value) else {
        let head = value.split(|b| *b == b'/').next().unwrap_or_default();
        return !head.contains(&b':');
    };
    let authority = &rest[..authority_end(rest)];
    host_and_port(authority.strip_prefix(b"@").unwrap_or(authority)).is_ok()
}

/// Checks `host`, `host:port`, `[v6]` or `[v6]:port`; tells whether there is a port.
fn host_and_port(authority: &[u8]) -> Result<bool, BadTarget> {
    let (host, port) = match authority.strip_prefix(b"[") {
        Some(v6) => {
            let end = v6.iter().position(|b| *b == b']').ok_or(BadTarget::Url)?;
            let address = &v6[..end];
            let letters = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
            if address.is_empty() || !address.iter().all(letters) {
                return Err(BadTarget::Url);
            }
            (None, &v6[end + 1..])
        }
        None => {
            let end = authority.iter().position(|b| *b == b':').unwrap_or(authority.len());
            (Some(&authority[..end]), &authority[end..])
        }
    };
    if let Some(host) = host {
        let letters = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        if host.is_empty() || !host.iter().all(letters) {
            return Err(BadTarget::Url);
        }
    }
    match port {
        [] => Ok(false),
        [b':', digits @ ..] if is_port(digits) => Ok(true),
        _ => Err(BadTarget::Url),
    }
}

fn is_port(digits: &[u8]) -> bool {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let value = digits.iter().try_fold(0u32, |value, digit| {
        let next = value * 10 + u32::from(digit - b'0');
        (next <= 65_535).then_some(next)
    });
    value.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(text: &str) -> Option<String> {
        let target = format!("http://{text}/z?y");
        let found = absolute(target.as_bytes()).ok()?;
        Some(String::from_utf8_lossy(found.authority).into_owned())
    }

    #[test]
    fn authorities_of_absolute_targets() {
        for same in
            ["a-b.c", "a..b", "-a", ".", "1.2.3.4", "[::1]", "[::1]:8", "a:0", "a:00080", "a."]
        {
            assert_eq!(authority(same).as_deref(), Some(same));
        }
        let table =
            [("@b", "b"), ("u:p@b:80", "b:80"), ("u_x%41@b", "b"), ("a@[::1]:8", "[::1]:8")];
        for (given, wanted) in table {
            assert_eq!(authority(given).as_deref(), Some(wanted));
        }
        let refused = [
            "a~b",
            "a!b",
            "a,b",
            "a;b",
            "[::1]x",
            "[zz]",
            "[]",
            "[::1]:",
            ":80",
            "a:65536",
            "a:+80",
            "a@b@c",
            "a:80:80",
            "A_",
            "u:p@",
            "a[b",
            "a[::1]",
            "[::1%25eth0]",
            "ot%41her",
            "",
            "a:",
        ];
        for given in refused {
            assert_eq!(authority(given), None, "{given}");
        }
    }

    #[test]
    fn paths_of_absolute_targets() {
        let table = [
            ("http://a", "/"),
            ("http://a?", "?"),
            ("http://a/?", "/?"),
            ("HTTPS://a:443", "/"),
            ("http://a?b/c", "?b/c"),
            ("http://a/x#f", "/x#f"),
        ];
        for (target, path) in table {
            let found = absolute(target.as_bytes()).unwrap();
            assert_eq!(found.path, path.as_bytes(), "{target}");
            assert_eq!(found.https, target.starts_with("HTTPS"));
        }
        for target in ["ftp://x/", "httpx://a/", "a.b+c://x/", "ws://x/"] {
            assert_eq!(absolute(target.as_bytes()), Err(BadTarget::Scheme));
        }
        for target in ["http://", "http://?", "http:///x", "*"] {
            assert_eq!(absolute(target.as_bytes()), Err(BadTarget::Url));
        }
    }

    #[test]
    fn targets_that_are_no_target() {
        let bad = [
            "http:a",
            "http:/a/",
            "://",
            "1http://a",
            "a_b://x/",
            "http//a",
            "?a",
            "#a",
            "a:80",
            "a",
            "http://a#f",
        ];
        for target in bad {
            assert!(!is_well_formed(target.as_bytes()), "{target}");
        }
        for target in ["/", "//a", "*", "*#", "/#", "http://a", "ftp://b", "a.b+c://x/"] {
            assert!(is_well_formed(target.as_bytes()), "{target}");
        }
    }

    #[test]
    fn referers_that_are_no_url_are_told_apart() {
        let good = [
            "",
            "/",
            "//",
            "//a/b",
            "HTTP://a",
            "a",
            "a/b",
            "?x",
            "*",
            "a;b",
            "u@h/x",
            "/a:b",
            "a/b:c",
            "http://a/\"<>",
            "http://a:80",
            "android-app://com.x/",
            "ws://a/",
            "http://[::1]:80/",
            "http://@a/",
            "http://a?q@b",
            "a1://b",
            "http://1.2.3/",
            "http://a/u:p@b",
        ];
        for value in good {
            assert!(is_referer(value.as_bytes()), "{value}");
        }
        let bad = [
            "#x",
            "/a#f",
            "/a b",
            "a:b",
            ":80",
            "a:80",
            "http:",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a_b/",
            "http://a/\u{e9}",
            "about:blank",
            "mailto:x",
            "file:///a",
            "http://a:65536",
            "http://u:p@a/",
            "http://u@a/",
            "http://[::1",
            "x_y://a",
            "1://a",
            "?a:b",
            "http://a/x#f",
        ];
        for value in bad {
            assert!(!is_referer(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn connect_needs_host_and_port() {
        for target in ["h:80", "[::1]:80", "1.2.3.4:5", "h:0", "h:080"] {
            assert_eq!(connect_authority(target.as_bytes()), Ok(()), "{target}");
        }
        let refused = [
            "h", "[::1]", "h_x:80", "h:", ":80", "u@h:80", "u:p@h:80", "h:80/", "h:80?x",
            "h:65536", "*", "/",
        ];
        for target in refused {
            assert_eq!(connect_authority(target.as_bytes()), Err(BadTarget::Url), "{target}");
        }
    }
}
