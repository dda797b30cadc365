//! Which virtual host an authority belongs to: exact name, then the longest `*.suffix`, then the
//! longest `prefix.*`, then `*`. Names are compared in lower case; a wildcard stands for at least
//! one character.

use dragoman_types::Faults;

use crate::texts::Texts;

/// Virtual hosts by name.
type Names = Texts<u32>;

#[derive(Debug, Default)]
pub(crate) struct HostIndex {
    exact: Names,
    /// By the length of what follows (or precedes) the star, longest first.
    suffixes: Vec<(usize, Names)>,
    prefixes: Vec<(usize, Names)>,
    any: Option<u32>,
    ignore_port: bool,
}

impl HostIndex {
    pub(crate) fn new(ignore_port: bool) -> HostIndex {
        HostIndex { ignore_port, ..HostIndex::default() }
    }

    /// Adds a domain of the virtual host; a second owner is a fault.
    pub(crate) fn add(&mut self, domain: &str, virtual_host: u32, faults: &mut Faults) {
        let lower = domain.to_ascii_lowercase();
        let before = if lower == "*" {
            self.any.replace(virtual_host)
        } else if let Some(suffix) = lower.strip_prefix('*') {
            names_of(&mut self.suffixes, suffix.len()).insert(suffix.as_bytes(), virtual_host)
        } else if let Some(prefix) = lower.strip_suffix('*') {
            names_of(&mut self.prefixes, prefix.len()).insert(prefix.as_bytes(), virtual_host)
        } else {
            self.exact.insert(lower.as_bytes(), virtual_host)
        };
        if before.is_some() {
            let text = format!("the domain {lower:?} is used twice; domains must be unique");
            faults.add("duplicate-domain", text);
        }
    }

    /// Whether only `*` is known: then no name is looked at.
    fn is_only_any(&self) -> bool {
        self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty()
    }

    /// The virtual host of `*` where that is the only domain.
    pub(crate) fn only_any(&self) -> Option<u32> {
        if self.is_only_any() { self.any } else { None }
    }

    pub(crate) fn find(&self, host: &[u8]) -> Option<u32> {
        if self.is_only_any() {
            return self.any;
        }
        let host = if self.ignore_port { without_port(host) } else { host };
        with_lower_case(host, |host| self.find_lower(host))
    }

    fn find_lower(&self, host: &[u8]) -> Option<u32> {
        if let Some(found) = self.exact.get(host) {
            return Some(*found);
        }
        for (length, names) in &self.suffixes {
            if *length < host.len()
                && let Some(found) = names.get(&host[host.len() - length..])
            {
                return Some(*found);
            }
        }
        for (length, names) in &self.prefixes {
            if *length < host.len()
                && let Some(found) = names.get(&host[..*length])
            {
                return Some(*found);
            }
        }
        self.any
    }
}

fn names_of(groups: &mut Vec<(usize, Names)>, length: usize) -> &mut Names {
    let place = match groups.binary_search_by(|(known, _)| length.cmp(known)) {
        Ok(place) => place,
        Err(place) => {
            groups.insert(place, (length, Names::default()));
            place
        }
    };
    &mut groups[place].1
}

/// Cuts `:port`, and leaves a bare IPv6 address in brackets whole.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    match memchr::memrchr(b':', host) {
        Some(colon) if memchr::memchr(b']', &host[colon..]).is_none() => &host[..colon],
        _ => host,
    }
}

/// Calls `f` with the text in lower case; only texts with upper-case letters longer than the stack
/// buffer cost an allocation.
pub(crate) fn with_lower_case<T>(text: &[u8], f: impl FnOnce(&[u8]) -> T) -> T {
    if !text.iter().any(u8::is_ascii_uppercase) {
        return f(text);
    }
    let mut room = [0u8; 256];
    match room.get_mut(..text.len()) {
        Some(lower) => {
            lower.copy_from_slice(text);
            lower.make_ascii_lowercase();
            f(lower)
        }
        None => f(&text.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(domains: &[&str]) -> HostIndex {
        let mut index = HostIndex::default();
        let mut faults = Faults::new();
        for (place, domain) in domains.iter().enumerate() {
            index.add(domain, place as u32, &mut faults);
        }
        assert!(faults.is_empty(), "{faults:?}");
        index
    }

    const DOMAINS: [&str; 12] = [
        "Foo.com",
        "foo.com:8080",
        "*.foo.com",
        "*.b.foo.com",
        "foo.*",
        "foo.bar.*",
        "*",
        "*-bar.baz",
        "mid*dle.x",
        "*.foo.com:99",
        "[::1]",
        "*x*",
    ];

    #[test]
    fn the_order_is_exact_suffix_prefix_any() {
        let mut index = index(&DOMAINS);
        let table = [
            ("foo.com", 0),
            ("FOO.com", 0),
            ("foo.com:8080", 1),
            ("foo.com:80", 4),
            ("a.foo.com", 2),
            (".foo.com", 6),
            ("a.b.foo.com", 3),
            ("b.foo.com", 2),
            ("foo.org", 4),
            ("foo.bar.org", 5),
            ("foo.", 6),
            ("foo.bar.", 4),
            ("q-bar.baz", 7),
            ("-bar.baz", 6),
            ("middle.x", 6),
            ("mid*dle.x", 8),
            ("a.foo.com:99", 9),
            ("z.foo.com:1", 6),
            ("[::1]", 10),
            ("[::1]:80", 6),
            ("a*x*", 11),
            ("*x*", 11),
            ("", 6),
        ];
        for (host, expected) in table {
            assert_eq!(index.find(host.as_bytes()), Some(expected), "{host}");
        }
        index.ignore_port = true;
        let table = [
            ("foo.com:80", 0),
            ("foo.com:8080", 0),
            ("foo.com:", 0),
            ("a.foo.com:99", 2),
            ("z.foo.com:1", 2),
            ("[::1]:80", 10),
            ("[::1]", 10),
        ];
        for (host, expected) in table {
            assert_eq!(index.find(host.as_bytes()), Some(expected), "{host} without port");
        }
    }

    #[test]
    fn no_match_without_a_star() {
        assert_eq!(index(&["a"]).find(b"b"), None);
        assert_eq!(index(&[]).find(b"b"), None);
        let long = vec![b'A'; 5000];
        assert_eq!(index(&["b"]).find(&long), None);
        assert_eq!(index(&["*a"]).find(&long), Some(0));
    }

    #[test]
    fn a_domain_has_one_owner() {
        for (one, other) in [("A.b", "a.B"), ("*.b", "*.B"), ("b*", "b*"), ("*", "*")] {
            let mut index = HostIndex::default();
            let mut faults = Faults::new();
            index.add(one, 0, &mut faults);
            index.add(other, 1, &mut faults);
            assert_eq!(faults.len(), 1, "{one}");
        }
    }
}
