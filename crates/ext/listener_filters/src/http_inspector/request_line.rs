//! Whether a line is HTTP's request line, as loosely as Envoy's inspector takes it: any token is a
//! method, and a line without a version (HTTP/0.9) is older HTTP.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    Http11,
    /// Any other version.
    Older,
    Other,
}

/// Judges a line without its line feed.
pub(super) fn judge(line: &[u8]) -> Line {
    let (method, rest) = word(line);
    let (target, rest) = word(rest);
    let version = rest.trim_ascii();
    let version = match version {
        b"HTTP/1.1" => Line::Http11,
        b"" => Line::Older,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Line::Older
        }
        _ => return Line::Other,
    };
    let sound = !method.is_empty() && is_method(method);
    if sound && is_target(target, method == b"CONNECT") { version } else { Line::Other }
}

/// Up to white space, and what stands behind that.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    (&line[..end], line[end..].trim_ascii_start())
}

/// Whether all are bytes of a token: RFC 9110 section 5.6.2.
pub(super) fn is_method(bytes: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    bytes.iter().all(is_token)
}

/// A path, an asterisk, or something with a scheme; an authority for CONNECT.
fn is_target(target: &[u8], connect: bool) -> bool {
    let printable = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
    if let Some(b'/' | b'*') = target.first() {
        return printable(target);
    }
    let hierarchy = if connect { Some(target) } else { after_scheme(target) };
    let Some(rest) = hierarchy.filter(|_| !target.is_empty()) else { return false };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    host.iter().all(|byte| is_host(*byte))
        && !host.windows(2).any(|pair| pair == b"@@")
        && printable(path)
}

/// What stands behind `scheme://`: RFC 3986 section 3.1.
fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let end = target.iter().position(|byte| !is_scheme(byte))?;
    let starts = target.first().is_some_and(u8::is_ascii_alphabetic);
    target[end..].strip_prefix(b"://").filter(|_| starts)
}

/// RFC 3986 section 3.2: unreserved, sub-delims, and what IP literals, ports and users need.
fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(&byte)
}
