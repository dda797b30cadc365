//! Finds the first route whose path fits without trying them one by one.
//!
//! Exact paths stand in a hash map. Prefixes are sorted, and each knows the longest other prefix that
//! it begins with: a path's prefixes are the ancestors of the greatest entry not above it. What can't
//! be looked up (regular expressions, CONNECT) is tried in order. Each look-up yields list positions
//! in ascending order; the lowest one that fits wins, as if the list had been walked.

use std::num::NonZeroU32;

use rustc_hash::FxHashMap;

use crate::host::with_lower_case;
use crate::path::{Kind, PathMatcher};

/// Below this many routes, walking the list is cheaper than any look-up.
const WORTH_AN_INDEX: usize = 8;

/// Positions in a virtual host's list, ascending.
type Places = Vec<u32>;

#[derive(Debug)]
pub(crate) enum PathIndex {
    Walk(u32),
    LookUp(Box<LookUp>),
}

#[derive(Debug, Default)]
pub(crate) struct LookUp {
    exact: Exact,
    prefix: Prefix,
    /// The same for matchers that ignore case: keys and questions are in lower case.
    folded_exact: Exact,
    folded_prefix: Prefix,
    rest: Places,
}

type Exact = FxHashMap<Box<[u8]>, Places>;

/// Texts and positions lie in one piece each: a search among thousands then meets few cache lines.
#[derive(Debug, Default)]
struct Prefix {
    texts: Vec<u8>,
    places: Places,
    /// Sorted by text.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its text begins in `texts`, and how long it is.
    text: (u32, u32),
    /// The same of its positions in `places`.
    places: (u32, u32),
    /// The longest other entry that this text begins with.
    parent: Option<NonZeroU32>,
}

impl PathIndex {
    pub(crate) fn compile<'a>(
        matchers: impl ExactSizeIterator<Item = &'a PathMatcher>,
    ) -> PathIndex {
        if matchers.len() < WORTH_AN_INDEX {
            return PathIndex::Walk(matchers.len() as u32);
        }
        PathIndex::LookUp(Box::new(LookUp::compile(matchers)))
    }

    /// The lowest place for which `fits` holds, out of those whose path might fit. `fits` must judge
    /// the path too.
    pub(crate) fn first(&self, path: &[u8], fits: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            PathIndex::Walk(count) => (0..*count).find(|place| fits(*place)),
            PathIndex::LookUp(index) => index.first(path, fits),
        }
    }
}

impl LookUp {
    fn compile<'a>(matchers: impl Iterator<Item = &'a PathMatcher>) -> LookUp {
        let mut index = LookUp::default();
        let (mut prefixes, mut folded) = (Exact::default(), Exact::default());
        for (place, matcher) in matchers.enumerate() {
            let (text, group) = match (&matcher.kind, matcher.ignore_case) {
                (Kind::Exact(text), false) => (text, &mut index.exact),
                (Kind::Exact(text), true) => (text, &mut index.folded_exact),
                (Kind::Prefix(text) | Kind::Separated(text), false) => (text, &mut prefixes),
                (Kind::Prefix(text) | Kind::Separated(text), true) => (text, &mut folded),
                (Kind::Regex(_) | Kind::Connect, _) => {
                    index.rest.push(place as u32);
                    continue;
                }
                (Kind::Never, _) => continue,
            };
            let mut key = text.clone();
            if matcher.ignore_case {
                key.make_ascii_lowercase();
            }
            group.entry(key).or_default().push(place as u32);
        }
        index.prefix = Prefix::compile(prefixes);
        index.folded_prefix = Prefix::compile(folded);
        index
    }

    fn first(&self, path: &[u8], fits: impl Fn(u32) -> bool) -> Option<u32> {
        let mut best = None;
        take_lower(&mut best, places_of(&self.exact, path), &fits);
        self.prefix.each(path, |places| take_lower(&mut best, places, &fits));
        if !self.folded_exact.is_empty() || !self.folded_prefix.entries.is_empty() {
            with_lower_case(path, |path| {
                take_lower(&mut best, places_of(&self.folded_exact, path), &fits);
                self.folded_prefix.each(path, |places| take_lower(&mut best, places, &fits));
            });
        }
        take_lower(&mut best, &self.rest, &fits);
        best
    }
}

fn places_of<'p>(exact: &'p Exact, path: &[u8]) -> &'p [u32] {
    exact.get(path).map_or(&[], Vec::as_slice)
}

/// Lowers `best` to the first of `places` that fits, if that is lower.
fn take_lower(best: &mut Option<u32>, places: &[u32], fits: &impl Fn(u32) -> bool) {
    let below = places.iter().take_while(|place| best.is_none_or(|best| **place < best));
    if let Some(place) = { below }.find(|place| fits(**place)) {
        *best = Some(*place);
    }
}

impl Prefix {
    fn compile(texts: Exact) -> Prefix {
        let mut sorted: Vec<_> = texts.into_iter().collect();
        sorted.sort_unstable();
        let mut index = Prefix::default();
        for (text, places) in sorted {
            let entry = Entry {
                text: (index.texts.len() as u32, text.len() as u32),
                places: (index.places.len() as u32, places.len() as u32),
                parent: index.parent_of(&text),
            };
            index.texts.extend_from_slice(&text);
            index.places.extend_from_slice(&places);
            index.entries.push(entry);
        }
        index
    }

    /// The parent of a text that comes behind all entries: the last of them, or one of its ancestors.
    /// Counted from one.
    fn parent_of(&self, text: &[u8]) -> Option<NonZeroU32> {
        let mut parent = NonZeroU32::new(self.entries.len() as u32);
        while let Some(place) = parent {
            let candidate = self.entry(place);
            if text.starts_with(self.text(&candidate)) {
                break;
            }
            parent = candidate.parent;
        }
        parent
    }

    fn entry(&self, place: NonZeroU32) -> Entry {
        self.entries[place.get() as usize - 1]
    }

    fn text(&self, entry: &Entry) -> &[u8] {
        let (at, len) = entry.text;
        &self.texts[at as usize..(at + len) as usize]
    }

    /// Calls `f` for every entry that `path` begins with, longest first.
    fn each(&self, path: &[u8], mut f: impl FnMut(&[u32])) {
        let above = self.entries.partition_point(|entry| self.text(entry) <= path);
        let mut next = NonZeroU32::new(above as u32);
        while let Some(place) = next {
            let entry = self.entry(place);
            if path.starts_with(self.text(&entry)) {
                let (at, count) = entry.places;
                f(&self.places[at as usize..(at + count) as usize]);
            }
            next = entry.parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(texts: &[&str]) -> Prefix {
        let keys = texts.iter().enumerate();
        Prefix::compile(keys.map(|(n, t)| (t.as_bytes().into(), vec![n as u32])).collect())
    }

    #[test]
    fn the_prefixes_of_a_path_are_found_longest_first() {
        let index = prefix(&["/", "/a", "/a/b", "/a/b/c", "/ab", "/a/c", "", "/b"]);
        for (path, expected) in [
            ("/a/b/d", vec![2, 1, 0, 6]),
            ("/a/b/c/x", vec![3, 2, 1, 0, 6]),
            ("/abc", vec![4, 1, 0, 6]),
            ("/zz", vec![0, 6]),
            ("/a/bb", vec![2, 1, 0, 6]),
            ("x", vec![6]),
            ("", vec![6]),
        ] {
            let mut found = Vec::new();
            index.each(path.as_bytes(), |places| found.extend_from_slice(places));
            assert_eq!(found, expected, "{path}");
        }
        prefix(&[]).each(b"/", |_| panic!("an empty index has no entry"));
    }
}
