//! A map from byte texts, for tables of thousands that are met at random: the texts lie in one piece,
//! so a look-up meets two cache lines (the entry, its text) out of few pages.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

#[derive(Debug)]
pub(crate) struct Texts<V> {
    bytes: Vec<u8>,
    table: HashTable<Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    /// Where its text begins in `bytes`, and how long it is.
    text: (u32, u32),
    value: V,
}

impl<V> Default for Texts<V> {
    fn default() -> Texts<V> {
        Texts { bytes: Vec::new(), table: HashTable::new() }
    }
}

fn hash(text: &[u8]) -> u64 {
    FxBuildHasher.hash_one(text)
}

fn slice(bytes: &[u8], (at, len): (u32, u32)) -> &[u8] {
    &bytes[at as usize..(at + len) as usize]
}

impl<V> Texts<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(crate) fn get(&self, text: &[u8]) -> Option<&V> {
        let is_it = |entry: &Entry<V>| slice(&self.bytes, entry.text) == text;
        self.table.find(hash(text), is_it).map(|entry| &entry.value)
    }

    /// Gives back what the text stood for.
    pub(crate) fn insert(&mut self, text: &[u8], value: V) -> Option<V> {
        let is_it = |entry: &Entry<V>| slice(&self.bytes, entry.text) == text;
        if let Some(entry) = self.table.find_mut(hash(text), is_it) {
            return Some(std::mem::replace(&mut entry.value, value));
        }
        let entry = Entry { text: (self.bytes.len() as u32, text.len() as u32), value };
        self.bytes.extend_from_slice(text);
        let bytes = &self.bytes;
        self.table.insert_unique(hash(text), entry, |entry| hash(slice(bytes, entry.text)));
        None
    }
}
