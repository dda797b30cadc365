//! Finds the first route whose path fits without trying them one by one.
//!
//! Exact paths stand in a hash map, and so do prefixes, which are asked for once for each length that
//! any of them has. What can't be looked up (regular expressions, CONNECT) is tried in order. Each
//! look-up yields places in ascending order; the lowest one that fits wins, as if the list had been
//! walked.

use rustc_hash::FxHashMap;

use crate::host::with_lower_case;
use crate::path::{Kind, PathMatcher};
use crate::texts::Texts;

/// Below this many routes, walking the list is cheaper than any look-up.
const WORTH_AN_INDEX: usize = 8;

/// A route's place in its virtual host's list.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u32,
    /// Its text is all that it asks for: the route itself needn't be looked at.
    certain: bool,
}

/// The routes of one text, ascending. Most texts have one, which then costs no look elsewhere.
#[derive(Debug)]
enum Places {
    One(Place),
    More(Box<[Place]>),
}

#[derive(Debug)]
pub(crate) enum PathIndex {
    /// The first route takes every path that begins with a slash; behind it so many others.
    All(u32),
    Walk(u32),
    LookUp(Box<LookUp>),
}

#[derive(Debug, Default)]
pub(crate) struct LookUp {
    exact: Texts<Places>,
    prefix: Prefixes,
    /// The same for matchers that ignore case: keys and questions are in lower case.
    folded_exact: Texts<Places>,
    folded_prefix: Prefixes,
    rest: Vec<Place>,
}

type Gathered = FxHashMap<Box<[u8]>, Vec<Place>>;

#[derive(Debug, Default)]
struct Prefixes {
    texts: Texts<Places>,
    /// Lengths of the texts, each once, descending.
    lengths: Vec<usize>,
}

impl PathIndex {
    /// `routes`: each route's matcher, and whether it asks for more than its path.
    pub(crate) fn compile<'a>(
        routes: impl ExactSizeIterator<Item = (&'a PathMatcher, bool)> + Clone,
    ) -> PathIndex {
        let count = routes.len() as u32;
        let takes_all = |(matcher, conditional): (&PathMatcher, bool)| {
            !conditional && matches!(&matcher.kind, Kind::Prefix(text) if **text == *b"/")
        };
        if routes.clone().next().is_some_and(takes_all) {
            return PathIndex::All(count);
        }
        if routes.len() < WORTH_AN_INDEX {
            return PathIndex::Walk(count);
        }
        PathIndex::LookUp(Box::new(LookUp::compile(routes)))
    }

    /// The lowest place for which `fits` holds, out of those whose path might fit; `None` for the path
    /// is a CONNECT request's. `fits` must judge the path too.
    pub(crate) fn first(&self, path: Option<&[u8]>, fits: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            PathIndex::All(_) if path.is_some_and(|path| path.starts_with(b"/")) => Some(0),
            PathIndex::All(count) | PathIndex::Walk(count) => {
                (0..*count).find(|place| fits(*place))
            }
            PathIndex::LookUp(index) => index.first(path, fits),
        }
    }
}

impl LookUp {
    fn compile<'a>(routes: impl Iterator<Item = (&'a PathMatcher, bool)>) -> LookUp {
        let mut rest = Vec::new();
        let (mut exact, mut prefix) = (Gathered::default(), Gathered::default());
        let (mut folded_exact, mut folded_prefix) = (Gathered::default(), Gathered::default());
        for (at, (matcher, conditional)) in routes.enumerate() {
            let separated = matches!(matcher.kind, Kind::Separated(_));
            let place = Place { at: at as u32, certain: !conditional && !separated };
            let (text, group) = match (&matcher.kind, matcher.ignore_case) {
                (Kind::Exact(text), false) => (text, &mut exact),
                (Kind::Exact(text), true) => (text, &mut folded_exact),
                (Kind::Prefix(text) | Kind::Separated(text), false) => (text, &mut prefix),
                (Kind::Prefix(text) | Kind::Separated(text), true) => (text, &mut folded_prefix),
                (Kind::Regex(_) | Kind::Connect, _) => {
                    rest.push(Place { certain: false, ..place });
                    continue;
                }
                (Kind::Never, _) => continue,
            };
            let mut key = text.clone();
            if matcher.ignore_case {
                key.make_ascii_lowercase();
            }
            group.entry(key).or_default().push(place);
        }
        LookUp {
            exact: texts(exact),
            prefix: Prefixes::new(prefix),
            folded_exact: texts(folded_exact),
            folded_prefix: Prefixes::new(folded_prefix),
            rest,
        }
    }

    fn first(&self, path: Option<&[u8]>, fits: impl Fn(u32) -> bool) -> Option<u32> {
        let mut best = None;
        let mut take = |places: &[Place]| take_lower(&mut best, places, &fits);
        if let Some(path) = path {
            look_up(&self.exact, &self.prefix, path, &mut take);
            if !self.folded_exact.is_empty() || !self.folded_prefix.texts.is_empty() {
                with_lower_case(path, |path| {
                    look_up(&self.folded_exact, &self.folded_prefix, path, &mut take);
                });
            }
        }
        take(&self.rest);
        best
    }
}

fn look_up(exact: &Texts<Places>, prefix: &Prefixes, path: &[u8], take: &mut impl FnMut(&[Place])) {
    if let Some(places) = exact.get(path) {
        take(places.as_slice());
    }
    prefix.each(path, take);
}

/// Lowers `best` to the first of `places` that fits, if that is lower.
fn take_lower(best: &mut Option<u32>, places: &[Place], fits: &impl Fn(u32) -> bool) {
    let below = places.iter().take_while(|place| best.is_none_or(|best| place.at < best));
    if let Some(place) = { below }.find(|place| place.certain || fits(place.at)) {
        *best = Some(place.at);
    }
}

fn texts(gathered: Gathered) -> Texts<Places> {
    let mut texts = Texts::default();
    for (text, places) in gathered {
        texts.insert(&text, Places::new(places));
    }
    texts
}

impl Places {
    fn new(places: Vec<Place>) -> Places {
        match *places {
            [one] => Places::One(one),
            _ => Places::More(places.into()),
        }
    }

    fn as_slice(&self) -> &[Place] {
        match self {
            Places::One(place) => std::slice::from_ref(place),
            Places::More(places) => places,
        }
    }
}

impl Prefixes {
    fn new(gathered: Gathered) -> Prefixes {
        let mut lengths: Vec<usize> = gathered.keys().map(|text| text.len()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        Prefixes { texts: texts(gathered), lengths }
    }

    /// Calls `f` for every text that `path` begins with, longest first.
    fn each(&self, path: &[u8], mut f: impl FnMut(&[Place])) {
        for length in &self.lengths {
            let places = path.get(..*length).and_then(|head| self.texts.get(head));
            if let Some(places) = places {
                f(places.as_slice());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(texts: &[&str]) -> Prefixes {
        let place = |at: usize| vec![Place { at: at as u32, certain: true }];
        let keys = texts.iter().enumerate();
        Prefixes::new(keys.map(|(at, text)| (text.as_bytes().into(), place(at))).collect())
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
            index.each(path.as_bytes(), |places| found.extend(places.iter().map(|place| place.at)));
            assert_eq!(found, expected, "{path}");
        }
        prefix(&[]).each(b"/", |_| panic!("an empty index has no entry"));
    }
}
