//! One stage of the choice: by an exact key, else what has no requirement.

use std::borrow::Borrow;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// What follows for each key, and for connections with none of them. Without keys it owns no memory,
/// so stages that nobody uses are free.
#[derive(Debug)]
pub(crate) struct Choice<K, T> {
    exact: FxHashMap<K, T>,
    any: Option<T>,
}

impl<K, T> Default for Choice<K, T> {
    fn default() -> Choice<K, T> {
        Choice { exact: FxHashMap::default(), any: None }
    }
}

impl<K: Hash + Eq, T> Choice<K, T> {
    pub(crate) fn exact<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&T>
    where
        K: Borrow<Q>,
    {
        self.exact.get(key)
    }

    pub(crate) fn any(&self) -> Option<&T> {
        self.any.as_ref()
    }

    /// The most specific: the key's, else the one without a requirement.
    pub(crate) fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&T>
    where
        K: Borrow<Q>,
    {
        self.exact(key).or(self.any())
    }

    pub(crate) fn entry(&mut self, key: Option<&K>) -> &mut T
    where
        K: Clone,
        T: Default,
    {
        match key {
            Some(key) => self.exact.entry(key.clone()).or_default(),
            None => self.any.get_or_insert_default(),
        }
    }
}
