//! The authority (`Host` or `:authority`): which are refused, and what is cut off before routing.
//! Source: `HttpConnectionManager.{strip_matching_host_port,strip_any_host_port,
//! strip_trailing_host_dot}`.

/// Which ports are cut off a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StripPort {
    #[default]
    None,
    /// The port that the listener's socket has.
    Matching,
    Any,
}

/// Changes made to the authority.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostRules {
    pub strip_port: StripPort,
    pub strip_trailing_dot: bool,
}

/// Whether Envoy takes these bytes as an authority at all (it may still name no virtual host).
pub(crate) fn is_valid(authority: &[u8]) -> bool {
    authority.iter().all(|byte| VALID[usize::from(*byte)])
}

const VALID: [bool; 256] = {
    let mut valid = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let odd = matches!(
            byte as u8,
            b'"' | b'#' | b'/' | b'<' | b'>' | b'?' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
        );
        valid[byte] = (byte as u8).is_ascii_graphic() && !odd;
        byte += 1;
    }
    valid
};

impl HostRules {
    pub(crate) fn is_idle(self) -> bool {
        self == HostRules::default()
    }

    /// Writes the stripped authority to `out` (cleared first); tells whether it differs.
    pub(crate) fn apply(self, authority: &[u8], local: Option<u16>, out: &mut Vec<u8>) -> bool {
        out.clear();
        out.extend_from_slice(authority);
        if self.strip_trailing_dot {
            strip_dot(out);
        }
        let wanted = match self.strip_port {
            StripPort::None => return out.len() != authority.len(),
            StripPort::Matching => Some(local.map_or(0, u32::from)),
            StripPort::Any => None,
        };
        if let Some((at, port)) = port(out)
            && wanted.is_none_or(|wanted| wanted == port)
        {
            out.truncate(at);
        }
        out.len() != authority.len()
    }
}

/// Removes the host's last dot where nothing but a port follows it.
fn strip_dot(host: &mut Vec<u8>) {
    let Some(at) = host.iter().rposition(|b| *b == b'.') else { return };
    if matches!(host.get(at + 1), None | Some(b':')) {
        host.remove(at);
    }
}

/// Where a port begins (at its colon) and its number. As in Envoy it is whatever decimal number
/// stands behind the last colon outside brackets, an optional plus sign included.
fn port(host: &[u8]) -> Option<(usize, u32)> {
    let at = host.iter().rposition(|b| *b == b':')?;
    if host.iter().rposition(|b| *b == b']').is_some_and(|end| end > at) {
        return None;
    }
    let number = std::str::from_utf8(&host[at + 1..]).ok()?.parse::<u32>().ok()?;
    Some((at, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(strip_port: StripPort, dot: bool, host: &str) -> String {
        let mut out = Vec::new();
        let rules = HostRules { strip_port, strip_trailing_dot: dot };
        let changed = rules.apply(host.as_bytes(), Some(4000), &mut out);
        assert_eq!(changed, out != host.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strip_matching_host_port() {
        let kept = ["a", "a:80", "a.", "a.:80", "[::1]", "[::1]:80", "a:", "a:x", "a:b:80", "::1"];
        for host in kept {
            assert_eq!(run(StripPort::Matching, false, host), host);
        }
        for (host, wanted) in [("a:4000", "a"), ("a.:4000", "a."), ("[::1]:4000", "[::1]")] {
            assert_eq!(run(StripPort::Matching, false, host), wanted);
        }
    }

    #[test]
    fn strip_any_host_port() {
        let table = [
            ("a:80", "a"),
            ("a.:80", "a."),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("a:", "a:"),
            ("a:x", "a:x"),
            ("a:b:80", "a:b"),
            ("a:99999", "a"),
            ("a:080", "a"),
            ("a:0", "a"),
            ("a:+80", "a"),
            ("a:-0", "a:-0"),
            ("a:0x50", "a:0x50"),
            ("a:4294967296", "a:4294967296"),
            (":80", ""),
            (":", ":"),
            ("::1", ":"),
            ("[::1].:80", "[::1]."),
        ];
        for (host, wanted) in table {
            assert_eq!(run(StripPort::Any, false, host), wanted, "{host}");
        }
    }

    #[test]
    fn strip_trailing_host_dot() {
        let table = [
            ("a.", "a", "a"),
            ("a.:80", "a:80", "a"),
            ("a..", "a.", "a."),
            (".", "", ""),
            ("a.:", "a:", "a:"),
            ("[::1].", "[::1]", "[::1]"),
            ("[::1].:80", "[::1]:80", "[::1]"),
            ("a.b", "a.b", "a.b"),
        ];
        for (host, alone, with_port) in table {
            assert_eq!(run(StripPort::None, true, host), alone, "{host}");
            assert_eq!(run(StripPort::Any, true, host), with_port, "{host}");
        }
    }

    #[test]
    fn authorities_that_envoy_refuses() {
        for host in
            ["a b", "a/b", "a\"b", "\u{e9}", "a?b", "a#b", "a\\b", "a<b", "a|b", "a`b", "a{b"]
        {
            assert!(!is_valid(host.as_bytes()), "{host}");
        }
        for host in ["a@b", "a_b", "a%41", "[::1", "a]b", "a,b", "*", "'a'", "!$&()*+", "~", ""] {
            assert!(is_valid(host.as_bytes()), "{host}");
        }
    }
}
