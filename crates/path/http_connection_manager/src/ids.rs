//! Sets of interned header names: one pass over a head tells which steps have nothing to do.

use dragoman_types::{HeaderId, Headers, id};

/// A set of [`HeaderId`]s; [`id::OTHER`] may be in it like any other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct IdSet(u128);

impl IdSet {
    pub(crate) const fn of(ids: &[HeaderId]) -> IdSet {
        let mut bits = 0u128;
        let mut at = 0;
        while at < ids.len() {
            bits |= 1 << ids[at].index();
            at += 1;
        }
        IdSet(bits)
    }

    #[inline]
    pub(crate) fn has(self, id: HeaderId) -> bool {
        self.0 & (1 << id.index()) != 0
    }

    #[inline]
    pub(crate) fn insert(&mut self, id: HeaderId) {
        self.0 |= 1 << id.index();
    }

    #[inline]
    pub(crate) fn meets(self, other: IdSet) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const ALL: IdSet = IdSet(u128::MAX);

    pub(crate) const fn without(self, other: IdSet) -> IdSet {
        IdSet(self.0 & !other.0)
    }

    pub(crate) const fn union(self, other: IdSet) -> IdSet {
        IdSet(self.0 | other.0)
    }
}

/// Which interned names a head had when it was looked at. Steps that remove fields leave this as it
/// is: "seen" means "worth looking", "not seen" means "not there unless a step added it".
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Seen {
    pub(crate) any: IdSet,
    pub(crate) twice: IdSet,
    /// A field name holds an underscore.
    pub(crate) underscore: bool,
}

impl Seen {
    pub(crate) fn in_request(headers: &Headers) -> Seen {
        let mut seen = Seen::default();
        for (id, name, _) in headers.iter() {
            // No interned name has an underscore.
            if id == id::OTHER {
                seen.underscore |= name.contains(&b'_');
            } else if seen.any.has(id) {
                seen.twice.insert(id);
            }
            seen.any.insert(id);
        }
        seen
    }
}

/// Joins the values of each repeated field of `which` with a comma, as Envoy's header table does.
/// Matchers, formatters and the origin then see one field.
pub(crate) fn join_repeated(
    headers: &mut Headers,
    seen: &Seen,
    which: IdSet,
    joined: &mut Vec<u8>,
) {
    let mut left = seen.twice.0 & which.0;
    while left != 0 {
        let index = left.trailing_zeros() as u8;
        left &= left - 1;
        let Some(id) = headers.iter().map(|(id, ..)| id).find(|id| id.index() == index) else {
            continue;
        };
        joined.clear();
        for (nth, value) in headers.get_all(id).enumerate() {
            if nth > 0 {
                joined.push(b',');
            }
            joined.extend_from_slice(value);
        }
        headers.set(id, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = IdSet::of(&[id::COOKIE, id::X_ENVOY_IP_TAGS]);
        assert!(set.has(id::COOKIE) && set.has(id::X_ENVOY_IP_TAGS) && !set.has(id::HOST));
        set.insert(id::HOST);
        assert!(set.has(id::HOST) && set.meets(IdSet::of(&[id::HOST])));
        assert!(!set.meets(IdSet::of(&[id::VIA])));
    }

    #[test]
    fn repeated_fields_become_one_and_cookies_stay() {
        let mut headers = Headers::new();
        for (name, value) in [("Accept", "1"), ("x-y", "a"), ("cookie", "a"), ("accept", "2")] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers.push(b"COOKIE", b"b");
        let seen = Seen::in_request(&headers);
        join_repeated(&mut headers, &seen, IdSet::of(&[id::ACCEPT]), &mut Vec::new());
        let all: Vec<_> = headers.iter().map(|(_, n, v)| [n, b"=", v].concat()).collect();
        assert_eq!(all, [&b"accept=1,2"[..], b"x-y=a", b"cookie=a", b"cookie=b"]);
        assert!(!seen.underscore);
    }
}
