//! Sets of interned header names.

use crate::header_id::HeaderId;

/// A set of [`HeaderId`]s; [`id::OTHER`] may be in it like any other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct IdSet(u128);

impl IdSet {
    pub const ALL: IdSet = IdSet(u128::MAX);

    pub const fn of(ids: &[HeaderId]) -> IdSet {
        let mut bits = 0u128;
        let mut at = 0;
        while at < ids.len() {
            bits |= 1 << ids[at].index();
            at += 1;
        }
        IdSet(bits)
    }

    #[inline]
    pub const fn has(self, id: HeaderId) -> bool {
        self.0 & (1 << id.index()) != 0
    }

    #[inline]
    pub const fn insert(&mut self, id: HeaderId) {
        self.0 |= 1 << id.index();
    }

    #[inline]
    pub(crate) const fn take(&mut self, id: HeaderId) {
        self.0 &= !(1 << id.index());
    }

    #[inline]
    pub const fn meets(self, other: IdSet) -> bool {
        self.0 & other.0 != 0
    }

    #[must_use]
    pub const fn without(self, other: IdSet) -> IdSet {
        IdSet(self.0 & !other.0)
    }

    #[must_use]
    pub const fn union(self, other: IdSet) -> IdSet {
        IdSet(self.0 | other.0)
    }

    #[must_use]
    pub const fn intersection(self, other: IdSet) -> IdSet {
        IdSet(self.0 & other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = HeaderId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let index = (left != 0).then(|| left.trailing_zeros() as u8)?;
            left &= left - 1;
            HeaderId::from_index(index)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header_id::id;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = IdSet::of(&[id::COOKIE, id::X_ENVOY_IP_TAGS]);
        assert!(set.has(id::COOKIE) && set.has(id::X_ENVOY_IP_TAGS) && !set.has(id::HOST));
        set.insert(id::HOST);
        assert!(set.has(id::HOST) && set.meets(IdSet::of(&[id::HOST])));
        assert!(!set.meets(IdSet::of(&[id::VIA])));
        assert_eq!(set.iter().collect::<Vec<_>>(), [id::HOST, id::COOKIE, id::X_ENVOY_IP_TAGS]);
    }
}
